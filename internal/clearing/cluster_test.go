package clearing

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"proofhouse/internal/proofhouse"
)

func named(n int) (all []Known) {
	for i := range n {
		id := FindingID(fmt.Sprintf("f%d", i))
		all = append(all, Known{ID: id, Proof: proofhouse.DigestOf([]byte(id)), Bucket: Bucket{Purl: "pkg:generic/x", Class: "c", Frames: []string{"f"}}})
	}
	return all
}

func members(all []Cluster) (out [][]FindingID) {
	for _, c := range all {
		out = append(out, c.Members)
	}
	return out
}

// TestCycle has people say of three findings what cannot all be: the last word on each pair holds, and a pair that is kept apart is in two clusters.
func TestCycle(t *testing.T) {
	known := named(3)
	say := func(a, b int, same bool) Decision { return Decision{A: known[a].ID, B: known[b].ID, Same: same} }
	for name, c := range map[string]struct {
		decisions []Decision
		want      [][]FindingID
	}{
		"a ring of sameness":       {[]Decision{say(0, 1, true), say(1, 2, true), say(2, 0, true)}, [][]FindingID{{"f0", "f1", "f2"}}},
		"a ring that cannot close": {[]Decision{say(0, 1, true), say(1, 2, true), say(2, 0, false)}, [][]FindingID{{"f0", "f1"}, {"f2"}}},
		"taken back":               {[]Decision{say(0, 1, true), say(1, 0, false)}, [][]FindingID{{"f0"}, {"f1"}, {"f2"}}},
		"and again":                {[]Decision{say(0, 1, true), say(1, 0, false), say(0, 1, true)}, [][]FindingID{{"f0", "f1"}, {"f2"}}},
	} {
		for range 20 {
			if got := members(Group(known, nil, c.decisions)); cmp.Diff(got, c.want) != "" {
				t.Errorf("%s: %v", name, got)
				break
			}
		}
	}
}

// TestGroup holds Group to Clusters on made-up matrices with people's words among them.
func TestGroup(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6)) //nolint:gosec // no secret
	for round := range 2000 {
		known := named(2 + r.IntN(12))
		for i := range known { // some came with the same proof
			if r.IntN(6) == 0 {
				known[i].Proof = known[r.IntN(len(known))].Proof
			}
		}
		var cells []Cell
		patches := 1 + r.IntN(4)
		bugs := map[proofhouse.Digest]int{}
		for _, k := range known {
			if _, ok := bugs[k.Proof]; !ok {
				bugs[k.Proof] = r.IntN(4)
			}
		}
		for _, proof := range slices.Compact(slices.Sorted(func(yield func(proofhouse.Digest) bool) {
			for _, k := range known {
				if !yield(k.Proof) {
					return
				}
			}
		})) {
			for q := range patches {
				if r.IntN(8) > 0 {
					cells = append(cells, Cell{Proof: proof, Patch: proofhouse.DigestOf([]byte{byte(q)}), Stops: bugs[proof] == q || r.IntN(12) == 0})
				}
			}
		}
		var decisions []Decision
		for range r.IntN(3) {
			a, b := r.IntN(len(known)), r.IntN(len(known))
			if a != b {
				decisions = append(decisions, Decision{A: known[a].ID, B: known[b].ID, Same: r.IntN(2) == 0})
			}
		}
		one, many := members(Clusters(known, Compare(known, cells), decisions)), members(Group(known, cells, decisions))
		if diff := cmp.Diff(one, many); diff != "" {
			t.Fatalf("round %d: %s\n%v\n%v", round, diff, cells, decisions)
		}
	}
}

// TestGroupMany groups as many findings as a flood brings.
func TestGroupMany(t *testing.T) {
	known := named(20_000)
	var cells []Cell
	for i, k := range known {
		for q := range 3 {
			cells = append(cells, Cell{Proof: k.Proof, Patch: proofhouse.DigestOf([]byte{byte(q)}), Stops: i%4 == q})
		}
	}
	got := Group(known, cells, nil)
	if len(got) != 3+5_000 || len(got[0].Members) != 5_000 || len(got[0].Merged) != 4_999 {
		t.Errorf("%d clusters, the first of %d", len(got), len(got[0].Members))
	}
}
