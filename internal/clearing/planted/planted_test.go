package planted

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	wanted    = flag.String("seeds", "", "the seeds to make projects of, as FROM-TO")
	preferred = flag.String("cc", "", "the C compiler to try before clang and gcc")
)

// A rig builds and runs one project's sources outside boxes: the project is our
// own.
type rig struct {
	t   *testing.T
	p   *Project
	dir string
	mu  sync.Mutex
	// objects are what was compiled, by the content of all that went into it.
	objects map[string]string
}

// compiler is one that has the address sanitizer with it, or "".
var compiler = sync.OnceValue(func() string {
	dir, err := os.MkdirTemp("", "planted")
	if err != nil {
		return ""
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "a.c")
	if err := os.WriteFile(file, []byte("int main(void) { return 0; }\n"), 0o644); err != nil {
		return ""
	}
	for _, name := range []string{*preferred, "clang", "gcc"} {
		if _, err := run(dir, nil, name, "-fsanitize=address", file, "-o", "a"); err == nil {
			return name
		}
	}
	return ""
})

// linker is a faster one, where there is one.
var linker = sync.OnceValue(func() []string {
	if _, err := exec.LookPath("ld.lld"); err == nil {
		return []string{"-fuse-ld=lld"}
	}
	return nil
})

const cflags = "-O1 -g -fno-omit-frame-pointer -fsanitize=address -Wall -Wextra -Werror -Wno-unused-function -Wno-unknown-attributes"

// driver runs the harness on each file named, in a child of its own, and says
// how that ended. With -mutate N it runs the harness N times on inputs made
// from the files, in one process.
const driver = `
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
int LLVMFuzzerTestOneInput(const uint8_t *, size_t);
static uint8_t *load(const char *name, size_t *n) {
	FILE *f = fopen(name, "rb");
	uint8_t *b = malloc(1 << 20);
	*n = fread(b, 1, 1 << 20, f);
	fclose(f);
	return b;
}
static void run(const uint8_t *b, size_t n) {
	uint8_t *c = malloc(n ? n : 1);
	memcpy(c, b, n);
	LLVMFuzzerTestOneInput(c, n);
	free(c);
}
static uint64_t x = 88172645463325252ull;
static uint32_t r(uint32_t n) { x ^= x << 13; x ^= x >> 7; x ^= x << 17; return n ? x % n : 0; }
int main(int argc, char **argv) {
	size_t n;
	if (strcmp(argv[1], "-mutate") == 0) {
		freopen("/dev/null", "w", stdout);
		for (int i = atoi(argv[2]); i > 0; i--) {
			uint8_t *b = load(argv[3 + r(argc - 3)], &n);
			for (int k = 1 + r(4); k > 0 && n; k--) {
				uint32_t at = r(n);
				switch (r(6)) {
				case 0: b[at] = r(256); break;
				case 1: b[at] += 1 - 2 * r(2); break;
				case 2: b[at] ^= 1 << r(8); break;
				case 3: n = at; break;
				case 4: memmove(b + at, b + at + 1, n - at - 1); n--; break;
				case 5: { uint32_t m = r(n - at); memmove(b + at + m, b + at, n - at); n += m; } break;
				}
			}
			FILE *f = fopen("last", "wb");
			fwrite(b, 1, n, f);
			fclose(f);
			run(b, n);
			free(b);
		}
		return 0;
	}
	for (int i = 1; i < argc; i++) {
		char name[4096];
		fflush(stdout);
		pid_t child = fork();
		int status;
		if (child == 0) {
			snprintf(name, sizeof name, "%s.out", argv[i]);
			freopen(name, "w", stdout);
			snprintf(name, sizeof name, "%s.err", argv[i]);
			freopen(name, "w", stderr);
			dup2(fileno(stderr), 2);
			uint8_t *b = load(argv[i], &n);
			run(b, n);
			exit(0);
		}
		waitpid(child, &status, 0);
		printf("%d\n", WIFEXITED(status) ? WEXITSTATUS(status) : 128);
	}
	return 0;
}
`

func newRig(t *testing.T, p *Project) *rig {
	return &rig{t: t, p: p, dir: t.TempDir(), objects: map[string]string{}}
}

// lay writes files below a fresh folder.
func (r *rig) lay(files ...map[string][]byte) string {
	r.t.Helper()
	dir, err := os.MkdirTemp(r.dir, "tree")
	if err != nil {
		r.t.Fatal(err)
	}
	for _, set := range files {
		for name, b := range set {
			to := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
				r.t.Fatal(err)
			}
			if err := os.WriteFile(to, b, 0o644); err != nil {
				r.t.Fatal(err)
			}
		}
	}
	return dir
}

// patched is the source with diffs applied by git; an error is git's refusal.
func (r *rig) patched(diffs ...[]byte) (map[string][]byte, error) {
	r.t.Helper()
	dir := r.lay(r.p.Source)
	for _, d := range diffs {
		cmd := exec.Command("git", "apply", "-p1", "-")
		cmd.Dir, cmd.Stdin = dir, bytes.NewReader(d)
		cmd.Env = append(os.Environ(), "GIT_CEILING_DIRECTORIES="+r.dir)
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%w: %s\n%s", err, out, d)
		}
	}
	files := map[string][]byte{}
	err := filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(name)
		rel, _ := filepath.Rel(dir, name)
		files[rel] = b
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return files, nil
}

func run(dir string, env []string, argv ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// object compiles one file of a tree, or finds it compiled.
func (r *rig) object(dir, file string, key string) string {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if o := r.objects[key]; o != "" {
		return o
	}
	o := filepath.Join(r.dir, fmt.Sprintf("%d.o", len(r.objects)))
	argv := slices.Concat([]string{compiler()}, strings.Fields(cflags), r.p.Recipe.Flags, []string{"-c", file, "-o", o})
	if out, err := run(dir, nil, argv...); err != nil {
		r.t.Fatalf("compiling %s: %v\n%s", file, err, out)
	}
	r.objects[key] = o
	return o
}

// build links a program of the project's files and of one more, which is part
// of files.
func (r *rig) build(files map[string][]byte, mains ...string) string {
	r.t.Helper()
	var headers []byte
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if strings.HasSuffix(name, ".h") {
			headers = append(headers, files[name]...)
		}
	}
	dir := r.lay(files)
	var objects []string
	for name := range files {
		if ok, _ := filepath.Match(r.p.Recipe.Sources[0], name); ok || slices.Contains(mains, name) {
			objects = append(objects, r.object(dir, name, name+"\x00"+string(files[name])+"\x00"+string(headers)))
		}
	}
	out := filepath.Join(dir, "program")
	argv := slices.Concat([]string{compiler(), "-fsanitize=address"}, linker(), objects, []string{"-o", out})
	if text, err := run(dir, nil, argv...); err != nil {
		r.t.Fatalf("linking: %v\n%s", err, text)
	}
	return out
}

func merge(sets ...map[string][]byte) map[string][]byte {
	out := map[string][]byte{}
	for _, s := range sets {
		for k, v := range s {
			out[k] = v
		}
	}
	return out
}

// result is how the harness ended on one input.
type result struct {
	broke bool
	class string
	out   string
	err   string
}

var summary = regexp.MustCompile(`(?m)^SUMMARY: AddressSanitizer: ([A-Za-z-]+)`)

// harness builds the harness over a source.
func (r *rig) harness(files map[string][]byte) string {
	all := merge(files, r.p.Harness)
	return r.build(merge(all, map[string][]byte{"driver.c": []byte(driver)}), "harness.c", "driver.c")
}

// try runs the harness on inputs.
func (r *rig) try(program string, inputs ...[]byte) []result {
	r.t.Helper()
	dir, err := os.MkdirTemp(r.dir, "run")
	if err != nil {
		r.t.Fatal(err)
	}
	argv := []string{program}
	for i, in := range inputs {
		name := filepath.Join(dir, fmt.Sprint(i))
		if err := os.WriteFile(name, in, 0o644); err != nil {
			r.t.Fatal(err)
		}
		argv = append(argv, name)
	}
	out, err := run(dir, []string{asanOptions()}, argv...)
	if err != nil {
		r.t.Fatalf("%v: %s", err, out)
	}
	codes := strings.Fields(out)
	if len(codes) != len(inputs) {
		r.t.Fatalf("%d inputs, results %q", len(inputs), out)
	}
	results := make([]result, len(inputs))
	for i := range inputs {
		text, _ := os.ReadFile(filepath.Join(dir, fmt.Sprintf("%d.err", i)))
		printed, _ := os.ReadFile(filepath.Join(dir, fmt.Sprintf("%d.out", i)))
		results[i] = result{broke: codes[i] != "0", out: string(printed), err: brief(text)}
		if m := summary.FindSubmatch(text); m != nil {
			results[i].class = string(m[1])
		}
	}
	return results
}

// brief is a report's head and its first frames.
func brief(text []byte) string {
	var out []string
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, "ERROR:") || strings.Contains(line, "    #") && len(out) < 6 {
			out = append(out, line)
		}
	}
	return strings.Join(out, "")
}

// asanOptions are the oracle's, and what makes reports cheaper.
func asanOptions() string {
	symbolize := "0"
	if testing.Verbose() {
		symbolize = "1"
	}
	return "ASAN_OPTIONS=detect_leaks=0:exitcode=77:allocator_may_return_null=1:fast_unwind_on_fatal=1:print_legend=0:quarantine_size_mb=8:symbolize=" + symbolize
}

// tests links tests of a tree into one program, and runs each. It says which
// failed, and how.
func (r *rig) tests(files map[string][]byte, names ...string) map[string]string {
	r.t.Helper()
	var table strings.Builder
	all := merge(files)
	table.WriteString("#include <stdlib.h>\n#include <stdio.h>\n")
	for i := range names {
		fmt.Fprintf(&table, "int main%d(void);\n", i)
	}
	table.WriteString("int main(int argc, char **argv) {\n\tswitch (argc > 1 ? atoi(argv[1]) : -1) {\n")
	mains := []string{"table.c"}
	for i, name := range names {
		fmt.Fprintf(&table, "\tcase %d: return main%d();\n", i, i)
		mains = append(mains, fmt.Sprintf("tests/main%d.c", i))
		all[mains[i+1]] = fmt.Appendf(nil, "#define main main%d\n%s", i, files[name])
	}
	table.WriteString("\t}\n\treturn 64;\n}\n")
	all["table.c"] = []byte(table.String())
	program := r.build(all, mains...)
	failed := map[string]string{}
	for i, name := range names {
		if out, err := run(r.dir, []string{asanOptions()}, program, fmt.Sprint(i)); err != nil {
			failed[name] = fmt.Sprintf("%v: %s", err, brief([]byte(out)))
		}
	}
	return failed
}

func TestC(t *testing.T) {
	if compiler() == "" {
		t.Skip("no C compiler")
	}
	for _, seed := range seeds(t) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			p := C(seed)
			checkC(t, &p)
		})
	}
}

func seeds(t *testing.T) []uint64 {
	var from, to uint64 = 1, 1
	if *wanted != "" {
		if _, err := fmt.Sscanf(*wanted, "%d-%d", &from, &to); err != nil {
			t.Fatalf("-seeds=%q is not FROM-TO", *wanted)
		}
	}
	var out []uint64
	for s := from; s <= to; s++ {
		out = append(out, s)
	}
	return out
}

func (p *Project) patch(name string) *Patch {
	for i := range p.Patches {
		if p.Patches[i].Name == name {
			return &p.Patches[i]
		}
	}
	return nil
}

func testFiles(files map[string][]byte) []string {
	var out []string
	for name := range files {
		if strings.HasPrefix(name, "tests/") && strings.HasSuffix(name, ".c") {
			out = append(out, name)
		}
	}
	return out
}

// flaky finds that a proof breaks in some of its runs and not in others.
func flaky(t *testing.T, pr *Proof, runs []result) {
	t.Helper()
	broke := 0
	for _, res := range runs {
		if res.broke {
			broke++
		}
	}
	if broke < 2 || broke > len(runs)-2 {
		t.Errorf("%s, which is flaky, broke in %d of %d runs", pr.Name, broke, len(runs))
	}
}

// mutations are n inputs made from others by a few changes of bytes.
func mutations(from [][]byte, n int) [][]byte {
	rng := rand.New(rand.NewPCG(1, 2))
	var out [][]byte
	for range n {
		b := slices.Clone(from[rng.IntN(len(from))])
		for range 1 + rng.IntN(4) {
			if len(b) == 0 {
				break
			}
			at := rng.IntN(len(b))
			switch rng.IntN(6) {
			case 0:
				b[at] = byte(rng.IntN(256))
			case 1:
				b[at] += byte(1 - 2*rng.IntN(2))
			case 2:
				b[at] ^= 1 << rng.IntN(8)
			case 3:
				b = b[:at]
			case 4:
				b = slices.Delete(b, at, at+1)
			case 5:
				b = slices.Insert(b, at, b[at:at+rng.IntN(min(40, len(b)-at))]...)
			}
		}
		out = append(out, b)
	}
	return out
}

func checkC(t *testing.T, p *Project) {
	r := newRig(t, p)
	base := r.harness(p.Source)
	if out, err := run(r.lay(p.Source), []string{"CC=" + compiler(), "CFLAGS=" + cflags, "ASAN_OPTIONS=detect_leaks=0"}, p.Test...); err != nil {
		t.Fatalf("the tests of the unpatched source: %v\n%s", err, out)
	}
	programs := map[string]string{"": base}
	regressions := maps.Clone(p.Source) // each beside the unpatched source
	alone := map[string]*Patch{}        // by test
	var added []string
	for j := range p.Patches {
		pa := &p.Patches[j]
		if pa.Fault == EditHarness {
			continue
		}
		var before [][]byte
		for _, name := range pa.After {
			before = append(before, p.patch(name).Diff)
		}
		files, err := r.patched(append(before, pa.Diff)...)
		if err != nil {
			complain(t, pa, "does not apply: %v", err)
			continue
		}
		built := files
		if len(pa.After) > 0 {
			only, err := r.patched(pa.Diff)
			if (err == nil) != pa.Alone {
				complain(t, pa, "applies alone: %v", err == nil)
			}
			if err == nil {
				built = only
			}
		}
		programs[pa.Name] = r.harness(built)
		if !pa.Right {
			if _, err := r.patched(pa.Diff, pa.Regression); err != nil {
				complain(t, pa, "the regression test does not apply: %v", err)
			}
			if pa.Fault == WeakTest && len(r.tests(files, testFiles(files)...)) > 0 {
				complain(t, pa, "the weakened tests fail")
			}
			continue
		}
		tested, err := r.patched(append(slices.Clone(before), pa.Diff, pa.Regression)...)
		if err != nil {
			complain(t, pa, "the regression test does not apply: %v", err)
			continue
		}
		for name, out := range r.tests(tested, testFiles(tested)...) {
			complain(t, pa, "%s fails: %s", name, out)
		}
		for _, name := range testFiles(tested) {
			if files[name] != nil {
				continue
			}
			if len(before) == 0 {
				regressions[name], alone[name], added = tested[name], pa, append(added, name)
				continue
			}
			untested, err := r.patched(append(before, pa.Regression)...)
			if err != nil {
				complain(t, pa, "the regression test does not apply without: %v", err)
			} else if len(r.tests(untested, name)) == 0 {
				complain(t, pa, "the regression test passes without the patch")
			}
		}
	}
	failed := r.tests(regressions, added...)
	for name, pa := range alone {
		if failed[name] == "" {
			complain(t, pa, "the regression test passes without the patch")
		}
	}
	programs["mended"] = r.harness(p.mended)
	try := func(name string, inputs ...[]byte) []result { return r.try(programs[name], inputs...) }
	check(t, p, try)

	// No bug but the planted ones.
	dir := t.TempDir()
	argv := []string{programs["mended"], "-mutate", "3000"}
	for i, in := range append(slices.Clone(p.Benign), inputs(p)...) {
		name := filepath.Join(dir, fmt.Sprint(i))
		if err := os.WriteFile(name, in, 0o644); err != nil {
			t.Fatal(err)
		}
		argv = append(argv, name)
	}
	if out, err := run(dir, []string{asanOptions()}, argv...); err != nil {
		last, _ := os.ReadFile(filepath.Join(dir, "last"))
		t.Errorf("a mutated input breaks the project with all fixes: %v\n%s\n%q", err, out, last)
	}
}

func complain(t *testing.T, pa *Patch, format string, args ...any) {
	t.Helper()
	t.Errorf("%s (%v, right %v, %s): %s\n%s", pa.Name, pa.removes, pa.Right, pa.Fault, fmt.Sprintf(format, args...), pa.Diff)
}

func inputs(p *Project) [][]byte {
	var out [][]byte
	for _, pr := range p.Proofs {
		out = append(out, pr.Input)
	}
	return out
}

// check finds what a project says of its proofs, patches and benign inputs true.
// try runs a build, named as its patch, "" or "mended", on inputs.
func check(t *testing.T, p *Project, try func(build string, inputs ...[]byte) []result) {
	t.Helper()
	clean := try("", p.Benign...)
	for i, res := range clean {
		if res.broke {
			t.Errorf("benign input %d breaks: %s", i, res.err)
		}
	}
	for i, res := range try("", inputs(p)...) {
		if pr := &p.Proofs[i]; pr.Flaky {
			flaky(t, pr, try("", slices.Repeat([][]byte{pr.Input}, 24)...))
		} else if !res.broke || res.class != pr.Class {
			t.Errorf("%s (%s, %v): broke %v in %q, want %q: %s", pr.Name, pr.Bug, pr.atoms, res.broke, res.class, pr.Class, res.err)
		}
	}
	for i, res := range try("mended", inputs(p)...) {
		if res.broke {
			t.Errorf("%s breaks the project with all fixes: %s", p.Proofs[i].Name, res.err)
		}
	}
	matrix := p.Matrix()
	for j := range p.Patches {
		pa := &p.Patches[j]
		if pa.Fault == EditHarness {
			continue
		}
		mends := slices.Clone(pa.Aims)
		for _, name := range pa.After {
			mends = append(mends, p.patch(name).Aims...)
		}
		var stopped []string
		for i, res := range try(pa.Name, inputs(p)...) {
			pr := &p.Proofs[i]
			stops := matrix[i][j]
			if !pa.Alone {
				stops = p.Stopped(pr.Name, append(slices.Clone(pa.After), pa.Name)...)
			}
			if pr.Flaky && !stops {
				flaky(t, pr, try(pa.Name, slices.Repeat([][]byte{pr.Input}, 24)...))
			} else if res.broke == stops {
				complain(t, pa, "%s (%s, %v) broke: %v: %s", pr.Name, pr.Bug, pr.atoms, res.broke, res.err)
			}
			if !res.broke && (!pr.Flaky || stops) {
				stopped = append(stopped, pr.Name)
			}
			// The labels, by execution: what a right patch stops are the proofs of
			// the bugs that it is for.
			of := true
			for _, b := range pr.Reaches {
				of = of && slices.Contains(mends, b)
			}
			if pa.Right && !pr.Flaky && (pa.Alone == (len(pa.After) == 0)) && res.broke == of {
				complain(t, pa, "%s is of %s, and broke: %v", pr.Name, pr.Bug, res.broke)
			}
		}
		if pa.Alone && !slices.Equal(stopped, pa.Stops) {
			complain(t, pa, "stops %v, want %v", stopped, pa.Stops)
		}
		for i, res := range try(pa.Name, p.Benign...) {
			switch {
			case pa.Right && res.out != clean[i].out:
				complain(t, pa, "prints for benign %d %s instead of %s", i, res.out, clean[i].out)
			case res.broke && pa.Fault != NewBreak:
				complain(t, pa, "benign %d breaks: %s", i, res.err)
			}
		}
		if pa.Witness == nil {
			continue
		}
		switch got, want := try(pa.Name, pa.Witness)[0], try("mended", pa.Witness)[0]; {
		case pa.Breaks != got.broke:
			complain(t, pa, "the witness breaks: %v", got.broke)
		case want.broke:
			complain(t, pa, "the witness breaks the project with all fixes: %s", want.err)
		case !pa.Breaks && got.out == want.out:
			complain(t, pa, "the witness prints %q with all fixes too", got.out)
		}
	}
}
