package gate

import (
	"net/http"
	"strings"
	"time"
)

// NewServer is the server that a gate stands behind. Its bounds are for what a
// connection can take before a key was seen; those of a request are the gate's.
// There is no time-out for writing: an answer takes as long as the model does.
func NewServer(h http.Handler) *http.Server {
	return &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10}
}

// maxHeaders bounds the lines of a request's header. In MaxHeaderBytes there is
// room for some 16,000 of them, each of which costs many times its bytes.
const maxHeaders = 256

// checkHead refuses what no client of ours sends and a reader of HTTP could
// be made to stumble over. What it lets pass goes to the upstream in a frame of
// the gate's own, so no two readers can differ on where a request ends.
func checkHead(r *http.Request) *Refusal {
	lines := 0
	for _, values := range r.Header {
		lines += len(values)
	}
	switch {
	case lines > maxHeaders:
		return refuse(HeadersTooLarge, "the request has %d header lines, and %d is the most", lines, maxHeaders)
	case len(r.URL.RawQuery) > queryMax:
		return refuse(BadRequest, "the query is over %d bytes", queryMax)
	}
	for _, coding := range r.Header["Content-Encoding"] {
		if coding != "" && !strings.EqualFold(coding, "identity") {
			return refuse(Encoded, "the gate has to read a request's body: send it without content-encoding")
		}
	}
	return nil
}

// queryMax bounds a request's query, in bytes: it goes to the upstream unread.
const queryMax = 4096
