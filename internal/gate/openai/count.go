package openai

import "proofhouse/internal/gate"

// Count is the Responses API's counting of tokens: POST
// /v1/responses/input_tokens. Who may use Responses may use it.
type Count struct{ Responses }

// Path is that of the OpenAI API reference.
func (Count) Path() string { return "/v1/responses/input_tokens" }

// Read implements gate.Protocol.
func (c Count) Read(body []byte) (gate.Call, error) {
	call, err := c.Responses.Read(body)
	call.Counting, call.Stream = true, false
	return call, err
}

// Meter implements gate.Protocol.
func (Count) Meter(gate.Call) gate.Meter { return &gate.CountMeter{} }

// Counting implements gate.Counter.
func (Responses) Counting() gate.Protocol { return Count{} }

// CountBody implements gate.Counter.
func (Responses) CountBody(body []byte) []byte {
	return gate.Keep(body, "model", "input", "instructions", "tools", "tool_choice", "parallel_tool_calls", "text", "reasoning", "truncation")
}
