package policy

import (
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/cedar-policy/cedar-go"

	"proofhouse/internal/proofhouse"
)

// asks is a call as the gate puts it.
func asks() Request {
	at := time.Date(2026, 11, 27, 3, 0, 0, 0, time.UTC)
	return Request{
		Principal: Entity{Type: "Subject", ID: "bank", Parents: []Entity{{Type: "Case", ID: "case-1"}}},
		Action:    "ask", Resource: Entity{Type: "Model", ID: "violet", Attrs: Attrs{"variant": "reduced"}},
		Context: Attrs{
			"protocol": "openai-chat", "stream": true, "tools": []string{"bash", "submit"}, "input_bound": int64(900), "output_cap": int64(4096),
			"answers": int64(1), "by_reference": false, "at": at, "hour": at.Hour(), "weekday": int(at.Weekday()),
		},
	}
}

func load(t testing.TB, rules string) *Set {
	t.Helper()
	s, err := Load(fstest.MapFS{"mine.cedar": {Data: []byte(rules)}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestDecide(t *testing.T) {
	for _, c := range []struct {
		name, rules string
		policy      string // that denies; "" allows
	}{
		{"a tool", `@id("no-shell") @reason("no shells") forbid (principal, action, resource) when { context.tools.contains("bash") };`, "no-shell"},
		{"a subject", `@id("bank") forbid (principal == Subject::"bank", action, resource);`, "bank"},
		{"a case", `@id("case") forbid (principal in Case::"case-1", action, resource);`, "case"},
		{"a variant", `@id("variant") forbid (principal, action, resource) when { resource.variant == "reduced" };`, "variant"},
		{"the night", `@id("night") forbid (principal, action, resource) when { context.hour < 6 };`, "night"},
		{"a day", `@id("friday") forbid (principal, action, resource) when { context.weekday == 5 };`, "friday"},
		{"after a date", `@id("late") forbid (principal, action, resource) when { context.at > datetime("2026-11-26") };`, "late"},
		{"a size", `@id("size") forbid (principal, action, resource) when { context.input_bound * context.answers > 800 };`, "size"},
		{"the first of two", `@id("b") forbid (principal, action, resource); @id("a") forbid (principal, action, resource);`, "a"},
		{"another tool", `@id("no-web") forbid (principal, action, resource) when { context.tools.contains("web") };`, ""},
		{"another case", `@id("case") forbid (principal in Case::"case-2", action, resource);`, ""},
		{"nothing", ``, ""},
	} {
		s := load(t, c.rules)
		d := s.Decide(asks())
		if d.Allow != (c.policy == "") || c.policy != "" && d.Policy != c.policy || d.Failed {
			t.Errorf("%s: %+v", c.name, d)
		}
		if err := s.Fits(asks()); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	d := load(t, "\n"+`@id("no-shell") @reason("no shells here") forbid (principal, action, resource) when { context.tools.contains("bash") };`).Decide(asks())
	if d.Reason != "no shells here" || d.At != "mine.cedar:2" {
		t.Errorf("%+v", d)
	}
}

// TestNobodyElse: what no rule permits is denied, whatever is asked.
func TestNobodyElse(t *testing.T) {
	s := load(t, "")
	for name, change := range map[string]func(*Request){
		"another action":    func(r *Request) { r.Action = "release" },
		"another principal": func(r *Request) { r.Principal.Type = "Model" },
		"another resource":  func(r *Request) { r.Resource.Type = "Case" },
		"a strange value":   func(r *Request) { r.Context["hour"] = 1.5 },
	} {
		r := asks()
		change(&r)
		if d := s.Decide(r); d.Allow {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

// TestFailingPolicyDenies: Cedar skips a forbid rule that fails, and would
// allow.
func TestFailingPolicyDenies(t *testing.T) {
	const trap = `@id("trap") forbid (principal, action, resource) when { principal.conflicts.contains("x") };`
	if _, err := Load(fstest.MapFS{"trap.cedar": {Data: []byte(trap)}}); proofhouse.KindOf(err) != proofhouse.Invalid || !strings.Contains(err.Error(), "trap.cedar:1") {
		t.Errorf("loaded: %v", err)
	}
	s := load(t, "")
	list, err := cedar.NewPolicyListFromBytes("trap.cedar", []byte(trap))
	if err != nil {
		t.Fatal(err)
	}
	s.put("trap", list[0])
	q, entities, err := asks().cedar()
	if err != nil {
		t.Fatal(err)
	}
	if allow, _ := cedar.Authorize(s.about(q.Action), entities, q); allow != cedar.Allow {
		t.Error("Cedar has no such trap any more")
	}
	if d := s.Decide(asks()); d.Allow || !d.Failed || d.Policy != "trap" {
		t.Errorf("%+v", d)
	}
}

func TestLoadRefuses(t *testing.T) {
	for name, c := range map[string]struct{ text, sentence string }{
		"no policy":        {"permit everything", "bad.cedar"},
		"no id":            {"\n\npermit (principal, action, resource);", "bad.cedar:3: the policy has no @id"},
		"an id twice":      {`@id("granted") forbid (principal, action, resource);`, "policy granted already"},
		"no such action":   {`@id("x") forbid (principal, action == Action::"approve", resource);`, "policy x"},
		"no such type":     {`@id("x") forbid (principal is Robot, action, resource);`, "policy x"},
		"a misspelt name":  {`@id("x") forbid (principal, action, resource) when { context.tolls.contains("bash") };`, "policy x"},
		"another type":     {`@id("x") forbid (principal, action, resource) when { context.hour == "six" };`, "policy x"},
		"too large a file": {strings.Repeat("// x\n", maxFile/5+1), "at most"},
	} {
		_, err := Load(fstest.MapFS{"bad.cedar": {Data: []byte(c.text)}})
		if proofhouse.KindOf(err) != proofhouse.Invalid || !strings.Contains(proofhouse.PublicOf(err), c.sentence) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzLoad: whatever a file of policies holds, loading it ends, and what was
// loaded decides without failing.
func FuzzLoad(f *testing.F) {
	f.Add(`@id("a") forbid (principal, action, resource) when { context.tools.contains("bash") };`)
	f.Add(`@id("a") permit (principal, action in [Action::"ask"], resource) unless { context has hour && context.hour < 6 };`)
	f.Add(`@id("a") forbid (principal, action, resource) when { context.at.toTime() > duration("6h") };`)
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Load(fstest.MapFS{"fuzz.cedar": {Data: []byte(text)}})
		if err != nil {
			return
		}
		if d := s.Decide(asks()); d.Failed && !strings.ContainsAny(text, "+-*") { // arithmetic can overflow, which denies
			t.Errorf("%+v", d)
		}
	})
}

func BenchmarkDecide(b *testing.B) {
	s := load(b, `@id("no-web") forbid (principal, action, resource) when { context.tools.contains("web") };`)
	r := asks()
	b.ReportAllocs()
	for b.Loop() {
		if !s.Decide(r).Allow {
			b.Fatal("denied")
		}
	}
}
