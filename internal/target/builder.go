package target

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	erofs "github.com/erofs/go-erofs"

	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
)

// Config is what a Builder works with. All fields are needed but Dir's
// content, which is made.
type Config struct {
	Provider sandbox.Provider
	Images   sandbox.Images
	// Dir is the folder of records of finished builds, by the digest of all
	// that went into them.
	Dir   string
	Fetch Fetcher
	// Root gives the image of a root by name, building it if need be.
	Root func(ctx context.Context, name string) (sandbox.Image, error)
	// Drivers is the folder of our drivers: c, go, javascript.
	Drivers fs.FS
}

// Builder makes targets from recipes. It is safe for concurrent use; equal
// builds are made once.
type Builder struct {
	cfg Config

	mu   sync.Mutex
	busy map[proofhouse.Digest]*sync.Mutex // guarded by mu; one build at a time of each key
}

// New is a Builder.
func New(cfg Config) *Builder {
	return &Builder{cfg: cfg, busy: map[proofhouse.Digest]*sync.Mutex{}}
}

// unit is one thing to build: a program, or one instrumented for the fuzzer.
type unit struct {
	side   Side
	fuzz   bool
	recipe Recipe
	source sources
	// local says that a Go module is built from its unpacked source and not out of the proxy.
	local bool
	// harness has no seeds: they change no build.
	harness, driver tree
	root            sandbox.Image // that builds
}

// Build makes the two sides of a target, the fuzzer's build and the source
// tree. task is the task's folder. Code is built in boxes without a network,
// one box a build, never both sides in one; what exists already for the same
// inputs is reused. progress, if not nil, is told in short lines what goes on.
func (b *Builder) Build(ctx context.Context, task fs.FS, r Recipe, progress func(string)) (Target, error) {
	if progress == nil {
		progress = func(string) {}
	}
	if err := r.Validate(); err != nil {
		return Target{}, err
	}
	progress("fetching the sources")
	vul, err := b.cfg.Fetch.resolve(ctx, task, r.Language, r.Vulnerable)
	if err != nil {
		return Target{}, fmt.Errorf("fetching the vulnerable side: %w", err)
	}
	fix, err := b.cfg.Fetch.resolve(ctx, task, r.Language, r.Fixed)
	if err != nil {
		return Target{}, fmt.Errorf("fetching the fixed side: %w", err)
	}
	harness, err := treeOf(task, r.Harness)
	if err != nil {
		return Target{}, fmt.Errorf("reading the harness: %w", err)
	}
	driver, err := treeOf(b.cfg.Drivers, string(r.Language))
	if err != nil {
		return Target{}, fmt.Errorf("reading the driver: %w", err)
	}
	progress("preparing the roots")
	buildRoot, err := b.cfg.Root(ctx, r.BuildRoot)
	if err != nil {
		return Target{}, err
	}
	runRoot, err := b.cfg.Root(ctx, r.RunRoot)
	if err != nil {
		return Target{}, err
	}
	t := Target{Language: r.Language}
	bare := withoutSeeds(harness)
	for _, u := range []struct {
		into *Build
		unit
	}{
		{&t.Vulnerable, unit{side: Vulnerable, recipe: r, source: vul, harness: bare, driver: driver, root: buildRoot}},
		{&t.Fixed, unit{side: Fixed, recipe: r, source: fix, harness: bare, driver: driver, root: buildRoot}},
		{&t.Fuzz, unit{side: Vulnerable, fuzz: true, recipe: r, source: vul, harness: bare, driver: driver, root: buildRoot}},
	} {
		if *u.into, err = b.build(ctx, u.unit, progress); err != nil {
			return Target{}, err
		}
		u.into.Root = runRoot
		if u.fuzz && r.Language == C && len(bare) < len(harness) {
			u.into.Argv = append(slices.Clone(u.into.Argv), "/src/harness/seeds")
		}
		u.into.Inputs["run_root"] = runRoot.Digest
	}
	t.SourceTree, err = b.cfg.Images.Write(func(w *erofs.Writer) error {
		all := visible(vul.code).merge("harness", harness).merge("driver", driver)
		return all.write(w, "", 0, epoch)
	})
	if err != nil {
		return Target{}, fmt.Errorf("writing the source tree: %w", err)
	}
	return t, nil
}

// build makes one unit or finds it made.
func (b *Builder) build(ctx context.Context, u unit, progress func(string)) (Build, error) {
	what := string(u.side)
	if u.fuzz {
		what = "fuzzing"
	}
	out := Build{Side: u.side, Source: u.source.label, Inputs: map[string]proofhouse.Digest{
		"source": u.source.code.digest(), "harness": u.harness.digest(), "driver": u.driver.digest(), "build_root": u.root.Digest,
	}}
	if u.recipe.Language == Go {
		out.Inputs["lock"] = proofhouse.DigestOf(bytes.Join([][]byte{u.source.lock.mod, u.source.lock.sum}, []byte{0}))
	}
	out.Argv, out.Env = u.command()
	key := u.key(out.Inputs)
	defer b.lock(key)()

	record := filepath.Join(b.cfg.Dir, key.Hex()+".json")
	var made struct {
		Image proofhouse.Digest `json:"image"`
		Took  time.Duration     `json:"took"`
	}
	if raw, err := os.ReadFile(record); err == nil && json.Unmarshal(raw, &made) == nil {
		if out.Image, err = b.cfg.Images.Open(made.Image); err == nil {
			out.Took = made.Took
			return out, b.cfg.Images.Verify(made.Image)
		}
	}
	progress("building the " + what + " side")
	start := time.Now()
	files, err := b.make(ctx, u, progress)
	if err != nil {
		return Build{}, fmt.Errorf("building the %s side: %w", what, err)
	}
	out.Image, err = b.cfg.Images.Write(func(w *erofs.Writer) error { return files.write(w, "", 0, epoch) })
	if err != nil {
		return Build{}, fmt.Errorf("writing the %s build: %w", what, err)
	}
	out.Took = time.Since(start)
	made.Image, made.Took = out.Image.Digest, out.Took
	raw, err := json.Marshal(made)
	if err == nil {
		err = (Fetcher{Dir: b.cfg.Dir}).keep(filepath.Base(record), raw)
	}
	return out, err
}

// key names a build by all that goes into it, our own commands included.
func (u unit) key(inputs map[string]proofhouse.Digest) proofhouse.Digest {
	r := u.recipe
	raw, err := json.Marshal(struct {
		Version  int
		Language Language
		Fuzz     bool
		Inputs   map[string]proofhouse.Digest
		Script   string
		Sources  []string
		Flags    []string
		Options  [2]bool // the undefined-behaviour sanitizer; cgo, which is off
	}{1, r.Language, u.fuzz, inputs, r.Script, r.Sources, r.Flags, [2]bool{r.Undefined, false}})
	if err != nil {
		panic(err) // strings and digests only
	}
	return proofhouse.DigestOf(raw)
}

// lock waits until no other goroutine builds key; the result ends the claim.
func (b *Builder) lock(key proofhouse.Digest) func() {
	b.mu.Lock()
	m := b.busy[key]
	if m == nil {
		m = &sync.Mutex{}
		b.busy[key] = m
	}
	b.mu.Unlock()
	m.Lock()
	return m.Unlock
}

// make builds a unit and gives the files of its image.
func (b *Builder) make(ctx context.Context, u unit, progress func(string)) (tree, error) {
	switch u.recipe.Language {
	case Go:
		return b.makeGo(ctx, u, progress)
	case C:
		return b.makeC(ctx, u)
	default:
		return u.makeJavaScript()
	}
}

// command is how a unit's program is called, and the environment it needs.
func (u unit) command() (argv, env []string) {
	switch {
	case u.recipe.Language == Go && u.fuzz:
		return goFuzzArgv, nil
	case u.recipe.Language == Go:
		return []string{"/target/harness"}, nil
	case u.recipe.Language == C && u.fuzz:
		return cFuzzArgv, []string{asanFuzzOptions}
	case u.recipe.Language == C:
		return []string{"/target/harness"}, []string{asanOptions, ubsanOptions}
	case u.fuzz:
		return []string{nodeTool, "/fuzz/fuzz.js"}, nil
	default:
		return []string{nodeTool, "/target/run.js"}, nil
	}
}

// buildLimits bound a box that builds.
var buildLimits = sandbox.Limits{
	Memory: 6 << 30, Processes: 1024, CPU: 2, Disk: 3 << 30, Files: 4096, Output: 64 << 10,
}

// Bounds of what comes out of a box that builds.
const (
	maxBuilt      = 512 << 20 // bytes, all files together
	maxBuiltFiles = 256
)

// buildWall bounds each command of a box that builds or tests: a finder's project may never end.
const buildWall = 20 * time.Minute

// inBox starts a box on root with in shown at /in, runs the steps in order,
// and gives what they left in /out.
func (b *Builder) inBox(ctx context.Context, root sandbox.Image, in tree, steps ...sandbox.Command) (files tree, err error) {
	err = b.withBox(ctx, root, in, func(box sandbox.Box) (err error) {
		for _, cmd := range steps {
			cmd.User, cmd.Wall = sandbox.Nobody, buildWall
			res, err := box.Exec(ctx, cmd)
			if err != nil {
				return fmt.Errorf("running %s in the box: %w", path.Base(cmd.Argv[0]), err)
			}
			if res.Exit != 0 || res.Limit != "" {
				why := fmt.Sprintf("exit %d", res.Exit)
				if res.Limit != "" {
					why = "over the limit of " + string(res.Limit)
				}
				return proofhouse.Errorf(proofhouse.Failed, errors.New(tail(res)), "the build ended with %s", why)
			}
		}
		files, err = takeOut(ctx, box)
		return err
	})
	return files, err
}

// withBox starts a box that builds, on root with in shown at /in, and stops it after use.
func (b *Builder) withBox(ctx context.Context, root sandbox.Image, in tree, use func(sandbox.Box) error) (err error) {
	if err := os.MkdirAll(b.cfg.Dir, 0o755); err != nil {
		return err
	}
	// The input is of use to nobody else, and two builds may have the same.
	dir, err := os.MkdirTemp(b.cfg.Dir, ".in-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	img, err := sandbox.Images{Dir: dir}.Write(func(w *erofs.Writer) error { return in.write(w, "", 0, epoch) })
	if err != nil {
		return fmt.Errorf("writing the input: %w", err)
	}
	box, err := b.cfg.Provider.Start(ctx, sandbox.Spec{
		Root: root, Mounts: []sandbox.Mount{{Image: img, Path: "/in"}}, Writable: []string{"/work", "/out"},
		Limits: buildLimits, Network: sandbox.NoNetwork,
	})
	if err != nil {
		return fmt.Errorf("starting a box to build in: %w", err)
	}
	defer func() { err = errors.Join(err, box.Stop()) }()
	return use(box)
}

// tail is the end of what a failed build said.
func tail(res sandbox.Result) string {
	said := append(append([]byte{}, res.Stderr.Head...), res.Stderr.Tail...)
	if len(bytes.TrimSpace(said)) == 0 {
		said = append(append([]byte{}, res.Stdout.Head...), res.Stdout.Tail...)
	}
	return strings.ToValidUTF8(string(said[max(0, len(said)-3000):]), "?")
}

// takeOut copies the regular files of /out.
func takeOut(ctx context.Context, box sandbox.Box) (tree, error) {
	entries, err := box.List(ctx, "/out", maxBuiltFiles)
	if err != nil {
		return nil, fmt.Errorf("listing what was built: %w", err)
	}
	out, left := tree{}, int64(maxBuilt)
	for _, e := range entries {
		if !e.Mode.IsRegular() {
			continue
		}
		var data bytes.Buffer
		if err := box.CopyOut(ctx, e.Path, &data, left); err != nil {
			return nil, fmt.Errorf("copying out what was built: %w", err)
		}
		left -= int64(data.Len())
		if err := out.add(strings.TrimPrefix(e.Path, "/out/"), node{data: data.Bytes(), exec: e.Mode&0o100 != 0}); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func withoutSeeds(t tree) tree {
	out := tree{}
	for name, n := range t {
		if !strings.HasPrefix(name, "seeds/") {
			out[name] = n
		}
	}
	return out
}
