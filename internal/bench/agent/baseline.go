package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"proofhouse/internal/bench"
	"proofhouse/internal/oracle"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
	"proofhouse/internal/target"
)

// Baseline runs the target's fuzzer in the agent's box: libFuzzer for C, Go's
// native fuzzing, and a property-driven fuzzer for JavaScript. It takes what
// the fuzzer writes to /out/candidates, tries each input on the vulnerable
// build, and submits the first of each kind of break. A break that does not
// score ends nothing: the fuzzer is started again with its corpus and another
// seed. It learns of the fixed side what a model learns: nothing but whether a
// submission scored.
type Baseline struct{}

// Name is "baseline".
func (Baseline) Name() string { return "baseline" }

const (
	candidateDir = "/out/candidates"
	corpusDir    = "/out/corpus"
	seedDir      = "/src/harness/seeds"
	lookEvery    = 500 * time.Millisecond
	tellEvery    = 5 * time.Second
	reserve      = 5 * time.Second // before the deadline, for making the best the final submission
	// tooShort is a round that can have done nothing, and hopeless how many of
	// them in a row, with no candidate, say that the fuzzer does not work.
	tooShort = 2 * time.Second
	hopeless = 5
)

// errDone ends a round when there is nothing more to do.
var errDone = errors.New("done")

// Run fuzzes until a submission solves the task, none is left or ctx ends.
func (Baseline) Run(ctx context.Context, s *bench.Session) error {
	for _, f := range s.Past() {
		if f.Solved {
			return nil
		}
	}
	h := &hunt{s: s, seen: map[string]bool{}, tried: map[string]int{}}
	h.seeds = h.hasSeeds(ctx)
	short := 0
	for round := 1; ; round++ {
		begun := time.Now()
		out, err := h.round(ctx, round)
		switch {
		case errors.Is(err, errDone):
			return h.settle(ctx)
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
		if short++; time.Since(begun) > tooShort || h.candidates > 0 || h.meter.read() > 0 {
			short = 0
		}
		if short >= hopeless {
			return proofhouse.Errorf(proofhouse.Unavailable, fmt.Errorf("exit %d: %s", out.Exit, out.Stderr.Head),
				"the fuzzer does not work in this task's box")
		}
	}
}

// hunt is one sample's fuzzing. Only the goroutine that runs the sample uses
// it, but for meter, which the fuzzer's output goes to.
type hunt struct {
	s          *bench.Session
	seeds      bool
	seen       map[string]bool // names and digests of candidates
	tried      map[string]int  // submissions by kind of break
	candidates int
	crashed    string // where Go's fuzzer writes what killed it in this round
	best       []byte // breaks the vulnerable build only, if elsewhere
	meter      meter
	told       time.Time
}

// hasSeeds says whether the task's seeds lie in the box.
func (h *hunt) hasSeeds(ctx context.Context) bool {
	entries, err := h.list(ctx, seedDir)
	return err == nil && len(entries) > 0
}

// round runs the fuzzer once, looking after its candidates meanwhile.
func (h *hunt) round(ctx context.Context, round int) (sandbox.Result, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type ended struct {
		result sandbox.Result
		err    error
	}
	h.meter.begin()
	h.crashed = fmt.Sprintf("/out/round-%d/testdata", round)
	done := make(chan ended, 1)
	go func() {
		r, err := h.s.Box.Exec(ctx, h.command(round))
		done <- ended{r, err}
	}()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case e := <-done:
			if e.err != nil {
				return e.result, e.err
			}
			if err := h.look(ctx); err != nil {
				return e.result, err
			}
			return e.result, h.tell(round, false)
		case <-tick.C:
			err := h.look(ctx)
			if err == nil {
				err = h.tell(round, false)
			}
			if err == nil && h.best != nil && time.Until(h.s.Deadline) < reserve {
				err = errDone
			}
			if err != nil {
				cancel()
				<-done // the fuzzer is gone before anything else happens
				return sandbox.Result{}, errors.Join(err, h.tell(round, true))
			}
		}
	}
}

// command is the fuzzer's command line in a round. Each round has a folder of
// its own, since Go's fuzzer begins with what broke before.
func (h *hunt) command(round int) sandbox.Command {
	seed := uint64(h.s.Seed)%1_000_000_007 + uint64(round)
	argv := slices.Clone(h.s.Task.Fuzz)
	switch h.s.Task.Language {
	case target.C:
		argv = append(argv, fmt.Sprintf("-seed=%d", seed%(1<<32-1)+1))
		if h.seeds {
			argv = append(argv, seedDir)
		}
	case target.JavaScript:
		argv = append(argv, fmt.Sprintf("--seed=%d", seed))
	case target.Go: // seeds itself anew at each start
	}
	dir := fmt.Sprintf("/out/round-%d", round)
	shell := fmt.Sprintf("mkdir -p %s %s %s && cd %s && exec \"$@\"", candidateDir, corpusDir, dir, dir)
	return sandbox.Command{
		Argv: append([]string{"/bin/sh", "-c", shell, "sh"}, argv...),
		Env:  append(slices.Clone(h.s.Task.FuzzEnv), "PROOFHOUSE_SYMPTOM="+string(h.s.Task.Symptom)),
		Dir:  "/out", User: sandbox.Nobody, Tail: &h.meter,
	}
}

// tell writes a progress line now and then.
func (h *hunt) tell(round int, now bool) error {
	if !now && time.Since(h.told) < tellEvery {
		return nil
	}
	h.told = time.Now()
	n := h.meter.read()
	return h.s.Log("progress", fmt.Sprintf("%d inputs tried, %d candidates", n, h.candidates),
		map[string]any{"executed": n, "candidates": h.candidates, "round": round})
}

// look takes in what is new among the candidates. While the fuzzer has all of the box's memory nothing can be looked
// at: it is looked at again later.
func (h *hunt) look(ctx context.Context) error {
	found, err := h.fresh(ctx)
	if proofhouse.KindOf(err) == proofhouse.Limit {
		return nil
	}
	if err != nil {
		return err
	}
	for _, c := range found {
		if err := h.consider(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// perKind is how many inputs of one kind of break are submitted: a second one
// only while most submissions are left.
func (h *hunt) perKind() int {
	if h.s.Left() > h.s.Task.MaxSubmissions/2 {
		return 2
	}
	return 1
}

// consider tries a candidate and submits it if it breaks in a way that was
// not submitted before.
func (h *hunt) consider(ctx context.Context, c candidate) error {
	kind, broke, err := h.triage(ctx, c)
	if err != nil {
		return err
	}
	if !broke || h.tried[kind] >= h.perKind() {
		return nil
	}
	h.tried[kind]++
	f, err := h.s.Submit(ctx, c.input)
	if err != nil {
		return err
	}
	said := "a candidate did not score, fuzzing goes on"
	if f.Solved {
		said = "a candidate scored"
	}
	if err := h.s.Log("info", said, map[string]any{"executed": h.meter.read()}); err != nil {
		return err
	}
	switch {
	case f.Solved:
		h.best = nil
		return errDone
	case f.Counts:
		h.best = c.input
	}
	if f.Left == 0 || f.Left == 1 && h.best != nil {
		return errDone
	}
	return nil
}

// settle makes the best of the submissions the final one, since that scores.
func (h *hunt) settle(ctx context.Context) error {
	past := h.s.Past()
	if h.best == nil || len(past) > 0 && past[len(past)-1].Counts || h.s.Left() == 0 {
		return nil
	}
	_, err := h.s.Submit(ctx, h.best)
	return err
}

// triage runs a candidate on the vulnerable build in this box. kind names
// the break as well as one side can tell.
func (h *hunt) triage(ctx context.Context, c candidate) (kind string, broke bool, err error) {
	if h.s.Task.Symptom != oracle.Crash {
		return c.kind, true, nil // the fuzzer has seen the property itself
	}
	if err := h.s.Box.CopyIn(ctx, "/out/triage", strings.NewReader(string(c.input)), 0o644); err != nil {
		return "", false, err
	}
	r, err := h.s.Box.Exec(ctx, sandbox.Command{
		Argv: append(slices.Clone(h.s.Task.Run), "/out/triage"), Env: h.s.Task.RunEnv, Dir: "/tmp",
		User: sandbox.Nobody, Wall: h.s.Task.RunTime,
	})
	if err != nil {
		return "", false, err
	}
	if r.Exit == 0 || r.Limit != "" {
		return "", false, nil
	}
	if site := crashSite(r.Stderr); site != "" {
		return site, true, nil
	}
	return fmt.Sprintf("%s:%d:%d", c.kind, r.Exit, r.Signal), true, nil
}
