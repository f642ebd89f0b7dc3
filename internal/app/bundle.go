package app

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"strings"
	"time"

	"proofhouse/internal/docket"
	"proofhouse/internal/ledger"
	"proofhouse/internal/ledger/posix"
	"proofhouse/internal/policy"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/vault"
)

// The attachments of a case's bundle, and the types of its statements.
const (
	rulesAttachment   = "rules.toml"
	meterAttachment   = "meter.json"
	determinationType = "urn:proofhouse:predicate:determination:v1"
	adoptionType      = "urn:proofhouse:predicate:deployment-decision:v1"
	meterType         = "urn:proofhouse:predicate:meter:v1"
)

// Export implements api.Record: the case's bundle, for whoever has the
// approval of two others; with a reader, the one for readers in that role. The
// approval is used before anything is written; who lost it on the way may fetch it again (Directory.Fetch).
func (h *House) Export(ctx context.Context, who policy.Principal, id proofhouse.CaseID, reader proofhouse.Role, request string, now time.Time) (func(context.Context, io.Writer) error, error) {
	if err := h.Directory.Fetch(ctx, who, request, id, reader, now); err != nil {
		return nil, err
	}
	if reader != "" {
		return func(ctx context.Context, w io.Writer) error { return h.Excerpt(ctx, id, reader, w) }, nil
	}
	return func(ctx context.Context, w io.Writer) error { return h.Bundle(ctx, id, w) }, nil
}

// Bundle writes the case's bundle: all that it takes to verify it offline. It
// waits until the public log has every entry of the case.
func (h *House) Bundle(ctx context.Context, id proofhouse.CaseID, w io.Writer) error {
	c, err := h.docket.Case(ctx, id)
	if err != nil {
		return err
	}
	size, err := h.logged(ctx, c)
	if err != nil {
		return err
	}
	if err := h.meterMark(ctx); err != nil {
		return err
	}
	meter, err := h.app.metered(ctx, id)
	if err != nil {
		return err
	}
	src := ledger.BundleSource{
		Stream: string(id), Entries: h.entries(ctx, id, c.Version), Signers: []*ledger.PublicKey{h.key.PublicKey()},
		Attachments: []ledger.Attachment{{Name: rulesAttachment, Media: "application/toml", Data: c.Rules.Text}},
	}
	var raw []byte
	if meter != nil { // else nobody can say, and the bundle says nothing
		if raw, err = json.Marshal(meter); err != nil {
			return err
		}
		src.Attachments = append(src.Attachments, ledger.Attachment{Name: meterAttachment, Media: "application/json", Data: raw})
	}
	log, err := h.shown(ctx, posix.InBundle, src.Stream, size)
	if err != nil {
		return err
	}
	if src.Older, err = h.older(ctx, c, log.cp); err != nil {
		return err
	}
	if src.Statements, err = h.statements(ctx, c, raw); err != nil {
		return err
	}
	return ledger.WriteBundle(ctx, w, log, h.key, src)
}

// logged waits until every entry of c has its place in the log, and gives a
// size that covers them.
func (h *House) logged(ctx context.Context, c docket.Case) (size uint64, err error) {
	if err := h.patiently(ctx, func() (bool, error) {
		last, err := h.docket.Entries(ctx, c.ID, c.Version-1, 1)
		return len(last) == 1 && last[0].Index >= 0, err
	}); err != nil {
		return 0, err
	}
	return h.docket.Placed(ctx)
}

// patiently waits until the log has what there looks for.
func (h *House) patiently(ctx context.Context, there func() (bool, error)) error {
	for patience := time.Now().Add(logPatience); ; {
		if is, err := there(); is || err != nil {
			return err
		}
		if time.Now().After(patience) {
			return proofhouse.Errorf(proofhouse.Unavailable, nil, "the public log has not taken the last events yet: try again in a moment")
		}
		h.sequencer.Wake()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// logPatience is how long a bundle waits for the log.
const logPatience = 5 * time.Second

// entries are those of a case up to a version.
func (h *House) entries(ctx context.Context, id proofhouse.CaseID, version int) iter.Seq2[ledger.LoggedEntry, error] {
	return func(yield func(ledger.LoggedEntry, error) bool) {
		for after := 0; after < version; {
			page, err := h.docket.Entries(ctx, id, after, min(500, version-after))
			if err == nil && len(page) == 0 {
				err = proofhouse.Errorf(proofhouse.Integrity, nil, "events of the case are missing")
			}
			if err != nil {
				yield(ledger.LoggedEntry{}, err)
				return
			}
			for _, e := range page {
				if !yield(ledger.LoggedEntry{Entry: e.Ledger, Index: uint64(e.Index)}, nil) { //nolint:gosec // it has a place
					return
				}
			}
			after += len(page)
		}
	}
}

// statements are the house's word on each determination, on each department's
// decision about its own use, and on what the gate counted, unless that is nil, in the field's format.
func (h *House) statements(ctx context.Context, c docket.Case, meter []byte) ([]ledger.NamedStatement, error) {
	all, err := h.decisions(ctx, c)
	if err != nil {
		return nil, err
	}
	for _, d := range c.Destructions {
		for i, envelope := range d.Statements {
			all = append(all, ledger.NamedStatement{Name: fmt.Sprintf("destruction-%d-%d", d.Number, i+1), Envelope: envelope})
		}
	}
	if meter == nil {
		return all, nil
	}
	envelope, err := ledger.Seal(ctx, ledger.Statement{
		Subject: string(c.ID) + "/meter", Digest: proofhouse.DigestOf(meter), PredicateType: meterType,
		Predicate: map[string]any{"case": c.ID, "events": c.Version, "counted_at": c.Changed},
	}, h.key)
	return append(all, ledger.NamedStatement{Name: "meter", Envelope: envelope}), err
}

// decisions are the house's word on what was signed in the case.
func (h *House) decisions(ctx context.Context, c docket.Case) ([]ledger.NamedStatement, error) {
	var all []ledger.NamedStatement
	add := func(name string, s ledger.Statement) error {
		envelope, err := ledger.Seal(ctx, s, h.key)
		all = append(all, ledger.NamedStatement{Name: name, Envelope: envelope})
		return err
	}
	for _, d := range c.Determinations {
		if err := add(fmt.Sprintf("determination-%d", d.Version), ledger.Statement{
			Subject: fmt.Sprintf("%s/determination/%d", c.ID, d.Version), Digest: d.Digest(), PredicateType: determinationType, Predicate: d,
		}); err != nil {
			return nil, err
		}
	}
	for i, a := range c.Adoptions {
		text, err := json.Marshal(a)
		if err != nil {
			return nil, err
		}
		if err := add(fmt.Sprintf("deployment-decision-%d", i+1), ledger.Statement{
			Subject: fmt.Sprintf("%s/deployment-decision/%s/%d", c.ID, a.By.Organisation, a.Version), Digest: proofhouse.DigestOf(text), PredicateType: adoptionType, Predicate: a,
		}); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// Receipt implements api.Record: it waits until the log has the event.
func (h *House) Receipt(ctx context.Context, c docket.Case, seq int) ([]byte, error) {
	if seq < 1 || seq > c.Version {
		return nil, proofhouse.Errorf(proofhouse.NotFound, nil, "the case has no event %d", seq)
	}
	if _, err := h.logged(ctx, c); err != nil {
		return nil, err
	}
	e, err := h.docket.Entries(ctx, c.ID, seq-1, 1)
	if err != nil {
		return nil, err
	}
	return h.receipt(ctx, e[0].Ledger, e[0].Index)
}

// receipt is the receipt for an entry that has a place in the log.
func (h *House) receipt(ctx context.Context, e ledger.Entry, index int64) ([]byte, error) {
	log, err := h.shown(ctx, posix.InReceipt, e.Stream, uint64(index)+1) //nolint:gosec // it has a place
	if err != nil {
		return nil, err
	}
	r, err := ledger.TakeReceipt(ctx, log, h.key, ledger.Waiting{Stream: e.Stream, Seq: e.Seq, Commitment: e.Commitment()}, uint64(index)) //nolint:gosec // it has a place
	if err != nil {
		return nil, err
	}
	return r.Encode()
}

// BundleTrust is what whoever verifies a bundle knows from elsewhere. The zero
// value trusts nothing.
type BundleTrust struct {
	LogKey    string   // the log's verifier key
	Witnesses []string // verifier keys
	Receipts  []string // files
	// Older are files with checkpoints of the log, kept from before or by others,
	// and LogCopy is a copy of its folder: the log must go on from them.
	Older   []string
	LogCopy string
	// Against are files of other bundles of the same log, of this case or of others.
	Against []string
	// Disclosures are files with tasks that somebody disclosed since.
	Disclosures []string
	// Pins are key ids by organisation, as ORGANISATION=KEYID.
	Pins []string
}

// BundleProof is what a bundle proves.
type BundleProof struct {
	Log  ledger.Report `json:"log"`
	Case docket.Proof  `json:"case"`
	// Against is of each bundle that this one was held to.
	Against []AgainstProof `json:"against,omitempty"`
	// Disclosed are the tasks that were shown to be among those committed to.
	Disclosed []DisclosedTask `json:"disclosed,omitempty"`
}

// VerifyBundle checks a bundle without this house's data. What breaks the announced rules is
// in Case.Wrong; a bundle that was changed is proofhouse.Integrity.
func VerifyBundle(ctx context.Context, file string, trust BundleTrust) (p BundleProof, err error) {
	opts, pins, err := trust.read()
	if err != nil {
		return p, err
	}
	f, err := os.Open(file)
	if err != nil {
		return p, proofhouse.Errorf(proofhouse.NotFound, err, "the bundle cannot be read")
	}
	defer f.Close()
	b, err := ledger.ReadBundle(ctx, f, opts)
	p.Log = b.Report
	if err != nil {
		return p, err
	}
	if p.Against, err = trust.against(ctx, b, opts); err != nil {
		return p, err
	}
	rules, err := docket.ParseProfile(b.Attachments[rulesAttachment].Data)
	if err != nil {
		return p, proofhouse.Errorf(proofhouse.Integrity, err, "the bundle's rules are not those of a case")
	}
	if b.Report.For != "" {
		p.Case, err = verifyExcerpt(b, rules, pins)
		if err == nil && len(trust.Disclosures) > 0 {
			err = proofhouse.Errorf(proofhouse.Invalid, nil, "a disclosed task is held to the criteria, which this bundle withholds: verify it with one that holds everything")
		}
		if err == nil {
			err = decided(b, p.Case)
		}
		return p, err
	}
	records := make([]docket.Record, len(b.Entries))
	for i, e := range b.Entries {
		if records[i], err = docket.ParseRecord(e.Body); err != nil {
			return p, err
		}
	}
	var metered []docket.Metered
	raw, ok := b.Attachments[meterAttachment]
	if ok {
		if err := json.Unmarshal(raw.Data, &metered); err != nil {
			return p, proofhouse.Errorf(proofhouse.Integrity, err, "the bundle's meter is not one")
		}
	}
	if p.Case, err = docket.Verify(rules, records, metered, pins); err != nil {
		return p, err
	}
	if p.Disclosed, err = disclosed(records, trust.Disclosures); err != nil {
		return p, err
	}
	return p, stated(b, p.Case)
}

// disclosed checks tasks that were disclosed against the commitments of the registered criteria.
func disclosed(records []docket.Record, files []string) ([]DisclosedTask, error) {
	var commitments []docket.SuiteCommitment
	for _, r := range records {
		if a, ok := r.Event.Act.(docket.Register); ok {
			commitments = append(commitments, a.Criteria.Suites...)
		}
	}
	var all []DisclosedTask
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, proofhouse.Errorf(proofhouse.NotFound, err, "a disclosed task cannot be read")
		}
		var d DisclosedTask
		if err := json.Unmarshal(b, &d); err != nil {
			return nil, proofhouse.Errorf(proofhouse.Invalid, err, "that is no disclosed task: `criteria disclose` makes one")
		}
		if !slices.Contains(commitments, d.Suite) {
			return nil, proofhouse.Errorf(proofhouse.Integrity, nil, "no criteria of the case commit to the suite of that task")
		}
		if err := d.Disclosure.Check(d.Suite); err != nil {
			return nil, err
		}
		all = append(all, d)
	}
	return all, nil
}

// stated holds the house's statements to the records.
func stated(b ledger.Bundle, p docket.Proof) error {
	meter, there := b.Attachments[meterAttachment]
	stated := func(s ledger.ReadStatement) bool { return s.Opened.PredicateType == meterType }
	fits := func(s ledger.ReadStatement) bool {
		return stated(s) && s.Opened.Digest == proofhouse.DigestOf(meter.Data)
	}
	if there && !slices.ContainsFunc(b.Statements, fits) || !there && slices.ContainsFunc(b.Statements, stated) {
		return proofhouse.Errorf(proofhouse.Integrity, nil, "a statement of the house's is missing, or is of another meter")
	}
	if err := destroyed(b, p); err != nil {
		return err
	}
	return decided(b, p)
}

// destroyed holds certificates of destruction to what was ordered.
func destroyed(b ledger.Bundle, p docket.Proof) error {
	certificates := map[string]vault.Certificate{} // by envelope
	for _, s := range b.Statements {
		if s.Opened.PredicateType != vault.CertificateType {
			continue
		}
		var c vault.Certificate
		if err := json.Unmarshal(s.Opened.Predicate, &c); err != nil || c.Subject() != s.Opened.Digest || !s.Opened.Signed {
			return proofhouse.Errorf(proofhouse.Integrity, err, "a certificate of destruction is not one")
		}
		certificates[string(s.Envelope)] = c
	}
	for _, d := range p.Destructions {
		if err := certified(d, certificates); err != nil {
			return err
		}
	}
	if len(certificates) > 0 {
		return proofhouse.Errorf(proofhouse.Integrity, nil, "the house certifies a destruction that nobody ordered")
	}
	return nil
}

// decided holds the house's statements of what was signed in the case to the records.
func decided(b ledger.Bundle, p docket.Proof) error {
	determinations, adoptions := 0, 0
	for _, s := range b.Statements {
		switch s.Opened.PredicateType {
		case determinationType:
			var d docket.Determination
			if err := json.Unmarshal(s.Opened.Predicate, &d); err != nil {
				return proofhouse.Errorf(proofhouse.Integrity, err, "a statement of a determination is not one")
			}
			if d.Version < 1 || d.Version > len(p.Determinations) || d.Outcome != p.Determinations[d.Version-1].Outcome || d.Proposed != p.Determinations[d.Version-1].Proposed {
				return proofhouse.Errorf(proofhouse.Integrity, nil, "the house states another determination than the case has")
			}
			determinations++
		case adoptionType:
			if !slices.ContainsFunc(p.Adoptions, func(a docket.Adoption) bool {
				text, err := json.Marshal(a)
				return err == nil && s.Opened.Digest == proofhouse.DigestOf(text) && s.Opened.Subject == fmt.Sprintf("%s/deployment-decision/%s/%d", p.Case, a.By.Organisation, a.Version)
			}) {
				return proofhouse.Errorf(proofhouse.Integrity, nil, "the house states another deployment decision than the case has")
			}
			adoptions++
		}
	}
	if determinations != len(p.Determinations) || adoptions != len(p.Adoptions) {
		return proofhouse.Errorf(proofhouse.Integrity, nil, "a statement of the house's is missing")
	}
	return nil
}

func (t BundleTrust) read() (opts ledger.VerifyOptions, pins map[proofhouse.OrganisationID][]string, err error) {
	if t.LogKey != "" {
		if opts.Log, err = ledger.ParseVerifierKey(t.LogKey); err != nil {
			return opts, nil, err
		}
	}
	for _, w := range t.Witnesses {
		k, err := ledger.ParseVerifierKey(w)
		if err != nil {
			return opts, nil, err
		}
		opts.Witnesses = append(opts.Witnesses, k)
	}
	for _, name := range t.Receipts {
		b, err := os.ReadFile(name)
		if err != nil {
			return opts, nil, proofhouse.Errorf(proofhouse.NotFound, err, "a receipt cannot be read")
		}
		opts.Receipts = append(opts.Receipts, b)
	}
	for _, name := range t.Older {
		b, err := os.ReadFile(name)
		if err != nil {
			return opts, nil, proofhouse.Errorf(proofhouse.NotFound, err, "an older checkpoint cannot be read")
		}
		opts.Older = append(opts.Older, b)
	}
	if t.LogCopy != "" {
		log, err := posix.OpenCopy(t.LogCopy)
		if err != nil {
			return opts, nil, err
		}
		opts.Extend = log.Extend
	}
	pins = map[proofhouse.OrganisationID][]string{}
	for _, p := range t.Pins {
		o, key, ok := strings.Cut(p, "=")
		if !ok {
			return opts, nil, proofhouse.Errorf(proofhouse.Invalid, nil, "a key that you know is given as ORGANISATION=KEYID")
		}
		if id := proofhouse.OrganisationID(o); !slices.Contains(pins[id], key) {
			pins[id] = append(pins[id], key)
		}
	}
	return opts, pins, nil
}

// certified holds what was ordered to be destroyed to the certificates, and takes those away that are of it.
func certified(d docket.ProvedDestruction, certificates map[string]vault.Certificate) error {
	gone := map[proofhouse.Digest]bool{}
	for _, envelope := range d.Statements {
		c, there := certificates[string(envelope)]
		if !there {
			return proofhouse.Errorf(proofhouse.Integrity, nil, "a certificate of destruction is missing, or is another one than the case has")
		}
		delete(certificates, string(envelope))
		for i, w := range d.Agreed {
			if a := c.Approvals[i]; a.Actor.Organisation != w.Organisation || a.Actor.Person != w.Person || !a.At.Equal(w.At) || !c.At.Equal(d.Ordered) {
				return proofhouse.Errorf(proofhouse.Integrity, nil, "a certificate of destruction names others than those who agreed to it")
			}
		}
		for _, h := range c.Destroyed {
			gone[h.ID] = true
		}
	}
	if !d.Done.IsZero() && (len(gone) != len(d.Artifacts) || slices.ContainsFunc(d.Artifacts, func(id proofhouse.Digest) bool { return !gone[id] })) {
		return proofhouse.Errorf(proofhouse.Integrity, nil, "the house certifies the destruction of other artifacts than were ordered to be destroyed")
	}
	return nil
}

// IsBundle says whether a file begins as a bundle does.
func IsBundle(name string) bool {
	f, err := os.Open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	head := make([]byte, len(bundleBeginning))
	_, err = io.ReadFull(f, head)
	return err == nil && string(head) == bundleBeginning
}

// bundleBeginning is what no other file that verify takes begins with.
const bundleBeginning = `{"line":1,`
