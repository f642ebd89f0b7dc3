package report

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"proofhouse/internal/bench"
	"proofhouse/internal/bench/stat"
	"proofhouse/internal/proofhouse"
)

// comparison is several runs side by side; the first is the one reported.
type comparison struct {
	Runs  []runRow
	Tasks []taskCompare
	Left  int // runs that found no room
	Mixed bool
}

type runRow struct {
	Index                   int
	Agent, Run              text
	Solved, Scored, Errored int
	Rate, Median            word
	Bar                     bar
	Other                   bool // another suite: not comparable
	Difference              word // against the first run
	Chance                  word
}

type taskCompare struct {
	Task  text
	Cells []cell
}

// cell is a task under one run.
type cell struct {
	Agent  text
	State  word // "good", "part", "bad", "off"
	Value  word
	Detail word
}

func newComparison(runs []bench.Result) *comparison {
	if len(runs) < 2 {
		return nil
	}
	c := &comparison{Left: max(0, len(runs)-maxCompare)}
	runs = runs[:min(len(runs), maxCompare)]
	for i, r := range runs {
		s := r.Summary
		row := runRow{
			Index: i, Agent: label(r.Agent), Run: label(string(r.Run)),
			Solved: s.Solved, Scored: s.Scored, Errored: s.Errors, Rate: "–", Median: "–",
			Bar: newBar(s.Clustered, s.Rate, s.Scored > 0),
		}
		if s.Scored > 0 {
			row.Rate = percent(s.Rate)
		}
		if s.Median > 0 {
			row.Median = span(s.Median)
		}
		row.Other = r.Suite.Name != runs[0].Suite.Name || r.Suite.Digest != runs[0].Suite.Digest
		c.Mixed = c.Mixed || row.Other
		if i > 0 && !row.Other {
			row.Difference, row.Chance = difference(bench.Compare(runs[0], r))
		}
		c.Runs = append(c.Runs, row)
	}
	c.Tasks = compareTasks(runs)
	return c
}

// difference says by how many points the first run's rate is above another's.
func difference(d stat.Difference) (points, chance word) {
	if d.Pairs == 0 {
		return "no common sample", "–"
	}
	p := func(v float64) string {
		n := int(math.Round(v * 100))
		if n < 0 {
			return "−" + strconv.Itoa(-n)
		}
		return "+" + strconv.Itoa(n)
	}
	points = word(fmt.Sprintf("%s points (%s to %s), %d pairs", p(d.Mean), p(d.Low), p(d.High), d.Pairs))
	if d.P < 0.001 {
		return points, "below 0.001"
	}
	return points, word(strconv.FormatFloat(d.P, 'f', 3, 64))
}

// compareTasks has a row a task of the first run and a cell a run.
func compareTasks(runs []bench.Result) []taskCompare {
	type tally struct {
		scored, solved, counts int
		first                  time.Duration
	}
	by := make([]map[proofhouse.TaskID]tally, len(runs))
	for i, r := range runs {
		by[i] = map[proofhouse.TaskID]tally{}
		for _, s := range r.Samples {
			t := by[i][s.Task]
			if s.Status == bench.Scored {
				t.scored++
				if s.Score.Solved {
					t.solved++
					if t.first == 0 || s.Score.First < t.first {
						t.first = s.Score.First
					}
				} else if s.Score.Counts {
					t.counts++
				}
			}
			by[i][s.Task] = t
		}
	}
	var rows []taskCompare
	seen := map[proofhouse.TaskID]bool{}
	for _, s := range runs[0].Samples {
		if seen[s.Task] {
			continue
		}
		seen[s.Task] = true
		row := taskCompare{Task: label(string(s.Task))}
		for i, r := range runs {
			x := cell{Agent: label(r.Agent), State: "off", Value: "–", Detail: "not scored"}
			t := by[i][s.Task]
			switch {
			case t.scored == 0:
			case t.solved > 0:
				x.State, x.Value = "good", word(fmt.Sprintf("%d/%d", t.solved, t.scored))
				x.Detail = "first in " + span(t.first)
			case t.counts > 0:
				x.State, x.Value, x.Detail = "part", word(fmt.Sprintf("0/%d", t.scored)), "other break, same fix"
			default:
				x.State, x.Value, x.Detail = "bad", word(fmt.Sprintf("0/%d", t.scored)), "not solved"
			}
			row.Cells = append(row.Cells, x)
		}
		rows = append(rows, row)
	}
	return rows
}
