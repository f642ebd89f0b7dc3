package sandbox

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"

	"proofhouse/internal/proofhouse"
)

// BridgeAddr is where a bridge serves HTTP in its box.
const BridgeAddr = "127.0.0.1:3080"

// bridge is the guest's program, see guest.Dir and guest.Name.
const bridge = "/.proofhouse/proofhouse-guest"

// BridgePost is a line of a shell that posts its arguments, one a line, to a
// path at BridgeAddr and prints the answer: boxes have no client of HTTP.
func BridgePost(path string) string { return "exec " + bridge + " post " + path + ` "$@"` }

// Bounds of one bridge: requests that are served at once, and bytes that it
// may send to the host.
const (
	bridgeStreams = 64
	bridgeBytes   = 1 << 40
)

// ExecBridged runs a command, whose Stdin, Files and Report must be unset, with
// a bridge beside it: what is asked of BridgeAddr in the box meanwhile is
// answered by server, which must be fresh and is closed before ExecBridged
// returns. The box gets no socket of the host and no network: requests and
// answers are HTTP/2 over the command's own descriptors. Whatever the box sends
// there is as little to be trusted as what it prints.
func ExecBridged(ctx context.Context, box Box, cmd Command, server *http.Server) (Result, error) {
	if cmd.Stdin != nil || cmd.Files != nil || cmd.Report != nil {
		return Result{}, proofhouse.Errorf(proofhouse.Invalid, nil, "a command with a bridge has no other descriptors")
	}
	server.Protocols = new(http.Protocols)
	server.Protocols.SetUnencryptedHTTP2(true)
	server.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: bridgeStreams}
	inner := &counted{Handler: server.Handler}
	server.Handler = inner
	host, guest := net.Pipe()
	defer host.Close()
	defer guest.Close()
	go func() { _ = server.Serve(&single{conn: host, closed: make(chan struct{})}) }()
	cmd.Argv = append([]string{bridge, "bridge"}, cmd.Argv...)
	cmd.Stdin, cmd.Report, cmd.ReportMax = guest, guest, bridgeBytes
	res, err := box.Exec(ctx, cmd)
	_ = server.Close()
	inner.end()
	return res, err
}

// counted is a handler whose requests can be waited for: a server does not.
type counted struct {
	http.Handler
	mu    sync.Mutex // guards over, and adding to under
	over  bool
	under sync.WaitGroup
}

func (c *counted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	if c.over {
		c.mu.Unlock()
		return
	}
	c.under.Add(1)
	c.mu.Unlock()
	defer c.under.Done()
	c.Handler.ServeHTTP(w, r)
}

// end lets no more requests in and waits for those under way.
func (c *counted) end() {
	c.mu.Lock()
	c.over = true
	c.mu.Unlock()
	c.under.Wait()
}

// single is a listener with one connection.
type single struct {
	mu     sync.Mutex // guards conn
	conn   net.Conn   // nil once it was given
	closed chan struct{}
	once   sync.Once
}

func (s *single) Accept() (net.Conn, error) {
	s.mu.Lock()
	conn := s.conn
	s.conn = nil
	s.mu.Unlock()
	if conn != nil {
		return conn, nil
	}
	<-s.closed
	return nil, errors.New("a bridge has one connection")
}

func (s *single) Close() error   { s.once.Do(func() { close(s.closed) }); return nil }
func (s *single) Addr() net.Addr { return &net.UnixAddr{Name: "bridge", Net: "bridge"} }
