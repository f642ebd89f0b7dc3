package main

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/app"
	"proofhouse/internal/docket"
	"proofhouse/internal/policy"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/store/storetest"
)

// TestVaultKilled kills the program that serves with kill -9 while it seals artifacts of a case and while it destroys
// them. What was answered is there once and opens; what is said to be destroyed opens nowhere, and leaves no file;
// what was ordered is carried out by the next process.
func TestVaultKilled(t *testing.T) {
	rounds := 16
	if testing.Short() {
		rounds = 3
	}
	storetest.EachAddress(t, func(t *testing.T, database string) {
		data := t.TempDir()
		up := func() *program {
			return start(t, "serve", "--data", data, "--database", database, "--addr", "127.0.0.1:0", "--log-name", "review.example/log")
		}
		p := up()
		w := settle(t, data, database, p)
		id := w.open(t, p)
		w.directory(t, func(d app.Directory) {
			if err := d.GiveRole(t.Context(), w.principal(t, d, "ann"), "bob@lab", policy.HouseSecurityOfficer, time.Now()); err != nil {
				t.Fatal(err)
			}
			if err := d.GiveClearance(t.Context(), w.principal(t, d, "bob"), "ada@lab", docket.Compartment(id, ""), time.Now()); err != nil {
				t.Fatal(err)
			}
		})
		// killed runs do against a house that is killed meanwhile, at a moment at random, and gives its error.
		killed := func(do func() error) error {
			done := make(chan error, 1)
			go func() { done <- do() }()
			time.Sleep(time.Duration(rand.IntN(25_000)) * time.Microsecond)
			p.end(syscall.SIGKILL)
			err := <-done
			p = up()
			return err
		}
		text := func(n int) string { return strings.Repeat("artifact "+strconv.Itoa(n)+"\n", 20_000) }
		sealed := map[proofhouse.Digest]int{}
		cut := 0 // short of an answer
		for n := range rounds {
			var got wire.Sealed
			seal := func() (err error) {
				got, err = w.as(p, "ada").Seal(t.Context(), id, wire.NewArtifact{Name: "log", Source: "the lab"}, strings.NewReader(text(n)), wire.Options{Key: strconv.Itoa(n)})
				return err
			}
			if err := killed(seal); err != nil && proofhouse.KindOf(err) != proofhouse.Unavailable {
				t.Fatalf("sealing: %v", err)
			}
			first := got.Artifact.ID
			if first == "" {
				cut++
			}
			if err := seal(); err != nil || first != "" && got.Artifact.ID != first {
				t.Fatalf("sealing again after %q: %q, %v", first, got.Artifact.ID, err)
			}
			sealed[got.Artifact.ID] = n
		}
		w.opens(t, p, id, sealed, text)
		w.do(t, p, "ada", id, docket.Withdraw{})
		kept := len(sealed) / 3
		for a := range sealed {
			if len(sealed) == kept {
				break
			}
			gone := false
			for try := 0; !gone; try++ {
				request, err := w.as(p, "ada").Ask(t.Context(), id, wire.AskTwo{What: policy.Destroy, On: string(a), Reason: "by the terms"})
				if err != nil {
					t.Fatal(err)
				}
				for _, who := range []string{"rita", "otto"} {
					if _, err := w.as(p, who).Approve(t.Context(), request.ID); err != nil {
						t.Fatal(err)
					}
				}
				destroy := func() error { _, err := w.as(p, "ada").Destroy(t.Context(), id, a, request.ID, ""); return err }
				if try < 3 {
					err = killed(destroy)
				} else { // a machine so slow that it never gets as far
					err = destroy()
				}
				if err != nil && proofhouse.KindOf(err) != proofhouse.Unavailable {
					t.Fatalf("destroying: %v", err)
				}
				if err != nil {
					cut++
				}
				if gone = w.destroyed(t, p, id, a); err == nil && !gone {
					t.Fatalf("%s was answered to be destroyed, and is not", a.Short())
				}
			}
			delete(sealed, a)
			var b strings.Builder
			if err := w.as(p, "ada").Artifact(t.Context(), id, a, &b); proofhouse.KindOf(err) != proofhouse.NotFound || b.Len() > 0 {
				t.Errorf("destroyed, and %d bytes of it are read: %v", b.Len(), err)
			}
			for _, name := range filesOf(t, data) {
				if strings.Contains(name, a.Hex()) {
					t.Errorf("destroyed, and %s is left", name)
				}
			}
		}
		w.opens(t, p, id, sealed, text)
		t.Logf("%d requests were cut short of their answers", cut)
		if proof := command(t, "verify", w.bundle(t, p, id)); !strings.Contains(proof, "destroyed") {
			t.Errorf("the bundle proves %s", proof)
		}
	})
}

// opens reads what is there of a case's artifacts, and that no other is.
func (w *town) opens(t *testing.T, p *program, id proofhouse.CaseID, sealed map[proofhouse.Digest]int, text func(int) string) {
	t.Helper()
	l, err := w.as(p, "ada").Artifacts(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	there := 0
	for _, a := range l.Artifacts {
		if _, known := sealed[a.ID]; known {
			there++
		} else if a.Destroyed.IsZero() {
			t.Errorf("%s was never answered", a.ID.Short())
		}
	}
	if there != len(sealed) {
		t.Errorf("%d of %d artifacts are there", there, len(sealed))
	}
	for a, n := range sealed {
		var b strings.Builder
		if err := w.as(p, "ada").Artifact(t.Context(), id, a, &b); err != nil || b.String() != text(n) {
			t.Errorf("artifact %d opens as %d bytes, %v", n, b.Len(), err)
		}
	}
}

// destroyed says whether an artifact is, once what was ordered is carried out.
func (w *town) destroyed(t *testing.T, p *program, id proofhouse.CaseID, artifact proofhouse.Digest) bool {
	t.Helper()
	for patience := time.Now().Add(30 * time.Second); ; {
		l, err := w.as(p, "ada").Artifacts(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range l.Artifacts {
			switch {
			case a.ID != artifact:
			case !a.Destroyed.IsZero():
				return true
			case a.Ordered.IsZero():
				return false
			}
		}
		if time.Now().After(patience) {
			t.Fatalf("%s was ordered to be destroyed, and is not", artifact.Short())
		}
		time.Sleep(5 * time.Millisecond) // the sweep of the new process carries it on
	}
}

// filesOf are the files of a folder and those below.
func filesOf(t *testing.T, dir string) (names []string) {
	t.Helper()
	if err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil
		}
		if err == nil && d.Type().IsRegular() {
			names = append(names, path)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return names
}
