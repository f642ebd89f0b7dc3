package anthropic

import (
	"encoding/json"
	"net/http"
	"strings"

	"proofhouse/internal/chat"
	"proofhouse/internal/gate"
	"proofhouse/internal/proofhouse"
)

// block is a part of a message's content.
type block struct {
	Type      string          `json:"type"`
	Text      *string         `json:"text,omitempty"`
	Thinking  *string         `json:"thinking,omitempty"`
	Signature string          `json:"signature,omitempty"`
	Data      string          `json:"data,omitempty"`
	ID        string          `json:"id,omitempty"`
	Name      string          `json:"name,omitempty"`
	Input     json.RawMessage `json:"input,omitempty"`
	ToolUseID string          `json:"tool_use_id,omitempty"`
	Content   *string         `json:"content,omitempty"`
	IsError   bool            `json:"is_error,omitempty"`
}

type message struct {
	Role    string  `json:"role"`
	Content []block `json:"content"`
}

type tool struct {
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	InputSchema json.RawMessage `json:"input_schema"`
}

type choice struct {
	Type                   string `json:"type"`
	Name                   string `json:"name,omitempty"`
	DisableParallelToolUse bool   `json:"disable_parallel_tool_use,omitempty"`
}

type request struct {
	Model         string         `json:"model"`
	MaxTokens     int64          `json:"max_tokens,omitempty"` // without it the gate puts the grant's cap
	System        []block        `json:"system,omitempty"`
	Messages      []message      `json:"messages"`
	Tools         []tool         `json:"tools,omitempty"`
	ToolChoice    *choice        `json:"tool_choice,omitempty"`
	Temperature   *float64       `json:"temperature,omitempty"`
	TopP          *float64       `json:"top_p,omitempty"`
	StopSequences []string       `json:"stop_sequences,omitempty"`
	Thinking      map[string]any `json:"thinking,omitempty"`
	OutputConfig  map[string]any `json:"output_config,omitempty"`
}

// Prepare implements gate.Translator.
func (Messages) Prepare(h http.Header) { h.Set("Anthropic-Version", "2023-06-01") }

// Encode implements gate.Translator.
func (Messages) Encode(r chat.Request, model string) ([]byte, error) {
	if r.Config.Seed != nil {
		return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "the messages protocol knows no seed: leave it out")
	}
	q := request{Model: model, MaxTokens: r.Config.MaxTokens, Temperature: r.Config.Temperature, TopP: r.Config.TopP, StopSequences: r.Config.StopSeqs}
	if n := r.Config.ReasoningTokens; n > 0 {
		q.Thinking = map[string]any{"type": "enabled", "budget_tokens": n}
	}
	if e := r.Config.ReasoningEffort; e != "" {
		q.OutputConfig = map[string]any{"effort": e}
	}
	for _, m := range r.Messages {
		switch m.Role {
		case chat.System:
			q.System = append(q.System, block{Type: "text", Text: &m.Text})
			continue
		case chat.ToolRole:
			q.add("user", toolResult(m))
		case chat.User:
			q.add("user", textBlock(m.Text))
		case chat.Assistant:
			q.add("assistant", blocks(m)...)
		}
	}
	for _, t := range r.Tools {
		q.Tools = append(q.Tools, tool{t.Name, t.Description, gate.Parameters(t)})
	}
	alone := r.Config.ParallelToolCalls != nil && !*r.Config.ParallelToolCalls
	if len(r.Tools) == 0 { // the API refuses a choice among none
		return gate.EncodeJSON(q)
	}
	switch r.ToolChoice {
	case "", "auto":
		if alone || r.ToolChoice != "" {
			q.ToolChoice = &choice{Type: "auto", DisableParallelToolUse: alone}
		}
	case "none":
		q.ToolChoice = &choice{Type: "none"}
	case "any":
		q.ToolChoice = &choice{Type: "any", DisableParallelToolUse: alone}
	default:
		q.ToolChoice = &choice{Type: "tool", Name: r.ToolChoice, DisableParallelToolUse: alone}
	}
	return gate.EncodeJSON(q)
}

// add adds to the last message if it is of the same role: the protocol wants
// roles in turn, and all results of one turn's calls in one message.
func (q *request) add(role string, content ...block) {
	if n := len(q.Messages); n > 0 && q.Messages[n-1].Role == role {
		q.Messages[n-1].Content = append(q.Messages[n-1].Content, content...)
		return
	}
	q.Messages = append(q.Messages, message{role, content})
}

func toolResult(m chat.Message) block {
	said := m.Said()
	return block{Type: "tool_result", ToolUseID: m.ToolCallID, Content: &said, IsError: m.Error != nil}
}

// blocks are an assistant's message: reasoning comes first, as it did. Without
// a signature the server does not take it back.
func blocks(m chat.Message) (all []block) {
	for _, r := range m.Reasoning {
		switch {
		case r.Redacted:
			all = append(all, block{Type: "redacted_thinking", Data: r.Signature})
		case r.Signature != "":
			all = append(all, block{Type: "thinking", Thinking: &r.Text, Signature: r.Signature})
		}
	}
	if strings.TrimSpace(m.Text) != "" || len(m.ToolCalls) == 0 {
		all = append(all, textBlock(m.Text))
	}
	for _, c := range m.ToolCalls {
		// A call that was none has no input that the protocol could say: what is told about it is its result.
		all = append(all, block{Type: "tool_use", ID: c.ID, Name: c.Function, Input: gate.Arguments(c)})
	}
	return all
}

// textBlock is a text, or what stands for one where there is nothing to read:
// the API refuses such a block.
func textBlock(text string) block {
	if strings.TrimSpace(text) == "" {
		text = "(nothing)"
	}
	return block{Type: "text", Text: &text}
}

// Decode implements gate.Translator.
func (Messages) Decode(body []byte) (chat.Output, error) {
	root, ok := gate.Document(body)
	if !ok {
		return chat.Output{}, gate.NoAnswer("what is no JSON")
	}
	content := gate.Field(root, "content")
	if content.Kind() != '[' {
		return chat.Output{}, gate.NoAnswer("no message")
	}
	out := chat.Output{Message: chat.Message{Role: chat.Assistant}}
	out.Model, _ = gate.Field(root, "model").Text()
	text := func(v gate.Value, name string) string { s, _ := gate.Field(v, name).Text(); return s }
	for b := range gate.Elements(content) {
		switch text(b, "type") {
		case "text":
			out.Message.Text += text(b, "text")
		case "thinking":
			out.Message.Reasoning = append(out.Message.Reasoning, chat.Reasoning{Text: text(b, "thinking"), Signature: text(b, "signature")})
		case "redacted_thinking":
			out.Message.Reasoning = append(out.Message.Reasoning, chat.Reasoning{Signature: text(b, "data"), Redacted: true})
		case "tool_use":
			out.Message.ToolCalls = append(out.Message.ToolCalls, chat.NewToolCall(text(b, "id"), text(b, "name"), string(gate.Field(b, "input").Raw)))
		}
	}
	m := &meter{}
	m.Body(body, gate.Names{})
	out.Usage, _ = m.Usage()
	out.StopReason = stopReason(text(root, "stop_reason"))
	if out.StopReason == chat.ContentFilter {
		if out.Refusal = text(gate.Field(root, "stop_details"), "category"); out.Refusal == "" {
			out.Refusal = "refusal"
		}
	}
	return out, nil
}

func stopReason(s string) chat.StopReason {
	switch s {
	case "end_turn", "stop_sequence":
		return chat.Stop
	case "max_tokens":
		return chat.MaxTokens
	case "tool_use":
		return chat.ToolCalls
	case "refusal":
		return chat.ContentFilter
	case "model_context_window_exceeded":
		return chat.ModelLength
	}
	return chat.Unknown
}
