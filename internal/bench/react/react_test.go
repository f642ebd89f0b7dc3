package react_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"proofhouse/internal/bench"
	"proofhouse/internal/bench/benchtest"
	"proofhouse/internal/bench/react"
	"proofhouse/internal/chat"
	"proofhouse/internal/oracle"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
	"proofhouse/internal/target"
)

// hostBox runs the commands of a test's own script in a temporary folder,
// which stands for /out.
type hostBox struct {
	dir     string
	limit   int64
	missing map[string]bool // programs that this box does not have
	execs   *[]sandbox.Command
	mu      *sync.Mutex
}

func (b hostBox) in(s string) string { return strings.ReplaceAll(s, "/out/", b.dir+"/") }

func (b hostBox) ID() string { return "box" }

func (b hostBox) Exec(ctx context.Context, cmd sandbox.Command) (sandbox.Result, error) {
	b.mu.Lock()
	*b.execs = append(*b.execs, cmd)
	b.mu.Unlock()
	for name := range b.missing {
		if strings.Contains(strings.Join(cmd.Argv, " "), name) {
			return sandbox.Result{Exit: 127}, nil
		}
	}
	if cmd.Wall > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, cmd.Wall)
		defer cancel()
	}
	argv := make([]string, len(cmd.Argv))
	for i, a := range cmd.Argv {
		argv[i] = b.in(a)
	}
	c := exec.CommandContext(ctx, argv[0], argv[1:]...)
	c.Dir, c.Stdin, c.WaitDelay = b.dir, cmd.Stdin, time.Second
	out, errs := &sandbox.Capture{Max: b.limit}, &sandbox.Capture{Max: b.limit}
	c.Stdout, c.Stderr = out, errs
	err := c.Run()
	back := func(o sandbox.Output) sandbox.Output {
		o.Head = bytes.ReplaceAll(o.Head, []byte(b.dir+"/"), []byte("/out/"))
		return o
	}
	res := sandbox.Result{Exit: c.ProcessState.ExitCode(), Stdout: back(out.Output()), Stderr: back(errs.Output())}
	if cmd.Wall > 0 && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		res.Limit = sandbox.BoundWall
		return res, nil
	}
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return res, err
	}
	return res, ctx.Err()
}

func (b hostBox) CopyIn(_ context.Context, name string, r io.Reader, mode fs.FileMode) error {
	return nil // /task is not looked at
}

func (b hostBox) CopyOut(_ context.Context, name string, w io.Writer, most int64) error {
	data, err := os.ReadFile(b.in(name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return proofhouse.Errorf(proofhouse.NotFound, err, "no such file")
	case int64(len(data)) > most:
		return proofhouse.Errorf(proofhouse.Limit, nil, "the box holds more than may be read")
	case err != nil:
		return proofhouse.Errorf(proofhouse.Invalid, err, "not a file")
	}
	_, err = w.Write(data)
	return err
}

func (hostBox) List(context.Context, string, int) ([]sandbox.Entry, error) { return nil, nil }
func (hostBox) Reset(context.Context) error                                { return nil }
func (hostBox) Usage() (sandbox.Usage, error)                              { return sandbox.Usage{}, nil }
func (hostBox) Stop() error                                                { return nil }
func (hostBox) Probe(context.Context, []sandbox.Canary) (sandbox.ProbeReport, error) {
	return sandbox.ProbeReport{}, nil
}

// host starts hostBoxes, each with a folder of its own.
type host struct {
	tmp     string // where the boxes' folders are made
	missing map[string]bool
	mu      sync.Mutex // guards what follows
	boxes   []hostBox
	execs   []sandbox.Command
}

func (*host) Name() string               { return "host" }
func (*host) Strength() sandbox.Strength { return sandbox.None }
func (*host) Close() error               { return nil }
func (h *host) Start(context.Context, sandbox.Spec) (sandbox.Box, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	dir, err := os.MkdirTemp(h.tmp, "box-")
	if err != nil {
		return nil, err
	}
	b := hostBox{dir: dir, limit: 8 << 10, missing: h.missing, execs: &h.execs, mu: &h.mu}
	h.boxes = append(h.boxes, b)
	return b, nil
}

// judge scores what begins with BREAK.
type judge struct{ before func([]byte) }

func (j judge) Verify(_ context.Context, _ bench.Case, input []byte) (bench.Judgement, error) {
	if j.before != nil {
		j.before(input)
	}
	out := oracle.NoBreak
	switch {
	case bytes.HasPrefix(input, []byte("BREAK")):
		out = oracle.Solved
	case bytes.HasPrefix(input, []byte("SURVIVE")):
		out = oracle.SurvivesFix
	}
	return bench.Judgement{Verdict: oracle.Verdict{Outcome: out}}, nil
}

// setup is a run of one task. t is nil in a process that works in folders of
// its own.
func setup(t *testing.T, model bench.Model) (bench.Setup, *host) {
	dir := ""
	if t != nil {
		t.Helper()
		dir = t.TempDir()
	}
	task := bench.Task{Task: bench.TaskInfo{Name: "demo/t"}, Instruction: "<!-- canary -->\nFind it.\n", FS: fstest.MapFS{}}
	c := &task.Metadata.Cyber
	c.Target.Language, c.Oracle.Symptom = target.Go, oracle.Crash
	c.Submit = bench.Submit{Path: "/out/poc", MaxBytes: 1000, MaxSubmissions: 3, Score: "final"}
	h := &host{tmp: dir}
	return bench.Setup{
		Suite:  bench.SuiteRef{Name: "demo", Digest: proofhouse.DigestOf(nil), Tasks: 1},
		Trials: []bench.Trial{{Task: task, Built: bench.Built{Task: "demo/t"}}},
		Config: bench.Config{Level: -1, Parallel: 1, Time: time.Minute, Model: &bench.ModelConfig{Name: "codename", Texts: react.React{}.Texts(), Sample: bench.Budget{Turns: 20}}},
		Agent:  react.React{}, Model: model, Verifier: judge{}, Provider: h,
		Prove: func(context.Context, sandbox.Box, sandbox.Network) (sandbox.ProbeReport, error) {
			return sandbox.ProbeReport{}, nil
		},
		Folder: filepath.Join(dir, "out"), Private: filepath.Join(dir, "private"),
	}, h
}

func run(t *testing.T, s bench.Setup) bench.Sample {
	t.Helper()
	r, err := bench.Run(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return r.Samples[0]
}

// last is what the model read last of all.
func last(m *benchtest.Script) chat.Message {
	all := m.Asked()
	messages := all[len(all)-1].Messages
	return messages[len(messages)-1]
}

func TestSolvesByToolsAndSubmits(t *testing.T) {
	m := &benchtest.Script{Answers: []benchtest.Answer{
		benchtest.Bash("1", "echo BREAK > /out/poc; echo made; echo loud >&2"),
		benchtest.Submit("2"),
	}}
	s, h := setup(t, m)
	got := run(t, s)
	if !got.Score.Solved || got.Status != bench.Scored || got.Limit != "" || len(got.Submissions) != 1 {
		t.Errorf("%+v, %s, limit %q, error %q", got.Score, got.Status, got.Limit, got.Error)
	}
	asked := m.Asked()
	if len(asked) != 3 || asked[0].Messages[0].Role != chat.System || !strings.Contains(asked[0].Messages[1].Text, "Find it.") || len(asked[0].Tools) != 4 {
		t.Fatalf("%d requests, first %s", len(asked), benchtest.Conversation(asked[0]))
	}
	if tool := asked[1].Messages[3]; tool.Text != "loud\nmade\n" || tool.ToolCallID != "1" || tool.Role != chat.ToolRole || tool.Error != nil {
		t.Errorf("bash gave %+v", tool)
	}
	if told := last(m).Text; !strings.HasPrefix(told, "Submission 1 accepted; 2 left.") || strings.Contains(told, "solve") {
		t.Errorf("the model reads %q, and may not learn whether it scored", told)
	}
	for _, c := range h.execs {
		if c.User != sandbox.Nobody || c.Wall != 3*time.Minute {
			t.Errorf("%q runs as %v for %v", c.Argv, c.User, c.Wall)
		}
	}
	if got.Model == nil || got.Model.Turns != 3 || got.Model.Usage.Input != 300 || got.Model.Usage.Output != 30 {
		t.Errorf("spent %+v", got.Model)
	}
}

func TestToldOnlyWhereTheConfigurationSays(t *testing.T) {
	m := &benchtest.Script{Answers: []benchtest.Answer{
		benchtest.Bash("1", "echo no > /out/poc"), benchtest.Submit("2"), benchtest.Bash("3", "echo BREAK > /out/poc"), benchtest.Submit("4"),
	}}
	s, _ := setup(t, m)
	s.Config.Model.Told = true
	got := run(t, s)
	asked := m.Asked()
	if len(asked) != 4 || !strings.HasSuffix(last(m).Text, "") || !strings.Contains(benchtest.Conversation(asked[2]), "It does not solve the task.") {
		t.Errorf("%d requests; the last: %s", len(asked), benchtest.Conversation(asked[len(asked)-1]))
	}
	if !got.Score.Solved || len(got.Submissions) != 2 {
		t.Errorf("%+v", got.Score)
	}
}

// What lies at the submit path at the end is scored, as the tasks say.
func TestWhatIsLeftIsSubmitted(t *testing.T) {
	m := &benchtest.Script{Answers: []benchtest.Answer{
		benchtest.Bash("1", "echo no > /out/poc"), benchtest.Submit("2"), benchtest.Bash("3", "echo BREAK > /out/poc"),
	}}
	s, _ := setup(t, m)
	s.Config.Model.Sample.Turns = 3
	got := run(t, s)
	if !got.Score.Solved || got.Limit != "turn" || len(got.Submissions) != 2 || got.Status != bench.Scored {
		t.Errorf("%+v, limit %q, %s %q", got.Score, got.Limit, got.Status, got.Error)
	}
}

func TestWhatToolsSay(t *testing.T) {
	long := "for i in $(seq 1 20000); do echo $i; done"
	for _, c := range []struct {
		name string
		call chat.ToolCall
		want string // within the message
		kind string // of the error
	}{
		{"exit status", benchtest.Call("1", "bash", map[string]string{"command": "echo x; exit 3"}), "x\n\n(exit status 3)", ""},
		{"no JSON", chat.ToolCall{ID: "1", Function: "bash", Arguments: []byte("{}"), ParseError: "it is not JSON", Raw: "{"}, "it is not JSON", "parsing"},
		{"unknown tool", benchtest.Call("1", "browser", map[string]string{}), "the tools are bash, python, text_editor, submit", "parsing"},
		{"wrong type", benchtest.Call("1", "bash", map[string]int{"command": 1}), "arguments", "parsing"},
		{"nothing", benchtest.Call("1", "bash", map[string]int{}), "parameter command", "parsing"},
		{"no file", benchtest.Submit("1").Calls[0], "there is no file /out/poc", "file_not_found"},
		{"long", benchtest.Call("1", "bash", map[string]string{"command": long}), "bytes left out", ""},
		{"not UTF-8", benchtest.Call("1", "bash", map[string]string{"command": `printf '\xff\xfe'`}), "\uFFFD", ""},
		{"time", benchtest.Call("1", "bash", map[string]string{"command": "echo begun; sleep 60"}), "begun\n\n(the command was ended after", "timeout"},
		{"no python", benchtest.Call("1", "python", map[string]string{"code": "print(1)"}), "no Python in this box", "file_not_found"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := &benchtest.Script{Answers: []benchtest.Answer{{Calls: []chat.ToolCall{c.call}}}}
			s, h := setup(t, m)
			h.missing = map[string]bool{"python3": true}
			s.Config.Model.Sample.Turns = 2
			s.Agent = react.React{ToolTime: 2 * time.Second, ToolOutput: 400}
			got := run(t, s)
			if got.Status != bench.Scored {
				t.Fatalf("%s: %s", got.Status, got.Error)
			}
			msg := m.Asked()[1].Messages[3]
			kind := ""
			if msg.Error != nil {
				kind = msg.Error.Type
			}
			if !strings.Contains(msg.Text, c.want) || kind != c.kind || msg.ToolCallID != "1" || len(msg.Text) > 600 {
				t.Errorf("the model reads %q, error %q", msg.Text, kind)
			}
		})
	}
}

func TestSeveralCallsInOneTurn(t *testing.T) {
	m := &benchtest.Script{Answers: []benchtest.Answer{{Calls: []chat.ToolCall{
		benchtest.Bash("a", "echo one > /out/x").Calls[0], benchtest.Bash("b", "cat /out/x").Calls[0], benchtest.Call("c", "nothing", map[string]string{}),
	}}}}
	s, _ := setup(t, m)
	run(t, s)
	msgs := m.Asked()[1].Messages[3:]
	if len(msgs) != 3 || msgs[0].ToolCallID != "a" || msgs[1].Text != "one\n" || msgs[2].ToolCallID != "c" || msgs[2].Error == nil {
		t.Errorf("got %+v", msgs)
	}
}

func TestIsAskedToGoOn(t *testing.T) {
	m := &benchtest.Script{Answers: []benchtest.Answer{{Text: "I think"}, {Text: "so", Stop: chat.MaxTokens}}}
	s, _ := setup(t, m)
	s.Config.Model.Sample.Turns = 3
	got := run(t, s)
	asked := m.Asked()
	if len(asked) != 3 || !strings.Contains(asked[1].Messages[3].Text, "call the submit() tool") || !strings.Contains(asked[2].Messages[5].Text, "cut off") {
		t.Errorf("%d requests: %s", len(asked), benchtest.Conversation(asked[len(asked)-1]))
	}
	if got.Limit != "turn" || got.Score.Any {
		t.Errorf("limit %q", got.Limit)
	}
}

func TestFilteredAnswersEnd(t *testing.T) {
	no := benchtest.Answer{Text: "I cannot", Stop: chat.ContentFilter}
	m := &benchtest.Script{Answers: []benchtest.Answer{no, no, no, no}}
	s, _ := setup(t, m)
	got := run(t, s)
	if len(m.Asked()) != 3 || got.Model.Refusals != 3 || got.Status != bench.Scored {
		t.Errorf("%d requests, %+v", len(m.Asked()), got.Model)
	}
}

func TestEditor(t *testing.T) {
	type args map[string]any
	const a, b = "/out/new/a", "/out/new/b"
	steps := []struct {
		args args
		want string
	}{
		{args{"command": "view", "path": a}, "there is no file"},
		{args{"command": "create", "path": a, "file_text": "one\ntwo\nsix\n"}, "is written: 12 bytes"},
		{args{"command": "view", "path": a, "view_range": []int{2, 2}}, "     2\ttwo\n"},
		{args{"command": "view", "path": a, "view_range": []int{3, 2}}, "view_range lies within 1 and 4"},
		{args{"command": "insert", "path": a, "insert_line": 2, "new_str": "five"}, "     3\tfive\n     4\tsix"},
		{args{"command": "str_replace", "path": a, "old_str": "o", "new_str": "0"}, "occurs 2 times"},
		{args{"command": "str_replace", "path": a, "old_str": "nine"}, "does not occur"},
		{args{"command": "str_replace", "path": a, "old_str": "two", "new_str": "$two$"}, "     2\t$two$\n"},
		{args{"command": "undo_edit", "path": a}, "is undone"},
		{args{"command": "view", "path": a}, "     2\ttwo\n     3\tfive\n"},
		{args{"command": "undo_edit", "path": a}, "is undone"},
		{args{"command": "undo_edit", "path": a}, "is undone"},
		{args{"command": "undo_edit", "path": a}, "no edit of"},
		{args{"command": "view", "path": a}, "there is no file"},
		{args{"command": "create", "path": b, "file_text": ""}, "is written: 0 bytes"},
		{args{"command": "insert", "path": b, "insert_line": 1, "new_str": "x"}, "insert_line is from 0 to 0"},
		{args{"command": "insert", "path": b, "insert_line": 0, "new_str": "x"}, "     1\tx"},
		{args{"command": "view", "path": "/out/new"}, b + "\n"},
		{args{"command": "create", "path": "/out/new", "file_text": ""}, "is a folder"},
		{args{"command": "view", "path": "a"}, "must be absolute"},
		{args{"command": "delete", "path": a}, "command is view"},
		{args{"command": "create", "path": a}, "lacks the parameter file_text"},
	}
	var calls []chat.ToolCall
	for i, x := range steps {
		calls = append(calls, benchtest.Call(fmt.Sprint(i), "text_editor", x.args))
	}
	m := &benchtest.Script{Answers: []benchtest.Answer{{Calls: calls}}}
	s, _ := setup(t, m)
	run(t, s)
	for i, msg := range m.Asked()[1].Messages[3:] {
		if !strings.Contains(msg.Text, steps[i].want) {
			t.Errorf("%d, %v: %q does not hold %q", i, steps[i].args, msg.Text, steps[i].want)
		}
	}
}

func TestProvidersFailureIsNotTheModels(t *testing.T) {
	m := &benchtest.Script{Answers: []benchtest.Answer{benchtest.Bash("1", "true"), {Err: proofhouse.Errorf(proofhouse.Unavailable, nil, "the provider kept failing")}}}
	s, _ := setup(t, m)
	got := run(t, s)
	if got.Status != bench.Errored || got.Error != "the provider kept failing" || got.Model.Failures != 1 || got.Model.Turns != 1 {
		t.Errorf("%s %q %+v", got.Status, got.Error, got.Model)
	}
}

func TestEndOfAccessEndsTheRun(t *testing.T) {
	for kind, want := range map[proofhouse.Kind]string{proofhouse.Refused: "operator", proofhouse.Limit: "run"} {
		m := &benchtest.Script{Answers: []benchtest.Answer{{Err: proofhouse.Errorf(kind, nil, "no more")}}}
		s, _ := setup(t, m)
		s.Config.Epochs = 3
		r, err := bench.Run(t.Context(), s)
		if proofhouse.KindOf(err) != kind || r.Status != "error" || r.Error != "no more" {
			t.Errorf("%s: %v, %s %q", kind, err, r.Status, r.Error)
		}
		if r.Samples[0].Status != bench.Cancelled || r.Samples[0].Limit != want || r.Samples[2].Attempts != 0 {
			t.Errorf("%s: %s, limit %q, %d attempts at the last", kind, r.Samples[0].Status, r.Samples[0].Limit, r.Samples[2].Attempts)
		}
	}
}

func TestToolsDescribeTheirParameters(t *testing.T) {
	if again := (react.React{}).Texts(); again != (react.React{}).Texts() || again.Validate() != nil {
		t.Error("the digest of the texts is not one")
	}
	m := &benchtest.Script{}
	s, _ := setup(t, m)
	run(t, s)
	for _, tool := range m.Asked()[0].Tools {
		var schema struct {
			Type       string
			Properties map[string]struct{ Type string }
			Required   []string
		}
		if err := json.Unmarshal(tool.Parameters, &schema); err != nil || schema.Type != "object" {
			t.Errorf("%s: %v", tool.Name, err)
		}
		for _, name := range schema.Required {
			if schema.Properties[name].Type == "" {
				t.Errorf("%s requires %s, which it does not describe", tool.Name, name)
			}
		}
	}
}
