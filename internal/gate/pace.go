package gate

import (
	"context"
	"sync"
	"time"
)

// Pace bounds how many calls of this house are under way at one upstream, by
// what the upstream says: it begins with few, doubles while all goes well, and
// halves when it is told that it was too much. It is shared by all clients of
// an upstream and is safe for concurrent use.
type Pace struct {
	mu    sync.Mutex
	state paceState
	woken chan struct{} // closed and made anew when waiters should look again
}

// NewPace is a pace of at most most calls at once.
func NewPace(most int) *Pace {
	return &Pace{state: newPaceState(most), woken: make(chan struct{})}
}

// paceState is a Pace without its effects. Its methods give the state that
// follows.
type paceState struct {
	most  float64
	limit float64   // calls at once
	slow  float64   // above this, the limit grows by one a round instead of one a call
	open  int       // under way
	until time.Time // before this, none begins
	cut   time.Time // of the last cut: calls that began before tell nothing new
}

const paceStart = 4

func newPaceState(most int) paceState {
	most = max(most, 1)
	return paceState{most: float64(most), limit: min(paceStart, float64(most)), slow: float64(most)}
}

// begin takes a place if there is one; otherwise wait is how long none can
// come free by itself, 0 if only the end of a call will tell.
func (p paceState) begin(now time.Time) (next paceState, ok bool, wait time.Duration) {
	if now.Before(p.until) {
		return p, false, p.until.Sub(now)
	}
	if float64(p.open) >= max(p.limit, 1) {
		return p, false, 0
	}
	p.open++
	return p, true, 0
}

// end is a call's end. busy says that the upstream had too much to do, and
// after, if more than 0, how long it wants to be left alone.
func (p paceState) end(began, now time.Time, busy bool, after time.Duration) paceState {
	p.open--
	if after > 0 && now.Add(after).After(p.until) {
		p.until = now.Add(after)
	}
	switch {
	case !busy && p.limit < p.slow:
		p.limit = min(p.limit+1, p.most)
	case !busy:
		p.limit = min(p.limit+1/p.limit, p.most)
	case began.After(p.cut) || p.cut.IsZero():
		p.limit = max(p.limit/2, 1)
		p.slow, p.cut = p.limit, now
	}
	return p
}

// Begin waits for a place. It returns how long that took.
func (p *Pace) Begin(ctx context.Context) (waited time.Duration, err error) {
	began := time.Now()
	for ctx.Err() == nil {
		p.mu.Lock()
		next, ok, wait := p.state.begin(time.Now())
		p.state = next
		woken := p.woken
		p.mu.Unlock()
		if ok {
			return time.Since(began), nil
		}
		var due <-chan time.Time
		if wait > 0 {
			timer := time.NewTimer(wait)
			defer timer.Stop()
			due = timer.C
		}
		select {
		case <-woken:
		case <-due:
		case <-ctx.Done():
		}
	}
	return time.Since(began), context.Cause(ctx)
}

// End gives a place back, see paceState.end.
func (p *Pace) End(began time.Time, busy bool, after time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state = p.state.end(began, time.Now(), busy, after)
	close(p.woken)
	p.woken = make(chan struct{})
}

// Limit is how many calls may be under way now.
func (p *Pace) Limit() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return int(p.state.limit)
}
