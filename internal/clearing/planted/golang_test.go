package planted

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// goDriver runs one variant's harness on each file named, and says how that
// ended. A process that ends early ended in the first file without a line.
const goDriver = `package main

import (
	"fmt"
	"os"
	"strings"
)

func one(name, variant string) (result string) {
	defer func() {
		if r := recover(); r != nil {
			result = "1 " + strings.ReplaceAll(fmt.Sprint(r), "\n", " ")
		}
	}()
	b, err := os.ReadFile(name)
	if err != nil {
		panic(err)
	}
	harnesses[variant](b)
	return "0"
}

func main() {
	out := os.Stdout
	for _, name := range os.Args[2:] {
		os.Stdout, _ = os.Create(name + ".out")
		result := one(name, os.Args[1])
		os.Stdout.Close()
		fmt.Fprintln(out, result)
	}
}
`

// A goRig holds every variant of a project's source in one module and one
// program, so that they are compiled once.
type goRig struct {
	*rig
	root     string
	variants []string
	program  string
}

func newGoRig(t *testing.T, p *Project) *goRig {
	r := &goRig{rig: newRig(t, p)}
	r.root = r.lay(map[string][]byte{"go.mod": p.Source["go.mod"]})
	return r
}

// add lays a variant out: its packages lie below a folder of its name.
func (r *goRig) add(name string, files map[string][]byte, harness bool) {
	r.t.Helper()
	module := r.p.Recipe.Module
	all := merge(files)
	if harness {
		h := bytes.Replace(r.p.Harness["harness.go"], []byte("//go:build ignore\n"), nil, 1)
		all["h/harness.go"] = bytes.Replace(h, []byte("package main"), []byte("package h"), 1)
		r.variants = append(r.variants, name)
	}
	delete(all, "go.mod")
	for file, b := range all {
		if strings.HasSuffix(file, ".go") {
			b = bytes.ReplaceAll(b, []byte(`"`+module), []byte(`"`+module+"/"+name))
		}
		to := filepath.Join(r.root, name, file)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			r.t.Fatal(err)
		}
		if err := os.WriteFile(to, b, 0o644); err != nil {
			r.t.Fatal(err)
		}
	}
}

var goEnv = []string{"GOWORK=off", "GOFLAGS=-mod=mod", "GOTOOLCHAIN=local", "CGO_ENABLED=0"}

func (r *goRig) compile() {
	r.t.Helper()
	var b, table strings.Builder
	b.WriteString("package main\n\nimport (\n")
	for _, v := range r.variants {
		fmt.Fprintf(&b, "\t%s %q\n", v, r.p.Recipe.Module+"/"+v+"/h")
		fmt.Fprintf(&table, "\t%q: %s.Harness,\n", v, v)
	}
	b.WriteString(")\n\nvar harnesses = map[string]func([]byte){\n" + table.String() + "}\n")
	dir := filepath.Join(r.root, "driver")
	os.MkdirAll(dir, 0o755)
	os.WriteFile(filepath.Join(dir, "main.go"), []byte(goDriver), 0o644)
	os.WriteFile(filepath.Join(dir, "table.go"), []byte(b.String()), 0o644)
	r.program = filepath.Join(r.root, "program")
	if out, err := run(r.root, goEnv, "go", "build", "-o", r.program, "./driver"); err != nil {
		r.t.Fatalf("%v\n%s", err, out)
	}
}

// try runs one variant on inputs.
func (r *goRig) try(variant string, inputs ...[]byte) []result {
	r.t.Helper()
	dir, err := os.MkdirTemp(r.dir, "run")
	if err != nil {
		r.t.Fatal(err)
	}
	var names []string
	for i, in := range inputs {
		names = append(names, filepath.Join(dir, fmt.Sprint(i)))
		if err := os.WriteFile(names[i], in, 0o644); err != nil {
			r.t.Fatal(err)
		}
	}
	results := make([]result, 0, len(inputs))
	for len(results) < len(inputs) {
		cmd := exec.Command(r.program, append([]string{variant}, names[len(results):]...)...)
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		err := cmd.Run()
		for line := range strings.Lines(stdout.String()) {
			res := result{broke: line[0] == '1', err: line, class: goClass(line)}
			b, _ := os.ReadFile(names[len(results)] + ".out")
			res.out = string(b)
			results = append(results, res)
		}
		if len(results) < len(inputs) {
			head := stderr.String()[:min(stderr.Len(), 2000)]
			results = append(results, result{broke: err != nil, err: head, class: goClass(head)})
		}
	}
	return results
}

func goClass(s string) string {
	for _, c := range []string{goIndex, goSlice, goNil, goNilMap, goConvert, goDivide, goStack, goClosed, goSend} {
		if strings.Contains(s, c) {
			return c
		}
	}
	return ""
}

// tests runs the tests of the variants and says which fail.
func (r *goRig) tests(variants ...string) map[string]string {
	argv := []string{"go", "test", "-vet=off"}
	for _, v := range variants {
		argv = append(argv, "./"+v+"/...")
	}
	out, _ := run(r.root, goEnv, argv...)
	failed := map[string]string{}
	for _, v := range variants {
		if !strings.Contains(out, "ok  \t"+r.p.Recipe.Module+"/"+v+"\t") {
			failed[v] = out
		}
	}
	return failed
}

func TestGo(t *testing.T) {
	for _, seed := range seeds(t) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			p := Go(seed)
			checkGo(t, &p)
		})
	}
}

func checkGo(t *testing.T, p *Project) {
	r := newGoRig(t, p)
	r.add("base", p.Source, true)
	r.add("mended", p.mended, true)
	variant := func(pa *Patch) string { return strings.ReplaceAll(pa.Name, "-", "") }
	var with, without []string
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
		if len(pa.After) > 0 {
			alone, err := r.patched(pa.Diff)
			if (err == nil) != pa.Alone {
				complain(t, pa, "applies alone: %v", err == nil)
			}
			if err == nil {
				files = alone
			}
		}
		r.add(variant(pa), files, true)
		if !pa.Right {
			if _, err := r.patched(pa.Diff, pa.Regression); err != nil {
				complain(t, pa, "the regression test does not apply: %v", err)
			}
			if pa.Fault == WeakTest {
				with = append(with, variant(pa))
			}
			continue
		}
		tested, err := r.patched(append(slices.Clone(before), pa.Diff, pa.Regression)...)
		if err != nil {
			complain(t, pa, "the regression test does not apply: %v", err)
			continue
		}
		r.add(variant(pa)+"with", tested, false)
		with = append(with, variant(pa)+"with")
		if tested, err = r.patched(append(before, pa.Regression)...); err != nil {
			complain(t, pa, "the regression test does not apply without: %v", err)
			continue
		}
		r.add(variant(pa)+"without", tested, false)
		without = append(without, variant(pa)+"without")
	}
	if t.Failed() {
		return
	}
	r.compile()
	failed := r.tests(append(with, "base")...)
	for v, out := range failed {
		t.Errorf("tests of %s fail: %s", v, out)
	}
	failed = r.tests(without...)
	for _, v := range without {
		if failed[v] == "" {
			t.Errorf("the regression test passes in %s", v)
		}
	}

	check(t, p, func(build string, inputs ...[]byte) []result {
		if build == "" {
			build = "base"
		}
		return r.try(strings.ReplaceAll(build, "-", ""), inputs...)
	})
	r.mutate(inputs(p))
}

// mutate looks for a bug that was not planted.
func (r *goRig) mutate(proofs [][]byte) {
	r.t.Helper()
	inputs := mutations(append(slices.Clone(r.p.Benign), proofs...), 1500)
	for i, res := range r.try("mended", inputs...) {
		if res.broke {
			r.t.Errorf("a mutated input breaks the project with all fixes: %s\n%q", res.err, inputs[i])
			return
		}
	}
}
