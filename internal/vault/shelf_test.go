package vault

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"proofhouse/internal/proofhouse"
)

func TestShelf(t *testing.T) {
	dir := t.TempDir()
	records := New(filepath.Join(dir, "vault"), filepath.Join(dir, "house.key")).Records(filepath.Join(dir, "keys"))
	s := records.Shelf(filepath.Join(dir, "shelf"))
	canary := []byte("canary-of-the-shelf")
	d, err := s.Put("project-1", canary)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := s.Put("project-1", canary); err != nil || again != d {
		t.Fatal(again, err)
	}
	if b, err := s.Open("project-1", d); err != nil || !bytes.Equal(b, canary) {
		t.Fatalf("%q %v", b, err)
	}
	for name, of := range map[string]proofhouse.Digest{"project-2": d, "project-1": proofhouse.DigestOf([]byte("x"))} {
		if _, err := s.Open(name, of); proofhouse.KindOf(err) != proofhouse.NotFound {
			t.Errorf("%s: %v", name, err)
		}
	}
	all, err := filepath.Glob(filepath.Join(dir, "shelf", "project-1", "*"))
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	sealed, err := os.ReadFile(all[0])
	if err != nil || bytes.Contains(sealed, canary) || bytes.Contains([]byte(all[0]), []byte(d.Hex())) {
		t.Errorf("it shows: %v", err)
	}
	sealed[len(sealed)/2] ^= 1
	if err := os.WriteFile(all[0], sealed, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Open("project-1", d); proofhouse.KindOf(err) != proofhouse.Integrity {
		t.Errorf("changed: %v", err)
	}
	if err := records.Shred("project-1"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Open("project-1", d); proofhouse.KindOf(err) != proofhouse.NotFound {
		t.Errorf("shredded: %v", err)
	}
}
