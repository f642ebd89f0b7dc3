package gate

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"proofhouse/internal/proofhouse"
)

// Revocation ends grants at one gate, or at every gate that follows the same
// Source. Exactly one of Grant, Case, Subject, KeyHash and Everything is set.
type Revocation struct {
	Number     int64     `json:"number"` // its place in the set, from 1
	Grant      string    `json:"grant,omitempty"`
	Case       string    `json:"case,omitempty"`
	Subject    string    `json:"subject,omitempty"`
	KeyHash    string    `json:"key_hash,omitempty"` // see HashKey: it ends the grant of a key that was found somewhere
	Everything bool      `json:"everything,omitempty"`
	Reason     string    `json:"reason,omitempty"`
	Actor      string    `json:"actor,omitempty"` // who revoked
	Time       time.Time `json:"time"`            // for the reader; what it ends is decided by Number
}

// Validate says what a revocation lacks: proofhouse.Invalid.
func (r Revocation) Validate() error {
	set := 0
	for _, is := range []bool{r.Grant != "", r.Case != "", r.Subject != "", r.KeyHash != "", r.Everything} {
		if is {
			set++
		}
	}
	if set != 1 {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "say what ends: a grant, a case, a subject, a key or everything, and one of these only")
	}
	return nil
}

// ends says whether r ends g: a grant that was made after it, knowing of it, is
// another matter. Numbers decide and not times, since clocks differ.
func (r Revocation) ends(g *Grant) bool {
	return r.Names(g) && (r.Grant != "" || r.KeyHash != "" || r.Number > g.Since)
}

// Names says whether g is among what r ends, whenever it was made.
func (r Revocation) Names(g *Grant) bool {
	return r.Everything || r.Grant != "" && r.Grant == g.ID || r.KeyHash != "" && r.KeyHash == g.KeyHash ||
		r.Case != "" && r.Case == g.Case || r.Subject != "" && r.Subject == g.Subject
}

// Source is the set of revocations that gates share; store.Gate is one. Its
// methods may be called at the same time.
type Source interface {
	// Revocations are the next ones after a number, in their order: at least two
	// if there are two, none if there are no more yet. What has been in an answer stays, and nothing ever
	// appears before it.
	Revocations(ctx context.Context, after int64) ([]Revocation, error)
	// Beat tells the others that a gate lives, and that all revocations up to
	// applied are in force there. Repeating it changes nothing.
	Beat(ctx context.Context, instance string, applied int64, now time.Time) error
}

// Follow says whose revocations a gate follows besides its own. A nil Source is
// nobody's; with one, the gate admits nothing until CatchUp or Follow has asked it.
type Follow struct {
	Source   Source
	Instance string // names this gate among the others
	// Poll is how often Source is asked (default 200 ms).
	Poll time.Duration
	// Patience is how old the last question that got an answer may be before new
	// calls are refused (default 750 ms).
	Patience time.Duration
	// Grace is how long after that open calls are cut (default 5 s).
	Grace time.Duration
}

// beatEach is how often a gate tells that it lives, if nothing new is in force.
const beatEach = time.Second

// sight is what a gate knows of its source. AsOf is when the last question was
// asked that showed it all there was: what was revoked before that is in force.
type sight struct {
	Applied int64 // all revocations up to this number are in force
	Last    Revocation
	Least   int64 // some grant was made when so many were known: the source has no fewer
	AsOf    time.Time
	Asking  bool
	AskAt   time.Time
	Cut     bool // open calls were cut since AsOf
	Beating bool
	Told    int64
	BeatAt  time.Time
}

// answer is an event: the source's answer to a question. The zero answer only says that time has passed.
type answer struct {
	asked  time.Time
	after  int64
	found  []Revocation
	err    error
	beaten bool // an answer to Beat, of applied = after
}

// todo is what follows from an event.
type todo struct {
	apply []Revocation
	ask   bool
	after int64
	cut   bool
	beat  bool
	wake  time.Time
}

// step is the whole rule. Nothing in it takes a revocation back, and a late or
// repeated answer changes nothing.
func (s sight) step(f *Follow, e answer, now time.Time) (sight, todo) {
	var do todo
	switch {
	case e.beaten:
		s.Beating = false
		if e.err == nil {
			s.Told = max(s.Told, e.after)
		}
	case !e.asked.IsZero():
		s.Asking = false
		s.AskAt = e.asked.Add(f.Poll)
		found, err := s.news(e)
		if err != nil {
			s.AskAt = now.Add(f.Poll)
			break
		}
		do.apply = found
		if len(found) > 0 {
			s.Last = found[len(found)-1]
			s.Applied = s.Last.Number
			s.AskAt, s.BeatAt = now, now // there may be more, and others wait to hear of it
		} else if e.after >= s.Applied-1 && e.asked.After(s.AsOf) {
			s.AsOf, s.Cut = e.asked, false
		}
	}
	if end := s.AsOf.Add(f.Patience + f.Grace); !s.Cut && !now.Before(end) {
		do.cut, s.Cut = true, true
	} else if !s.Cut {
		do.wake = end
	}
	if !s.Asking && !now.Before(s.AskAt) {
		do.ask, s.Asking = true, true
		do.after = max(s.Applied-1, 0) // the last one again: see news
	}
	if !s.Beating && !now.Before(s.BeatAt) {
		do.beat, s.Beating = true, true
		s.BeatAt = now.Add(beatEach)
	}
	for _, at := range []struct {
		is bool
		t  time.Time
	}{{!s.Asking, s.AskAt}, {!s.Beating, s.BeatAt}} {
		if at.is && (do.wake.IsZero() || at.t.Before(do.wake)) {
			do.wake = at.t
		}
	}
	return s, do
}

// news is what an answer holds that was not known. A source that no longer has
// what it had was put back to an earlier state, and what it says is not all that was revoked.
func (s sight) news(e answer) ([]Revocation, error) {
	if e.err != nil {
		return nil, e.err
	}
	var found []Revocation
	kept := e.after >= s.Applied // a question that did not ask for the last one again
	for _, r := range e.found {
		if r.Number == s.Applied {
			kept = r == s.Last
		}
		if r.Number > s.Applied {
			found = append(found, r)
		}
	}
	if e.after < s.Applied-1 {
		return found, nil // an answer that comes late
	}
	if !kept || len(found) == 0 && s.Applied < s.Least {
		return nil, proofhouse.Errorf(proofhouse.Conflict, nil, "the shared revocations are fewer than they were: the database was put back to an earlier state, or is another one")
	}
	return found, nil
}

// following is what a gate that follows a source keeps.
type following struct {
	Follow
	sight sight // owned by CatchUp, then by Follow
	asOf  atomic.Pointer[time.Time]
}

func newFollowing(f Follow) *following {
	if f.Source == nil {
		return nil
	}
	if f.Poll == 0 {
		f.Poll = 200 * time.Millisecond
	}
	if f.Patience == 0 {
		f.Patience = 750 * time.Millisecond
	}
	if f.Grace == 0 {
		f.Grace = 5 * time.Second
	}
	w := &following{Follow: f}
	w.asOf.Store(&time.Time{})
	return w
}

// unsure refuses a call while the gate may have missed a revocation. It goes by
// the clock and not by what Follow last did, which may be stuck.
func (w *following) unsure(now time.Time) *Refusal {
	if w == nil || now.Sub(*w.asOf.Load()) < w.Patience {
		return nil
	}
	return refuse(Unconfirmed, "the gate cannot confirm at present that this key is still in force: try again")
}

// CatchUp puts all revocations that there are in force, and returns when the
// source has no more and has been told of this gate. Grants that are made from then on know of them. Its
// errors are the source's.
func (g *Gate) CatchUp(ctx context.Context) error {
	w := g.following
	for {
		asked, after := time.Now(), max(w.sight.Applied-1, 0)
		found, err := w.Source.Revocations(ctx, after)
		e := answer{asked: asked, after: after, found: found, err: err}
		if _, err := w.sight.news(e); err != nil {
			return err
		}
		before := w.sight.Applied
		var do todo
		w.sight, do = w.sight.step(&w.Follow, e, time.Now())
		w.sight.Asking, w.sight.Beating = false, false
		g.perform(ctx, do)
		if w.sight.Applied == before { // whoever revokes from here on waits for this gate
			return w.Source.Beat(ctx, w.Instance, before, time.Now())
		}
	}
}

// Follow keeps up with the source until ctx ends: it puts revocations in
// force, and cuts open calls when the source has been silent for too long.
// Calls of the source that are under way are waited for. CatchUp may come
// before it, not beside it.
func (g *Gate) Follow(ctx context.Context) {
	w := g.following
	if w == nil {
		return
	}
	var asking sync.WaitGroup
	defer asking.Wait()
	answers := make(chan answer)
	ask := func(f func(ctx context.Context) answer) {
		asking.Go(func() {
			// An answer that takes longer than Patience comes too late to admit anything.
			in, cancel := context.WithTimeout(ctx, w.Patience)
			defer cancel()
			select {
			case answers <- f(in):
			case <-ctx.Done():
			}
		})
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		var e answer
		select {
		case <-ctx.Done():
			return
		case e = <-answers:
		case <-timer.C:
		}
		now := time.Now()
		var do todo
		w.sight, do = w.sight.step(&w.Follow, e, now)
		g.perform(ctx, do)
		if do.ask {
			asked := now
			ask(func(ctx context.Context) answer {
				found, err := w.Source.Revocations(ctx, do.after)
				return answer{asked: asked, after: do.after, found: found, err: err}
			})
		}
		if do.beat {
			applied := w.sight.Applied
			ask(func(ctx context.Context) answer {
				return answer{beaten: true, after: applied, err: w.Source.Beat(ctx, w.Instance, applied, now)}
			})
		}
		timer.Reset(time.Until(do.wake))
	}
}

// perform does what takes no time of the source's. Revocations come first: what
// the gate then says that it has seen, it acts upon.
func (g *Gate) perform(ctx context.Context, do todo) {
	w := g.following
	for _, r := range do.apply {
		// A grant that is being made either knows of r from here on, or is found below.
		g.mu.Lock()
		g.seen = max(g.seen, r.Number)
		g.mu.Unlock()
		note := fmt.Sprintf("revocation %d by %s: %s", r.Number, r.Actor, r.Reason)
		// It is in force even if it cannot be written down; the next start reads it again.
		_, _, _ = g.Revoke(ctx, func(grant Grant) bool { return r.ends(&grant) && !g.revoked(grant.KeyHash) }, note, r.Time)
	}
	if do.cut {
		for _, t := range *g.snapshot.Load() {
			t.mu.Lock()
			for f := range t.calls {
				f.cancel(refuse(Unconfirmed, "it could no longer be confirmed that this key is in force while this answer was under way"))
			}
			t.mu.Unlock()
		}
	}
	asOf := w.sight.AsOf
	w.asOf.Store(&asOf)
}

// Revoked says whether a grant of that id is revoked here.
func (g *Gate) Revoked(id string) bool {
	t, err := g.granted(id)
	return err == nil && g.revoked(t.grant.KeyHash)
}

// revoked says whether a key's grant is revoked here already.
func (g *Gate) revoked(keyHash string) bool {
	t := (*g.snapshot.Load())[keyHash]
	if t == nil {
		return false // its upstream is not served this time
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.revoked != nil
}
