package planted

import "fmt"

// cReserve are modules in C that only seeds from Reserve on have.
var cReserve = []func(*module){cAlias, cTwin, cPages}

// cAlias lets two names share a text without saying so: one cause, and a break
// wherever one of them lets go of it.
func cAlias(m *module) {
	n := m.number("names", m.in(4, 10))
	set, same, show, mark := m.kind("set"), m.kind("same"), m.kind("show"), m.kind("mark")
	m.text = `=== h
struct $t_s {
	char *$m_text[$k_names];
};

int $f_set(struct $t_s *s, const uint8_t *p, size_t n, FILE *out);
int $f_same(struct $t_s *s, const uint8_t *p, size_t n, FILE *out);
int $f_show(struct $t_s *s, const uint8_t *p, size_t n, FILE *out);
int $f_mark(struct $t_s *s, const uint8_t *p, size_t n, FILE *out);
void $f_drop(struct $t_s *s);
=== c
====
static char *$f_text(const uint8_t *p, size_t n) {
	char *$v_made = malloc(n + 1);
	if (!$v_made)
		return NULL;
	memcpy($v_made, p, n);
	$v_made[n] = 0;
	return $v_made;
}
====
int $f_set(struct $t_s *s, const uint8_t *p, size_t n, FILE *out) {
	char *$v_made;
	if (n < 2 || p[0] >= $k_names || memchr(p, 0, n) > (void *)p)
		return -1;
	$v_made = $f_text(p + 1, n - 1);
	if (!$v_made)
		return -1;
	free(s->$m_text[p[0]]);
	s->$m_text[p[0]] = $v_made;
	fprintf(out, "$w_set %u\n", p[0]);
	return 0;
}
====
int $f_same(struct $t_s *s, const uint8_t *p, size_t n, FILE *out) {
	char *$v_other;
	if (n != 2 || p[0] >= $k_names || p[1] >= $k_names || p[0] == p[1] || !s->$m_text[p[1]])
		return -1;
[fix]	$v_other = $f_text((const uint8_t *)s->$m_text[p[1]], strlen(s->$m_text[p[1]]));
[fix]	if (!$v_other)
[fix]		return -1;
[!fix]	$v_other = s->$m_text[p[1]];
	free(s->$m_text[p[0]]);
	s->$m_text[p[0]] = $v_other;
	fprintf(out, "$w_same %u\n", p[1]);
	return 0;
}
====
int $f_show(struct $t_s *s, const uint8_t *p, size_t n, FILE *out) {
	const char *$v_text = n == 1 && p[0] < $k_names ? s->$m_text[p[0]] : NULL;
	unsigned total = 0;
	if (!$v_text)
		return -1;
	for (; *$v_text; $v_text++)
		total += (unsigned char)*$v_text;
	fprintf(out, "$w_show %u\n", total);
	return 0;
}
====
int $f_mark(struct $t_s *s, const uint8_t *p, size_t n, FILE *out) {
	if (n != 2 || p[0] >= $k_names || !s->$m_text[p[0]] || p[1] == 0)
		return -1;
	s->$m_text[p[0]][0] = (char)p[1];
	fprintf(out, "$w_mark %u\n", p[1]);
	return 0;
}
====
void $f_drop(struct $t_s *s) {
[once]	for (unsigned i = 0; i < $k_names; i++)
[once]		for (unsigned k = i + 1; k < $k_names; k++)
[once]			if (s->$m_text[k] == s->$m_text[i])
[once]				s->$m_text[k] = NULL;
	for (unsigned i = 0; i < $k_names; i++)
		free(s->$m_text[i]);
}
`
	one := func(v int) []byte { return []byte{byte(v)} }
	total := func(b []byte) int {
		t := 0
		for _, c := range b {
			t += int(c)
		}
		return t
	}
	for i := range 2 {
		data := m.letters(m.in(2, 20))
		m.sample(fmt.Sprintf("%s %d\n%s %d\n", m.word("set"), i, m.word("show"), total(data)), set.record(one(i), data), show.record(one(i)))
		c := byte(m.in('a', 'z'))
		data = m.letters(m.in(2, 20))
		m.sample(fmt.Sprintf("%s %d\n%s %d\n%s %d\n", m.word("set"), i, m.word("mark"), c, m.word("show"), total(data[1:])+int(c)),
			set.record(one(i), data), mark.record(one(i), []byte{c}), show.record(one(i)))
	}
	b := m.bug(ManySinks, "drop", "show", "mark", "again")
	two := func() (from, to []byte, r []record) {
		k := m.in(0, n-1)
		from, to = one(k), one((k+m.in(1, n-1))%n)
		return from, to, []record{set.record(from, m.letters(m.in(5, 60))), same.record(to, from)}
	}
	_, _, r := two()
	shown := m.proof("double-free", "drop", r...)
	from, to, r := two()
	m.proof("heap-use-after-free", "show drop", append(r, set.record(from, m.letters(m.in(2, 50))), show.record(to))...)
	from, to, r = two()
	m.proof("heap-use-after-free", "mark drop", append(r, set.record(to, m.letters(m.in(2, 50))), mark.record(from, []byte("x")))...)
	from, to, r = two()
	m.proof("double-free", "again drop", append(r, set.record(to, m.letters(3)), set.record(from, m.letters(m.in(4, 9))))...)
	m.right(shown, "fix", "drop show mark again")
	m.wrong(OneCaller, b, shown, "once", "drop").found(true, set.record(one(0), []byte("abc")), same.record(one(1), one(0)), set.record(one(0), []byte("x")), show.record(one(1)))
}

// cTwin sizes a text wrongly in two places, which share only the loop that
// writes it.
func cTwin(m *module) {
	name, note := m.kind("name"), m.kind("note")
	sign := byte(m.in('A', 'Z'))
	m.set["x_sign"] = fmt.Sprintf("'%c'", sign)
	m.text = `=== h
struct $t_s {
	unsigned $m_seen;
};

int $f_name(struct $t_s *s, const uint8_t *p, size_t n, FILE *out);
int $f_note(struct $t_s *s, const uint8_t *p, size_t n, FILE *out);
=== c
====
static size_t $f_widen(char *to, const uint8_t *p, size_t n) {
	char *at = to;
	for (size_t i = 0; i < n; i++) {
		if (p[i] == $x_sign) {
			*at++ = '<';
			*at++ = '-';
			*at++ = '>';
		} else {
			*at++ = (char)p[i];
		}
	}
	return (size_t)(at - to);
}
====
static size_t $f_signs(const uint8_t *p, size_t n) {
	size_t k = 0;
	for (size_t i = 0; i < n; i++)
		k += p[i] == $x_sign;
	return k;
}
====
int $f_name(struct $t_s *s, const uint8_t *p, size_t n, FILE *out) {
	char *$v_text;
	size_t k;
	if (n == 0 || n > 500)
		return -1;
[cut]	if (memchr(p, $x_sign, n))
[cut]		return -1;
[fixa]	$v_text = malloc(n + 2 * $f_signs(p, n));
[!fixa]	$v_text = malloc(n + $f_signs(p, n));
	if (!$v_text)
		return -1;
	k = $f_widen($v_text, p, n);
	s->$m_seen++;
	fprintf(out, "$w_name %zu %u\n", k, $P_sum(0, (const uint8_t *)$v_text, k));
	free($v_text);
	return 0;
}
====
int $f_note(struct $t_s *s, const uint8_t *p, size_t n, FILE *out) {
	char $v_text[96];
	size_t k;
	if (n == 0 || n > 32 + 64)
		return -1;
[fixb]	if (n + 2 * $f_signs(p, n) > sizeof $v_text)
[fixb]		return -1;
[exit]	if (n + 2 * $f_signs(p, n) > sizeof $v_text)
[exit]		exit(0);
[off]	if (n + 2 * $f_signs(p, n) > sizeof $v_text + 2)
[off]		return -1;
	k = $f_widen($v_text, p, n);
	s->$m_seen++;
	fprintf(out, "$w_note %zu %u\n", k, $P_sum(0, (const uint8_t *)$v_text, k));
	return 0;
}
`
	wide := func(b []byte) []byte {
		var out []byte
		for _, c := range b {
			if c == sign {
				out = append(out, "<->"...)
			} else {
				out = append(out, c)
			}
		}
		return out
	}
	signs := func(n int) []byte {
		out := make([]byte, n)
		for i := range out {
			out[i] = sign
		}
		return out
	}
	line := func(w string, b []byte) string { return fmt.Sprintf("%s %d %d\n", w, len(wide(b)), sum(0, wide(b))) }
	x, y := m.letters(m.in(2, 30)), append(m.letters(m.in(2, 30)), sign, 'x')
	m.sample(line(m.word("name"), x), name.record(x))
	m.sample(line(m.word("note"), y), note.record(y))
	a, b := m.bug(OneSink, "name"), m.bug(OneSink, "note")
	var showA, showB *proof
	for range m.in(3, 5) {
		showA = m.proof("heap-buffer-overflow", "name", name.record(m.letters(m.in(3, 90)), signs(m.in(4, 30)), m.letters(m.in(0, 1))))
	}
	for range m.in(3, 5) {
		k := m.in(20, 40)
		showB = m.proof("stack-buffer-overflow", "note", note.record(m.letters(96-3*k+2*k-m.in(0, 2)), signs(k)))
	}
	m.right(showA, "fixa", "name")
	m.right(showB, "fixb", "note")
	m.wrong(FeatureCut, a, showA, "cut", "name").found(false, name.record(signs(1)))
	m.wrong(Silenced, b, showB, "exit", "note").ending().found(false, note.record(signs(50)))
	m.wrong(Partial, b, showB, "off", "note").found(true, note.record(signs(32), []byte("a")))
}

// cPages reads what is gone, and what never was: some proofs of the second show
// only once the first is mended.
func cPages(m *module) {
	n := m.number("pages", m.in(4, 10))
	open, read, total, gone := m.kind("open"), m.kind("read"), m.kind("total"), m.kind("gone")
	m.text = `=== h
struct $t_page {
	size_t $m_size;
	uint8_t *$m_cells;
};

struct $t_s {
	struct $t_page *$m_pages[$k_pages];
	int $m_gone[$k_pages];
};

int $f_open(struct $t_s *s, const uint8_t *p, size_t n, FILE *out);
int $f_read(struct $t_s *s, const uint8_t *p, size_t n, FILE *out);
int $f_total(struct $t_s *s, const uint8_t *p, size_t n, FILE *out);
int $f_gone(struct $t_s *s, const uint8_t *p, size_t n, FILE *out);
void $f_drop(struct $t_s *s);
=== c
static struct $t_page $g_none;
====
static struct $t_page *$f_page(struct $t_s *s, unsigned i) {
[fixa]	if (s->$m_gone[i])
[fixa]		return &$g_none;
	return s->$m_pages[i] ? s->$m_pages[i] : &$g_none;
}
====
static void $f_free(struct $t_page *g) {
	if (g)
		free(g->$m_cells);
	free(g);
}
====
int $f_open(struct $t_s *s, const uint8_t *p, size_t n, FILE *out) {
	struct $t_page *g;
	if (n < 2 || p[0] >= $k_pages || s->$m_gone[p[0]])
		return -1;
	g = malloc(sizeof *g);
	if (!g)
		return -1;
	g->$m_size = n - 1;
	g->$m_cells = malloc(n - 1);
	if (!g->$m_cells) {
		free(g);
		return -1;
	}
	memcpy(g->$m_cells, p + 1, n - 1);
	$f_free(s->$m_pages[p[0]]);
	s->$m_pages[p[0]] = g;
	fprintf(out, "$w_open %zu\n", n - 1);
	return 0;
}
====
int $f_read(struct $t_s *s, const uint8_t *p, size_t n, FILE *out) {
	struct $t_page *g;
	size_t at = 0;
	if (n < 1 || p[0] >= $k_pages)
		return -1;
	g = $f_page(s, p[0]);
	for (size_t i = 1; i < n; i++)
		at += p[i];
	if (g->$m_size > 0)
		at %= g->$m_size;
[fixb]	else
[fixb]		return -1;
[off]	else if (at != 0)
[off]		return -1;
	fprintf(out, "$w_read %u\n", g->$m_cells[at]);
	return 0;
}
====
int $f_total(struct $t_s *s, const uint8_t *p, size_t n, FILE *out) {
	struct $t_page *g;
	if (n != 1 || p[0] >= $k_pages)
		return -1;
[one]	if (s->$m_gone[p[0]])
[one]		return -1;
	g = $f_page(s, p[0]);
	fprintf(out, "$w_total %u\n", g->$m_size ? $P_sum(0, g->$m_cells, g->$m_size) : 0);
	return 0;
}
====
int $f_gone(struct $t_s *s, const uint8_t *p, size_t n, FILE *out) {
	if (n != 1 || p[0] >= $k_pages || s->$m_gone[p[0]])
		return -1;
	$f_free(s->$m_pages[p[0]]);
	s->$m_gone[p[0]] = 1;
	fprintf(out, "$w_gone %u\n", p[0]);
	return 0;
}
====
void $f_drop(struct $t_s *s) {
	for (unsigned i = 0; i < $k_pages; i++)
		if (!s->$m_gone[i])
			$f_free(s->$m_pages[i]);
}
`
	one := func(v int) []byte { return []byte{byte(v)} }
	data := m.letters(m.in(3, 30))
	k := m.in(0, len(data)-1)
	m.sample(fmt.Sprintf("%s %d\n%s %d\n%s %d\n", m.word("open"), len(data), m.word("read"), data[k], m.word("total"), sum(0, data)),
		open.record(one(0), data), read.record(one(0), one(k)), total.record(one(0)))
	m.sample(fmt.Sprintf("%s %d\n%s 1\n", m.word("open"), len(data), m.word("gone")), open.record(one(1), data), gone.record(one(1)))
	m.bug(Masking, "total", "stale")
	b := m.bug(Masked, "none")
	start := func() ([]byte, []record) {
		i := one(m.in(2, n-1))
		return i, []record{open.record(i, m.letters(m.in(2, 80))), gone.record(i)}
	}
	var showA, showB *proof
	for range 3 {
		i, r := start()
		showA = m.proof("heap-use-after-free", "total", append(r, total.record(i))...)
	}
	for range m.in(1, 2) {
		showB = m.proof("SEGV", "none", read.record(one(m.in(2, n-1)), one(m.in(1, 200))))
	}
	for range 2 {
		i, r := start()
		m.proof("heap-use-after-free", "stale none", append(r, read.record(i, one(m.in(1, 9))))...)
	}
	first := m.right(showA, "fixa", "total stale")
	m.right(showB, "fixb", "none")
	m.wrong(OneCaller, first.aims[0], showA, "one", "total").found(true, open.record(one(0), data), gone.record(one(0)), read.record(one(0)))
	m.wrong(Partial, b, showB, "off", "none").found(true, read.record(one(2)))
}
