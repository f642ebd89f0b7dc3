// Package gatetest is a model's server that does what a test tells it to:
// it answers in each protocol's shape, slowly, wrongly or not at all, and
// remembers what it was sent.
package gatetest

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Upstream is a scripted server. Close ends it.
type Upstream struct {
	*httptest.Server
	answer func(Request) Answer

	mu       sync.Mutex // guards what follows
	requests []Request
	left     int // callers who went away before their answer's end
}

// Request is what the server was sent.
type Request struct {
	Path, Query string
	Header      http.Header
	Body        string
}

// Answer is what the server does. The zero Answer is an empty 200.
type Answer struct {
	Status int // default 200
	Header map[string]string
	// Chunks are written and flushed one by one, Pace apart.
	Chunks []string
	Pace   time.Duration
	// Stall waits after the chunks until the caller leaves; Break closes the
	// connection there, in the middle of the answer; Drop closes it before any answer.
	Stall, Break, Drop bool
}

// Start starts a server on loopback.
func Start(answer func(Request) Answer) *Upstream {
	u := &Upstream{answer: answer}
	u.Server = httptest.NewServer(u)
	return u
}

// Base is the server's address.
func (u *Upstream) Base() *url.URL {
	base, _ := url.Parse(u.URL) // httptest made it
	return base
}

// Requests are all requests so far.
func (u *Upstream) Requests() []Request {
	u.mu.Lock()
	defer u.mu.Unlock()
	return append([]Request(nil), u.requests...)
}

// Left is how many callers went away before their answer's end.
func (u *Upstream) Left() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.left
}

func (u *Upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	req := Request{r.URL.Path, r.URL.RawQuery, r.Header.Clone(), string(b)}
	u.mu.Lock()
	u.requests = append(u.requests, req)
	u.mu.Unlock()
	a := u.answer(req)
	if a.Drop {
		panic(http.ErrAbortHandler)
	}
	for k, v := range a.Header {
		w.Header().Set(k, v)
	}
	if a.Status == 0 {
		a.Status = http.StatusOK
	}
	w.WriteHeader(a.Status)
	rc := http.NewResponseController(w)
	_ = rc.Flush()
	wait := func(d <-chan time.Time) bool {
		select {
		case <-r.Context().Done():
			u.mu.Lock()
			u.left++
			u.mu.Unlock()
			return false
		case <-d:
			return true
		}
	}
	for _, chunk := range a.Chunks {
		if _, err := io.WriteString(w, chunk); err != nil {
			return
		}
		_ = rc.Flush()
		if a.Pace > 0 && !wait(time.After(a.Pace)) {
			return
		}
	}
	if a.Stall {
		wait(nil)
	}
	if a.Break {
		panic(http.ErrAbortHandler)
	}
}

// EventStream is the header of a stream.
var EventStream = map[string]string{"Content-Type": "text/event-stream; charset=utf-8"}

// JSON is the header of a plain answer.
var JSON = map[string]string{"Content-Type": "application/json"}

// ChatStream is the stream of a chat completion: a chunk for each word, and at
// the end the usage that stream_options asks for.
func ChatStream(model, text string, in, out int64) Answer {
	chunk := func(choices, usage string) string {
		return fmt.Sprintf("data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":%q,\"choices\":[%s]%s}\n\n", model, choices, usage)
	}
	a := Answer{Header: EventStream}
	for _, word := range strings.SplitAfter(text, " ") {
		a.Chunks = append(a.Chunks, chunk(fmt.Sprintf(`{"index":0,"delta":{"content":%q},"finish_reason":null}`, word), ""))
	}
	a.Chunks = append(a.Chunks, chunk(`{"index":0,"delta":{},"finish_reason":"stop"}`, ""),
		chunk("", fmt.Sprintf(`,"usage":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}`, in, out, in+out)), "data: [DONE]\n\n")
	return a
}

// Chat is a chat completion that is no stream.
func Chat(model, text string, in, out int64) Answer {
	return Answer{Header: JSON, Chunks: []string{fmt.Sprintf(
		`{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":%q,"choices":[{"index":0,"message":{"role":"assistant","content":%q},"finish_reason":"stop"}],"usage":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}}`,
		model, text, in, out, in+out)}}
}

// MessageStream is the stream of an Anthropic message, with a ping.
func MessageStream(model, text string, in, out int64) Answer {
	a := Answer{Header: EventStream, Chunks: []string{
		fmt.Sprintf("event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":%q,\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":%d,\"output_tokens\":1}}}\n\n", model, in),
		"event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
		"event: ping\ndata: {\"type\": \"ping\"}\n\n",
	}}
	for _, word := range strings.SplitAfter(text, " ") {
		a.Chunks = append(a.Chunks, fmt.Sprintf("event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":%q}}\n\n", word))
	}
	a.Chunks = append(a.Chunks, "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n",
		fmt.Sprintf("event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":%d}}\n\n", out),
		"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n")
	return a
}
