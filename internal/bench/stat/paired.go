package stat

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
)

// Pair is one task in the same epoch under two agents.
type Pair struct {
	Cluster string
	A, B    bool // solved by the first, by the second
}

// Difference is how much more often the first agent solves than the second.
type Difference struct {
	Pairs    int     `json:"pairs"`
	Clusters int     `json:"clusters"`
	OnlyA    int     `json:"only_a"` // solved by the first alone
	OnlyB    int     `json:"only_b"`
	Mean     float64 `json:"mean"` // rate of the first less rate of the second
	// SE is the cluster-robust error of Mean (Miller, arXiv:2411.00640,
	// sections 2.2 and 4.2).
	SE float64 `json:"se"`
	// Low and High bound the difference at Level, within [-1, 1].
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
	Level float64 `json:"level"`
	// P is the two-sided p-value of flipping the signs of whole clusters: how
	// often chance alone gives a difference at least this large.
	P float64 `json:"p"`
}

// pairSum is a cluster's pairs: how many, and their differences added up.
type pairSum struct {
	n, sum float64
}

// Paired compares two agents on the same samples. Pairing removes the
// differences between tasks from the error, which two separate intervals do
// not. The interval is that of Bonett and Price (Brit. J. Math. Stat. Psych.
// 65, 2012), which adds one disagreement each way so that few or no
// disagreements do not read as certainty, with clusters in the place of pairs:
// two clusters of mean size are added, and t has as many degrees of freedom
// as clusters then, less one. No pair gives [-1, 1] and P 1.
func Paired(pairs []Pair, level float64) Difference {
	d := Difference{Pairs: len(pairs), Low: -1, High: 1, Level: level, P: 1}
	by := map[string]pairSum{}
	for _, p := range pairs {
		c := by[p.Cluster]
		c.n++
		switch {
		case p.A && !p.B:
			c.sum++
			d.OnlyA++
		case p.B && !p.A:
			c.sum--
			d.OnlyB++
		}
		by[p.Cluster] = c
	}
	d.Clusters = len(by)
	if len(pairs) == 0 {
		return d
	}
	var clusters []pairSum
	for _, c := range by {
		clusters = append(clusters, c)
	}
	slices.SortFunc(clusters, func(a, b pairSum) int {
		return cmp.Or(cmp.Compare(a.n, b.n), cmp.Compare(a.sum, b.sum))
	})
	n := float64(len(pairs))
	d.Mean = float64(d.OnlyA-d.OnlyB) / n
	d.SE = math.Sqrt(pairSquares(clusters, d.Mean)) / n
	d.P = flipSigns(clusters)

	size := n / float64(len(clusters))
	padded := append(slices.Clone(clusters), pairSum{size, size}, pairSum{size, -size})
	total := n + 2*size
	mean := float64(d.OnlyA-d.OnlyB) / total
	g := float64(len(padded))
	half := tQuantile(level, g-1) * math.Sqrt(pairSquares(padded, mean)*g/(g-1)) / total
	d.Low, d.High = math.Max(-1, mean-half), math.Min(1, mean+half)
	return d
}

func pairSquares(clusters []pairSum, mean float64) (sum float64) {
	for _, c := range clusters {
		r := c.sum - c.n*mean
		sum += r * r
	}
	return sum
}

// flipSigns is the two-sided randomisation p-value: exact up to 16 clusters
// that disagree, by 20,000 draws from a fixed seed beyond.
func flipSigns(clusters []pairSum) float64 {
	var sums []float64
	var seen float64
	for _, c := range clusters {
		if c.sum != 0 {
			sums = append(sums, c.sum)
			seen += c.sum
		}
	}
	// The sums are whole numbers, exact in floating point: >= needs no tolerance.
	flipped := func(signs uint64) float64 {
		var sum float64
		for i, s := range sums {
			if signs>>i&1 == 1 {
				s = -s
			}
			sum += s
		}
		return math.Abs(sum)
	}
	if len(sums) <= 16 {
		all, extreme := uint64(1)<<len(sums), 0
		for signs := range all {
			if flipped(signs) >= math.Abs(seen) {
				extreme++
			}
		}
		return float64(extreme) / float64(all)
	}
	const draws = 20_000
	source := rand.New(rand.NewPCG(1, 2))
	extreme := 1 // the draw that was seen
	for range draws {
		var sum float64
		for _, s := range sums {
			if source.Uint64()&1 == 1 {
				s = -s
			}
			sum += s
		}
		if math.Abs(sum) >= math.Abs(seen) {
			extreme++
		}
	}
	return float64(extreme) / float64(draws+1)
}
