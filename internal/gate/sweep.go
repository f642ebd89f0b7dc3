package gate

import (
	"context"
	"errors"
	"time"
)

// A hold lives as long as its call, and a call no longer than its grant. Where
// a fault leaves one behind all the same, it would lock up a part of the budget
// for good; so would the calls of a gate that was killed stay without an end in
// the record. Both are swept: charged whole, since what the upstream did is not
// known, with an end and a sentence that says so.

// sweepAfter is how long after its grant's end or revocation a call may take
// to end by itself: far longer than any wait that is left to it then.
const sweepAfter = 5 * time.Minute

// keptSweeps is how many sweeps of a grant are remembered for its list.
const keptSweeps = 20

// Swept is a hold that was charged whole because no call settled it.
type Swept struct {
	Call string    `json:"call"`
	Time time.Time `json:"time"` // of the sweep
	Hold Amount    `json:"hold"`
	Why  string    `json:"why"`
}

const (
	sweptLeak = "the call did not end with its grant: its hold was charged whole"
	sweptKill = "the gate ended before this call did: its hold was charged whole"
)

// Sweep charges the holds of calls that should have ended some time before now,
// and did not. It returns how many those were.
func (g *Gate) Sweep(ctx context.Context, now time.Time) (n int, err error) {
	for _, t := range *g.snapshot.Load() {
		for _, f := range t.leaked(now) {
			n++
			err = errors.Join(err, g.record(ctx, sweptRecord(t.grant.ID, f.call, f.hold, now, sweptLeak), g.cfg.Log.Sync))
			t.settle(f, f.hold)
			t.mu.Lock()
			t.sweeps = remember(t.sweeps, Swept{f.call, now, f.hold, sweptLeak})
			t.mu.Unlock()
			f.cancel(timeIsUp)
		}
	}
	return n, err
}

// leaked takes over the calls that should have ended long before now.
func (t *tenancy) leaked(now time.Time) (all []*flow) {
	t.mu.Lock()
	defer t.mu.Unlock()
	end := t.grant.Until
	if t.revoked != nil && t.ended.Before(end) {
		end = t.ended
	}
	if now.Before(end.Add(sweepAfter)) {
		return nil
	}
	for f := range t.calls {
		if !f.settled {
			f.settled = true
			all = append(all, f)
		}
	}
	return all
}

// claim says whether a call is still its own to settle.
func (t *tenancy) claim(f *flow) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	mine := !f.settled
	f.settled = true
	return mine
}

// Swept are the last sweeps of each grant, by its id.
func (g *Gate) Swept() map[string][]Swept {
	all := map[string][]Swept{}
	for _, t := range *g.snapshot.Load() {
		t.mu.Lock()
		if len(t.sweeps) > 0 {
			all[t.grant.ID] = append([]Swept(nil), t.sweeps...)
		}
		t.mu.Unlock()
	}
	return all
}

func remember(list []Swept, s Swept) []Swept {
	if list = append(list, s); len(list) > keptSweeps {
		list = list[len(list)-keptSweeps:]
	}
	return list
}

func sweptRecord(grant, call string, hold Amount, now time.Time, why string) Record {
	return Record{Kind: Ended, Time: now, Grant: grant, Call: call, End: &End{Outcome: SweptUp, Charge: hold}, Note: why}
}

// sweepKilled gives the calls of a gate that was killed their end in the
// record, and charges their whole holds: what the upstream did for them is not
// known.
func (g *Gate) sweepKilled(s *State) error {
	for _, call := range s.Open() {
		o := s.open[call]
		r := sweptRecord(o.grant, call, o.hold, s.Last, sweptKill)
		if err := g.record(context.Background(), r, nil); err != nil {
			return err
		}
		s.Add(r)
	}
	return nil
}
