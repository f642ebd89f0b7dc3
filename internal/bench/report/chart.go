package report

import (
	"fmt"
	"strings"
	"time"

	"proofhouse/internal/bench"
)

// chart is a plot of shares against time, in pixels of its own size.
type chart struct {
	Name                     word // unique on the page
	W, H                     int
	Left, Top, Right, Bottom float64
	X, Y                     []tick
	Series                   []series
}

type tick struct {
	At    float64
	Label word
}

// series is one run's curve: a step line, its interval's area, the steps.
type series struct {
	Index      int // picks colour and dash
	Line, Area word
	Dots       []dot
}

type dot struct {
	X, Y float64
	Tip  word
}

// maxDots bounds the marks on a line; beyond, the line says enough.
const maxDots = 60

// newCharts lays the runs' curves out for wide and for narrow screens. The area
// of the interval is drawn where there is one run only.
func newCharts(runs []bench.Result) []chart {
	var end time.Duration
	for _, r := range runs {
		end = max(end, horizon(r))
	}
	if end <= 0 {
		return nil
	}
	return []chart{
		newChart("wide", 1000, 380, runs, end),
		newChart("narrow", 360, 280, runs, end),
	}
}

// horizon is how long a run watched its samples.
func horizon(r bench.Result) (end time.Duration) {
	for _, s := range r.Samples {
		if s.Status == bench.Scored {
			end = max(end, s.Bound, s.Score.First)
		}
	}
	for _, p := range r.Summary.Curve {
		end = max(end, p.At)
	}
	if end == 0 {
		end = r.Config.Time
	}
	return end
}

func newChart(name word, w, h int, runs []bench.Result, end time.Duration) chart {
	c := chart{Name: name, W: w, H: h, Left: 52, Top: 12, Right: float64(w) - 24, Bottom: float64(h) - 44}
	for i := 0; i <= 100; i += 25 {
		c.Y = append(c.Y, tick{c.y(float64(i) / 100), word(fmt.Sprintf("%d%%", i))})
	}
	want := 6
	if w < 400 {
		want = 4
	}
	step := niceStep(end, want)
	for at := time.Duration(0); at <= end; at += step {
		c.X = append(c.X, tick{c.x(at, end), axisLabel(at, step)})
	}
	for i, r := range runs {
		c.Series = append(c.Series, c.series(i, r, end, len(runs) == 1))
	}
	return c
}

func (c chart) x(at, end time.Duration) float64 {
	return c.Left + (c.Right-c.Left)*float64(at)/float64(end)
}

func (c chart) y(share float64) float64 { return c.Bottom - (c.Bottom-c.Top)*share }

func (c chart) series(index int, r bench.Result, end time.Duration, area bool) series {
	points := c.thin(r.Summary.Curve, end)
	var line, upper, lower strings.Builder
	last := bench.Point{}
	fmt.Fprintf(&line, "M%.1f %.1f", c.Left, c.y(0))
	fmt.Fprintf(&upper, "M%.1f %.1f", c.Left, c.y(0))
	var back []string // the lower edge, drawn from right to left
	back = append(back, fmt.Sprintf("L%.1f %.1f", c.Left, c.y(0)))
	s := series{Index: index % maxCompare}
	for i, p := range points {
		x := c.x(p.At, end)
		fmt.Fprintf(&line, "H%.1fV%.1f", x, c.y(p.Share))
		fmt.Fprintf(&upper, "H%.1fV%.1f", x, c.y(p.High))
		back = append(back, fmt.Sprintf("L%.1f %.1fL%.1f %.1f", x, c.y(p.Low), x, c.y(last.Low)))
		if i < maxDots {
			s.Dots = append(s.Dots, dot{x, c.y(p.Share), word(fmt.Sprintf("%s solved by %s", percent(p.Share), span(p.At)))})
		}
		last = p
	}
	// A run that was watched for a shorter time than another says nothing of later.
	right := c.x(min(end, horizon(r)), end)
	fmt.Fprintf(&line, "H%.1f", right)
	fmt.Fprintf(&upper, "H%.1fV%.1f", right, c.y(last.Low))
	for i := len(back) - 1; i >= 0; i-- {
		lower.WriteString(back[i])
	}
	s.Line = word(line.String())
	if area && last.High > 0 {
		s.Area = word(upper.String() + lower.String() + "Z")
	}
	return s
}

// maxSteps is how many steps of a curve are drawn as they are, and column how far apart more of them are, in pixels.
const (
	maxSteps = 200
	column   = 2
)

// thin is the points that can be told apart when they are drawn: of many, the last in each column. A curve only rises, so nothing else would show.
func (c chart) thin(points []bench.Point, end time.Duration) []bench.Point {
	if len(points) <= maxSteps {
		return points
	}
	var out []bench.Point
	for i, p := range points {
		if i+1 == len(points) || int(c.x(p.At, end)/column) != int(c.x(points[i+1].At, end)/column) {
			out = append(out, p)
		}
	}
	return out
}

// niceStep is a round step that divides end into at most want parts or so.
func niceStep(end time.Duration, want int) time.Duration {
	for _, s := range []time.Duration{
		time.Millisecond, 10 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
		time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second,
		time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
		time.Hour, 2 * time.Hour, 4 * time.Hour, 8 * time.Hour, 24 * time.Hour,
	} {
		if end/s <= time.Duration(want) {
			return s
		}
	}
	return end/time.Duration(want) + 1
}

// axisLabel writes a tick in the unit that fits the step.
func axisLabel(at, step time.Duration) word {
	switch {
	case at == 0:
		return "0"
	case step < time.Second:
		return word(fmt.Sprintf("%g s", at.Seconds()))
	case step < time.Minute:
		if at%time.Minute == 0 {
			return word(fmt.Sprintf("%d min", int(at.Minutes())))
		}
		if at < time.Minute {
			return word(fmt.Sprintf("%d s", int(at.Seconds())))
		}
		return word(fmt.Sprintf("%d:%02d", int(at.Minutes()), int(at.Seconds())%60))
	case step < time.Hour:
		return word(fmt.Sprintf("%d min", int(at.Minutes())))
	}
	return word(fmt.Sprintf("%d h", int(at.Hours())))
}
