package cli

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"proofhouse/internal/app"
	"proofhouse/internal/gate/gatetest"
)

// buffer takes what several goroutines print.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// gateHouse is a data folder and all that its commands and the process print.
type gateHouse struct {
	data    string
	printed buffer
}

func newGateHouse(t *testing.T) *gateHouse {
	t.Helper()
	// A socket's path is short.
	dir, err := os.MkdirTemp("", "ph")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	h := &gateHouse{data: filepath.Join(dir, "data")}
	log.SetOutput(&h.printed)
	t.Cleanup(func() { log.SetOutput(os.Stderr) })
	return h
}

// run runs a command and gives its exit code and what it printed.
func (h *gateHouse) run(args ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	code = Run(context.Background(), append(args, "--data", h.data), &out, &err)
	_, _ = h.printed.Write(append(out.Bytes(), err.Bytes()...))
	return code, out.String(), err.String()
}

// quiet is must for a command that prints a key, which is kept out of what h looks at.
func (h *gateHouse) quiet(t *testing.T, args ...string) string {
	t.Helper()
	var out, err bytes.Buffer
	if code := Run(context.Background(), append(args, "--data", h.data), &out, &err); code != 0 {
		t.Fatalf("%s: exit %d: %s", strings.Join(args, " "), code, err.String())
	}
	return out.String()
}

// must is run for a command that succeeds.
func (h *gateHouse) must(t *testing.T, args ...string) string {
	t.Helper()
	code, out, err := h.run(args...)
	if code != 0 {
		t.Fatalf("%s: exit %d: %s", strings.Join(args, " "), code, err)
	}
	return out
}

// serving is a gate that runs. stop ends it.
type serving struct {
	app.GateReady
	stop func()
}

func (h *gateHouse) serve(t *testing.T, up *gatetest.Upstream, args ...string) serving {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var out buffer
	done := make(chan int, 1)
	go func() {
		done <- Run(ctx, append([]string{"gate", "serve", "--json", "--upstream", up.URL, "--model", gatetest.Real, "--data", h.data}, args...), io.MultiWriter(&out, &h.printed), &h.printed)
	}()
	s := serving{}
	stopped := false
	s.stop = func() {
		if cancel(); !stopped {
			<-done
			stopped = true
		}
	}
	t.Cleanup(s.stop)
	for range 1000 {
		if json.Unmarshal([]byte(out.String()), &s.GateReady) == nil && s.Key != "" {
			return s
		}
		select {
		case code := <-done:
			stopped = true
			t.Fatalf("the gate ended with %d: %s", code, h.printed.String())
		case <-time.After(10 * time.Millisecond):
		}
	}
	t.Fatal("the gate does not come up")
	return s
}

// ask posts a chat and gives the status, the headers and the body as one text.
func (s serving) ask(t *testing.T, prompt string, stream bool) string {
	t.Helper()
	return s.post(t, fmt.Sprintf(`{"model":%q,"stream":%v,"max_tokens":50,"messages":[{"role":"user","content":%q}]}`, s.Codename, stream, prompt))
}

func (s serving) post(t *testing.T, body string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.Key)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Sprint(resp.StatusCode, resp.Header, string(b), err)
	}
	return fmt.Sprint(resp.StatusCode, resp.Header, string(b))
}

// admin is the whole of what the gate's socket says of its grants.
func (h *gateHouse) admin(t *testing.T) string {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(h.data, "gate", "admin.sock"))
	}}}
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://gate/grants", nil)
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp.StatusCode, err)
	}
	return fmt.Sprint(resp.Header, string(b))
}

// checkNowhere looks for a secret, also as hex and base64 write it, in the
// data folder, in what was printed, and in the given texts.
func (h *gateHouse) checkNowhere(t *testing.T, secret string, texts ...string) {
	t.Helper()
	forms := []string{secret, hex.EncodeToString([]byte(secret))}
	for cut := range 3 { // base64 depends on where the secret begins
		inner := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", cut) + secret))
		forms = append(forms, inner[4:len(inner)-4])
	}
	look := func(where, text string) {
		for _, f := range forms {
			if strings.Contains(text, f) {
				t.Errorf("%q is in %s", f, where)
			}
		}
	}
	look("what was printed", h.printed.String())
	for _, text := range texts {
		look("an answer", text)
	}
	files := 0
	err := filepath.WalkDir(h.data, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		files++
		look(name, name)
		b, err := os.ReadFile(name)
		look(name, string(b))
		return err
	})
	if err != nil || files == 0 {
		t.Errorf("%d files, %v", files, err)
	}
}

const upstreamKey = "sk-upstream-canary-0123456789"

// TestCredentialStaysInside lends a model whose server quotes the key that it
// is sent wherever it can: nobody but that server ever sees it.
func TestCredentialStaysInside(t *testing.T) {
	up := gatetest.Start(func(r gatetest.Request) gatetest.Answer {
		key := r.Header.Get("Authorization")
		switch {
		case strings.Contains(r.Body, "refuse"):
			return gatetest.Answer{
				Status: 401, Header: map[string]string{"Content-Type": "application/json", "X-Request-Id": key},
				Chunks: []string{`{"error":{"message":"wrong key ` + key + `","param":"` + key + `"}}`},
			}
		case strings.Contains(r.Body, "break"):
			a := gatetest.ChatStream(gatetest.Real, "one", 1, 1)
			a.Chunks = append(a.Chunks[:1], `data: {"error":{"message":"`+key+`"}}`+"\n\n")
			return a
		case strings.Contains(r.Body, "drop"):
			return gatetest.Answer{Drop: true}
		}
		return gatetest.Chat(gatetest.Real, "hello", 3, 2)
	})
	defer up.Close()
	h := newGateHouse(t)
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(upstreamKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.must(t, "gate", "credential", "add", "titan", "--key-file", file)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if code, _, _ := h.run("gate", "credential", "add", "titan", "--key-file", file); code != 3 {
		t.Errorf("a key file that is gone: exit %d", code)
	}
	if out := h.must(t, "gate", "credential", "list"); out != "titan\n" {
		t.Errorf("listed: %q", out)
	}
	s := h.serve(t, up, "--credential", "titan")
	var answers []string
	for _, prompt := range []string{"greet", "refuse", "break", "drop"} {
		answers = append(answers, s.ask(t, prompt, prompt == "break"))
	}
	answers = append(answers, h.admin(t), h.must(t, "gate", "list"), h.must(t, "gate", "list", "--json"), h.must(t, "gate", "revoke", "--all"))
	s.stop()
	answers = append(answers, h.must(t, "gate", "verify"))
	for _, r := range up.Requests() {
		if r.Header.Get("Authorization") != "Bearer "+upstreamKey {
			t.Errorf("the upstream was sent %q", r.Header.Get("Authorization"))
		}
	}
	if n := len(up.Requests()); n != 4 {
		t.Errorf("%d requests", n)
	}
	if !strings.Contains(answers[1], "wrong key") || !strings.Contains(answers[2], "error") {
		t.Errorf("the answers are %q", answers[:4])
	}
	h.checkNowhere(t, upstreamKey, answers...)

	h.must(t, "gate", "credential", "remove", "titan")
	if code, _, stderr := h.run("gate", "serve", "--upstream", up.URL, "--model", "m", "--credential", "titan"); code != 3 || !strings.Contains(stderr, "credential list") {
		t.Errorf("a credential that was removed: exit %d, %s", code, stderr)
	}
	h.checkNowhere(t, upstreamKey)
}
