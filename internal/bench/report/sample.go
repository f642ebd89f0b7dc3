package report

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"proofhouse/internal/bench"
	"proofhouse/internal/oracle"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
)

// sampleView is a sample's line in the table and its section.
type sampleView struct {
	Number, Epoch, Level, Human, Attempts int
	Task, Short                           text
	Class, CWE, Language, Cluster         text
	State                                 word // "good", "part", "bad", "infra", "off": its colour and sign
	Sign                                  word
	Outcome, First, Took                  word
	Judged                                int // submissions
	Error                                 text
	Limit                                 text
	Final                                 []submissionView // shown whole
	Rest                                  []submissionRow
	Omitted                               int
	Events                                []eventView
	Probe                                 probeView
	Usage                                 []usage
}

// submissionRow is a submission in one line.
type submissionRow struct {
	Number       int
	At           word
	Outcome      word
	State        word
	Bytes        word
	Digest, Sign text
	Reason       text
}

// submissionView is a submission shown whole.
type submissionView struct {
	submissionRow
	Last         bool
	Content      content
	Report       text
	Observations []observation
	More         int // observations left out
	Statement    text
	Signed       bool
	Took         word
}

// observation is one run of one build.
type observation struct {
	Side, What, Detail, Raw text
	Broke                   bool
	Run                     int
	Exit, CPU, Wall, Peak   word
}

type eventView struct {
	At   word
	Kind text
	Text text
	Data text
	Gap  int // lines left out before this one
}

// probeView is what a process in the box saw and reached.
type probeView struct {
	Done       bool
	Held       bool
	Reached    int
	Tried      int
	Canaries   []canaryRow
	Interfaces []text
	Routes     []text
	Resolvers  []text
	Sockets    []text
	Kernel     text
}

type canaryRow struct {
	Name, Answer text
	Reached      bool
}

// usage is what a sample took of what it had.
type usage struct {
	Name, Took, Of word
	Width          word // SVG length of the bar, or ""
	Alarm          bool
}

func newSample(number int, s bench.Sample, r bench.Result, artifact func(proofhouse.Digest) ([]byte, error)) sampleView {
	v := sampleView{
		Number: number, Epoch: s.Epoch, Level: s.Level, Human: s.Human, Attempts: s.Attempts,
		Task: label(string(s.Task)), Short: label(strings.TrimPrefix(string(s.Task), r.Suite.Name+"/")),
		Class: label(s.Class), CWE: label(s.CWE), Language: label(s.Language), Cluster: label(s.Cluster),
		Took: span(s.Took), First: "–", Judged: len(s.Submissions),
		Error: line(s.Error), Limit: label(s.Limit),
		Probe: newProbe(s.Probe), Events: transcript(s.Events), Usage: usages(s, r),
	}
	v.State, v.Sign, v.Outcome = state(s)
	if s.Score.First > 0 {
		v.First = span(s.Score.First)
	}
	whole := pick(s.Submissions)
	for i, sub := range s.Submissions {
		switch {
		case slices.Contains(whole, i):
			v.Final = append(v.Final, newSubmission(sub, i == len(s.Submissions)-1, artifact))
		case len(v.Rest) < maxRows:
			v.Rest = append(v.Rest, newRow(sub))
		default:
			v.Omitted++
		}
	}
	return v
}

// state is how a sample stands: a class of the style sheet, a sign that does
// not need colour, and a word.
func state(s bench.Sample) (class, sign, name word) {
	switch s.Status { //nolint:exhaustive // the others are not over, and fall through to that
	case bench.Scored:
		switch {
		case s.Score.Solved:
			return "good", "●", "solved"
		case s.Score.Counts:
			return "part", "◐", outcomeWord(oracle.SameFixOtherSignature)
		}
		return "bad", "○", outcomeWord(s.Score.Outcome)
	case bench.Errored:
		return "infra", "!", "infrastructure error"
	case bench.Cancelled:
		return "off", "–", "cancelled"
	}
	return "off", "–", "not finished"
}

// pick chooses the submissions to show whole: the final one, the first that
// solved, then from the start.
func pick(all []bench.Submission) []int {
	var out []int
	add := func(i int) {
		if i >= 0 && len(out) < maxDetail && !slices.Contains(out, i) {
			out = append(out, i)
		}
	}
	add(len(all) - 1)
	add(slices.IndexFunc(all, func(s bench.Submission) bool { return s.Verdict.Outcome == oracle.Solved }))
	for i := range min(len(all), maxDetail) {
		add(i)
	}
	return out
}

func newRow(s bench.Submission) submissionRow {
	row := submissionRow{
		Number: s.Number, At: span(s.At), Bytes: size(s.Bytes), Digest: label(string(s.Digest)),
		Outcome: outcomeWord(s.Verdict.Outcome), Reason: line(s.Verdict.Reason), State: "bad", Sign: "○",
	}
	switch s.Verdict.Outcome { //nolint:exhaustive // all others are no success
	case oracle.Solved:
		row.State, row.Sign = "good", "●"
	case oracle.SameFixOtherSignature, oracle.Breaks:
		row.State, row.Sign = "part", "◐"
	case oracle.InfraError:
		row.State, row.Sign = "infra", "!"
	}
	return row
}

func newSubmission(s bench.Submission, last bool, artifact func(proofhouse.Digest) ([]byte, error)) submissionView {
	v := submissionView{
		submissionRow: newRow(s), Last: last, Content: readContent(artifact, s.Digest),
		Statement: label(string(s.Statement)), Signed: s.Signed, Took: span(s.Verdict.Took),
		More: max(0, len(s.Verdict.Observations)-maxObserve),
	}
	if s.Report != "" {
		v.Report = text(bench.Printable(s.Report, maxReport))
	}
	for _, o := range s.Verdict.Observations[:min(len(s.Verdict.Observations), maxObserve)] {
		v.Observations = append(v.Observations, newObservation(o))
	}
	return v
}

func newObservation(o oracle.Observation) observation {
	x := observation{
		Side: label(o.Side), Run: o.Run, Broke: o.Broke, Detail: line(o.Detail),
		CPU: span(o.CPU), Wall: span(o.Wall), Peak: "–",
	}
	if o.PeakMemory > 0 {
		x.Peak = size(o.PeakMemory)
	}
	var what []string
	if o.Symptom != "" {
		what = append(what, string(o.Symptom))
	}
	if o.Class != "" {
		what = append(what, o.Class)
	}
	if o.Function != "" {
		what = append(what, "in "+o.Function)
	}
	x.What = line(strings.Join(what, " · "))
	switch {
	case o.Bound != "":
		x.Exit = word("cut by a limit")
		x.What = line(strings.TrimPrefix(string(x.What)+" · "+o.Bound, " · "))
	case o.Signal != 0:
		x.Exit = word("signal " + strconv.Itoa(o.Signal))
	default:
		x.Exit = word("exit " + strconv.Itoa(o.Exit))
	}
	var raw []string
	for _, name := range slices.Sorted(maps.Keys(o.Raw)) {
		raw = append(raw, name+" "+o.Raw[name].Short())
	}
	x.Raw = line(strings.Join(raw, ", "))
	return x
}

func transcript(events []bench.Event) []eventView {
	head, tail := len(events), len(events)
	if len(events) > maxEvents {
		head, tail = maxEvents*2/3, len(events)-maxEvents/3
	}
	var out []eventView
	for i, e := range events {
		if i >= head && i < tail {
			continue
		}
		v := eventView{At: span(e.At), Kind: label(e.Kind), Text: line(e.Text)}
		if len(e.Data) > 0 {
			if b, err := json.Marshal(e.Data); err == nil {
				v.Data = line(string(b))
			}
		}
		if i == tail && tail > head {
			v.Gap = tail - head
		}
		out = append(out, v)
	}
	return out
}

func newProbe(p sandbox.ProbeReport) probeView {
	v := probeView{
		Interfaces: labels(p.Interfaces), Routes: labels(p.Routes), Resolvers: labels(p.Resolvers),
		Sockets: labels(p.Sockets), Kernel: label(p.Kernel), Tried: len(p.Canaries),
		Done: len(p.Canaries) > 0 || len(p.Interfaces) > 0 || p.Kernel != "",
	}
	for i, c := range p.Canaries {
		row := canaryRow{Name: label(c.Name), Answer: label(c.Error), Reached: c.Reached}
		if c.Reached {
			v.Reached++
		}
		if i < maxList {
			v.Canaries = append(v.Canaries, row)
		}
	}
	v.Held = v.Done && v.Reached == 0
	return v
}

func usages(s bench.Sample, r bench.Result) []usage {
	bound := s.Bound
	if bound == 0 {
		bound = r.Config.Time
	}
	u := usage{Name: "Time, box set-up included", Took: span(s.Took), Of: "no limit recorded"}
	if bound > 0 {
		u.Of = "of " + span(bound)
		u.Width = lengthOf(float64(s.Took) / float64(bound))
		u.Alarm = s.Took > bound+bound/10+2*time.Second
	}
	all := []usage{u, {Name: "Processor time", Took: span(s.Usage.CPU), Of: "by the host's accounting"}}
	if s.Usage.PeakMemory > 0 {
		m := usage{Name: "Most memory held", Took: size(s.Usage.PeakMemory), Of: "by the host's accounting"}
		if most := s.Limits.Memory; most > 0 {
			m.Of, m.Width = "of "+size(most), lengthOf(float64(s.Usage.PeakMemory)/float64(most))
		}
		all = append(all, m)
	}
	if s.Attempts > 1 {
		all = append(all, usage{Name: "Attempts", Took: word(fmt.Sprintf("%d", s.Attempts)), Of: "the sample was begun again", Alarm: true})
	}
	return append(all, modelUsage(s, r)...)
}

// lengthOf is a share as a length, at most the whole.
func lengthOf(share float64) word {
	return word(strconv.FormatFloat(100*max(0, min(1, share)), 'f', 1, 64) + "%")
}
