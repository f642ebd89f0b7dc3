package planted

import "fmt"

// cClean are modules in C without bugs.
var cClean = []func(*module){cDigest, cRuns, cTally}

// sum is the project's running sum.
func sum(s int, b []byte) int {
	for _, c := range b {
		s = (s*31 + int(c)) & 0xffff
	}
	return s
}

func cDigest(m *module) {
	seed := m.number("seed", m.in(1, 9999))
	one, all := m.kind("one"), m.kind("all")
	m.text = `=== h
struct $t_s {
	unsigned $m_sum;
	unsigned $m_seen;
};

int $f_one(struct $t_s *s, const uint8_t *p, size_t n, FILE *out);
int $f_all(struct $t_s *s, const uint8_t *p, size_t n, FILE *out);
=== c
====
int $f_one(struct $t_s *s, const uint8_t *p, size_t n, FILE *out) {
	unsigned $v_now = $P_sum($k_seed, p, n);
	s->$m_sum = (s->$m_sum + $v_now) & 0xffff;
	s->$m_seen++;
	fprintf(out, "$w_one %u\n", $v_now);
	return 0;
}
====
int $f_all(struct $t_s *s, const uint8_t *p, size_t n, FILE *out) {
	(void)p;
	(void)n;
	fprintf(out, "$w_all %u of %u\n", s->$m_sum, s->$m_seen);
	s->$m_sum = 0;
	s->$m_seen = 0;
	return 0;
}
`
	for range 2 {
		a, b := m.letters(m.in(1, 12)), m.bytes(m.in(1, 12), 0, 255)
		x, y := sum(seed, a), sum(seed, b)
		m.sample(fmt.Sprintf("%s %d\n%s %d\n%s %d of 2\n", m.word("one"), x, m.word("one"), y, m.word("all"), (x+y)&0xffff), one.record(a), one.record(b), all.record())
	}
}

func cRuns(m *module) {
	m.number("most", 64*m.in(2, 8))
	k := m.kind("spread")
	m.text = `=== h
struct $t_s {
	unsigned $m_spread;
};

int $f_spread(struct $t_s *s, const uint8_t *p, size_t n, FILE *out);
=== c
====
static size_t $f_size(const uint8_t *p, size_t n) {
	size_t $v_total = 0;
	for (size_t i = 0; i + 1 < n; i += 2)
		$v_total += p[i];
	return $v_total;
}
====
static void $f_expand(uint8_t *to, const uint8_t *p, size_t n) {
	for (size_t i = 0; i + 1 < n; i += 2) {
		memset(to, p[i + 1], p[i]);
		to += p[i];
	}
}
====
int $f_spread(struct $t_s *s, const uint8_t *p, size_t n, FILE *out) {
	size_t $v_size = $f_size(p, n);
	uint8_t *$v_made;
	if ($v_size == 0 || $v_size > $k_most)
		return -1;
	$v_made = malloc($v_size);
	if (!$v_made)
		return -1;
	$f_expand($v_made, p, n);
	s->$m_spread++;
	fprintf(out, "$w_run %zu %u\n", $v_size, $P_sum(0, $v_made, $v_size));
	free($v_made);
	return 0;
}
`
	for range 3 {
		var data, made []byte
		for range m.in(1, 6) {
			n, c := m.in(1, 9), byte(m.in('a', 'z'))
			data = append(data, byte(n), c)
			for range n {
				made = append(made, c)
			}
		}
		m.sample(fmt.Sprintf("%s %d %d\n", m.word("run"), len(made), sum(0, made)), k.record(data))
	}
}

func cTally(m *module) {
	n := m.number("lots", m.in(5, 11))
	add, show := m.kind("add"), m.kind("show")
	m.text = `=== h
#define $c_lots $k_lots

struct $t_s {
	unsigned $m_lot[$c_lots];
};

int $f_add(struct $t_s *s, const uint8_t *p, size_t n, FILE *out);
int $f_show(struct $t_s *s, const uint8_t *p, size_t n, FILE *out);
=== c
====
static unsigned $f_best(const struct $t_s *s) {
	unsigned best = 0;
	for (unsigned i = 1; i < $c_lots; i++)
		if (s->$m_lot[i] > s->$m_lot[best])
			best = i;
	return best;
}
====
int $f_add(struct $t_s *s, const uint8_t *p, size_t n, FILE *out) {
	for (size_t i = 0; i < n; i++)
		s->$m_lot[p[i] % $c_lots]++;
	fprintf(out, "$w_add %zu\n", n);
	return 0;
}
====
int $f_show(struct $t_s *s, const uint8_t *p, size_t n, FILE *out) {
	unsigned best = $f_best(s);
	(void)p;
	if (n != 0)
		return -1;
	fprintf(out, "$w_best %u %u\n", best, s->$m_lot[best]);
	memset(s->$m_lot, 0, sizeof s->$m_lot);
	return 0;
}
`
	for range 2 {
		data := m.bytes(m.in(3, 15), 0, 255)
		lots := make([]int, n)
		for _, b := range data {
			lots[int(b)%n]++
		}
		best := 0
		for i := range lots {
			if lots[i] > lots[best] {
				best = i
			}
		}
		m.sample(fmt.Sprintf("%s %d\n%s %d %d\n", m.word("add"), len(data), m.word("best"), best, lots[best]), add.record(data), show.record())
	}
}
