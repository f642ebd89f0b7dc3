package openai

import (
	"encoding/json"
	"fmt"
	"net/http"

	"proofhouse/internal/chat"
	"proofhouse/internal/gate"
	"proofhouse/internal/proofhouse"
)

// item is one of input and output, in the words of the Responses API.
type item struct {
	Type             string          `json:"type"`
	Role             string          `json:"role,omitempty"`
	Content          []words         `json:"content,omitempty"`
	Summary          *[]words        `json:"summary,omitempty"`
	EncryptedContent string          `json:"encrypted_content,omitempty"`
	CallID           string          `json:"call_id,omitempty"`
	Name             string          `json:"name,omitempty"`
	Arguments        *string         `json:"arguments,omitempty"`
	Output           *string         `json:"output,omitempty"`
	Description      string          `json:"description,omitempty"`
	Parameters       json.RawMessage `json:"parameters,omitempty"`
	Strict           *bool           `json:"strict,omitempty"`
}

type words struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

type responsesRequest struct {
	Model             string         `json:"model"`
	Input             []item         `json:"input"`
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
		Model: model, Input: []item{}, ParallelToolCalls: r.Config.ParallelToolCalls, MaxOutputTokens: r.Config.MaxTokens,
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
		q.Tools = append(q.Tools, item{Type: "function", Name: t.Name, Description: t.Description, Parameters: t.Parameters, Strict: &loose})
	}
	switch r.ToolChoice {
	case "":
	case "auto", "none":
		q.ToolChoice = r.ToolChoice
	case "any":
		q.ToolChoice = "required"
	default:
		q.ToolChoice = item{Type: "function", Name: r.ToolChoice}
	}
	return json.Marshal(q)
}

func inputItems(m chat.Message) (items []item) {
	if m.Role == chat.ToolRole {
		said := m.Said()
		return []item{{Type: "function_call_output", CallID: m.ToolCallID, Output: &said}}
	}
	for _, block := range m.Reasoning {
		if block.Signature != "" { // what is not sealed the server does not take back
			summary := []words{}
			if block.Text != "" {
				summary = append(summary, words{"summary_text", block.Text})
			}
			items = append(items, item{Type: "reasoning", Summary: &summary, EncryptedContent: block.Signature})
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
		written := call.Written()
		items = append(items, item{Type: "function_call", CallID: call.ID, Name: call.Function, Arguments: &written})
	}
	return items
}

// Decode implements gate.Translator.
func (Responses) Decode(body []byte) (chat.Output, error) {
	root, ok := gate.Document(body)
	if !ok {
		return chat.Output{}, gate.NoAnswer("what is no JSON")
	}
	status, _ := gate.Field(root, "status").Text()
	output := gate.Field(root, "output")
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
		text := textOf(gate.Field(it, "summary"))
		if text == "" {
			text = textOf(gate.Field(it, "content"))
		}
		sealed, _ := gate.Field(it, "encrypted_content").Text()
		if text != "" || sealed != "" {
			m.Reasoning = append(m.Reasoning, chat.Reasoning{Text: text, Signature: sealed, Redacted: text == ""})
		}
	case "function_call":
		id, _ := gate.Field(it, "call_id").Text()
		if id == "" {
			id = fmt.Sprintf("call_%d", len(m.ToolCalls)+1)
		}
		name, _ := gate.Field(it, "name").Text()
		m.ToolCalls = append(m.ToolCalls, chat.NewToolCall(id, name, argumentsOf(gate.Field(it, "arguments"))))
	}
}
