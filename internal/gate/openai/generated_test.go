package openai

import (
	"fmt"
	"testing"

	"proofhouse/internal/gate"
)

// generated is all that m finds in docs, a line for each piece. It asks twice, as two who need the text would.
func generated(m gate.Meter, docs ...string) (s string) {
	for _, doc := range docs {
		m.Event([]byte("data: "+doc+"\n\n"), names)
		m.Generated()
		for _, p := range m.Generated() {
			s += fmt.Sprintf("%s %d %d %s\n", p.Thread.Kind, p.Thread.Of, p.Thread.Part, p.Text)
		}
	}
	return s
}

func TestChatGenerated(t *testing.T) {
	for _, c := range []struct{ name, doc, want string }{
		{"two choices", `{"choices":[{"index":1,"delta":{"role":"assistant","content":"a\u0041\n"}},{"index":0,"delta":{"content":"b"}}]}`, "said 1 0 aA\n\nsaid 0 0 b\n"},
		{"reasoning, under either name", `{"choices":[{"index":0,"delta":{"reasoning_content":"r","reasoning":"r","content":null}}]}`, "reasoned 0 0 r\nreasoned 0 1 r\n"},
		{"parallel calls", `{"choices":[{"index":0,"delta":{"tool_calls":[{"index":2,"id":"x","function":{"arguments":"{\"a\"","name":"f"}},{"index":3,"custom":{"name":"g","input":"i"}}]}}]}`, "called 0 2 f\ncalled 0 2 {\"a\"\ncalled 0 3 g\ncalled 0 3 i\n"},
		{"an old call", `{"choices":[{"delta":{"function_call":{"name":"f","arguments":"{}"}}}]}`, "called 0 -1 f\ncalled 0 -1 {}\n"},
		{"a refusal and a field that nobody knows", `{"choices":[{"delta":{"refusal":"no","zz":"more"}}]}`, "said 0 1 no\nsaid 0 3 more\n"},
		{"an answer that is no stream", `{"choices":[{"message":{"role":"assistant","content":"a"}},{"message":{"content":[{"type":"text","text":"p"},{"type":"text","text":"q"}],"audio":{"id":"i","data":"AA","transcript":"t"}}}]}`, "said 0 0 a\nsaid 1 0 p\nsaid 1 1 q\nsaid 1 2 t\n"},
		{"usage", `{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}`, ""},
		{"the end", `[DONE]`, ""},
		{"broken", `{"choices":[{"delta":{"content":"a"}}`, ""},
	} {
		if got := generated(Chat{}.Meter(gate.Call{Outputs: 2, HideUsage: true}), c.doc); got != c.want {
			t.Errorf("%s: got\n%swant\n%s", c.name, got, c.want)
		}
	}
}

func TestResponsesGenerated(t *testing.T) {
	const done = `{"type":"response.completed","response":{"output":[` +
		`{"type":"reasoning","summary":[{"type":"summary_text","text":"s"}],"content":[{"type":"reasoning_text","text":"r"}]},` +
		`{"type":"message","content":[{"type":"output_text","text":"hello"},{"type":"refusal","refusal":"no"}]},` +
		`{"type":"function_call","name":"f","arguments":"{}"}]}}`
	const all = "reasoned 0 -1 s\nreasoned 0 0 r\nsaid 1 0 hello\nsaid 1 1 no\ncalled 2 -1 f\ncalled 2 0 {}\n"
	for _, c := range []struct {
		name string
		docs []string
		want string
	}{
		{"only the end", []string{done}, all},
		{"no stream", []string{done[len(`{"type":"response.completed","response":`) : len(done)-1]}, all},
		{"pieces, then the end", []string{
			`{"type":"response.output_item.added","output_index":0,"item":{"type":"reasoning","summary":[]}}`,
			`{"type":"response.reasoning_summary_text.delta","output_index":0,"summary_index":0,"delta":"s"}`,
			`{"type":"response.reasoning_text.delta","output_index":0,"content_index":0,"delta":"r"}`,
			`{"type":"response.output_text.delta","output_index":1,"content_index":0,"delta":"hel"}`,
			`{"type":"response.output_text.delta","output_index":1,"content_index":0,"delta":"lo"}`,
			`{"type":"response.output_text.done","output_index":1,"content_index":0,"text":"hello"}`,
			`{"type":"response.refusal.delta","output_index":1,"content_index":1,"delta":"no"}`,
			`{"type":"response.function_call_arguments.delta","output_index":2,"delta":"{}"}`,
			`{"type":"response.output_item.done","output_index":2,"item":{"type":"function_call","name":"f","arguments":"{}"}}`,
			done,
		}, "reasoned 0 -1 s\nreasoned 0 0 r\nsaid 1 0 hel\nsaid 1 0 lo\nsaid 1 1 no\ncalled 2 0 {}\ncalled 2 -1 f\n"},
		{"an item's end alone", []string{`{"type":"response.output_item.done","output_index":1,"item":{"type":"message","content":[{"type":"output_text","text":"hello"}]}}`}, "said 1 0 hello\n"},
		{"a sound", []string{`{"type":"response.audio.delta","delta":"AAAA"}`, `{"type":"response.audio.transcript.delta","delta":"t"}`}, "said 0 0 t\n"},
		{"other tools", []string{
			`{"type":"response.custom_tool_call_input.delta","output_index":1,"delta":"i"}`,
			`{"type":"response.code_interpreter_call_code.delta","output_index":2,"delta":"c"}`,
			`{"type":"response.new_thing.delta","output_index":3,"delta":"n"}`,
		}, "called 1 0 i\ncalled 2 0 c\nsaid 3 0 n\n"},
	} {
		if got := generated(Responses{}.Meter(gate.Call{}), c.docs...); got != c.want {
			t.Errorf("%s: got\n%swant\n%s", c.name, got, c.want)
		}
	}
}
