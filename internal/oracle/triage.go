package oracle

import (
	"context"
	"sync"

	"proofhouse/internal/target"
)

// Triage runs inputs against the vulnerable build only, one run each, in one
// box that is reset between them: an agent's own look at what it has, many
// times quicker than a verification and no verdict. Nothing of the fixed build
// is in reach of it. It is safe for concurrent use; runs queue for the box.
type Triage struct {
	oracle *Oracle
	mu     sync.Mutex // guards seat
	seat   *seat
}

// Triage opens a triage for one sample. Close it to free its box.
func (o *Oracle) Triage(c Case) (*Triage, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	return &Triage{oracle: o, seat: &seat{
		pool: o.pool, lang: c.Target.Language, rule: c.Rule.Or(), side: target.Vulnerable, build: c.Target.Vulnerable,
	}}, nil
}

// Quick runs one input once. Broke is set for what shows without the fixed
// build; for a hang or for memory it says that the floor was reached. The
// report is as in Evidence.
func (t *Triage) Quick(ctx context.Context, submission []byte) (Observation, string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.seat
	if s == nil {
		return Observation{}, "", errClosed
	}
	var err error
	if s.input, err = newInput(submission); err != nil {
		return Observation{}, "", err
	}
	defer s.input.close()
	bound := s.rule.cpuBound()
	if s.rule.Symptom == Hang {
		bound = min(bound, seconds(s.rule.Floor*1.02)+tickSlack)
	}
	raw, err := s.run(ctx, 1, bound)
	if err != nil {
		return Observation{}, "", err
	}
	j := t.oracle.see(s, raw)
	if !j.obs.Broke && (s.rule.Symptom == Hang && j.obs.CPU.Seconds() >= s.rule.Floor || s.rule.promising(j.obs)) {
		j.obs.Broke, j.obs.Symptom = true, s.rule.Symptom
	}
	return j.obs, trial{runs: []judged{j}}.report([]Observation{j.obs}), nil
}

// Close stops the triage's box.
func (t *Triage) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.seat != nil {
		t.seat.stop()
		t.seat = nil
	}
	return nil
}

// breaks says whether a build breaks on an input in each of the rule's runs.
func (o *Oracle) breaks(ctx context.Context, lang target.Language, rule Rule, b target.Build, submission []byte) (bool, error) {
	in, err := newInput(submission)
	if err != nil {
		return false, err
	}
	defer in.close()
	s := &seat{pool: o.pool, lang: lang, rule: rule.Or(), side: target.Fixed, build: b, input: in}
	defer s.stop()
	for n := 1; n <= s.rule.Runs; n++ {
		raw, err := s.run(ctx, n, s.rule.cpuBound())
		if err != nil {
			return false, err
		}
		if obs := o.see(s, raw).obs; !obs.Broke && obs.Bound != boundCPU && obs.Bound != boundMemory {
			return false, nil
		}
	}
	return true, nil
}
