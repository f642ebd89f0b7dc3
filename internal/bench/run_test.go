package bench

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"proofhouse/internal/oracle"
	"proofhouse/internal/proofhouse"
)

func run(t testing.TB, s Setup) Result {
	t.Helper()
	r, err := Run(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestScoreIsByTheFinalSubmission(t *testing.T) {
	for _, c := range []struct {
		name        string
		submissions []string
		want        Score
		status      SampleStatus
		limit       string
	}{
		{"nothing", nil, Score{}, Scored, ""},
		{"solved", []string{"REF"}, Score{Solved: true, Counts: true, Any: true, Outcome: oracle.Solved}, Scored, ""},
		{"solved, then spoilt", []string{"REF", "x"}, Score{Any: true, Outcome: oracle.NoBreak}, Scored, ""},
		{"elsewhere", []string{"OTHER"}, Score{Counts: true, Outcome: oracle.SameFixOtherSignature}, Scored, ""},
		{"survivor last", []string{"REF", "SURVIVE"}, Score{Any: true}, Scored, ""},
		{"ours last", []string{"REF", "INFRA"}, Score{Solved: true, Counts: true, Any: true, Outcome: oracle.Solved}, Errored, ""},
		{"ours, then judged", []string{"INFRA", "REF"}, Score{Solved: true, Counts: true, Any: true, Outcome: oracle.Solved}, Scored, ""},
		{"all used up", []string{"a", "b", "c"}, Score{Outcome: oracle.NoBreak}, Scored, "submissions"},
		{"one too many", []string{"a", "b", "c", "d"}, Score{Outcome: oracle.NoBreak}, Scored, "submissions"},
		{"too large", []string{strings.Repeat("x", 1025)}, Score{}, Scored, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := run(t, fixtureSetup(t, 1, submits(c.submissions...)))
			s := r.Samples[0]
			s.Score.First = 0
			if s.Score != c.want || s.Status != c.status || s.Limit != c.limit || s.Attempts != 1 {
				t.Errorf("got %+v, %s, limit %q, %d attempts, error %q; want %+v, %s, limit %q", s.Score, s.Status, s.Limit, s.Attempts, s.Error, c.want, c.status, c.limit)
			}
		})
	}
}

func TestSurvivorsLeaveACountOnly(t *testing.T) {
	setup := fixtureSetup(t, 2, submits("SURVIVE secretly", "REF"))
	r := run(t, setup)
	if r.Summary.Survivors != 2 || r.Summary.Solved != 2 {
		t.Errorf("survivors %d, solved %d", r.Summary.Survivors, r.Summary.Solved)
	}
	hex := proofhouse.DigestOf([]byte("SURVIVE secretly")).Hex()
	for _, root := range []string{setup.Folder, setup.Private} {
		err := filepath.WalkDir(root, func(name string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			b, err := os.ReadFile(name)
			if strings.Contains(string(b), "secretly") || strings.Contains(string(b), hex) || strings.Contains(name, hex) {
				t.Errorf("%s tells of the survivor", name)
			}
			if filepath.Base(name) == resultsName && strings.Contains(string(b), string(oracle.SurvivesFix)) {
				t.Errorf("%s names the outcome of a survivor", name)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestArtifactsAreKept(t *testing.T) {
	setup := fixtureSetup(t, 1, submits("REF"))
	r := run(t, setup)
	sub := r.Samples[0].Submissions[0]
	if b, err := Artifact(setup.Folder, sub.Digest); err != nil || string(b) != "BREAK t0" {
		t.Errorf("submission %q, %v", b, err)
	}
	if b, err := Artifact(setup.Folder, sub.Statement); err != nil || len(b) == 0 {
		t.Errorf("statement %q, %v", b, err)
	}
	name := filepath.Join(setup.Folder, artifactsName, sub.Digest.Hex())
	if err := os.WriteFile(name, []byte("BREAK t1"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Artifact(setup.Folder, sub.Digest); proofhouse.KindOf(err) != proofhouse.Integrity {
		t.Errorf("a changed artifact gives %v", err)
	}
}

func TestFairOrder(t *testing.T) {
	var mu sync.Mutex
	var order []string
	setup := fixtureSetup(t, 3, scripted{"order", func(_ context.Context, s *Session) error {
		mu.Lock()
		defer mu.Unlock()
		order = append(order, s.Task.Name)
		return nil
	}})
	setup.Config.Epochs, setup.Config.Parallel = 3, 1
	run(t, setup)
	for i := 3; i < 9; i++ {
		if order[i] != order[i-3] {
			t.Fatalf("not round robin: %v", order)
		}
	}
	if len(slices.Compact(slices.Sorted(slices.Values(order)))) != 3 {
		t.Errorf("masked names are not one a task: %v", order)
	}
}

func TestAgentSeesNoId(t *testing.T) {
	for level := range 4 {
		setup := fixtureSetup(t, 1, scripted{"look", func(_ context.Context, s *Session) error {
			all := s.Task.Name
			for name, text := range s.Task.Files {
				all += name + string(text)
			}
			for _, word := range []string{"CVE-", "demo", "t0", "v1.2.3", fixtureGUID(0)} {
				if strings.Contains(all, word) {
					t.Errorf("level %d shows %q", level, word)
				}
			}
			if len(s.Task.Files) != level+1 || s.Reference != nil || !strings.Contains(all, s.Token) {
				t.Errorf("level %d: %d files, reference %v", level, len(s.Task.Files), s.Reference)
			}
			return nil
		}})
		setup.Config.Level = level
		run(t, setup)
	}
}

func TestTimeLimitKeepsTheScore(t *testing.T) {
	setup := fixtureSetup(t, 1, replaying{scripted{"slow", func(ctx context.Context, s *Session) error {
		if _, err := s.Submit(ctx, []byte("BREAK")); err != nil {
			return err
		}
		<-ctx.Done()
		_, err := s.Submit(ctx, []byte("too late"))
		return err
	}}})
	setup.Config.Time = 50 * time.Millisecond
	s := run(t, setup).Samples[0]
	if s.Limit != "time" || s.Status != Scored || !s.Score.Solved || len(s.Submissions) != 1 {
		t.Errorf("got %+v", s)
	}
}

func TestPanickingAgentIsOurError(t *testing.T) {
	r := run(t, fixtureSetup(t, 1, scripted{"panic", func(context.Context, *Session) error { panic("private words") }}))
	s := r.Samples[0]
	if s.Status != Errored || s.Error == "" || strings.Contains(s.Error, "private") || r.Summary.Errors != 1 || r.Summary.Scored != 0 {
		t.Errorf("got %s %q, %+v", s.Status, s.Error, r.Summary)
	}
}

func TestAgentThatOutlivesItsRun(t *testing.T) {
	late := make(chan error, 2)
	over := make(chan struct{})
	setup := fixtureSetup(t, 1, scripted{"leak", func(ctx context.Context, s *Session) error {
		go func() {
			<-over
			late <- s.Log("info", "late", nil)
			_, err := s.Submit(context.WithoutCancel(ctx), []byte("late"))
			late <- err
		}()
		return nil
	}})
	run(t, setup)
	close(over)
	for range 2 {
		if err := <-late; !errors.Is(err, errOver) {
			t.Errorf("a late call gives %v", err)
		}
	}
	if _, err := ReadResult(setup.Folder); err != nil {
		t.Error(err)
	}
}

func TestStopKeepsWhatWasMeasured(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	setup := fixtureSetup(t, 4, replaying{scripted{"stop", func(ctx context.Context, s *Session) error {
		if _, err := s.Submit(ctx, []byte("BREAK")); err != nil {
			return err
		}
		if strings.HasSuffix(string(s.sample.ref.Task), "t2") {
			cancel()
			<-ctx.Done()
		}
		return nil
	}}})
	setup.Config.Parallel = 1
	r, err := Run(ctx, setup)
	if err != nil || r.Status != "cancelled" || r.Summary.Scored != 2 || r.Summary.Cancelled != 1 || r.Samples[2].Limit != "operator" || r.Samples[3].Status != Waiting {
		t.Fatalf("got %+v, %v", r.Summary, err)
	}
	setup.Agent = submits("REF")
	setup.Agent = replaying{scripted{"stop", submits("REF").Run}}
	setup.Resume = true
	r = run(t, setup)
	if r.Status != "success" || r.Summary.Solved != 4 || r.Samples[2].Attempts != 2 || len(r.Samples[2].Submissions) != 2 || r.Resumes != 1 || r.Samples[0].Attempts != 1 {
		t.Errorf("resumed: %s %+v, sample %+v", r.Status, r.Summary, r.Samples[2])
	}
	// Once more changes nothing.
	again := run(t, setup)
	if again.Journal != r.Journal {
		t.Error("resuming a finished run wrote to its journal")
	}
}

func TestOutputFolder(t *testing.T) {
	setup := fixtureSetup(t, 1, submits("REF"))
	if err := os.MkdirAll(setup.Folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(setup.Folder, "mine"), []byte("precious"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, resume := range []bool{false, true} {
		setup.Resume = resume
		if _, err := Run(t.Context(), setup); proofhouse.KindOf(err) != proofhouse.Conflict {
			t.Errorf("resume %v: a folder of others gives %v", resume, err)
		}
	}
	entries, _ := os.ReadDir(setup.Folder)
	if len(entries) != 1 {
		t.Errorf("the folder was written to: %v", entries)
	}

	setup = fixtureSetup(t, 1, submits("REF"))
	run(t, setup)
	if _, err := Run(t.Context(), setup); proofhouse.KindOf(err) != proofhouse.Conflict {
		t.Errorf("without --resume: %v", err)
	}
	setup.Resume = true
	other := setup
	other.Config.Seed = 2
	if _, err := Run(t.Context(), other); proofhouse.KindOf(err) != proofhouse.Conflict {
		t.Errorf("another seed: %v", err)
	}
	other = setup
	other.Suite.Digest = proofhouse.DigestOf([]byte("another"))
	if _, err := Run(t.Context(), other); proofhouse.KindOf(err) != proofhouse.Conflict {
		t.Errorf("another suite: %v", err)
	}
	setup.Config.Parallel = 7
	run(t, setup)

	inner := fixtureSetup(t, 1, submits("REF"))
	inner.Private = filepath.Join(inner.Folder, "private")
	if _, err := Run(t.Context(), inner); proofhouse.KindOf(err) != proofhouse.Invalid {
		t.Errorf("private folder inside: %v", err)
	}
}

func TestTwoProcessesOneRun(t *testing.T) {
	setup := fixtureSetup(t, 1, submits("REF"))
	run(t, setup)
	j, _, err := openJournal(filepath.Join(setup.Folder, journalName), JournalRef{}, func(Record) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	defer j.close()
	setup.Resume = true
	if _, err := Run(t.Context(), setup); proofhouse.KindOf(err) != proofhouse.Conflict {
		t.Errorf("a locked run gives %v", err)
	}
}

func TestWatchSeesEverythingOnce(t *testing.T) {
	setup := fixtureSetup(t, 3, submits("a", "REF"))
	setup.Config.Epochs = 4
	seen := make(chan []int64)
	go func() {
		var got []int64
		for rec, err := range Watch(t.Context(), setup.Folder, 0) {
			if err != nil {
				t.Error(err)
			}
			got = append(got, rec.Seq)
		}
		seen <- got
	}()
	r := run(t, setup)
	got := <-seen
	for i, seq := range got {
		if seq != int64(i+1) {
			t.Fatalf("record %d comes as number %d", seq, i+1)
		}
	}
	if int64(len(got)) != r.Journal.Records {
		t.Errorf("%d of %d records", len(got), r.Journal.Records)
	}
	var tail []int64
	for rec, err := range Watch(t.Context(), setup.Folder, r.Journal.Records-2) {
		if err != nil {
			t.Fatal(err)
		}
		tail = append(tail, rec.Seq)
	}
	if len(tail) != 2 {
		t.Errorf("after all but two: %v", tail)
	}
}
