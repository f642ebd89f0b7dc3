package posix

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"proofhouse/internal/ledger"
	"proofhouse/internal/proofhouse"
)

// TestKept: the log keeps each checkpoint that was published, through a line that a
// kill cut off, and a copy has them too.
func TestKept(t *testing.T) {
	dir, key := t.TempDir(), newKey(t)
	l := open(t, dir, key)
	var seen []ledger.Checkpoint
	for i := range 5 {
		seen = append(seen, fill(t, l, 3*i, 3*i+3))
	}
	keeps := func(l *Log, upTo uint64, want []ledger.Checkpoint) {
		t.Helper()
		all, err := l.Kept("case-x", upTo, nil, 100)
		if err != nil {
			t.Fatal(err)
		}
		had := map[uint64]ledger.Checkpoint{}
		for _, cp := range all {
			if _, err := ledger.ParseCheckpoint(cp.Note, l.Key()); err != nil || cp.Size > upTo {
				t.Errorf("kept of %d leaves, asked up to %d: %v", cp.Size, upTo, err)
			}
			had[cp.Size] = cp
		}
		for _, cp := range want {
			if had[cp.Size].Root != cp.Root {
				t.Errorf("the checkpoint of %d leaves is not kept", cp.Size)
			}
		}
	}
	keeps(l, 15, seen)
	keeps(l, 9, seen[:3])
	to := filepath.Join(t.TempDir(), "log")
	if _, err := CopyFolder(dir, to); err != nil {
		t.Fatal(err)
	}
	keeps(open(t, to, key), 15, seen)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, keptName)
	add := func(text string) {
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	add(`"review.example/l`)
	l = open(t, dir, key)
	keeps(l, 20, append(seen, fill(t, l, 15, 20)))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	// In its midst it is found when it is read, and not before.
	if err := os.WriteFile(name, append([]byte("{}\n"), whole...), 0o600); err != nil {
		t.Fatal(err)
	}
	l = open(t, dir, key)
	if _, err := l.Kept("case-x", 20, nil, 100); proofhouse.KindOf(err) != proofhouse.Integrity {
		t.Errorf("a line in the midst that is no checkpoint: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	add("{}\n")
	if _, err := Open(t.Context(), dir, Options{Origin: origin, Key: key}); proofhouse.KindOf(err) != proofhouse.Integrity {
		t.Errorf("a line that is no checkpoint: %v", err)
	}
	// A log from before there was the file has at least its last one.
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	l = open(t, dir, key)
	last, err := l.Checkpoint(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	keeps(l, last.Size, []ledger.Checkpoint{last})
}

// TestChoose: of too many, those that went out, those that cover the leaves that are asked about, and the newest.
func TestChoose(t *testing.T) {
	var all []keptAt
	for i := range 100 {
		all = append(all, keptAt{size: uint64(10 * (i + 1))})
	}
	sizes := func(out givenOut, leaves []uint64, most int) (list []uint64) {
		for _, p := range choose(all, out, leaves, most) {
			list = append(list, p.size)
		}
		return list
	}
	many := []uint64{30, 40, 50, 60, 70, 80}
	for _, c := range []struct {
		out    givenOut
		leaves []uint64
		most   int
		want   string
	}{
		{givenOut{}, []uint64{4, 9, 10, 500}, 8, "[10 20 510 960 970 980 990 1000]"},
		{givenOut{}, []uint64{4, 105, 205, 500}, 4, "[210 510 990 1000]"},
		{givenOut{}, []uint64{2000}, 2, "[990 1000]"},
		{givenOut{}, nil, 3, "[980 990 1000]"},
		{givenOut{bundles: many}, []uint64{4}, 6, "[30 40 50 60 70 80]"},
		{givenOut{bundles: many}, []uint64{4}, 4, "[50 60 70 80]"},
		{givenOut{bundles: []uint64{20, 20, 25}, others: many}, nil, 5, "[20 70 80 990 1000]"}, // of 25 there is none
		{givenOut{bundles: []uint64{20}, receipts: many, others: []uint64{90, 100, 110}}, []uint64{4, 14}, 9, "[10 20 50 60 70 80 100 110 1000]"},
	} {
		if got := fmt.Sprint(sizes(c.out, c.leaves, c.most)); got != c.want {
			t.Errorf("%v, %v, at most %d: %s, want %s", c.out, c.leaves, c.most, got, c.want)
		}
	}
	if n := len(choose(all, givenOut{}, nil, 100)); n != 100 {
		t.Errorf("%d of 100", n)
	}
}

// TestGive: what went out is recorded of its stream, through a line that a kill cut
// off, in a copy too, and is carried before what did not.
func TestGive(t *testing.T) {
	dir, key := t.TempDir(), newKey(t)
	l := open(t, dir, key)
	for i := range 6 {
		fill(t, l, 3*i, 3*i+3)
	}
	give := func(in Given, stream string, size uint64) {
		t.Helper()
		if err := l.Give(in, stream, size); err != nil {
			t.Fatal(err)
		}
	}
	carries := func(l *Log, stream string, want uint64) {
		t.Helper()
		list, err := l.Kept(stream, 18, nil, 2)
		if err != nil || len(list) != 2 || list[0].Size != want || list[1].Size != 18 {
			t.Errorf("for %s: %d, want %d and 18: %v", stream, len(list), want, err)
		}
	}
	give(InBundle, "case-one", 3)
	give(InBundle, "case-one", 3)
	give(InReceipt, "case-two", 6)
	carries(l, "case-one", 3)
	carries(l, "case-two", 6)
	carries(l, "case-three", 3)
	to := filepath.Join(t.TempDir(), "log")
	if _, err := CopyFolder(dir, to); err != nil {
		t.Fatal(err)
	}
	carries(open(t, to, key), "case-one", 3)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, givenName)
	raw, err := os.ReadFile(name)
	if err != nil || strings.Count(string(raw), "\n") != 2 || strings.Contains(string(raw), "case-") {
		t.Errorf("%s, %v", raw, err)
	}
	if err := os.WriteFile(name, append(raw, "bundle 00"...), 0o600); err != nil {
		t.Fatal(err)
	}
	l = open(t, dir, key)
	give(InBundle, "case-two", 9)
	carries(l, "case-two", 9)
	carries(l, "case-one", 3)
	if err := os.WriteFile(name, append([]byte("bundle of\n"), raw...), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Kept("case-one", 18, nil, 2); proofhouse.KindOf(err) != proofhouse.Integrity {
		t.Errorf("a line that is none: %v", err)
	}
}
