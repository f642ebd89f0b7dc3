package gate_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"proofhouse/internal/gate"
	"proofhouse/internal/gate/gatetest"
	"proofhouse/internal/proofhouse"
)

const otherName = "Colossus-2-secret"

// TestOtherModels lends a second model of an upstream whose errors name both:
// the callers of neither read of the other, whichever was first.
func TestOtherModels(t *testing.T) {
	h := open(t, func(gatetest.Request) gatetest.Answer {
		return gatetest.Answer{Status: 404, Header: gatetest.JSON, Chunks: []string{`{"error":{"message":"there are ` + realName + ` and ` + otherName + `"}}`}}
	}, nil)
	terms := h.hold
	terms.ID, terms.Model, terms.Codename = "", otherName, "amber"
	second, _, err := h.Lend(t.Context(), terms, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	check := func(h *house) {
		t.Helper()
		for key, code := range map[string]string{h.key: codename, second: "amber"} {
			body := read(t, h.post(t, completions, key, strings.ReplaceAll(hello, codename, code)))
			if strings.Contains(body, realName) || strings.Contains(body, otherName) || !strings.Contains(body, "there are "+code+" and "+code) {
				t.Errorf("the caller of %s reads %s", code, body)
			}
		}
	}
	check(h)
	h.settled(t)
	g, err := gate.Open(h.cfg, gate.Fold(h.log.records(t)))
	if err != nil {
		t.Fatal(err)
	}
	h.srv.Config.Handler, h.Gate = g, g
	check(h)
	for _, c := range []struct{ model, code string }{{"third", "like-" + strings.ToLower(otherName)}, {"viol", "third"}} {
		terms.Model, terms.Codename = c.model, c.code
		if _, _, err := h.Lend(t.Context(), terms, time.Now()); proofhouse.KindOf(err) != proofhouse.Conflict || strings.Contains(err.Error(), otherName) {
			t.Errorf("%s as %s: %v", c.model, c.code, err)
		}
	}
}

// TestRevokeAway ends a grant whose upstream is not served: its key does not
// come back to life when it is, and ending it is written down once.
func TestRevokeAway(t *testing.T) {
	h := open(t, answerChat, nil)
	elsewhere, _ := url.Parse("http://127.0.0.1:9")
	away := h.cfg
	away.Upstreams = []gate.Upstream{{Name: "other", Base: elsewhere}}
	g, err := gate.Open(away, gate.Fold(h.log.records(t)))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []int{1, 0} {
		what := gate.Revocation{KeyHash: h.hold.KeyHash}
		grants, calls, err := g.Revoke(t.Context(), func(t gate.Grant) bool { return what.Names(&t) }, "lost", time.Now())
		if grants != want || calls != 0 || err != nil {
			t.Errorf("%d grants and not %d, %d calls, %v", grants, want, calls, err)
		}
	}
	g, err = gate.Open(h.cfg, gate.Fold(h.log.records(t)))
	if err != nil {
		t.Fatal(err)
	}
	h.srv.Config.Handler = g
	if resp := h.post(t, completions, h.key, hello); resp.StatusCode != 401 || !g.Revoked("g1") {
		t.Errorf("%d %s", resp.StatusCode, read(t, resp))
	}
}

// TestRevocationNames holds what a revocation ends to its one word.
func TestRevocationNames(t *testing.T) {
	one := gate.Grant{ID: "g", Case: "c", Subject: "s", KeyHash: "k"}
	for _, c := range []struct {
		r    string
		want bool
	}{
		{`{"grant":"g"}`, true},
		{`{"grant":"h"}`, false},
		{`{"case":"c"}`, true},
		{`{"case":"s"}`, false},
		{`{"subject":"s"}`, true},
		{`{"subject":"c"}`, false},
		{`{"key_hash":"k"}`, true},
		{`{"key_hash":"g"}`, false},
		{`{"everything":true}`, true},
		{`{}`, false},
	} {
		var r gate.Revocation
		if err := json.Unmarshal([]byte(c.r), &r); err != nil {
			t.Fatal(err)
		}
		if r.Names(&one) != c.want || r.Names(&gate.Grant{ID: "x"}) != r.Everything {
			t.Error(c.r)
		}
		if valid := r.Validate() == nil; valid != (c.r != `{}`) {
			t.Errorf("%s: valid is %v", c.r, valid)
		}
	}
	if (gate.Revocation{Case: "c", KeyHash: "k"}).Validate() == nil {
		t.Error("two are one too many")
	}
}
