package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"proofhouse/internal/oracle"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
)

// sampleRun is one attempt at a sample.
type sampleRun struct {
	trial Trial
	facts TaskFacts
	ref   SampleRef
	past  Sample // what the journal knew before
	// steps are those of the conversation so far, offset the time of the
	// attempts before, and token the sample's, or "".
	steps  []Step
	offset time.Duration
	token  string
	begun  time.Time
}

// sample runs one attempt from its first record to its last. Its error is
// the run's: a journal that cannot be written, or a refusal.
func (e *engine) sample(r *sampleRun) error {
	if e.ctx.Err() != nil {
		return nil
	}
	begun := time.Now()
	r.begun = begun
	// A kill does not lose what was appended; the first acceptance or the end
	// makes the start durable too.
	if r.token == "" {
		r.token = proofhouse.Token(16)
	}
	if _, err := e.journal.append(Record{At: e.now(), Sample: &r.ref, Start: &Beginning{Token: r.token}}); err != nil {
		return e.fatal(err)
	}
	s := &Session{engine: e, sample: r, begun: begun, Seed: seedOf(e.opening.Config.Seed, r.ref), Deadline: begun.Add(r.facts.Limit), Token: r.token}
	s.begin(r)
	end := Ending{Status: Scored}
	if err := e.attempt(s, &end); err != nil {
		return e.fatal(err)
	}
	s.close()
	end.Took = time.Since(begun)
	var err error
	if end.Transcript, err = e.keepTranscript(s.talk.steps); err != nil {
		return e.fatal(err)
	}
	if err := e.journal.put(Record{At: e.now(), Sample: &r.ref, End: &end}); err != nil {
		return e.fatal(err)
	}
	return nil
}

// fatal ends the run for an error of its journal or its folder.
func (e *engine) fatal(err error) error {
	e.refuse(err)
	return err
}

// attempt sets up the box, proves it, lets the agent work and says how it
// ended. The sample's limit covers all of that.
func (e *engine) attempt(s *Session, end *Ending) error {
	ctx, cancel := context.WithTimeout(e.ctx, s.sample.facts.Limit)
	defer cancel()
	fail := func(err error) {
		switch {
		case e.ctx.Err() != nil:
			end.Status, end.Limit = Cancelled, e.stoppedBy()
		case ctx.Err() != nil:
			end.Status, end.Error = Errored, "the box was not ready within the sample's limit of "+s.sample.facts.Limit.String()
		default:
			end.Status, end.Error = Errored, proofhouse.PublicOf(err)
		}
	}
	if err := s.prepare(); err != nil {
		fail(err)
		return nil
	}
	if w, ok := e.Verifier.(Warmer); ok {
		w.Warm(s.sample.trial.Task.Case(s.sample.trial.Built.Target))
	}
	if err := s.judgePending(); err != nil {
		if e.ctx.Err() == nil {
			return err
		}
		fail(err)
		return nil
	}
	if s.Left() == 0 {
		end.Limit = "submissions"
		s.settle(end)
		return nil
	}
	if e.Provider != nil {
		box, err := e.box(ctx, s)
		if box != nil {
			defer func() {
				if u, err := box.Usage(); err == nil {
					end.Usage = u
				}
				if err := box.Stop(); err != nil && end.Error == "" {
					end.Status, end.Error = Errored, "the box did not stop: "+proofhouse.PublicOf(err)
				}
			}()
		}
		if err != nil {
			fail(err)
			if proofhouse.KindOf(err) == proofhouse.Refused {
				end.Status, end.Error, end.Limit = Errored, proofhouse.PublicOf(err), ""
				e.refuse(err)
			}
			return nil
		}
		s.Box = box
	} else if err := e.running(s, sandbox.ProbeReport{}); err != nil {
		return err
	}
	if e.Expose != nil {
		if err := e.Expose(ctx, s.sample.facts); err != nil {
			fail(err)
			return nil
		}
	}
	err := e.agent(ctx, s)
	if e.ctx.Err() == nil && (err == nil || ctx.Err() != nil || proofhouse.KindOf(err) == proofhouse.Limit) {
		if lost := e.collect(s); lost != nil {
			return lost
		}
	}
	switch {
	case e.ctx.Err() != nil:
		end.Status, end.Limit = Cancelled, e.stoppedBy()
	case ctx.Err() != nil:
		end.Limit = "time"
		s.settle(end)
	case err != nil && proofhouse.KindOf(err) != proofhouse.Limit: // a limit that the agent ran into is its own
		end.Status, end.Error = Errored, proofhouse.PublicOf(err)
	default:
		if end.Limit = s.met(); end.Limit == "" && s.Left() == 0 {
			end.Limit = "submissions"
		}
		s.settle(end)
	}
	return nil
}

// settle makes a sample whose last submission could not be judged an error of
// ours rather than a failure of the agent, and likewise one that is not solved
// and whose program heard last that the model's provider failed.
func (s *Session) settle(end *Ending) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch solved := len(s.past) > 0 && s.past[len(s.past)-1].Solved; {
	case s.infra != "":
		end.Status, end.Error = Errored, s.infra
	case s.broken != "" && !solved:
		end.Status, end.Error = Errored, "the model's provider failed: "+s.broken
	}
}

// prepare fills in what the agent may know of its task.
func (s *Session) prepare() error {
	t, tgt := s.sample.trial.Task, s.sample.trial.Built.Target
	c := t.Metadata.Cyber
	texts, err := t.Files(s.sample.facts.Level, s.sample.trial.Built)
	if err != nil {
		return err
	}
	texts["instruction.md"] = append([]byte("<!-- sample "+s.Token+" -->\n"), texts["instruction.md"]...)
	limit := time.Duration(c.Oracle.TimeoutSec * float64(time.Second))
	if limit == 0 {
		limit = 10 * time.Second
	}
	s.Task = TaskView{
		Name: maskedName(s.engine.opening.Run, t.Task.Name), Language: c.Target.Language, Symptom: c.Oracle.Symptom,
		Level: s.sample.facts.Level, Files: texts,
		Run: slices.Clone(tgt.Vulnerable.Argv), RunEnv: slices.Clone(tgt.Vulnerable.Env),
		Fuzz: slices.Clone(tgt.Fuzz.Argv), FuzzEnv: slices.Clone(tgt.Fuzz.Env), RunTime: limit,
		SubmitPath: c.Submit.Path, MaxBytes: c.Submit.MaxBytes, MaxSubmissions: c.Submit.MaxSubmissions,
	}
	if _, ok := s.engine.Agent.(Replayer); ok {
		s.Reference = t.FS
	}
	return nil
}

// judgePending judges what earlier attempts submitted and nobody judged.
func (s *Session) judgePending() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sub := range s.sample.past.Submissions {
		s.number = max(s.number, sub.Number)
		s.last = sub.Digest
		if sub.Verdict.Outcome != "" {
			s.past = append(s.past, Feedback{
				Number: sub.Number, Left: max(0, s.Task.MaxSubmissions-sub.Number),
				Solved: sub.Verdict.Outcome == oracle.Solved, Counts: sub.Verdict.Outcome.Counts(), Every: s.every(),
			})
			continue
		}
		input, err := s.engine.holding.get(sub.pending)
		if err != nil {
			return err
		}
		s.last = proofhouse.DigestOf(input)
		if _, err := s.judge(Acceptance{Number: sub.Number, File: sub.pending}, input); err != nil {
			return err
		}
	}
	return nil
}

// box starts the agent's box, proves it and lays out the task. The box is
// given even with an error, to be stopped.
func (e *engine) box(ctx context.Context, s *Session) (sandbox.Box, error) {
	tgt := s.sample.trial.Built.Target
	mounts := []sandbox.Mount{{Image: tgt.Vulnerable.Image, Path: "/target"}}
	if tgt.SourceTree.Digest != "" {
		mounts = append(mounts, sandbox.Mount{Image: tgt.SourceTree, Path: "/src"})
	}
	if tgt.Fuzz.Image.Digest != "" {
		mounts = append(mounts, sandbox.Mount{Image: tgt.Fuzz.Image, Path: "/fuzz"})
	}
	if m, ok := e.Agent.(Mounter); ok {
		mounts = append(mounts, m.Mounts()...)
	}
	box, err := e.Provider.Start(ctx, sandbox.Spec{
		Root: tgt.Vulnerable.Root, Mounts: mounts, Writable: []string{"/out", "/task"},
		Limits: s.sample.facts.Limits, Network: sandbox.NoNetwork,
	})
	if err != nil {
		return nil, err
	}
	if err := s.event("box", "box started", map[string]any{"id": box.ID(), "provider": e.Provider.Name()}); err != nil {
		return box, err
	}
	report, err := e.Prove(ctx, box, sandbox.NoNetwork)
	if err != nil {
		// The report of a box that leaks is the ground of the refusal.
		probing := Probing{At: time.Since(s.begun), Report: report, Failed: proofhouse.PublicOf(err)}
		_, lost := e.journal.append(Record{At: e.now(), Sample: &s.sample.ref, Probe: &probing})
		return box, errors.Join(err, lost)
	}
	for name, text := range s.Task.Files {
		if err := box.CopyIn(ctx, "/task/"+name, strings.NewReader(string(text)), 0o644); err != nil {
			return box, fmt.Errorf("laying out the task: %w", err)
		}
	}
	return box, e.running(s, report)
}

// running records that the box is proved and the agent starts.
func (e *engine) running(s *Session, report sandbox.ProbeReport) error {
	_, err := e.journal.append(Record{At: e.now(), Sample: &s.sample.ref, Probe: &Probing{At: time.Since(s.begun), Report: report}})
	return err
}

// agent calls the agent; a panic of it is an error of ours.
func (e *engine) agent(ctx context.Context, s *Session) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = proofhouse.Errorf(proofhouse.Internal, fmt.Errorf("%v\n%s", p, debug.Stack()), "the agent's own program failed")
		}
	}()
	return e.Agent.Run(ctx, s)
}
