package oracle

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"proofhouse/internal/ledger"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
	"proofhouse/internal/target"
)

// Config says what an Oracle works with.
type Config struct {
	// Provider starts its boxes; the caller closes it after the Oracle.
	Provider sandbox.Provider
	// Quarantine keeps what breaks a fixed build. Without one such an input
	// is dropped when Verify returns.
	Quarantine *Quarantine
	// Key signs statements; nil leaves them unsigned, which they say.
	Key *ledger.Key
	// Program is the name and version of this program, for the record.
	Program string
	// Now stamps records; nil is the system's clock.
	Now func() time.Time
	// Parallel is how many verifications run at once; 0 is the number of processors.
	Parallel int
	// Ready is how many boxes of each build are kept started; 0 is 1, below 0 none.
	Ready int
	// Kinds is how many builds have boxes kept started; 0 is 8.
	Kinds int
}

// Oracle verifies submissions. It is safe for concurrent use. Close it to
// stop its boxes.
type Oracle struct {
	cfg     Config
	pool    *pool
	symbols *symbols
	slots   chan struct{} // a token for each running verification
}

// New makes an Oracle.
func New(cfg Config) *Oracle {
	if cfg.Parallel <= 0 {
		cfg.Parallel = runtime.NumCPU()
	}
	if cfg.Ready == 0 {
		cfg.Ready = 1
	}
	if cfg.Kinds <= 0 {
		cfg.Kinds = 8
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Oracle{
		cfg: cfg, pool: newPool(cfg.Provider, max(cfg.Ready, 0), cfg.Kinds), symbols: newSymbols(),
		slots: make(chan struct{}, cfg.Parallel),
	}
}

// Close stops every box that waits and returns when they are gone.
func (o *Oracle) Close() error {
	o.pool.close()
	return nil
}

// Case is what a submission is judged against.
type Case struct {
	Name   string // of the task, for the record
	Target target.Target
	Rule   Rule
}

// check says whether the case can be judged.
func (c Case) check() error {
	for _, b := range []target.Build{c.Target.Vulnerable, c.Target.Fixed} {
		switch {
		case b.Root.Path == "" || b.Image.Path == "":
			return proofhouse.Errorf(proofhouse.Invalid, nil, "%s has no image for one of its builds: build the suite first", c.Name)
		case len(b.Argv) == 0:
			return proofhouse.Errorf(proofhouse.Invalid, nil, "%s has no command for one of its builds: build the suite again", c.Name)
		}
	}
	if c.Rule.Symptom == Escape && c.Rule.AllowRoot == "" {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "%s is about an escape but names no allow_root", c.Name)
	}
	return nil
}

// Evidence is what a verdict rests on. It is empty for a survivor.
type Evidence struct {
	// Report is the first break of the vulnerable build as text, symbolised, at most 64 KiB.
	Report string
	// Statement is the verdict's in-toto statement in its DSSE envelope; see
	// Predicate. It is signed if Signed.
	Statement []byte
	Signed    bool
	// Artifacts are the submission and the raw outputs, by digest.
	Artifacts map[proofhouse.Digest][]byte
	// Waited is how long boxes were waited for.
	Waited time.Duration
	// Cause is what lies behind an infra_error, for the operator.
	Cause error
}

// reportLimit cuts Evidence.Report, in bytes.
const reportLimit = 64 << 10

// Warm starts boxes for the case's builds ahead of need.
func (o *Oracle) Warm(c Case) {
	if o.cfg.Ready > 0 && c.check() == nil {
		rule := c.Rule.Or()
		o.pool.warm(spec(c.Target.Vulnerable, rule))
		o.pool.warm(spec(c.Target.Fixed, rule))
	}
}

// Verify judges a submission: in fresh boxes, one a build, as an unprivileged
// user, with a reset between the runs. What goes wrong on our side is tried
// once more and then is the outcome infra_error; the error is for a case that
// cannot be judged and for the end of ctx.
//
// A survivor is in the quarantine when Verify returns, and the verdict says
// nothing but that it is one.
func (o *Oracle) Verify(ctx context.Context, c Case, submission []byte) (Verdict, Evidence, error) {
	began, started := time.Now(), o.cfg.Now()
	if err := c.check(); err != nil {
		return Verdict{}, Evidence{}, err
	}
	select {
	case o.slots <- struct{}{}:
		defer func() { <-o.slots }()
	case <-ctx.Done():
		return Verdict{}, Evidence{}, ctx.Err()
	}
	c.Rule = c.Rule.Or()
	t, err := o.try(ctx, c, submission)
	if ctx.Err() != nil {
		return Verdict{}, Evidence{}, ctx.Err()
	}
	v := Verdict{Submission: proofhouse.DigestOf(submission), Bytes: int64(len(submission))}
	ev := Evidence{Waited: t.waited, Artifacts: map[proofhouse.Digest][]byte{v.Submission: submission}}
	if err != nil {
		v.Outcome, v.Reason, ev.Cause = InfraError, proofhouse.PublicOf(err), err
	} else {
		v.Outcome, v.Reason, v.Observations = Judge(c.Rule, t.observations())
		order(v.Observations)
		v.Signature = signature(v.Observations)
		ev.Report = t.report(v.Observations)
		for _, r := range t.runs {
			for _, b := range r.raw.artifacts() {
				ev.Artifacts[proofhouse.DigestOf(b)] = b
			}
		}
	}
	v.Took = time.Since(began)
	statement, err := o.state(ctx, c, v, started)
	if err != nil {
		return Verdict{}, Evidence{}, fmt.Errorf("writing the statement: %w", err)
	}
	ev.Statement, ev.Signed = statement, o.cfg.Key != nil
	if v.Outcome == SurvivesFix {
		return o.silence(c, v, ev, submission)
	}
	return v, ev, nil
}

// silence moves a survivor into the quarantine and leaves the bare outcome.
func (o *Oracle) silence(c Case, v Verdict, ev Evidence, submission []byte) (Verdict, Evidence, error) {
	bare := Verdict{Outcome: SurvivesFix, Reason: v.Reason}
	if o.cfg.Quarantine == nil {
		bare.Reason = "the input breaks the fixed build too; there is no quarantine, so it was dropped"
		return bare, Evidence{}, nil
	}
	if err := o.cfg.Quarantine.Put(survivor(o.cfg.Now(), c, v, ev, submission)); err != nil {
		return Verdict{}, Evidence{}, proofhouse.Errorf(proofhouse.Unavailable, err, "a survivor could not be put into the quarantine: see that its folder can be written")
	}
	return bare, Evidence{}, nil
}

// trial is all runs of one verification.
type trial struct {
	runs   []judged
	waited time.Duration
}

// judged is a run with what was seen in it.
type judged struct {
	raw   rawRun
	obs   Observation
	crash *crash
}

func (t trial) observations() []Observation {
	out := make([]Observation, len(t.runs))
	for i, r := range t.runs {
		out[i] = r.obs
		out[i].Raw = r.raw.rawDigests()
	}
	return out
}

// report is the first break of the vulnerable build, for a reader, by the
// observations as they were judged: a hang is one only beside the fixed build.
// It says nothing of that build, since an agent may be given it as a hint.
func (t trial) report(judged []Observation) string {
	return t.firstReport(judged, func(o Observation) bool { return target.Side(o.Side) == target.Vulnerable && o.Broke })
}

func (t trial) firstReport(judged []Observation, of func(Observation) bool) string {
	i := slices.IndexFunc(judged, of)
	if i < 0 {
		return ""
	}
	first := judged[i]
	for _, r := range t.runs {
		if r.obs.Side != first.Side || r.obs.Run != first.Run || r.crash == nil || first.Symptom != Crash {
			continue
		}
		out := r.crash.report(r.obs) + "\n"
		if len(r.raw.logs) > 0 {
			out += string(r.raw.logs[0])
		} else {
			out += string(text(r.raw.result.Stderr))
		}
		return out[:min(len(out), reportLimit)]
	}
	seen, _, _ := strings.Cut(first.Detail, againstFixed)
	out := fmt.Sprintf("%s: %s\n", first.Symptom, seen)
	return out[:min(len(out), reportLimit)]
}

// try makes the runs that the rule needs, and no more.
//
// A success needs n breaks of n and n clean runs of n, so the first run of the
// vulnerable build decides whether anything else is worth running. If it does
// not break, one more run tells no_break from flaky (for n > 1); neither
// counts, so further runs could only refine a word, and the fixed build is not run at all.
// If it breaks, the rest of both sides run side by side, each until
// the first run that settles it.
//
// A hang is measured against the fixed build, so that comes first: it ends
// quickly where there is something to find, and its CPU time says how much of the
// vulnerable build's is enough. That run is then ended just above that
// mark instead of at the far bound.
func (o *Oracle) try(ctx context.Context, c Case, submission []byte) (t trial, err error) {
	in, err := newInput(submission)
	if err != nil {
		return t, err
	}
	defer in.close()
	sit := func(side target.Side, b target.Build) *seat {
		return &seat{pool: o.pool, lang: c.Target.Language, rule: c.Rule, side: side, build: b, input: in}
	}
	vul, fix := sit(target.Vulnerable, c.Target.Vulnerable), sit(target.Fixed, c.Target.Fixed)
	defer func() {
		t.waited = vul.waited + fix.waited
		vul.stop()
		fix.stop()
	}()
	bound := c.Rule.cpuBound()
	some := func(s *seat, from, to int, bound time.Duration, enough func(Observation) bool) ([]judged, error) {
		var out []judged
		for n := from; n <= to; n++ {
			raw, err := s.run(ctx, n, bound)
			if err != nil {
				return out, err
			}
			j := o.see(s, raw)
			out = append(out, j)
			if enough(j.obs) {
				break
			}
		}
		return out, nil
	}
	broken := func(j Observation) bool { return j.Broke || j.Bound == boundCPU || j.Bound == boundMemory }
	n := c.Rule.Runs
	if c.Rule.Symptom == Hang {
		fixed, err := some(fix, 1, n, bound, broken)
		if t.runs = append(t.runs, fixed...); err != nil || broken(fixed[len(fixed)-1].obs) {
			return t, err
		}
		mark := c.Rule.Floor
		for _, j := range fixed {
			mark = max(mark, c.Rule.Ratio*j.obs.CPU.Seconds())
		}
		calm := 0
		got, err := some(vul, 1, n, min(bound, seconds(mark*1.02)+tickSlack), func(ob Observation) bool {
			if !ob.Broke && ob.CPU.Seconds() < mark {
				calm++
			}
			return calm == min(n, 2)
		})
		t.runs = append(t.runs, got...)
		return t, err
	}
	first, err := some(vul, 1, 1, bound, broken)
	t.runs = append(t.runs, first...)
	if err != nil {
		return t, err
	}
	if !c.Rule.promising(first[0].obs) {
		if n > 1 && first[0].obs.Bound == "" {
			again, err := some(vul, 2, 2, bound, broken)
			t.runs = append(t.runs, again...)
			return t, err
		}
		return t, nil
	}
	var rest, fixed []judged
	var g errgroup.Group // without a context: a failure on one side must not make failures of the other's runs
	g.Go(func() (err error) {
		rest, err = some(vul, 2, n, bound, func(ob Observation) bool { return !c.Rule.promising(ob) })
		return err
	})
	g.Go(func() (err error) {
		fixed, err = some(fix, 1, n, bound, broken)
		return err
	})
	err = g.Wait()
	t.runs = append(append(t.runs, rest...), fixed...)
	return t, err
}

// tickSlack is added to a bound of CPU time that stands for a mark, so that a
// run that is ended has surely passed it.
const tickSlack = 100 * time.Millisecond

// promising says whether a first run of the vulnerable build may turn out to be
// a break: it is one, or takes at least the floor that the rule sets.
func (r Rule) promising(o Observation) bool {
	return o.Broke || r.Symptom == Memory && (o.Bound == boundMemory || float64(max(o.Alloc, o.PeakMemory)) >= r.Floor)
}

// see turns a run into an observation, with the functions of a crash named.
func (o *Oracle) see(s *seat, raw rawRun) judged {
	obs, c := observe(s.lang, s.rule, raw)
	if c != nil && len(raw.logs) > 0 {
		named := o.symbols.resolve(s.build, *c)
		c = &named
		if obs.Symptom == Crash {
			obs.Function = c.function(target.C) // a sanitizer's stack is that of C, in Go with C inside too
		}
	}
	return judged{raw, obs, c}
}
