package openai

import (
	"encoding/json"
	"net/http"

	"proofhouse/internal/chat"
	"proofhouse/internal/gate"
	"proofhouse/internal/proofhouse"
)

// item is one of input and output, in the words of the Responses API.
type item struct {
	Type        string          `json:"type"`
	Role        string          `json:"role,omitempty"`
	Content     []words         `json:"content,omitempty"`
	CallID      string          `json:"call_id,omitempty"`
	Name        string          `json:"name,omitempty"`
	Arguments   *string         `json:"arguments,omitempty"`
	Output      *string         `json:"output,omitempty"`
	Description string          `json:"description,omitempty"`
	Parameters  json.RawMessage `json:"parameters,omitempty"`
	Strict      *bool           `json:"strict,omitempty"`
}

type words struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

type responsesRequest struct {
	Model             string         `json:"model"`
	Input             []any          `json:"input"`
	Store             bool           `json:"store"`
	Include           []string       `json:"include,omitempty"`
	Tools             []item         `json:"tools,omitempty"`
	ToolChoice        any            `json:"tool_choice,omitempty"`
	ParallelToolCalls *bool          `json:"parallel_tool_calls,omitempty"`
	MaxOutputTokens   int64          `json:"max_output_tokens,omitempty"`
	Temperature       *float64       `json:"temperature,omitempty"`
	TopP              *float64       `json:"top_p,omitempty"`
	Reasoning         map[string]any `json:"reasoning,omitempty"`
}

// Prepare implements gate.Translator: responses want nothing.
func (Responses) Prepare(http.Header) {}

// Encode implements gate.Translator. Nothing is stored at the server, so
// reasoning goes back sealed, as it came.
func (Responses) Encode(r chat.Request, model string) ([]byte, error) {
	if r.Config.Seed != nil || len(r.Config.StopSeqs) > 0 {
		return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "the responses protocol knows no seed and no stop sequences: leave them out, or use openai-chat")
	}
	q := responsesRequest{
		Model: model, Input: []any{}, MaxOutputTokens: r.Config.MaxTokens,
		Temperature: r.Config.Temperature, TopP: r.Config.TopP,
	}
	if r.Config.ReasoningEffort != "" {
		q.Reasoning = map[string]any{"effort": r.Config.ReasoningEffort}
		q.Include = []string{"reasoning.encrypted_content"}
	}
	for _, m := range r.Messages {
		q.Input = append(q.Input, inputItems(m)...)
	}
	loose := false
	for _, t := range r.Tools {
		q.Tools = append(q.Tools, item{Type: "function", Name: t.Name, Description: t.Description, Parameters: gate.Parameters(t), Strict: &loose})
	}
	if len(r.Tools) > 0 { // the API refuses both without tools
		q.ParallelToolCalls = r.Config.ParallelToolCalls
		q.ToolChoice = toolChoice(r.ToolChoice, item{Type: "function", Name: r.ToolChoice})
	}
	return gate.EncodeJSON(q)
}

func inputItems(m chat.Message) (items []any) {
	if m.Role == chat.ToolRole {
		said := m.Said()
		return []any{item{Type: "function_call_output", CallID: m.ToolCallID, Output: &said}}
	}
	for _, block := range m.Reasoning {
		if whole := []byte(block.Signature); selfContained(whole) {
			items = append(items, json.RawMessage(whole))
		}
	}
	kind := "input_text"
	if m.Role == chat.Assistant {
		kind = "output_text"
	}
	if m.Text != "" || len(m.ToolCalls) == 0 {
		items = append(items, item{Type: "message", Role: string(m.Role), Content: []words{{kind, m.Text}}})
	}
	for _, call := range m.ToolCalls {
		written := string(gate.Arguments(call))
		items = append(items, item{Type: "function_call", CallID: call.ID, Name: call.Function, Arguments: &written})
	}
	return items
}

// selfContained says that a reasoning item is more than a reference to what
// the server stored: nothing is stored.
func selfContained(whole []byte) bool {
	root, ok := gate.Document(whole)
	sealed, _ := gate.Field(root, "encrypted_content").Text()
	kind, _ := gate.Field(root, "type").Text()
	return ok && kind == "reasoning" && (sealed != "" || length(gate.Field(root, "content")) > 0)
}

// Decode implements gate.Translator.
func (Responses) Decode(body []byte) (chat.Output, error) {
	root, ok := gate.Document(body)
	if !ok {
		return chat.Output{}, gate.NoAnswer("what is no JSON")
	}
	status, _ := gate.Field(root, "status").Text()
	output, fault := gate.Field(root, "output"), gate.Field(root, "error")
	if code, _ := gate.Field(fault, "code").Text(); status == "failed" && code == "invalid_prompt" { // its word for what its safeguards refuse
		out := chat.Output{Message: chat.Message{Role: chat.Assistant}, StopReason: chat.ContentFilter}
		out.Model, _ = gate.Field(root, "model").Text()
		out.Refusal, _ = gate.Field(fault, "message").Text()
		out.Usage, _ = usageOf(gate.Field(root, "usage"), "input", "output")
		return out, nil
	}
	if output.Kind() != '[' || status == "failed" || status == "cancelled" || status == "in_progress" || status == "queued" {
		return chat.Output{}, gate.NoAnswer("no answer that is finished")
	}
	out := chat.Output{Message: chat.Message{Role: chat.Assistant}}
	out.Model, _ = gate.Field(root, "model").Text()
	for it := range gate.Elements(output) {
		outputItem(it, &out)
	}
	out.Usage, _ = usageOf(gate.Field(root, "usage"), "input", "output")
	why, _ := gate.Field(gate.Field(root, "incomplete_details"), "reason").Text()
	switch {
	case out.Refusal != "" || why == "content_filter":
		out.StopReason = chat.ContentFilter
	case why == "max_output_tokens":
		out.StopReason = chat.MaxTokens
	case status == "incomplete":
		out.StopReason = chat.Unknown
	case len(out.Message.ToolCalls) > 0:
		out.StopReason = chat.ToolCalls
	default:
		out.StopReason = chat.Stop
	}
	refused(&out)
	return out, nil
}

func outputItem(it gate.Value, out *chat.Output) {
	m := &out.Message
	switch kind, _ := gate.Field(it, "type").Text(); kind {
	case "message":
		for p := range gate.Elements(gate.Field(it, "content")) {
			if text, ok := gate.Field(p, "refusal").Text(); ok {
				out.Refusal += text
				continue
			}
			text, _ := gate.Field(p, "text").Text()
			m.Text += text
		}
	case "reasoning":
		text := textOf(gate.Field(it, "content"))
		if text == "" {
			text = textOf(gate.Field(it, "summary"))
		}
		// The item is its own signature, so that every field of it goes back.
		m.Reasoning = append(m.Reasoning, chat.Reasoning{Text: text, Signature: string(it.Raw), Redacted: text == ""})
	case "function_call":
		id, _ := gate.Field(it, "call_id").Text()
		name, _ := gate.Field(it, "name").Text()
		m.ToolCalls = append(m.ToolCalls, chat.NewToolCall(id, name, argumentsOf(gate.Field(it, "arguments"))))
	}
}
