package planted

import "fmt"

// goReserve are modules in Go that only seeds from Reserve on have.
var goReserve = []func(*module){goTwin, goPages}

// goTwin sizes a text wrongly in two places, which share only the loop that
// writes it.
func goTwin(m *module) {
	name, note := m.kind("name"), m.kind("note")
	sign := byte(m.in('A', 'Z'))
	m.set["x_sign"] = fmt.Sprintf("'%c'", sign)
	m.text = `=== import
[exit]	"os"
=== go
// $T_s widens texts.
type $T_s struct {
	$m_seen int
}
====
func $f_widen(to, p []byte) int {
	k := 0
	for _, c := range p {
		if c == $x_sign {
			to[k] = '<'
			to[k+1] = '-'
			to[k+2] = '>'
			k += 3
		} else {
			to[k] = c
			k++
		}
	}
	return k
}
====
func $f_signs(p []byte) int {
	return bytes.Count(p, []byte{$x_sign})
}
====
// $F_name takes a name.
func (s *$T_s) $F_name(p []byte, out *bytes.Buffer) error {
	if len(p) == 0 {
		return $P_refused
	}
[cut]	if $f_signs(p) > 0 {
[cut]		return $P_refused
[cut]	}
[fixa]	$v_text := make([]byte, len(p)+2*$f_signs(p))
[!fixa]	$v_text := make([]byte, len(p)+$f_signs(p))
	k := $f_widen($v_text, p)
	s.$m_seen++
	fmt.Fprintf(out, "$w_name %d %d\n", k, $P_sum(0, $v_text[:k]))
	return nil
}
====
// $F_note takes a note.
func (s *$T_s) $F_note(p []byte, out *bytes.Buffer) error {
	var $v_text [96]byte
	if len(p) == 0 || len(p) > len($v_text) {
		return $P_refused
	}
[fixb]	if len(p)+2*$f_signs(p) > len($v_text) {
[fixb]		return $P_refused
[fixb]	}
[exit]	if len(p)+2*$f_signs(p) > len($v_text) {
[exit]		os.Exit(0)
[exit]	}
[off]	if len(p)+2*$f_signs(p) > len($v_text)+2 {
[off]		return $P_refused
[off]	}
	k := $f_widen($v_text[:], p)
	s.$m_seen++
	fmt.Fprintf(out, "$w_note %d %d\n", k, $P_sum(0, $v_text[:k]))
	return nil
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
		showA = m.proof(goIndex, "name", name.record(m.letters(m.in(3, 90)), signs(m.in(4, 30)), m.letters(m.in(0, 1))))
	}
	for range m.in(3, 5) {
		k := m.in(20, 40)
		showB = m.proof(goIndex, "note", note.record(m.letters(96-k-m.in(0, 2)), signs(k)))
	}
	m.right(showA, "fixa", "name")
	m.right(showB, "fixb", "note")
	m.wrong(FeatureCut, a, showA, "cut", "name").found(false, name.record(signs(1)))
	m.wrong(Silenced, b, showB, "exit", "note").ending().found(false, note.record(signs(50)))
	m.wrong(Partial, b, showB, "off", "note").found(true, note.record(signs(32), []byte("a")))
}

// goPages reads what is gone, and what never was: some proofs of the second show
// only once the first is mended.
func goPages(m *module) {
	n := m.number("pages", m.in(4, 10))
	open, read, total, gone := m.kind("open"), m.kind("read"), m.kind("total"), m.kind("gone")
	m.text = `=== go
type $t_page struct {
	$m_cells []byte
}

// $T_s keeps pages.
type $T_s struct {
	$m_pages [$k_pages]*$t_page
	$m_gone [$k_pages]bool
}

var $g_none $t_page
====
func (s *$T_s) $f_page(i byte) *$t_page {
[fixa]	if s.$m_gone[i] {
[fixa]		return &$g_none
[fixa]	}
	if !s.$m_gone[i] && s.$m_pages[i] == nil {
		return &$g_none
	}
	return s.$m_pages[i]
}
====
// $F_open keeps a page.
func (s *$T_s) $F_open(p []byte, out *bytes.Buffer) error {
	if len(p) < 2 || p[0] >= $k_pages || s.$m_gone[p[0]] {
		return $P_refused
	}
	s.$m_pages[p[0]] = &$t_page{p[1:]}
	fmt.Fprintf(out, "$w_open %d\n", len(p)-1)
	return nil
}
====
// $F_read shows a cell.
func (s *$T_s) $F_read(p []byte, out *bytes.Buffer) error {
	if len(p) < 1 || p[0] >= $k_pages {
		return $P_refused
	}
	$v_cells := s.$f_page(p[0]).$m_cells
	at := 0
	for _, c := range p[1:] {
		at += int(c)
	}
[fixb]	if len($v_cells) == 0 {
[fixb]		return $P_refused
[fixb]	}
[off]	if len($v_cells) == 0 && at != 0 {
[off]		return $P_refused
[off]	}
	if len($v_cells) > 0 {
		at %= len($v_cells)
	}
	fmt.Fprintf(out, "$w_read %d\n", $v_cells[at])
	return nil
}
====
// $F_total sums a page.
func (s *$T_s) $F_total(p []byte, out *bytes.Buffer) error {
	if len(p) != 1 || p[0] >= $k_pages {
		return $P_refused
	}
[one]	if s.$m_gone[p[0]] {
[one]		return $P_refused
[one]	}
	fmt.Fprintf(out, "$w_total %d\n", $P_sum(0, s.$f_page(p[0]).$m_cells))
	return nil
}
====
// $F_gone lets a page go.
func (s *$T_s) $F_gone(p []byte, out *bytes.Buffer) error {
	if len(p) != 1 || p[0] >= $k_pages || s.$m_gone[p[0]] {
		return $P_refused
	}
	s.$m_pages[p[0]] = nil
	s.$m_gone[p[0]] = true
	fmt.Fprintf(out, "$w_gone %d\n", p[0])
	return nil
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
		showA = m.proof(goNil, "total", append(r, total.record(i))...)
	}
	for range m.in(1, 2) {
		showB = m.proof(goIndex, "none", read.record(one(m.in(2, n-1)), one(m.in(1, 200))))
	}
	for range 2 {
		i, r := start()
		m.proof(goNil, "stale none", append(r, read.record(i, one(m.in(1, 9))))...)
	}
	first := m.right(showA, "fixa", "total stale")
	m.right(showB, "fixb", "none")
	m.wrong(OneCaller, first.aims[0], showA, "one", "total").found(true, open.record(one(0), data), gone.record(one(0)), read.record(one(0)))
	m.wrong(Partial, b, showB, "off", "none").found(true, read.record(one(2)))
}
