package gate_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"proofhouse/internal/gate"
	"proofhouse/internal/gate/gatetest"
)

// large is the length of the bodies whose memory is measured, big that of those that come in numbers.
const (
	large = 8 << 20
	big   = 5 << 20
)

// longRequest is a request of about n bytes.
func longRequest(n int, stream bool) []byte {
	return []byte(`{"model":"violet","stream":` + fmt.Sprint(stream) + `,"messages":[{"role":"user","content":"` + strings.Repeat("word ", n/5) + `"}]}`)
}

// allocated is what do takes from the heap in all, in bytes, given back or not.
func allocated(do func()) int64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc)
}

// TestLargeBodies holds what a large call allocates to a multiple of its length: a body is in memory once and an
// answer twice, where it is changed; one of unknown length grows by doubling, which makes four times at the most.
func TestLargeBodies(t *testing.T) {
	body := longRequest(large, false)
	answer := gatetest.Chat(realName, strings.Repeat("word ", large/5), 3, 2).Chunks[0]
	for _, c := range []struct {
		name    string
		body    []byte
		unknown bool // its length
		answer  string
		most    int64
	}{
		{"request", body, false, gatetest.Chat(realName, "x", 3, 2).Chunks[0], large * 11 / 10},
		{"request in chunks", body, true, gatetest.Chat(realName, "x", 3, 2).Chunks[0], large * 42 / 10},
		{"answer", []byte(hello), false, answer, large * 22 / 10},
	} {
		h := open(t, answerChat, func(cfg *gate.Config, g *gate.Grant) {
			cfg.Transport = canned{"application/json", c.answer}
			g.Limits = gate.Limits{Requests: 100, OutputCap: 100}
		})
		ask := func() {
			r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://gate"+completions, bytes.NewReader(c.body))
			if c.unknown {
				r.ContentLength = -1
			}
			r.Header.Set("Authorization", "Bearer "+h.key)
			h.ServeHTTP(sink{http.Header{}}, r)
		}
		got := allocated(ask)
		t.Logf("%s: %.2f times its length", c.name, float64(got)/large)
		if got > c.most {
			t.Errorf("%s: %d bytes are allocated, which is %.2f times its length", c.name, got, float64(got)/large)
		}
		if a := h.settled(t); a.Spent.Output != 2 || h.Room() != 512<<20 {
			t.Errorf("%s: %+v, %d bytes are left", c.name, a, h.Room())
		}
	}
}

// gated answers when it is let to.
type gated struct {
	canned
	let chan struct{}
}

func (g gated) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.ContentLength > 1<<20 {
		select {
		case <-g.let:
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	return g.canned.RoundTrip(r)
}

// TestMemoryIsBounded sends more at once than the gate has room for: it says so, small calls pass, and afterwards there is room again.
func TestMemoryIsBounded(t *testing.T) {
	up := gated{canned{"application/json", gatetest.Chat(realName, "x", 3, 2).Chunks[0]}, make(chan struct{})}
	body := longRequest(big, false)
	room := int64(3*(len(body)+1) + 100) // for three, and not for hello
	h := open(t, answerChat, func(cfg *gate.Config, g *gate.Grant) {
		cfg.Transport, cfg.Memory = up, room
		g.Limits = gate.Limits{Requests: 100, OutputCap: 100}
	})
	var mu sync.Mutex
	all := map[int]int{}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, h.srv.URL+completions, bytes.NewReader(body))
			req.Header.Set("Authorization", "Bearer "+h.key)
			resp, err := h.srv.Client().Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			text, _ := io.ReadAll(resp.Body)
			mu.Lock()
			defer mu.Unlock()
			all[resp.StatusCode]++
			if resp.StatusCode == 503 && (resp.Header.Get("X-Should-Retry") != "true" || !strings.Contains(string(text), "gate_overloaded")) {
				t.Errorf("%s %v", text, resp.Header)
			}
		})
	}
	for range 1000 {
		mu.Lock()
		n := all[503]
		mu.Unlock()
		if n >= 17 {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	if h.Room() < 0 || h.Room() > 100 {
		t.Errorf("%d bytes are left", h.Room())
	}
	if resp := h.post(t, completions, h.key, hello); resp.StatusCode != 200 {
		t.Errorf("a small call: %d", resp.StatusCode)
	}
	close(up.let)
	wg.Wait()
	if all[200] != 3 || all[503] != 17 {
		t.Errorf("%v", all)
	}
	if a := h.settled(t); a.Spent.Requests != 4 || h.Room() != room {
		t.Errorf("%+v, %d bytes are left", a, h.Room())
	}
}

// TestStreamsLetGoOfBodies has many streams under way whose requests together are many times what the gate has room for.
func TestStreamsLetGoOfBodies(t *testing.T) {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, gatetest.ChatStream(realName, "x", 1, 1).Chunks[0])
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	defer up.Close()
	h := open(t, answerChat, func(cfg *gate.Config, g *gate.Grant) {
		cfg.Upstreams[0].Base, _ = url.Parse(up.URL)
		cfg.Memory = 2 * big
		g.Limits = gate.Limits{Requests: 100, OutputCap: 100}
	})
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	body := longRequest(big, true)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	const n = 10
	for range n {
		req, _ := http.NewRequestWithContext(ctx, http.MethodPost, h.srv.URL+completions, bytes.NewReader(body))
		req.Header.Set("Authorization", "Bearer "+h.key)
		resp := h.do(t, req)
		if first := make([]byte, 1); resp.StatusCode != 200 {
			t.Fatalf("%d %s", resp.StatusCode, read(t, resp))
		} else if _, err := resp.Body.Read(first); err != nil {
			t.Fatal(err)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	kept := int64(after.HeapAlloc) - int64(before.HeapAlloc)
	t.Logf("%d streams keep %d KiB", n, kept>>10)
	if kept > 2*big || h.Room() != 2*big {
		t.Errorf("%d streams whose requests were of %d bytes keep %d; %d are left", n, big, kept, h.Room())
	}
	leave()
	h.settled(t)
}

// TestEndlessEvent: an upstream that never ends an event does not get the memory of others.
func TestEndlessEvent(t *testing.T) {
	h := open(t, answerChat, func(cfg *gate.Config, _ *gate.Grant) {
		cfg.Memory = 4 << 20
		cfg.Transport = canned{"text/event-stream", "data: {\"choices\":[]}\n\ndata: " + strings.Repeat("x", 8<<20)}
	})
	if got := read(t, h.post(t, completions, h.key, streamed)); !strings.HasPrefix(got, "data: {\"choices\":[]}\n\ndata: {\"error\"") || len(got) > 1000 {
		t.Errorf("%.300s", got)
	}
	h.settled(t)
	for range 1000 { // the room is given back after the call was settled
		if h.Room() == 4<<20 {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Errorf("%d bytes are left", h.Room())
}

// TestLargeAnswerWithoutRoom is refused in the protocol's shape, with nothing of the upstream's headers, and charged.
func TestLargeAnswerWithoutRoom(t *testing.T) {
	for _, c := range []struct {
		known bool
		room  int64
	}{{true, 2 << 20}, {false, 2 << 20}, {true, 8 << 20}} { // in the last it fits once, and to be changed it is copied
		h := open(t, func(gatetest.Request) gatetest.Answer {
			a := gatetest.Chat(realName, strings.Repeat("word ", 1<<20), 3, 2)
			a.Header = map[string]string{"Content-Type": "application/json", "X-Request-Id": "req_1"}
			if c.known {
				a.Header["Content-Length"] = fmt.Sprint(len(a.Chunks[0]))
			}
			return a
		}, func(cfg *gate.Config, _ *gate.Grant) { cfg.Memory = c.room })
		resp := h.post(t, completions, h.key, hello)
		if body := read(t, resp); resp.StatusCode != 503 || !strings.Contains(body, "gate_overloaded") || resp.Header.Get("X-Request-Id") != "" {
			t.Errorf("%d %.300s %v", resp.StatusCode, body, resp.Header)
		}
		if a := h.settled(t); a.Spent.Output != 1000 {
			t.Errorf("charged %+v", a.Spent)
		}
	}
}
