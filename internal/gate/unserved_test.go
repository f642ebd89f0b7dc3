package gate_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"proofhouse/internal/gate"
)

// TestUnserved asks for what known clients ask for and the gate cannot meter: each is told why, in its protocol's shape.
func TestUnserved(t *testing.T) {
	h := open(t, answerChat, nil)
	for _, c := range []struct{ method, path, vendor, sentence string }{
		{"POST", "/v1/batches", "", "send the requests one by one"},
		{"GET", "/v1/batches/batch_1", "", "send the requests one by one"},
		{"POST", "/v1/messages/batches", "anthropic", "send the requests one by one"},
		{"GET", "/v1/messages/batches/b/results", "anthropic", "send the requests one by one"},
		{"POST", "/v1/files", "", "send the content in the request itself"},
		{"POST", "/v1/files", "anthropic", "send the content in the request itself"},
		{"GET", "/v1/files/f/content", "", "send the content in the request itself"},
		{"POST", "/v1/uploads", "", "send the content in the request itself"},
		{"POST", "/v1/conversations", "", "send the content in the request itself"},
		{"POST", "/v1/threads/runs", "", "threads run at the upstream"},
		{"POST", "/v1/assistants", "", "assistants run at the upstream"},
		{"GET", "/v1/realtime?model=violet", "", "realtime sessions"},
		{"POST", "/v1/realtime/sessions", "", "realtime sessions"},
		{"POST", "/v1/completions", "", "use /v1/chat/completions"},
		{"POST", "/v1/complete", "anthropic", "use /v1/messages"},
		{"POST", "/v1/embeddings", "", "embeddings are not served"},
		{"POST", "/v1/images/generations", "", "pictures are priced"},
		{"POST", "/v1/audio/speech", "", "sound is priced"},
		{"POST", "/v1/videos", "", "videos are priced"},
		{"POST", "/v1/moderations", "", "moderation is not served"},
		{"POST", "/v1/fine_tuning/jobs", "", "not to be trained"},
		{"GET", "/v1/organization/costs", "", "its owner's"},
		{"GET", "/v1/responses/resp_1", "", "keeps no answers"},
		{"GET", "/v1/responses", "", "as POST"},
		{"DELETE", "/v1/chat/completions/c", "", "keeps no answers"},
		{"GET", "/v1/chat/completions", "", "as POST"},
		{"POST", "/v1/chat/completions/", "", "without a slash"},
		{"POST", "/v1/messages//", "anthropic", "without a slash"},
		{"POST", "/chat/completions", "", "lacks /v1"},
		{"POST", "/v1/v1/messages", "", "twice"},
		{"POST", "/api/chat", "", "another server's"},
		{"POST", "/v1beta/models/violet:generateContent", "", "another vendor's"},
		{"POST", "/v1/batchesque", "", "does not serve POST /v1/batchesque"},
		{"POST", "/%ff%fe" + strings.Repeat("x", 5000), "", "does not serve POST /?xxx"},
		{"GET", "/", "", "does not serve GET /"},
		{"PUT", "/v1/models", "", "does not serve PUT"},
		{"GET", "/v1/models/gpt-9", "", "the one that it is for is violet"},
		{"GET", "/v1/modelsque", "", "does not serve GET"},
		{"POST", completions + "?" + strings.Repeat("a", 4097), "", "query is over"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, h.srv.URL+c.path, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+h.key)
		if c.vendor == "anthropic" {
			req.Header.Set("Anthropic-Version", "2023-06-01")
		}
		checkRefusal(t, c.method+" "+c.path[:min(len(c.path), 60)], h.do(t, req), c.vendor, c.sentence)
	}
	for _, header := range []string{"websocket", "h2c, WebSocket"} {
		for _, path := range []string{"/v1/responses", "/v1/realtime", completions} {
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, h.srv.URL+path, nil)
			for k, v := range map[string]string{"Authorization": "Bearer " + h.key, "Connection": "Upgrade", "Upgrade": header, "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="} {
				req.Header.Set(k, v)
			}
			checkRefusal(t, "WebSocket "+path, h.do(t, req), "", "send each request as POST")
		}
	}
	if n := len(h.up.Requests()); n != 0 {
		t.Errorf("%d of them reached the upstream", n)
	}
	if a := h.settled(t); a.Spent != (gate.Amount{}) {
		t.Errorf("they cost %+v", a.Spent)
	}
	resp := h.post(t, completions, h.key, hello, "Connection", "Upgrade", "Upgrade", "h2c")
	if read(t, resp); resp.StatusCode != 200 || h.up.Requests()[0].Header.Get("Upgrade") != "" {
		t.Errorf("an upgrade that may be declined: %d", resp.StatusCode)
	}
}

// checkRefusal wants a 400 or 404 in the vendor's shape, with the sentence, and no invitation to try again.
func checkRefusal(t *testing.T, name string, resp reply, vendor, sentence string) {
	t.Helper()
	body := read(t, resp)
	var e struct {
		Type  string
		Error struct{ Type, Code, Message string }
	}
	err := json.Unmarshal([]byte(body), &e)
	shaped := e.Type == "" && e.Error.Code != ""
	if vendor == "anthropic" {
		shaped = e.Type == "error" && (e.Error.Type == "not_found_error" || e.Error.Type == "invalid_request_error")
	}
	if err != nil || !shaped || resp.StatusCode != 404 && resp.StatusCode != 400 || resp.Header.Get("X-Should-Retry") != "false" {
		t.Errorf("%s: %d %s", name, resp.StatusCode, body)
	}
	if !strings.Contains(e.Error.Message, sentence) || len(e.Error.Message) > 300 {
		t.Errorf("%s: %q, want %q", name, e.Error.Message, sentence)
	}
	checkNothingLeaks(t, body, resp.Header)
}

// TestProbes answers clients that ask if somebody is there, and tells them nothing else.
func TestProbes(t *testing.T) {
	h := open(t, answerChat, nil)
	for _, c := range []struct {
		method, path string
		status       int
	}{
		{"HEAD", "/api/hello", 204},
		{"GET", "/api/hello", 204},
		{"HEAD", "/", 204},
		{"GET", "/health", 204},
		{"POST", "/health", 401},
		{"GET", "/", 401},
		{"HEAD", "/v1/models", 401},
	} {
		req, _ := http.NewRequestWithContext(t.Context(), c.method, h.srv.URL+c.path, nil)
		if resp := h.do(t, req); resp.StatusCode != c.status {
			t.Errorf("%s %s: %d", c.method, c.path, resp.StatusCode)
		}
	}
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, h.srv.URL+"/v1/models/violet", nil)
	req.Header.Set("X-Api-Key", h.key)
	if body := read(t, h.do(t, req)); !strings.HasPrefix(body, "{") || !strings.Contains(body, `"id":"violet"`) || strings.Contains(body, `"data"`) {
		t.Error(body)
	}
}
