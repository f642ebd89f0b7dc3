package api_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"proofhouse/internal/store/storetest"
)

// TestTokenFirst sends to every endpoint of the description what it cannot read: who has no token is
// told that, and nothing of what is wrong with the rest.
func TestTokenFirst(t *testing.T) {
	h := newHouse(t, storetest.Open(t))
	id := h.opened(t)
	public := map[string]bool{"/v1/setup": true, "/v1/health": true, "/v1/profiles": true, "/v1/reports/{case}": true}
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
