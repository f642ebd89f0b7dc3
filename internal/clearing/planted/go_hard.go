package planted

import "fmt"

// goHard are modules in Go with the hard cases.
var goHard = []func(*module){goReset, goJobs, goTitle, goSpan, goBuckets, goWindow, goNest}

// goReset leaves its state without what every other record needs: one cause,
// and another panic wherever it is used next.
func goReset(m *module) {
	put, last, first, mean, reset := m.kind("put"), m.kind("last"), m.kind("first"), m.kind("mean"), m.kind("reset")
	m.text = `=== go
type $t_page struct {
	$m_name, $m_value byte
}

// $T_s is a book of pages.
type $T_s struct {
	$m_book map[byte]byte
	$m_last *$t_page
	$m_pages []$t_page
	$m_weight int
}
====
// $F_init makes the first page.
func (s *$T_s) $F_init() {
	s.$m_book = map[byte]byte{}
	s.$m_pages = []$t_page{{}}
	s.$m_last = &s.$m_pages[0]
	s.$m_weight = 1
}
====
// $F_put adds a page.
func (s *$T_s) $F_put(p []byte, out *bytes.Buffer) error {
	if len(p) != 2 {
		return $P_refused
	}
[sink]	if s.$m_book == nil {
[sink]		s.$m_book = map[byte]byte{}
[sink]	}
	s.$m_book[p[0]] = p[1]
	s.$m_pages = append(s.$m_pages, $t_page{p[0], p[1]})
	s.$m_last = &s.$m_pages[len(s.$m_pages)-1]
	s.$m_weight += int(p[1])
	fmt.Fprintf(out, "$w_put %d\n", len(s.$m_book))
	return nil
}
====
// $F_last shows the last page.
func (s *$T_s) $F_last(p []byte, out *bytes.Buffer) error {
[sink]	if s.$m_last == nil {
[sink]		return $P_refused
[sink]	}
	fmt.Fprintf(out, "$w_last %d %d\n", s.$m_last.$m_value, $P_sum(0, p))
	return nil
}
====
func (s *$T_s) $f_page(i int) $t_page {
	return s.$m_pages[i]
}
====
// $F_first shows the first page.
func (s *$T_s) $F_first(p []byte, out *bytes.Buffer) error {
[one]	if len(s.$m_pages) == 0 {
[one]		return $P_refused
[one]	}
	fmt.Fprintf(out, "$w_first %d\n", s.$f_page(0).$m_value)
	return nil
}
====
// $F_mean shows the weight of a page.
func (s *$T_s) $F_mean(p []byte, out *bytes.Buffer) error {
	fmt.Fprintf(out, "$w_mean %d\n", 10000/s.$m_weight)
	return nil
}
====
// $F_reset begins anew.
func (s *$T_s) $F_reset(p []byte, out *bytes.Buffer) error {
	if len(p) > 3 {
		return $P_refused
	}
	*s = $T_s{}
[fix]	s.$F_init()
	fmt.Fprintf(out, "$w_reset\n")
	return nil
}
`
	a, v := byte(m.in(1, 250)), m.in(1, 99)
	m.sample(fmt.Sprintf("%s 1\n%s %d 0\n%s 0\n%s %d\n", m.word("put"), m.word("last"), v, m.word("first"), m.word("mean"), 10000/(1+v)),
		put.record([]byte{a, byte(v)}), last.record(), first.record(), mean.record())
	b := m.bug(ManySinks, "put", "last", "first", "mean")
	start := func() []record {
		var r []record
		for range m.in(0, 3) {
			r = append(r, put.record(m.bytes(2, 1, 250)))
		}
		return append(r, reset.record(m.letters(m.in(0, 3))))
	}
	show := m.proof(goNilMap, "put", append(start(), put.record(m.bytes(2, 1, 250)))...)
	m.proof(goNil, "last", append(start(), last.record(m.letters(m.in(0, 9))))...)
	m.proof(goIndex, "first", append(start(), first.record())...)
	m.proof(goDivide, "mean", append(start(), mean.record())...)
	if m.in(0, 1) == 0 {
		m.proof(goIndex, "first last", append(start(), first.record(), last.record())...)
	}
	m.right(show, "fix", "put last first mean")
	m.wrong(OneCaller, b, m.proofs[2], "one", "first").found(true, reset.record(), last.record())
	m.wrong(OneCaller, b, show, "sink", "put last").found(true, reset.record(), first.record())
}

// goJobs queues work of two kinds, sized wrongly in two independent ways, and
// breaks for both in the one loop that does it.
func goJobs(m *module) {
	most := m.number("most", m.in(30, 60))
	pad, again, flush := m.kind("pad"), m.kind("again"), m.kind("flush")
	m.text = `=== import
[exit]	"os"
=== go
type $t_job struct {
	$m_to, $m_from []byte
}

// $T_s queues work.
type $T_s struct {
	$m_jobs []$t_job
}
====
func (s *$T_s) $f_job(room int, from []byte) {
[slack]	s.$m_jobs = append(s.$m_jobs, $t_job{make([]byte, room+64), from})
[!slack]	s.$m_jobs = append(s.$m_jobs, $t_job{make([]byte, room), from})
}
====
func $f_shift(to, from []byte) {
	for i := range from {
		to[i] = from[i] + 1
	}
}
====
func (j $t_job) $f_work() int {
	$f_shift(j.$m_to, j.$m_from)
	return $P_sum(0, j.$m_to[:len(j.$m_from)])
}
====
// $F_pad queues a record with blanks after it.
func (s *$T_s) $F_pad(p []byte, out *bytes.Buffer) error {
	if len(p) < 2 {
		return $P_refused
	}
[cut]	if p[0]&4 != 0 {
[cut]		return $P_refused
[cut]	}
	$v_data := append([]byte(nil), p[1:]...)
	for i := 0; i < int(p[0]&7); i++ {
		$v_data = append($v_data, ' ')
	}
[fixa]	s.$f_job(len(p)-1+int(p[0]&7), $v_data)
[!fixa]	s.$f_job(len(p)-1+int(p[0]&3), $v_data)
	fmt.Fprintf(out, "$w_pad %d\n", len($v_data))
	return nil
}
====
// $F_again queues a record several times over.
func (s *$T_s) $F_again(p []byte, out *bytes.Buffer) error {
	if len(p) < 2 {
		return $P_refused
	}
	$v_data := bytes.Repeat(p[1:], int(p[0]))
[fixb]	if len($v_data) > $k_most {
[fixb]		return $P_refused
[fixb]	}
[exit]	if len($v_data) > $k_most {
[exit]		os.Exit(0)
[exit]	}
	$v_room := len($v_data)
	if $v_room > $k_most {
		$v_room = $k_most
	}
	s.$f_job($v_room, $v_data)
	fmt.Fprintf(out, "$w_again %d\n", len($v_data))
	return nil
}
====
// $F_flush does the work.
func (s *$T_s) $F_flush(p []byte, out *bytes.Buffer) error {
	for _, j := range s.$m_jobs {
		fmt.Fprintf(out, "$w_done %d\n", j.$f_work())
	}
	s.$m_jobs = nil
	return nil
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
		showA = m.proof(goIndex, "pad", pad.record(one(4+m.in(0, 3)), m.letters(m.in(4, 60))), flush.record())
	}
	for range m.in(1, 2) {
		showB = m.proof(goIndex, "near", again.record(one(1), m.letters(most+m.in(8, 50))), flush.record())
	}
	for range m.in(2, 3) {
		m.proof(goIndex, "far", again.record(one(m.in(10, 30)), m.letters(m.in(15, 40))), flush.record())
	}
	m.right(showA, "fixa", "pad")
	m.right(showB, "fixb", "near far")
	m.wrong(Silenced, b, showB, "slack", "pad near").found(true, again.record(one(20), m.letters(30)), flush.record())
	m.wrong(Silenced, b, showB, "exit", "near far").ending().found(false, again.record(one(20), m.letters(30)))
	m.wrong(FeatureCut, a, showA, "cut", "pad").found(false, pad.record(one(4), m.letters(2)))
}

// goTitle has a bug that only what breaks in another can reach.
func goTitle(m *module) {
	n := m.number("room", m.in(8, 30))
	put := m.kind("put")
	m.text = `=== go
// $T_s keeps names and marks.
type $T_s struct {
	$m_name [$k_room]byte
	$m_marks []int
}
====
func (s *$T_s) $f_take(p []byte) []byte {
	n := len(p)
[fixa]	if n > len(s.$m_name) {
[fixa]		n = len(s.$m_name)
[fixa]	}
[off]	if n > len(s.$m_name)+1 {
[off]		n = 0
[off]	}
	for i := 0; i < n; i++ {
		s.$m_name[i] = p[i] | 0x20
	}
	return s.$m_name[:n]
}
====
func (s *$T_s) $f_mark(n int) int {
	if s.$m_marks == nil {
		s.$m_marks = make([]int, $k_room)
	}
[fixb]	if n > len(s.$m_marks) {
[fixb]		n = len(s.$m_marks)
[fixb]	}
	sum := 0
	for i := 0; i < n; i++ {
		s.$m_marks[i]++
		sum += s.$m_marks[i]
	}
	return sum
}
====
// $F_put takes a name and may mark it.
func (s *$T_s) $F_put(p []byte, out *bytes.Buffer) error {
	if len(p) < 2 {
		return $P_refused
	}
[cut]	if p[0]&1 == 1 {
[cut]		return $P_refused
[cut]	}
	fmt.Fprintf(out, "$w_name %d\n", $P_sum(0, s.$f_take(p[1:])))
	if p[0]&1 == 1 {
		fmt.Fprintf(out, "$w_mark %d\n", s.$f_mark(len(p)-1))
	}
	return nil
}
`
	name := func(b []byte) string { return fmt.Sprintf("%s %d\n", m.word("name"), sum(0, b)) }
	even := func() []byte { return []byte{byte(2 * m.in(0, 100))} }
	odd := func() []byte { return []byte{byte(2*m.in(0, 100) + 1)} }
	x, y := m.letters(m.in(1, n)), m.letters(m.in(1, n))
	m.sample(name(x), put.record(even(), x))
	m.sample(name(y)+fmt.Sprintf("%s %d\n", m.word("mark"), len(y)), put.record(odd(), y))
	m.bug(Masking, "even", "odd")
	b := m.bug(Masked, "mark")
	var showA, showB *proof
	for range 3 {
		showA = m.proof(goIndex, "even", put.record(even(), m.letters(n+m.in(2, 30))))
		showB = m.proof(goIndex, "odd mark", put.record(odd(), m.letters(n+m.in(2, 30))))
	}
	first := m.right(showA, "fixa", "even odd")
	m.right(showB, "fixb", "mark").after = first
	m.wrong(Partial, first.aims[0], showA, "off", "even odd").found(true, put.record([]byte{0}, m.letters(n+1)))
	m.wrong(FeatureCut, b, showB, "cut", "odd mark").found(false, put.record(odd(), m.letters(3)))
}

// goSpan has two bugs in one line: the patch of the second is made on top of
// that of the first.
func goSpan(m *module) {
	n := m.number("cells", m.in(10, 40))
	get, fill := m.kind("get"), m.kind("fill")
	m.text = `=== go
// $T_s is a row of cells.
type $T_s struct {
	$m_cells [$k_cells]byte
}
====
func (s *$T_s) $f_span(lo, hi int) []byte {
	$v_cells := s.$m_cells[:]
	return $v_cells[lo:hi]
}
====
// $F_get sums a span up.
func (s *$T_s) $F_get(p []byte, out *bytes.Buffer) error {
	if len(p) != 2 {
		return $P_refused
	}
	lo, hi := int(p[0]), int(p[1])
[fixa&!fixb]	if lo > hi {
[fixa&fixb]	if lo > hi || hi > len(s.$m_cells) {
[fixa]		return $P_refused
[fixa]	}
[only]	if hi > len(s.$m_cells) {
[only]		return $P_refused
[only]	}
[off]	if lo > hi+1 {
[off]		return $P_refused
[off]	}
	fmt.Fprintf(out, "$w_get %d\n", $P_sum(0, s.$f_span(lo, hi)))
	return nil
}
====
// $F_fill fills the row.
func (s *$T_s) $F_fill(p []byte, out *bytes.Buffer) error {
	if len(p) > len(s.$m_cells) {
		return $P_refused
	}
	copy(s.$m_cells[:], p)
	fmt.Fprintf(out, "$w_fill %d\n", len(p))
	return nil
}
`
	cells := m.letters(n)
	lo := m.in(0, n/2)
	hi := m.in(lo, n)
	m.sample(fmt.Sprintf("%s %d\n%s %d\n", m.word("fill"), n, m.word("get"), sum(0, cells[lo:hi])), fill.record(cells), get.record([]byte{byte(lo), byte(hi)}))
	a := m.bug(Ordered, "turned")
	m.bug(Ordered, "beyond")
	var showA, showB *proof
	for i := range m.in(3, 5) {
		hi := m.in(0, n-4)
		r := []record{get.record([]byte{byte(hi + m.in(2, 3)), byte(hi)})}
		if i%2 == 0 {
			r = append([]record{fill.record(m.letters(m.in(1, n)))}, r...)
		}
		showA = m.proof(goSlice, "turned", r...)
	}
	for range m.in(3, 4) {
		showB = m.proof(goSlice, "beyond", get.record([]byte{byte(m.in(0, n)), byte(n + m.in(1, 90))}))
	}
	first := m.right(showA, "fixa", "turned")
	m.right(showB, "fixb", "beyond").after = first
	m.right(showB, "only", "beyond")
	m.wrong(Partial, a, showA, "off", "turned").found(true, get.record([]byte{3, 2}))
}

// goBuckets sorts keys into two buckets by a salt of each run, and one of them
// is smaller than the check.
func goBuckets(m *module) {
	room := m.number("room", 2*m.in(4, 8))
	m.number("half", room/2)
	add, show := m.kind("add"), m.kind("show")
	m.text = `=== import
[!still]	"math/rand"
=== go
// $T_s keeps keys in two buckets.
type $T_s struct {
	$m_cells [2][]byte
	$m_count [2]int
	$m_salt byte
}
====
// $F_init draws the salt.
func (s *$T_s) $F_init() {
[!still]	s.$m_salt = byte(rand.Intn(2))
	s.$m_cells[0] = make([]byte, $k_room)
[wide]	s.$m_cells[1] = make([]byte, $k_room)
[!wide]	s.$m_cells[1] = make([]byte, $k_half)
}
====
func (s *$T_s) $f_keep(key byte) error {
	b := (key ^ s.$m_salt) & 1
[fix]	if s.$m_count[b] >= len(s.$m_cells[b]) {
[!fix]	if s.$m_count[b] >= $k_room {
		return $P_refused
	}
	s.$m_cells[b][s.$m_count[b]] = key
	s.$m_count[b]++
	return nil
}
====
// $F_add keeps the keys of a record.
func (s *$T_s) $F_add(p []byte, out *bytes.Buffer) error {
	for _, key := range p {
		if err := s.$f_keep(key); err != nil {
			return err
		}
	}
	fmt.Fprintf(out, "$w_add %d\n", len(p))
	return nil
}
====
// $F_show counts the keys and begins anew.
func (s *$T_s) $F_show(p []byte, out *bytes.Buffer) error {
	total := 0
	for b, cells := range s.$m_cells {
		for _, c := range cells[:s.$m_count[b]] {
			total += int(c)
		}
	}
	fmt.Fprintf(out, "$w_show %d %d\n", s.$m_count[0]+s.$m_count[1], total)
	s.$m_count = [2]int{}
	return nil
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
			shown = m.proof(goIndex, "keep", add.record(even(n)))
		} else {
			k := m.in(1, room/2)
			shown = m.proof(goIndex, "keep", add.record(even(k)), add.record(even(n-k)))
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

// goWindow takes a window with a sign; the obvious check sees its end only.
func goWindow(m *module) {
	n := m.number("cells", m.in(30, 70))
	show, stamp := m.kind("show"), m.kind("stamp")
	m.text = `=== go
// $T_s is a row of cells under a window.
type $T_s struct {
	$m_cells [$k_cells]byte
}
====
func (s *$T_s) $f_window(at, size int) []byte {
[fix]	if at < 0 || at+size > len(s.$m_cells) {
[fix]		return nil
[fix]	}
[part]	if at+size > len(s.$m_cells) {
[part]		return nil
[part]	}
[off]	if at < 0 || at+size > len(s.$m_cells)+1 {
[off]		return nil
[off]	}
	$v_cells := s.$m_cells[:]
	return $v_cells[at : at+size]
}
====
func $f_signed(p []byte) int {
	return int(int16($P_u16(p)))
}
====
// $F_show sums a window up.
func (s *$T_s) $F_show(p []byte, out *bytes.Buffer) error {
	if len(p) != 3 {
		return $P_refused
	}
[one]	if at := $f_signed(p); at < 0 || at+int(p[2]) > len(s.$m_cells) {
[one]		return $P_refused
[one]	}
	total := 0
	for _, c := range s.$f_window($f_signed(p), int(p[2])) {
		total += int(c)
	}
	fmt.Fprintf(out, "$w_show %d\n", total)
	return nil
}
====
// $F_stamp writes into a window.
func (s *$T_s) $F_stamp(p []byte, out *bytes.Buffer) error {
	if len(p) < 3 {
		return $P_refused
	}
	$v_window := s.$f_window($f_signed(p), len(p)-2)
	for i := range $v_window {
		$v_window[i] = p[i+2] + 1
	}
	fmt.Fprintf(out, "$w_stamp %d\n", len($v_window))
	return nil
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
	start := m.in(0, n-1)
	sh := m.proof(goSlice, "showhigh", show.record(m.u16(start), one(n-start+m.in(2, 40))))
	m.proof(goSlice, "showlow", show.record(m.u16(-m.in(1, 300)), one(m.in(1, 9))))
	m.proof(goSlice, "low", stamp.record(m.u16(-m.in(1, 300)), m.letters(m.in(1, 9))))
	start = m.in(n-8, n+200)
	m.proof(goSlice, "high", stamp.record(m.u16(start), m.letters(max(0, n-start)+m.in(2, 5))))
	m.right(sh, "fix", "showhigh showlow high low")
	m.wrong(Partial, b, sh, "part", "showhigh high").found(true, show.record(m.u16(-1), one(1)))
	m.wrong(Partial, b, sh, "off", "showhigh showlow high low").found(true, show.record(m.u16(n-1), one(2)))
	m.wrong(OneCaller, b, sh, "one", "showhigh showlow").found(true, stamp.record(m.u16(n-1), []byte("ab")))
}

// goNest descends as deep as its input; two kinds of brackets lead down.
func goNest(m *module) {
	k := m.kind("read")
	m.number("deep", m.in(20, 60))
	m.text = `=== go
// $T_s reads nested words.
type $T_s struct {
	$m_letters int
}

type $t_walk struct {
	p []byte
	at, $m_deepest, $m_words int
}
====
func (w *$t_walk) $f_list(depth int) error {
	var $v_word [1024]byte
	n := 0
[fix]	if depth > $k_deep {
[fix]		return $P_refused
[fix]	}
	if depth > w.$m_deepest {
		w.$m_deepest = depth
	}
	for w.at < len(w.p) {
		c := w.p[w.at]
		w.at++
		var err error
		switch {
		case c == '(':
			err = w.$f_list(depth + 1)
		case c == '[':
			err = w.$f_group(depth + 1)
		case c == ')' || c == ']':
			w.$m_words += len(bytes.TrimSpace($v_word[:n]))
			return nil
		case n < len($v_word):
			$v_word[n] = c
			n++
		}
		if err != nil {
			return err
		}
	}
	w.$m_words += len(bytes.TrimSpace($v_word[:n]))
	return nil
}
====
func (w *$t_walk) $f_group(depth int) error {
	n := 0
[fix]	if depth > $k_deep {
[fix]		return $P_refused
[fix]	}
[part]	if depth > $k_deep {
[part]		return $P_refused
[part]	}
	for w.at < len(w.p) && n < 1000 && w.p[w.at] >= '0' && w.p[w.at] <= '9' {
		n = n*10 + int(w.p[w.at]-'0')
		w.at++
	}
	w.$m_words += n
	return w.$f_list(depth)
}
====
// $F_read counts letters and depth.
func (s *$T_s) $F_read(p []byte, out *bytes.Buffer) error {
[low]	if len(p) > 1000 {
[low]		return $P_refused
[low]	}
	w := $t_walk{p: p}
	if err := w.$f_list(0); err != nil {
		return err
	}
	s.$m_letters += w.$m_words
	fmt.Fprintf(out, "$w_read %d %d\n", w.$m_words, w.$m_deepest)
	return nil
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
	show := m.proof(goStack, "list", k.record(many("(", deep())))
	m.proof(goStack, "list", k.record(many("(a", deep())))
	m.proof(goStack, "group", k.record(many("[", deep())))
	m.proof(goStack, "group", k.record(many("[1", deep())))
	if m.in(0, 1) == 0 {
		m.proof(goStack, "group", k.record(many("([", deep())))
	}
	m.right(show, "fix", "list group")
	m.wrong(Partial, b, m.proofs[2], "part", "group").found(true, k.record(many("(", 2500)))
	m.wrong(FeatureCut, b, show, "low", "list group").found(false, k.record(many("a", 1100)))
}
