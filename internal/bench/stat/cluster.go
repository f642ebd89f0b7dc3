package stat

import (
	"cmp"
	"math"
	"slices"
)

// Trial is one scored sample: which cluster of related tasks it belongs to,
// and whether it was solved.
type Trial struct {
	Cluster string
	Solved  bool
}

// count is a cluster's tally.
type count struct {
	n, solved float64
}

// tally counts trials by cluster, in the order of the clusters' names, so that
// sums do not depend on the order of the trials.
func tally(trials []Trial) (clusters []count, n, solved float64) {
	by := map[string]count{}
	for _, t := range trials {
		c := by[t.Cluster]
		c.n++
		if t.Solved {
			c.solved++
		}
		by[t.Cluster] = c
	}
	for _, c := range by {
		clusters = append(clusters, c)
		n += c.n
		solved += c.solved
	}
	slices.SortFunc(clusters, func(a, b count) int {
		return cmp.Or(cmp.Compare(a.n, b.n), cmp.Compare(a.solved, b.solved))
	})
	return clusters, n, solved
}

// ClusterSE is the cluster-robust standard error of the share of trials that
// were solved: Miller (arXiv:2411.00640, section 2.2), which is the sandwich
// estimator CR0 of the mean. It is 0 where all trials end alike.
func ClusterSE(trials []Trial) float64 {
	clusters, n, solved := tally(trials)
	if n == 0 {
		return 0
	}
	return math.Sqrt(sumSquares(clusters, solved/n)) / n
}

// sumSquares adds up the squared totals of the clusters' residuals from p.
func sumSquares(clusters []count, p float64) (sum float64) {
	for _, c := range clusters {
		r := c.solved - c.n*p
		sum += r * r
	}
	return sum
}

// DesignEffect is by how much clustering inflates the variance of the rate
// against independent trials, never less than 1: the variance CR1, that is
// CR0 times G/(G-1) for G clusters, over p(1-p)/(n-1), so that clusters of one
// give exactly 1. Where all trials end alike the data show no correlation, and
// the worst is assumed: clusters that stand or fall as one.
func DesignEffect(trials []Trial) float64 {
	clusters, n, solved := tally(trials)
	return designEffect(clusters, n, solved)
}

func designEffect(clusters []count, n, solved float64) float64 {
	if n < 2 || len(clusters) < 2 {
		return math.Max(1, n)
	}
	p := solved / n
	if solved == 0 || solved == n {
		var squares float64
		for _, c := range clusters {
			squares += c.n * c.n
		}
		return squares / n // Kish's n²/Σm² trials are left
	}
	g := float64(len(clusters))
	variance := g / (g - 1) * sumSquares(clusters, p) / (n * n)
	return math.Max(1, variance*(n-1)/(p*(1-p)))
}

// Clustered is the interval of the share of trials solved when trials of one
// cluster are alike: Wilson's interval at the effective sample size n/deff
// with the critical value of t at G-1 degrees of freedom.
//
// Why not a bootstrap over clusters or a sandwich error on the rate or its
// logit: with the 5 to 30 clusters of a suite both are too narrow, and where
// every trial fails or every trial succeeds both shrink to a point (a logit to
// nothing at all), just where a report must not claim certainty. Wilson at the
// effective sample size is what Franco, Little, Louis and Slud (J. Survey
// Statistics and Methodology 7, 2019) recommend for proportions of clustered
// samples, among the intervals that they compare; the degrees of freedom
// follow Korn and Graubard (Survey Methodology 24, 1998), and a design effect
// below 1 is taken as 1 as in the presentation standards of the US National
// Center for Health Statistics (Parker and others 2017). TestCoverage has what
// this comes to. Fewer than two clusters give [0, 1].
func Clustered(trials []Trial, level float64) Interval {
	clusters, n, solved := tally(trials)
	if len(clusters) < 2 {
		return Interval{0, 1, level}
	}
	effective := n / designEffect(clusters, n, solved)
	t := tQuantile(level, float64(len(clusters)-1))
	return wilson(solved/n, effective, t, level)
}
