package app

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"proofhouse/internal/ledger"
	"proofhouse/internal/ledger/posix"
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
	var out []ledger.VerifierKey
	return out, eachKey(name, func(key ledger.VerifierKey, rest string) bool {
		out = append(out, key)
		return rest == ""
	})
}

// readWitnesses reads the file of HouseConfig.Witnesses.
func readWitnesses(name string) ([]posix.Witness, error) {
	var out []posix.Witness
	if name == "" {
		return nil, nil
	}
	err := eachKey(name, func(key ledger.VerifierKey, rest string) bool {
		out = append(out, posix.Witness{Key: key, URL: rest})
		return rest != ""
	})
	return out, err
}

// eachKey reads a file of lines that begin with a verifier key. Empty ones and
// those that begin with # count for nothing. take says whether the rest is right.
func eachKey(name string, take func(key ledger.VerifierKey, rest string) bool) error {
	raw, err := os.ReadFile(name)
	if err != nil {
		return proofhouse.Errorf(proofhouse.NotFound, err, "the file of verifier keys cannot be read: name one with a key a line")
	}
	n := 0
	for line := range strings.Lines(string(raw)) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		text, rest, _ := strings.Cut(line, " ")
		key, err := ledger.ParseVerifierKey(text)
		if err != nil || !take(key, strings.TrimSpace(rest)) {
			return proofhouse.Errorf(proofhouse.Invalid, err, "line %d of the file of verifier keys is not as it should be: a log's is its key, a witness's its key and its address", n)
		}
	}
	return nil
}
