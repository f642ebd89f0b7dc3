package gate_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"proofhouse/internal/gate"
	"proofhouse/internal/gate/anthropic"
	"proofhouse/internal/gate/gatetest"
	"proofhouse/internal/gate/openai"
)

const (
	realName    = "Titan-9-secret"
	codename    = "violet"
	upstreamKey = "sk-upstream-canary"
	host        = "titan.example"
)

// memory is a log in memory.
type memory struct {
	mu    sync.Mutex
	lines [][]byte
	safe  int // lines that the death of the machine does not lose
	fail  bool
}

func (m *memory) Append(b []byte) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail {
		return 0, fmt.Errorf("no space left on %s", host)
	}
	m.lines = append(m.lines, bytes.Clone(b))
	return uint64(len(m.lines)), nil
}

func (m *memory) Written(context.Context, uint64) error { return nil }

func (m *memory) Sync(_ context.Context, seq uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.safe = max(m.safe, int(seq))
	return nil
}

func (m *memory) records(t *testing.T) []gate.Record {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	return parse(t, m.lines)
}

func parse(t *testing.T, lines [][]byte) []gate.Record {
	t.Helper()
	all := make([]gate.Record, len(lines))
	for i, b := range lines {
		if err := json.Unmarshal(b, &all[i]); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// house is a gate with one grant before a scripted upstream.
type house struct {
	*gate.Gate
	up   *gatetest.Upstream
	srv  *httptest.Server
	log  *memory
	key  string
	cfg  gate.Config
	hold gate.Grant
}

func open(t testing.TB, answer func(gatetest.Request) gatetest.Answer, change func(*gate.Config, *gate.Grant)) *house {
	t.Helper()
	h := &house{up: gatetest.Start(answer), log: &memory{}, key: gate.NewKey()}
	t.Cleanup(h.up.Close)
	sum, _ := gate.HashKey(h.key)
	h.hold = gate.Grant{
		ID: "g1", Subject: "tester", Upstream: "up", Model: realName, Codename: codename, KeyHash: sum,
		Protocols: []string{"openai-chat", "openai-responses", "anthropic-messages"},
		From:      time.Now().Add(-time.Hour), Until: time.Now().Add(time.Hour),
		Limits: gate.Limits{Requests: 1000, Output: 1_000_000, OutputCap: 1000},
	}
	h.cfg = gate.Config{
		Protocols: []gate.Protocol{openai.Chat{}, openai.Responses{}, openai.Count{}, anthropic.Messages{}, anthropic.Count{}},
		Upstreams: []gate.Upstream{{Name: "up", Base: h.up.Base(), Key: upstreamKey, Secrets: []string{host}}},
		Log:       h.log,
	}
	if change != nil {
		change(&h.cfg, &h.hold)
	}
	g, err := gate.Open(h.cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Grant(t.Context(), h.hold, time.Now()); err != nil {
		t.Fatal(err)
	}
	h.Gate = g
	h.srv = httptest.NewServer(g)
	t.Cleanup(h.srv.Close)
	return h
}

// reply is what a caller sees; the body is closed at the test's end.
type reply struct {
	StatusCode int
	Header     http.Header
	Body       io.Reader
}

func (h *house) post(t *testing.T, path, key, body string, header ...string) reply {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.srv.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+key)
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return h.do(t, req)
}

func (h *house) do(t *testing.T, req *http.Request) reply {
	t.Helper()
	resp, err := h.srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return reply{resp.StatusCode, resp.Header, resp.Body}
}

func read(t *testing.T, r reply) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatalf("%v after %q", err, b)
	}
	return string(b)
}

// settled waits until no call is under way, and gives the account.
func (h *house) settled(t *testing.T) gate.Account {
	t.Helper()
	for range 2000 {
		if a := h.Accounts()["g1"]; a.Open == 0 {
			return a
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("calls are still under way: %+v", h.Accounts()["g1"])
	return gate.Account{}
}

const (
	completions = "/v1/chat/completions"
	messages    = "/v1/messages"
	hello       = `{"model":"violet","messages":[{"role":"user","content":"hello"}]}`
	streamed    = `{"model":"violet","stream":true,"messages":[{"role":"user","content":"hello"}]}`
)

func answerChat(r gatetest.Request) gatetest.Answer {
	switch {
	case r.Path == messages:
		return gatetest.MessageStream(realName, "one two three", 12, 7)
	case strings.Contains(r.Body, `"stream":true`):
		return gatetest.ChatStream(realName, "one two three", 12, 7)
	}
	return gatetest.Chat(realName, "one two three", 12, 7)
}

func TestRefusals(t *testing.T) {
	stranger := gate.NewKey()
	type grant = func(*gate.Config, *gate.Grant)
	for _, c := range []struct {
		name   string
		change grant
		key    string // "" is the grant's own
		path   string
		body   string
		status int
		code   string
	}{
		{"no key", nil, " ", completions, hello, 401, "invalid_api_key"},
		{"a stranger's key", nil, stranger, completions, hello, 401, "invalid_api_key"},
		{"a mistyped key", nil, stranger[:len(stranger)-1], completions, hello, 401, "invalid_api_key"},
		{"a key before its time", func(_ *gate.Config, g *gate.Grant) { g.From = time.Now().Add(time.Minute) }, "", completions, hello, 403, "grant_not_in_force"},
		{"a key after its time", func(_ *gate.Config, g *gate.Grant) { g.Until = time.Now().Add(-time.Minute) }, "", completions, hello, 403, "grant_not_in_force"},
		{"the real name", nil, "", completions, strings.Replace(hello, codename, realName, 1), 404, "model_not_found"},
		{"another model", nil, "", completions, strings.Replace(hello, codename, "gpt-9", 1), 404, "model_not_found"},
		{"a protocol not granted", func(_ *gate.Config, g *gate.Grant) { g.Protocols = []string{"anthropic-messages"} }, "", completions, hello, 403, "permission_denied"},
		{"batches", nil, "", "/v1/batches", `{}`, 404, "not_found"},
		{"files", nil, "", "/v1/files", `{}`, 404, "not_found"},
		{"realtime", nil, "", "/v1/realtime", `{}`, 404, "not_found"},
		{"a path that only looks alike", nil, "", "/v1/chat/completions/", hello, 404, "not_found"},
		{"not JSON", nil, "", completions, `{"model":`, 400, "invalid_request"},
		{"no object", nil, "", completions, `[]`, 400, "invalid_request"},
		{"two models", nil, "", completions, `{"model":"violet","model":"gpt-9","messages":[]}`, 400, "invalid_request"},
		{"a model in disguise", nil, "", completions, `{"model":"violet","mod\u0065l":"gpt-9","messages":[]}`, 400, "invalid_request"},
		{"a model in other case", nil, "", completions, `{"model":"violet","Model":"gpt-9","messages":[]}`, 400, "invalid_request"},
		{"too much output", nil, "", completions, `{"model":"violet","max_tokens":1001,"messages":[]}`, 403, "permission_denied"},
		{"too many answers", nil, "", completions, `{"model":"violet","n":129,"messages":[]}`, 400, "invalid_request"},
		{"input by reference", nil, "", completions, `{"model":"violet","messages":[{"role":"user","content":[{"type":"file","file":{"file_id":"file-1"}}]}]}`, 403, "permission_denied"},
		{"a body over the bound", func(c *gate.Config, _ *gate.Grant) { c.BodyMax = 50 }, "", completions, hello, 413, "request_too_large"},
		{"a budget that it does not fit", func(_ *gate.Config, g *gate.Grant) { g.Limits.Output = 999 }, "", completions, hello, 429, "insufficient_quota"},
		{"an unknown price", func(_ *gate.Config, g *gate.Grant) { g.Limits.NanoDollars = 1e9 }, "", completions, hello, 403, "price_unknown"},
		{"a log that cannot be written", nil, "", completions, hello, 502, "upstream_unavailable"},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "-"), func(t *testing.T) {
			h := open(t, answerChat, c.change)
			h.log.mu.Lock()
			h.log.fail = strings.HasPrefix(c.name, "a log")
			h.log.mu.Unlock()
			key := c.key
			if key == "" {
				key = h.key
			}
			resp := h.post(t, c.path, key, c.body)
			body := read(t, resp)
			var e struct {
				Error struct{ Code, Message string }
			}
			if err := json.Unmarshal([]byte(body), &e); err != nil || resp.StatusCode != c.status || e.Error.Code != c.code || e.Error.Message == "" {
				t.Errorf("%d %s, want %d %s", resp.StatusCode, body, c.status, c.code)
			}
			if n := len(h.up.Requests()); n != 0 {
				t.Errorf("%d requests reached the upstream", n)
			}
			if a := h.Accounts()["g1"]; a.Spent != (gate.Amount{}) || a.Held != (gate.Amount{}) {
				t.Errorf("a refusal cost %+v", a)
			}
			if c.code == "insufficient_quota" && resp.Header.Get("X-Should-Retry") != "false" {
				t.Error("a spent budget invites to try again")
			}
			checkNothingLeaks(t, body, resp.Header)
		})
	}
}

func checkNothingLeaks(t *testing.T, body string, header http.Header) {
	t.Helper()
	for _, secret := range []string{realName, upstreamKey, host} {
		if strings.Contains(strings.ToLower(body+fmt.Sprint(header)), strings.ToLower(secret)) {
			t.Errorf("%q is in %s %v", secret, body, header)
		}
	}
}

// TestExact holds every byte and header of odd requests and answers against what arrives on the other side.
func TestExact(t *testing.T) {
	const odd = "{ \"zz_new\" : 1.0, \"big\":12345678901234567890,\"t\":\"\\u00e9\\n\" ,\r\n\t\"model\" : \"violet\",\"max_tokens\":7, \"enable_thinking\":true, \"messages\":[{\"role\":\"user\",\"content\":\"titan\"}] }"
	const oddAnswer = "{ \"model\" : \"Titan-9-secret-2026\", \"x\":1.0,\"y\":12345678901234567890,\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2} }\n"
	h := open(t, func(gatetest.Request) gatetest.Answer {
		return gatetest.Answer{Header: map[string]string{
			"Content-Type": "application/json", "X-Request-Id": "req_1", "X-Ratelimit-Remaining-Tokens": "9", "Retry-After-Ms": "12", "X-Should-Retry": "true",
			"Openai-Organization": "titan-labs", "Server": "titan", "X-Ms-Deployment-Name": "t9", "Anthropic-Ratelimit-Unified-Status": "allowed", "Cf-Ray": "1",
		}, Chunks: []string{oddAnswer}}
	}, nil)
	resp := h.post(t, completions+"?beta=true", h.key, odd, "Anthropic-Beta", "a,b", "Idempotency-Key", "k", "X-Stainless-Lang", "go", "Cookie", "c=1", "Anthropic-Workspace-Id", "w", "Openai-Project", "p", "X-Forwarded-For", "10.0.0.1")
	if got, want := read(t, resp), strings.Replace(oddAnswer, "Titan-9-secret-2026", codename, 1); got != want {
		t.Errorf("answer\n%q, want\n%q", got, want)
	}
	up := h.up.Requests()[0]
	if want := strings.Replace(odd, codename, realName, 1); up.Body != want || up.Query != "beta=true" {
		t.Errorf("upstream got %q ?%s, want %q", up.Body, up.Query, want)
	}
	for name, want := range map[string]string{"Anthropic-Beta": "a,b", "Idempotency-Key": "k", "X-Stainless-Lang": "go", "Authorization": "Bearer " + upstreamKey, "Cookie": "", "Anthropic-Workspace-Id": "", "Openai-Project": "", "X-Forwarded-For": "", "Accept-Encoding": ""} {
		if got := up.Header.Get(name); got != want {
			t.Errorf("upstream header %s is %q, want %q", name, got, want)
		}
	}
	for name, want := range map[string]string{"X-Request-Id": "req_1", "X-Ratelimit-Remaining-Tokens": "9", "Retry-After-Ms": "12", "X-Should-Retry": "true", "Anthropic-Ratelimit-Unified-Status": "allowed", "Openai-Organization": "", "Server": "", "X-Ms-Deployment-Name": "", "Cf-Ray": ""} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("answer's header %s is %q, want %q", name, got, want)
		}
	}
	if a := h.settled(t); a.Spent != (gate.Amount{Requests: 1, Input: 3, Output: 2}) {
		t.Errorf("charged %+v", a.Spent)
	}
}

// TestStreams holds the streams of both families to the upstream's, byte for byte but for the names and what the gate asked for itself.
func TestStreams(t *testing.T) {
	h := open(t, answerChat, nil)
	shown := func(a gatetest.Answer, without string) string {
		kept := slices.DeleteFunc(slices.Clone(a.Chunks), func(c string) bool { return without != "" && strings.Contains(c, without) })
		return strings.ReplaceAll(strings.Join(kept, ""), realName, codename)
	}
	chatAnswer := gatetest.ChatStream(realName, "one two three", 12, 7)
	asked := strings.Replace(streamed, `"stream":true`, `"stream":true,"stream_options":{"include_usage":true}`, 1)
	for _, c := range []struct{ name, path, body, want string }{
		{"usage not asked for", completions, streamed, shown(chatAnswer, "prompt_tokens")},
		{"usage asked for", completions, asked, shown(chatAnswer, "")},
		{"a message", messages, `{"model":"violet","max_tokens":50,"stream":true,"messages":[{"role":"user","content":"hello"}]}`, shown(gatetest.MessageStream(realName, "one two three", 12, 7), "")},
	} {
		resp := h.post(t, c.path, h.key, c.body)
		if got := read(t, resp); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, got, c.want)
		}
		checkNothingLeaks(t, "", resp.Header)
	}
	if a := h.settled(t); a.Spent != (gate.Amount{Requests: 3, Input: 36, Output: 21}) {
		t.Errorf("charged %+v", a.Spent)
	}
	if up := h.up.Requests()[0].Body; !strings.Contains(up, `"include_usage":true`) || !strings.Contains(up, `"max_completion_tokens":1000`) {
		t.Errorf("upstream got %s", up)
	}
}

// TestErrorsAreMasked lets the upstream name itself in its errors.
func TestErrorsAreMasked(t *testing.T) {
	h := open(t, func(gatetest.Request) gatetest.Answer {
		return gatetest.Answer{
			Status: 529,
			Header: map[string]string{"Content-Type": "application/json", "Retry-After": "7", "X-Request-Id": "titan-9-secret-17"},
			Chunks: []string{`{"error":{"message":"TITAN-9-SECRET is overloaded at titan.example"}}`},
		}
	}, nil)
	resp := h.post(t, completions, h.key, hello)
	body := read(t, resp)
	if resp.StatusCode != 529 || body != `{"error":{"message":"violet is overloaded at violet"}}` || resp.Header.Get("Retry-After") != "7" {
		t.Errorf("%d %s %v", resp.StatusCode, body, resp.Header)
	}
	checkNothingLeaks(t, body, resp.Header)
	if a := h.settled(t); a.Spent != (gate.Amount{Requests: 1}) {
		t.Errorf("an error was charged %+v", a.Spent)
	}
}

// TestRace lets 128 callers at a budget that holds a fraction of their calls. The upstream's own count of what it
// gave is the bill.
func TestRace(t *testing.T) {
	var mu sync.Mutex
	var billed int64
	h := open(t, func(gatetest.Request) gatetest.Answer {
		out := rand.Int64N(101)
		mu.Lock()
		billed += out
		mu.Unlock()
		return gatetest.Chat(realName, "x", 3, out)
	}, func(_ *gate.Config, g *gate.Grant) {
		g.Limits = gate.Limits{Output: 5000, OutputCap: 100}
	})
	var wg sync.WaitGroup
	for range 128 {
		wg.Go(func() {
			for range 4 {
				resp := h.post(t, completions, h.key, hello)
				_, _ = io.Copy(io.Discard, resp.Body)
				if resp.StatusCode != 200 && resp.StatusCode != 429 {
					t.Errorf("status %d", resp.StatusCode)
				}
			}
		})
	}
	wg.Wait()
	h.settled(t)
	for h.post(t, completions, h.key, hello).StatusCode == 200 { // one alone gets what the race left, down to less than a hold
		h.settled(t)
	}
	a := h.settled(t)
	if billed > 5000 || a.Spent.Output != billed || a.Held != (gate.Amount{}) {
		t.Errorf("billed %d of 5000, charged %+v, held %+v", billed, a.Spent, a.Held)
	}
	if billed <= 4900 {
		t.Errorf("only %d of 5000 were given out: a hold leaked", billed)
	}
}

// TestRevoke cuts streams in the middle, and calls that have no answer yet.
func TestRevoke(t *testing.T) {
	h := open(t, func(r gatetest.Request) gatetest.Answer {
		if !strings.Contains(r.Body, `"stream":true`) {
			return gatetest.Answer{Header: gatetest.JSON, Stall: true}
		}
		a := gatetest.ChatStream(realName, "one two", 1, 1)
		a.Chunks, a.Stall = append(a.Chunks[:1], "data: {\"half"), true
		return a
	}, nil)
	const n = 64
	first := make(chan struct{}, n)
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			resp := h.post(t, completions, h.key, streamed)
			var b [1]byte
			_, _ = io.ReadFull(resp.Body, b[:])
			first <- struct{}{}
			rest, err := io.ReadAll(resp.Body)
			text := string(rest)
			if err != nil || strings.Contains(text, "half") || !strings.Contains(text, `"code":"access_revoked"`) || !strings.HasSuffix(text, "}\n\n") {
				t.Errorf("%q, %v", text, err)
			}
		})
	}
	wg.Go(func() {
		resp := h.post(t, completions, h.key, hello)
		if body := read(t, resp); resp.StatusCode != 403 && resp.StatusCode != 401 || !strings.Contains(body, "revoked") {
			t.Errorf("%d %s", resp.StatusCode, body)
		}
	})
	for range n {
		<-first
	}
	grants, calls, err := h.Revoke(t.Context(), func(g gate.Grant) bool { return g.Subject == "tester" }, "the test says so", time.Now())
	if err != nil || grants != 1 || calls < n {
		t.Errorf("%d grants, %d calls, %v", grants, calls, err)
	}
	wg.Wait()
	if resp := h.post(t, completions, h.key, hello); resp.StatusCode != 401 {
		t.Errorf("a revoked key is answered with %d", resp.StatusCode)
	}
	a := h.settled(t)
	if a.Spent.Output < n*1000 { // nobody said what was used
		t.Errorf("cut streams were charged %+v", a.Spent)
	}
	again, err := gate.Open(h.cfg, gate.Fold(h.log.records(t)))
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(again)
	defer srv.Close()
	h.srv = srv
	if resp := h.post(t, completions, h.key, hello); resp.StatusCode != 401 {
		t.Errorf("after opening again, a revoked key is answered with %d", resp.StatusCode)
	}
	for range 400 { // the upstream was told at once
		if h.up.Left() >= n {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Errorf("upstream still serves %d of %d", n-h.up.Left(), n)
}

// TestRevokedWhileSending revokes a key after it was looked up, while the body is still on its way.
func TestRevokedWhileSending(t *testing.T) {
	h := open(t, answerChat, nil)
	body, send := io.Pipe()
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, h.srv.URL+completions, body)
	req.Header.Set("Authorization", "Bearer "+h.key)
	go func() {
		_, _ = io.WriteString(send, hello[:10])
		time.Sleep(50 * time.Millisecond) // let the gate look the key up; the test holds either way
		_, _, _ = h.Revoke(t.Context(), func(gate.Grant) bool { return true }, "", time.Now())
		_, _ = io.WriteString(send, hello[10:])
		send.Close()
	}()
	resp := h.do(t, req)
	if body := read(t, resp); resp.StatusCode != 401 || len(h.up.Requests()) != 0 {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
}

// TestUntil ends a grant in the middle of a stream: nobody acts.
func TestUntil(t *testing.T) {
	h := open(t, func(gatetest.Request) gatetest.Answer {
		a := gatetest.ChatStream(realName, "one", 1, 1)
		a.Chunks, a.Stall = a.Chunks[:1], true
		return a
	}, func(_ *gate.Config, g *gate.Grant) { g.Until = time.Now().Add(2 * time.Second) })
	if text := read(t, h.post(t, completions, h.key, streamed)); !strings.Contains(text, "access_revoked") {
		t.Errorf("%q", text)
	}
}

// TestLeaving cancels the upstream's call when the caller goes away, and charges the whole hold.
func TestLeaving(t *testing.T) {
	h := open(t, func(gatetest.Request) gatetest.Answer {
		a := gatetest.ChatStream(realName, "one", 1, 1)
		a.Chunks, a.Stall = a.Chunks[:1], true
		return a
	}, nil)
	ctx, leave := context.WithCancel(t.Context())
	req, _ := http.NewRequestWithContext(ctx, http.MethodPost, h.srv.URL+completions, strings.NewReader(streamed))
	req.Header.Set("Authorization", "Bearer "+h.key)
	h.do(t, req)
	leave()
	if a := h.settled(t); a.Spent.Output != 1000 {
		t.Errorf("charged %+v", a.Spent)
	}
	for range 400 {
		if h.up.Left() == 1 {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Error("the upstream's call goes on")
}

// TestBrokenAnswers ends streams and bodies that the upstream cuts with an error, not with a clean end.
func TestBrokenAnswers(t *testing.T) {
	h := open(t, func(r gatetest.Request) gatetest.Answer {
		if strings.Contains(r.Body, `"stream":true`) {
			return gatetest.Answer{Header: gatetest.EventStream, Chunks: []string{"data: {\"choices\":[]}\n\n", "data: {\"cho"}, Break: true}
		}
		return gatetest.Answer{Header: gatetest.JSON, Chunks: []string{`{"model":"`}, Break: true}
	}, nil)
	if text := read(t, h.post(t, completions, h.key, streamed)); !strings.HasPrefix(text, "data: {\"choices\":[]}\n\ndata: {") || !strings.Contains(text, "upstream_unavailable") {
		t.Errorf("%q", text)
	}
	resp := h.post(t, completions, h.key, hello)
	if body := read(t, resp); resp.StatusCode != 502 || !strings.Contains(body, "upstream_unavailable") {
		t.Errorf("%d %q", resp.StatusCode, body)
	}
	if a := h.settled(t); a.Spent.Output != 2000 {
		t.Errorf("charged %+v", a.Spent)
	}
	h.up.Close()
	if resp := h.post(t, completions, h.key, hello); resp.StatusCode != 502 {
		t.Errorf("no upstream: %d", resp.StatusCode)
	}
	if a := h.settled(t); a.Spent.Requests != 2 {
		t.Errorf("what never reached the upstream was charged: %+v", a.Spent)
	}
}

// TestSentOnce drops a request on a connection that was used before: it is not sent again by itself, however the caller marks it.
func TestSentOnce(t *testing.T) {
	h := open(t, func(r gatetest.Request) gatetest.Answer {
		if strings.Contains(r.Body, "drop") {
			return gatetest.Answer{Drop: true}
		}
		return answerChat(r)
	}, nil)
	for i, name := range []string{"Idempotency-Key", "X-Idempotency-Key"} {
		read(t, h.post(t, completions, h.key, hello))
		resp := h.post(t, completions, h.key, strings.Replace(hello, "hello", "drop", 1), name, "k")
		read(t, resp)
		all := h.up.Requests()
		if resp.StatusCode != 502 || len(all) != 2*i+2 || all[2*i+1].Header.Get(name) != "k" {
			t.Errorf("%s: status %d, %d requests at the upstream", name, resp.StatusCode, len(all))
		}
	}
	if a := h.settled(t); a.Spent.Output != 2*(7+1000) {
		t.Errorf("charged %+v", a.Spent)
	}
}

// TestKilled opens a gate on the records that a killed one left: open holds count as spent.
func TestKilled(t *testing.T) {
	h := open(t, func(r gatetest.Request) gatetest.Answer {
		a := answerChat(r)
		a.Stall = strings.Contains(r.Body, "stall")
		return a
	}, func(c *gate.Config, _ *gate.Grant) { c.Boot = "boot" })
	read(t, h.post(t, completions, h.key, hello))
	h.settled(t)
	h.post(t, completions, h.key, strings.Replace(streamed, "hello", "stall", 1))
	again, err := gate.Open(h.cfg, gate.Fold(h.log.records(t)))
	if err != nil {
		t.Fatal(err)
	}
	if a := again.Accounts()["g1"]; a.Spent.Output != 7+1000 || a.Spent.Requests != 2 || a.Open != 0 {
		t.Errorf("after a kill: %+v", a)
	}
}

// TestRecordHoldsNoContent searches the log for the prompt, the answer, the keys.
func TestRecordHoldsNoContent(t *testing.T) {
	h := open(t, func(gatetest.Request) gatetest.Answer { return gatetest.Chat(realName, "answer-canary", 3, 2) }, nil)
	read(t, h.post(t, completions, h.key, strings.Replace(hello, "hello", "prompt-canary", 1), "X-Note", "header-canary"))
	h.settled(t)
	log := string(bytes.Join(h.log.lines, nil))
	for _, canary := range []string{"prompt-canary", "answer-canary", "header-canary", upstreamKey, h.key} {
		if strings.Contains(log, canary) {
			t.Errorf("%s is in the record", canary)
		}
	}
	if !strings.Contains(log, `"kind":"ended"`) {
		t.Errorf("no end in %s", log)
	}
}

// TestModels lists the codename and nothing else.
func TestModels(t *testing.T) {
	h := open(t, answerChat, nil)
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, h.srv.URL+"/v1/models", nil)
	req.Header.Set("Authorization", "Bearer "+h.key)
	resp := h.do(t, req)
	body := read(t, resp)
	if !strings.Contains(body, `"id":"violet"`) {
		t.Error(body)
	}
	checkNothingLeaks(t, body, resp.Header)
}

// TestNeverReading has a caller who takes in nothing: revoking ends its call all the same.
func TestNeverReading(t *testing.T) {
	h := open(t, func(gatetest.Request) gatetest.Answer {
		return gatetest.Answer{Header: gatetest.EventStream, Chunks: slices.Repeat([]string{"data: " + strings.Repeat("x", 1<<20) + "\n\n"}, 64), Stall: true}
	}, nil)
	h.post(t, completions, h.key, streamed)
	for h.Accounts()["g1"].Open == 0 {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(500 * time.Millisecond) // until every buffer on the way is full and the gate waits in a write
	if _, _, err := h.Revoke(t.Context(), func(gate.Grant) bool { return true }, "", time.Now()); err != nil {
		t.Fatal(err)
	}
	h.settled(t)
}
