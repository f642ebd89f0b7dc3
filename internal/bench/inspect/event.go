package inspect

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"proofhouse/internal/bench"
	"proofhouse/internal/oracle"
)

// happening is what every event has.
type happening struct {
	UUID         string  `json:"uuid"`
	SpanID       string  `json:"span_id"`
	Timestamp    string  `json:"timestamp"`
	WorkingStart float64 `json:"working_start"` // seconds since the sample's start
	Event        string  `json:"event"`
}

type spanBegin struct {
	happening
	ID       string `json:"id"`
	ParentID string `json:"parent_id,omitempty"`
	Type     string `json:"type,omitempty"`
	Name     string `json:"name"`
}

type spanEnd struct {
	happening
	ID string `json:"id"`
}

type sampleInit struct {
	happening
	Sample initial      `json:"sample"`
	State  initialState `json:"state"`
}

type initial struct {
	Input  string `json:"input"`
	Target string `json:"target"`
	ID     string `json:"id"`
}

type initialState struct {
	Messages []message `json:"messages"`
}

type info struct {
	happening
	Source string `json:"source"`
	Data   any    `json:"data"`
}

type sandboxExec struct {
	happening
	Action    string `json:"action"`
	Cmd       string `json:"cmd"`
	Result    *int   `json:"result,omitempty"`
	Output    string `json:"output,omitempty"`
	Completed string `json:"completed,omitempty"`
}

type scored struct {
	happening
	Score        score  `json:"score"`
	Scorer       string `json:"scorer,omitempty"`
	Target       string `json:"target,omitempty"`
	Intermediate bool   `json:"intermediate"`
}

type sampleLimit struct {
	happening
	Type    string   `json:"type"`
	Message string   `json:"message"`
	Limit   *float64 `json:"limit,omitempty"`
}

type failed struct {
	happening
	Error failure `json:"error"`
}

// events turns a transcript into Inspect's events, in its spans: init, the
// agent within solvers, scorers.
type events struct {
	sample bench.Sample
	run    bench.Result // without samples
	uuid   string
	out    []any
	spans  []string
	n      int
}

func (e *events) at(kind string, after time.Duration) happening {
	e.n++
	span := ""
	if len(e.spans) > 0 {
		span = e.spans[len(e.spans)-1]
	}
	return happening{
		UUID: derived(e.uuid, strconv.Itoa(e.n)), SpanID: span, Timestamp: moment(e.sample.Started.Add(after)),
		WorkingStart: after.Seconds(), Event: kind,
	}
}

func (e *events) begin(typ, name string, after time.Duration) {
	parent := ""
	if len(e.spans) > 0 {
		parent = e.spans[len(e.spans)-1]
	}
	id := derived(e.uuid, "span", strconv.Itoa(len(e.out)))
	e.spans = append(e.spans, id)
	e.out = append(e.out, spanBegin{happening: e.at("span_begin", after), ID: id, ParentID: parent, Type: typ, Name: name})
}

func (e *events) end(after time.Duration) {
	e.out = append(e.out, spanEnd{happening: e.at("span_end", after), ID: e.spans[len(e.spans)-1]})
	e.spans = e.spans[:len(e.spans)-1]
}

// add turns one line of the transcript into an event.
func (e *events) add(x bench.Event) {
	switch x.Kind {
	case "exec":
		if cmd := command(x.Data); cmd != "" {
			ev := sandboxExec{happening: e.at("sandbox", x.At), Action: "exec", Cmd: cmd, Output: outputOf(x.Data)}
			if exit, ok := number(x.Data["exit"]); ok {
				code := int(exit)
				ev.Result = &code
			}
			if wall, ok := number(x.Data["wall"]); ok && wall >= 0 && wall < 1e6 {
				ev.Completed = moment(e.sample.Started.Add(x.At + time.Duration(wall*float64(time.Second))))
			}
			e.out = append(e.out, ev)
			return
		}
	case "verdict":
		if n, ok := number(x.Data["number"]); ok {
			for _, sub := range e.sample.Submissions {
				if sub.Number == int(n) {
					s := verdict(sub, nil)
					e.out = append(e.out, scored{happening: e.at("score", x.At), Score: s, Scorer: scorerOracle, Intermediate: true})
					return
				}
			}
		}
	case "limit":
		typ, value := limitOf(e.sample, e.run)
		e.out = append(e.out, sampleLimit{happening: e.at("sample_limit", x.At), Type: typ, Message: text(x.Text), Limit: value})
		return
	case "error":
		e.out = append(e.out, failed{happening: e.at("error", x.At), Error: *newError(x.Text)})
		return
	}
	var data any = text(x.Text)
	if len(x.Data) > 0 {
		data = told{Text: text(x.Text), Data: cleaned(x.Data, 0)}
	}
	e.out = append(e.out, info{happening: e.at("info", x.At), Source: label(x.Kind), Data: data})
}

type told struct {
	Text string `json:"text"`
	Data any    `json:"data"`
}

// limitOf names a sample's limit in Inspect's words.
func limitOf(s bench.Sample, r bench.Result) (typ string, value *float64) {
	if m := r.Config.Model; m != nil {
		if v, ok := m.Sample.Value(s.Limit); ok {
			return s.Limit, &v
		}
	}
	seconds := s.Bound.Seconds()
	switch s.Limit {
	case "time":
		return "time", &seconds
	case "operator":
		return "operator", nil
	}
	return "custom", nil
}

// command is an exec event's command line.
func command(data map[string]any) string {
	switch argv := data["argv"].(type) {
	case []string:
		return text(strings.Join(argv, " "))
	case []any: // as a journal gives it
		words := make([]string, len(argv))
		for i, a := range argv {
			words[i] = fmt.Sprint(a)
		}
		return text(strings.Join(words, " "))
	case string:
		return text(argv)
	}
	return ""
}

func outputOf(data map[string]any) string {
	var out strings.Builder
	for _, name := range []string{"stdout", "stderr"} {
		if s, ok := data[name].(string); ok && s != "" {
			if out.Len() > 0 {
				out.WriteString("\n")
			}
			out.WriteString(s)
		}
	}
	return text(out.String())
}

// number reads a number as a journal or a program gives it.
func number(v any) (float64, bool) {
	switch n := v.(type) {
	case int:
		return float64(n), true
	case int64:
		return float64(n), true
	case float64:
		return n, !math.IsNaN(n) && !math.IsInf(n, 0)
	}
	return 0, false
}

// maxDepth bounds how deep the data of an event is kept.
const maxDepth = 8

// cleaned is data of an event with every string printable.
func cleaned(v any, depth int) any {
	if depth > maxDepth {
		return "…"
	}
	switch x := v.(type) {
	case string:
		return text(x)
	case []string:
		out := make([]string, len(x))
		for i, s := range x {
			out[i] = text(s)
		}
		return out
	case []any:
		out := make([]any, len(x))
		for i, y := range x {
			out[i] = cleaned(y, depth+1)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(x))
		for k, y := range x {
			out[label(k)] = cleaned(y, depth+1)
		}
		return out
	case float64:
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return nil
		}
		return x
	case nil, bool, int, int64:
		return x
	}
	return text(fmt.Sprint(v))
}

// verdict is a submission's score. base64 of its content is set by the caller.
func verdict(sub bench.Submission, first *float64) score {
	m := &scoreMetadata{
		Outcome: sub.Verdict.Outcome, Signature: label(sub.Verdict.Signature), Submission: sub.Digest, Bytes: sub.Bytes,
		Statement: sub.Statement, Signed: sub.Signed, Report: text(sub.Report), Observations: []observation{},
	}
	if first != nil {
		m.FirstSolved = *first
	}
	for i, o := range sub.Verdict.Observations {
		if i == maxDetail {
			break
		}
		m.Observations = append(m.Observations, observation{
			Side: label(o.Side), Run: o.Run, Broke: o.Broke, Symptom: label(string(o.Symptom)), Class: label(o.Class), Function: label(o.Function),
			Exit: o.Exit, Signal: o.Signal, Bound: label(o.Bound), CPU: o.CPU.Seconds(), Wall: o.Wall.Seconds(), PeakMemory: o.PeakMemory,
			Detail: text(o.Detail),
		})
	}
	return score{
		Value:       letter(sub.Verdict.Outcome == oracle.Solved),
		Answer:      fmt.Sprintf("submission %d, %d bytes, %s", sub.Number, sub.Bytes, label(string(sub.Digest))),
		Explanation: label(sub.Verdict.Reason), Metadata: m, History: []struct{}{},
	}
}

// letter is a score as Inspect writes it.
func letter(correct bool) string {
	if correct {
		return "C"
	}
	return "I"
}
