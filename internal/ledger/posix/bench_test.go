package posix

import (
	"context"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"proofhouse/internal/ledger"
	"proofhouse/internal/ledger/ledgertest"
)

// outbox is one in memory, with n entries of a case in it.
func outbox(b *testing.B, n int) *ledgertest.Outbox {
	b.Helper()
	box, err := ledgertest.OpenOutbox("")
	if err != nil {
		b.Fatal(err)
	}
	for i := range n {
		accept(b, box, int64(i+1))
	}
	return box
}

func accept(b *testing.B, box *ledgertest.Outbox, seq int64) {
	b.Helper()
	if err := box.Accept(entry("case-1", seq)); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkSequencer moves 20,000 entries that wait into a log on the disk.
func BenchmarkSequencer(b *testing.B) {
	const n = 20_000
	for b.Loop() {
		b.StopTimer()
		l, box := open(b, b.TempDir(), newKey(b)), outbox(b, n)
		b.StartTimer()
		s := ledger.NewSequencer(box, l)
		for k := 1; k > 0; {
			var err error
			if k, err = s.Step(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
		b.StopTimer()
		l.Close()
		b.StartTimer()
	}
	b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkInclusion is the time from an entry's commit to a published
// checkpoint that proves it: of single entries that come when the log is idle,
// and of streams of them.
func BenchmarkInclusion(b *testing.B) {
	for _, pause := range []time.Duration{300 * time.Millisecond, 0} {
		b.Run(fmt.Sprintf("pause-%s", pause), func(b *testing.B) {
			l, box := open(b, b.TempDir(), newKey(b)), outbox(b, 0)
			s := ledger.NewSequencer(box, l)
			ctx, stop := context.WithCancel(b.Context())
			done := make(chan error)
			go func() { done <- s.Run(ctx, time.Second) }()
			var took []time.Duration
			for seq := int64(1); b.Loop(); seq++ {
				time.Sleep(pause)
				from := time.Now()
				accept(b, box, seq)
				s.Wake()
				cp, err := l.Checkpoint(ctx, uint64(seq))
				if err != nil {
					b.Fatal(err)
				}
				p, err := l.Include(ctx, uint64(seq-1), cp)
				if err == nil {
					err = cp.Includes(uint64(seq-1), entry("case-1", seq).Commitment(), p)
				}
				if err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(from))
			}
			stop()
			if err := <-done; err != nil {
				b.Fatal(err)
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
		})
	}
}

// BenchmarkWriteBundle writes a case of 10,000 entries from a log of 100,000.
func BenchmarkWriteBundle(b *testing.B) {
	const n, others = 10_000, 9
	key := newKey(b)
	l := open(b, b.TempDir(), key)
	var leaves [][32]byte
	for i := range n * (others + 1) {
		leaf := ledgertest.Leaf(i)
		if i%(others+1) == 0 {
			leaf = entry("case-1", int64(i/(others+1)+1)).Commitment()
		}
		leaves = append(leaves, leaf)
	}
	if _, err := l.Append(b.Context(), leaves); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		err := ledger.WriteBundle(b.Context(), io.Discard, l, key, ledger.BundleSource{
			Stream: "case-1", AtLeast: uint64(len(leaves)),
			Entries: func(yield func(ledger.LoggedEntry, error) bool) {
				for i := range n {
					if !yield(ledger.LoggedEntry{Entry: entry("case-1", int64(i+1)), Index: uint64(i * (others + 1))}, nil) {
						return
					}
				}
			},
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}
