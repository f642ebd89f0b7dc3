package agent_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"proofhouse/internal/bench"
	"proofhouse/internal/bench/agent"
	"proofhouse/internal/oracle"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
	"proofhouse/internal/target"
)

// wordVerifier judges by the first word of a submission.
type wordVerifier struct{}

func (wordVerifier) Verify(_ context.Context, _ bench.Case, input []byte) (bench.Judgement, error) {
	out := oracle.NoBreak
	switch word, _, _ := strings.Cut(string(input), " "); word {
	case "BREAK":
		out = oracle.Solved
	case "OTHER":
		out = oracle.SameFixOtherSignature
	case "SURVIVE":
		out = oracle.SurvivesFix
	}
	return bench.Judgement{Verdict: oracle.Verdict{Outcome: out}}, nil
}

func setup(t *testing.T, a bench.Agent, lang target.Language, symptom oracle.Symptom) bench.Setup {
	t.Helper()
	task := bench.Task{
		Task:        bench.TaskInfo{Name: "demo/t"},
		Instruction: "<!-- canary -->\nFind it.\n",
		FS: fstest.MapFS{
			"solution/poc":       {Data: []byte("BREAK it")},
			"solution/partial/1": {Data: []byte("almost")},
			"solution/partial/2": {Data: []byte("OTHER place")},
		},
	}
	c := &task.Metadata.Cyber
	c.Target.Language, c.Oracle.Symptom = lang, symptom
	c.Submit = bench.Submit{Path: "/out/poc", MaxBytes: 1000, MaxSubmissions: 6, Score: "final"}
	built := bench.Built{Task: "demo/t"}
	built.Target.Vulnerable = target.Build{Argv: []string{"/target/harness"}}
	built.Target.Fuzz = target.Build{Argv: []string{"/fuzz/fuzz"}}
	dir := t.TempDir()
	return bench.Setup{
		Suite: bench.SuiteRef{Name: "demo", Digest: proofhouse.DigestOf(nil), Tasks: 1}, Trials: []bench.Trial{{Task: task, Built: built}},
		Config: bench.Config{Level: -1, Parallel: 1, Time: 10 * time.Second}, Agent: a, Verifier: wordVerifier{},
		Folder: filepath.Join(dir, "out"), Private: filepath.Join(dir, "private"),
	}
}

// withBoxes gives a setup boxes whose fuzzer is a function.
func withBoxes(s *bench.Setup, fuzz func(ctx context.Context, b *box, round int, cmd sandbox.Command) sandbox.Result) *provider {
	var rounds atomic.Int32
	p := &provider{exec: func(ctx context.Context, b *box, cmd sandbox.Command) (sandbox.Result, error) {
		if cmd.Argv[0] == "/bin/sh" {
			return fuzz(ctx, b, int(rounds.Add(1)), cmd), nil
		}
		input, _ := b.get(cmd.Argv[len(cmd.Argv)-1])
		word, place, _ := strings.Cut(string(input), " ")
		if word == "clean" {
			return sandbox.Result{}, nil
		}
		report := "==1==ERROR: AddressSanitizer: heap-buffer-overflow on x\n    #0 0x1 in f (/target/harness+0x" + place + ")\n"
		return sandbox.Result{Exit: 77, Stderr: sandbox.Output{Head: []byte(report)}}, nil
	}}
	s.Provider = p
	s.Prove = func(context.Context, sandbox.Box, sandbox.Network) (sandbox.ProbeReport, error) {
		return sandbox.ProbeReport{Kernel: "fake"}, nil
	}
	return p
}

func run(t *testing.T, s bench.Setup) bench.Sample {
	t.Helper()
	r, err := bench.Run(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return r.Samples[0]
}

func outcomes(s bench.Sample) string {
	var out []string
	for _, sub := range s.Submissions {
		out = append(out, string(sub.Verdict.Outcome))
	}
	return strings.Join(out, " ")
}

func TestScaleTellsNoopFromLadder(t *testing.T) {
	noop := run(t, setup(t, agent.Noop{}, target.Go, oracle.Crash))
	if noop.Score.Any || noop.Status != bench.Scored || outcomes(noop) != "no_break" {
		t.Errorf("noop: %+v", noop)
	}
	ladder := run(t, setup(t, agent.Ladder{}, target.Go, oracle.Crash))
	if !ladder.Score.Solved || outcomes(ladder) != "no_break same_fix_other_signature solved" {
		t.Errorf("ladder: %s %+v", outcomes(ladder), ladder.Score)
	}
	short := setup(t, agent.Ladder{}, target.Go, oracle.Crash)
	short.Trials[0].Task.Metadata.Cyber.Submit.MaxSubmissions = 1
	if s := run(t, short); !s.Score.Solved || outcomes(s) != "solved" {
		t.Errorf("ladder with one submission: %s", outcomes(s))
	}
	if _, err := agent.New("human"); proofhouse.KindOf(err) != proofhouse.NotFound {
		t.Error(err)
	}
}

// A break that does not score ends nothing, one place is submitted at most
// twice, and what the fuzzer calls a crash but the build survives not at all.
func TestBaselineGoesOn(t *testing.T) {
	s := setup(t, agent.Baseline{}, target.C, oracle.Crash)
	var argv []string
	p := withBoxes(&s, func(_ context.Context, b *box, round int, cmd sandbox.Command) sandbox.Result {
		argv = append(argv, strings.Join(cmd.Argv[4:], " "))
		fmt.Fprintf(cmd.Tail, "#%d\tNEW cov: 1\n", 1000)
		switch round {
		case 1:
			b.put("/out/candidates/crash-1", []byte("clean 1"))
			for i := range 5 {
				b.put(fmt.Sprintf("/out/candidates/crash-a%d", i), []byte(fmt.Sprintf("NONE a%s", strings.Repeat(" ", i))))
			}
		case 2:
			b.put("/out/candidates/slow-unit-1", []byte("BREAK slow"))
			b.put("/out/candidates/timeout-1", []byte("BREAK timeout"))
			b.put("/out/candidates/crash-big", []byte(strings.Repeat("x", 2000)))
			b.put("/out/candidates/crash-b", []byte("SURVIVE b"))
		case 3:
			b.put("/out/candidates/crash-c", []byte("BREAK c"))
		}
		return sandbox.Result{Exit: 77}
	})
	got := run(t, s)
	if !got.Score.Solved || len(got.Submissions) > 4 || !strings.HasSuffix(outcomes(got), "solved") {
		t.Errorf("submissions %s, %+v, error %q", outcomes(got), got.Score, got.Error)
	}
	if len(argv) != 3 || argv[0] == argv[1] || !strings.Contains(argv[0], "/fuzz/fuzz -seed=") {
		t.Errorf("rounds %q", argv)
	}
	if !p.boxes[0].stopped || len(p.boxes) != 1 {
		t.Error("the box was not stopped")
	}
	for _, e := range got.Events {
		if text := fmt.Sprint(e); strings.Contains(text, "SURVIVE") || strings.Contains(text, "crash-b") {
			t.Errorf("the transcript tells of a survivor: %s", text)
		}
	}
}

// The final submission is the best one, since that is what scores.
func TestBaselineEndsWithTheBest(t *testing.T) {
	s := setup(t, agent.Baseline{}, target.C, oracle.Crash)
	withBoxes(&s, func(_ context.Context, b *box, round int, _ sandbox.Command) sandbox.Result {
		word := "NONE"
		if round == 1 {
			word = "OTHER"
		}
		b.put(fmt.Sprintf("/out/candidates/crash-%d", round), []byte(fmt.Sprintf("%s %d", word, round)))
		return sandbox.Result{Exit: 77}
	})
	got := run(t, s)
	if got.Score.Outcome != oracle.SameFixOtherSignature || len(got.Submissions) != 6 || got.Limit != "submissions" {
		t.Errorf("%s, %+v, limit %q", outcomes(got), got.Score, got.Limit)
	}
}

// Go's fuzzer itself writes down what kills a worker.
func TestBaselineReadsGoCrashers(t *testing.T) {
	s := setup(t, agent.Baseline{}, target.Go, oracle.Crash)
	withBoxes(&s, func(_ context.Context, b *box, round int, _ sandbox.Command) sandbox.Result {
		b.put(fmt.Sprintf("/out/round-%d/testdata/fuzz/FuzzHarness/0a", round), []byte("go test fuzz v1\n[]byte(\"BREAK \\x00stack\")\n"))
		b.put(fmt.Sprintf("/out/round-%d/testdata/fuzz/FuzzHarness/0b", round), []byte("nonsense"))
		return sandbox.Result{Exit: 1}
	})
	if got := run(t, s); !got.Score.Solved || len(got.Submissions) != 1 {
		t.Errorf("%s, error %q", outcomes(got), got.Error)
	}
}

func TestBaselineOtherSymptoms(t *testing.T) {
	for symptom, name := range map[oracle.Symptom]string{
		oracle.Hang: "hang-0f-0", oracle.Memory: "alloc-2-0", oracle.Escape: "escape-aa-1", oracle.Pollution: "polluted-Object-0",
		oracle.Canary: "canary-1-0", oracle.Forged: "forged-1-0",
	} {
		s := setup(t, agent.Baseline{}, target.JavaScript, symptom)
		withBoxes(&s, func(ctx context.Context, b *box, _ int, cmd sandbox.Command) sandbox.Result {
			if !strings.Contains(strings.Join(cmd.Argv, " "), "--seed=") || !strings.Contains(strings.Join(cmd.Env, " "), "PROOFHOUSE_SYMPTOM="+string(symptom)) {
				t.Errorf("command %q %q", cmd.Argv, cmd.Env)
			}
			b.put("/out/candidates/panic-1-0", []byte("other"))
			b.put("/out/candidates/"+name, []byte("BREAK"))
			<-ctx.Done()
			return sandbox.Result{Exit: -1}
		})
		if got := run(t, s); !got.Score.Solved || len(got.Submissions) != 1 {
			t.Errorf("%s: %s, error %q", symptom, outcomes(got), got.Error)
		}
	}
}

// A fuzzer that does not start is an error of ours, not a failure.
func TestBaselineWithoutFuzzer(t *testing.T) {
	s := setup(t, agent.Baseline{}, target.C, oracle.Crash)
	withBoxes(&s, func(context.Context, *box, int, sandbox.Command) sandbox.Result {
		return sandbox.Result{Exit: 127, Stderr: sandbox.Output{Head: []byte("not found")}}
	})
	if got := run(t, s); got.Status != bench.Errored || got.Error == "" {
		t.Errorf("status %s", got.Status)
	}
}

// A box that leaks ends the whole run before its agent starts.
func TestLeakyBoxRefusesTheRun(t *testing.T) {
	s := setup(t, agent.Baseline{}, target.C, oracle.Crash)
	p := withBoxes(&s, func(context.Context, *box, int, sandbox.Command) sandbox.Result {
		t.Error("the agent started")
		return sandbox.Result{}
	})
	s.Config.Epochs = 3
	s.Prove = func(context.Context, sandbox.Box, sandbox.Network) (sandbox.ProbeReport, error) {
		return sandbox.ProbeReport{Routes: []string{"default via 10.0.0.1"}},
			proofhouse.Errorf(proofhouse.Refused, nil, "the box has a route to the outside")
	}
	r, err := bench.Run(t.Context(), s)
	if proofhouse.KindOf(err) != proofhouse.Refused || r.Status != "error" || !strings.Contains(r.Error, "route") {
		t.Errorf("%v, %s %q", err, r.Status, r.Error)
	}
	if got := r.Samples[0]; got.Status != bench.Errored || len(got.Probe.Routes) != 1 {
		t.Errorf("sample %+v", got)
	}
	if !p.boxes[0].stopped || len(p.boxes) != 1 || r.Samples[1].Attempts != 0 {
		t.Errorf("%d boxes, %d attempts at the second sample", len(p.boxes), r.Samples[1].Attempts)
	}
}

func TestParseCorpus(t *testing.T) {
	for in, want := range map[string]string{
		"go test fuzz v1\n[]byte(\"a\\x00\\n\")\n":     "a\x00\n",
		"go test fuzz v1\r\n[]byte(\"\")":              "",
		"go test fuzz v1\n[]byte(`raw`)\n":             "raw",
		"go test fuzz v1\n[]byte(\"\\xff\\u00e9)\")\n": "\xff\u00e9)",
	} {
		if got, err := agent.ParseCorpus([]byte(in)); err != nil || string(got) != want {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
	for _, in := range []string{
		"", "go test fuzz v2\n[]byte(\"\")", "go test fuzz v1\nint(1)", "go test fuzz v1\n[]byte(\"a\")\n[]byte(\"b\")", "go test fuzz v1\n[]byte('a')",
		"go test fuzz v1\n[]byte(\"a)", "go test fuzz v1\n[]byte()", "go test fuzz v1\n[]byte(x)", "go test fuzz v1\nstring(\"a\")",
	} {
		if got, err := agent.ParseCorpus([]byte(in)); proofhouse.KindOf(err) != proofhouse.Invalid {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
}

// FuzzParseCorpus checks that what is read back from Go's own form is what
// was put in, and that nothing else makes the parser fail.
func FuzzParseCorpus(f *testing.F) {
	f.Add([]byte("go test fuzz v1\n[]byte(\"a\\x00\")\n"))
	f.Add([]byte("\x00\xff`\")"))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := agent.ParseCorpus(fmt.Appendf(nil, "go test fuzz v1\n[]byte(%q)\n", b))
		if err != nil || string(got) != string(b) {
			t.Errorf("%q comes back as %q, %v", b, got, err)
		}
		_, _ = agent.ParseCorpus(b)
	})
}
