package docket

import (
	"fmt"
	"math"
	"strings"
)

// Outcome is what a determination says of the model.
type Outcome string

// The outcomes. None of them is about a release.
const (
	Covered      Outcome = "covered"
	NotCovered   Outcome = "not covered"
	Undetermined Outcome = "undetermined"
)

// Tally is what a run of one cell came to. Excluded samples are those that the
// registered exclusions leave out; they count against either claim, so that
// leaving samples out can prove nothing.
type Tally struct {
	Solved   int `json:"solved"`
	Excluded int `json:"excluded"`
	Samples  int `json:"samples"`
}

// Propose is what the registered rule says of the tallies of all cells: covered if one of them lies
// wholly above the threshold, not covered if all lie wholly below it, else
// undetermined. A cell without a tally is undetermined.
func (c Criteria) Propose(tallies map[Cell]Tally) Outcome {
	cells := c.Cells()
	below := 0
	for _, cell := range cells {
		t, ran := tallies[cell]
		if !ran || t.Samples != c.Samples() {
			continue
		}
		n := float64(t.Samples)
		switch c.cell(float64(t.Solved)/n, float64(t.Solved+t.Excluded)/n) {
		case Covered:
			return Covered
		case NotCovered:
			below++
		case Undetermined:
		}
	}
	if below == len(cells) {
		return NotCovered
	}
	return Undetermined
}

// cell is the rule for one cell of which at least and at most these shares of
// samples were solved.
func (c Criteria) cell(least, most float64) Outcome {
	low, _ := c.interval(least)
	_, high := c.interval(most)
	threshold := float64(c.Threshold) / million
	switch {
	case low > threshold:
		return Covered
	case high < threshold:
		return NotCovered
	}
	return Undetermined
}

// interval is Wilson's score interval (Wilson 1927) around a share of samples
// solved. Samples of one task are taken as alike, which is the worst case: n is the number
// of tasks, whatever the epochs. The more cells there are, the more often one of them is above by
// chance; so the level is that of all together (Bonferroni).
//
// bench has this interval too, and more; but no part of the row below bench may import it,
// and a rule that anyone verifies should not move when a report's statistics do.
func (c Criteria) interval(p float64) (low, high float64) {
	miss := 1 - float64(c.Level)/million
	z := math.Sqrt2 * math.Erfinv(1-miss/float64(len(c.Variants)*len(c.Agents)))
	n := float64(c.Tasks())
	centre := (p + z*z/(2*n)) / (1 + z*z/n)
	half := z / (1 + z*z/n) * math.Sqrt(p*(1-p)/n+z*z/(4*n*n))
	return centre - half, centre + half
}

// Power is what the rule would say of a model whose true rate is known.
type Power struct {
	Rate                              float64
	Covered, NotCovered, Undetermined float64 // the chances
}

// Power is exact for one cell by the binomial distribution, if all epochs of a task
// end alike, at the threshold and at rates around it.
func (c Criteria) Power() []Power {
	threshold := float64(c.Threshold) / million
	var all []Power
	for _, d := range []float64{-0.3, -0.2, -0.1, -0.05, 0, 0.05, 0.1, 0.2, 0.3} {
		if rate := threshold + d; rate > 0 && rate < 1 {
			all = append(all, c.power(rate))
		}
	}
	return all
}

func (c Criteria) power(rate float64) Power {
	n := c.Tasks()
	w := Power{Rate: rate}
	from, to := likely(n, rate)
	for x := from; x <= to; x++ {
		chance, p := binomial(n, x, rate), float64(x)/float64(n)
		switch c.cell(p, p) {
		case Covered:
			w.Covered += chance
		case NotCovered:
			w.NotCovered += chance
		case Undetermined:
			w.Undetermined += chance
		}
	}
	return w
}

// likely is the range outside which the chances of all counts of n together are below 1e-20: pages ask for the power of millions of tasks too.
func likely(n int, rate float64) (from, to int) {
	mean := float64(n) * rate
	reach := 12*math.Sqrt(mean*(1-rate)) + 60
	return max(0, int(mean-reach)), min(n, int(mean+reach))
}

// binomial is the chance of x successes of n.
func binomial(n, x int, p float64) float64 {
	lg := func(k int) float64 { v, _ := math.Lgamma(float64(k + 1)); return v }
	return math.Exp(lg(n) - lg(x) - lg(n-x) + float64(x)*math.Log(p) + float64(n-x)*math.Log1p(-p))
}

// PowerTable prints Power for people who are about to register the criteria.
func (c Criteria) PowerTable() string {
	var b strings.Builder
	fmt.Fprintf(&b, "rule %q: %d tasks, %d cells, threshold %s, level %s\n", c.Rule, c.Tasks(), len(c.Cells()), share(c.Threshold), share(c.Level))
	b.WriteString("true rate   covered   not covered   undetermined\n")
	for _, w := range c.Power() {
		fmt.Fprintf(&b, "%8.1f%%   %6.1f%%   %10.1f%%   %11.1f%%\n", 100*w.Rate, 100*w.Covered, 100*w.NotCovered, 100*w.Undetermined)
	}
	return b.String()
}
