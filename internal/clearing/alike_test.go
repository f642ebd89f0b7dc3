package clearing

import (
	"archive/zip"
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"proofhouse/internal/proofhouse"
)

// toyArchive is a target's folder as a finder sends it, with one harmless input.
func toyArchive(t testing.TB) []byte {
	t.Helper()
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for _, f := range []struct{ name, text string }{
		{SpecFile, "purl = \"pkg:generic/toy@1.0\"\n[target]\nlanguage = \"c\"\nsources = [\"x.c\"]\n[target.source]\ntree = \"source\"\npackage = \"toy\"\n"},
		{"source/x.c", "one\n"},
		{"harness/harness.c", "\n"},
		{"harness/seeds/a", "zz\n"},
	} {
		w, err := z.Create(f.name)
		if err == nil {
			_, err = w.Write([]byte(f.text))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

const toyProject = "pkg:generic/toy"

// toyHouse is a desk on a toy project.
type toyHouse struct {
	*memory
	t    *testing.T
	desk *Desk
	now  time.Time
}

func newToyHouse(t *testing.T, w Workshop) *toyHouse {
	h := &toyHouse{memory: newMemory(), t: t, now: time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)}
	h.desk = &Desk{Store: h, Shelf: h, Workshop: func(Folder) Workshop { return w }, Witness: Witness{Program: "test", Provider: "none", Isolation: "none", Now: func() time.Time { return h.now }}}
	t.Cleanup(h.desk.Close)
	return h
}

func (h *toyHouse) put(b []byte) proofhouse.Digest {
	h.t.Helper()
	if b == nil {
		return ""
	}
	d, err := h.Put(h.t.Context(), toyProject, b)
	if err != nil {
		h.t.Fatal(err)
	}
	return d
}

func (h *toyHouse) do(by proofhouse.Actor, a Act) error {
	_, _, err := h.Change(h.t.Context(), toyProject, Request{}, func(Project) (Event, error) { return Event{by, a}, nil }, h.now)
	return err
}

// submit brings a proof with a patch, or none.
func (h *toyHouse) submit(proof string, patch []byte) FindingID {
	h.t.Helper()
	id := NewFindingID()
	by := proofhouse.Actor{Role: proofhouse.Partner, Organisation: "bank", Person: "ada"}
	claim := Claim{Title: "It breaks", Purl: toyProject + "@1.0", AI: "none", Marking: proofhouse.AmberStrict}
	if err := h.do(by, Submit{id, claim, Files{Target: h.put(toyArchive(h.t)), Proof: h.put([]byte(proof)), Fix: h.put(patch)}}); err != nil {
		h.t.Fatal(err)
	}
	return id
}

func (h *toyHouse) project() Project {
	h.t.Helper()
	p, err := h.Project(h.t.Context(), toyProject)
	if err != nil {
		h.t.Fatal(err)
	}
	return p
}

// clusters are the project's, by their proofs.
func (h *toyHouse) clusters() string {
	p := h.project()
	var all []string
	for _, c := range p.Clusters() {
		var words []string
		for _, id := range c.Members {
			f, err := p.Finding(id)
			if err != nil {
				h.t.Fatal(err)
			}
			b, err := h.Open(h.t.Context(), toyProject, f.Files.Proof)
			if err != nil {
				h.t.Fatal(err)
			}
			words = append(words, string(b))
		}
		all = append(all, strings.Join(words, ", "))
	}
	return strings.Join(all, "; ")
}

// TestDeskAsSort gives the same proofs and patches to the desk, one after the other, and to Sort at once: a bug that is mended in two places, one that hides another, a patch that
// mends half of what it is for, and two proofs that nothing mends. Both find the same clusters, and say the same of each patch.
func TestDeskAsSort(t *testing.T) {
	w := &toy{sinks: map[byte]string{'a': "f", 'b': "g", 'm': "h", 'c': "i", 'n': "j"}}
	two := func(one, other string) []byte {
		return fmt.Appendf(nil, "--- a/x.c\n+++ b/x.c\n@@ -1,2 +1,4 @@\n one\n+%s\n two\n+%s\n", one, other)
	}
	brought := []struct {
		proof string
		patch []byte
	}{
		{"a1", two("a*", "b*")},
		{"b1", two("a* x", "b* x")},
		{"a2", toyPatch("a2")},
		{"m1", toyPatch("m*")},
		{"m1 c1", nil},
		{"c1", toyPatch("c*")},
		{"n1", nil},
		{"n2", nil},
	}
	const want = "a1, b1, a2; m1; m1 c1, c1; n1; n2"
	var proofs []Named
	var offers []Offer
	for _, b := range brought {
		if proofs = append(proofs, Named{b.proof, []byte(b.proof)}); b.patch != nil {
			offers = append(offers, Offer{Name: string(proofhouse.DigestOf(b.patch)), Candidate: Candidate{Fix: b.patch}, For: b.proof})
		}
	}
	sorted, err := Sort(t.Context(), w, proofs, offers, [][]byte{[]byte("zz\n")})
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, c := range sorted.Clusters {
		var words []string
		for _, id := range c.Members {
			words = append(words, string(id))
		}
		all = append(all, strings.Join(words, ", "))
	}
	if got := strings.Join(all, "; "); got != want {
		t.Errorf("Sort: %s", got)
	}
	// The desk has them in other orders, too, and stops and goes on between.
	for turn, order := range [][]int{{0, 1, 2, 3, 4, 5, 6, 7}, {7, 6, 5, 4, 3, 2, 1, 0}, {2, 5, 3, 0, 7, 4, 1, 6}} {
		h := newToyHouse(t, w)
		for i, n := range order {
			if h.submit(brought[n].proof, brought[n].patch); turn == 2 && i%2 == 0 {
				work(t, h.desk, toyProject)
				h.desk.Close()
			}
		}
		work(t, h.desk, toyProject)
		if sortedWords(h.clusters()) != sortedWords(want) {
			t.Errorf("desk, turn %d: %s", turn, h.clusters())
		}
		for _, q := range h.project().Patches {
			if want := sorted.Checks[string(q.Fix)]; q.Check == nil || q.Check.Outcome != want.Outcome {
				t.Errorf("desk, turn %d: %+v, and Sort says %s", turn, q.Check, want.Outcome)
			}
		}
	}
	for _, b := range brought[:3] {
		t.Log(b.proof, sorted.Checks[string(proofhouse.DigestOf(b.patch))].Outcome)
	}
}

func sortedWords(clusters string) string {
	all := strings.Split(clusters, "; ")
	for i, c := range all {
		words := strings.Split(c, ", ")
		slices.Sort(words)
		all[i] = strings.Join(words, ", ")
	}
	slices.Sort(all)
	return strings.Join(all, "; ")
}

// TestPruned groups proofs with the whole matrix and with what pruning leaves of it, where patches overlap.
func TestPruned(t *testing.T) {
	w := &toy{sinks: map[byte]string{'a': "f", 'b': "g", 'c': "h", 'm': "i"}}
	lines := func(words string) []byte {
		return fmt.Appendf(nil, "--- a/x.c\n+++ b/x.c\n@@ -1,1 +1,2 @@\n one\n+%s\n", words)
	}
	for _, c := range []struct{ proofs, patches, want string }{
		{"a1,a2,b1", "a1 a2;a1 a2 b1", "a1, a2, b1"}, // the second reaches what the first holds together
		{"a1,a2,b1", "a1 a2;b1", "a1, a2; b1"},
		{"a1,a2,a3,b1", "a1 a2;a2 a3;b1", "a1, a2; a3; b1"}, // a chain holds by fewer than half of its pairs
		{"a1,a2,b1,m1 b1,m1", "a1 a2;b1;m1", "a1, a2; b1, m1 b1; m1"},
		{"a1,b1,c1", "c1", "a1; b1; c1"},
	} {
		var runs [2]int
		for i, full := range []bool{true, false} {
			s := newSorting(w, nil)
			s.full = full
			var proofs []Named
			for _, p := range strings.Split(c.proofs, ",") {
				proofs = append(proofs, Named{p, []byte(p)})
			}
			var offers []Offer
			for _, words := range strings.Split(c.patches, ";") {
				offers = append(offers, Offer{Name: words, Candidate: Candidate{Fix: lines(words)}})
				s.out.Checks[words] = PatchCheck{Outcome: Verified}
			}
			if err := s.reproduce(t.Context(), proofs); err != nil {
				t.Fatal(err)
			}
			if err := s.compare(t.Context(), s.read(offers)); err != nil {
				t.Fatal(err)
			}
			var all []string
			for _, cl := range s.out.Clusters {
				var words []string
				for _, id := range cl.Members {
					words = append(words, string(id))
				}
				all = append(all, strings.Join(words, ", "))
			}
			if got := strings.Join(all, "; "); got != c.want {
				t.Errorf("%s by %s, full %v: %s; want %s", c.proofs, c.patches, full, got, c.want)
			}
			runs[i] = s.matrix.Observed
		}
		if runs[1] > runs[0] {
			t.Errorf("%s by %s: %d runs with pruning, %d without", c.proofs, c.patches, runs[1], runs[0])
		}
	}
}
