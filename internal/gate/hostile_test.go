package gate_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"proofhouse/internal/gate"
)

// listen serves h on a listener of its own, set up as in production.
func (h *house) listen(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := gate.NewServer(h.Gate)
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { s.Close() })
	return l.Addr().String()
}

// raw writes bytes to a connection and reads until the other side closes it.
func raw(t *testing.T, addr, send string) string {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Minute)) // a test that hangs fails
	go func() { _, _ = io.WriteString(conn, send) }()
	got, err := io.ReadAll(conn)
	if err != nil && len(got) == 0 {
		t.Errorf("%.80q: %v", send, err)
	}
	return string(got)
}

// statuses are those of the answers in a connection's bytes.
func statuses(t *testing.T, got string) (all []int, bodies string) {
	t.Helper()
	from := bufio.NewReader(strings.NewReader(got))
	for {
		if _, err := from.Peek(1); err != nil {
			return all, bodies
		}
		resp, err := http.ReadResponse(from, nil)
		if err != nil {
			t.Errorf("%q: %v", got, err)
			return all, bodies
		}
		b, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		bodies += string(b)
		if resp.StatusCode >= 200 {
			all = append(all, resp.StatusCode)
		}
	}
}

// TestHostileHTTP sends what no client would to a listener as in production. Each row's answers are known, nothing
// but whole requests reaches the upstream, nothing of the upstream is told and nothing is held afterwards.
func TestHostileHTTP(t *testing.T) {
	h := open(t, answerChat, func(c *gate.Config, _ *gate.Grant) { c.BodyMax = 1 << 20 })
	addr := h.listen(t)
	auth := "Authorization: Bearer " + h.key + "\r\n"
	post := func(headers, body string) string {
		return "POST " + completions + " HTTP/1.1\r\nHost: gate\r\n" + auth + headers + "\r\n" + body
	}
	length := func(body string) string { return fmt.Sprintf("Content-Length: %d\r\n", len(body)) }
	chunked := func(body string) string { return fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body) }
	const last = "Connection: close\r\n"
	const te = "Transfer-Encoding: chunked\r\n"
	smuggled := "GET /v1/models HTTP/1.1\r\nHost: gate\r\n" + auth + last + "\r\n"
	whole := post(length(hello), hello)
	before := runtime.NumGoroutine()
	for _, c := range []struct {
		name, send string
		want       []int  // statuses of the answers, in order
		code       string // in the last one's body, "" where the server itself answers
		passed     int    // requests that reach the upstream
	}{
		{"one request", post(last+length(hello), hello), []int{200}, "chatcmpl-1", 1},
		{"pipelined", whole + whole + post(last+length(hello), hello), []int{200, 200, 200}, "", 3},
		{"HTTP/1.0", "POST " + completions + " HTTP/1.0\r\n" + auth + length(streamed) + "\r\n" + streamed, []int{200}, "data: [DONE]", 1},
		{"an absolute address", "POST http://elsewhere.example" + completions + " HTTP/1.1\r\nHost: elsewhere.example\r\n" + auth + last + length(hello) + "\r\n" + hello, []int{200}, "chatcmpl-1", 1},
		{"an address in disguise", strings.Replace(post(last+length(hello), hello), "/chat/", "/%63hat/", 1), []int{200}, "chatcmpl-1", 1},
		{"CONNECT", "CONNECT elsewhere.example:443 HTTP/1.1\r\nHost: elsewhere.example:443\r\n" + auth + last + "\r\n", []int{404}, "not_found", 0},
		{"TRACE", "TRACE /v1/messages HTTP/1.1\r\nHost: gate\r\n" + auth + last + "\r\n", []int{404}, "not_found_error", 0},
		{"HTTP/2 by surprise", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", []int{401}, "invalid_api_key", 0},
		{"HTTP/3.1", strings.Replace(whole, "HTTP/1.1", "HTTP/3.1", 1), []int{505}, "", 0},
		{"no HTTP", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", []int{400}, "", 0},
		{"no host", "POST " + completions + " HTTP/1.1\r\n" + auth + length(hello) + "\r\n" + hello, []int{400}, "", 0},
		{"two hosts", post("Host: b\r\n"+length(hello), hello), []int{400}, "", 0},

		{"a header of 100 KB", post("X-Big: "+strings.Repeat("x", 100<<10)+"\r\n"+length(hello), hello), []int{431}, "", 0},
		{"200 KB of headers", post(strings.Repeat("X-Many: "+strings.Repeat("x", 1000)+"\r\n", 200)+length(hello), hello), []int{431}, "", 0},
		{"16,000 header lines", post(strings.Repeat("a:\r\n", 16_000)+length(hello), hello), []int{431}, "headers_too_large", 0},
		{"many lines of one name", post(strings.Repeat("X-A: 1\r\n", 300)+length(hello), hello), []int{431}, "headers_too_large", 0},
		{"a request line of 100 KB", "POST " + completions + "?" + strings.Repeat("a", 100<<10) + " HTTP/1.1\r\nHost: gate\r\n\r\n", []int{431}, "", 0},
		{"an absurd query", strings.Replace(post(last+length(hello), hello), " HTTP/1.1", "?"+strings.Repeat("%00=%ff&", 600)+" HTTP/1.1", 1), []int{400}, "invalid_request", 0},
		{"a query that ends the line", strings.Replace(post(last+length(hello), hello), " HTTP/1.1", "?a=%0d%0aX-Evil:%201 HTTP/1.1", 1), []int{200}, "chatcmpl-1", 1},
		{"a path that is no UTF-8", "POST /v1/%ff%fe\xff HTTP/1.1\r\nHost: gate\r\n" + auth + last + "\r\n", []int{404}, "not_found", 0},
		{"a header with a NUL", post("X-A: a\x00b\r\n"+length(hello), hello), []int{400}, "", 0},
		{"a header name with a space", post("X A: 1\r\n"+length(hello), hello), []int{400}, "", 0},
		{"two keys", post("Authorization: Bearer "+gate.NewKey()+"\r\nX-Api-Key: other\r\n"+last+length(hello), hello), []int{200}, "chatcmpl-1", 1},

		{"length and chunks", post(fmt.Sprintf("Content-Length: %d\r\n", len(chunked(hello))+len(smuggled))+te, chunked(hello)+smuggled), []int{200}, "chatcmpl-1", 1},
		{"chunks and length", post(te+"Content-Length: 4\r\n", chunked(hello)+smuggled), []int{200}, "chatcmpl-1", 1},
		{"two lengths", post(length(hello)+"Content-Length: 4\r\n", hello), []int{400}, "", 0},
		{"two lengths in one", post("Content-Length: 4, 5\r\n", hello), []int{400}, "", 0},
		{"a length with a sign", post("Content-Length: +5\r\n", hello), []int{400}, "", 0},
		{"a length below nothing", post("Content-Length: -1\r\n", hello), []int{400}, "", 0},
		{"a folded encoding", post("Transfer-Encoding:\r\n chunked\r\nContent-Length: 4\r\n", chunked(hello)+smuggled), []int{200}, "chatcmpl-1", 1},
		{"an encoding with a space", post("Transfer-Encoding : chunked\r\n"+length(hello), hello), []int{400}, "", 0},
		{"an unknown encoding", post("Transfer-Encoding: xchunked\r\n"+length(hello), hello), []int{501}, "", 0},
		{"two encodings", post("Transfer-Encoding: chunked, identity\r\n", chunked(hello)), []int{501}, "", 0},
		{"an encoding twice", post(te+te, chunked(hello)), []int{501}, "", 0},
		{"bare line feeds", strings.ReplaceAll(post(last+length(hello), ""), "\r\n", "\n") + hello, []int{200}, "chatcmpl-1", 1},
		{"chunks with bare line feeds", post(te, strings.ReplaceAll(chunked(hello), "\r\n", "\n")), []int{400}, "invalid_request", 0},
		{"chunk extensions", post(te, strings.Replace(chunked(hello), "\r\n", ";a=\"b\"\r\n", 1)), []int{200}, "chatcmpl-1", 1},
		{"chunk extensions without end", post(te, strings.Repeat("1;"+strings.Repeat("a", 4000)+"\r\n{\r\n", 100)), []int{400}, "invalid_request", 0},
		{"a chunk of absurd size", post(te, "fffffffffffffffff\r\n"), []int{400}, "invalid_request", 0},
		{"a chunk that is no number", post(te, "0x10\r\n"), []int{400}, "invalid_request", 0},
		{"trailers", post(te+"Trailer: X-Evil, X-Api-Key\r\n", strings.TrimSuffix(chunked(hello), "\r\n")+"X-Evil: 1\r\nX-Api-Key: k\r\n\r\n"), []int{200}, "chatcmpl-1", 1},

		{"chunks over the bound", post(te, chunked(strings.Repeat(" ", 2<<20))), []int{413}, "request_too_large", 0},
		{"a length over the bound", post("Content-Length: 2000000\r\n", strings.Repeat(" ", 2_000_000)), []int{413}, "request_too_large", 0},
		{"a compressed body", post("Content-Encoding: gzip\r\n"+length(hello), hello), []int{415}, "unsupported_content_encoding", 0},
		{"a body compressed twice", post("Content-Encoding: identity\r\nContent-Encoding: br\r\n"+length(hello), hello), []int{415}, "unsupported_content_encoding", 0},
		{"a body that is said to be as it is", post("Content-Encoding: identity\r\n"+last+length(hello), hello), []int{200}, "chatcmpl-1", 1},
		{"asking whether to go on", post("Expect: 100-continue\r\n"+last+length(hello), hello), []int{200}, "chatcmpl-1", 1},
		{"asking for something else", post("Expect: coffee\r\n"+last+length(hello), hello), []int{417}, "", 0},
		{"asking without a key", strings.Replace(post("Expect: 100-continue\r\n"+length(hello), ""), auth, "", 1), []int{401}, "invalid_api_key", 0},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "-"), func(t *testing.T) {
			passed, spent := len(h.up.Requests()), h.settled(t).Spent.Requests
			got := raw(t, addr, c.send)
			all, bodies := statuses(t, got)
			if fmt.Sprint(all) != fmt.Sprint(c.want) || !strings.Contains(bodies, c.code) {
				t.Errorf("answered %v %.300s, want %v %s", all, bodies, c.want, c.code)
			}
			if strings.Contains(c.name, "without-a-key") && strings.Contains(got, "100 Continue") {
				t.Error("a body was asked for that nobody will read")
			}
			checkNothingLeaks(t, got, nil)
			ups := h.up.Requests()[passed:]
			if a := h.settled(t); len(ups) != c.passed || a.Spent.Requests-spent != int64(c.passed) || a.Held != (gate.Amount{}) {
				t.Errorf("%d reached the upstream, want %d; charged %+v, held %+v", len(ups), c.passed, a.Spent, a.Held)
			}
			for _, up := range ups {
				h := up.Header
				if up.Path != completions || !strings.Contains(up.Body, realName) || !strings.HasSuffix(up.Body, `"hello"}]}`) || h.Get("X-Evil")+h.Get("Transfer-Encoding")+h.Get("Trailer")+h.Get("Expect")+h.Get("X-Api-Key") != "" || fmt.Sprint(h["Authorization"]) != "[Bearer "+upstreamKey+"]" {
					t.Errorf("the upstream got %+v", up)
				}
			}
		})
	}
	h.quiet(t, before)
}

// quiet waits until no goroutine is left but those that were there before.
func (h *house) quiet(t *testing.T, before int) {
	t.Helper()
	h.up.CloseClientConnections()
	for range 1000 {
		if runtime.NumGoroutine() <= before+2 { // the transport's idle connection, at most
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	var b bytes.Buffer
	buf := make([]byte, 1<<20)
	b.Write(buf[:runtime.Stack(buf, true)])
	t.Errorf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, b.String())
}

// TestUpstreamUpgrades has an upstream that answers with an upgrade nobody asked for, and one with a header without end.
func TestUpstreamUpgrades(t *testing.T) {
	for _, answer := range []string{
		"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: titan\r\n\r\ntitan",
		"HTTP/1.1 200 OK\r\nX-Request-Id: " + strings.Repeat("a", 2<<20) + "\r\n\r\n",
		"titan-9-secret\r\n\r\n",
	} {
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				if r, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					_, _ = io.Copy(io.Discard, r.Body)
				}
				_, _ = io.WriteString(conn, answer)
				conn.Close()
			}
		}()
		h := open(t, answerChat, func(c *gate.Config, _ *gate.Grant) { c.Upstreams[0].Base.Host = l.Addr().String() })
		resp := h.post(t, completions, h.key, hello)
		body := read(t, resp)
		if resp.StatusCode != 502 || !strings.Contains(body, "upstream_unavailable") {
			t.Errorf("%d %s", resp.StatusCode, body)
		}
		checkNothingLeaks(t, body, resp.Header)
		h.settled(t)
	}
}
