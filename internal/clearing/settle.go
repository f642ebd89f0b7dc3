package clearing

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"proofhouse/internal/oracle"
)

// Other is a patch that was brought for other proofs, and is not refused for anything but what variations of its proof showed.
type Other struct {
	Candidate
	Exhibit Exhibit // the proof that it was brought with
	Vetted  bool    // no variation speaks against it
}

// rival is a patch while it is told what is held against it: open are variations that break its build as the proof did, beyond
// such as break it in another way.
type rival struct {
	Other
	open, beyond []variation
	aside        []variation // that break its build in another place, as they broke the plain one
	mended       []variation // that it stops, with what its build gives then
}

// settling tells which of the variations that a patch does not stop are of another bug.
type settling struct {
	matrix *Matrix
	all    []*rival
}

func (r *rival) on(more ...[]byte) [][]byte { return append(slices.Clone(r.After), more...) }

// stops says whether patches stop a proof.
func (s *settling) stops(ctx context.Context, e Exhibit, patches ...[]byte) (bool, error) {
	c, err := s.matrix.Try(ctx, e, patches...)
	return c.Stops, err
}

// does says whether a part of a patch, and not what it is made on top of, stops a proof, or the break at least that the proof is of: behind it a
// third bug may show.
func (s *settling) does(ctx context.Context, e Exhibit, q *rival, part []byte) (bool, error) {
	c, err := s.matrix.Try(ctx, e, q.on(part)...)
	if err != nil || !c.gone(e) || len(q.After) == 0 {
		return err == nil && c.gone(e), err
	}
	before, err := s.matrix.Try(ctx, e, q.After...)
	return !before.gone(e), err
}

func (c Cell) gone(e Exhibit) bool { return c.Stops || c.Moves && c.Breaks != e.Signature }

func (v variation) exhibit() Exhibit {
	return Exhibit{Proof: v.input, Signature: v.of.Signature, Frames: v.of.Frames, Workshop: v.of.Workshop}
}

// apart says whether two patches are of two bugs, as far as their own proofs tell: neither stops the other's.
func (s *settling) apart(ctx context.Context, p, q *rival) (bool, error) {
	part, err := s.matrix.Minimal(ctx, q.Exhibit, q.Fix, q.After...)
	if err != nil || part == nil {
		return false, err
	}
	ours, err := s.does(ctx, p.Exhibit, q, part)
	if err != nil || ours {
		return false, err
	}
	theirs, err := s.stops(ctx, q.Exhibit, p.on(p.Fix)...)
	return !theirs, err
}

// others finds the patch of another bug that a variation shows: it stops what p does not, and neither stops the other's
// own proof. Or it does so together with p, where the variation shows both bugs.
func (s *settling) others(ctx context.Context, p *rival, v variation, beyond string) (bool, error) {
	for _, q := range s.all {
		if q == p {
			continue
		}
		apart, err := s.apart(ctx, p, q)
		if err != nil {
			return false, err
		}
		if !apart {
			continue
		}
		part, err := s.matrix.Minimal(ctx, q.Exhibit, q.Fix, q.After...)
		if err != nil {
			return false, err
		}
		if ok, err := s.does(ctx, v.exhibit(), q, part); ok || err != nil {
			return ok, err
		}
		// What their own proof shows with p is what this one does: then both are tried on each other.
		if ok, err := s.behind(ctx, q, part, v, beyond); ok || err != nil {
			return ok, err
		}
		c, err := s.matrix.Try(ctx, q.Exhibit, p.on(p.Fix)...)
		if err != nil {
			return false, err
		}
		if c.Moves && c.Breaks == beyond || beyond == "" && q.Exhibit.Signature == p.Exhibit.Signature {
			both := p.on(p.Fix)
			for _, a := range q.on(part) {
				if !slices.ContainsFunc(both, func(b []byte) bool { return bytes.Equal(a, b) }) {
					both = append(both, a)
				}
			}
			e := v.exhibit()
			if beyond != "" {
				e.Signature = beyond
			}
			c, err := s.matrix.Try(ctx, e, both...)
			if err != nil {
				return false, err
			}
			if c.gone(e) {
				return true, nil
			}
		}
	}
	return false, nil
}

// behind says whether q, made on top of another patch that shows in a variation what is beyond, mends that.
func (s *settling) behind(ctx context.Context, q *rival, part []byte, v variation, beyond string) (bool, error) {
	if beyond == "" || len(q.After) == 0 {
		return false, nil
	}
	before, err := s.matrix.Try(ctx, v.exhibit(), q.After...)
	if err != nil || !before.Moves || before.Breaks != beyond {
		return false, err
	}
	e := v.exhibit()
	e.Signature = beyond
	c, err := s.matrix.Try(ctx, e, q.on(part)...)
	return c.gone(e), err
}

// more says whether another patch, one that nothing speaks against, has a part without anything to spare that stops both p's proof and the
// variation: then it is the same bug, and p mends less of it.
func (s *settling) more(ctx context.Context, p *rival, v variation) (bool, error) {
	for _, r := range s.all {
		if r == p || !r.Vetted {
			continue
		}
		part, err := s.matrix.Minimal(ctx, p.Exhibit, r.Fix, r.After...)
		if err != nil {
			return false, err
		}
		if part == nil {
			continue
		}
		both, err := s.does(ctx, p.Exhibit, r, part)
		if err == nil && both {
			both, err = s.does(ctx, v.exhibit(), r, part)
		}
		if both || err != nil {
			return both, err
		}
	}
	return false, nil
}

// holds says whether all that p leaves open is of other bugs, by the patches that are there.
func (s *settling) holds(ctx context.Context, p *rival) (bool, error) {
	for _, v := range p.open {
		theirs, err := s.others(ctx, p, v, "")
		if err != nil || !theirs {
			return false, err
		}
		ours, err := s.more(ctx, p, v)
		if err != nil || ours {
			return false, err
		}
	}
	for _, v := range p.aside { // one cause may break in many places
		ours, err := s.more(ctx, p, v)
		if err != nil || ours {
			return false, err
		}
	}
	return true, nil
}

// settle drops patches until what is left open of each that stays is another's. Those that no other patch speaks for go first; then, when nothing
// speaks against those that stay, such as only mend less than another.
func (s *settling) settle(ctx context.Context) error {
	for _, strict := range []bool{false, true} {
		for dropped := true; dropped; {
			dropped = false
			for _, p := range slices.Clone(s.all) {
				p.Vetted = strict
			}
			for _, p := range slices.Clone(s.all) {
				ok, err := s.holds(ctx, p)
				if err != nil {
					return err
				}
				if !ok {
					s.all = slices.DeleteFunc(s.all, func(q *rival) bool { return q == p })
					dropped = true
				}
			}
		}
	}
	return nil
}

// elsewhere is the signature of a break in another way that no other patch explains, or "".
func (s *settling) elsewhere(ctx context.Context, p *rival) (string, error) {
	asked := map[string]bool{}
	for _, v := range p.beyond {
		at := v.sight.Signature()
		if asked[at] {
			continue
		}
		asked[at] = true
		theirs, err := s.others(ctx, p, v, at)
		if err != nil {
			return "", err
		}
		if !theirs {
			return at, nil
		}
	}
	return "", nil
}

// maxMended is how many inputs that a patch stops are given to another patch of its bug.
const maxMended = 40

// blunt says that another patch of the same bug tells many inputs apart to which this one gives one and the same answer: it may refuse what
// the program is for. That stands against no patch that is alone.
func (s *settling) blunt(ctx context.Context, p *rival) (string, error) {
	sample := spread(p.mended, maxMended)
	ours := map[string]bool{}
	for _, v := range sample {
		ours[answer(v.sight)] = true
	}
	for _, q := range s.all {
		if q == p || !q.Vetted { // what is refused itself speaks against nothing
			continue
		}
		same, err := s.same(ctx, p, q)
		if err != nil {
			return "", err
		}
		if !same {
			continue
		}
		theirs := map[string]bool{}
		for _, v := range sample {
			b, err := s.matrix.build(ctx, v.of.Workshop, q.on(q.Fix)...)
			if err != nil {
				return "", err
			}
			if b.err != nil {
				break
			}
			s.matrix.Observed++
			sight, err := glance(ctx, b.program, v.input)
			if err != nil {
				return "", err
			}
			if sight.Broke() == 0 && !sight.Bounded() {
				theirs[answer(sight)] = true
			}
		}
		if len(theirs) > 2*len(ours) {
			return fmt.Sprintf("of %d inputs that broke the project another patch of this bug tells %d apart, and this one %d: it may refuse what the project is for", len(sample), len(theirs), len(ours)), nil
		}
	}
	return "", nil
}

// same says whether two patches are of one bug, as far as their own proofs tell: each stops the other's.
func (s *settling) same(ctx context.Context, p, q *rival) (bool, error) {
	ours, err := s.stops(ctx, q.Exhibit, p.on(p.Fix)...)
	if err != nil || !ours {
		return false, err
	}
	return s.stops(ctx, p.Exhibit, q.on(q.Fix)...)
}

// answer is what a program gives.
func answer(s oracle.Sight) string {
	if len(s.Observations) == 0 {
		return ""
	}
	o := s.Observations[0]
	return fmt.Sprintf("%d %d %s", o.Exit, o.Signal, o.Raw["stdout"])
}
