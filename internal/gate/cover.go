package gate

import (
	"context"
	"time"
)

// A call is written down before the upstream hears of it, which survives the
// death of this process, but it is not synced: a disk would be what callers
// wait for. What the death of the machine can lose of the record is covered by
// a promise that is synced: up to so much, and no more, may be used of this
// grant. One such record covers many calls. A gate that opens after the
// machine failed charges all that was promised and not accounted for.

// coverCalls is how many calls of the present size a promise covers ahead, and
// coverShare the part of a limit that it covers at most: what such a failure
// can cost the grant's holder.
const (
	coverCalls = 64
	coverShare = 20
)

// cover returns when what is used of t, the hold of the call that asks
// included, is covered.
func (g *Gate) cover(ctx context.Context, t *tenancy, hold Amount, now time.Time) error {
	if _, ok := t.uncovered(); ok {
		return nil
	}
	t.covering.Lock()
	defer t.covering.Unlock()
	used, ok := t.uncovered()
	if ok {
		return nil // by whoever held the lock before
	}
	ceiling := used.plus(ahead(hold, t.grant.Limits))
	if err := g.record(ctx, Record{Kind: Covered, Time: now, Grant: t.grant.ID, Hold: &ceiling, Note: g.cfg.Boot}, g.cfg.Log.Sync); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.covered = ceiling
	return nil
}

// uncovered is what is used of t now, and whether that is covered.
func (t *tenancy) uncovered() (used Amount, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	used = t.account.Spent.plus(t.account.Held)
	return used, used.within(t.covered)
}

// ahead is how much is covered beyond what is used.
func ahead(hold Amount, l Limits) Amount {
	most := func(one, limit int64) int64 {
		n := mul(one, coverCalls-1)
		if limit > 0 {
			n = min(n, limit/coverShare)
		}
		return n
	}
	return Amount{
		Requests: most(hold.Requests, l.Requests), Input: most(hold.Input, l.Input),
		Output: most(hold.Output, l.Output), NanoDollars: most(hold.NanoDollars, l.NanoDollars),
	}
}

// chargeLost charges what the machine's death may have lost of the record, on
// every grant that was covered, served this time or not.
func (g *Gate) chargeLost(s *State) error {
	for id, last := range s.Covered {
		account := s.Accounts[id]
		lost := last.Hold.beyond(account.Spent)
		if last.Note == g.cfg.Boot && g.cfg.Boot != "" || lost == (Amount{}) {
			continue
		}
		account.Spent = account.Spent.plus(lost)
		s.Accounts[id] = account
		if err := g.record(context.Background(), Record{
			Kind: Unaccounted, Time: last.Time, Grant: id, Hold: &lost,
			Note: "the machine failed, and calls of its last moments may not be in the record: all that they could have used is charged",
		}, g.cfg.Log.Sync); err != nil {
			return err
		}
	}
	return nil
}

// Close says in the record that the gate ended in order. Its calls are over,
// and none is served after it.
func (g *Gate) Close(ctx context.Context, now time.Time) error {
	for _, t := range *g.snapshot.Load() {
		t.mu.Lock()
		t.covered = Amount{} // a call that comes all the same has to be covered anew
		t.mu.Unlock()
	}
	return g.record(ctx, Record{Kind: Closed, Time: now}, g.cfg.Log.Sync)
}
