package app

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/docket"
	"proofhouse/internal/ledger/posix"
	"proofhouse/internal/proofhouse"
)

// TestHouseFullDisk fills the disk of a house that is served, database, log
// and all: it says so, nothing that it answered is lost, and when there is room it goes
// on by itself. A backup that finds no room leaves nothing that looks like one.
func TestHouseFullDisk(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("mounting a small file system needs root")
	}
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "mode=700,size=24m"); err != nil {
		t.Skipf("this machine mounts no tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	s := serveHouse(t, filepath.Join(disk, "data"), "")
	s.populate(t)
	c, err := s.as("ada").Open(t.Context(), wire.Open{OpenCase: docket.OpenCase{Codename: "heron", Variants: []string{"a"}}, Profile: "institute"}, "")
	if err != nil {
		t.Fatal(err)
	}
	announce := func() error {
		_, err := s.as("ada").Do(t.Context(), c.ID, docket.Announce{Date: time.Now()}, wire.Options{})
		return err
	}
	ballast := filepath.Join(disk, "ballast")
	if err := os.WriteFile(ballast, bytes.Repeat([]byte("x"), 32<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk is not full: %v", err)
	}
	answered := 1
	for ; ; answered++ { // what room a file has left to its last page
		if err = announce(); err != nil {
			break
		}
	}
	if proofhouse.KindOf(err) != proofhouse.Unavailable {
		t.Errorf("on a full disk: %v", err)
	}
	if _, err := s.as("ada").Case(t.Context(), c.ID); err != nil {
		t.Errorf("reading on a full disk: %v", err)
	}
	folder := filepath.Join(disk, "backup")
	if _, err := s.app.Backup(t.Context(), folder, "", time.Now()); proofhouse.KindOf(err) != proofhouse.Unavailable {
		t.Errorf("a backup on a full disk: %v", err)
	}
	if _, err := os.Stat(folder); err == nil {
		t.Error("a backup that found no room is there")
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if err := announce(); err != nil {
		t.Fatalf("with room again: %v", err)
	}
	if p := s.proves(t, c.ID, s.receipt(t, c.ID, answered+1)); p.Case.Events != answered+1 {
		t.Errorf("%d events were answered, and %d are there", answered+1, p.Case.Events)
	}
}

// TestHouseOldLog serves a house whose log's folder was put back from an old
// copy: nothing is appended to it, and cases go on.
func TestHouseOldLog(t *testing.T) {
	data, old := t.TempDir(), filepath.Join(t.TempDir(), "log")
	a, err := Open(t.Context(), Config{Data: data, HouseKey: filepath.Join(data, "keys", "house.key")})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	var s *served
	var id proofhouse.CaseID
	t.Run("before", func(t *testing.T) {
		s = serveHouse(t, data, "")
		s.populate(t)
		c, err := s.as("ada").Open(t.Context(), wire.Open{OpenCase: docket.OpenCase{Codename: "heron", Variants: []string{"a"}}, Profile: "institute"}, "")
		if err != nil {
			t.Fatal(err)
		}
		id = c.ID
		s.receipt(t, id, 1)
		if _, err := posix.CopyFolder(a.Config.dir("log"), old); err != nil {
			t.Fatal(err)
		}
		s.do(t, "ada", id, docket.Announce{Date: time.Now()})
		s.receipt(t, id, 2)
	})
	if err := errors.Join(os.RemoveAll(a.Config.dir("log")), os.Rename(old, a.Config.dir("log"))); err != nil {
		t.Fatal(err)
	}
	again := s.serveRestored(t, a, "")
	size, err := again.log.Size(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		again.do(t, "ada", id, docket.Announce{Date: time.Now()})
		time.Sleep(50 * time.Millisecond)
	}
	if now, err := again.log.Size(t.Context()); err != nil || now != size {
		t.Errorf("the log had %d leaves and has %d: %v", size, now, err)
	}
}
