package guest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"proofhouse/internal/sandbox"
)

// bridge runs args as a program and carries what is asked of
// sandbox.BridgeAddr meanwhile to the host, see sandbox.ExecBridged. It runs as
// the program's own user, so nothing may rest on what it does.
func bridge(args []string, stdin io.Reader, report io.Writer) error {
	if len(args) == 0 {
		return &exitError{ExitInvalid, errors.New("bridge PROGRAM ARGUMENTS")}
	}
	if f, ok := report.(*os.File); ok {
		unix.CloseOnExec(int(f.Fd())) // the program gets neither end
	}
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", sandbox.BridgeAddr)
	if err != nil {
		return err
	}
	handler, err := toHost(ends{stdin, report})
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(l) }()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	err = cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		status := exit.ExitCode()
		if status < 0 {
			status = 128
		}
		return &exitError{status, fmt.Errorf("the command ended with %w", exit)}
	}
	return err
}

// atOnce is how many requests a bridge carries at once; more wait. The host
// takes more than that, so it never has to refuse one.
const atOnce = 48

// toHost passes requests on over conn, as they are, and answers as they come.
func toHost(conn net.Conn) (http.Handler, error) {
	t := &http.Transport{
		Protocols: new(http.Protocols), DisableCompression: true,
		DialContext: func(context.Context, string, string) (net.Conn, error) { return conn, nil },
	}
	t.Protocols.SetUnencryptedHTTP2(true)
	host, err := t.NewClientConn(context.Background(), "http", "bridge:80")
	if err != nil {
		return nil, err
	}
	proxy := &httputil.ReverseProxy{
		Transport: host, FlushInterval: -1,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = "http", "bridge:80", "bridge"
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, "the bridge is closed: "+err.Error(), http.StatusBadGateway)
		},
	}
	places := make(chan struct{}, atOnce)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case places <- struct{}{}:
			defer func() { <-places }()
			proxy.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	}), nil
}

// ends are one connection in two halves. It has no deadlines: the host has.
type ends struct {
	io.Reader
	io.Writer
}

func (ends) Close() error                     { return nil } // the process ends soon
func (ends) LocalAddr() net.Addr              { return &net.UnixAddr{Name: "box", Net: "bridge"} }
func (ends) RemoteAddr() net.Addr             { return &net.UnixAddr{Name: "host", Net: "bridge"} }
func (ends) SetDeadline(time.Time) error      { return nil }
func (ends) SetReadDeadline(time.Time) error  { return nil }
func (ends) SetWriteDeadline(time.Time) error { return nil }

// post sends the rest of args, one a line, to a path at the bridge, and prints
// what is answered. A refusal is an exit status too.
func post(args []string, stdout io.Writer) error {
	if len(args) == 0 {
		return &exitError{ExitInvalid, errors.New("post PATH ARGUMENTS")}
	}
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "http://"+sandbox.BridgeAddr+args[0], strings.NewReader(strings.Join(args[1:], "\n")))
	if err != nil {
		return &exitError{ExitInvalid, err}
	}
	resp, err := (&http.Client{Transport: &http.Transport{}}).Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		b, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
		return &exitError{ExitFailed, errors.New(strings.TrimSpace(string(b)))}
	}
	_, err = io.Copy(stdout, resp.Body)
	return err
}
