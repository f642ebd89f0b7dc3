package gate_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"proofhouse/internal/chat"
	"proofhouse/internal/gate"
	"proofhouse/internal/gate/gatetest"
	"proofhouse/internal/gate/openai"
	"proofhouse/internal/proofhouse"
)

var ask = chat.Request{Messages: []chat.Message{{Role: chat.User, Text: "hello"}}}

// impatient is a client of h that does not wait between attempts, and what it would have waited.
func impatient(t *testing.T, h *house) (*gate.Client, *[]time.Duration) {
	t.Helper()
	c := h.client(t, openai.Chat{})
	c.Pace, c.Backoff = gate.NewPace(100), time.Second
	var waits []time.Duration
	c.SetWait(func(ctx context.Context, d time.Duration) error {
		waits = append(waits, d)
		return context.Cause(ctx)
	})
	return c, &waits
}

// script answers with one after another, and then with the last for ever.
func script(answers ...gatetest.Answer) func(gatetest.Request) gatetest.Answer {
	var n atomic.Int64
	return func(gatetest.Request) gatetest.Answer {
		return answers[min(int(n.Add(1)), len(answers))-1]
	}
}

func fails(status int, body string, header ...string) gatetest.Answer {
	a := gatetest.Answer{Status: status, Header: map[string]string{"Content-Type": "application/json"}, Chunks: []string{body}}
	for i := 0; i+1 < len(header); i += 2 {
		a.Header[header[i]] = header[i+1]
	}
	return a
}

// TestClientRetries lets the provider fail in every way it has, and then answer.
func TestClientRetries(t *testing.T) {
	good := gatetest.Chat(realName, "well", 12, 7)
	for name, c := range map[string]struct {
		fault  gatetest.Answer
		status int
		wait   time.Duration // 0: some
	}{
		"429":                 {fails(429, `{"error":{"message":"slow down"}}`), 429, 0},
		"429 seconds":         {fails(429, `{}`, "Retry-After", "0.25"), 429, 250 * time.Millisecond},
		"429 milliseconds":    {fails(429, `{}`, "Retry-After-Ms", "20.5", "Retry-After", "3"), 429, 20500 * time.Microsecond},
		"529":                 {fails(529, `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`), 529, 0},
		"500 page":            {fails(500, `<html>`, "Content-Type", "text/html"), 500, 0},
		"422 to be retried":   {fails(422, `{}`, "X-Should-Retry", "true"), 422, 0},
		"no answer":           {gatetest.Answer{Drop: true}, 0, 0},
		"broken off":          {gatetest.Answer{Header: map[string]string{"Content-Length": "5000"}, Chunks: []string{`{"model":`}, Break: true}, 0, 0},
		"malformed":           {fails(200, `{"choices":[{"message":{"content":"wel`), 200, 0},
		"nothing":             {gatetest.Answer{}, 200, 0},
		"page":                {fails(200, `<html>`), 200, 0},
		"error with 200":      {fails(200, `{"error":{"message":"busy"}}`), 200, 0},
		"stream":              {gatetest.ChatStream(realName, "well", 12, 7), 200, 0},
		"529 in a stream":     {gatetest.Answer{Header: gatetest.EventStream, Chunks: []string{"event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}\n\n"}}, 200, 0},
		"another's budget":    {fails(429, `{"error":{"code":"rate_limit_exceeded"}}`, "X-Proofhouse-Reason", "insufficient_quota"), 429, 0},
		"wrong kind of model": {fails(200, `{"choices":7}`), 200, 0},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t, script(c.fault, c.fault, good), nil)
			cl, waits := impatient(t, h)
			out, err := cl.Generate(t.Context(), ask)
			if err != nil || out.Message.Text != "well" || len(out.Retries) != 2 {
				t.Fatalf("%+v, %v", out, err)
			}
			for i, r := range out.Retries {
				if r.Status != c.status || r.Reason == "" || r.Waited != (*waits)[i] || c.wait != 0 && r.Waited != c.wait || r.Waited <= 0 || strings.Contains(r.Reason, realName) {
					t.Errorf("%+v, waited %v", r, (*waits)[i])
				}
			}
			if got := h.settled(t).Spent.Requests; got > 3 || c.status >= 400 && got != 3 {
				t.Errorf("%d requests charged", got)
			}
		})
	}
}

// TestClientFinal are the answers that no other attempt would change.
func TestClientFinal(t *testing.T) {
	for name, c := range map[string]struct {
		answer gatetest.Answer
		change func(*gate.Config, *gate.Grant)
		kind   proofhouse.Kind // or
		stop   chat.StopReason
		asked  int // of the upstream
	}{
		"budget":            {change: func(_ *gate.Config, g *gate.Grant) { g.Limits.Output = 999 }, kind: proofhouse.Limit},
		"not in time":       {change: func(_ *gate.Config, g *gate.Grant) { g.From = g.Until.Add(-time.Minute) }, kind: proofhouse.Refused},
		"too large":         {change: func(c *gate.Config, _ *gate.Grant) { c.BodyMax = 10 }, kind: proofhouse.Invalid},
		"bad request":       {answer: fails(400, `{"error":{"message":"no such field"}}`), kind: proofhouse.Invalid, asked: 1},
		"upstream's key":    {answer: fails(401, `{"error":{"message":"bad key"}}`), kind: proofhouse.Refused, asked: 1},
		"no such model":     {answer: fails(404, `{"error":{"message":"no `+realName+`"}}`), kind: proofhouse.Invalid, asked: 1},
		"provider's credit": {answer: fails(429, `{"error":{"code":"insufficient_quota"}}`), kind: proofhouse.Unavailable, asked: 1},
		"not to be retried": {answer: fails(529, `{}`, "X-Should-Retry", "false"), kind: proofhouse.Unavailable, asked: 1},
		"redirect":          {answer: fails(302, ``, "Location", "http://127.0.0.1/"), kind: proofhouse.Unavailable, asked: 1},
		"for ever":          {answer: fails(503, `{}`), kind: proofhouse.Unavailable, asked: 10},
		"openai length":     {answer: fails(400, `{"error":{"code":"context_length_exceeded","message":"x"}}`), stop: chat.ModelLength, asked: 1},
		"llama.cpp length":  {answer: fails(400, `{"error":{"code":400,"type":"exceed_context_size_error","message":"x"}}`), stop: chat.ModelLength, asked: 1},
		"vllm length":       {answer: fails(400, `{"object":"error","message":"This model's maximum context length is 10 tokens","code":400}`), stop: chat.ModelLength, asked: 1},
		"filter":            {answer: fails(400, `{"error":{"code":"content_filter","message":"x"}}`), stop: chat.ContentFilter, asked: 1},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t, script(c.answer), c.change)
			cl, waits := impatient(t, h)
			out, err := cl.Generate(t.Context(), ask)
			if c.stop != "" && (err != nil || out.StopReason != c.stop || out.Model != codename) || c.stop == "" && proofhouse.KindOf(err) != c.kind {
				t.Errorf("%+v, %v", out, err)
			}
			if err != nil && strings.Contains(err.Error(), realName) {
				t.Errorf("%v names the model", err)
			}
			if got := len(h.up.Requests()); got != c.asked || len(*waits) != max(0, c.asked-1) {
				t.Errorf("asked %d times, want %d; waited %v", got, c.asked, *waits)
			}
			h.settled(t)
		})
	}
}

// TestClientIsEnded ends calls under way: their access, their caller, their gate.
func TestClientIsEnded(t *testing.T) {
	stop := errors.New("the run is stopped")
	for name, c := range map[string]struct {
		end  func(h *house, cancel context.CancelCauseFunc, local *gate.Local)
		good func(error) bool
	}{
		"revoked": {func(h *house, _ context.CancelCauseFunc, _ *gate.Local) {
			_, _, _ = h.Revoke(context.Background(), func(gate.Grant) bool { return true }, "test", time.Now())
		}, func(err error) bool { return proofhouse.KindOf(err) == proofhouse.Refused }},
		"cancelled": {func(_ *house, cancel context.CancelCauseFunc, _ *gate.Local) { cancel(stop) }, func(err error) bool { return errors.Is(err, stop) }},
		"closed":    {func(_ *house, _ context.CancelCauseFunc, local *gate.Local) { local.Close() }, func(err error) bool { return proofhouse.KindOf(err) == proofhouse.Unavailable }},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t, script(gatetest.Answer{Stall: true}), nil)
			local := gate.NewLocal(h.Gate)
			defer local.Close()
			cl := gate.NewClient(local, openai.Chat{}, h.key, codename)
			waits := 0
			cl.SetWait(func(context.Context, time.Duration) error {
				waits++
				return nil
			})
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			done := make(chan error)
			go func() {
				_, err := cl.Generate(ctx, ask)
				done <- err
			}()
			for len(h.up.Requests()) == 0 {
				time.Sleep(time.Millisecond)
			}
			c.end(h, cancel, local)
			if err := <-done; !c.good(err) || waits > 1 { // a broken connection is tried once more, a closed gate is not
				t.Errorf("ended with %v after %d waits", err, waits)
			}
			if got := h.settled(t); got.Spent.Output != 1000 {
				t.Errorf("charged %+v, want the whole hold", got)
			}
			for h.up.Left() == 0 {
				time.Sleep(time.Millisecond)
			}
		})
	}
}

// TestClientQueues lets the grant's own rate hold a call back: no failure of the provider's.
func TestClientQueues(t *testing.T) {
	first := make(chan struct{})
	var n atomic.Int64
	h := open(t, func(gatetest.Request) gatetest.Answer {
		if n.Add(1) == 1 {
			<-first
		}
		return gatetest.Chat(realName, "well", 12, 7)
	}, func(_ *gate.Config, g *gate.Grant) { g.Limits.Streams = 1 })
	cl, _ := impatient(t, h)
	var once sync.Once
	cl.SetWait(func(context.Context, time.Duration) error {
		once.Do(func() { close(first) })
		time.Sleep(time.Millisecond)
		return nil
	})
	outs := make(chan chat.Output, 2)
	for range 2 {
		go func() {
			out, err := cl.Generate(t.Context(), ask)
			if err != nil {
				t.Error(err)
			}
			outs <- out
		}()
	}
	a, b := <-outs, <-outs
	if a.Retries != nil || b.Retries != nil || max(a.Queued, b.Queued) < 250*time.Millisecond {
		t.Errorf("queued %v and %v, retries %v and %v", a.Queued, b.Queued, a.Retries, b.Retries)
	}
}

func TestClientNamesCalls(t *testing.T) {
	h := open(t, script(fails(200, `{"choices":[{"message":{"tool_calls":[{"function":{"name":"a"}},{"id":"x","function":{"name":"b"}},{"id":"x","function":{"name":"c"}}]},"finish_reason":"tool_calls"}]}`)), nil)
	cl, _ := impatient(t, h)
	out, err := cl.Generate(t.Context(), ask)
	if err != nil || len(out.Message.ToolCalls) != 3 {
		t.Fatalf("%+v, %v", out, err)
	}
	ids := map[string]bool{}
	for _, c := range out.Message.ToolCalls {
		ids[c.ID] = true
	}
	if len(ids) != 3 || ids[""] || !ids["x"] {
		t.Errorf("ids %v", ids)
	}
}

func TestLend(t *testing.T) {
	h := open(t, answerChat, nil)
	local := gate.NewLocal(h.Gate)
	defer local.Close()
	terms := gate.Grant{Subject: "run 1", Upstream: "up", Model: realName, Protocols: []string{"openai-chat"}, Until: time.Now().Add(time.Hour), Limits: gate.Limits{Requests: 1, OutputCap: 10}}
	key, grant, err := h.Lend(t.Context(), terms, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	cl := gate.NewClient(local, openai.Chat{}, key, grant.Codename)
	if out, err := cl.Generate(t.Context(), ask); err != nil || out.Model != grant.Codename || out.Model == "" {
		t.Errorf("%+v, %v", out, err)
	}
	if _, err := cl.Generate(t.Context(), ask); proofhouse.KindOf(err) != proofhouse.Limit {
		t.Errorf("over the budget of one request: %v", err)
	}
	terms.Upstream = "another"
	if _, _, err := h.Lend(t.Context(), terms, time.Now()); proofhouse.KindOf(err) != proofhouse.Invalid {
		t.Errorf("an upstream that is not there: %v", err)
	}
}

// TestLocal speaks HTTP by hand over connections of both kinds.
func TestLocal(t *testing.T) {
	h := open(t, answerChat, nil)
	local := gate.NewLocal(h.Gate)
	here, there := net.Pipe()
	if err := local.Serve(t.Context(), there); err != nil {
		t.Fatal(err)
	}
	dialled, err := local.Dial(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	for _, conn := range []io.ReadWriter{here, dialled} {
		if _, err := io.WriteString(conn, "HEAD / HTTP/1.1\r\nHost: gate\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 12)
		if _, err := io.ReadFull(conn, b); err != nil || string(b) != "HTTP/1.1 204" {
			t.Errorf("%q, %v", b, err)
		}
	}
	go func() { _, _ = io.Copy(io.Discard, dialled) }()
	local.Close()
	if _, err := io.Copy(io.Discard, here); err != nil {
		t.Error(err)
	}
	if _, err := local.Dial(t.Context(), "", ""); proofhouse.KindOf(err) != proofhouse.Unavailable {
		t.Errorf("a closed gate was dialled: %v", err)
	}
	if err := local.Serve(t.Context(), dialled); err == nil {
		t.Error("a closed gate serves")
	}
	local.Close()
}

func TestRefusalHeader(t *testing.T) {
	h := open(t, script(fails(429, `{}`, "X-Proofhouse-Reason", "insufficient_quota")), nil)
	if got := h.post(t, completions, "phk_x", hello); got.Header.Get("X-Proofhouse-Reason") != "invalid_api_key" || got.StatusCode != http.StatusUnauthorized {
		t.Errorf("%d %v", got.StatusCode, got.Header)
	}
	if got := h.post(t, completions, h.key, hello); got.Header.Get("X-Proofhouse-Reason") != "" {
		t.Errorf("an upstream's refusal passed: %v", got.Header)
	}
}
