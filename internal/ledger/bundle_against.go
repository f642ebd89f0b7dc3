package ledger

import (
	"context"

	"proofhouse/internal/proofhouse"
)

// Against holds two bundles of one log to each other, which may be of two
// cases, and says whether they show that their trees are one: their
// checkpoints are the same, or the newer one goes on from the older by a proof
// that it carries, or that extend gives, which may be nil (VerifyOptions.Extend).
//
// Two trees of one size that the log's key signed, another leaf at one place,
// another entry or place under one seq and a proof that leads elsewhere are a
// fork, proofhouse.Integrity. Bundles of two logs are proofhouse.Invalid. That
// nothing shows it, false, is no proof of a fork: a bundle carries so many older checkpoints and no more. A copy of
// the log shows it then.
func (b Bundle) Against(ctx context.Context, other Bundle, extend func(ctx context.Context, older uint64, cp Checkpoint) (Proof, error)) (bool, error) {
	if b.Report.Origin != other.Report.Origin {
		return false, proofhouse.Errorf(proofhouse.Invalid, nil, "the bundles are of two logs, %s and %s", b.Report.Origin, other.Report.Origin)
	}
	if b.Report.LogKey != other.Report.LogKey {
		return false, proofhouse.Errorf(proofhouse.Integrity, nil, "two keys sign as the log %s, one in each bundle: name the one that you know", b.Report.Origin)
	}
	roots := map[uint64][32]byte{}
	for _, cp := range append(b.Older, b.Checkpoint) {
		roots[cp.Size] = cp.Root
	}
	for _, cp := range append(other.Older, other.Checkpoint) {
		if root, ok := roots[cp.Size]; ok && root != cp.Root {
			return false, proofhouse.Errorf(proofhouse.Integrity, nil, "the log was forked: its key signed two trees of %d leaves, one for each bundle", cp.Size)
		}
	}
	if err := b.sameLeaves(other); err != nil {
		return false, err
	}
	newer, older := b, other.Checkpoint
	if older.Size > b.Checkpoint.Size {
		newer, older = other, b.Checkpoint
	}
	if older.Size == newer.Checkpoint.Size {
		return true, nil
	}
	for _, cp := range newer.Older {
		if cp.Size == older.Size { // of the same root
			return true, nil
		}
	}
	if extend == nil {
		return false, nil
	}
	p, err := extend(ctx, older.Size, newer.Checkpoint)
	if err != nil {
		return false, err
	}
	return true, newer.Checkpoint.Extends(older, p)
}

// sameLeaves finds a place with two leaves, and an entry with two places.
func (b Bundle) sameLeaves(other Bundle) error {
	type name struct {
		stream string
		seq    int64
	}
	at, of := map[uint64][32]byte{}, map[name]uint64{}
	for _, w := range b.leaves() {
		at[w.Index], of[name{w.Stream, w.Seq}] = w.Commitment, w.Index
	}
	for _, w := range other.leaves() {
		if c, ok := at[w.Index]; ok && c != w.Commitment {
			return proofhouse.Errorf(proofhouse.Integrity, nil, "the log was forked: it has another leaf at %d in each bundle", w.Index)
		}
		if index, ok := of[name{w.Stream, w.Seq}]; ok && index != w.Index {
			return proofhouse.Errorf(proofhouse.Integrity, nil, "entry %d of %s is another one in each bundle: it stands at %d and at %d of the log", w.Seq, w.Stream, index, w.Index)
		}
	}
	return nil
}

// leaves are all that the bundle has, opened or not.
func (b Bundle) leaves() []Withheld {
	var all []Withheld
	for _, list := range [][]LoggedEntry{b.Entries, b.Others} {
		for _, e := range list {
			all = append(all, Withheld{e.Stream, e.Seq, e.Index, e.Commitment()})
		}
	}
	return append(all, b.Withheld...)
}
