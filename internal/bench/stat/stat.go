// Package stat estimates rates and their uncertainty. Its functions are pure
// and are tested against published values; what is counted is for bench to say.
//
// Why these estimators: a suite has tens of tasks, not thousands, rates near 0
// and 1 are common, and tasks of the same software are alike. Normal
// approximations are too narrow then (Bowyer, Aitchison and Ivanova,
// arXiv:2503.01747), and so are errors that take related items for
// independent (Miller, arXiv:2411.00640). So rates get Wilson's interval, and
// beside it Wilson's interval at the effective sample size.
package stat

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// Interval is a two-sided interval. NaN never appears: where nothing can be
// said, Low is 0 and High is 1.
type Interval struct {
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
	Level float64 `json:"level"` // 0.95
}

// Level is the confidence level of every interval that the house reports.
const Level = 0.95

// Wilson is Wilson's score interval for solved of n independent trials
// (Wilson 1927; Brown, Cai and DasGupta 2001, section 3.1.1), without
// continuity correction. No trial gives [0, 1].
func Wilson(solved, n int, level float64) Interval {
	if n <= 0 || solved < 0 || solved > n {
		return Interval{0, 1, level}
	}
	return wilson(float64(solved)/float64(n), float64(n), normalQuantile(level), level)
}

// wilson is the score interval around p for n trials, which need not be whole,
// with the critical value z.
func wilson(p, n, z, level float64) Interval {
	z2 := z * z
	centre := (p + z2/(2*n)) / (1 + z2/n)
	half := z / (1 + z2/n) * math.Sqrt(p*(1-p)/n+z2/(4*n*n))
	in := Interval{math.Max(0, centre-half), math.Min(1, centre+half), level}
	// At the ends the bound is p itself; rounding must not say otherwise.
	if p == 0 {
		in.Low = 0
	}
	if p == 1 {
		in.High = 1
	}
	return in
}

// normalQuantile is the two-sided critical value of the normal distribution.
func normalQuantile(level float64) float64 {
	return math.Sqrt2 * math.Erfinv(level)
}

// tQuantile is the two-sided critical value of Student's t.
func tQuantile(level, df float64) float64 {
	return distuv.StudentsT{Mu: 0, Sigma: 1, Nu: df}.Quantile((1 + level) / 2)
}
