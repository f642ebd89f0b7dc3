package bench

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"proofhouse/internal/oracle"
)

func TestPublicHidesSurvivors(t *testing.T) {
	submission := func(n int, o oracle.Outcome, mark string) Submission {
		return Submission{Number: n, At: time.Duration(n) * time.Second, Report: mark, Verdict: oracle.Verdict{Outcome: o, Reason: mark}}
	}
	event := func(kind, text string, data map[string]any) Event {
		return Event{Kind: kind, Text: text, Data: data}
	}
	r := Result{Samples: []Sample{{
		Task:  "open-1/x",
		Score: Score{Outcome: oracle.SurvivesFix, Survivors: 1},
		Submissions: []Submission{
			submission(1, oracle.NoBreak, "first"), submission(2, oracle.SurvivesFix, "SECRET"), submission(3, oracle.NoBreak, "third"),
		},
		Events: []Event{
			event("submit", "submission 1", map[string]any{"number": 1}),
			event("submit", "SECRET", map[string]any{"number": float64(2)}),
			event("verdict", "SECRET", map[string]any{"number": 2, "outcome": "survives_fix"}),
			event("info", "SECRET: survives_fix", nil),
			event("submit", "submission", map[string]any{"number": int64(3)}),
			event("exec", "fuzz", map[string]any{"number": 2}),
		},
	}}, Summary: Summary{Survivors: 1}}
	// A journal's result has no survivors, but gaps where they were.
	gaps := Result{Samples: []Sample{{
		Score:       Score{Survivors: 1},
		Submissions: []Submission{submission(2, oracle.NoBreak, "")},
		Events:      []Event{event("submit", "a", map[string]any{"number": 1}), event("submit", "b", map[string]any{"number": 2})},
	}}}.Public()
	if s := gaps.Samples[0]; s.Submissions[0].Number != 1 || len(s.Events) != 1 || s.Events[0].Data["number"] != 1 {
		t.Errorf("a gap is left: %+v", s)
	}
	before, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	got := r.Public()
	b, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"SECRET", "survives_fix"} {
		if strings.Contains(string(b), word) {
			t.Errorf("the public result holds %q: %s", word, b)
		}
	}
	if got.Summary.Survivors != 1 || got.Samples[0].Score.Survivors != 0 {
		t.Errorf("survivors: %d in all, %d in the sample; want 1 and 0", got.Summary.Survivors, got.Samples[0].Score.Survivors)
	}
	var numbers []any
	for _, e := range got.Samples[0].Events {
		numbers = append(numbers, e.Data["number"])
	}
	if diff := cmp.Diff([]any{1, 2, 2}, numbers); diff != "" {
		t.Errorf("events' numbers (-want +got):\n%s", diff)
	}
	after, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if string(before) != string(after) {
		t.Error("Public changed its receiver")
	}
}
