package gate_test

import (
	"bytes"
	"io"
	"log"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"

	"proofhouse/internal/chat"
	"proofhouse/internal/gate"
	"proofhouse/internal/gate/gatetest"
	"proofhouse/internal/gate/openai"
)

// faulty is a protocol that panics at one point, quoting what it read.
type faulty struct {
	openai.Chat
	at string
}

type faultyMeter struct {
	gate.Meter
	at string
}

const thrown = "thrown-canary"

func (f faulty) check(at string) {
	if f.at == at {
		panic(thrown)
	}
}

func (f faulty) Key(h http.Header) string { f.check("key"); return f.Chat.Key(h) }

func (f faulty) Read(b []byte) (gate.Call, error) { f.check("read"); return f.Chat.Read(b) }

func (f faulty) Meter(c gate.Call) gate.Meter {
	f.check("meter")
	return faultyMeter{f.Chat.Meter(c), f.at}
}

func (f faulty) Credential(h http.Header, key string) {
	f.check("credential")
	f.Chat.Credential(h, key)
}

func (f faulty) Cut(r gate.Refusal) []byte { f.check("cut"); return f.Chat.Cut(r) }

func (m faultyMeter) check(at string) { faulty{at: m.at}.check(at) }

func (m faultyMeter) Body(b []byte, n gate.Names) []byte {
	m.check("body")
	return m.Meter.Body(b, n)
}

func (m faultyMeter) Event(b []byte, n gate.Names) []byte {
	if bytes.Contains(b, []byte("two")) {
		m.check("event")
		m.check("cut")
	}
	return m.Meter.Event(b, n)
}

func (m faultyMeter) Usage() (chat.Usage, bool) { m.check("usage"); return m.Meter.Usage() }
func (m faultyMeter) Model() string             { m.check("model"); return m.Meter.Model() }

func (m faultyMeter) Generated() []gate.Piece { m.check("generated"); return m.Meter.Generated() }

// TestPanics: wherever a protocol's code panics, the call ends in a proper
// way, its hold is charged whole if it was taken, the next call passes, and
// what was thrown is told to nobody.
func TestPanics(t *testing.T) {
	var printed bytes.Buffer
	log.SetOutput(&printed)
	old := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&printed, nil)))
	t.Cleanup(func() { log.SetOutput(os.Stderr); slog.SetDefault(old) })
	for _, c := range []struct {
		at           string
		whole, ended bool // the whole hold is charged; the caller gets a whole answer all the same
	}{
		{"key", false, false},
		{"read", false, false},
		{"meter", true, false},
		{"credential", true, false},
		{"body", true, false},
		{"event", true, false},
		{"cut", true, false}, // the event too
		{"generated", true, false},
		{"usage", true, true},
		{"model", true, false},
	} {
		for _, body := range []string{hello, streamed} {
			if c.at == "body" && body == streamed || (c.at == "event" || c.at == "cut") && body == hello {
				continue
			}
			t.Run(c.at, func(t *testing.T) {
				h := open(t, func(r gatetest.Request) gatetest.Answer {
					a := answerChat(r)
					a.Header = map[string]string{"Content-Type": a.Header["Content-Type"], "Retry-After": "7"}
					return a
				}, func(cfg *gate.Config, g *gate.Grant) {
					cfg.Protocols[0] = faulty{at: c.at}
				})
				req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, h.srv.URL+completions, strings.NewReader(body))
				req.Header.Set("Authorization", "Bearer "+h.key)
				resp, err := h.srv.Client().Do(req)
				if c.at == "key" {
					if err == nil {
						resp.Body.Close()
						t.Fatalf("%v", resp)
					}
				} else if err != nil {
					t.Fatal(err)
				} else {
					defer resp.Body.Close()
					all, err := io.ReadAll(resp.Body)
					got := string(all)
					if (err != nil) != (c.at == "cut") {
						t.Errorf("%v after %s", err, got)
					}
					switch {
					case c.at == "cut":
						if strings.Contains(got, "error") {
							t.Errorf("an answer that had begun goes on with %s", got)
						}
					case c.ended:
						if resp.StatusCode != 200 || !strings.Contains(got, "three") {
							t.Errorf("%d %s", resp.StatusCode, got)
						}
					case c.at == "event", (c.at == "generated" || c.at == "model") && body == streamed:
						if resp.StatusCode != 200 || !strings.HasSuffix(got, "\n\n") || !strings.Contains(got, "internal_error") {
							t.Errorf("%d %s", resp.StatusCode, got)
						}
					default:
						if resp.StatusCode != 500 || !strings.Contains(got, "internal_error") || resp.Header.Get("X-Should-Retry") != "false" || resp.Header.Get("Retry-After") != "" {
							t.Errorf("%d %v %s", resp.StatusCode, resp.Header, got)
						}
					}
					if strings.Contains(got, thrown) {
						t.Error("the caller sees what was thrown")
					}
				}
				a := h.settled(t)
				if c.whole != (a.Spent.Output == 1000) || !c.whole && a.Spent != (gate.Amount{}) || a.Held != (gate.Amount{}) {
					t.Errorf("%+v", a)
				}
				var last gate.Record
				for _, r := range h.log.records(t) {
					last = r
				}
				if c.whole && (last.Kind != gate.Ended || last.End.Outcome != gate.Cut || !strings.Contains(last.Note, "gate_test.faulty")) {
					t.Errorf("%+v %+v", last, last.End)
				}
				if lines := string(bytes.Join(h.log.lines, nil)); strings.Contains(lines, thrown) {
					t.Error("the record holds what was thrown")
				}
				resp2 := h.post(t, messages, h.key, `{"model":"violet","max_tokens":50,"stream":true,"messages":[{"role":"user","content":"hello"}]}`)
				if got := read(t, resp2); resp2.StatusCode != 200 || !strings.Contains(got, "three") {
					t.Errorf("the next call: %d %s", resp2.StatusCode, got)
				}
			})
		}
	}
	if strings.Contains(printed.String(), thrown) || !strings.Contains(printed.String(), "gate_test.faulty.check") {
		t.Errorf("printed was %s", printed.String())
	}
}

// brittle is a log that panics when a call ends.
type brittle struct{ *memory }

func (b brittle) Append(r []byte) (uint64, error) {
	if bytes.Contains(r, []byte(`"kind":"ended"`)) {
		panic(thrown)
	}
	return b.memory.Append(r)
}

// TestSettlingThatFails: a hold does not stay behind because writing its end
// went wrong.
func TestSettlingThatFails(t *testing.T) {
	quiet := slog.Default()
	slog.SetDefault(slog.New(slog.DiscardHandler))
	t.Cleanup(func() { slog.SetDefault(quiet) })
	h := open(t, answerChat, func(c *gate.Config, _ *gate.Grant) { c.Log = brittle{c.Log.(*memory)} })
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.srv.URL+completions, strings.NewReader(hello))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+h.key)
	if resp, err := h.srv.Client().Do(req); err == nil {
		resp.Body.Close()
	}
	if a := h.settled(t); a.Held != (gate.Amount{}) || a.Spent.Requests != 1 {
		t.Errorf("%+v", a)
	}
}
