package target

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"golang.org/x/mod/modfile"

	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
)

// Patched is the side of a build with patches that somebody brought.
const Patched Side = "patched"

// Make builds one program from the recipe's vulnerable source, with patches laid
// over it in their order; its fixed source is not looked at. folder holds what
// the recipe names. A patch is a unified diff whose names begin with one element that is
// dropped ("a/", "b/"), relative to the package's own folder; surroundings must fit exactly.
// One that does not fit, or reaches out, is proofhouse.Invalid; a source that does not build is
// proofhouse.Failed, with the end of what the compiler said as its private cause.
func (b *Builder) Make(ctx context.Context, folder fs.FS, r Recipe, patches ...[]byte) (Build, error) {
	u, _, err := b.one(ctx, folder, r, patches)
	if err != nil {
		return Build{}, err
	}
	out, err := b.build(ctx, u, func(string) {})
	if err != nil {
		return Build{}, err
	}
	if out.Root, err = b.cfg.Root(ctx, r.RunRoot); err != nil {
		return Build{}, err
	}
	out.Inputs["run_root"] = out.Root.Digest
	return out, nil
}

// one resolves one patched side of a recipe.
func (b *Builder) one(ctx context.Context, folder fs.FS, r Recipe, patches [][]byte) (unit, tree, error) {
	if err := r.ValidateOne(); err != nil {
		return unit{}, nil, err
	}
	src, err := b.cfg.Fetch.resolve(ctx, folder, r.Language, r.Vulnerable)
	if err != nil {
		return unit{}, nil, fmt.Errorf("fetching the source: %w", err)
	}
	place := r.Vulnerable.place(r.Language)
	main := src.code.sub(place)
	u := unit{side: Vulnerable, recipe: r, source: src, local: r.Vulnerable.Tree != "" || len(patches) > 0}
	for i, p := range patches {
		if err := main.applyOwn(p); err != nil {
			return unit{}, nil, fmt.Errorf("patch %d: %w", i+1, err)
		}
		u.side = Patched
	}
	if err := main.check(); err != nil {
		return unit{}, nil, err
	}
	code := tree{}
	for name, n := range src.code {
		if !strings.HasPrefix(name, place+"/") {
			code[name] = n
		}
	}
	u.source.code = code.merge(place, main)
	harness, err := treeOf(folder, r.Harness)
	if err != nil {
		return unit{}, nil, proofhouse.Errorf(proofhouse.Invalid, err, "the folder has no harness %s", clip(r.Harness))
	}
	if u.driver, err = treeOf(b.cfg.Drivers, string(r.Language)); err != nil {
		return unit{}, nil, fmt.Errorf("reading the driver: %w", err)
	}
	u.harness = withoutSeeds(harness)
	u.root, err = b.cfg.Root(ctx, r.BuildRoot)
	return u, main, err
}

// applyOwn applies a patch that somebody brought: it must change something, and no name of it leads out.
func (t tree) applyOwn(b []byte) error {
	files, err := parsePatch(b, 1)
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "the patch is no unified diff, or changes nothing")
	}
	for _, f := range files {
		for _, name := range []string{f.from, f.to} {
			if name != "" && !fs.ValidPath(name) {
				return proofhouse.Errorf(proofhouse.Invalid, nil, "the patch changes %q, which is no path of the project", clip(name))
			}
		}
	}
	return t.apply(b, 1, 0)
}

// Touched are the files that a patch changes, makes or removes, without the first element of their names.
// What is no unified diff is proofhouse.Invalid.
func Touched(patch []byte) ([]string, error) {
	files, err := parsePatch(patch, 1)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, f := range files {
		for _, name := range []string{f.from, f.to} {
			if name != "" && (len(names) == 0 || names[len(names)-1] != name) {
				names = append(names, name)
			}
		}
	}
	return names, nil
}

// Tested is what became of a project's own tests.
type Tested struct {
	Exit  int    `json:"exit"`
	Limit string `json:"limit,omitempty"` // the limit that ended them
	Said  string `json:"said,omitempty"`  // the end of what they printed, for who may read the code
}

// Passed says whether the tests ran to their end and were content.
func (t Tested) Passed() bool { return t.Exit == 0 && t.Limit == "" }

// Test runs a command of the project's, such as its tests, in a box: in a writable copy of the patched source, as nobody, without a
// network, with the environment that C and Go builds have. A command that fails is no error.
func (b *Builder) Test(ctx context.Context, folder fs.FS, r Recipe, argv []string, patches ...[]byte) (Tested, error) {
	if len(argv) == 0 {
		return Tested{}, proofhouse.Errorf(proofhouse.Invalid, nil, "the project names no command for its tests")
	}
	u, main, err := b.one(ctx, folder, r, patches)
	if err != nil {
		return Tested{}, err
	}
	in := tree{}.merge("src", main)
	root, env := u.root, u.cEnv()
	switch r.Language {
	case Go:
		if root, err = b.warmGo(ctx, u.root, func(string) {}); err != nil {
			return Tested{}, err
		}
		env = goEnv(goCache)
		if _, ok := main["go.mod"]; !ok {
			in["src/go.mod"] = node{data: []byte("module " + r.Vulnerable.Package + "\n")}
		}
		if _, ok := main["go.sum"]; !ok && len(u.source.lock.sum) > 0 {
			in["src/go.sum"] = node{data: u.source.lock.sum}
		}
		in.merge("proxy", u.source.proxy)
	case JavaScript:
		env = []string{"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/work", "LC_ALL=C"}
		for name, n := range u.source.code { // what it needs, where Node looks for it
			if _, own := strings.CutPrefix(name, r.Vulnerable.place(JavaScript)+"/"); !own {
				in["src/"+name] = n
			}
		}
	case C:
	}
	if err := in.check(); err != nil {
		return Tested{}, err
	}
	var out Tested
	err = b.withBox(ctx, root, in, func(box sandbox.Box) error {
		for _, cmd := range []sandbox.Command{
			sh("cp -r /in/src /work/src && chmod -R u+w /work/src && { [ ! -d "+goCache+" ] || date +%s >"+goCache+"/trim.txt; }", env),
			{Argv: append([]string{"/bin/sh", "-c", `exec "$@"`, "sh"}, argv...), Env: env, Dir: "/work/src"},
		} {
			cmd.User, cmd.Wall = sandbox.Nobody, buildWall
			res, err := box.Exec(ctx, cmd)
			if err != nil {
				return fmt.Errorf("running %s in the box: %w", path.Base(argv[0]), err)
			}
			out = Tested{Exit: res.Exit, Limit: string(res.Limit), Said: tail(res)}
			if res.Signal != 0 {
				out.Exit = 128 + res.Signal
			}
		}
		return nil
	})
	return out, err
}

// replaced is the Go main package's go.mod with the package taken from the box's
// own folder, where the patched or local source lies.
func (u unit) replaced() ([]byte, error) {
	src := u.recipe.Vulnerable
	text := u.source.lock.mod
	if len(text) == 0 { // a local module that needs nothing
		text = fmt.Appendf(nil, "module harness\n\ngo 1.21\n\nrequire %s v0.0.0\n", src.Package)
	}
	f, err := modfile.Parse("go.mod", text, nil)
	if err != nil {
		return nil, proofhouse.Errorf(proofhouse.Invalid, err, "the lock's go.mod cannot be read")
	}
	if err := errors.Join(f.AddReplace(src.Package, "", "/in/source", ""), f.AddRequire(src.Package, requiredVersion(f, src))); err != nil {
		return nil, err
	}
	return f.Format()
}

func requiredVersion(f *modfile.File, src Source) string {
	for _, r := range f.Require {
		if r.Mod.Path == src.Package {
			return r.Mod.Version
		}
	}
	return src.Version
}

// localModule is what lies at /in/source for a Go target that is built from there.
func (u unit) localModule() tree {
	src := u.recipe.Vulnerable
	t := u.source.code.sub(src.place(Go))
	if _, ok := t["go.mod"]; !ok {
		t["go.mod"] = node{data: []byte("module " + src.Package + "\n")}
	}
	return t
}

// treeSource reads a source that lies in the folder itself.
func treeSource(folder fs.FS, l Language, src Source) (sources, error) {
	t, err := treeOf(folder, src.Tree)
	if err != nil {
		return sources{}, proofhouse.Errorf(proofhouse.Invalid, err, "the folder has no source %s", clip(src.Tree))
	}
	if len(t) == 0 {
		return sources{}, proofhouse.Errorf(proofhouse.Invalid, nil, "the folder's source %s is empty", clip(src.Tree))
	}
	if l == Go {
		mod, err := modfile.Parse("go.mod", t["go.mod"].data, nil)
		if err != nil || mod.Module == nil || mod.Module.Mod.Path != src.Package {
			return sources{}, proofhouse.Errorf(proofhouse.Invalid, err, "the source's go.mod does not name the module %s", clip(src.Package))
		}
		if bytes.Contains(t["go.mod"].data, []byte("replace")) && len(mod.Replace) > 0 {
			return sources{}, proofhouse.Errorf(proofhouse.Invalid, nil, "the source's go.mod replaces %s: what it needs must lie in its lock", mod.Replace[0].Old.Path)
		}
	}
	return sources{label: strings.TrimSpace(src.Package + " " + src.Version), code: tree{}.merge(src.place(l), t)}, nil
}
