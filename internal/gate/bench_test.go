package gate_test

import (
	"bytes"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"proofhouse/internal/chat"
	"proofhouse/internal/gate"
	"proofhouse/internal/gate/gatetest"
	"proofhouse/internal/ledger"
)

// canned answers every request at once: what is left to measure is the gate's
// own part, without sockets.
type canned struct{ kind, body string }

func (c canned) RoundTrip(r *http.Request) (*http.Response, error) {
	_, _ = io.Copy(io.Discard, r.Body)
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {c.kind}, "X-Request-Id": {"req_1"}},
		ContentLength: int64(len(c.body)), Body: io.NopCloser(strings.NewReader(c.body)), Request: r,
	}, nil
}

// sink is a caller that takes everything.
type sink struct{ header http.Header }

func (s sink) Header() http.Header              { return s.header }
func (sink) WriteHeader(int)                    {}
func (sink) Write(b []byte) (int, error)        { return len(b), nil }
func (sink) Flush()                             {}
func (sink) SetReadDeadline(time.Time) error    { return nil }
func (sink) SetWriteDeadline(t time.Time) error { return nil }

// BenchmarkCall is one call of 1.3 KB with an answer of 1.6 KB, or with a
// stream of 100 events, the record on a disk included.
func BenchmarkCall(b *testing.B) {
	key, err := ledger.CreateKey(b.TempDir(), "gate")
	if err != nil {
		b.Fatal(err)
	}
	prompt := strings.Repeat("You are a careful assistant under pre-release review. ", 20)
	event := `data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"` + realName + `","choices":[{"index":0,"delta":{"content":" tokens"},"finish_reason":null}]}` + "\n\n"
	for _, c := range []struct{ name, stream, kind, body string }{
		{"plain", "", "application/json", gatetest.Chat(realName, strings.Repeat("tok en", 200), 57, 200).Chunks[0]},
		{"stream", `"stream":true,`, "text/event-stream", strings.Repeat(event, 100) + `data: {"choices":[],"usage":{"prompt_tokens":57,"completion_tokens":200}}` + "\n\ndata: [DONE]\n\n"},
	} {
		b.Run(c.name, func(b *testing.B) {
			log, _, err := ledger.OpenLog(b.Context(), filepath.Join(b.TempDir(), "log"), key, ledger.LogOptions{})
			if err != nil {
				b.Fatal(err)
			}
			defer log.Close()
			var secret string
			h := open(b, answerChat, func(cfg *gate.Config, g *gate.Grant) {
				cfg.Log, cfg.Transport = log, canned{c.kind, c.body}
				g.Limits = gate.Limits{NanoDollars: 1 << 60, OutputCap: 4096}
				g.Rates = chat.Prices{Input: 1, CacheRead: 1, CacheWrite: 1, Output: 1}
			})
			secret = h.key
			body := []byte(`{"model":"` + codename + `",` + c.stream + `"max_tokens":256,"temperature":0.2,"messages":[{"role":"system","content":"` + prompt + `"},{"role":"user","content":"Say two hundred tokens."}]}`)
			b.ReportAllocs()
			for b.Loop() {
				r, _ := http.NewRequestWithContext(b.Context(), http.MethodPost, "http://gate"+completions, bytes.NewReader(body))
				r.Header = http.Header{"Authorization": {"Bearer " + secret}, "Content-Type": {"application/json"}, "User-Agent": {"bench"}, "Accept": {"*/*"}}
				h.ServeHTTP(sink{http.Header{}}, r)
			}
			if spent := h.Accounts()["g1"].Spent; spent.Requests != int64(b.N) || spent.Output != 200*int64(b.N) {
				b.Errorf("%d calls cost %+v", b.N, spent)
			}
		})
	}
}
