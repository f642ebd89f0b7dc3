package openai

import (
	"encoding/json"
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
	Role             string `json:"role"`
	Content          string `json:"content"` // "" beside calls, not null: templates of served models fail on that
	ReasoningContent string `json:"reasoning_content,omitempty"`
	Reasoning        string `json:"reasoning,omitempty"`
	ToolCalls        []tool `json:"tool_calls,omitempty"`
	ToolCallID       string `json:"tool_call_id,omitempty"`
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
		Model: model, Temperature: r.Config.Temperature, TopP: r.Config.TopP,
		Seed: r.Config.Seed, Stop: r.Config.StopSeqs, ReasoningEffort: r.Config.ReasoningEffort,
	}
	if c.capField() == "max_tokens" {
		q.MaxTokens = r.Config.MaxTokens
	} else {
		q.MaxCompletionTokens = r.Config.MaxTokens
	}
	for _, m := range r.Messages {
		text := m.Said()
		said := chatMessage{Role: string(m.Role), Content: text, ToolCallID: m.ToolCallID}
		for _, block := range m.Reasoning {
			if block.Signature == asReasoning {
				said.Reasoning += block.Text
			} else {
				said.ReasoningContent += block.Text
			}
		}
		for _, call := range m.ToolCalls {
			written := string(gate.Arguments(call))
			said.ToolCalls = append(said.ToolCalls, tool{ID: call.ID, Type: "function", Function: function{Name: call.Function, Arguments: &written}})
		}
		q.Messages = append(q.Messages, said)
	}
	for _, t := range r.Tools {
		q.Tools = append(q.Tools, tool{Type: "function", Function: function{Name: t.Name, Description: t.Description, Parameters: gate.Parameters(t)}})
	}
	if len(r.Tools) > 0 { // the API refuses both without tools
		q.ParallelToolCalls = r.Config.ParallelToolCalls
		q.ToolChoice = toolChoice(r.ToolChoice, tool{Type: "function", Function: function{Name: r.ToolChoice}})
	}
	return gate.EncodeJSON(q)
}

// asReasoning is the Signature of reasoning that came in the field "reasoning"
// (vLLM, OpenRouter) and goes back in it. What came in "reasoning_content"
// (llama.cpp, DeepSeek, SGLang) has none. OpenAI shows none here, so it is sent neither.
const asReasoning = "reasoning"

// toolChoice is chat's word in OpenAI's; one is for a tool's name.
func toolChoice(choice string, one any) any {
	switch choice {
	case "":
		return nil
	case "auto", "none":
		return choice
	case "any":
		return "required"
	}
	return one
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
	for _, field := range []struct{ name, signature string }{{"reasoning_content", ""}, {"reasoning", asReasoning}} {
		if text, ok := gate.Field(message, field.name).Text(); ok && text != "" && len(out.Message.Reasoning) == 0 {
			out.Message.Reasoning = append(out.Message.Reasoning, chat.Reasoning{Text: text, Signature: field.signature})
		}
	}
	for call := range gate.Elements(gate.Field(message, "tool_calls")) {
		id, _ := gate.Field(call, "id").Text()
		f := gate.Field(call, "function")
		name, _ := gate.Field(f, "name").Text()
		out.Message.ToolCalls = append(out.Message.ToolCalls, chat.NewToolCall(id, name, argumentsOf(gate.Field(f, "arguments"))))
	}
	out.Usage, _ = usageOf(gate.Field(root, "usage"), "prompt", "completion")
	reason, _ := gate.Field(first, "finish_reason").Text()
	out.StopReason = stopReason(reason, out)
	refused(&out)
	return out, nil
}

// refused makes a refusal the text where there is no other: it goes back to the
// model as what it said.
func refused(out *chat.Output) {
	if out.Message.Text == "" {
		out.Message.Text = out.Refusal
	}
	if out.StopReason == chat.ContentFilter && out.Refusal == "" {
		out.Refusal = "content_filter"
	}
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
