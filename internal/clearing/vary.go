package clearing

import (
	"bytes"
	"context"
	"math/rand/v2"
	"slices"
	"strings"

	"proofhouse/internal/oracle"
)

// variation is an input made from a proof, and what it does without a fix.
type variation struct {
	of    Exhibit
	input []byte
	sight oracle.Sight
	close bool // a value or a length is all that was changed, of a record if there are any
}

// explorer makes variations of one proof and runs them on the plain build: such as break it in the same function, and such as only
// just do not. It knows no format: it takes the input for bytes with lengths in it, or for lines, and looks for records that it and
// the harmless inputs have in common (shape).
type explorer struct {
	program Program
	of      Exhibit
	proof   []byte // as view shows it; cut down to the records without which it breaks nothing, where there are any
	benign  [][]byte
	view    view
	shape   shape
	shaped  bool // the harmless inputs are runs of records
	left    int  // runs
	close   bool
	rng     *rand.Rand

	seen           map[string]int // what each input did
	breaking, near []variation
	aside          []variation // some of those that broke in other places, of each signature, as proofs of their own: there before any fix
}

// What an input did.
const (
	elsewhere = iota // broke in another place, or ran into a limit
	breaks
	spares
)

// atlas keeps explorations: patches that are held to one proof share what was found around it. nil keeps nothing.
type atlas map[place]*explorer

type place struct {
	of     cell // the patches below the one that is held to it
	budget int
	seed   uint64
}

// explore makes at most budget runs.
func (a atlas) explore(ctx context.Context, program Program, of Exhibit, below [][]byte, benign [][]byte, budget int, seed uint64) (*explorer, error) {
	at := place{cell{of.Workshop, of.Name(), nameOf(below)}, budget, seed}
	if x, ok := a[at]; ok {
		return x, nil
	}
	v := viewOf(of.Proof, benign)
	x := &explorer{
		program: program, of: of, view: v, proof: v.decode(of.Proof), left: budget, seen: map[string]int{string(of.Proof): breaks},
		rng: rand.New(rand.NewPCG(seed, uint64(len(of.Proof)))), //nolint:gosec // to repeat, not to hide
	}
	for _, b := range benign {
		x.benign = append(x.benign, v.decode(b))
	}
	x.shape, x.shaped = shapeOf(x.benign)
	for _, phase := range []struct {
		run   func(context.Context) error
		share int // of the runs that are left, in percent
		close bool
	}{{x.records, 60, false}, {x.lengths, 30, true}, {x.values, 50, true}, {x.splices, 40, false}, {x.random, 100, false}} {
		x.close = phase.close
		keep := x.left - x.left*phase.share/100
		x.left -= keep
		if err := phase.run(ctx); err != nil {
			return nil, err
		}
		x.left += keep
	}
	if a != nil {
		a[at] = x
	}
	return x, nil
}

// try runs one input, unless it was run before or there is no run left.
func (x *explorer) try(ctx context.Context, input []byte) (int, error) {
	close := x.close && x.sameRecords(input) && (!x.runsOver() || lesser(input, x.proof))
	input = x.view.encode(input)
	if did, ok := x.seen[string(input)]; ok {
		return did, nil
	}
	if x.left <= 0 || len(input) > 1<<20 {
		return elsewhere, nil
	}
	x.left--
	s, err := glance(ctx, x.program, input)
	if err != nil {
		return elsewhere, err
	}
	did := elsewhere
	v := variation{x.of, input, s, close}
	switch {
	case s.Broke() > 0 && kin(x.of, s):
		did = breaks
		x.breaking = append(x.breaking, v)
	case s.Broke() == 0 && !s.Bounded():
		did = spares
		x.near = append(x.near, v)
	case s.Broke() > 0:
		x.putAside(v)
	}
	x.seen[string(input)] = did
	return did, nil
}

// sameRecords says whether an input has the records of the proof, each of its kind: without one of them it may break nothing for another reason than
// that it keeps within a bound.
func (x *explorer) sameRecords(input []byte) bool {
	if !x.shaped {
		return true
	}
	_, now, _ := x.shape.split(input)
	_, then, _ := x.shape.split(x.proof)
	return slices.EqualFunc(now, then, func(a, b []byte) bool { return bytes.Equal(x.shape.tag(a), x.shape.tag(b)) })
}

// runsOver says whether the proof runs over a buffer: a sanitizer does not see what runs over far enough, so what is greater and breaks nothing may be as bad.
func (x *explorer) runsOver() bool {
	class, _, _ := strings.Cut(x.of.Signature, ":")
	return strings.HasSuffix(class, "-overflow")
}

// lesser says whether an input is shorter than another, or its bytes are less together.
func lesser(a, b []byte) bool {
	sum := func(b []byte) (n int) {
		for _, c := range b {
			n += int(c)
		}
		return n
	}
	return len(a) < len(b) || len(a) == len(b) && sum(a) < sum(b)
}

// maxAside is how many variations are kept of one signature that is not the proof's.
const maxAside = 3

// putAside keeps a variation that broke in another place.
func (x *explorer) putAside(v variation) {
	same := 0
	for _, o := range x.aside {
		if o.of.Signature == v.sight.Signature() {
			same++
		}
	}
	if same < maxAside {
		v.of = Exhibit{Proof: v.input, Signature: v.sight.Signature(), Frames: v.sight.Frames, Workshop: v.of.Workshop}
		x.aside = append(x.aside, v)
	}
}

// glance runs an input once, as a search does: whatever rests on a break that it shows is to be observed.
func glance(ctx context.Context, p Program, input []byte) (oracle.Sight, error) {
	if g, ok := p.(interface {
		Glance(ctx context.Context, input []byte) (oracle.Sight, error)
	}); ok {
		return g.Glance(ctx, input)
	}
	return p.Observe(ctx, input, 1)
}

// all tries inputs one after the other.
func (x *explorer) all(ctx context.Context, inputs ...[]byte) error {
	for _, b := range inputs {
		if _, err := x.try(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

// kin says whether a break is of the exhibit's class and in its innermost function.
func kin(e Exhibit, s oracle.Sight) bool {
	if e.Signature != s.Signature() {
		return false
	}
	return len(e.Frames) == 0 || len(s.Frames) > 0 && e.Frames[0] == s.Frames[0]
}

// field is a place in an input that may be a length: the integer of width bytes at at is that of the bytes after it, or less.
type field struct {
	at, width int
	little    bool
	value     int
}

func (f field) read(b []byte) int {
	v := 0
	for i := range f.width {
		j := f.at + i
		if f.little {
			j = f.at + f.width - 1 - i
		}
		v = v<<8 | int(b[j])
	}
	return v
}

func (f field) write(b []byte, v int) {
	for i := range f.width {
		j := f.at + f.width - 1 - i
		if f.little {
			j = f.at + i
		}
		b[j] = byte(v >> (8 * i)) //nolint:gosec // a byte of it
	}
}

// fields finds what may be lengths, the likeliest first: those that reach exactly to the end, then those behind which another
// such field follows, then others.
func fields(b []byte) []field {
	var exact, other []field
	for at := range b {
		for _, width := range []int{1, 2, 3, 4} {
			for _, little := range []bool{false, true} {
				if width == 1 && little || at+width >= len(b) || width > 1 && b[at] == 0 && b[at+width-1] == 0 {
					continue
				}
				f := field{at: at, width: width, little: little}
				f.value = f.read(b)
				end := at + width + f.value
				if f.value == 0 || end > len(b) {
					continue
				}
				if end == len(b) {
					exact = append(exact, f)
				} else if width > 1 || f.value >= 4 {
					other = append(other, f)
				}
			}
		}
	}
	// A wide field has narrow ones in it: the widest says most.
	slices.SortStableFunc(exact, func(a, b field) int { return b.width - a.width })
	return append(exact, other...)
}

// Bounds of what is tried, so that one phase leaves runs to the next.
const (
	maxFields = 12
	maxPlaces = 40
)

// lengths grows, shrinks and doubles what a field counts, and follows each change to where it begins to matter.
func (x *explorer) lengths(ctx context.Context) error {
	proof := x.proof
	for _, f := range fields(proof)[:min(maxFields, len(fields(proof)))] {
		from := f.at + f.width
		end := from + f.value
		holding := func(body []byte) []byte {
			b := slices.Concat(proof[:from], body, proof[end:])
			f.write(b, len(body))
			return b
		}
		grown := func(k int) []byte {
			fill := slices.Repeat([]byte{proof[end-1]}, k)
			b := slices.Concat(proof[:end], fill, proof[end:])
			f.write(b, f.value+k)
			return b
		}
		if err := x.cut(ctx, proof[from:end], holding); err != nil {
			return err
		}
		top := 1<<(8*f.width) - 1 - f.value
		if _, err := x.bisect(ctx, min(top, 4096), grown); err != nil {
			return err
		}
		for _, k := range []int{16, 64, 200, 600} {
			if k <= top {
				if _, err := x.try(ctx, grown(k)); err != nil {
					return err
				}
			}
		}
		for lead := 0; lead <= min(2, f.at); lead++ { // the record, with its tag before the length
			record := proof[f.at-lead : end]
			for _, b := range [][]byte{
				slices.Concat(proof[:end], record, proof[end:]),
				slices.Concat(proof[:end], record, record, proof[end:]),
				slices.Concat(proof[:f.at-lead], proof[end:]),
			} {
				if _, err := x.try(ctx, b); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// cut takes bytes from the end of what a length counts, to where that begins to matter. There it takes others out and puts others in: a
// program that writes some bytes as several is only just over its bound with them, and a fix may be wrong by less than the last byte cut makes.
func (x *explorer) cut(ctx context.Context, body []byte, holding func([]byte) []byte) error {
	k, err := x.bisect(ctx, len(body), func(k int) []byte { return holding(body[:len(body)-k]) })
	if err != nil {
		return err
	}
	body = body[:len(body)-k]
	for _, c := range telling(body) {
		at := bytes.LastIndexByte(body, c)
		if err := x.all(ctx, holding(slices.Delete(slices.Clone(body), at, at+1))); err != nil {
			return err
		}
		for _, d := range x.plain(c) {
			b := slices.Clone(body)
			for at, times := len(b)-1, 0; at >= 0 && times < 2; at-- {
				if b[at] != c {
					continue
				}
				b[at] = d
				times++
				if err := x.all(ctx, holding(b)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// telling are the values of at most three bytes of a body: the two that it has most of, and the one that it has least of.
func telling(body []byte) []byte {
	all := byCount(body)
	if len(all) > 3 {
		all = append(all[:2:2], all[len(all)-1])
	}
	return all
}

// plain are at most two letters or digits, other than c, that the harmless inputs have most of.
func (x *explorer) plain(c byte) []byte {
	all := byCount(bytes.Join(x.benign, nil))
	all = slices.DeleteFunc(all, func(b byte) bool {
		return b == c || (b < '0' || b > '9') && (b|0x20 < 'a' || b|0x20 > 'z')
	})
	return all[:min(2, len(all))]
}

// byCount are the values that occur in b, the commonest first.
func byCount(b []byte) []byte {
	var count [256]int
	for _, c := range b {
		count[c]++
	}
	var all []byte
	for c, n := range count {
		if n > 0 {
			all = append(all, byte(c)) //nolint:gosec // an index of 256
		}
	}
	slices.SortStableFunc(all, func(a, b byte) int { return count[b] - count[a] })
	return all
}

// bisect looks for where a change of some size, from 0, which breaks, to most, begins not to, and tries both sides of that. It
// gives the largest change found that breaks.
func (x *explorer) bisect(ctx context.Context, most int, make func(int) []byte) (int, error) {
	if most < 1 {
		return 0, nil
	}
	did, err := x.try(ctx, make(most))
	if err != nil || did == breaks {
		return most, err
	}
	low, high := 0, most
	for high-low > 1 {
		mid := (low + high) / 2
		did, err := x.try(ctx, make(mid))
		if err != nil {
			return 0, err
		}
		if did == breaks {
			low = mid
		} else {
			high = mid
		}
	}
	return low, nil
}

// splices lays the beginnings of harmless inputs over the proof's, and single bytes of theirs.
func (x *explorer) splices(ctx context.Context) error {
	proof := x.proof
	for _, b := range x.benign {
		for i := 1; i <= min(12, len(b), len(proof)); i++ {
			for _, input := range [][]byte{
				slices.Concat(b[:i], proof[i:]),
				slices.Concat(proof[:i-1], b[i-1:i], proof[i:]),
			} {
				if _, err := x.try(ctx, input); err != nil {
					return err
				}
			}
		}
		for _, input := range [][]byte{slices.Concat(proof, b), slices.Concat(b, proof)} {
			if _, err := x.try(ctx, input); err != nil {
				return err
			}
		}
	}
	return nil
}

// random spends the runs that are left on small changes anywhere.
func (x *explorer) random(ctx context.Context) error {
	for x.left > 0 {
		b := slices.Clone(x.proof)
		for range 1 + x.rng.IntN(3) {
			b = mutate(b, x.benign, x.rng)
		}
		before := x.left
		if _, err := x.try(ctx, b); err != nil {
			return err
		}
		if x.left == before { // seen already
			x.left--
		}
	}
	return nil
}
