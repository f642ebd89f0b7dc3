package clearing

import (
	"context"
	"slices"

	"proofhouse/internal/oracle"
	"proofhouse/internal/proofhouse"
)

// Cell is what one proof does to a build with one patch.
type Cell struct {
	Proof proofhouse.Digest `json:"proof"`
	Patch proofhouse.Digest `json:"patch"` // of the minimal patch's text
	// Stops says that the proof breaks nothing any more. A patch that does not fit or build stops nothing.
	Stops bool `json:"stops"`
	// Moves says that the proof still breaks, but elsewhere: what it broke first is mended, and
	// something behind it shows.
	Moves bool `json:"moves,omitempty"`
	// Breaks is the signature that shows then.
	Breaks string `json:"breaks,omitempty"`
	// After are patches that were laid before this one: it stops the proof on top of them only. What they mend
	// shows first, and what this one mends is behind it.
	After []proofhouse.Digest `json:"after,omitempty"`
	// Whole says that the patch was tried as it is, since it seems to mend one bug in several places. It counts as long as it does (evidence.halves).
	Whole bool `json:"whole,omitempty"`
}

// Part is the least of a patch that stops a proof; "" where the whole does not.
type Part struct {
	Proof proofhouse.Digest `json:"proof"`
	Fix   proofhouse.Digest `json:"fix"`
	Part  proofhouse.Digest `json:"part,omitempty"`
	// Change is of what the part changes (Diff.Change): parts that have it in common make the same change.
	Change proofhouse.Digest `json:"change,omitempty"`
}

// Exhibit is a confirmed proof as the matrix takes it.
type Exhibit struct {
	Proof     []byte
	Signature string
	Frames    []string
	Workshop  Workshop // of its own harness
}

// Name is the proof's digest.
func (e Exhibit) Name() proofhouse.Digest { return proofhouse.DigestOf(e.Proof) }

// Matrix runs proofs on patched builds. A run of a build is made once, and so is a build, as long as the Matrix lives.
// It is for one goroutine.
type Matrix struct {
	Runs int // that a stopped proof must not break in; 0 is 3

	programs map[program]*built
	cells    map[cell]Cell
	// Builds and Observed count what was built and how many times a program was run.
	Builds, Observed int
}

type program struct {
	workshop Workshop
	patches  proofhouse.Digest
}

type built struct {
	program Program
	err     error
}

type cell struct {
	workshop       Workshop
	proof, patches proofhouse.Digest
}

// Close lets go of all programs.
func (m *Matrix) Close() {
	for _, b := range m.programs {
		if b.program != nil {
			_ = b.program.Close()
		}
	}
	m.programs = nil
}

func nameOf(patches [][]byte) proofhouse.Digest {
	var all []byte
	for _, p := range patches {
		all = append(append(all, p...), 0)
	}
	return proofhouse.DigestOf(all)
}

// Try says what a proof does with patches, laid over each other in their order.
func (m *Matrix) Try(ctx context.Context, e Exhibit, patches ...[]byte) (Cell, error) {
	all := nameOf(patches)
	at := cell{e.Workshop, e.Name(), all}
	if c, ok := m.cells[at]; ok {
		return c, nil
	}
	c := Cell{Proof: e.Name(), Patch: all}
	if len(patches) == 1 {
		c.Patch = proofhouse.DigestOf(patches[0])
	}
	b, err := m.build(ctx, e.Workshop, patches...)
	if err != nil {
		return Cell{}, err
	}
	if b.err == nil {
		s, err := m.observe(ctx, b.program, e.Proof)
		if err != nil {
			return Cell{}, err
		}
		c.Stops = s.Broke() == 0 && !s.Bounded()
		if s.Broke() > 0 && !sameBreak(e, s) {
			c.Moves, c.Breaks = true, s.Signature()
		}
	}
	if m.cells == nil {
		m.cells = map[cell]Cell{}
	}
	m.cells[at] = c
	return c, nil
}

// build is the program with patches, or why there is none; the error is of what goes wrong on our side.
func (m *Matrix) build(ctx context.Context, w Workshop, patches ...[]byte) (*built, error) {
	at := program{w, nameOf(patches)}
	if b := m.programs[at]; b != nil {
		return b, nil
	}
	b := &built{}
	m.Builds++
	b.program, b.err = w.Build(ctx, patches...)
	if k := proofhouse.KindOf(b.err); b.err != nil && k != proofhouse.Invalid && k != proofhouse.Failed {
		return nil, b.err
	}
	if m.programs == nil {
		m.programs = map[program]*built{}
	}
	m.programs[at] = b
	return b, nil
}

// observe runs a proof once, and more often only if that did not break.
func (m *Matrix) observe(ctx context.Context, p Program, proof []byte) (oracle.Sight, error) {
	m.Observed++
	s, err := p.Observe(ctx, proof, 1)
	n := max(m.Runs, 1)
	if m.Runs == 0 {
		n = 3
	}
	if err != nil || s.Broke() > 0 || n == 1 {
		return s, err
	}
	m.Observed += n - 1
	return p.Observe(ctx, proof, n-1)
}

// sameBreak says whether a break is the exhibit's own: of its class, with the same innermost functions.
func sameBreak(e Exhibit, s oracle.Sight) bool {
	return e.Signature == s.Signature() && slices.Equal(e.Frames[:min(3, len(e.Frames))], s.Frames[:min(3, len(s.Frames))])
}

// Minimal is the least part of a patch that still stops the exhibit, or nil if the whole does not. after are patches
// that it is made on top of.
func (m *Matrix) Minimal(ctx context.Context, e Exhibit, patch []byte, after ...[]byte) ([]byte, error) {
	d, err := ParseDiff(patch)
	if err != nil {
		return nil, err
	}
	patch = d.Whole()
	on := func(p []byte) [][]byte { return append(slices.Clone(after), p) }
	whole, err := m.Try(ctx, e, on(patch)...)
	if err != nil || !whole.Stops {
		return nil, err
	}
	keep, err := reduce(d.Len(), func(keep []int) (bool, error) {
		c, err := m.Try(ctx, e, on(d.Subset(keep))...)
		return c.Stops, err
	})
	if err != nil {
		return nil, err
	}
	if len(keep) == d.Len() {
		return patch, nil
	}
	return d.Subset(keep), nil
}

// maxBehind is how many bugs may lie before the one that a proof is of.
const maxBehind = 3

// Behind looks for patches that together stop a proof which none stops alone: those that move its break, laid over each other, and at last one
// that stops it. The cell is of that one, after the others; ok is false where none was found.
func (m *Matrix) Behind(ctx context.Context, e Exhibit, parts [][]byte) (Cell, bool, error) {
	var base [][]byte
	var names []proofhouse.Digest
	seen := e.Signature
	for range maxBehind {
		mover, shows := -1, ""
		for i, p := range parts {
			if slices.Contains(names, proofhouse.DigestOf(p)) {
				continue
			}
			c, err := m.Try(ctx, e, append(slices.Clone(base), p)...)
			switch {
			case err != nil:
				return Cell{}, false, err
			case c.Stops && len(base) > 0:
				return Cell{Proof: e.Name(), Patch: proofhouse.DigestOf(p), Stops: true, After: names}, true, nil
			case c.Stops:
				return Cell{}, false, nil
			case mover < 0 && c.Moves && c.Breaks != seen:
				mover, shows = i, c.Breaks
			}
		}
		if mover < 0 {
			return Cell{}, false, nil
		}
		base, names, seen = append(base, parts[mover]), append(names, proofhouse.DigestOf(parts[mover])), shows
	}
	return Cell{}, false, nil
}
