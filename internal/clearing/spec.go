package clearing

import (
	"archive/zip"
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	packageurl "github.com/package-url/packageurl-go"

	"proofhouse/internal/oracle"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/target"
	"proofhouse/internal/vault"
)

// SpecFile is the file of a target's folder that says how it is built.
const SpecFile = "target.toml"

// Spec is what a target's folder says of itself: which version of which software it is, how that becomes a program that takes
// one input, and how it is tested. docs/design/clearing.md has the keys.
type Spec struct {
	Purl string `toml:"purl"`
	// Target is a recipe with one source, [target.source].
	Target struct {
		Language  target.Language `toml:"language"`
		BuildRoot string          `toml:"build_root"` // by language where left out
		RunRoot   string          `toml:"run_root"`
		Harness   string          `toml:"harness"` // "harness" where left out
		Script    string          `toml:"script"`
		Sources   []string        `toml:"sources"`
		Flags     []string        `toml:"flags"`
		Undefined bool            `toml:"undefined"`
		Source    target.Source   `toml:"source"`
	} `toml:"target"`
	Oracle oracle.Rule `toml:"oracle"` // a crash where left out
	// Tests is the command that runs the project's own tests in its folder; none is none.
	Tests []string `toml:"tests"`
	// Benign is a folder of inputs that break nothing: the harness's seeds where left out.
	Benign string `toml:"benign"`
}

// Recipe is how the target is built.
func (s Spec) Recipe() target.Recipe {
	t := s.Target
	build, run := string(t.Language), string(t.Language)
	switch t.Language {
	case target.C:
		build, run = "c-build", "c-run"
	case target.JavaScript:
		build, run = "node", "node"
	case target.Go:
	}
	return target.Recipe{
		Language: t.Language, BuildRoot: cmp.Or(t.BuildRoot, build), RunRoot: cmp.Or(t.RunRoot, run), Harness: cmp.Or(t.Harness, "harness"),
		Vulnerable: t.Source, Script: t.Script, Sources: t.Sources, Flags: t.Flags, Undefined: t.Undefined,
	}
}

// Rule is how the target breaks.
func (s Spec) Rule() oracle.Rule {
	r := s.Oracle
	r.Symptom = cmp.Or(r.Symptom, oracle.Crash)
	return r.Or()
}

// Bounds of a target's archive.
const (
	maxArchive  = 32 << 20  // bytes, packed
	maxUnpacked = 256 << 20 // bytes
	maxMembers  = 20_000
	maxBenign   = 64
	maxInput    = 1 << 20 // bytes of an input
)

// Folder is a target as it came: a folder with SpecFile in it.
type Folder struct {
	FS   fs.FS
	Spec Spec
}

// OpenFolder reads a target's archive, a ZIP, as hostile: it is not unpacked anywhere. The error is proofhouse.Invalid or
// proofhouse.Limit, and quotes no name of the archive.
func OpenFolder(ctx context.Context, archive []byte) (Folder, error) {
	if len(archive) > maxArchive {
		return Folder{}, proofhouse.Errorf(proofhouse.Limit, nil, "the target's archive is larger than %d MiB", maxArchive>>20)
	}
	if _, err := vault.ListArchive(ctx, bytes.NewReader(archive), int64(len(archive)), vault.ArchiveLimits{Members: maxMembers, Bytes: maxUnpacked}); err != nil {
		return Folder{}, err
	}
	z, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		return Folder{}, proofhouse.Errorf(proofhouse.Invalid, err, "the target is no ZIP archive")
	}
	return ReadFolder(z)
}

// ReadFolder reads a target's folder.
func ReadFolder(fsys fs.FS) (Folder, error) {
	text, err := fs.ReadFile(fsys, SpecFile)
	if err != nil {
		return Folder{}, proofhouse.Errorf(proofhouse.Invalid, err, "the target's folder has no %s", SpecFile)
	}
	f := Folder{FS: fsys}
	if err := decode(SpecFile, text, &f.Spec); err != nil {
		return Folder{}, err
	}
	if _, err := ProjectOf(f.Spec.Purl); err != nil {
		return Folder{}, err
	}
	if err := f.Spec.Recipe().ValidateOne(); err != nil {
		return Folder{}, proofhouse.Errorf(proofhouse.Invalid, err, "%s: %s", SpecFile, strings.ReplaceAll(strings.ReplaceAll(proofhouse.PublicOf(err), "metadata.cyber.target.vulnerable", "target.source"), "metadata.cyber.target", "target"))
	}
	if err := f.Spec.matches(); err != nil {
		return Folder{}, err
	}
	if b := f.Spec.Benign; b != "" && !fs.ValidPath(b) {
		return Folder{}, proofhouse.Errorf(proofhouse.Invalid, nil, "%s: benign is no path of the folder", SpecFile)
	}
	return f, nil
}

// matches says whether the source is what the purl names. Code that comes along is of no registry: whoever sends it could have changed it.
func (s Spec) matches() error {
	p, err := packageurl.FromString(s.Purl)
	if err != nil {
		return err // ProjectOf has read it
	}
	src := s.Target.Source
	kind, name, version := packageurl.TypeNPM, src.Package, src.Version
	switch {
	case src.Tree != "":
		if p.Type != packageurl.TypeGeneric {
			return proofhouse.Errorf(proofhouse.Invalid, nil, "%s: a tree that comes along is pkg:generic/NAME@VERSION; pin what a registry has by its hash", SpecFile)
		}
		return nil
	case src.Debian != "":
		kind, name, version = packageurl.TypeDebian, "debian/"+src.Debian, src.Revision
	case strings.HasPrefix(src.Hash, "h1:"):
		kind = packageurl.TypeGolang
	}
	if p.Type != kind || !strings.EqualFold(path.Join(p.Namespace, p.Name), name) || p.Version != version {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "%s: the purl is not of the source that is pinned: %s %s", SpecFile, name, version)
	}
	return nil
}

// Benign are the inputs that must break nothing, in the order of their names.
func (f Folder) Benign() ([][]byte, error) {
	dir := cmp.Or(f.Spec.Benign, path.Join(f.Spec.Recipe().Harness, "seeds"))
	files, err := fs.ReadDir(f.FS, dir)
	if err != nil {
		if f.Spec.Benign != "" {
			return nil, proofhouse.Errorf(proofhouse.Invalid, err, "the target's folder has no benign inputs where it says")
		}
		return nil, nil
	}
	var all [][]byte
	for _, e := range files {
		info, err := e.Info()
		if err != nil || !e.Type().IsRegular() {
			continue
		}
		if info.Size() > maxInput || len(all) == maxBenign {
			return nil, proofhouse.Errorf(proofhouse.Limit, nil, "the target's folder has more than %d benign inputs, or one of more than %d bytes", maxBenign, maxInput)
		}
		b, err := fs.ReadFile(f.FS, path.Join(dir, e.Name()))
		if err != nil {
			return nil, proofhouse.Errorf(proofhouse.Invalid, err, "a benign input of the target's folder cannot be read")
		}
		all = append(all, b)
	}
	return all, nil
}

// PackFolder makes the archive of a target's folder on this machine. Equal folders give equal bytes. Anything but regular files is
// proofhouse.Invalid.
func PackFolder(dir string) ([]byte, error) { return Pack(os.DirFS(dir)) }

// Pack is PackFolder of any file system.
func Pack(folder fs.FS) ([]byte, error) {
	if _, err := ReadFolder(folder); err != nil {
		return nil, err
	}
	var names []string
	err := fs.WalkDir(folder, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil || d.IsDir():
			return err
		case !d.Type().IsRegular():
			return proofhouse.Errorf(proofhouse.Invalid, nil, "%s is no regular file: a target's folder holds nothing else", name)
		}
		names = append(names, name)
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for _, name := range names {
		b, err := fs.ReadFile(folder, name)
		if err != nil {
			return nil, err
		}
		w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate})
		if err != nil {
			return nil, err
		}
		if _, err := w.Write(b); err != nil {
			return nil, err
		}
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	if out.Len() > maxArchive {
		return nil, proofhouse.Errorf(proofhouse.Limit, nil, "the folder packs to more than %d MiB", maxArchive>>20)
	}
	return out.Bytes(), nil
}

// Builder makes programs; target.Builder is one.
type Builder interface {
	Make(ctx context.Context, folder fs.FS, r target.Recipe, patches ...[]byte) (target.Build, error)
	Test(ctx context.Context, folder fs.FS, r target.Recipe, argv []string, patches ...[]byte) (target.Tested, error)
}

// Boxes is a Workshop in sealed boxes.
type Boxes struct {
	Builder Builder
	Oracle  *oracle.Oracle
	Folder  Folder
}

// Build implements Workshop.
func (b *Boxes) Build(ctx context.Context, patches ...[]byte) (Program, error) {
	r := b.Folder.Spec.Recipe()
	built, err := b.Builder.Make(ctx, b.Folder.FS, r, patches...)
	if err != nil {
		return nil, fmt.Errorf("building the target: %w", err)
	}
	sitting, err := b.Oracle.Sit(oracle.Subject{Language: r.Language, Build: built, Rule: b.Folder.Spec.Rule()})
	if err != nil {
		return nil, err
	}
	return boxed{sitting, built}, nil
}

// boxed is a sitting that knows its build.
type boxed struct {
	*oracle.Sitting
	build target.Build
}

// Build is what the program was built of.
func (b boxed) Build() target.Build { return b.build }

// Test implements Workshop.
func (b *Boxes) Test(ctx context.Context, patches ...[]byte) (target.Tested, error) {
	if len(b.Folder.Spec.Tests) == 0 {
		return target.Tested{}, proofhouse.Errorf(proofhouse.NotFound, nil, "the target names no tests")
	}
	return b.Builder.Test(ctx, b.Folder.FS, b.Folder.Spec.Recipe(), b.Folder.Spec.Tests, patches...)
}
