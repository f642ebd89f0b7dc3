package planted

import "fmt"

// cHard are modules in C with the hard cases.
var cHard = []func(*module){cSlots, cCursor, cJobs, cTitle, cSpan, cBuckets, cWindow, cNest, cGrid}

// cSlots keeps what it has released: one cause, and a break wherever a slot is
// used after that.
func cSlots(m *module) {
	n := m.number("slots", m.in(4, 12))
	open, read, write, shut := m.kind("open"), m.kind("read"), m.kind("write"), m.kind("shut")
	m.text = `=== h
struct $t_slot {
	uint8_t *$m_data;
	size_t $m_size;
	int $m_open;
};

struct $t_s {
	struct $t_slot $m_slots[$k_slots];
};

int $f_open(struct $t_s *s, const uint8_t *p, size_t n, FILE *out);
int $f_read(struct $t_s *s, const uint8_t *p, size_t n, FILE *out);
int $f_write(struct $t_s *s, const uint8_t *p, size_t n, FILE *out);
int $f_shut(struct $t_s *s, const uint8_t *p, size_t n, FILE *out);
void $f_drop(struct $t_s *s);
=== c
====
static struct $t_slot *$f_slot(struct $t_s *s, unsigned i) {
	struct $t_slot *$v_slot;
	if (i >= $k_slots)
		return NULL;
	$v_slot = &s->$m_slots[i];
[callee]	return $v_slot->$m_open ? $v_slot : NULL;
[!callee]	return $v_slot->$m_data ? $v_slot : NULL;
}
====
static void $f_mix(uint8_t *to, size_t size, const uint8_t *p, size_t n) {
	for (size_t i = 0; i < n && i < size; i++)
		to[i] ^= p[i];
}
====
int $f_open(struct $t_s *s, const uint8_t *p, size_t n, FILE *out) {
	struct $t_slot *$v_slot;
	if (n < 2 || p[0] >= $k_slots)
		return -1;
	$v_slot = &s->$m_slots[p[0]];
[callee]	if ($v_slot->$m_open)
[!callee]	if ($v_slot->$m_data)
		free($v_slot->$m_data);
	$v_slot->$m_open = 0;
	$v_slot->$m_data = malloc(n - 1);
	if (!$v_slot->$m_data)
		return -1;
	memcpy($v_slot->$m_data, p + 1, n - 1);
	$v_slot->$m_size = n - 1;
	$v_slot->$m_open = 1;
	fprintf(out, "$w_open %u\n", p[0]);
	return 0;
}
====
int $f_read(struct $t_s *s, const uint8_t *p, size_t n, FILE *out) {
	struct $t_slot *$v_slot = n == 1 ? $f_slot(s, p[0]) : NULL;
	if (!$v_slot)
		return -1;
[one]	if (!$v_slot->$m_open)
[one]		return -1;
	fprintf(out, "$w_read %zu %u\n", $v_slot->$m_size, $P_sum(1, $v_slot->$m_data, $v_slot->$m_size));
	return 0;
}
====
int $f_write(struct $t_s *s, const uint8_t *p, size_t n, FILE *out) {
	struct $t_slot *$v_slot = n > 1 ? $f_slot(s, p[0]) : NULL;
	if (!$v_slot)
		return -1;
[both]	if (!$v_slot->$m_open)
[both]		return -1;
	$f_mix($v_slot->$m_data, $v_slot->$m_size, p + 1, n - 1);
	fprintf(out, "$w_write %zu\n", n - 1);
	return 0;
}
====
int $f_shut(struct $t_s *s, const uint8_t *p, size_t n, FILE *out) {
	struct $t_slot *$v_slot = n == 1 ? $f_slot(s, p[0]) : NULL;
	if (!$v_slot)
		return -1;
	free($v_slot->$m_data);
[fix]	$v_slot->$m_data = NULL;
	$v_slot->$m_open = 0;
	fprintf(out, "$w_shut %u\n", p[0]);
	return 0;
}
====
void $f_drop(struct $t_s *s) {
	for (unsigned i = 0; i < $k_slots; i++)
		if (s->$m_slots[i].$m_open)
			free(s->$m_slots[i].$m_data);
}
`
	b := m.bug(ManySinks, "read", "write", "shut", "open")
	for i := range 2 {
		slot := []byte{byte(i)}
		data, over := m.letters(m.in(3, 20)), m.letters(2)
		mixed := append([]byte{data[0] ^ over[0], data[1] ^ over[1]}, data[2:]...)
		m.sample(fmt.Sprintf("%s %d\n%s 2\n%s %d %d\n%s %d\n", m.word("open"), i, m.word("write"), m.word("read"), len(data), sum(1, mixed), m.word("shut"), i),
			open.record(slot, data), write.record(slot, over), read.record(slot), shut.record(slot))
	}
	start := func() ([]byte, []record) {
		slot := []byte{byte(m.in(2, n-1))}
		r := []record{open.record(slot, m.letters(m.in(8, 60)))}
		if m.in(0, 1) == 0 {
			r = append(r, write.record(slot, m.letters(3)))
		}
		return slot, append(r, shut.record(slot))
	}
	slot, r := start()
	show := m.proof("heap-use-after-free", "read", append(r, read.record(slot))...)
	slot, r = start()
	m.proof("heap-use-after-free", "write", append(r, write.record(slot, m.letters(5)))...)
	slot, r = start()
	m.proof("double-free", "shut", append(r, shut.record(slot))...)
	slot, r = start()
	m.proof("double-free", "open", append(r, open.record(slot, m.letters(9)))...)
	if m.in(0, 1) == 0 {
		slot, r = start()
		m.proof("heap-use-after-free", "read shut", append(r, read.record(slot), shut.record(slot))...)
	}
	m.right(show, "fix", "read write shut open")
	m.right(show, "callee", "read write shut open")
	s := []byte{0}
	m.wrong(OneCaller, b, show, "one", "read").found(true, open.record(s, []byte("abc")), shut.record(s), shut.record(s))
	m.wrong(OneCaller, b, show, "one both", "read write").found(true, open.record(s, []byte("abc")), shut.record(s), shut.record(s))
}

// cCursor lets a cursor be set anywhere and uses it in four places.
func cCursor(m *module) {
	n := m.number("cells", 8*m.in(1, 3))
	seek, step := m.kind("seek"), m.kind("step")
	peek, poke, name, turn := m.kind("peek"), m.kind("poke"), m.kind("name"), m.kind("turn")
	letters := m.letters(n)
	m.set["x_letters"] = fmt.Sprintf("%q", letters)
	m.text = `=== h
struct $t_s {
	uint8_t *$m_cells;
	unsigned $m_at;
};

int $f_seek(struct $t_s *s, const uint8_t *p, size_t n, FILE *out);
int $f_step(struct $t_s *s, const uint8_t *p, size_t n, FILE *out);
int $f_peek(struct $t_s *s, const uint8_t *p, size_t n, FILE *out);
int $f_poke(struct $t_s *s, const uint8_t *p, size_t n, FILE *out);
int $f_name(struct $t_s *s, const uint8_t *p, size_t n, FILE *out);
int $f_turn(struct $t_s *s, const uint8_t *p, size_t n, FILE *out);
void $f_drop(struct $t_s *s);
=== c
#define $c_cells $k_cells

static const char $g_names[$c_cells] = $x_letters;
====
static uint8_t *$f_cells(struct $t_s *s) {
	if (!s->$m_cells)
		s->$m_cells = calloc($c_cells, 1);
	return s->$m_cells;
}
====
static int $f_move(struct $t_s *s, unsigned at) {
[fix]	if (at >= $c_cells)
[fix]		return -1;
[off]	if (at > $c_cells)
[off]		return -1;
	s->$m_at = at;
	return 0;
}
====
int $f_seek(struct $t_s *s, const uint8_t *p, size_t n, FILE *out) {
	if (n != 1)
		return -1;
	fprintf(out, "$w_at\n");
[one]	if (p[0] >= $c_cells)
[one]		return -1;
	return $f_move(s, p[0]);
}
====
int $f_step(struct $t_s *s, const uint8_t *p, size_t n, FILE *out) {
	unsigned at = s->$m_at;
	for (size_t i = 0; i < n; i++)
		at += p[i];
	fprintf(out, "$w_step %u\n", at);
	return $f_move(s, at & 0xff);
}
====
[quiet]__attribute__((no_sanitize_address))
int $f_peek(struct $t_s *s, const uint8_t *p, size_t n, FILE *out) {
	(void)p;
	(void)n;
	if (!$f_cells(s))
		return -1;
[sink]	if (s->$m_at >= $c_cells)
[sink]		return -1;
	fprintf(out, "$w_peek %u\n", s->$m_cells[s->$m_at]);
	return 0;
}
====
int $f_poke(struct $t_s *s, const uint8_t *p, size_t n, FILE *out) {
	if (n != 1 || !$f_cells(s))
		return -1;
[sink]	if (s->$m_at >= $c_cells)
[sink]		return -1;
	s->$m_cells[s->$m_at] = p[0];
	fprintf(out, "$w_poke %u\n", p[0]);
	return 0;
}
====
int $f_name(struct $t_s *s, const uint8_t *p, size_t n, FILE *out) {
	(void)p;
	(void)n;
	fprintf(out, "$w_name %c\n", $g_names[s->$m_at]);
	return 0;
}
====
static unsigned $f_spread(uint8_t *to, unsigned at, unsigned by) {
	unsigned sum = 0;
	for (unsigned i = 0; i < $c_cells; i++)
		to[i] = (uint8_t)(i + by);
	to[at] = 0;
	for (unsigned i = 0; i < $c_cells; i++)
		sum += to[i];
	return sum;
}
====
int $f_turn(struct $t_s *s, const uint8_t *p, size_t n, FILE *out) {
	uint8_t $v_local[$c_cells];
	if (n != 1)
		return -1;
	fprintf(out, "$w_turn %u\n", $f_spread($v_local, s->$m_at, p[0] & 0x3f));
	return 0;
}
====
void $f_drop(struct $t_s *s) {
	free(s->$m_cells);
}
`
	at, by, c := m.in(0, n-1), m.in(0, 63), m.in(0, 255)
	total := 0
	for i := range n {
		if i != at {
			total += i + by
		}
	}
	one := func(v int) []byte { return []byte{byte(v)} }
	m.sample(fmt.Sprintf("%s\n%s %d\n%s %d\n%s %c\n%s %d\n", m.word("at"), m.word("poke"), c, m.word("peek"), c, m.word("name"), letters[at], m.word("turn"), total),
		seek.record(one(at)), poke.record(one(c)), peek.record(), name.record(), turn.record(one(by)))
	half := at / 2
	m.sample(fmt.Sprintf("%s\n%s %d\n%s %c\n", m.word("at"), m.word("step"), at, m.word("name"), letters[at]),
		seek.record(one(half)), step.record(one(at-half)), name.record())
	b := m.bug(ManySinks, "peek", "poke", "name", "turn", "peek2", "poke2")
	far := func() []record {
		return []record{seek.record(one(n + m.in(1, 6)))}
	}
	near := func() []record {
		a := m.in(1, n-1)
		return []record{seek.record(one(a)), step.record(one(n-a), one(m.in(1, 6)))}
	}
	show := m.proof("heap-buffer-overflow", "peek", append(far(), peek.record())...)
	m.proof("heap-buffer-overflow", "poke2", append(near(), poke.record(one(c)))...)
	m.proof("global-buffer-overflow", "name", append(far(), name.record())...)
	m.proof("stack-buffer-overflow", "turn", append(far(), turn.record(one(by)))...)
	m.proof("heap-buffer-overflow", "peek2", append(near(), peek.record())...)
	if m.in(0, 1) == 0 {
		m.proof("heap-buffer-overflow", "poke", append(far(), poke.record(one(c)))...)
	}
	m.right(show, "fix", "peek poke name turn peek2 poke2")
	m.wrong(Partial, b, show, "off", "peek poke name turn peek2 poke2").found(true, seek.record(one(n)), poke.record(one(c)))
	m.wrong(OneCaller, b, show, "one", "peek poke name turn").found(true, append(near(), peek.record())...)
	m.wrong(OneCaller, b, show, "sink", "peek poke peek2 poke2").found(true, append(far(), turn.record(one(by)))...)
	m.wrong(Silenced, b, show, "quiet", "peek peek2").found(true, append(far(), turn.record(one(by)))...)
}

// cJobs queues work of two kinds, sized wrongly in two independent ways, and
// breaks for both in the one loop that does it.
func cJobs(m *module) {
	most := m.number("most", m.in(30, 60))
	pad, again, flush := m.kind("pad"), m.kind("again"), m.kind("flush")
	m.text = `=== h
struct $t_job {
	struct $t_job *$m_next;
	uint8_t *$m_to;
	uint8_t *$m_from;
	size_t $m_size;
};

struct $t_s {
	struct $t_job *$m_jobs;
};

int $f_pad(struct $t_s *s, const uint8_t *p, size_t n, FILE *out);
int $f_again(struct $t_s *s, const uint8_t *p, size_t n, FILE *out);
int $f_flush(struct $t_s *s, const uint8_t *p, size_t n, FILE *out);
void $f_drop(struct $t_s *s);
=== c
====
static struct $t_job *$f_job(struct $t_s *s, size_t room, size_t size) {
	struct $t_job *j = calloc(1, sizeof *j);
	if (!j)
		return NULL;
[slack]	j->$m_to = malloc(room + 64);
[!slack]	j->$m_to = malloc(room + 1);
	j->$m_from = malloc(size + 1);
	j->$m_size = size;
	if (!j->$m_to || !j->$m_from) {
		free(j->$m_to);
		free(j->$m_from);
		free(j);
		return NULL;
	}
	j->$m_next = s->$m_jobs;
	s->$m_jobs = j;
	return j;
}
====
static void $f_shift(uint8_t *to, const uint8_t *from, size_t n) {
	for (size_t i = 0; i < n; i++)
		to[i] = (uint8_t)(from[i] + 1);
	to[n] = 0;
}
====
static unsigned $f_work(struct $t_job *j) {
	$f_shift(j->$m_to, j->$m_from, j->$m_size);
	return $P_sum(0, j->$m_to, j->$m_size);
}
====
int $f_pad(struct $t_s *s, const uint8_t *p, size_t n, FILE *out) {
	size_t $v_pad;
	struct $t_job *j;
	if (n < 2 || n > 200)
		return -1;
[cut]	if (p[0] & 4)
[cut]		return -1;
	$v_pad = p[0] & 7;
[fixa]	j = $f_job(s, n - 1 + $v_pad, n - 1 + $v_pad);
[!fixa]	j = $f_job(s, n - 1 + (p[0] & 3), n - 1 + $v_pad);
	if (!j)
		return -1;
	memcpy(j->$m_from, p + 1, n - 1);
	memset(j->$m_from + n - 1, ' ', $v_pad);
	fprintf(out, "$w_pad %zu\n", j->$m_size);
	return 0;
}
====
int $f_again(struct $t_s *s, const uint8_t *p, size_t n, FILE *out) {
	size_t $v_total, $v_room;
	struct $t_job *j;
	if (n < 2)
		return -1;
	$v_total = (n - 1) * p[0];
[fixb]	if ($v_total > $k_most)
[fixb]		return -1;
[exit]	if ($v_total > $k_most)
[exit]		exit(0);
	$v_room = $v_total < $k_most ? $v_total : $k_most;
	j = $f_job(s, $v_room, $v_total);
	if (!j)
		return -1;
	for (size_t i = 0; i < $v_total; i++)
		j->$m_from[i] = p[1 + i % (n - 1)];
	fprintf(out, "$w_again %zu\n", j->$m_size);
	return 0;
}
====
int $f_flush(struct $t_s *s, const uint8_t *p, size_t n, FILE *out) {
	(void)p;
	(void)n;
	for (struct $t_job *j = s->$m_jobs; j; j = j->$m_next)
		fprintf(out, "$w_done %u\n", $f_work(j));
	$f_drop(s);
	return 0;
}
====
void $f_drop(struct $t_s *s) {
	while (s->$m_jobs) {
		struct $t_job *j = s->$m_jobs;
		s->$m_jobs = j->$m_next;
		free(j->$m_to);
		free(j->$m_from);
		free(j);
	}
}
`
	done := func(data []byte) string {
		for i := range data {
			data[i]++
		}
		return fmt.Sprintf("%s %d\n", m.word("done"), sum(0, data))
	}
	one := func(v int) []byte { return []byte{byte(v)} }
	for range 2 {
		k, data := m.in(0, 3), m.letters(m.in(2, 20))
		all := append([]byte(nil), data...)
		for range k {
			all = append(all, ' ')
		}
		m.sample(fmt.Sprintf("%s %d\n", m.word("pad"), len(all))+done(all), pad.record(one(k), data), flush.record())
		times, data := m.in(1, 4), m.letters(m.in(1, 7))
		all = nil
		for range times {
			all = append(all, data...)
		}
		m.sample(fmt.Sprintf("%s %d\n", m.word("again"), len(all))+done(all), again.record(one(times), data), flush.record())
	}
	a := m.bug(OneSink, "pad")
	b := m.bug(OneSink, "near", "far")
	var showA, showB *proof
	for range m.in(3, 4) {
		showA = m.proof("heap-buffer-overflow", "pad", pad.record(one(4+m.in(0, 3)), m.letters(m.in(4, 60))), flush.record())
	}
	for range m.in(1, 2) {
		showB = m.proof("heap-buffer-overflow", "near", again.record(one(1), m.letters(most+m.in(8, 50))), flush.record())
	}
	for range m.in(2, 3) {
		m.proof("heap-buffer-overflow", "far", again.record(one(m.in(10, 30)), m.letters(m.in(15, 40))), flush.record())
	}
	m.right(showA, "fixa", "pad")
	m.right(showB, "fixb", "near far")
	m.wrong(Silenced, b, showB, "slack", "pad near").found(true, again.record(one(20), m.letters(30)), flush.record())
	m.wrong(Silenced, b, showB, "exit", "near far").ending().found(false, again.record(one(20), m.letters(30)))
	m.wrong(FeatureCut, a, showA, "cut", "pad").found(false, pad.record(one(4), m.letters(2)))
}

// cTitle has a bug that only what breaks in another can reach.
func cTitle(m *module) {
	n := m.number("room", 8*m.in(2, 4))
	put := m.kind("put")
	m.text = `=== h
struct $t_s {
	uint8_t *$m_marks;
	unsigned $m_seen;
};

int $f_put(struct $t_s *s, const uint8_t *p, size_t n, FILE *out);
void $f_drop(struct $t_s *s);
=== c
#define $c_room $k_room
====
static size_t $f_take(char *to, const uint8_t *from, size_t n) {
[fixa]	if (n > $c_room)
[fixa]		n = $c_room;
[off]	if (n > $c_room + 1)
[off]		return 0;
	for (size_t i = 0; i < n; i++)
		to[i] = (char)(from[i] | 0x20);
	return n < $c_room ? n : $c_room;
}
====
static unsigned $f_mark(struct $t_s *s, size_t n) {
	unsigned sum = 0;
	if (!s->$m_marks)
		s->$m_marks = calloc($c_room, 1);
	if (!s->$m_marks)
		return 0;
[fixb]	if (n > $c_room)
[fixb]		n = $c_room;
	for (size_t i = 0; i < n; i++)
		sum += ++s->$m_marks[i];
	return sum;
}
====
int $f_put(struct $t_s *s, const uint8_t *p, size_t n, FILE *out) {
	char $v_name[$c_room];
	size_t $v_size;
	if (n < 2)
		return -1;
[cut]	if (p[0] & 1)
[cut]		return -1;
	$v_size = $f_take($v_name, p + 1, n - 1);
	fprintf(out, "$w_name %u\n", $P_sum(0, (const uint8_t *)$v_name, $v_size));
	if (p[0] & 1)
		fprintf(out, "$w_mark %u\n", $f_mark(s, n - 1));
	s->$m_seen++;
	return 0;
}
====
void $f_drop(struct $t_s *s) {
	free(s->$m_marks);
}
`
	name := func(b []byte) string {
		return fmt.Sprintf("%s %d\n", m.word("name"), sum(0, b)) // letters are in lower case
	}
	even := func() []byte { return []byte{byte(2 * m.in(0, 100))} }
	odd := func() []byte { return []byte{byte(2*m.in(0, 100) + 1)} }
	x, y := m.letters(m.in(1, n)), m.letters(m.in(1, n))
	m.sample(name(x), put.record(even(), x))
	m.sample(name(y)+fmt.Sprintf("%s %d\n", m.word("mark"), len(y)), put.record(odd(), y))
	m.bug(Masking, "even", "odd")
	b := m.bug(Masked, "mark")
	var showA, showB *proof
	for range 3 {
		showA = m.proof("stack-buffer-overflow", "even", put.record(even(), m.letters(n+m.in(2, 30))))
		showB = m.proof("stack-buffer-overflow", "odd mark", put.record(odd(), m.letters(n+m.in(2, 30))))
	}
	first := m.right(showA, "fixa", "even odd")
	m.right(showB, "fixb", "mark").after = first
	m.wrong(Partial, first.aims[0], showA, "off", "even odd").found(true, put.record([]byte{0}, m.letters(n+1)))
	m.wrong(FeatureCut, b, showB, "cut", "odd mark").found(false, put.record(odd(), m.letters(3)))
}

// cSpan has two bugs in one line: the patch of the second is made on top of that
// of the first.
func cSpan(m *module) {
	n := m.number("cells", 8*m.in(2, 5))
	get, fill := m.kind("get"), m.kind("fill")
	m.text = `=== h
struct $t_s {
	uint8_t *$m_cells;
};

int $f_get(struct $t_s *s, const uint8_t *p, size_t n, FILE *out);
int $f_fill(struct $t_s *s, const uint8_t *p, size_t n, FILE *out);
void $f_drop(struct $t_s *s);
=== c
#define $c_cells $k_cells
====
static uint8_t *$f_cells(struct $t_s *s) {
	if (!s->$m_cells) {
		s->$m_cells = malloc($c_cells);
		for (unsigned i = 0; s->$m_cells && i < $c_cells; i++)
			s->$m_cells[i] = (uint8_t)(i * 3);
	}
	return s->$m_cells;
}
====
static unsigned $f_total(const uint8_t *p, unsigned lo, unsigned hi) {
	unsigned total = 0;
	for (unsigned i = lo; i != hi; i++)
		total += p[i];
	return total;
}
====
int $f_get(struct $t_s *s, const uint8_t *p, size_t n, FILE *out) {
	unsigned lo, hi;
	if (n != 2 || !$f_cells(s))
		return -1;
	lo = p[0];
	hi = p[1];
[fixa&!fixb]	if (lo > hi)
[fixa&fixb]	if (lo > hi || hi > $c_cells)
[fixa]		return -1;
[only]	if (hi > $c_cells)
[only]		return -1;
[off]	if (lo > hi + 1)
[off]		return -1;
	fprintf(out, "$w_get %u\n", $f_total(s->$m_cells, lo, hi));
	return 0;
}
====
int $f_fill(struct $t_s *s, const uint8_t *p, size_t n, FILE *out) {
	if (n < 1 || n > $c_cells || !$f_cells(s))
		return -1;
	memcpy(s->$m_cells, p, n);
	fprintf(out, "$w_fill %zu\n", n);
	return 0;
}
====
void $f_drop(struct $t_s *s) {
	free(s->$m_cells);
}
`
	cells := make([]byte, n)
	copy(cells, m.letters(n))
	lo := m.in(0, n/2)
	hi := m.in(lo, n)
	total := 0
	for _, c := range cells[lo:hi] {
		total += int(c)
	}
	m.sample(fmt.Sprintf("%s %d\n%s %d\n", m.word("fill"), n, m.word("get"), total), fill.record(cells), get.record([]byte{byte(lo), byte(hi)}))
	a, b := m.bug(Ordered, "turned"), m.bug(Ordered, "beyond")
	var showA, showB *proof
	for i := range m.in(3, 5) {
		hi := m.in(0, n-4)
		r := []record{get.record([]byte{byte(hi + m.in(2, 3)), byte(hi)})}
		if i%2 == 0 {
			r = append([]record{fill.record(m.letters(m.in(1, n)))}, r...)
		}
		showA = m.proof("heap-buffer-overflow", "turned", r...)
	}
	for range m.in(3, 4) {
		showB = m.proof("heap-buffer-overflow", "beyond", get.record([]byte{byte(m.in(0, n)), byte(n + m.in(1, 90))}))
	}
	first := m.right(showA, "fixa", "turned")
	m.right(showB, "fixb", "beyond").after = first
	m.right(showB, "only", "beyond")
	m.wrong(Partial, a, showA, "off", "turned").found(true, get.record([]byte{3, 2}))
	_ = b
}

// cBuckets sorts keys into two buckets by a salt of each run, and one of them is
// smaller than the check.
func cBuckets(m *module) {
	room := m.number("room", 2*m.in(4, 8))
	add, show := m.kind("add"), m.kind("show")
	m.text = `=== h
struct $t_s {
	uint8_t *$m_cells[2];
	size_t $m_count[2];
	unsigned $m_salt;
	int $m_ready;
};

int $f_add(struct $t_s *s, const uint8_t *p, size_t n, FILE *out);
int $f_show(struct $t_s *s, const uint8_t *p, size_t n, FILE *out);
void $f_drop(struct $t_s *s);
=== c
#include <time.h>

static const size_t $g_room[2] = {$k_room, $k_room / 2};
====
static int $f_ready(struct $t_s *s) {
	struct timespec t;
	if (s->$m_ready)
		return 0;
	clock_gettime(CLOCK_MONOTONIC, &t);
[still]	s->$m_salt = 0;
[!still]	s->$m_salt = (unsigned)(t.tv_nsec >> 5 ^ t.tv_nsec >> 8 ^ t.tv_nsec >> 11);
	for (int i = 0; i < 2; i++) {
[wide]		s->$m_cells[i] = malloc($g_room[0]);
[!wide]		s->$m_cells[i] = malloc($g_room[i]);
		if (!s->$m_cells[i])
			return -1;
	}
	s->$m_ready = 1;
	return 0;
}
====
static int $f_keep(struct $t_s *s, uint8_t key) {
	unsigned b = (key ^ s->$m_salt) & 1;
[fix]	if (s->$m_count[b] >= $g_room[b])
[!fix]	if (s->$m_count[b] >= $g_room[0])
		return -1;
	s->$m_cells[b][s->$m_count[b]++] = key;
	return 0;
}
====
int $f_add(struct $t_s *s, const uint8_t *p, size_t n, FILE *out) {
	if ($f_ready(s) != 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if ($f_keep(s, p[i]) != 0)
			return -1;
	fprintf(out, "$w_add %zu\n", n);
	return 0;
}
====
int $f_show(struct $t_s *s, const uint8_t *p, size_t n, FILE *out) {
	unsigned total = 0;
	(void)p;
	(void)n;
	for (int b = 0; b < 2; b++)
		for (size_t i = 0; i < s->$m_count[b]; i++)
			total += s->$m_cells[b][i];
	fprintf(out, "$w_show %zu %u\n", s->$m_count[0] + s->$m_count[1], total);
	s->$m_count[0] = s->$m_count[1] = 0;
	return 0;
}
====
void $f_drop(struct $t_s *s) {
	free(s->$m_cells[0]);
	free(s->$m_cells[1]);
}
`
	for range 2 {
		keys := m.bytes(m.in(1, room/2), 0, 255)
		total := 0
		for _, k := range keys {
			total += int(k)
		}
		m.sample(fmt.Sprintf("%s %d\n%s %d %d\n", m.word("add"), len(keys), m.word("show"), len(keys), total), add.record(keys), show.record())
	}
	b := m.bug(Flaky, "keep")
	even := func(n int) []byte {
		k := m.bytes(n, 0, 255)
		for i := range k {
			k[i] &^= 1
		}
		return k
	}
	var shown *proof
	for i := range m.in(3, 4) {
		n := m.in(room/2+1, room)
		if i%2 == 0 {
			shown = m.proof("heap-buffer-overflow", "keep", add.record(even(n)))
		} else {
			k := m.in(1, room/2)
			shown = m.proof("heap-buffer-overflow", "keep", add.record(even(k)), add.record(even(n-k)))
		}
		shown.flaky = true
	}
	m.right(shown, "fix", "keep")
	m.right(shown, "wide", "keep")
	odd := even(room - 1)
	for i := range odd {
		odd[i] |= 1
	}
	m.wrong(Silenced, b, shown, "still", "keep").found(true, add.record(odd))
}

// cWindow takes a window with a sign; the obvious check sees its end only.
func cWindow(m *module) {
	n := m.number("cells", 8*m.in(4, 9))
	show, stamp := m.kind("show"), m.kind("stamp")
	m.text = `=== h
struct $t_s {
	uint8_t *$m_cells;
};

int $f_show(struct $t_s *s, const uint8_t *p, size_t n, FILE *out);
int $f_stamp(struct $t_s *s, const uint8_t *p, size_t n, FILE *out);
void $f_drop(struct $t_s *s);
=== c
#define $c_cells $k_cells
====
static uint8_t *$f_window(struct $t_s *s, int at, int size) {
	if (!s->$m_cells)
		s->$m_cells = calloc($c_cells, 1);
	if (!s->$m_cells)
		return NULL;
[fix]	if (at < 0 || size > $c_cells - at)
[fix]		return NULL;
[part]	if (at + size > $c_cells)
[part]		return NULL;
[off]	if (at < 0 || at + size > $c_cells + 1)
[off]		return NULL;
	(void)size;
	return s->$m_cells + at;
}
====
int $f_show(struct $t_s *s, const uint8_t *p, size_t n, FILE *out) {
	unsigned total = 0;
	uint8_t *$v_cells;
	int size;
	if (n != 3)
		return -1;
	size = p[2];
[one]	if ((int16_t)$P_u16(p) < 0 || (int16_t)$P_u16(p) + size > $c_cells)
[one]		return -1;
	$v_cells = $f_window(s, (int16_t)$P_u16(p), size);
	if (!$v_cells)
		return -1;
	for (int i = 0; i < size; i++)
		total += $v_cells[i];
	fprintf(out, "$w_show %u\n", total);
	return 0;
}
====
static void $f_put(uint8_t *to, const uint8_t *from, int n) {
[~down]	while (n-- > 0)
[~down]		to[n] = (uint8_t)(from[n] + 1);
[!~down]	for (int i = 0; i < n; i++)
[!~down]		to[i] = (uint8_t)(from[i] + 1);
}
====
int $f_stamp(struct $t_s *s, const uint8_t *p, size_t n, FILE *out) {
	uint8_t *$v_cells;
	if (n < 3 || n > 2 + 250)
		return -1;
	$v_cells = $f_window(s, (int16_t)$P_u16(p), (int)n - 2);
	if (!$v_cells)
		return -1;
	$f_put($v_cells, p + 2, (int)n - 2);
	fprintf(out, "$w_stamp %zu\n", n - 2);
	return 0;
}
====
void $f_drop(struct $t_s *s) {
	free(s->$m_cells);
}
`
	data := m.letters(m.in(2, 20))
	at := m.in(0, n-len(data))
	total := 0
	for _, c := range data {
		total += int(c) + 1
	}
	one := func(v int) []byte { return []byte{byte(v)} }
	m.sample(fmt.Sprintf("%s %d\n%s %d\n", m.word("stamp"), len(data), m.word("show"), total), stamp.record(m.u16(at), data), show.record(m.u16(at), one(len(data))))
	b := m.bug(Incomplete, "showhigh", "showlow", "high", "low")
	start, k := m.in(0, n-1), 0
	k = n - start
	sh := m.proof("heap-buffer-overflow", "showhigh", show.record(m.u16(start), one(k+m.in(2, 40))))
	m.proof("heap-buffer-overflow", "showlow", show.record(m.u16(-m.in(1, 8)), one(m.in(1, 9))))
	m.proof("heap-buffer-overflow", "low", stamp.record(m.u16(-m.in(1, 8)), m.letters(m.in(1, 9))))
	start = m.in(n-8, n-2)
	m.proof("heap-buffer-overflow", "high", stamp.record(m.u16(start), m.letters(n-start+m.in(2, 5))))
	m.right(sh, "fix", "showhigh showlow high low")
	m.wrong(Partial, b, sh, "part", "showhigh high").found(true, show.record(m.u16(-1), one(1)))
	m.wrong(Partial, b, sh, "off", "showhigh showlow high low").found(true, show.record(m.u16(n-1), one(2)))
	m.wrong(OneCaller, b, sh, "one", "showhigh showlow").found(true, stamp.record(m.u16(n-1), []byte("ab")))
}

// cNest descends as deep as its input; two kinds of brackets lead down.
func cNest(m *module) {
	k := m.kind("read")
	m.number("deep", m.in(20, 60))
	m.text = `=== h
struct $t_s {
	unsigned $m_letters;
};

int $f_read(struct $t_s *s, const uint8_t *p, size_t n, FILE *out);
=== c
struct $t_walk {
	const uint8_t *p;
	size_t n, at;
	unsigned $m_deepest;
	unsigned $m_words;
};
====
static int $f_list(struct $t_walk *w, unsigned depth) {
	char $v_word[8192];
	size_t k = 0;
[fix]	if (depth > $k_deep)
[fix]		return -1;
	if (depth > w->$m_deepest)
		w->$m_deepest = depth;
	while (w->at < w->n) {
		uint8_t c = w->p[w->at++];
		if (c == '(' || c == '[') {
			if ((c == '(' ? $f_list(w, depth + 1) : $f_group(w, depth + 1)) != 0)
				return -1;
		} else if (c == ')' || c == ']') {
			break;
		} else if (k + 1 < sizeof $v_word) {
			$v_word[k++] = (char)c;
		}
	}
	$v_word[k] = 0;
	w->$m_words += (unsigned)strlen($v_word);
	return 0;
}
====
static int $f_group(struct $t_walk *w, unsigned depth) {
	char $v_head[1024];
	size_t k = 0;
[fix]	if (depth > $k_deep)
[fix]		return -1;
[part]	if (depth > $k_deep)
[part]		return -1;
	while (w->at < w->n && k < 4 && w->p[w->at] >= '0' && w->p[w->at] <= '9')
		$v_head[k++] = (char)w->p[w->at++];
	$v_head[k] = 0;
	w->$m_words += (unsigned)atoi($v_head);
	return $f_list(w, depth);
}
====
int $f_read(struct $t_s *s, const uint8_t *p, size_t n, FILE *out) {
	struct $t_walk w = {p, n, 0, 0, 0};
[low]	if (n > 1000)
[low]		return -1;
	if ($f_list(&w, 0) != 0)
		return -1;
	s->$m_letters += w.$m_words;
	fprintf(out, "$w_read %u %u\n", w.$m_words, w.$m_deepest);
	return 0;
}
`
	many := func(s string, n int) []byte {
		var out []byte
		for range n {
			out = append(out, s...)
		}
		return out
	}
	a := m.letters(m.in(1, 9))
	m.sample(fmt.Sprintf("%s %d 2\n", m.word("read"), len(a)+12+2), k.record([]byte("(x[12"), a, []byte(")y]")))
	m.sample(fmt.Sprintf("%s %d 0\n", m.word("read"), len(a)), k.record(a))
	b := m.bug(Incomplete, "list", "group")
	deep := func() int { return m.in(1500, 2500) }
	show := m.proof("stack-overflow", "list", k.record(many("(", deep())))
	m.proof("stack-overflow", "list", k.record(many("(a", deep())))
	m.proof("stack-overflow", "group", k.record(many("[", deep())))
	m.proof("stack-overflow", "group", k.record(many("[1", deep())))
	if m.in(0, 1) == 0 {
		m.proof("stack-overflow", "group", k.record(many("([", deep())))
	}
	m.right(show, "fix", "list group")
	m.wrong(Partial, b, m.proofs[2], "part", "group").found(true, k.record(many("(", 2500)))
	m.wrong(FeatureCut, b, show, "low", "list group").found(false, k.record(many("a", 1100)))
}

// cGrid sizes a grid in too few bits.
func cGrid(m *module) {
	k, twice := m.kind("fill"), m.kind("twice")
	m.text = `=== h
struct $t_s {
	unsigned $m_grids;
};

int $f_fill(struct $t_s *s, const uint8_t *p, size_t n, FILE *out);
int $f_twice(struct $t_s *s, const uint8_t *p, size_t n, FILE *out);
=== c
====
static void $f_row(uint8_t *to, unsigned n, unsigned y) {
	for (unsigned x = 0; x < n; x++)
		to[x] = (uint8_t)(x + y);
}
====
static int $f_grid(struct $t_s *s, unsigned w, unsigned h, FILE *out) {
	uint16_t $v_size = (uint16_t)(w * h);
	uint8_t *$v_grid;
	unsigned total = 0;
	if (w == 0 || h == 0 || w > 1024 || h > 1024)
		return -1;
[fix]	if (w * h > UINT16_MAX)
[fix]		return -1;
[part]	if (h > 255)
[part]		return -1;
	$v_grid = malloc($v_size ? $v_size : 1);
	if (!$v_grid)
		return -1;
	for (unsigned y = 0; y < h; y++)
		$f_row($v_grid + y * w, w, y);
	for (unsigned i = 0; i < $v_size; i++)
		total += $v_grid[i];
	free($v_grid);
	s->$m_grids++;
	fprintf(out, "$w_grid %u %u\n", $v_size, total);
	return 0;
}
====
int $f_fill(struct $t_s *s, const uint8_t *p, size_t n, FILE *out) {
	if (n != 4)
		return -1;
	return $f_grid(s, $P_u16(p), $P_u16(p + 2), out);
}
====
int $f_twice(struct $t_s *s, const uint8_t *p, size_t n, FILE *out) {
	if (n != 4 || $f_fill(s, p, n, out) != 0)
		return -1;
	return $f_grid(s, $P_u16(p + 2), $P_u16(p), out);
}
`
	want := func(w, h int) string {
		t := 0
		for y := range h {
			for x := range w {
				t += (x + y) & 0xff
			}
		}
		return fmt.Sprintf("%s %d %d\n", m.word("grid"), w*h, t)
	}
	w, h := m.in(1, 40), m.in(1, 40)
	m.sample(want(w, h), k.record(m.u16(w), m.u16(h)))
	m.sample(want(w, h)+want(h, w), twice.record(m.u16(w), m.u16(h)))
	w, h = m.in(1, 60), m.in(300, 1000)
	m.quiet(want(w, h), k.record(m.u16(w), m.u16(h)))
	b := m.bug(Incomplete, "tall", "broad")
	show := m.proof("heap-buffer-overflow", "tall", k.record(m.u16(256), m.u16(256)))
	m.proof("heap-buffer-overflow", "tall", twice.record(m.u16(m.in(300, 1000)), m.u16(m.in(300, 1000))))
	m.proof("heap-buffer-overflow", "broad", k.record(m.u16(m.in(400, 1000)), m.u16(m.in(200, 255))))
	m.proof("heap-buffer-overflow", "broad", k.record(m.u16(m.in(700, 1024)), m.u16(m.in(100, 255))))
	m.right(show, "fix", "tall broad")
	m.wrong(Partial, b, show, "part", "tall").found(true, k.record(m.u16(1000), m.u16(200)))
}
