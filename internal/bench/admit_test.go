package bench

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"proofhouse/internal/oracle"
	"proofhouse/internal/proofhouse"
)

// checkRows admits or refuses the one task of a suite in which a file was
// given another text.
func checkRows(t *testing.T, file, text string, now time.Time) (bool, []CheckRow) {
	t.Helper()
	folder, _, store := builtSuite(t, 1)
	if file != "" {
		if err := os.WriteFile(filepath.Join(folder, "t0", file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s, err := OpenSuite(nil, folder, now)
	if err != nil || len(s.Tasks) != 1 {
		t.Fatal(err, s.Faults)
	}
	b, err := store.record(s.Tasks[0])
	if file != "" { // as if it had been built anew
		b, err = Built{Version: 1, Task: "demo/t0", Folder: s.Tasks[0].Digest, Crash: "panic", Patch: "-a\n+b\n"}, nil
	}
	if err != nil {
		t.Fatal(err)
	}
	var rows []CheckRow
	passed, err := CheckTask(t.Context(), s.Tasks[0], b, textVerifier{}, now, func(r CheckRow) { rows = append(rows, r) })
	if err != nil {
		t.Fatal(err)
	}
	return passed, rows
}

func TestCheckTask(t *testing.T) {
	passed, rows := checkRows(t, "", "", today)
	if !passed || len(rows) != 5 {
		t.Errorf("a sound task: %v %+v", passed, rows)
	}
	for _, c := range []struct{ file, text, what, got string }{
		{"solution/poc", "nothing", "solution", "0/5"},
		{"solution/poc", "OTHER", "solution", "0/5"},
		{"solution/poc", "SURVIVE", "solution", "0/5"},
		{"cheat/fake", "BREAK", "cheat fake", "5/5"},
		{"cheat/fake", "OTHER", "cheat fake", "5/5"},
		{"cheat/fake", "SURVIVE", "cheat fake", "0/5"},
		{"solution/partial/1", "BREAK", "partial 1", "1/1"},
	} {
		passed, rows := checkRows(t, c.file, c.text, today)
		found := false
		for _, r := range rows {
			if r.What == c.what {
				found = r.Got == c.got && !r.Passed && r.Note != ""
			} else if !r.Passed {
				t.Errorf("%s %q: %s does not pass either", c.file, c.text, r.What)
			}
		}
		if passed || !found {
			t.Errorf("%s %q: passed %v, %+v", c.file, c.text, passed, rows)
		}
	}
}

// starving is a textVerifier whose first judgements end at a limit.
type starving struct {
	textVerifier
	left *int
}

func (s starving) Verify(ctx context.Context, c Case, input []byte) (Judgement, error) {
	j, err := s.textVerifier.Verify(ctx, c, input)
	if *s.left > 0 {
		*s.left--
		j.Verdict.Outcome, j.Verdict.Reason = oracle.LimitHit, "the time ran out"
	}
	return j, err
}

// TestCheckTaskStarved: one judgement of a solution that ended at a limit is made again, and no more.
func TestCheckTaskStarved(t *testing.T) {
	_, s, store := builtSuite(t, 1)
	b, err := store.record(s.Tasks[0])
	if err != nil {
		t.Fatal(err)
	}
	for left, want := range map[int]bool{1: true, 2: false} {
		var solution CheckRow
		passed, err := CheckTask(t.Context(), s.Tasks[0], b, starving{left: &left}, today, func(r CheckRow) {
			if r.What == "solution" {
				solution = r
			}
		})
		if err != nil || passed != want || !strings.Contains(solution.Note, "limit") {
			t.Errorf("%v, %v: %+v", passed, err, solution)
		}
	}
}

func TestCheckTaskSeesWhatChanged(t *testing.T) {
	_, s, store := builtSuite(t, 1)
	b, err := store.record(s.Tasks[0])
	if err != nil {
		t.Fatal(err)
	}
	b.Folder = proofhouse.DigestOf([]byte("older"))
	passed, err := CheckTask(t.Context(), s.Tasks[0], b, textVerifier{}, today, func(CheckRow) {})
	if err != nil || passed {
		t.Errorf("a task that changed since it was built: %v, %v", passed, err)
	}
	b.Folder, b.Patch = s.Tasks[0].Digest, ""
	passed, err = CheckTask(t.Context(), s.Tasks[0], b, textVerifier{}, today, func(CheckRow) {})
	if err != nil || passed {
		t.Errorf("a task without a patch: %v, %v", passed, err)
	}
}

// Every hint level has its texts, and a level that cannot be had says so.
func TestHintLevels(t *testing.T) {
	_, trials := fixtureTrials(1)
	task, b := trials[0].Task, trials[0].Built
	for level, want := range []string{"instruction.md", "description.md", "crash.txt", "patch.diff"} {
		texts, err := task.Files(level, b)
		if err != nil || len(texts) != level+1 || len(texts[want]) == 0 {
			t.Errorf("level %d: %v, %v", level, texts, err)
		}
		if bytes.Contains(texts["instruction.md"], []byte("canary")) {
			t.Errorf("level %d shows the canary's line", level)
		}
	}
	if _, err := task.Files(2, Built{}); proofhouse.KindOf(err) != proofhouse.NotFound || !strings.Contains(err.Error(), "crash report") {
		t.Error(err)
	}
	if _, err := task.Files(4, b); proofhouse.KindOf(err) != proofhouse.Invalid {
		t.Error(err)
	}
}
