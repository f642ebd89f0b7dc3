package clearing

import (
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
	atlas    atlas
	rivals   map[string]*rival // patches that only variations may speak against
	full     bool              // fills the whole matrix
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
		var all []string
		for _, k := range s.known {
			all = append(all, s.exhibits[k.ID].Signature)
		}
		t.Known = foreign(e.Signature, all)
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

// compare fills the matrix of the patches that were not refused, and groups the proofs by it.
func (s *sorting) compare(ctx context.Context, offers []Offer) error {
	texts := map[proofhouse.Digest][]byte{}
	keep := func(_ context.Context, text []byte) (proofhouse.Digest, error) {
		name := proofhouse.DigestOf(text)
		texts[name] = text
		return name, nil
	}
	f := filling{
		evidence: evidence{known: s.known}, matrix: &s.matrix, full: s.full, keep: keep,
		exhibit: func(_ context.Context, k Known) (Exhibit, error) { return s.exhibits[k.ID], nil },
		open:    func(_ context.Context, name proofhouse.Digest) ([]byte, error) { return texts[name], nil },
	}
	for _, o := range offers {
		if c, ok := s.out.Checks[o.Name]; !ok || c.Outcome == Refused {
			continue
		}
		var x fix
		for _, text := range append(slices.Clone(o.Candidate.After), o.Candidate.Fix) {
			name, _ := keep(ctx, text)
			x.after = append(x.after, name)
		}
		x.name, x.after = x.after[len(x.after)-1], x.after[:len(x.after)-1]
		f.fixes = append(f.fixes, x)
	}
	if err := f.fill(ctx); err != nil {
		return err
	}
	s.out.cells = f.live(nil)
	s.out.Edges = Compare(s.known, s.out.cells)
	s.out.Clusters = Clusters(s.known, s.out.Edges, nil)
	return nil
}

// hold refuses patches that stop only some of the proofs of the cluster that they were brought for.
func (s *sorting) hold(ctx context.Context, offers []Offer) error {
	byID := map[FindingID]Known{}
	for _, k := range s.known {
		byID[k.ID] = k
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
			var members []Known
			for _, id := range cl.Members {
				members = append(members, byID[id])
			}
			for _, k := range owed(members, s.out.cells, s.own[o.Name]) {
				got, err := s.matrix.Try(ctx, s.exhibits[k.ID], append(slices.Clone(o.Candidate.After), o.Candidate.Fix)...)
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
