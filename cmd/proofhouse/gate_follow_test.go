package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"proofhouse/internal/gate/gatetest"
	"proofhouse/internal/store/storetest"
)

// TestTwoGates runs two gates of one database, each with a data folder of its
// own: one revocation, written by a third program that reaches neither of
// them, cuts the open stream of each, and each refuses from then on.
func TestTwoGates(t *testing.T) {
	storetest.EachAddress(t, func(t *testing.T, database string) {
		up := gatetest.Start(func(gatetest.Request) gatetest.Answer {
			return gatetest.Answer{Header: map[string]string{"Content-Type": "text/event-stream"}, Chunks: []string{"data: {\"choices\":[]}\n\n"}, Stall: true}
		})
		defer up.Close()
		gates := []*served{serve(t, up.Base().String(), database), serve(t, up.Base().String(), database)}
		for _, g := range gates {
			g.open(t)
		}
		out, err := exec.Command("proofhouse", "gate", "revoke", "--data", t.TempDir(), "--database", database, "--case", "case-1", "--reason", "over", "--json").Output()
		if err != nil {
			t.Fatal(err)
		}
		var done struct {
			Number, Gates int
			InForce       int   `json:"in_force"`
			Took          int64 `json:"took_ns"`
		}
		if err := json.Unmarshal(out, &done); err != nil || done.Number != 1 || done.Gates != 2 || done.InForce != 2 {
			t.Errorf("%s: %v", out, err)
		}
		t.Logf("in force at both after %s", time.Duration(done.Took))
		for _, g := range gates {
			rest, _ := io.ReadAll(g.stream)
			if !strings.Contains(string(rest), "access_revoked") {
				t.Errorf("a stream ends with %q", rest)
			}
			if status, body := g.ask(t); status != http.StatusUnauthorized {
				t.Errorf("%d after the revocation: %s", status, body)
			}
		}
	})
}

// served is a running gate.
type served struct {
	URL, Codename, Key string
	stream             io.ReadCloser
}

func serve(t *testing.T, upstream, database string) *served {
	t.Helper()
	cmd := exec.Command("proofhouse", "gate", "serve", "--json", "--data", t.TempDir(), "--upstream", upstream, "--model", "titan", "--case", "case-1", "--database", database)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGINT)
		if _ = cmd.Wait(); t.Failed() || strings.Contains(said.String(), "panic") {
			t.Log(said.String())
		}
	})
	var s served
	if err := json.NewDecoder(out).Decode(&s); err != nil {
		t.Fatalf("the gate does not start: %v: %s", err, said.String())
	}
	return &s
}

// reply is an answer; its body is closed when the test ends.
type reply struct {
	status int
	body   io.ReadCloser
}

func (s *served) post(t *testing.T) reply {
	t.Helper()
	req, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodPost, s.URL+"/v1/chat/completions",
		strings.NewReader(`{"model":"`+s.Codename+`","stream":true,"messages":[]}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.Key)
	resp, err := new(http.Client).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return reply{resp.StatusCode, resp.Body}
}

// open begins a stream and waits for its first event. A machine that is too
// busy to ask the database in time makes a gate refuse for a moment.
func (s *served) open(t *testing.T) {
	t.Helper()
	for {
		resp := s.post(t)
		if resp.status == http.StatusServiceUnavailable {
			time.Sleep(50 * time.Millisecond)
			continue
		}
		first, err := bufio.NewReader(resp.body).ReadString('\n')
		if resp.status != http.StatusOK || err != nil {
			t.Fatalf("%d, %q, %v", resp.status, first, err)
		}
		s.stream = resp.body
		return
	}
}

func (s *served) ask(t *testing.T) (int, string) {
	t.Helper()
	resp := s.post(t)
	b, _ := io.ReadAll(resp.body)
	return resp.status, string(b)
}
