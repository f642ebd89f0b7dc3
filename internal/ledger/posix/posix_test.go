package posix

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"proofhouse/internal/ledger"
	"proofhouse/internal/ledger/ledgertest"
	"proofhouse/internal/proofhouse"
)

const origin = "review.example/log"

func newKey(t testing.TB) *ledger.Key {
	t.Helper()
	k, err := ledger.CreateKey(t.TempDir(), "log")
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func open(t testing.TB, dir string, key *ledger.Key) *Log {
	t.Helper()
	l, err := Open(t.Context(), dir, Options{Origin: origin, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// fill appends leaves from..to-1 and waits for a checkpoint over them.
func fill(t testing.TB, l *Log, from, to int) ledger.Checkpoint {
	t.Helper()
	var leaves [][32]byte
	for i := from; i < to; i++ {
		leaves = append(leaves, ledgertest.Leaf(i))
	}
	indexes, err := l.Append(t.Context(), leaves)
	if err != nil {
		t.Fatal(err)
	}
	cp, err := l.Checkpoint(t.Context(), indexes[len(indexes)-1]+1)
	if err != nil {
		t.Fatal(err)
	}
	return cp
}

func TestLog(t *testing.T) {
	dir, key := t.TempDir(), newKey(t)
	ledgertest.TestPublicLog(t, func(t *testing.T) (ledger.PublicLog, func()) {
		l := open(t, dir, key)
		return l, func() {
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestHeld: one holder at a time, in this process or another.
func TestHeld(t *testing.T) {
	dir, key := t.TempDir(), newKey(t)
	l := open(t, dir, key)
	if _, err := Open(t.Context(), dir, Options{Origin: origin, Key: key}); proofhouse.KindOf(err) != proofhouse.Conflict {
		t.Errorf("a second holder: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(t.Context(), make([][32]byte, 1)); proofhouse.KindOf(err) != proofhouse.Unavailable {
		t.Errorf("an append to a closed log: %v", err)
	}
	open(t, dir, key)
}

// TestRefused: what is not this log is not taken for it, and is left as it is.
func TestRefused(t *testing.T) {
	for _, c := range []struct {
		name  string
		kind  proofhouse.Kind
		plant func(t *testing.T, dir string, o *Options)
	}{
		{"no key", proofhouse.Invalid, func(_ *testing.T, _ string, o *Options) { o.Key = nil }},
		{"a name with a space", proofhouse.Invalid, func(_ *testing.T, _ string, o *Options) { o.Origin = "a b" }},
		{"another key", proofhouse.Integrity, func(t *testing.T, _ string, o *Options) { o.Key = newKey(t) }},
		{"another name", proofhouse.Integrity, func(_ *testing.T, _ string, o *Options) { o.Origin = "other.example/log" }},
		{"no state", proofhouse.Integrity, func(t *testing.T, dir string, _ *Options) {
			if err := os.Remove(filepath.Join(dir, ".state", "treeState")); err != nil {
				t.Fatal(err)
			}
		}},
		{"a changed tile", proofhouse.Integrity, func(t *testing.T, dir string, _ *Options) { flip(t, filepath.Join(dir, "tile", "0", "001.p", "44")) }},
		{"a changed checkpoint", proofhouse.Integrity, func(t *testing.T, dir string, _ *Options) { flip(t, filepath.Join(dir, "checkpoint")) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, key := t.TempDir(), newKey(t)
			l := open(t, dir, key)
			fill(t, l, 0, 300)
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			o := Options{Origin: origin, Key: key}
			c.plant(t, dir, &o)
			before := text(t, dir)
			if _, err := Open(t.Context(), dir, o); proofhouse.KindOf(err) != c.kind {
				t.Errorf("got %v, want %s", err, c.kind)
			}
			if !bytes.Equal(before, text(t, dir)) {
				t.Error("the folder was changed")
			}
		})
	}
}

// flip changes the last byte but one of a file.
func flip(t *testing.T, name string) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-2] ^= 1
	if err := os.WriteFile(name, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// text is all that a folder holds.
func text(t *testing.T, dir string) []byte {
	t.Helper()
	var out bytes.Buffer
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(name)
		fmt.Fprintf(&out, "%s\n%x\n", name, b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestDamaged: no proof is given from a tile that was changed under an open
// log, and nothing is signed over it.
func TestDamaged(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, newKey(t))
	cp := fill(t, l, 0, 300)
	flip(t, filepath.Join(dir, "tile", "0", "000"))
	l.copy.known = nil // what was checked before is known to be good
	if _, err := l.Include(t.Context(), 17, cp); proofhouse.KindOf(err) != proofhouse.Integrity {
		t.Errorf("a proof over a changed tile: %v", err)
	}
	flip(t, filepath.Join(dir, "tile", "0", "000"))
	if _, err := l.Include(t.Context(), 17, cp); err != nil {
		t.Errorf("the tile is as it was: %v", err)
	}
}

// TestCopy: a copy of the folder proves what the log would, without its key.
func TestCopy(t *testing.T) {
	dir := t.TempDir()
	if _, err := OpenCopy(dir); proofhouse.KindOf(err) != proofhouse.NotFound {
		t.Errorf("an empty folder: %v", err)
	}
	l := open(t, dir, newKey(t))
	older := fill(t, l, 0, 7)
	cp := fill(t, l, 7, 300)
	copied := t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	c, err := OpenCopy(copied)
	if err != nil {
		t.Fatal(err)
	}
	p, err := c.Extend(t.Context(), 7, cp)
	if err == nil {
		err = cp.Extends(older, p)
	}
	if err != nil {
		t.Error(err)
	}
	cp.Root[0] ^= 1
	if _, err := c.Extend(t.Context(), 7, cp); proofhouse.KindOf(err) != proofhouse.Integrity {
		t.Errorf("another log's checkpoint: %v", err)
	}
}

// TestCareful: the key signs nothing that does not go on from what it signed.
func TestCareful(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	key := newKey(t)
	l := open(t, dir, key)
	fill(t, l, 0, 5)
	notes, err := key.NoteSigner(origin)
	if err != nil {
		t.Fatal(err)
	}
	c := &careful{Signer: notes, log: l}
	sign := func(cp ledger.Checkpoint) error {
		text, _, _ := bytes.Cut(cp.Note, []byte("\n\n"))
		_, err := c.Sign(append(text, '\n'))
		return err
	}
	if err := sign(fill(t, l, 5, 7)); err != nil {
		t.Fatalf("what goes on: %v", err)
	}
	if err := sign(fill(t, l, 7, 9)); err != nil {
		t.Fatalf("what goes on: %v", err)
	}
	fork := open(t, other, newKey(t))
	smaller := fill(t, fork, 100, 103)
	same := fill(t, fork, 103, 109)
	larger := fill(t, fork, 109, 120)
	for name, cp := range map[string]ledger.Checkpoint{"a smaller tree": smaller, "another tree of the same size": same, "a larger fork": larger} {
		c.log = &Log{dir: other, key: l.key, copy: &Copy{dir: other}} // as if the folder had been replaced
		if err := sign(cp); proofhouse.KindOf(err) != proofhouse.Integrity {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestClockSetBack: a checkpoint from the future does not stop publication.
func TestClockSetBack(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, newKey(t))
	fill(t, l, 0, 1)
	later := time.Now().Add(24 * time.Hour)
	if err := os.Chtimes(filepath.Join(dir, "checkpoint"), later, later); err != nil {
		t.Fatal(err)
	}
	fill(t, l, 1, 2)
}

// TestKilled kills a process that accepts entries and moves them into the log,
// with kill -9 at any point, again and again. Each accepted entry stands in the
// log once, where the outbox says, and every checkpoint ever seen goes on from
// the one before.
func TestKilled(t *testing.T) {
	const child = "PROOFHOUSE_POSIX_CHILD"
	if dir := os.Getenv(child); dir != "" {
		killed(dir)
	}
	rounds := 25
	if testing.Short() {
		rounds = 5
	}
	dir := t.TempDir()
	key, err := ledger.CreateKey(dir, "log")
	if err != nil {
		t.Fatal(err)
	}
	accepted := map[string]bool{}
	var seen []ledger.Checkpoint
	look := func(raw []byte) {
		k, err := key.PublicKey().VerifierKey(origin)
		if err != nil {
			t.Fatal(err)
		}
		cp, err := ledger.ParseCheckpoint(raw, k)
		if err != nil {
			t.Fatal(err)
		}
		seen = append(seen, cp)
	}
	for round := range rounds {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilled$")
		cmd.Env = append(os.Environ(), child+"="+dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		r := bufio.NewScanner(out)
		for n, stop := 0, 1+rand.IntN(200); r.Scan(); n++ {
			if id, ok := strings.CutPrefix(r.Text(), "accepted "); ok {
				accepted[id] = true
			}
			if n == stop {
				time.Sleep(time.Duration(rand.IntN(150_000)) * time.Microsecond)
				if raw, err := os.ReadFile(filepath.Join(dir, "log", "checkpoint")); err == nil {
					look(raw)
				}
				_ = cmd.Process.Kill()
			}
		}
		_ = cmd.Wait()
		if raw, err := os.ReadFile(filepath.Join(dir, "log", "checkpoint")); err == nil {
			look(raw)
		}
		if t.Failed() {
			t.Fatalf("round %d", round)
		}
	}

	l := open(t, filepath.Join(dir, "log"), key)
	box, err := ledgertest.OpenOutbox(filepath.Join(dir, "outbox"))
	if err != nil {
		t.Fatal(err)
	}
	s := ledger.NewSequencer(box, l)
	for n := 1; n > 0; {
		if n, err = s.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	size, err := l.Size(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	leaves, err := l.Leaves(t.Context(), 0, size)
	if err != nil {
		t.Fatal(err)
	}
	stands := map[[32]byte]bool{}
	for i, leaf := range leaves {
		if stands[leaf] {
			t.Errorf("leaf %d stands twice", i)
		}
		stands[leaf] = true
	}
	for id := range accepted {
		var seq int64
		stream, _, _ := strings.Cut(id, " ")
		fmt.Sscan(id, &stream, &seq)
		index, ok := box.Index(stream, seq)
		if !ok || index >= size || leaves[index] != entry(stream, seq).Commitment() {
			t.Errorf("entry %s, which was accepted: place %d, %v, of %d leaves", id, index, ok, size)
		}
	}
	if n, err := box.Placed(t.Context()); err != nil || n != size {
		t.Errorf("the outbox accounts for %d leaves of %d, %v", n, size, err)
	}
	cp, err := l.Checkpoint(t.Context(), size)
	if err != nil {
		t.Fatal(err)
	}
	seen = append(seen, cp)
	for i, older := range seen {
		newer := cp
		if i+1 < len(seen) {
			newer = seen[i+1]
		}
		p, err := l.Extend(t.Context(), older.Size, cp)
		if err == nil {
			err = cp.Extends(older, p)
		}
		if err != nil || newer.Size < older.Size {
			t.Errorf("checkpoint %d of %d leaves: %v; the next has %d", i, older.Size, err, newer.Size)
		}
	}
	t.Logf("%d entries told to be accepted, %d leaves, %d checkpoints seen", len(accepted), size, len(seen))
}

// entry is made from its name, so that parent and child make the same.
func entry(stream string, seq int64) ledger.Entry {
	return ledger.Entry{Stream: stream, Seq: seq, Body: fmt.Appendf(nil, `{"n":%d}`, seq), Salt: ledgertest.Leaf(int(seq))}
}

// killed accepts and sequences until it is killed.
func killed(dir string) {
	ctx := context.Background()
	key, err := ledger.OpenKey(dir, "log")
	if err != nil {
		panic(err)
	}
	l, err := Open(ctx, filepath.Join(dir, "log"), Options{Origin: origin, Key: key})
	if err != nil {
		panic(err)
	}
	box, err := ledgertest.OpenOutbox(filepath.Join(dir, "outbox"))
	if err != nil {
		panic(err)
	}
	s := ledger.NewSequencer(box, l)
	go func() {
		if err := s.Run(ctx, time.Millisecond); err != nil {
			panic(err)
		}
	}()
	stream := fmt.Sprintf("case-%d", time.Now().UnixNano())
	for seq := int64(1); ; seq++ {
		if err := box.Accept(entry(stream, seq)); err != nil {
			panic(err)
		}
		fmt.Fprintf(os.Stdout, "accepted %s %d\n", stream, seq)
		s.Wake()
		if seq%50 == 0 {
			time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
		}
	}
}
