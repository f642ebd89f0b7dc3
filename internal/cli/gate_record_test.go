package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"proofhouse/internal/gate"
	"proofhouse/internal/gate/gatetest"
	"proofhouse/internal/vault"
)

const (
	promptCanary = "canary-of-a-prompt"
	answerCanary = "canary-of-an-answer"
)

// records are what the house's gate wrote.
func (h *gateHouse) records(t *testing.T) (all []gate.Record) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(h.data, "gate", "log"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(b) {
		var l struct{ Record *gate.Record }
		if err := json.Unmarshal(line, &l); err != nil {
			t.Fatal(err)
		}
		if l.Record != nil {
			all = append(all, *l.Record)
		}
	}
	return all
}

// content is what `gate content` prints, which is kept out of what h looks at.
func (h *gateHouse) content(args ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	code = Run(context.Background(), append([]string{"gate", "content", "--data", h.data}, args...), &out, &err)
	return code, out.String(), err.String()
}

// TestContent talks to a model in each way of recording: no disk and no
// terminal ever shows what was said, and only the house's key opens it.
func TestContent(t *testing.T) {
	up := gatetest.Start(func(r gatetest.Request) gatetest.Answer {
		if strings.Contains(r.Body, `"stream":true`) {
			return gatetest.ChatStream(gatetest.Real, answerCanary+" and more", 3, 2)
		}
		return gatetest.Chat(gatetest.Real, answerCanary, 3, 2)
	})
	defer up.Close()
	for _, how := range []string{"metadata", "sealed", "none"} {
		t.Run(how, func(t *testing.T) {
			h := newGateHouse(t)
			s := h.serve(t, up, "--record", how, "--case", "case 7")
			for _, stream := range []bool{false, true} {
				if got := s.ask(t, promptCanary, stream); !strings.Contains(got, answerCanary) {
					t.Fatal(got)
				}
				h.checkNowhere(t, promptCanary)
				h.checkNowhere(t, answerCanary)
			}
			if how == "sealed" {
				if code, _, stderr := h.run("gate", "shred", "--case", "case 7"); code != 6 || !strings.Contains(stderr, "revoke it first") {
					t.Errorf("a case in use is shredded: %d %s", code, stderr)
				}
			}
			h.must(t, "gate", "revoke", "--all")
			s.stop()
			h.checkNowhere(t, promptCanary, h.must(t, "gate", "verify"))
			h.checkNowhere(t, answerCanary)
			var calls []string
			for _, r := range h.records(t) {
				if r.Kind == gate.Ended {
					calls = append(calls, r.Call)
				}
			}
			if len(calls) != 2 {
				t.Fatalf("the record has %d calls", len(calls))
			}
			if how != "sealed" {
				if code, out, stderr := h.content(calls[0]); code != 3 || out != "" || !strings.Contains(stderr, "not kept") {
					t.Errorf("%d %q %s", code, out, stderr)
				}
				return
			}
			checkContent(t, h, calls)
		})
	}
}

func checkContent(t *testing.T, h *gateHouse, calls []string) {
	t.Helper()
	for _, call := range calls {
		code, out, stderr := h.content(call)
		if code != 0 || !strings.Contains(out, promptCanary) || !strings.Contains(out, answerCanary) || strings.Contains(out, gatetest.Real) {
			t.Errorf("%d %s %s", code, out, stderr)
		}
		_, asJSON, _ := h.content("--json", call)
		var v struct{ Request, Answer string }
		if err := json.Unmarshal([]byte(asJSON), &v); err != nil || !strings.Contains(v.Request, promptCanary) || !strings.Contains(v.Answer, answerCanary) {
			t.Errorf("%s, %v", asJSON, err)
		}
		if _, part, _ := h.content("--part", "request", call); part != v.Request {
			t.Errorf("%q is not %q", part, v.Request)
		}
	}
	for _, c := range []struct {
		code int
		args []string
	}{{3, []string{"unknown"}}, {3, []string{""}}, {2, []string{"--part", "thought", calls[0]}}} {
		if code, _, stderr := h.content(c.args...); code != c.code {
			t.Errorf("%v: %d %s", c.args, code, stderr)
		}
	}
	// Whoever can write the folder can seal something else: the record tells.
	grant := gate.Grant{Case: "case 7"}
	v := vault.New(filepath.Join(h.data, "vault"), filepath.Join(h.data, "keys", "house.key"))
	defer v.Close()
	s, err := v.Seal(gate.ContentCompartment(grant), gate.AnswerPart(calls[0]))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(s, "what was never said")
	if err := s.Commit(); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := h.content(calls[0]); code != 7 || !strings.Contains(stderr, "not what the record says") {
		t.Errorf("a forged answer: %d %s", code, stderr)
	}
	key := filepath.Join(h.data, "keys", "house.key")
	if err := os.Rename(key, key+"-away"); err != nil {
		t.Fatal(err)
	}
	if code, out, stderr := h.content(calls[1]); code != 3 || out != "" || !strings.Contains(stderr, "house's key") {
		t.Errorf("without the house's key: %d %s %s", code, out, stderr)
	}
	if err := os.Rename(key+"-away", key); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := h.run("gate", "shred", h.records(t)[0].Grant); code != 2 || !strings.Contains(stderr, "--case") {
		t.Errorf("one grant of a case: %d %s", code, stderr)
	}
	if code, _, _ := h.run("gate", "shred", "--case", "case 8"); code != 3 {
		t.Errorf("a case that is not there: %d", code)
	}
	h.must(t, "gate", "shred", "--case", "case 7")
	if code, out, stderr := h.content(calls[1]); code != 3 || out != "" || !strings.Contains(stderr, "shredded") {
		t.Errorf("after the shredding: %d %s %s", code, out, stderr)
	}
	h.checkNowhere(t, promptCanary)
}
