package gate

import (
	"container/list"
	"context"
	"sync"
	"time"
)

// Pace bounds how many calls of this house are under way at one upstream, by
// what the upstream says. Calls begin in the order of their coming. It is
// shared by all clients of an upstream and is safe for concurrent use.
type Pace struct {
	mu      sync.Mutex // guards what follows
	state   paceState
	waiting list.List   // of chan struct{}, closed when its call has its place
	alarm   *time.Timer // for when time alone will let one begin
}

// NewPace is a pace of at most most calls at once.
func NewPace(most int) *Pace { return &Pace{state: newPaceState(most)} }

// paceState is a Pace without its effects: each method gives the state that
// follows. It begins with a few places and adds one for each answer, which
// doubles them each round, until the upstream is first overloaded; then it adds one for each
// round. An overload halves them.
type paceState struct {
	most   int
	places int       // at least 1
	heard  int       // answers since a place was added
	open   int       // calls under way
	steady bool      // an overload has been met
	full   time.Time // when all places were last taken
	cut    time.Time // when they were last halved
	until  time.Time // before this, none begins
}

const paceStart = 4

func newPaceState(most int) paceState {
	most = max(most, 1)
	return paceState{most: most, places: min(paceStart, most)}
}

// begin takes a place if there is one; otherwise wait is how long none can
// come free by itself, 0 if only the end of a call will tell.
func (p paceState) begin(now time.Time) (next paceState, ok bool, wait time.Duration) {
	switch {
	case p.open >= p.places:
		return p, false, 0
	case now.Before(p.until):
		return p, false, p.until.Sub(now)
	}
	if p.open++; p.open >= p.places {
		p.full = now
	}
	return p, true, 0
}

// load is what a call's end says of its upstream.
type load int

const (
	unheard    load = iota // nothing
	answered               // it has room
	overloaded             // 429, 503, 529
)

// end is the end of a call that began at began. after, if more than 0, is how
// long the upstream wants to be left alone by everybody.
func (p paceState) end(began, now time.Time, l load, after time.Duration) paceState {
	p.open--
	if after > 0 && now.Add(after).After(p.until) {
		p.until = now.Add(after)
	}
	switch l {
	case answered:
		switch {
		case p.full.Before(began): // there was room all the while: nothing was tried
		case p.steady && p.heard+1 < p.places:
			p.heard++
		default:
			p.places, p.heard = min(p.places+1, p.most), 0
		}
	case overloaded:
		p.steady = true
		if !began.Before(p.cut) { // calls that began before were sent at the old pace
			p.places, p.heard, p.cut = max(p.places/2, 1), 0, now
		}
	case unheard:
	}
	return p
}

// Begin waits for a place. It returns how long that took.
func (p *Pace) Begin(ctx context.Context) (waited time.Duration, err error) {
	came, turn := time.Now(), make(chan struct{})
	p.mu.Lock()
	e := p.waiting.PushBack(turn)
	p.admit(came)
	p.mu.Unlock()
	select {
	case <-turn:
		return time.Since(came), nil
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	select {
	case <-turn: // in the same moment: its place is for the next
		p.state = p.state.end(now, now, unheard, 0)
	default:
		p.waiting.Remove(e)
	}
	p.admit(now)
	return time.Since(came), context.Cause(ctx)
}

// End gives a place back, see paceState.end.
func (p *Pace) End(began time.Time, l load, after time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	p.state = p.state.end(began, now, l, after)
	p.admit(now)
}

// admit gives places to those who wait, with mu held.
func (p *Pace) admit(now time.Time) {
	for e := p.waiting.Front(); e != nil; e = p.waiting.Front() {
		next, ok, wait := p.state.begin(now)
		if !ok {
			if p.alarm != nil {
				p.alarm.Stop()
			}
			if p.alarm = nil; wait > 0 {
				p.alarm = time.AfterFunc(wait, func() {
					p.mu.Lock()
					defer p.mu.Unlock()
					p.admit(time.Now())
				})
			}
			return
		}
		p.state = next
		close(p.waiting.Remove(e).(chan struct{}))
	}
}

// Limit is how many calls may be under way now.
func (p *Pace) Limit() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state.places
}
