package gatetest

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"proofhouse/internal/chat"
	"proofhouse/internal/gate"
	"proofhouse/internal/proofhouse"
)

// Sample is one exchange in a protocol, for the conformance suite. The model
// is called Real in all of it, and nothing else in it is.
type Sample struct {
	Request, Streamed string // bodies; Streamed asks for a stream
	Answer            Answer // to Request
	Stream            Answer // to Streamed
	Usage             chat.Usage
	Text              string // that both answers generate
}

// Real is the model's name in every Sample.
const Real = "titan-9-secret"

// TestProtocol is what every gate.Protocol passes.
func TestProtocol(t *testing.T, p gate.Protocol, s Sample) {
	t.Run("read", func(t *testing.T) {
		for _, body := range []string{s.Request, s.Streamed} {
			c, err := p.Read([]byte(body))
			if err != nil || c.Model != Real || c.Outputs < 1 || c.Inputs < int64(len(body)) || c.CapField == "" || c.Stream != (body == s.Streamed) {
				t.Errorf("%s: %+v, %v", body, c, err)
			}
			var name string
			if err := json.Unmarshal([]byte(body[c.ModelAt.At:][:c.ModelAt.Len]), &name); err != nil || name != Real {
				t.Errorf("%s: the model is at %+v: %q, %v", body, c.ModelAt, name, err)
			}
			if c.HideUsage != (c.Switch != nil) {
				t.Errorf("usage is switched on %v and hidden %v", c.Switch != nil, c.HideUsage)
			}
		}
		rest := strings.TrimPrefix(s.Request, "{")
		for _, bad := range []string{
			"", "null", "[]", "{", s.Request + "x", strings.Replace(s.Request, `"`+Real+`"`, "7", 1),
			`{"model":"other",` + rest, `{"m\u006fdel":"other",` + rest, `{"MODEL":"other",` + rest, `{"stream":"yes",` + rest, "{\"\xff\":1," + rest,
			`{"x":` + strings.Repeat("[", 1<<20),
		} {
			if c, err := p.Read([]byte(bad)); proofhouse.KindOf(err) != proofhouse.Invalid {
				t.Errorf("%.80q was read as %+v, %v", bad, c, err)
			}
		}
	})
	t.Run("keys", func(t *testing.T) {
		h := http.Header{"X-Other": {"stays"}}
		p.Credential(h, "key-1")
		if got := p.Key(h); got != "key-1" || len(h) != 1 || h.Get("X-Other") != "stays" {
			t.Errorf("key %q, and left is %v", got, h)
		}
		if got := p.Key(h); got != "" {
			t.Errorf("a key out of nothing: %q", got)
		}
	})
	t.Run("answer", func(t *testing.T) {
		m := meter(t, p, s.Request)
		body := strings.Join(s.Answer.Chunks, "")
		shown := string(m.Body([]byte(body), names))
		if shown != strings.ReplaceAll(body, Real, names.Code) || !strings.Contains(shown, names.Code) {
			t.Errorf("%s\nbecame\n%s", body, shown)
		}
		checkUsage(t, m, s.Usage)
		if got := text(m); got != s.Text {
			t.Errorf("generated %q, want %q", got, s.Text)
		}
		for _, odd := range []string{"", "<html>", `{"error":{"message":"no"}}`, `{"usage":{}}`, `[1]`} {
			m := meter(t, p, s.Request)
			if got := string(m.Body([]byte(odd), names)); got != odd {
				t.Errorf("%q became %q", odd, got)
			}
			if u, ok := m.Usage(); ok {
				t.Errorf("%q has a usage: %+v", odd, u)
			}
		}
	})
	t.Run("stream", func(t *testing.T) {
		for cut := range s.Stream.Chunks {
			m := meter(t, p, s.Streamed)
			for _, event := range s.Stream.Chunks[:cut] {
				if shown := string(m.Event([]byte(event), names)); strings.Contains(shown, Real) || shown != "" && shown != strings.ReplaceAll(event, Real, names.Code) {
					t.Errorf("%q became %q", event, shown)
				}
			}
			if u, ok := m.Usage(); ok && u != s.Usage {
				t.Errorf("cut after %d events, it says that all of its usage is %+v", cut, u)
			} else if ok && cut < len(s.Stream.Chunks)-2 {
				t.Errorf("cut after %d of %d events, the usage counts as whole", cut, len(s.Stream.Chunks))
			}
		}
		m, generated := meter(t, p, s.Streamed), ""
		for _, event := range s.Stream.Chunks {
			m.Event([]byte(event), names)
			generated += text(m)
		}
		if generated != s.Text {
			t.Errorf("generated %q, want %q", generated, s.Text)
		}
		checkUsage(t, m, s.Usage)
	})
	t.Run("refusals", func(t *testing.T) {
		for _, why := range []gate.Reason{
			gate.BadRequest, gate.TooLarge, gate.HeadersTooLarge, gate.Encoded, gate.BadKey, gate.NotInTime, gate.UnknownModel, gate.NoSuchPath, gate.NotGranted,
			gate.Spent, gate.Busy, gate.Overloaded, gate.Revoked, gate.NoUpstream, gate.Unpriced, gate.Broken, gate.Unrecorded,
		} {
			r := gate.Refusal{Reason: why, Message: "a \"sentence\"\nin two lines"}
			if r.Status() < 400 {
				t.Errorf("%s has status %d", why, r.Status())
			}
			checkError(t, string(p.Refuse(r)))
			event := string(p.Cut(r))
			data, ok := strings.CutSuffix(event, "\n\n")
			if !ok || strings.Contains(data, "\n\n") {
				t.Errorf("%q is no event", event)
			}
			_, data, _ = strings.Cut(data, "data: ")
			checkError(t, data)
		}
	})
}

var names = gate.Names{Real: Real, Code: "violet"}

func meter(t *testing.T, p gate.Protocol, body string) gate.Meter {
	t.Helper()
	c, err := p.Read([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return p.Meter(c)
}

// text is what m says was generated, asked twice as two who need it would.
func text(m gate.Meter) (s string) {
	m.Generated()
	for _, p := range m.Generated() {
		s += string(p.Text)
	}
	return s
}

func checkUsage(t *testing.T, m gate.Meter, want chat.Usage) {
	t.Helper()
	if u, ok := m.Usage(); !ok || u != want || m.Model() != Real {
		t.Errorf("usage %+v, whole %v, of %q; want %+v", u, ok, m.Model(), want)
	}
}

// checkError holds an error body to what all the protocols' errors share.
func checkError(t *testing.T, body string) {
	t.Helper()
	if !json.Valid([]byte(body)) || !strings.Contains(body, `a \"sentence\"\nin two lines`) {
		t.Errorf("%s is no error", body)
	}
}
