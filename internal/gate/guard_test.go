package gate_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"proofhouse/internal/gate"
	"proofhouse/internal/gate/gatetest"
	"proofhouse/internal/gate/guard"
	"proofhouse/internal/policy"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/vault"
)

// guarded is a gate whose upstream streams text word by word, and whose grant
// is under one safeguard.
func guarded(t *testing.T, text string, g gate.Guard, s gate.Safeguard) *house {
	t.Helper()
	return open(t, func(r gatetest.Request) gatetest.Answer {
		if strings.Contains(r.Body, `"stream":true`) {
			return gatetest.ChatStream(realName, text, 12, 7)
		}
		return gatetest.Chat(realName, text, 12, 7)
	}, func(c *gate.Config, grant *gate.Grant) {
		c.Guards = map[string]gate.Guard{"g": g}
		s.Guard = "g"
		grant.Safeguards = []gate.Safeguard{s}
	})
}

func words(t *testing.T, expr string) gate.Guard {
	t.Helper()
	p, err := guard.Compile("word", expr)
	if err != nil {
		t.Fatal(err)
	}
	return guard.Patterns{p}
}

// judged is what the one call's end says of its safeguard.
func (h *house) judged(t *testing.T) gate.Judged {
	t.Helper()
	h.settled(t)
	for _, r := range h.log.records(t) {
		if r.Kind == gate.Ended && len(r.End.Judged) == 1 {
			return r.End.Judged[0]
		}
	}
	t.Fatal("the record has no judgement")
	return gate.Judged{}
}

func TestSafeguards(t *testing.T) {
	const text = "first some words then mal ware and so on and on"
	split := `mal ware` // in two events
	// The same where what a thread keeps of what was judged is cut in its middle.
	long := strings.Repeat("padding ", 510) + text
	unguarded := func() string {
		h := open(t, func(gatetest.Request) gatetest.Answer { return gatetest.ChatStream(realName, text, 12, 7) }, nil)
		return read(t, h.post(t, completions, h.key, streamed))
	}()
	for _, c := range []struct {
		name   string
		expr   string
		safe   gate.Safeguard
		stream bool
		shown  string // the last text that the caller sees; "" is all of the answer
		hidden string // what it must not see
		action gate.Action
	}{
		{"a pattern that lies across two events", split, gate.Safeguard{Stage: gate.OnAnswer, Mode: gate.CutOff}, true, "mal ", "ware", gate.Stopped},
		{"the same after a long text", `first some words then ` + split, gate.Safeguard{Stage: gate.OnAnswer, Mode: gate.CutOff}, true, "mal ", "ware", gate.Stopped},
		{"a held beginning", split, gate.Safeguard{Stage: gate.OnAnswer, Mode: gate.Hold, Hold: 40}, true, "\n", "first", gate.Stopped},
		{"a held whole answer", "and on$", gate.Safeguard{Stage: gate.OnAnswer, Mode: gate.Hold}, true, "\n", "first", gate.Stopped},
		{"after the held beginning", "so on", gate.Safeguard{Stage: gate.OnAnswer, Mode: gate.Hold, Hold: 10}, true, "so ", "on and", gate.Stopped},
		{"nothing to object to", "absent", gate.Safeguard{Stage: gate.OnAnswer, Mode: gate.CutOff}, true, "", "", gate.Passed},
		{"held and nothing to object to", "absent", gate.Safeguard{Stage: gate.OnAnswer, Mode: gate.Hold}, true, "", "", gate.Passed},
		{"held at first and nothing to object to", "absent", gate.Safeguard{Stage: gate.OnAnswer, Mode: gate.Hold, Hold: 20}, true, "", "", gate.Passed},
		{"observed", split, gate.Safeguard{Stage: gate.OnAnswer, Mode: gate.Observe}, true, "", "", gate.Noted},
		{"a plain answer", split, gate.Safeguard{Stage: gate.OnAnswer, Mode: gate.CutOff}, false, "{", "first", gate.Stopped},
		{"a plain answer, observed", split, gate.Safeguard{Stage: gate.OnAnswer, Mode: gate.Observe}, false, "on and on", "", gate.Noted},
		{"a request", "hel+o", gate.Safeguard{Stage: gate.OnRequest, Mode: gate.CutOff}, true, "{", "first", gate.Stopped},
		{"a request, observed", "hel+o", gate.Safeguard{Stage: gate.OnRequest, Mode: gate.Observe}, true, "", "", gate.Noted},
	} {
		t.Run(c.name, func(t *testing.T) {
			answer := text
			if strings.Contains(c.name, "long") {
				answer = long
			}
			h := guarded(t, answer, words(t, c.expr), c.safe)
			body := hello
			if c.stream {
				body = streamed
			}
			resp := h.post(t, completions, h.key, body)
			got := read(t, resp)
			if !strings.Contains(got, c.shown) || c.hidden != "" && strings.Contains(got, c.hidden) {
				t.Errorf("the caller saw %s", got)
			}
			if c.stream && c.shown == "" && got != unguarded {
				t.Errorf("what passed is not what came:\n%s", got)
			}
			stopped := c.action == gate.Stopped
			if stopped != strings.Contains(got, `"code":"safeguard"`) {
				t.Errorf("status %d, %s", resp.StatusCode, got)
			}
			if stopped && c.stream && c.safe.Stage == gate.OnAnswer && !strings.HasSuffix(got, "}\n\n") {
				t.Errorf("the last event is cut: %q", got)
			}
			if j := h.judged(t); j.Action != c.action || (j.Action != gate.Passed) != (j.Reason == "pattern word") {
				t.Errorf("%+v", j)
			}
			if asked := len(h.up.Requests()); (asked == 0) != (stopped && c.safe.Stage == gate.OnRequest) {
				t.Errorf("the upstream was asked %d times", asked)
			}
		})
	}
}

// TestSafeguardsCharge: a request that is stopped costs nothing, a plain
// answer what it took, a stream that is cut its hold.
func TestSafeguardsCharge(t *testing.T) {
	for _, c := range []struct {
		stage gate.Stage
		body  string
		want  gate.Amount
	}{
		{gate.OnRequest, hello, gate.Amount{}},
		{gate.OnAnswer, hello, gate.Amount{Requests: 1, Input: 12, Output: 7}},
		{gate.OnAnswer, streamed, gate.Amount{Requests: 1, Output: 1000}},
	} {
		h := guarded(t, "one two three", words(t, "hello|two"), gate.Safeguard{Stage: c.stage, Mode: gate.CutOff})
		read(t, h.post(t, completions, h.key, c.body))
		got := h.settled(t).Spent
		if c.want.Output == 1000 {
			got.Input = 0 // a bound
		}
		if got != c.want {
			t.Errorf("%s: charged %+v", c.stage, got)
		}
	}
}

// TestFailingGuards: what no guard judged passes only where the grant says so.
func TestFailingGuards(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
	}{
		{"gone", nil},
		{"an error", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }},
		{"no JSON", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "allow") }},
		{"another word", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"action":"maybe"}`) }},
		{"no word", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{}`) }},
		{"elsewhere", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/other", http.StatusTemporaryRedirect)
		}},
		{"too slow", func(_ http.ResponseWriter, r *http.Request) {
			buf := make([]byte, 1024)
			_, _ = r.Body.Read(buf)
			<-r.Context().Done()
		}},
	} {
		for _, stage := range []gate.Stage{gate.OnRequest, gate.OnAnswer} {
			for _, mode := range []gate.Mode{gate.Hold, gate.Observe} {
				for _, open := range []bool{false, true} {
					address := gone.URL
					if c.answer != nil {
						srv := httptest.NewServer(c.answer)
						t.Cleanup(srv.Close)
						address = srv.URL
					}
					hook, err := guard.NewHook(address, "")
					if err != nil {
						t.Fatal(err)
					}
					h := guarded(t, "answer-canary", hook, gate.Safeguard{Stage: stage, Mode: mode, FailOpen: open, Within: 50 * time.Millisecond})
					got := read(t, h.post(t, completions, h.key, streamed))
					passes := open || mode == gate.Observe
					want := map[bool]gate.Action{true: gate.FailedOpen, false: gate.FailedClosed}[passes]
					if strings.Contains(got, "answer-canary") != passes {
						t.Errorf("%s, %s, %s, open %v: the caller saw %s", c.name, stage, mode, open, got)
					}
					if j := h.judged(t); j.Action != want {
						t.Errorf("%s, %s, %s, open %v: %+v", c.name, stage, mode, open, j)
					}
				}
			}
		}
	}
}

// TestUnknownGuard: a gate that is opened again without the guard of a grant
// does not do without it.
func TestUnknownGuard(t *testing.T) {
	h := guarded(t, "answer-canary", words(t, "absent"), gate.Safeguard{Stage: gate.OnAnswer, Mode: gate.CutOff})
	h.cfg.Guards = nil
	again, err := gate.Open(h.cfg, gate.Fold(h.log.records(t)))
	if err != nil {
		t.Fatal(err)
	}
	h.srv.Config.Handler = again
	if got := read(t, h.post(t, completions, h.key, streamed)); strings.Contains(got, "answer-canary") || !strings.Contains(got, "could not judge") {
		t.Error(got)
	}
}

// TestSlowGuard: a guard that takes its time cuts a stream that is still under
// way, and none of what it holds is shown when access ends meanwhile.
func TestSlowGuard(t *testing.T) {
	verdict := make(chan string, 1)
	var asked atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q struct{ Text, Stage, Codename string }
		_ = json.NewDecoder(r.Body).Decode(&q)
		asked.Add(1)
		if q.Codename != codename || strings.Contains(q.Text, realName) {
			t.Errorf("the hook was told %+v", q)
		}
		select {
		case v := <-verdict:
			fmt.Fprint(w, v)
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(srv.Close)
	hook, err := guard.NewHook(srv.URL, "")
	if err != nil {
		t.Fatal(err)
	}
	stalls := func(mode gate.Mode) *house {
		return open(t, func(gatetest.Request) gatetest.Answer {
			a := gatetest.ChatStream(realName, "answer-canary "+strings.Repeat("more ", 600), 12, 7)
			a.Chunks, a.Stall = a.Chunks[:550], true
			return a
		}, func(c *gate.Config, grant *gate.Grant) {
			c.Guards = map[string]gate.Guard{"g": hook}
			grant.Safeguards = []gate.Safeguard{{Guard: "g", Stage: gate.OnAnswer, Mode: mode, Hold: 1000, Within: 30 * time.Second}}
		})
	}
	h := stalls(gate.CutOff)
	resp := h.post(t, completions, h.key, streamed)
	verdict <- `{"action":"cut","reason":"hook/7"}`
	if got := read(t, resp); !strings.Contains(got, "answer-canary") || !strings.HasSuffix(got, "}\n\n") || !strings.Contains(got, `"code":"safeguard"`) {
		t.Errorf("the caller saw %s", got)
	}
	if j := h.judged(t); j.Action != gate.Stopped || j.Reason != "hook/7" {
		t.Errorf("%+v", j)
	}

	before := asked.Load()
	h = stalls(gate.Hold)
	resp = h.post(t, completions, h.key, streamed)
	for asked.Load() == before {
		time.Sleep(time.Millisecond)
	}
	if _, _, err := h.Revoke(t.Context(), func(gate.Grant) bool { return true }, "", time.Now()); err != nil {
		t.Fatal(err)
	}
	if got := read(t, resp); strings.Contains(got, "answer-canary") || !strings.Contains(got, "access_revoked") {
		t.Errorf("the caller saw %s", got)
	}
}

func TestModeration(t *testing.T) {
	answer := ""
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q struct{ Model, Input string }
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil || r.URL.Path != "/v1/moderations" || r.Header.Get("Authorization") != "Bearer k" || q.Model != "omni" || q.Input != "text" {
			t.Errorf("%s %v %+v", r.URL.Path, err, q)
		}
		fmt.Fprint(w, answer)
	}))
	t.Cleanup(srv.Close)
	m, err := guard.NewModeration(srv.URL+"/v1/", "omni", "k")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		answer string
		want   gate.Judgement
		fails  bool
	}{
		{`{"results":[{"flagged":false,"categories":{"violence":false}}]}`, gate.Judgement{}, false},
		{`{"results":[{"flagged":false},{"flagged":true,"categories":{"violence":true,"illicit":true,"hate":false}}]}`, gate.Judgement{Cut: true, Reason: "flagged illicit, violence"}, false},
		{`{"results":[]}`, gate.Judgement{}, true},
		{`{"results":[{"categories":{}}]}`, gate.Judgement{}, true},
		{`{"error":{"message":"x"}}`, gate.Judgement{}, true},
	} {
		answer = c.answer
		got, err := m.Judge(context.Background(), gate.Inspection{Text: []byte("text")})
		if got != c.want || (err != nil) != c.fails {
			t.Errorf("%s: %+v, %v", c.answer, got, err)
		}
	}
}

// TestReasonsQuoteNothing: a server that quotes what it was asked about in its
// reason does not get it into the record.
func TestReasonsQuoteNothing(t *testing.T) {
	for _, answer := range []string{
		`{"action":"cut","reason":"said: prompt-canary"}`, `{"action":"cut","reason":"` + strings.Repeat("x", 40) + `prompt-canary"}`, `{"action":"cut","reason":"prompt-canary\n"}`,
		`{"results":[{"flagged":true,"categories":{"said: prompt-canary":true}}]}`,
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, answer) }))
		t.Cleanup(srv.Close)
		var g gate.Guard
		var err error
		if g, err = guard.NewHook(srv.URL, ""); strings.Contains(answer, "results") {
			g, err = guard.NewModeration(srv.URL, "", "")
		}
		if err != nil {
			t.Fatal(err)
		}
		j, err := g.Judge(t.Context(), gate.Inspection{Text: []byte("prompt-canary")})
		if err != nil || !j.Cut || j.Reason == "" || strings.Contains(j.Reason, "canary") {
			t.Errorf("%s: %+v, %v", answer, j, err)
		}
	}
}

func TestReadSafeguards(t *testing.T) {
	key := func(string) (vault.Secret, error) { return "k", nil }
	guards, safe, err := guard.Read([]byte(`
[[safeguard]]
name = "words"
kind = "patterns"
stages = ["request", "answer"]
mode = "cut"
patterns = { dropper = '(?i)invoke-expression', key = 'AKIA[0-9A-Z]{16}' }

[[safeguard]]
name = "moderation"
kind = "moderation"
url = "http://127.0.0.1:8000/v1"
stages = ["answer"]
mode = "hold"
hold = 2000
fail = "open"
within = "500ms"
`), key)
	want := gate.Safeguard{Guard: "moderation", Stage: gate.OnAnswer, Mode: gate.Hold, Hold: 2000, FailOpen: true, Within: 500 * time.Millisecond}
	if err != nil || len(guards) != 2 || len(safe) != 3 || safe[2] != want || safe[0].FailOpen {
		t.Errorf("%v, %+v, %v", guards, safe, err)
	}
	const whole = "[[safeguard]]\nname=\"a\"\nkind=\"patterns\"\nstages=[\"answer\"]\nmode=\"cut\"\npatterns={a=\"a\"}\n"
	for name, text := range map[string]string{
		"not TOML": "[[", "a field too many": whole + "colour=\"red\"", "twice": whole + whole, "no name": strings.Replace(whole, `"a"`, `""`, 1),
		"no kind": strings.Replace(whole, "patterns", "magic", 1), "no patterns": strings.Replace(whole, `{a="a"}`, "{}", 1),
		"a bad pattern": strings.Replace(whole, `{a="a"}`, `{a="("}`, 1), "a pattern for all": strings.Replace(whole, `{a="a"}`, `{a="a*"}`, 1),
		"no stage": strings.Replace(whole, `["answer"]`, "[]", 1), "another stage": strings.Replace(whole, "answer", "later", 1),
		"another mode": strings.Replace(whole, "cut", "kill", 1), "another end": whole + `fail="never"`, "no time": whole + `within="soon"`,
		"no address": strings.Replace(whole, "patterns", "hook", 1),
	} {
		if _, _, err := guard.Read([]byte(text), key); proofhouse.KindOf(err) != proofhouse.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzReadSafeguards: what a file of safeguards gives is valid.
func FuzzReadSafeguards(f *testing.F) {
	f.Add("[[safeguard]]\nname=\"a\"\nkind=\"patterns\"\nstages=[\"answer\"]\nmode=\"cut\"\npatterns={a=\"a\"}\n")
	f.Fuzz(func(t *testing.T, text string) {
		guards, safe, err := guard.Read([]byte(text), func(string) (vault.Secret, error) { return "k", nil })
		for _, s := range safe {
			if err != nil || s.Validate() != nil || guards[s.Guard] == nil {
				t.Errorf("%+v, %v", s, err)
			}
		}
	})
}

// TestPolicies: a policy's denial is a refusal in the protocol's shape, and in
// the record; what the gate asks has the shape that policies were checked for.
func TestPolicies(t *testing.T) {
	set, err := policy.Load(fstest.MapFS{"house.cedar": {Data: []byte(`
@id("no-shell") @reason("no shells this week")
forbid (principal in Case::"case-1", action, resource) when { context.tools.contains("bash") };
@id("small") forbid (principal, action, resource) when { context.output_cap > 500 || context.answers > 2 };`)}})
	if err != nil {
		t.Fatal(err)
	}
	h := open(t, answerChat, func(c *gate.Config, g *gate.Grant) { c.Policies, g.Case = set, "case-1" })
	const shell = `,"max_tokens":5,"tools":[{"type":"function","function":{"name":"bash"}}]}`
	for _, c := range []struct {
		body   string
		status int
		says   string
	}{
		{`{"model":"violet","messages":[],"max_tokens":5}`, 200, codename},
		{`{"model":"violet","messages":[]` + shell, 403, "policy no-shell refuses this request: no shells this week"},
		{`{"model":"violet","messages":[]}`, 403, "policy small refuses"}, // the grant's cap is what counts
		{`{"model":"violet","messages":[],"max_tokens":5,"n":3}`, 403, "policy small refuses"},
	} {
		resp := h.post(t, completions, h.key, c.body)
		got := read(t, resp)
		if resp.StatusCode != c.status || !strings.Contains(got, c.says) || c.status == 403 && resp.Header.Get("X-Should-Retry") != "false" {
			t.Errorf("%s: %d %s", c.body, resp.StatusCode, got)
		}
	}
	denied := 0
	for _, r := range h.log.records(t) {
		if r.Kind == gate.Denied && r.Decision.Policy != "" && r.Grant == "g1" {
			denied++
		}
	}
	if denied != 3 || len(h.up.Requests()) != 1 {
		t.Errorf("%d denials in the record, %d requests sent", denied, len(h.up.Requests()))
	}
	if a := h.settled(t); a.Spent.Requests != 1 {
		t.Errorf("%+v", a)
	}
}

func TestSuspend(t *testing.T) {
	const tool = `{"model":"violet","messages":[],"tools":[{"type":"function","function":{"name":"bash"}}]}`
	plain := `{"model":"violet","messages":[]}`
	for _, c := range []struct {
		name        string
		s           gate.Suspension
		hits, spare string
	}{
		{"a tool", gate.Suspension{Tool: "bash"}, tool, plain},
		{"any tool", gate.Suspension{Class: gate.WithTools}, tool, plain},
		{"streams", gate.Suspension{Class: gate.Streams}, streamed, plain},
		{"many answers", gate.Suspension{Class: gate.ManyAnswers}, `{"model":"violet","n":2,"messages":[]}`, plain},
		{"a tool of the grant", gate.Suspension{Tool: "bash", Grant: "g1", Subject: "tester", Protocol: "openai-chat"}, tool, plain},
		{"a tool of another grant", gate.Suspension{Tool: "bash", Grant: "g2"}, "", tool},
		{"a tool of another subject", gate.Suspension{Tool: "bash", Subject: "bank"}, "", tool},
		{"another protocol", gate.Suspension{Protocol: "anthropic-messages"}, "", plain},
		{"the protocol", gate.Suspension{Protocol: "openai-chat"}, plain, ""},
		{"the subject", gate.Suspension{Subject: "tester", Reason: "until Monday"}, plain, ""},
	} {
		h := open(t, answerChat, nil)
		c.s.ID = "s1"
		if _, err := h.Suspend(t.Context(), c.s, time.Now()); err != nil {
			t.Fatal(err)
		}
		check := func(when string, g *gate.Gate, suspended bool) {
			h.srv.Config.Handler = g
			for body, hit := range map[string]bool{c.hits: true, c.spare: false} {
				if body == "" {
					continue
				}
				resp := h.post(t, completions, h.key, body)
				got := read(t, resp)
				refused := resp.StatusCode == 403 && strings.Contains(got, `"code":"suspended"`) && strings.Contains(got, c.s.Reason)
				if refused != (hit && suspended) || !refused && resp.StatusCode != 200 {
					t.Errorf("%s, %s, %s: %d %s", c.name, when, body, resp.StatusCode, got)
				}
			}
		}
		check("suspended", h.Gate, true)
		again, err := gate.Open(h.cfg, gate.Fold(h.log.records(t)))
		if err != nil {
			t.Fatal(err)
		}
		check("after a kill", again, true)
		if err := again.Resume(t.Context(), "s1", "over", time.Now()); err != nil {
			t.Fatal(err)
		}
		check("resumed", again, false)
		if last, err := gate.Open(h.cfg, gate.Fold(h.log.records(t))); err != nil || len(last.Suspensions()) != 0 {
			t.Errorf("%s: %v, %v", c.name, last.Suspensions(), err)
		}
		if err := again.Resume(t.Context(), "s1", "", time.Now()); proofhouse.KindOf(err) != proofhouse.NotFound {
			t.Errorf("%s: resumed twice: %v", c.name, err)
		}
	}
	for _, bad := range []gate.Suspension{{ID: "x"}, {ID: "x", Class: "all"}} {
		if _, err := open(t, answerChat, nil).Suspend(t.Context(), bad, time.Now()); proofhouse.KindOf(err) != proofhouse.Invalid {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

// TestSuspendCuts: of the calls under way, those of the suspended kind are cut
// and the others are not.
func TestSuspendCuts(t *testing.T) {
	h := open(t, func(r gatetest.Request) gatetest.Answer {
		a := answerChat(r)
		a.Chunks, a.Stall = a.Chunks[:1], true
		return a
	}, nil)
	withTool := strings.Replace(streamed, `"messages"`, `"tools":[{"type":"function","function":{"name":"bash"}}],"messages"`, 1)
	hit, spared := h.post(t, completions, h.key, withTool), h.post(t, completions, h.key, streamed)
	cut, err := h.Suspend(t.Context(), gate.Suspension{ID: "s", Tool: "bash"}, time.Now())
	if err != nil || cut != 1 {
		t.Errorf("%d calls were cut, %v", cut, err)
	}
	if got := read(t, hit); !strings.Contains(got, `"code":"suspended"`) || !strings.HasSuffix(got, "}\n\n") {
		t.Errorf("the caller saw %s", got)
	}
	if open := h.Accounts()["g1"].Open; open != 1 {
		t.Errorf("%d calls are under way", open)
	}
	_, _, _ = h.Revoke(t.Context(), func(gate.Grant) bool { return true }, "", time.Now())
	if got := read(t, spared); !strings.Contains(got, "access_revoked") {
		t.Errorf("the caller saw %s", got)
	}
}
