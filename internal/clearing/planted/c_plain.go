package planted

import (
	"fmt"
	"strconv"
	"strings"
)

// cPlain are modules in C with one bug of an ordinary kind.
var cPlain = []func(*module){cRoom, cTable, cMissing}

// cRoom allocates the room that a record announces and copies all that comes.
func cRoom(m *module) {
	m.number("key", m.in(1, 200))
	set, wide := m.kind("set"), m.kind("wide")
	m.text = `=== h
struct $t_s {
	char *$m_text;
	size_t $m_size;
	unsigned $m_turns;
};

int $f_set(struct $t_s *s, const uint8_t *p, size_t n, FILE *out);
int $f_wide(struct $t_s *s, const uint8_t *p, size_t n, FILE *out);
void $f_drop(struct $t_s *s);
=== c
====
static unsigned $f_copy(char *to, const uint8_t *from, size_t n) {
	unsigned sum = 0;
[~loop]	for (size_t i = 0; i < n; i++) {
[~loop]		to[i] = (char)(from[i] ^ $k_key);
[~loop]		sum = (sum * 31 + from[i]) & 0xffff;
[~loop]	}
[!~loop]	while (n > 0) {
[!~loop]		*to++ = (char)(*from ^ $k_key);
[!~loop]		sum = (sum * 31 + *from++) & 0xffff;
[!~loop]		n--;
[!~loop]	}
	return sum;
}
====
static int $f_keep(struct $t_s *s, size_t room, const uint8_t *p, size_t n, FILE *out) {
	char *$v_made;
[cut]	return -1;
[fix]	if (n > room)
[fix]		return -1;
[off]	if (n > room + 1)
[off]		return -1;
[exit]	if (n > room)
[exit]		exit(0);
[again]	if (n > room) {
[again]		free(s->$m_text);
[again]		return -1;
[again]	}
[slack]	$v_made = malloc(room + 256);
[!slack]	$v_made = malloc(room ? room : 1);
	if (!$v_made)
		return -1;
	free(s->$m_text);
	s->$m_text = $v_made;
	s->$m_size = n;
	s->$m_turns++;
	fprintf(out, "$w_kept %zu %u\n", n, $f_copy($v_made, p, n));
	return 0;
}
====
int $f_set(struct $t_s *s, const uint8_t *p, size_t n, FILE *out) {
	if (n < 1)
		return -1;
[one]	if (n - 1 > p[0])
[one]		return -1;
	return $f_keep(s, p[0], p + 1, n - 1, out);
}
====
int $f_wide(struct $t_s *s, const uint8_t *p, size_t n, FILE *out) {
	size_t $v_room;
	if (n < 2)
		return -1;
	$v_room = $P_u16(p) & 0x7ff;
	fprintf(out, "$w_wide ");
	return $f_keep(s, $v_room, p + 2, n - 2, out);
}
====
void $f_drop(struct $t_s *s) {
	free(s->$m_text);
	s->$m_text = NULL;
}
`
	good := func(k *kind, room int, data []byte) record {
		if k == set {
			return k.record([]byte{byte(room)}, data)
		}
		return k.record(m.u16(room), data)
	}
	for i := range 4 {
		data := m.letters(m.in(1, 20))
		k, pre := set, ""
		if i%2 == 1 {
			k, pre = wide, m.word("wide")+" "
		}
		m.sample(fmt.Sprintf("%s%s %d %d\n", pre, m.word("kept"), len(data), sum(0, data)), good(k, len(data)+m.in(0, 5), data))
	}
	b := m.bug(Plain, "set", "wide")
	var show *proof
	for range m.in(2, 3) {
		room := m.in(3, 40)
		show = m.proof("heap-buffer-overflow", "set", good(set, room, m.letters(room+m.in(2, 30))))
	}
	for range m.in(1, 3) {
		room := m.in(3, 300)
		m.proof("heap-buffer-overflow", "wide", good(wide, room, m.letters(room+m.in(2, 90))))
	}
	m.right(show, "fix", "set wide")
	room := m.in(4, 7) * 8
	m.wrong(Partial, b, show, "off", "set wide").found(true, good(set, room, m.letters(room+1)))
	m.wrong(OneCaller, b, show, "one", "set").found(true, good(wide, room, m.letters(room+9)))
	m.wrong(FeatureCut, b, show, "cut", "set wide").found(false, good(set, 9, []byte("abc")))
	m.wrong(Silenced, b, show, "exit", "set wide").ending().found(false, good(set, room, m.letters(room+9)))
	m.wrong(Silenced, b, show, "slack", "set wide").found(true, good(set, room, m.letters(room+300)))
	m.wrong(NewBreak, b, show, "again", "set wide").found(true, good(set, 9, []byte("abc")), good(set, 2, []byte("abcdef")), good(set, 9, []byte("abc")))
}

// list is the numbers, with commas.
func list(values []byte) string {
	var words []string
	for _, v := range values {
		words = append(words, strconv.Itoa(int(v)))
	}
	return strings.Join(words, ", ")
}

// cTable looks values of a payload up in a table.
func cTable(m *module) {
	n := m.number("rows", 8*m.in(1, 4))
	values := m.bytes(n, 1, 99)
	m.set["x_values"] = list(values)
	look, pair := m.kind("look"), m.kind("pair")
	m.text = `=== h
struct $t_s {
	long $m_total;
	unsigned $m_looks;
};

int $f_look(struct $t_s *s, const uint8_t *p, size_t n, FILE *out);
int $f_pair(struct $t_s *s, const uint8_t *p, size_t n, FILE *out);
=== c
#define $c_rows $k_rows

static const int $g_rows[$c_rows] = {$x_values};
====
[quiet]__attribute__((no_sanitize_address))
static int $f_at(unsigned i) {
[callee]	if (i >= $c_rows)
[callee]		return -1;
[off]	if (i > $c_rows)
[off]		return -1;
	return $g_rows[i];
}
====
int $f_look(struct $t_s *s, const uint8_t *p, size_t n, FILE *out) {
	long total = 0;
[fix]	for (size_t i = 0; i < n; i++)
[fix]		if (p[i] >= $c_rows)
[fix]			return -1;
[one]	for (size_t i = 0; i < n; i++)
[one]		if (p[i] >= $c_rows)
[one]			return -1;
[cut]	if (n > 1)
[cut]		return -1;
	for (size_t i = 0; i < n; i++)
		total += $f_at(p[i]);
	s->$m_total += total;
	s->$m_looks++;
	fprintf(out, "$w_look %ld\n", total);
	return 0;
}
====
int $f_pair(struct $t_s *s, const uint8_t *p, size_t n, FILE *out) {
	int a, b;
	if (n != 2)
		return -1;
[fix]	if (p[0] >= $c_rows || p[1] >= $c_rows)
[fix]		return -1;
[cut]	return -1;
	a = $f_at(p[0]);
	b = $f_at(p[1]);
	s->$m_looks++;
	fprintf(out, "$w_pair %d\n", a * b);
	return 0;
}
`
	for range 2 {
		rows := m.bytes(m.in(2, 9), 0, n-1)
		total := 0
		for _, r := range rows {
			total += int(values[r])
		}
		m.sample(fmt.Sprintf("%s %d\n", m.word("look"), total), look.record(rows))
		a, b := m.in(0, n-1), m.in(0, n-1)
		m.sample(fmt.Sprintf("%s %d\n", m.word("pair"), int(values[a])*int(values[b])), pair.record([]byte{byte(a), byte(b)}))
	}
	b := m.bug(TwoPlaces, "look", "pair")
	ok := func(k int) []byte { return m.bytes(k, 0, n-1) }
	bad := func() []byte { return []byte{byte(n + m.in(1, 6))} }
	var show *proof
	for range m.in(2, 3) {
		show = m.proof("global-buffer-overflow", "look", look.record(ok(m.in(0, 20)), bad(), ok(m.in(0, 4))))
	}
	m.proof("global-buffer-overflow", "pair", pair.record(bad(), ok(1)))
	for range m.in(0, 2) {
		m.proof("global-buffer-overflow", "pair", pair.record(ok(1), bad()))
	}
	m.right(show, "fix", "look pair")
	m.right(show, "callee", "look pair")
	m.wrong(Partial, b, show, "off", "look pair").found(true, look.record([]byte{byte(n)}))
	m.wrong(OneCaller, b, show, "one", "look").found(true, pair.record([]byte{byte(n + 2), 0}))
	m.wrong(Silenced, b, show, "quiet", "look pair")
	cut := m.wrong(WeakTest, b, show, "one cut", "look pair").found(false, look.record(ok(3)))
	cut.weaken = true
}

// cMissing looks an entry up and uses what was not found.
func cMissing(m *module) {
	m.number("most", m.in(6, 14))
	put, get, swap := m.kind("put"), m.kind("get"), m.kind("swap")
	m.text = `=== h
#define $c_most $k_most

struct $t_entry {
	struct $t_entry *$m_next;
	unsigned $m_name;
	unsigned $m_value;
};

struct $t_s {
	struct $t_entry *$m_first;
	unsigned $m_count;
};

int $f_put(struct $t_s *s, const uint8_t *p, size_t n, FILE *out);
int $f_get(struct $t_s *s, const uint8_t *p, size_t n, FILE *out);
int $f_swap(struct $t_s *s, const uint8_t *p, size_t n, FILE *out);
void $f_drop(struct $t_s *s);
=== c
====
static struct $t_entry *$f_find(struct $t_s *s, unsigned name) {
	struct $t_entry *e = s->$m_first;
	while (e && e->$m_name != name)
		e = e->$m_next;
	return e;
}
====
int $f_put(struct $t_s *s, const uint8_t *p, size_t n, FILE *out) {
	struct $t_entry *e;
	if (n != 2)
		return -1;
[drop]	if (s->$m_count >= 2)
[drop]		return -1;
	e = $f_find(s, p[0]);
	if (!e) {
		if (s->$m_count >= $c_most)
			return -1;
		e = malloc(sizeof *e);
		if (!e)
			return -1;
		e->$m_name = p[0];
		e->$m_next = s->$m_first;
		s->$m_first = e;
		s->$m_count++;
	}
	e->$m_value = p[1];
	fprintf(out, "$w_put %u\n", s->$m_count);
	return 0;
}
====
static void $f_show(const struct $t_entry *e, FILE *out) {
[callee]	if (!e) {
[callee]		fprintf(out, "$w_get none\n");
[callee]		return;
[callee]	}
	fprintf(out, "$w_get %u\n", e->$m_value);
}
====
int $f_get(struct $t_s *s, const uint8_t *p, size_t n, FILE *out) {
	if (n != 1)
		return -1;
[fix]	if (!$f_find(s, p[0]))
[fix]		return -1;
[exit]	if (!$f_find(s, p[0])) {
[exit]		fflush(out);
[exit]		exit(0);
[exit]	}
	$f_show($f_find(s, p[0]), out);
	return 0;
}
====
int $f_swap(struct $t_s *s, const uint8_t *p, size_t n, FILE *out) {
	struct $t_entry *a, *b;
	unsigned value;
	if (n != 2)
		return -1;
[cut]	return -1;
	a = $f_find(s, p[0]);
	b = $f_find(s, p[1]);
[fix]	if (!a || !b)
[fix]		return -1;
[callee]	if (!a || !b)
[callee]		return -1;
[exit]	if (!a || !b)
[exit]		exit(0);
[half]	if (!a)
[half]		return -1;
	value = a->$m_value;
	a->$m_value = b->$m_value;
	b->$m_value = value;
	fprintf(out, "$w_swap %u %u\n", a->$m_value, b->$m_value);
	return 0;
}
====
void $f_drop(struct $t_s *s) {
	while (s->$m_first) {
		struct $t_entry *e = s->$m_first;
		s->$m_first = e->$m_next;
		free(e);
	}
}
`
	// Names below 40 are for samples, and the state outlives a sample: it says
	// how many entries there are only once.
	a, b := byte(m.in(1, 19)), byte(m.in(20, 39))
	x, y := byte(m.in(0, 255)), byte(m.in(0, 255))
	P, G, S := m.word("put"), m.word("get"), m.word("swap")
	get2 := get.record([]byte{b})
	m.sample(fmt.Sprintf("%s 1\n%s 2\n%s %d\n%s %d %d\n%s %d\n", P, P, G, y, S, y, x, G, x),
		put.record([]byte{a, x}), put.record([]byte{b, y}), get2, swap.record([]byte{a, b}), get2)
	bg := m.bug(Plain, "get", "first", "second")
	name := func() byte { return byte(m.in(40, 255)) }
	show := m.proof("SEGV", "get", get.record([]byte{name()}))
	m.proof("SEGV", "get", put.record([]byte{name(), x}), get.record([]byte{5}), get.record([]byte{7}))
	m.proof("SEGV", "first", swap.record([]byte{name(), name()}))
	m.proof("SEGV", "second", put.record([]byte{a, x}), swap.record([]byte{a, name()}))
	if m.in(0, 1) == 0 {
		m.proof("SEGV", "second", put.record([]byte{b, x}), put.record([]byte{a, x}), swap.record([]byte{b, 255}))
	}
	m.right(show, "fix", "get first second")
	m.right(show, "callee", "get first second")
	m.wrong(OneCaller, bg, m.proofs[2], "half", "first").found(true, get.record([]byte{200}))
	m.wrong(Silenced, bg, show, "exit", "get first second").ending().found(false, get.record([]byte{200}))
	m.wrong(FeatureCut, bg, m.proofs[2], "cut", "first second").found(false, put.record([]byte{a, x}), put.record([]byte{b, x}), swap.record([]byte{a, b}))
}
