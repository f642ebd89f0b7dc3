package bench

import (
	"time"

	"proofhouse/internal/bench/stat"
)

// summarise counts samples. Errors of ours and cancelled samples are in no
// rate, and neither are those that are not over.
func summarise(samples []Sample) Summary {
	sum := Summary{
		Samples: len(samples), Curve: []Point{},
		ByClass: map[string]Group{}, ByLang: map[string]Group{}, ByLevel: map[string]Group{},
	}
	var trials []stat.Trial
	var follows []stat.Follow
	var firsts []time.Duration
	var longest time.Duration
	for _, s := range samples {
		longest = max(longest, s.Bound)
	}
	for _, s := range samples {
		sum.Attempts += s.Attempts
		sum.Survivors += s.Score.Survivors
		if s.Model != nil {
			if sum.Model == nil {
				sum.Model = &Spent{}
			}
			*sum.Model = sum.Model.Plus(*s.Model)
		}
		switch s.Status {
		case Errored:
			sum.Errors++
		case Cancelled:
			sum.Cancelled++
		case Scored:
			sum.Scored++
			trials = append(trials, stat.Trial{Cluster: s.Cluster, Solved: s.Score.Solved})
			follow := stat.Follow{Time: longest}
			if s.Score.Solved {
				sum.Solved++
				firsts = append(firsts, s.Score.First)
				follow = stat.Follow{Time: s.Score.First, Solved: true}
			}
			follows = append(follows, follow)
		default:
			continue
		}
		group(sum.ByClass, s.Class, s)
		group(sum.ByLang, s.Language, s)
		group(sum.ByLevel, levelName(s.Level), s)
	}
	if sum.Scored > 0 {
		sum.Rate = float64(sum.Solved) / float64(sum.Scored)
	}
	sum.Wilson = stat.Wilson(sum.Solved, sum.Scored, stat.Level)
	sum.Clustered = stat.Clustered(trials, stat.Level)
	sum.Median = stat.Median(firsts)
	for _, step := range stat.Curve(follows, stat.Level) {
		sum.Curve = append(sum.Curve, Point{At: step.At, Share: step.Share, Low: step.In.Low, High: step.In.High})
	}
	for _, groups := range []map[string]Group{sum.ByClass, sum.ByLang, sum.ByLevel} {
		for name, g := range groups {
			g.Wilson = stat.Wilson(g.Solved, g.Samples, stat.Level)
			groups[name] = g
		}
	}
	return sum
}

func levelName(level int) string { return string(rune('0' + max(0, min(level, 9)))) }

// group counts a sample within its group; Samples are the scored ones.
func group(groups map[string]Group, name string, s Sample) {
	g := groups[name]
	switch s.Status {
	case Errored:
		g.Errors++
	case Scored:
		g.Samples++
		if s.Score.Solved {
			g.Solved++
		}
	default:
		return
	}
	groups[name] = g
}
