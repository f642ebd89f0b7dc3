package clearing

import (
	"fmt"
	"testing"
)

// TestLookedAtAgain brings proofs and patches one after the other, and finds what was known before held to each that comes.
func TestLookedAtAgain(t *testing.T) {
	h := newToyHouse(t, &toy{sinks: map[byte]string{'a': "f", 'b': "f", 'd': "k", 'q': "l", 'n': "j"}})
	bring := func(proof, patch string) {
		t.Helper()
		var fix []byte
		if patch != "" {
			fix = toyPatch(patch)
		}
		h.submit(proof, fix)
		work(t, h.desk, toyProject)
	}
	patch := func(words string) Patch {
		t.Helper()
		for _, q := range h.project().Patches {
			if q.Fix == h.put(toyPatch(words)) {
				return q
			}
		}
		t.Fatalf("no patch %q", words)
		return Patch{}
	}
	clusters := func(want string) {
		t.Helper()
		if got := sortedWords(h.clusters()); got != sortedWords(want) {
			t.Errorf("clusters: %s; want %s", got, want)
		}
	}

	// A patch that waits, since what it leaves may be another bug's, is looked at again when that one's proof and patch have come.
	bring("a1", "a*")
	if q := patch("a*"); !q.Check.Waits() {
		t.Fatalf("what is of another bug is not found: %+v", q.Check)
	}
	bring("n1", "")
	if q := patch("a*"); !q.Check.Waits() || q.Checks != 1 {
		t.Errorf("a proof without a patch tells nothing: %+v", q)
	}
	bring("b1", "b*")
	for _, words := range []string{"a*", "b*"} {
		if q := patch(words); q.Check.Outcome != Incomplete || q.Check.Others == 0 {
			t.Errorf("%s: %+v", words, q.Check)
		}
	}
	clusters("a1; n1; b1")

	// A new patch is tried on all proofs that are open.
	bring("n2", "n*")
	clusters("a1; n1, n2; b1")

	// A new proof that one fix mends with others is held against their patches: one that stops it stays, one that does not is refused.
	checks := patch("a*").Checks
	bring("a2", "")
	if q := patch("a*"); q.Checks <= checks || q.Proofs != 2 || q.Check.Outcome != Incomplete {
		t.Errorf("a second proof: %+v", q)
	}
	bring("d1", "d*")
	if q := patch("d*"); q.Check.Outcome != Incomplete {
		t.Errorf("a half: %+v", q.Check)
	}
	bring("q1", "d* q*")
	clusters("a1, a2; n1, n2; b1; d1, q1")
	if q := patch("d*"); q.Check.Outcome != Refused || q.Proofs != 2 {
		t.Errorf("a half, with the proof of the other: %+v", q)
	}

	// And then all is done, once.
	before := h.project().Version
	h.desk.Close()
	if did, err := h.desk.Work(t.Context(), toyProject); did != "" || err != nil || h.project().Version != before {
		t.Errorf("still at work: %s, %v", did, fmt.Sprint(err))
	}
}
