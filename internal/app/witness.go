package app

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"proofhouse/internal/ledger"
	"proofhouse/internal/ledger/witness"
	"proofhouse/internal/proofhouse"
)

// WitnessRequest is how a witness is served.
type WitnessRequest struct {
	Dir  string // its folder: the key and the memory of what it cosigned
	Name string // stands in its cosignatures, such as witness.example/w1
	// Logs are files with the verifier keys of the logs that it cosigns, one a
	// line; empty lines and those that begin with # count for nothing.
	Logs  []string
	Addr  string // host and port; port 0 takes a free one
	Ready func(WitnessReady)
}

// WitnessReady is told once the witness answers.
type WitnessReady struct {
	URL  string   `json:"url"`
	Key  string   `json:"key"` // its verifier key, for the log's configuration and for verify
	Logs []string `json:"logs"`
}

// ServeWitness cosigns checkpoints until ctx ends. It needs nothing of this
// house: it is a process beside it, best on another machine and in other hands.
func ServeWitness(ctx context.Context, req WitnessRequest) error {
	var logs []ledger.VerifierKey
	for _, name := range req.Logs {
		keys, err := readVerifierKeys(name)
		if err != nil {
			return err
		}
		logs = append(logs, keys...)
	}
	w, err := witness.Open(req.Dir, req.Name, logs, time.Now)
	if err != nil {
		return err
	}
	defer w.Close()
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", req.Addr)
	if err != nil {
		return proofhouse.Errorf(proofhouse.Unavailable, err, "that address cannot be listened on: choose another port, or 0 for a free one")
	}
	server := &http.Server{
		Handler: w.Handler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second,
		IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	ready := WitnessReady{URL: "http://" + l.Addr().String(), Key: w.Key().String()}
	for _, k := range logs {
		ready.Logs = append(ready.Logs, k.Name())
	}
	req.Ready(ready)
	select {
	case err = <-done:
	case <-ctx.Done():
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = server.Shutdown(closing)
		err = <-done
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// readVerifierKeys reads a file of verifier keys.
func readVerifierKeys(name string) ([]ledger.VerifierKey, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, proofhouse.Errorf(proofhouse.NotFound, err, "the file of verifier keys cannot be read: name one with a key a line")
	}
	defer f.Close()
	var out []ledger.VerifierKey
	scan := bufio.NewScanner(f)
	for n := 1; scan.Scan(); n++ {
		line := strings.TrimSpace(scan.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		k, err := ledger.ParseVerifierKey(line)
		if err != nil {
			return nil, proofhouse.Errorf(proofhouse.Invalid, err, "line %d of the file of verifier keys is none", n)
		}
		out = append(out, k)
	}
	if err := scan.Err(); err != nil {
		return nil, proofhouse.Errorf(proofhouse.Invalid, err, "the file of verifier keys cannot be read")
	}
	return out, nil
}
