package gate

import (
	"bytes"
	"errors"
	"io"
)

// eventMax bounds one event of a stream, in bytes.
const eventMax = 32 << 20

var errEvent = errors.New("an event of the stream is over the bound")

// events cuts a stream of server-sent events at their blank lines, whatever
// the line ends, and leaves every byte as it is.
type events struct {
	from  io.Reader
	buf   []byte
	start int // of what was not handed out
	tried int // up to where no end was found
	ready int // the length of the event at start, if waiting found it
	err   error
	room  *share // that buf is in
}

func newEvents(from io.Reader, room *share) *events {
	return &events{from: from, buf: make([]byte, 0, 8<<10), room: room}
}

// next is the next event with its blank line. It is valid until next is called
// again. At the stream's end the error comes with what is left.
func (e *events) next() ([]byte, error) {
	for {
		if e.waiting() {
			event := e.buf[e.start : e.start+e.ready]
			e.start, e.tried, e.ready = e.start+e.ready, 0, 0
			return event, nil
		}
		e.tried = max(len(e.buf)-e.start-3, 0)
		if e.err != nil {
			rest := e.buf[e.start:]
			e.start = len(e.buf)
			return rest, e.err
		}
		if len(e.buf)-e.start > eventMax {
			e.start, e.err = len(e.buf), errEvent
			return nil, e.err
		}
		e.read()
	}
}

func (e *events) read() {
	if e.start > 0 {
		e.buf = e.buf[:copy(e.buf, e.buf[e.start:])]
		e.start = 0
	}
	if len(e.buf) == cap(e.buf) {
		if !e.room.hold(3 * int64(cap(e.buf))) { // what is, and twice that
			e.start, e.err = len(e.buf), errMemory
			return
		}
		e.buf = append(make([]byte, 0, 2*cap(e.buf)), e.buf...)
		e.room.hold(int64(cap(e.buf)))
	}
	n, err := e.from.Read(e.buf[len(e.buf):cap(e.buf)])
	e.buf, e.err = e.buf[:len(e.buf)+n], err
}

// waiting says whether next would give another event without reading.
func (e *events) waiting() bool {
	if e.ready == 0 {
		e.ready = endOfEvent(e.buf[e.start:], e.tried)
	}
	return e.ready > 0
}

// endOfEvent is the length of the first event in b, its blank line included, or
// 0 if b holds no whole one. No event ends before from.
func endOfEvent(b []byte, from int) int {
	for i := from; i < len(b); {
		nl := lineBreak(b[i:])
		if nl < 0 {
			return 0
		}
		i += nl
		first := lineEnd(b[i:])
		if first == 0 {
			return 0
		}
		if second := lineEnd(b[i+first:]); second > 0 {
			return i + first + second
		}
		if b[i] == '\r' && i+first == len(b) || i+first < len(b) && b[i+first] == '\r' {
			return 0 // an LF may follow
		}
		i += first
	}
	return 0
}

// lineBreak is where b's first CR or LF stands, or -1.
func lineBreak(b []byte) int {
	lf := bytes.IndexByte(b, '\n')
	if lf >= 0 {
		b = b[:lf]
	}
	if cr := bytes.IndexByte(b, '\r'); cr >= 0 {
		return cr
	}
	return lf
}

// lineEnd is the length of the line end that b begins with: 0 if it does not,
// or if it is a CR at b's end, after which an LF may come.
func lineEnd(b []byte) int {
	switch {
	case len(b) == 0:
		return 0
	case b[0] == '\n':
		return 1
	case b[0] != '\r' || len(b) == 1:
		return 0
	case b[1] == '\n':
		return 2
	}
	return 1
}
