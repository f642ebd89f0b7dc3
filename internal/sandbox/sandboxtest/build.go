// Package sandboxtest holds every provider of boxes to one suite, and gives
// tests what they need to make boxes: a static sentry, an image with a program
// that does whatever a test asks for, and an in-memory Fake. It is for tests
// only.
package sandboxtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"

	erofs "github.com/erofs/go-erofs"

	"proofhouse/internal/sandbox"
)

// Program is the path of the test program in the boxes of Root.
const Program = "/bin/program"

// TB is what these helpers need of a *testing.T, *testing.B or a TestMain.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
}

// Sentry gives a static executable to start boxes from (gvisor.Config.Sentry).
// It is built at first use; the Go build cache makes later uses quick.
func Sentry(t TB) string {
	t.Helper()
	path, err := sentry()
	if err != nil {
		t.Fatalf("%v", err)
	}
	return path
}

var sentry = sync.OnceValues(func() (string, error) { return build("sentry") })

var program = sync.OnceValues(func() (string, error) { return build("program") })

// build makes a static executable of a package below this one, in a folder
// that all test processes of this user share.
func build(name string) (string, error) {
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("proofhouse-test-%d", os.Getuid()))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	path := filepath.Join(dir, name)
	// go build leaves an executable alone that is up to date. A test of
	// another package may build at the same time, so each builds apart and
	// renames only what differs.
	tmp, err := os.MkdirTemp(dir, "build-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	fresh := filepath.Join(tmp, name)
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", fresh, "proofhouse/internal/sandbox/sandboxtest/"+name)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the test's %s: %w\n%s", name, err, out)
	}
	if same(path, fresh) {
		return path, nil
	}
	return path, os.Rename(fresh, path)
}

func same(a, b string) bool {
	x, err1 := os.ReadFile(a)
	y, err2 := os.ReadFile(b)
	return err1 == nil && err2 == nil && string(x) == string(y)
}

// Root builds an image that holds Program and the usual folders, in store.
func Root(t TB, store sandbox.Images) sandbox.Image {
	t.Helper()
	return RootWith(t, store, nil)
}

// RootWith is Root with what more adds, if it is not nil.
func RootWith(t TB, store sandbox.Images, more func(w *erofs.Writer) error) sandbox.Image {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatalf("%v", err)
	}
	img, err := store.Write(func(w *erofs.Writer) error {
		for _, dir := range []string{"bin", "dev", "etc", "proc", "sys", "tmp", "usr"} {
			if err := w.Mkdir(dir, 0o755); err != nil {
				return err
			}
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if more != nil {
			if err := more(w); err != nil {
				return err
			}
		}
		return Add(w, Program[1:], string(b), 0o755)
	})
	if err != nil {
		t.Fatalf("building the test's root: %v", err)
	}
	return img
}

// ImageOf builds an image of files, by path without a leading slash. Folders
// are one level deep.
func ImageOf(t TB, store sandbox.Images, files map[string]string) sandbox.Image {
	t.Helper()
	img, err := store.Write(func(w *erofs.Writer) error {
		made := map[string]bool{".": true}
		for name, content := range files {
			if dir := filepath.Dir(name); !made[dir] {
				made[dir] = true
				if err := w.Mkdir(dir, 0o755); err != nil {
					return err
				}
			}
			if err := Add(w, name, content, 0o644); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatalf("building a test's image: %v", err)
	}
	return img
}

// Add adds a file to an image.
func Add(w *erofs.Writer, name, content string, mode os.FileMode) error {
	f, err := w.Create(name)
	if err != nil {
		return err
	}
	if _, err := f.Write([]byte(content)); err != nil {
		return err
	}
	if err := f.Chmod(mode); err != nil {
		return err
	}
	return f.Close()
}
