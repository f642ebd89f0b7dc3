package main

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// measured is what one run of load found. Times are µs.
type measured struct {
	Name       string  `json:"name"`
	Conns      int     `json:"connections"`
	Stream     bool    `json:"stream"`
	Requests   int64   `json:"requests"`
	Errors     int64   `json:"errors"`
	Leaks      int64   `json:"leaks"` // answers with the real name in them
	Rate       float64 `json:"per_second"`
	CPU        float64 `json:"cpu_us"` // of the gateway, for one request
	Memory     int64   `json:"rss_mib"`
	OwnP50     float64 `json:"own_p50_us"` // round trip without the upstream's time
	OwnP99     float64 `json:"own_p99_us"`
	HeadP50    float64 `json:"head_p50_us"` // to the answer's headers
	HeadP99    float64 `json:"head_p99_us"`
	EventP50   float64 `json:"event_p50_us,omitempty"` // of one event, from the upstream's write
	EventP99   float64 `json:"event_p99_us,omitempty"`
	OtherCores float64 `json:"other_cores"` // that the rest of the machine took meanwhile
}

// caller is one connection's callers, one after another.
type caller struct {
	own, head, event []time.Duration
}

// load calls a gateway over and over on each connection.
func load(args []string) error {
	f := flag.NewFlagSet("load", flag.ExitOnError)
	var t target
	t.flags(f)
	name := f.String("name", "", "what is measured")
	pids := f.String("pids", "", "the gateway's processes, by commas: their CPU is counted")
	ours := f.String("ours", "", "further processes of this measurement, by commas")
	warm := f.Duration("warm", 2*time.Second, "time before measuring")
	last := f.Duration("for", 8*time.Second, "time of measuring")
	rate := f.Float64("rate", 0, "requests a second over all connections; 0 is as fast as they are answered")
	_ = f.Parse(args)

	request := t.request()
	var on, stop atomic.Bool
	var done, failed, leaks atomic.Int64
	callers := make([]caller, t.conns)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			time.Sleep(rand.N(time.Second)) // callers are not in step
			var pace *time.Ticker
			if *rate > 0 {
				pace = time.NewTicker(time.Duration(float64(t.conns) / *rate * float64(time.Second)))
				defer pace.Stop()
			}
			for !stop.Load() {
				err := t.connection(request, &callers[i], pace, &on, &stop, &done, &leaks)
				if err != nil && !stop.Load() {
					failed.Add(1)
					time.Sleep(20 * time.Millisecond)
				}
			}
		})
	}
	time.Sleep(*warm)
	cpu0, _ := use(*pids)
	other0, began := others(*pids+","+*ours), time.Now()
	on.Store(true)
	time.Sleep(*last)
	on.Store(false)
	took := time.Since(began)
	cpu1, memory := use(*pids)
	other := others(*pids+","+*ours) - other0
	stop.Store(true)
	wg.Wait()

	m := measured{Name: *name, Conns: t.conns, Stream: t.stream, Requests: done.Load(), Errors: failed.Load(), Leaks: leaks.Load(), Memory: memory >> 20}
	var own, head, event []time.Duration
	for _, c := range callers {
		own, head, event = append(own, c.own...), append(head, c.head...), append(event, c.event...)
	}
	m.Rate = float64(m.Requests) / took.Seconds()
	if m.Requests > 0 {
		m.CPU = float64((cpu1 - cpu0).Microseconds()) / float64(m.Requests)
	}
	m.OtherCores = other.Seconds() / took.Seconds()
	m.OwnP50, m.OwnP99 = quantile(own, .5), quantile(own, .99)
	m.HeadP50, m.HeadP99 = quantile(head, .5), quantile(head, .99)
	m.EventP50, m.EventP99 = quantile(event, .5), quantile(event, .99)
	return say(m)
}

// request is a request of about 1.3 KB.
func (t *target) request() []byte {
	stream := ""
	if t.stream {
		stream = `"stream":true,"stream_options":{"include_usage":true},`
	}
	body := fmt.Sprintf(`{"model":%q,%s"max_tokens":256,"temperature":0.2,"messages":[{"role":"system","content":%q},{"role":"user","content":"Say two hundred tokens."}]}`,
		t.model, stream, strings.Repeat("You are a careful assistant under pre-release review. ", 20))
	return []byte("POST /v1/chat/completions HTTP/1.1\r\nHost: " + t.addr + "\r\nUser-Agent: gateload\r\nAuthorization: Bearer " + t.key +
		"\r\nContent-Type: application/json\r\nAccept: */*\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body)
}

// connection calls until an error, or until stop.
func (t *target) connection(request []byte, c *caller, pace *time.Ticker, on, stop *atomic.Bool, done, leaks *atomic.Int64) error {
	conn, err := net.Dial("tcp", t.addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	r := bufio.NewReaderSize(conn, 32<<10)
	for !stop.Load() {
		if pace != nil {
			<-pace.C
		}
		_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
		a, err := ask(conn, r, request)
		if err != nil {
			return err
		}
		if a.leaked {
			leaks.Add(1)
		}
		if on.Load() {
			done.Add(1)
			c.own, c.head, c.event = append(c.own, a.own), append(c.head, a.head), append(c.event, a.events...)
		}
	}
	return nil
}

// answered is one answer, taken apart.
type answered struct {
	own, head time.Duration
	events    []time.Duration
	leaked    bool
}

var errStatus = errors.New("the answer is not 200")

// ask sends a request and reads the answer to its end.
func ask(conn net.Conn, r *bufio.Reader, request []byte) (a answered, err error) {
	began := time.Now()
	if _, err := conn.Write(request); err != nil {
		return a, err
	}
	status, err := r.Peek(12)
	if err != nil {
		return a, err
	}
	ok := string(status[9:12]) == "200"
	length, chunked, err := readHead(r)
	if err != nil {
		return a, err
	}
	a.head = time.Since(began)
	var served time.Duration
	take := func(part []byte) {
		now := time.Now()
		a.leaked = a.leaked || bytes.Contains(part, []byte("real-model"))
		if t1 := number(part, `"t1":`); t1 > 0 {
			served = time.Duration(t1 - number(part, `"t0":`))
		}
		for {
			at := bytes.Index(part, []byte(`"ts":`))
			if at < 0 {
				return
			}
			a.events = append(a.events, time.Duration(now.UnixNano()-number(part[at:], `"ts":`)))
			part = part[at+5:]
		}
	}
	if !chunked {
		body := make([]byte, length)
		_, err = io.ReadFull(r, body)
		take(body)
	} else {
		var part, rest []byte
		for {
			if part, err = readChunk(r); err != nil || len(part) == 0 {
				break
			}
			rest = append(rest, part...)
			if end := bytes.LastIndex(rest, []byte("\n\n")); end >= 0 { // whole events only
				take(rest[:end])
				rest = append(rest[:0], rest[end+2:]...)
			}
		}
		take(rest)
	}
	if err == nil && !ok {
		err = errStatus
	}
	a.own = time.Since(began) - served
	return a, err
}

// number is the integer that follows key in b, or 0.
func number(b []byte, key string) (n int64) {
	at := bytes.Index(b, []byte(key))
	if at < 0 {
		return 0
	}
	for _, c := range b[at+len(key):] {
		if c < '0' || c > '9' {
			break
		}
		n = n*10 + int64(c-'0')
	}
	return n
}

// use is the CPU time and the memory of processes.
func use(pids string) (cpu time.Duration, rss int64) {
	for pid := range strings.SplitSeq(pids, ",") {
		b, err := os.ReadFile("/proc/" + pid + "/stat")
		if err != nil {
			continue
		}
		fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+2:]))
		user, _ := strconv.ParseInt(fields[11], 10, 64)
		system, _ := strconv.ParseInt(fields[12], 10, 64)
		pages, _ := strconv.ParseInt(fields[21], 10, 64)
		cpu += time.Duration(user+system) * 10 * time.Millisecond
		rss += pages * int64(os.Getpagesize())
	}
	return cpu, rss
}

// others is the CPU time that the machine spent on what is no part of this.
func others(pids string) time.Duration {
	b, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(b), "\n")
	var busy time.Duration
	for i, field := range strings.Fields(line)[1:] {
		if n, _ := strconv.ParseInt(field, 10, 64); i != 3 && i != 4 && i < 8 {
			busy += time.Duration(n) * 10 * time.Millisecond
		}
	}
	ours, _ := use(pids)
	self, _ := use(strconv.Itoa(os.Getpid()))
	return busy - ours - self
}
