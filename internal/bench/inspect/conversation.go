package inspect

import (
	"encoding/json"
	"math"
	"time"

	"proofhouse/internal/bench"
	"proofhouse/internal/chat"
	"proofhouse/internal/proofhouse"
)

// message is ChatMessage of any role.
type message struct {
	ID         string         `json:"id"`
	Content    any            `json:"content"` // a string, or a list of content
	Source     string         `json:"source,omitempty"`
	Role       string         `json:"role"`
	Model      string         `json:"model,omitempty"`
	ToolCalls  []toolCall     `json:"tool_calls,omitempty"`
	ToolCallID string         `json:"tool_call_id,omitempty"`
	Function   string         `json:"function,omitempty"`
	Error      *toolCallError `json:"error,omitempty"`
}

type contentReasoning struct {
	Type      string `json:"type"`
	Reasoning string `json:"reasoning"`
	Redacted  bool   `json:"redacted"`
}

type contentText struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

type toolCall struct {
	ID         string `json:"id"`
	Function   string `json:"function"`
	Arguments  any    `json:"arguments"` // an object
	Type       string `json:"type"`
	ParseError string `json:"parse_error,omitempty"`
}

type toolCallError struct {
	Type    string `json:"type"`
	Message string `json:"message"`
}

// usage is ModelUsage. Its input tokens are those of no cache.
type usage struct {
	Input      int64    `json:"input_tokens"`
	Output     int64    `json:"output_tokens"`
	Total      int64    `json:"total_tokens"`
	CacheWrite int64    `json:"input_tokens_cache_write,omitempty"`
	CacheRead  int64    `json:"input_tokens_cache_read,omitempty"`
	Reasoning  int64    `json:"reasoning_tokens,omitempty"`
	Cost       *float64 `json:"total_cost,omitempty"` // dollars
}

// output is ModelOutput.
type output struct {
	Model      string   `json:"model"`
	Choices    []choice `json:"choices"`
	Completion string   `json:"completion"`
	Usage      *usage   `json:"usage,omitempty"`
	Time       float64  `json:"time,omitempty"` // seconds
}

type choice struct {
	Message    message         `json:"message"`
	StopReason chat.StopReason `json:"stop_reason"`
}

// generate is the part of GenerateConfig that a run can set.
type generate struct {
	MaxTokens       int64    `json:"max_tokens,omitempty"`
	Temperature     *float64 `json:"temperature,omitempty"`
	TopP            *float64 `json:"top_p,omitempty"`
	ReasoningEffort string   `json:"reasoning_effort,omitempty"`
	ReasoningTokens int64    `json:"reasoning_tokens,omitempty"`
}

type modelEvent struct {
	happening
	Model       string     `json:"model"`
	Input       []struct{} `json:"input"` // empty: InputRefs say it
	InputRefs   [][2]int   `json:"input_refs"`
	Tools       []toolInfo `json:"tools"`
	ToolChoice  string     `json:"tool_choice"`
	Config      generate   `json:"config"`
	Output      output     `json:"output"`
	Retries     int        `json:"retries,omitempty"`
	Completed   string     `json:"completed"`
	WorkingTime float64    `json:"working_time"` // seconds
}

type toolInfo struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Parameters  any    `json:"parameters"`
}

type toolEvent struct {
	happening
	Type        string         `json:"type"`
	ID          string         `json:"id"`
	Function    string         `json:"function"`
	Arguments   any            `json:"arguments"`
	Result      string         `json:"result"`
	Error       *toolCallError `json:"error,omitempty"`
	Events      []struct{}     `json:"events"`
	Completed   string         `json:"completed"`
	WorkingTime float64        `json:"working_time"` // seconds
}

// eventsData is what events refer to, so that a message of a long conversation
// stands in the log once.
type eventsData struct {
	Messages []message  `json:"messages"`
	Calls    []struct{} `json:"calls"`
}

// conversation writes the steps of a sample's transcript as Inspect's events.
type conversation struct {
	steps  []bench.Step
	model  string
	prices chat.Prices
	tools  []toolInfo
	// pool are all messages that there were; at is the conversation as it
	// stands, by index into pool.
	pool []message
	at   []int
	last output
}

// newConversation is that of a sample whose transcript is published and can be
// read; nil otherwise.
func newConversation(s bench.Sample, r bench.Result, artifact func(proofhouse.Digest) ([]byte, error)) *conversation {
	if s.Transcript == "" || artifact == nil || r.Config.Model == nil {
		return nil
	}
	b, err := artifact(s.Transcript)
	if err != nil || proofhouse.DigestOf(b) != s.Transcript {
		return nil
	}
	t, err := bench.ReadTranscript(b)
	if err != nil {
		return nil
	}
	return &conversation{steps: t.Steps, model: label(r.Config.Model.Name), prices: r.Config.Model.Prices, tools: []toolInfo{}}
}

// until gives e the steps up to a time.
func (c *conversation) until(e *events, at time.Duration) {
	for len(c.steps) > 0 && c.steps[0].At <= at {
		c.step(e, c.steps[0])
		c.steps = c.steps[1:]
	}
}

func (c *conversation) step(e *events, s bench.Step) {
	switch {
	case s.Said != nil:
		if s.Said.Role == chat.System {
			c.at = nil
		}
		c.push(e, *s.Said)
	case s.Call != nil:
		c.call(e, s)
	case s.Tool != nil:
		x := s.Tool
		e.out = append(e.out, toolEvent{
			happening: e.at("tool", max(0, s.At-x.Took)), Type: "function", ID: label(x.Call.ID), Function: label(x.Call.Function), Arguments: arguments(x.Call.Arguments),
			Result: text(x.Message.Text), Error: newToolError(x.Message.Error), Events: []struct{}{},
			Completed: moment(e.sample.Started.Add(s.At)), WorkingTime: x.Took.Seconds(),
		})
		c.push(e, x.Message)
	case s.Compaction != nil:
		for _, i := range s.Compaction.Cleared {
			if i >= 0 && i < len(c.at) {
				m := c.pool[c.at[i]]
				m.ID, m.Content = derived(m.ID, "cleared"), text(s.Compaction.Marker)
				c.pool = append(c.pool, m)
				c.at[i] = len(c.pool) - 1
			}
		}
		if from, to := s.Compaction.From, s.Compaction.To; 0 <= from && from < to && to <= len(c.at) {
			c.at = append(c.at[:from:from], c.at[to:]...)
		}
	}
}

func (c *conversation) call(e *events, s bench.Step) {
	x := s.Call
	for i, t := range x.Tools {
		if i == 0 {
			c.tools = []toolInfo{}
		}
		c.tools = append(c.tools, toolInfo{Name: label(t.Name), Description: text(t.Description), Parameters: parameters(t.Parameters)})
	}
	refs := c.refs()
	answer := c.push(e, x.Output.Message)
	answer.Model, answer.Source = c.model, "generate"
	c.pool[len(c.pool)-1] = answer
	u := newUsage(bench.Spent{Usage: x.Output.Usage, NanoDollars: c.prices.Of(x.Output.Usage)}, c.prices != chat.Prices{})
	c.last = output{
		Model: c.model, Choices: []choice{{answer, x.Output.StopReason}}, Completion: text(x.Output.Message.Text), Usage: &u, Time: x.Output.Took.Seconds(),
	}
	e.out = append(e.out, modelEvent{
		happening: e.at("model", max(0, s.At-x.Whole)), Model: c.model, Input: []struct{}{}, InputRefs: refs, Tools: c.tools, ToolChoice: "auto",
		Config: newGenerate(x.Config), Output: c.last, Retries: len(x.Output.Retries),
		Completed: moment(e.sample.Started.Add(s.At)), WorkingTime: x.Output.Took.Seconds(),
	})
}

// push adds a message to the conversation.
func (c *conversation) push(e *events, m chat.Message) message {
	out := message{
		ID: derived(e.uuid, "message", string(m.Role), time.Duration(len(c.pool)).String()), Content: text(m.Text), Role: string(m.Role),
		ToolCallID: label(m.ToolCallID), Function: label(m.Function), Error: newToolError(m.Error),
	}
	if len(m.Reasoning) > 0 {
		parts := []any{}
		for _, r := range m.Reasoning {
			parts = append(parts, contentReasoning{Type: "reasoning", Reasoning: text(r.Text), Redacted: r.Redacted})
		}
		out.Content = append(parts, contentText{Type: "text", Text: text(m.Text)})
	}
	for _, call := range m.ToolCalls {
		out.ToolCalls = append(out.ToolCalls, toolCall{ID: label(call.ID), Function: label(call.Function), Arguments: arguments(call.Arguments), Type: "function", ParseError: text(call.ParseError)})
	}
	c.pool = append(c.pool, out)
	c.at = append(c.at, len(c.pool)-1)
	return out
}

// refs are the conversation as ranges of the pool, each without its end.
func (c *conversation) refs() [][2]int {
	out := [][2]int{}
	for _, i := range c.at {
		if n := len(out); n > 0 && out[n-1][1] == i {
			out[n-1][1]++
			continue
		}
		out = append(out, [2]int{i, i + 1})
	}
	return out
}

// messages are the conversation as it stood at the end.
func (c *conversation) messages() []message {
	out := []message{}
	for _, i := range c.at {
		out = append(out, c.pool[i])
	}
	return out
}

// parameters is a tool's JSON Schema as Inspect writes it: each property has a
// default, if only null.
func parameters(raw json.RawMessage) any {
	schema, ok := arguments(raw).(map[string]any)
	if !ok {
		return struct{}{}
	}
	properties, _ := schema["properties"].(map[string]any)
	for _, p := range properties {
		withDefault(p)
	}
	return schema
}

func withDefault(v any) {
	p, ok := v.(map[string]any)
	if !ok {
		return
	}
	if _, ok := p["default"]; !ok {
		p["default"] = nil
	}
	withDefault(p["items"])
	inner, _ := p["properties"].(map[string]any)
	for _, x := range inner {
		withDefault(x)
	}
}

// arguments are those of a call, with every string printable; what is no
// object is none.
func arguments(raw json.RawMessage) any {
	var object map[string]any
	if json.Unmarshal(raw, &object) != nil || object == nil {
		return struct{}{}
	}
	return cleaned(object, 0)
}

func newToolError(e *chat.ToolError) *toolCallError {
	if e == nil {
		return nil
	}
	return &toolCallError{Type: label(e.Type), Message: text(e.Message)}
}

// newUsage is what a model used; priced says that its price is known.
func newUsage(s bench.Spent, priced bool) usage {
	u := usage{
		Input: s.Usage.Input, Output: s.Usage.Output, Total: s.Tokens(), CacheWrite: s.Usage.CacheWrite, CacheRead: s.Usage.CacheRead, Reasoning: s.Usage.Reasoning,
	}
	if priced {
		dollars := math.Round(float64(s.NanoDollars)) / 1e9
		u.Cost = &dollars
	}
	return u
}

func newGenerate(c chat.Config) generate {
	return generate{MaxTokens: c.MaxTokens, Temperature: c.Temperature, TopP: c.TopP, ReasoningEffort: label(c.ReasoningEffort), ReasoningTokens: c.ReasoningTokens}
}
