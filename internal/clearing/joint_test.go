package clearing

import (
	"fmt"
	"testing"
)

// TestJoint holds groups together that two patches stop by different parts, unless a patch tells them apart.
func TestJoint(t *testing.T) {
	part := func(words string) [][]byte {
		var all [][]byte
		for _, w := range words {
			if w == '.' {
				all = append(all, nil)
			} else {
				all = append(all, []byte{byte(w)})
			}
		}
		return all
	}
	for _, c := range []struct{ a, b, want string }{
		{"xy", "pq", "[0 1]"},
		{"xy", "pp", "[0 1]"}, // one of the two places is mended in the same way
		{".xy", ".pq", "[1 2]"},
		{"xx", "pp", "[]"},   // one patch twice, or with something else
		{"x", "p", "[]"},     // may be two fixes that came together
		{"xy.", "pqr", "[]"}, // the third stops one alone
		{"xyz", "pqz", "[]"}, // a part of the third stops both: nothing to add
		{"..", "..", "[]"},
	} {
		if got := fmt.Sprint(joint(part(c.a), part(c.b))); got != c.want {
			t.Errorf("%s %s: %s, want %s", c.a, c.b, got, c.want)
		}
	}
	// And the cells of the two are of all proofs of both groups.
	w := &toy{sinks: map[byte]string{'a': "f", 'b': "g", 'c': "h"}}
	of := func(input string) Exhibit {
		p, _ := w.Build(t.Context())
		s, _ := p.Observe(t.Context(), []byte(input), 1)
		return Exhibit{Proof: []byte(input), Signature: s.Signature(), Frames: s.Frames, Workshop: w}
	}
	var m Matrix
	two := func(one, other string) []byte {
		return fmt.Appendf(nil, "--- a/x.c\n+++ b/x.c\n@@ -1,2 +1,4 @@\n one\n+%s\n two\n+%s\n", one, other)
	}
	cells, err := m.Joint(t.Context(), [][]Exhibit{{of("a1"), of("a2")}, {of("b1")}, {of("c1")}}, [][]byte{two("a1 a2", "b1"), two("a1 a2 x", "b1 x")})
	if err != nil || len(cells) != 6 {
		t.Errorf("%d cells, %v", len(cells), err)
	}
	for _, c := range cells {
		if !c.Stops {
			t.Errorf("%+v", c)
		}
	}
}
