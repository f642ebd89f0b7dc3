package openai

import (
	"proofhouse/internal/chat"
	"proofhouse/internal/gate"
)

// meter is what the meters of both protocols share.
type meter struct {
	gate.Reported
	usage chat.Usage
	ok    bool
	text  gate.Pieces
}

// Usage implements gate.Meter.
func (m *meter) Usage() (chat.Usage, bool) { return m.usage, m.ok }

// usageOf reads the usage object of the OpenAI API reference: prompt_tokens
// and completion_tokens in Chat Completions, input_tokens and output_tokens
// in Responses. What cannot be true is no usage.
func usageOf(v gate.Value, in, out string) (u chat.Usage, ok bool) {
	input, ok1 := gate.Field(v, in+"_tokens").Count()
	output, ok2 := gate.Field(v, out+"_tokens").Count()
	cached, ok3 := part(gate.Field(v, in+"_tokens_details"), "cached_tokens")
	reasoning, ok4 := part(gate.Field(v, out+"_tokens_details"), "reasoning_tokens")
	if !ok1 || !ok2 || !ok3 || !ok4 || cached > input || reasoning > output {
		return chat.Usage{}, false
	}
	return chat.Usage{Input: input - cached, CacheRead: cached, Output: output, Reasoning: reasoning}, true
}

func part(details gate.Value, name string) (int64, bool) {
	v := gate.Field(details, name)
	if v.Null() {
		return 0, true
	}
	return v.Count()
}
