package clearing

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"proofhouse/internal/ledger"
	"proofhouse/internal/oracle"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/target"
)

// Store keeps projects.
type Store interface {
	// Project is all of a project; one that nothing is known of has version 0.
	Project(ctx context.Context, purl string) (Project, error)
	// Change takes into a project the event that decide makes of it as it is; decide may be asked again. seq is where the event stands. An event of which a request
	// under the same key was taken before is not taken again: the project comes back as it is, with the seq of the first. A nil act changes nothing; its seq is 0.
	Change(ctx context.Context, purl string, request Request, decide func(Project) (Event, error), now time.Time) (p Project, seq int, err error)
}

// Request is what its sender may send again without doing it twice. The zero value is none.
type Request struct {
	By     proofhouse.Actor
	Key    string            // of the sender's choice
	Digest proofhouse.Digest // of all that it says
}

// Shelf keeps what findings bring and what is made of them, sealed, by the digest of the text.
type Shelf interface {
	Put(ctx context.Context, purl string, b []byte) (proofhouse.Digest, error)
	// Open gives it back whole; what is not there is proofhouse.NotFound.
	Open(ctx context.Context, purl string, d proofhouse.Digest) ([]byte, error)
}

// Desk works through what waits: it reproduces findings, checks patches, and fills the matrix. One Desk works on a project at a time.
type Desk struct {
	Store Store
	Shelf Shelf
	// Workshop makes one of a target's folder.
	Workshop func(Folder) Workshop
	Witness
	// Runs is how often a proof must break; 0 is 3.
	Runs int

	workshops map[proofhouse.Digest]Workshop
	folders   map[proofhouse.Digest]Folder
	matrix    Matrix
}

// ReproductionType names the predicate of a reproduction's statement; docs/design/clearing.md describes it.
const ReproductionType = "urn:proofhouse:predicate:reproduction:v1"

// ReproductionPredicate is what a reproduction's statement says. Its subject is the proof.
type ReproductionPredicate struct {
	Finding      FindingID         `json:"finding"`
	Purl         string            `json:"purl"`
	Target       proofhouse.Digest `json:"target"` // the folder's archive
	Build        target.Build      `json:"build"`
	Rule         oracle.Rule       `json:"rule"`
	Reproduction Reproduction      `json:"reproduction"`
	Provider     string            `json:"provider"`
	Isolation    string            `json:"isolation"`
	Program      string            `json:"program"`
	Started      time.Time         `json:"started"`
	Finished     time.Time         `json:"finished"`
	Signing      string            `json:"signing"` // "ed25519 <key id>" or "unsigned"
}

// machine is who acts when the desk does. It sends nothing.
var machine = proofhouse.Actor{Role: proofhouse.Coordinator, Organisation: "house", Person: "desk"}

// Close lets go of the programs that the desk has open.
func (d *Desk) Close() { d.matrix.Close() }

// Work does the next thing that waits in a project, and says what; "" is nothing. The order: findings first, since a maintainer waits
// for none of the others without one; then patches that were not checked, or not against all that is known now; then cells.
func (d *Desk) Work(ctx context.Context, purl string) (string, error) {
	p, err := d.Store.Project(ctx, purl)
	if err != nil {
		return "", err
	}
	if id, ok := p.Next(); ok {
		return d.reproduce(ctx, p, id)
	}
	if did, err := d.offer(ctx, p); did != "" || err != nil {
		return did, err
	}
	if q, c, ok := p.NextPatch(); ok {
		return d.check(ctx, p, q, c)
	}
	return d.compare(ctx, p)
}

// folder opens a finding's target.
func (d *Desk) folder(ctx context.Context, purl string, archive proofhouse.Digest) (Folder, Workshop, error) {
	if w, ok := d.workshops[archive]; ok {
		return d.folders[archive], w, nil
	}
	b, err := d.Shelf.Open(ctx, purl, archive)
	if err != nil {
		return Folder{}, nil, err
	}
	f, err := OpenFolder(ctx, b)
	if err != nil {
		return Folder{}, nil, err
	}
	if d.workshops == nil {
		d.workshops, d.folders = map[proofhouse.Digest]Workshop{}, map[proofhouse.Digest]Folder{}
	}
	d.workshops[archive], d.folders[archive] = d.Workshop(f), f
	return f, d.workshops[archive], nil
}

func (d *Desk) reproduce(ctx context.Context, p Project, id FindingID) (string, error) {
	f, err := p.Finding(id)
	if err != nil {
		return "", err
	}
	r, envelope, err := d.attempt(ctx, p, f)
	if err != nil {
		return "", err
	}
	last := AttemptRecord{Verdict: r.Verdict, Reason: r.Reason, Signature: r.Signature, Frames: r.Frames, Runs: r.Runs, Broke: r.Broke, Report: excerpt(r.Report)}
	if envelope != nil {
		if last.Statement, err = d.Shelf.Put(ctx, p.Purl, envelope); err != nil {
			return "", err
		}
	}
	if _, _, err := d.Store.Change(ctx, p.Purl, Request{}, func(Project) (Event, error) {
		return Event{machine, Reproduced{id, last}}, nil
	}, d.Now()); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s: %s: %s", id, r.Verdict, r.Reason), nil
}

// offer offers the patch that a confirmed finding came with, as its finder. It is a step of its own, since a desk may be killed after each.
func (d *Desk) offer(ctx context.Context, p Project) (string, error) {
	offered := func(p Project, f Finding) bool {
		mine := slices.DeleteFunc(slices.Clone(p.Patches), func(q Patch) bool { return q.For != f.ID })
		return len(mine) >= maxPatches || slices.ContainsFunc(mine, func(q Patch) bool { return q.Fix == f.Files.Fix })
	}
	for _, f := range p.Confirmed() {
		if f.Files.Fix == "" || offered(p, f) {
			continue
		}
		a := Propose{ID: NewPatchID(), For: f.ID, Fix: f.Files.Fix, Regression: f.Files.Regression}
		_, _, err := d.Store.Change(ctx, p.Purl, Request{}, func(now Project) (Event, error) {
			if offered(now, f) {
				return Event{}, nil
			}
			return Event{f.By, a}, nil
		}, d.Now())
		return fmt.Sprintf("%s: %s came with it", f.ID, a.ID), err
	}
	return "", nil
}

// maxExcerpt bounds what is kept of a break's report, in bytes.
const maxExcerpt = 3000

// excerpt is what a person reads of a report: the stack at its beginning, and the lines by which a sanitizer says what was touched. Of each line it has what
// shows.
func excerpt(report string) string {
	head, rest, _ := strings.Cut(strings.TrimSpace(report), "\n\n")
	lines := strings.Split(head, "\n")
	lines = lines[:min(len(lines), packetReport)]
	for _, l := range strings.Split(rest, "\n") {
		if strings.Contains(l, " of size ") || strings.Contains(l, " is located ") {
			lines = append(lines, l)
		}
	}
	for i, l := range lines {
		lines[i] = printable(l, maxWord)
	}
	s := strings.Join(lines[:min(len(lines), 2*packetReport)], "\n")
	return strings.ToValidUTF8(s[:min(len(s), maxExcerpt)], "")
}

// attempt makes one reproduction and its statement.
func (d *Desk) attempt(ctx context.Context, p Project, f Finding) (Reproduction, []byte, error) {
	proof, err := d.Shelf.Open(ctx, p.Purl, f.Files.Proof)
	if err != nil {
		return Reproduction{}, nil, err
	}
	folder, w, err := d.folder(ctx, p.Purl, f.Files.Target)
	if err != nil {
		if k := proofhouse.KindOf(err); k == proofhouse.Invalid || k == proofhouse.Limit {
			return Reproduction{Verdict: NotReproduced, Reason: proofhouse.PublicOf(err)}, nil, nil
		}
		return Reproduction{}, nil, err
	}
	if folder.Spec.Purl != f.Claim.Purl {
		return Reproduction{Verdict: NotReproduced, Reason: "the target is of another version than the finding says"}, nil, nil
	}
	benign, err := folder.Benign()
	if err != nil {
		return Reproduction{Verdict: NotReproduced, Reason: proofhouse.PublicOf(err)}, nil, nil //nolint:nilerr // the finder's
	}
	return d.Attest(ctx, w, Attempt{Proof: proof, Benign: benign, Runs: d.Runs, Model: p.Declaration.Model}, ReproductionPredicate{
		Finding: f.ID, Purl: f.Claim.Purl, Target: f.Files.Target, Rule: folder.Spec.Rule(),
	})
}

// Witness states what it sees.
type Witness struct {
	// Key signs statements; nil leaves them unsigned, which they say.
	Key *ledger.Key
	// Program is the name and version of this program, Provider and Isolation what boxes are made of and what that is worth.
	Program, Provider, Isolation string
	Now                          func() time.Time
}

// Attest reproduces a proof and states what was seen; about says of what. The statement is nil where an infrastructure error left nothing to state.
func (w Witness) Attest(ctx context.Context, shop Workshop, a Attempt, about ReproductionPredicate) (Reproduction, json.RawMessage, error) {
	started := w.Now()
	keep := &keeper{Workshop: shop}
	r, err := Reproduce(ctx, keep, a)
	if err != nil || r.Verdict == Infrastructure {
		return r, nil, err
	}
	about.Build, about.Reproduction, about.Program, about.Provider, about.Isolation = keep.build, r, w.Program, w.Provider, w.Isolation
	about.Started, about.Finished, about.Signing = started.UTC(), w.Now().UTC(), "unsigned"
	if w.Key != nil {
		about.Signing = "ed25519 " + w.Key.PublicKey().ID()
	}
	envelope, err := ledger.Seal(ctx, ledger.Statement{Subject: "proof", Digest: proofhouse.DigestOf(a.Proof), PredicateType: ReproductionType, Predicate: about}, w.Key)
	return r, envelope, err
}

// keeper remembers what the plain program was built of.
type keeper struct {
	Workshop
	build target.Build
}

// Build implements Workshop.
func (k *keeper) Build(ctx context.Context, patches ...[]byte) (Program, error) {
	p, err := k.Workshop.Build(ctx, patches...)
	if b, ok := p.(interface{ Build() target.Build }); ok && err == nil && len(patches) == 0 {
		k.build = b.Build()
	}
	return p, err
}

// exhibit is a confirmed finding as matrix and checks take it.
func (d *Desk) exhibit(ctx context.Context, p Project, f Finding) (Exhibit, Folder, error) {
	proof, err := d.Shelf.Open(ctx, p.Purl, f.Files.Proof)
	if err != nil {
		return Exhibit{}, Folder{}, err
	}
	folder, w, err := d.folder(ctx, p.Purl, f.Files.Target)
	last := f.Last()
	return Exhibit{Proof: proof, Signature: last.Signature, Frames: last.Frames, Workshop: w}, folder, err
}

// open is a file, or nil where there is none.
func (d *Desk) open(ctx context.Context, purl string, of proofhouse.Digest) ([]byte, error) {
	if of == "" {
		return nil, nil
	}
	return d.Shelf.Open(ctx, purl, of)
}

func (d *Desk) check(ctx context.Context, p Project, q Patch, c Cluster) (string, error) {
	fix, err := d.open(ctx, p.Purl, q.Fix)
	if err != nil {
		return "", err
	}
	regression, err := d.open(ctx, p.Purl, q.Regression)
	if err != nil {
		return "", err
	}
	t := Trial{Seed: uint64(p.Version), Runs: d.Runs, matrix: &d.matrix} //nolint:gosec // never below 0
	var members []Known
	var signatures []string
	for _, k := range p.known() {
		f, err := p.Finding(k.ID)
		if err != nil {
			return "", err
		}
		if signatures = append(signatures, f.Last().Signature); slices.Contains(c.Members, k.ID) {
			members = append(members, k)
		}
	}
	// The patch's own finding first: its target is the one that is tested.
	members = owed(members, p.live(), q.For)
	slices.SortStableFunc(members, func(a, b Known) int {
		switch q.For {
		case a.ID:
			return -1
		case b.ID:
			return 1
		}
		return 0
	})
	for _, k := range members {
		f, err := p.Finding(k.ID)
		if err != nil {
			return "", err
		}
		e, folder, err := d.exhibit(ctx, p, f)
		if err != nil {
			return "", err
		}
		if t.Exhibits = append(t.Exhibits, e); k.ID == q.For {
			if t.Benign, err = folder.Benign(); err != nil {
				return "", err
			}
		}
	}
	t.Known = foreign(t.Exhibits[0].Signature, signatures)
	after, err := d.below(ctx, p, q)
	if err != nil {
		return "", err
	}
	if t.Others, err = d.others(ctx, p, q.ID); err != nil {
		return "", err
	}
	check, err := CheckPatch(ctx, Candidate{fix, regression, after}, t)
	if err != nil && ctx.Err() == nil {
		// A patch that no check comes to the end of holds up none of the others.
		why := proofhouse.PublicOf(err)
		_, _, err = d.Store.Change(ctx, p.Purl, Request{}, func(Project) (Event, error) { return Event{machine, Troubled{q.ID, why}}, nil }, d.Now())
		return fmt.Sprintf("%s: an error of ours, it is tried again: %s", q.ID, why), err
	}
	if err != nil {
		return "", err
	}
	_, _, err = d.Store.Change(ctx, p.Purl, Request{}, func(Project) (Event, error) {
		return Event{machine, Checked{q.ID, check, len(c.Members)}}, nil
	}, d.Now())
	return fmt.Sprintf("%s: %s: %s", q.ID, check.Outcome, check.Reason), err
}

// below are the patches that one is made on top of.
func (d *Desk) below(ctx context.Context, p Project, q Patch) ([][]byte, error) {
	var all [][]byte
	for _, id := range q.After {
		o, err := p.Patch(id)
		if err != nil {
			return nil, err
		}
		text, err := d.open(ctx, p.Purl, o.Fix)
		if err != nil {
			return nil, err
		}
		all = append(all, text)
	}
	return all, nil
}

// others are the patches that may show that what speaks against one is of another bug.
func others(p Project, than PatchID) []Patch {
	return slices.DeleteFunc(slices.Clone(p.Patches), func(q Patch) bool {
		f, err := p.Finding(q.For)
		return q.ID == than || q.Check == nil || q.Check.Outcome == Refused && !q.Check.Waits() || err != nil || !f.Confirmed()
	})
}

func (d *Desk) others(ctx context.Context, p Project, than PatchID) ([]Other, error) {
	var all []Other
	for _, q := range others(p, than) {
		f, err := p.Finding(q.For)
		if err != nil {
			return nil, err
		}
		e, _, err := d.exhibit(ctx, p, f)
		if err != nil {
			return nil, err
		}
		fix, err := d.open(ctx, p.Purl, q.Fix)
		if err != nil {
			return nil, err
		}
		after, err := d.below(ctx, p, q)
		if err != nil {
			return nil, err
		}
		whole, err := wholes(append(after, fix)...)
		if err != nil {
			return nil, err
		}
		all = append(all, Other{Candidate{Fix: whole[len(after)], After: whole[:len(after)]}, e, q.Check.Outcome != Refused})
	}
	return all, nil
}

// compare fills what is missing of the matrix.
func (d *Desk) compare(ctx context.Context, p Project) (string, error) {
	f := filling{
		evidence: p.evidence(), decisions: p.Decisions, matrix: &d.matrix,
		exhibit: func(ctx context.Context, k Known) (Exhibit, error) {
			f, err := p.Finding(k.ID)
			if err != nil {
				return Exhibit{}, err
			}
			e, _, err := d.exhibit(ctx, p, f)
			return e, err
		},
		open: func(ctx context.Context, name proofhouse.Digest) ([]byte, error) { return d.open(ctx, p.Purl, name) },
		keep: func(ctx context.Context, text []byte) (proofhouse.Digest, error) {
			return d.Shelf.Put(ctx, p.Purl, text)
		},
	}
	if err := f.fill(ctx); err != nil {
		return "", err
	}
	if len(f.newCells)+len(f.newParts) == 0 {
		return "", nil
	}
	_, _, err := d.Store.Change(ctx, p.Purl, Request{}, func(Project) (Event, error) { return Event{machine, Compared{f.newCells, f.newParts}}, nil }, d.Now())
	return fmt.Sprintf("compared: %d proofs, %d patches, %d cells more", len(f.known), len(f.minimal), len(f.newCells)), err
}

// checked is a diff as the check of it read it, or nil where there is none: nothing else goes out.
func (d *Desk) checked(ctx context.Context, purl string, of proofhouse.Digest) ([]byte, error) {
	text, err := d.open(ctx, purl, of)
	if err != nil || text == nil {
		return nil, err
	}
	diff, err := ParseDiff(text)
	return diff.Whole(), err
}

// Content is what a packet of a cluster is written from: its shortest proof, and the best patch.
func (d *Desk) Content(ctx context.Context, p Project, c Cluster, contact string) (Content, error) {
	out := Content{Project: p, Cluster: c, Contact: contact}
	for _, id := range c.Members {
		f, err := p.Finding(id)
		if err != nil {
			return Content{}, err
		}
		proof, err := d.Shelf.Open(ctx, p.Purl, f.Files.Proof)
		if err != nil {
			return Content{}, err
		}
		if out.From == "" || len(proof) < len(out.Proof) {
			out.From, out.Proof = id, proof
		}
	}
	f, err := p.Finding(out.From)
	if err != nil {
		return Content{}, err
	}
	out.Report = f.Last().Report
	if out.Target, err = d.Shelf.Open(ctx, p.Purl, f.Files.Target); err != nil {
		return Content{}, err
	}
	if best, ok := p.BestPatch(c); ok {
		if out.Fix, err = d.checked(ctx, p.Purl, best.Fix); err != nil {
			return Content{}, err
		}
		if out.Regression, err = d.checked(ctx, p.Purl, best.Regression); err != nil {
			return Content{}, err
		}
		out.Patch = &best
	}
	return out, nil
}
