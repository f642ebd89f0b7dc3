package gate

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestFollowRule plays any order of answers, old, late, repeated and failed
// ones among them. A revocation that was seen is in force once and stays so;
// and what was revoked before AsOf is in force, whatever was lost on the way.
func TestFollowRule(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	f := &newFollowing(Follow{Source: noSource{}}).Follow
	for seed := range uint64(2000) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		now := start
		var written []Revocation // Time is when each was written
		var s sight
		var inForce []int64
		var pending []answer
		for range 120 {
			now = now.Add(time.Duration(rnd.IntN(300)) * time.Millisecond)
			for rnd.IntN(3) == 0 {
				written = append(written, Revocation{Number: int64(len(written) + 1), Everything: true, Time: now})
			}
			var e answer
			if len(pending) > 0 && rnd.IntN(3) > 0 {
				i := rnd.IntN(len(pending))
				e = pending[i]
				if rnd.IntN(4) > 0 { // else it comes again
					pending = slices.Delete(pending, i, i+1)
				}
			}
			was := s
			var do todo
			s, do = s.step(f, e, now)
			for _, r := range do.apply {
				if n := int64(len(inForce) + 1); r.Number != n {
					t.Fatalf("seed %d: %d is put in force after %d", seed, r.Number, n-1)
				}
				inForce = append(inForce, r.Number)
			}
			if s.Applied != int64(len(inForce)) || s.Applied < was.Applied || s.AsOf.Before(was.AsOf) {
				t.Fatalf("seed %d: %+v after %+v, with %d in force", seed, s, was, len(inForce))
			}
			for _, r := range written {
				if r.Time.Before(s.AsOf) && r.Number > s.Applied {
					t.Fatalf("seed %d: all before %v is said to be in force, and %d of %v is not", seed, s.AsOf, r.Number, r.Time)
				}
			}
			if !s.Cut && !now.Before(s.AsOf.Add(f.Patience+f.Grace)) {
				t.Fatalf("seed %d: calls stay open at %v, as of %v", seed, now, s.AsOf)
			}
			if do.ask {
				found := written[min(int(do.after), len(written)):]
				a := answer{asked: now, after: do.after, found: slices.Clone(found[:min(len(found), 2+rnd.IntN(3))])}
				if rnd.IntN(4) == 0 {
					a.found, a.err = nil, errors.New("no answer")
				}
				pending = append(pending, a)
			}
			if do.beat {
				pending = append(pending, answer{beaten: true, after: s.Applied})
			}
			if !s.Asking && !s.Beating && (do.wake.IsZero() || do.wake.Before(now)) {
				t.Fatalf("seed %d: nothing is under way, and it wakes at %v", seed, do.wake)
			}
		}
	}
}

type noSource struct{ Source }
