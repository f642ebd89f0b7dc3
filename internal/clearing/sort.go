package clearing

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"proofhouse/internal/proofhouse"
)

// Offer is a patch among those that Sort takes.
type Offer struct {
	Name      string
	Candidate Candidate
	// For is the proof that it was brought with, by name; "" is the first that it stops.
	For string
}

// Named is a proof among those that Sort takes.
type Named struct {
	Name  string
	Input []byte
}

// Sorted is what became of a heap of proofs and patches of one target.
type Sorted struct {
	Reproductions map[string]Reproduction `json:"reproductions"` // by proof
	Checks        map[string]PatchCheck   `json:"checks"`        // by patch; one that stops no proof has none
	Edges         []Edge                  `json:"edges"`
	Clusters      []Cluster               `json:"clusters"` // of the confirmed proofs, under their names
	// Builds and Runs are what the matrix cost.
	Builds int `json:"builds"`
	Runs   int `json:"runs"`

	cells []Cell
}

// Sort takes a heap of proofs and patches of one target: what is reproduced, which patches hold, and which proofs one fix mends.
func Sort(ctx context.Context, w Workshop, proofs []Named, offers []Offer, benign [][]byte) (Sorted, error) {
	s := newSorting(w, benign)
	defer s.matrix.Close()
	offers = s.read(offers)
	for _, step := range []func(context.Context) error{
		func(ctx context.Context) error { return s.reproduce(ctx, proofs) },
		func(ctx context.Context) error { return s.check(ctx, offers) },
		func(ctx context.Context) error { return s.compare(ctx, offers) },
		func(ctx context.Context) error { return s.hold(ctx, offers) },
	} {
		if err := step(ctx); err != nil {
			return Sorted{}, err
		}
	}
	s.out.Builds, s.out.Runs = s.matrix.Builds, s.matrix.Observed
	return s.out, nil
}

// sorting is a Sort under way.
type sorting struct {
	w        Workshop
	benign   [][]byte
	out      Sorted
	known    []Known
	exhibits map[FindingID]Exhibit
	own      map[string]FindingID // the proof that a patch was brought with
	minimal  [][]byte
	atlas    atlas
	rivals   map[string]*rival // patches that only variations may speak against
	full     bool              // fills the whole matrix
	cells    []Cell
	matrix   Matrix
}

func newSorting(w Workshop, benign [][]byte) *sorting {
	return &sorting{w: w, benign: benign, out: Sorted{Reproductions: map[string]Reproduction{}, Checks: map[string]PatchCheck{}}, exhibits: map[FindingID]Exhibit{}, own: map[string]FindingID{}, atlas: atlas{}, rivals: map[string]*rival{}}
}

func (s *sorting) reproduce(ctx context.Context, proofs []Named) error {
	for _, p := range proofs {
		r, err := Reproduce(ctx, s.w, Attempt{Proof: p.Input, Benign: s.benign})
		if err != nil {
			return err
		}
		if r.Verdict == Infrastructure {
			return fmt.Errorf("reproducing %s: %w", p.Name, r.Cause)
		}
		if s.out.Reproductions[p.Name] = r; r.Verdict != Confirmed {
			continue
		}
		id := FindingID(p.Name)
		e := Exhibit{Proof: p.Input, Signature: r.Signature, Frames: r.Frames, Workshop: s.w}
		class, _, _ := strings.Cut(r.Signature, ":")
		s.exhibits[id] = e
		s.known = append(s.known, Known{ID: id, Proof: e.Name(), Bucket: Bucket{Class: class, Frames: r.Frames[:min(3, len(r.Frames))]}})
	}
	return nil
}

// read takes of each patch what its reader saw, and refuses those that are none.
func (s *sorting) read(offers []Offer) []Offer {
	var good []Offer
	for _, o := range offers {
		whole, err := wholes(append(slices.Clone(o.Candidate.After), o.Candidate.Fix)...)
		if err != nil {
			s.out.Checks[o.Name] = PatchCheck{Outcome: Refused, Reason: proofhouse.PublicOf(err)}
			continue
		}
		o.Candidate.After, o.Candidate.Fix = whole[:len(whole)-1], whole[len(whole)-1]
		good = append(good, o)
	}
	return good
}

// check holds each patch to the proof that it was brought with, and all together to each other.
func (s *sorting) check(ctx context.Context, offers []Offer) error {
	for _, o := range offers {
		id, err := s.whose(ctx, o)
		if err != nil {
			return err
		}
		if id == "" {
			continue
		}
		e := s.exhibits[id]
		t := Trial{Exhibits: []Exhibit{e}, Benign: s.benign, Budget: variationBudget, Runs: 3, atlas: s.atlas}
		for _, k := range s.known {
			if x := s.exhibits[k.ID]; x.Signature != e.Signature {
				t.Known = append(t.Known, x.Signature)
			}
		}
		r, c, err := look(ctx, o.Candidate, t)
		if err != nil {
			return err
		}
		if s.own[o.Name], s.out.Checks[o.Name] = id, c; r != nil {
			s.rivals[o.Name] = r
		}
	}
	all := settling{matrix: &s.matrix}
	for _, o := range offers {
		if r := s.rivals[o.Name]; r != nil {
			all.all = append(all.all, r)
		}
	}
	if err := all.settle(ctx); err != nil {
		return err
	}
	for _, o := range offers {
		if r := s.rivals[o.Name]; r != nil {
			c, err := all.conclude(ctx, r, s.out.Checks[o.Name], slices.Contains(all.all, r))
			if err != nil {
				return err
			}
			s.out.Checks[o.Name] = c
		}
	}
	return nil
}

// whose is the proof that a patch was brought with.
func (s *sorting) whose(ctx context.Context, o Offer) (FindingID, error) {
	if _, ok := s.exhibits[FindingID(o.For)]; ok || o.For != "" {
		if !ok {
			return "", nil
		}
		return FindingID(o.For), nil
	}
	for _, k := range s.known {
		c, err := s.matrix.Try(ctx, s.exhibits[k.ID], append(slices.Clone(o.Candidate.After), o.Candidate.Fix)...)
		if err != nil {
			return "", err
		}
		if c.Stops {
			return k.ID, nil
		}
	}
	return "", nil
}

// compare works out which proofs one patch stops, by the least of it that stops one of them. Proofs of which that is known stand together from then
// on: another patch is tried on the oldest of them, and on the others only if it stops that one; and a part of a patch only where the whole stops
// something. What is left out could part what one patch holds together, or join it by fewer than half of its pairs: neither changes a cluster.
func (s *sorting) compare(ctx context.Context, offers []Offer) error {
	var groups [][]Known
	for _, k := range s.known {
		groups = append(groups, []Known{k})
	}
	for _, o := range offers {
		if c, ok := s.out.Checks[o.Name]; !ok || c.Outcome == Refused {
			continue
		}
		var parts [][]byte
		reached := make([]bool, len(groups))
		for i, g := range groups {
			m, err := s.matrix.Minimal(ctx, s.exhibits[g[0].ID], o.Candidate.Fix, o.Candidate.After...)
			if err != nil {
				return err
			}
			if reached[i] = m != nil || s.full; m != nil && !slices.ContainsFunc(parts, func(x []byte) bool { return bytes.Equal(x, m) }) {
				parts = append(parts, m)
			}
		}
		for _, m := range parts {
			if slices.ContainsFunc(s.minimal, func(x []byte) bool { return bytes.Equal(x, m) }) {
				continue
			}
			s.minimal = append(s.minimal, m)
			var left [][]Known
			var joined []Known
			for i, g := range groups {
				stopped, rest, err := s.part(ctx, m, g, reached[i])
				if err != nil {
					return err
				}
				joined = append(joined, stopped...)
				if len(rest) > 0 {
					left = append(left, rest)
				}
			}
			if s.full || len(parts) > 1 {
				continue // the groups keep their places
			}
			if groups = left; len(joined) > 0 {
				groups = append(groups, joined)
			}
		}
	}
	return s.cluster(ctx, offers)
}

// part tries a part of a patch on a group: on all of it where it stops the first.
func (s *sorting) part(ctx context.Context, m []byte, group []Known, reached bool) (stopped, rest []Known, err error) {
	if !reached {
		return nil, group, nil
	}
	for i, k := range group {
		c, err := s.matrix.Try(ctx, s.exhibits[k.ID], m)
		if err != nil {
			return nil, nil, err
		}
		if s.cells = append(s.cells, c); c.Stops {
			stopped = append(stopped, k)
		} else if rest = append(rest, k); i == 0 && !s.full {
			return nil, group, nil
		}
	}
	return stopped, rest, nil
}

func (s *sorting) join() {
	s.out.cells, s.out.Edges = s.cells, Compare(s.known, s.cells)
	s.out.Clusters = Clusters(s.known, s.out.Edges, nil)
}

// groups are the clusters as the matrix takes them.
func (s *sorting) groups() [][]Exhibit {
	var all [][]Exhibit
	for _, c := range s.out.Clusters {
		var g []Exhibit
		for _, id := range c.Members {
			g = append(g, s.exhibits[id])
		}
		all = append(all, g)
	}
	return all
}

// usable are the patches that were not refused and need no other.
func (s *sorting) usable(offers []Offer) [][]byte {
	var all [][]byte
	for _, o := range offers {
		if c, ok := s.out.Checks[o.Name]; ok && c.Outcome != Refused && len(o.Candidate.After) == 0 {
			all = append(all, o.Candidate.Fix)
		}
	}
	return all
}

func (s *sorting) cluster(ctx context.Context, offers []Offer) error {
	for _, k := range s.known {
		e := s.exhibits[k.ID]
		if slices.ContainsFunc(s.cells, func(c Cell) bool { return c.Proof == e.Name() && c.Stops }) {
			continue
		}
		c, ok, err := s.matrix.Behind(ctx, e, s.minimal)
		if err != nil {
			return err
		}
		if ok {
			s.cells = append(s.cells, c)
		}
	}
	s.join()
	more, err := s.matrix.Joint(ctx, s.groups(), s.usable(offers))
	if err != nil {
		return err
	}
	s.cells = append(s.cells, more...)
	s.join()
	return nil
}

// hold refuses patches that stop only some of the proofs of the cluster that they were brought for.
func (s *sorting) hold(ctx context.Context, offers []Offer) error {
	behind := map[string]bool{} // proofs that break in another bug first
	for _, c := range s.cells {
		behind[string(c.Proof)] = behind[string(c.Proof)] || len(c.After) > 0
	}
	for _, o := range offers {
		c, ok := s.out.Checks[o.Name]
		if !ok || c.Outcome == Refused {
			continue
		}
		for _, cl := range s.out.Clusters {
			if !slices.Contains(cl.Members, s.own[o.Name]) {
				continue
			}
			for _, id := range cl.Members {
				e := s.exhibits[id]
				if behind[string(e.Name())] {
					continue
				}
				got, err := s.matrix.Try(ctx, e, append(slices.Clone(o.Candidate.After), o.Candidate.Fix)...)
				if err != nil {
					return err
				}
				if !got.Stops {
					c.Outcome, c.Reason = Refused, "stops some of the proofs only that one fix mends"
				}
			}
		}
		s.out.Checks[o.Name] = c
	}
	return nil
}
