package react_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"proofhouse/internal/bench"
	"proofhouse/internal/bench/benchtest"
	"proofhouse/internal/chat"
	"proofhouse/internal/oracle"
	"proofhouse/internal/proofhouse"
)

// growing is a conversation whose every turn reads what the turns before wrote
// into the box.
func growing(turns int) []benchtest.Answer {
	var all []benchtest.Answer
	for i := range turns {
		all = append(all, benchtest.Bash(fmt.Sprint(i), fmt.Sprintf("echo %d >> /out/log; cat /out/log", i)))
	}
	return append(all, benchtest.Bash("last", "(echo BREAK; cat /out/log) > /out/poc"), benchtest.Submit("s"))
}

func TestTakenUpAgainAsksNothingTwice(t *testing.T) {
	m := &benchtest.Script{Answers: growing(4)}
	s, h := setup(t, m)
	ctx, cancel := context.WithCancel(t.Context())
	m.Answers[3].Do = cancel
	r, err := bench.Run(ctx, s)
	if err != nil || r.Status != "cancelled" || r.Samples[0].Model.Turns < 3 {
		t.Fatalf("%v, %s, %+v", err, r.Status, r.Samples[0].Model)
	}
	m.Answers[3].Do = nil
	s.Resume = true
	got := run(t, s)
	if twice := m.Twice(); len(twice) > 0 && len(m.Asked()) != 8 {
		t.Errorf("asked twice: %v", twice)
	}
	if !got.Score.Solved || got.Attempts != 2 || got.Model.Turns != 7 || got.Model.Usage.Output != 70 || len(h.boxes) != 2 {
		t.Errorf("%+v, %d attempts, spent %+v, error %q", got.Score, got.Attempts, got.Model, got.Error)
	}
	b, err := bench.Artifact(s.Folder, got.Submissions[0].Digest)
	if err != nil || string(b) != "BREAK\n0\n1\n2\n3\n" {
		t.Errorf("the box was not brought to where it was: %q, %v", b, err)
	}
}

// A submission that was accepted, and of which the model was not told when the
// run was killed, is not made again.
func TestSubmissionIsNotMadeTwice(t *testing.T) {
	m := &benchtest.Script{Answers: []benchtest.Answer{benchtest.Bash("1", "echo BREAK > /out/poc"), benchtest.Submit("2")}}
	s, _ := setup(t, m)
	ctx, cancel := context.WithCancel(t.Context())
	s.Verifier = judge{before: func([]byte) { cancel() }}
	if r, err := bench.Run(ctx, s); err != nil || len(r.Samples[0].Submissions) != 1 {
		t.Fatalf("%v, %+v", err, r.Samples)
	}
	s.Resume, s.Verifier = true, judge{}
	got := run(t, s)
	if len(got.Submissions) != 1 || !got.Score.Solved || len(m.Twice()) > 0 || !strings.HasPrefix(last(m).Text, "Submission 1 accepted; 2 left.") {
		t.Errorf("%d submissions, asked twice %v, told %q", len(got.Submissions), m.Twice(), last(m).Text)
	}
}

func TestRunsBudgetEndsTheRunAndMayBeRaised(t *testing.T) {
	m := &benchtest.Script{Answers: growing(2)}
	s, _ := setup(t, m)
	s.Config.Epochs = 2
	s.Config.Model.Run.Tokens = 700 // 7 answers
	r, err := bench.Run(t.Context(), s)
	if proofhouse.KindOf(err) != proofhouse.Limit || !strings.Contains(r.Error, "run's budget of 700 tokens") {
		t.Fatalf("%v, %q", err, r.Error)
	}
	if a, b := r.Samples[0], r.Samples[1]; a.Status != bench.Scored || b.Status != bench.Cancelled || b.Limit != "run" || r.Summary.Scored != 1 {
		t.Errorf("%s, %s with limit %q", a.Status, b.Status, b.Limit)
	}
	s.Resume, s.Config.Model.Run.Tokens = true, 10000
	r, err = bench.Run(t.Context(), s)
	if err != nil || r.Summary.Solved != 2 || r.Summary.Model.Turns != 10 || r.Config.Model.Run.Tokens != 10000 {
		t.Errorf("%v, %+v", err, r.Summary)
	}
	s.Config.Model.Sample.Tokens = 5
	if _, err = bench.Run(t.Context(), s); proofhouse.KindOf(err) != proofhouse.Conflict {
		t.Errorf("another budget of a sample gives %v", err)
	}
}

// TestRunsMessages: those of both samples count, and each once, however often a sample is taken up.
func TestRunsMessages(t *testing.T) {
	m := &benchtest.Script{Answers: growing(2)}
	s, _ := setup(t, m)
	s.Config.Epochs = 2
	s.Config.Model.Run.Messages = 15 // 11 of the first sample, 3 and 2 of the second one's first answers
	r, err := bench.Run(t.Context(), s)
	if proofhouse.KindOf(err) != proofhouse.Limit || !strings.Contains(r.Error, "run's budget of 15 messages is used up: --resume with a larger one goes on") {
		t.Fatalf("%v, %q", err, r.Error)
	}
	if a, b := r.Samples[0], r.Samples[1]; a.Model.Messages != 11 || b.Model.Messages != 5 || b.Status != bench.Cancelled || b.Limit != "run" {
		t.Errorf("%+v and %+v, %s with limit %q", a.Model, b.Model, b.Status, b.Limit)
	}
	s.Resume = true
	asked := len(m.Asked())
	if r, err = bench.Run(t.Context(), s); proofhouse.KindOf(err) != proofhouse.Limit || len(m.Asked()) != asked {
		t.Errorf("taken up with the budget used up: %v, %d more requests", err, len(m.Asked())-asked)
	}
	s.Config.Model.Run.Messages = 22
	if r, err = bench.Run(t.Context(), s); err != nil || r.Summary.Solved != 2 || r.Summary.Model.Messages != 22 || r.Summary.Model.Turns != 10 {
		t.Errorf("%v, %+v", err, r.Summary.Model)
	}
}

func TestSamplesBudget(t *testing.T) {
	for _, c := range []struct {
		budget bench.Budget
		limit  string
		turns  int
	}{
		{bench.Budget{Tokens: 220}, "token", 2},
		{bench.Budget{Tokens: 221}, "token", 3},
		{bench.Budget{NanoDollars: 3 * 1020}, "cost", 3},
		{bench.Budget{Turns: 1}, "turn", 1},
		{bench.Budget{Messages: 6}, "message", 2},
	} {
		m := &benchtest.Script{Answers: growing(6)}
		s, _ := setup(t, m)
		s.Config.Model.Sample, s.Config.Model.Prices = c.budget, chat.Prices{Version: "x", Input: 10, Output: 2}
		got := run(t, s)
		if got.Limit != c.limit || got.Model.Turns != c.turns || got.Status != bench.Scored || got.Model.NanoDollars != int64(c.turns)*1020 {
			t.Errorf("%+v: limit %q after %+v, %s %q", c.budget, got.Limit, got.Model, got.Status, got.Error)
		}
	}
}

// What a model wrote lies in the output folder only if nothing of the run
// survived the fix; then it is nowhere there.
func TestConversationsOfARunWithSurvivorsStayPrivate(t *testing.T) {
	for _, word := range []string{"BREAK", "SURVIVE"} {
		m := &benchtest.Script{Answers: []benchtest.Answer{benchtest.Bash("1", "echo "+word+" telltale > /out/poc"), benchtest.Submit("2")}}
		s, _ := setup(t, m)
		s.Config.Epochs = 2
		r, err := bench.Run(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		err = filepath.WalkDir(s.Folder, func(name string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			b, err := os.ReadFile(name)
			if bytes.Contains(b, []byte("telltale")) {
				found++
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		b, err := bench.Artifact(s.Folder, r.Samples[0].Transcript)
		if word == "SURVIVE" {
			if found > 0 || err == nil || r.Samples[1].Transcript != "" {
				t.Errorf("%d files tell of a survivor; transcript %q", found, r.Samples[0].Transcript)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		x, err := bench.ReadTranscript(b)
		if err != nil || len(x.Steps) != 7 || x.Steps[2].Call.Output.Message.ToolCalls[0].Function != "bash" || x.Steps[3].Tool == nil {
			t.Errorf("%v, %d steps", err, len(x.Steps))
		}
		var all []chat.Message
		for _, step := range x.Steps {
			all = bench.Follow(all, step)
		}
		if len(all) != 7 || all[6].Text != "done" {
			t.Errorf("the conversation ends with %+v", all[len(all)-1])
		}
	}
}

// What was published by a run that was stopped is taken back when a later
// attempt makes a survivor.
func TestPublishedConversationsAreTakenBack(t *testing.T) {
	m := &benchtest.Script{Answers: []benchtest.Answer{benchtest.Bash("1", "echo BREAK telltale > /out/poc"), benchtest.Submit("2")}}
	s, _ := setup(t, m)
	s.Config.Epochs = 2
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	m.Answers[0].Do = func() {
		if calls++; calls == 2 { // in the second sample
			cancel()
		}
	}
	r, err := bench.Run(ctx, s)
	if err != nil || r.Status != "cancelled" || r.Samples[0].Transcript == "" {
		t.Fatalf("%v, %s, %+v", err, r.Status, r.Samples[0])
	}
	public := r.Samples[0].Transcript
	if _, err := bench.Artifact(s.Folder, public); err != nil {
		t.Fatal(err)
	}
	m.Answers = []benchtest.Answer{{}, benchtest.Bash("1", "echo SURVIVE telltale > /out/poc"), benchtest.Submit("2")}
	s.Resume = true
	if r, err = bench.Run(t.Context(), s); err != nil || r.Summary.Survivors != 1 {
		t.Fatalf("%v, %+v", err, r.Summary)
	}
	if _, err := bench.Artifact(s.Folder, public); proofhouse.KindOf(err) != proofhouse.NotFound {
		t.Errorf("the transcript is still there: %v", err)
	}
	if kept, _ := filepath.Glob(filepath.Join(s.Private, "transcript", "*", "*")); len(kept) < 3 {
		t.Errorf("the quarantine keeps %v", kept)
	}
}

// killDir and killURL tell the test binary, run again, where to work and whom
// to ask.
const (
	killDir = "PROOFHOUSE_REACT_KILL"
	killURL = "PROOFHOUSE_REACT_URL"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(killDir); dir != "" {
		if err := killedRun(dir, os.Getenv(killURL)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// remote asks a Script in another process.
type remote struct{ url string }

func (m remote) Generate(ctx context.Context, r chat.Request) (out chat.Output, err error) {
	b, err := json.Marshal(r)
	if err != nil {
		return out, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.url, bytes.NewReader(b))
	if err != nil {
		return out, err
	}
	fmt.Println("ASK")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return out, err
	}
	defer resp.Body.Close()
	return out, json.NewDecoder(resp.Body).Decode(&out)
}

func killSetup(t *testing.T, dir, url string) bench.Setup {
	s, h := setup(t, remote{url})
	h.tmp = filepath.Join(dir, "boxes")
	s.Folder, s.Private, s.Resume = filepath.Join(dir, "out"), filepath.Join(dir, "private"), true
	s.Config.Epochs, s.Config.Parallel = 4, 2
	return s
}

func killedRun(dir, url string) error {
	_, err := bench.Run(context.Background(), killSetup(nil, dir, url))
	return err
}

// TestKilledAnywhereAsksNothingTwice kills a run with SIGKILL at random moments
// and takes it up again until it is done. What the model was asked twice is
// held against what the journal had when the process died.
func TestKilledAnywhereAsksNothingTwice(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts many processes")
	}
	script := &benchtest.Script{Answers: growing(5)}
	var mu sync.Mutex // guards what follows
	asked := map[proofhouse.Digest]int{}
	answered := map[proofhouse.Digest]bool{} // and in the journal of a process that is dead
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		var req chat.Request
		if err != nil || json.Unmarshal(b, &req) != nil {
			return // the asker died
		}
		d := proofhouse.DigestOf(b)
		mu.Lock()
		asked[d]++
		if answered[d] {
			t.Errorf("asked again, although the journal has the answer:\n%s", benchtest.Conversation(req))
		}
		mu.Unlock()
		out, err := script.Generate(r.Context(), req)
		if err == nil {
			_ = json.NewEncoder(w).Encode(out)
		}
	}))
	defer server.Close()
	for kills, longest := 0, 60*time.Millisecond; kills < 25 && !t.Failed(); {
		n := killedToTheEnd(t, server.URL, longest, func(steps []byte) {
			mu.Lock()
			defer mu.Unlock()
			for d := range asked {
				// A record that is whole is told from one that was cut by its end.
				if i := bytes.Index(steps, []byte(`"request":"`+string(d))); i >= 0 && bytes.Contains(steps[i:], []byte(`"whole":`)) {
					answered[d] = true
				}
			}
		})
		if kills += n; n == 0 {
			longest /= 2
		}
		mu.Lock()
		clear(asked)
		clear(answered)
		mu.Unlock()
	}
}

// killedToTheEnd kills a run until it is done, telling dead what the private
// journal holds each time, and checks its result.
func killedToTheEnd(t *testing.T, url string, longest time.Duration, dead func(steps []byte)) (kills int) {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "boxes"), 0o700); err != nil {
		t.Fatal(err)
	}
	for killOnce(t, dir, url, time.Duration(rand.Int64N(int64(longest)))) {
		if kills++; kills%8 == 0 {
			longest *= 2
		}
		steps, _ := filepath.Glob(filepath.Join(dir, "private", "transcript", "*", "steps"))
		for _, name := range steps {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			dead(b)
		}
	}
	r, err := bench.ReadResult(filepath.Join(dir, "out"))
	if err != nil || r.Status != "success" || r.Summary.Solved != 4 {
		t.Fatalf("%v, %s, %+v", err, r.Status, r.Summary)
	}
	for _, s := range r.Samples {
		if s.Model.Turns != 8 || s.Model.Usage.Input != 800 || len(s.Submissions) != 1 || s.Score.Outcome != oracle.Solved {
			t.Errorf("epoch %d: %+v, %d submissions", s.Epoch, s.Model, len(s.Submissions))
		}
		b, err := bench.Artifact(filepath.Join(dir, "out"), s.Submissions[0].Digest)
		if err != nil || string(b) != "BREAK\n0\n1\n2\n3\n4\n" {
			t.Errorf("epoch %d submitted %q, %v", s.Epoch, b, err)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "private", "transcript", "*")); len(left) > 0 {
		t.Errorf("conversations left in the private folder: %v", left)
	}
	t.Logf("%d kills, %d attempts", kills, r.Summary.Attempts)
	return kills
}

// killOnce runs the binary and kills it a while after its first sign of life;
// dead says whether it was still running then.
func killOnce(t *testing.T, dir, url string, after time.Duration) (dead bool) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), killDir+"="+dir, killURL+"="+url)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(out)
	if _, err := r.ReadString('\n'); err == nil {
		timer := time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
		defer timer.Stop()
	}
	_, _ = io.Copy(io.Discard, r)
	err = cmd.Wait()
	if strings.Contains(stderr.String(), "another process is working") {
		// What the dead process had just forked keeps its lock until it executes.
		time.Sleep(10 * time.Millisecond)
		return killOnce(t, dir, url, after)
	}
	if err != nil && cmd.ProcessState.ExitCode() != -1 {
		t.Fatalf("the run failed: %s", stderr.String())
	}
	return err != nil
}
