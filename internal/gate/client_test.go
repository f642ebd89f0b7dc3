package gate_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"proofhouse/internal/chat"
	"proofhouse/internal/gate"
	"proofhouse/internal/gate/anthropic"
	"proofhouse/internal/gate/gatetest"
	"proofhouse/internal/gate/openai"
	"proofhouse/internal/proofhouse"
)

var update = flag.Bool("update", false, "rewrite golden files")

var translators = []gate.Translator{openai.Chat{}, openai.Responses{}, anthropic.Messages{}}

func ptr[T any](v T) *T { return &v }

// conversation has one of everything that a request can hold.
func conversation() chat.Request {
	return chat.Request{
		Messages: []chat.Message{
			{Role: chat.System, Text: "Be brief."},
			{Role: chat.User, Text: "Find it."},
			{
				Role: chat.Assistant, Text: "I look.", Reasoning: []chat.Reasoning{{Text: "where?", Signature: "sig=="}, {Signature: "sealed==", Redacted: true}},
				ToolCalls: []chat.ToolCall{chat.NewToolCall("c1", "bash", `{"cmd": "ls"}`), chat.NewToolCall("c2", "bash", `{"cmd":`)},
			},
			{Role: chat.ToolRole, ToolCallID: "c1", Function: "bash", Text: "a b"},
			{Role: chat.ToolRole, ToolCallID: "c2", Function: "bash", Error: &chat.ToolError{Type: "parsing", Message: "no JSON"}},
			{Role: chat.User, Text: "Go on <&>."},
			{Role: chat.Assistant, ToolCalls: []chat.ToolCall{chat.NewToolCall("c3", "submit", "")}},
			{Role: chat.ToolRole, ToolCallID: "c3", Function: "submit", Text: "accepted"},
		},
		Tools:      []chat.Tool{{Name: "bash", Description: "Run a command.", Parameters: json.RawMessage(`{"type":"object","properties":{"cmd":{"type":"string"}}}`)}},
		ToolChoice: "any",
		Config:     chat.Config{MaxTokens: 300, Temperature: ptr(0.0), TopP: ptr(0.5), ParallelToolCalls: ptr(false)},
	}
}

// TestEncodeGolden: what goes to an upstream, for each protocol, and that the
// gate itself reads it and takes nothing in it for an input by reference.
func TestEncodeGolden(t *testing.T) {
	for _, p := range translators {
		r := conversation()
		if p.Name() == "openai-responses" { // where an item is its own signature
			for i := range r.Messages[2].Reasoning {
				s := &r.Messages[2].Reasoning[i].Signature
				*s = `{"id":"rs_1","type":"reasoning","summary":[],"encrypted_content":"` + *s + `","zz_new":1.0}`
			}
		}
		body, err := p.Encode(r, codename)
		if err != nil {
			t.Fatal(err)
		}
		call, err := p.Read(body)
		if err != nil || call.Model != codename || call.OutputCap != 300 || call.ByRef != "" || call.Stream {
			t.Errorf("%s: the gate reads %+v, %v", p.Name(), call, err)
		}
		var shown any
		if err := json.Unmarshal(body, &shown); err != nil {
			t.Fatal(err)
		}
		pretty, _ := json.MarshalIndent(shown, "", "  ")
		golden(t, p.Name()+".json", append(pretty, '\n'))
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", "translate", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

func TestEncodeChoices(t *testing.T) {
	for _, p := range translators {
		for choice, want := range map[string]string{"": "", "auto": "auto", "none": "none", "any": map[bool]string{true: `"any"`, false: "required"}[p.Name() == "anthropic-messages"], "bash": `"name":"bash"`} {
			body, err := p.Encode(chat.Request{ToolChoice: choice, Tools: conversation().Tools, Messages: []chat.Message{{Role: chat.User, Text: "x"}}}, "m")
			if err != nil || !strings.Contains(string(body), want) || choice == "" && strings.Contains(string(body), "tool_choice") {
				t.Errorf("%s, %q: %s, %v", p.Name(), choice, body, err)
			}
		}
	}
	if body, _ := (openai.Chat{CapField: "max_tokens"}).Encode(conversation(), "m"); !strings.Contains(string(body), `"max_tokens":300`) || strings.Contains(string(body), "max_completion_tokens") {
		t.Errorf("%s", body)
	}
	for _, c := range []struct {
		p gate.Translator
		c chat.Config
	}{
		{openai.Responses{}, chat.Config{Seed: ptr[int64](1)}},
		{openai.Responses{}, chat.Config{StopSeqs: []string{"x"}}},
		{anthropic.Messages{}, chat.Config{Seed: ptr[int64](1)}},
	} {
		if _, err := c.p.Encode(chat.Request{Config: c.c}, "m"); proofhouse.KindOf(err) != proofhouse.Invalid {
			t.Errorf("%s cannot say %+v: %v", c.p.Name(), c.c, err)
		}
	}
}

func TestDecode(t *testing.T) {
	says := func(text string, stop chat.StopReason) chat.Output {
		return chat.Output{Model: "violet", Message: chat.Message{Role: chat.Assistant, Text: text}, StopReason: stop}
	}
	calls := func(calls ...chat.ToolCall) chat.Output {
		o := says("", chat.ToolCalls)
		o.Message.ToolCalls = calls
		return o
	}
	ls := chat.NewToolCall("c1", "bash", `{"cmd":"ls"}`)
	bad := chat.ToolCall{ID: "c1", Function: "bash", Arguments: json.RawMessage("{}"), ParseError: "the arguments are not valid JSON", Raw: `{"cmd":`}
	chatAnswer := func(finish, message string) string {
		return `{"model":"violet","choices":[{"index":0,"finish_reason":"` + finish + `","message":{"role":"assistant",` + message + `}}]}`
	}
	response := func(rest, output string) string {
		return `{"model":"violet","object":"response",` + rest + `,"output":[` + output + `]}`
	}
	message := func(stop, content string) string {
		return `{"model":"violet","type":"message","role":"assistant","stop_reason":"` + stop + `","content":[` + content + `]}`
	}
	used := says("hi", chat.Stop)
	used.Usage = chat.Usage{Input: 6, CacheRead: 4, Output: 5, Reasoning: 3}
	cached := says("hi", chat.Stop)
	cached.Usage = chat.Usage{Input: 6, CacheRead: 4, CacheWrite: 2, Output: 5}
	refused, filtered := says("no", chat.ContentFilter), says("", chat.ContentFilter)
	refused.Refusal, filtered.Refusal = "no", "content_filter"
	thought := func(blocks ...chat.Reasoning) chat.Output {
		o := says("hi", chat.Stop)
		o.Message.Reasoning = blocks
		return o
	}
	anthropicRefusal := says("", chat.ContentFilter)
	anthropicRefusal.Refusal = "refusal"
	for _, c := range []struct {
		p    gate.Translator
		name string
		body string
		want chat.Output
	}{
		{openai.Chat{}, "text", chatAnswer("stop", `"content":"hi"`), says("hi", chat.Stop)},
		{openai.Chat{}, "parts", chatAnswer("stop", `"content":[{"type":"text","text":"h"},{"type":"text","text":"i"}]`), says("hi", chat.Stop)},
		{openai.Chat{}, "cap", chatAnswer("length", `"content":"hi"`), says("hi", chat.MaxTokens)},
		{openai.Chat{}, "filter", chatAnswer("content_filter", `"content":null`), filtered},
		{openai.Chat{}, "refusal", chatAnswer("stop", `"content":null,"refusal":"no"`), refused},
		{openai.Chat{}, "another reason", chatAnswer("eos", `"content":"hi"`), says("hi", chat.Unknown)},
		{openai.Chat{}, "call", chatAnswer("tool_calls", `"content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"bash","arguments":"{\"cmd\": \"ls\"}"}}]`), calls(ls)},
		{openai.Chat{}, "call with an object, said to be a stop, without id", chatAnswer("stop", `"tool_calls":[{"function":{"name":"bash","arguments":{"cmd":"ls"}}}]`), calls(chat.NewToolCall("", "bash", `{"cmd":"ls"}`))},
		{openai.Chat{}, "call that is none", chatAnswer("tool_calls", `"tool_calls":[{"id":"c1","function":{"name":"bash","arguments":"{\"cmd\":"}}]`), calls(bad)},
		{openai.Chat{}, "reasoning", chatAnswer("stop", `"content":"hi","reasoning_content":"hm","reasoning":"hm"`), thought(chat.Reasoning{Text: "hm"})},
		{openai.Chat{}, "usage", `{"usage":{"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":3}},` + chatAnswer("stop", `"content":"hi"`)[1:], used},

		{openai.Responses{}, "text", response(`"status":"completed"`, `{"type":"message","content":[{"type":"output_text","text":"hi"}]}`), says("hi", chat.Stop)},
		{openai.Responses{}, "refusal", response(`"status":"completed"`, `{"type":"message","content":[{"type":"refusal","refusal":"no"}]}`), refused},
		{openai.Responses{}, "cap", response(`"status":"incomplete","incomplete_details":{"reason":"max_output_tokens"}`, `{"type":"message","content":[{"type":"output_text","text":"hi"}]}`), says("hi", chat.MaxTokens)},
		{openai.Responses{}, "call", response(`"status":"completed"`, `{"type":"function_call","call_id":"c1","name":"bash","arguments":"{\"cmd\":\"ls\"}"}`), calls(ls)},
		{openai.Responses{}, "reasoning", response(`"status":"completed"`, `{"type":"reasoning","summary":[{"type":"summary_text","text":"hm"}],"encrypted_content":"sealed"},{"type":"message","content":[{"type":"output_text","text":"hi"}]}`), thought(chat.Reasoning{Text: "hm", Signature: `{"type":"reasoning","summary":[{"type":"summary_text","text":"hm"}],"encrypted_content":"sealed"}`})},
		{openai.Responses{}, "usage", `{"usage":{"input_tokens":10,"output_tokens":5,"input_tokens_details":{"cached_tokens":4},"output_tokens_details":{"reasoning_tokens":3}},` + response(`"status":"completed"`, `{"type":"message","content":[{"type":"output_text","text":"hi"}]}`)[1:], used},

		{anthropic.Messages{}, "text", message("end_turn", `{"type":"text","text":"h"},{"type":"text","text":"i"}`), says("hi", chat.Stop)},
		{anthropic.Messages{}, "cap", message("max_tokens", `{"type":"text","text":"hi"}`), says("hi", chat.MaxTokens)},
		{anthropic.Messages{}, "window", message("model_context_window_exceeded", `{"type":"text","text":"hi"}`), says("hi", chat.ModelLength)},
		{anthropic.Messages{}, "refusal", message("refusal", ""), anthropicRefusal},
		{anthropic.Messages{}, "call", message("tool_use", `{"type":"tool_use","id":"c1","name":"bash","input":{"cmd":"ls"}}`), calls(ls)},
		{anthropic.Messages{}, "reasoning", message("end_turn", `{"type":"thinking","thinking":"hm","signature":"sig"},{"type":"redacted_thinking","data":"sealed"},{"type":"text","text":"hi"}`), thought(chat.Reasoning{Text: "hm", Signature: "sig"}, chat.Reasoning{Signature: "sealed", Redacted: true})},
		{anthropic.Messages{}, "usage", `{"usage":{"input_tokens":6,"cache_read_input_tokens":4,"cache_creation_input_tokens":2,"output_tokens":5},` + message("end_turn", `{"type":"text","text":"hi"}`)[1:], cached},
	} {
		got, err := c.p.Decode([]byte(c.body))
		if err != nil {
			t.Errorf("%s, %s: %v", c.p.Name(), c.name, err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s, %s (-want +got):\n%s", c.p.Name(), c.name, diff)
		}
		// What a model said goes back as it came.
		body, err := c.p.Encode(chat.Request{Messages: []chat.Message{{Role: chat.User, Text: "x"}, got.Message}}, "m")
		if err != nil || !json.Valid(body) {
			t.Errorf("%s, %s: sent back: %v", c.p.Name(), c.name, err)
		}
		if _, err := c.p.Read(body); err != nil {
			t.Errorf("%s, %s: sent back: %v", c.p.Name(), c.name, err)
		}
	}
	for _, p := range translators {
		for _, body := range []string{"", "{", "[]", "{}", `{"choices":[]}`, `{"error":{"message":"x"}}`, `{"status":"failed","output":[]}`, `{"choices":[{"message":null}]}`} {
			if _, err := p.Decode([]byte(body)); proofhouse.KindOf(err) != proofhouse.Unavailable {
				t.Errorf("%s takes %s for an answer: %v", p.Name(), body, err)
			}
		}
	}
}

// FuzzDecode: whatever a server sends, what is read of it can be sent back.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		`{"choices":[{"message":{"content":[{"text":1}],"tool_calls":[{},{"function":{"name":1,"arguments":[]}}]}}],"usage":{"prompt_tokens":-1}}`,
		`{"status":"completed","output":[{"type":"function_call"},{"type":"reasoning","summary":{}},{"type":"message","content":"x"}]}`,
		`{"content":[{"type":"tool_use","input":[1]},{"type":"thinking"},{"type":"redacted_thinking"}],"stop_reason":7}`,
	} {
		f.Add([]byte(s))
	}
	files, _ := filepath.Glob("testdata/answers/*/*.json")
	for _, file := range files {
		b, _ := os.ReadFile(file)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, p := range translators {
			out, err := p.Decode(body)
			if err != nil {
				continue
			}
			for _, c := range out.Message.ToolCalls {
				if !json.Valid(c.Arguments) || c.Arguments[0] != '{' {
					t.Fatalf("%s: %+v", p.Name(), c)
				}
			}
			again, err := p.Encode(chat.Request{Messages: []chat.Message{out.Message}}, "m")
			if err != nil || !json.Valid(again) {
				t.Fatalf("%s: %s, %v", p.Name(), again, err)
			}
			if _, err := p.Read(again); err != nil {
				t.Fatalf("%s: the gate does not take back %q: %v", p.Name(), again, err)
			}
		}
	})
}

// client is one that asks h's gate in this process.
func (h *house) client(t *testing.T, p gate.Translator) *gate.Client {
	t.Helper()
	l := gate.NewLocal(h.Gate)
	t.Cleanup(func() { _ = l.Close() })
	c := gate.NewClient(l, p, h.key, codename)
	c.Backoff = time.Millisecond
	return c
}

var request = chat.Request{Messages: []chat.Message{{Role: chat.User, Text: "hello"}}}

// answers is an upstream that gives each of its answers once, and then the last.
func answers(all ...gatetest.Answer) func(gatetest.Request) gatetest.Answer {
	var n atomic.Int64
	return func(gatetest.Request) gatetest.Answer { return all[min(int(n.Add(1)), len(all))-1] }
}

func status(code int, body string, header ...string) gatetest.Answer {
	a := gatetest.Answer{Status: code, Header: map[string]string{"Content-Type": "application/json"}, Chunks: []string{body}}
	for i := 0; i+1 < len(header); i += 2 {
		a.Header[header[i]] = header[i+1]
	}
	return a
}

func TestClient(t *testing.T) {
	good := gatetest.Chat(realName, "hi", 3, 2)
	cut := good
	cut.Header, cut.Break = map[string]string{"Content-Type": "application/json", "Content-Length": "10000"}, true
	for _, c := range []struct {
		name    string
		change  func(*gate.Config, *gate.Grant)
		answers []gatetest.Answer
		kind    proofhouse.Kind // of the error; "" is an answer
		stop    chat.StopReason
		retries []int // the statuses
	}{
		{"an answer", nil, []gatetest.Answer{good}, "", chat.Stop, nil},
		{"429, then an answer", nil, []gatetest.Answer{status(429, `{"error":{"message":"slow down"}}`), good}, "", chat.Stop, []int{429}},
		{"529, 500, a connection closed, half an answer, no JSON, then an answer", nil, []gatetest.Answer{
			status(529, `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`), status(500, "oops"), {Drop: true}, cut, status(200, `{"choices":`), good,
		}, "", chat.Stop, []int{529, 500, 0, 0, 200}},
		{"429 for ever", nil, []gatetest.Answer{status(429, `{"error":{"message":"slow down"}}`)}, proofhouse.Unavailable, "", nil},
		{"not to be tried again", nil, []gatetest.Answer{status(500, `{"error":{"message":"no"}}`, "X-Should-Retry", "false"), good}, proofhouse.Unavailable, "", nil},
		{"a bad request", nil, []gatetest.Answer{status(400, `{"error":{"message":"temperature is not known"}}`), good}, proofhouse.Invalid, "", nil},
		{"the upstream's own refusal", nil, []gatetest.Answer{status(401, `{"error":{"message":"no"}}`), good}, proofhouse.Refused, "", nil},
		{"too long for the model", nil, []gatetest.Answer{status(400, `{"error":{"message":"This model's maximum context length is 4096 tokens."}}`), good}, "", chat.ModelLength, nil},
		{"a spent budget", func(_ *gate.Config, g *gate.Grant) { g.Limits.Output = 10 }, []gatetest.Answer{good}, proofhouse.Limit, "", nil},
		{"a grant that is over", func(_ *gate.Config, g *gate.Grant) { g.Until = time.Now().Add(-time.Minute) }, []gatetest.Answer{good}, proofhouse.Refused, "", nil},
		{"a safeguard", func(c *gate.Config, g *gate.Grant) {
			c.Guards = map[string]gate.Guard{"g": words(t, "hello")}
			g.Safeguards = []gate.Safeguard{{Guard: "g", Stage: gate.OnRequest, Mode: gate.CutOff}}
		}, []gatetest.Answer{good}, "", chat.ContentFilter, nil},
	} {
		h := open(t, answers(c.answers...), c.change)
		out, err := h.client(t, openai.Chat{}).Generate(t.Context(), request)
		if (err == nil) != (c.kind == "") || err != nil && proofhouse.KindOf(err) != c.kind {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if err != nil && strings.Contains(proofhouse.PublicOf(err), realName) {
			t.Errorf("%s: %v", c.name, err)
		}
		var statuses []int
		for _, r := range out.Retries {
			statuses = append(statuses, r.Status)
			if r.Reason == "" || r.Waited <= 0 {
				t.Errorf("%s: %+v", c.name, r)
			}
		}
		if err == nil && (out.StopReason != c.stop || out.Model != codename || !reflect.DeepEqual(statuses, c.retries)) {
			t.Errorf("%s: %+v", c.name, out)
		}
		if c.stop == chat.Stop && (out.Message.Text != "hi" || out.Usage != chat.Usage{Input: 3, Output: 2}) {
			t.Errorf("%s: %+v", c.name, out)
		}
		if a := h.settled(t); a.Held != (gate.Amount{}) {
			t.Errorf("%s: %+v is held", c.name, a.Held)
		}
	}
}

// TestClientProtocols: each protocol reaches its path, and its answer comes back.
func TestClientProtocols(t *testing.T) {
	h := open(t, func(r gatetest.Request) gatetest.Answer {
		switch {
		case r.Path == messages && r.Header.Get("Anthropic-Version") != "" && r.Header.Get("X-Api-Key") == upstreamKey:
			return status(200, `{"model":"`+realName+`","type":"message","role":"assistant","stop_reason":"end_turn","content":[{"type":"text","text":"hi"}],"usage":{"input_tokens":3,"output_tokens":2}}`)
		case r.Path == "/v1/responses":
			return status(200, `{"model":"`+realName+`","status":"completed","output":[{"type":"message","content":[{"type":"output_text","text":"hi"}]}],"usage":{"input_tokens":3,"output_tokens":2}}`)
		}
		return answerChat(r)
	}, nil)
	for _, p := range translators {
		out, err := h.client(t, p).Generate(t.Context(), request)
		if err != nil || out.Model != codename || out.Usage.Output == 0 || out.StopReason != chat.Stop {
			t.Errorf("%s: %+v, %v", p.Name(), out, err)
		}
	}
	if a := h.settled(t); a.Spent.Requests != 3 || a.Spent.Output != 2+2+7 {
		t.Errorf("%+v", a.Spent)
	}
}

// TestClientEnds: a call ends with its context and with its grant, and is not
// tried again.
func TestClientEnds(t *testing.T) {
	h := open(t, func(gatetest.Request) gatetest.Answer { return gatetest.Answer{Stall: true} }, nil)
	c := h.client(t, openai.Chat{})
	ctx, cancel := context.WithCancelCause(t.Context())
	over := errors.New("over")
	var ended sync.WaitGroup
	ended.Go(func() {
		if _, err := c.Generate(ctx, request); !errors.Is(err, over) {
			t.Errorf("cancelled: %v", err)
		}
	})
	for len(h.up.Requests()) == 0 {
		time.Sleep(time.Millisecond)
	}
	cancel(over)
	ended.Wait()
	ended.Go(func() {
		if _, err := c.Generate(t.Context(), request); proofhouse.KindOf(err) != proofhouse.Refused {
			t.Errorf("revoked: %v", err)
		}
	})
	for len(h.up.Requests()) == 1 {
		time.Sleep(time.Millisecond)
	}
	_, _, _ = h.Revoke(t.Context(), func(gate.Grant) bool { return true }, "", time.Now())
	ended.Wait()
	if n := len(h.up.Requests()); n != 2 {
		t.Errorf("%d requests", n)
	}
}

// TestClientWaits: the server's word on when to come back counts, and without
// one each wait is longer than half of what the one before could be.
func TestClientWaits(t *testing.T) {
	soon := time.Now().Add(2 * time.Second).UTC().Format(http.TimeFormat)
	for _, c := range []struct {
		name, value string
		least, most time.Duration
	}{
		{"Retry-After-Ms", "30", 30 * time.Millisecond, 30 * time.Millisecond},
		{"Retry-After", "0.02", 20 * time.Millisecond, 20 * time.Millisecond},
		{"Retry-After", soon, time.Millisecond, 2 * time.Second},
		{"Retry-After", "-1", time.Millisecond / 2, time.Millisecond},
		{"X-Other", "", time.Millisecond / 2, time.Millisecond},
	} {
		h := open(t, answers(status(429, `{"error":{"message":"slow down"}}`, c.name, c.value), gatetest.Chat(realName, "hi", 3, 2)), nil)
		out, err := h.client(t, openai.Chat{}).Generate(t.Context(), request)
		if err != nil || len(out.Retries) != 1 || out.Retries[0].Waited < c.least || out.Retries[0].Waited > c.most {
			t.Errorf("%s %s: %+v, %v", c.name, c.value, out.Retries, err)
		}
	}
}
