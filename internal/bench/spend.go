package bench

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"proofhouse/internal/chat"
	"proofhouse/internal/proofhouse"
)

// Leaver is an Agent that may leave its last input at the submit path without
// submitting it. What lies there at the end is submitted for it.
type Leaver interface {
	Agent
	Leaves()
}

// harvest is how long collecting may take after the sample's limit.
const harvest = 10 * time.Second

// collect submits what a Leaver left, if it is not what it submitted last. The
// error is the run's.
func (e *engine) collect(s *Session) error {
	if _, ok := e.Agent.(Leaver); !ok || s.Box == nil || s.Left() == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(e.ctx, harvest)
	defer cancel()
	var b bytes.Buffer
	if err := s.Box.CopyOut(ctx, s.Task.SubmitPath, &b, s.Task.MaxBytes); err != nil {
		if kind := proofhouse.KindOf(err); kind == proofhouse.NotFound {
			return nil
		}
		return s.Log("info", "what lies at the submit path was not submitted: "+proofhouse.PublicOf(err), nil)
	}
	s.mu.Lock()
	same := s.last == proofhouse.DigestOf(b.Bytes())
	s.mu.Unlock()
	if same {
		return nil
	}
	if err := s.Log("info", fmt.Sprintf("what the agent left at %s is submitted for it", s.Task.SubmitPath), nil); err != nil {
		return err
	}
	_, err := s.Submit(ctx, b.Bytes())
	if e.ctx.Err() != nil || proofhouse.KindOf(err) == proofhouse.Limit {
		return nil
	}
	return err
}

// generate asks the run's model within the run's budget. A call that the
// budget does not hold beside those under way waits for one of them to end:
// what it held may be free again.
func (e *engine) generate(ctx context.Context, r chat.Request) (chat.Output, error) {
	stop := context.AfterFunc(ctx, func() {
		e.spending.Lock()
		defer e.spending.Unlock()
		e.answered.Broadcast()
	})
	defer stop()
	cfg := e.opening.Config.Model
	for {
		e.spending.Lock()
		limit := cfg.Run.Met(e.spent, e.spent.Messages)
		if limit == "" {
			e.asking++
		}
		e.spending.Unlock()
		if limit != "" {
			return chat.Output{}, proofhouse.Errorf(proofhouse.Limit, nil, "the run's budget of %s is used up: --resume with a larger one goes on", cfg.Run.said(limit))
		}
		out, err := e.Model.Generate(ctx, r)
		e.spending.Lock()
		e.asking--
		e.answered.Broadcast()
		if proofhouse.KindOf(err) != proofhouse.Limit || err == nil || e.asking == 0 || ctx.Err() != nil {
			e.spending.Unlock()
			return out, err
		}
		e.answered.Wait() // a broadcast comes when one ends, or ctx
		e.spending.Unlock()
		if err := ctx.Err(); err != nil {
			return chat.Output{}, err
		}
	}
}

// account adds to what the run spent.
func (e *engine) account(s Spent) {
	e.spending.Lock()
	defer e.spending.Unlock()
	e.spent = e.spent.Plus(s)
}

// limitTime ends the run when all its parts have lasted as long as it may,
// those before this one took so long. The function that it gives ends that.
func (e *engine) limitTime(took time.Duration) (end func()) {
	limit := e.opening.Config.RunTime
	if limit == 0 {
		return func() {}
	}
	over := func() {
		e.refuse(proofhouse.Errorf(proofhouse.Limit, nil, "the run's time of %v is used up: --resume with a longer --run-time goes on", limit))
	}
	if took >= limit { // said before the model is asked anything
		over()
		return func() {}
	}
	timer := time.AfterFunc(limit-took, over)
	return func() { timer.Stop() }
}

// stoppedBy names what ended the whole run, as a sample's limit.
func (e *engine) stoppedBy() string {
	if err := e.refused(); err != nil && proofhouse.KindOf(err) == proofhouse.Limit {
		return "run"
	}
	return "operator"
}

// begin takes up what earlier attempts left.
func (s *Session) begin(r *sampleRun) {
	s.talk = talk{steps: r.steps, offset: r.offset, told: map[proofhouse.Digest]bool{}}
	if r.past.Model != nil {
		s.talk.spent = *r.past.Model
	}
	for _, e := range r.past.Events {
		if e.Model != nil && e.Model.Turn > 0 {
			s.talk.told[e.Model.Request] = true
		}
	}
}

// met is the limit of the model's budget that the sample met, or "".
func (s *Session) met() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.limit
}

// withoutRun is the configuration but for the budget of the run.
func (c *ModelConfig) withoutRun() *ModelConfig {
	if c == nil {
		return nil
	}
	out := *c
	out.Run = Budget{}
	return &out
}
