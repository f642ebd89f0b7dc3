package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"proofhouse/internal/gate"
	"proofhouse/internal/gate/gatetest"
)

// TestGrant makes a second grant at a gate that runs, for another model and
// variant: each key works for its own codename, neither is kept anywhere, and
// each can be ended by what is known of it.
func TestGrant(t *testing.T) {
	up := gatetest.Start(func(r gatetest.Request) gatetest.Answer {
		return gatetest.Chat("x", "hello", 3, 2)
	})
	defer up.Close()
	h := newGateHouse(t)
	first := h.serve(t, up, "--subject", "alice", "--variant", "safeguards-on", "--cap-field", "max_tokens")
	var second serving
	out := h.quiet(t, "gate", "grant", "--json", "--model", "Colossus-2-secret", "--variant", "reduced", "--subject", "bob", "--case", "case 9",
		"--requests", "2", "--protocol", "openai-chat", "--reason", "a second opinion", "--by-reference", "--context", "1000")
	if err := json.Unmarshal([]byte(out), &second.GateReady); err != nil || second.Key == "" || second.URL != first.URL {
		t.Fatalf("%v: %+v", err, second.GateReady)
	}
	for _, s := range []serving{first, second} {
		if got := s.ask(t, "hi", false); !strings.HasPrefix(got, "200") || !strings.Contains(got, s.Codename) {
			t.Error(got)
		}
	}
	asked := up.Requests()
	if len(asked) != 2 || !strings.Contains(asked[1].Body, "Colossus-2-secret") {
		t.Errorf("the upstream was asked %+v", asked)
	}
	wrong := serving{GateReady: second.GateReady}
	wrong.Key = first.Key
	if got := wrong.ask(t, "hi", false); !strings.HasPrefix(got, "404") {
		t.Errorf("the first key with the second codename: %s", got)
	}
	list := h.must(t, "gate", "list")
	if !strings.Contains(list, "reduced") || !strings.Contains(list, "safeguards-on") || !strings.Contains(list, "1 of 2 ") {
		t.Errorf("listed: %s", list)
	}
	for _, bad := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"--model", "m1", "--for", "721h"}, 2, "at most 30 days"},
		{[]string{"--model", ""}, 2, "which model"},
		{[]string{"--model", "m1", "--codename", "as-m1"}, 2, "gives the model's name away"},
		{[]string{"--model", "m1", "--codename", "colossus-2-secret-x"}, 4, "another model of this upstream"},
		{[]string{"--model", "m1", "--codename", "c", "--protocol", "smtp"}, 2, "does not speak"},
		{[]string{"--model", "m1", "--codename", "c", "--by-reference"}, 2, "context window"},
		{[]string{"--model", "m1", "--codename", "c", "--requests", "0", "--output-tokens", "0"}, 2, "needs a budget"},
		{[]string{"--model", "m1", "--codename", "c", "--record", "all"}, 2, "metadata, sealed or none"},
	} {
		if code, _, stderr := h.run(append([]string{"gate", "grant"}, bad.args...)...); code != bad.code || !strings.Contains(stderr, bad.says) {
			t.Errorf("%v: exit %d, %s", bad.args, code, stderr)
		}
	}

	file := filepath.Join(t.TempDir(), "found")
	if err := os.WriteFile(file, []byte(" "+second.Key+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := h.run("gate", "revoke", "--key", second.Key); code != 3 || strings.Contains(stderr, second.Key) {
		t.Errorf("a key on the command line: exit %d, %s", code, stderr)
	}
	if code, _, stderr := h.run("gate", "revoke", "--key", file, "--subject", "alice"); code != 2 || !strings.Contains(stderr, "one of these only") {
		t.Errorf("a key and a subject: exit %d, %s", code, stderr)
	}
	if out := h.must(t, "gate", "revoke", "--key", file, "--reason", "found in a repository"); !strings.Contains(out, "1 grants ended") {
		t.Error(out)
	}
	if got := second.ask(t, "hi", false); !strings.HasPrefix(got, "401") {
		t.Errorf("the key that was found: %s", got)
	}
	if got := first.ask(t, "hi", false); !strings.HasPrefix(got, "200") {
		t.Errorf("the other key: %s", got)
	}
	if list := h.must(t, "gate", "list"); strings.Count(list, "revoked") != 1 {
		t.Errorf("listed: %s", list)
	}
	h.must(t, "gate", "revoke", "--subject", "alice")
	if got := first.ask(t, "hi", false); !strings.HasPrefix(got, "401") {
		t.Errorf("a revoked subject's key: %s", got)
	}
	first.stop()
	if code, _, stderr := h.run("gate", "grant", "--model", "m1"); code != 5 || !strings.Contains(stderr, "no gate runs") {
		t.Errorf("without a gate: exit %d, %s", code, stderr)
	}
	h.checkNowhere(t, second.Key)
	found := false
	for _, r := range h.records(t) {
		if r.Kind == gate.Granted && r.Terms.Subject == "bob" {
			found = true
			if g := r.Terms; g.Variant != "reduced" || g.Reason != "a second opinion" || g.Issuer == "" || !g.ByReference || len(g.Protocols) != 1 || g.Case != "case 9" {
				t.Errorf("the record has %+v", *g)
			}
		}
	}
	if !found {
		t.Error("the record lacks the grant")
	}
}

// TestCapField holds the cap that is written into a chat without one to the
// field that the server knows.
func TestCapField(t *testing.T) {
	up := gatetest.Start(func(r gatetest.Request) gatetest.Answer { return gatetest.Chat(gatetest.Real, "hello", 3, 2) })
	defer up.Close()
	s := newGateHouse(t).serve(t, up, "--cap-field", "max_tokens", "--output-cap", "77")
	if got := s.post(t, `{"model":"`+s.Codename+`","messages":[]}`); !strings.HasPrefix(got, "200") {
		t.Fatal(got)
	}
	if body := up.Requests()[0].Body; !strings.Contains(body, `"max_tokens":77`) || strings.Contains(body, "completion") {
		t.Error(body)
	}
}
