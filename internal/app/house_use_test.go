package app

import (
	"context"
	"encoding/json"
	"html"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"proofhouse/internal/docket"
	"proofhouse/internal/gate"
	"proofhouse/internal/gate/gatetest"
	"proofhouse/internal/proofhouse"
)

// TestUses lends a model by a gate on the house's data folder: whoever sees a grant in the case sees what is used of it, as the gate
// counts it, and nobody reads the model's name.
func TestUses(t *testing.T) {
	s := serveHouse(t, t.TempDir(), "")
	s.populate(t)
	id, other := s.takenUp(t), s.takenUp(t)
	s.do(t, "ada", id, docket.Join{Member: proofhouse.Actor{Organisation: "bank", Person: "pat", Role: proofhouse.Partner}})
	s.do(t, "ada", id, docket.Lend{Grant: "body", To: "institute"})
	s.do(t, "ada", id, docket.Share{Grant: "for-bank", To: "bank"})
	if u, err := s.as("ada").Uses(t.Context(), id); err != nil || u.Running || len(u.Uses) != 0 {
		t.Fatalf("without a gate: %+v, %v", u, err)
	}
	if p := s.browser(t, "ada").get("/cases/" + string(id) + "/use"); !p.says("for-bank, to bank", "No gate runs") {
		t.Errorf("without a gate: %s", p.text)
	}

	up := gatetest.Start(func(gatetest.Request) gatetest.Answer {
		return gatetest.Answer{Header: map[string]string{"Content-Type": "application/json"}, Chunks: []string{`{"id":"x","object":"chat.completion","created":1,"model":"canary-titan","choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":5,"total_tokens":12}}`}}
	})
	defer up.Close()
	terms := func(of proofhouse.CaseID, grant docket.GrantID) GrantRequest {
		return GrantRequest{For: time.Hour, Terms: gate.Grant{
			Model: "canary-titan", Codename: "heron", Case: string(of), Subject: docket.Subject(of, grant), Limits: gate.Limits{Requests: 3, Output: 1000, OutputCap: 100}, Reason: "test",
		}}
	}
	lent := s.runGate(t, GateRequest{Upstream: up.Base().String(), Database: s.app.database(), Grant: terms(id, "for-bank")})
	for _, g := range []GrantRequest{terms(id, "body"), terms(other, "body")} {
		if _, err := s.app.GrantGate(t.Context(), g); err != nil {
			t.Fatal(err)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, lent.URL+"/v1/chat/completions", strings.NewReader(`{"model":"heron","messages":[{"role":"user","content":"hello"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+lent.Key)
	resp, err := new(http.Client).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status)
	}

	for who, want := range map[string]string{"ada": "body for-bank", "rita": "body for-bank", "eve": "body for-bank", "pat": "for-bank"} {
		u, err := s.as(who).Uses(t.Context(), id)
		if err != nil || !u.Running {
			t.Fatal(who, err)
		}
		var sees []string
		for _, g := range u.Uses {
			sees = append(sees, string(g.Grant))
			if g.Grant == "for-bank" && (g.Budgets[0].Spent != 1 || g.Budgets[0].Limit != 3 || g.Budgets[1].Spent != 7 || g.Budgets[2].Spent != 5 || g.Budgets[2].Limit != 1000 || g.Open != 0) {
				t.Errorf("%s reads %+v", who, g)
			}
		}
		if got := strings.Join(sees, " "); got != want {
			t.Errorf("%s sees %q, want %q", who, got, want)
		}
		b, err := json.Marshal(u)
		if err != nil || strings.Contains(string(b), "canary") || strings.Contains(string(b), up.Base().Host) {
			t.Errorf("%s is told %s", who, b)
		}
		p := s.browser(t, who).get("/cases/" + string(id) + "/use")
		if !p.says("for-bank, to bank", "995") || p.says("body, to institute") != (who != "pat") || strings.Contains(p.text, "canary") {
			t.Errorf("%s reads: %s", who, p.text)
		}
	}
	if p := s.browser(t, "pat").get("/access"); !p.says("995", html.EscapeString("export OPENAI_BASE_URL='"+lent.URL+"/v1'"), html.EscapeString("export ANTHROPIC_BASE_URL='"+lent.URL+"'"), html.EscapeString("' 'heron'")) {
		t.Errorf("the portal says nothing of what is left, or not how to use it: %s", p.text)
	}
	s.do(t, "ada", id, docket.Unshare{Grant: "for-bank"})
	if err := s.patiently(t.Context(), func() (bool, error) {
		u, err := s.as("pat").Uses(t.Context(), id)
		if err != nil || len(u.Uses) != 1 || !u.Uses[0].Revoked {
			return false, err
		}
		if e := u.Uses[0].Ended; e == nil || e.Cut != 0 || e.At.IsZero() {
			t.Errorf("it ended: %+v", e)
		}
		return true, nil
	}); err != nil {
		t.Fatal(err)
	}
	if p := s.browser(t, "pat").get("/access"); !p.says("revoked", "in force at the gate", html.EscapeString("export OPENAI_BASE_URL='GATE/v1'")) {
		t.Errorf("the portal does not say that the key is revoked: %s", p.text)
	}
	for _, who := range []string{"al", "trudy", "carl"} {
		if p := s.browser(t, who).get("/cases/" + string(id) + "/use"); p.status != http.StatusNotFound {
			t.Errorf("%s: %d", who, p.status)
		}
	}
}

// runGate runs a gate on the house's data folder until the test ends.
func (s *served) runGate(t *testing.T, req GateRequest) GateReady {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	ready, done := make(chan GateReady, 1), make(chan error, 1)
	req.Addr, req.Ready = "127.0.0.1:0", func(r GateReady) { ready <- r }
	go func() { done <- s.app.ServeGate(ctx, req) }()
	select {
	case r := <-ready:
		t.Cleanup(func() {
			stop()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
		return r
	case err := <-done:
		stop()
		t.Fatal(err)
		return GateReady{}
	}
}
