package vault

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"filippo.io/age"

	"proofhouse/internal/proofhouse"
)

// prepared is an artifact that waits for its name.
func prepared(t *testing.T, a *Artifacts) (*Filing, Artifact) {
	t.Helper()
	s, err := a.Seal("c", "x", "text/plain")
	if err == nil {
		_, err = io.WriteString(s, canary)
	}
	var x Artifact
	if err == nil {
		x, err = s.Prepare()
	}
	if err != nil {
		t.Fatal(err)
	}
	return s, x
}

// TestSettle has a process die between preparing an artifact and naming it:
// whether it was recorded decides.
func TestSettle(t *testing.T) {
	for _, recorded := range []bool{true, false} {
		a := newArtifacts(t)
		if err := a.Create("c"); err != nil {
			t.Fatal(err)
		}
		other := file(t, a, "c", "another")
		s, x := prepared(t, a)
		if _, err := read(a, "c", x.ID); proofhouse.KindOf(err) != proofhouse.NotFound {
			t.Errorf("before it has its name: %v", err)
		}
		s.Leave() // as the process that dies does
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		b := another(t, a)
		asked := 0
		if err := b.Settle(func(compartment string, id proofhouse.Digest) (bool, error) {
			asked++
			if compartment != "c" || id != x.ID {
				t.Errorf("asked about %s in %s", id, compartment)
			}
			return recorded, nil
		}); err != nil || asked != 1 {
			t.Fatal(asked, err)
		}
		got, err := read(b, "c", x.ID)
		if recorded && (err != nil || got != canary) || !recorded && proofhouse.KindOf(err) != proofhouse.NotFound {
			t.Errorf("recorded: %v, read %q, %v", recorded, got, err)
		}
		if got, err := read(b, "c", other.ID); err != nil || got != "another" {
			t.Errorf("the other one is %q, %v", got, err)
		}
		want := map[bool]int{true: 2, false: 1}[recorded]
		if n := len(files(t, a.bodies)); n != want {
			t.Errorf("recorded: %v, and %d bodies", recorded, n)
		}
		for _, name := range append(files(t, a.bodies), files(t, a.heads)...) {
			if strings.HasSuffix(name, newSuffix) {
				t.Errorf("%s is left", filepath.Base(name))
			}
		}
	}
}

// TestSettleWaits: as long as another process works on the artifacts, what it prepared is its own.
func TestSettleWaits(t *testing.T) {
	a := newArtifacts(t)
	if err := a.Create("c"); err != nil {
		t.Fatal(err)
	}
	s, x := prepared(t, a)
	if err := another(t, a).Settle(func(string, proofhouse.Digest) (bool, error) { return false, nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Commit(); err != nil {
		t.Fatal(err)
	}
	if got, err := read(a, "c", x.ID); err != nil || got != canary {
		t.Errorf("%q, %v", got, err)
	}
}

// TestPrepared: an artifact that was prepared and given up leaves nothing, one that
// is prepared is not destroyed around, and its end is its end.
func TestPrepared(t *testing.T) {
	a := newArtifacts(t)
	if err := a.Create("c"); err != nil {
		t.Fatal(err)
	}
	before := len(files(t, a.heads))
	s, _ := prepared(t, a)
	s.Abort()
	if _, err := s.Commit(); err == nil {
		t.Error("committed after the end")
	}
	if n := len(files(t, a.bodies)) + len(files(t, a.heads)) - before; n != 0 {
		t.Errorf("%d files are left", n)
	}
	s, x := prepared(t, a)
	lock, err := os.Open(a.head("c", recipientName))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); !errors.Is(err, syscall.EWOULDBLOCK) {
		t.Errorf("a shredding would not wait for what is prepared: %v", err)
	}
	if _, err := s.Commit(); err != nil {
		t.Fatal(err)
	}
	s.Abort()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		t.Errorf("a shredding would wait for what is over: %v", err)
	}
	if got, err := read(a, "c", x.ID); err != nil || got != canary {
		t.Errorf("%q, %v", got, err)
	}
}

// TestInspect reads what was sealed before it is an artifact, custodians or not.
func TestInspect(t *testing.T) {
	a := newArtifacts(t)
	first, err1 := age.GenerateHybridIdentity()
	second, err2 := age.GenerateHybridIdentity()
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if err := a.Create("c", first.Recipient().String(), second.Recipient().String()); err != nil {
		t.Fatal(err)
	}
	text := strings.Repeat(canary, 10_000)
	s, err := a.Seal("c", "", "")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Abort()
	if _, err := io.WriteString(s, text); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Inspect(func(r io.ReaderAt, size int64) error {
			b, err := io.ReadAll(io.NewSectionReader(r, 0, size))
			if err != nil || string(b) != text {
				t.Errorf("%d bytes, %v", len(b), err)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := io.WriteString(s, "more"); err == nil {
		t.Error("something was written behind what was inspected")
	}
	if n := files(t, a.heads); len(n) > 4 {
		t.Errorf("there is a head: %v", n)
	}
	for _, name := range files(t, a.bodies) {
		b, err := os.ReadFile(name)
		if err != nil || strings.Contains(string(b), canary) {
			t.Errorf("it lies in the open, %v", err)
		}
	}
}
