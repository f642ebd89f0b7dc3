package ledger_test

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"proofhouse/internal/ledger"
	"proofhouse/internal/ledger/ledgertest"
	"proofhouse/internal/proofhouse"
)

// testKey is the same key every time.
func testKey(t testing.TB, b byte) *ledger.Key {
	t.Helper()
	seed := make([]byte, ed25519.SeedSize)
	seed[0] = b
	raw, err := x509.MarshalPKCS8PrivateKey(ed25519.NewKeyFromSeed(seed))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "k.key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	k, err := ledger.OpenKey(dir, "k")
	if err != nil {
		t.Fatal(err)
	}
	return k
}

const origin = "review.example/log"

// world is a log and an outbox that are to agree.
type world struct {
	log   *ledgertest.Memory
	box   *ledgertest.Outbox
	n     int64
	known map[[32]byte]int64
}

func newWorld(t testing.TB) *world {
	t.Helper()
	box, err := ledgertest.OpenOutbox("")
	if err != nil {
		t.Fatal(err)
	}
	return &world{log: ledgertest.NewMemory(origin, testKey(t, 1)), box: box, known: map[[32]byte]int64{}}
}

func (w *world) accept(t testing.TB) {
	t.Helper()
	w.n++
	e := ledger.Entry{Stream: "case-a", Seq: w.n, Body: []byte(fmt.Sprint(w.n)), Salt: ledgertest.Leaf(int(w.n))}
	w.known[e.Commitment()] = w.n
	if err := w.box.Accept(e); err != nil {
		t.Fatal(err)
	}
}

// agree checks that each accepted entry stands once, where the outbox says.
func (w *world) agree(t testing.TB) {
	t.Helper()
	size, _ := w.log.Size(t.Context())
	if size != uint64(w.n) {
		t.Errorf("%d leaves for %d entries", size, w.n)
	}
	leaves, err := w.log.Leaves(t.Context(), 0, size)
	if err != nil {
		t.Fatal(err)
	}
	for i, leaf := range leaves {
		if at, ok := w.box.Index("case-a", w.known[leaf]); !ok || at != uint64(i) {
			t.Errorf("leaf %d is entry %d, which the outbox has at %d, %v", i, w.known[leaf], at, ok)
		}
	}
}

// failing is an outbox whose Place fails when told to, before or after it did
// its work.
type failing struct {
	*ledgertest.Outbox
	before, after bool
}

func (f *failing) Place(ctx context.Context, p []ledger.Placed) error {
	if f.before {
		f.before = false
		return errors.New("planted before")
	}
	err := f.Outbox.Place(ctx, p)
	if f.after {
		f.after = false
		return errors.New("planted after")
	}
	return err
}

// TestSequencer fails each step, before and after its effect, and starts anew
// at random: each entry stands once.
func TestSequencer(t *testing.T) {
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	w := newWorld(t)
	box := &failing{Outbox: w.box}
	s := ledger.NewSequencer(box, w.log)
	for range 300 {
		for range rnd.IntN(4) {
			w.accept(t)
		}
		switch rnd.IntN(6) {
		case 0:
			w.log.FailBefore = errors.New("planted")
		case 1:
			w.log.FailAfter = errors.New("planted")
		case 2:
			box.before = true
		case 3:
			box.after = true
		case 4:
			s = ledger.NewSequencer(box, w.log) // as after a kill
		}
		_, err := s.Step(t.Context())
		if proofhouse.KindOf(err) == proofhouse.Integrity {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
	w.log.FailBefore, w.log.FailAfter, box.before, box.after = nil, nil, false, false
	for {
		n, err := s.Step(t.Context())
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if n == 0 {
			break
		}
	}
	w.agree(t)
}

// TestSequencerBehind: the tail may be longer than a batch, and what stands in
// it need not be the oldest that waits.
func TestSequencerBehind(t *testing.T) {
	w := newWorld(t)
	for range 3000 {
		w.accept(t)
	}
	waiting, err := w.box.Waiting(t.Context(), 3000)
	if err != nil {
		t.Fatal(err)
	}
	var leaves [][32]byte
	for _, x := range waiting[400:2900] {
		leaves = append(leaves, x.Commitment)
	}
	if _, err := w.log.Append(t.Context(), leaves); err != nil {
		t.Fatal(err)
	}
	s := ledger.NewSequencer(w.box, w.log)
	if n, err := s.Step(t.Context()); err != nil || n != 500 {
		t.Fatalf("%d, %v", n, err)
	}
	w.agree(t)
}

// TestSequencerContradicted: what contradicts is named, and nothing is appended.
func TestSequencerContradicted(t *testing.T) {
	for _, c := range []struct {
		name  string
		plant func(t *testing.T, w *world)
	}{
		{"the log was put back from an old copy", func(t *testing.T, w *world) { w.log = w.log.Fork(3) }},
		{"somebody else appended", func(t *testing.T, w *world) {
			if _, err := w.log.Append(t.Context(), [][32]byte{{9}}); err != nil {
				t.Fatal(err)
			}
		}},
		{"an entry stands twice", func(t *testing.T, w *world) {
			waiting, _ := w.box.Waiting(t.Context(), 1)
			if _, err := w.log.Append(t.Context(), [][32]byte{waiting[0].Commitment, waiting[0].Commitment}); err != nil {
				t.Fatal(err)
			}
		}},
		{"an old entry stands again", func(t *testing.T, w *world) {
			leaves, _ := w.log.Leaves(t.Context(), 2, 3)
			if _, err := w.log.Append(t.Context(), leaves); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			for range 5 {
				w.accept(t)
			}
			if _, err := ledger.NewSequencer(w.box, w.log).Step(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.accept(t)
			c.plant(t, w)
			before, _ := w.log.Size(t.Context())
			s := ledger.NewSequencer(w.box, w.log)
			if err := s.Run(t.Context(), 1); proofhouse.KindOf(err) != proofhouse.Integrity {
				t.Errorf("got %v", err)
			}
			if after, _ := w.log.Size(t.Context()); after != before {
				t.Errorf("%d leaves became %d", before, after)
			}
		})
	}
	t.Run("somebody appends meanwhile", func(t *testing.T) {
		w := newWorld(t)
		s := ledger.NewSequencer(w.box, w.log)
		w.accept(t)
		if _, err := s.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := w.log.Append(t.Context(), [][32]byte{{9}}); err != nil {
			t.Fatal(err)
		}
		w.accept(t)
		if _, err := s.Step(t.Context()); proofhouse.KindOf(err) != proofhouse.Integrity {
			t.Errorf("got %v", err)
		}
		if _, ok := w.box.Index("case-a", 2); ok {
			t.Error("a place was recorded")
		}
	})
}

// TestSequencerRun: it wakes, and ends with its context.
func TestSequencerRun(t *testing.T) {
	w := newWorld(t)
	s := ledger.NewSequencer(w.box, w.log)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Run(ctx, 1<<40) }()
	for range 3 {
		w.accept(t)
		s.Wake()
		if _, err := w.log.Checkpoint(t.Context(), uint64(w.n)); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestMemory(t *testing.T) {
	log := ledgertest.NewMemory(origin, testKey(t, 1))
	ledgertest.TestPublicLog(t, func(*testing.T) (ledger.PublicLog, func()) { return log, func() {} })
}

func TestOutbox(t *testing.T) {
	path := filepath.Join(t.TempDir(), "outbox")
	for _, path := range []string{"", path} {
		o, err := ledgertest.OpenOutbox(path)
		if err != nil {
			t.Fatal(err)
		}
		ledgertest.TestOutbox(t, o, func(t *testing.T, e ledger.Entry) {
			if err := o.Accept(e); err != nil {
				t.Fatal(err)
			}
		})
	}
	again, err := ledgertest.OpenOutbox(path)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := again.Placed(t.Context()); err != nil || n != 6 {
		t.Errorf("read again: %d, %v", n, err)
	}
}
