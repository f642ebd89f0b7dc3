package gate_test

import (
	"strings"
	"testing"
	"time"

	anthropicsdk "github.com/anthropics/anthropic-sdk-go"
	anthropicoption "github.com/anthropics/anthropic-sdk-go/option"
	openaisdk "github.com/openai/openai-go/v3"
	openaioption "github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"

	"proofhouse/internal/chat"
	"proofhouse/internal/gate"
	"proofhouse/internal/gate/gatetest"
)

const (
	countMessages  = "/v1/messages/count_tokens"
	countResponses = "/v1/responses/input_tokens"
)

// answerCount counts 500 tokens of anything, and answers all else.
func answerCount(r gatetest.Request) gatetest.Answer {
	if r.Path == countMessages || r.Path == countResponses {
		return gatetest.Answer{Header: gatetest.JSON, Chunks: []string{`{ "object":"response.input_tokens","model":"Titan-9-secret","input_tokens" : 500}`}}
	}
	return answerChat(r)
}

// TestCounting passes questions for a count byte for byte: they cost a request and hold nothing.
func TestCounting(t *testing.T) {
	h := open(t, answerCount, func(_ *gate.Config, g *gate.Grant) {
		g.Limits = gate.Limits{Requests: 3, Output: 1, Input: 1, NanoDollars: 1, OutputCap: 1}
		g.Rates = chat.Prices{Input: 1e9, Output: 1e9}
	})
	for path, body := range map[string]string{
		countMessages:  `{"model" : "violet","messages":[{"role":"user","content":"hello"}],"zz":1.0}`,
		countResponses: `{"model" : "violet","input":"hello","zz":1.0}`,
	} {
		got := read(t, h.post(t, path+"?beta=true", h.key, body))
		up := h.up.Requests()[len(h.up.Requests())-1]
		if got != `{ "object":"response.input_tokens","model":"violet","input_tokens" : 500}` || up.Body != strings.Replace(body, codename, realName, 1) || up.Path != path || up.Query != "beta=true" {
			t.Errorf("%s: the upstream got %+v, the caller %s", path, up, got)
		}
	}
	h.settled(t)
	for _, r := range h.log.records(t) {
		if r.Kind == gate.Opened && *r.Hold != (gate.Amount{Requests: 1}) || r.End != nil && r.End.Outcome != gate.Counted {
			t.Errorf("the record says %+v %+v", r.Hold, r.End)
		}
	}
	if a := h.settled(t); a.Spent != (gate.Amount{Requests: 2}) {
		t.Errorf("charged %+v", a.Spent)
	}
	for _, c := range []struct {
		key, body string
		status    int
	}{
		{gate.NewKey(), `{"model":"violet","messages":[]}`, 401},
		{h.key, `{"model":"gpt-9","messages":[]}`, 404},
		{h.key, `{"model":"violet","model":"violet","messages":[]}`, 400},
		{h.key, `{"model":"violet","messages":[{"content":[{"type":"image","source":{"type":"url","url":"http://10.0.0.1"}}]}]}`, 403},
	} {
		if resp := h.post(t, countMessages, c.key, c.body); resp.StatusCode != c.status {
			t.Errorf("%s: %d %s", c.body, resp.StatusCode, read(t, resp))
		}
	}
	read(t, h.post(t, countMessages, h.key, `{"model":"violet","messages":[]}`))
	if resp := h.post(t, countMessages, h.key, `{"model":"violet","messages":[]}`); resp.StatusCode != 429 {
		t.Errorf("past its requests: %d", resp.StatusCode)
	}
	_, _, _ = h.Revoke(t.Context(), func(gate.Grant) bool { return true }, "", time.Now())
	if resp := h.post(t, countMessages, h.key, `{"model":"violet","messages":[]}`); resp.StatusCode != 401 {
		t.Errorf("revoked: %d", resp.StatusCode)
	}
}

// TestCountingSDK uses the official clients, unchanged.
func TestCountingSDK(t *testing.T) {
	h := open(t, answerCount, nil)
	a := anthropicsdk.NewClient(anthropicoption.WithBaseURL(h.srv.URL), anthropicoption.WithAPIKey(h.key))
	got, err := a.Messages.CountTokens(t.Context(), anthropicsdk.MessageCountTokensParams{
		Model: codename, Messages: []anthropicsdk.MessageParam{anthropicsdk.NewUserMessage(anthropicsdk.NewTextBlock("hello"))},
	})
	if err != nil || got.InputTokens != 500 {
		t.Errorf("%+v, %v", got, err)
	}
	o := openaisdk.NewClient(openaioption.WithBaseURL(h.srv.URL+"/v1"), openaioption.WithAPIKey(h.key))
	n, err := o.Responses.InputTokens.Count(t.Context(), responses.InputTokenCountParams{
		Model: openaisdk.String(codename), Input: responses.InputTokenCountParamsInputUnion{OfString: openaisdk.String("hello")},
	})
	if err != nil || n.InputTokens != 500 {
		t.Errorf("%+v, %v", n, err)
	}
}

// TestCountedHold lets a call in that fits by the upstream's count and not by its bytes, and none whose count says otherwise.
func TestCountedHold(t *testing.T) {
	long := strings.Repeat("word ", 1000) // 5,000 bytes, and 500 tokens by the upstream
	message := `{"model":"violet","max_tokens":50,"stream":true,"messages":[{"role":"user","content":"` + long + `"}]}`
	response := `{"model":"violet","max_output_tokens":50,"input":"` + long + `","metadata":{"a":"b"}}`
	limits := gate.Limits{Requests: 10, Input: 3000, OutputCap: 100}
	plain := func(body string) gatetest.Answer {
		return gatetest.Answer{Header: gatetest.JSON, Chunks: []string{body}}
	}
	for _, c := range []struct {
		name, path, body string
		count            gatetest.Answer
		limits           gate.Limits
		status           int
		asked            int // questions for a count
	}{
		{"a message that fits by count", messages, message, plain(`{"input_tokens":500}`), limits, 200, 1},
		{"a response that fits by count", "/v1/responses", response, plain(`{"input_tokens":500}`), limits, 200, 1},
		{"dollars that fit by count", messages, message, plain(`{"input_tokens":500}`), gate.Limits{NanoDollars: 3000, OutputCap: 100}, 200, 1},
		{"one that fits by its bytes", messages, message, plain(`{"input_tokens":1}`), gate.Limits{Input: 10_000, Requests: 10, OutputCap: 100}, 200, 0},
		{"a count that does not fit", messages, message, plain(`{"input_tokens":2000}`), limits, 429, 1},
		{"a count above the bytes", messages, message, plain(`{"input_tokens":1000000}`), limits, 429, 1},
		{"no count", messages, message, plain(`{}`), limits, 429, 1},
		{"a count below nothing", messages, message, plain(`{"input_tokens":-5000}`), limits, 429, 1},
		{"a count that is none", messages, message, plain(`<html>`), limits, 429, 1},
		{"an error with a count", messages, message, gatetest.Answer{Status: 500, Header: gatetest.JSON, Chunks: []string{`{"input_tokens":5}`}}, limits, 429, 1},
		{"no such endpoint", messages, message, gatetest.Answer{Status: 404}, limits, 429, 1},
		{"an upstream that breaks off", messages, message, gatetest.Answer{Header: gatetest.JSON, Chunks: []string{`{"input_tokens":5}`}, Break: true}, limits, 429, 1},
		{"an answer without end", messages, message, plain(`{"input_tokens":5` + strings.Repeat(" ", 100<<10) + `}`), limits, 429, 1},
		{"output that does not fit", messages, message, plain(`{"input_tokens":5}`), gate.Limits{Input: 3000, Output: 40, OutputCap: 100}, 429, 0},
		{"no request left for the question", messages, message, plain(`{"input_tokens":5}`), gate.Limits{Input: 3000, Requests: 1, OutputCap: 100}, 429, 0},
		{"input by reference", messages, `{"model":"violet","max_tokens":50,"messages":[{"role":"user","content":[{"type":"image","source":{"type":"url","url":"http://h"}},{"type":"text","text":"` + long + `"}]}]}`, plain(`{"input_tokens":5}`), gate.Limits{Input: 3000, Requests: 10, OutputCap: 100, Context: 10}, 429, 0},
		{"a protocol that cannot count", completions, `{"model":"violet","messages":[{"role":"user","content":"` + long + `"}]}`, plain(`{"input_tokens":5}`), limits, 429, 0},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "-"), func(t *testing.T) {
			h := open(t, func(r gatetest.Request) gatetest.Answer {
				switch r.Path {
				case countMessages, countResponses:
					return c.count
				case "/v1/responses":
					return plain(`{"model":"m","usage":{"input_tokens":12,"output_tokens":7}}`)
				}
				return answerChat(r)
			}, func(_ *gate.Config, g *gate.Grant) {
				g.Limits, g.ByReference, g.Rates = c.limits, c.limits.Context > 0, chat.Prices{Input: 1, CacheRead: 1, CacheWrite: 1, Output: 1}
			})
			resp := h.post(t, c.path, h.key, c.body)
			if body := read(t, resp); resp.StatusCode != c.status || c.status == 429 && !strings.Contains(body, "budget") {
				t.Errorf("%d %s", resp.StatusCode, body)
			}
			a := h.settled(t)
			want := gate.Amount{Requests: int64(c.asked)}
			if c.status == 200 {
				want = gate.Amount{Requests: int64(c.asked) + 1, Input: 12, Output: 7, NanoDollars: 19}
			}
			if a.Spent != want || a.Held != (gate.Amount{}) {
				t.Errorf("charged %+v, held %+v, want %+v", a.Spent, a.Held, want)
			}
			asked := 0
			for _, r := range h.up.Requests() {
				if strings.HasSuffix(r.Path, "tokens") {
					asked++
					if strings.Contains(r.Body, "max_") || strings.Contains(r.Body, "stream") || strings.Contains(r.Body, "metadata") || !strings.HasPrefix(r.Body, `{"model":"`+realName+`",`) || !strings.Contains(r.Body, long) {
						t.Errorf("the question is %s", r.Body)
					}
				} else if c.status != 200 {
					t.Errorf("the call was passed: %s", r.Path)
				}
			}
			if asked != c.asked {
				t.Errorf("asked %d times, want %d", asked, c.asked)
			}
			for _, r := range h.log.records(t) {
				if r.Kind == gate.Opened && r.Hold.Input > 0 && c.asked == 1 && r.Hold.Input != 500+500/16+1024 {
					t.Errorf("held %+v", r.Hold)
				}
			}
		})
	}
}

// TestNothingUnjudgedIsCounted: a request that a safeguard is to judge first does not reach the upstream as a question.
func TestNothingUnjudgedIsCounted(t *testing.T) {
	h := open(t, answerCount, func(c *gate.Config, g *gate.Grant) {
		c.Guards = map[string]gate.Guard{"g": words(t, "word")}
		g.Safeguards = []gate.Safeguard{{Guard: "g", Stage: gate.OnRequest, Mode: gate.CutOff}}
		g.Limits = gate.Limits{Requests: 10, Input: 3000, OutputCap: 100}
	})
	resp := h.post(t, messages, h.key, `{"model":"violet","max_tokens":50,"messages":[{"role":"user","content":"`+strings.Repeat("word ", 1000)+`"}]}`)
	if resp.StatusCode != 429 || len(h.up.Requests()) != 0 {
		t.Errorf("%d, and %d requests reached the upstream", resp.StatusCode, len(h.up.Requests()))
	}
}

// TestRevokedWhileCounting: a key that ends during the question never gets its call passed.
func TestRevokedWhileCounting(t *testing.T) {
	counting := make(chan struct{})
	h := open(t, func(r gatetest.Request) gatetest.Answer {
		close(counting)
		return gatetest.Answer{Header: gatetest.JSON, Stall: true}
	}, func(_ *gate.Config, g *gate.Grant) { g.Limits = gate.Limits{Requests: 10, Input: 3000, OutputCap: 100} })
	go func() {
		<-counting
		_, _, _ = h.Revoke(t.Context(), func(gate.Grant) bool { return true }, "", time.Now())
	}()
	resp := h.post(t, messages, h.key, `{"model":"violet","max_tokens":50,"messages":[{"role":"user","content":"`+strings.Repeat("word ", 1000)+`"}]}`)
	if body := read(t, resp); resp.StatusCode != 429 && resp.StatusCode != 401 || len(h.up.Requests()) != 1 {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	if a := h.settled(t); a.Held != (gate.Amount{}) || a.Spent != (gate.Amount{Requests: 1}) {
		t.Errorf("%+v", a)
	}
}
