package app

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"

	"proofhouse/internal/clearing"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/target"
)

// Bench is a target's folder on this machine, ready to take proofs and patches in boxes.
type Bench struct {
	Folder  clearing.Folder
	Archive proofhouse.Digest    // of the folder, packed
	Model   clearing.ThreatModel // what Reproduce does not take for a vulnerability; the zero value takes all
	boxes   *clearing.Boxes
	app     *App
}

// OpenBench reads a target's folder. It builds nothing yet.
func (a *App) OpenBench(dir string) (*Bench, error) {
	packed, err := clearing.PackFolder(dir)
	if err != nil {
		return nil, err
	}
	folder, err := clearing.ReadFolder(os.DirFS(dir))
	if err != nil {
		return nil, err
	}
	opened, err := a.Verifier()
	if err != nil {
		return nil, err
	}
	made, err := a.Builder(nil)
	if err != nil {
		return nil, err
	}
	b := &Bench{Folder: folder, Archive: proofhouse.DigestOf(packed), app: a}
	b.boxes = &clearing.Boxes{Builder: made.(builder).Builder, Oracle: opened.(*verifier).oracle, Folder: folder}
	return b, nil
}

// ReadInput reads a proof or a patch from this machine, at most 1 MiB.
func ReadInput(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil || !info.Mode().IsRegular() {
		return nil, proofhouse.Errorf(proofhouse.NotFound, err, "%s is no file that can be read", name)
	}
	if info.Size() > 1<<20 {
		return nil, proofhouse.Errorf(proofhouse.Limit, nil, "%s is larger than 1 MiB", name)
	}
	return os.ReadFile(name)
}

// Reproduce tries a proof, and gives the statement of what was seen, signed by the local key where there is one. runs is of
// the proof; 0 is 3.
func (b *Bench) Reproduce(ctx context.Context, proof []byte, runs int) (clearing.Reproduction, json.RawMessage, error) {
	benign, err := b.Folder.Benign()
	if err != nil {
		return clearing.Reproduction{}, nil, err
	}
	w, err := b.app.witness()
	if err != nil {
		return clearing.Reproduction{}, nil, err
	}
	return w.Attest(ctx, b.boxes, clearing.Attempt{Proof: proof, Benign: benign, Runs: runs, Model: b.Model}, clearing.ReproductionPredicate{
		Purl: b.Folder.Spec.Purl, Target: b.Archive, Rule: b.Folder.Spec.Rule(),
	})
}

// Sort takes proofs and patches of the target: what is reproduced, which patches hold, which proofs one fix mends.
func (b *Bench) Sort(ctx context.Context, proofs []clearing.Named, offers []clearing.Offer) (clearing.Sorted, error) {
	benign, err := b.Folder.Benign()
	if err != nil {
		return clearing.Sorted{}, err
	}
	return clearing.Sort(ctx, b.boxes, proofs, offers, benign)
}

// CheckPatch holds a patch to proofs, each of which must reproduce.
func (b *Bench) CheckPatch(ctx context.Context, c clearing.Candidate, proofs []clearing.Named) (clearing.PatchCheck, error) {
	benign, err := b.Folder.Benign()
	if err != nil {
		return clearing.PatchCheck{}, err
	}
	t := clearing.Trial{Benign: benign}
	for _, p := range proofs {
		r, err := clearing.Reproduce(ctx, b.boxes, clearing.Attempt{Proof: p.Input, Benign: benign})
		if err != nil {
			return clearing.PatchCheck{}, err
		}
		if r.Verdict != clearing.Confirmed {
			return clearing.PatchCheck{}, proofhouse.Errorf(proofhouse.Failed, r.Cause, "%s is no proof to hold a patch to: %s", filepath.Base(p.Name), r.Reason)
		}
		t.Exhibits = append(t.Exhibits, clearing.Exhibit{Proof: p.Input, Signature: r.Signature, Frames: r.Frames, Workshop: b.boxes})
	}
	return clearing.CheckPatch(ctx, c, t)
}

var _ clearing.Builder = (*target.Builder)(nil)
