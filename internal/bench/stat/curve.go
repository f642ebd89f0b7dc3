package stat

import (
	"math"
	"slices"
	"time"
)

// Follow is how long a sample was watched. Solved says that it was solved at
// Time; otherwise it was not solved in Time and nothing is known of later.
// A sample whose agent gave up before its limit would not have been solved
// later either: pass the longest limit of the run as its Time.
type Follow struct {
	Time   time.Duration
	Solved bool
}

// Step is one step of a curve: from At on, Share of the samples are solved.
type Step struct {
	At     time.Duration
	Share  float64
	In     Interval // of Share
	AtRisk int      // samples still watched and unsolved just before At
	Solved int      // of them solved at At
}

// Curve is the share of samples solved against time: one minus the estimator
// of Kaplan and Meier (1958), so that samples that were watched for a shorter
// time count for as long as they were watched. Where all were watched equally
// long it is the plain share. The interval of each step is Greenwood's variance
// on the log-minus-log scale (Kalbfleisch and Prentice 1980), which stays
// within [0, 1]; it takes samples for independent. Steps are in order of time;
// nothing solved gives none.
func Curve(follows []Follow, level float64) []Step {
	f := slices.Clone(follows)
	slices.SortFunc(f, func(a, b Follow) int { return int(a.Time - b.Time) })
	z := normalQuantile(level)
	var steps []Step
	survival, greenwood := 1.0, 0.0
	for i := 0; i < len(f); {
		at, risk, solved := f[i].Time, len(f)-i, 0
		for ; i < len(f) && f[i].Time == at; i++ {
			if f[i].Solved {
				solved++
			}
		}
		if solved == 0 {
			continue
		}
		d, n := float64(solved), float64(risk)
		survival *= 1 - d/n
		greenwood += d / (n * (n - d)) // +Inf once none is left
		steps = append(steps, Step{
			At: at, Share: 1 - survival, In: logMinusLog(survival, greenwood, z, level),
			AtRisk: risk, Solved: solved,
		})
	}
	return steps
}

// logMinusLog is the interval of 1-s for a survival s with the sum of
// Greenwood's formula.
func logMinusLog(s, greenwood, z, level float64) Interval {
	if s <= 0 || s >= 1 {
		return Interval{0, 1, level}
	}
	half := z * math.Sqrt(greenwood) / math.Abs(math.Log(s))
	return Interval{1 - math.Pow(s, math.Exp(-half)), 1 - math.Pow(s, math.Exp(half)), level}
}

// Median is the middle of d, or the mean of the middle two; nothing gives 0.
func Median(d []time.Duration) time.Duration {
	if len(d) == 0 {
		return 0
	}
	d = slices.Clone(d)
	slices.Sort(d)
	low, high := d[(len(d)-1)/2], d[len(d)/2]
	return low + (high-low)/2
}

// PassAtK is the chance that at least one of k independent trials of a task
// solves it, estimated without bias from solved of n trials: 1 - C(n-c,k)/C(n,k)
// (Chen and others, arXiv:2107.03374, section 2.1). It is unknown, and ok
// false, unless n >= k >= 1. Trials that learn from each other, such as
// several submissions of one sample, are not independent: this is not for them.
func PassAtK(n, solved, k int) (share float64, ok bool) {
	if k < 1 || n < k || solved < 0 || solved > n {
		return 0, false
	}
	none := 1.0
	for i := n - solved + 1; i <= n; i++ {
		none *= 1 - float64(k)/float64(i)
		if none <= 0 {
			return 1, true
		}
	}
	return 1 - none, true
}
