package target

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	erofs "github.com/erofs/go-erofs"

	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
)

// compiler is a provider whose boxes "compile": /out gets a file that names
// all that the box was given. What it started is in specs.
type compiler struct {
	sandbox.Provider
	mu     sync.Mutex
	starts int
	fail   string // what a failing build says
	silent bool   // leaves nothing in /out
}

type compilerBox struct {
	sandbox.Box
	c    *compiler
	in   tree
	out  map[string]string
	spec sandbox.Spec
}

func (c *compiler) Start(_ context.Context, spec sandbox.Spec) (sandbox.Box, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.starts++
	if spec.Network != sandbox.NoNetwork || len(spec.Mounts) != 1 || spec.Limits.Memory == 0 {
		return nil, fmt.Errorf("a box to build in has the spec %+v", spec)
	}
	fsys, f, err := spec.Mounts[0].Image.FS()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	in, err := treeOf(fsys, ".")
	return &compilerBox{c: c, in: in, out: map[string]string{}, spec: spec}, err
}

func (b *compilerBox) Exec(_ context.Context, cmd sandbox.Command) (sandbox.Result, error) {
	if cmd.User != sandbox.Nobody {
		return sandbox.Result{}, fmt.Errorf("%v runs as %v", cmd.Argv, cmd.User)
	}
	if b.c.fail != "" {
		return sandbox.Result{Exit: 1, Stderr: sandbox.Output{Head: []byte(b.c.fail)}}, nil
	}
	for _, name := range []string{"harness", "fuzz"} {
		if !b.c.silent && strings.Contains(strings.Join(cmd.Argv, " "), "$OUT/"+name) {
			b.out["/out/"+name] = name + string(b.in.digest()) + strings.Join(cmd.Env, " ")
		}
	}
	return sandbox.Result{}, nil
}

func (b *compilerBox) List(context.Context, string, int) ([]sandbox.Entry, error) {
	out := []sandbox.Entry{{Path: "/out/link", Mode: fs.ModeSymlink, Link: "/etc/passwd"}}
	for name := range b.out {
		out = append(out, sandbox.Entry{Path: name, Mode: 0o755, Size: int64(len(b.out[name]))})
	}
	return out, nil
}

func (b *compilerBox) CopyOut(_ context.Context, path string, w io.Writer, _ int64) error {
	_, err := io.WriteString(w, b.out[path])
	return err
}

func (b *compilerBox) Stop() error { return nil }

// workshop is a builder with that compiler and a C target of two Debian sources.
type workshop struct {
	*Builder
	compiler *compiler
	recipe   Recipe
	task     fstest.MapFS
}

func newWorkshop(t *testing.T) *workshop {
	orig := tgzOf(t, "x-1/x.c", oldC)
	index := &debianIndex{files: map[proofhouse.Digest][]byte{}}
	index.add(t, "1-2", orig, "fix-a.patch\nfix-c.patch\n", map[string]string{"fix-a.patch": fixA, "fix-c.patch": fixC})
	fixed := Source{Debian: "x", Revision: "1-2", Orig: string(proofhouse.DigestOf(orig)), Patch: string(proofhouse.DigestOf([]byte(fixA)))}
	vulnerable := fixed
	vulnerable.Omit = "fix-a.patch"
	c := &compiler{}
	images := sandbox.Images{Dir: t.TempDir()}
	root, err := images.Write(func(w *erofs.Writer) error { return tree{"bin/sh": {data: []byte("sh")}}.write(w, "", 0, epoch) })
	if err != nil {
		t.Fatal(err)
	}
	return &workshop{
		compiler: c,
		Builder: New(Config{
			Provider: c, Images: images, Dir: t.TempDir(), Fetch: Fetcher{Dir: t.TempDir(), Debian: index},
			Root:    func(context.Context, string) (sandbox.Image, error) { return root, nil },
			Drivers: fstest.MapFS{"c/main.c": {Data: []byte("main")}, "c/fuzz.c": {Data: []byte("fuzz")}},
		}),
		recipe: Recipe{Language: C, BuildRoot: "b", RunRoot: "r", Harness: "h", Sources: []string{"*.c"}, Vulnerable: vulnerable, Fixed: fixed},
		task:   fstest.MapFS{"h/harness.c": {Data: []byte("h")}, "h/seeds/one": {Data: []byte("1")}},
	}
}

func TestBuild(t *testing.T) {
	w := newWorkshop(t)
	var said []string
	got, err := w.Build(t.Context(), w.task, w.recipe, func(s string) { said = append(said, s) })
	if err != nil {
		t.Fatal(err)
	}
	if w.compiler.starts != 3 || len(said) != 5 {
		t.Errorf("%d boxes for three builds, said %q", w.compiler.starts, said)
	}
	images := map[proofhouse.Digest]bool{got.Vulnerable.Image.Digest: true, got.Fixed.Image.Digest: true, got.Fuzz.Image.Digest: true, got.SourceTree.Digest: true}
	if len(images) != 4 {
		t.Errorf("builds share an image: %v", images)
	}
	if got.Vulnerable.Source != "x 1-2 without fix-a.patch" || got.Fixed.Source != "x 1-2" || got.Fuzz.Argv[len(got.Fuzz.Argv)-1] != "/src/harness/seeds" {
		t.Errorf("target is %+v", got)
	}
	for _, key := range []string{"source", "harness", "driver", "build_root", "run_root"} {
		if got.Fixed.Inputs[key].Validate() != nil {
			t.Errorf("the record of inputs lacks %s: %v", key, got.Fixed.Inputs)
		}
	}
	src, f, err := got.SourceTree.FS()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	seen, err := treeOf(src, ".")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(seen["x/x.c"].data, []byte("return buf")) || bytes.Contains(seen["x/x.c"].data, []byte("if (i < 0)")) || string(seen["harness/seeds/one"].data) != "1" {
		t.Errorf("an agent sees %v", seen.names())
	}

	t.Run("again", func(t *testing.T) {
		again, err := w.Build(t.Context(), w.task, w.recipe, nil)
		if err != nil || w.compiler.starts != 3 || again.Fixed.Image != got.Fixed.Image {
			t.Errorf("built again: %d boxes, error %v", w.compiler.starts, err)
		}
	})
	t.Run("a task with other seeds shares the builds", func(t *testing.T) {
		other := fstest.MapFS{"h/harness.c": w.task["h/harness.c"], "h/seeds/two": {Data: []byte("2")}}
		if _, err := w.Build(t.Context(), other, w.recipe, nil); err != nil || w.compiler.starts != 3 {
			t.Errorf("%d boxes, error %v", w.compiler.starts, err)
		}
	})
	t.Run("the same from nothing", func(t *testing.T) {
		fresh, err := newWorkshop(t).Build(t.Context(), w.task, w.recipe, nil)
		if err != nil || fresh.Vulnerable.Image.Digest != got.Vulnerable.Image.Digest || fresh.SourceTree.Digest != got.SourceTree.Digest {
			t.Errorf("equal inputs gave %v and %v, error %v", fresh.Vulnerable.Image.Digest, got.Vulnerable.Image.Digest, err)
		}
	})
	t.Run("another harness is another build", func(t *testing.T) {
		other := fstest.MapFS{"h/harness.c": {Data: []byte("other")}}
		if _, err := w.Build(t.Context(), other, w.recipe, nil); err != nil || w.compiler.starts != 6 {
			t.Errorf("%d boxes, error %v", w.compiler.starts, err)
		}
	})
	t.Run("a swapped build is found", func(t *testing.T) {
		if err := got.Verify(w.cfg.Images, map[proofhouse.Digest]bool{}); err != nil {
			t.Fatal(err)
		}
		fixed, err := os.ReadFile(got.Fixed.Image.Path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(got.Vulnerable.Image.Path); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(got.Vulnerable.Image.Path, fixed, 0o600); err != nil {
			t.Fatal(err)
		}
		wantKind(t, got.Verify(w.cfg.Images, nil), proofhouse.Integrity, "changed on disk")
		_, err = w.Build(t.Context(), w.task, w.recipe, nil)
		wantKind(t, err, proofhouse.Integrity, "changed on disk")
	})
}

func TestPatchOfTarget(t *testing.T) {
	w := newWorkshop(t)
	d, err := w.Patch(t.Context(), w.task, w.recipe)
	if err != nil || !strings.Contains(string(d), "+\tif (i < 0)") || strings.Contains(string(d), "return 3") {
		t.Errorf("the patch is %q, error %v", d, err)
	}
}

func TestBuildRefuses(t *testing.T) {
	w := newWorkshop(t)
	w.compiler.fail = "x.c:1: no such thing"
	_, err := w.Build(t.Context(), w.task, w.recipe, nil)
	wantKind(t, err, proofhouse.Failed, "exit 1")
	if !strings.Contains(err.Error(), "no such thing") {
		t.Errorf("the error %v does not tell the operator what the compiler said", err)
	}
	w.compiler.fail, w.compiler.silent = "", true
	_, err = w.Build(t.Context(), w.task, w.recipe, nil)
	wantKind(t, err, proofhouse.Failed, "$OUT/harness")

	for name, change := range map[string]func(*Recipe){
		"no root":                func(r *Recipe) { r.BuildRoot = "" },
		"another language":       func(r *Recipe) { r.Language = "rust" },
		"a harness elsewhere":    func(r *Recipe) { r.Harness = "../h" },
		"an omission when fixed": func(r *Recipe) { r.Fixed.Omit = "fix-a.patch" },
		"nothing omitted":        func(r *Recipe) { r.Vulnerable.Omit = "" },
		"no pin":                 func(r *Recipe) { r.Vulnerable.Orig = "" },
		"two sources in one":     func(r *Recipe) { r.Fixed.Package = "p" },
		"no such sources":        func(r *Recipe) { r.Sources = []string{"*.cc"} },
		"a script elsewhere":     func(r *Recipe) { r.Script = "../../x.sh" },
	} {
		r := w.recipe
		change(&r)
		if _, err := w.Build(t.Context(), w.task, r, nil); proofhouse.KindOf(err) != proofhouse.Invalid {
			t.Errorf("%s: error %v, want kind invalid", name, err)
		}
	}
}
