package planted

import "fmt"

// goClean are modules in Go without bugs.
var goClean = []func(*module){goDigest, goTally, goRuns}

func goDigest(m *module) {
	seed := m.number("seed", m.in(1, 9999))
	one, all := m.kind("one"), m.kind("all")
	m.text = `=== go
// $T_s adds sums up.
type $T_s struct {
	$m_sum, $m_seen int
}
====
// $F_one sums one record.
func (s *$T_s) $F_one(p []byte, out *bytes.Buffer) error {
	$v_now := $P_sum($k_seed, p)
	s.$m_sum = (s.$m_sum + $v_now) & 0xffff
	s.$m_seen++
	fmt.Fprintf(out, "$w_one %d\n", $v_now)
	return nil
}
====
// $F_all shows the sum and begins anew.
func (s *$T_s) $F_all(p []byte, out *bytes.Buffer) error {
	fmt.Fprintf(out, "$w_all %d of %d\n", s.$m_sum, s.$m_seen)
	*s = $T_s{}
	return nil
}
`
	for range 2 {
		a, b := m.letters(m.in(1, 12)), m.bytes(m.in(1, 12), 0, 255)
		x, y := sum(seed, a), sum(seed, b)
		m.sample(fmt.Sprintf("%s %d\n%s %d\n%s %d of 2\n", m.word("one"), x, m.word("one"), y, m.word("all"), (x+y)&0xffff), one.record(a), one.record(b), all.record())
	}
}

func goTally(m *module) {
	n := m.number("lots", m.in(5, 11))
	add, show := m.kind("add"), m.kind("show")
	m.text = `=== go
// $T_s counts bytes by lot.
type $T_s struct {
	$m_lot [$k_lots]int
}
====
func (s *$T_s) $f_best() int {
	best := 0
	for i, n := range s.$m_lot {
		if n > s.$m_lot[best] {
			best = i
		}
	}
	return best
}
====
// $F_add counts.
func (s *$T_s) $F_add(p []byte, out *bytes.Buffer) error {
	for _, c := range p {
		s.$m_lot[int(c)%len(s.$m_lot)]++
	}
	fmt.Fprintf(out, "$w_add %d\n", len(p))
	return nil
}
====
// $F_show shows the fullest lot and begins anew.
func (s *$T_s) $F_show(p []byte, out *bytes.Buffer) error {
	if len(p) != 0 {
		return $P_refused
	}
	best := s.$f_best()
	fmt.Fprintf(out, "$w_best %d %d\n", best, s.$m_lot[best])
	*s = $T_s{}
	return nil
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

func goRuns(m *module) {
	m.number("most", 64*m.in(2, 8))
	k := m.kind("spread")
	m.text = `=== go
// $T_s spreads runs.
type $T_s struct {
	$m_spread int
}
====
func $f_size(p []byte) int {
	$v_total := 0
	for i := 0; i+1 < len(p); i += 2 {
		$v_total += int(p[i])
	}
	return $v_total
}
====
func $f_expand(p []byte) []byte {
	var $v_made []byte
	for i := 0; i+1 < len(p); i += 2 {
		$v_made = append($v_made, bytes.Repeat(p[i+1:i+2], int(p[i]))...)
	}
	return $v_made
}
====
// $F_spread spreads a record's runs.
func (s *$T_s) $F_spread(p []byte, out *bytes.Buffer) error {
	n := $f_size(p)
	if n == 0 || n > $k_most || $P_u16(append(p, 0, 0)) < 0 {
		return $P_refused
	}
	s.$m_spread++
	fmt.Fprintf(out, "$w_run %d %d\n", n, $P_sum(0, $f_expand(p)))
	return nil
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
