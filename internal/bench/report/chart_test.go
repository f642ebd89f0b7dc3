package report

import (
	"testing"
	"time"

	"proofhouse/internal/bench"
)

// TestThin draws the curve of many samples with no more steps than can be seen, and none elsewhere than it was.
func TestThin(t *testing.T) {
	const n = 10_000
	var points []bench.Point
	for i := range n {
		share := float64(i+1) / n
		points = append(points, bench.Point{At: time.Duration(i) * time.Second, Share: share, Low: share, High: share})
	}
	end := n * time.Second
	for _, c := range []chart{newChart("wide", 1000, 380, nil, end), newChart("narrow", 360, 280, nil, end)} {
		thin := c.thin(points, end)
		if len(thin) > c.W/column || len(thin) < c.W/column/2 {
			t.Errorf("%s: %d steps", c.Name, len(thin))
		}
		at := 0
		for _, p := range points { // wherever one looks, the curve is at most a column behind
			for at+1 < len(thin) && thin[at+1].At <= p.At {
				at++
			}
			if thin[at].At <= p.At && c.x(p.At, end)-c.x(thin[at].At, end) > column {
				t.Fatalf("%s: nothing is drawn between %s and %s", c.Name, thin[at].At, p.At)
			}
		}
		if thin[len(thin)-1] != points[n-1] {
			t.Errorf("%s: it ends at %+v", c.Name, thin[len(thin)-1])
		}
		if few := points[:maxSteps]; len(c.thin(few, end)) != len(few) {
			t.Errorf("%s: few steps are thinned", c.Name)
		}
	}
}
