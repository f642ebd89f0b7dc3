package inspect

import (
	"math"

	"proofhouse/internal/bench"
	"proofhouse/internal/chat"
)

// ways tells the scorers apart.
var ways = []struct {
	name  string
	value func(bench.Score) bool
}{
	{scorerOracle, func(s bench.Score) bool { return s.Solved }},
	{scorerSameFix, func(s bench.Score) bool { return s.Counts }},
	{scorerAny, func(s bench.Score) bool { return s.Any }},
}

// reduce averages each task over its epochs, as Inspect's reducer "mean" does.
// Samples without a score are in no average.
func reduce(r bench.Result) []reduction {
	out := []reduction{}
	for _, way := range ways {
		type mean struct {
			solved, n int
		}
		by, order := map[string]mean{}, []string{}
		for _, s := range r.Samples {
			if s.Status != bench.Scored {
				continue
			}
			id := sampleID(s, r)
			m, seen := by[id]
			if !seen {
				order = append(order, id)
			}
			m.n++
			if way.value(s.Score) {
				m.solved++
			}
			by[id] = m
		}
		x := reduction{Scorer: way.name, Reducer: "mean", Samples: []reduced{}}
		for _, id := range order {
			x.Samples = append(x.Samples, reduced{SampleID: id, Value: float64(by[id].solved) / float64(by[id].n), History: []struct{}{}})
		}
		out = append(out, x)
	}
	return out
}

// newHeader is the log without its samples.
func newHeader(r bench.Result, eval spec, steps plan, reduced []reduction) header {
	h := header{
		Version: 2, Status: status(r), Eval: eval, Plan: steps,
		Stats: stats{
			StartedAt: moment(r.Started), CompletedAt: moment(r.Completed),
			ModelUsage: modelUsage(r, r.Summary.Model), RoleUsage: struct{}{}, ConnectionLimitHistory: []struct{}{},
		},
		Tags: []string{}, Metadata: struct{}{},
	}
	if r.Status == "error" {
		h.Error = newError(r.Error)
	}
	h.Results = &results{TotalSamples: r.Summary.Samples, CompletedSamples: r.Summary.Scored, Scores: []evalScore{}}
	for _, x := range reduced {
		s := evalScore{
			Name: x.Scorer, Scorer: x.Scorer, Reducer: x.Reducer, Params: struct{}{},
			ScoredSamples: r.Summary.Scored, UnscoredSamples: r.Summary.Samples - r.Summary.Scored,
			Metrics: metrics(x.Samples),
		}
		if x.Scorer == scorerOracle && r.Summary.Scored > 0 {
			level := intervalParams{Level: r.Summary.Wilson.Level}
			for name, value := range map[string]float64{
				"solve_rate": r.Summary.Rate,
				"wilson_low": r.Summary.Wilson.Low, "wilson_high": r.Summary.Wilson.High,
				"clustered_low": r.Summary.Clustered.Low, "clustered_high": r.Summary.Clustered.High,
			} {
				s.Metrics[name] = metric{Name: name, Value: value, Params: level}
			}
		}
		h.Results.Scores = append(h.Results.Scores, s)
	}
	return h
}

// modelUsage is what a run's model used, by its name; empty without one.
func modelUsage(r bench.Result, s *bench.Spent) map[string]usage {
	out := map[string]usage{}
	if m := r.Config.Model; m != nil && s != nil {
		out[label(m.Name)] = newUsage(*s, m.Prices != chat.Prices{})
	}
	return out
}

func status(r bench.Result) string {
	switch r.Status {
	case "success", "cancelled", "error", "started":
		return r.Status
	}
	return "error"
}

// metrics are Inspect's accuracy and stderr over the reduced samples: the mean,
// and the deviation (n-1) over the root of n.
func metrics(samples []reduced) map[string]metric {
	var sum, squares float64
	n := float64(len(samples))
	for _, s := range samples {
		sum += s.Value
	}
	accuracy, deviation := 0.0, 0.0
	if n > 0 {
		accuracy = sum / n
	}
	for _, s := range samples {
		squares += (s.Value - accuracy) * (s.Value - accuracy)
	}
	if n > 1 {
		deviation = math.Sqrt(squares / (n - 1) / n)
	}
	return map[string]metric{
		"accuracy": {Name: "accuracy", Value: accuracy, Params: struct{}{}},
		"stderr":   {Name: "stderr", Value: deviation, Params: struct{}{}},
	}
}

func newError(public string) *failure {
	return &failure{Message: text(public), Traceback: "", TracebackANSI: ""}
}
