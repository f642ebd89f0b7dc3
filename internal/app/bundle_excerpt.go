package app

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"proofhouse/internal/docket"
	"proofhouse/internal/ledger"
	"proofhouse/internal/ledger/posix"
	"proofhouse/internal/policy"
	"proofhouse/internal/proofhouse"
)

// What a bundle for a reader who may see less has besides: what the house says
// in the place of what it withholds, and the type of its statement of that.
const (
	excerptAttachment = "excerpt.json"
	excerptType       = "urn:proofhouse:predicate:excerpt:v1"
)

// Excerpt writes the case's bundle for readers in a role: what they may not read
// is withheld, and stands there by its commitment and its place in the log
// alone. It waits until the public log has every entry of the case.
func (h *House) Excerpt(ctx context.Context, id proofhouse.CaseID, role proofhouse.Role, w io.Writer) error {
	if err := role.Validate(); err != nil {
		return err
	}
	c, err := h.docket.Case(ctx, id)
	if err != nil {
		return err
	}
	size, err := h.logged(ctx, c)
	if err != nil {
		return err
	}
	var records []docket.Record
	var commitments [][32]byte
	opened := map[int64]bool{}
	for e, err := range h.entries(ctx, id, c.Version) {
		if err != nil {
			return err
		}
		r, err := docket.ParseRecord(e.Body)
		if err != nil {
			return err
		}
		records, commitments = append(records, r), append(commitments, e.Commitment())
		opened[e.Seq] = docket.Opens(role, r.Event.Act)
	}
	excerpt, err := c.ExcerptFor(role, records, h.tiers(c, role))
	if err != nil {
		return err
	}
	excerpt.Entries = ledger.ListDigest(string(id), commitments)
	raw, err := json.Marshal(excerpt)
	if err != nil {
		return err
	}
	seen := docket.Case{ID: id, Determinations: excerpt.Determinations, Adoptions: excerpt.Adoptions}
	statements, err := h.decisions(ctx, seen)
	if err != nil {
		return err
	}
	envelope, err := ledger.Seal(ctx, ledger.Statement{
		Subject: excerptSubject(excerpt), Digest: proofhouse.DigestOf(raw), PredicateType: excerptType,
		Predicate: map[string]any{"case": id, "for": role, "events": excerpt.Events, "entries": excerpt.Entries},
	}, h.key)
	if err != nil {
		return err
	}
	log, err := h.shown(ctx, posix.InBundle, string(id), size)
	if err != nil {
		return err
	}
	older, err := h.older(ctx, c, log.cp)
	if err != nil {
		return err
	}
	return ledger.WriteBundle(ctx, w, log, h.key, ledger.BundleSource{
		Stream: string(id), Entries: h.entries(ctx, id, c.Version), Signers: []*ledger.PublicKey{h.key.PublicKey()},
		For: readerWord(role), Withhold: func(e ledger.Entry) bool { return !opened[e.Seq] }, Older: older,
		Statements: append(statements, ledger.NamedStatement{Name: "excerpt", Envelope: envelope}),
		Attachments: []ledger.Attachment{
			{Name: excerptAttachment, Media: "application/json", Data: raw},
			{Name: rulesAttachment, Media: "application/toml", Data: c.Rules.Text},
		},
	})
}

// readerWord is how a bundle names a reader: a word without spaces.
func readerWord(r proofhouse.Role) string { return strings.ReplaceAll(string(r), " ", "-") }

func excerptSubject(p docket.Excerpt) string {
	return fmt.Sprintf("%s/excerpt/%s", p.Case, readerWord(p.For))
}

// tiers are those of the report that members in a role may read, as policy has it.
func (h *House) tiers(c docket.Case, role proofhouse.Role) []docket.Tier {
	reader := policy.Principal{Person: policy.Person{Organisation: "reader", ID: "reader"}, Role: role}
	facts := c.Facts()
	facts.Members = []proofhouse.Actor{reader.Actor()}
	var all []docket.Tier
	for _, t := range docket.Tiers {
		if h.guard.Decide(reader, policy.ReadReport, policy.Report{Case: facts, Tier: string(t)}).Allow {
			all = append(all, t)
		}
	}
	return all
}

// verifyExcerpt checks a bundle that was made for a reader who may see less.
func verifyExcerpt(b ledger.Bundle, rules *docket.Profile, pins map[proofhouse.OrganisationID][]string) (docket.Proof, error) {
	wrong := func(err error, format string, args ...any) (docket.Proof, error) {
		return docket.Proof{}, proofhouse.Errorf(proofhouse.Integrity, err, format, args...)
	}
	raw := b.Attachments[excerptAttachment].Data
	var excerpt docket.Excerpt
	if err := json.Unmarshal(raw, &excerpt); err != nil {
		return wrong(err, "the bundle does not say what it withholds")
	}
	stated := slices.ContainsFunc(b.Statements, func(s ledger.ReadStatement) bool {
		return s.Opened.PredicateType == excerptType && s.Opened.Subject == excerptSubject(excerpt) && s.Opened.Digest == proofhouse.DigestOf(raw) && s.Opened.Signed
	})
	switch {
	case string(excerpt.Case) != b.Report.Stream || readerWord(excerpt.For) != b.Report.For:
		return wrong(nil, "the bundle is of another case, or for another reader, than it says")
	case !stated:
		return wrong(nil, "the house's statement of what the bundle withholds is missing, or is of something else")
	case int64(excerpt.Events) != b.Report.Entries || excerpt.Entries != ledger.ListDigest(b.Report.Stream, b.Commitments):
		return wrong(nil, "the entries are not those that the house lists: one was left out, or one stands in another's place")
	}
	var opened []docket.Record
	for _, e := range b.Entries {
		r, err := docket.ParseRecord(e.Body)
		if err != nil {
			return docket.Proof{}, err
		}
		if int64(r.Seq) != e.Seq {
			return wrong(nil, "entry %d is of another event", e.Seq)
		}
		opened = append(opened, r)
	}
	return docket.VerifyExcerpt(rules, opened, excerpt, pins)
}
