package anthropic

import "proofhouse/internal/gate"

// Generated implements gate.Meter. Of a block or a delta that is not known
// here every string counts as said.
func (m *meter) Generated() []gate.Piece {
	return m.text.Seek(func(root gate.Value) {
		of := gate.Field(root, "index").Index(0)
		switch typ, _ := gate.Field(root, "type").Text(); typ {
		case "content_block_start":
			m.block(of, gate.Field(root, "content_block"))
		case "content_block_delta":
			m.block(of, gate.Field(root, "delta"))
		case "message_start":
			m.content(gate.Field(root, "message"))
		default: // an answer that is no stream
			m.content(root)
		}
	})
}

func (m *meter) content(message gate.Value) {
	of := int64(0)
	for block := range gate.Elements(gate.Field(message, "content")) {
		m.block(of, block)
		of++
	}
}

func (m *meter) block(of int64, block gate.Value) {
	for key, v := range gate.Fields(block) {
		switch key {
		case "type", "id", "signature", "data", "citations", "citation", "tool_use_id":
			// Sealed, quoted from the input, or the protocol's own.
		case "thinking":
			m.text.Add(gate.Reasoned, of, 0, v)
		case "name", "partial_json":
			m.text.Add(gate.Called, of, 0, v)
		case "input": // of a stream it is {} and grows in partial_json
			if string(v.Raw) != "{}" {
				m.text.AddRaw(gate.Called, of, 0, v.Raw)
			}
		default:
			m.text.Add(gate.Said, of, 0, v)
		}
	}
}
