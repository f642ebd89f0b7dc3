package bench

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"proofhouse/internal/chat"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
)

// Outlet serves the run's model to programs in a box, in its own protocol and
// with the checks of any other caller. App hands one that is bound to a gate.
type Outlet interface {
	// Handle answers a request and says what came of it.
	Handle(w http.ResponseWriter, r *http.Request) OutsideCall
	// Server is a server for callers that nobody trusts.
	Server(h http.Handler) *http.Server
	// Env are the variables by which the vendors' SDKs find the model at an
	// address. They hold nothing that is worth anything elsewhere.
	Env(addr string) []string
}

// OutsideCall is what came of a program's request.
type OutsideCall struct {
	Request     proofhouse.Digest // of path and body; Outside sets it
	Answered    bool              // by the model
	Usage       chat.Usage
	NanoDollars int64
	Took        time.Duration
	// Failed says how the provider failed, in a public sentence.
	Failed string
	// Over ends the whole run: proofhouse.Limit, the run's budget is used up;
	// proofhouse.Refused, access to the model has ended.
	Over error
}

// Mounter is an Agent that brings files of its own into the box.
type Mounter interface {
	Agent
	Mounts() []sandbox.Mount
}

// outside counts the calls of programs in the box, several at once.
type outside struct {
	mu     sync.Mutex    // guards what follows, and Session.talk of a session that never talks itself
	asking int           // calls under way
	ended  chan struct{} // closed when one of them ends; nil if nobody waits
	// earlier are answers that earlier attempts got and this one has not been
	// given; nil until the first request.
	earlier map[proofhouse.Digest][]*Passed
}

// Outside answers a request for the model that a program in the box made. Its
// error means that the agent is to end, and is the agent's to return:
// proofhouse.Limit where a budget is used up, as with Generate. A request that an
// earlier attempt made and had answered is not sent: its answer is given again.
func (s *Session) Outside(w http.ResponseWriter, r *http.Request) error {
	e := s.engine
	if e.Outlet == nil || e.opening.Config.Model == nil {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "this agent needs a model: name one with --model")
	}
	request, err := requestDigest(r)
	if err != nil {
		http.Error(w, proofhouse.PublicOf(err), http.StatusBadRequest)
		return nil
	}
	again, err := s.given(request)
	if err != nil {
		return err
	}
	if again != nil {
		again.answer(w)
		return nil
	}
	if err := s.mayAsk(r.Context()); err != nil {
		http.Error(w, proofhouse.PublicOf(err), http.StatusForbidden)
		if r.Context().Err() != nil {
			return nil
		}
		return err
	}
	k := &kept{ResponseWriter: w}
	call := e.Outlet.Handle(k, r)
	call.Request = request
	s.outside.mu.Lock()
	defer s.outside.mu.Unlock()
	if s.outside.asking--; s.outside.ended != nil {
		close(s.outside.ended)
		s.outside.ended = nil
	}
	if call.Over != nil {
		return e.fatal(call.Over)
	}
	if p := k.passed(call); p != nil && r.Context().Err() == nil {
		// Kept before it is counted, as with Generate.
		if err := s.step(Step{Passed: p}); err != nil {
			return err
		}
	}
	return s.called(call)
}

// mayAsk holds a request to the budgets. One that would be a turn too many if
// those under way are answered waits for them.
func (s *Session) mayAsk(ctx context.Context) error {
	e, cfg, o := s.engine, s.engine.opening.Config.Model, &s.outside
	for {
		e.spending.Lock()
		run := cfg.Run.Met(e.spent, e.spent.Messages)
		e.spending.Unlock()
		if run != "" {
			return e.fatal(proofhouse.Errorf(proofhouse.Limit, nil, "the run's budget of %s is used up: --resume with a larger one goes on", cfg.Run.said(run)))
		}
		o.mu.Lock()
		if limit := cfg.Sample.Met(s.talk.spent, 0); limit != "" {
			o.mu.Unlock()
			s.meet(limit)
			return proofhouse.Errorf(proofhouse.Limit, nil, "the sample's limit of %s is met", cfg.Sample.said(limit))
		}
		soon := s.talk.spent
		if soon.Turns += o.asking; cfg.Sample.Met(soon, 0) == "" {
			o.asking++
			o.mu.Unlock()
			return nil
		}
		if o.ended == nil {
			o.ended = make(chan struct{})
		}
		ended := o.ended
		o.mu.Unlock()
		select {
		case <-ended:
		case <-ctx.Done():
			return ctx.Err() // nobody waits for an answer any more
		}
	}
}

// called records what a call used. s.outside.mu is held.
func (s *Session) called(c OutsideCall) error {
	if !c.Answered && c.Failed == "" {
		return nil // counted tokens, listed models, or was refused as it stands
	}
	spent := Spent{Usage: c.Usage, NanoDollars: c.NanoDollars, Took: c.Took}
	f := Figures{Request: c.Request, Error: c.Failed}
	text := "no answer: " + c.Failed
	if c.Answered {
		s.talk.turns++
		spent.Turns, f.Turn = 1, s.talk.spent.Turns+1
		text = fmt.Sprintf("turn %d: %d tokens in, %d out, %.1f s", f.Turn, c.Usage.In(), c.Usage.Output, c.Took.Seconds())
	} else {
		spent.Failures = 1
	}
	f.Spent = spent
	s.talk.spent = s.talk.spent.Plus(spent)
	s.engine.account(spent)
	s.mu.Lock()
	s.broken = c.Failed
	s.mu.Unlock()
	return s.logAlways(Event{Kind: "model", Text: text, Model: &f})
}

// Server is a server for requests that come out of the box, see Outlet.
func (s *Session) Server(h http.Handler) *http.Server { return s.engine.Outlet.Server(h) }

// Env are the variables by which SDKs in the box find the model, see Outlet.
func (s *Session) Env(addr string) []string { return s.engine.Outlet.Env(addr) }
