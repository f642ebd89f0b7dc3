package planted

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"proofhouse/internal/target"
)

// plan is a project while it is made. Its files are a function of the switches
// that are on (files), and a patch is the difference between two sets of
// switches: so that every patched source is known, and with it the truth.
type plan struct {
	rng      *rand.Rand
	names    *naming
	language target.Language
	name     string
	format   format
	core     scope
	little   bool // the byte order of numbers in a payload
	modules  []*module
	tests    [][]sample // what each test file checks

	layout layout
}

// module is one part of the project: a file, or two in C, that handles some
// kinds of record. All that is planted in one module is found by its records.
type module struct {
	scope
	plan    *plan
	file    string // base name
	text    string // the template
	kinds   []*kind
	samples []sample
	owner   map[string]*bug // by atom
	proofs  []*proof
	patches []*patch
}

// sample is a run of records that breaks nothing, and what is printed for it.
type sample struct {
	module  *module
	records []record
	want    string
	// quiet samples are in benign inputs, but no test checks them.
	quiet bool
}

type bug struct {
	kind Kind
	name string
}

type proof struct {
	records []record
	atoms   []string
	class   string
	flaky   bool
	name    string
}

type patch struct {
	module *module // of the switches
	on     []string
	after  *patch
	aims   []*bug
	right  bool
	fault  Fault
	// The places where a proof breaks that it takes away, or ends the process
	// at.
	removes, ends []string
	// For how it is found out; nil if by the diff alone.
	witness []record
	breaks  bool
	// show is the proof that the regression test is made of.
	show *proof

	with   []*patch // of other modules, that come with it
	tidy   string   // switch of the project for an unrelated change, or ""
	weaken bool     // takes the module's samples out of the tests
	name   string
}

// in draws a number from lo to hi.
func (m *module) in(lo, hi int) int { return lo + m.plan.rng.IntN(hi-lo+1) }

// bytes draws n bytes from lo to hi.
func (m *module) bytes(n, lo, hi int) []byte {
	out := make([]byte, n)
	for i := range out {
		out[i] = byte(m.in(lo, hi))
	}
	return out
}

// letters draws n lower-case letters.
func (m *module) letters(n int) []byte { return m.bytes(n, 'a', 'z') }

// u16 is a number as the project's payloads hold it.
func (m *module) u16(v int) []byte {
	if m.plan.little {
		return []byte{byte(v), byte(v >> 8)}
	}
	return []byte{byte(v >> 8), byte(v)}
}

// kind adds a kind of record that the function or method named handles.
func (m *module) kind(handler string) *kind {
	k := &kind{handler: handler, module: m}
	m.kinds = append(m.kinds, k)
	return k
}

func (k *kind) record(data ...[]byte) record { return record{k, slices.Concat(data...)} }

func (m *module) sample(want string, records ...record) {
	m.samples = append(m.samples, sample{module: m, records: records, want: want})
}

func (m *module) quiet(want string, records ...record) {
	m.samples = append(m.samples, sample{module: m, records: records, want: want, quiet: true})
}

// word is a word of the output, which templates name $w_key.
func (m *module) word(key string) string { return m.name('w', key) }

// bug plants a bug that breaks at the places named.
func (m *module) bug(kind Kind, atoms ...string) *bug {
	b := &bug{kind: kind}
	for _, a := range atoms {
		m.owner[m.atom(a)] = b
	}
	return b
}

func (m *module) atom(a string) string { return m.file + "." + a }

func (m *module) atoms(names []string) []string {
	var out []string
	for _, a := range names {
		out = append(out, m.atom(a))
	}
	return out
}

// proof adds an input that breaks at the first of the places, and once that is
// mended at the next.
func (m *module) proof(class string, atoms string, records ...record) *proof {
	p := &proof{records: records, atoms: m.atoms(strings.Fields(atoms)), class: class}
	m.proofs = append(m.proofs, p)
	return p
}

// right adds a right patch: the switches that make it and the places that it
// takes away. show is the proof for its regression test.
func (m *module) right(show *proof, switches, removes string) *patch {
	p := m.patch(switches, removes)
	p.right, p.show = true, show
	for _, a := range p.removes {
		if b := m.owner[a]; !slices.Contains(p.aims, b) {
			p.aims = append(p.aims, b)
		}
	}
	return p
}

// wrong adds a wrong patch, offered for a bug.
func (m *module) wrong(fault Fault, aim *bug, show *proof, switches, removes string) *patch {
	p := m.patch(switches, removes)
	p.fault, p.show, p.aims = fault, show, []*bug{aim}
	return p
}

func (m *module) patch(switches, removes string) *patch {
	p := &patch{module: m, on: strings.Fields(switches), removes: m.atoms(strings.Fields(removes))}
	m.patches = append(m.patches, p)
	return p
}

// ending says that the patch does not mend the places, but ends the process
// there, and so keeps what follows from being read.
func (p *patch) ending() *patch {
	p.ends, p.removes = p.removes, nil
	return p
}

// found says by which records a wrong patch is found out: its build breaks, or
// prints something else.
func (p *patch) found(breaks bool, records ...record) *patch {
	p.breaks, p.witness = breaks, records
	return p
}

// key names a switch among the project's.
func (m *module) key(s string) string { return m.file + "." + s }

// switches are all that are on where the patch is applied: before holds those
// without it.
func (p *patch) switches() (before, after map[string]bool) {
	before = map[string]bool{}
	if p.after != nil {
		_, before = p.after.switches()
	}
	after = map[string]bool{}
	for k := range before {
		after[k] = true
	}
	for _, q := range append([]*patch{p}, p.with...) {
		for _, s := range q.on {
			after[q.module.key(s)] = true
		}
	}
	if p.tidy != "" {
		after[p.tidy] = true
	}
	if p.weaken {
		after[p.module.key("weak")] = true
	}
	return before, after
}

// local are a module's switches by their bare names.
func (m *module) local(on map[string]bool) map[string]bool {
	out := map[string]bool{}
	for k := range on {
		if s, ok := strings.CutPrefix(k, m.file+"."); ok {
			out[s] = true
		}
	}
	return out
}

// draft adds a module made by build.
func (p *plan) draft(build func(*module)) *module {
	m := &module{scope: newScope(p.names, p.core.set), plan: p, owner: map[string]*bug{}}
	m.file = p.names.of('w')
	p.modules = append(p.modules, m)
	build(m)
	return m
}

// tag gives every kind of record its tag and its word.
func (p *plan) tag() {
	used := map[byte]bool{}
	printable := p.rng.IntN(2) == 0
	for _, m := range p.modules {
		for _, k := range m.kinds {
			for {
				t := byte(1 + p.rng.IntN(255))
				if printable {
					t = byte('A' + p.rng.IntN(26+6+26))
				}
				if !used[t] && (!printable || t <= 'Z' || t >= 'a') {
					k.tag, used[t] = t, true
					break
				}
			}
			k.word = p.names.of('w')
		}
	}
}

// unknown is a kind that the project does not have.
func (p *plan) unknown() *kind {
	used := map[byte]bool{}
	for _, m := range p.modules {
		for _, k := range m.kinds {
			used[k.tag] = true
		}
	}
	k := &kind{tag: '!', word: "xx"}
	for used[k.tag] {
		k.tag++
	}
	return k
}

// around draws samples of other modules to stand before and after the records
// of m, none twice: a sample may leave something behind. Quiet samples are left
// out, since a wrong patch may break in one and so in every proof around it.
func (p *plan) around(m *module) (before, after []record) {
	var all []sample
	for _, other := range p.modules {
		for _, s := range other.samples {
			if other != m && !s.quiet {
				all = append(all, s)
			}
		}
	}
	p.rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	n := p.rng.IntN(min(4, len(all)))
	for i, s := range all[:n] {
		if i < 2 {
			before = append(before, s.records...)
		} else {
			after = append(after, s.records...)
		}
	}
	return before, after
}

// filler is a sample, of a module without bugs, that a test can look for.
func (p *plan) filler() sample {
	for _, m := range p.modules {
		if len(m.proofs) == 0 {
			return m.samples[0]
		}
	}
	panic("planted: every module has a bug")
}

// regression is the test of a patch: an input, and how what is printed for it
// ends.
type regression struct {
	input []byte
	ends  string // "" where the test is a weak one that looks at no output
	again int    // how often it is run
}

func (p *plan) regression(pa *patch) []regression {
	var out []regression
	for _, q := range append([]*patch{pa}, pa.with...) {
		f := p.filler()
		r := regression{input: p.format.encode(append(slices.Clone(q.show.records), f.records...)), again: 1}
		if pa.right {
			r.ends = f.want
		}
		if q.show.flaky {
			r.again = 64
		}
		out = append(out, r)
	}
	return out
}

// finish lays the planned out as a Project.
func (p *plan) finish(seed uint64) Project {
	base := p.files(nil)
	out := Project{Seed: seed, Language: p.language, Name: p.name, Source: base, Harness: p.harness(false), Recipe: p.recipe(), Test: p.testCommand()}

	var samples []sample
	for _, m := range p.modules {
		samples = append(samples, m.samples...)
	}
	p.rng.Shuffle(len(samples), func(i, j int) { samples[i], samples[j] = samples[j], samples[i] })
	n := 4 + p.rng.IntN(3)
	inputs := make([][]record, n)
	for i, s := range samples {
		inputs[i%n] = append(inputs[i%n], s.records...)
	}
	// One has a record of no kind too, so that what is printed for it is compared.
	inputs[0] = append(inputs[0], record{p.unknown(), []byte("abc")})
	for i, records := range inputs {
		in := p.format.encode(records)
		out.Benign = append(out.Benign, in)
		if i < 3 {
			out.Harness[fmt.Sprintf("seeds/%d", i+1)] = in
		}
	}

	var bugs []*bug
	var proofs []*proof
	var patches []*patch
	owner := map[string]*bug{}
	for _, m := range p.modules {
		for _, pr := range m.proofs {
			before, after := p.around(m)
			pr.records = slices.Concat(before, pr.records, after)
			for _, a := range pr.atoms {
				if owner[a] = m.owner[a]; !slices.Contains(bugs, owner[a]) {
					bugs = append(bugs, owner[a])
				}
			}
		}
		proofs, patches = append(proofs, m.proofs...), append(patches, m.patches...)
	}
	out.mended = p.files(mending(patches))
	p.rng.Shuffle(len(bugs), func(i, j int) { bugs[i], bugs[j] = bugs[j], bugs[i] })
	p.rng.Shuffle(len(proofs), func(i, j int) { proofs[i], proofs[j] = proofs[j], proofs[i] })
	patches = append(patches, p.commits(patches)...)
	p.rng.Shuffle(len(patches), func(i, j int) { patches[i], patches[j] = patches[j], patches[i] })

	for i, b := range bugs {
		b.name = fmt.Sprintf("bug-%d", i+1)
		out.Bugs = append(out.Bugs, Bug{b.name, b.kind})
	}
	for i, pr := range proofs {
		pr.name = fmt.Sprintf("proof-%02d", i+1)
		made := Proof{Name: pr.name, Input: p.format.encode(pr.records), Flaky: pr.flaky, Class: pr.class, atoms: pr.atoms}
		for _, a := range pr.atoms {
			if made.Bug = owner[a].name; !slices.Contains(made.Reaches, made.Bug) {
				made.Reaches = append(made.Reaches, made.Bug)
			}
		}
		out.Proofs = append(out.Proofs, made)
	}
	for i, pa := range patches {
		pa.name = fmt.Sprintf("patch-%02d", i+1)
	}
	for _, pa := range patches {
		out.Patches = append(out.Patches, p.offer(pa, base))
	}
	out.Patches = append(out.Patches, p.outside(base, len(patches), bugs)...)
	for i := range out.Patches {
		pa := &out.Patches[i]
		if !pa.Alone {
			continue
		}
		left := map[string]bool{}
		for j := range out.Proofs {
			if pr := &out.Proofs[j]; stopped(pr, []*Patch{pa}) {
				pa.Stops = append(pa.Stops, pr.Name)
			} else {
				left[pr.Bug] = true
			}
		}
		for _, b := range out.Bugs {
			if !left[b.Name] {
				pa.Bugs = append(pa.Bugs, b.Name)
			}
		}
	}
	return out
}

// mending are the switches of right patches that together fix everything, the
// first of each bug.
func mending(patches []*patch) map[string]bool {
	on, gone := map[string]bool{}, map[string]bool{}
	for _, pa := range patches {
		fresh := pa.right
		for _, a := range pa.removes {
			fresh = fresh && !gone[a]
		}
		if !fresh {
			continue
		}
		for _, a := range pa.removes {
			gone[a] = true
		}
		for _, s := range pa.on {
			on[pa.module.key(s)] = true
		}
	}
	return on
}

// offer makes the diffs of a patch.
func (p *plan) offer(pa *patch, base map[string][]byte) Patch {
	before, after := pa.switches()
	out := Patch{
		Name: pa.name, Alone: true, Right: pa.right, Fault: pa.fault, Breaks: pa.breaks, removes: pa.removes, ends: pa.ends,
		Bundle: pa.tidy != "" || len(pa.with) > 0,
	}
	for _, q := range append([]*patch{pa}, pa.with...) {
		for _, b := range q.aims {
			out.Aims = append(out.Aims, b.name)
		}
	}
	slices.Sort(out.Aims)
	out.removes = slices.Clone(pa.removes)
	for _, q := range pa.with {
		out.removes = append(out.removes, q.removes...)
	}
	from, to := base, p.files(after)
	if pa.after != nil {
		from = p.files(before)
		out.After = []string{pa.after.name}
		out.Alone = fits(base, from, to)
	}
	out.Diff = diffTrees(from, to)
	tested := p.withRegression(to, pa.name, p.regression(pa))
	out.Regression = diffTrees(to, tested)
	if pa.witness != nil {
		f := p.filler()
		out.Witness = p.format.encode(append(slices.Clone(pa.witness), f.records...))
	}
	return out
}

// commits are patches as projects commit them: a fix with unrelated changes,
// and the fixes of two bugs at once.
func (p *plan) commits(patches []*patch) []*patch {
	var fit []*patch
	for _, pa := range patches {
		if pa.right && pa.after == nil {
			fit = append(fit, pa)
		}
	}
	p.rng.Shuffle(len(fit), func(i, j int) { fit[i], fit[j] = fit[j], fit[i] })
	var out []*patch
	for i, pa := range fit[:min(2, len(fit))] {
		c := *pa
		c.tidy = []string{"core.tidy", "core.neat"}[i]
		out = append(out, &c)
	}
	for _, a := range fit {
		for _, b := range fit {
			if len(out) < 3 && a.module != b.module {
				c := *a
				c.with = []*patch{b}
				out = append(out, &c)
			}
		}
	}
	return out
}

// layout is what differs between the languages.
type layout interface {
	files(on map[string]bool) map[string][]byte
	// harness are the harness's files; edited gives those that a patch would
	// make which keeps the harness from the project.
	harness(edited bool) map[string][]byte
	recipe() Recipe
	testCommand() []string
	withRegression(files map[string][]byte, name string, r []regression) map[string][]byte
	// build is the source with a build that looks away, or nil.
	build(files map[string][]byte) map[string][]byte
}

func (p *plan) files(on map[string]bool) map[string][]byte { return p.layout.files(on) }
func (p *plan) harness(edited bool) map[string][]byte      { return p.layout.harness(edited) }
func (p *plan) recipe() Recipe                             { return p.layout.recipe() }
func (p *plan) testCommand() []string                      { return p.layout.testCommand() }
func (p *plan) withRegression(files map[string][]byte, name string, r []regression) map[string][]byte {
	return p.layout.withRegression(files, name, r)
}

// outside are patches that leave the project's code alone.
func (p *plan) outside(base map[string][]byte, n int, bugs []*bug) []Patch {
	var out []Patch
	add := func(fault Fault, from, to map[string][]byte, alone bool) {
		n++
		aim := bugs[p.rng.IntN(len(bugs))]
		pa := Patch{Name: fmt.Sprintf("patch-%02d", n), Diff: diffTrees(from, to), Aims: []string{aim.name}, Alone: alone, Fault: fault}
		for _, m := range p.modules {
			for _, pr := range m.proofs {
				if pa.Regression == nil && m.owner[pr.atoms[len(pr.atoms)-1]] == aim {
					weak := []regression{{input: p.format.encode(pr.records), again: 1}}
					pa.Regression = diffTrees(base, p.withRegression(base, pa.Name, weak))
				}
			}
		}
		out = append(out, pa)
	}
	add(EditHarness, p.harness(false), p.harness(true), false)
	if built := p.layout.build(base); built != nil {
		add(EditBuild, base, built, true)
	}
	return out
}
