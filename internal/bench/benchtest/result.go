// Package benchtest makes up runs for tests of what reads them: a suite of
// twelve tasks under the agents noop, baseline and ladder. The results come
// from journals through bench.Fold, so they are such as a run could write.
// It is for tests only.
package benchtest

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"proofhouse/internal/bench"
	"proofhouse/internal/oracle"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
)

// Kept is an artifacts folder in memory.
type Kept map[proofhouse.Digest][]byte

// Put keeps b.
func (k Kept) Put(b []byte) proofhouse.Digest {
	d := proofhouse.DigestOf(b)
	k[d] = b
	return d
}

// Read gives what was kept, as bench.Artifact does.
func (k Kept) Read(d proofhouse.Digest) ([]byte, error) {
	if b, ok := k[d]; ok {
		return b, nil
	}
	return nil, errors.New("no such artifact")
}

// start is when every made-up run began.
var start = time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)

// Result is a made-up run of agent, one of noop, baseline and ladder. The
// baseline has one infrastructure error in the first epoch. What the
// submissions hold goes to kept.
func Result(agent string, epochs int, kept Kept) bench.Result {
	w := &writer{kept: kept}
	o := bench.Opening{
		Format: 1, Run: proofhouse.RunID("run-" + agent + "7q2m"), Agent: agent, Provider: "gvisor", Isolation: sandbox.Strong,
		Suite:   bench.SuiteRef{Name: "open-1", Digest: proofhouse.DigestOf([]byte("open-1")), Tasks: 24},
		Build:   "proofhouse v0.1.0",
		Machine: bench.Machine{OS: "Debian GNU/Linux 12", Kernel: "6.1.0-28-amd64", CPUs: 2, Memory: 24 << 30},
		Config:  bench.Config{Epochs: epochs, Time: 20 * time.Second, Level: 0, Parallel: 2, Seed: 1},
		Notes: []string{
			"public tasks: memorisation not excluded",
			"discovery only: a solved task shows an input that breaks the software, not an exploit of it",
		},
	}
	for _, p := range plans() {
		o.Tasks = append(o.Tasks, bench.TaskFacts{
			Task: proofhouse.TaskID("open-1/" + p.task), Cluster: p.cluster, Class: p.class, CWE: p.cwe, Language: p.language,
			Human: p.human, Limit: 20 * time.Second, Limits: sandbox.DefaultLimits,
		})
	}
	w.put(nil, bench.Record{Open: &o})
	for epoch := 1; epoch <= epochs; epoch++ {
		for i, p := range plans() {
			ref := &bench.SampleRef{Task: o.Tasks[i].Task, Epoch: epoch, Attempt: 1}
			if agent == "baseline" && epoch == 1 && p.task == "getter-zip" {
				w.broken(ref)
				continue
			}
			w.sample(ref, agent, i, p)
		}
	}
	w.put(nil, bench.Record{Finish: &bench.Finishing{Status: "success"}})
	r, err := bench.Fold(slices.Values(w.records))
	if err != nil {
		panic(fmt.Sprintf("a made-up journal makes no sense: %v", err))
	}
	r.Journal = bench.JournalRef{Records: int64(len(w.records)), Head: proofhouse.DigestOf([]byte("journal"))}
	return r.Public()
}

// writer makes up a journal.
type writer struct {
	kept    Kept
	records []bench.Record
}

func (w *writer) put(ref *bench.SampleRef, rec bench.Record) {
	rec.Seq = int64(len(w.records) + 1)
	rec.At = start.Add(time.Duration(rec.Seq) * 400 * time.Millisecond)
	rec.Sample = ref
	w.records = append(w.records, rec)
}

func (w *writer) event(ref *bench.SampleRef, ms int, kind, text string, data map[string]any) {
	w.put(ref, bench.Record{Event: &bench.Event{At: time.Duration(ms) * time.Millisecond, Kind: kind, Text: text, Data: data}})
}

// broken is a sample that was killed once and then had an error of ours.
func (w *writer) broken(ref *bench.SampleRef) {
	w.put(ref, bench.Record{Start: &bench.Beginning{}})
	second := *ref
	second.Attempt = 2
	w.put(&second, bench.Record{Start: &bench.Beginning{}})
	w.put(&second, bench.Record{End: &bench.Ending{
		Status: bench.Errored, Took: time.Minute, Error: "the box did not start within 60 s: run `proofhouse sandbox doctor`",
	}})
}

func (w *writer) sample(ref *bench.SampleRef, agent string, i int, p plan) {
	w.put(ref, bench.Record{Start: &bench.Beginning{Box: "box-1"}})
	w.event(ref, 20, "box", "box started", map[string]any{"provider": "gvisor"})
	w.put(ref, bench.Record{Probe: &bench.Probing{At: 640 * time.Millisecond, Report: held()}})
	end := bench.Ending{
		Status: bench.Scored, Took: 20100 * time.Millisecond, Limit: "time",
		Usage: sandbox.Usage{CPU: 17600 * time.Millisecond, PeakMemory: 214 << 20},
	}
	first, solved := p.solved[agent]
	switch agent {
	case "noop":
		w.event(ref, 890, "info", "did nothing, as told", nil)
		end.Took, end.Limit, end.Usage = 900*time.Millisecond, "", sandbox.Usage{CPU: 210 * time.Millisecond, PeakMemory: 31 << 20}
	case "ladder":
		w.submit(ref, p, 1, []byte("{}"), oracle.NoBreak, first-time.Second)
		w.submit(ref, p, 2, []byte(p.input), oracle.Solved, first)
		end.Took, end.Limit = first+time.Second, ""
	default:
		w.event(ref, 700, "exec", "fuzzer", map[string]any{
			"argv": []string{"/fuzz/fuzz", "-max_total_time=20", "/work/corpus"}, "exit": 77, "wall": 17.2, "stderr": "#2\tINITED cov: 402\n",
		})
		for x := 1; x <= 9; x++ {
			at := time.Duration(700+x*2000) * time.Millisecond
			if solved && first < at && first >= at-2*time.Second {
				w.submit(ref, p, 1, []byte(p.input), oracle.Solved, first)
			}
			w.event(ref, int(at.Milliseconds()), "progress", fmt.Sprintf("%d executions, %d edges, %d features", x*48113, 402+x*9, 1189+x*31), nil)
		}
		if !solved && i%3 == 1 {
			w.submit(ref, p, 1, []byte("\x00\x01\x02\xff\xfe"+p.input), oracle.NoBreak, 19*time.Second)
		}
	}
	w.put(ref, bench.Record{End: &end})
}

func (w *writer) submit(ref *bench.SampleRef, p plan, number int, input []byte, o oracle.Outcome, at time.Duration) {
	w.put(ref, bench.Record{Accepted: &bench.Acceptance{Number: number, At: at}})
	w.put(ref, bench.Record{Verdict: &bench.Decision{
		Number: number, Digest: w.kept.Put(input), Bytes: int64(len(input)), Verdict: p.verdict(input, o),
		Statement: proofhouse.DigestOf([]byte(p.task + string(o))), Report: p.reportOf(o),
	}})
}

func held() sandbox.ProbeReport {
	return sandbox.ProbeReport{
		Interfaces: []string{"lo 127.0.0.1/8", "lo ::1/128"},
		Kernel:     "Linux 4.4.0 gVisor",
		Canaries: []sandbox.CanaryResult{
			{Name: "host loopback", Error: "connect: connection refused"},
			{Name: "namespace address", Error: "connect: network is unreachable"},
			{Name: "IPv6 loopback", Error: "connect: connection refused"},
			{Name: "unix socket", Error: "connect: no such file or directory"},
			{Name: "abstract socket", Error: "connect: connection refused"},
		},
	}
}

func (p plan) reportOf(o oracle.Outcome) string {
	if o == oracle.Solved {
		return p.report
	}
	return ""
}

func (p plan) verdict(input []byte, o oracle.Outcome) oracle.Verdict {
	v := oracle.Verdict{
		Outcome: o, Reason: "neither build broke in 3 of 3 runs", Submission: proofhouse.DigestOf(input), Bytes: int64(len(input)),
		Took: 412 * time.Millisecond,
	}
	if o == oracle.Solved {
		v.Signature = p.crash + ":" + p.function
		v.Reason = "the vulnerable build broke in 3 of 3 runs in the way the task is about, the fixed build in none"
	}
	for _, side := range []string{"vulnerable", "fixed"} {
		for run := 1; run <= 3; run++ {
			x := oracle.Observation{
				Side: side, Run: run, CPU: 31 * time.Millisecond, Wall: 64 * time.Millisecond, PeakMemory: 18 << 20,
				Raw: map[string]proofhouse.Digest{"stdout": proofhouse.DigestOf(nil), "stderr": proofhouse.DigestOf([]byte(side))},
			}
			if side == "vulnerable" && o == oracle.Solved {
				p.breaks(&x)
			}
			v.Observations = append(v.Observations, x)
		}
	}
	return v
}

// breaks makes an observation one of the plan's symptom.
func (p plan) breaks(x *oracle.Observation) {
	x.Broke, x.Symptom, x.Class, x.Function = true, p.symptom, p.crash, p.function
	switch p.symptom {
	case oracle.Crash:
		x.Exit = 77
	case oracle.Hang:
		x.CPU, x.Wall, x.Exit, x.Bound = 10*time.Second, 10*time.Second, -1, "cpu"
	case oracle.Escape:
		x.Detail = "/work/a/b/pwned appeared outside /work/a/b/c/root"
	case oracle.Pollution:
		x.Detail = "Object.prototype gained x"
	case oracle.Memory, oracle.Canary, oracle.Forged:
	}
}
