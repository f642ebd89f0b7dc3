package anthropic

import (
	"proofhouse/internal/chat"
	"proofhouse/internal/gate"
)

// Meter implements gate.Protocol.
func (Messages) Meter(gate.Call) gate.Meter { return &meter{} }

// meter follows "Streaming messages" of the Messages API: message_start has
// the input and a placeholder for the output, message_delta has what is used
// so far.
type meter struct {
	gate.Reported
	usage chat.Usage
	ok    bool
	input, output,
	doubt bool // counts were seen; a count was that cannot be true
	text gate.Pieces
}

// Usage implements gate.Meter.
func (m *meter) Usage() (chat.Usage, bool) { return m.usage, m.ok }

// Body implements gate.Meter.
func (m *meter) Body(body []byte, names gate.Names) []byte {
	root, ok := m.text.Document(body)
	if !ok {
		return body
	}
	m.take(gate.Field(root, "usage"), true)
	m.ok = m.known()
	return gate.ReplaceStrings(body, names.Code, m.Models(nil, root)...)
}

// Event implements gate.Meter.
func (m *meter) Event(event []byte, names gate.Names) []byte {
	e := gate.SplitSSE(event)
	root, ok := m.text.Document(e.Data)
	if !ok {
		return event
	}
	switch typ, _ := gate.Field(root, "type").Text(); typ {
	case "message_start":
		m.take(gate.Field(gate.Field(root, "message"), "usage"), false)
	case "message_delta":
		usage := gate.Field(root, "usage")
		m.take(usage, true)
		if usage.Kind() == '{' && gate.Field(gate.Field(root, "delta"), "stop_reason").Kind() == '"' {
			m.ok = m.known()
		}
	case "message_stop":
		m.ok = m.known()
	}
	var at []gate.Span
	for key, v := range gate.Fields(root) {
		switch key {
		case "model":
			at = m.Named(at, v)
		case "message":
			at = m.Models(at, v)
		}
	}
	for i := range at {
		at[i] = e.InEvent(at[i])
	}
	return gate.ReplaceStrings(event, names.Code, at...)
}

// known says that all that was used has been said. The placeholder of
// message_start does not count: it would charge one token for any answer.
func (m *meter) known() bool { return m.input && m.output && !m.doubt }

// take assigns the counts that usage has; final says that its output is no
// placeholder. If one cannot be true none is taken, and what was used remains
// in doubt until the output is told anew.
func (m *meter) take(usage gate.Value, final bool) {
	u := m.usage
	var input, output bool
	for key, v := range gate.Fields(usage) {
		var to *int64
		switch key {
		case "input_tokens":
			to = &u.Input
		case "cache_creation_input_tokens":
			to = &u.CacheWrite
		case "cache_read_input_tokens":
			to = &u.CacheRead
		case "output_tokens":
			to = &u.Output
		case "cache_creation":
			n, ok := gate.Field(v, "ephemeral_1h_input_tokens").Count()
			if ok {
				u.CacheWrite1h = n
			}
			continue // a part of what is counted above, and only its price differs
		}
		if to == nil || v.Null() {
			continue
		}
		n, ok := v.Count()
		if !ok {
			m.doubt = true
			return
		}
		*to = n
		input = input || key == "input_tokens"
		output = output || key == "output_tokens" && final
	}
	m.usage = u
	m.input = m.input || input
	m.output = m.output || output
	if output && input {
		m.doubt = false
	}
}
