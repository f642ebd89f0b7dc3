package page

import (
	"bytes"
	"context"
	"encoding/json"
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
	"proofhouse/internal/chat"
	"proofhouse/internal/proofhouse"
)

// SampleView is what the page of a sample shows.
type SampleView struct {
	RunView
	Number   int // from 1
	Sample   bench.Sample
	Live     *bench.Live
	Artifact func(proofhouse.Digest) ([]byte, error)
	Talk     *bench.Conversation // nil where none is published
	Find     string              // what is looked for
	From     int                 // the first line of the page, from 0

	Entries []Entry // of this page
	All     int     // lines in all
	Crash   int     // the line of the first submission that broke something; -1 is none
	Lost    bool    // what was looked for stands nowhere further on
}

// Entry is a line of a sample's record.
type Entry struct {
	N     int // from 0
	At    time.Duration
	What  string
	Note  string // time and tokens
	Texts []Text
	Step  int // in the transcript, -1 if it is none
	Crash bool
}

// Text is something that was said, called, answered or printed. It is fit for a page.
type Text struct {
	Of, Text string
	Folded   bool
}

const (
	perSample = 50       // lines of a page
	maxShown  = 3 << 10  // bytes of a text on a page
	maxPlain  = 12 << 10 // bytes of the texts of one line
)

// line is where a line of the record stands.
type line struct {
	at   time.Duration
	kind byte // 'e'vent, 's'tep, 'v'erdict
	i    int
}

// lines are all lines of the record, in order of time.
func (v *SampleView) lines() []line {
	var all []line
	for i, at := range v.Live.Lines(v.Number - 1) {
		all = append(all, line{at, 'e', i})
	}
	if v.Talk != nil {
		for i := range v.Talk.Len() {
			all = append(all, line{v.Talk.At(i), 's', i})
		}
	}
	for i, s := range v.Sample.Submissions {
		all = append(all, line{s.At, 'v', i})
	}
	slices.SortStableFunc(all, func(a, b line) int { return int(a.at - b.at) })
	return all
}

// crash is the line of the first submission that broke something, or -1.
func (v *SampleView) crash(all []line) int {
	return slices.IndexFunc(all, func(l line) bool { return l.kind == 'v' && v.Sample.Submissions[l.i].Verdict.Outcome.Counts() })
}

// Search sets From to the next step, from it on, in which Find stands.
func (v *SampleView) Search(ctx context.Context) error {
	all := v.lines()
	v.Lost = true
	if v.Talk == nil {
		return nil
	}
	from := 0
	for i, l := range all {
		if l.kind == 's' && i >= v.From {
			from = l.i
			break
		}
		if i == len(all)-1 {
			return nil
		}
	}
	step, err := v.Talk.Find(ctx, v.Find, from)
	if err != nil || step < 0 {
		return err
	}
	v.From, v.Lost = slices.IndexFunc(all, func(l line) bool { return l.kind == 's' && l.i == step }), false
	return nil
}

// Read reads the page's lines.
func (v *SampleView) Read() error {
	all := v.lines()
	v.All, v.Crash = len(all), v.crash(all)
	v.From = max(0, min(v.From, len(all)-1))
	for n, l := range all[v.From:min(v.From+perSample, len(all))] {
		e := Entry{N: v.From + n, At: l.at, Step: -1, Crash: v.From+n == v.Crash}
		var err error
		switch l.kind {
		case 'e':
			err = e.event(v.Live, v.Number-1, l.i)
		case 's':
			e.Step = l.i
			err = e.step(v.Talk, l.i)
		default:
			s := v.Sample.Submissions[l.i]
			e.What, e.Note = fmt.Sprintf("submission %d: %s", s.Number, report.Outcome(s.Verdict.Outcome)), report.Size(s.Bytes)+", judged in "+report.Span(s.Verdict.Took)
			e.add("", s.Verdict.Reason)
			e.add("crash report", s.Report)
		}
		if err != nil {
			return err
		}
		v.Entries = append(v.Entries, e)
	}
	return nil
}

// add adds a text as far as there is room.
func (e *Entry) add(of, text string) {
	room := maxPlain
	for _, t := range e.Texts {
		room -= len(t.Text)
	}
	if text == "" || room <= 0 {
		return
	}
	text = bench.Printable(text, min(maxShown, room))
	e.Texts = append(e.Texts, Text{bench.Printable(of, 200), text, len(text) > 600 || strings.Count(text, "\n") > 8})
}

func (e *Entry) event(l *bench.Live, sample, i int) error {
	x, err := l.Line(sample, i)
	if err != nil {
		return err
	}
	e.What = shown(x.Kind)
	e.add("", x.Text)
	if m := x.Model; m != nil {
		e.Note = fmt.Sprintf("turn %d, %s tokens in and %s out, %s", m.Turn, report.Count(m.Spent.Usage.In()), report.Count(m.Spent.Usage.Output), report.Span(m.Spent.Took))
		e.add("error", m.Error)
	}
	if len(x.Data) > 0 {
		if b, err := json.MarshalIndent(x.Data, "", "  "); err == nil {
			e.add("data", string(b))
		}
	}
	return nil
}

func (e *Entry) step(c *bench.Conversation, i int) error {
	s, err := c.Step(i)
	if err != nil {
		return err
	}
	switch {
	case s.Said != nil:
		e.What = "said to the model (" + shown(string(s.Said.Role)) + ")"
		e.message(*s.Said)
	case s.Call != nil:
		o := s.Call.Output
		e.What = "the model"
		e.Note = fmt.Sprintf("%s tokens in and %s out, %s, ended by %s", report.Count(o.Usage.In()), report.Count(o.Usage.Output), report.Span(o.Took), shown(string(o.StopReason)))
		e.message(o.Message)
		e.add("refusal", o.Refusal)
	case s.Tool != nil:
		e.What, e.Note = "tool "+shown(s.Tool.Call.Function), report.Span(s.Tool.Took)
		e.message(s.Tool.Message)
	case s.Compaction != nil:
		e.What = "the conversation was shortened"
		e.Note = fmt.Sprintf("from about %s to %s tokens", report.Count(s.Compaction.Before), report.Count(s.Compaction.After))
	case s.Passed != nil:
		e.What = "passed on from the model to a program in the box"
		e.Note = fmt.Sprintf("%s tokens in and %s out, %s", report.Count(s.Passed.Usage.In()), report.Count(s.Passed.Usage.Output), report.Span(s.Passed.Took))
		e.add(s.Passed.Type, string(s.Passed.Body))
	}
	return nil
}

func (e *Entry) message(m chat.Message) {
	for _, r := range m.Reasoning {
		if r.Redacted {
			e.add("reasoning", "(sealed by the vendor)")
			continue
		}
		e.add("reasoning", r.Text)
	}
	e.add("", m.Text)
	for _, c := range m.ToolCalls {
		var b bytes.Buffer
		if json.Indent(&b, c.Arguments, "", "  ") != nil {
			b.Reset()
			b.Write(c.Arguments)
		}
		e.add("calls "+c.Function, b.String())
		e.add("is no call: "+c.ParseError, c.Raw)
	}
	if m.Error != nil {
		e.add("error "+m.Error.Type, m.Error.Message)
	}
}

// Title names the sample.
func (v SampleView) Title() string { return v.short(v.Sample) }

func (v SampleView) path() string { return v.Path + "/samples/" + strconv.Itoa(v.Number) }

// page is the page that begins with a line.
func (v SampleView) page(from int, find string) templ.SafeURL {
	q := url.Values{}
	if from > 0 {
		q.Set("from", strconv.Itoa(from))
	}
	if find != "" {
		q.Set("find", find)
	}
	to := v.path()
	if len(q) > 0 {
		to += "?" + q.Encode()
	}
	return templ.SafeURL(to + "#record")
}

// record is the report's record of the sample.
func (v SampleView) record() templ.Component {
	return templ.ComponentFunc(func(_ context.Context, w io.Writer) error {
		return report.WriteRecord(w, v.State.Result, v.Number-1, v.Artifact)
	})
}

// again is the command that judges the final submission anew, or "".
func (v SampleView) again() string {
	for _, s := range slices.Backward(v.Sample.Submissions) {
		if s.Digest.Validate() == nil {
			return "proofhouse oracle check " + shellWord(string(v.Sample.Task)) + " OUT/artifacts/" + s.Digest.Hex()
		}
	}
	return ""
}

// shellWord is a name that a shell takes as one word.
func shellWord(s string) string {
	s = shown(s)
	if strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
