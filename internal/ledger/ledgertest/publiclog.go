// Package ledgertest holds what every public log and every outbox must do, as
// tests that their packages call, and a whole small one of each for the tests
// of others. It is for tests only.
package ledgertest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"proofhouse/internal/ledger"
	"proofhouse/internal/proofhouse"
)

// Leaf is the n-th of a series of leaves.
func Leaf(n int) [32]byte { return sha256.Sum256(fmt.Appendf(nil, "leaf %d", n)) }

// TestPublicLog holds an implementation to ledger.PublicLog. open gives a log
// that is empty, or the same one again after it was closed.
func TestPublicLog(t *testing.T, open func(t *testing.T) (log ledger.PublicLog, close func())) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	log, shut := open(t)
	if n, err := log.Size(ctx); err != nil || n != 0 {
		t.Fatalf("a new log has %d leaves, %v", n, err)
	}
	var seen []ledger.Checkpoint
	look := func(atLeast uint64) ledger.Checkpoint {
		t.Helper()
		cp, err := log.Checkpoint(ctx, atLeast)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := ledger.ParseCheckpoint(cp.Note, log.Key()); err != nil || again.Size != cp.Size || again.Root != cp.Root || cp.Size < atLeast {
			t.Fatalf("asked for %d leaves, got a checkpoint of %d: %v", atLeast, cp.Size, err)
		}
		seen = append(seen, cp)
		return cp
	}
	look(0)
	total := 0
	// Sizes at which tiles are partial, full and one more than full.
	for round, n := range []int{1, 1, 5, 249, 1, 300, 1500} {
		leaves := make([][32]byte, n)
		for i := range leaves {
			leaves[i] = Leaf(total + i)
		}
		indexes, err := log.Append(ctx, leaves)
		if err != nil || len(indexes) != n {
			t.Fatalf("%d indexes for %d leaves: %v", len(indexes), n, err)
		}
		for i, index := range indexes {
			if index != uint64(total+i) {
				t.Fatalf("leaf %d came to %d", total+i, index)
			}
		}
		total += n
		if size, err := log.Size(ctx); err != nil || size != uint64(total) {
			t.Fatalf("size %d after %d leaves: %v", size, total, err)
		}
		look(uint64(total))
		if round == 3 { // what was appended is there after a restart
			shut()
			log, shut = open(t)
		}
	}
	defer func() { shut() }()
	cp := look(uint64(total))
	all, err := log.Leaves(ctx, 0, uint64(total))
	if err != nil {
		t.Fatal(err)
	}
	for i, leaf := range all {
		if leaf != Leaf(i) {
			t.Fatalf("leaf %d is another", i)
		}
	}
	for _, r := range [][2]uint64{{0, 0}, {0, 1}, {255, 257}, {1000, 1001}, {uint64(total), uint64(total)}} {
		part, err := log.Leaves(ctx, r[0], r[1])
		if err != nil || len(part) != int(r[1]-r[0]) || len(part) > 0 && part[0] != all[r[0]] {
			t.Errorf("leaves %d to %d: %d, %v", r[0], r[1], len(part), err)
		}
	}
	if _, err := log.Leaves(ctx, 0, uint64(total)+1); proofhouse.KindOf(err) != proofhouse.Invalid {
		t.Errorf("a leaf that is not there: %v", err)
	}
	for _, i := range []uint64{0, 1, 255, 256, 1023, uint64(total) - 1} {
		p, err := log.Include(ctx, i, cp)
		if err != nil {
			t.Fatal(err)
		}
		if err := cp.Includes(i, all[i], p); err != nil {
			t.Errorf("leaf %d: %v", i, err)
		}
		if err := cp.Includes(i, all[(i+1)%uint64(total)], p); proofhouse.KindOf(err) != proofhouse.Integrity {
			t.Errorf("another leaf at %d: %v", i, err)
		}
	}
	if _, err := log.Include(ctx, uint64(total), cp); proofhouse.KindOf(err) != proofhouse.Invalid {
		t.Errorf("a proof of a leaf that is not there: %v", err)
	}
	for _, older := range seen {
		p, err := log.Extend(ctx, older.Size, cp)
		if err == nil {
			err = cp.Extends(older, p)
		}
		if err != nil {
			t.Errorf("from %d to %d leaves: %v", older.Size, cp.Size, err)
		}
		if older.Size == 0 {
			continue
		}
		other := older
		other.Root[7] ^= 1
		if err := cp.Extends(other, p); proofhouse.KindOf(err) != proofhouse.Integrity {
			t.Errorf("a fork at %d leaves: %v", older.Size, err)
		}
	}
	if _, err := log.Extend(ctx, uint64(total)+1, cp); proofhouse.KindOf(err) != proofhouse.Invalid {
		t.Errorf("a proof from a larger tree: %v", err)
	}
	// An older checkpoint's proofs can still be had.
	older := seen[len(seen)-3]
	if p, err := log.Include(ctx, 3, older); err != nil || older.Includes(3, all[3], p) != nil {
		t.Errorf("leaf 3 in the tree of %d leaves: %v", older.Size, err)
	}
	gone, stop := context.WithCancel(ctx)
	stop()
	if _, err := log.Checkpoint(gone, uint64(total)+1); err == nil {
		t.Error("a checkpoint over what is not there")
	}
}

// Memory is a public log in memory. Its fields may be set before a call.
type Memory struct {
	// FailBefore and FailAfter, unless nil, are what the next Append gives, before or
	// after it took the leaves.
	FailBefore, FailAfter error

	key    *ledger.Key
	origin string

	mu     sync.Mutex // owns what follows
	leaves [][32]byte
	hashes []tlog.Hash
}

var _ ledger.PublicLog = (*Memory)(nil)

// NewMemory is an empty log.
func NewMemory(origin string, key *ledger.Key) *Memory { return &Memory{origin: origin, key: key} }

// Fork is a log with the same key and the first n leaves.
func (m *Memory) Fork(n int) *Memory {
	f := NewMemory(m.origin, m.key)
	f.add(m.leaves[:n])
	return f
}

func (m *Memory) add(leaves [][32]byte) {
	for _, leaf := range leaves {
		h, err := tlog.StoredHashes(int64(len(m.leaves)), leaf[:], m)
		if err != nil {
			panic(err)
		}
		m.leaves, m.hashes = append(m.leaves, leaf), append(m.hashes, h...)
	}
}

// ReadHashes is for tlog.
func (m *Memory) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		out[i] = m.hashes[x]
	}
	return out, nil
}

// Key is the log's key.
func (m *Memory) Key() ledger.VerifierKey {
	k, err := m.key.PublicKey().VerifierKey(m.origin)
	if err != nil {
		panic(err)
	}
	return k
}

// Append adds leaves.
func (m *Memory) Append(_ context.Context, leaves [][32]byte) ([]uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.FailBefore; err != nil {
		m.FailBefore = nil
		return nil, err
	}
	out := make([]uint64, len(leaves))
	for i := range leaves {
		out[i] = uint64(len(m.leaves) + i)
	}
	m.add(leaves)
	if err := m.FailAfter; err != nil {
		m.FailAfter = nil
		return nil, err
	}
	return out, nil
}

// Size is how many leaves there are.
func (m *Memory) Size(context.Context) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return uint64(len(m.leaves)), nil
}

// Leaves gives a range.
func (m *Memory) Leaves(_ context.Context, from, to uint64) ([][32]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if from > to || to > uint64(len(m.leaves)) {
		return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "the log has %d leaves", len(m.leaves))
	}
	return append([][32]byte(nil), m.leaves[from:to]...), nil
}

// Checkpoint signs the tree as it is.
func (m *Memory) Checkpoint(ctx context.Context, atLeast uint64) (ledger.Checkpoint, error) {
	for {
		m.mu.Lock()
		n := int64(len(m.leaves))
		root, err := tlog.TreeHash(n, m)
		m.mu.Unlock()
		if err != nil || uint64(n) >= atLeast {
			return m.sign(n, root, err)
		}
		select {
		case <-ctx.Done():
			return ledger.Checkpoint{}, context.Cause(ctx)
		case <-time.After(time.Millisecond):
		}
	}
}

func (m *Memory) sign(n int64, root tlog.Hash, err error) (ledger.Checkpoint, error) {
	if err != nil {
		return ledger.Checkpoint{}, err
	}
	if n == 0 {
		root = sha256.Sum256(nil) // RFC 6962
	}
	s, err := m.key.NoteSigner(m.origin)
	if err != nil {
		return ledger.Checkpoint{}, err
	}
	signed, err := note.Sign(&note.Note{Text: fmt.Sprintf("%s\n%d\n%s\n", m.origin, n, root)}, s)
	if err != nil {
		return ledger.Checkpoint{}, err
	}
	return ledger.ParseCheckpoint(signed, m.Key())
}

// Include proves a leaf.
func (m *Memory) Include(_ context.Context, index uint64, cp ledger.Checkpoint) (ledger.Proof, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if index >= cp.Size {
		return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "leaf %d is not in the tree", index)
	}
	p, err := tlog.ProveRecord(int64(cp.Size), int64(index), m)
	return ledger.NewProof(p), err
}

// Extend proves that cp goes on from older leaves.
func (m *Memory) Extend(_ context.Context, older uint64, cp ledger.Checkpoint) (ledger.Proof, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case older > cp.Size:
		return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "the tree of %d leaves is the newer one", older)
	case older == 0, older == cp.Size:
		return ledger.Proof{}, nil
	}
	p, err := tlog.ProveTree(int64(cp.Size), int64(older), m)
	return ledger.NewProof(p), err
}
