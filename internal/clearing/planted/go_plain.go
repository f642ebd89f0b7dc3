package planted

import "fmt"

// goPlain are modules in Go with one bug of an ordinary kind.
var goPlain = []func(*module){goTable, goValue, goRatio, goStop}

const (
	goIndex   = "index out of range"
	goSlice   = "slice bounds out of range"
	goNil     = "nil pointer dereference"
	goNilMap  = "assignment to entry in nil map"
	goConvert = "interface conversion"
	goDivide  = "integer divide by zero"
	goStack   = "stack overflow"
	goClosed  = "close of closed channel"
	goSend    = "send on closed channel"
)

// goTable looks values of a payload up in a table.
func goTable(m *module) {
	n := m.number("rows", m.in(5, 40))
	values := m.bytes(n, 1, 99)
	m.set["x_values"] = list(values)
	look, pair := m.kind("look"), m.kind("pair")
	m.text = `=== import
[again]	"slices"
=== go
var $g_rows = [$k_rows]int{$x_values}

// $T_s looks values up.
type $T_s struct {
	$m_total, $m_looks int
}
====
func $f_at(i byte) int {
[callee]	if int(i) >= len($g_rows) {
[callee]		return -1
[callee]	}
[off]	if int(i) > len($g_rows) {
[off]		return -1
[off]	}
	return $g_rows[i]
}
====
// $F_look adds the values of a record up.
func (s *$T_s) $F_look(p []byte, out *bytes.Buffer) error {
	total := 0
[again]	if int(slices.Max(p)) >= len($g_rows) {
[again]		return $P_refused
[again]	}
[one]	for _, i := range p {
[one]		if int(i) >= len($g_rows) {
[one]			return $P_refused
[one]		}
[one]	}
[fix]	for _, i := range p {
[fix]		if int(i) >= len($g_rows) {
[fix]			return $P_refused
[fix]		}
[fix]	}
[cut]	if len(p) > 1 {
[cut]		return $P_refused
[cut]	}
	for _, i := range p {
		total += $f_at(i)
	}
	s.$m_total += total
	s.$m_looks++
	fmt.Fprintf(out, "$w_look %d\n", total)
	return nil
}
====
// $F_pair multiplies two values.
func (s *$T_s) $F_pair(p []byte, out *bytes.Buffer) error {
	if len(p) != 2 {
		return $P_refused
	}
[fix]	if int(p[0]) >= len($g_rows) || int(p[1]) >= len($g_rows) {
[fix]		return $P_refused
[fix]	}
[again]	if int(max(p[0], p[1])) >= len($g_rows) {
[again]		return $P_refused
[again]	}
[cut]	if p[0] != p[1] || int(p[0]) >= len($g_rows) {
[cut]		return $P_refused
[cut]	}
	fmt.Fprintf(out, "$w_pair %d\n", $f_at(p[0])*$f_at(p[1]))
	return nil
}
`
	for range 2 {
		rows := m.bytes(m.in(2, 9), 0, n-1)
		total := 0
		for _, r := range rows {
			total += int(values[r])
		}
		m.sample(fmt.Sprintf("%s %d\n", m.word("look"), total), look.record(rows))
		a := m.in(0, n-1)
		b := (a + 1) % n
		m.sample(fmt.Sprintf("%s %d\n", m.word("pair"), int(values[a])*int(values[b])), pair.record([]byte{byte(a), byte(b)}))
	}
	m.quiet(m.word("look")+" 0\n", look.record())
	b := m.bug(TwoPlaces, "look", "pair")
	ok := func(k int) []byte { return m.bytes(k, 0, n-1) }
	bad := func() []byte { return []byte{byte(m.in(n+1, 255))} }
	var show *proof
	for range m.in(2, 3) {
		show = m.proof(goIndex, "look", look.record(ok(m.in(0, 20)), bad(), ok(m.in(0, 4))))
	}
	m.proof(goIndex, "pair", pair.record(bad(), ok(1)))
	for range m.in(0, 2) {
		m.proof(goIndex, "pair", pair.record(ok(1), bad()))
	}
	m.right(show, "fix", "look pair")
	m.right(show, "callee", "look pair")
	m.wrong(Partial, b, show, "off", "look pair").found(true, look.record([]byte{byte(n)}))
	m.wrong(OneCaller, b, show, "one", "look").found(true, pair.record([]byte{byte(n + 2), 0}))
	m.wrong(NewBreak, b, show, "again", "look pair").found(true, look.record())
	m.wrong(WeakTest, b, show, "one cut", "look pair").found(false, pair.record([]byte{1, 2})).weaken = true
}

// goValue keeps values of two types under names and takes one for the other.
func goValue(m *module) {
	num, text, add, join := m.kind("num"), m.kind("text"), m.kind("add"), m.kind("join")
	m.text = `=== go
// $T_s keeps values by name.
type $T_s struct {
	$m_values map[byte]any
}
====
// $F_init makes it ready.
func (s *$T_s) $F_init() {
	s.$m_values = map[byte]any{}
}
====
// $F_num keeps a number.
func (s *$T_s) $F_num(p []byte, out *bytes.Buffer) error {
	if len(p) != 2 {
		return $P_refused
	}
	s.$m_values[p[0]] = int(p[1])
	fmt.Fprintf(out, "$w_num %d\n", p[1])
	return nil
}
====
// $F_text keeps a text.
func (s *$T_s) $F_text(p []byte, out *bytes.Buffer) error {
	if len(p) < 1 {
		return $P_refused
	}
	s.$m_values[p[0]] = string(p[1:])
	fmt.Fprintf(out, "$w_text %d\n", len(p)-1)
	return nil
}
====
// $F_add adds the numbers named up.
func (s *$T_s) $F_add(p []byte, out *bytes.Buffer) error {
	total := 0
[trap]	defer func() { _ = recover() }()
	for _, c := range p {
[fix]		v, ok := s.$m_values[c].(int)
[fix]		if !ok {
[fix]			return $P_refused
[fix]		}
[half]		if s.$m_values[c] == nil {
[half]			return $P_refused
[half]		}
[both]		if s.$m_values[c] == nil {
[both]			return $P_refused
[both]		}
[zero]		v, _ := s.$m_values[c].(int)
[!fix&!zero]		v := s.$m_values[c].(int)
		total += v
	}
	fmt.Fprintf(out, "$w_add %d\n", total)
	return nil
}
====
// $F_join joins the texts named.
func (s *$T_s) $F_join(p []byte, out *bytes.Buffer) error {
	total := ""
[trap]	defer func() { _ = recover() }()
	for _, c := range p {
[fix]		v, ok := s.$m_values[c].(string)
[fix]		if !ok {
[fix]			return $P_refused
[fix]		}
[both]		if s.$m_values[c] == nil {
[both]			return $P_refused
[both]		}
[zero]		v, _ := s.$m_values[c].(string)
[!fix&!zero]		v := s.$m_values[c].(string)
		total += v
	}
	fmt.Fprintf(out, "$w_join %d %d\n", len(total), $P_sum(0, []byte(total)))
	return nil
}
`
	a, b := byte(m.in(1, 19)), byte(m.in(20, 39))
	x, y := m.in(0, 99), m.in(0, 99)
	t := m.letters(m.in(1, 9))
	m.sample(fmt.Sprintf("%s %d\n%s %d\n%s %d\n", m.word("num"), x, m.word("num"), y, m.word("add"), x+y),
		num.record([]byte{a, byte(x)}), num.record([]byte{b, byte(y)}), add.record([]byte{a, b}))
	c := byte(m.in(60, 79))
	m.sample(fmt.Sprintf("%s %d\n%s %d %d\n", m.word("text"), len(t), m.word("join"), 2*len(t), sum(0, append(t[:len(t):len(t)], t...))),
		text.record([]byte{c}, t), join.record([]byte{c, c}))
	bg := m.bug(Incomplete, "none", "nojoin", "other", "otherjoin")
	show := m.proof(goConvert, "other", text.record([]byte{a}, t), add.record([]byte{a}))
	m.proof(goConvert, "none", num.record([]byte{a, 3}), add.record([]byte{a, 200}))
	m.proof(goConvert, "otherjoin", num.record([]byte{b, 3}), join.record([]byte{b}))
	m.proof(goConvert, "nojoin", join.record([]byte{201, 202}))
	if m.in(0, 1) == 0 {
		m.proof(goConvert, "none", add.record(m.bytes(m.in(1, 5), 100, 255)))
	}
	m.right(show, "fix", "none nojoin other otherjoin")
	m.wrong(Partial, bg, m.proofs[1], "both", "none nojoin").found(true, show.records...)
	m.wrong(OneCaller, bg, m.proofs[1], "half", "none").found(true, join.record([]byte{200}))
	m.wrong(Silenced, bg, show, "trap", "none nojoin other otherjoin").found(false, add.record([]byte{200}))
}

// goRatio divides by what a record says.
func goRatio(m *module) {
	scale, share := m.kind("scale"), m.kind("share")
	m.text = `=== import
[exit]	"os"
=== go
// $T_s scales numbers.
type $T_s struct {
	$m_last int
}
====
func $f_ratio(a, b int) int {
[callee]	if b == 0 {
[callee]		return 0
[callee]	}
[exit]	if b == 0 {
[exit]		os.Exit(0)
[exit]	}
	return a * 100 / b
}
====
// $F_scale scales one number.
func (s *$T_s) $F_scale(p []byte, out *bytes.Buffer) error {
	if len(p) < 4 {
		return $P_refused
	}
[fix]	if $P_u16(p[2:]) == 0 {
[fix]		return $P_refused
[fix]	}
[one]	if $P_u16(p[2:]) == 0 {
[one]		return $P_refused
[one]	}
[byte]	if p[2] == 0 || p[3] == 0 {
[byte]		return $P_refused
[byte]	}
	s.$m_last = $f_ratio($P_u16(p), $P_u16(p[2:]))
	fmt.Fprintf(out, "$w_scale %d\n", s.$m_last)
	return nil
}
====
// $F_share shares a number among the rest of the record.
func (s *$T_s) $F_share(p []byte, out *bytes.Buffer) error {
	if len(p) < 2 {
		return $P_refused
	}
	total := 0
	for _, c := range p[2:] {
		total += int(c)
	}
[fix]	if total == 0 {
[fix]		return $P_refused
[fix]	}
[byte]	if total == 0 {
[byte]		return $P_refused
[byte]	}
	fmt.Fprintf(out, "$w_share %d\n", $f_ratio($P_u16(p), total))
	return nil
}
`
	a, b := m.in(1, 6000), m.in(1, 6000)
	m.sample(fmt.Sprintf("%s %d\n", m.word("scale"), a*100/b), scale.record(m.u16(a), m.u16(b)))
	c, d := m.in(1, 9), m.in(1, 9)
	m.sample(fmt.Sprintf("%s %d\n", m.word("share"), a*100/(c+d)), share.record(m.u16(a), []byte{byte(c), byte(d)}))
	m.quiet(fmt.Sprintf("%s %d\n", m.word("scale"), a*100/256), scale.record(m.u16(a), m.u16(256)))
	bg := m.bug(TwoPlaces, "scale", "share")
	show := m.proof(goDivide, "scale", scale.record(m.u16(b), m.u16(0)))
	m.proof(goDivide, "scale", scale.record(m.u16(a), m.u16(0), m.letters(m.in(1, 30))))
	m.proof(goDivide, "share", share.record(m.u16(a)))
	m.proof(goDivide, "share", share.record(m.u16(b), make([]byte, m.in(1, 9))))
	m.right(show, "fix", "scale share")
	m.right(show, "callee", "scale share")
	m.wrong(OneCaller, bg, show, "one", "scale").found(true, share.record(m.u16(1)))
	m.wrong(FeatureCut, bg, show, "byte", "scale share").found(false, scale.record(m.u16(1), m.u16(256)))
	m.wrong(Silenced, bg, show, "exit", "scale share").ending().found(false, scale.record(m.u16(1), m.u16(0)))
}

// goStop closes a channel of its own twice, or sends on it when it is closed.
func goStop(m *module) {
	n := m.number("room", m.in(4, 20))
	send, stop := m.kind("send"), m.kind("stop")
	m.text = `=== go
// $T_s queues bytes until it is stopped.
type $T_s struct {
	$m_queue chan byte
}
====
// $F_send queues the bytes of a record.
func (s *$T_s) $F_send(p []byte, out *bytes.Buffer) error {
	if s.$m_queue == nil {
		s.$m_queue = make(chan byte, $k_room)
	}
	for _, c := range p {
[one]		if cap(s.$m_queue) == len(s.$m_queue) {
[one]			return $P_refused
[one]		}
		select {
		case s.$m_queue <- c:
		default:
			return $P_refused
		}
	}
	fmt.Fprintf(out, "$w_send %d\n", len(s.$m_queue))
	return nil
}
====
func (s *$T_s) $f_empty() int {
	total := 0
	for c := range s.$m_queue {
		total += int(c)
	}
	return total
}
====
// $F_stop shows what is queued.
func (s *$T_s) $F_stop(p []byte, out *bytes.Buffer) error {
	if s.$m_queue == nil {
		return $P_refused
	}
[half]	if len(s.$m_queue) == 0 {
[half]		return $P_refused
[half]	}
	close(s.$m_queue)
	fmt.Fprintf(out, "$w_stop %d %d\n", $P_sum(0, p), s.$f_empty())
[fix]	s.$m_queue = nil
[again]	s.$m_queue = make(chan byte)
	return nil
}
`
	data := m.letters(m.in(1, n))
	total := 0
	for _, c := range data {
		total += int(c)
	}
	m.sample(fmt.Sprintf("%s %d\n%s %d %d\n", m.word("send"), len(data), m.word("stop"), sum(0, data[:1]), total), send.record(data), stop.record(data[:1]))
	b := m.bug(ManySinks, "stop", "send")
	s := func() record { return send.record(m.letters(m.in(1, n))) }
	show := m.proof(goClosed, "stop", s(), stop.record(), stop.record())
	m.proof(goClosed, "stop", s(), stop.record([]byte("a")), stop.record(m.letters(4)))
	m.proof(goSend, "send", s(), stop.record(), s())
	m.proof(goSend, "send", s(), stop.record(m.letters(m.in(1, 9))), send.record(m.letters(1)), stop.record())
	m.right(show, "fix", "stop send")
	m.wrong(OneCaller, b, show, "half", "stop").found(true, s(), stop.record(), s())
	m.wrong(FeatureCut, b, show, "again", "stop send").found(false, s(), stop.record(), s())
}
