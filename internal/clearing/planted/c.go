package planted

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"path"
	"strings"

	"proofhouse/internal/target"
)

// C is the project in C of a seed.
func C(seed uint64) Project {
	rng := rand.New(rand.NewPCG(seed, 'C'))
	p := newPlan(rng, target.C)
	l := &cLayout{plan: p, dir: []string{"src", "lib", "source"}[rng.IntN(3)], include: rng.IntN(2) == 0, table: rng.IntN(2) == 0}
	if rng.IntN(4) == 0 {
		l.dir, l.include = "", false
	}
	p.layout = l
	p.names.camel = rng.IntN(3) == 0
	if rng.IntN(2) == 0 {
		p.names.prefix = p.name[:3] + "_"
	}
	for _, build := range choose(rng, seed, cPlain, cHard, cReserve) {
		p.draft(build)
	}
	for _, n := range rng.Perm(len(cClean))[:2] {
		p.draft(cClean[n])
	}
	p.settle()
	return p.finish(seed)
}

func newPlan(rng *rand.Rand, language target.Language) *plan {
	names := &naming{rng: rng, language: language, used: map[string]bool{}}
	p := &plan{rng: rng, names: names, language: language, little: rng.IntN(2) == 0}
	p.name = names.of('w')
	p.core = newScope(names, nil)
	p.core.project = p.core.set
	p.format = drawFormat(rng, p.name)
	return p
}

// choose draws which modules with bugs a project has.
func choose(rng *rand.Rand, seed uint64, plain, hard, reserve []func(*module)) []func(*module) {
	var out []func(*module)
	for _, i := range rng.Perm(len(plain))[:1+rng.IntN(2)] {
		out = append(out, plain[i])
	}
	n := 3
	if seed >= Reserve {
		for _, i := range rng.Perm(len(reserve))[:2] {
			out = append(out, reserve[i])
		}
		n = 1
	}
	for _, i := range rng.Perm(len(hard))[:n] {
		out = append(out, hard[i])
	}
	return out
}

// settle fixes what follows once all modules are drafted.
func (p *plan) settle() {
	p.rng.Shuffle(len(p.modules), func(i, j int) { p.modules[i], p.modules[j] = p.modules[j], p.modules[i] })
	p.tag()
	p.tests = make([][]sample, 2)
	for _, m := range p.modules {
		i := p.rng.IntN(2)
		for _, s := range m.samples {
			if !s.quiet {
				p.tests[i] = append(p.tests[i], s)
			}
		}
	}
}

// cLayout lays a plan out as C.
type cLayout struct {
	plan    *plan
	dir     string // of the sources; "" is the top
	include bool   // headers lie in include/
	table   bool   // records are dispatched by a table
}

func (l *cLayout) header(name string) string {
	if l.include {
		return "include/" + name + ".h"
	}
	return path.Join(l.dir, name+".h")
}

func (l *cLayout) recipe() Recipe {
	r := Recipe{Sources: []string{path.Join(l.dir, "*.c")}}
	if l.include {
		r.Flags = []string{"-Iinclude"}
	} else {
		r.Flags = []string{"-I" + path.Join(".", l.dir)}
	}
	return r
}

func (l *cLayout) testCommand() []string { return []string{"sh", "tests/run.sh"} }

func (l *cLayout) guard(name string) string {
	return strings.ToUpper(l.plan.name + "_" + name + "_H")
}

func (l *cLayout) files(on map[string]bool) map[string][]byte {
	out := map[string][]byte{}
	put := func(name, text string) { out[name] = []byte(text) }
	core := (&module{file: "core"}).local(on)

	var members, includes, cases, entries, drops, handlers strings.Builder
	for _, m := range l.plan.modules {
		local := m.local(on)
		state, member := m.name('t', "s"), m.name('m', "state")
		guard := l.guard(m.file)
		put(l.header(m.file), fmt.Sprintf("#ifndef %s\n#define %s\n\n#include <stddef.h>\n#include <stdint.h>\n#include <stdio.h>\n\n%s\n#endif\n",
			guard, guard, m.render(section(m.text, "h"), local)))
		put(path.Join(l.dir, m.file+".c"), l.source(m, local))

		fmt.Fprintf(&includes, "#include \"%s.h\"\n", m.file)
		fmt.Fprintf(&members, "\tstruct %s %s;\n", state, member)
		for _, k := range m.kinds {
			call := fmt.Sprintf("%s(&d->%s, p, n, d->out)", m.name('f', k.handler), member)
			name := l.plan.core.name('f', "on"+m.file+k.handler)
			if l.table {
				fmt.Fprintf(&handlers, "static int %s(struct %s *d, const uint8_t *p, size_t n) { return %s; }\n\n", name, l.plan.core.name('t', "doc"), call)
				fmt.Fprintf(&entries, "\t{%s, %s},\n", l.label(k), name)
			} else if l.plan.format.text {
				fmt.Fprintf(&cases, "\tif (strcmp(word, %s) == 0)\n\t\treturn %s;\n", l.label(k), call)
			} else {
				fmt.Fprintf(&cases, "\tcase %s:\n\t\treturn %s;\n", l.label(k), call)
			}
		}
		if strings.Contains(m.text, "$f_drop(") {
			fmt.Fprintf(&drops, "\t%s(&d->%s);\n", m.name('f', "drop"), member)
		}
	}
	s := l.plan.core
	s.set["x_includes"], s.set["x_members"], s.set["x_drops"], s.set["x_handlers"] = includes.String(), members.String(), drops.String(), handlers.String()
	s.set["x_cases"], s.set["x_entries"], s.set["x_name"] = cases.String(), entries.String(), l.plan.name
	s.set["x_util"] = l.util()
	s.set["x_magic"] = fmt.Sprintf("%q", l.plan.format.magic)
	s.number("magic", len(l.plan.format.magic))
	s.number("wide", l.plan.format.wide)
	s.set["x_colon"] = fmt.Sprintf("%q", l.plan.format.colon)
	on2 := map[string]bool{
		"text": l.plan.format.text, "table": l.table, "big": l.plan.format.big, "little": l.plan.little, "magic": l.plan.format.magic != "",
		"wide3": l.plan.format.wide == 3,
	}
	for k := range core {
		on2[k] = true
	}
	guard := l.guard("top")
	put(l.header(l.plan.name), s.render(fmt.Sprintf("#ifndef %s\n#define %s\n\n", guard, guard)+cTop+"\n#endif\n", on2))
	put(path.Join(l.dir, l.plan.name+".c"), s.render(cFeed, on2))
	guard = l.guard("util")
	put(l.header(l.util()), s.render(fmt.Sprintf("#ifndef %s\n#define %s\n\n", guard, guard)+cUtilHeader+"\n#endif\n", on2))
	put(path.Join(l.dir, l.util()+".c"), s.render(cUtil, on2))

	l.tests(out, on)
	put("README.md", l.readme())
	put("Makefile", l.makefile())
	return out
}

func (l *cLayout) util() string { return l.plan.core.name('w', "util") }

// label is a kind's tag in C.
func (l *cLayout) label(k *kind) string {
	switch {
	case l.plan.format.text:
		return fmt.Sprintf("%q", k.word)
	case k.tag >= 'A' && k.tag <= 'z' && k.tag != '\\' && k.tag != '\'':
		return fmt.Sprintf("'%c'", k.tag)
	}
	return fmt.Sprintf("0x%02x", k.tag)
}

// source is a module's .c file. Prototypes of its static functions come first,
// so that their order is free.
func (l *cLayout) source(m *module, on map[string]bool) string {
	var protos strings.Builder
	var parts []string
	for _, part := range m.parts(m.text, "c") {
		text := strings.Trim(m.render(part, on), "\n")
		if text == "" {
			continue
		}
		parts = append(parts, text+"\n")
		for line := range strings.SplitSeq(text, "\n") {
			if head, ok := strings.CutSuffix(line, " {"); ok && strings.HasPrefix(line, "static ") && strings.HasSuffix(head, ")") {
				protos.WriteString(head + ";\n")
			}
		}
	}
	head := fmt.Sprintf("#include \"%s.h\"\n\n#include <stdlib.h>\n#include <string.h>\n\n#include \"%s.h\"\n\n", m.file, l.util())
	first := m.render(m.parts(m.text, "c")[0], on)
	if strings.Trim(first, "\n") != "" {
		head += strings.Trim(first, "\n") + "\n\n"
		parts = parts[1:]
	}
	if protos.Len() > 0 {
		head += protos.String() + "\n"
	}
	return head + strings.Join(parts, "\n")
}

func (l *cLayout) readme() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\nReads a run of records and prints one line or more for each. ", title(l.plan.name))
	if l.plan.format.text {
		fmt.Fprintf(&b, "A record is a line: a word, '%c' and the payload, in which %%hh is a byte.\n", l.plan.format.colon)
	} else {
		order := "little"
		if l.plan.format.big {
			order = "big"
		}
		fmt.Fprintf(&b, "A record is a tag of one byte, a length of %d bytes (%s-endian) and the payload.\n", l.plan.format.wide, order)
		if l.plan.format.magic != "" {
			fmt.Fprintf(&b, "The file begins with %q.\n", l.plan.format.magic)
		}
	}
	b.WriteString("\n`make check` runs the tests.\n")
	return b.String()
}

func (l *cLayout) makefile() string {
	r := l.recipe()
	return fmt.Sprintf("CC ?= cc\nCFLAGS ?= -O1 -g\nSOURCES = $(wildcard %s)\n\nall:\n\t$(CC) $(CFLAGS) %s -c $(SOURCES)\n\ncheck:\n\tCC=\"$(CC)\" CFLAGS=\"$(CFLAGS)\" sh tests/run.sh\n",
		r.Sources[0], strings.Join(r.Flags, " "))
}

func (l *cLayout) build(files map[string][]byte) map[string][]byte {
	out := maps.Clone(files)
	out["Makefile"] = []byte(strings.Replace(string(files["Makefile"]), "CFLAGS ?= -O1 -g\n", "CFLAGS ?= -O1 -g\noverride CFLAGS += -fno-sanitize=address\n", 1))
	return out
}

func (l *cLayout) harness(edited bool) map[string][]byte {
	guard := ""
	if edited {
		guard = "\tif (size > 8)\n\t\treturn 0;\n"
	}
	return map[string][]byte{"harness.c": fmt.Appendf(nil, `#include <stdint.h>
#include <stddef.h>
#include <stdio.h>

#include "%s.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
%s	%s(data, size, stdout);
	return 0;
}
`, l.plan.name, guard, l.plan.core.name('f', "run"))}
}

func (l *cLayout) tests(out map[string][]byte, on map[string]bool) {
	flags := strings.Join(l.recipe().Flags, " ")
	out["tests/run.sh"] = fmt.Appendf(nil, `#!/bin/sh
# Compiles the sources once and runs every test: CC, CFLAGS.
set -eu
cd "$(dirname "$0")/.."
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
for f in %s; do
	${CC:-cc} ${CFLAGS:-} %s -c "$f" -o "$made/$(basename "$f").o"
done
for t in tests/*.c; do
	${CC:-cc} ${CFLAGS:-} %s "$t" "$made"/*.o -o "$made/test"
	"$made/test"
done
`, l.recipe().Sources[0], flags, flags)
	out["tests/check.h"] = fmt.Appendf(nil, `#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "%s.h"

/* Runs an input and compares what is printed, or only its end. */
static int check(const char *name, const char *in, size_t n, const char *want, int whole) {
	char *got = NULL;
	size_t size = 0, w = strlen(want);
	FILE *out = open_memstream(&got, &size);
	int bad;
	%s((const uint8_t *)in, n, out);
	fclose(out);
	bad = whole ? strcmp(got, want) != 0 : size < w || strcmp(got + size - w, want) != 0;
	if (bad)
		fprintf(stderr, "%%s: got %%s, want %%s\n", name, got, want);
	free(got);
	return bad;
}
`, l.plan.name, l.plan.core.name('f', "run"))
	for i, samples := range l.plan.tests {
		var b strings.Builder
		b.WriteString("#include \"check.h\"\n\nint main(void) {\n\tint bad = 0;\n")
		n := 0
		for _, s := range samples {
			if on[s.module.key("weak")] {
				continue
			}
			n++
			fmt.Fprintf(&b, "\tbad |= check(\"%s %d\", %s, %d,\n\t\t%s, 1);\n", s.module.file, n, cString(l.plan.format.encode(s.records)), len(l.plan.format.encode(s.records)), cString([]byte(s.want)))
		}
		b.WriteString("\treturn bad;\n}\n")
		out["tests/"+l.plan.core.name('w', fmt.Sprintf("test%d", i))+".c"] = []byte(b.String())
	}
}

func (l *cLayout) withRegression(files map[string][]byte, name string, rs []regression) map[string][]byte {
	out := maps.Clone(files)
	var b strings.Builder
	b.WriteString("#include \"check.h\"\n\nint main(void) {\n\tint bad = 0;\n")
	for _, r := range rs {
		indent := "\t"
		if r.again > 1 {
			fmt.Fprintf(&b, "\tfor (int i = 0; i < %d; i++)\n", r.again)
			indent = "\t\t"
		}
		fmt.Fprintf(&b, "%sbad |= check(\"regression\", %s, %d,\n%s\t%s, 0);\n", indent, cString(r.input), len(r.input), indent, cString([]byte(r.ends)))
	}
	b.WriteString("\treturn bad;\n}\n")
	out["tests/"+strings.ReplaceAll(name, "-", "_")+".c"] = []byte(b.String())
	return out
}

// cString is a literal of any bytes, in lines.
func cString(b []byte) string {
	var out strings.Builder
	out.WriteByte('"')
	for i, c := range b {
		if i > 0 && i%64 == 0 {
			out.WriteString("\"\n\t\t\"")
		}
		switch {
		case c == '\n':
			out.WriteString(`\n`)
		case c < ' ' || c > '~' || c == '"' || c == '\\' || c == '?':
			fmt.Fprintf(&out, "\\%03o", c)
		default:
			out.WriteByte(c)
		}
	}
	out.WriteByte('"')
	return out.String()
}

const cTop = `#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

$x_includes
/* All that is kept while one input is read. */
struct $t_doc {
	FILE *out;
	unsigned $m_count;
	unsigned $m_odd;
$x_members};

/* Reads an input and prints to out; returns how many records were not taken. */
int $f_run(const uint8_t *p, size_t n, FILE *out);
`

const cFeed = `#include "$x_name.h"

#include <stdlib.h>
#include <string.h>

#include "$x_util.h"

[table]$x_handlers
[table&!text]static const struct {
[table&!text]	uint8_t tag;
[table&text]static const struct {
[table&text]	const char *word;
[table]	int (*take)(struct $t_doc *d, const uint8_t *p, size_t n);
[table]} $g_table[] = {
[table]$x_entries};

[text]static int $f_one(struct $t_doc *d, const char *word, const uint8_t *p, size_t n) {
[!text]static int $f_one(struct $t_doc *d, unsigned tag, const uint8_t *p, size_t n) {
[table]	for (size_t i = 0; i < sizeof $g_table / sizeof *$g_table; i++)
[table&text]		if (strcmp($g_table[i].word, word) == 0)
[table&!text]		if ($g_table[i].tag == tag)
[table]			return $g_table[i].take(d, p, n);
[table]	return -1;
[!table&!text]	switch (tag) {
[!table]$x_cases
[!table&!text]	default:
[!table&!text]		return -1;
[!table&!text]	}
[!table&text]	return -1;
}

[text]static int $f_digit(int c) {
[text]	if (c >= '0' && c <= '9')
[text]		return c - '0';
[text]	if (c >= 'a' && c <= 'f')
[text]		return c - 'a' + 10;
[text]	return -1;
[text]}
[text]
[text]static uint8_t *$f_unquote(const uint8_t *p, size_t n, size_t *size) {
[text]	uint8_t *$v_made = malloc(n ? n : 1);
[text]	size_t k = 0;
[text]	if (!$v_made)
[text]		return NULL;
[text]	for (size_t i = 0; i < n; i++) {
[text]		if (p[i] == '%' && n - i > 2 && $f_digit(p[i + 1]) >= 0 && $f_digit(p[i + 2]) >= 0) {
[text]			$v_made[k++] = (uint8_t)($f_digit(p[i + 1]) << 4 | $f_digit(p[i + 2]));
[text]			i += 2;
[text]		} else {
[text]			$v_made[k++] = p[i];
[text]		}
[text]	}
[text]	*size = k;
[text]	return $v_made;
[text]}
[text]
[text]static void $f_line(struct $t_doc *d, const uint8_t *p, size_t n) {
[text]	char word[32];
[text]	size_t k = 0, size;
[text]	uint8_t *$v_made;
[text]	while (k < n && p[k] != $x_colon && k + 1 < sizeof word) {
[text]		word[k] = (char)p[k];
[text]		k++;
[text]	}
[text]	word[k] = 0;
[text]	if (k == n || p[k] != $x_colon) {
[text]		d->$m_odd++;
[text]		return;
[text]	}
[text]	$v_made = $f_unquote(p + k + 1, n - k - 1, &size);
[text]	if (!$v_made)
[text]		return;
[text]	d->$m_count++;
[text]	if ($f_one(d, word, $v_made, size) != 0) {
[text]		d->$m_odd++;
[text]		fprintf(d->out, "$w_refused %s\n", $P_clip(word));
[text]	}
[text]	free($v_made);
[text]}
[text]
[!text]static size_t $f_length(const uint8_t *p) {
[!text&big&wide3]	return (size_t)p[0] << 16 | (size_t)p[1] << 8 | p[2];
[!text&!big&wide3]	return (size_t)p[2] << 16 | (size_t)p[1] << 8 | p[0];
[!text&big&!wide3]	return (size_t)p[0] << 8 | p[1];
[!text&!big&!wide3]	return (size_t)p[1] << 8 | p[0];
[!text]}
[!text]
static void $f_feed(struct $t_doc *d, const uint8_t *p, size_t n) {
	size_t at = 0;
[text]	while (at < n) {
[text]		const uint8_t *$v_end = memchr(p + at, '\n', n - at);
[text]		size_t len = $v_end ? (size_t)($v_end - p) - at : n - at;
[text]		$f_line(d, p + at, len);
[text]		at += len + 1;
[text]	}
[!text&magic]	if (n < $k_magic || memcmp(p, $x_magic, $k_magic) != 0)
[!text&magic]		return;
[!text&magic]	at = $k_magic;
[!text]	while (n - at > $k_wide) {
[!text]		unsigned tag = p[at];
[!text]		size_t len = $f_length(p + at + 1);
[!text]		at += 1 + $k_wide;
[!text]		if (len > n - at)
[!text]			len = n - at;
[!text]		d->$m_count++;
[!text]		if ($f_one(d, tag, p + at, len) != 0) {
[!text]			d->$m_odd++;
[!text]			fprintf(d->out, "$w_refused %u\n", tag);
[!text]		}
[!text]		at += len;
[!text]	}
}

static void $f_done(struct $t_doc *d) {
$x_drops	(void)d;
}

[tidy]/* Reads all of an input; what is kept goes with it. */
int $f_run(const uint8_t *p, size_t n, FILE *out) {
[tidy]	static const struct $t_doc fresh;
[tidy]	struct $t_doc d = fresh;
[!tidy]	struct $t_doc d;
[!tidy]	memset(&d, 0, sizeof d);
	d.out = out;
	$f_feed(&d, p, n);
	$f_done(&d);
	return (int)d.$m_odd;
}
`

const cUtilHeader = `#include <stddef.h>
#include <stdint.h>

/* A number of two bytes. */
unsigned $P_u16(const uint8_t *p);
/* A running sum over bytes. */
unsigned $P_sum(unsigned sum, const uint8_t *p, size_t n);
/* Text that may be printed. */
const char *$P_clip(char *text);
`

const cUtil = `#include "$x_util.h"

unsigned $P_u16(const uint8_t *p) {
[little&!neat]	return (unsigned)p[0] | (unsigned)p[1] << 8;
[!little&!neat]	return (unsigned)p[0] << 8 | p[1];
[little&neat]	unsigned low = p[0], high = p[1];
[!little&neat]	unsigned low = p[1], high = p[0];
[neat]	return high << 8 | low;
}

unsigned $P_sum(unsigned sum, const uint8_t *p, size_t n) {
[neat]	const uint8_t *end = p + n;
[neat]	while (p < end)
[neat]		sum = (sum * 31 + *p++) & 0xffff;
[!neat]	for (size_t i = 0; i < n; i++)
[!neat]		sum = (sum * 31 + p[i]) & 0xffff;
	return sum;
}

const char *$P_clip(char *text) {
	for (char *c = text; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '.';
	return text;
}
`
