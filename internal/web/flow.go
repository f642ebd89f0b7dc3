package web

import (
	"context"
	"errors"
	"io"
	"net/http"

	"proofhouse/internal/api/wire"
)

// flowing is a handler that a client reaches without a network, whose answers are read as they are written. A panic of the handler's is
// one of the reader's.
type flowing struct{ http.Handler }

// RoundTrip implements http.RoundTripper.
func (h flowing) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, stop := context.WithCancel(r.Context())
	out, in := io.Pipe()
	w := &flow{header: http.Header{}, begun: make(chan struct{}), body: in}
	go func() {
		defer func() {
			if p := recover(); p != nil {
				w.broke(panicked{p})
				return
			}
			w.WriteHeader(http.StatusOK)
			_ = in.Close()
		}()
		h.ServeHTTP(w, within(r.WithContext(ctx)))
	}()
	<-w.begun // the handler ends by itself when the request does
	body := &flowed{out, stop}
	if w.panicked != nil {
		stop()
		panic(w.panicked.value)
	}
	return &http.Response{
		StatusCode: w.status, Status: http.StatusText(w.status), Proto: r.Proto, ProtoMajor: 1, ProtoMinor: 1, Header: w.sent, Body: body, ContentLength: -1, Request: r,
	}, nil
}

// flow is what a handler writes, on its way to who reads it.
type flow struct {
	header, sent http.Header
	status       int
	begun        chan struct{} // closed once there is a status
	panicked     *panicked     // before there was one
	body         *io.PipeWriter
}

// panicked is what a handler panicked with.
type panicked struct{ value any }

// Error implements error.
func (panicked) Error() string { return "the handler panicked" }

// Header implements http.ResponseWriter.
func (f *flow) Header() http.Header { return f.header }

// WriteHeader implements http.ResponseWriter: the first status holds.
func (f *flow) WriteHeader(status int) {
	if f.sent == nil {
		f.status, f.sent = status, f.header.Clone()
		close(f.begun)
	}
}

// Write implements http.ResponseWriter.
func (f *flow) Write(b []byte) (int, error) {
	f.WriteHeader(http.StatusOK)
	return f.body.Write(b)
}

func (f *flow) broke(p panicked) {
	if f.sent == nil {
		f.panicked = &p
		f.WriteHeader(http.StatusInternalServerError)
	}
	f.body.CloseWithError(p)
}

// flowed is the body of an answer that is read as it is written.
type flowed struct {
	*io.PipeReader
	stop context.CancelFunc
}

// Read implements io.Reader.
func (f *flowed) Read(b []byte) (int, error) {
	n, err := f.PipeReader.Read(b)
	if p, ok := errors.AsType[panicked](err); ok {
		panic(p.value)
	}
	return n, err
}

// Close implements io.Closer: the handler need not go on.
func (f *flowed) Close() error {
	f.stop()
	return f.PipeReader.Close()
}

// pass sends what get writes as a file to be saved, under a name of the house's, as it comes. What breaks off once it has begun does so for
// the browser too.
func (v visit) pass(name string, get func(client wire.Client, w io.Writer) error) error {
	client := v.client
	client.HTTP = &http.Client{Transport: flowing{v.API}}
	out := &passed{visit: v, name: name}
	err := get(client, out)
	if err == nil {
		out.begin()
	} else if out.begun {
		panic(http.ErrAbortHandler)
	}
	return err
}

// passed begins a file with its first byte: before that there can be a page that says what is wrong.
type passed struct {
	visit
	name  string
	begun bool
}

func (p *passed) begin() {
	if !p.begun {
		p.begun = true
		p.saved(p.name)
	}
}

// Write implements io.Writer.
func (p *passed) Write(b []byte) (int, error) {
	p.begin()
	return p.w.Write(b)
}
