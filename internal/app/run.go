package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"proofhouse/internal/bench"
	"proofhouse/internal/bench/agent"
	"proofhouse/internal/bench/external"
	"proofhouse/internal/bench/react"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/web"
)

// RunRequest is what to measure.
type RunRequest struct {
	Suite string   // name or folder
	Tasks []string // short names; empty is all
	Quick bool     // only the suite's quick tasks
	Agent string
	// Command is the program of agent external, a line of the shell, and
	// AgentDir the folder with its files, "" if it needs none.
	Command, AgentDir string
	// Build makes ready what is not built yet; else a task that is not built
	// is an error.
	Build    bool
	Epochs   int
	Time     time.Duration // of a sample, box set-up included; 0 is each task's own
	RunTime  time.Duration // of all parts of the run together; 0 sets no bound
	Level    int           // hint level; -1 is each task's own
	Parallel int           // samples side by side; 0 is the number of processors
	Seed     int64
	Out      string // output folder
	Resume   bool   // take up the run in Out again
	Replace  bool   // delete an earlier run in Out first
	// Watch, if not nil, is called with the output folder when the run begins,
	// in a goroutine of its own that Run waits for.
	Watch func(ctx context.Context, folder string)
	// Model is what an agent asks that needs a model.
	Model ModelRequest
	// Review, if not nil, is the case that the run is for.
	Review *Review
}

// Run measures an agent, and writes results.json, report.html and the Inspect
// log into the output folder. say is told how building goes.
func (a *App) Run(ctx context.Context, req RunRequest, say func(string)) (bench.Result, error) {
	result, err := a.measure(ctx, req, say)
	if err != nil || req.Review == nil {
		return result, err
	}
	return result, req.Review.finish(ctx, a, result, req.Out)
}

// measure is Run without what a case has to be told afterwards.
func (a *App) measure(ctx context.Context, req RunRequest, say func(string)) (bench.Result, error) {
	suite, err := a.Suite(req.Suite)
	if err != nil {
		return bench.Result{}, err
	}
	chosen, err := selectTasks(suite, req)
	if err != nil {
		return bench.Result{}, err
	}
	tried, err := a.newAgent(req)
	if err != nil {
		return bench.Result{}, err
	}
	if err := clearOutput(req); err != nil {
		return bench.Result{}, err
	}
	if req.Build {
		if err := a.BuildTasks(ctx, chosen, false, say); err != nil {
			return bench.Result{}, err
		}
	}
	trials, ref, err := a.Built.LoadTrials(suite.Name, chosen)
	if err != nil {
		return bench.Result{}, err
	}
	verifier, err := a.Verifier()
	if err != nil {
		return bench.Result{}, err
	}
	return a.perform(ctx, req, chosen, bench.Setup{Suite: ref, Public: suite.Public, Trials: trials, Agent: tried, Verifier: verifier})
}

// perform runs the trials of a setup, which says what is tried on what and who judges it, as a request asks for it.
func (a *App) perform(ctx context.Context, req RunRequest, chosen []bench.Task, setup bench.Setup) (_ bench.Result, err error) {
	provider, err := a.Provider()
	if err != nil {
		return bench.Result{}, err
	}
	private := a.Config.dir("quarantine", "pending")
	if err := os.MkdirAll(private, 0o700); err != nil {
		return bench.Result{}, proofhouse.Errorf(proofhouse.Unavailable, err, "the quarantine cannot be made in the data folder")
	}

	setup.Config = bench.Config{Epochs: req.Epochs, Time: req.Time, RunTime: req.RunTime, Level: req.Level, Parallel: req.Parallel, Seed: req.Seed}
	setup.Provider, setup.Prove = provider, prove
	setup.Folder, setup.Resume, setup.Private = req.Out, req.Resume, private
	setup.Build, setup.Machine = Version, machine()
	if req.Review != nil {
		if req.Model.For, err = req.Review.lent(ctx, req); err != nil {
			return bench.Result{}, err
		}
		setup.Run = req.Model.For.Run
	}
	if by, ok := setup.Agent.(interface{ Texts() proofhouse.Digest }); ok {
		m, err := a.openModel(ctx, req.Model, req.Out, req.Resume)
		if err != nil {
			return bench.Result{}, err
		}
		defer func() { err = errors.Join(err, m.close(ctx)) }()
		m.config.Texts = by.Texts()
		setup.Model, setup.Config.Model, setup.Outlet, setup.Identity, setup.Expose = m, &m.config, m.outlet, m.identity, m.expose
	}

	if req.Review != nil {
		var end func()
		if ctx, end, err = req.Review.begin(ctx, a, chosen, req); err != nil {
			return bench.Result{}, err
		}
		defer end()
		folder, err := filepath.Abs(req.Out)
		if err != nil {
			return bench.Result{}, err
		}
		if err := a.place(placed{setup.Run, req.Review.Case, folder}); err != nil {
			return bench.Result{}, err
		}
		setup.Steered = a.helm(setup.Run)
		req.Review.Say("its live page is " + req.Review.Client.URL + web.RunPath(req.Review.Case, setup.Run))
	}
	watching, stop := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		if req.Watch != nil {
			req.Watch(watching, req.Out)
		}
	}()
	result, err := bench.Run(ctx, setup)
	if err != nil {
		stop()
	}
	<-watched
	stop()
	if result.Run == "" {
		return result, err
	}
	return result, errors.Join(err, a.Report([]string{req.Out}))
}

// newAgent is the agent of that name, with a model or without.
func (a *App) newAgent(req RunRequest) (bench.Agent, error) {
	outside := external.External{Command: req.Command}
	if (req.Command == "") == (req.Agent == outside.Name()) || req.AgentDir != "" && req.Command == "" {
		return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "--command and --agent-dir are for --agent external, which needs a command: the line that starts your agent in the box")
	}
	switch asks := (react.React{}); req.Agent {
	case asks.Name():
		_, _, err := a.modelFromEnvironment(req.Model) // said now, not after an hour of building
		return asks, err
	case outside.Name():
		if req.Model.Sample.Messages > 0 || req.Model.Run.Messages > 0 {
			return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "--message-limit and --run-message-limit are for --agent react: an outside program keeps its own conversation; bound it by --turns or --token-limit")
		}
		_, _, err := a.modelFromEnvironment(req.Model)
		if err == nil && req.AgentDir != "" {
			outside.Files, err = a.Images.WriteDir(req.AgentDir)
		}
		return outside, err
	}
	if req.Model.Name != "" {
		return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "agent %s asks no model: leave the model's flags out, or choose react or external", req.Agent)
	}
	return agent.New(req.Agent)
}

// selectTasks picks a request's tasks from a suite.
func selectTasks(suite bench.Suite, req RunRequest) ([]bench.Task, error) {
	if len(suite.Faults) > 0 && len(req.Tasks) == 0 {
		return nil, faultsOf(suite)
	}
	if !req.Quick {
		return suite.Select(req.Tasks)
	}
	if len(req.Tasks) > 0 {
		return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "--quick and --task exclude each other: name tasks, or take the quick ones")
	}
	quick := suite.Quick()
	if len(quick) == 0 {
		return nil, proofhouse.Errorf(proofhouse.NotFound, nil, "suite %s has no quick tasks: leave --quick out", suite.Name)
	}
	return quick, nil
}

// faultsOf is an error with a line for each thing that is wrong in a suite.
func faultsOf(suite bench.Suite) error {
	lines := make([]string, len(suite.Faults))
	for i, f := range suite.Faults {
		lines[i] = "  " + f.String()
	}
	return proofhouse.Errorf(proofhouse.Invalid, nil, "suite %s has faults:\n%s", suite.Name, strings.Join(lines, "\n"))
}

// clearOutput deletes an earlier run where the request says so. Only a folder
// with a journal of ours is ever deleted.
func clearOutput(req RunRequest) error {
	if !req.Replace {
		return nil
	}
	if req.Resume {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "--replace and --resume exclude each other: choose one")
	}
	entries, err := os.ReadDir(req.Out)
	if errors.Is(err, os.ErrNotExist) || err == nil && len(entries) == 0 {
		return nil
	}
	if err == nil {
		_, err = os.Stat(filepath.Join(req.Out, "journal"))
	}
	if err != nil {
		return proofhouse.Errorf(proofhouse.Conflict, err, "the output folder holds something that is not a run: name another with --out")
	}
	return os.RemoveAll(req.Out)
}

// BuildTasks makes tasks ready, two at a time. again builds what is built
// already too. The first error ends the rest.
func (a *App) BuildTasks(ctx context.Context, chosen []bench.Task, again bool, say func(string)) error {
	verifier, err := a.Verifier()
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(min(2, runtime.NumCPU()))
	for i, t := range chosen {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error {
			if _, err := a.Built.Load(t, nil); err == nil && !again {
				return nil
			}
			name := fmt.Sprintf("%s (%d of %d)", t.Short(), i+1, len(chosen))
			builder, err := a.Builder(func(s string) { say(name + ": " + s) })
			if err != nil {
				return err
			}
			start := time.Now()
			if _, err := a.Built.Build(ctx, t, builder, verifier, again); err != nil {
				return fmt.Errorf("building %s: %w", t.Task.Name, err)
			}
			say(fmt.Sprintf("%s: built, and the reference solves it (%.1f s)", name, time.Since(start).Seconds()))
			return nil
		})
	}
	return group.Wait()
}

// splitTask parts suite/task; the suite may be a folder.
func splitTask(name string) (suite, short string, err error) {
	i := strings.LastIndex(strings.TrimSuffix(name, "/"), "/")
	if i <= 0 {
		return "", "", proofhouse.Errorf(proofhouse.Invalid, nil, "%q is not a task: write SUITE/TASK, such as open-1/minimist-pollution", name)
	}
	return name[:i], strings.TrimSuffix(name, "/")[i+1:], nil
}

// machine is what this machine says of itself.
func machine() bench.Machine {
	m := bench.Machine{OS: osName(), CPUs: runtime.NumCPU()}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		m.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil {
		m.Memory = int64(info.Totalram) * int64(info.Unit)
	}
	return m
}

// osName is PRETTY_NAME of os-release, or the system's plain name.
func osName() string {
	data, err := os.ReadFile("/etc/os-release")
	if err == nil {
		for line := range strings.Lines(string(data)) {
			if v, ok := strings.CutPrefix(strings.TrimSpace(line), "PRETTY_NAME="); ok {
				return strings.Trim(v, `"`)
			}
		}
	}
	return runtime.GOOS
}
