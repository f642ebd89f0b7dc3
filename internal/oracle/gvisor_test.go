package oracle

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	erofs "github.com/erofs/go-erofs"

	"proofhouse/internal/sandbox"
	"proofhouse/internal/sandbox/gvisor"
	"proofhouse/internal/sandbox/sandboxtest"
	"proofhouse/internal/target"
)

// shared are the provider and the pair of builds of all tests with real boxes.
var shared struct {
	sync.Once
	dir      string
	provider *gvisor.Provider
	images   sandbox.Images
	target   target.Target
	err      error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if shared.provider != nil {
		if err := shared.provider.Close(); err != nil {
			code = max(code, 1)
			os.Stderr.WriteString("closing the provider: " + err.Error() + "\n")
		}
	}
	if shared.dir != "" {
		_ = os.RemoveAll(shared.dir)
	}
	os.Exit(code)
}

// boxes gives a real provider and the pair: the program of testdata/hostile on
// both sides, told apart by its environment.
func boxes(t testing.TB) (sandbox.Provider, target.Target) {
	t.Helper()
	shared.Do(func() { shared.err = setUp(t) })
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.provider, shared.target
}

func setUp(t testing.TB) (err error) {
	if shared.dir, err = os.MkdirTemp("", "proofhouse-oracle-"); err != nil {
		return err
	}
	program := filepath.Join(shared.dir, "hostile")
	build := exec.Command("go", "build", "-trimpath", "-o", program, "./testdata/hostile")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return errors.Join(err, errors.New(string(out)))
	}
	body, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	shared.images = sandbox.Images{Dir: filepath.Join(shared.dir, "images")}
	// As in life, the builds differ: each side's boxes are a kind of their own.
	image := map[target.Side]sandbox.Image{}
	for _, side := range []target.Side{target.Vulnerable, target.Fixed} {
		image[side], err = shared.images.Write(func(w *erofs.Writer) error {
			return errors.Join(sandboxtest.Add(w, "harness", string(body), 0o755), sandboxtest.Add(w, "side", string(side), 0o644))
		})
		if err != nil {
			return err
		}
	}
	root := sandboxtest.Root(t, shared.images)
	side := func(s target.Side) target.Build {
		return target.Build{
			Side: s, Root: root, Image: image[s], Argv: []string{"/target/harness"}, Source: "hostile 1",
			Env: []string{"SIDE=" + string(s), "ASAN_OPTIONS=detect_leaks=0"},
		}
	}
	shared.target = target.Target{Language: target.C, Vulnerable: side(target.Vulnerable), Fixed: side(target.Fixed)}
	shared.provider, err = gvisor.New(gvisor.Config{State: filepath.Join(shared.dir, "state"), Sentry: sandboxtest.Sentry(t)})
	return err
}

// open makes an Oracle with real boxes and a quarantine.
func open(t testing.TB, edit func(*Config)) (*Oracle, target.Target) {
	t.Helper()
	provider, tgt := boxes(t)
	q, err := OpenQuarantine(filepath.Join(t.TempDir(), "quarantine"))
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Provider: provider, Quarantine: q, Program: "test"}
	if edit != nil {
		edit(&cfg)
	}
	o := New(cfg)
	t.Cleanup(func() { _ = o.Close() })
	return o, tgt
}

// verify judges and fails the test on any error.
func verify(t testing.TB, o *Oracle, c Case, submission string) (Verdict, Evidence) {
	t.Helper()
	v, ev, err := o.Verify(context.Background(), c, []byte(submission))
	if err != nil {
		t.Fatal(err)
	}
	if ev.Cause != nil {
		t.Log("cause:", ev.Cause)
	}
	return v, ev
}
