package app

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/docket"
	"proofhouse/internal/ledger"
	"proofhouse/internal/policy"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/store/storetest"
	"proofhouse/internal/vault"
)

// approved is a request that two others approved.
func (s *served) approved(t *testing.T, who string, id proofhouse.CaseID, what policy.Action, on proofhouse.Digest, by ...string) string {
	t.Helper()
	r, err := s.as(who).Ask(t.Context(), id, wire.AskTwo{What: what, On: string(on), Reason: "by the terms"})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range by {
		if _, err := s.as(p).Approve(t.Context(), r.ID); err != nil {
			t.Fatal(err)
		}
	}
	return r.ID
}

// bundleOf is the case's bundle, verified.
func (s *served) bundleOf(t *testing.T, id proofhouse.CaseID) (string, BundleProof, error) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "bundle")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := s.Bundle(t.Context(), id, f); err != nil {
		return name, BundleProof{}, err
	}
	p, err := VerifyBundle(t.Context(), name, BundleTrust{LogKey: s.LogKey()})
	return name, p, err
}

// TestDestroyArtifact destroys one of two artifacts: refusals first, then what is left, the certificate, and the bundle.
func TestDestroyArtifact(t *testing.T) {
	data := t.TempDir()
	s := serveHouse(t, data, "")
	s.populate(t)
	id := s.sealable(t)
	a, kept := s.seal(t, "ada", id, aboutLog, "canary-one"), s.seal(t, "ada", id, aboutLog, "canary-two")
	s.clear(t, string(id), "rita@institute", "ada@lab", "ann@institute")
	destroy := func(who string, on proofhouse.Digest, request string) error {
		_, err := s.as(who).Destroy(t.Context(), id, on, request, "")
		return err
	}
	if err := destroy("rita", a.ID, "request-none"); proofhouse.KindOf(err) != proofhouse.NotFound {
		t.Errorf("by no request: %v", err)
	}
	request := s.approved(t, "rita", id, policy.Destroy, a.ID)
	if err := destroy("rita", a.ID, request); proofhouse.KindOf(err) != proofhouse.Refused {
		t.Errorf("that nobody approved: %v", err)
	}
	for _, p := range []string{"otto", "ann"} {
		if _, err := s.as(p).Approve(t.Context(), request); err != nil {
			t.Fatal(err)
		}
	}
	if err := destroy("rita", a.ID, request); proofhouse.KindOf(err) != proofhouse.Refused || !strings.Contains(err.Error(), "until the review is over") {
		t.Errorf("while the review goes on: %v", err)
	}
	s.do(t, "ada", id, docket.Withdraw{})
	s.do(t, "ann", id, docket.PlaceHold{ID: "court", Artifacts: []proofhouse.Digest{a.ID}, Reason: "canary-reason"})
	if err := destroy("rita", a.ID, request); proofhouse.KindOf(err) != proofhouse.Refused || !strings.Contains(err.Error(), "hold") {
		t.Errorf("while it is held: %v", err)
	}
	if l, err := s.as("rita").Artifacts(t.Context(), id); err != nil || l.Artifacts[0].Standing != vault.MustKeep || len(l.Artifacts[0].Holds) != 1 || l.Artifacts[1].Standing != vault.MayDestroy {
		t.Errorf("%+v, %v", l, err)
	}
	s.do(t, "ann", id, docket.LiftHold{ID: "court", Reason: "it is over"})
	unseal := s.approved(t, "rita", id, policy.Unseal, a.ID, "otto", "ann")
	for who, w := range map[string]struct {
		on      proofhouse.Digest
		request string
	}{"eve": {a.ID, request}, "ada": {a.ID, request}, "pat": {a.ID, request}, "al": {a.ID, request}, "rita": {kept.ID, request}} {
		if err := destroy(who, w.on, w.request); err == nil {
			t.Errorf("destroyed by %s", who)
		}
	}
	if err := destroy("rita", a.ID, unseal); proofhouse.KindOf(err) != proofhouse.Refused {
		t.Errorf("by a request to unseal: %v", err)
	}
	if _, err := s.as("rita").DestroyAll(t.Context(), id, request, ""); err == nil {
		t.Error("a request for one artifact destroyed the case")
	}
	for _, x := range []docket.Artifact{a, kept} {
		if _, err := s.content(t, "ada", id, x.ID); err != nil {
			t.Errorf("after all the refusals: %v", err)
		}
	}
	d, err := s.as("rita").Destroy(t.Context(), id, a.ID, request, "")
	if err != nil || len(d.Statements) != 1 || d.Done.IsZero() || d.Agreed[0].Person != "otto" || d.Agreed[1].Person != "ann" {
		t.Fatalf("%+v, %v", d, err)
	}
	opened, err := ledger.Open(t.Context(), d.Statements[0], s.key.PublicKey())
	var c vault.Certificate
	if err == nil {
		err = json.Unmarshal(opened.Predicate, &c)
	}
	if err != nil || c.Count != 1 || c.Destroyed[0].ID != a.ID || c.Whole || bytes.Contains(opened.Predicate, []byte("canary")) || bytes.Contains(opened.Predicate, []byte(id)) {
		t.Errorf("the certificate is %s, %v", opened.Predicate, err)
	}
	if err := destroy("rita", a.ID, request); err == nil {
		t.Error("destroyed twice")
	}
	if got, err := s.content(t, "ada", id, a.ID); proofhouse.KindOf(err) != proofhouse.NotFound {
		t.Errorf("destroyed, and read: %q, %v", got, err)
	}
	if got, err := s.content(t, "ada", id, kept.ID); err != nil || got != "canary-two" {
		t.Errorf("the other one: %q, %v", got, err)
	}
	if l, err := s.as("rita").Artifacts(t.Context(), id); err != nil || l.Artifacts[0].Destroyed.IsZero() || !l.Artifacts[1].Destroyed.IsZero() {
		t.Errorf("%+v, %v", l, err)
	}
	for _, name := range sealedFiles(t, data) {
		if strings.Contains(name, a.ID.Hex()) {
			t.Errorf("%s is left", name)
		}
	}
	bundle, p, err := s.bundleOf(t, id)
	if err != nil || p.Case.Artifacts != 2 || len(p.Case.Destructions) != 1 || p.Case.Destructions[0].Done.IsZero() {
		t.Errorf("the bundle proves %+v, %v", p.Case, err)
	}
	altered(t, bundle)
	s.forgedCertificates(t, id, d)
	s.canaries(t, data, "", id)
}

// forgedCertificates has the house write bundles whose certificates are not those of the case.
func (s *served) forgedCertificates(t *testing.T, id proofhouse.CaseID, d docket.Destruction) {
	t.Helper()
	c, err := s.Registry.Store.Case(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	meter := []byte("[]")
	for what, change := range map[string]func([]ledger.NamedStatement) []ledger.NamedStatement{
		"as it is":                func(all []ledger.NamedStatement) []ledger.NamedStatement { return all },
		"without the certificate": func(all []ledger.NamedStatement) []ledger.NamedStatement { return all[1:] },
		"with another": func(all []ledger.NamedStatement) []ledger.NamedStatement {
			other, err := SealDestruction(t.Context(), vault.Certificate{Order: vault.Order{At: d.At}}, s.key)
			if err != nil {
				t.Fatal(err)
			}
			return append(all, ledger.NamedStatement{Name: "more", Envelope: other})
		},
		"with the certificate unsigned": func(all []ledger.NamedStatement) []ledger.NamedStatement {
			other, err := SealDestruction(t.Context(), vault.Certificate{Order: vault.Order{At: d.At}}, nil)
			if err != nil {
				t.Fatal(err)
			}
			return append(all[1:], ledger.NamedStatement{Name: "destruction-1-1", Envelope: other})
		},
	} {
		statements, err := s.statements(t.Context(), c, meter)
		if err != nil || !strings.HasPrefix(statements[0].Name, "destruction") {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := ledger.WriteBundle(t.Context(), &b, s.log, s.key, ledger.BundleSource{
			Stream: string(id), AtLeast: 1, Entries: s.entries(t.Context(), id, c.Version), Signers: []*ledger.PublicKey{s.key.PublicKey()}, Statements: change(statements),
			Attachments: []ledger.Attachment{{Name: meterAttachment, Media: "application/json", Data: meter}, {Name: rulesAttachment, Media: "application/toml", Data: c.Rules.Text}},
		}); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "forged")
		if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := VerifyBundle(t.Context(), file, BundleTrust{}); (err == nil) != (what == "as it is") || err != nil && proofhouse.KindOf(err) != proofhouse.Integrity {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// copyOf copies a folder.
func copyOf(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	if err := filepath.WalkDir(to, func(path string, d fs.DirEntry, err error) error {
		mode := os.FileMode(0o600)
		if err == nil && d.IsDir() {
			mode = 0o700
		}
		return errors.Join(err, os.Chmod(path, mode))
	}); err != nil {
		t.Fatal(err)
	}
}

// TestDestroyCase destroys a case wholly, on both databases: lists show no more of it, no bundle is
// made, and a backup from before opens nothing of it, artifacts nor rows.
func TestDestroyCase(t *testing.T) {
	storetest.EachAddress(t, func(t *testing.T, database string) {
		data := t.TempDir()
		if strings.HasPrefix(database, "sqlite:") {
			database = ""
		}
		s := serveHouse(t, data, database)
		s.populate(t)
		id, other := s.sealable(t), s.sealable(t)
		a, kept := s.seal(t, "ada", id, aboutLog, "canary-one"), s.seal(t, "ada", other, aboutLog, "canary-two")
		s.do(t, "ada", id, docket.MakePart{Name: "more"})
		s.seal(t, "ada", id, wire.NewArtifact{Name: "x", Source: "x", Compartment: docket.Compartment(id, "more")}, "canary-three")
		s.do(t, "ada", id, docket.MakePart{Name: "empty"})
		if _, p, err := s.bundleOf(t, id); err != nil || p.Case.Artifacts != 2 {
			t.Fatal(p.Case, err)
		}
		backup := filepath.Join(t.TempDir(), "backup")
		if b, err := s.app.Backup(t.Context(), backup, database, time.Now()); err != nil || b.Bodies != 3 {
			t.Fatalf("%+v, %v", b, err)
		}
		request := s.approved(t, "rita", id, policy.Destroy, "", "otto", "ann")
		if _, err := s.as("rita").DestroyAll(t.Context(), id, request, ""); proofhouse.KindOf(err) != proofhouse.Refused {
			t.Errorf("while the review goes on: %v", err)
		}
		s.do(t, "ada", id, docket.Withdraw{})
		s.do(t, "otto", id, docket.PlaceHold{ID: "court", Reason: "a court asks"})
		if _, err := s.as("rita").DestroyAll(t.Context(), id, request, ""); proofhouse.KindOf(err) != proofhouse.Refused {
			t.Errorf("while it is held: %v", err)
		}
		s.do(t, "otto", id, docket.LiftHold{ID: "court", Reason: "it is over"})
		for _, who := range []string{"ada", "eve", "pat", "otto"} {
			if _, err := s.as(who).DestroyAll(t.Context(), id, request, ""); err == nil {
				t.Errorf("%s destroyed it", who)
			}
		}
		d, err := s.as("rita").DestroyAll(t.Context(), id, request, "")
		if err != nil || !d.Whole || len(d.Artifacts) != 2 || len(d.Statements) != 2 {
			t.Fatalf("%+v, %v", d, err)
		}
		s.gone(t, id, a.ID)
		if got, err := s.content(t, "ada", other, kept.ID); err != nil || got != "canary-two" {
			t.Errorf("the other case: %q, %v", got, err)
		}
		for who, n := range map[string]int{"ada": 2, "rita": 2, "pat": 2, "carl": 0} {
			l, err := s.as(who).List(t.Context(), wire.Query{Limit: 1})
			found := l.Cases
			for l.Next != "" && err == nil {
				l, err = s.as(who).List(t.Context(), wire.Query{Limit: 1, After: l.Next})
				found = append(found, l.Cases...)
			}
			if err != nil || len(found) != n {
				t.Errorf("%s lists %+v, %v", who, found, err)
			}
			for _, c := range found {
				if c.ID == id && (!c.Destroyed || c.Codename != "" || c.Developer != "" || len(c.Members) != 0) {
					t.Errorf("%s lists %+v", who, c)
				}
			}
		}
		// The house's own stream has the certificates.
		entries, err := s.as("ann").Register(t.Context(), 0)
		text, _ := json.Marshal(entries)
		first, _ := json.Marshal(d.Statements[0])
		if err != nil || !bytes.Contains(text, first) || !bytes.Contains(text, []byte("destroyed a case")) {
			t.Errorf("the register has %s, %v", text, err)
		}
		// The keys as they are now, and the backup from before.
		old := t.TempDir()
		copyOf(t, filepath.Join(data, "keys"), filepath.Join(old, "keys"))
		r, err := Open(t.Context(), Config{Data: old, HouseKey: filepath.Join(old, "keys", "house.key")})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if got, err := r.Restore(t.Context(), RestoreRequest{Folder: backup, Log: filepath.Join(data, "log")}, time.Now()); proofhouse.KindOf(err) != proofhouse.Failed && err != nil || got.Shredded != 1 || got.Cases != 1 || got.Bodies != 1 || got.BodiesLeft != 2 {
			t.Fatalf("restored %+v, %v", got, err)
		}
		back := serveHouse(t, old, "")
		back.tokens, back.keys = s.tokens, s.keys
		back.gone(t, id, a.ID)
		if got, err := back.content(t, "ada", other, kept.ID); err != nil || got != "canary-two" {
			t.Errorf("the other case, put back: %q, %v", got, err)
		}
		if _, p, err := back.bundleOf(t, other); err != nil || p.Case.Artifacts != 1 {
			t.Errorf("the other case's bundle, put back: %+v, %v", p.Case, err)
		}
	})
}

// gone tries all that a case that was destroyed must not give.
func (s *served) gone(t *testing.T, id proofhouse.CaseID, artifact proofhouse.Digest) {
	t.Helper()
	for _, who := range []string{"ada", "rita", "ann", "al"} {
		if _, err := s.as(who).Case(t.Context(), id); proofhouse.KindOf(err) != proofhouse.NotFound || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s sees the case: %v", who, err)
		}
		if _, err := s.as(who).Events(t.Context(), id, 0); proofhouse.KindOf(err) != proofhouse.NotFound {
			t.Errorf("%s reads its events: %v", who, err)
		}
		if got, err := s.content(t, who, id, artifact); err == nil {
			t.Errorf("%s reads %q", who, got)
		}
	}
	if _, _, err := s.bundleOf(t, id); err == nil {
		t.Error("there is a bundle")
	}
	if _, err := s.docket.Entries(t.Context(), id, 0, 10); proofhouse.KindOf(err) != proofhouse.NotFound {
		t.Errorf("its rows open: %v", err)
	}
	for _, compartment := range []string{string(id), docket.Compartment(id, "more")} {
		if _, err := s.artifacts.Unwrap(compartment, artifact); err == nil {
			t.Errorf("a head in %s opens", compartment)
		}
		if _, err := os.Stat(s.app.Config.dir("keys", "artifact", compartment, "key.age")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the key of %s: %v", compartment, err)
		}
	}
	if shredded, err := s.House.keys.Shredded(string(id)); err != nil || !shredded {
		t.Errorf("its key was shredded: %v, %v", shredded, err)
	}
	all, err := s.docket.All(t.Context())
	for _, c := range all {
		if c.ID == id && c.Codename != "" {
			t.Errorf("its summary opens: %+v", c)
		}
	}
	if err != nil {
		t.Error(err)
	}
}

// TestDestructionIsCarriedOn stops the house between the effects of a
// destruction; the next one carries it on, and does nothing twice.
func TestDestructionIsCarriedOn(t *testing.T) {
	data := t.TempDir()
	s := serveHouse(t, data, "")
	s.populate(t)
	id := s.sealable(t)
	a, b := s.seal(t, "ada", id, aboutLog, "one"), s.seal(t, "ada", id, aboutLog, "two")
	s.do(t, "ada", id, docket.Withdraw{})
	rita := proofhouse.Actor{Organisation: "institute", Person: "rita", Role: proofhouse.Registrar}
	words := [2]docket.Word{{Organisation: "institute", Person: "otto", At: time.Now().Add(-time.Minute)}, {Organisation: "institute", Person: "ann", At: time.Now().Add(-time.Minute)}}
	event := func(a docket.Act) docket.Case {
		c, _, err := s.Registry.Do(t.Context(), id, docket.Event{By: rita, Act: a}, 0, docket.Request{}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	// Only ordered.
	event(docket.Order{Artifacts: []proofhouse.Digest{a.ID}, Request: "request-1", Agreed: words})
	// Ordered, and destroyed in the vault, and not recorded.
	c := event(docket.Order{Artifacts: []proofhouse.Digest{b.ID}, Request: "request-2", Agreed: words})
	if _, err := s.destroy(t.Context(), c, c.Destructions[1]); err != nil {
		t.Fatal(err)
	}
	if err := s.sweep(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	c, err := s.Registry.Store.Case(t.Context(), id)
	if err != nil || len(c.Pending()) != 0 || len(c.Destructions[0].Statements) != 1 || len(c.Destructions[1].Statements) != 1 {
		t.Fatalf("%+v, %v", c.Destructions, err)
	}
	certificates, err := s.artifacts.Certificates(string(id))
	if err != nil || len(certificates) != 2 {
		t.Errorf("%+v, %v", certificates, err)
	}
	if _, _, err := s.bundleOf(t, id); err != nil {
		t.Error(err)
	}
	if err := s.sweep(t.Context(), time.Now()); err != nil {
		t.Error(err)
	}
	if again, err := s.Registry.Store.Case(t.Context(), id); err != nil || again.Version != c.Version {
		t.Errorf("a sweep with nothing to do made events: %d and %d, %v", c.Version, again.Version, err)
	}
	// The whole case, ordered and recorded, and its key not shredded.
	c = event(docket.Order{Whole: true, Request: "request-3", Agreed: words})
	statements, err := s.destroy(t.Context(), c, c.Destructions[2])
	if err != nil {
		t.Fatal(err)
	}
	event(docket.Destroyed{Order: 3, Statements: statements})
	for range 2 {
		if err := s.sweep(t.Context(), time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	s.gone(t, id, a.ID)
}

// TestOrdererLeft: an order whose orderer has left the case before it was carried out is carried out once, and
// the sweep has nothing to say of it afterwards.
func TestOrdererLeft(t *testing.T) {
	s := serveHouse(t, t.TempDir(), "")
	s.populate(t)
	id := s.sealable(t)
	a := s.seal(t, "ada", id, aboutLog, "one")
	s.do(t, "ada", id, docket.Withdraw{})
	ann := proofhouse.Actor{Organisation: "institute", Person: "ann", Role: proofhouse.SecurityOfficer}
	order := docket.Order{Artifacts: []proofhouse.Digest{a.ID}, Request: "request-1"}
	for i, p := range []proofhouse.PersonID{"otto", "rita"} {
		order.Agreed[i] = docket.Word{Organisation: "institute", Person: p, At: time.Now().Add(-time.Minute)}
	}
	if _, _, err := s.Registry.Do(t.Context(), id, docket.Event{By: ann, Act: order}, 0, docket.Request{}, time.Now()); err != nil {
		t.Fatal(err)
	}
	s.do(t, "rita", id, docket.Leave{Member: ann})
	for range 2 {
		if err := s.sweep(t.Context(), time.Now()); err != nil {
			t.Error(err)
		}
	}
	c, err := s.Registry.Store.Case(t.Context(), id)
	if err != nil || len(c.Pending()) != 0 || c.Destructions[0].By != ann || c.Summary().Ordered {
		t.Errorf("%+v, %v", c.Destructions, err)
	}
	if got, err := s.content(t, "ada", id, a.ID); proofhouse.KindOf(err) != proofhouse.NotFound {
		t.Errorf("destroyed, and read: %q, %v", got, err)
	}
	last, err := s.Registry.Store.Entries(t.Context(), id, c.Version-1, 1)
	if err != nil || len(last) != 1 || last[0].Record.Event.By.Person != "rita" {
		t.Errorf("recorded as %+v, %v", last, err)
	}
	if _, p, err := s.bundleOf(t, id); err != nil || len(p.Case.Destructions) != 1 {
		t.Error(p.Case, err)
	}
}

// TestExcerptOfArtifacts: a bundle for readers of any role names no artifact, since clearances are persons', and verifies.
func TestExcerptOfArtifacts(t *testing.T) {
	s := serveHouse(t, t.TempDir(), "")
	s.populate(t)
	id := s.sealable(t)
	a := s.seal(t, "ada", id, aboutLog, "canary-one")
	s.clear(t, string(id), "rita@institute")
	s.do(t, "ada", id, docket.Withdraw{})
	request := s.approved(t, "rita", id, policy.Destroy, a.ID, "otto", "ann")
	if _, err := s.as("rita").Destroy(t.Context(), id, a.ID, request, ""); err != nil {
		t.Fatal(err)
	}
	for _, role := range proofhouse.Roles {
		var b bytes.Buffer
		if err := s.Excerpt(t.Context(), id, role, &b); err != nil {
			t.Errorf("%s: %v", role, err)
			continue
		}
		if bytes.Contains(b.Bytes(), []byte("canary-name")) || bytes.Contains(b.Bytes(), []byte("canary-source")) {
			t.Errorf("%s reads the artifact's name", role)
		}
		file := filepath.Join(t.TempDir(), "excerpt")
		if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := VerifyBundle(t.Context(), file, BundleTrust{}); err != nil {
			t.Errorf("%s verifies: %v", role, err)
		}
	}
}
