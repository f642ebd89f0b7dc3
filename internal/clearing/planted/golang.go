package planted

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"strconv"
	"strings"

	"proofhouse/internal/target"
)

// Go is the project in Go of a seed.
func Go(seed uint64) Project {
	rng := rand.New(rand.NewPCG(seed, 'G'))
	p := newPlan(rng, target.Go)
	l := &goLayout{plan: p, apart: rng.IntN(2) == 0, table: rng.IntN(2) == 0}
	p.layout = l
	l.util = p.core.name('w', "util")
	for _, key := range []string{"u16", "sum", "refused"} {
		p.core.set["P_"+key] = p.core.name('F', key)
		if l.apart {
			p.core.set["P_"+key] = l.util + "." + p.core.name('F', key)
		}
	}
	for _, build := range choose(rng, seed, goPlain, goHard, goReserve) {
		p.draft(build)
	}
	for _, n := range rng.Perm(len(goClean))[:2] {
		p.draft(goClean[n])
	}
	p.settle()
	p.trap()
	return p.finish(seed)
}

// trap adds the patch that stops every panic and mends nothing.
func (p *plan) trap() {
	pa := &patch{module: &module{file: "core", plan: p}, on: []string{"trap"}, fault: Silenced}
	for _, m := range p.modules {
		for _, pr := range m.proofs {
			if pr.class != goStack {
				pa.removes = append(pa.removes, pr.atoms...)
				pa.show, pa.aims = pr, []*bug{m.owner[pr.atoms[len(pr.atoms)-1]]}
			}
		}
	}
	p.modules[0].patches = append(p.modules[0].patches, pa)
}

// goLayout lays a plan out as Go.
type goLayout struct {
	plan  *plan
	util  string // the file or package of what all modules use
	apart bool   // each module is a package of its own
	table bool   // records are dispatched by a table
}

func (l *goLayout) module() string { return "example.org/" + l.plan.name }

func (l *goLayout) recipe() Recipe { return Recipe{Module: l.module()} }

func (l *goLayout) testCommand() []string { return []string{"go", "test", "./..."} }

func (l *goLayout) files(on map[string]bool) map[string][]byte {
	out := map[string][]byte{}
	put := func(name, text string) { out[name] = []byte(text) }
	put("go.mod", "module "+l.module()+"\n\ngo 1.21\n")

	var imports, members, fresh, cases, entries strings.Builder
	s := l.plan.core
	for _, m := range l.plan.modules {
		local := m.local(on)
		pkg, dir := l.plan.name, ""
		if l.apart {
			pkg, dir = m.file, m.file+"/"
		}
		put(dir+m.file+".go", l.source(m, pkg, local))
		kind := m.name('T', "s")
		if l.apart {
			kind = m.file + "." + kind
			fmt.Fprintf(&imports, "\t%q\n", l.module()+"/"+m.file)
		}
		member := m.name('m', "state")
		fmt.Fprintf(&members, "\t%s %s\n", member, kind)
		if strings.Contains(m.text, "$F_init(") {
			fmt.Fprintf(&fresh, "\td.%s.%s()\n", member, m.name('F', "init"))
		}
		for _, k := range m.kinds {
			call := fmt.Sprintf("d.%s.%s(p, &d.out)", member, m.name('F', k.handler))
			if l.table {
				fmt.Fprintf(&entries, "\t%s: func(d *%s, p []byte) error { return %s },\n", l.label(k), s.name('t', "doc"), call)
			} else {
				fmt.Fprintf(&cases, "\tcase %s:\n\t\treturn %s\n", l.label(k), call)
			}
		}
	}
	switches := map[string]bool{"text": l.plan.format.text, "table": l.table, "big": l.plan.format.big, "little": l.plan.little, "magic": l.plan.format.magic != "", "wide3": l.plan.format.wide == 3, "apart": l.apart}
	for k := range (&module{file: "core"}).local(on) {
		switches[k] = true
	}
	utilImport := ""
	if l.apart {
		utilImport = fmt.Sprintf("\t%q\n", l.module()+"/"+l.util)
	}
	s.set["x_imports"], s.set["x_members"], s.set["x_fresh"] = imports.String()+utilImport, members.String(), fresh.String()
	s.set["x_cases"], s.set["x_entries"], s.set["x_name"] = cases.String(), entries.String(), l.plan.name
	s.set["x_magic"] = fmt.Sprintf("%q", l.plan.format.magic)
	s.set["x_colon"] = fmt.Sprintf("%q", l.plan.format.colon)
	s.set["x_tag"] = "byte"
	if l.plan.format.text {
		s.set["x_tag"] = "string"
	}
	s.number("wide", l.plan.format.wide)
	put(l.plan.name+".go", s.render(goFeed, switches))
	pkg, dir := l.plan.name, ""
	if l.apart {
		pkg, dir = l.util, l.util+"/"
	}
	put(dir+l.util+".go", "package "+pkg+"\n\n"+s.render(goUtil, switches))
	l.tests(out, on)
	put("README.md", fmt.Sprintf("# %s\n\nReads a run of records and gives a line or more for each. `go test ./...` runs the tests.\n", title(l.plan.name)))
	return out
}

func (l *goLayout) label(k *kind) string {
	switch {
	case l.plan.format.text:
		return strconv.Quote(k.word)
	case k.tag >= 'A' && k.tag <= 'z' && k.tag != '\\':
		return fmt.Sprintf("'%c'", k.tag)
	}
	return fmt.Sprintf("0x%02x", k.tag)
}

// source is a module's file.
func (l *goLayout) source(m *module, pkg string, on map[string]bool) string {
	var parts []string
	for _, part := range m.parts(m.text, "go") {
		if text := strings.Trim(m.render(part, on), "\n"); text != "" {
			parts = append(parts, text+"\n")
		}
	}
	imports := "\t\"bytes\"\n\t\"fmt\"\n" + m.render(section(m.text, "import"), on)
	code := strings.Join(parts, "\n")
	if l.apart && strings.Contains(code, l.util+".") {
		imports = strings.TrimRight(imports, "\n") + fmt.Sprintf("\n\n\t%q\n", l.module()+"/"+l.util)
	}
	return "package " + pkg + "\n\nimport (\n" + strings.TrimRight(imports, "\n") + "\n)\n\n" + code
}

func (l *goLayout) harness(edited bool) map[string][]byte {
	guard := ""
	if edited {
		guard = "\tdefer func() { _ = recover() }()\n"
	}
	return map[string][]byte{"harness.go": fmt.Appendf(nil, `//go:build ignore

package main

import (
	"fmt"

	%q
)

func Harness(b []byte) {
%s	fmt.Print(%s.%s(b))
}
`, l.module(), guard, l.plan.name, l.plan.core.name('F', "run"))}
}

func (l *goLayout) build(map[string][]byte) map[string][]byte { return nil }

func (l *goLayout) tests(out map[string][]byte, on map[string]bool) {
	run := l.plan.core.name('F', "run")
	for i, samples := range l.plan.tests {
		var b strings.Builder
		name := l.plan.core.name('w', fmt.Sprintf("test%d", i))
		fmt.Fprintf(&b, "package %s\n\nimport \"testing\"\n\nfunc Test%s(t *testing.T) {\n\tfor i, c := range []struct{ in, want string }{\n", l.plan.name, title(name))
		for _, s := range samples {
			if !on[s.module.key("weak")] {
				fmt.Fprintf(&b, "\t\t{%q, %q},\n", l.plan.format.encode(s.records), s.want)
			}
		}
		fmt.Fprintf(&b, "\t} {\n\t\tif got := %s([]byte(c.in)); got != c.want {\n\t\t\tt.Errorf(\"%%d: got %%q, want %%q\", i, got, c.want)\n\t\t}\n\t}\n}\n", run)
		out[name+"_test.go"] = []byte(b.String())
	}
}

func (l *goLayout) withRegression(files map[string][]byte, name string, rs []regression) map[string][]byte {
	out := maps.Clone(files)
	name = strings.ReplaceAll(name, "-", "_")
	var b strings.Builder
	fmt.Fprintf(&b, "package %s\n\nimport (\n\t\"strings\"\n\t\"testing\"\n)\n\nfunc Test%s(t *testing.T) {\n", l.plan.name, title(name))
	for _, r := range rs {
		fmt.Fprintf(&b, "\tfor i := 0; i < %d; i++ {\n\t\tif got := %s([]byte(%s)); !strings.HasSuffix(got, %q) {\n\t\t\tt.Errorf(\"got %%q\", got)\n\t\t}\n\t}\n",
			r.again, l.plan.core.name('F', "run"), goString(r.input), r.ends)
	}
	b.WriteString("}\n")
	out[name+"_test.go"] = []byte(b.String())
	return out
}

// goString is a literal of any bytes, in lines.
func goString(b []byte) string {
	var parts []string
	for len(b) > 64 {
		parts = append(parts, strconv.Quote(string(b[:64])))
		b = b[64:]
	}
	return strings.Join(append(parts, strconv.Quote(string(b))), " +\n\t\t\t")
}

const goFeed = `// Package $x_name reads a run of records and gives a line or more for each.
package $x_name

import (
	"bytes"
	"fmt"
	"runtime/debug"
[text]	"strconv"
[apart]
$x_imports)

// $t_doc is all that is kept while one input is read.
type $t_doc struct {
	out bytes.Buffer
	$m_count, $m_odd int
$x_members}

// $F_run reads an input and gives what is printed for it, within a mebibyte of
// stack.
func $F_run(p []byte) string {
	debug.SetMaxStack(1 << 20)
	d := new($t_doc)
$x_fresh	d.$f_feed(p)
	return d.out.String()
}

[table]var $g_table = map[$x_tag]func(d *$t_doc, p []byte) error{
[table]$x_entries}

[trap]func (d *$t_doc) $f_one(tag $x_tag, p []byte) (err error) {
[trap]	defer func() {
[trap]		if recover() != nil {
[trap]			err = $P_refused
[trap]		}
[trap]	}()
[!trap]func (d *$t_doc) $f_one(tag $x_tag, p []byte) error {
[table]	if take := $g_table[tag]; take != nil {
[table]		return take(d, p)
[table]	}
[!table]	switch tag {
[!table]$x_cases	}
	return $P_refused
}

[tidy]// $f_take hands one record over and notes what was not taken.
func (d *$t_doc) $f_take(tag $x_tag, p []byte) {
	d.$m_count++
[tidy]	err := d.$f_one(tag, p)
[tidy]	if err == nil {
[tidy]		return
[tidy]	}
[tidy]	d.$m_odd++
[tidy]	fmt.Fprintf(&d.out, "$w_refused %v\n", tag)
[!tidy]	if err := d.$f_one(tag, p); err != nil {
[!tidy]		d.$m_odd++
[!tidy]		fmt.Fprintf(&d.out, "$w_refused %v\n", tag)
[!tidy]	}
}

[text]func $f_unquote(p []byte) []byte {
[text]	var $v_made []byte
[text]	for i := 0; i < len(p); i++ {
[text]		if p[i] == '%' && len(p)-i > 2 {
[text]			if v, err := strconv.ParseUint(string(p[i+1:i+3]), 16, 8); err == nil {
[text]				$v_made = append($v_made, byte(v))
[text]				i += 2
[text]				continue
[text]			}
[text]		}
[text]		$v_made = append($v_made, p[i])
[text]	}
[text]	return $v_made
[text]}
[text]
[text]func (d *$t_doc) $f_feed(p []byte) {
[text]	for len(p) > 0 {
[text]		line, rest, _ := bytes.Cut(p, []byte("\n"))
[text]		p = rest
[text]		word, data, ok := bytes.Cut(line, []byte{$x_colon})
[text]		if !ok {
[text]			d.$m_odd++
[text]			continue
[text]		}
[text]		d.$f_take(string(word), $f_unquote(data))
[text]	}
[text]}
[!text]func $f_length(p []byte) int {
[!text&big&wide3]	return int(p[0])<<16 | int(p[1])<<8 | int(p[2])
[!text&!big&wide3]	return int(p[2])<<16 | int(p[1])<<8 | int(p[0])
[!text&big&!wide3]	return int(p[0])<<8 | int(p[1])
[!text&!big&!wide3]	return int(p[1])<<8 | int(p[0])
[!text]}
[!text]
[!text]func (d *$t_doc) $f_feed(p []byte) {
[!text&magic]	p, ok := bytes.CutPrefix(p, []byte($x_magic))
[!text&magic]	if !ok {
[!text&magic]		return
[!text&magic]	}
[!text]	for len(p) > $k_wide {
[!text]		tag, n := p[0], $f_length(p[1:])
[!text]		p = p[1+$k_wide:]
[!text]		if n > len(p) {
[!text]			n = len(p)
[!text]		}
[!text]		d.$f_take(tag, append([]byte(nil), p[:n]...))
[!text]		p = p[n:]
[!text]	}
[!text]}
`

const goUtil = `import "errors"

// $F_refused is the error of a record that is not taken.
var $F_refused = errors.New("not taken")

// $F_u16 is a number of two bytes.
func $F_u16(p []byte) int {
[little&!neat]	return int(p[0]) | int(p[1])<<8
[!little&!neat]	return int(p[0])<<8 | int(p[1])
[little&neat]	low, high := int(p[0]), int(p[1])
[!little&neat]	high, low := int(p[0]), int(p[1])
[neat]	return high<<8 | low
}

// $F_sum is a running sum over bytes.
func $F_sum(sum int, p []byte) int {
[neat]	for i := range p {
[neat]		sum = (sum*31 + int(p[i])) & 0xffff
[neat]	}
[!neat]	for _, c := range p {
[!neat]		sum = (sum*31 + int(c)) & 0xffff
[!neat]	}
	return sum
}
`
