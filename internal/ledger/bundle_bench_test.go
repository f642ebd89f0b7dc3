package ledger_test

import (
	"bytes"
	"testing"

	"proofhouse/internal/ledger"
	"proofhouse/internal/ledger/ledgertest"
)

// BenchmarkVerifyBundle verifies a case of 10,000 entries of half a kilobyte
// in a log of 100,000.
func BenchmarkVerifyBundle(b *testing.B) {
	const n, others = 10_000, 9
	key := testKey(b, 1)
	log := ledgertest.NewMemory(origin, key)
	body := append(bytes.Repeat([]byte(`{"what":"`), 1), append(bytes.Repeat([]byte("x"), 490), `"}`...)...)
	var entries []ledger.LoggedEntry
	for i := range n {
		e := ledger.Entry{Stream: stream, Seq: int64(i + 1), Body: body, Salt: ledgertest.Leaf(i)}
		leaves := [][32]byte{e.Commitment()}
		for k := range others {
			leaves = append(leaves, ledgertest.Leaf(-1-others*i-k))
		}
		index, err := log.Append(b.Context(), leaves)
		if err != nil {
			b.Fatal(err)
		}
		entries = append(entries, ledger.LoggedEntry{Entry: e, Index: index[0]})
	}
	var text bytes.Buffer
	if err := ledger.WriteBundle(b.Context(), &text, log, key, ledger.BundleSource{Stream: stream, Entries: each(entries)}); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(text.Len()))
	b.ReportAllocs()
	for b.Loop() {
		r, err := ledger.VerifyBundle(b.Context(), bytes.NewReader(text.Bytes()), ledger.VerifyOptions{}, nil)
		if err != nil || r.Entries != n {
			b.Fatal(r, err)
		}
	}
}
