package clearing

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"proofhouse/internal/clearing/planted"
)

// plantedSeeds are the projects of a test run: PLANTED_SEEDS=FROM-UNTIL names others.
func plantedSeeds(t *testing.T, from, until uint64) []uint64 {
	if s := os.Getenv("PLANTED_SEEDS"); s != "" {
		a, b, _ := strings.Cut(s, "-")
		var err1, err2 error
		from, err1 = strconv.ParseUint(a, 10, 64)
		until, err2 = strconv.ParseUint(b, 10, 64)
		if err1 != nil || err2 != nil {
			t.Fatal("PLANTED_SEEDS=FROM-UNTIL")
		}
	}
	var all []uint64
	for s := from; s <= until; s++ {
		all = append(all, s)
	}
	return all
}

// session takes a planted project through the house: every proof is reproduced, every
// patch checked against the proofs of whoever brought it, and what was confirmed is clustered with the patches that passed.
type session struct {
	p         *planted.Project
	confirmed []Exhibit
	names     []string // of the confirmed
	verified  map[string]PatchCheck
	clusters  []Cluster
	matrix    Matrix
}

func runSession(t *testing.T, p *planted.Project) *session {
	t.Helper()
	s := &session{p: p, verified: map[string]PatchCheck{}}
	w := newLocal(t, p)
	var known []Known
	byName := map[string]Exhibit{}
	for i, proof := range p.Proofs {
		r, err := Reproduce(t.Context(), w, Attempt{Proof: proof.Input, Benign: p.Benign})
		if err != nil {
			t.Fatal(err)
		}
		if r.Verdict != Confirmed {
			if !proof.Flaky {
				t.Errorf("seed %d: %s: %s: %s", p.Seed, proof.Name, r.Verdict, errors.Join(errors.New(r.Reason), r.Cause, errors.Unwrap(r.Cause)))
			}
			continue
		}
		if proof.Flaky {
			t.Logf("seed %d: %s is flaky and was confirmed", p.Seed, proof.Name)
		}
		e := Exhibit{Proof: proof.Input, Signature: r.Signature, Frames: r.Frames, Workshop: w}
		s.confirmed, s.names = append(s.confirmed, e), append(s.names, proof.Name)
		byName[proof.Name] = e
		class, _, _ := strings.Cut(r.Signature, ":")
		known = append(known, Known{ID: FindingID(fmt.Sprintf("%03d-%s", i, proof.Name)), Proof: e.Name(), Bucket: Bucket{Class: class, Frames: r.Frames[:min(3, len(r.Frames))]}})
	}
	// Each patch comes with the first proof of what it is offered for, as finders bring them.
	var minimal [][]byte
	own := map[string]string{}
	for i, patch := range p.Patches {
		var mine []Exhibit
		for _, proof := range p.Proofs {
			if e, ok := byName[proof.Name]; ok && slices.Contains(patch.Aims, proof.Bug) && len(mine) == 0 && (len(patch.Stops) == 0 || slices.Contains(patch.Stops, proof.Name)) {
				mine = append(mine, e)
				own[patch.Name] = proof.Name
			}
		}
		if len(mine) == 0 {
			continue
		}
		var after [][]byte
		for _, name := range patch.After {
			for _, o := range p.Patches {
				if o.Name == name {
					after = append(after, o.Diff)
				}
			}
		}
		c, err := CheckPatch(t.Context(), Candidate{Fix: patch.Diff, Regression: patch.Regression, After: after}, Trial{Exhibits: mine, Benign: p.Benign, Seed: uint64(i)})
		if err != nil {
			t.Fatal(err)
		}
		s.verified[patch.Name] = c
		if c.Outcome == Refused {
			continue
		}
		for _, e := range s.confirmed {
			m, err := s.matrix.Minimal(t.Context(), e, patch.Diff, after...)
			if err != nil {
				t.Fatal(err)
			}
			if m != nil && !slices.ContainsFunc(minimal, func(o []byte) bool { return string(o) == string(m) }) {
				minimal = append(minimal, m)
			}
		}
	}
	var cells []Cell
	for _, m := range minimal {
		for _, e := range s.confirmed {
			c, err := s.matrix.Try(t.Context(), e, m)
			if err != nil {
				t.Fatal(err)
			}
			cells = append(cells, c)
		}
	}
	for _, e := range s.confirmed {
		if slices.ContainsFunc(cells, func(c Cell) bool { return c.Proof == e.Name() && c.Stops }) {
			continue
		}
		c, ok, err := s.matrix.Behind(t.Context(), e, minimal)
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			cells = append(cells, c)
		}
	}
	s.clusters = Clusters(known, Compare(known, cells), nil)
	if os.Getenv("PLANTED_SHOW") != "" {
		for _, proof := range p.Proofs {
			line := fmt.Sprintf("%s %-6s %-18v %-30s", proof.Name, proof.Bug, proof.Reaches, byName[proof.Name].Signature)
			for _, m := range minimal {
				c, _ := s.matrix.Try(t.Context(), byName[proof.Name], m)
				line += map[bool]string{true: " x", false: map[bool]string{true: " >", false: " ."}[c.Moves]}[c.Stops]
			}
			t.Log(line)
		}
		for _, m := range minimal {
			for _, patch := range p.Patches {
				d, _ := ParseDiff(patch.Diff)
				if string(m) == string(patch.Diff) || strings.Contains(string(patch.Diff), strings.SplitN(string(m), "\n", 4)[2][:0]) && d.Len() > 1 && string(m) == string(patch.Diff) {
					t.Log("minimal of ", patch.Name, patch.Aims, patch.Right, patch.Fault, s.verified[patch.Name].Outcome)
				}
			}
		}
		t.Log(s.clusters)
	}
	// Last, each patch is held to all proofs of the cluster that it was brought for.
	for _, patch := range p.Patches {
		c, ok := s.verified[patch.Name]
		if !ok || c.Outcome == Refused {
			continue
		}
		for _, cl := range s.clusters {
			if !slices.ContainsFunc(cl.Members, func(id FindingID) bool { return strings.HasSuffix(string(id), "-"+own[patch.Name]) }) {
				continue
			}
			for _, id := range cl.Members {
				_, name, _ := strings.Cut(string(id), "-")
				got, err := s.matrix.Try(t.Context(), byName[name], patch.Diff)
				if err != nil {
					t.Fatal(err)
				}
				if !got.Stops {
					c.Outcome, c.Reason = Refused, "stops some of the cluster's proofs only"
				}
			}
		}
		s.verified[patch.Name] = c
	}
	s.matrix.Close()
	return s
}

// pairs counts pairs of confirmed proofs: merged rightly, merged wrongly, and not merged though the same.
func (s *session) pairs() (right, wrong, missed, apart int) {
	bug := map[string]string{}
	for _, p := range s.p.Proofs {
		bug[p.Name] = p.Bug
	}
	of := map[string]FindingID{}
	for _, c := range s.clusters {
		for _, m := range c.Members {
			_, name, _ := strings.Cut(string(m), "-")
			of[name] = c.ID
		}
	}
	for i, a := range s.names {
		for _, b := range s.names[i+1:] {
			switch same, merged := bug[a] == bug[b], of[a] == of[b]; {
			case same && merged:
				right++
			case merged:
				wrong++
			case same:
				missed++
			default:
				apart++
			}
		}
	}
	return right, wrong, missed, apart
}

// TestPlanted measures duplicates and patches against what the planted corpus knows.
func TestPlanted(t *testing.T) {
	if testing.Short() {
		t.Skip("builds some hundred programs")
	}
	var right, wrong, missed, apart, bad, passed, good, refused int
	for _, seed := range plantedSeeds(t, 1, 3) {
		p := planted.C(seed)
		s := runSession(t, &p)
		r, w, m, a := s.pairs()
		right, wrong, missed, apart = right+r, wrong+w, missed+m, apart+a
		for _, patch := range p.Patches {
			c, ok := s.verified[patch.Name]
			switch {
			case !ok:
			case patch.Right:
				good++
				if c.Outcome != Verified {
					refused++
					t.Logf("seed %d: %s, right, is %s: %s %v", seed, patch.Name, c.Outcome, c.Reason, c.Steps)
				}
			default:
				bad++
				if c.Outcome == Verified {
					passed++
					t.Logf("seed %d: %s passes: %s (shows by a break: %v) %v", seed, patch.Name, patch.Fault, patch.Breaks, c.Steps)
				}
			}
		}
		t.Logf("seed %d: %d proofs, %d clusters; pairs right %d wrong %d missed %d apart %d; %d builds, %d runs", seed, len(s.names), len(s.clusters), r, w, m, a, s.matrix.Builds, s.matrix.Observed)
	}
	f1 := 2 * float64(right) / float64(2*right+wrong+missed)
	t.Logf("pairs: F1 %.3f, %d of %d merges false; patches: %d of %d wrong ones pass, %d of %d right ones do not", f1, wrong, right+wrong, passed, bad, refused, good)
	if f1 < 0.95 || float64(wrong) > 0.005*float64(right+wrong+apart) || float64(passed) > 0.1*float64(bad) {
		t.Error("worse than promised")
	}
}
