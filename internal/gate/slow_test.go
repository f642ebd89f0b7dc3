package gate_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"proofhouse/internal/gate"
	"proofhouse/internal/gate/gatetest"
	"proofhouse/internal/gate/openai"
)

// pipes is a listener whose connections hold nothing: what is written waits for its reader.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	if c, ok := <-p; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}
func (p pipes) Close() error   { return nil }
func (p pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes"} }

// connect is a connection to the gate of h, served as in production, for use under a false clock.
func connect(t *testing.T, answer http.RoundTripper) (*house, net.Conn) {
	t.Helper()
	h := &house{log: &memory{}, key: gate.NewKey()}
	sum, _ := gate.HashKey(h.key)
	var err error
	h.Gate, err = gate.Open(gate.Config{
		Protocols: []gate.Protocol{openai.Chat{}}, Log: h.log, Transport: answer,
		Upstreams: []gate.Upstream{{Name: "up", Base: &url.URL{Scheme: "http", Host: "127.0.0.1:9"}}},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Grant(t.Context(), gate.Grant{
		ID: "g1", Subject: "tester", Upstream: "up", Model: realName, Codename: codename, KeyHash: sum, Protocols: []string{"openai-chat"},
		From: time.Now().Add(-time.Hour), Until: time.Now().Add(24 * time.Hour), Limits: gate.Limits{Requests: 10, OutputCap: 1000},
	}, time.Now()); err != nil {
		t.Fatal(err)
	}
	conns, s := make(pipes, 1), gate.NewServer(h.Gate)
	go func() { _ = s.Serve(conns) }()
	here, there := net.Pipe()
	conns <- there
	t.Cleanup(func() { here.Close(); close(conns); s.Close() })
	return h, here
}

// TestSlowCallers lets every time-out of the gate pass, on a clock of its own. When the test ends no goroutine is left, or synctest fails it.
func TestSlowCallers(t *testing.T) {
	head := func(key string, length int) string {
		return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: gate\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n", completions, key, length)
	}
	drip := func(conn net.Conn, s string, every time.Duration) {
		for i := range len(s) {
			if _, err := io.WriteString(conn, s[i:i+1]); err != nil {
				return
			}
			time.Sleep(every)
		}
	}
	for _, c := range []struct {
		name   string
		send   func(conn net.Conn, key string)
		within time.Duration // until the connection is closed
		answer string
	}{
		{"nothing", func(net.Conn, string) {}, 10 * time.Second, ""},
		{"half a header", func(conn net.Conn, key string) { _, _ = io.WriteString(conn, head(key, 9)[:40]) }, 10 * time.Second, "400 Bad Request"},
		{"a header by drips", func(conn net.Conn, key string) { drip(conn, head(key, 9), time.Second) }, 10 * time.Second, "400 Bad Request"},
		{"half a body", func(conn net.Conn, key string) { _, _ = io.WriteString(conn, head(key, len(hello))+hello[:20]) }, 123 * time.Second, "did not arrive whole"},
		{"a body by drips", func(conn net.Conn, key string) {
			_, _ = io.WriteString(conn, head(key, len(hello)))
			drip(conn, hello, 10*time.Second)
		}, 123 * time.Second, "did not arrive whole"},
		{"half a body without a key", func(conn net.Conn, _ string) { _, _ = io.WriteString(conn, head("none", len(hello))+hello[:20]) }, 3 * time.Second, "no such key"},
		{"a connection that is kept for nothing", func(conn net.Conn, key string) { _, _ = io.WriteString(conn, head(key, len(hello))+hello) }, 121 * time.Second, "chatcmpl-1"},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "-"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, conn := connect(t, canned{"application/json", gatetest.Chat(realName, "x", 1, 1).Chunks[0]})
				began := time.Now()
				var sending sync.WaitGroup
				sending.Go(func() { c.send(conn, h.key) })
				got, _ := io.ReadAll(conn)
				if took := time.Since(began); took > c.within {
					t.Errorf("the connection was kept for %v", took)
				}
				conn.Close()
				sending.Wait()
				if !strings.Contains(string(got), c.answer) || c.answer == "" && len(got) > 0 {
					t.Errorf("%q", got)
				}
				if a := h.Accounts()["g1"]; a.Open != 0 || a.Held != (gate.Amount{}) || a.Spent.Requests > 1 {
					t.Errorf("%+v", a)
				}
			})
		})
	}
}

// pondering answers an hour after it was asked, and waits as long before each event.
type pondering struct{ events []string }

func (p pondering) RoundTrip(r *http.Request) (*http.Response, error) {
	_, _ = io.Copy(io.Discard, r.Body)
	pause := func() error {
		select {
		case <-r.Context().Done():
			return r.Context().Err()
		case <-time.After(time.Hour):
			return nil
		}
	}
	if err := pause(); err != nil {
		return nil, err
	}
	from, to := io.Pipe()
	go func() {
		for _, e := range p.events {
			if err := pause(); err != nil {
				_ = to.CloseWithError(err)
				return
			}
			_, _ = io.WriteString(to, e)
		}
		to.Close()
	}()
	return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"text/event-stream"}}, Body: from, Request: r}, nil
}

// TestSlowModels: no time-out of the gate is shorter than the grant's.
func TestSlowModels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, conn := connect(t, pondering{gatetest.ChatStream(realName, "one two three", 12, 7).Chunks})
		_, _ = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: gate\r\nConnection: close\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s", completions, h.key, len(streamed), streamed)
		got, err := io.ReadAll(conn)
		if err != nil || !strings.Contains(string(got), "data: [DONE]") {
			t.Errorf("%s, %v", got, err)
		}
		if a := h.Accounts()["g1"]; a.Spent.Output != 7 {
			t.Errorf("%+v", a)
		}
	})
}

// TestCallersWhoNeverRead ask, and take in nothing of the answer: their call ends all the same, soon after access
// does or when they were waited for long enough, and is charged what the upstream said or the whole hold.
func TestCallersWhoNeverRead(t *testing.T) {
	stream := gatetest.ChatStream(realName, strings.Repeat("word ", 10_000), 1, 1)
	for _, c := range []struct {
		name, body string
		answer     canned
		revoke     bool
	}{
		{"plain", hello, canned{"application/json", gatetest.Chat(realName, strings.Repeat("word ", 10_000), 1, 1).Chunks[0]}, false},
		{"stream", streamed, canned{"text/event-stream", strings.Join(stream.Chunks, "")}, false},
		{"stream, revoked", streamed, canned{"text/event-stream", strings.Join(stream.Chunks, "")}, true},
		{"plain, revoked", hello, canned{"application/json", gatetest.Chat(realName, strings.Repeat("word ", 10_000), 1, 1).Chunks[0]}, true},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "-"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, conn := connect(t, c.answer)
				_, _ = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: gate\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s", completions, h.key, len(c.body), c.body)
				synctest.Wait()
				if a := h.Accounts()["g1"]; a.Open != 1 {
					t.Fatalf("the call is not under way: %+v", a)
				}
				wait := 2*time.Minute + time.Second
				if c.revoke {
					_, _, _ = h.Revoke(t.Context(), func(gate.Grant) bool { return true }, "", time.Now())
					wait = 301 * time.Millisecond
				}
				time.Sleep(wait)
				synctest.Wait()
				if a := h.Accounts()["g1"]; a.Open != 0 || a.Held != (gate.Amount{}) || a.Spent.Requests != 1 {
					t.Errorf("%+v", a)
				}
			})
		})
	}
}
