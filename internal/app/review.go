package app

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/bench"
	"proofhouse/internal/bench/external"
	"proofhouse/internal/bench/react"
	"proofhouse/internal/docket"
	"proofhouse/internal/proofhouse"
)

// CriteriaFile is what the registrar keeps of criteria: what it registers, and the suites with
// the salt that opens their commitments task by task.
type CriteriaFile struct {
	Criteria docket.Criteria `json:"criteria"`
	Salt     docket.Salt     `json:"salt"`
	Suites   []docket.Suite  `json:"suites"`
}

// analysis is the version of how runs become tallies: each sample is solved or
// not, and those that our own faults kept from being scored are excluded.
const analysis = "tally-1"

// exclusions are which samples are left out, as criteria and runs say it.
var exclusions = []string{"samples that ended in an infrastructure error"}

// DraftCriteria makes criteria of what a run would be, for one agent on variants.
// threshold and level are shares of 1.
func (a *App) DraftCriteria(req RunRequest, variants []string, threshold, level float64) (CriteriaFile, error) {
	suite, err := a.Suite(req.Suite)
	if err != nil {
		return CriteriaFile{}, err
	}
	chosen, err := selectTasks(suite, req)
	if err != nil {
		return CriteriaFile{}, err
	}
	secret := docket.Suite{Name: suite.Name, Salt: freshSalt(), Tasks: suiteTasks(chosen)}
	commitment, err := secret.Commit()
	if err != nil {
		return CriteriaFile{}, err
	}
	slices.Sort(variants)
	c := docket.Criteria{
		Suites: []docket.SuiteCommitment{commitment}, Variants: variants, Agents: []docket.Agent{{Name: req.Agent, Elicitation: a.elicitation(req)}},
		Budget: caseBudget(req), Epochs: req.Epochs, Threshold: millionths(threshold), Rule: docket.FixedSample, Level: millionths(level),
		Analysis: analysis, Exclusions: exclusions,
	}
	return CriteriaFile{c, freshSalt(), []docket.Suite{secret}}, c.Validate()
}

func millionths(share float64) int { return int(share*1e6 + 0.5) }

func freshSalt() (s docket.Salt) {
	_, _ = rand.Read(s[:]) // never fails
	return s
}

func suiteTasks(chosen []bench.Task) []docket.SuiteTask {
	all := make([]docket.SuiteTask, len(chosen))
	for i, t := range chosen {
		all[i] = docket.SuiteTask{ID: t.Task.Name, Digest: t.Digest}
	}
	slices.SortFunc(all, func(a, b docket.SuiteTask) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return all
}

func caseBudget(req RunRequest) docket.Budget {
	s := req.Model.Sample
	return docket.Budget{Tokens: s.Tokens, Steps: s.Turns, Seconds: int64(req.Time / time.Second), MicroDollars: s.NanoDollars / 1000}
}

// elicitation is the digest of all that makes an agent what it is, but for the
// model: its texts and tools, how it generates, what it is told.
func (a *App) elicitation(req RunRequest) proofhouse.Digest {
	e := map[string]any{"agent": req.Agent, "level": req.Level}
	switch req.Agent {
	case react.React{}.Name():
		e["texts"] = react.React{}.Texts()
	case external.External{}.Name():
		e["command"], e["files"] = req.Command, filepath.Base(req.AgentDir)
	}
	if req.Agent == (react.React{}).Name() || req.Agent == (external.External{}).Name() {
		m := req.Model
		e["generate"], e["context"], e["told"], e["messages"] = m.Generate, m.Context, m.Told, m.Sample.Messages
	}
	b, err := json.Marshal(e)
	if err != nil {
		panic(err) // strings and numbers
	}
	return proofhouse.DigestOf(b)
}

// DisclosedTask shows that a task was among those that criteria committed to.
type DisclosedTask struct {
	Suite      docket.SuiteCommitment `json:"suite"`
	Disclosure docket.Disclosure      `json:"disclosure"`
}

// Disclose is the proof for one task, and tells nothing of the others but how many there are. A
// task that the suites do not have is proofhouse.NotFound.
func (f CriteriaFile) Disclose(task proofhouse.TaskID) (DisclosedTask, error) {
	for _, s := range f.Suites {
		d, err := s.Disclose(task)
		if proofhouse.KindOf(err) == proofhouse.NotFound {
			continue
		}
		if err != nil {
			return DisclosedTask{}, err
		}
		commitment, err := s.Commit()
		return DisclosedTask{commitment, d}, err
	}
	return DisclosedTask{}, proofhouse.Errorf(proofhouse.NotFound, nil, "the criteria have no task of that name")
}

// Review is the case that a run is for.
type Review struct {
	Client wire.Client
	Case   proofhouse.CaseID
	// Registration is the version of the criteria that the run follows; 0 is
	// none, and then the run is exploratory.
	Registration int
	Variant      string
	// Criteria is the registrar's file, which opens the commitment to the suite.
	Criteria string
	// Exploratory lets a run begin that will not count.
	Exploratory bool
	// Say is told how it stands with the case.
	Say func(string)

	grant   docket.GrantID
	run     proofhouse.RunID
	ended   error // why access ended, if it did before the run
	receipt []byte
}

// lent finds the grant that opens the model, and gives the run its name.
func (r *Review) lent(ctx context.Context, req RunRequest) (Lent, error) {
	c, err := r.Client.Case(ctx, r.Case)
	if err != nil {
		return Lent{}, err
	}
	me, err := r.Client.Me(ctx)
	if err != nil {
		return Lent{}, err
	}
	i := slices.IndexFunc(c.State.Live, func(g docket.Grant) bool { return g.To == me.Organisation })
	if i < 0 {
		return Lent{}, proofhouse.Errorf(proofhouse.Refused, nil, "no grant of yours opens the model in that case: its developer lends it with `access lend`")
	}
	g := c.State.Live[i]
	r.grant, r.run = g.ID, proofhouse.NewRunID()
	if req.Resume {
		earlier, err := bench.ReadResult(req.Out)
		if err != nil {
			return Lent{}, err
		}
		r.run = earlier.Run
	}
	until, ends := c.GrantEnd(g)
	if !ends {
		until = c.State.At.Add(maxWindow)
	}
	return Lent{Case: r.Case, Run: r.run, Subject: docket.Subject(r.Case, g.ID), Until: until}, nil
}

// begin enters the run in the case before the first token. The context that it
// gives ends when access does.
func (r *Review) begin(ctx context.Context, a *App, tasks []bench.Task, req RunRequest) (context.Context, func(), error) {
	m, err := r.manifest(a, tasks, req)
	if err != nil {
		return ctx, nil, err
	}
	c, err := r.Client.Case(ctx, r.Case)
	if err != nil {
		return ctx, nil, err
	}
	if !slices.ContainsFunc(c.Runs, func(run docket.Run) bool { return run.ID == r.run }) {
		if !r.Exploratory {
			if why := r.counts(c.Case, m); len(why) > 0 {
				return ctx, nil, proofhouse.Errorf(proofhouse.Refused, nil, "the run would not count (%s): mend that, or give --exploratory", strings.Join(why, ", "))
			}
		}
		// What the run is held to is in the public log before the model is asked.
		receipt, err := r.Client.Receipt(ctx, r.Case, c.Version)
		if err != nil {
			return ctx, nil, err
		}
		r.receipt = receipt
		done, err := r.Client.Do(ctx, r.Case, docket.StartRun{Run: r.run, Registration: r.Registration, Manifest: m}, wire.Options{Key: string(r.run)})
		if err != nil {
			return ctx, nil, err
		}
		c = done.Case
	}
	if i := slices.IndexFunc(c.Runs, func(run docket.Run) bool { return run.ID == r.run }); i >= 0 && len(c.Runs[i].Exploratory) > 0 {
		r.Say("the run is exploratory, and will not count: " + strings.Join(c.Runs[i].Exploratory, ", "))
	} else {
		r.Say(fmt.Sprintf("the run %s is registered in %s under version %d of the criteria", r.run, r.Case, r.Registration))
	}
	ctx, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.watch(ctx, cancel)
	}()
	return ctx, func() {
		cancel(nil)
		<-done
		if cause := context.Cause(ctx); proofhouse.KindOf(cause) == proofhouse.Refused {
			r.ended = cause
		}
	}, nil
}

// counts is why the run would not count, as far as its runner can know: what is
// registered, and whether the developer countersigned it.
func (r *Review) counts(c docket.Case, m docket.Manifest) []string {
	if r.Registration == 0 {
		return []string{"no criteria: --criteria-version names some"}
	}
	if r.Registration > len(c.Registrations) {
		return []string{fmt.Sprintf("there is no version %d of the criteria", r.Registration)}
	}
	reg := c.Registrations[r.Registration-1]
	why := reg.Criteria.Differences(m)
	if reg.Countersigned.IsZero() {
		why = append(why, "not countersigned")
	}
	return why
}

// manifest is what the run says of itself.
func (r *Review) manifest(a *App, tasks []bench.Task, req RunRequest) (docket.Manifest, error) {
	m := docket.Manifest{
		Suites: []docket.SuiteCommitment{}, Variant: r.Variant, Agent: docket.Agent{Name: req.Agent, Elicitation: a.elicitation(req)},
		Budget: caseBudget(req), Epochs: req.Epochs, Analysis: analysis, Exclusions: exclusions,
	}
	if r.Criteria == "" {
		return m, nil
	}
	file, err := ReadCriteria(r.Criteria)
	if err != nil {
		return m, err
	}
	for _, s := range file.Suites {
		if s.Name != req.Suite {
			continue
		}
		s.Tasks = suiteTasks(tasks)
		commitment, err := s.Commit()
		if err != nil {
			return m, err
		}
		m.Suites = append(m.Suites, commitment)
	}
	return m, nil
}

// ReadCriteria reads a file that DraftCriteria's result was written to.
func ReadCriteria(name string) (f CriteriaFile, err error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return f, proofhouse.Errorf(proofhouse.NotFound, err, "the criteria's file cannot be read")
	}
	if err := json.Unmarshal(b, &f); err != nil {
		return f, proofhouse.Errorf(proofhouse.Invalid, err, "that file holds no criteria: `criteria draft` makes one")
	}
	return f, f.Criteria.Validate()
}

const (
	// accessPause is how often a run asks whether it still has access.
	accessPause = 300 * time.Millisecond
	// accessPatience is for how long it goes on if nobody answers.
	accessPatience = 3 * time.Second
)

// watch ends the run when the grant that it runs by does, or when nobody can
// say that it has not.
func (r *Review) watch(ctx context.Context, cancel context.CancelCauseFunc) {
	known := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(accessPause):
		}
		c, err := r.Client.Case(ctx, r.Case)
		switch {
		case err == nil && slices.ContainsFunc(c.State.Live, func(g docket.Grant) bool { return g.ID == r.grant }):
			known = time.Now()
			continue
		case err != nil && proofhouse.KindOf(err) == proofhouse.Unavailable && time.Since(known) < accessPatience:
			continue
		}
		cancel(proofhouse.Errorf(proofhouse.Refused, err, "access to the model has ended"))
		return
	}
}

// finish enters in the case what the run came to. A run that was stopped can be
// taken up again, and is not finished.
func (r *Review) finish(ctx context.Context, a *App, result bench.Result, out string) error {
	if result.Status != "success" {
		if r.ended != nil {
			return r.ended
		}
		r.Say("the run is not finished, and the case waits for it: --resume goes on, `case void` gives it up")
		return nil
	}
	if len(r.receipt) > 0 {
		if err := os.WriteFile(filepath.Join(out, "receipt"), r.receipt, 0o600); err != nil {
			return err
		}
	}
	b, err := os.ReadFile(filepath.Join(out, "results.json"))
	if err != nil {
		return err
	}
	var tally docket.Tally
	for _, s := range result.Samples {
		tally.Samples++
		switch {
		case s.Status == bench.Errored:
			tally.Excluded++
		case s.Score.Solved:
			tally.Solved++
		}
	}
	tokens, err := a.runTokens(ctx, r.run)
	if err != nil {
		return err
	}
	_, err = r.Client.Do(context.WithoutCancel(ctx), r.Case,
		docket.FinishRun{Run: r.run, Evidence: proofhouse.DigestOf(b), Tally: tally, Tokens: tokens}, wire.Options{Key: "finish-" + string(r.run)})
	if err == nil {
		r.Say(fmt.Sprintf("entered in %s: %d of %d solved, %d left out, %d tokens", r.Case, tally.Solved, tally.Samples, tally.Excluded, tokens))
	}
	return err
}

// runTokens is what the gate counted for a run.
func (a *App) runTokens(ctx context.Context, run proofhouse.RunID) (tokens int64, err error) {
	metered, err := a.counted(ctx, "")
	for _, m := range metered {
		if m.Run == run {
			tokens += m.Tokens
		}
	}
	return tokens, err
}
