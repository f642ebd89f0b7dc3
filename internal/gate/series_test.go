package gate_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"proofhouse/internal/gate"
	"proofhouse/internal/gate/gatetest"
	"proofhouse/internal/vault"
)

const outerName = "heron"

// series is two gates, as where a developer runs its own and grants the review body a key: inner is before the
// model, outer before inner, which it knows as its upstream under inner's codename.
func series(t *testing.T, answer func(gatetest.Request) gatetest.Answer, change func(inner *gate.Grant)) (inner, outer *house) {
	t.Helper()
	inner = open(t, answer, func(_ *gate.Config, g *gate.Grant) {
		if change != nil {
			change(g)
		}
	})
	base, _ := url.Parse(inner.srv.URL)
	outer = open(t, answer, func(c *gate.Config, g *gate.Grant) {
		c.Upstreams = []gate.Upstream{{Name: "up", Base: base, Key: vault.Secret(inner.key)}}
		g.Model, g.Codename = codename, outerName
		g.Limits.OutputCap = 500
	})
	return inner, outer
}

func ends(t *testing.T, h *house) (all []gate.End) {
	t.Helper()
	h.settled(t)
	for _, r := range h.log.records(t) {
		if r.End != nil {
			all = append(all, *r.End)
		}
	}
	return all
}

// TestSeries passes every protocol through both gates: the caller sees one model, both records the same usage to the token.
func TestSeries(t *testing.T) {
	inner, outer := series(t, func(r gatetest.Request) gatetest.Answer {
		a := answerCount(r)
		if r.Path == "/v1/responses" {
			a = gatetest.Answer{Header: gatetest.JSON, Chunks: []string{`{"id":"resp_1","model":"` + realName + `","output":[],"usage":{"input_tokens":12,"input_tokens_details":{"cached_tokens":4},"output_tokens":7,"output_tokens_details":{"reasoning_tokens":3}}}`}}
		}
		a.Header = map[string]string{"Content-Type": a.Header["Content-Type"], "X-Request-Id": "req_1", "Retry-After-Ms": "7", "Openai-Organization": "titan-labs"}
		return a
	}, nil)
	as := func(s string) string { return strings.ReplaceAll(s, codename, outerName) }
	shown := func(a gatetest.Answer, without string) string {
		kept := slices.DeleteFunc(slices.Clone(a.Chunks), func(c string) bool { return without != "" && strings.Contains(c, without) })
		return strings.ReplaceAll(strings.Join(kept, ""), realName, outerName)
	}
	stream, message := gatetest.ChatStream(realName, "one two three", 12, 7), gatetest.MessageStream(realName, "one two three", 12, 7)
	for _, c := range []struct{ path, body, want string }{
		{completions, hello, shown(gatetest.Chat(realName, "one two three", 12, 7), "")},
		{completions, streamed, shown(stream, "prompt_tokens")},
		{completions, strings.Replace(streamed, `"stream":true`, `"stream":true,"stream_options":{"include_usage":true}`, 1), shown(stream, "")},
		{messages, `{"model":"violet","max_tokens":50,"stream":true,"messages":[{"role":"user","content":"hello"}]}`, shown(message, "")},
		{"/v1/responses", `{"model":"violet","input":"hello"}`, ""},
		{countMessages, `{"model":"violet","messages":[]}`, `{ "object":"response.input_tokens","model":"heron","input_tokens" : 500}`},
	} {
		resp := outer.post(t, c.path, outer.key, as(c.body), "Anthropic-Beta", "b")
		body := read(t, resp)
		if resp.StatusCode != 200 || c.want != "" && body != c.want || strings.Contains(body, codename) || !strings.Contains(body, outerName) {
			t.Errorf("%s: %d\n%s\nwant\n%s", c.path, resp.StatusCode, body, c.want)
		}
		if h := resp.Header; h.Get("X-Request-Id") != "req_1" || h.Get("Retry-After-Ms") != "7" || h.Get("Openai-Organization") != "" {
			t.Errorf("%s: %v", c.path, h)
		}
		checkNothingLeaks(t, body, resp.Header)
		up := inner.up.Requests()[len(inner.up.Requests())-1]
		if strings.Contains(up.Body, outerName) || strings.Contains(up.Body, `"`+codename) || !strings.Contains(up.Body, realName) || up.Header.Get("Anthropic-Beta") != "b" {
			t.Errorf("%s: the upstream got %+v", c.path, up)
		}
	}
	in, out := ends(t, inner), ends(t, outer)
	if len(in) != 6 || len(out) != 6 {
		t.Fatalf("%d and %d ends", len(in), len(out))
	}
	for i := range in {
		if in[i].Usage != out[i].Usage || in[i].Charge != out[i].Charge || in[i].Outcome != out[i].Outcome || out[i].Model != codename && out[i].Model != "" {
			t.Errorf("call %d: inner %+v, outer %+v", i, in[i], out[i])
		}
	}
	if a, b := inner.settled(t), outer.settled(t); a.Spent != b.Spent || a.Spent != (gate.Amount{Requests: 6, Input: 60, Output: 35}) {
		t.Errorf("inner charged %+v, outer %+v", a.Spent, b.Spent)
	}
}

// TestSeriesRefuses has the inner gate refuse: the caller reads it in its protocol's shape, with the code, the
// status and the word on trying again, and without the inner codename.
func TestSeriesRefuses(t *testing.T) {
	revoke := func(h *house) { _, _, _ = h.Revoke(t.Context(), func(gate.Grant) bool { return true }, "", time.Now()) }
	for _, c := range []struct {
		name         string
		change       func(*gate.Grant)
		act          func(inner *house)
		status       int
		code, retry  string
		failed       bool // the outer gate counts it as a failed request, charging no tokens
		chat, claude string
	}{
		{"spent", func(g *gate.Grant) { g.Limits.Output = 499 }, nil, 429, "insufficient_quota", "false", true, "insufficient_quota", "rate_limit_error"},
		{"busy", func(g *gate.Grant) { g.Limits.PerMinute = 1 }, func(h *house) { h.post(t, completions, h.key, hello) }, 429, "rate_limit_exceeded", "true", true, "rate_limit_error", "rate_limit_error"},
		{"another model", func(g *gate.Grant) { g.Codename = "violet-2" }, nil, 404, "model_not_found", "false", true, "invalid_request_error", "not_found_error"},
		{"a lower cap", func(g *gate.Grant) { g.Limits.OutputCap = 10 }, nil, 403, "permission_denied", "false", true, "permission_error", "permission_error"},
		{"not in time", func(g *gate.Grant) { g.From = time.Now().Add(time.Minute) }, nil, 403, "grant_not_in_force", "false", true, "permission_error", "permission_error"},
		{"revoked", nil, revoke, 401, "invalid_api_key", "false", true, "authentication_error", "authentication_error"},
		{"no model behind it", nil, func(h *house) { h.up.Close() }, 502, "upstream_unavailable", "true", true, "server_error", "api_error"},
		{"no inner gate", nil, func(h *house) { h.srv.Close() }, 502, "upstream_unavailable", "true", false, "server_error", "api_error"},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "-"), func(t *testing.T) {
			inner, outer := series(t, answerChat, c.change)
			if c.act != nil {
				c.act(inner)
			}
			for path, kind := range map[string]string{completions: c.chat, messages: c.claude} {
				resp := outer.post(t, path, outer.key, `{"model":"heron","max_tokens":500,"stream":true,"messages":[{"role":"user","content":"hello"}]}`)
				body := read(t, resp)
				var e struct {
					Type  string
					Error struct{ Type, Code, Message string }
				}
				err := json.Unmarshal([]byte(body), &e)
				if err != nil || resp.StatusCode != c.status || e.Error.Type != kind || path == completions && e.Error.Code != c.code || path == messages && e.Type != "error" || resp.Header.Get("X-Should-Retry") != c.retry {
					t.Errorf("%s: %d %s %v", path, resp.StatusCode, body, resp.Header)
				}
				if strings.Contains(strings.ToLower(body+fmt.Sprint(resp.Header)), codename) {
					t.Errorf("the inner codename is in %s %v", body, resp.Header)
				}
				checkNothingLeaks(t, body, resp.Header)
			}
			want := gate.Amount{}
			if c.failed {
				want.Requests = 2
			}
			if a := outer.settled(t); a.Spent != want || a.Held != (gate.Amount{}) {
				t.Errorf("the outer gate charged %+v", a.Spent)
			}
		})
	}
}

// TestSeriesEnds revokes on either side in the middle of a stream: the caller reads a whole error event, the upstream is
// told, and nothing is held in either gate.
func TestSeriesEnds(t *testing.T) {
	for _, side := range []string{"inner", "outer"} {
		for _, path := range []string{completions, messages} {
			t.Run(side+path, func(t *testing.T) {
				inner, outer := series(t, func(r gatetest.Request) gatetest.Answer {
					a := answerChat(r)
					a.Chunks, a.Stall = append(slices.Clone(a.Chunks[:2]), "data: {\"half"), true
					return a
				}, nil)
				resp := outer.post(t, path, outer.key, `{"model":"heron","max_tokens":500,"stream":true,"messages":[]}`)
				first := make([]byte, 10)
				if _, err := resp.Body.Read(first); err != nil {
					t.Fatal(err)
				}
				h := outer
				if side == "inner" {
					h = inner
				}
				for inner.Accounts()["g1"].Open == 0 {
					time.Sleep(time.Millisecond)
				}
				if _, calls, err := h.Revoke(t.Context(), func(gate.Grant) bool { return true }, "", time.Now()); err != nil || calls != 1 {
					t.Errorf("%d calls, %v", calls, err)
				}
				text := read(t, resp)
				last := text[strings.LastIndex(strings.TrimSuffix(text, "\n\n"), "\n\n")+2:]
				if strings.Contains(text, "half") || !strings.Contains(last, "revoked") || !strings.HasSuffix(last, "}\n\n") || strings.Contains(text, codename) {
					t.Errorf("%q ends with %q", text, last)
				}
				for name, h := range map[string]*house{"inner": inner, "outer": outer} {
					a := h.settled(t)
					if a.Held != (gate.Amount{}) || a.Spent.Requests != 1 || a.Spent.Output != 500 {
						t.Errorf("%s: %+v", name, a)
					}
				}
				for range 400 {
					if inner.up.Left() == 1 {
						return
					}
					time.Sleep(5 * time.Millisecond)
				}
				t.Error("the upstream's call goes on")
			})
		}
	}
}

// TestSeriesLeaving: a caller who goes away ends the call at the model, two gates further.
func TestSeriesLeaving(t *testing.T) {
	inner, outer := series(t, func(r gatetest.Request) gatetest.Answer {
		a := answerChat(r)
		a.Chunks, a.Stall = a.Chunks[:1], true
		return a
	}, nil)
	ctx, leave := context.WithCancel(t.Context())
	req, _ := http.NewRequestWithContext(ctx, http.MethodPost, outer.srv.URL+completions, strings.NewReader(strings.Replace(streamed, codename, outerName, 1)))
	req.Header.Set("Authorization", "Bearer "+outer.key)
	outer.do(t, req)
	leave()
	inner.settled(t)
	outer.settled(t)
	for range 400 {
		if inner.up.Left() == 1 {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Error("the upstream's call goes on")
}
