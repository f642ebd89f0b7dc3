package gate

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"proofhouse/internal/proofhouse"
)

// Safeguard is a classifier that a grant is subject to.
type Safeguard struct {
	Guard string `json:"guard"` // the name of one of Config.Guards
	Stage Stage  `json:"stage"`
	Mode  Mode   `json:"mode"`
	// Hold is how many bytes of generated text mode hold keeps back until they
	// are judged; 0 is all of the answer.
	Hold int64 `json:"hold,omitempty"`
	// FailOpen lets pass what the guard could not judge; else it is refused.
	FailOpen bool `json:"fail_open,omitempty"`
	// Within is how long one judgement may take; 0 is two seconds.
	Within time.Duration `json:"within_ns,omitempty"`
}

// Stage is what a safeguard judges.
type Stage string

// The stages.
const (
	OnRequest Stage = "request" // the body, before the upstream hears of the call
	OnAnswer  Stage = "answer"  // the text that the model generates, as it comes
)

// Mode is what a safeguard may do.
type Mode string

// The modes. Text that passes is never changed.
const (
	Observe Mode = "observe" // nothing is kept back or ended; the judgement is in the record
	Hold    Mode = "hold"    // the answer's beginning is kept back until it is judged, then as cut
	CutOff  Mode = "cut"     // the call ends where the guard says so
)

// Guard judges text. Judge is called from several goroutines; ctx ends when
// the judgement is of no use any more. An error is a failure of the guard, and
// what follows from it is the safeguard's to say.
type Guard interface {
	Judge(ctx context.Context, i Inspection) (Judgement, error)
	// Quick says that judging costs less than waiting for it: such a guard is
	// asked for each event, before it passes.
	Quick() bool
}

// Inspection is what a Guard gets to see.
type Inspection struct {
	Call     string   `json:"call"`
	Subject  string   `json:"subject"`
	Case     string   `json:"case,omitempty"`
	Codename string   `json:"codename"`
	Protocol string   `json:"protocol"`
	Stage    Stage    `json:"stage"`
	Kind     TextKind `json:"kind,omitempty"` // of an answer's text
	// Text is a request's body, or the generated text of one thread: what is
	// new, behind at most lookBack bytes of what was judged before.
	Text []byte `json:"-"`
}

// Judgement is a Guard's answer.
type Judgement struct {
	Cut    bool
	Reason string // for the record
}

// Judged is what one safeguard did in one call.
type Judged struct {
	Guard  string `json:"guard"`
	Stage  Stage  `json:"stage"`
	Mode   Mode   `json:"mode"`
	Action Action `json:"action"`
	Reason string `json:"reason,omitempty"`
	Times  int    `json:"times"` // that it was asked
	Took   int64  `json:"took_us"`
}

// Action is what came of a safeguard's judgements.
type Action string

// The actions.
const (
	Passed       Action = "passed"
	Stopped      Action = "cut"         // the call was refused or cut
	Noted        Action = "noted"       // it would have been, and the mode is observe, or it had ended
	FailedOpen   Action = "failed_open" // the guard failed, and the call went on
	FailedClosed Action = "failed_closed"
)

const (
	lookBack  = 2 << 10 // bytes of a thread that are judged again with what follows
	judgeStep = 2 << 10 // bytes of new text after which a guard that is not quick is asked
	heldMax   = 8 << 20 // bytes of an answer that are kept back at most before they are judged
	guardTime = 2 * time.Second
)

// Validate says what is wrong with a safeguard: proofhouse.Invalid.
func (s Safeguard) Validate() error {
	switch {
	case s.Guard == "":
		return proofhouse.Errorf(proofhouse.Invalid, nil, "a safeguard needs the name of a guard")
	case s.Stage != OnRequest && s.Stage != OnAnswer:
		return proofhouse.Errorf(proofhouse.Invalid, nil, "safeguard %s judges the request or the answer, not %q", s.Guard, s.Stage)
	case !slices.Contains([]Mode{Observe, Hold, CutOff}, s.Mode):
		return proofhouse.Errorf(proofhouse.Invalid, nil, "safeguard %s is to observe, hold or cut, not to %q", s.Guard, s.Mode)
	case s.Hold < 0 || s.Within < 0 || s.Within > time.Minute:
		return proofhouse.Errorf(proofhouse.Invalid, nil, "safeguard %s holds at least 0 bytes and takes at most a minute", s.Guard)
	}
	return nil
}

// watch is one safeguard at work on one call. It belongs to the call's
// goroutine but for what mu guards.
type watch struct {
	Safeguard
	guard Guard // nil if the gate does not have it, which is a failure
	call  *call

	threads map[Thread]*thread
	fresh   int  // bytes that were not judged
	past    bool // the beginning that is held was judged

	mu      sync.Mutex // guards what follows
	result  Judged
	asking  bool // in the background
	pending sync.WaitGroup
}

// thread is the end of one text, and how much of it is new.
type thread struct {
	text  []byte
	fresh int
}

// watches sets up the call's safeguards.
func (c *call) watches() {
	for _, s := range c.tenancy.grant.Safeguards {
		w := &watch{Safeguard: s, guard: c.gate.cfg.Guards[s.Guard], call: c, result: Judged{Guard: s.Guard, Stage: s.Stage, Mode: s.Mode, Action: Passed}}
		if w.Within == 0 {
			w.Within = guardTime
		}
		c.guards = append(c.guards, w)
	}
}

// judgeRequest is the refusal of a request that a safeguard stops.
func (c *call) judgeRequest(ctx context.Context, body []byte) *Refusal {
	for _, w := range c.guards {
		if w.Stage != OnRequest {
			continue
		}
		if w.Mode == Observe && (w.guard == nil || !w.guard.Quick()) {
			w.background(ctx, Inspection{Text: body}, nil)
			continue
		}
		if no := w.ask(ctx, Inspection{Text: body}); no != nil {
			return no
		}
	}
	return nil
}

// judgeAnswer judges an answer that is no stream.
func (c *call) judgeAnswer(ctx context.Context, pieces []Piece) *Refusal {
	for _, w := range c.guards {
		if w.Stage != OnAnswer {
			continue
		}
		w.read(pieces)
		if no := w.judge(ctx, true, w.Mode != Observe || w.quick()); no != nil {
			return no
		}
	}
	return nil
}

// judgeEvent judges what an event generated, or with last the end of the
// stream. hold says that what came so far is to be kept back.
func (c *call) judgeEvent(ctx context.Context, pieces []Piece, held int, last bool) (no *Refusal, hold bool) {
	for _, w := range c.guards {
		if w.Stage != OnAnswer {
			continue
		}
		w.read(pieces)
		keeps := w.Mode == Hold && !w.past
		enough := last || held > heldMax || w.Hold > 0 && int64(w.fresh) >= w.Hold
		due := w.fresh > 0 && (last || w.quick() || w.fresh >= judgeStep)
		switch {
		case keeps && !enough:
			hold = true
		case keeps || due:
			w.past = w.past || w.Hold > 0 // a whole answer is held to its end, part by part
			if no := w.judge(ctx, last, keeps || w.quick()); no != nil {
				return no, false
			}
		}
	}
	return nil, hold
}

func (w *watch) quick() bool { return w.guard == nil || w.guard.Quick() }

// read takes in generated text.
func (w *watch) read(pieces []Piece) {
	for _, p := range pieces {
		if w.threads == nil {
			w.threads = map[Thread]*thread{}
		}
		t := w.threads[p.Thread]
		if t == nil {
			t = &thread{}
			w.threads[p.Thread] = t
		}
		t.text, t.fresh = append(t.text, p.Text...), t.fresh+len(p.Text)
		w.fresh += len(p.Text)
	}
}

// judge asks the guard about all that is new, before anything goes on if wait
// is set, and else beside it.
func (w *watch) judge(ctx context.Context, last, wait bool) *Refusal {
	if !wait && w.busy() && !last {
		return nil // what is new is judged with what follows
	}
	var all []Inspection
	for at, t := range w.threads {
		if t.fresh == 0 {
			continue
		}
		i := Inspection{Kind: at.Kind, Text: t.text}
		if !wait {
			i.Text = slices.Clone(t.text)
		}
		all = append(all, i)
	}
	w.fresh = 0
	defer func() {
		for _, t := range w.threads {
			if t.fresh = 0; len(t.text) > lookBack {
				t.text = append(t.text[:0], t.text[len(t.text)-lookBack:]...)
			}
		}
	}()
	for _, i := range all {
		if !wait {
			w.background(ctx, i, w.call.flow.cancel)
		} else if no := w.ask(ctx, i); no != nil {
			return no
		}
	}
	return nil
}

func (w *watch) busy() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.asking
}

// ask asks the guard, notes what it said, and gives the refusal that follows.
func (w *watch) ask(ctx context.Context, i Inspection) *Refusal {
	began := time.Now()
	said, err := w.call.ask(ctx, w, i)
	w.mu.Lock()
	defer w.mu.Unlock()
	r := &w.result
	r.Times++
	r.Took += time.Since(began).Microseconds()
	switch {
	case err != nil && ctx.Err() != nil: // the call is over, and what nobody judged does not pass
		if no, ok := errors.AsType[*Refusal](context.Cause(ctx)); ok {
			return no
		}
		return refuse(Guarded, "this was not judged")
	case err != nil && (w.FailOpen || w.Mode == Observe):
		r.note(FailedOpen, "the guard could not judge")
	case err != nil:
		r.note(FailedClosed, "the guard could not judge")
		return refuse(Guarded, "safeguard %s could not judge this, so it does not pass", w.Guard)
	case said.Cut && w.Mode == Observe:
		r.note(Noted, said.Reason)
	case said.Cut:
		r.note(Stopped, said.Reason)
		return refuse(Guarded, "safeguard %s does not let this pass", w.Guard)
	}
	return nil
}

// note keeps the gravest of what happened.
func (j *Judged) note(a Action, reason string) {
	grave := []Action{Passed, FailedOpen, Noted, FailedClosed, Stopped}
	if slices.Index(grave, a) > slices.Index(grave, j.Action) {
		j.Action, j.Reason = a, reason
	}
}

// ask puts what the guard must know to i and asks.
func (c *call) ask(ctx context.Context, w *watch, i Inspection) (Judgement, error) {
	if w.guard == nil {
		return Judgement{}, proofhouse.Errorf(proofhouse.Unavailable, nil, "this gate has no guard %s", w.Guard)
	}
	g := &c.tenancy.grant
	i.Call, i.Subject, i.Case, i.Codename, i.Protocol, i.Stage = c.id, g.Subject, g.Case, g.Codename, c.protocol.Name(), w.Stage
	ctx, cancel := context.WithTimeout(ctx, w.Within)
	defer cancel()
	return w.guard.Judge(ctx, i)
}

// background asks while the call goes on. A refusal ends the call by end.
func (w *watch) background(ctx context.Context, i Inspection, end context.CancelCauseFunc) {
	w.mu.Lock()
	w.asking = true
	w.mu.Unlock()
	// The caller may leave before the judgement is there; it is wanted all the same.
	ctx = context.WithoutCancel(ctx)
	w.pending.Go(func() {
		no := w.ask(ctx, i)
		w.mu.Lock()
		w.asking = false
		w.mu.Unlock()
		if no != nil && end != nil {
			end(no)
		}
	})
}

// judged is what the safeguards did, once none is asked any more.
func (c *call) judged() (all []Judged) {
	for _, w := range c.guards {
		w.pending.Wait()
		if w.result.Action == Stopped && c.whole {
			w.result.Action = Noted // too late: all of the answer had passed
		}
		all = append(all, w.result)
	}
	return all
}
