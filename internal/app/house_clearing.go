package app

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"proofhouse/internal/api"
	"proofhouse/internal/clearing"
	"proofhouse/internal/ledger"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/store"
	"proofhouse/internal/vault"
)

// findings are the house's: their rows, their files and their places in the public log.
type findings struct {
	*store.Clearing
	files store.Files
	house *House
}

var _ api.Clearing = findings{}

// findings are those of a database, whose files lie in the vault's folder; house is nil where there is no public log.
func (a *App) findings(db *store.DB, keys *vault.Records, house *House) findings {
	c := store.NewClearing(db, keys)
	return findings{Clearing: c, files: store.Files{Clearing: c, Shelf: keys.Shelf(a.Config.dir("vault", "finding"))}, house: house}
}

// Submit implements api.Clearing.
//
// The order of effects: what can be refused is refused before anything is kept; the files are durable; the event commits. A process that was killed
// before the commit leaves files that nothing names, and the same report sent again names them.
func (f findings) Submit(ctx context.Context, by proofhouse.Actor, r clearing.Report, key string, now time.Time) (clearing.Project, int, error) {
	claim, brought, err := r.Read()
	if err != nil {
		return clearing.Project{}, 0, err
	}
	purl, err := clearing.ProjectOf(claim.Purl)
	if err != nil {
		return clearing.Project{}, 0, err
	}
	p, err := f.Project(ctx, purl)
	if err != nil {
		return p, 0, err
	}
	act := clearing.Submit{ID: clearing.NewFindingID(), Claim: claim}
	if act.Files, err = named(brought); err != nil {
		return p, 0, err
	}
	said, err := json.Marshal([]any{"report", claim, act.Files})
	if err != nil {
		return p, 0, err
	}
	request := clearing.Request{By: by, Key: key, Digest: proofhouse.DigestOf(said)}
	if key == "" {
		request.Key = "report " + string(request.Digest)
	}
	if err := f.acceptable(ctx, p, by, act, brought, now); err != nil {
		return p, 0, err
	}
	for _, piece := range pieces(brought) {
		if piece.Digest == "" {
			if _, err := f.files.Put(ctx, purl, piece.Bytes); err != nil {
				return p, 0, err
			}
		}
	}
	return f.Change(ctx, purl, request, func(clearing.Project) (clearing.Event, error) { return clearing.Event{By: by, Act: act}, nil }, now)
}

// pieces are all files that a report brings.
func pieces(b clearing.Brought) []clearing.Piece {
	all := append([]clearing.Piece{b.Target, b.Proof}, b.Others...)
	for _, p := range []*clearing.Piece{b.Fix, b.Regression} {
		if p != nil {
			all = append(all, *p)
		}
	}
	return all
}

// named are the files by their digests. Patches must be such.
func named(b clearing.Brought) (files clearing.Files, err error) {
	of := func(p clearing.Piece) proofhouse.Digest {
		if p.Digest != "" {
			return p.Digest
		}
		return proofhouse.DigestOf(p.Bytes)
	}
	files.Target, files.Proof = of(b.Target), of(b.Proof)
	for _, diff := range []struct {
		piece *clearing.Piece
		to    *proofhouse.Digest
	}{{b.Fix, &files.Fix}, {b.Regression, &files.Regression}} {
		if diff.piece == nil {
			continue
		}
		if diff.piece.Digest == "" {
			if _, err := clearing.ParseDiff(diff.piece.Bytes); err != nil {
				return files, err
			}
		}
		*diff.to = of(*diff.piece)
	}
	for _, o := range b.Others {
		files.Others = append(files.Others, clearing.Enclosure{Name: o.Name, Digest: of(o)})
	}
	return files, nil
}

// acceptable says what is wrong with a report that can be seen before any of it is kept or run.
func (f findings) acceptable(ctx context.Context, p clearing.Project, by proofhouse.Actor, act clearing.Submit, b clearing.Brought, now time.Time) error {
	if _, err := p.Apply(clearing.Event{By: by, Act: act}, now); err != nil {
		return err
	}
	for _, piece := range pieces(b) {
		if piece.Digest == "" {
			continue
		}
		// Nobody learns by this what others brought.
		if !slices.ContainsFunc(p.Findings, func(o clearing.Finding) bool {
			return o.By.Organisation == by.Organisation && o.Files.Has(piece.Digest)
		}) {
			return proofhouse.Errorf(proofhouse.NotFound, nil, "your organisation brought no file of that digest to this project: send the file itself")
		}
	}
	if b.Target.Digest != "" {
		return nil // it was looked at when it came
	}
	folder, err := clearing.OpenFolder(ctx, b.Target.Bytes)
	if err != nil {
		return err
	}
	if folder.Spec.Purl != act.Claim.Purl {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "the report is of %s, and %s of its target says %s: a finding is of one version", act.Claim.Purl, clearing.SpecFile, folder.Spec.Purl)
	}
	_, err = folder.Benign()
	return err
}

// Find implements api.Clearing.
func (f findings) Find(ctx context.Context, id string) (clearing.Project, int, error) {
	purl, seq, err := f.Clearing.Find(ctx, id)
	if err != nil {
		return clearing.Project{}, 0, err
	}
	p, err := f.Project(ctx, purl)
	return p, seq, err
}

// Findings implements api.Clearing. A place is the time in microseconds and the name of a finding.
func (f findings) Findings(ctx context.Context, by proofhouse.OrganisationID, after string, limit int) (all []api.Listed, next string, err error) {
	var from store.Page
	if after != "" {
		at, id, ok := strings.Cut(after, ".")
		micro, err := strconv.ParseInt(at, 10, 64)
		if err != nil || !ok {
			return nil, "", proofhouse.Errorf(proofhouse.Invalid, err, "that is no place in a list: take next of the page before")
		}
		from = store.Page{Until: time.UnixMicro(micro), Before: id}
	}
	lines, err := f.Named(ctx, "finding", by, from, limit)
	if err != nil {
		return nil, "", err
	}
	projects := map[string]clearing.Project{}
	for _, l := range lines {
		next = fmt.Sprintf("%d.%s", l.Made.UnixMicro(), l.ID)
		if l.Purl == "" {
			continue
		}
		p, ok := projects[l.Purl]
		if !ok {
			if p, err = f.Project(ctx, l.Purl); err != nil {
				return nil, "", err
			}
			projects[l.Purl] = p
		}
		found, err := p.Finding(clearing.FindingID(l.ID))
		if err != nil {
			return nil, "", proofhouse.Errorf(proofhouse.Integrity, err, "the list of findings is not that of their projects")
		}
		all = append(all, api.Listed{Project: p, Finding: found})
	}
	if len(lines) < limit {
		next = ""
	}
	return all, next, nil
}

// Projects implements api.Clearing.
func (f findings) Projects(ctx context.Context, after string, limit int) ([]string, string, error) {
	purls, next, err := f.Clearing.Projects(ctx, false, after, limit)
	return slices.DeleteFunc(purls, func(purl string) bool { return purl == "" }), next, err
}

// File implements api.Clearing.
func (f findings) File(ctx context.Context, purl string, d proofhouse.Digest) ([]byte, error) {
	return f.files.Open(ctx, purl, d)
}

// Keep implements api.Clearing.
func (f findings) Keep(ctx context.Context, purl string, b []byte) (proofhouse.Digest, error) {
	return f.files.Put(ctx, purl, b)
}

// Packet implements api.Clearing.
func (f findings) Packet(ctx context.Context, p clearing.Project, c clearing.Cluster, contact string) (text, archive []byte, patch clearing.PatchID, err error) {
	desk := clearing.Desk{Store: f, Shelf: f.files}
	content, err := desk.Content(ctx, p, c, contact)
	if err != nil {
		return nil, nil, "", err
	}
	letter, err := content.Text()
	if err != nil {
		return nil, nil, "", err
	}
	if content.Patch != nil {
		patch = content.Patch.ID
	}
	archive, err = content.Archive(letter)
	return []byte(letter), archive, patch, err
}

// Commitment implements api.Clearing.
func (f findings) Commitment(ctx context.Context, purl string, seq int) (ledger.Waiting, error) {
	_, e, _, err := f.Entry(ctx, purl, seq)
	return ledger.Waiting{Stream: e.Stream, Seq: e.Seq, Commitment: e.Commitment()}, err
}

// Logged implements api.Clearing.
func (f findings) Logged(ctx context.Context, purl string, seq int) ([]byte, error) {
	var e ledger.Entry
	var index int64
	if err := f.house.patiently(ctx, func() (there bool, err error) {
		_, e, index, err = f.Entry(ctx, purl, seq)
		return index >= 0, err
	}); err != nil {
		return nil, err
	}
	return f.house.receipt(ctx, e, index)
}

// check holds each project to its entries, and says how many there are, and of how many the key is not here.
func (f findings) check(ctx context.Context) (n, unopened int, err error) {
	for after := ""; ; {
		purls, next, err := f.Clearing.Projects(ctx, false, after, 200)
		if err != nil {
			return n, unopened, err
		}
		for _, purl := range purls {
			if purl == "" {
				unopened++
				continue
			}
			if _, err := f.Project(ctx, purl); err != nil {
				return n, unopened, err
			}
			n++
		}
		if after = next; next == "" {
			return n, unopened, nil
		}
	}
}
