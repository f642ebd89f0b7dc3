package gate_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"proofhouse/internal/gate"
	"proofhouse/internal/gate/gatetest"
	"proofhouse/internal/policy"
)

// TestStatus: the gate knows how its upstream answers, by what the upstream did and not by what callers or the gate did, and what
// safeguards and policies decided; none of it holds content.
func TestStatus(t *testing.T) {
	var next atomic.Value
	policies, err := policy.Load(fstest.MapFS{"mine.cedar": {Data: []byte(`@id("no-shell") @reason("no shells") forbid (principal, action, resource) when { context.tools.contains("bash") };`)}})
	if err != nil {
		t.Fatal(err)
	}
	h := open(t, func(gatetest.Request) gatetest.Answer { return next.Load().(gatetest.Answer) }, func(c *gate.Config, grant *gate.Grant) {
		c.Guards, c.Policies = map[string]gate.Guard{"words": words(t, "canary-prompt")}, policies
		grant.Safeguards = []gate.Safeguard{{Guard: "words", Stage: gate.OnRequest, Mode: gate.CutOff}}
	})
	if s := h.Status(); len(s.Upstreams) != 1 || s.Upstreams[0].Upstream != "up" || s.Since.IsZero() || s.Follows {
		t.Fatalf("at first: %+v", s)
	}
	if _, known := h.Status().Upstreams[0].Well(); known {
		t.Error("something is known of an upstream that nobody asked")
	}
	after := func(what string, body string, a gatetest.Answer) gate.Health {
		t.Helper()
		next.Store(a)
		_ = read(t, h.post(t, completions, h.key, body))
		h.settled(t)
		return h.Status().Upstreams[0]
	}
	good := gatetest.Chat(realName, "hi", 12, 7)
	for _, c := range []struct {
		what   string
		body   string
		answer gatetest.Answer
		want   string // answered, refused, limited, failed, silent
		well   bool
	}{
		{"an answer", hello, good, "1 0 0 0 0", true},
		{"the caller's fault", hello, gatetest.Answer{Status: 400, Chunks: []string{`{}`}}, "1 1 0 0 0", true},
		{"too much", hello, gatetest.Answer{Status: 429, Header: map[string]string{"Retry-After": "60"}}, "1 1 1 0 0", false},
		{"overloaded", hello, gatetest.Answer{Status: 529}, "1 1 2 0 0", false},
		{"an answer again", hello, good, "2 1 2 0 0", true},
		{"an error", hello, gatetest.Answer{Status: 500, Chunks: []string{`canary-answer`}}, "2 1 2 1 0", false},
		{"no answer", hello, gatetest.Answer{Drop: true}, "2 1 2 1 1", false},
		{"half a stream", streamed, gatetest.Answer{Header: gatetest.EventStream, Chunks: []string{"data: {}\n\n"}, Break: true}, "2 1 2 1 2", false},
		{"half an answer", hello, gatetest.Answer{Header: map[string]string{"Content-Length": "50"}, Chunks: []string{`{"x`}, Break: true}, "2 1 2 1 3", false},
		{"a stream", streamed, gatetest.ChatStream(realName, "hi there", 12, 7), "3 1 2 1 3", true},
		{"stopped on its way there", strings.Replace(hello, `"hello"`, `"canary-prompt"`, 1), good, "3 1 2 1 3", true},
		{"denied", strings.Replace(hello, `"messages"`, `"tools":[{"type":"function","function":{"name":"bash"}}],"messages"`, 1), good, "3 1 2 1 3", true},
	} {
		u := after(c.what, c.body, c.answer)
		got := strings.Trim(strings.Join(strings.Fields(jsonOf(t, []int64{u.Answered, u.Refused, u.Limited, u.Failed, u.Silent})), ""), "[]")
		if got = strings.ReplaceAll(got, ",", " "); got != c.want {
			t.Errorf("%s: %s, want %s", c.what, got, c.want)
		}
		if well, known := u.Well(); well != c.well || !known || u.Open != 0 || u.Last.IsZero() || u.First == 0 {
			t.Errorf("%s: %+v", c.what, u)
		}
		if c.what == "too much" && (u.Status != 429 || time.Until(u.Until) < 50*time.Second) {
			t.Errorf("%s: %+v", c.what, u)
		}
	}
	// Who leaves, and who is cut, says nothing of the upstream.
	next.Store(gatetest.Answer{Header: gatetest.EventStream, Chunks: []string{"data: {}\n\n"}, Stall: true})
	ctx, leave := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.srv.URL+completions, strings.NewReader(streamed))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+h.key)
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	leave()
	resp.Body.Close()
	h.settled(t)
	if u := h.Status().Upstreams[0]; u.Silent != 3 {
		t.Errorf("a caller who left: %+v", u)
	}
	under := h.post(t, completions, h.key, streamed)
	if u := h.Status().Upstreams[0]; u.Open != 1 {
		t.Errorf("%d calls are under way", u.Open)
	}
	asked := time.Now().Add(-time.Minute)
	if _, calls, err := h.Revoke(t.Context(), func(gate.Grant) bool { return true }, "", asked); err != nil || calls != 1 {
		t.Errorf("%d calls were cut, %v", calls, err)
	}
	_ = read(t, under)
	h.settled(t)
	s := h.Status()
	if u := s.Upstreams[0]; u.Silent != 3 || u.Open != 0 {
		t.Errorf("a call that was cut: %+v", u)
	}
	// The time that a revocation took counts from when it was asked for, and stays, whoever revokes again and after a kill.
	_, _, _ = h.Revoke(t.Context(), func(gate.Grant) bool { return true }, "", time.Now())
	again, err := gate.Open(h.cfg, gate.Fold(h.log.records(t)))
	if err != nil {
		t.Fatal(err)
	}
	for what, g := range map[string]*gate.Gate{"at once": h.Gate, "after a kill": again} {
		if e := g.Endings()["g1"]; !e.Time.Equal(asked) || e.Cut != 1 || e.Took < 60_000_000 || e.Took > 600_000_000 {
			t.Errorf("%s, the revocation was %+v", what, e)
		}
	}
	rules := map[string]int64{}
	for _, r := range s.Rules {
		for a, n := range r.Counts {
			rules[r.Guard+r.Policy+" "+string(r.Stage)+" "+string(a)] = n
		}
	}
	if len(rules) != 3 || rules["words request passed"] == 0 || rules["words request cut"] != 1 || rules["no-shell  denied"] != 1 {
		t.Errorf("the rules decided %v", rules)
	}
	if len(s.Decisions) != 2 || s.Decisions[0].Policy != "no-shell" || s.Decisions[1].Guard != "words" || s.Decisions[1].Action != gate.Stopped || s.Decisions[1].Reason != "pattern word" || s.Decisions[1].Grant != "g1" || s.Decisions[1].Call == "" {
		t.Errorf("the last decisions are %+v", s.Decisions)
	}
	if all := jsonOf(t, s); strings.Contains(all, "canary") || strings.Contains(all, realName) {
		t.Errorf("the gate says of itself %s", all)
	}
}

func jsonOf(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestManyDecisions: of many decisions the last ones are remembered.
func TestManyDecisions(t *testing.T) {
	h := open(t, answerChat, func(c *gate.Config, grant *gate.Grant) {
		c.Guards = map[string]gate.Guard{"words": words(t, "hello")}
		grant.Safeguards = []gate.Safeguard{{Guard: "words", Stage: gate.OnRequest, Mode: gate.Observe}}
	})
	const asked = 130
	for range asked {
		_ = read(t, h.post(t, completions, h.key, hello))
	}
	h.settled(t)
	s := h.Status()
	if len(s.Decisions) != 100 || s.Rules[0].Counts[gate.Noted] != asked {
		t.Errorf("%d decisions, %v", len(s.Decisions), s.Rules)
	}
	var last string
	for _, r := range h.log.records(t) {
		if r.Kind == gate.Ended {
			last = r.Call
		}
	}
	if s.Decisions[0].Call != last {
		t.Error("the first is not the last one")
	}
}
