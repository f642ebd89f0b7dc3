package stat_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/quick"
	"time"

	"proofhouse/internal/bench/stat"
)

func near(t *testing.T, what string, got, want, within float64) {
	t.Helper()
	if math.IsNaN(got) || math.Abs(got-want) > within {
		t.Errorf("%s = %v, want %v within %v", what, got, want, within)
	}
}

// The first four are Newcombe, Statistics in Medicine 17 (1998), table I,
// method 3; all agree with statsmodels 0.15.0 proportion_confint(method="wilson").
func TestWilsonPublished(t *testing.T) {
	for _, c := range []struct {
		solved, n        int
		level, low, high float64
	}{
		{81, 263, 0.95, 0.2553, 0.3662},
		{15, 148, 0.95, 0.0624, 0.1605},
		{0, 20, 0.95, 0.0000, 0.1611},
		{1, 29, 0.95, 0.0061, 0.1718},
		{29, 29, 0.95, 0.8830, 1},
		{7, 8, 0.95, 0.5291, 0.9776},
		{81, 263, 0.90, 0.2633, 0.3566},
		{1, 29, 0.90, 0.0077, 0.1407},
	} {
		in := stat.Wilson(c.solved, c.n, c.level)
		near(t, "low", in.Low, c.low, 5e-5)
		near(t, "high", in.High, c.high, 5e-5)
	}
	for _, c := range [][2]int{{0, 0}, {3, 2}, {-1, 4}} {
		if in := stat.Wilson(c[0], c[1], 0.95); in != (stat.Interval{Low: 0, High: 1, Level: 0.95}) {
			t.Errorf("Wilson(%d, %d) = %v, want [0, 1]", c[0], c[1], in)
		}
	}
}

func TestWilsonProperties(t *testing.T) {
	for n := 1; n <= 120; n++ {
		for k := 0; k <= n; k++ {
			in, p := stat.Wilson(k, n, 0.95), float64(k)/float64(n)
			if !(0 <= in.Low && in.Low <= p && p <= in.High && in.High <= 1) {
				t.Fatalf("Wilson(%d, %d) = %v does not hold %v", k, n, in, p)
			}
			mirror := stat.Wilson(n-k, n, 0.95)
			near(t, "mirror", mirror.Low, 1-in.High, 1e-12)
			if k > 0 {
				if before := stat.Wilson(k-1, n, 0.95); before.Low >= in.Low || before.High >= in.High {
					t.Fatalf("Wilson(%d, %d) is not above Wilson(%d, %d)", k, n, k-1, n)
				}
			}
			if more := stat.Wilson(2*k, 2*n, 0.95); more.High-more.Low >= in.High-in.Low {
				t.Fatalf("Wilson(%d, %d) is no narrower than Wilson(%d, %d)", 2*k, 2*n, k, n)
			}
		}
	}
}

// trials makes trials from sizes and numbers solved of clusters a, b, c, ...
func trials(clusters ...[2]int) (all []stat.Trial) {
	for i, c := range clusters {
		for j := range c[0] {
			all = append(all, stat.Trial{Cluster: string(rune('a' + i)), Solved: j < c[1]})
		}
	}
	return all
}

// Golden values: statsmodels 0.15.0, OLS of the outcome on a constant, fitted
// with cov_type="cluster" and use_correction=False; scipy 1.17.1 stats.t.ppf.
func TestClusteredGolden(t *testing.T) {
	all := trials([2]int{4, 4}, [2]int{3, 1}, [2]int{5, 0}, [2]int{2, 2}, [2]int{6, 3}, [2]int{1, 0}, [2]int{3, 3}, [2]int{4, 1})
	near(t, "SE", stat.ClusterSE(all), 0.13832083379312207, 1e-12)
	near(t, "design effect", stat.DesignEffect(all), 2.3615160349854243, 1e-12)
	in := stat.Clustered(all, 0.95)
	near(t, "low", in.Low, 0.21695443408552834, 1e-9)
	near(t, "high", in.High, 0.7830455659144717, 1e-9)
}

// Miller (arXiv:2411.00640): the clustered error is the independent one and
// the cross terms within clusters.
func TestClusterSEIsMillersFormula(t *testing.T) {
	all := trials([2]int{3, 2}, [2]int{2, 0}, [2]int{4, 4}, [2]int{1, 0})
	var mean, sum float64
	n := float64(len(all))
	value := func(s bool) float64 {
		if s {
			return 1
		}
		return 0
	}
	for _, x := range all {
		mean += value(x.Solved) / n
	}
	for i, x := range all {
		for j, y := range all {
			if i == j || x.Cluster == y.Cluster {
				sum += (value(x.Solved) - mean) * (value(y.Solved) - mean)
			}
		}
	}
	near(t, "SE", stat.ClusterSE(all), math.Sqrt(sum)/n, 1e-12)
}

func TestClusteredEnds(t *testing.T) {
	for _, c := range []struct {
		name   string
		all    []stat.Trial
		effect float64
		in     stat.Interval
	}{
		{"nothing", nil, 1, stat.Interval{Low: 0, High: 1, Level: 0.95}},
		{"one cluster", trials([2]int{5, 2}), 5, stat.Interval{Low: 0, High: 1, Level: 0.95}},
		// None of 8 in clusters of 2: as 4 trials with t of 3 degrees, 3.182.
		{"none solved", trials([2]int{2, 0}, [2]int{2, 0}, [2]int{2, 0}, [2]int{2, 0}), 2, stat.Interval{Low: 0, High: 0.7169, Level: 0.95}},
		{"all solved", trials([2]int{2, 2}, [2]int{2, 2}, [2]int{2, 2}, [2]int{2, 2}), 2, stat.Interval{Low: 0.2831, High: 1, Level: 0.95}},
	} {
		near(t, c.name+": effect", stat.DesignEffect(c.all), c.effect, 1e-12)
		in := stat.Clustered(c.all, 0.95)
		near(t, c.name+": low", in.Low, c.in.Low, 1e-4)
		near(t, c.name+": high", in.High, c.in.High, 1e-4)
	}
}

func TestClusteredProperties(t *testing.T) {
	check := func(seed uint64, clusters, size uint8) bool {
		r := rand.New(rand.NewPCG(seed, 0))
		var all, mirror []stat.Trial
		solved, mean := 0, r.Float64()
		for g := range 2 + int(clusters%30) {
			for range 1 + r.IntN(1+int(size%6)) {
				x := stat.Trial{Cluster: string(rune('A' + g)), Solved: r.Float64() < mean}
				if x.Solved {
					solved++
				}
				all = append(all, x)
				mirror = append(mirror, stat.Trial{Cluster: x.Cluster, Solved: !x.Solved})
			}
		}
		in, p := stat.Clustered(all, 0.95), float64(solved)/float64(len(all))
		naive, other := stat.Wilson(solved, len(all), 0.95), stat.Clustered(mirror, 0.95)
		r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		const e = 1e-9
		return 0 <= in.Low && in.Low <= p+e && p <= in.High+e && in.High <= 1 && // bounds
			in.Low <= naive.Low+e && in.High >= naive.High-e && // never narrower than for independent trials
			math.Abs(in.Low-(1-other.High)) < e && // symmetry
			stat.Clustered(all, 0.95) == in // the order does not matter
	}
	if err := quick.Check(check, &quick.Config{MaxCount: 2000, Rand: nil}); err != nil {
		t.Error(err)
	}
}

// TestCoverage draws suites of 8 to 30 clusters of like tasks (beta-binomial,
// 1 to 5 trials each, intra-cluster correlation 0.5) and counts how often the
// interval holds the true rate. Wilson for independent trials holds it in 78 to
// 88% of the draws, ours in 92 to 98%.
func TestCoverage(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 11))
	for _, rate := range []float64{0.1, 0.3, 0.5} {
		for _, clusters := range []int{8, 15, 30} {
			const draws = 2000
			held, naive := 0, 0
			for range draws {
				var all []stat.Trial
				solved := 0
				for g := range clusters {
					p := betaDraw(r, rate, 1-rate)
					for range 1 + r.IntN(5) {
						x := stat.Trial{Cluster: string(rune('A' + g)), Solved: r.Float64() < p}
						if x.Solved {
							solved++
						}
						all = append(all, x)
					}
				}
				if in := stat.Clustered(all, 0.95); in.Low <= rate && rate <= in.High {
					held++
				}
				if in := stat.Wilson(solved, len(all), 0.95); in.Low <= rate && rate <= in.High {
					naive++
				}
			}
			t.Logf("rate %.1f, %2d clusters: clustered %.3f, independent %.3f", rate, clusters, float64(held)/draws, float64(naive)/draws)
			if float64(held)/draws < 0.92 {
				t.Errorf("rate %.1f, %d clusters: covers %.3f", rate, clusters, float64(held)/draws)
			}
			if naive >= held {
				t.Errorf("rate %.1f, %d clusters: the test draws no correlation", rate, clusters)
			}
		}
	}
}

// betaDraw draws from Beta(a, b) by Jöhnk's method, for a, b <= 1.
func betaDraw(r *rand.Rand, a, b float64) float64 {
	for {
		x, y := math.Pow(r.Float64(), 1/a), math.Pow(r.Float64(), 1/b)
		if x+y <= 1 && x+y > 0 {
			return x / (x + y)
		}
	}
}

// Freireich and others (Blood 21, 1963): weeks of remission under
// 6-mercaptopurine, + watched no longer; the example of most textbooks, such as
// Kleinbaum and Klein. Errors and intervals: statsmodels 0.15.0 SurvfuncRight.
func TestCurvePublished(t *testing.T) {
	var f []stat.Follow
	for _, week := range []time.Duration{6, 6, 6, 7, 10, 13, 16, 22, 23} {
		f = append(f, stat.Follow{Time: week, Solved: true})
	}
	for _, week := range []time.Duration{6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35} {
		f = append(f, stat.Follow{Time: week})
	}
	want := []struct {
		at          time.Duration
		risk        int
		s, low, top float64
	}{
		{6, 21, 0.8571, 0.61971796, 0.95155175},
		{7, 17, 0.8067, 0.56314656, 0.92280902},
		{10, 15, 0.7529, 0.50319951, 0.88936184},
		{13, 12, 0.6902, 0.43161022, 0.84906596},
		{16, 11, 0.6275, 0.36751086, 0.80491219},
		{22, 7, 0.5378, 0.26777894, 0.74679072},
		{23, 6, 0.4482, 0.18805201, 0.68014263},
	}
	got := stat.Curve(f, 0.95)
	if len(got) != len(want) {
		t.Fatalf("%d steps, want %d", len(got), len(want))
	}
	for i, w := range want {
		if got[i].At != w.at || got[i].AtRisk != w.risk {
			t.Errorf("step %d at %d of %d, want %d of %d", i, got[i].At, got[i].AtRisk, w.at, w.risk)
		}
		near(t, "share", got[i].Share, 1-w.s, 5e-5)
		near(t, "low", got[i].In.Low, 1-w.top, 1e-7)
		near(t, "high", got[i].In.High, 1-w.low, 1e-7)
	}
}

func TestCurveProperties(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 500 {
		var f []stat.Follow
		solved := 0
		for range r.IntN(40) {
			x := stat.Follow{Time: 100}
			if r.IntN(3) == 0 {
				x = stat.Follow{Time: time.Duration(1 + r.IntN(100)), Solved: true}
				solved++
			}
			f = append(f, x)
		}
		share, at := 0.0, time.Duration(0)
		for _, s := range stat.Curve(f, 0.95) {
			if s.Share <= share || s.At <= at || s.Share > 1+1e-12 || s.In.Low > s.Share+1e-12 || s.In.High < s.Share-1e-12 {
				t.Fatalf("%+v after %v at %v", s, share, at)
			}
			share, at = s.Share, s.At
		}
		if len(f) > 0 { // all watched equally long: the plain share
			near(t, "last step", share, float64(solved)/float64(len(f)), 1e-12)
		}
	}
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		d    []time.Duration
		want time.Duration
	}{
		{nil, 0},
		{[]time.Duration{5}, 5},
		{[]time.Duration{9, 1, 5}, 5},
		{[]time.Duration{8, 2, 4, 100}, 6},
		{[]time.Duration{math.MaxInt64, math.MaxInt64}, math.MaxInt64},
	} {
		before := slices.Clone(c.d)
		if got := stat.Median(c.d); got != c.want {
			t.Errorf("Median(%v) = %v, want %v", c.d, got, c.want)
		}
		if !slices.Equal(before, c.d) {
			t.Errorf("Median changed its argument to %v", c.d)
		}
	}
}

// The definition, 1 - C(n-c,k)/C(n,k), by enumeration.
func TestPassAtK(t *testing.T) {
	choose := func(n, k int) float64 {
		if k > n {
			return 0
		}
		v := 1.0
		for i := range k {
			v *= float64(n-i) / float64(i+1)
		}
		return v
	}
	for n := 1; n <= 20; n++ {
		for c := 0; c <= n; c++ {
			for k := 1; k <= n; k++ {
				got, ok := stat.PassAtK(n, c, k)
				if !ok {
					t.Fatalf("PassAtK(%d, %d, %d) is unknown", n, c, k)
				}
				near(t, "pass@k", got, 1-choose(n-c, k)/choose(n, k), 1e-9)
			}
		}
	}
	for _, c := range [][3]int{{3, 1, 4}, {3, 1, 0}, {3, 4, 1}, {3, -1, 1}, {0, 0, 1}} {
		if _, ok := stat.PassAtK(c[0], c[1], c[2]); ok {
			t.Errorf("PassAtK%v is known", c)
		}
	}
}

// Golden values as for TestClusteredGolden, of the differences; the p-value by
// enumeration in Python's itertools.
func TestPairedGolden(t *testing.T) {
	a := []int{1, 1, 1, 0, 0, 1, 1, 0, 1, 0, 1, 1}
	b := []int{1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 1}
	g := []int{0, 0, 0, 1, 1, 2, 2, 3, 4, 4, 5, 5}
	var pairs, swapped []stat.Pair
	for i := range a {
		pairs = append(pairs, stat.Pair{Cluster: string(rune('a' + g[i])), A: a[i] == 1, B: b[i] == 1})
		swapped = append(swapped, stat.Pair{Cluster: string(rune('a' + g[i])), A: b[i] == 1, B: a[i] == 1})
	}
	d := stat.Paired(pairs, 0.95)
	if d.Pairs != 12 || d.Clusters != 6 || d.OnlyA != 5 || d.OnlyB != 1 {
		t.Errorf("counted %+v", d)
	}
	near(t, "mean", d.Mean, 1.0/3, 1e-12)
	near(t, "SE", d.SE, 0.17123372230469386, 1e-12)
	near(t, "low", d.Low, -0.3223843966535649, 1e-9)
	near(t, "high", d.High, 0.8223843966535649, 1e-9)
	near(t, "p", d.P, 0.3125, 1e-12)

	s := stat.Paired(swapped, 0.95)
	near(t, "swapped mean", s.Mean, -d.Mean, 1e-12)
	near(t, "swapped low", s.Low, -d.High, 1e-12)
	near(t, "swapped p", s.P, d.P, 1e-12)
}

func TestPairedEnds(t *testing.T) {
	if d := stat.Paired(nil, 0.95); d.Low != -1 || d.High != 1 || d.P != 1 {
		t.Errorf("no pairs: %+v", d)
	}
	var same, all []stat.Pair
	for i := range 30 {
		same = append(same, stat.Pair{Cluster: string(rune('A' + i)), A: i%2 == 0, B: i%2 == 0})
		all = append(all, stat.Pair{Cluster: string(rune('A' + i)), A: true})
	}
	d := stat.Paired(same, 0.95)
	if d.Mean != 0 || d.SE != 0 || d.P != 1 || d.Low >= 0 || d.High <= 0 {
		t.Errorf("agreement must not read as certainty: %+v", d)
	}
	d = stat.Paired(all, 0.95) // 30 clusters: drawn, not enumerated
	if d.Mean != 1 || d.Low <= 0.5 || d.High > 1 || d.P > 1e-3 || d.P <= 0 {
		t.Errorf("always better: %+v", d)
	}
	if again := stat.Paired(all, 0.95); again != d {
		t.Errorf("the same pairs gave %+v and %+v", d, again)
	}
}
