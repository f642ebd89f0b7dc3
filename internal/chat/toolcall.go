package chat

import (
	"bytes"
	"encoding/json"
	"strings"
)

// rawMax bounds what is kept of a call that makes no sense, in bytes.
const rawMax = 16 << 10

// NewToolCall is a call as a model wrote it. Arguments that are no JSON object
// give a call with a ParseError: that is the model's doing, and it is told.
// Models and servers that write "" or null for no arguments mean none.
func NewToolCall(id, function, arguments string) ToolCall {
	arguments = strings.ToValidUTF8(arguments, "\uFFFD") // what is no UTF-8 could not be sent back
	c := ToolCall{ID: id, Function: function, Arguments: json.RawMessage("{}")}
	trimmed := bytes.TrimSpace([]byte(arguments))
	switch {
	case len(trimmed) == 0 || string(trimmed) == "null":
		return c
	case !json.Valid(trimmed):
		c.ParseError = "the arguments are not valid JSON"
	case trimmed[0] != '{':
		c.ParseError = "the arguments are not a JSON object"
	default:
		var compact bytes.Buffer
		if json.Compact(&compact, trimmed) == nil {
			c.Arguments = compact.Bytes()
		}
		return c
	}
	c.Raw = arguments[:min(len(arguments), rawMax)]
	return c
}

// Said is what a tool's message tells the model: its text, or its error where
// it has none.
func (m Message) Said() string {
	if m.Text == "" && m.Error != nil {
		return m.Error.Message
	}
	return m.Text
}
