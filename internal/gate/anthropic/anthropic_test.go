package anthropic

import (
	"net/http"
	"strings"
	"testing"

	"proofhouse/internal/chat"
	"proofhouse/internal/gate"
	"proofhouse/internal/proofhouse"
)

var (
	_ gate.Protocol = Messages{}
	_ gate.Meter    = (*meter)(nil)
)

var names = gate.Names{Real: "real-9", Code: "heron"}

// odd is valid in ways that a reader and writer of JSON would not keep.
const odd = `"zz":12345678901234567890,  "a" : 1.0 ,"e":1E+2,"u":"\u0041\ud83d\ude00","d":{"model":"x","model":"y"},"s":"\/"`

func TestReadRefuses(t *testing.T) {
	for _, c := range []struct{ body, sentence string }{
		{``, "not valid JSON"},
		{`[]`, "must be a JSON object"},
		{`{"max_tokens":1}`, `"model" must be`},
		{`{"model":["a"]}`, `"model" must be`},
		{`{"model":"a","model":"a"}`, `field "model" twice`},
		{`{"model":"a","mod\u0065l":"a"}`, `field "model" twice`},
		{`{"model":"a","modeL":"b"}`, `differs from "model" by case`},
		{`{"model":"a","Max_Tokens":1}`, `differs from "max_tokens" by case`},
		{`{"model":"a","max_tokens":0}`, `"max_tokens" must be a positive integer`},
		{`{"model":"a","max_tokens":1.0}`, `"max_tokens" must be a positive integer`},
		{`{"model":"a","max_tokens":"1"}`, `"max_tokens" must be a positive integer`},
		{`{"model":"a","max_tokens":12345678901234567890}`, `"max_tokens" must be a positive integer`},
		{`{"model":"a","max_tokens":1,"max_tokens":2}`, `field "max_tokens" twice`},
		{`{"model":"a","n":-1}`, `"n" must be a positive integer`},
		{`{"model":"a","best_of":true}`, `"best_of" must be a positive integer`},
		{`{"model":"a","stream":"yes"}`, `"stream" must be true or false`},
		{`{"model":"a","tools":[{"type":"custom","type":"web_search_20250305"}]}`, `a tool has the field "type" twice`},
		{`{"model":"a","tools":[{"type":"custom","Type":"web_search_20250305"}]}`, `a tool has a field that differs`},
		{`{"model":"a","tools":[{"type":["web_search_20250305"]}]}`, `"type" must be a string`},
		{`{"model":"a","tools":"x"}`, `"tools" must be an array`},
		{`{"model":"a","messages":"x"}`, `"messages" must be an array`},
	} {
		_, err := Messages{}.Read([]byte(c.body))
		if proofhouse.KindOf(err) != proofhouse.Invalid || !strings.Contains(proofhouse.PublicOf(err), c.sentence) {
			t.Errorf("%s: got %v, want %q", c.body, err, c.sentence)
		}
	}
}

func TestByRef(t *testing.T) {
	for _, c := range []struct{ fields, want string }{
		{`"messages":[{"role":"user","content":"file_id"}]`, ""},
		{`"messages":[{"content":[{"type":"image","source":{"type":"url","url":"https://h/x.png"}}]}]`, "url"},
		{`"messages":[{"content":[{"type":"image","Source":{"type":"url","Url":"https://h/x.png"}}]}]`, "url"},
		{`"messages":[{"content":[{"type":"tool_result","content":[{"type":"image","source":{"type":"url","url":"http://h"}}]}]}]`, "url"},
		{`"messages":[{"content":[{"type":"document","source":{"type":"file","file_id":"f"}}]}]`, "file_id"},
		{`"messages":[{"content":[{"type":"container_upload","file_id":"f"}]}]`, "file_id"},
		{`"messages":[{"content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AA"}}]}]`, ""},
		{`"messages":[{"content":[{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"AA"}}]}]`, "document"},
		{`"messages":[{"content":[{"type":"document","source":{"type":"text","media_type":"text/plain","data":"AA"}}]}]`, ""},
		{`"messages":[{"content":[{"type":"search_result","source":"https://h","content":[]}]}]`, ""},
		{`"messages":[{"content":[{"type":"tool_use","name":"f","input":{"file_id":"f","source":{"url":"https://h"}}}]}]`, ""},
		{`"tools":[{"name":"f","input_schema":{"properties":{"file_id":{"type":"string"}}}}]`, ""},
		{`"tools":[{"type":"bash_20250124","name":"bash"},{"type":"memory_20250818","name":"memory"}]`, ""},
		{`"tools":[{"type":"web_search_20250305","name":"web_search"}]`, "web_search_20250305"},
		{`"tools":[{"name":"f"},{"type":"web_fetch_20250910"}]`, "web_fetch_20250910"},
		{`"tools":[{"type":"code_execution_20250825"}]`, "code_execution_20250825"},
		{`"tools":[{"type":"mcp_toolset"}]`, "mcp_toolset"},
		{`"mcp_servers":[{"url":"https://h"}]`, "mcp_servers"},
		{`"mcp_servers":[]`, ""},
		{`"mcp_servers":null,"container":null`, ""},
		{`"container":"c_1"`, "container"},
		{`"context_management":{"edits":[{"type":"compact_20260112"}]}`, "context_management"},
		{`"context_management":{"edits":[{"type":"clear_tool_uses_20250919"}]}`, ""},
		{`"metadata":{"file_id":"x"}`, ""},
		{`"compaction":{"type":"enabled"}`, "context_management"},
	} {
		got, err := Messages{}.Read([]byte(`{"model":"m",` + c.fields + `}`))
		if err != nil || got.ByRef != c.want {
			t.Errorf("%s: got %q, %v; want %q", c.fields, got.ByRef, err, c.want)
		}
	}
}

func TestRead(t *testing.T) {
	for _, c := range []struct {
		fields string
		more   int64 // input tokens beyond the bytes
		n, cap int64
		tools  string
	}{
		{`"max_tokens":null`, 1024, 1, 0, ""},
		{`"max_tokens":32000,"stream":true`, 1024, 1, 32000, ""},
		{`"n":2,"best_of":3`, 1024, 3, 0, ""},
		{`"messages":[{"role":"user","content":"a,[{"},{}],"tools":[{"name":"f"},{"type":"custom","name":"g"}]`, 1024 + 4*64, 1, 0, "f g"},
		{`"tools":[{"type":"bash_20250124","name":"bash"}]`, 1024 + 64 + 1024, 1, 0, "bash_20250124"},
		{`"messages":[{"content":[{"type":"image","source":{"type":"base64","data":"AA"}},{"type":"document","source":{"type":"text","data":"AA"}}]}]`, 1024 + 64 + 2*8192, 1, 0, ""},
		{`"messages":[{"content":[{"type":"search_result","source":"x"}]}]`, 1024 + 64, 1, 0, ""},
	} {
		body := ` { "model" : "m\u00e9",` + odd + `,` + c.fields + `}`
		got, err := Messages{}.Read([]byte(body))
		if err != nil {
			t.Errorf("%s: %v", body, err)
			continue
		}
		if got.Inputs != int64(len(body))+c.more || got.Outputs != c.n || got.OutputCap != c.cap || strings.Join(got.Tools, " ") != c.tools {
			t.Errorf("%s: got %+v", body, got)
		}
		at := got.ModelAt
		if got.Model != "mé" || body[at.At:at.At+at.Len] != `"m\u00e9"` || got.CapField != "max_tokens" || got.Switch != nil || got.HideUsage {
			t.Errorf("%s: got %+v", body, got)
		}
	}
}

func TestBody(t *testing.T) {
	for _, c := range []struct {
		in, out string
		usage   chat.Usage
		ok      bool
		model   string
	}{
		{in: "overloaded"},
		{in: `{"type":"error","error":{"type":"overloaded_error","message":"x"}}`},
		{in: `{"usage":{"input_tokens":-1,"output_tokens":2}}`},
		{in: `{"usage":{"input_tokens":1,"output_tokens":1099511627777}}`},
		{in: `{"usage":{"output_tokens":1}}`, usage: chat.Usage{Output: 1}},
		{
			in:    `{"model":"real-9-20260101",` + odd + `,"usage":{"input_tokens":1,"cache_creation_input_tokens":2,"cache_read_input_tokens":3,"output_tokens":4}}`,
			out:   `{"model":"heron",` + odd + `,"usage":{"input_tokens":1,"cache_creation_input_tokens":2,"cache_read_input_tokens":3,"output_tokens":4}}`,
			usage: chat.Usage{Input: 1, CacheWrite: 2, CacheRead: 3, Output: 4}, ok: true, model: "real-9-20260101",
		},
		{ // for an hour, a part
			in:    `{"model":"real-9","usage":{"input_tokens":1,"cache_creation_input_tokens":5,"cache_creation":{"ephemeral_5m_input_tokens":2,"ephemeral_1h_input_tokens":3},"output_tokens":4}}`,
			out:   `{"model":"heron","usage":{"input_tokens":1,"cache_creation_input_tokens":5,"cache_creation":{"ephemeral_5m_input_tokens":2,"ephemeral_1h_input_tokens":3},"output_tokens":4}}`,
			usage: chat.Usage{Input: 1, CacheWrite: 5, CacheWrite1h: 3, Output: 4}, ok: true, model: "real-9",
		},
		{ // for how long is not told
			in:    `{"model":"real-9","usage":{"input_tokens":1,"cache_creation_input_tokens":5,"cache_creation":null,"output_tokens":4}}`,
			out:   `{"model":"heron","usage":{"input_tokens":1,"cache_creation_input_tokens":5,"cache_creation":null,"output_tokens":4}}`,
			usage: chat.Usage{Input: 1, CacheWrite: 5, Output: 4}, ok: true, model: "real-9",
		},
	} {
		if c.out == "" {
			c.out = c.in
		}
		m := Messages{}.Meter(gate.Call{})
		if got := string(m.Body([]byte(c.in), names)); got != c.out {
			t.Errorf("got  %s\nwant %s", got, c.out)
		}
		if u, ok := m.Usage(); u != c.usage || ok != c.ok || m.Model() != c.model {
			t.Errorf("%s: got %+v %v %q", c.in, u, ok, m.Model())
		}
	}
}

const start = "event: message_start\r\ndata: {\"type\":\"message_start\", \"message\":{\"model\":\"real-9-1\"," + odd +
	",\"usage\":{\"input_tokens\":10,\"cache_creation_input_tokens\":2,\"cache_read_input_tokens\":3,\"output_tokens\":1}}}\r\n\r\n"

func delta(rest string) string {
	return "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{" + rest + "}\n\n"
}

func TestStream(t *testing.T) {
	type step struct {
		in    string
		usage chat.Usage
		ok    bool
	}
	begun := chat.Usage{Input: 10, CacheWrite: 2, CacheRead: 3, Output: 1}
	with := func(out int64) chat.Usage { u := begun; u.Output = out; return u }
	const stop = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"
	for name, steps := range map[string][]step{
		"cut": {{start, begun, false}, {"event: ping\ndata: {\"type\": \"ping\"}\n\n", begun, false}, {"event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"x\"}}\n\n", begun, false}},
		"cumulative": {
			{start, begun, false},
			{delta(`"stop_reason":null},"usage":{"output_tokens":7}`), with(7), false},
			{delta(`"stop_reason":"end_turn"},"usage":{"output_tokens":9,"cache_read_input_tokens":null}`), with(9), true},
			{stop, with(9), true},
		},
		"stop alone says nothing": {{start, begun, false}, {stop, begun, false}},
		"stop after a delta":      {{start, begun, false}, {delta(`},"usage":{"output_tokens":7}`), with(7), false}, {stop, with(7), true}},
		"input in the delta": {
			{delta(`"stop_reason":"end_turn"},"usage":{"input_tokens":8,"output_tokens":9}`), chat.Usage{Input: 8, Output: 9}, true},
		},
		"no input": {{delta(`"stop_reason":"end_turn"},"usage":{"output_tokens":9}`), chat.Usage{Output: 9}, false}},
		"absurd": {
			{start, begun, false},
			{delta(`"stop_reason":null},"usage":{"output_tokens":7}`), with(7), false},
			{delta(`"stop_reason":"end_turn"},"usage":{"output_tokens":-9}`), with(7), false},
			{stop, with(7), false},
		},
	} {
		m := Messages{}.Meter(gate.Call{})
		for _, s := range steps {
			want := strings.Replace(s.in, "real-9-1", "heron", 1)
			if got := string(m.Event([]byte(s.in), names)); got != want {
				t.Errorf("%s: got  %q\nwant %q", name, got, want)
			}
			if u, ok := m.Usage(); u != s.usage || ok != s.ok {
				t.Errorf("%s: after %q: got %+v %v, want %+v %v", name, s.in, u, ok, s.usage, s.ok)
			}
		}
	}
}

func TestRefuseAndCut(t *testing.T) {
	for why, want := range map[gate.Reason]string{
		gate.BadRequest: "invalid_request_error", gate.TooLarge: "request_too_large", gate.BadKey: "authentication_error",
		gate.NotInTime: "permission_error", gate.Revoked: "permission_error", gate.UnknownModel: "not_found_error",
		gate.Spent: "rate_limit_error", gate.Busy: "rate_limit_error", "upstream_unavailable": "api_error",
	} {
		r := gate.Refusal{Reason: why, Message: "a \"b\"\n"}
		body := `{"type":"error","error":{"type":"` + want + `","message":"a \"b\"\n"}}`
		if got := string(Messages{}.Refuse(r)); got != body {
			t.Errorf("got  %s\nwant %s", got, body)
		}
		if got := string(Messages{}.Cut(r)); got != "event: error\ndata: "+body+"\n\n" {
			t.Errorf("got %q", got)
		}
	}
}

func TestKey(t *testing.T) {
	for _, c := range []struct{ x, auth, want string }{
		{"", "", ""},
		{"", "Basic abc", ""},
		{"k1", "", "k1"},
		{"", "Bearer k2", "k2"},
		{"k1", "Bearer k2", "k1"},
	} {
		h := http.Header{"Authorization": {c.auth}, "X-Api-Key": {c.x}, "Anthropic-Beta": {"b"}}
		if got := (Messages{}).Key(h); got != c.want || len(h) != 1 {
			t.Errorf("%+v: got %q, left %v", c, got, h)
		}
	}
	h := http.Header{"Authorization": {"Bearer caller's"}}
	Messages{}.Credential(h, "up")
	if h.Get("X-Api-Key") != "up" || len(h) != 1 {
		t.Errorf("got %v", h)
	}
}
