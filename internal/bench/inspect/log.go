// Package inspect writes a run as a log that Inspect's own reader and viewer
// open: an .eval archive, format version 2. Inspect calls the format versioned
// but not frozen, so the shapes here are held to its published schema (see
// testdata) and, in interop/, to the reader itself at a pinned version. A log
// holds what report.html holds: survivors are left out but for their count,
// and every string went through bench.Printable. What is counted is bench's
// to say.
package inspect

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"proofhouse/internal/bench"
	"proofhouse/internal/proofhouse"
)

// Bounds of strings in a log, in bytes.
const (
	maxLabel  = 500
	maxText   = 64 << 10
	maxInput  = 64 << 10 // of a final submission, before base64
	maxDetail = 24       // observations of a verdict
)

// The scorers: three ways to count, of which the first is the score.
const (
	scorerOracle  = "oracle"          // the final submission, the intended bug
	scorerSameFix = "oracle_same_fix" // the final submission, any break that the fix mends
	scorerAny     = "oracle_any"      // any submission, the intended bug
)

// noModel is what Inspect itself writes for a run without a model.
const noModel = "none/none"

// modelName is the codename of a run's model.
func modelName(r bench.Result) string {
	if r.Config.Model == nil {
		return noModel
	}
	return label(r.Config.Model.Name)
}

// FileName is the name that Inspect would give the log of r.
func FileName(r bench.Result) string {
	clean := strings.NewReplacer("_", "-", "/", "-", ":", "-", "+", "-")
	task := strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' {
			return c
		}
		return '-'
	}, clean.Replace(r.Suite.Name))
	return fmt.Sprintf("%s_%s_%s.eval", clean.Replace(r.Started.UTC().Format("2006-01-02T15:04:05-00:00")), task, taskID(r))
}

// Write writes r as an .eval archive to w. artifact reads what the run kept,
// by digest (bench.Artifact); nil leaves submissions out. Samples are written
// one after the other, so memory holds one sample besides r. Errors are w's.
// A run that has not ended gets no header, which is how Inspect knows it.
func Write(w io.Writer, r bench.Result, artifact func(proofhouse.Digest) ([]byte, error)) error {
	r = r.Public()
	a := newArchive(w)
	spec, steps := newSpec(r), newPlan(r)
	if err := a.put("_journal/start.json", start{Version: 2, Eval: spec, Plan: steps}); err != nil {
		return err
	}
	summaries := []summary{}
	for _, s := range r.Samples {
		if !over(s) {
			continue
		}
		x := newSample(s, r, artifact)
		if err := a.put(fmt.Sprintf("samples/%s_epoch_%d.json", x.ID, x.Epoch), x); err != nil {
			return err
		}
		summaries = append(summaries, x.summary())
	}
	if len(summaries) > 0 {
		if err := a.put("_journal/summaries/1.json", summaries); err != nil {
			return err
		}
	}
	if r.Status != "started" {
		reduced := reduce(r)
		if err := a.put("summaries.json", summaries); err != nil {
			return err
		}
		if err := a.put("reductions.json", reduced); err != nil {
			return err
		}
		if err := a.put("header.json", newHeader(r, spec, steps, reduced)); err != nil {
			return err
		}
	}
	return a.close()
}

// over says whether a sample has an end that a log can hold.
func over(s bench.Sample) bool {
	return s.Status == bench.Scored || s.Status == bench.Errored || s.Status == bench.Cancelled
}

func label(s string) string { return bench.Printable(s, maxLabel) }
func text(s string) string  { return bench.Printable(s, maxText) }

// sampleID is a task's name within its suite; slashes would make folders.
func sampleID(s bench.Sample, r bench.Result) string {
	id := strings.TrimPrefix(string(s.Task), r.Suite.Name+"/")
	return strings.Map(func(c rune) rune {
		if c == '/' || c == '\\' || c < ' ' {
			return '-'
		}
		return c
	}, label(id))
}

// derived is an id of Inspect's length that follows from what it names, so
// that the same run gives the same log.
func derived(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:])[:22]
}

func taskID(r bench.Result) string { return derived("task", r.Suite.Name, string(r.Suite.Digest)) }

// moment is a time as Inspect writes it.
func moment(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000-07:00") }

func newSpec(r bench.Result) spec {
	ids := []string{}
	for _, s := range r.Samples {
		if s.Epoch == 1 {
			ids = append(ids, sampleID(s, r))
		}
	}
	x := spec{
		EvalID: derived("eval", string(r.Run)), RunID: derived("run", string(r.Run)), Created: moment(r.Started),
		Task: label(r.Suite.Name), TaskID: taskID(r), TaskVersion: 0, TaskAttribs: struct{}{},
		TaskArgs:       taskArgs{Suite: label(r.Suite.Name), Level: r.Config.Level, Seed: r.Config.Seed},
		TaskArgsPassed: struct{}{},
		Dataset:        dataset{Name: label(r.Suite.Name), Samples: len(ids), SampleIDs: ids},
		Solver:         label(r.Agent), SolverArgs: struct{}{},
		Model: modelName(r), ModelArgs: struct{}{},
		Sandbox: &sandboxSpec{Type: "proofhouse-" + label(r.Provider), Config: label(string(r.Isolation)) + " isolation"},
		Config: config{
			Epochs: max(1, r.Config.Epochs), EpochsReducer: []string{"mean"}, TimeLimit: int(math.Ceil(r.Config.Time.Seconds())),
			MaxSamples: r.Config.Parallel, ContinueOnFail: true,
		},
		Packages: map[string]string{"proofhouse": label(r.Build)},
		Tags:     []string{"proofhouse"},
		Metadata: runMetadata{
			Run: label(string(r.Run)), SuiteDigest: label(string(r.Suite.Digest)), Provider: label(r.Provider), Isolation: label(string(r.Isolation)),
			Notes: labels(r.Notes), Resumes: r.Resumes, Survivors: r.Summary.Survivors, Machine: r.Machine, Journal: r.Journal,
			Attempts: r.Summary.Attempts, InfrastructureErrors: r.Summary.Errors, Cancelled: r.Summary.Cancelled,
		},
	}
	if m := r.Config.Model; m != nil {
		x.ModelGenerateConfig, x.Config.TokenLimit, x.Config.MessageLimit = newGenerate(m.Generate), m.Sample.Tokens, m.Sample.Messages
	}
	x.Metadata.Machine.OS, x.Metadata.Machine.Kernel = label(r.Machine.OS), label(r.Machine.Kernel)
	for _, name := range []string{scorerOracle, scorerSameFix, scorerAny} {
		x.Scorers = append(x.Scorers, scorerSpec{Name: name, Metrics: []named{{"accuracy"}, {"stderr"}}})
	}
	return x
}

func labels(all []string) []string {
	out := make([]string, len(all))
	for i, s := range all {
		out[i] = label(s)
	}
	return out
}

func newPlan(r bench.Result) plan {
	return plan{Name: "plan", Steps: []step{{Solver: label(r.Agent), Params: struct{}{}, ParamsPassed: struct{}{}}}, Config: struct{}{}}
}
