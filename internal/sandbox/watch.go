package sandbox

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"proofhouse/internal/proofhouse"
)

// Watch holds canary listeners on the host for as long as a box is probed.
// Each answers with a random token, and notes that it was reached.
type Watch struct {
	dir       string
	canaries  []Canary
	missing   []CanaryResult
	listeners []net.Listener
	undo      []func()
	wg        sync.WaitGroup

	mu      sync.Mutex // guards reached
	reached map[string]bool
}

// OpenWatch puts the canaries up: on the host's loopback in IPv4 and IPv6, at
// an address in a network namespace made for the purpose and joined to this
// one, at a socket file that everybody may open, and at an abstract socket.
// What this machine cannot put up, such as IPv6 where it is switched off, is
// in Missing; the host's loopback and the sockets must stand.
func OpenWatch() (_ *Watch, err error) {
	w := &Watch{reached: map[string]bool{}}
	defer func() {
		if err != nil {
			w.Close()
		}
	}()
	if w.dir, err = os.MkdirTemp("", "proofhouse-canary-"); err != nil {
		return nil, err
	}
	if err := os.Chmod(w.dir, 0o755); err != nil {
		return nil, err
	}
	file := filepath.Join(w.dir, "socket")
	abstract := "@proofhouse-canary-" + proofhouse.Token(10)
	for _, c := range []struct {
		name, network, address string
		optional               bool
	}{
		{"host loopback", "tcp4", "127.0.0.1:0", false},
		{"host loopback IPv6", "tcp6", "[::1]:0", true},
		{"socket file", "unix", file, false},
		{"abstract socket", "unix-abstract", abstract, false},
	} {
		network := c.network
		if network == "unix-abstract" {
			network = "unix"
		}
		l, err := net.Listen(network, c.address)
		if err != nil && c.optional {
			w.missing = append(w.missing, CanaryResult{Name: c.name, Error: "not tried: " + err.Error()})
			continue
		}
		if err != nil {
			return nil, proofhouse.Errorf(proofhouse.Unavailable, err, "the canary %q cannot be put up", c.name)
		}
		w.add(c.name, c.network, l)
	}
	if err := os.Chmod(file, 0o777); err != nil {
		return nil, err
	}
	l, undo, err := listenInNamespace()
	if err != nil {
		w.missing = append(w.missing, CanaryResult{Name: "namespace address", Error: "not tried: " + err.Error()})
		return w, nil
	}
	w.undo = append(w.undo, undo)
	w.add("namespace address", "tcp4", l)
	return w, nil
}

func (w *Watch) add(name, network string, l net.Listener) {
	c := Canary{Name: name, Network: network, Address: l.Addr().String(), Token: proofhouse.Token(20)}
	w.canaries = append(w.canaries, c)
	w.listeners = append(w.listeners, l)
	w.wg.Go(func() {
		for {
			conn, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				time.Sleep(time.Millisecond) // out of descriptors, perhaps
				continue
			}
			w.mu.Lock()
			w.reached[name] = true
			w.mu.Unlock()
			_ = conn.SetDeadline(time.Now().Add(time.Second))
			_, _ = fmt.Fprintln(conn, c.Token)
			conn.Close()
		}
	})
}

// Canaries are those that stand.
func (w *Watch) Canaries() []Canary { return append([]Canary{}, w.canaries...) }

// Missing are those that this machine cannot put up, and why.
func (w *Watch) Missing() []CanaryResult { return w.missing }

// Reached says whether somebody connected to the canary.
func (w *Watch) Reached(name string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.reached[name]
}

// Close takes the canaries down.
func (w *Watch) Close() {
	for _, l := range w.listeners {
		l.Close()
	}
	w.wg.Wait()
	for _, f := range w.undo {
		f()
	}
	os.RemoveAll(w.dir)
}
