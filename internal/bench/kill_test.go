package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"proofhouse/internal/oracle"
	"proofhouse/internal/proofhouse"
)

// killEnv names the folder that the test binary, run again, works in.
const killEnv = "PROOFHOUSE_BENCH_KILL"

func TestMain(m *testing.M) {
	if dir := os.Getenv(killEnv); dir != "" {
		if _, err := Run(context.Background(), killSetup(dir)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// killSetup is a run whose agent and verifier say on stdout, at once, what
// they were told: an agent that starts, a submission that is being judged,
// and one whose feedback came back.
func killSetup(dir string) Setup {
	say := func(format string, args ...any) { fmt.Fprintf(os.Stdout, format+"\n", args...) }
	setup := setupIn(dir, 6, scripted{"trivial", func(ctx context.Context, s *Session) error {
		ref := s.sample.ref
		say("START %s %d", ref.Task, ref.Epoch)
		if err := s.Log("info", "working", nil); err != nil {
			return err
		}
		for i, word := range []string{"miss", "SURVIVE", "BREAK"} {
			input := fmt.Sprintf("%s %s %d %d %d", word, ref.Task, ref.Epoch, ref.Attempt, i)
			f, err := s.Submit(ctx, []byte(input))
			if err != nil {
				return err
			}
			say("BACK %d %s", f.Number, input)
		}
		return nil
	}})
	setup.Verifier = textVerifier{before: func(input []byte) { say("JUDGING %s", input) }}
	setup.Config.Epochs, setup.Config.Parallel, setup.Resume = 3, 4, true
	for i := range setup.Trials {
		setup.Trials[i].Task.Metadata.Cyber.Submit.MaxSubmissions = 100
	}
	return setup
}

// TestKilledAnywhere kills a run with SIGKILL at random moments, takes it up
// again until it is done, and holds the result against what the processes
// said while they lived. kill -9 leaves what the system was given, so this
// does not test a loss of power; the order of the syncs is for that.
func TestKilledAnywhere(t *testing.T) {
	kills, longest := 0, 40*time.Millisecond
	for kills < 50 {
		dir := t.TempDir()
		var said []string
		killed := 0
		for {
			lines, dead := killedRun(t, dir, time.Duration(rand.Int64N(int64(longest))))
			said = append(said, lines...)
			if !dead {
				break
			}
			killed++
			if killed%10 == 0 {
				longest *= 2 // a slow machine gets nowhere otherwise
			}
		}
		kills += killed
		checkKilled(t, dir, said, killed)
		if killed == 0 {
			longest /= 2
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("%d kills", kills)
}

// killedRun runs the binary and kills it after a while; dead says whether it
// was still running then.
func killedRun(t *testing.T, dir string, after time.Duration) (lines []string, dead bool) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), killEnv+"="+dir)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// The clock starts with the first sign of life, so that the kills do not
	// all fall into the start of the process.
	r := bufio.NewReader(out)
	early := 20 * time.Second
	if rand.IntN(5) == 0 {
		early = after // one in five dies before or while it opens the run
	}
	timer := time.AfterFunc(early, func() { cmd.Process.Kill() })
	first, err := r.ReadString('\n')
	if err == nil {
		lines = append(lines, strings.TrimSuffix(first, "\n"))
		timer.Stop()
		timer = time.AfterFunc(after, func() { cmd.Process.Kill() })
	}
	rest, _ := io.ReadAll(r)
	for line := range strings.Lines(string(rest)) {
		if strings.HasSuffix(line, "\n") {
			lines = append(lines, strings.TrimSuffix(line, "\n"))
		}
	}
	err = cmd.Wait()
	timer.Stop()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() != -1 {
		t.Fatalf("the run failed: %s", stderr.String())
	}
	return lines, err != nil
}

// checkKilled holds the result against what was said.
func checkKilled(t *testing.T, dir string, said []string, kills int) {
	t.Helper()
	setup := killSetup(dir)
	r, err := ReadResult(setup.Folder)
	if err != nil {
		t.Fatal(err)
	}
	if r.Status != "success" || r.Summary.Scored != 18 || r.Summary.Solved != 18 || r.Resumes > kills {
		t.Errorf("status %s, %d resumes after %d kills, %+v", r.Status, r.Resumes, kills, r.Summary)
	}
	inputs := map[string]bool{} // what was judged, survivors apart
	survivors, starts := map[string]bool{}, map[string]int{}
	for _, line := range said {
		word, rest, _ := strings.Cut(line, " ")
		switch word {
		case "START":
			starts[rest]++
		case "BACK":
			_, rest, _ = strings.Cut(rest, " ")
			fallthrough
		case "JUDGING":
			if strings.HasPrefix(rest, "SURVIVE") {
				survivors[rest] = true
			} else {
				inputs[rest] = true
			}
		}
	}
	found := map[string]int{}
	for _, s := range r.Samples {
		if key := fmt.Sprintf("%s %d", s.Task, s.Epoch); s.Attempts < starts[key] {
			t.Errorf("%s: %d attempts counted, %d were seen to start", key, s.Attempts, starts[key])
		}
		for _, sub := range s.Submissions {
			b, err := Artifact(setup.Folder, sub.Digest)
			if err != nil {
				t.Error(err)
			}
			found[string(b)]++
		}
		if last := s.Submissions[len(s.Submissions)-1]; last.Verdict.Outcome != oracle.Solved {
			t.Errorf("%s %d ends with %s", s.Task, s.Epoch, last.Verdict.Outcome)
		}
	}
	for input := range inputs {
		if found[input] != 1 {
			t.Errorf("%q was accepted and stands %d times in the result", input, found[input])
		}
	}
	if r.Summary.Survivors < len(survivors) {
		t.Errorf("%d survivors counted, %d seen", r.Summary.Survivors, len(survivors))
	}
	left, _ := filepath.Glob(filepath.Join(setup.Private, "pending", "*"))
	if len(left) > 0 {
		t.Errorf("submissions left in the private folder: %v", left)
	}
	if again, err := Run(t.Context(), setup); err != nil || again.Journal != r.Journal {
		t.Errorf("a finished run changes when it is taken up again: %v", err)
	}
	ended := map[SampleRef]bool{}
	for rec, err := range Records(setup.Folder) {
		if err != nil {
			t.Fatal(err)
		}
		if rec.Sample == nil {
			continue
		}
		key := SampleRef{Task: rec.Sample.Task, Epoch: rec.Sample.Epoch}
		if ended[key] {
			t.Errorf("%v goes on after it was finished", key)
		}
		ended[key] = ended[key] || rec.End != nil && rec.End.Status == Scored
	}
}

// A submission that was accepted and never judged is judged when the run is
// taken up again, without the agent.
func TestAcceptedIsJudgedLater(t *testing.T) {
	setup := fixtureSetup(t, 1, replaying{scripted{"a", func(ctx context.Context, s *Session) error {
		_, err := s.Submit(ctx, []byte("BREAK it"))
		return err
	}}})
	ctx, cancel := context.WithCancel(t.Context())
	setup.Verifier = textVerifier{before: func([]byte) { cancel() }}
	r, err := Run(ctx, setup)
	if err != nil || r.Status != "cancelled" || len(r.Samples[0].Submissions) != 1 || r.Samples[0].Submissions[0].Verdict.Outcome != "" {
		t.Fatalf("got %+v, %v", r.Samples, err)
	}
	setup.Verifier, setup.Resume = textVerifier{}, true
	setup.Agent = replaying{scripted{"a", func(context.Context, *Session) error { return nil }}}
	lost := setup
	r = run(t, setup)
	s := r.Samples[0]
	if !s.Score.Solved || s.Attempts != 2 || len(s.Submissions) != 1 || s.Submissions[0].Attempt != 1 {
		t.Errorf("got %+v", s)
	}
	// With another data folder the submission is missing, and that is said.
	lost.Folder, lost.Resume = filepath.Join(t.TempDir(), "out"), false
	ctx, cancel = context.WithCancel(t.Context())
	lost.Verifier = textVerifier{before: func([]byte) { cancel() }}
	lost.Agent = submits("REF")
	if _, err := Run(ctx, lost); err != nil {
		t.Fatal(err)
	}
	lost.Private, lost.Resume, lost.Verifier = filepath.Join(t.TempDir(), "p"), true, textVerifier{}
	if _, err := Run(t.Context(), lost); proofhouse.KindOf(err) != proofhouse.Integrity {
		t.Errorf("a lost submission gives %v", err)
	}
}
