package posix

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"proofhouse/internal/ledger"
	"proofhouse/internal/ledger/ledgertest"
	"proofhouse/internal/proofhouse"
)

// TestCopyFolder copies a log while it grows: each copy opens as the log that it was
// a moment ago, and goes on.
func TestCopyFolder(t *testing.T) {
	dir, key := t.TempDir(), newKey(t)
	l := open(t, dir, key)
	fill(t, l, 0, 250)
	ctx, stop := context.WithCancel(t.Context())
	growing := make(chan error, 1)
	go func() {
		for i := 250; ; i += 7 {
			var leaves [][32]byte
			for j := range 7 {
				leaves = append(leaves, ledgertest.Leaf(i+j))
			}
			if _, err := l.Append(context.Background(), leaves); err != nil || ctx.Err() != nil {
				growing <- err
				return
			}
		}
	}()
	var last ledger.Checkpoint
	for range 8 {
		to := filepath.Join(t.TempDir(), "log")
		size, err := CopyFolder(dir, to)
		if err != nil || size < last.Size {
			t.Fatalf("%d leaves after %d: %v", size, last.Size, err)
		}
		again := open(t, to, key)
		if n, err := again.Size(t.Context()); err != nil || n != size {
			t.Errorf("the copy of %d leaves has %d: %v", size, n, err)
		}
		leaves, err := again.Leaves(t.Context(), 0, size)
		if err != nil {
			t.Fatal(err)
		}
		for i, leaf := range leaves {
			if leaf != ledgertest.Leaf(i) {
				t.Fatalf("leaf %d of the copy is another", i)
			}
		}
		cp := fill(t, again, 1_000_000, 1_000_300)
		if p, err := again.Extend(t.Context(), last.Size, cp); err != nil || last.Origin != "" && cp.Extends(last, p) != nil {
			t.Errorf("the copy does not go on from %d leaves: %v", last.Size, err)
		}
		if last, err = l.Checkpoint(t.Context(), size); err != nil { // the next copy goes on from it
			t.Fatal(err)
		}
	}
	stop()
	if err := <-growing; err != nil {
		t.Fatal(err)
	}
	if _, err := CopyFolder(t.TempDir(), filepath.Join(t.TempDir(), "log")); proofhouse.KindOf(err) != proofhouse.NotFound {
		t.Errorf("a folder without a log: %v", err)
	}
	if _, err := CopyFolder(dir, t.TempDir()); proofhouse.KindOf(err) != proofhouse.Conflict {
		t.Errorf("a folder that is there: %v", err)
	}
}

// TestCopyFolderDamaged: one byte anywhere in what a tree consists of is found, and
// nothing is left that could be taken for a copy.
func TestCopyFolderDamaged(t *testing.T) {
	dir, key := t.TempDir(), newKey(t)
	l := open(t, dir, key)
	fill(t, l, 0, 300)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1", "tile/entries/000", "tile/entries/001.p/44", ".state/treeState"} {
		flip(t, filepath.Join(dir, name))
		to := filepath.Join(t.TempDir(), "log")
		if _, err := CopyFolder(dir, to); proofhouse.KindOf(err) != proofhouse.Integrity {
			t.Errorf("%s was changed: %v", name, err)
		}
		if _, err := os.Stat(to); err == nil {
			t.Errorf("%s was changed, and a copy is there", name)
		}
		flip(t, filepath.Join(dir, name))
	}
	if _, err := CopyFolder(dir, filepath.Join(t.TempDir(), "log")); err != nil {
		t.Errorf("it is whole again: %v", err)
	}
}
