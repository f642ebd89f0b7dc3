package oracle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"regexp"
	"strings"
	"time"

	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
	"proofhouse/internal/target"
)

// seat is the place where one build is run on one submission: a box taken
// from the pool when it is first needed, reset between runs, and replaced when
// a run killed it.
type seat struct {
	pool  *pool
	lang  target.Language
	rule  Rule
	side  target.Side
	build target.Build
	input input // the submission
	// glance says to take the sanitizers' reports from the error stream.
	glance bool

	box    sandbox.Box
	used   bool            // something ran in box since its start or its last reset
	known  map[string]bool // files that the box starts with, for Escape
	waited time.Duration   // for boxes
}

// stop ends the seat's box.
func (s *seat) stop() {
	if s.box != nil {
		_ = s.box.Stop()
		s.box = nil
	}
}

// run runs the build once. What goes wrong with a box, as long as no bound of the run
// explains it, is tried again once in another box; then it is an error. A run
// that the machine starved is made again, once, with more time.
func (s *seat) run(ctx context.Context, n int, cpu time.Duration) (rawRun, error) {
	wall := s.rule.wallBound()
	r, err := s.try(ctx, n, cpu, wall)
	if err != nil && ctx.Err() == nil {
		s.stop()
		r, err = s.try(ctx, n, cpu, wall)
	}
	if err == nil && starved(r.result, cpu) {
		r, err = s.try(ctx, n, cpu, patience*wall)
	}
	if err != nil {
		s.stop()
		if ctx.Err() != nil {
			return r, ctx.Err()
		}
		return r, err
	}
	return r, nil
}

// patience is how much more wall time a starved run gets the second time.
const patience = 4

// starved says that a run computed all the time and did not get far: its wall
// time was up before its CPU time, of which it had an eighth of a core or more. A
// run that sleeps is not starved. What the second run gives stands, starved or
// not: an input that computes a little on purpose gains nothing by it.
func starved(r sandbox.Result, cpu time.Duration) bool {
	return r.Limit == sandbox.BoundWall && r.CPU >= r.Wall/8 && r.CPU < cpu
}

func (s *seat) try(ctx context.Context, n int, cpu, wall time.Duration) (rawRun, error) {
	if s.box != nil && s.used {
		if err := s.box.Reset(ctx); err != nil {
			s.stop() // whatever the last run did to it, a new box has not seen it
		}
		s.used = false
	}
	if s.box == nil {
		box, waited, err := s.pool.take(ctx, spec(s.build, s.rule))
		s.waited += waited
		if err != nil {
			return rawRun{}, startError(err)
		}
		s.box, s.used, s.known = box, false, nil
	}
	s.used = true
	dir := workDir
	if s.rule.Symptom == Escape {
		dir = s.rule.AllowRoot
		if err := s.box.CopyIn(ctx, path.Join(dir, ".keep"), strings.NewReader(""), 0o600); err != nil {
			return rawRun{}, fmt.Errorf("making the allowed root: %w", err)
		}
		if s.known == nil {
			s.known = map[string]bool{}
			all, _, err := s.files(ctx)
			if err != nil {
				return rawRun{}, err
			}
			for _, p := range all {
				s.known[p] = true
			}
		}
	}
	file, err := s.input.open()
	if err != nil {
		return rawRun{}, fmt.Errorf("opening the submission: %w", err)
	}
	defer file.Close()
	// Each run has random names of its own: what an input could guess or
	// remember is worth nothing in the next run.
	r := rawRun{side: s.side, run: n, nonce: proofhouse.Token(20)}
	log, canary := path.Join(logDir, proofhouse.Token(15)), path.Join(canaryDir, proofhouse.Token(15))
	var channel bytes.Buffer
	r.result, err = s.box.Exec(ctx, sandbox.Command{
		Argv:   append(append([]string(nil), s.build.Argv...), "/dev/fd/3"),
		Env:    s.env(r.nonce, log, canary),
		Dir:    dir,
		User:   sandbox.Nobody,
		Files:  []*os.File{file},
		Report: &channel, ReportMax: reportMax,
		CPU: cpu, Wall: wall,
	})
	r.channel = channel.Bytes()
	if err != nil {
		return rawRun{}, fmt.Errorf("running the %s build: %w", s.side, err)
	}
	if r.result.Limit == sandbox.BoundMemory {
		s.stop() // dead
		return r, nil
	}
	err = s.look(ctx, &r, log, canary)
	if errors.Is(err, sandbox.ErrNoMemory) {
		// What it left running keeps us from looking: that shows nothing, and is its own doing.
		r.result.Limit = sandbox.BoundMemory
		s.stop()
		return r, nil
	}
	return r, err
}

// env is the environment of a run. The sanitizers write their reports to a
// path that only this run knows, and say by the exit status that they did.
func (s *seat) env(nonce, log, canary string) []string {
	env := append([]string(nil), s.build.Env...)
	if s.lang != target.JavaScript {
		for _, name := range []string{"ASAN_OPTIONS", "UBSAN_OPTIONS", "MSAN_OPTIONS"} {
			options := fmt.Sprintf("symbolize=0:exitcode=%d:abort_on_error=0:halt_on_error=1:print_stacktrace=1", exitSanitizer)
			if !s.glance {
				options += ":log_path=" + log + ":log_exe_name=0"
			}
			if name == "ASAN_OPTIONS" {
				options = "detect_leaks=0:allocator_may_return_null=1:" + options
			}
			env = appendOptions(env, name, options)
		}
	}
	env = append(env, "PROOFHOUSE_REPORT=4", "PROOFHOUSE_NONCE="+nonce, "PROOFHOUSE_SYMPTOM="+string(s.rule.Symptom))
	if s.rule.Symptom == Canary {
		env = append(env, "CANARY="+canary)
	}
	return env
}

// appendOptions adds to a variable of colon-separated options; later ones win.
func appendOptions(env []string, name, options string) []string {
	for i, e := range env {
		if v, ok := strings.CutPrefix(e, name+"="); ok && v != "" {
			env[i] = name + "=" + v + ":" + options
			return env
		}
	}
	return append(env, name+"="+options)
}

// look reads what the run left in its box.
func (s *seat) look(ctx context.Context, r *rawRun, log, canary string) error {
	if s.rule.Symptom == Canary {
		err := s.box.CopyOut(ctx, canary, io.Discard, 1<<10)
		switch kind := proofhouse.KindOf(err); {
		case errors.Is(err, sandbox.ErrNoMemory):
			return err
		case err == nil, kind == proofhouse.Limit, kind == proofhouse.Invalid:
			r.canary = true // too big, a link, a directory: it was made all the same
		case kind != proofhouse.NotFound:
			return fmt.Errorf("looking for the canary: %w", err)
		}
	}
	if s.rule.Symptom == Escape {
		all, over, err := s.files(ctx)
		if err != nil {
			return err
		}
		for _, p := range all {
			if !s.known[p] && p != s.rule.AllowRoot && !strings.HasPrefix(p, s.rule.AllowRoot+"/") && len(r.outside) < 16 {
				r.outside = append(r.outside, p)
			}
		}
		if over && len(r.outside) == 0 && r.result.Limit == "" {
			r.result.Limit = boundFiles
		}
	}
	switch {
	case r.result.Exit != exitSanitizer || s.lang == target.JavaScript:
	case s.glance:
		r.logs = [][]byte{text(r.result.Stderr)}
	default:
		return s.readLogs(ctx, r, log)
	}
	return nil
}

// files lists what lies where an unprivileged user can write, and says whether
// there was more than is looked at.
func (s *seat) files(ctx context.Context) (paths []string, over bool, err error) {
	for _, dir := range writableDirs {
		entries, err := s.box.List(ctx, dir, maxListed)
		switch {
		case errors.Is(err, sandbox.ErrNoMemory):
			return nil, false, err
		case proofhouse.KindOf(err) == proofhouse.Limit:
			over = true
		case err != nil && proofhouse.KindOf(err) != proofhouse.NotFound:
			return nil, false, fmt.Errorf("listing %s: %w", dir, err)
		}
		for _, e := range entries {
			paths = append(paths, e.Path)
		}
	}
	return paths, over, nil
}

var logSuffix = regexp.MustCompile(`^\.[0-9]{1,10}$`)

// readLogs reads the sanitizers' logs: regular files at the run's random path
// with the number of a process. Others are not ours.
func (s *seat) readLogs(ctx context.Context, r *rawRun, log string) error {
	entries, err := s.box.List(ctx, logDir, 1000)
	if errors.Is(err, sandbox.ErrNoMemory) {
		return err
	}
	if err != nil && proofhouse.KindOf(err) != proofhouse.Limit && proofhouse.KindOf(err) != proofhouse.NotFound {
		return fmt.Errorf("looking for reports: %w", err)
	}
	for _, e := range entries {
		suffix, ok := strings.CutPrefix(e.Path, log)
		if !ok || !logSuffix.MatchString(suffix) || !e.Mode.IsRegular() || len(r.logs) == maxLogs {
			continue
		}
		var b bytes.Buffer
		switch err := s.box.CopyOut(ctx, e.Path, &b, maxReport); {
		case err == nil:
			r.logs = append(r.logs, b.Bytes())
		case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.Is(err, sandbox.ErrNoMemory):
			return err
		}
	}
	return nil
}

// maxLogs is how many log files of one run are read: one a process.
const maxLogs = 4
