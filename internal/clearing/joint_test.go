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
	two := func(one, other string) []byte {
		return fmt.Appendf(nil, "--- a/x.c\n+++ b/x.c\n@@ -1,2 +1,4 @@\n one\n+%s\n two\n+%s\n", one, other)
	}
	s := newSorting(w, nil)
	var proofs []Named
	for _, input := range []string{"a1", "a2", "b1", "c1"} {
		proofs = append(proofs, Named{input, []byte(input)})
	}
	offers := []Offer{{Name: "one", Candidate: Candidate{Fix: two("a1 a2", "b1")}}, {Name: "other", Candidate: Candidate{Fix: two("a1 a2 x", "b1 x")}}}
	for _, o := range offers {
		s.out.Checks[o.Name] = PatchCheck{Outcome: Incomplete}
	}
	if err := s.reproduce(t.Context(), proofs); err != nil {
		t.Fatal(err)
	}
	if err := s.compare(t.Context(), s.read(offers)); err != nil {
		t.Fatal(err)
	}
	whole := 0
	for _, c := range s.out.cells {
		if c.Whole {
			whole++
			if !c.Stops {
				t.Errorf("%+v", c)
			}
		}
	}
	if whole != 6 {
		t.Errorf("%d cells of whole patches", whole)
	}
	if got := fmt.Sprint(s.out.Clusters[0].Members, len(s.out.Clusters)); got != "[a1 a2 b1] 2" {
		t.Errorf("clusters: %s", got)
	}
}
