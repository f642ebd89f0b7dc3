package sandbox

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// However a stream is cut into writes, what is kept is its head and its tail,
// and the count of the rest.
func TestCaptureKeepsHeadAndTail(t *testing.T) {
	for range 2000 {
		limit, size := 1+rand.IntN(40), rand.IntN(120)
		stream := make([]byte, size)
		for i := range stream {
			stream[i] = byte(i)
		}
		c := &Capture{Max: int64(limit)}
		for rest := stream; len(rest) > 0; {
			n := 1 + rand.IntN(len(rest))
			if k, err := c.Write(rest[:n]); k != n || err != nil {
				t.Fatalf("wrote %d of %d, %v", k, n, err)
			}
			rest = rest[n:]
		}
		want := Output{Head: stream}
		if size > limit {
			head, tail := limit-limit/2, limit/2
			want = Output{Head: stream[:head], Tail: stream[size-tail:], Dropped: int64(size - limit)}
		}
		got := c.Output()
		if !bytes.Equal(got.Head, want.Head) || !bytes.Equal(got.Tail, want.Tail) || got.Dropped != want.Dropped {
			t.Fatalf("limit %d, size %d: got %v, want %v", limit, size, got, want)
		}
	}
}
