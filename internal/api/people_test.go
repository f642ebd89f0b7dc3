package api_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/docket"
	"proofhouse/internal/policy"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/store"
	"proofhouse/internal/store/storetest"
)

func wants(t *testing.T, what string, err error, kind proofhouse.Kind) {
	t.Helper()
	if err == nil || proofhouse.KindOf(err) != kind {
		t.Errorf("%s: want %s, and it is %v", what, kind, err)
	}
}

// TestPeople does by the client what administrators and officers do.
func TestPeople(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, _ string) {
		h, ctx := newHouse(t, db), t.Context()
		root, sam, sid := h.as("root"), h.as("sam"), h.as("sid")
		if me := must[policy.Person](t)(sam.Me(ctx)); me.Name() != "sam@institute" {
			t.Errorf("%+v", me)
		}
		// An organisation's id may have a slash, which a path must bear.
		must[policy.Organisation](t)(root.CreateOrganisation(ctx, wire.NewOrganisation{ID: "firm/product", Title: "Łódź Product"}))
		must[policy.Person](t)(root.CreatePerson(ctx, wire.NewPerson{Organisation: "firm/product", ID: "nina", Title: "Nina"}))
		const nina = "nina@firm/product"
		for i, do := range []func() error{
			func() error { return root.GiveRole(ctx, nina, policy.HouseRegistrar) },
			func() error { return root.TakeRole(ctx, nina, policy.HouseRegistrar) },
			func() error { return sam.GiveClearance(ctx, nina, "weights") },
			func() error { return sam.GiveClearance(ctx, nina, "TLP:RED") },
			func() error { return sam.TakeClearance(ctx, nina, "TLP:RED") },
			func() error { return sam.DeclareConflict(ctx, nina, policy.Conflict{With: "lab"}) },
			func() error { return root.LiftConflict(ctx, nina, policy.Conflict{With: "lab"}) },
		} {
			if err := do(); err != nil {
				t.Errorf("step %d: %v", i, err)
			}
		}
		all := must[wire.People](t)(sam.People(ctx, "firm/product"))
		if len(all.People) != 1 || len(all.People[0].House) != 0 || len(all.People[0].ConflictsWith) != 0 {
			t.Errorf("%+v", all)
		}
		issued := must[wire.IssuedToken](t)(root.IssueToken(ctx, nina, wire.NewToken{Label: "laptop", Days: 30}))
		if !strings.HasPrefix(issued.Secret, "pht_") || issued.Token.Owner != nina {
			t.Errorf("%+v", issued)
		}
		_, err := root.IssueToken(ctx, nina, wire.NewToken{Days: 1})
		wants(t, "a second token in another's name", err, proofhouse.Refused)
		tokens := must[wire.Tokens](t)(root.Tokens(ctx, nina))
		if len(tokens.Tokens) != 1 || tokens.Tokens[0].ID != issued.Token.ID {
			t.Errorf("%+v", tokens)
		}
		wants(t, "a stranger revokes it", sid.RevokeToken(ctx, issued.Token.ID), proofhouse.NotFound)
		if err := sam.RevokeToken(ctx, issued.Token.ID); err != nil {
			t.Error(err)
		}
		if err := root.EndPerson(ctx, nina); err != nil {
			t.Error(err)
		}
		_, err = root.CreateOrganisation(ctx, wire.NewOrganisation{ID: "n", Title: "N\u0430tional"})
		wants(t, "a title with a Cyrillic letter", err, proofhouse.Invalid)
		if got := must[wire.Organisations](t)(sid.Organisations(ctx)); len(got.Organisations) != 1 {
			t.Errorf("a stranger knows of %+v", got)
		}
		_, err = sid.People(ctx, "lab")
		wants(t, "a stranger lists people", err, proofhouse.NotFound)
		_, err = sid.Register(ctx, 0)
		wants(t, "a stranger reads the register", err, proofhouse.Refused)
		if r := must[wire.HouseEntries](t)(root.Register(ctx, 0)); len(r.Entries) < 9 {
			t.Errorf("the register has %d entries", len(r.Entries))
		}
	})
}

// TestRequests asks, approves and breaks the glass by the client.
func TestRequests(t *testing.T) {
	h, ctx := newHouse(t, storetest.Open(t)), t.Context()
	id := h.opened(t)
	asked := must[wire.Request](t)(h.as("ada").Ask(ctx, id, wire.AskTwo{What: policy.Export, Reason: "for our archive"}))
	_, err := h.as("ada").Approve(ctx, asked.ID)
	wants(t, "approving what one asked for", err, proofhouse.Refused)
	_, err = h.as("sid").Approve(ctx, asked.ID)
	wants(t, "approval by a stranger", err, proofhouse.NotFound)
	_, err = h.as("sid").Approve(ctx, "request-none")
	wants(t, "approval of nothing", err, proofhouse.NotFound)
	// waits says for whom it waits, in the list of cases, with the case and in its list of requests.
	waits := func(when string, until time.Time, names ...string) {
		t.Helper()
		for _, who := range []string{"ada", "rita", "eve", "otto", "pat"} {
			want := 0
			if slices.Contains(names, who) {
				want = 1
			}
			seen, list, all := must[wire.Case](t)(h.as(who).Case(ctx, id)), must[wire.List](t)(h.as(who).List(ctx, wire.Query{})), must[wire.Requests](t)(h.as(who).Requests(ctx, id))
			if seen.Waiting != want || list.Cases[0].Waiting != want {
				t.Errorf("%s: %s is told of %d requests with the case and of %d in the list", when, who, seen.Waiting, list.Cases[0].Waiting)
			}
			if len(all.Requests) > 0 && (all.Requests[0].Approvable != (want == 1) || !all.Requests[0].Until.Equal(until)) {
				t.Errorf("%s: %s sees %+v", when, who, all.Requests[0])
			}
			if usable := len(all.Requests) > 0 && all.Requests[0].Usable; usable != (when == "approved" && who == "ada") {
				t.Errorf("%s: %s can make use of it: %v", when, who, usable)
			}
			if want := map[string]string{"ada": "[export unseal destroy]", "rita": "[export unseal destroy]", "eve": "[unseal]", "otto": "[export unseal]", "pat": "[]"}[who]; fmt.Sprint(all.MayAsk) != want {
				t.Errorf("%s may ask for %v", who, all.MayAsk)
			}
		}
	}
	waits("asked", asked.At.Add(7*24*time.Hour), "rita", "otto")
	must[wire.Request](t)(h.as("rita").Approve(ctx, asked.ID))
	waits("approved once", asked.At.Add(7*24*time.Hour), "otto")
	approved := must[wire.Request](t)(h.as("otto").Approve(ctx, asked.ID))
	waits("approved", approved.SecondAt.Add(24*time.Hour))
	glass := must[wire.Request](t)(h.as("sam").BreakGlass(ctx, id, "an intruder"))
	_, err = h.as("rita").BreakGlass(ctx, id, "curiosity")
	wants(t, "a registrar breaks the glass", err, proofhouse.Refused)
	all := must[wire.Requests](t)(h.as("rita").Requests(ctx, id))
	if len(all.Requests) != 2 || all.Requests[0].Second != "otto@institute" || all.Requests[1].ID != glass.ID {
		t.Errorf("%+v", all)
	}
	// A partner is told of the glass, and of nothing else.
	if all := must[wire.Requests](t)(h.as("pat").Requests(ctx, id)); len(all.Requests) != 1 || all.Requests[0].What != policy.BreakGlass {
		t.Errorf("a partner reads %+v", all)
	}
	// Every member sees it with the case and in its list; who may not know of the case sees neither.
	for _, who := range []string{"ada", "rita", "eve", "otto", "pat"} {
		seen, list := must[wire.Case](t)(h.as(who).Case(ctx, id)), must[wire.List](t)(h.as(who).List(ctx, wire.Query{}))
		if len(seen.Glass) != 1 || seen.Glass[0].By != "sam@institute" || !seen.Glass[0].At.Equal(glass.At) || seen.Glass[0].Reason != "an intruder" || !seen.Glass[0].Read.IsZero() {
			t.Errorf("%s sees of the glass %+v", who, seen.Glass)
		}
		if len(list.Cases) != 1 || list.Cases[0].Glass == nil || *list.Cases[0].Glass != seen.Glass[0] {
			t.Errorf("%s sees in the list %+v", who, list.Cases)
		}
	}
	if list := must[wire.List](t)(h.as("sid").List(ctx, wire.Query{})); len(list.Cases) != 0 {
		t.Errorf("a stranger sees %+v", list)
	}
	if events := must[[]wire.Event](t)(h.as("sam").Events(ctx, id, 0)); len(events) < 2 || len(events[0].Says) == 0 {
		t.Errorf("behind the glass is %+v", events)
	}
	second := must[wire.Request](t)(h.as("sam").BreakGlass(ctx, id, "another"))
	if seen := must[wire.Case](t)(h.as("ada").Case(ctx, id)); len(seen.Glass) != 2 || seen.Glass[0].Read.IsZero() || seen.Glass[1].Request != second.ID {
		t.Errorf("once it was read through, and broken again: %+v", seen.Glass)
	}
	if list := must[wire.List](t)(h.as("ada").List(ctx, wire.Query{})); list.Cases[0].Glass == nil || list.Cases[0].Glass.Request != second.ID {
		t.Errorf("in the list is not the last: %+v", list.Cases[0].Glass)
	}
	// Nobody who has not taken the case up is told.
	fresh := must[wire.Case](t)(h.as("ada").Open(ctx, wire.Open{OpenCase: docket.OpenCase{Codename: "ibis", Variants: []string{"a"}}, Profile: "institute"}, ""))
	must[wire.Request](t)(h.as("sam").BreakGlass(ctx, fresh.ID, "early"))
	if seen := must[wire.Case](t)(h.as("rita").Case(ctx, fresh.ID)); len(seen.Glass) != 0 {
		t.Errorf("who is no member sees %+v", seen.Glass)
	}
	must[[]wire.Event](t)(h.as("sam").Events(ctx, fresh.ID, 0))
	must[[]wire.Event](t)(h.as("sam").Events(ctx, id, 0))
	_, err = h.as("sam").Events(ctx, id, 0)
	wants(t, "reading again", err, proofhouse.NotFound)
	_, err = h.as("sam").Do(ctx, id, docket.PauseAccess{}, wire.Options{})
	wants(t, "acting through the glass", err, proofhouse.NotFound)
}

// TestGlassOfAPage: a page of the list asks once what members are told, and each case has its own broken glass, and the last.
func TestGlassOfAPage(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, _ string) {
		h, ctx := newHouse(t, db), t.Context()
		want := map[proofhouse.CaseID]string{}
		for i := range 5 {
			id := h.opened(t)
			want[id] = ""
			for n := range i {
				want[id] = must[wire.Request](t)(h.as("sam").BreakGlass(ctx, id, "an intruder")).ID
				must[[]wire.Event](t)(h.as("sam").Events(ctx, id, 0))
				h.now = h.now.Add(time.Duration(n+1) * time.Minute)
			}
		}
		h.told = 0
		list := must[wire.List](t)(h.as("ada").List(ctx, wire.Query{}))
		if len(list.Cases) != len(want) || h.told != 1 {
			t.Errorf("%d cases, asked %d times", len(list.Cases), h.told)
		}
		for _, c := range list.Cases {
			if got := c.Glass; (got != nil) != (want[c.ID] != "") || got != nil && got.Request != want[c.ID] {
				t.Errorf("of %s it says %+v, want %s", c.ID, got, want[c.ID])
			}
		}
	})
}

// TestPeopleRefusals: each endpoint on people, by each who may not.
func TestPeopleRefusals(t *testing.T) {
	h := newHouse(t, storetest.Open(t))
	for path, c := range map[string]struct {
		body             string
		refused, unknown string
	}{
		"/v1/organisations":                       {`{"id":"new","title":"New"}`, "ada rita sam sid", ""},
		"/v1/people":                              {`{"organisation":"lab","id":"new","title":"New"}`, "ada rita sam", "sid eve"},
		"/v1/people/ada@lab/give-role":            {`{"role":"auditor"}`, "ada rita sam", "sid eve"},
		"/v1/people/ada@lab/take-role":            {`{"role":"auditor"}`, "ada rita sam", "sid eve"},
		"/v1/people/ada@lab/give-clearance":       {`{"clearance":"weights"}`, "ada rita root", "sid eve"},
		"/v1/people/ada@lab/take-clearance":       {`{"clearance":"weights"}`, "ada rita root", "sid eve"},
		"/v1/people/ada@lab/declare-conflict":     {`{"with":"lab"}`, "rita", "sid eve"},
		"/v1/people/ada@lab/lift-conflict":        {`{"with":"lab"}`, "ada rita sam", "sid eve"},
		"/v1/people/ada@lab/end":                  {`{}`, "ada rita sam", "sid eve"},
		"/v1/people/ada@lab/tokens":               {`{"days":1}`, "rita sam root", "sid eve"},
		"/v1/people/nobody@nowhere/end":           {`{}`, "", "sid eve rita root"},
		"/v1/people/root@institute/give-role":     {`{"role":"registrar"}`, "root rita sam eve", "sid ada"},
		"/v1/people/root@institute/take-role":     {`{"role":"administrator"}`, "root", ""},
		"/v1/people/sam@institute/give-clearance": {`{"clearance":"weights"}`, "sam", ""},
		"/v1/tokens/token-none/revoke":            {`{}`, "", "sid root"},
		"/v1/requests/request-none/approve":       {`{}`, "", "sid root"},
	} {
		for status, names := range map[int]string{http.StatusForbidden: c.refused, http.StatusNotFound: c.unknown} {
			for _, who := range strings.Fields(names) {
				if got, answer := h.raw(t, "post", path, who, "", c.body); got != status {
					t.Errorf("%s by %s: %d %s", path, who, got, answer)
				}
			}
		}
	}
}
