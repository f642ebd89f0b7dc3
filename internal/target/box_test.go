package target

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
	"proofhouse/internal/sandbox/gvisor"
	"proofhouse/internal/sandbox/root"
	"proofhouse/internal/sandbox/sandboxtest"
	"proofhouse/tasks"
)

// goHarness calls the pinned module and nothing else.
const goHarness = "//go:build ignore\n\npackage main\n\nimport \"example.org/idx\"\n\nfunc Harness(b []byte) { idx.At(b) }\n"

// TestBuildInBox makes a Go target in real boxes, twice, and runs it. The
// modules are ours and come from a registry on the loopback; the root comes
// from Debian and the Go project. Root and compiled standard library stay in the
// data folder where one is named, else in a folder that all test runs share,
// since making them takes minutes.
func TestBuildInBox(t *testing.T) {
	data := filepath.Join(os.TempDir(), fmt.Sprintf("proofhouse-test-%d", os.Getuid()), "target")
	if named := os.Getenv("PROOFHOUSE_DATA"); named != "" {
		data = named
	}
	images := sandbox.Images{Dir: filepath.Join(data, "images")}
	roots := root.Store{Images: images, Fetch: filepath.Join(data, "fetch"), Records: filepath.Join(data, "roots"), Recipes: tasks.Roots()}
	provider, err := gvisor.New(gvisor.Config{State: t.TempDir(), Sentry: sandboxtest.Sentry(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer provider.Close()

	r := newRegistry(t)
	vul, vulMod := r.addModule(t, "example.org/idx", "v1.0.0", map[string]string{"idx.go": "package idx\n\nfunc At(b []byte) byte { return b[b[0]] }\n"})
	fix, fixMod := r.addModule(t, "example.org/idx", "v1.0.1", map[string]string{"idx.go": "package idx\n\nfunc At(b []byte) byte {\n\tif len(b) == 0 || int(b[0]) >= len(b) {\n\t\treturn 0\n\t}\n\treturn b[b[0]]\n}\n"})
	lock := func(version, zip, mod string) (string, string) {
		return "module task\n\ngo 1.21\n\nrequire example.org/idx " + version + "\n",
			fmt.Sprintf("example.org/idx %s %s\nexample.org/idx %s/go.mod %s\n", version, zip, version, mod)
	}
	task := fstest.MapFS{"h/harness.go": {Data: []byte(goHarness)}}
	add := func(side, version, zip, mod string) Source {
		m, s := lock(version, zip, mod)
		task["tests/"+side+".mod"], task["tests/"+side+".sum"] = &fstest.MapFile{Data: []byte(m)}, &fstest.MapFile{Data: []byte(s)}
		return Source{Package: "example.org/idx", Version: version, Hash: zip, Lock: "tests/" + side + ".mod"}
	}
	recipe := Recipe{Language: Go, BuildRoot: "go", RunRoot: "go", Harness: "h", Vulnerable: add("v", "v1.0.0", vul, vulMod), Fixed: add("f", "v1.0.1", fix, fixMod)}
	builder := func(dir string) *Builder {
		return New(Config{
			Provider: provider, Images: images, Dir: dir, Fetch: r.fetcher(t), Drivers: tasks.Drivers(),
			Root: func(ctx context.Context, name string) (sandbox.Image, error) {
				return roots.Make(ctx, name, time.Now(), func(root.Progress) {})
			},
		})
	}
	records := filepath.Join(data, "targets")
	first := t.TempDir()
	shareStandardLibrary(t, records, first)
	got, err := builder(first).Build(t.Context(), task, recipe, func(s string) { t.Log(s) })
	if err != nil {
		t.Fatal(err)
	}
	shareStandardLibrary(t, first, records)
	t.Logf("built in %v, %v and %v", got.Vulnerable.Took, got.Fixed.Took, got.Fuzz.Took)

	for _, side := range []struct {
		build Build
		exit  int
		says  string
	}{{got.Vulnerable, 2, "index out of range"}, {got.Fixed, 0, ""}} {
		res := runOn(t, provider, side.build, "\xff")
		if res.Exit != side.exit || !strings.Contains(string(res.Stderr.Head), side.says) {
			t.Errorf("%s: exit %d, stderr %q", side.build.Side, res.Exit, res.Stderr.Head)
		}
	}

	t.Run("again from nothing gives the same bytes", func(t *testing.T) {
		dir := t.TempDir()
		shareStandardLibrary(t, first, dir)
		again, err := builder(dir).Build(t.Context(), task, recipe, nil)
		if err != nil {
			t.Fatal(err)
		}
		if again.Vulnerable.Image.Digest != got.Vulnerable.Image.Digest || again.Fixed.Image.Digest != got.Fixed.Image.Digest || again.Fuzz.Image.Digest != got.Fuzz.Image.Digest {
			t.Error("equal inputs gave other images")
		}
	})
	t.Run("a program that does not hold the pinned module", func(t *testing.T) {
		fsys, f, err := got.Fixed.Image.FS()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		program, err := fs.ReadFile(fsys, "harness")
		if err != nil {
			t.Fatal(err)
		}
		mod, sum := lock("v1.0.0", vul, vulMod)
		l, err := parseGoLock([]byte(mod), []byte(sum))
		if err != nil {
			t.Fatal(err)
		}
		err = unit{side: Vulnerable, recipe: recipe, source: sources{lock: l}}.linked(program)
		wantKind(t, err, proofhouse.Integrity, "example.org/idx", "v1.0.1")
	})
	t.Run("a transitive module that raises the pinned one", func(t *testing.T) {
		up, upMod := r.addRaiser(t)
		m, s := lock("v1.0.0", vul, vulMod)
		m = strings.Replace(m, "go 1.21", "go 1.16", 1) // since 1.17 the go command does not even look
		s += fmt.Sprintf("example.org/up v1.0.0 %s\nexample.org/up v1.0.0/go.mod %s\nexample.org/idx v1.0.1 %s\nexample.org/idx v1.0.1/go.mod %s\n", up, upMod, fix, fixMod)
		other := fstest.MapFS{
			"h/harness.go": task["h/harness.go"], "tests/f.mod": task["tests/f.mod"], "tests/f.sum": task["tests/f.sum"],
			"tests/v.mod": {Data: []byte(m + "\nrequire example.org/up v1.0.0\n")}, "tests/v.sum": {Data: []byte(s)},
		}
		_, err := builder(first).Build(t.Context(), other, recipe, nil)
		wantKind(t, err, proofhouse.Failed)
		if !strings.Contains(err.Error(), "updates to go.mod needed") {
			t.Errorf("error %v, want the go command's own refusal", err)
		}
	})
}

// addRaiser serves a module that needs the fixed idx.
func (r *registry) addRaiser(t *testing.T) (zipHash, modHash string) {
	t.Helper()
	return r.addModuleNeeding(t, "example.org/up", "v1.0.0", "\ngo 1.21\n\nrequire example.org/idx v1.0.1\n", map[string]string{"up.go": "package up\n"})
}

// shareStandardLibrary copies the records of compiled standard libraries.
func shareStandardLibrary(t *testing.T, from, to string) {
	t.Helper()
	names, _ := filepath.Glob(filepath.Join(from, "go-*.json"))
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err == nil {
			err = Fetcher{Dir: to}.keep(filepath.Base(name), b)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// runOn runs a build on one input in a fresh box.
func runOn(t *testing.T, p sandbox.Provider, b Build, input string) sandbox.Result {
	t.Helper()
	box, err := p.Start(t.Context(), sandbox.Spec{Root: b.Root, Mounts: []sandbox.Mount{{Image: b.Image, Path: "/target"}}, Network: sandbox.NoNetwork})
	if err != nil {
		t.Fatal(err)
	}
	defer box.Stop()
	name := filepath.Join(t.TempDir(), "input")
	if err := os.WriteFile(name, []byte(input), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	res, err := box.Exec(t.Context(), sandbox.Command{Argv: append(b.Argv, "/dev/fd/3"), Env: b.Env, User: sandbox.Nobody, Files: []*os.File{f}, Wall: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	return res
}
