// Package chat is a conversation with a model: messages, tool calls, what was
// generated and what it took. It has no vendor in it: gate/openai and
// gate/anthropic turn it into their protocols' bodies and back. The words and
// the JSON names are Inspect's, so a transcript of it is one of Inspect's.
package chat

import (
	"encoding/json"
	"time"
)

// Role is who wrote a message.
type Role string

// The roles.
const (
	System    Role = "system"
	User      Role = "user"
	Assistant Role = "assistant"
	ToolRole  Role = "tool" // a tool's answer to one call
)

// Message is one turn of a conversation.
type Message struct {
	Role Role   `json:"role"`
	Text string `json:"content"`
	// Reasoning and ToolCalls are an assistant's. Reasoning goes back to the
	// model as it came.
	Reasoning []Reasoning `json:"reasoning,omitempty"`
	ToolCalls []ToolCall  `json:"tool_calls,omitempty"`
	// The rest is a tool's: which call it answers, and what went wrong.
	ToolCallID string     `json:"tool_call_id,omitempty"`
	Function   string     `json:"function,omitempty"`
	Error      *ToolError `json:"error,omitempty"`
}

// Reasoning is one block of a model's reasoning.
type Reasoning struct {
	Text      string `json:"reasoning"`
	Signature string `json:"signature,omitempty"` // the vendor's, to be sent back unchanged
	Redacted  bool   `json:"redacted,omitempty"`  // Text is sealed by the vendor
}

// ToolCall is a model's wish to call a tool.
type ToolCall struct {
	ID        string          `json:"id"`
	Function  string          `json:"function"`
	Arguments json.RawMessage `json:"arguments"` // a JSON object; {} if ParseError is set
	// ParseError says why what the model wrote is no call: not JSON, no such
	// tool. It is told to the model; Raw is what it wrote.
	ParseError string `json:"parse_error,omitempty"`
	Raw        string `json:"raw,omitempty"`
}

// ToolError is why a tool's answer is not a result.
type ToolError struct {
	Type    string `json:"type"` // Inspect's: "parsing", "timeout", "permission", "limit", "unknown", …
	Message string `json:"message"`
}

// Tool is a tool that a model may call.
type Tool struct {
	Name        string          `json:"name"`
	Description string          `json:"description"`
	Parameters  json.RawMessage `json:"parameters"` // JSON Schema of an object
}

// Config are the settings of a generation. A nil or empty field is the
// server's default and is not sent.
type Config struct {
	MaxTokens       int64    `json:"max_tokens,omitempty"`
	Temperature     *float64 `json:"temperature,omitempty"`
	TopP            *float64 `json:"top_p,omitempty"`
	Seed            *int64   `json:"seed,omitempty"`
	StopSeqs        []string `json:"stop_seqs,omitempty"`
	ReasoningEffort string   `json:"reasoning_effort,omitempty"`
	ReasoningTokens int64    `json:"reasoning_tokens,omitempty"`
	// ParallelToolCalls says whether one turn may hold several calls; nil is the server's default.
	ParallelToolCalls *bool `json:"parallel_tool_calls,omitempty"`
}

// Request asks for one more message.
type Request struct {
	Messages []Message `json:"input"`
	Tools    []Tool    `json:"tools,omitempty"`
	// ToolChoice is "auto" (also ""), "any", "none" or a tool's name.
	ToolChoice string `json:"tool_choice,omitempty"`
	Config     Config `json:"config"`
}

// StopReason is why a model stopped, in Inspect's words.
type StopReason string

// The reasons.
const (
	Stop          StopReason = "stop"
	MaxTokens     StopReason = "max_tokens"   // its output cap
	ModelLength   StopReason = "model_length" // its context window
	ToolCalls     StopReason = "tool_calls"
	ContentFilter StopReason = "content_filter" // a safeguard or a refusal of the provider's
	Unknown       StopReason = "unknown"
)

// Output is what a model generated.
type Output struct {
	Model      string     `json:"model"` // as the answer names it: the codename
	Message    Message    `json:"message"`
	StopReason StopReason `json:"stop_reason"`
	// Refusal is the vendor's word for why the model declined, or "".
	Refusal string        `json:"refusal,omitempty"`
	Usage   Usage         `json:"usage"`
	Took    time.Duration `json:"took"` // of the attempt that succeeded
	// Queued is how long this house let the request wait for a place at the
	// upstream, over all attempts.
	Queued  time.Duration `json:"queued,omitempty"`
	Retries []Retry       `json:"retries,omitempty"`
}

// Retry is an attempt that failed for a reason of the provider's, and is no
// failure of the model.
type Retry struct {
	Status int           `json:"status"` // HTTP; 0 if there was no answer
	Reason string        `json:"reason"`
	Waited time.Duration `json:"waited"` // before the next attempt
}

// Usage is how many tokens one answer took, each token in one class.
type Usage struct {
	Input      int64 `json:"input"` // neither read from nor written to a cache
	CacheRead  int64 `json:"cache_read"`
	CacheWrite int64 `json:"cache_write"`
	Output     int64 `json:"output"`    // reasoning included
	Reasoning  int64 `json:"reasoning"` // the part of Output that is reasoning, where the upstream says so
	// CacheWrite1h is the part of CacheWrite that is kept for an hour, which
	// some have a price of its own for.
	CacheWrite1h int64 `json:"cache_write_1h,omitempty"`
}

// In is all input tokens, however they are priced.
func (u Usage) In() int64 { return u.Input + u.CacheRead + u.CacheWrite }

// Plus is the sum, class by class.
func (u Usage) Plus(v Usage) Usage {
	return Usage{u.Input + v.Input, u.CacheRead + v.CacheRead, u.CacheWrite + v.CacheWrite, u.Output + v.Output, u.Reasoning + v.Reasoning, u.CacheWrite1h + v.CacheWrite1h}
}
