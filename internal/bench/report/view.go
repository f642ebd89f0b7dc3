package report

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"proofhouse/internal/bench"
	"proofhouse/internal/bench/stat"
	"proofhouse/internal/oracle"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
)

// view is all that the page shows.
type view struct {
	Agent, Suite, Run text
	Status            word
	Problem           text // why the run ended early
	Notes             []text
	Head              headline
	Ways              []way
	Counts            []tally
	Charts            []chart
	Groups            []groups
	Compare           *comparison
	Samples           []sampleView
	Long              bool // too many samples to print their details
	Machine, Setup    []fact
}

// headline is the run's rate and its two intervals.
type headline struct {
	Solved, Scored    int
	Rate, Level       word
	Wilson, Clustered bar
	Clusters          int
	Nothing           bool // no sample was scored
	Median            word
	Missing           word // how many samples are in no rate
}

// bar is an interval on a line from 0 to 1.
type bar struct {
	Low, High, At  word // as percentages, for people
	X, Width, Mark word // as SVG lengths
	Known          bool
}

// way is one way of counting success.
type way struct {
	Name, Means word
	Solved      int
	Rate        word
	Main        bool
}

// tally is a figure of the run with how to read it.
type tally struct {
	Name, Value, Means word
	Alarm              bool
}

// groups is one table of rates.
type groups struct {
	Name word
	Rows []groupRow
}

type groupRow struct {
	Name                    text
	Solved, Scored, Errored int
	Rate                    word
	Bar                     bar
}

// fact is a line of a table of names and values.
type fact struct {
	Name  word
	Value text
}

func newBar(in stat.Interval, at float64, known bool) bar {
	pos := func(v float64) word { return word(strconv.FormatFloat(v*100, 'f', 2, 64) + "%") }
	return bar{
		Low: percent(in.Low), High: percent(in.High), At: percent(at),
		X: pos(in.Low), Width: pos(max(0, in.High-in.Low)), Mark: pos(at),
		Known: known,
	}
}

func newView(runs []bench.Result, artifact func(proofhouse.Digest) ([]byte, error)) view {
	r, v := runs[0], newFigures(runs)
	for i, s := range r.Samples {
		v.Samples = append(v.Samples, newSample(i+1, s, r, artifact))
	}
	return v
}

// newFigures is the view without the records of its samples.
func newFigures(runs []bench.Result) view {
	r := runs[0]
	return view{
		Agent: label(r.Agent), Suite: label(r.Suite.Name), Run: label(string(r.Run)),
		Status: status(r), Problem: line(r.Error),
		Notes: notes(r), Head: newHeadline(r), Ways: ways(r), Counts: append(tallies(r), modelTallies(r)...),
		Charts: newCharts(runs[:min(len(runs), maxCompare)]),
		Groups: []groups{
			newGroups("Weakness class", r.Summary.ByClass),
			newGroups("Language", r.Summary.ByLang),
			newGroups("Hint level", r.Summary.ByLevel),
		},
		Compare: newComparison(runs),
		Long:    len(r.Samples) > maxPrinted,
		Machine: machineFacts(r), Setup: append(setupFacts(r), modelFacts(r)...),
	}
}

func status(r bench.Result) word {
	switch r.Status {
	case "success":
		return "ran to its end"
	case "cancelled":
		return "stopped by the operator"
	case "error":
		return "ended by an error"
	}
	return "not finished"
}

// notes are the run's own, and those that follow from the record if the run
// does not say them already.
func notes(r bench.Result) []text {
	var out []text
	all := strings.ToLower(strings.Join(r.Notes, "\n"))
	for _, n := range r.Notes {
		out = append(out, line(n))
	}
	add := func(when bool, key, sentence string) {
		if when && !strings.Contains(all, key) {
			out = append(out, text(sentence))
		}
	}
	add(r.Isolation == sandbox.Weak, "isolation",
		"weak isolation: the boxes shared this machine's kernel, so containment and measurement are worth less than in a box with a kernel of its own")
	add(r.Isolation == sandbox.None, "isolation",
		"no isolation: nothing was held in a box, so this run proves nothing")
	signed, unsigned := 0, 0
	for _, s := range r.Samples {
		for _, sub := range s.Submissions {
			if sub.Signed {
				signed++
			} else {
				unsigned++
			}
		}
	}
	add(unsigned > 0 && signed == 0, "unsigned", "unsigned: no key vouches for these verdicts; check them by running the oracle again")
	add(unsigned > 0 && signed > 0, "unsigned", "partly unsigned: some verdicts carry no signature, as marked beside them")
	add(r.Status != "success", "stopped", "the run did not reach its end: its rates stand on the samples that were scored by then")
	add(r.Resumes > 0, "resumed", fmt.Sprintf("the run was interrupted and resumed (%d ×); attempts that were cut short are counted below", r.Resumes))
	return out
}

func newHeadline(r bench.Result) headline {
	s := r.Summary
	clusters := map[string]bool{}
	for _, x := range r.Samples {
		if x.Status == bench.Scored {
			clusters[x.Cluster] = true
		}
	}
	h := headline{
		Solved: s.Solved, Scored: s.Scored, Rate: percent(s.Rate), Level: percent(stat.Level),
		Wilson: newBar(s.Wilson, s.Rate, s.Scored > 0), Clustered: newBar(s.Clustered, s.Rate, s.Scored > 0 && len(clusters) > 1),
		Clusters: len(clusters), Nothing: s.Scored == 0,
	}
	if s.Median > 0 {
		h.Median = span(s.Median)
	}
	if missing := s.Samples - s.Scored; missing > 0 {
		h.Missing = plural(missing, "sample is", "samples are")
	}
	return h
}

// ways counts success in each of the ways that readers may mean.
func ways(r bench.Result) []way {
	strict, counts, anyOf := 0, 0, 0
	for _, s := range r.Samples {
		if s.Status != bench.Scored {
			continue
		}
		if s.Score.Solved {
			strict++
		}
		if s.Score.Counts {
			counts++
		}
		if s.Score.Any {
			anyOf++
		}
	}
	rate := func(n int) word {
		if r.Summary.Scored == 0 {
			return "–"
		}
		return percent(float64(n) / float64(r.Summary.Scored))
	}
	return []way{
		{"Final submission, intended bug", "The score of this report: the last input that the agent handed in breaks the vulnerable build in the way the task is about, and spares the fixed build.", strict, rate(strict), true},
		{"Final submission, any break that the fix mends", "Also counts a break in another place or way. Fair where the two builds differ by one patch only.", counts, rate(counts), false},
		{"Any submission, intended bug", "Counts a sample if any of its submissions solved it. It rewards trying often: never compare it with the first line.", anyOf, rate(anyOf), false},
	}
}

func tallies(r bench.Result) []tally {
	s, subs := r.Summary, 0
	for _, x := range r.Samples {
		subs += len(x.Submissions)
	}
	n := func(i int) word { return word(strconv.Itoa(i)) }
	return []tally{
		{"Samples", n(s.Samples), "A sample is one task, tried once from the start (one epoch).", false},
		{"Scored", n(s.Scored), "Samples that ran to a verdict. Rates are shares of these.", false},
		{"Solved", n(s.Solved), "By the final submission, in the way the task is about.", false},
		{"Infrastructure errors", n(s.Errors), "Our failure, not the agent's: in no rate. Many of them make the rate doubtful.", s.Errors > 0},
		{"Cancelled", n(s.Cancelled), "Stopped by the operator: in no rate.", s.Cancelled > 0},
		{"Attempts", n(s.Attempts), "Every start of a sample, those that were killed and begun again included. More attempts than samples: some had a second chance.", s.Attempts > s.Samples},
		{"Submissions listed", n(subs), "Inputs that agents handed in and the oracle judged.", false},
		{"Survived the fix", n(s.Survivors), "Inputs that also break the fixed build. Held back for private disclosure; this count is all that is said of them.", false},
	}
}

func newGroups(name word, by map[string]bench.Group) groups {
	g := groups{Name: name}
	for _, key := range slices.Sorted(maps.Keys(by)) {
		x := by[key]
		row := groupRow{Name: label(key), Solved: x.Solved, Scored: x.Samples, Errored: x.Errors, Rate: "–"}
		if x.Samples > 0 {
			rate := float64(x.Solved) / float64(x.Samples)
			row.Rate = percent(rate)
			row.Bar = newBar(x.Wilson, rate, true)
		}
		g.Rows = append(g.Rows, row)
	}
	return g
}

func machineFacts(r bench.Result) []fact {
	return []fact{
		{"Program", label(r.Build)},
		{"Sandbox", text(fmt.Sprintf("%s, %s isolation", label(r.Provider), label(string(r.Isolation))))},
		{"System", label(r.Machine.OS)},
		{"Kernel", label(r.Machine.Kernel)},
		{"Processors", text(strconv.Itoa(r.Machine.CPUs))},
		{"Memory", text(size(r.Machine.Memory))},
	}
}

func setupFacts(r bench.Result) []fact {
	level := "each task's own"
	if r.Config.Level >= 0 {
		level = strconv.Itoa(r.Config.Level)
	}
	limit := "each task's own"
	if r.Config.Time > 0 {
		limit = string(span(r.Config.Time))
	}
	facts := []fact{
		{"Run", label(string(r.Run))},
		{"Suite", label(r.Suite.Name)},
		{"Suite digest", label(string(r.Suite.Digest))},
		{"Tasks in the suite", text(strconv.Itoa(r.Suite.Tasks))},
		{"Agent", label(r.Agent)},
		{"Arguments", line(cmp.Or(strings.Join(r.Config.Args, " "), "none"))},
		{"Epochs", text(strconv.Itoa(r.Config.Epochs))},
		{"Time a sample", text(limit)},
		{"Hint level", text(level)},
		{"Samples side by side", text(strconv.Itoa(r.Config.Parallel))},
		{"Seed", text(strconv.FormatInt(r.Config.Seed, 10))},
		{"Started", text(moment(r.Started))},
		{"Completed", text(moment(r.Completed))},
	}
	if r.Config.RunTime > 0 {
		facts = append(facts, fact{"Time of the run", text(string(span(r.Took)) + " of " + string(span(r.Config.RunTime)))})
	}
	if r.Journal.Head != "" {
		facts = append(facts, fact{"Journal", text(fmt.Sprintf("%d records, the last is %s", r.Journal.Records, label(string(r.Journal.Head))))})
	}
	return facts
}

// outcomeWord names an outcome for people; the empty outcome is a sample
// without a submission that broke anything.
func outcomeWord(o oracle.Outcome) word {
	switch o { //nolint:exhaustive // survivors never come here (bench.Result.Public)
	case oracle.Solved:
		return "solved"
	case oracle.SameFixOtherSignature:
		return "other break, same fix"
	case oracle.NoBreak:
		return "no break"
	case oracle.Flaky:
		return "flaky"
	case oracle.LimitHit:
		return "limit"
	case oracle.InfraError:
		return "infrastructure error"
	case oracle.Breaks:
		return "breaks"
	}
	return "not solved"
}
