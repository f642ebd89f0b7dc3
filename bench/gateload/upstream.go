package main

import (
	"bufio"
	"bytes"
	"flag"
	"io"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// realName is what the upstream calls its model; a gateway that hides names shows none of it.
const realName = "real-model-2026-11-01"

// server is a model's server by hand, much cheaper than any gateway.
type server struct {
	delay, gap time.Duration
	events     int
	open       atomic.Int64 // streams under way
}

// upstream serves canned answers of 200 tokens until it is killed.
func upstream(args []string) error {
	f := flag.NewFlagSet("upstream", flag.ExitOnError)
	addr := f.String("addr", "127.0.0.1:9900", "address to serve on")
	s := &server{}
	f.DurationVar(&s.delay, "delay", 0, "how long an answer takes that is no stream")
	f.DurationVar(&s.gap, "gap", 0, "time between two events of a stream")
	f.IntVar(&s.events, "events", 100, "events of a stream")
	_ = f.Parse(args)
	l, err := net.Listen("tcp", *addr)
	if err != nil {
		return err
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go s.serve(c)
	}
}

func (s *server) serve(c net.Conn) {
	defer c.Close()
	r := bufio.NewReaderSize(c, 16<<10)
	for {
		body, err := readRequest(r)
		if err != nil {
			return
		}
		began := time.Now()
		if bytes.Contains(body, []byte(`"stream":true`)) || bytes.Contains(body, []byte(`"stream": true`)) {
			err = s.stream(c)
		} else {
			err = s.plain(c, began)
		}
		if err != nil {
			return
		}
	}
}

// readRequest reads a request's head and body, whatever its length is told by.
func readRequest(r *bufio.Reader) ([]byte, error) {
	length, chunked, err := readHead(r)
	if err != nil {
		return nil, err
	}
	if !chunked {
		body := make([]byte, length)
		_, err := io.ReadFull(r, body)
		return body, err
	}
	var body []byte
	for {
		chunk, err := readChunk(r)
		if err != nil || len(chunk) == 0 {
			return body, err
		}
		body = append(body, chunk...)
	}
}

// readHead reads a message's head: what stands before its body.
func readHead(r *bufio.Reader) (length int, chunked bool, err error) {
	for first := true; ; first = false {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return 0, false, err
		}
		if len(bytes.TrimSpace(line)) == 0 {
			if first {
				continue
			}
			return length, chunked, nil
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch {
		case bytes.EqualFold(name, []byte("content-length")):
			length, _ = strconv.Atoi(string(bytes.TrimSpace(value)))
		case bytes.EqualFold(name, []byte("transfer-encoding")):
			chunked = true
		}
	}
}

// readChunk is the next chunk of a body, empty at its end.
func readChunk(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return nil, err
	}
	size, err := strconv.ParseInt(strings.TrimSpace(line), 16, 32)
	if err != nil {
		return nil, err
	}
	b := make([]byte, size+2)
	_, err = io.ReadFull(r, b)
	return b[:size], err
}

var words = strings.Repeat("tok en", 200)

const usage = `"usage":{"prompt_tokens":57,"completion_tokens":200,"total_tokens":257}`

// plain answers with the server's own times in it.
func (s *server) plain(c net.Conn, began time.Time) error {
	time.Sleep(s.delay)
	js := append([]byte(nil), `{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"`+realName+
		`","choices":[{"index":0,"message":{"role":"assistant","content":"`+words+`"},"finish_reason":"stop"}],`+usage+`,"t0":`...)
	js = strconv.AppendInt(js, began.UnixNano(), 10)
	js = append(js, `,"t1":`...)
	js = strconv.AppendInt(js, time.Now().UnixNano(), 10)
	js = append(js, '}')
	out := append([]byte(nil), "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Request-Id: req_1\r\nContent-Length: "...)
	out = strconv.AppendInt(out, int64(len(js)), 10)
	out = append(append(out, "\r\n\r\n"...), js...)
	_, err := c.Write(out)
	return err
}

// stream answers event by event, each stamped with its time. With no events
// it goes on until the caller leaves.
func (s *server) stream(c net.Conn) error {
	s.open.Add(1)
	defer s.open.Add(-1)
	if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nX-Request-Id: req_1\r\nTransfer-Encoding: chunked\r\n\r\n"); err != nil {
		return err
	}
	var event, out []byte
	for i := 0; i < s.events || s.events == 0; i++ {
		time.Sleep(s.gap)
		event = append(event[:0], `data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"`+realName+
			`","choices":[{"index":0,"delta":{"content":" tokens"},"finish_reason":null}],"ts":`...)
		event = strconv.AppendInt(event, time.Now().UnixNano(), 10)
		event = append(event, "}\n\n"...)
		out = chunk(out[:0], event)
		if _, err := c.Write(out); err != nil {
			return err
		}
	}
	event = append(event[:0], `data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"`+realName+`","choices":[],`+usage+"}\n\n"...)
	out = chunk(chunk(out[:0], event), []byte("data: [DONE]\n\n"))
	_, err := c.Write(append(out, "0\r\n\r\n"...))
	return err
}

func chunk(to, body []byte) []byte {
	to = strconv.AppendInt(to, int64(len(body)), 16)
	to = append(to, "\r\n"...)
	to = append(to, body...)
	return append(to, "\r\n"...)
}
