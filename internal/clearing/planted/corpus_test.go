package planted

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

var corpus = flag.String("corpus", "", "the folder that TestMeasure writes the corpus of -seeds to")

// TestEqualSeeds holds the projects of a seed to their bytes, and those of
// another to others.
func TestEqualSeeds(t *testing.T) {
	for _, build := range []func(uint64) Project{C, Go} {
		a, b, c := encode(t, build(7)), encode(t, build(7)), build(8)
		if !bytes.Equal(a, b) {
			t.Error("equal seeds gave other bytes")
		}
		for name := range c.Source {
			if _, ok := build(7).Source[name]; ok && filepath.Dir(name) != "tests" && name != "README.md" && name != "Makefile" && name != "go.mod" {
				t.Errorf("two seeds have a file %s", name)
			}
		}
	}
}

// TestShape finds in every project of many seeds what a corpus is wanted for.
func TestShape(t *testing.T) {
	faults, kinds := map[Fault]int{}, map[Kind]int{}
	for seed := range uint64(30) {
		for _, p := range []Project{C(seed), Go(seed)} {
			proofs := map[string]int{}
			for _, pr := range p.Proofs {
				proofs[pr.Bug]++
			}
			if n := len(p.Bugs); n < 4 || n > 8 {
				t.Errorf("%s %d has %d bugs", p.Language, seed, n)
			}
			for _, b := range p.Bugs {
				kinds[b.Kind]++
				if n := proofs[b.Name]; n < 3 || n > 6 {
					t.Errorf("%s %d: %s has %d proofs", p.Language, seed, b.Name, n)
				}
				if !slices.ContainsFunc(p.Patches, func(pa Patch) bool { return pa.Right && slices.Equal(pa.Aims, []string{b.Name}) }) {
					t.Errorf("%s %d: %s has no right patch of its own", p.Language, seed, b.Name)
				}
			}
			for _, pa := range p.Patches {
				if pa.Right == (pa.Fault != "") {
					t.Errorf("%s %d: %s is right and has the fault %q", p.Language, seed, pa.Name, pa.Fault)
				}
				faults[pa.Fault]++
			}
		}
	}
	for _, k := range []Kind{Plain, ManySinks, OneSink, Masked, Masking, Incomplete, Ordered, Flaky, TwoPlaces} {
		if kinds[k] == 0 {
			t.Errorf("no bug is %s", k)
		}
	}
	for _, f := range []Fault{Silenced, FeatureCut, OneCaller, Partial, WeakTest, EditHarness, EditBuild, NewBreak} {
		if faults[f] == 0 {
			t.Errorf("no patch %s", f)
		}
	}
}

func encode(t *testing.T, p Project) []byte {
	t.Helper()
	b, err := json.MarshalIndent(struct {
		Project
		Matrix [][]bool `json:"matrix"` // proofs × patches
	}{p, p.Matrix()}, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return append(b, '\n')
}

// TestMeasure writes a corpus, and counts what is in it:
//
//	go test ./internal/clearing/planted -run Measure -v -seeds=100-149 -corpus=/tmp/corpus
func TestMeasure(t *testing.T) {
	if *corpus == "" {
		t.Skip("no -corpus")
	}
	kinds, faults := map[Kind]int{}, map[Fault]int{}
	var projects, proofs, patches, right, pairs, same int
	for _, seed := range seeds(t) {
		for _, p := range []Project{C(seed), Go(seed)} {
			name := filepath.Join(*corpus, fmt.Sprintf("%s-%d.json", p.Language, seed))
			if err := os.WriteFile(name, encode(t, p), 0o644); err != nil {
				t.Fatal(err)
			}
			projects, proofs, patches = projects+1, proofs+len(p.Proofs), patches+len(p.Patches)
			for _, b := range p.Bugs {
				kinds[b.Kind]++
			}
			for _, pa := range p.Patches {
				if pa.Right {
					right++
				} else {
					faults[pa.Fault]++
				}
			}
			for i, a := range p.Proofs {
				for _, b := range p.Proofs[:i] {
					pairs++
					if a.Bug == b.Bug {
						same++
					}
				}
			}
		}
	}
	t.Logf("%d projects, %d proofs, %d patches of which %d right, %d pairs of proofs of which %d duplicates", projects, proofs, patches, right, pairs, same)
	for _, k := range slices.Sorted(maps.Keys(kinds)) {
		t.Logf("bugs, %s: %d", k, kinds[k])
	}
	for _, f := range slices.Sorted(maps.Keys(faults)) {
		t.Logf("wrong patches, %s: %d", f, faults[f])
	}
}
