package clearing

import (
	"fmt"
	"testing"

	"proofhouse/internal/proofhouse"
)

// TestJoint holds groups together that two patches stop by different parts, or one by the same change made twice, unless a patch tells them apart.
func TestJoint(t *testing.T) {
	// A small letter is a part that stops a group, a great one a part that stops some of it.
	part := func(words, changes string) []touch {
		var all []touch
		for i, w := range words {
			t := touch{all: w >= 'a' && w <= 'z'}
			if w != '.' {
				t.part = proofhouse.Digest(string(w))
			}
			if i < len(changes) {
				t.change = proofhouse.Digest(changes[i : i+1])
			}
			all = append(all, t)
		}
		return all
	}
	for _, c := range []struct{ a, b, changesA, changesB, want string }{
		{a: "xy", b: "pq", want: "[0 1]"},
		{a: "xy", b: "pp", want: "[0 1]"}, // one of the two places is mended in the same way
		{a: ".xy", b: ".pq", want: "[1 2]"},
		{a: "xx", b: "pp", want: "[]"},      // one patch twice, or with something else
		{a: "x", b: "p", want: "[]"},        // may be two fixes that came together
		{a: "xy.", b: "pqr", want: "[]"},    // the third stops one alone
		{a: "xy.", b: "pqR", want: "[0 1]"}, // or not even that
		{a: "xyz", b: "pqz", want: "[]"},    // a part of the third stops both: nothing to add
		{a: "..", b: "..", want: "[]"},
		{a: "x", b: "p", changesA: "1", changesB: "1", want: "[0]"},
		{a: "x", b: "p", changesA: "1", changesB: "2", want: "[]"},
		{a: "x", b: "P", changesA: "1", changesB: "1", want: "[]"},
		{a: "x.", b: "pq", changesA: "1", changesB: "1", want: "[]"},
	} {
		if got := fmt.Sprint(joint(part(c.a, c.changesA), part(c.b, c.changesB))); got != c.want {
			t.Errorf("%+v: %s", c, got)
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
