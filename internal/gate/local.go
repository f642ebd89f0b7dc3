package gate

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"

	"proofhouse/internal/proofhouse"
)

// Local serves callers of the same process, and connections that come by other
// ways than the network, with the bytes and the checks of any other caller.
type Local struct {
	server *http.Server
	conns  chan net.Conn
	done   chan struct{}
	closed sync.Once
	served sync.WaitGroup
}

// NewLocal serves h until Close.
func NewLocal(h http.Handler) *Local {
	l := &Local{server: NewServer(h), conns: make(chan net.Conn), done: make(chan struct{})}
	l.served.Go(func() { _ = l.server.Serve(listener{l}) })
	return l
}

// Dial connects to it; its shape is that of http.Transport's DialContext.
func (l *Local) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	if err := l.Serve(ctx, ours); err != nil {
		_ = theirs.Close()
		return nil, err
	}
	return theirs, nil
}

// Serve hands conn over: it is closed when its caller is done, or by Close.
func (l *Local) Serve(ctx context.Context, conn net.Conn) error {
	select {
	case l.conns <- conn:
		return nil
	case <-ctx.Done():
		_ = conn.Close()
		return context.Cause(ctx)
	case <-l.done:
		_ = conn.Close()
		return proofhouse.Errorf(proofhouse.Unavailable, nil, "the gate is closed")
	}
}

// Close ends all connections, calls under way included, and waits.
func (l *Local) Close() error {
	l.closed.Do(func() { close(l.done) })
	err := l.server.Close()
	l.served.Wait()
	return err
}

// listener gives the server its connections.
type listener struct{ l *Local }

func (x listener) Accept() (net.Conn, error) {
	select {
	case c := <-x.l.conns:
		return c, nil
	case <-x.l.done:
		return nil, errors.New("closed")
	}
}

func (listener) Close() error   { return nil }
func (listener) Addr() net.Addr { return &net.UnixAddr{Name: "gate", Net: "local"} }
