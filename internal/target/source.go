package target

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"

	"github.com/rogpeppe/go-internal/diff"

	"proofhouse/internal/proofhouse"
)

// sources is one side's third-party code, fetched and checked.
type sources struct {
	label string
	// code is what a person would read: the package and all that it needs.
	code tree
	// proxy and lock are a Go target's modules as the go command wants them.
	proxy tree
	lock  goLock
}

// Validate says whether r is complete and names no path outside the task.
func (r Recipe) Validate() error {
	if err := r.validate(); err != nil {
		return err
	}
	if r.Vulnerable.Tree+r.Fixed.Tree != "" {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "[metadata.cyber.target] names a tree: a task's code is fetched by hash")
	}
	for side, s := range map[Side]Source{Vulnerable: r.Vulnerable, Fixed: r.Fixed} {
		if err := s.validate(r.Language, side); err != nil {
			return err
		}
	}
	return nil
}

// ValidateOne says the same of a recipe whose vulnerable source alone is used.
func (r Recipe) ValidateOne() error {
	if err := r.validate(); err != nil {
		return err
	}
	return r.Vulnerable.validate(r.Language, Vulnerable)
}

func (r Recipe) validate() error {
	bad := func(format string, args ...any) error {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "[metadata.cyber.target] "+format, args...)
	}
	switch r.Language {
	case C, Go, JavaScript:
	default:
		return bad("language %q: write c, go or javascript", string(r.Language))
	}
	if r.BuildRoot == "" || r.RunRoot == "" {
		return bad("needs build_root and run_root, names of roots")
	}
	for _, name := range []string{r.Harness, r.Vulnerable.Lock, r.Fixed.Lock, r.Vulnerable.Tree, path.Join("x", r.Script)} {
		if name != "" && !fs.ValidPath(name) {
			return bad("%q is no path within the task's folder", name)
		}
	}
	if r.Harness == "" {
		return bad("needs harness, a folder of the task")
	}
	if r.Language != C && (r.Script != "" || len(r.Sources)+len(r.Flags) > 0 || r.Undefined) {
		return bad("script, sources, flags and undefined are for language c")
	}
	return nil
}

func (s Source) validate(l Language, side Side) error {
	bad := func(what string) error {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "[metadata.cyber.target.%s] %s", side, what)
	}
	if s.Tree != "" {
		switch {
		case s.Debian != "" || s.Hash != "":
			return bad("names a tree and pins a package: write one of them")
		case s.Package == "" || !fs.ValidPath(s.Package):
			return bad("needs package, the name of what the tree holds")
		}
		return nil
	}
	if s.Debian != "" {
		switch {
		case l != C:
			return bad("a Debian source is for language c")
		case s.Package != "" || s.Version != "" || s.Hash != "" || s.Lock != "":
			return bad("pins a Debian source and a package: write one of them")
		case s.Revision == "" || proofhouse.Digest(s.Orig).Validate() != nil || proofhouse.Digest(s.Patch).Validate() != nil:
			return bad("needs revision, orig and patch, the last two as sha256: digests")
		case side == Fixed && s.Omit != "":
			return bad("omits a patch: only the vulnerable side does")
		case side == Vulnerable && s.Omit == "":
			return bad("needs omit, the name of the patch that is left out")
		}
		return nil
	}
	if s.Package == "" || s.Version == "" || s.Hash == "" {
		return bad("needs package, version and hash, or a debian source")
	}
	if l != C && s.Lock == "" {
		return bad("needs lock, the file that pins all that the package needs")
	}
	return nil
}

// resolve fetches one side.
func (f Fetcher) resolve(ctx context.Context, task fs.FS, l Language, src Source) (sources, error) {
	out := sources{label: src.Package + " " + src.Version}
	var err error
	switch {
	case src.Tree != "":
		return f.resolveTree(ctx, task, l, src)
	case src.Debian != "":
		var t tree
		if t, out.label, err = f.debianTree(ctx, src); err != nil {
			return sources{}, err
		}
		if src.Omit != "" {
			out.label += " without " + src.Omit
		}
		out.code = tree{}.merge(src.place(l), t)
	case l == C && strings.HasPrefix(src.Hash, "h1:"):
		t, err := f.goModule(ctx, src)
		if err != nil {
			return sources{}, err
		}
		out.code = tree{}.merge(src.place(l), t)
	case l == C:
		t, err := f.npmPackage(ctx, npmEntry{name: src.Package, version: src.Version, integrity: src.Hash})
		if err != nil {
			return sources{}, err
		}
		out.code = tree{}.merge(src.place(l), t)
	case l == Go:
		return f.resolveGo(ctx, task, src, out)
	default:
		b, err := readTask(task, src.Lock)
		if err != nil {
			return sources{}, err
		}
		entries, err := parseNpmLock(b)
		if err == nil {
			err = npmHolds(entries, src)
		}
		if err != nil {
			return sources{}, err
		}
		if out.code, err = f.nodeModules(ctx, entries); err != nil {
			return sources{}, err
		}
	}
	return out, nil
}

// resolveTree takes a source that lies in the folder, and fetches what its lock pins.
func (f Fetcher) resolveTree(ctx context.Context, folder fs.FS, l Language, src Source) (sources, error) {
	out, err := treeSource(folder, l, src)
	if err != nil || src.Lock == "" {
		return out, err
	}
	lock, err := readTask(folder, src.Lock)
	if err != nil {
		return sources{}, err
	}
	switch l {
	case Go:
		sum, err := readTask(folder, strings.TrimSuffix(src.Lock, ".mod")+".sum")
		if err != nil {
			return sources{}, err
		}
		if out.lock, err = parseGoLock(lock, sum); err != nil {
			return sources{}, err
		}
		out.proxy, err = f.modules(ctx, out.lock)
		return out, err
	case JavaScript:
		entries, err := parseNpmLock(lock)
		if err != nil {
			return sources{}, err
		}
		needs, err := f.nodeModules(ctx, entries)
		if err != nil {
			return sources{}, err
		}
		out.code = needs.merge("", out.code)
		return out, nil
	default:
		return sources{}, proofhouse.Errorf(proofhouse.Invalid, nil, "a C source takes no lock")
	}
}

func (f Fetcher) resolveGo(ctx context.Context, task fs.FS, src Source, out sources) (sources, error) {
	mod, err := readTask(task, src.Lock)
	if err != nil {
		return sources{}, err
	}
	sum, err := readTask(task, strings.TrimSuffix(src.Lock, ".mod")+".sum")
	if err != nil {
		return sources{}, err
	}
	if out.lock, err = parseGoLock(mod, sum); err == nil {
		err = out.lock.holds(src)
	}
	if err != nil {
		return sources{}, err
	}
	if out.proxy, err = f.modules(ctx, out.lock); err != nil {
		return sources{}, err
	}
	out.code = tree{}
	for m := range out.lock.zips {
		name, err := proxyName(m)
		if err != nil {
			return sources{}, err
		}
		t, err := unzip(out.proxy[name+".zip"].data, m.Path+"@"+m.Version+"/")
		if err != nil {
			return sources{}, fmt.Errorf("unpacking %s: %w", m.Path, err)
		}
		place := "deps/" + m.Path
		if m.Path == src.Package {
			place = src.place(Go)
		}
		out.code.merge(place, t)
	}
	return out, nil
}

// trimMajor takes the major version's element off a module path.
func trimMajor(p string) string {
	if regexp.MustCompile(`/v[0-9]+$`).MatchString(p) {
		return path.Dir(p)
	}
	return p
}

func readTask(task fs.FS, name string) ([]byte, error) {
	b, err := fs.ReadFile(task, name)
	if err != nil {
		return nil, proofhouse.Errorf(proofhouse.Invalid, err, "the task's folder has no %s", name)
	}
	return b, nil
}

// tells matches what an agent does not see of a project: its history, which
// names the flaw, its tests, which may hold a proof, and packaging.
var tells = regexp.MustCompile(`(?i)(^|/)(\.git|\.svn|\.hg|\.github|\.pc|debian|tests?|testdata|__tests__|spec|fuzz|fuzzing|oss-fuzz|fixtures|examples?)/|` +
	`_test\.go$|\.(test|spec)\.[cm]?[jt]s$|(^|/)(changelog|changes|history|news|releases?)(\.[a-z]+)?$`)

// visible is the part of a side's code that an agent sees.
func visible(t tree) tree {
	out := tree{}
	for name, n := range t {
		if !tells.MatchString(name) {
			out[name] = n
		}
	}
	return out
}

// Patch is the difference from the vulnerable source to the fixed one, as a
// unified diff over what an agent sees of both: hint level 3.
func (b *Builder) Patch(ctx context.Context, task fs.FS, r Recipe) ([]byte, error) {
	if err := r.Validate(); err != nil {
		return nil, err
	}
	vul, err := b.cfg.Fetch.resolve(ctx, task, r.Language, r.Vulnerable)
	if err != nil {
		return nil, err
	}
	fix, err := b.cfg.Fetch.resolve(ctx, task, r.Language, r.Fixed)
	if err != nil {
		return nil, err
	}
	x, y := visible(vul.code), visible(fix.code)
	// What the package needs often moves along; that is not the fix, unless
	// nothing else differs.
	main := func(t tree, src Source) tree {
		return tree{}.merge(src.place(r.Language), t.sub(src.place(r.Language)))
	}
	if d := diffTrees(main(x, r.Vulnerable), main(y, r.Fixed)); len(d) > 0 {
		return d, nil
	}
	return diffTrees(x, y), nil
}

// place is where a source's own package lies in the code of its side.
func (s Source) place(l Language) string {
	switch {
	case s.Debian != "":
		return s.Debian
	case l == JavaScript:
		return "node_modules/" + s.Package
	default:
		return path.Base(trimMajor(s.Package))
	}
}

// maxDiffed bounds a file that is compared line by line, in bytes.
const maxDiffed = 4 << 20

func diffTrees(a, b tree) []byte {
	var out bytes.Buffer
	for _, name := range (tree{}).merge("", a).merge("", b).names() {
		x, y := a[name].data, b[name].data
		if bytes.Equal(x, y) {
			continue
		}
		if bytes.IndexByte(x, 0) >= 0 || bytes.IndexByte(y, 0) >= 0 || len(x)+len(y) > maxDiffed {
			fmt.Fprintf(&out, "Files a/%s and b/%s differ\n", name, name)
			continue
		}
		from, to := "a/"+name, "b/"+name
		if _, ok := a[name]; !ok {
			from = "/dev/null"
		}
		if _, ok := b[name]; !ok {
			to = "/dev/null"
		}
		d := diff.Diff(from, x, to, y)
		if i := bytes.IndexByte(d, '\n'); i >= 0 && bytes.HasPrefix(d, []byte("diff ")) {
			d = d[i+1:]
		}
		out.Write(d)
	}
	return out.Bytes()
}
