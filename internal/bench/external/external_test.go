package external_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"proofhouse/internal/bench"
	"proofhouse/internal/bench/external"
	"proofhouse/internal/chat"
	"proofhouse/internal/oracle"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
	"proofhouse/internal/target"
)

// program is what a test has for the agent's program; it gives its exit status.
type program func(ctx context.Context, c client) int

// client asks what the box's bridge carries; it gives status and text.
type client func(path, body string) (int, string)

// box runs a program in this process, at the far end of a bridge.
type box struct {
	sandbox.Box
	files   *sync.Map
	program program
	env     *[]string
}

func (b box) ID() string                    { return "box" }
func (b box) Usage() (sandbox.Usage, error) { return sandbox.Usage{}, nil }
func (b box) Stop() error                   { return nil }
func (b box) CopyIn(_ context.Context, name string, r io.Reader, _ fs.FileMode) error {
	text, err := io.ReadAll(r)
	b.files.Store(name, string(text))
	return err
}

func (b box) CopyOut(_ context.Context, name string, w io.Writer, _ int64) error {
	text, ok := b.files.Load(name)
	if !ok {
		return proofhouse.Errorf(proofhouse.NotFound, nil, "no such file")
	}
	_, err := io.WriteString(w, text.(string))
	return err
}

func (b box) Exec(ctx context.Context, cmd sandbox.Command) (sandbox.Result, error) {
	*b.env = cmd.Env
	conn := cmd.Stdin.(net.Conn) // one pipe is both ends
	t := &http.Transport{Protocols: new(http.Protocols), DialContext: func(context.Context, string, string) (net.Conn, error) { return conn, nil }}
	t.Protocols.SetUnencryptedHTTP2(true)
	host, err := t.NewClientConn(ctx, "http", "bridge:80")
	if err != nil {
		return sandbox.Result{}, err
	}
	defer host.Close()
	exit := b.program(ctx, func(path, body string) (int, string) {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://bridge:80"+path, strings.NewReader(body))
		if err != nil {
			return 0, err.Error()
		}
		resp, err := host.RoundTrip(req)
		if err != nil {
			return 0, err.Error()
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(text)
	})
	return sandbox.Result{Exit: exit, Stdout: sandbox.Output{Head: []byte("printed")}}, ctx.Err()
}

type provider struct{ box box }

func (provider) Name() string                                               { return "host" }
func (provider) Strength() sandbox.Strength                                 { return sandbox.None }
func (provider) Close() error                                               { return nil }
func (p provider) Start(context.Context, sandbox.Spec) (sandbox.Box, error) { return p.box, nil }

// outlet answers as its function says.
type outlet func(n int, r *http.Request) bench.OutsideCall

type numbered struct {
	mu   sync.Mutex
	n    int
	does outlet
}

func (o *numbered) Server(h http.Handler) *http.Server { return &http.Server{Handler: h} } //nolint:gosec // a test's
func (o *numbered) Env(addr string) []string           { return []string{"OPENAI_BASE_URL=" + addr + "/v1"} }

func (o *numbered) Handle(w http.ResponseWriter, r *http.Request) bench.OutsideCall {
	o.mu.Lock()
	o.n++
	n := o.n
	o.mu.Unlock()
	call := o.does(n, r)
	if call.Failed != "" {
		w.WriteHeader(http.StatusBadGateway)
	}
	_, _ = io.WriteString(w, "answer")
	return call
}

func answered(int, *http.Request) bench.OutsideCall {
	return bench.OutsideCall{Answered: true, Usage: chat.Usage{Input: 100, Output: 10}, NanoDollars: 7, Took: time.Second}
}

type judge struct{}

func (judge) Verify(_ context.Context, _ bench.Case, input []byte) (bench.Judgement, error) {
	out := oracle.NoBreak
	if bytes.HasPrefix(input, []byte("BREAK")) {
		out = oracle.Solved
	}
	return bench.Judgement{Verdict: oracle.Verdict{Outcome: out}}, nil
}

type unasked struct{}

func (unasked) Generate(context.Context, chat.Request) (chat.Output, error) {
	return chat.Output{}, errors.New("nobody asks")
}

type trial struct {
	setup bench.Setup
	files *sync.Map
	env   []string
}

func try(t *testing.T, p program, does outlet) *trial {
	t.Helper()
	dir := t.TempDir()
	task := bench.Task{Task: bench.TaskInfo{Name: "demo/t"}, Instruction: "<!-- canary -->\nFind it.\n", FS: fstest.MapFS{}}
	c := &task.Metadata.Cyber
	c.Target.Language, c.Oracle.Symptom = target.Go, oracle.Crash
	c.Submit = bench.Submit{Path: "/out/poc", MaxBytes: 1000, MaxSubmissions: 3, Score: "final"}
	x := external.External{Command: "agent"}
	tr := &trial{files: &sync.Map{}}
	tr.setup = bench.Setup{
		Suite:  bench.SuiteRef{Name: "demo", Digest: proofhouse.DigestOf(nil), Tasks: 1},
		Trials: []bench.Trial{{Task: task, Built: bench.Built{Task: "demo/t"}}},
		Config: bench.Config{Level: -1, Parallel: 1, Time: time.Minute, Model: &bench.ModelConfig{Name: "codename", Texts: x.Texts()}},
		Agent:  x, Model: unasked{}, Outlet: &numbered{does: does}, Verifier: judge{},
		Provider: provider{box{files: tr.files, program: p, env: &tr.env}},
		Prove: func(context.Context, sandbox.Box, sandbox.Network) (sandbox.ProbeReport, error) {
			return sandbox.ProbeReport{}, nil
		},
		Folder: filepath.Join(dir, "out"), Private: filepath.Join(dir, "private"),
	}
	return tr
}

func (tr *trial) run(t *testing.T) (bench.Sample, bench.Result, error) {
	t.Helper()
	r, err := bench.Run(t.Context(), tr.setup)
	if len(r.Samples) == 0 {
		t.Fatal(err)
	}
	return r.Samples[0], r, err
}

func TestSolves(t *testing.T) {
	var said []string
	tr := try(t, nil, answered)
	b := tr.setup.Provider.(provider).box
	b.program = func(_ context.Context, c client) int {
		c("/v1/chat/completions", "{}")
		for _, name := range []string{"missing", "/out/wrong", "poc", ""} {
			b.files.Store("/out/wrong", "x")
			b.files.Store("/out/poc", "BREAK")
			status, text := c("/submit", name)
			said = append(said, http.StatusText(status)+" "+text)
		}
		return 3
	}
	tr.setup.Provider = provider{b}
	got, _, err := tr.run(t)
	if err != nil || !got.Score.Solved || got.Status != bench.Scored || len(got.Submissions) != 3 {
		t.Fatalf("%v: %+v, %s %q", err, got.Score, got.Status, got.Error)
	}
	want := []string{"Not Found there is no such file", "OK Submission 1 accepted; 2 left. The last one counts.\n", "OK Submission 2 accepted", "OK Submission 3 accepted; 0 left."}
	for i, w := range want {
		if !strings.HasPrefix(said[i], w) {
			t.Errorf("%q, want %q", said[i], w)
		}
	}
	if s := got.Model; s == nil || s.Turns != 1 || s.Usage.Input != 100 || s.NanoDollars != 7 || s.Took != time.Second {
		t.Errorf("%+v", s)
	}
	if env := strings.Join(tr.env, " "); env != "OPENAI_BASE_URL=http://127.0.0.1:3080/v1 MODEL=codename PROMPT_FILE=/task/prompt.md" {
		t.Error(env)
	}
	prompt, _ := tr.files.Load("/task/prompt.md")
	if p := prompt.(string); !strings.Contains(p, "Find it.") || !strings.Contains(p, "what lies at /out/poc at the end") {
		t.Error(p)
	}
}

// TestWhatIsLeftIsSubmitted takes the file that a program leaves.
func TestWhatIsLeftIsSubmitted(t *testing.T) {
	tr := try(t, func(_ context.Context, c client) int { c("/v1/chat/completions", "{}"); return 0 }, answered)
	tr.files.Store("/out/poc", "BREAK")
	if got, _, err := tr.run(t); err != nil || !got.Score.Solved {
		t.Errorf("%v, %+v", err, got.Score)
	}
}

// TestTold says whether it was solved only where the run does.
func TestTold(t *testing.T) {
	for _, told := range []bool{false, true} {
		var said string
		tr := try(t, func(_ context.Context, c client) int { _, said = c("/submit", "poc"); return 0 }, answered)
		tr.files.Store("/out/poc", "BREAK")
		tr.setup.Config.Model.Told = told
		if _, _, err := tr.run(t); err != nil || strings.Contains(said, "solves") != told {
			t.Errorf("%v: %q, %v", told, said, err)
		}
	}
}

// forever asks until it is ended.
func forever(ctx context.Context, c client) int {
	for ctx.Err() == nil {
		c("/v1/chat/completions", "{}")
	}
	return 0
}

// TestBudgets ends a program that would ask for ever, one call after another and many at once.
func TestBudgets(t *testing.T) {
	together := func(ctx context.Context, c client) int {
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() { forever(ctx, c) })
		}
		all.Wait()
		return 0
	}
	for name, p := range map[string]program{"one": forever, "many": together} {
		for _, budget := range []struct {
			limit          string
			sample, run    bench.Budget
			turns          int
			wholeRunIsOver bool
		}{
			{"turn", bench.Budget{Turns: 3}, bench.Budget{}, 3, false},
			{"token", bench.Budget{Tokens: 220}, bench.Budget{}, 2, false},
			{"run", bench.Budget{}, bench.Budget{Turns: 2}, 2, true},
		} {
			t.Run(name+" "+budget.limit, func(t *testing.T) {
				tr := try(t, p, func(n int, r *http.Request) bench.OutsideCall {
					time.Sleep(5 * time.Millisecond) // so that calls are under way at once
					return answered(n, r)
				})
				tr.setup.Config.Model.Sample, tr.setup.Config.Model.Run = budget.sample, budget.run
				got, _, err := tr.run(t)
				if (proofhouse.KindOf(err) == proofhouse.Limit) != budget.wholeRunIsOver || got.Limit != budget.limit {
					t.Errorf("%v, limit %q", err, got.Limit)
				}
				if name == "one" || budget.limit == "turn" { // calls under way may pass the others by what they take
					if got.Model.Turns != budget.turns {
						t.Errorf("%d turns", got.Model.Turns)
					}
				}
			})
		}
	}
}

// TestProvidersFailureIsNotTheModels: what is not solved and ended with a failing provider is an error of ours, at every end that a sample has.
func TestProvidersFailureIsNotTheModels(t *testing.T) {
	fails := func(int, *http.Request) bench.OutsideCall {
		return bench.OutsideCall{Failed: "the model's server was not reached"}
	}
	recovers := func(n int, r *http.Request) bench.OutsideCall {
		if n == 1 {
			return fails(n, r)
		}
		return answered(n, r)
	}
	twice := func(_ context.Context, c client) int { c("/v1/x", ""); c("/v1/x", ""); return 1 }
	for name, c := range map[string]struct {
		does   outlet
		p      program
		left   string
		time   time.Duration
		status bench.SampleStatus
	}{
		"fails":           {fails, twice, "", time.Minute, bench.Errored},
		"fails till time": {fails, forever, "", 200 * time.Millisecond, bench.Errored},
		"recovers":        {recovers, twice, "", time.Minute, bench.Scored},
		"solved before":   {fails, twice, "BREAK", time.Minute, bench.Scored},
	} {
		t.Run(name, func(t *testing.T) {
			tr := try(t, c.p, c.does)
			tr.setup.Config.Time = c.time
			if c.left != "" {
				tr.files.Store("/out/poc", c.left)
			}
			got, _, err := tr.run(t)
			if err != nil || got.Status != c.status || (got.Error != "") != (c.status == bench.Errored) || got.Model.Failures == 0 {
				t.Errorf("%v: %s %q, %+v", err, got.Status, got.Error, got.Model)
			}
		})
	}
}

// TestProgramThatDoesNotStart is an error of ours; one that ends after it asked is scored.
func TestProgramThatDoesNotStart(t *testing.T) {
	got, _, err := try(t, func(context.Context, client) int { return 127 }, answered).run(t)
	if err != nil || got.Status != bench.Errored || !strings.Contains(got.Error, "ended with status 127 before it asked") {
		t.Errorf("%v: %s %q", err, got.Status, got.Error)
	}
	got, _, err = try(t, func(_ context.Context, c client) int { c("/v1/x", ""); return 1 }, answered).run(t)
	if err != nil || got.Status != bench.Scored {
		t.Errorf("%v: %s %q", err, got.Status, got.Error)
	}
}

// TestEndOfAccessEndsTheRun at once.
func TestEndOfAccessEndsTheRun(t *testing.T) {
	tr := try(t, forever, func(int, *http.Request) bench.OutsideCall {
		return bench.OutsideCall{Over: proofhouse.Errorf(proofhouse.Refused, nil, "access to the model has ended")}
	})
	got, r, err := tr.run(t)
	if proofhouse.KindOf(err) != proofhouse.Refused || r.Status != "error" || got.Status != bench.Cancelled {
		t.Errorf("%v, %s, %s", err, r.Status, got.Status)
	}
}

// TestTakenUpAgain: what an earlier attempt had an answer for is not sent again;
// what is new is.
func TestTakenUpAgain(t *testing.T) {
	var sent []string
	var heard []string
	ask := func(c client, body string) {
		_, text := c("/v1/chat/completions", body)
		heard = append(heard, text)
	}
	part := 0
	tr := try(t, func(_ context.Context, c client) int {
		part++
		ask(c, "first")
		ask(c, "first") // twice the same is two answers
		if part == 2 {
			ask(c, "second")
			ask(c, "first")
		}
		return 0
	}, func(n int, r *http.Request) bench.OutsideCall {
		body, _ := io.ReadAll(r.Body)
		sent = append(sent, string(body))
		return answered(n, r)
	})
	tr.setup.Verifier = broken{} // the sample is an error of ours, and taken up again
	tr.files.Store("/out/poc", "BREAK")
	if got, _, err := tr.run(t); err != nil || got.Status != bench.Errored || len(sent) != 2 {
		t.Fatalf("%v, %s, sent %v", err, got.Status, sent)
	}
	tr.setup.Verifier, tr.setup.Resume = judge{}, true
	tr.files.Store("/out/poc", "BREAK again")
	got, _, err := tr.run(t)
	if err != nil || !got.Score.Solved || got.Attempts != 2 || got.Model.Turns != 4 || got.Model.Usage.Input != 400 {
		t.Errorf("%v, %+v, %d attempts, %+v", err, got.Score, got.Attempts, got.Model)
	}
	if strings.Join(sent, " ") != "first first second first" || strings.Join(heard, " ") != strings.Repeat("answer ", 5)+"answer" {
		t.Errorf("sent %v, heard %v", sent, heard)
	}
}

// broken cannot judge.
type broken struct{}

func (broken) Verify(context.Context, bench.Case, []byte) (bench.Judgement, error) {
	return bench.Judgement{}, errors.New("no box")
}
