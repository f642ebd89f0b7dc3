package openai

import (
	"strings"

	"proofhouse/internal/gate"
)

// Generated implements gate.Meter. A chunk's delta and an answer's message
// have the same fields. Servers give more of them than the API reference
// (reasoning_content, reasoning, …): a string in an unknown one counts as said.
func (m *chatMeter) Generated() []gate.Piece {
	return m.text.Seek(func(gate.Value) {
		at := int64(0)
		for choice := range gate.Elements(m.choices) {
			of, message := at, gate.Value{}
			for key, v := range gate.Fields(choice) {
				switch key {
				case "index":
					of = v.Index(at)
				case "delta", "message":
					message = v
				}
			}
			m.message(of, message)
			at++
		}
	})
}

func (m *chatMeter) message(of int64, message gate.Value) {
	for key, v := range gate.Fields(message) {
		switch key {
		case "role", "name", "tool_call_id":
		case "content":
			m.text.Add(gate.Said, of, 0, v)
			part := int64(0)
			for p := range gate.Elements(v) {
				m.text.Add(gate.Said, of, part, gate.Field(p, "text"))
				part++
			}
		case "refusal":
			m.text.Add(gate.Said, of, 1, v)
		case "audio":
			m.text.Add(gate.Said, of, 2, gate.Field(v, "transcript"))
		case "reasoning_content":
			m.text.Add(gate.Reasoned, of, 0, v)
		case "reasoning": // some servers send both, so they are two texts
			m.text.Add(gate.Reasoned, of, 1, v)
		case "function_call":
			m.toolCall(of, -1, v)
		case "tool_calls":
			at := int64(0)
			for t := range gate.Elements(v) {
				part := gate.Field(t, "index").Index(at)
				m.toolCall(of, part, gate.Field(t, "function"))
				m.toolCall(of, part, gate.Field(t, "custom"))
				at++
			}
		default:
			m.text.Add(gate.Said, of, 3, v)
		}
	}
}

// toolCall adds a call of a tool, its name first wherever it stands.
func (m *chatMeter) toolCall(of, part int64, v gate.Value) {
	for _, key := range []string{"name", "arguments", "input"} {
		m.text.Add(gate.Called, of, part, gate.Field(v, key))
	}
}

// Generated implements gate.Meter. All events that grow a text are called
// …delta. Those that close a part, an item or the response hold its text once
// more; of them only that is taken which did not come in pieces.
func (m *responsesMeter) Generated() []gate.Piece {
	return m.text.Seek(func(root gate.Value) {
		typ, _ := gate.Field(root, "type").Text()
		of := gate.Field(root, "output_index").Index(0)
		switch {
		case strings.HasSuffix(typ, ".delta"):
			if typ == "response.audio.delta" {
				return // a sound
			}
			part, summary := gate.Field(root, "content_index").Index(0), gate.Field(root, "summary_index")
			if !summary.Null() {
				part = summaryPart(summary.Index(0))
			}
			t := gate.Thread{Kind: deltaKind(typ), Of: of, Part: part}
			m.grew(t)
			m.text.Add(t.Kind, t.Of, t.Part, gate.Field(root, "delta"))
		case typ == "response.output_item.done":
			m.item(of, gate.Field(root, "item"))
		case typ == "": // an answer that is no stream
			m.output(root)
		default:
			m.output(gate.Field(root, "response"))
		}
	})
}

func (m *responsesMeter) output(response gate.Value) {
	of := int64(0)
	for item := range gate.Elements(gate.Field(response, "output")) {
		m.item(of, item)
		of++
	}
}

// item adds what an output item holds and what did not come in pieces.
func (m *responsesMeter) item(of int64, item gate.Value) {
	typ, _ := gate.Field(item, "type").Text()
	kind := gate.Said
	if typ == "reasoning" {
		kind = gate.Reasoned
	}
	for _, list := range []string{"summary", "content"} {
		part := int64(0)
		for p := range gate.Elements(gate.Field(item, list)) {
			t := gate.Thread{Kind: kind, Of: of, Part: part}
			if list == "summary" {
				t.Part = summaryPart(part)
			}
			if !m.grown[t] {
				m.text.Add(t.Kind, t.Of, t.Part, gate.Field(p, "text"))
				m.text.Add(t.Kind, t.Of, t.Part, gate.Field(p, "refusal"))
				m.grew(t)
			}
			part++
		}
	}
	t := gate.Thread{Kind: gate.Called, Of: of}
	named := t
	named.Part = -1 // the events that grow a call do not name it
	if !m.grown[named] {
		m.text.Add(named.Kind, named.Of, named.Part, gate.Field(item, "name"))
		m.grew(named)
	}
	if !m.grown[t] {
		for _, key := range []string{"arguments", "input", "code"} {
			m.text.Add(t.Kind, t.Of, t.Part, gate.Field(item, key))
		}
		m.grew(t)
	}
}

func (m *responsesMeter) grew(t gate.Thread) {
	if m.grown == nil {
		m.grown = map[gate.Thread]bool{}
	}
	m.grown[t] = true
}

// summaryPart keeps the parts of a summary apart from those of the reasoning itself.
func summaryPart(n int64) int64 { return -1 - n }

func deltaKind(typ string) gate.TextKind {
	switch {
	case strings.Contains(typ, "reasoning"):
		return gate.Reasoned
	case strings.Contains(typ, "arguments"), strings.Contains(typ, "tool_call_input"), strings.Contains(typ, "_code"):
		return gate.Called
	}
	return gate.Said
}
