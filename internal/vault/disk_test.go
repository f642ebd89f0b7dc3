package vault

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"proofhouse/internal/proofhouse"
)

// tinyDisk mounts a tmpfs of some pages.
func tinyDisk(t *testing.T, size string) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("mounting a small file system needs root")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "mode=700,size="+size); err != nil {
		t.Skipf("this machine mounts no tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill leaves no room on a disk, and gives some again when free is called.
func fill(t *testing.T, disk string) (free func()) {
	t.Helper()
	name := filepath.Join(disk, "ballast")
	if err := os.WriteFile(name, bytes.Repeat([]byte("x"), 2<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk is not full: %v", err)
	}
	return func() { os.Remove(name) }
}

func fullError(t *testing.T, what string, err error) {
	t.Helper()
	if proofhouse.KindOf(err) != proofhouse.Unavailable || !errors.Is(err, syscall.ENOSPC) || !strings.Contains(proofhouse.PublicOf(err), "the disk is full: free some space") {
		t.Errorf("%s: %v", what, err)
	}
}

// TestFullDisk fills the disk of the bodies or that of the heads while
// something is sealed: a clear error, nothing half sealed, and what was there is
// as it was.
func TestFullDisk(t *testing.T) {
	big := strings.Repeat(canary, 40000) // 1.7 MB
	for _, full := range []string{"bodies", "heads"} {
		t.Run(full, func(t *testing.T) {
			disk, dir := tinyDisk(t, "1m"), t.TempDir()
			bodies, heads := filepath.Join(dir, "bodies"), filepath.Join(dir, "heads")
			if full == "bodies" {
				bodies = filepath.Join(disk, "bodies")
			} else {
				heads = filepath.Join(disk, "heads")
			}
			a := New(filepath.Join(dir, "vault"), filepath.Join(dir, "house.key")).Artifacts(bodies, heads)
			defer a.Close()
			if err := a.Create("c"); err != nil {
				t.Fatal(err)
			}
			x := file(t, a, "c", canary)
			before := append(files(t, bodies), files(t, heads)...)
			s, err := a.Seal("c", "", "")
			if err != nil {
				t.Fatal(err)
			}
			if full == "bodies" {
				_, err := io.WriteString(s, big)
				fullError(t, "writing", err)
				_, err = s.Commit()
				fullError(t, "committing after that", err)
				if s, err = a.Seal("c", "", ""); err != nil { // small enough to wait in memory
					t.Fatal(err)
				}
			}
			if _, err := io.WriteString(s, canary); err != nil {
				t.Fatal(err)
			}
			free := fill(t, disk)
			_, err = s.Commit()
			fullError(t, "committing", err)
			if full == "heads" {
				fullError(t, "making a compartment", a.Create("d"))
			}
			if _, err := a.Destroy("c", []proofhouse.Digest{x.ID}, due(t, x.ID), order); full == "heads" {
				fullError(t, "destroying", err)
			} else if err != nil {
				t.Errorf("destroying on a full disk of bodies: %v", err)
			}
			free()
			after := append(files(t, bodies), files(t, heads)...)
			if full == "heads" {
				if strings.Join(before, "\n") != strings.Join(after, "\n") {
					t.Errorf("before %v, after %v", before, after)
				}
				if got, err := read(a, "c", x.ID); err != nil || got != canary {
					t.Errorf("%q, %v", got, err)
				}
			} else if left := files(t, bodies); len(left) != 0 {
				t.Errorf("left is %v", left)
			}
			y := file(t, a, "c", canary)
			if got, err := read(a, "c", y.ID); err != nil || got != canary {
				t.Errorf("with room again: %q, %v", got, err)
			}
		})
	}
}

// TestFullDiskOfTheVault leaves the former artifact of the name as it was.
func TestFullDiskOfTheVault(t *testing.T) {
	disk := tinyDisk(t, "1m")
	v := New(filepath.Join(disk, "vault"), filepath.Join(t.TempDir(), "house.key"))
	defer v.Close()
	create(t, v, "c")
	seal(t, v, "c", "a", "before")
	before := files(t, v.dir)
	s, err := v.Seal("c", "a")
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.WriteString(s, strings.Repeat(canary, 40000))
	fullError(t, "writing", err)
	fullError(t, "committing after that", s.Commit())
	if s, err = v.Seal("c", "a"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(s, canary); err != nil {
		t.Fatal(err)
	}
	free := fill(t, disk)
	fullError(t, "committing", s.Commit())
	free()
	if after := files(t, v.dir); strings.Join(before, "\n") != strings.Join(after, "\n") {
		t.Errorf("before %v, after %v", before, after)
	}
	if got, err := unseal(v, "c", "a"); err != nil || got != "before" {
		t.Errorf("%q, %v", got, err)
	}
}
