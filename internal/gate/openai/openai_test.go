package openai

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"proofhouse/internal/chat"
	"proofhouse/internal/gate"
	"proofhouse/internal/proofhouse"
)

var (
	_ gate.Protocol = Chat{}
	_ gate.Protocol = Responses{}
	_ gate.Meter    = (*chatMeter)(nil)
	_ gate.Meter    = (*responsesMeter)(nil)
)

var names = gate.Names{Real: "real-9", Code: "heron"}

func TestReadRefuses(t *testing.T) {
	deep := `{"model":"m","x":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `}`
	both := []struct{ body, sentence string }{
		{``, "not valid JSON"},
		{`{"model":"m"`, "not valid JSON"},
		{`{"model":"m"} {}`, "not valid JSON"},
		{"\ufeff" + `{"model":"m"}`, "not valid JSON"},
		{"{\"model\":\"m\",\"mod\xffel\":1}", "not valid JSON"},
		{deep, "nested deeper"},
		{`["model"]`, "must be a JSON object"},
		{`{}`, `"model" must be`},
		{`{"model":null}`, `"model" must be`},
		{`{"model":7}`, `"model" must be`},
		{`{"model":""}`, `"model" must be`},
		{`{"model":"a","model":"b"}`, `field "model" twice`},
		{`{"model":"a","mod\u0065l":"b"}`, `field "model" twice`},
		{`{"Model":"a"}`, `differs from "model" by case`},
		{`{"model":"a","MODEL":"b"}`, `differs from "model" by case`},
		{`{"model":"a","\u017ftream":true}`, `differs from "stream" by case`},
		{`{"model":"a","stream":1}`, `"stream" must be true or false`},
		{`{"model":"a","stream":"true"}`, `"stream" must be true or false`},
		{`{"model":"a","stream":true,"stream":false}`, `field "stream" twice`},
		{`{"model":"a","stream_options":[]}`, `"stream_options" must be an object`},
		{`{"model":"a","n":0}`, `"n" must be a positive integer`},
		{`{"model":"a","n":-1}`, `"n" must be a positive integer`},
		{`{"model":"a","n":1.0}`, `"n" must be a positive integer`},
		{`{"model":"a","n":1e1}`, `"n" must be a positive integer`},
		{`{"model":"a","n":2147483648}`, `"n" must be a positive integer`},
		{`{"model":"a","n":"2"}`, `"n" must be a positive integer`},
		{`{"model":"a","n":12345678901234567890}`, `"n" must be a positive integer`},
		{`{"model":"a","best_of":0.5}`, `"best_of" must be a positive integer`},
		{`{"model":"a","tools":{}}`, `"tools" must be an array`},
	}
	for _, c := range both {
		wantInvalid(t, Chat{}, c.body, c.sentence)
		wantInvalid(t, Responses{}, c.body, c.sentence)
	}
	for _, c := range []struct{ body, sentence string }{
		{`{"model":"a","max_tokens":0}`, `"max_tokens" must be a positive integer`},
		{`{"model":"a","max_tokens":10,"max_completion_tokens":-1}`, `"max_completion_tokens" must be a positive integer`},
		{"{\"model\":\"a\",\"max_to\u212aens\":5}", `differs from "max_tokens" by case`},
		{`{"model":"a","tools":[{"type":"function","type":"web_search"}]}`, `a tool has the field "type" twice`},
		{`{"model":"a","tools":[{"type":"function","function":{"name":"f","name":"g"}}]}`, `a tool has the field "name" twice`},
		{`{"model":"a","messages":{}}`, `"messages" must be an array`},
		{`{"model":"a","stream":true,"stream_options":{"include_usage":1}}`, `"stream_options.include_usage" must be`},
		{`{"model":"a","stream":true,"stream_options":{"include_usage":true,"include_usage":false}}`, `stream_options has the field "include_usage" twice`},
		{`{"model":"a","stream":true,"stream_options":{"Include_Usage":false}}`, `stream_options has a field that differs`},
	} {
		wantInvalid(t, Chat{}, c.body, c.sentence)
	}
	for _, c := range []struct{ body, sentence string }{
		{`{"model":"a","max_output_tokens":1.5}`, `"max_output_tokens" must be a positive integer`},
		{`{"model":"a","input":7}`, `"input" must be`},
		{`{"model":"a","input":[{"type":"item_reference","type":"message","role":"user"}]}`, `the input has the field "type" twice`},
		{`{"model":"a","input":[{"type":"message","role":"user","Type":"reasoning"}]}`, `the input has a field that differs`},
		{`{"model":"a","tools":[{"type":"function","Type":"mcp"}]}`, `a tool has a field that differs`},
		{`{"model":"a","tools":[{"type":"namespace","tools":[{"type":"function","type":"mcp"}]}]}`, `a tool has the field "type" twice`},
		{`{"model":"a","background":"yes"}`, `"background" must be`},
	} {
		wantInvalid(t, Responses{}, c.body, c.sentence)
	}
}

func wantInvalid(t *testing.T, p gate.Protocol, body, sentence string) {
	t.Helper()
	_, err := p.Read([]byte(body))
	if proofhouse.KindOf(err) != proofhouse.Invalid || !strings.Contains(proofhouse.PublicOf(err), sentence) {
		t.Errorf("%s: %.80q: got %v, want %q", p.Name(), body, err, sentence)
	}
}

func TestByRef(t *testing.T) {
	for _, c := range []struct{ fields, want string }{
		{`"messages":[{"role":"user","content":"file_id"}]`, ""},
		{`"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://h/x.png"}}]}]`, "image_url"},
		{`"messages":[{"role":"user","content":[{"type":"image_url","Image_URL":{"URL":"HTTP://h/x.png"}}]}]`, "image_url"},
		{`"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"file:///etc/x"}}]}]`, "image_url"},
		{`"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,AA"}}]}]`, ""},
		{`"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:,","url":"https://h"}}]}]`, "image_url"},
		{`"messages":[{"role":"user","content":[{"type":"video_url","video_url":{"url":"https://h/x"}}]}]`, "video_url"},
		{`"messages":[{"role":"user","content":[{"type":"file","file":{"file_id":"f"}}]}]`, "file_id"},
		{`"messages":[{"role":"user","content":[{"type":"file","file":{"file\u005fid":"f"}}]}]`, "file_id"},
		{`"messages":[{"role":"user","content":[{"type":"file","file":{"file_id":null,"file_data":"AA"}}]}]`, "file_data"},
		{`"messages":[{"role":"assistant","audio":{"id":"audio_1"}}]`, "audio.id"},
		{`"messages":[{"role":"user","content":[{"type":"video_url","video_url":{"url":"data:video/mp4;base64,AA"}}]}]`, "video_url"},
		{`"chat_template":"{% for i in range(9999) %}x{% endfor %}"`, "chat_template"},
		{`"mm_processor_kwargs":{"max_pixels":1}`, "mm_processor_kwargs"},
		{`"chat_template_kwargs":{"enable_thinking":false}`, ""},
		{`"tools":[{"function":{"name":"f"}}]`, ""},
		{`"tools":[{"name":"f"}]`, "tools"},
		{`"web_search_options":{}`, "web_search_options"},
		{`"web_search_options":null`, ""},
		{`"tools":[{"type":"function","function":{"name":"f","parameters":{"properties":{"file_id":{"type":"string"}}}}}]`, ""},
		{`"tools":[{"type":"web_search"}]`, "web_search"},
		{`"metadata":{"file_id":"x"}`, ""},
	} {
		wantRef(t, Chat{}, c.fields, c.want)
	}
	for _, c := range []struct{ fields, want string }{
		{`"input":"text"`, ""},
		{`"input":[{"role":"user","content":[{"type":"input_image","image_url":"https://h/x.png"}]}]`, "image_url"},
		{`"input":[{"role":"user","content":[{"type":"input_image","image_url":"data:image/png;base64,AA"}]}]`, ""},
		{`"input":[{"role":"user","content":[{"type":"input_file","file_url":"http://h/x.pdf"}]}]`, "file_url"},
		{`"input":[{"role":"user","content":[{"type":"input_file","file_id":"f"}]}]`, "file_id"},
		{`"input":[{"type":"item_reference","id":"msg_1"}]`, "item_reference"},
		{`"input":[{"id":"msg_1"}]`, "item_reference"},
		{`"input":[{"type":null,"id":"msg_1"}]`, "item_reference"},
		{`"input":[{"type":"reasoning","id":"rs_1","summary":[]}]`, "reasoning"},
		{`"input":[{"type":"reasoning","id":"rs_1","encrypted_content":"gAAA"}]`, ""},
		{`"input":[{"type":"image_generation_call","id":"ig_1"}]`, "image_generation_call"},
		{`"input":[{"type":"function_call","name":"f","arguments":"{}"}]`, ""},
		{`"previous_response_id":"resp_1"`, "previous_response_id"},
		{`"previous_response_id":null`, ""},
		{`"conversation":{"id":"c"}`, "conversation"},
		{`"prompt":{"id":"pmpt_1"}`, "prompt"},
		{`"background":true`, "background"},
		{`"background":false`, ""},
		{`"tools":[{"type":"function","name":"f"},{"type":"web_search_preview"}]`, "web_search_preview"},
		{`"tools":[{"type":"file_search","vector_store_ids":["v"]}]`, "file_search"},
		{`"tools":[{"type":"code_interpreter","container":{"type":"auto"}}]`, "code_interpreter"},
		{`"tools":[{"type":"computer_use_preview"}]`, "computer_use_preview"},
		{`"tools":[{"type":"mcp","server_url":"https://h"}]`, "mcp"},
		{`"tools":[{"type":"image_generation"}]`, "image_generation"},
		{`"tools":[{"type":"namespace","tools":[{"type":"function","name":"g"},{"type":"mcp"}]}]`, "mcp"},
		{`"tools":[{"type":"function","name":"f","parameters":{"properties":{"image_url":"https://h"}}}]`, ""},
	} {
		wantRef(t, Responses{}, c.fields, c.want)
	}
}

func wantRef(t *testing.T, p gate.Protocol, fields, want string) {
	t.Helper()
	c, err := p.Read([]byte(`{"model":"m",` + fields + `}`))
	if err != nil || c.ByRef != want {
		t.Errorf("%s: %s: got %q, %v; want %q", p.Name(), fields, c.ByRef, err, want)
	}
}

func TestReadBounds(t *testing.T) {
	for _, c := range []struct {
		p      gate.Protocol
		fields string
		more   int64 // input tokens beyond the bytes
		n, cap int64
		tools  string
	}{
		{Chat{}, `"messages":[]`, 1024, 1, 0, ""},
		{Chat{}, `"n":null,"max_tokens":null`, 1024, 1, 0, ""},
		{Chat{}, `"n":3,"best_of":2,"max_tokens":7,"max_completion_tokens":9`, 1024, 3, 9, ""},
		{Chat{}, `"n":3,"best_of":5,"max_tokens":10,"max_completion_tokens":9`, 1024, 5, 10, ""},
		{Chat{}, `"messages":[{"role":"user","content":"a,[{"},{}],"tools":[{"type":"function","function":{"name":"f"}},{"type":"custom","custom":{"name":"g"}}]`, 1024 + 4*64, 1, 0, "f g"},
		{Chat{}, `"functions":[{"name":"old"}]`, 1024 + 64, 1, 0, "old"},
		{Chat{}, `"messages":[{"content":[{"type":"image_url","image_url":{"url":"data:,"}},{"type":"input_audio","input_audio":{"data":"AA"}}]}]`, 1024 + 64 + 2*8192, 1, 0, ""},
		{Chat{}, `"messages":[{"content":[{"type":"image_url","image_url":null,"uuid":"x"}]}]`, 1024 + 64 + 8192, 1, 0, ""},
		{Responses{}, `"input":"x","max_output_tokens":12`, 1024, 1, 12, ""},
		{Responses{}, `"input":[{"role":"user","content":[{"type":"input_image","image_url":"data:,"}]}],"tools":[{"type":"function","name":"f"},{"type":"namespace","tools":[{"type":"custom","name":"g"}]}]`, 1024 + 4*64 + 8192, 1, 0, "f g"},
	} {
		body := `{"model":"m",` + c.fields + `}`
		got, err := c.p.Read([]byte(body))
		if err != nil {
			t.Errorf("%s: %v", body, err)
			continue
		}
		if got.Inputs != int64(len(body))+c.more || got.Outputs != c.n || got.OutputCap != c.cap || strings.Join(got.Tools, " ") != c.tools {
			t.Errorf("%s: got %+v", body, got)
		}
	}
	if c, _ := (Chat{}).Read([]byte(`{"model":"m"}`)); c.CapField != "max_completion_tokens" {
		t.Errorf("chat: cap field %q", c.CapField)
	}
	if c, _ := (Responses{}).Read([]byte(`{"model":"m"}`)); c.CapField != "max_output_tokens" {
		t.Errorf("responses: cap field %q", c.CapField)
	}
}

// odd is valid in ways that a reader and writer of JSON would not keep.
const odd = `"zz":12345678901234567890,  "a" : 1.0 ,"e":1E+2,"u":"\u0041\ud83d\ude00","d":{"model":"x","model":"y"},"s":"\/"`

func TestReadSplices(t *testing.T) {
	for _, c := range []struct{ body, want string }{
		{` { "model" : "m\u00e9" , ` + odd + "}\n", ` { "model" : "heron" , ` + odd + "}\n"},
		{`{"x":{"model":"no"},"mod\u0065l":"m","stream":false,"stream_options":{"include_usage":false}}`, `{"x":{"model":"no"},"mod\u0065l":"heron","stream":false,"stream_options":{"include_usage":false}}`},
		{"{\t\"model\":\"m\",\"stream\":true," + odd + "}", `{"stream_options":{"include_usage":true},` + "\t\"model\":\"heron\",\"stream\":true," + odd + "}"},
		{`{"stream":true,"stream_options": { } ,"model":"m"}`, `{"stream":true,"stream_options": {"include_usage":true } ,"model":"heron"}`},
		{`{"stream":true,"stream_options":null,"model":"m"}`, `{"stream":true,"stream_options":{"include_usage":true},"model":"heron"}`},
		{`{"stream":true,"stream_options":{"x":1.0},"model":"m"}`, `{"stream":true,"stream_options":{"include_usage":true,"x":1.0},"model":"heron"}`},
		{`{"stream":true,"stream_options":{"x":1.0, "include\u005fusage" : false},"model":"m"}`, `{"stream":true,"stream_options":{"x":1.0, "include\u005fusage" : true},"model":"heron"}`},
		{`{"stream":true,"stream_options":{"include_usage":null},"model":"m"}`, `{"stream":true,"stream_options":{"include_usage":true},"model":"heron"}`},
		{`{"stream":true,"stream_options":{"include_usage":true},"model":"m"}`, `{"stream":true,"stream_options":{"include_usage":true},"model":"heron"}`},
	} {
		call, err := (Chat{}).Read([]byte(c.body))
		if err != nil {
			t.Errorf("%s: %v", c.body, err)
			continue
		}
		if got := splice([]byte(c.body), call, "heron"); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
		if (call.Switch != nil) != call.HideUsage {
			t.Errorf("%s: HideUsage %v with switch %v", c.body, call.HideUsage, call.Switch)
		}
	}
	call, err := (Responses{}).Read([]byte(`{"model":"m","stream":true}`))
	if err != nil || call.Switch != nil || call.HideUsage || !call.Stream {
		t.Errorf("responses: got %+v, %v", call, err)
	}
}

func splice(body []byte, c gate.Call, model string) string {
	quoted, _ := json.Marshal(model)
	at := []gate.Splice{{Span: c.ModelAt, With: quoted}}
	if c.Switch != nil {
		at = append(at, *c.Switch)
	}
	slices.SortFunc(at, func(a, b gate.Splice) int { return b.At - a.At })
	out := string(body)
	for _, s := range at {
		out = out[:s.At] + string(s.With) + out[s.At+s.Len:]
	}
	return out
}

func TestBody(t *testing.T) {
	for _, c := range []struct {
		p             gate.Protocol
		in, out       string
		usage         chat.Usage
		ok            bool
		reportedModel string
	}{
		{p: Chat{}, in: "<html>real-9</html>"},
		{p: Chat{}, in: ""},
		{p: Chat{}, in: `{"error":{"message":"no","type":"x","param":null,"code":null}}`},
		{p: Chat{}, in: `{"usage":{"prompt_tokens":-1,"completion_tokens":2}}`},
		{p: Chat{}, in: `{"usage":{"prompt_tokens":1,"completion_tokens":1099511627777}}`},
		{p: Chat{}, in: `{"usage":{"prompt_tokens":1.5,"completion_tokens":2}}`},
		{p: Chat{}, in: `{"usage":{"prompt_tokens":1,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":2}}}`},
		{p: Chat{}, in: `{"usage":{"prompt_tokens":1,"completion_tokens":2,"completion_tokens_details":{"reasoning_tokens":-2}}}`},
		{p: Chat{}, in: `{"usage":{"prompt_tokens":1}}`},
		{p: Chat{}, in: `{"usage":null}`},
		{
			p:  Chat{},
			in: `{ "model" : "real-9-2026-01-01",` + odd + `,"usage":{"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":3}}} ` + "\n",
			out: `{ "model" : "heron",` + odd + `,"usage":{"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":3}}} ` +
				"\n",
			usage: chat.Usage{Input: 6, CacheRead: 4, Output: 5, Reasoning: 3}, ok: true, reportedModel: "real-9-2026-01-01",
		},
		{
			p: Chat{}, in: `{"model":"a","usage":{"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":null},"mode\u006c":"real-9"}`,
			out:   `{"model":"heron","usage":{"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":null},"mode\u006c":"heron"}`,
			usage: chat.Usage{Input: 10, Output: 5}, ok: true, reportedModel: "real-9",
		},
		{
			p:     Responses{},
			in:    `{"model":"real-9",` + odd + `,"usage":{"input_tokens":10,"output_tokens":5,"input_tokens_details":{"cached_tokens":4},"output_tokens_details":{"reasoning_tokens":3}}}`,
			out:   `{"model":"heron",` + odd + `,"usage":{"input_tokens":10,"output_tokens":5,"input_tokens_details":{"cached_tokens":4},"output_tokens_details":{"reasoning_tokens":3}}}`,
			usage: chat.Usage{Input: 6, CacheRead: 4, Output: 5, Reasoning: 3}, ok: true, reportedModel: "real-9",
		},
	} {
		if c.out == "" {
			c.out = c.in
		}
		m := c.p.Meter(gate.Call{Outputs: 1})
		if got := string(m.Body([]byte(c.in), names)); got != c.out {
			t.Errorf("got  %s\nwant %s", got, c.out)
		}
		if u, ok := m.Usage(); u != c.usage || ok != c.ok || m.Model() != c.reportedModel {
			t.Errorf("%s: got %+v %v %q", c.in, u, ok, m.Model())
		}
	}
}

// step is an event, what is to be seen of it ("=" for the same), and what is
// known of the usage after it.
type step struct {
	in, out string
	usage   chat.Usage
	ok      bool
}

func follow(t *testing.T, m gate.Meter, steps ...step) {
	t.Helper()
	for _, s := range steps {
		if s.out == "=" {
			s.out = s.in
		}
		if got := string(m.Event([]byte(s.in), names)); got != s.out {
			t.Errorf("got  %q\nwant %q", got, s.out)
		}
		if u, ok := m.Usage(); u != s.usage || ok != s.ok {
			t.Errorf("after %q: got %+v %v, want %+v %v", s.in, u, ok, s.usage, s.ok)
		}
	}
}

func TestChatStream(t *testing.T) {
	const usage = `"usage":{"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":4}}`
	u := chat.Usage{Input: 6, CacheRead: 4, Output: 5}
	t.Run("usage hidden", func(t *testing.T) {
		follow(t, Chat{}.Meter(gate.Call{Outputs: 1, HideUsage: true}),
			step{": ping\n\n", "=", chat.Usage{}, false},
			step{"data:{\"model\":\"real-9-x\", " + odd + ",\"choices\":[{\"index\":0,\"finish_reason\":null}],\"usage\":null}\r\n\r\n", "data:{\"model\":\"heron\", " + odd + ",\"choices\":[{\"index\":0,\"finish_reason\":null}],\"usage\":null}\r\n\r\n", chat.Usage{}, false},
			step{": c\ndata: {\ndata:\"model\":\ndata: \"real-9\"\ndata: ,\"choices\":[{}]}\n\n", ": c\ndata: {\ndata:\"model\":\ndata: \"heron\"\ndata: ,\"choices\":[{}]}\n\n", chat.Usage{}, false},
			step{"data: {\"choices\":[],\"prompt_filter_results\":[],\"usage\":null}\n\n", "=", chat.Usage{}, false},
			step{"data: {\"choices\":[{\"finish_reason\":\"stop\"}]}\n\n", "=", chat.Usage{}, false},
			step{"data: {\"model\":\"real-9\",\"choices\":[ ]," + usage + "}\n\n", "", u, true},
			step{"data: [DONE]\n\n", "=", u, true})
	})
	t.Run("usage asked for", func(t *testing.T) {
		follow(t, Chat{}.Meter(gate.Call{Outputs: 1}),
			step{"data: {\"model\":\"real-9\",\"choices\":[]," + usage + "}\n\n", "data: {\"model\":\"heron\",\"choices\":[]," + usage + "}\n\n", u, true})
	})
	t.Run("absurd", func(t *testing.T) {
		follow(t, Chat{}.Meter(gate.Call{Outputs: 1, HideUsage: true}),
			step{"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":-1,\"completion_tokens\":5}}\n\n", "", chat.Usage{}, false})
	})
	t.Run("a number over two lines is none", func(t *testing.T) {
		follow(t, Chat{}.Meter(gate.Call{Outputs: 1, HideUsage: true}),
			step{"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1\ndata:0,\"completion_tokens\":5}}\n\n", "=", chat.Usage{}, false})
	})
	t.Run("continuous", func(t *testing.T) {
		follow(t, Chat{}.Meter(gate.Call{Outputs: 1}),
			step{`data: {"choices":[{"index":0,"finish_reason":null}],"usage":{"prompt_tokens":9,"completion_tokens":1}}` + "\n\n", "=", chat.Usage{Input: 9, Output: 1}, false},
			step{`data: {"choices":[{"index":0,"finish_reason":""}],"usage":{"prompt_tokens":9,"completion_tokens":2}}` + "\n\n", "=", chat.Usage{Input: 9, Output: 2}, false},
			step{`data: {"choices":[{"index":0,"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":3}}` + "\n\n", "=", chat.Usage{Input: 9, Output: 3}, true},
			step{`data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":3}}` + "\n\n", "=", chat.Usage{Input: 9, Output: 3}, true})
	})
	t.Run("continuous, two choices", func(t *testing.T) {
		follow(t, Chat{}.Meter(gate.Call{Outputs: 2}),
			step{`data: {"choices":[{"index":0}],"usage":{"prompt_tokens":9,"completion_tokens":4}}` + "\n\n", "=", chat.Usage{Input: 9, Output: 4}, false},
			step{`data: {"choices":[{"index":1,"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":3}}` + "\n\n", "=", chat.Usage{Input: 9, Output: 7}, false},
			step{`data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":8}}` + "\n\n", "=", chat.Usage{Input: 9, Output: 8}, true})
	})
}

func TestResponsesStream(t *testing.T) {
	u := chat.Usage{Input: 6, CacheRead: 4, Output: 5, Reasoning: 3}
	const usage = `"usage":{"input_tokens":10,"output_tokens":5,"input_tokens_details":{"cached_tokens":4},"output_tokens_details":{"reasoning_tokens":3}}`
	for _, end := range []string{"completed", "incomplete", "failed"} {
		follow(t, Responses{}.Meter(gate.Call{Outputs: 1}),
			step{"event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"model\":\"real-9\"," + odd + ",\"usage\":null}}\n\n", "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"model\":\"heron\"," + odd + ",\"usage\":null}}\n\n", chat.Usage{}, false},
			step{"event: response.output_text.delta\r\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"\\u0041\"}\r\n\r\n", "=", chat.Usage{}, false},
			step{`data: {"type":"response.` + end + `","response":{"model":"real-9",` + usage + "}}\n\n", `data: {"type":"response.` + end + `","response":{"model":"heron",` + usage + "}}\n\n", u, true})
	}
	follow(t, Responses{}.Meter(gate.Call{Outputs: 1}),
		step{`data: {"type":"response.failed","response":{"usage":null}}` + "\n\n", "=", chat.Usage{}, false},
		step{`data: {"type":"response.in_progress","response":{` + usage + `}}` + "\n\n", "=", u, false})
}

func TestRefuseAndCut(t *testing.T) {
	r := gate.Refusal{Reason: gate.Spent, Message: `"heron" is used up`}
	const body = `{"error":{"message":"\"heron\" is used up","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}`
	for got, want := range map[string]string{
		string(Chat{}.Refuse(r)):      body,
		string(Responses{}.Refuse(r)): body,
		string(Chat{}.Cut(r)):         "data: " + body + "\n\n",
		string(Responses{}.Cut(r)): "event: error\ndata: " +
			`{"type":"error","code":"insufficient_quota","message":"\"heron\" is used up","param":null,"sequence_number":0}` + "\n\n",
	} {
		if got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	for why, want := range map[gate.Reason]string{
		gate.BadRequest: "invalid_request_error", gate.BadKey: "authentication_error", gate.Busy: "rate_limit_error",
		gate.Revoked: "permission_error", "upstream_unavailable": "server_error",
	} {
		if got := kind(why); got != want {
			t.Errorf("%s: got %s, want %s", why, got, want)
		}
	}
}

func TestKey(t *testing.T) {
	for _, c := range []struct{ auth, want string }{
		{"", ""},
		{"Basic abc", ""},
		{"Bearer", ""},
		{"Bearer k1", "k1"},
		{"bearer  k1 ", "k1"},
	} {
		h := http.Header{"Authorization": {c.auth}, "X-Api-Key": {"other"}, "X-Stays": {"1"}}
		if got := (Chat{}).Key(h); got != c.want || len(h) != 1 {
			t.Errorf("%q: got %q, left %v", c.auth, got, h)
		}
	}
	h := http.Header{"X-Api-Key": {"caller's"}}
	Responses{}.Credential(h, "up")
	if h.Get("Authorization") != "Bearer up" || len(h) != 1 {
		t.Errorf("got %v", h)
	}
}
