package bench

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"proofhouse/internal/oracle"
)

// Public is the result as anyone may read it: what survived the fix is gone
// but for the run's total. Submissions that survive are taken out, with the
// events that tell of them, and the rest numbered anew, so that no gap says
// which task has a survivor; a sample whose final
// submission survived is unsolved, like one that submitted nothing that broke.
// r is left as it is.
func (r Result) Public() Result {
	r.Samples = slices.Clone(r.Samples)
	for i, s := range r.Samples {
		r.Samples[i] = s.public()
		if r.Summary.Survivors > 0 { // of all samples: to leave out one would say which
			r.Samples[i].Transcript = ""
		}
	}
	return r
}

func (s Sample) public() Sample {
	survivors := s.Score.Survivors
	s.Score.Survivors = 0
	if s.Score.Outcome == oracle.SurvivesFix {
		s.Score.Outcome = ""
	}
	number, gap := map[int]int{}, false // kept submissions, by their number before
	var kept []Submission
	for _, sub := range s.Submissions {
		if sub.Verdict.Outcome == oracle.SurvivesFix {
			gap = true
			continue
		}
		number[sub.Number] = len(kept) + 1
		gap = gap || sub.Number != len(kept)+1
		sub.Number = len(kept) + 1
		kept = append(kept, sub)
	}
	s.Submissions = kept
	if !gap && survivors == 0 {
		return s
	}
	var events []Event
	for _, e := range s.Events {
		if tellsOfSurvivor(e) {
			continue
		}
		if old, ok := whole(e.Data["number"]); ok && (e.Kind == "submit" || e.Kind == "verdict") {
			now, ok := number[old]
			if !ok {
				continue
			}
			e.Data = maps.Clone(e.Data)
			e.Data["number"] = now
		}
		events = append(events, e)
	}
	s.Events = events
	return s
}

// tellsOfSurvivor says whether an event names the outcome, wherever it stands.
func tellsOfSurvivor(e Event) bool {
	word := string(oracle.SurvivesFix)
	if strings.Contains(e.Text, word) {
		return true
	}
	data, err := json.Marshal(e.Data)
	return err != nil || strings.Contains(string(data), word)
}

// whole reads a number as a journal or a program gives it.
func whole(v any) (int, bool) {
	switch n := v.(type) {
	case int:
		return n, true
	case int64:
		return int(n), true
	case float64:
		return int(n), n == float64(int(n))
	}
	return 0, false
}
