package bwrap

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
	"proofhouse/internal/sandbox/cgroup"
	"proofhouse/internal/sandbox/sandboxtest"
)

func open(t *testing.T) sandbox.Provider {
	t.Helper()
	p, err := New(Config{State: t.TempDir(), Guest: sandboxtest.Sentry(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("closing the provider: %v", err)
		}
	})
	return p
}

func TestProvider(t *testing.T) {
	sandboxtest.TestProvider(t, sandboxtest.Subject{
		Open: open, Fleeting: true,
		Images: func(t *testing.T) (root, mounted sandbox.Image) {
			store := sandbox.Images{Dir: t.TempDir()}
			return sandboxtest.Root(t, store), sandboxtest.ImageOf(t, store, sandboxtest.Mounted)
		},
	})
}

func TestDiagnose(t *testing.T) {
	state := t.TempDir()
	d, err := sandbox.Diagnose(t.Context(), t.TempDir(), func() (int, error) {
		h, err := cgroup.Detect()
		if err != nil {
			return 0, err
		}
		return h.Version(), nil
	}, sandbox.Patient{Name: "bwrap", Open: func() (sandbox.Provider, error) {
		return New(Config{State: state, Guest: sandboxtest.Sentry(t)})
	}}, sandbox.Patient{Name: "bwrap", Open: func() (sandbox.Provider, error) {
		return New(Config{State: state, Guest: sandboxtest.Sentry(t), Bubblewrap: "no-such-bwrap"})
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + strings.Join(d.Lines(), "\n"))
	if !d.Healthy() || d.Trials[0].Strength != sandbox.Weak || !strings.HasPrefix(d.Trials[0].Kernel, "Linux") {
		t.Errorf("the first trial is %+v", d.Trials[0])
	}
	if d.Trials[1].OK || !strings.Contains(d.Trials[1].Why, "install bubblewrap 0.8") {
		t.Errorf("the second trial is %+v", d.Trials[1])
	}
}

// TestOldBubblewrap refuses one that cannot forbid user namespaces.
func TestOldBubblewrap(t *testing.T) {
	old := filepath.Join(t.TempDir(), "bwrap")
	if err := os.WriteFile(old, []byte("#!/bin/sh\necho bubblewrap 0.6.2\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := New(Config{State: t.TempDir(), Guest: sandboxtest.Sentry(t), Bubblewrap: old})
	if proofhouse.KindOf(err) != proofhouse.Unavailable || !strings.Contains(proofhouse.PublicOf(err), "install bubblewrap 0.8 or newer") {
		t.Errorf("got %v", err)
	}
}

// TestDonatedFile refuses a file that the box could open anew for writing.
func TestDonatedFile(t *testing.T) {
	b, err := open(t).Start(t.Context(), sandbox.Spec{Root: sandboxtest.Root(t, sandbox.Images{Dir: t.TempDir()})})
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "f")
	if err := errors.Join(os.WriteFile(name, []byte("x"), 0o644), os.Chmod(name, 0o666)); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, err = b.Exec(t.Context(), sandbox.Command{Argv: []string{sandboxtest.Program, "true"}, Files: []*os.File{f}})
	if proofhouse.KindOf(err) != proofhouse.Invalid {
		t.Errorf("got %v", err)
	}
}
