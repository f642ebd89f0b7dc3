package app

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"proofhouse/internal/docket"
	"proofhouse/internal/ledger"
	"proofhouse/internal/policy"
	"proofhouse/internal/proofhouse"
)

// exportable is a request to export a case, by ada, that two others approved.
func (s *served) exportable(t *testing.T, id proofhouse.CaseID) string {
	t.Helper()
	person := func(p string) policy.Principal {
		who, err := s.Directory.Authenticate(t.Context(), s.tokens[p], time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return policy.Principal{Person: who}
	}
	asked, err := s.Directory.Ask(t.Context(), person("ada"), id, policy.Export, "", "for counsel", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"rita", "otto"} {
		if _, err := s.Directory.Approve(t.Context(), person(p), asked.ID, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	return asked.ID
}

// TestExcerpt: who gets no bundle for readers of a role first; then what each is given, and what it proves to them.
func TestExcerpt(t *testing.T) {
	s := serveHouse(t, t.TempDir(), "")
	s.populate(t)
	id := s.review(t)
	var b bytes.Buffer
	for who, want := range map[string]proofhouse.Kind{"pat": proofhouse.NotFound, "eve": proofhouse.NotFound, "ada": proofhouse.NotFound} {
		if err := s.as(who).Bundle(t.Context(), id, proofhouse.Developer, "request-none", &b); proofhouse.KindOf(err) != want {
			t.Errorf("an excerpt for %s, which nobody approved: %v", who, err)
		}
	}
	request := s.exportable(t, id)
	if err := s.as("ada").Bundle(t.Context(), id, "press", request, &b); proofhouse.KindOf(err) != proofhouse.Invalid {
		t.Errorf("an excerpt for a role that there is not: %v", err)
	}
	if err := s.as("rita").Bundle(t.Context(), id, proofhouse.Developer, request, &b); err == nil {
		t.Error("another's approval gave an excerpt")
	}
	if err := s.as("ada").Bundle(t.Context(), id, proofhouse.Developer, request, &b); err != nil {
		t.Fatal(err)
	}
	for _, reader := range []proofhouse.Role{"", proofhouse.Auditor} {
		if err := s.as("ada").Bundle(t.Context(), id, reader, request, &bytes.Buffer{}); proofhouse.KindOf(err) != proofhouse.Conflict {
			t.Errorf("one approval gave what is for %q as well: %v", reader, err)
		}
	}
	file := filepath.Join(t.TempDir(), "excerpt")
	verify := func(text []byte) (BundleProof, error) {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return VerifyBundle(t.Context(), file, BundleTrust{LogKey: s.LogKey(), Pins: []string{"lab=" + s.keys["ada"].PublicKey().ID()}})
	}
	p, err := verify(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if d := p.Case.Determinations; len(d) != 1 || !d[0].Follows || d[0].Dissent != -1 || len(p.Case.Wrong) != 0 || len(p.Case.Adoptions) != 1 || p.Case.For != proofhouse.Developer ||
		len(p.Case.Withheld) != 4 || p.Log.Withheld != 4 || !p.Case.Signers[0].Pinned {
		t.Errorf("the excerpt proves %+v", p)
	}
	altered(t, file)
	canaries := []string{"canary reason", "threshold_millionths", "canary for the authority", "canary for the developer", "canary for the partner", "canary for the public", "canary scope"}
	for role, reads := range map[proofhouse.Role][]int{
		proofhouse.Developer: {3, 4, 5, 6}, proofhouse.Registrar: {0, 1, 2, 4, 5, 6}, proofhouse.Authority: {0, 2, 4, 5, 6}, proofhouse.Evaluator: {2, 5, 6}, proofhouse.Consultee: {0, 2, 5, 6},
		proofhouse.SecurityOfficer: {5, 6}, proofhouse.Partner: {4, 5}, proofhouse.Coordinator: {4, 5, 6}, proofhouse.Tester: {5, 6}, proofhouse.Auditor: {0, 5, 6}, proofhouse.Adopter: {4, 5, 6},
	} {
		b.Reset()
		if err := s.Excerpt(t.Context(), id, role, &b); err != nil {
			t.Fatal(err)
		}
		// What stands in a bundle in base64 is an excerpt's JSON, or a statement's.
		all := b.String()
		read, err := ledger.ReadBundle(t.Context(), bytes.NewReader(b.Bytes()), ledger.VerifyOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range read.Attachments {
			all += string(a.Data)
		}
		for _, st := range read.Statements {
			all += string(st.Opened.Predicate)
		}
		for i, canary := range canaries {
			if got := strings.Contains(all, canary); got != slices.Contains(reads, i) {
				t.Errorf("the excerpt for a %s holds %q: %v", role, canary, got)
			}
		}
		if _, err := verify(b.Bytes()); err != nil {
			t.Errorf("the excerpt for a %s: %v", role, err)
		}
	}
	s.forgedExcerpts(t, id)
}

// forgedExcerpts has the house itself write excerpts that are not what they say.
func (s *served) forgedExcerpts(t *testing.T, id proofhouse.CaseID) {
	t.Helper()
	c, err := s.Registry.Store.Case(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	var records []docket.Record
	var entries []ledger.LoggedEntry
	var list [][32]byte
	for e, err := range s.entries(t.Context(), id, c.Version) {
		if err != nil {
			t.Fatal(err)
		}
		r, err := docket.ParseRecord(e.Body)
		if err != nil {
			t.Fatal(err)
		}
		records, entries, list = append(records, r), append(entries, e), append(list, e.Commitment())
	}
	honest, err := c.ExcerptFor(proofhouse.Developer, records, nil)
	if err != nil {
		t.Fatal(err)
	}
	honest.Entries = ledger.ListDigest(string(id), list)
	withheld := slices.IndexFunc(records, func(r docket.Record) bool { return !docket.Opens(proofhouse.Developer, r.Event.Act) })
	forged := honest
	forged.Determinations = slices.Clone(honest.Determinations)
	forged.Determinations[0].Outcome = docket.NotCovered
	elsewhere := honest
	elsewhere.Case = "case-other"
	fewer, more, another := honest, honest, honest
	fewer.Events--
	more.Events++
	another.Entries = ledger.ListDigest(string(id), append(slices.Clone(list[1:]), list[0]))
	for name, f := range map[string]struct {
		excerpt docket.Excerpt
		stated  docket.Excerpt
		entries []ledger.LoggedEntry
		reader  string
		ok      bool
	}{
		"honest":             {honest, honest, entries, "developer", true},
		"an entry left out":  {honest, honest, entries[:len(entries)-1], "developer", false},
		"fewer events":       {fewer, fewer, entries[:len(entries)-1], "developer", false},
		"another list":       {another, another, entries, "developer", false},
		"more events":        {more, more, entries, "developer", false},
		"a forged outcome":   {forged, forged, entries, "developer", false},
		"not what is stated": {honest, forged, entries, "developer", false},
		"another case":       {elsewhere, elsewhere, entries, "developer", false},
		"for another reader": {honest, honest, entries, "partner", false},
		"one in another's stead": {honest, honest, func() []ledger.LoggedEntry {
			l := slices.Clone(entries)
			l[withheld].Body, l[withheld].Salt, l[withheld].Index = entries[0].Body, entries[0].Salt, entries[0].Index
			return l
		}(), "developer", false},
	} {
		raw, err := json.Marshal(f.excerpt)
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(f.stated)
		if err != nil {
			t.Fatal(err)
		}
		envelope, err := ledger.Seal(t.Context(), ledger.Statement{Subject: excerptSubject(f.excerpt), Digest: proofhouse.DigestOf(text), PredicateType: excerptType, Predicate: map[string]any{}}, s.key)
		if err != nil {
			t.Fatal(err)
		}
		statements, err := s.decisions(t.Context(), docket.Case{ID: id, Determinations: f.excerpt.Determinations, Adoptions: f.excerpt.Adoptions})
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := ledger.WriteBundle(t.Context(), &b, s.log, s.key, ledger.BundleSource{
			Stream: string(id), AtLeast: 1, Signers: []*ledger.PublicKey{s.key.PublicKey()}, For: f.reader,
			Entries: func(yield func(ledger.LoggedEntry, error) bool) {
				for _, e := range f.entries {
					if !yield(e, nil) {
						return
					}
				}
			},
			Withhold:   func(e ledger.Entry) bool { return !docket.Opens(proofhouse.Developer, records[e.Seq-1].Event.Act) },
			Statements: append(statements, ledger.NamedStatement{Name: "excerpt", Envelope: envelope}),
			Attachments: []ledger.Attachment{
				{Name: excerptAttachment, Media: "application/json", Data: raw}, {Name: rulesAttachment, Media: "application/toml", Data: c.Rules.Text},
			},
		}); err != nil {
			if name == "one in another's stead" && proofhouse.KindOf(err) == proofhouse.Integrity {
				continue // its commitment is of another seq, and the log has none such
			}
			t.Fatalf("%s: %v", name, err)
		}
		file := filepath.Join(t.TempDir(), "forged")
		if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := VerifyBundle(t.Context(), file, BundleTrust{}); (err == nil) != f.ok || err != nil && proofhouse.KindOf(err) != proofhouse.Integrity {
			t.Errorf("%s: %v", name, err)
		}
	}
}
