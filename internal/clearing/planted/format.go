package planted

import (
	"fmt"
	"math/rand/v2"
)

// kind is a sort of record that a project reads.
type kind struct {
	handler string // key of the handler's name in the module's scope
	module  *module
	tag     byte
	word    string // the tag in a text format
}

// record is one record of an input.
type record struct {
	kind *kind
	data []byte
}

// format is how a project's input holds its records.
type format struct {
	text  bool
	magic string // in a binary format, at the start
	wide  int    // bytes of a record's length
	big   bool   // big-endian
	colon byte   // between word and payload in a text format
}

func drawFormat(r *rand.Rand, name string) format {
	f := format{text: r.IntN(3) == 0, wide: 2 + r.IntN(2), big: r.IntN(2) == 0, colon: " :="[r.IntN(3)]}
	if r.IntN(2) == 0 {
		f.magic = (name + "xx")[:2+r.IntN(2)]
	}
	return f
}

// encode is the input that holds the records.
func (f format) encode(records []record) []byte {
	var out []byte
	if !f.text {
		out = append(out, f.magic...)
	}
	for _, r := range records {
		if f.text {
			out = append(out, r.kind.word...)
			out = append(out, f.colon)
			for _, b := range r.data {
				if b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' {
					out = append(out, b)
				} else {
					out = fmt.Appendf(out, "%%%02x", b)
				}
			}
			out = append(out, '\n')
			continue
		}
		out = append(out, r.kind.tag)
		for i := range f.wide {
			shift := 8 * i
			if f.big {
				shift = 8 * (f.wide - 1 - i)
			}
			out = append(out, byte(len(r.data)>>shift))
		}
		out = append(out, r.data...)
	}
	return out
}
