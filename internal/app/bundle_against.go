package app

import (
	"context"
	"os"

	"proofhouse/internal/docket"
	"proofhouse/internal/ledger"
	"proofhouse/internal/ledger/posix"
	"proofhouse/internal/proofhouse"
)

// maxOlder is how many older checkpoints a bundle carries.
const maxOlder = 1000

// shownLog is the public log at one checkpoint.
type shownLog struct {
	*posix.Log
	cp ledger.Checkpoint
}

// Checkpoint is that one.
func (l shownLog) Checkpoint(context.Context, uint64) (ledger.Checkpoint, error) { return l.cp, nil }

// shown is the log as a bundle or a receipt of stream shows it. That it goes out is recorded first: later
// bundles carry this checkpoint, so that they can be held to what goes out now.
func (h *House) shown(ctx context.Context, in posix.Given, stream string, atLeast uint64) (shownLog, error) {
	cp, err := h.log.Checkpoint(ctx, atLeast)
	if err != nil {
		return shownLog{}, err
	}
	return shownLog{h.log, cp}, h.log.Give(in, stream, cp.Size)
}

// older are checkpoints from before cp that others may hold, in receipts, in bundles or from the
// public log: the bundle shows that the log goes on from them.
func (h *House) older(ctx context.Context, c docket.Case, cp ledger.Checkpoint) ([]ledger.Checkpoint, error) {
	var leaves []uint64
	for e, err := range h.entries(ctx, c.ID, c.Version) {
		if err != nil {
			return nil, err
		}
		leaves = append(leaves, e.Index)
	}
	return h.log.Kept(string(c.ID), cp.Size, leaves, h.carried)
}

// AgainstProof is what two bundles of one log show when they are held to each other.
type AgainstProof struct {
	Case proofhouse.CaseID `json:"case"` // of the other bundle
	Size uint64            `json:"size"` // of its tree, in leaves
	// One says that a proof leads from the older of the two trees to the newer.
	One bool `json:"one"`
}

// against holds a bundle to those of others.
func (t BundleTrust) against(ctx context.Context, b ledger.Bundle, opts ledger.VerifyOptions) (all []AgainstProof, err error) {
	extend := opts.Extend
	opts.Older, opts.Receipts, opts.Extend = nil, nil, nil // those are for the bundle that is verified
	for _, name := range t.Against {
		other, err := readOther(ctx, name, opts)
		if err != nil {
			return nil, err
		}
		one, err := b.Against(ctx, other, extend)
		if err != nil {
			return nil, err
		}
		all = append(all, AgainstProof{proofhouse.CaseID(other.Report.Stream), other.Report.Size, one})
	}
	return all, nil
}

func readOther(ctx context.Context, name string, opts ledger.VerifyOptions) (ledger.Bundle, error) {
	f, err := os.Open(name)
	if err != nil {
		return ledger.Bundle{}, proofhouse.Errorf(proofhouse.NotFound, err, "the bundle to hold this one against cannot be read")
	}
	defer f.Close()
	b, err := ledger.ReadBundle(ctx, f, opts)
	if err != nil {
		return b, proofhouse.Errorf(proofhouse.KindOf(err), err, "of the bundle to hold this one against: %s", proofhouse.PublicOf(err))
	}
	return b, nil
}
