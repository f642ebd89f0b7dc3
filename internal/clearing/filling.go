package clearing

import (
	"context"
	"slices"

	"proofhouse/internal/proofhouse"
)

// evidence is what was executed of confirmed findings and of the patches that were not refused: all that clusters follow from, but for people's decisions.
type evidence struct {
	known []Known // oldest first
	fixes []fix   // in the order in which they came
	cells []Cell
	parts []Part
}

// fix is a patch that may be asked what it stops.
type fix struct {
	name  proofhouse.Digest   // of its text
	after []proofhouse.Digest // the texts that it is made on top of
}

// pair is a proof and a patch, or a part of one.
type pair struct{ proof, patch proofhouse.Digest }

// live are the cells that count: plain ones, and those of whole patches that hold groups together. It is pure.
func (v evidence) live(decisions []Decision) []Cell {
	cells := v.plain()
	if !slices.ContainsFunc(v.cells, func(c Cell) bool { return c.Whole }) {
		return cells
	}
	holds := map[pair]bool{}
	for _, h := range v.halves(Group(v.known, cells, decisions)) {
		holds[pair{h.known.Proof, h.fix.name}] = true
	}
	for _, c := range v.cells {
		if c.Whole && holds[pair{c.Proof, c.Patch}] {
			cells = append(cells, c)
		}
	}
	return cells
}

// plain are the cells of the least parts of patches. Those of patches that were refused since count no more. It is pure.
func (v evidence) plain() []Cell {
	asked, parts := map[proofhouse.Digest]bool{}, map[proofhouse.Digest]bool{}
	for _, f := range v.fixes {
		asked[f.name] = true
	}
	for _, q := range v.parts {
		if q.Part != "" && asked[q.Fix] {
			parts[q.Part] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(v.cells), func(c Cell) bool {
		return !parts[c.Patch] || slices.ContainsFunc(c.After, func(d proofhouse.Digest) bool { return !parts[d] })
	})
}

// half is a proof and a patch that it takes whole.
type half struct {
	known Known
	fix   fix
}

// halves finds groups of one class that no patch tells apart and that two patches with different parts stop both, or one that makes the same change in two places of
// a file: their fixes need more than one place, and each of these alone has nothing to spare for the one group and does nothing for the other. A single patch
// with two changes that differ may be two fixes that came together. It gives the patches with each proof of both groups, as far as it is known which parts of patches stop them. It is pure.
func (v evidence) halves(groups []Cluster) []half {
	byID := map[FindingID]Known{}
	for _, k := range v.known {
		byID[k.ID] = k
	}
	cut := map[pair]Part{}
	for _, q := range v.parts {
		cut[pair{q.Proof, q.Fix}] = q
	}
	alone := v.alone()
	type candidate struct {
		Cluster
		class   string
		touches []touch // of each patch
	}
	var some []candidate
	for _, g := range groups {
		c := candidate{Cluster: g, class: byID[g.ID].Bucket.Class}
		stopped := false
		for _, f := range alone {
			if _, ok := cut[pair{byID[g.ID].Proof, f.name}]; !ok {
				stopped = false
				break
			}
			t := touch{all: true}
			for _, id := range asked(g) {
				switch q, ok := cut[pair{byID[id].Proof, f.name}]; {
				case !ok:
				case q.Part == "":
					t.all = false
				case t.part == "":
					t.part, t.change = q.Part, q.Change
				}
			}
			c.touches, stopped = append(c.touches, t), stopped || t.part != ""
		}
		if stopped {
			some = append(some, c)
		}
	}
	var all []half
	for i, a := range some {
		for _, b := range some[i+1:] {
			if a.class != b.class {
				continue
			}
			for _, n := range joint(a.touches, b.touches) {
				for _, id := range slices.Concat(a.Members, b.Members) {
					all = append(all, half{byID[id], alone[n]})
				}
			}
		}
	}
	return all
}

// maxAsked is how many of a group are asked which parts of patches stop them.
const maxAsked = 4

// asked are the oldest of a group.
func asked(g Cluster) []FindingID { return g.Members[:min(maxAsked, len(g.Members))] }

// alone are the patches that need no other.
func (v evidence) alone() []fix {
	return slices.DeleteFunc(slices.Clone(v.fixes), func(f fix) bool { return len(f.after) > 0 })
}

// filling fills what is missing of the matrix: the step that Sort and the desk take alike. What evidence is there already is not sought again.
type filling struct {
	evidence
	decisions []Decision
	matrix    *Matrix
	exhibit   func(context.Context, Known) (Exhibit, error)
	open      func(context.Context, proofhouse.Digest) ([]byte, error) // a patch's text, or a part's
	keep      func(context.Context, []byte) (proofhouse.Digest, error) // a part's text
	full      bool                                                     // every part is tried on every proof

	have     map[pair]Cell
	cut      map[pair]proofhouse.Digest
	fresh    map[proofhouse.Digest]bool // proofs of which there are new cells
	minimal  []proofhouse.Digest        // the parts that were found, in their order
	newCells []Cell
	newParts []Part
}

// fill works out which proofs one patch stops, by the least of it that stops one of them. Proofs of which that is known stand together from then
// on: another patch is tried on the oldest of them, and on the others only if it stops that one; and a part of a patch only where the whole stops
// something. What is left out could part what one patch holds together, or join it by fewer than half of its pairs: neither changes a cluster. Where patches draw a proof to
// two sides, it stays with those that the older patch holds it with.
func (f *filling) fill(ctx context.Context) error {
	f.have, f.cut, f.fresh = map[pair]Cell{}, map[pair]proofhouse.Digest{}, map[proofhouse.Digest]bool{}
	for _, c := range f.cells {
		f.have[pair{c.Proof, c.Patch}] = c
	}
	for _, q := range f.parts {
		f.cut[pair{q.Proof, q.Fix}] = q.Part
	}
	var groups [][]Known
	for _, k := range f.known {
		groups = append(groups, []Known{k})
	}
	for _, x := range f.fixes {
		var parts []proofhouse.Digest
		reached := make([]bool, len(groups))
		for i, g := range groups {
			m, err := f.least(ctx, g[0], x)
			if err != nil {
				return err
			}
			if reached[i] = m != "" || f.full; m != "" && !slices.Contains(parts, m) {
				parts = append(parts, m)
			}
		}
		for _, m := range parts {
			if slices.Contains(f.minimal, m) {
				continue
			}
			f.minimal = append(f.minimal, m)
			var left [][]Known
			var joined []Known
			for i, g := range groups {
				stopped, rest, err := f.part(ctx, m, g, reached[i])
				if err != nil {
					return err
				}
				joined = append(joined, stopped...)
				if len(rest) > 0 {
					left = append(left, rest)
				}
			}
			if f.full || len(parts) > 1 {
				continue // the groups keep their places
			}
			if groups = left; len(joined) > 0 {
				groups = append(groups, joined)
			}
		}
	}
	if err := f.behind(ctx); err != nil {
		return err
	}
	return f.joint(ctx)
}

// part tries a part of a patch on a group: on all of it where it stops the first.
func (f *filling) part(ctx context.Context, m proofhouse.Digest, group []Known, reached bool) (stopped, rest []Known, err error) {
	if !reached {
		return nil, group, nil
	}
	for i, k := range group {
		c, err := f.try(ctx, k, m)
		if err != nil {
			return nil, nil, err
		}
		if c.Stops {
			stopped = append(stopped, k)
		} else if rest = append(rest, k); i == 0 && !f.full {
			return nil, group, nil
		}
	}
	return stopped, rest, nil
}

// least is the least part of a patch that stops a proof, or "" where the whole does not.
func (f *filling) least(ctx context.Context, k Known, x fix) (proofhouse.Digest, error) {
	at := pair{k.Proof, x.name}
	if part, ok := f.cut[at]; ok {
		return part, nil
	}
	e, err := f.exhibit(ctx, k)
	if err != nil {
		return "", err
	}
	texts, err := f.texts(ctx, append(slices.Clone(x.after), x.name)...)
	if err != nil {
		return "", err
	}
	m, err := f.matrix.Minimal(ctx, e, texts[len(x.after)], texts[:len(x.after)]...)
	if err != nil {
		return "", err
	}
	part := Part{Proof: k.Proof, Fix: x.name}
	if m != nil {
		if part.Part, err = f.keep(ctx, m); err != nil {
			return "", err
		}
		d, err := ParseDiff(m)
		if err != nil {
			return "", err
		}
		part.Change = d.Change()
	}
	f.cut[at] = part.Part
	f.parts, f.newParts = append(f.parts, part), append(f.newParts, part)
	return part.Part, nil
}

// texts are patches as their reader saw them.
func (f *filling) texts(ctx context.Context, names ...proofhouse.Digest) ([][]byte, error) {
	var all [][]byte
	for _, name := range names {
		text, err := f.open(ctx, name)
		if err != nil {
			return nil, err
		}
		all = append(all, text)
	}
	return wholes(all...)
}

// try says what a proof does with a patch, or a part of one, and nothing else.
func (f *filling) try(ctx context.Context, k Known, patch proofhouse.Digest) (Cell, error) {
	if c, ok := f.have[pair{k.Proof, patch}]; ok {
		if len(c.After) > 0 { // it does nothing alone: Behind was asked
			c.Stops = false
		}
		return c, nil
	}
	e, err := f.exhibit(ctx, k)
	if err != nil {
		return Cell{}, err
	}
	text, err := f.texts(ctx, patch)
	if err != nil {
		return Cell{}, err
	}
	c, err := f.matrix.Try(ctx, e, text...)
	if err != nil {
		return Cell{}, err
	}
	c.Patch = patch
	f.add(c)
	return c, nil
}

func (f *filling) add(c Cell) {
	f.have[pair{c.Proof, c.Patch}], f.fresh[c.Proof] = c, true
	f.cells, f.newCells = append(f.cells, c), append(f.newCells, c)
}

// behind looks for what proofs are of that no part stops alone, where there is one that it was not tried on.
func (f *filling) behind(ctx context.Context) error {
	asked := map[proofhouse.Digest]bool{}
	for _, k := range f.known {
		stops := func(m proofhouse.Digest) bool {
			c := f.have[pair{k.Proof, m}]
			return c.Stops && !slices.ContainsFunc(c.After, func(d proofhouse.Digest) bool { return !slices.Contains(f.minimal, d) })
		}
		if asked[k.Proof] || slices.ContainsFunc(f.minimal, stops) {
			continue
		}
		asked[k.Proof] = true
		for _, m := range f.minimal {
			if _, err := f.try(ctx, k, m); err != nil {
				return err
			}
		}
		if !f.fresh[k.Proof] {
			continue
		}
		e, err := f.exhibit(ctx, k)
		if err != nil {
			return err
		}
		texts, err := f.texts(ctx, f.minimal...)
		if err != nil {
			return err
		}
		c, ok, err := f.matrix.Behind(ctx, e, texts)
		if err != nil {
			return err
		}
		if ok {
			f.add(c)
		}
	}
	return nil
}

// joint tries the patches that hold groups together as they are.
func (f *filling) joint(ctx context.Context) error {
	byID, of := map[FindingID]Known{}, map[string]int{}
	for _, k := range f.known {
		byID[k.ID] = k
	}
	groups := Group(f.known, f.plain(), f.decisions)
	for _, g := range groups {
		of[byID[g.ID].Bucket.Class]++
	}
	for _, g := range groups {
		if of[byID[g.ID].Bucket.Class] < 2 {
			continue
		}
		for _, id := range asked(g) {
			for _, x := range f.alone() {
				if _, err := f.least(ctx, byID[id], x); err != nil {
					return err
				}
			}
		}
	}
	for _, h := range f.halves(groups) {
		c, err := f.try(ctx, h.known, h.fix.name)
		if err != nil {
			return err
		}
		if !c.Whole && len(c.After) == 0 {
			c.Whole = true
			f.add(c)
		}
	}
	return nil
}

// foreign are the signatures of other proofs that break otherwise than one does: what shows behind a patch for it may be theirs.
func foreign(signature string, others []string) []string {
	return slices.DeleteFunc(slices.Clone(others), func(s string) bool { return s == signature })
}

// owed are the members of a cluster that a patch for one of them has to stop: all but those that break in another bug first.
func owed(members []Known, cells []Cell, own FindingID) []Known {
	behind := map[proofhouse.Digest]bool{}
	for _, c := range cells {
		behind[c.Proof] = behind[c.Proof] || len(c.After) > 0
	}
	return slices.DeleteFunc(slices.Clone(members), func(k Known) bool { return k.ID != own && behind[k.Proof] })
}
