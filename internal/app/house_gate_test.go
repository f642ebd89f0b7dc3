package app

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/chat"
	"proofhouse/internal/docket"
	"proofhouse/internal/gate"
	"proofhouse/internal/gate/gatetest"
	"proofhouse/internal/policy"
	"proofhouse/internal/proofhouse"
)

// gated is a house with a gate on its data folder that does not follow its database: a partner's and the body's key of one case, and one of
// a case that the registrar left.
type gated struct {
	*served
	id, other proofhouse.CaseID
	url       string
	keys      map[string]string // by case and grant
	answer    atomic.Value      // a gatetest.Answer
}

func gatedHouse(t *testing.T) *gated {
	t.Helper()
	s := serveHouse(t, t.TempDir(), "")
	s.populate(t)
	for person, role := range map[string]policy.HouseRole{"rita@institute": policy.HouseSecurityOfficer, "al@audit": policy.HouseAuditor, "otto@institute": policy.HouseCoordinator} {
		if err := s.Directory.GiveRole(t.Context(), principal(t, s, "ann"), person, role, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	return s.gated(t)
}

// gated runs a gate before a house.
func (s *served) gated(t *testing.T) *gated {
	t.Helper()
	g := &gated{served: s, keys: map[string]string{}}
	g.id, g.other = g.takenUp(t), g.takenUp(t)
	g.do(t, "ada", g.id, docket.Join{Member: proofhouse.Actor{Organisation: "bank", Person: "pat", Role: proofhouse.Partner}})
	g.do(t, "ada", g.id, docket.Share{Grant: "for-bank", To: "bank"})
	for _, id := range []proofhouse.CaseID{g.id, g.other} {
		g.do(t, "ada", id, docket.Lend{Grant: "body", To: "institute"})
	}
	g.do(t, "rita", g.other, docket.Join{Member: proofhouse.Actor{Organisation: "institute", Person: "otto", Role: proofhouse.Registrar}})
	g.do(t, "rita", g.other, docket.Leave{Member: proofhouse.Actor{Organisation: "institute", Person: "rita", Role: proofhouse.Registrar}})
	up := gatetest.Start(func(gatetest.Request) gatetest.Answer { return g.answer.Load().(gatetest.Answer) })
	t.Cleanup(up.Close)
	g.answer.Store(gatetest.Chat("canary-titan", "hello", 7, 5))
	guards := filepath.Join(t.TempDir(), "guards.toml")
	if err := os.WriteFile(guards, []byte("[[safeguard]]\nname = \"words\"\nkind = \"patterns\"\nstages = [\"request\"]\nmode = \"cut\"\npatterns = { secret = 'canary-prompt' }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	terms := func(of proofhouse.CaseID, grant docket.GrantID) GrantRequest {
		rates := chat.Prices{Version: "contract 2026-11", Input: 3000, CacheRead: 300, CacheWrite: 3750, Output: 15_000}
		if of == g.id && grant == "body" {
			rates = chat.Prices{}
		}
		return GrantRequest{For: time.Hour, Terms: gate.Grant{
			Model: "canary-titan", Codename: "heron", Case: string(of), Subject: docket.Subject(of, grant), Limits: gate.Limits{Requests: 30, Output: 10_000, OutputCap: 100}, Rates: rates, Reason: "test",
		}}
	}
	first := g.runGate(t, GateRequest{Upstream: up.Base().String(), Grant: terms(g.id, "for-bank"), Safeguards: guards})
	g.url, g.keys["for-bank"] = first.URL, first.Key
	for name, r := range map[string]GrantRequest{"body": terms(g.id, "body"), "other": terms(g.other, "body")} {
		ready, err := g.app.GrantGate(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		g.keys[name] = ready.Key
	}
	return g
}

// gatePictured has something of everything on the gate's pages, and gives the case's.
func (s *served) gatePictured(t *testing.T) string {
	t.Helper()
	g := s.gated(t)
	for _, ask := range [][2]string{{"for-bank", "hello"}, {"for-bank", "canary-prompt"}, {"other", "canary-prompt"}} {
		_ = text(t, g.ask(t, ask[0], ask[1], false).Body)
	}
	g.answer.Store(gatetest.Answer{Status: 429, Header: map[string]string{"Retry-After": "60"}})
	_ = text(t, g.ask(t, "body", "hello", false).Body)
	if _, err := g.as("rita").Suspend(t.Context(), wire.NewSuspension{Class: "by-reference", Reason: "A tool server answers with what nobody asked for: until it is understood."}); err != nil {
		t.Fatal(err)
	}
	g.do(t, "ada", g.id, docket.Unshare{Grant: "for-bank"})
	folder := filepath.Join(t.TempDir(), "2026-11-20")
	made, err := g.app.Backup(t.Context(), folder, "", time.Now().Add(-8*24*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if err := g.app.NoteBackup(folder, made); err != nil {
		t.Fatal(err)
	}
	return "/cases/" + string(g.id)
}

// reply is what a caller of the gate sees; the body is closed at the test's end.
type reply struct {
	StatusCode int
	Body       io.Reader
}

// ask sends a request to the gate; its answer is read by whoever wants to, and breaks off if it has no end.
func (g *gated) ask(t *testing.T, key, prompt string, stream bool) reply {
	t.Helper()
	body, err := json.Marshal(map[string]any{"model": "heron", "stream": stream, "messages": []map[string]string{{"role": "user", "content": prompt}}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, g.url+"/v1/chat/completions", strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+g.keys[key])
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return reply{resp.StatusCode, resp.Body}
}

// settled waits until no call is under way.
func (g *gated) settled(t *testing.T) {
	t.Helper()
	for range 2000 {
		s, err := g.app.GateStatus(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if s.Upstreams[0].Open == 0 {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("calls are still under way")
}

// underWay is a stream that goes on until it is cut.
func (g *gated) underWay(t *testing.T, key string) reply {
	t.Helper()
	was := g.answer.Load()
	a := gatetest.ChatStream("canary-titan", "hello there", 7, 5)
	a.Chunks, a.Stall = a.Chunks[:1], true
	g.answer.Store(a)
	resp := g.ask(t, key, "hello", true)
	g.answer.Store(was)
	return resp
}

func text(t *testing.T, r io.Reader) string {
	t.Helper()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestGatePage: who may reads how the gate does, and of cases what they may know; a security officer takes kinds of request away and gives
// them back; nobody else does, and nobody reads of models, addresses or what was said.
func TestGatePage(t *testing.T) {
	g := gatedHouse(t)
	if resp := g.ask(t, "for-bank", "hello", false); resp.StatusCode != http.StatusOK {
		t.Fatal(resp.StatusCode)
	}
	for _, key := range []string{"for-bank", "other"} {
		if resp := g.ask(t, key, "canary-prompt", false); resp.StatusCode != http.StatusForbidden {
			t.Fatal(resp.StatusCode)
		}
	}
	g.answer.Store(gatetest.Answer{Status: 429, Header: map[string]string{"Retry-After": "60"}})
	if resp := g.ask(t, "body", "hello", false); resp.StatusCode != http.StatusTooManyRequests {
		t.Fatal(resp.StatusCode)
	}
	g.answer.Store(gatetest.Chat("canary-titan", "hello", 7, 5))
	g.settled(t)
	for _, who := range []string{"ann", "rita", "al"} {
		seen, err := g.as(who).Gate(t.Context())
		if err != nil || !seen.Running || seen.Follows || len(seen.Upstreams) != 1 {
			t.Fatal(who, seen, err)
		}
		if u := seen.Upstreams[0]; u.State != "in trouble" || u.Answered != 1 || u.Limited != 1 || u.Status != 429 {
			t.Errorf("%s reads of the upstream: %+v", who, u)
		}
		grants, others, ofCase := 0, 3, 0
		if who == "rita" {
			grants, others, ofCase = 2, 1, 1
		}
		if len(seen.Grants) != grants || seen.Others != others {
			t.Errorf("%s sees %+v and %d others", who, seen.Grants, seen.Others)
		}
		if len(seen.Rules) != 1 || seen.Rules[0].Cut != 2 || seen.Rules[0].Passed != 2 || len(seen.Decisions) != 2 {
			t.Errorf("%s reads of the rules: %+v %+v", who, seen.Rules, seen.Decisions)
		}
		for _, d := range seen.Decisions {
			if d.Case == g.id && d.Grant == "for-bank" && d.Reason == "pattern secret" && d.Call != "" {
				ofCase--
			} else if d.Case != "" || d.Grant != "" || d.Reason != "" || d.Call != "" || d.Guard != "words" {
				t.Errorf("%s reads of a decision: %+v", who, d)
			}
		}
		if ofCase != 0 {
			t.Errorf("%s does not read of the decision in its case: %+v", who, seen.Decisions)
		}
		b, err := json.Marshal(seen)
		p := g.browser(t, who).get("/gate")
		if err != nil || p.status != http.StatusOK || !p.says("in trouble", "asked to be left alone", "words", "stopped") {
			t.Fatalf("%s reads %d: %s", who, p.status, p.text)
		}
		for _, s := range []string{string(b), p.text} {
			if strings.Contains(s, "canary") || strings.Contains(s, "127.0.0.1") || strings.Contains(s, string(g.other)) || strings.Contains(s, "heron") != (who == "rita") {
				t.Errorf("%s is told %s", who, s)
			}
		}
		if (p.form("/gate/suspend") != nil) != (who == "rita") {
			t.Errorf("%s is offered to suspend", who)
		}
	}
	for _, who := range []string{"eve", "otto", "ada", "bob", "carl", "pat", "trudy"} {
		if _, err := g.as(who).Gate(t.Context()); proofhouse.KindOf(err) != proofhouse.Refused {
			t.Errorf("%s asks for the gate: %v", who, err)
		}
	}
	g.suspending(t)
}

func (g *gated) suspending(t *testing.T) {
	rita := g.browser(t, "rita")
	running := g.underWay(t, "other")
	once := rita.send(rita.get("/gate"), "/gate/suspend", url.Values{"class": {"streams"}, "reason": {hostile}})
	if all, err := g.app.Suspensions(t.Context()); err != nil || len(all) != 0 || !once.says("for everybody to whom a model is lent", "class streams") {
		t.Fatalf("suspended without being asked once more: %v %v %s", all, err, once.text)
	}
	// Whose word it is not, whatever they send.
	for _, who := range []string{"ann", "al", "eve", "otto", "ada", "pat"} {
		b := g.browser(t, who)
		for path, v := range map[string]url.Values{
			"/gate/suspend": {"class": {"streams"}, "confirm": {"yes"}}, "/gate/resume": {"suspension": {"suspension-x"}},
		} {
			if p := b.post(path, v, nil); p.status != http.StatusForbidden {
				t.Errorf("%s sends %s: %d", who, path, p.status)
			}
		}
	}
	if all, err := g.app.Suspensions(t.Context()); err != nil || len(all) != 0 {
		t.Fatalf("somebody else suspended: %v, %v", all, err)
	}
	done := rita.send(once, "/gate/suspend", nil)
	if done.path != "/gate" || !done.says("class streams", "by rita@institute", "in force within", "1 call under way cut") {
		t.Errorf("suspended: %s %s", done.path, done.text)
	}
	if got := text(t, running.Body); !strings.Contains(got, `"code":"suspended"`) {
		t.Errorf("the stream went on: %s", got)
	}
	if resp := g.ask(t, "for-bank", "hello", true); resp.StatusCode != http.StatusForbidden {
		t.Errorf("a stream of another: %d", resp.StatusCode)
	}
	if resp := g.ask(t, "for-bank", "hello", false); resp.StatusCode != http.StatusOK {
		t.Errorf("what is no stream: %d", resp.StatusCode)
	}
	// Of a case only who may see it, and a grant only with its case.
	for what, s := range map[proofhouse.Kind]wire.NewSuspension{
		proofhouse.NotFound: {Case: g.other}, proofhouse.Invalid: {Grant: "body"},
	} {
		if _, err := g.as("rita").Suspend(t.Context(), s); proofhouse.KindOf(err) != what {
			t.Errorf("%+v: %v", s, err)
		}
	}
	if _, err := g.as("rita").Suspend(t.Context(), wire.NewSuspension{Case: g.id, Grant: "elsewhere"}); proofhouse.KindOf(err) != proofhouse.NotFound {
		t.Errorf("a grant that is not there: %v", err)
	}
	one, err := g.as("rita").Suspend(t.Context(), wire.NewSuspension{Case: g.id, Grant: "body", Reason: "canary-reason"})
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]int{"body": http.StatusForbidden, "for-bank": http.StatusOK, "other": http.StatusOK} {
		if resp := g.ask(t, key, "hello", false); resp.StatusCode != want {
			t.Errorf("%s, when the body's grant is suspended: %d", key, resp.StatusCode)
		}
	}
	for who, sees := range map[string]bool{"rita": true, "ann": false, "al": false} {
		if p := g.browser(t, who).get("/gate"); p.says(string(g.id)) != sees || p.says("canary-reason") != sees || !p.says(one.ID) {
			t.Errorf("%s reads of the suspension: %s", who, p.text)
		}
	}
	// And given back.
	page := rita.get("/gate")
	for range 2 {
		page = rita.send(page, "/gate/resume", url.Values{"reason": {"it is over"}})
	}
	if page.form("/gate/resume") != nil || !page.says("Nothing is suspended") {
		t.Errorf("given back: %s", page.text)
	}
	if resp := g.ask(t, "body", "hello", false); resp.StatusCode != http.StatusOK {
		t.Errorf("when it is given back: %d", resp.StatusCode)
	}
	if p := rita.post("/gate/resume", url.Values{"suspension": {one.ID}}, nil); p.status != http.StatusNotFound {
		t.Errorf("given back twice: %d", p.status)
	}
	register, err := g.as("al").Register(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	acts := map[string]int{}
	for _, e := range register.Entries {
		for _, act := range []string{`"act":"suspended a kind of request"`, `"act":"ended a suspension"`} {
			if strings.Contains(string(e), act) && strings.Contains(string(e), `"rita"`) {
				acts[act]++
			}
		}
	}
	if b, err := json.Marshal(register); err != nil || strings.Contains(string(b), "canary-reason") {
		t.Errorf("the register says why a kind of request of a case was suspended: %s", b)
	}
	if len(acts) != 2 || acts[`"act":"suspended a kind of request"`] != 2 || acts[`"act":"ended a suspension"`] != 2 {
		t.Errorf("the record has %v", acts)
	}
}

// TestRevokeInPages: a grant is revoked from its page by who may, the gate is told at once although it does not follow the database, and the
// page says how long that took by the gate's clock. What else ends access is told too.
func TestRevokeInPages(t *testing.T) {
	g := gatedHouse(t)
	at := "/cases/" + string(g.id)
	running := g.underWay(t, "for-bank")
	for _, who := range []string{"eve", "pat"} {
		if p := g.browser(t, who).get(at + "/use"); p.status != http.StatusOK || p.form(at+"/acts/unshare") != nil || p.form(at+"/acts/end") != nil {
			t.Errorf("%s is offered to revoke", who)
		}
		if p := g.browser(t, who).post(at+"/acts/unshare", url.Values{"grant": {"for-bank"}, "confirm": {"yes"}}, nil); p.status != http.StatusForbidden {
			t.Errorf("%s revokes: %d", who, p.status)
		}
	}
	if p := g.browser(t, "rita").get(at + "/use"); p.form(at+"/acts/unshare") != nil || p.form(at+"/acts/end") == nil {
		t.Error("the registrar is offered to end a partner's grant, or not the body's")
	}
	ada := g.browser(t, "ada")
	once := ada.send(ada.get(at+"/use"), at+"/acts/unshare", nil)
	if uses, err := g.as("ada").Uses(t.Context(), g.id); err != nil || uses.Uses[1].Grant != "for-bank" || uses.Uses[1].Revoked || !once.says("ends at once") {
		t.Fatalf("revoked without being asked once more: %+v %v", uses, err)
	}
	done := ada.send(once, at+"/acts/unshare", nil)
	if !strings.HasPrefix(done.path, at+"/use?") || !done.says("revoked", "in force at the gate after", "1 call under way cut") {
		t.Errorf("revoked: %s %s", done.path, done.text)
	}
	if got := text(t, running.Body); !strings.Contains(got, "access_revoked") {
		t.Errorf("the stream went on: %s", got)
	}
	for key, want := range map[string]int{"for-bank": http.StatusUnauthorized, "body": http.StatusOK, "other": http.StatusOK} {
		if resp := g.ask(t, key, "hello", false); resp.StatusCode != want {
			t.Errorf("%s, when the partner's is revoked: %d", key, resp.StatusCode)
		}
	}
	uses, err := g.as("ada").Uses(t.Context(), g.id)
	c, cerr := g.as("ada").Case(t.Context(), g.id)
	if err != nil || cerr != nil || uses.Uses[1].Ended == nil {
		t.Fatal(uses, err, cerr)
	}
	if e := uses.Uses[1].Ended; !e.At.Equal(c.Changed) || e.Took <= 0 || e.Cut != 1 {
		t.Errorf("the case went on at %s, and the gate measured %+v", c.Changed, e)
	}
	if uses.Uses[0].Revoked {
		t.Errorf("the body's grant ended too: %+v", uses.Uses[0])
	}
	if p := ada.get(at + "/use"); p.form(at+"/acts/unshare") != nil {
		t.Error("what is revoked is offered to be revoked")
	}
	g.do(t, "ada", g.id, docket.Withdraw{})
	for key, want := range map[string]int{"body": http.StatusUnauthorized, "other": http.StatusOK} {
		if resp := g.ask(t, key, "hello", false); resp.StatusCode != want {
			t.Errorf("%s, when the review is withdrawn: %d", key, resp.StatusCode)
		}
	}
}
