package bench

import (
	"context"
	"fmt"
	"path"
	"strings"
	"time"

	"proofhouse/internal/oracle"
	"proofhouse/internal/proofhouse"
)

// admissions is how often each of a task's submissions is judged before the
// task is admitted: once is not enough to see a flaky one.
const admissions = 5

// CheckRow is one line of `suite check`.
type CheckRow struct {
	Task   proofhouse.TaskID `json:"task"`
	What   string            `json:"what"` // "folder", "solution", "no-op", "cheat fake-report", "partial 1"
	Want   string            `json:"want"` // "5/5", "0/5"
	Got    string            `json:"got"`
	Passed bool              `json:"passed"`
	Note   string            `json:"note,omitempty"` // what to do, or what was seen
	Took   time.Duration     `json:"took"`
}

// FaultRows are the rows of the tasks of a suite that did not even load.
func (s Suite) FaultRows() []CheckRow {
	var rows []CheckRow
	for _, f := range s.Faults {
		short, _, _ := strings.Cut(f.File, "/")
		rows = append(rows, CheckRow{Task: proofhouse.TaskID(s.Name + "/" + short), What: "folder", Want: "sound", Got: "faulty", Note: f.String()})
	}
	return rows
}

// CheckTask says whether a built task may be admitted: its folder is sound,
// the reference solves it 5 of 5 times, an empty submission never, and none of
// the attempts on the grader and no partial solution ever scores. now is the
// day that the age of the fix is judged on; each row is given as it is known.
// The error is ours or ctx's.
func CheckTask(ctx context.Context, t Task, b Built, v Verifier, now time.Time, each func(CheckRow)) (passed bool, err error) {
	passed = true
	give := func(r CheckRow) {
		r.Task = t.Task.Name
		passed = passed && r.Passed
		each(r)
	}
	give(t.checkAgain(b, now))
	judge := func(what, file string, times int, solves bool) error {
		var input []byte
		if file != "" {
			var err error
			if input, err = readFile(t.FS, file, maxFile); err != nil {
				return err
			}
		}
		row, err := t.checkInput(ctx, b, v, input, times, solves)
		if err != nil {
			return err
		}
		row.What = what
		give(row)
		return nil
	}
	if err := judge("solution", "solution/poc", admissions, true); err != nil {
		return false, err
	}
	if err := judge("no-op", "", admissions, false); err != nil {
		return false, err
	}
	for _, file := range files(t.FS, "cheat") {
		if err := judge("cheat "+path.Base(file), file, admissions, false); err != nil {
			return false, err
		}
	}
	for _, file := range files(t.FS, "solution/partial") {
		if err := judge("partial "+path.Base(file), file, 1, false); err != nil {
			return false, err
		}
	}
	return passed, nil
}

// checkAgain is the row of the folder.
func (t Task) checkAgain(b Built, now time.Time) CheckRow {
	row := CheckRow{What: "folder", Want: "sound", Got: "sound", Passed: true}
	day, err := time.Parse(time.DateOnly, t.Metadata.Cyber.FixedOn)
	age := now.Sub(day)
	if err == nil {
		row.Note = fmt.Sprintf("fix public for %d days; pins, licence %s and provenance recorded", int(age.Hours()/24), t.Metadata.Cyber.Licence)
	}
	_, levels := t.Files(LevelPatch, b)
	switch {
	case err != nil || age < embargo:
		row.Got, row.Passed, row.Note = "too new", false, "the fix must have been public for 180 days"
	case b.Folder != t.Digest:
		row.Got, row.Passed, row.Note = "changed", false, "the task has changed since it was built: run `suite build`"
	case levels != nil:
		row.Got, row.Passed, row.Note = "incomplete", false, proofhouse.PublicOf(levels)
	}
	return row
}

// spare is how many of a solution's judgements may be made again because they ended at a limit: on a machine that
// starves, that says nothing of the task. The row says how many were.
const spare = 1

// checkInput judges one input several times.
func (t Task) checkInput(ctx context.Context, b Built, v Verifier, input []byte, times int, solves bool) (CheckRow, error) {
	begun := time.Now()
	scored, seen := 0, map[oracle.Outcome]int{}
	note, again := "", 0
	for judged := 0; judged < times; {
		j, err := v.Verify(ctx, t.Case(b.Target), input)
		if err != nil {
			return CheckRow{}, err
		}
		out := j.Verdict.Outcome
		if solves && out == oracle.LimitHit && again < spare {
			again, note = again+1, "judged once more, since a judgement ended at a limit: "+j.Verdict.Reason
			continue
		}
		judged++
		seen[out]++
		if out == oracle.Solved || !solves && out.Counts() {
			scored++
		} else if solves {
			note = fmt.Sprintf("%s: %s", out, j.Verdict.Reason)
		}
		if out == oracle.InfraError {
			return CheckRow{}, proofhouse.Errorf(proofhouse.Unavailable, nil, "the oracle could not judge task %s: %s", t.Task.Name, j.Verdict.Reason)
		}
	}
	want := 0
	if solves {
		want = times
	}
	row := CheckRow{Want: fmt.Sprintf("%d/%d", want, times), Got: fmt.Sprintf("%d/%d", scored, times), Passed: scored == want, Note: note, Took: time.Since(begun)}
	if !row.Passed && !solves {
		row.Note = "it scores, and must not: the task or the oracle can be cheated"
	}
	if !solves && seen[oracle.SurvivesFix] > 0 {
		row.Passed, row.Note = false, "it breaks the fixed build too: choose another input"
	}
	return row, nil
}
