package bench

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"proofhouse/internal/proofhouse"
)

// TestRunsTimeEndsIt, and what was used before counts when it is taken up.
func TestRunsTimeEndsIt(t *testing.T) {
	begun := 0
	waits := scripted{"waits", func(ctx context.Context, _ *Session) error {
		begun++
		<-ctx.Done()
		return ctx.Err()
	}}
	s := fixtureSetup(t, 2, waits)
	s.Config.Parallel, s.Config.RunTime = 1, 100*time.Millisecond
	r, err := Run(t.Context(), s)
	const said = "the run's time of 100ms is used up: --resume with a longer --run-time goes on"
	if proofhouse.KindOf(err) != proofhouse.Limit || r.Status != "error" || r.Error != said || r.Took < s.Config.RunTime {
		t.Fatalf("%v: %s %q after %v", err, r.Status, r.Error, r.Took)
	}
	if a, b := r.Samples[0], r.Samples[1]; a.Status != Cancelled || a.Limit != "run" || b.Status != Waiting {
		t.Errorf("%s with limit %q, then %s", a.Status, a.Limit, b.Status)
	}
	s.Resume = true
	if r, err = Run(t.Context(), s); proofhouse.KindOf(err) != proofhouse.Limit || r.Error != said || begun != 1 {
		t.Errorf("taken up with its time used up: %v, %d samples begun", err, begun)
	}
	s.Agent = replaying{scripted{"waits", submits("REF").Run}}
	s.Config.RunTime = time.Hour
	if r, err = Run(t.Context(), s); err != nil || r.Summary.Solved != 2 || r.Config.RunTime != time.Hour {
		t.Errorf("taken up with more: %v, %d solved, %v", err, r.Summary.Solved, r.Config.RunTime)
	}
	s.Resume, s.Config.RunTime = false, -1
	if _, err = Run(t.Context(), s); err == nil || !strings.Contains(err.Error(), "cannot be") {
		t.Errorf("a negative limit gives %v", err)
	}
}

// TestRunsTimeIsThatOfItsParts, by the journal; what lies between them does not count, and a clock
// that was set back takes nothing away.
func TestRunsTimeIsThatOfItsParts(t *testing.T) {
	at := func(hour, minute int) time.Time { return time.Date(2026, 11, 27, hour, minute, 0, 0, time.UTC) }
	opening := Opening{Format: 1, Run: "run-x", Tasks: []TaskFacts{{Task: "demo/t0"}}, Config: Config{Epochs: 1, RunTime: time.Hour}}
	ref := &SampleRef{"demo/t0", 1, 1}
	r, err := Fold(slices.Values([]Record{
		{Seq: 1, At: at(9, 0), Open: &opening},
		{Seq: 2, At: at(9, 1), Sample: ref, Start: &Beginning{}},
		{Seq: 3, At: at(9, 10), Sample: ref, Event: &Event{Kind: "info"}}, // killed
		{Seq: 4, At: at(12, 0), Resumed: &Resumption{RunTime: time.Hour}},
		{Seq: 5, At: at(12, 5), Finish: &Finishing{Status: "cancelled"}},
		{Seq: 6, At: at(14, 0), Resumed: &Resumption{RunTime: 2 * time.Hour}},
		{Seq: 7, At: at(13, 0), Finish: &Finishing{Status: "cancelled"}}, // the clock was set back
		{Seq: 8, At: at(15, 0), Resumed: &Resumption{RunTime: 2 * time.Hour}},
		{Seq: 9, At: at(15, 2), Finish: &Finishing{Status: "success"}},
	}))
	if err != nil || r.Took != 17*time.Minute || r.Config.RunTime != 2*time.Hour {
		t.Errorf("%v: took %v of %v", err, r.Took, r.Config.RunTime)
	}
}
