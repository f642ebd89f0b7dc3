package posix

import (
	"fmt"
	"os"
	"path/filepath"
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
		all, err := l.Kept(upTo, nil, 100)
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
	if _, err := l.Kept(20, nil, 100); proofhouse.KindOf(err) != proofhouse.Integrity {
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

// TestChoose: of too many, those that cover the leaves that are asked about, and the newest.
func TestChoose(t *testing.T) {
	var all []keptAt
	for i := range 100 {
		all = append(all, keptAt{size: uint64(10 * (i + 1))})
	}
	sizes := func(leaves []uint64, most int) (out []uint64) {
		for _, p := range choose(all, leaves, most) {
			out = append(out, p.size)
		}
		return out
	}
	for _, c := range []struct {
		leaves []uint64
		most   int
		want   string
	}{
		{[]uint64{4, 9, 10, 500}, 8, "[10 20 510 960 970 980 990 1000]"},
		{[]uint64{4, 105, 205, 500}, 4, "[210 510 990 1000]"},
		{[]uint64{2000}, 2, "[990 1000]"},
		{nil, 3, "[980 990 1000]"},
	} {
		if got := fmt.Sprint(sizes(c.leaves, c.most)); got != c.want {
			t.Errorf("%v, at most %d: %s, want %s", c.leaves, c.most, got, c.want)
		}
	}
	if n := len(choose(all, nil, 100)); n != 100 {
		t.Errorf("%d of 100", n)
	}
}
