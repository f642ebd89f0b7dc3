package anthropic

import "proofhouse/internal/gate"

// Count is the Messages API's counting of tokens: POST
// /v1/messages/count_tokens. Who may use Messages may use it.
type Count struct{ Messages }

// Path is that of the Messages API.
func (Count) Path() string { return "/v1/messages/count_tokens" }

// Read implements gate.Protocol.
func (c Count) Read(body []byte) (gate.Call, error) {
	call, err := c.Messages.Read(body)
	call.Counting, call.Stream = true, false
	return call, err
}

// Meter implements gate.Protocol.
func (Count) Meter(gate.Call) gate.Meter { return &gate.CountMeter{} }

// Counting implements gate.Counter.
func (Messages) Counting() gate.Protocol { return Count{} }

// CountBody implements gate.Counter. The endpoint refuses fields that it does
// not know, max_tokens among them.
func (Messages) CountBody(body []byte) []byte {
	return gate.Keep(body, "model", "messages", "system", "tools", "tool_choice", "thinking", "cache_control", "output_config", "output_format")
}
