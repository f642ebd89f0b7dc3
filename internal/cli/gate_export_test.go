package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"proofhouse/internal/gate/gatetest"
)

// TestExport exports what a real gate recorded, while it runs and after: each
// call is there once with its usage, and neither the model's name, nor its
// server, nor any key, nor what was said.
func TestExport(t *testing.T) {
	up := gatetest.Start(func(r gatetest.Request) gatetest.Answer {
		if strings.Contains(r.Body, `"stream":true`) {
			return gatetest.ChatStream(gatetest.Real, answerCanary, 30, 20)
		}
		return gatetest.Chat(gatetest.Real, answerCanary, 3, 2)
	})
	defer up.Close()
	h := newGateHouse(t)
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(upstreamKey), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := h.run("gate", "export"); code != 3 || !strings.Contains(stderr, "no record of a gate") {
		t.Errorf("without a gate: exit %d, %s", code, stderr)
	}
	s := h.serve(t, up, "--key-file", file, "--subject", "alice", "--variant", "of "+gatetest.Real, "--reason", "to try "+gatetest.Real+" of Acme at "+up.URL, "--record", "sealed")
	s.ask(t, promptCanary, false)
	s.ask(t, promptCanary, true)
	running := h.must(t, "gate", "export", "--subject", "alice")
	h.must(t, "gate", "revoke", "--all", "--reason", "over")
	s.stop()
	inJSON, inSyslog := h.must(t, "gate", "export"), h.must(t, "gate", "export", "--format", "syslog")
	for _, text := range []string{running, inJSON, inSyslog} {
		for _, secret := range []string{gatetest.Real, strings.TrimPrefix(up.URL, "http://"), s.Key, upstreamKey, promptCanary, answerCanary, "key_hash"} {
			if strings.Contains(strings.ToLower(text), strings.ToLower(secret)) {
				t.Errorf("%q is in %s", secret, text)
			}
		}
	}
	var models, input []any
	for line := range strings.Lines(inJSON) {
		var e struct {
			Event      string
			Attributes map[string]any
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		if e.Event == "proofhouse.gate.call" {
			models, input = append(models, e.Attributes["gen_ai.request.model"]), append(input, e.Attributes["gen_ai.usage.input_tokens"])
		}
	}
	if len(models) != 2 || models[0] != s.Codename || models[1] != s.Codename || input[0] != 3.0 || input[1] != 30.0 {
		t.Errorf("models %v, input tokens %v", models, input)
	}
	if n, m := strings.Count(inJSON, "\n"), strings.Count(inSyslog, "\n"); n != 4 || m != 4 || !strings.Contains(inSyslog, " revoked [") {
		t.Errorf("%d and %d events:\n%s", n, m, inSyslog)
	}
	if plain, masked := h.must(t, "gate", "export"), h.must(t, "gate", "export", "--secret", "acme"); !strings.Contains(plain, "of Acme at") || !strings.Contains(masked, "of (masked) at") {
		t.Errorf("a further secret word: %s\n%s", plain, masked)
	}
	for _, bad := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"--format", "xml"}, 2, "json or syslog"},
		{[]string{"--since", "yesterday"}, 2, "a day or a moment"},
		{[]string{"--subject", "bob"}, 3, "no grant that matches"},
	} {
		if code, out, stderr := h.run(append([]string{"gate", "export"}, bad.args...)...); code != bad.code || out != "" || !strings.Contains(stderr, bad.says) {
			t.Errorf("%v: exit %d, %q, %s", bad.args, code, out, stderr)
		}
	}
	if out := h.must(t, "gate", "export", "--since", "2999-01-01"); out != "" {
		t.Errorf("of the future: %s", out)
	}

	log := filepath.Join(h.data, "gate", "log")
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(log, []byte(strings.Replace(string(text), `"reason":"to try`, `"reason":"to buy`, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out, _ := h.run("gate", "export"); code != 7 || out != "" {
		t.Errorf("a record that was changed: exit %d, %q", code, out)
	}
}
