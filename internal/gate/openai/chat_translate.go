package openai

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"proofhouse/internal/chat"
	"proofhouse/internal/gate"
)

// function is a tool, a call of one, or the choice of one, in the words of
// Chat Completions.
type function struct {
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	Parameters  json.RawMessage `json:"parameters,omitempty"`
	Arguments   *string         `json:"arguments,omitempty"`
}

type tool struct {
	ID       string   `json:"id,omitempty"`
	Type     string   `json:"type"`
	Function function `json:"function"`
}

type chatMessage struct {
	Role             string  `json:"role"`
	Content          *string `json:"content"`
	ReasoningContent string  `json:"reasoning_content,omitempty"`
	ToolCalls        []tool  `json:"tool_calls,omitempty"`
	ToolCallID       string  `json:"tool_call_id,omitempty"`
}

type chatRequest struct {
	Model               string        `json:"model"`
	Messages            []chatMessage `json:"messages"`
	Tools               []tool        `json:"tools,omitempty"`
	ToolChoice          any           `json:"tool_choice,omitempty"`
	ParallelToolCalls   *bool         `json:"parallel_tool_calls,omitempty"`
	MaxTokens           int64         `json:"max_tokens,omitempty"`
	MaxCompletionTokens int64         `json:"max_completion_tokens,omitempty"`
	Temperature         *float64      `json:"temperature,omitempty"`
	TopP                *float64      `json:"top_p,omitempty"`
	Seed                *int64        `json:"seed,omitempty"`
	Stop                []string      `json:"stop,omitempty"`
	ReasoningEffort     string        `json:"reasoning_effort,omitempty"`
}

// Prepare implements gate.Translator: chat completions want nothing.
func (Chat) Prepare(http.Header) {}

// Encode implements gate.Translator.
func (c Chat) Encode(r chat.Request, model string) ([]byte, error) {
	q := chatRequest{
		Model: model, ParallelToolCalls: r.Config.ParallelToolCalls, Temperature: r.Config.Temperature, TopP: r.Config.TopP,
		Seed: r.Config.Seed, Stop: r.Config.StopSeqs, ReasoningEffort: r.Config.ReasoningEffort,
	}
	if c.capField() == "max_tokens" {
		q.MaxTokens = r.Config.MaxTokens
	} else {
		q.MaxCompletionTokens = r.Config.MaxTokens
	}
	for _, m := range r.Messages {
		text := m.Said()
		said := chatMessage{Role: string(m.Role), Content: &text, ToolCallID: m.ToolCallID}
		for _, block := range m.Reasoning {
			said.ReasoningContent += block.Text // back to a server that gave it; others give none
		}
		for _, call := range m.ToolCalls {
			written := call.Written()
			said.ToolCalls = append(said.ToolCalls, tool{ID: call.ID, Type: "function", Function: function{Name: call.Function, Arguments: &written}})
		}
		if text == "" && len(m.ToolCalls) > 0 {
			said.Content = nil
		}
		q.Messages = append(q.Messages, said)
	}
	for _, t := range r.Tools {
		q.Tools = append(q.Tools, tool{Type: "function", Function: function{Name: t.Name, Description: t.Description, Parameters: t.Parameters}})
	}
	switch r.ToolChoice {
	case "":
	case "auto", "none":
		q.ToolChoice = r.ToolChoice
	case "any":
		q.ToolChoice = "required"
	default:
		q.ToolChoice = tool{Type: "function", Function: function{Name: r.ToolChoice}}
	}
	return json.Marshal(q)
}

// Decode implements gate.Translator. Servers differ in where reasoning stands,
// in whether arguments are a string, and in whether a call has an id.
func (Chat) Decode(body []byte) (chat.Output, error) {
	root, ok := gate.Document(body)
	if !ok {
		return chat.Output{}, gate.NoAnswer("what is no JSON")
	}
	choices := gate.Field(root, "choices")
	var first gate.Value
	for choice := range gate.Elements(choices) {
		first = choice
		break
	}
	message := gate.Field(first, "message")
	if message.Kind() != '{' {
		return chat.Output{}, gate.NoAnswer("no message")
	}
	out := chat.Output{Message: chat.Message{Role: chat.Assistant}}
	out.Model, _ = gate.Field(root, "model").Text()
	out.Message.Text = textOf(gate.Field(message, "content"))
	out.Refusal, _ = gate.Field(message, "refusal").Text()
	for _, name := range []string{"reasoning_content", "reasoning"} {
		if text, ok := gate.Field(message, name).Text(); ok && text != "" && len(out.Message.Reasoning) == 0 {
			out.Message.Reasoning = append(out.Message.Reasoning, chat.Reasoning{Text: text})
		}
	}
	for call := range gate.Elements(gate.Field(message, "tool_calls")) {
		id, _ := gate.Field(call, "id").Text()
		if id == "" {
			id = fmt.Sprintf("call_%d", len(out.Message.ToolCalls)+1)
		}
		f := gate.Field(call, "function")
		name, _ := gate.Field(f, "name").Text()
		out.Message.ToolCalls = append(out.Message.ToolCalls, chat.NewToolCall(id, name, argumentsOf(gate.Field(f, "arguments"))))
	}
	out.Usage, _ = usageOf(gate.Field(root, "usage"), "prompt", "completion")
	reason, _ := gate.Field(first, "finish_reason").Text()
	out.StopReason = stopReason(reason, out)
	return out, nil
}

// stopReason is Inspect's word for a finish_reason. Some servers say "stop" of
// an answer that calls tools.
func stopReason(finish string, out chat.Output) chat.StopReason {
	switch {
	case finish == "content_filter" || out.Refusal != "":
		return chat.ContentFilter
	case finish == "length":
		return chat.MaxTokens
	case len(out.Message.ToolCalls) > 0:
		return chat.ToolCalls
	case finish == "stop":
		return chat.Stop
	}
	return chat.Unknown
}

// textOf is a content, which is a string or parts of which some are text.
func textOf(content gate.Value) string {
	if text, ok := content.Text(); ok {
		return text
	}
	var b strings.Builder
	for part := range gate.Elements(content) {
		text, _ := gate.Field(part, "text").Text()
		b.WriteString(text)
	}
	return b.String()
}

// argumentsOf are a call's arguments: a string of JSON, or the object itself.
func argumentsOf(v gate.Value) string {
	if text, ok := v.Text(); ok {
		return text
	}
	return string(v.Raw)
}
