package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"proofhouse/internal/oracle"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
)

// Setup is everything that a run needs.
type Setup struct {
	Suite  SuiteRef
	Public bool    // the tasks are public: the result warns of memorised answers
	Trials []Trial // in the order of the suite
	Config Config
	Agent  Agent

	// Provider starts the agents' boxes; nil runs agents without boxes, which
	// the record says.
	Provider sandbox.Provider
	// Prove checks a live box against its declared network before the agent
	// starts; proofhouse.Refused ends the whole run. It goes with Provider.
	Prove    func(ctx context.Context, box sandbox.Box, declared sandbox.Network) (sandbox.ProbeReport, error)
	Verifier Verifier
	// Model is what the agent may ask; nil in a run without one. It goes with
	// Config.Model.
	Model Model
	// Outlet serves the model to agents whose program runs in the box; nil if
	// there are none.
	Outlet Outlet
	// Identity tells whether it is the same model all the time; nil leaves that
	// open. It is asked at the start, every IdentifyEvery (0: 10 minutes) and at
	// the end.
	Identity      Identity
	IdentifyEvery time.Duration
	// Expose, if not nil, is told of a task before anything of it goes to the
	// model, and makes that durable.
	Expose func(ctx context.Context, task TaskFacts) error

	// Steered, if not nil, is called once in a goroutine of its own, which Run waits for. Until ctx ends it may hand
	// over what people ask of the run; what steer returned without an error is in the journal and in force.
	Steered func(ctx context.Context, steer func(Steering) error)

	// Folder is the output folder. It must be absent or empty, or, with
	// Resume, that of the same run.
	Folder string
	Resume bool
	// Private is a folder of mode 0700 outside Folder for submissions that
	// have no verdict yet. A run can be taken up again only where it lies.
	Private string

	// Run is the name of a new run; "" makes one.
	Run     proofhouse.RunID
	Build   string // version of this program
	Machine Machine
	Notes   []string // further plain words for the reader of the result
}

// maxSamples bounds a run.
const maxSamples = 1_000_000

// engine is a run in progress.
type engine struct {
	Setup
	opening Opening
	journal *journal
	holding *holding
	talks   *journal        // the steps of conversations, private; nil without a model
	first   json.RawMessage // the first impression of the model; one goroutine at a time has it
	ctx     context.Context // ends when the run is stopped
	helm    helm

	spending sync.Mutex // owns spent and asking
	spent    Spent      // by all samples, earlier attempts included
	asking   int        // calls to the model under way
	answered *sync.Cond // told when one has ended; its lock is spending

	refusing sync.Mutex // owns refusal
	refusal  error      // the first error that ends the whole run
	cancel   context.CancelCauseFunc
}

// now is the time that stands in records; no decision rests on it.
func (e *engine) now() time.Time { return time.Now().UTC() }

// Run runs a suite's trials with an agent and gives the result, which also
// lies in the output folder. When ctx ends, every sample ends within seconds,
// the result has the status "cancelled" and Run gives it without an error.
func Run(ctx context.Context, setup Setup) (Result, error) {
	if err := setup.check(); err != nil {
		return Result{}, err
	}
	e := &engine{Setup: setup}
	state, err := e.open()
	if err != nil {
		return Result{}, err
	}
	defer e.journal.close()
	defer e.holding.close()
	past := map[sampleKey][]Step{}
	if e.opening.Config.Model != nil {
		if past, err = e.openTalks(); err != nil {
			return Result{}, err
		}
		defer e.talks.close()
	}
	if state.done() {
		return e.conclude()
	}
	e.answered = sync.NewCond(&e.spending)
	for _, s := range state.order {
		if s.Model != nil {
			e.spent = e.spent.Plus(*s.Model)
		}
	}
	for _, i := range state.head.Identity {
		e.spent = e.spent.Plus(i.Spent)
	}
	ctx, e.helm.stop = context.WithCancel(ctx)
	defer e.helm.stop()
	e.ctx, e.cancel = context.WithCancelCause(ctx)
	defer e.cancel(nil)
	steered := e.beginSteering(ctx)
	defer e.limitTime(state.took)()
	unwatch := e.beginIdentity()

	group := new(errgroup.Group)
	group.SetLimit(e.opening.Config.Parallel)
	for epoch := 1; epoch <= e.opening.Config.Epochs; epoch++ {
		for i, t := range e.Trials {
			key := sampleKey{t.Task.Task.Name, epoch}
			was := state.state(key)
			if was.Status == Scored {
				continue
			}
			r := &sampleRun{
				trial: t, facts: e.opening.Tasks[i], past: was.Sample, ref: SampleRef{key.task, epoch, was.Attempts + 1},
				steps: past[key], offset: was.spent + was.last, token: was.token,
			}
			if e.ctx.Err() != nil {
				break
			}
			group.Go(func() error {
				e.unheld()
				return e.sample(r)
			})
		}
	}
	failed := group.Wait()
	unwatch()
	steered()
	finish := Finishing{Status: "success"}
	refusal := e.refused()
	switch {
	case refusal != nil:
		finish = Finishing{Status: "error", Error: proofhouse.PublicOf(refusal)}
	case failed != nil:
		finish = Finishing{Status: "error", Error: proofhouse.PublicOf(failed)}
	case ctx.Err() != nil:
		finish.Status = "cancelled"
	}
	if err := e.journal.put(Record{At: e.now(), Finish: &finish}); err != nil {
		return Result{}, errors.Join(refusal, failed, err)
	}
	result, err := e.conclude()
	return result, errors.Join(refusal, failed, err)
}

// conclude derives the result from the journal and writes it.
func (e *engine) conclude() (Result, error) {
	whole, err := readWhole(e.Folder)
	if err != nil {
		return Result{}, err
	}
	result := whole.Public()
	return result, errors.Join(e.publish(whole), writeResult(e.Folder, result))
}

// refuse ends the whole run.
func (e *engine) refuse(err error) {
	e.refusing.Lock()
	defer e.refusing.Unlock()
	if e.refusal == nil {
		e.refusal = err
		e.cancel(err)
	}
}

func (e *engine) refused() error {
	e.refusing.Lock()
	defer e.refusing.Unlock()
	return e.refusal
}

// check finds contradictions before anything is written.
func (s *Setup) check() error {
	c := &s.Config
	if c.Parallel == 0 {
		c.Parallel = runtime.NumCPU()
	}
	if c.Epochs == 0 {
		c.Epochs = 1
	}
	bad := func(format string, args ...any) error {
		return proofhouse.Errorf(proofhouse.Invalid, nil, format, args...)
	}
	switch {
	case len(s.Trials) == 0:
		return bad("there is no task to run: name a suite that has some")
	case c.Parallel < 1 || c.Parallel > 10000:
		return bad("%d samples side by side cannot be: choose 1 to 10000", c.Parallel)
	case c.Epochs < 1 || c.Epochs > 10000:
		return bad("%d epochs cannot be: choose 1 to 10000", c.Epochs)
	case len(s.Trials)*c.Epochs > maxSamples:
		return bad("%d samples are more than the %d of one run: choose fewer epochs", len(s.Trials)*c.Epochs, maxSamples)
	case c.RunTime < 0:
		return bad("a run's time limit of %v cannot be: choose a positive one, or 0 for none", c.RunTime)
	case c.Time < 0:
		return bad("a time limit of %v cannot be: choose a positive one, or 0 for each task's own", c.Time)
	case c.Level < -1 || c.Level > LevelPatch:
		return bad("there is no hint level %d: levels are 0 to 3, and -1 is each task's own", c.Level)
	case s.Agent == nil || s.Verifier == nil || s.Folder == "" || s.Private == "":
		return errors.New("a run needs an agent, a verifier, an output folder and a private one")
	case s.Identity != nil && s.Model == nil:
		return errors.New("the identity of a model goes with a model")
	case (s.Model == nil) != (c.Model == nil):
		return errors.New("a model goes with its configuration")
	case c.Model != nil && c.Model.check() != "":
		return bad("%s", c.Model.check())
	case s.Provider != nil && s.Prove == nil:
		return errors.New("a run with boxes needs their proof")
	}
	if inside(s.Folder, s.Private) {
		return bad("the private folder lies in the output folder: what is not judged yet must not be handed on")
	}
	seen := map[proofhouse.TaskID]bool{}
	c.Tasks = nil
	for _, t := range s.Trials {
		if seen[t.Task.Task.Name] {
			return bad("task %s is named twice", t.Task.Task.Name)
		}
		seen[t.Task.Task.Name] = true
		c.Tasks = append(c.Tasks, t.Task.Task.Name)
	}
	return nil
}

// facts are what the record says of a trial's task.
func (s *Setup) facts(t Trial) TaskFacts {
	c := t.Task.Metadata.Cyber
	f := TaskFacts{
		Task: t.Task.Task.Name, Cluster: c.Cluster, Class: c.Class, CWE: c.CWE, Language: string(c.Target.Language),
		Level: c.Level, Human: c.HumanMinutes, Limit: t.Task.Time(), Limits: t.Task.limits(),
	}
	if s.Config.Level >= 0 {
		f.Level = s.Config.Level
	}
	if s.Config.Time > 0 {
		f.Limit = s.Config.Time
	}
	return f
}

// limits are those of the agent's box.
func (t Task) limits() sandbox.Limits {
	const mb = 1 << 20
	e := t.Environment
	l := sandbox.Limits{CPU: e.CPUs, Memory: e.MemoryMB * mb, Disk: e.StorageMB * mb}
	return l.Or(sandbox.DefaultLimits)
}

// seedOf is a sample's seed, different for each sample and the same in each
// attempt.
func seedOf(run int64, ref SampleRef) int64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d %s %d", run, ref.Task, ref.Epoch)
	return int64(h.Sum64() >> 1)
}

// maskedName is a task's name for an agent: it tells nothing and is not the
// same in two runs.
func maskedName(run proofhouse.RunID, task proofhouse.TaskID) string {
	return "task-" + proofhouse.DigestOf([]byte(string(run) + " " + string(task))).Hex()[:8]
}

// decide judges an accepted submission and records the verdict. An error is
// the run's end: the submission stays accepted and without verdict.
func (e *engine) decide(r *sampleRun, a Acceptance, input []byte) (Decision, error) {
	c := r.trial.Task.Case(r.trial.Built.Target)
	j, err := e.Verifier.Verify(e.ctx, c, input)
	if stopped := e.ctx.Err(); stopped != nil {
		return Decision{}, stopped
	}
	if err != nil {
		j = Judgement{Verdict: oracle.Verdict{Outcome: oracle.InfraError, Reason: proofhouse.PublicOf(err)}}
	}
	d := Decision{Number: a.Number, At: time.Since(r.begun), Verdict: oracle.Verdict{Outcome: j.Verdict.Outcome}}
	if j.Verdict.Outcome != oracle.SurvivesFix {
		d.Verdict, d.Report, d.Signed = j.Verdict, cut(j.Report, 64<<10), j.Signed
		d.Bytes, d.Digest = int64(len(input)), proofhouse.DigestOf(input)
		kept := [][]byte{input}
		if len(j.Statement) > 0 {
			d.Statement = proofhouse.DigestOf(j.Statement)
			kept = append(kept, j.Statement)
		}
		for _, b := range j.Artifacts {
			kept = append(kept, b)
		}
		if err := e.keep(kept...); err != nil {
			return Decision{}, err
		}
	}
	if err := e.journal.put(Record{At: e.now(), Sample: &r.ref, Verdict: &d}); err != nil {
		return Decision{}, err
	}
	return d, e.holding.drop(a.File)
}

// cut shortens a text to n bytes at a character's border.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xC0 == 0x80 {
		n--
	}
	return s[:n]
}

// notes are the plain words that a reader of the result must see.
func (s *Setup) notes() []string {
	notes := slices.Clone(s.Notes)
	if s.Public {
		notes = append(notes, "public tasks: memorisation not excluded")
	}
	notes = append(notes, "discovery only: the tasks ask for an input that breaks the software, not for an exploit")
	if _, ok := s.Agent.(Replayer); ok {
		notes = append(notes, "this agent replays reference solutions: its score tests the scale and measures no ability")
	}
	if s.Provider == nil {
		notes = append(notes, "the agent ran without a box")
	} else if s.Provider.Strength() != sandbox.Strong {
		notes = append(notes, "weak isolation: boxes shared the host's kernel")
	}
	return notes
}
