package anthropic

import (
	"fmt"
	"testing"

	"proofhouse/internal/gate"
)

func TestGenerated(t *testing.T) {
	for _, c := range []struct{ name, doc, want string }{
		{"text", `{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"a\u0041\n"}}`, "said 1 0 aA\n\n"},
		{"thinking", `{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"t"}}`, "reasoned 0 0 t\n"},
		{"a signature", `{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"s"}}`, ""},
		{"a quotation", `{"type":"content_block_delta","index":0,"delta":{"type":"citations_delta","citation":{"cited_text":"c"}}}`, ""},
		{"the start of a call", `{"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"i","name":"f","input":{}}}`, "called 2 0 f\n"},
		{"its arguments", `{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{\"a\""}}`, "called 2 0 {\"a\"\n"},
		{"a block that starts with text", `{"type":"content_block_start","index":0,"content_block":{"type":"text","text":"b"}}`, "said 0 0 b\n"},
		{"a delta that nobody knows", `{"type":"content_block_delta","index":0,"delta":{"type":"zz","zz":"n"}}`, "said 0 0 n\n"},
		{"a message that starts with text", `{"type":"message_start","message":{"content":[{"type":"text","text":"b"}]}}`, "said 0 0 b\n"},
		{"an answer that is no stream", `{"id":"m","content":[{"type":"thinking","thinking":"t","signature":"s"},{"type":"redacted_thinking","data":"d"},{"type":"text","text":"a","citations":[]},{"type":"tool_use","id":"i","name":"f","input":{"a":1}}]}`, "reasoned 0 0 t\nsaid 2 0 a\ncalled 3 0 f\ncalled 3 0 {\"a\":1}\n"},
		{"the end", `{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":1}}`, ""},
		{"broken", `{"type":"content_block_delta","delta":{"text":"a"}`, ""},
	} {
		m := Messages{}.Meter(gate.Call{})
		m.Event([]byte("event: x\ndata: "+c.doc+"\n\n"), names)
		m.Generated() // whoever else needs the text has asked already
		got := ""
		for _, p := range m.Generated() {
			got += fmt.Sprintf("%s %d %d %s\n", p.Thread.Kind, p.Thread.Of, p.Thread.Part, p.Text)
		}
		if got != c.want {
			t.Errorf("%s: got\n%swant\n%s", c.name, got, c.want)
		}
	}
}
