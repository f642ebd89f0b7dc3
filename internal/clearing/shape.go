package clearing

import (
	"bytes"
	"context"
	"regexp"
	"slices"
)

// view is how an explorer looks at inputs: as they are, or with what a text escapes as %hh for the byte that it is.
type view struct{ escaped bool }

var escape = regexp.MustCompile(`%[0-9a-fA-F]{2}`)

// viewOf takes inputs for text with escapes where all of them are text and one has an escape.
func viewOf(proof []byte, benign [][]byte) view {
	some := false
	for _, b := range append([][]byte{proof}, benign...) {
		if slices.ContainsFunc(b, func(c byte) bool { return (c < ' ' || c > '~') && c != '\n' && c != '\r' && c != '\t' }) {
			return view{}
		}
		some = some || escape.Match(b)
	}
	return view{some}
}

func (v view) decode(b []byte) []byte {
	if !v.escaped {
		return b
	}
	return escape.ReplaceAllFunc(b, func(e []byte) []byte { return []byte{digit(e[1])<<4 | digit(e[2])} })
}

func digit(c byte) byte {
	switch {
	case c >= 'a':
		return c - 'a' + 10
	case c >= 'A':
		return c - 'A' + 10
	}
	return c - '0'
}

func (v view) encode(b []byte) []byte {
	if !v.escaped {
		return b
	}
	const hex = "0123456789abcdef"
	var out []byte
	for _, c := range b {
		if c >= ' ' && c <= '~' && c != '%' || c == '\n' {
			out = append(out, c)
		} else {
			out = append(out, '%', hex[c>>4], hex[c&15])
		}
	}
	return out
}

// shape is how inputs may be runs of records: lines, or a tag of lead bytes, a length, and as many bytes.
type shape struct {
	lines  bool
	start  int // bytes before the first record
	lead   int
	length field // of the length: width and byte order
}

// shapeOf finds a shape by which all harmless inputs are whole records, two in most of them; ok is false where there is none.
func shapeOf(benign [][]byte) (s shape, ok bool) {
	fits := func(s shape) bool {
		many := 0
		for _, b := range benign {
			_, records, whole := s.split(b)
			if !whole {
				return false
			}
			if len(records) > 1 {
				many++
			}
		}
		return 2*many > len(benign)
	}
	for _, width := range []int{4, 3, 2, 1} {
		for _, little := range []bool{false, true} {
			for _, lead := range []int{1, 2, 0, 4} {
				for start := range 9 {
					s := shape{start: start, lead: lead, length: field{width: width, little: little}}
					if fits(s) {
						return s, true
					}
				}
			}
		}
	}
	s = shape{lines: true}
	return s, fits(s)
}

// split takes an input apart; whole is false where the last record is cut short.
func (s shape) split(b []byte) (head []byte, records [][]byte, whole bool) {
	if s.lines {
		for l := range bytes.Lines(b) {
			records = append(records, l)
		}
		return nil, records, !slices.ContainsFunc(records, func(l []byte) bool { return s.payload(l) == 0 })
	}
	if len(b) < s.start {
		return b, nil, false
	}
	for at := s.start; at < len(b); {
		until := at + s.lead + s.length.width
		if until <= len(b) {
			until += s.length.of(b[at+s.lead:])
		}
		if until > len(b) {
			return b[:s.start], append(records, b[at:]), false
		}
		records = append(records, b[at:until])
		at = until
	}
	return b[:s.start], records, true
}

func (f field) of(b []byte) int {
	f.at = 0
	return f.read(b)
}

// payload is where a record's begins; 0 where it has none.
func (s shape) payload(r []byte) int {
	if !s.lines {
		return min(s.lead+s.length.width, len(r))
	}
	for i, c := range r {
		if c != '_' && c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			if i > 0 && c != '\n' {
				return i + 1
			}
			break
		}
	}
	return 0
}

// tag is what says of which kind a record is.
func (s shape) tag(r []byte) []byte {
	if s.lines {
		return r[:s.payload(r)]
	}
	return r[:min(s.lead, len(r))]
}

// body is what a record carries.
func (s shape) body(r []byte) []byte {
	r = r[s.payload(r):]
	if s.lines {
		r = bytes.TrimSuffix(r, []byte("\n"))
	}
	return r
}

// record is one of a kind with a body.
func (s shape) record(tag, body []byte) []byte {
	if s.lines {
		return slices.Concat(tag, body, []byte("\n"))
	}
	most := 1<<(8*s.length.width) - 1
	body = body[:min(len(body), most)]
	length := make([]byte, s.length.width)
	f := s.length
	f.at = 0
	f.write(length, len(body))
	return slices.Concat(tag, length, body)
}

// maxRecords is how many records of a proof are varied, the last ones first.
const maxRecords = 4

// records cuts the proof down to the records that it needs, and varies those and what stands around them.
func (x *explorer) records(ctx context.Context) error {
	if !x.shaped {
		return nil
	}
	s := x.shape
	head, all, _ := s.split(x.proof)
	join := func(records ...[]byte) []byte { return slices.Concat(append([][]byte{head}, records...)...) }
	for i := len(all) - 1; i >= 0 && len(all) > 1; i-- {
		rest := slices.Delete(slices.Clone(all), i, i+1)
		did, err := x.try(ctx, join(rest...))
		if err != nil {
			return err
		}
		if did == breaks {
			all = rest
		}
	}
	x.proof = join(all...)
	// One record of each kind: the proof's own kinds first.
	var kinds [][]byte
	seen := map[string]bool{}
	for _, b := range append([][]byte{x.proof}, x.benign...) {
		_, records, _ := s.split(b)
		for _, r := range records {
			if tag := string(s.tag(r)); !seen[tag] {
				seen[tag] = true
				kinds = append(kinds, r)
			}
		}
	}
	with := func(i int, r ...[]byte) []byte {
		return join(slices.Concat(all[:i], r, all[i+1:])...)
	}
	for i := len(all) - 1; i >= 0 && i >= len(all)-maxRecords; i-- {
		r := all[i]
		tag, body := s.tag(r), s.body(r)
		// Other kinds in its place, with what it carries.
		for _, k := range kinds {
			for _, b := range [][]byte{body, body[min(1, len(body)):], slices.Concat([]byte{0}, body), s.body(k)} {
				if err := x.all(ctx, with(i, s.record(s.tag(k), b)), with(i, r, s.record(s.tag(k), b))); err != nil {
					return err
				}
			}
		}
		// More and less of what it carries.
		x.close = true
		if len(body) > 0 {
			if err := x.cut(ctx, body, func(b []byte) []byte { return with(i, s.record(tag, b)) }); err != nil {
				return err
			}
			more := func(k int) []byte {
				return with(i, s.record(tag, slices.Concat(body, slices.Repeat(body[len(body)-1:], k))))
			}
			if _, err := x.bisect(ctx, 4096, more); err != nil {
				return err
			}
			if err := x.all(ctx, more(16), more(64), more(100), more(300), more(600)); err != nil {
				return err
			}
		}
		x.close = false
		// All of one byte that harmless ones have, and the first as it was.
		var fill []byte
		for _, b := range x.benign {
			_, records, _ := s.split(b)
			for _, o := range records {
				if bytes.Equal(s.tag(o), tag) {
					fill = append(fill, s.body(o)...)
				}
			}
		}
		slices.Sort(fill)
		for _, c := range slices.Compact(fill) {
			if err := x.all(ctx, with(i, s.record(tag, slices.Repeat([]byte{c}, len(body))))); err != nil {
				return err
			}
			if len(body) > 1 {
				if err := x.all(ctx, with(i, s.record(tag, slices.Concat(body[:1], slices.Repeat([]byte{c}, len(body)-1))))); err != nil {
					return err
				}
			}
		}
	}
	// Harmless records before, after and around.
	for _, k := range kinds {
		if err := x.all(ctx, join(append([][]byte{k}, all...)...), join(append(slices.Clone(all), k)...), join(slices.Concat([][]byte{k}, all, [][]byte{k})...)); err != nil {
			return err
		}
	}
	for i, r := range all {
		if err := x.all(ctx, with(i, r, r), with(i, r, r, r)); err != nil {
			return err
		}
		for j := range i {
			swapped := slices.Clone(all)
			swapped[i], swapped[j] = swapped[j], swapped[i]
			if err := x.all(ctx, join(swapped...)); err != nil {
				return err
			}
		}
	}
	return nil
}
