package bench

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"time"

	"proofhouse/internal/oracle"
	"proofhouse/internal/proofhouse"
)

// Fold derives a result from a journal's records, in order. It is a pure
// function: the same records give the same result. A sequence that no run
// could have written is proofhouse.Integrity. The result names what survived
// the fix; Result.Public is what may be shown.
func Fold(records iter.Seq[Record]) (Result, error) {
	f := folding{samples: map[sampleKey]*sampleState{}}
	for rec := range records {
		if err := f.add(rec); err != nil {
			return Result{}, err
		}
	}
	return f.result(), nil
}

type sampleKey struct {
	task  proofhouse.TaskID
	epoch int
}

// sampleState is a sample on its way, and what is known of its clock.
type sampleState struct {
	Sample
	spent, last time.Duration // of earlier attempts; latest sign of this one
	open        bool          // an attempt has begun and not ended
	token       string        // of the sample
}

// folding is a result on its way.
type folding struct {
	opening Opening
	head    Result
	last    Record
	began   time.Time     // this part of the run
	took    time.Duration // by the parts before
	steered []Steered     // what was asked of this part of the run
	order   []*sampleState
	samples map[sampleKey]*sampleState
}

func (f *folding) add(rec Record) error {
	wrong := func(what string) error {
		return proofhouse.Errorf(proofhouse.Integrity, nil, "the journal makes no sense: record %d %s", rec.Seq, what)
	}
	defer func() { f.last = rec }()
	if (rec.Open != nil) != (rec.Seq == 1) {
		return wrong("opens the run, or the first one does not")
	}
	switch {
	case rec.Open != nil:
		return f.begin(rec, wrong)
	case rec.Resumed != nil:
		f.steered = nil // nobody asked anything of this part yet
		f.head.Resumes++
		f.took, f.began = f.took+f.part(), rec.At
		f.head.Config.RunTime, f.opening.Config.RunTime = rec.Resumed.RunTime, rec.Resumed.RunTime
		if b, m := rec.Resumed.Budget, f.head.Config.Model; b != nil && m != nil {
			raised := *m
			raised.Run = *b
			f.head.Config.Model, f.opening.Config.Model = &raised, &raised
		}
		f.head.Status, f.head.Error, f.head.Completed = "started", "", time.Time{}
		return nil
	case rec.Identity != nil:
		f.head.Identity = append(f.head.Identity, *rec.Identity)
		return nil
	case rec.Steering != nil:
		f.steered = append(f.steered, Steered{*rec.Steering, rec.At})
		return nil
	case rec.Finish != nil:
		f.head.Status, f.head.Error, f.head.Completed = rec.Finish.Status, rec.Finish.Error, rec.At
		return nil
	case rec.Sample == nil:
		return wrong("is of an unknown kind")
	}
	s := f.samples[sampleKey{rec.Sample.Task, rec.Sample.Epoch}]
	if s == nil {
		return wrong("is about a sample that the run does not have")
	}
	if rec.Start != nil {
		if rec.Sample.Attempt != s.Attempts+1 || s.Status == Scored {
			return wrong("begins an attempt out of turn")
		}
		if s.Attempts++; s.Attempts == 1 {
			s.Started = rec.At
		}
		s.spent, s.last, s.open = s.spent+s.last, 0, true
		if s.token == "" {
			s.token = rec.Start.Token
		}
		s.Status, s.Limit, s.Error = Starting, "", ""
		return nil
	}
	if rec.Sample.Attempt != s.Attempts || !s.open {
		return wrong("belongs to an attempt that is over")
	}
	return s.add(rec, wrong)
}

// begin lays out the samples.
func (f *folding) begin(rec Record, wrong func(string) error) error {
	o := *rec.Open
	if o.Format != 1 {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "the journal has format %d and this program reads format 1: use the program that wrote it (build %s)", o.Format, o.Build)
	}
	if len(o.Tasks) == 0 || o.Config.Epochs < 1 || o.Config.Epochs > maxSamples || len(o.Tasks)*o.Config.Epochs > maxSamples {
		return wrong("opens a run without samples, or with too many")
	}
	f.opening, f.began = o, rec.At
	f.head = Result{
		Version: 1, Run: o.Run, Suite: o.Suite, Agent: o.Agent, Provider: o.Provider, Isolation: o.Isolation,
		Status: "started", Started: rec.At, Build: o.Build, Machine: o.Machine, Config: o.Config, Notes: o.Notes,
	}
	for epoch := 1; epoch <= o.Config.Epochs; epoch++ {
		for _, t := range o.Tasks {
			key := sampleKey{t.Task, epoch}
			if f.samples[key] != nil {
				return wrong("names a task twice")
			}
			s := &sampleState{Sample: Sample{
				Task: t.Task, Epoch: epoch, Cluster: t.Cluster, Class: t.Class, CWE: t.CWE, Language: t.Language, Level: t.Level,
				Human: t.Human, Status: Waiting, Submissions: []Submission{}, Events: []Event{}, Bound: t.Limit, Limits: t.Limits,
			}}
			f.samples[key] = s
			f.order = append(f.order, s)
		}
	}
	return nil
}

// add is what a record of an open attempt does to its sample.
func (s *sampleState) add(rec Record, wrong func(string) error) error {
	seen := func(at time.Duration) time.Duration {
		s.last = max(s.last, at)
		return s.spent + at
	}
	switch {
	case rec.Probe != nil:
		s.Probe = rec.Probe.Report
		if rec.Probe.Failed != "" {
			s.tell(rec, seen(rec.Probe.At), "probe", rec.Probe.Failed, nil)
			return nil
		}
		s.Status = Running
		s.tell(rec, seen(rec.Probe.At), "probe", "the box is proved, the agent starts", nil)
	case rec.Event != nil:
		e := *rec.Event
		e.Seq, e.At = rec.Seq, seen(e.At)
		if e.Model != nil {
			if s.Model == nil {
				s.Model = &Spent{}
			}
			*s.Model = s.Model.Plus(e.Model.Spent)
		}
		s.Events = append(s.Events, e)
	case rec.Accepted != nil:
		a := rec.Accepted
		if a.Number != len(s.Submissions)+1 {
			return wrong("accepts a submission out of turn")
		}
		at := seen(a.At)
		s.Submissions = append(s.Submissions, Submission{Number: a.Number, Attempt: rec.Sample.Attempt, At: at, pending: a.File})
		s.tell(rec, at, "submit", fmt.Sprintf("submission %d accepted", a.Number), map[string]any{"number": a.Number})
	case rec.Verdict != nil:
		return s.judge(rec, wrong)
	case rec.End != nil:
		e := rec.End
		if e.Status != Scored && e.Status != Errored && e.Status != Cancelled {
			return wrong("ends a sample in a state that is no end")
		}
		s.Status, s.Limit, s.Error, s.Usage, s.open = e.Status, e.Limit, e.Error, e.Usage, false
		s.Transcript = e.Transcript
		s.Took = seen(e.Took)
		switch {
		case e.Error != "":
			s.tell(rec, s.Took, "error", e.Error, nil)
		case e.Limit != "":
			s.tell(rec, s.Took, "limit", "the sample ended at its limit: "+e.Limit, map[string]any{"limit": e.Limit})
		}
	default:
		return wrong("is of an unknown kind")
	}
	return nil
}

// tell adds a line of the transcript that follows from another record.
func (s *sampleState) tell(rec Record, at time.Duration, kind, text string, data map[string]any) {
	s.Events = append(s.Events, Event{Seq: rec.Seq, At: at, Kind: kind, Text: text, Data: data})
}

// judge fills in a verdict.
func (s *sampleState) judge(rec Record, wrong func(string) error) error {
	d := rec.Verdict
	if d.Number < 1 || d.Number > len(s.Submissions) || s.Submissions[d.Number-1].Verdict.Outcome != "" {
		return wrong("judges a submission that waits for no verdict")
	}
	sub := &s.Submissions[d.Number-1]
	sub.pending = ""
	sub.Verdict, sub.Report, sub.Statement, sub.Signed = d.Verdict, d.Report, d.Statement, d.Signed
	sub.Digest, sub.Bytes = d.Digest, d.Bytes
	at := s.spent + d.At
	s.last = max(s.last, d.At)
	s.tell(rec, max(sub.At, at), "verdict", string(d.Verdict.Outcome), map[string]any{
		"number": d.Number, "outcome": string(d.Verdict.Outcome), "bytes": d.Bytes, "digest": string(d.Digest),
	})
	if d.Verdict.Outcome == oracle.SurvivesFix {
		*sub = Submission{Number: sub.Number, Attempt: sub.Attempt, At: sub.At, Verdict: oracle.Verdict{Outcome: oracle.SurvivesFix}}
	}
	return nil
}

// result is the result as far as the records go.
func (f *folding) result() Result {
	r := f.head
	r.Took = f.took + f.part()
	r.Samples = make([]Sample, 0, len(f.order))
	for _, s := range f.order {
		out := s.Sample
		if s.open {
			out.Took = s.spent + s.last
		}
		out.Score = score(out.Submissions)
		out.Submissions = slices.Clone(out.Submissions)
		r.Samples = append(r.Samples, out)
	}
	if note := identityNote(r.Identity); note != "" {
		r.Notes = append(slices.Clone(r.Notes), note)
	}
	r.Summary = summarise(r.Samples)
	return r
}

// part is how long this part of the run went on.
func (f *folding) part() time.Duration { return max(0, f.last.At.Sub(f.began)) }

// score is the score of a sample's submissions: by the last one.
func score(subs []Submission) Score {
	var sc Score
	for _, sub := range subs {
		out := sub.Verdict.Outcome
		if out == "" || out == oracle.InfraError {
			continue
		}
		sc.Outcome, sc.Solved, sc.Counts = out, out == oracle.Solved, out.Counts()
		if sc.Solved && !sc.Any {
			sc.Any, sc.First = true, sub.At
		}
		if out == oracle.SurvivesFix {
			sc.Survivors++
		}
	}
	return sc
}

// done says whether nothing is left to do.
func (f *folding) done() bool {
	for _, s := range f.order {
		if s.Status != Scored {
			return false
		}
	}
	return len(f.order) > 0 && f.head.Status == "success"
}

// state is what is known of one sample.
func (f *folding) state(key sampleKey) sampleState {
	if s := f.samples[key]; s != nil {
		return *s
	}
	return sampleState{}
}

// ReadResult derives the public result from an output folder's journal. A
// half-written last record is left out. If the folder has a results.json that
// saw more of the journal than there is, the journal was cut:
// proofhouse.Integrity.
func ReadResult(folder string) (Result, error) {
	r, err := readWhole(folder)
	return r.Public(), err
}

// readWhole is ReadResult with what only the house may know.
func readWhole(folder string) (Result, error) {
	f, err := os.Open(filepath.Join(folder, journalName))
	if errors.Is(err, os.ErrNotExist) {
		return Result{}, proofhouse.Errorf(proofhouse.NotFound, nil, "the folder holds no run: name the --out folder of one")
	}
	if err != nil {
		return Result{}, err
	}
	defer f.Close()
	told, err := readTold(folder)
	if err != nil {
		return Result{}, err
	}
	fold := folding{samples: map[sampleKey]*sampleState{}}
	r := newJournalReader(f)
	for {
		rec, err := r.next()
		if errors.Is(err, io.EOF) || errors.Is(err, errTorn) {
			break
		}
		if err == nil {
			err = errors.Join(fold.add(rec), r.tied(told))
		}
		if err != nil {
			return Result{}, err
		}
	}
	if err := r.uncut(told); err != nil {
		return Result{}, err
	}
	if r.seq == 0 {
		return Result{}, proofhouse.Errorf(proofhouse.NotFound, nil, "the run was stopped before it began: start it again with --resume")
	}
	result := fold.result()
	result.Journal = JournalRef{Records: r.seq, Head: r.prev}
	return result, nil
}

// Records reads a journal from its start; the sequence ends with an error, if
// one turns up, and leaves out a half-written last record.
func Records(folder string) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		f, err := os.Open(filepath.Join(folder, journalName))
		if err != nil {
			yield(Record{}, fmt.Errorf("opening the journal: %w", err))
			return
		}
		defer f.Close()
		r := newJournalReader(f)
		for {
			rec, err := r.next()
			if errors.Is(err, io.EOF) || errors.Is(err, errTorn) {
				return
			}
			if !yield(rec, err) || err != nil {
				return
			}
		}
	}
}
