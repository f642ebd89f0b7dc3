package bench

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"proofhouse/internal/proofhouse"
)

// tinyDisk mounts a tmpfs of some pages.
func tinyDisk(t *testing.T, bytes string) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("mounting a small file system needs root")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+bytes); err != nil {
		t.Skipf("this machine mounts no tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// A full disk ends the run with a sentence; what was measured stays, and the
// run goes on where it was once there is room.
func TestFullDisk(t *testing.T) {
	for _, full := range []string{"folder", "private"} {
		t.Run(full, func(t *testing.T) {
			disk := tinyDisk(t, "128k")
			setup := fixtureSetup(t, 8, scripted{"noisy", func(ctx context.Context, s *Session) error {
				for range 3 {
					noise := make([]byte, 500)
					_, _ = rand.Read(noise)
					if err := s.Log("info", hex.EncodeToString(noise), nil); err != nil {
						return err
					}
					if _, err := s.Submit(ctx, noise); err != nil {
						return err
					}
				}
				return nil
			}})
			setup.Config.Epochs = 4
			ballast := filepath.Join(disk, "ballast")
			if full == "folder" {
				setup.Folder = filepath.Join(disk, "out")
			} else {
				setup.Private = filepath.Join(disk, "private")
				if err := os.WriteFile(ballast, bytes.Repeat([]byte("x"), 256<<10), 0o644); !isFull(err) {
					t.Fatal("the disk is not full")
				}
			}
			_, err := Run(t.Context(), setup)
			if proofhouse.KindOf(err) != proofhouse.Unavailable || !isFull(err) {
				t.Fatalf("a full disk gives %v", err)
			}
			if entries, _ := filepath.Glob(filepath.Join(setup.Folder, "*.new-*")); len(entries) > 0 {
				t.Errorf("half written: %v", entries)
			}
			if full == "folder" {
				if err := syscall.Mount("tmpfs", disk, "tmpfs", syscall.MS_REMOUNT, "size=8m"); err != nil {
					t.Fatal(err)
				}
			} else if err := os.Remove(ballast); err != nil {
				t.Fatal(err)
			}
			setup.Resume = true
			r := run(t, setup)
			if r.Status != "success" || r.Summary.Scored != 32 {
				t.Errorf("resumed: %s, %+v", r.Status, r.Summary)
			}
		})
	}
}

func isFull(err error) bool { return errors.Is(err, syscall.ENOSPC) }
