package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	"proofhouse/internal/chat"
	"proofhouse/internal/proofhouse"
)

// talk is a sample's conversation with the run's model. Session's methods Say,
// Generate, Perform and Compact write it, one call at a time.
//
// A sample that is taken up again has the steps of its earlier attempts before
// it. As long as the agent's program takes the same steps again, each is given
// as it was: a request is not sent, and a tool, which is run to bring the box
// to where it was, gives what it gave then. The first step that differs ends
// that, and what follows is new.
type talk struct {
	steps  []Step
	next   int                        // the step of an earlier attempt that comes next; len(steps) if there is none
	turns  int                        // given so far in this attempt, those of earlier ones included
	told   map[proofhouse.Digest]bool // requests whose figures the journal has
	spent  Spent                      // over all attempts
	offset time.Duration
}

// maxAnswer bounds an answer, so that its step is a record.
const maxAnswer = maxRecord / 2

// Say tells the model something: a prompt, a reminder.
func (s *Session) Say(m chat.Message) error {
	m, err := settled(m)
	if err != nil {
		return err
	}
	if old := s.talk.ahead(); old != nil && old.Said != nil && reflect.DeepEqual(*old.Said, m) {
		s.talk.next++
		return nil
	}
	return s.step(Step{Said: &m})
}

// Compact makes the conversation shorter from here on.
func (s *Session) Compact(c Compaction) error {
	c, err := settled(c)
	if err != nil {
		return err
	}
	if old := s.talk.ahead(); old != nil && old.Compaction != nil && reflect.DeepEqual(*old.Compaction, c) {
		s.talk.next++
		return nil
	}
	if err := s.step(Step{Compaction: &c}); err != nil {
		return err
	}
	return s.Log("compaction", fmt.Sprintf("the conversation was shortened from about %d to %d tokens", c.Before, c.After), nil)
}

// Generate asks the run's model, unless an earlier attempt had the answer. The
// error is proofhouse.Limit when the sample's budget is used up, which is
// recorded as its limit; and those of Model. When the budget of the run is
// used up, or access to the model has ended, the whole run ends.
func (s *Session) Generate(ctx context.Context, r chat.Request) (chat.Output, error) {
	t := &s.talk
	body, err := json.Marshal(r)
	if err != nil {
		return chat.Output{}, err
	}
	digest := proofhouse.DigestOf(body)
	if old := t.ahead(); old != nil && old.Call != nil && old.Call.Request == digest {
		t.next++
		return old.Call.Output, s.figures(*old.Call)
	}
	cfg := s.engine.opening.Config.Model
	if s.engine.Model == nil || cfg == nil {
		return chat.Output{}, proofhouse.Errorf(proofhouse.Invalid, nil, "this agent needs a model: name one with --model")
	}
	if limit := cfg.Sample.Met(t.spent, len(r.Messages)); limit != "" {
		s.meet(limit)
		return chat.Output{}, proofhouse.Errorf(proofhouse.Limit, nil, "the sample's limit of %s is met", cfg.Sample.said(limit))
	}
	began := time.Now()
	out, err := s.engine.generate(ctx, r)
	whole := time.Since(began)
	if err != nil {
		return chat.Output{}, s.unanswered(ctx, err, whole)
	}
	call := ModelCall{Request: digest, Messages: len(r.Messages), Config: r.Config, Output: out, Whole: whole}
	if t.turns == 0 {
		call.Tools = r.Tools // they do not change within a conversation
	}
	if call, err = settled(call); err != nil {
		return chat.Output{}, proofhouse.Errorf(proofhouse.Unavailable, err, "the model's server gave an answer that cannot be recorded")
	}
	if size, err := json.Marshal(call); err != nil || len(size) > maxAnswer {
		return chat.Output{}, proofhouse.Errorf(proofhouse.Unavailable, err, "the model's server gave an answer of more than %d bytes", maxAnswer)
	}
	// The answer is kept before it is counted and used: a kill in between
	// leaves an answer that the next attempt counts.
	if err := s.step(Step{Call: &call}); err != nil {
		return chat.Output{}, err
	}
	return call.Output, s.figures(call)
}

// figures records what a call used, unless the journal knows it already.
func (s *Session) figures(c ModelCall) error {
	t := &s.talk
	if t.turns++; t.told[c.Request] {
		return nil
	}
	spent := spentOn(c, s.engine.opening.Config.Model.Prices)
	spent.Messages = t.added()
	t.spent, t.told[c.Request] = t.spent.Plus(spent), true
	s.engine.account(spent)
	text := fmt.Sprintf("turn %d: %d tokens in, %d out, %d tool calls, %.1f s", t.turns, spent.Usage.In(), spent.Usage.Output, len(c.Output.Message.ToolCalls), c.Output.Took.Seconds())
	return s.logAlways(Event{Kind: "model", Text: text, Model: &Figures{Request: c.Request, Turn: t.turns, Stop: c.Output.StopReason, Spent: spent, Retries: c.Output.Retries}})
}

// added counts the messages that the conversation has more than after the call
// before: those that were asked with, and the answer.
func (t *talk) added() int {
	n := 1
	for i := t.next - 2; i >= 0 && t.steps[i].Call == nil; i-- {
		if t.steps[i].Said != nil || t.steps[i].Tool != nil {
			n++
		}
	}
	return n
}

// unanswered records a call that got no answer, and ends the run where nothing
// more can come of it.
func (s *Session) unanswered(ctx context.Context, err error, whole time.Duration) error {
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	spent := Spent{Failures: 1, Waited: whole}
	why := proofhouse.PublicOf(err)
	if ctx.Err() != nil {
		why, spent.Failures = "the sample ended before the answer came", 0
	}
	s.talk.spent = s.talk.spent.Plus(spent)
	lost := s.logAlways(Event{Kind: "model", Text: "no answer: " + why, Model: &Figures{Spent: spent, Error: why}})
	switch {
	case lost != nil:
		return lost
	case ctx.Err() != nil:
	case proofhouse.KindOf(err) == proofhouse.Limit, proofhouse.KindOf(err) == proofhouse.Refused:
		return s.engine.fatal(err)
	}
	return err
}

// Perform runs a tool for one of a model's calls and keeps what it gave. What
// it gave in an earlier attempt is given again, and run, if not nil, is called
// all the same where again is true: for what it does to the box. result is
// what the model reads; it must be valid UTF-8.
func (s *Session) Perform(ctx context.Context, call chat.ToolCall, again bool, run func(ctx context.Context) (chat.Message, error)) (chat.Message, error) {
	old := s.talk.ahead()
	known := old != nil && old.Tool != nil && old.Tool.Call.ID == call.ID && old.Tool.Call.Function == call.Function
	if known {
		s.talk.next++
		if !again {
			return old.Tool.Message, nil
		}
	}
	began := time.Now()
	m, err := run(ctx)
	if err != nil {
		return m, err
	}
	if known {
		return old.Tool.Message, nil
	}
	r, err := settled(ToolResult{Call: call, Message: m, Took: time.Since(began)})
	if err != nil {
		return m, err
	}
	return r.Message, s.step(Step{Tool: &r})
}

// ahead is the step of an earlier attempt that comes next, or nil.
func (t *talk) ahead() *Step {
	if t.next < len(t.steps) {
		return &t.steps[t.next]
	}
	return nil
}

// step appends a new step, in the private journal first.
func (s *Session) step(x Step) error {
	t := &s.talk
	if t.next < len(t.steps) {
		// The steps that were not taken again are no part of the conversation
		// any more; the records of them stay.
		t.steps = t.steps[:t.next:t.next]
		if err := s.Log("info", "the agent's program does something else than in the attempt before: what follows is asked anew", nil); err != nil {
			return err
		}
	}
	x.At = t.offset + time.Since(s.begun)
	s.logging.Lock()
	defer s.logging.Unlock()
	if s.closed {
		return errOver
	}
	if s.engine.talks == nil {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "this run has no model")
	}
	if _, err := s.engine.talks.append(Record{At: s.engine.now(), Sample: &s.sample.ref, Step: &x, From: t.next}); err != nil {
		return s.engine.fatal(err)
	}
	t.steps = append(t.steps, x)
	t.next = len(t.steps)
	return nil
}

// meet notes the limit that ends the sample; the first one stands.
func (s *Session) meet(limit string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.limit == "" {
		s.limit = limit
	}
}

// Spent is what the sample's model used so far.
func (s *Session) Spent() Spent { return s.talk.spent }

// ModelConfig is what the run asks of its model; the zero value if it has none.
func (s *Session) ModelConfig() ModelConfig {
	if c := s.engine.opening.Config.Model; c != nil {
		return *c
	}
	return ModelConfig{}
}
