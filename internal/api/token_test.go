package api_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/docket"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/store/storetest"
)

// TestTokenFirst sends to every endpoint of the description what it cannot read: who has no token is
// told that, and nothing of what is wrong with the rest.
func TestTokenFirst(t *testing.T) {
	h := newHouse(t, storetest.Open(t))
	id := h.opened(t)
	public := map[string]bool{"/v1/setup": true, "/v1/health": true, "/v1/profiles": true, "/v1/reports/{case}": true, "/v1/maintainer/packet": true, "/v1/maintainer/file": true, "/v1/maintainer/reply": true, "/v1/maintainer/stop": true}
	tried, unreadable := 0, 0
	for path, methods := range h.document(t) {
		for method := range methods {
			if public[path] {
				continue
			}
			tried++
			send := func(token, media, body string) int {
				url := h.url + strings.NewReplacer("{case}", string(id), "{seq}", "none").Replace(path) + "?limit=none&after=none&as=%ff"
				req, err := http.NewRequestWithContext(t.Context(), strings.ToUpper(method), url, strings.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Content-Type", media)
				req.Header.Set("Authorization", token)
				resp, err := http.DefaultClient.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				answer, err := io.ReadAll(resp.Body)
				if err != nil {
					t.Fatal(err)
				}
				if token != "Bearer ada" && (resp.StatusCode != http.StatusUnauthorized || resp.Header.Get("WWW-Authenticate") == "" || strings.Contains(string(answer), "errors")) {
					t.Errorf("%s %s (%s) with the token %q: %d %s", method, path, media, token, resp.StatusCode, answer)
				}
				return resp.StatusCode
			}
			for _, token := range []string{"", "Bearer nobody", "Basic ada"} {
				send(token, "application/json", "{")
				send(token, "text/nothing", "\xff")
				send(token, "application/json", strings.Repeat(" ", 2<<20))
			}
			if status := send("Bearer ada", "application/json", "{"); status == http.StatusUnprocessableEntity || status == http.StatusBadRequest {
				unreadable++ // by who has a token: so the request was one that shows the order
			}
		}
	}
	if tried < 35 || unreadable < 30 {
		t.Errorf("%d endpoints were tried, and %d could not read it", tried, unreadable)
	}
}

// TestTokenOnce: whose a token is, is asked once a request, and once more where the body was long in coming.
func TestTokenOnce(t *testing.T) {
	h := newHouse(t, storetest.Open(t))
	id := h.opened(t)
	asked, slow := 0, time.Duration(0)
	h.asked = func(token string) {
		asked++
		h.now = h.now.Add(slow) // until the handler is asked
	}
	for _, c := range []struct {
		name string
		slow time.Duration
		want int
		do   func() error
	}{
		{"reading", 0, 1, func() error { _, err := h.as("ada").Case(t.Context(), id); return err }},
		{"an act", 0, 1, func() error {
			_, err := h.as("ada").Do(t.Context(), id, docket.Announce{Date: start}, wire.Options{})
			return err
		}},
		{"a slow body", time.Minute, 2, func() error { _, err := h.as("ada").Case(t.Context(), id); return err }},
		{"a clock that was set back", -time.Minute, 2, func() error { _, err := h.as("ada").Case(t.Context(), id); return err }},
	} {
		asked, slow = 0, c.slow
		if err := c.do(); err != nil || asked != c.want {
			t.Errorf("%s: the token was asked about %d times, want %d: %v", c.name, asked, c.want, err)
		}
	}
	// It is somebody's as the request begins, and nobody's when the body is there.
	asked = 0
	people["eva"] = people["ada"]
	defer delete(people, "eva")
	h.asked = func(token string) {
		if asked++; asked > 1 {
			delete(people, "eva")
		}
		h.now = h.now.Add(time.Minute)
	}
	if _, err := h.as("eva").Case(t.Context(), id); proofhouse.KindOf(err) != proofhouse.Refused {
		t.Errorf("a token that was revoked meanwhile: %v", err)
	}
}
