package page

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/a-h/templ"

	"proofhouse/internal/bench"
	"proofhouse/internal/bench/report"
	"proofhouse/internal/docket"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
)

// RunView is what the page of a run shows.
type RunView struct {
	Path     string // of the page
	Case     proofhouse.CaseID
	Codename string
	Known    docket.Run
	// Here says that the house has the run's journal; State is what it says.
	Here     bool
	State    bench.State
	Beside   []bench.Result
	Working  bool // a process works on it
	Pressure []Pressure
	Steers   bool // who looks may steer it
	Said     string

	Sort, Show string // how the table of samples is ordered and which it has
	Down       bool   // the other way round
	Page       int    // from 0
}

// Pressure is how much of the last ten seconds something waited for what the machine has too little of.
type Pressure struct {
	What  string
	Of    string // the kernel's word
	Share string // percent
}

// perPage is how many samples a page of the table has.
const perPage = 100

// shown is a text of a run for a person's eyes.
func shown(s string) string { return bench.Printable(s, 400) }

// Title names the run.
func (v RunView) Title() string {
	return shown(v.State.Result.Agent) + " on " + shown(v.State.Result.Suite.Name)
}

// standing is how the run stands in a few words.
func (v RunView) standing() string {
	r := v.State.Result
	switch {
	case r.Status == "success":
		return "ran to its end"
	case r.Status == "cancelled":
		return "stopped"
	case r.Status == "error":
		return "ended by an error"
	case !v.Working:
		return "broken off: no process works on it; run --resume takes it up again"
	case v.State.Paused():
		return "paused: no sample begins, and those under way go on to their end"
	}
	return "under way"
}

// tally is how far it got.
func (v RunView) tally() string {
	var running, waiting int
	for _, s := range v.State.Result.Samples {
		switch s.Status { //nolint:exhaustive // the others are in the summary
		case bench.Starting, bench.Running:
			running++
		case bench.Waiting:
			waiting++
		}
	}
	s := v.State.Result.Summary
	return fmt.Sprintf("%d of %d samples scored, %d of them solved; %d under way, %d to come; %d infrastructure errors, %d cancelled",
		s.Scored, s.Samples, s.Solved, running, waiting, s.Errors, s.Cancelled)
}

// meter is something used of what there is.
type meter struct{ name, used, of, width string }

func newMeter(name string, used, most int64, say func(int64) string) meter {
	m := meter{name: name, used: say(used), of: "no limit of the run"}
	if most > 0 {
		m.of, m.width = "of "+say(most), strconv.FormatFloat(100*max(0, min(1, float64(used)/float64(most))), 'f', 1, 64)
	}
	return m
}

// meters are the run's budgets.
func (v RunView) meters() []meter {
	r := v.State.Result
	done := r.Summary.Scored + r.Summary.Errors + r.Summary.Cancelled
	all := []meter{
		newMeter("Samples done", int64(done), int64(r.Summary.Samples), report.Count),
		newMeter("Time of all parts", int64(r.Took), int64(r.Config.RunTime), func(n int64) string { return report.Span(time.Duration(n)) }),
	}
	if r.Config.Model == nil {
		return all
	}
	var s bench.Spent
	if r.Summary.Model != nil {
		s = *r.Summary.Model
	}
	for _, i := range r.Identity { // what it took to ask whether it is one model is of the same budget
		s = s.Plus(i.Spent)
	}
	most := r.Config.Model.Run
	return append(all,
		newMeter("Tokens", s.Tokens(), most.Tokens, report.Count), newMeter("Money", s.NanoDollars, most.NanoDollars, report.Dollars),
		newMeter("Turns of the model", int64(s.Turns), int64(most.Turns), report.Count),
		newMeter("Messages", int64(s.Messages), int64(most.Messages), report.Count))
}

// burn is the part of the run's budget that is left, as a line over its time in a field of 1000 by 200, and what it is of; "" if there is no budget.
func (v RunView) burn() (line, of string, rows []bench.Burn) {
	m := v.State.Result.Config.Model
	if m == nil || len(v.State.Burn) == 0 {
		return "", "", nil
	}
	left := func(b bench.Burn) float64 { return 1 - float64(b.Tokens)/float64(m.Run.Tokens) }
	of = "tokens"
	switch {
	case m.Run.NanoDollars > 0:
		left = func(b bench.Burn) float64 { return 1 - float64(b.NanoDollars)/float64(m.Run.NanoDollars) }
		of = "money"
	case m.Run.Tokens <= 0:
		return "", "", nil
	}
	all := v.State.Burn
	end := max(all[len(all)-1].At, 1)
	var out strings.Builder
	out.WriteString("M0 0")
	for _, b := range all {
		fmt.Fprintf(&out, "L%.1f %.1f", 1000*float64(b.At)/float64(end), 200*(1-max(0, left(b))))
	}
	for i := range 9 { // the table behind it
		rows = append(rows, all[i*(len(all)-1)/8])
	}
	return out.String(), of, slices.Compact(rows)
}

// contained is what is known of the boxes.
func (v RunView) contained() (proved, leaky int) {
	for _, s := range v.State.Result.Samples {
		if len(s.Probe.Canaries) == 0 {
			continue
		}
		proved++
		if slices.ContainsFunc(s.Probe.Canaries, func(c sandbox.CanaryResult) bool { return c.Reached }) {
			leaky++
		}
	}
	return proved, leaky
}

// ours are the samples that an error of ours ended.
func (v RunView) ours() (all []bench.Sample) {
	for _, s := range v.State.Result.Samples {
		if s.Status == bench.Errored {
			all = append(all, s)
		}
	}
	return all
}

// column is one by which the table can be ordered.
type column struct {
	key, name string
	less      func(a, b bench.Sample) int
}

var columns = []column{
	{"task", "Sample", func(a, b bench.Sample) int { return cmp.Or(cmp.Compare(a.Task, b.Task), a.Epoch-b.Epoch) }},
	{"state", "Outcome", func(a, b bench.Sample) int { return cmp.Compare(order(a), order(b)) }},
	{"first", "First solved", func(a, b bench.Sample) int { return cmp.Compare(solvedAt(a), solvedAt(b)) }},
	{"took", "Took", func(a, b bench.Sample) int { return cmp.Compare(a.Took, b.Took) }},
	{"submissions", "Submissions", func(a, b bench.Sample) int { return len(a.Submissions) - len(b.Submissions) }},
	{"tokens", "Tokens", func(a, b bench.Sample) int { return cmp.Compare(tokens(a), tokens(b)) }},
	{"attempts", "Attempts", func(a, b bench.Sample) int { return a.Attempts - b.Attempts }},
	{"kind", "Kind", func(a, b bench.Sample) int {
		return cmp.Or(cmp.Compare(a.Class, b.Class), cmp.Compare(a.Language, b.Language), a.Level-b.Level)
	}},
}

// order puts what goes on first, then what is ours to look at.
func order(s bench.Sample) int {
	switch s.Status {
	case bench.Starting, bench.Running:
		return 0
	case bench.Errored:
		return 1
	case bench.Scored:
		if s.Score.Solved {
			return 2
		}
		return 3
	case bench.Cancelled:
		return 4
	case bench.Waiting:
	}
	return 5
}

func solvedAt(s bench.Sample) time.Duration {
	if s.Score.First == 0 {
		return 1<<63 - 1
	}
	return s.Score.First
}

func tokens(s bench.Sample) int64 {
	if s.Model == nil {
		return 0
	}
	return s.Model.Tokens()
}

// shows are the choices of which samples the table has.
var shows = []struct{ key, name string }{
	{"", "all"}, {"running", "under way"}, {"solved", "solved"}, {"unsolved", "not solved"}, {"error", "infrastructure errors"},
}

func (v RunView) has(s bench.Sample) bool {
	switch v.Show {
	case "running":
		return order(s) == 0
	case "solved":
		return s.Status == bench.Scored && s.Score.Solved
	case "unsolved":
		return s.Status == bench.Scored && !s.Score.Solved
	case "error":
		return s.Status == bench.Errored
	}
	return true
}

// table is the page of samples, and how many there are in all.
func (v RunView) table() (rows []bench.Sample, all int) {
	for _, s := range v.State.Result.Samples {
		if v.has(s) {
			rows = append(rows, s)
		}
	}
	i := max(0, slices.IndexFunc(columns, func(c column) bool { return c.key == cmp.Or(v.Sort, "state") }))
	slices.SortStableFunc(rows, func(a, b bench.Sample) int {
		if v.Down {
			a, b = b, a
		}
		return columns[i].less(a, b)
	})
	from := min(max(0, v.Page), len(rows)/perPage) * perPage
	return rows[from:min(from+perPage, len(rows))], len(rows)
}

// link is the page with another order, choice or page of the table.
func (v RunView) link(sort, show string, down bool, page int) templ.SafeURL {
	q := url.Values{}
	for key, value := range map[string]string{"sort": sort, "show": show} {
		if value != "" {
			q.Set(key, value)
		}
	}
	if down {
		q.Set("down", "1")
	}
	if page > 0 {
		q.Set("page", strconv.Itoa(page))
	}
	to := v.Path
	if len(q) > 0 {
		to += "?" + q.Encode()
	}
	return templ.SafeURL(to + "#samples")
}

// sorted says which way the table is ordered by a column, in ARIA's words.
func (v RunView) sorted(key string) string {
	switch {
	case cmp.Or(v.Sort, "state") != key:
		return "none"
	case v.Down:
		return "descending"
	}
	return "ascending"
}

// sample is where a sample's page is.
func (v RunView) sample(s bench.Sample) templ.SafeURL {
	i := slices.IndexFunc(v.State.Result.Samples, func(x bench.Sample) bool { return x.Task == s.Task && x.Epoch == s.Epoch })
	return templ.SafeURL(v.Path + "/samples/" + strconv.Itoa(i+1))
}

// short is a task's name without its suite's.
func (v RunView) short(s bench.Sample) string {
	name := shown(strings.TrimPrefix(string(s.Task), v.State.Result.Suite.Name+"/"))
	if v.State.Result.Config.Epochs > 1 {
		name += " #" + strconv.Itoa(s.Epoch)
	}
	return name
}

// parts are pieces of the report.
func (v RunView) parts(parts ...report.Part) templ.Component {
	return templ.ComponentFunc(func(_ context.Context, w io.Writer) error {
		return report.WriteParts(w, append([]bench.Result{v.State.Result}, v.Beside...), parts...)
	})
}

// state is how a sample stands, in the report's signs and words and those for what goes on.
func (v RunView) state(s bench.Sample) (class, sign, name string) {
	switch s.Status { //nolint:exhaustive // the others are over
	case bench.Waiting:
		return "off", "·", "to come"
	case bench.Starting:
		return "off", "▶", "its box is set up"
	case bench.Running:
		if v.State.Over || !v.Working {
			return "off", "–", "broken off"
		}
		return "off", "▶", "under way"
	}
	return report.State(s)
}
