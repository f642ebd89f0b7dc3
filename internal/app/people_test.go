package app

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"proofhouse/internal/docket"
	"proofhouse/internal/policy"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/store"
	"proofhouse/internal/store/storetest"
	"proofhouse/internal/vault"
)

// oneCase is a docket with one case in it.
type oneCase struct{ it docket.Case }

// Case implements Cases.
func (o oneCase) Case(_ context.Context, id proofhouse.CaseID) (docket.Case, error) {
	if id != o.it.ID {
		return docket.Case{}, proofhouse.Errorf(proofhouse.NotFound, nil, "there is no such case")
	}
	return o.it, nil
}

// now is a Tuesday in June, a little before midnight.
var now = time.Date(2026, 6, 2, 23, 0, 0, 123456000, time.UTC)

// house is a directory for tests.
type house struct {
	t *testing.T
	Directory
}

func newHouse(t *testing.T, db *store.DB) house {
	t.Helper()
	g, err := policy.NewGuard()
	if err != nil {
		t.Fatal(err)
	}
	rules, err := docket.ShippedProfile("institute")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	keys := vault.New(filepath.Join(dir, "vault"), filepath.Join(dir, "house.key")).Records(filepath.Join(dir, "case"))
	c := docket.New("case-1", rules)
	c.Accepted = now
	c.Members = []docket.Member{
		{Organisation: "lab", Person: "ada", Role: proofhouse.Developer},
		{Organisation: "institute", Person: "rita", Role: proofhouse.Registrar},
		{Organisation: "institute", Person: "anton", Role: proofhouse.Authority},
		{Organisation: "institute", Person: "eve", Role: proofhouse.Evaluator},
		{Organisation: "bank", Person: "paul", Role: proofhouse.Partner},
	}
	c.Runs = []docket.Run{{ID: "run-1", By: proofhouse.Actor{Organisation: "institute", Person: "eve", Role: proofhouse.Evaluator}}}
	return house{t, Directory{People: store.NewPeople(db, keys), Guard: g, Cases: oneCase{c}}}
}

// first makes the first administrator, root@institute.
func (h house) first() policy.Principal {
	h.t.Helper()
	code, err := h.FirstCode(h.t.Context(), now)
	if err != nil || code == "" {
		h.t.Fatalf("%q, %v", code, err)
	}
	token, err := h.Redeem(h.t.Context(), code, policy.Organisation{ID: "institute", Title: "The Institute"}, policy.Person{ID: "root", Title: "Root"}, now)
	if err != nil {
		h.t.Fatal(err)
	}
	return h.who(token)
}

func (h house) who(token string) policy.Principal {
	h.t.Helper()
	p, err := h.Authenticate(h.t.Context(), token, now)
	if err != nil {
		h.t.Fatal(err)
	}
	return policy.Principal{Person: p}
}

// member makes an account, with roles of the house, and signs in.
func (h house) member(root policy.Principal, name string, roles ...policy.HouseRole) policy.Principal {
	h.t.Helper()
	id, organisation, _ := strings.Cut(name, "@")
	err := h.CreateOrganisation(h.t.Context(), root, policy.Organisation{ID: proofhouse.OrganisationID(organisation), Title: "The " + organisation}, now)
	if err != nil && proofhouse.KindOf(err) != proofhouse.Conflict {
		h.t.Fatal(err)
	}
	if err := h.CreatePerson(h.t.Context(), root, policy.Person{Organisation: proofhouse.OrganisationID(organisation), ID: proofhouse.PersonID(id), Title: id}, now); err != nil {
		h.t.Fatal(err)
	}
	for _, r := range roles {
		if err := h.GiveRole(h.t.Context(), root, name, r, now); err != nil {
			h.t.Fatal(err)
		}
	}
	token, _, err := h.IssueToken(h.t.Context(), root, name, "", now.Add(time.Hour), now)
	if err != nil {
		h.t.Fatal(err)
	}
	return h.who(token)
}

func (h house) entries() []string {
	h.t.Helper()
	all, err := h.People.HouseEntries(h.t.Context(), 0, 1000)
	if err != nil {
		h.t.Fatal(err)
	}
	lines := make([]string, len(all))
	for i, e := range all {
		if e.Seq != int64(i+1) {
			h.t.Errorf("entry %d is number %d", i+1, e.Seq)
		}
		lines[i] = string(e.Body)
	}
	return lines
}

func wants(t *testing.T, what string, err error, kind proofhouse.Kind) {
	t.Helper()
	if err == nil || proofhouse.KindOf(err) != kind {
		t.Errorf("%s: want %s, and it is %v", what, kind, err)
	}
}

func TestFirstAdministrator(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, _ string) {
		h := newHouse(t, db)
		ctx := t.Context()
		o, p := policy.Organisation{ID: "institute", Title: "The Institute"}, policy.Person{ID: "root", Title: "Root"}
		for _, wrong := range []string{"", "password", "admin", policy.NewCode(), policy.NewToken()} {
			_, err := h.Redeem(ctx, wrong, o, p, now)
			wants(t, "a code that was never made", err, proofhouse.Refused)
		}
		code, err := h.FirstCode(ctx, now)
		if err != nil || code == "" {
			t.Fatal(code, err)
		}
		if again, err := h.FirstCode(ctx, now); again != "" || err != nil {
			t.Errorf("a second start prints %q, %v", again, err)
		}
		lost, err := h.AnotherCode(ctx, now)
		if err != nil || lost == "" {
			t.Fatal(lost, err)
		}
		// What is malformed spends nothing.
		_, err = h.Redeem(ctx, code, policy.Organisation{ID: "institute", Title: "N\u0430tional"}, p, now)
		wants(t, "a title with a Cyrillic letter", err, proofhouse.Invalid)
		token, err := h.Redeem(ctx, code, o, p, now)
		if err != nil {
			t.Fatal(err)
		}
		root := h.who(token)
		if !slices.Equal(root.Person.House, []policy.HouseRole{policy.Administrator}) || root.Person.Name() != "root@institute" {
			t.Errorf("%+v", root)
		}
		other := policy.Organisation{ID: "other", Title: "Other"}
		for _, c := range []string{code, lost} {
			_, err = h.Redeem(ctx, c, other, p, now)
			wants(t, "a second use", err, proofhouse.Refused)
		}
		_, err = h.AnotherCode(ctx, now)
		wants(t, "another code", err, proofhouse.Refused)
		if entries := h.entries(); len(entries) != 1 || !strings.Contains(entries[0], `"act":"redeem the first code"`) {
			t.Errorf("recorded: %v", entries)
		}
	})
}

// TestRacingRedemptions: of many who redeem at once, with one code or several, one becomes administrator.
func TestRacingRedemptions(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, _ string) {
		h := newHouse(t, db)
		first, err := h.FirstCode(t.Context(), now)
		if err != nil {
			t.Fatal(err)
		}
		second, err := h.AnotherCode(t.Context(), now)
		if err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		var mu sync.Mutex
		var got []string
		for i := range 8 {
			name := string(rune('a' + i))
			all.Go(func() {
				token, err := h.Redeem(t.Context(), []string{first, second}[i%2], policy.Organisation{ID: proofhouse.OrganisationID(name), Title: name}, policy.Person{ID: "root", Title: "Root"}, now)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					got = append(got, token)
				case proofhouse.KindOf(err) != proofhouse.Refused:
					t.Error(err)
				}
			})
		}
		all.Wait()
		if len(got) != 1 || len(h.entries()) != 1 {
			t.Fatalf("%d became administrator; %v", len(got), h.entries())
		}
		root := h.who(got[0])
		if o, err := h.Organisations(t.Context(), root); err != nil || len(o) != 1 {
			t.Errorf("there are the organisations %v, %v", o, err)
		}
	})
}

// TestDirectoryRefusals: each method, by each who may not.
func TestDirectoryRefusals(t *testing.T) {
	h := newHouse(t, storetest.Open(t))
	root := h.first()
	ada := h.member(root, "ada@lab")
	officer := h.member(root, "sam@institute", policy.HouseSecurityOfficer)
	auditor := h.member(root, "otto@institute", policy.HouseAuditor)
	registrar := h.member(root, "rita@institute", policy.HouseRegistrar)
	mallory := h.member(root, "mallory@elsewhere")
	ctx := t.Context()
	_, theirs, err := h.IssueToken(ctx, ada, "ada@lab", "", now.Add(time.Hour), now)
	if err != nil {
		t.Fatal(err)
	}
	paul := h.member(root, "paul@bank") // a partner
	before := len(h.entries())
	type call struct {
		name string
		do   func(who policy.Principal) error
		// refused and unknown are those who may not; all others are not tried.
		refused, unknown []policy.Principal
	}
	conflict := policy.Conflict{With: "lab"}
	for _, c := range []call{
		{"create an organisation", func(who policy.Principal) error {
			return h.CreateOrganisation(ctx, who, policy.Organisation{ID: "new", Title: "New"}, now)
		}, []policy.Principal{ada, officer, auditor, registrar, mallory}, nil},
		{"create a person", func(who policy.Principal) error {
			return h.CreatePerson(ctx, who, policy.Person{Organisation: "lab", ID: "new", Title: "New"}, now)
		}, []policy.Principal{ada, officer, auditor, registrar}, []policy.Principal{mallory}},
		{
			"give a role", func(who policy.Principal) error { return h.GiveRole(ctx, who, "ada@lab", policy.Administrator, now) },
			[]policy.Principal{ada, officer, auditor, registrar},
			[]policy.Principal{mallory},
		},
		{"take a role", func(who policy.Principal) error {
			return h.TakeRole(ctx, who, "root@institute", policy.Administrator, now)
		}, []policy.Principal{officer, auditor, registrar}, []policy.Principal{mallory, ada}},
		{
			"end an account", func(who policy.Principal) error { return h.EndPerson(ctx, who, "ada@lab", now) },
			[]policy.Principal{ada, officer, auditor, registrar},
			[]policy.Principal{mallory},
		},
		{
			"give a clearance", func(who policy.Principal) error { return h.GiveClearance(ctx, who, "ada@lab", "weights", now) },
			[]policy.Principal{ada, auditor, registrar, root},
			[]policy.Principal{mallory},
		},
		{
			"take a clearance", func(who policy.Principal) error { return h.TakeClearance(ctx, who, "ada@lab", "weights", now) },
			[]policy.Principal{ada, auditor, registrar, root},
			[]policy.Principal{mallory},
		},
		{
			"declare a conflict", func(who policy.Principal) error { return h.DeclareConflict(ctx, who, "ada@lab", conflict, now) },
			[]policy.Principal{auditor, registrar},
			[]policy.Principal{mallory},
		},
		{
			"lift a conflict", func(who policy.Principal) error { return h.LiftConflict(ctx, who, "ada@lab", conflict, now) },
			[]policy.Principal{ada, officer, auditor, registrar},
			[]policy.Principal{mallory},
		},
		{
			"list people", func(who policy.Principal) error { _, err := h.Of(ctx, who, "lab"); return err },
			nil,
			[]policy.Principal{mallory},
		},
		{"issue a token", func(who policy.Principal) error {
			_, _, err := h.IssueToken(ctx, who, "ada@lab", "", now.Add(time.Hour), now)
			return err
		}, []policy.Principal{officer, auditor, registrar, root}, []policy.Principal{mallory}},
		{
			"list tokens", func(who policy.Principal) error { _, err := h.Tokens(ctx, who, "ada@lab"); return err },
			[]policy.Principal{auditor, registrar},
			[]policy.Principal{mallory},
		},
		{
			"revoke a token", func(who policy.Principal) error { return h.RevokeToken(ctx, who, theirs.ID, now) },
			nil,
			[]policy.Principal{mallory, auditor, registrar},
		},
		{"ask", func(who policy.Principal) error {
			_, err := h.Ask(ctx, who, "case-1", policy.Export, "", "to publish", now)
			return err
		}, nil, []policy.Principal{officer, auditor, root, mallory}},
		{
			"list requests", func(who policy.Principal) error { _, err := h.Requests(ctx, who, "case-1", now); return err },
			nil,
			[]policy.Principal{officer, auditor, root, mallory},
		},
		{"break the glass", func(who policy.Principal) error {
			_, err := h.BreakGlass(ctx, who, "case-1", "fire", now)
			return err
		}, []policy.Principal{ada, registrar}, []policy.Principal{auditor, root, mallory}},
	} {
		for _, who := range c.refused {
			wants(t, c.name+" by "+who.Person.Name(), c.do(who), proofhouse.Refused)
		}
		for _, who := range c.unknown {
			err := c.do(who)
			wants(t, c.name+" by "+who.Person.Name(), err, proofhouse.NotFound)
			if err != nil && !slices.Contains([]string{"there is no such person", "there is no such organisation", "there is no such token", "there is no such case"}, err.Error()) {
				t.Errorf("%s by %s says more than that there is none: %v", c.name, who.Person.Name(), err)
			}
		}
	}
	_, err = h.Ask(ctx, paul, "case-1", policy.Export, "", "to publish", now)
	wants(t, "a partner asks for the export", err, proofhouse.Refused)
	// What is not there reads as what may not be known.
	_, err = h.Tokens(ctx, mallory, "nobody@nowhere")
	_, hidden := h.Tokens(ctx, mallory, "ada@lab")
	if err == nil || hidden == nil || err.Error() != hidden.Error() {
		t.Errorf("not there: %v; hidden: %v", err, hidden)
	}
	if after := h.entries(); len(after) != before {
		t.Errorf("a refusal left an entry: %v", after[before:])
	}
	if all, err := h.Organisations(ctx, mallory); err != nil || len(all) != 1 || all[0].ID != "elsewhere" {
		t.Errorf("mallory knows of %v, %v", all, err)
	}
}

func TestDirectory(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, _ string) {
		h := newHouse(t, db)
		ctx, root := t.Context(), h.first()
		sam, ada := h.member(root, "sam@institute", policy.HouseSecurityOfficer), h.member(root, "ada@lab")
		for _, id := range []policy.Organisation{{ID: "1ab", Title: "Another"}, {ID: "different", Title: "The L\u00e4b"}} {
			wants(t, "an organisation that looks like another", h.CreateOrganisation(ctx, root, id, now), proofhouse.Conflict)
		}
		wants(t, "a person who looks like another", h.CreatePerson(ctx, root, policy.Person{Organisation: "lab", ID: "a.da", Title: "Ada"}, now), proofhouse.Conflict)
		wants(t, "a person of no organisation", h.CreatePerson(ctx, root, policy.Person{Organisation: "nobody", ID: "x", Title: "X"}, now), proofhouse.NotFound)
		wants(t, "an id with a joiner", h.CreatePerson(ctx, root, policy.Person{Organisation: "lab", ID: "a\u200d", Title: "A"}, now), proofhouse.Invalid)
		wants(t, "a title that runs backwards", h.CreatePerson(ctx, root, policy.Person{Organisation: "lab", ID: "b", Title: "B\u202e"}, now), proofhouse.Invalid)
		wants(t, "a role to oneself", h.GiveRole(ctx, root, "root@institute", policy.HouseRegistrar, now), proofhouse.Refused)
		wants(t, "the last administrator", h.TakeRole(ctx, root, "root@institute", policy.Administrator, now), proofhouse.Refused)
		wants(t, "no role", h.GiveRole(ctx, root, "ada@lab", "king", now), proofhouse.Invalid)
		wants(t, "a role twice", h.GiveRole(ctx, root, "sam@institute", policy.HouseSecurityOfficer, now), proofhouse.Conflict)
		if err := h.GiveClearance(ctx, sam, "ada@lab", "weights", now); err != nil {
			t.Error(err)
		}
		wants(t, "a strange clearance", h.GiveClearance(ctx, sam, "ada@lab", "TLP:PINK", now), proofhouse.Invalid)
		for _, c := range []policy.Conflict{{With: "bank"}, {In: "case-1"}} {
			if err := h.DeclareConflict(ctx, ada, "ada@lab", c, now); err != nil {
				t.Error(err)
			}
			wants(t, "lifting one's own", h.LiftConflict(ctx, ada, "ada@lab", c, now), proofhouse.Refused)
		}
		wants(t, "a conflict with nothing", h.DeclareConflict(ctx, ada, "ada@lab", policy.Conflict{}, now), proofhouse.Invalid)
		all, err := h.Of(ctx, sam, "lab")
		if err != nil || len(all) != 1 || !slices.Equal(all[0].Clearances, []string{"weights"}) || !slices.Equal(all[0].ConflictsWith, []proofhouse.OrganisationID{"bank"}) || !slices.Equal(all[0].ConflictsIn, []proofhouse.CaseID{"case-1"}) {
			t.Errorf("%+v, %v", all, err)
		}
		if err := h.LiftConflict(ctx, root, "ada@lab", policy.Conflict{With: "bank"}, now); err != nil {
			t.Error(err)
		}
		if err := h.TakeClearance(ctx, sam, "ada@lab", "weights", now); err != nil {
			t.Error(err)
		}
		// A role that was taken counts at once, whatever the caller still holds.
		if err := h.TakeRole(ctx, root, "sam@institute", policy.HouseSecurityOfficer, now); err != nil {
			t.Error(err)
		}
		wants(t, "a clearance by a former officer", h.GiveClearance(ctx, sam, "ada@lab", "weights", now), proofhouse.NotFound)
		if err := h.EndPerson(ctx, root, "sam@institute", now); err != nil {
			t.Error(err)
		}
		wants(t, "ending it again", h.EndPerson(ctx, root, "sam@institute", now), proofhouse.Conflict)
		wants(t, "a token for an account that ended", func() error {
			_, _, err := h.IssueToken(ctx, sam, "sam@institute", "", now.Add(time.Hour), now)
			return err
		}(), proofhouse.NotFound)
		acts := []string{}
		for _, line := range h.entries() {
			var e houseLine
			if err := json.Unmarshal([]byte(line), &e); err != nil || e.Stream != "house" || !e.At.Equal(now) {
				t.Errorf("%s: %v", line, err)
			}
			acts = append(acts, e.Act)
		}
		if got, want := strings.Join(acts, ", "), "redeem the first code, create a person, give a role: security officer, issue a token, create an organisation, create a person, "+
			"issue a token, give a clearance, declare a conflict, declare a conflict, lift a conflict, take a clearance, take a role: security officer, end a person"; got != want {
			t.Errorf("recorded:\n%s\nwant\n%s", got, want)
		}
	})
}

// TestLastAdministrators: two administrators who take the role from each other at once leave one.
func TestLastAdministrators(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, _ string) {
		h := newHouse(t, db)
		root := h.first()
		ruth := h.member(root, "ruth@institute", policy.Administrator)
		var all sync.WaitGroup
		errs := make([]error, 2)
		all.Go(func() { errs[0] = h.TakeRole(t.Context(), root, "ruth@institute", policy.Administrator, now) })
		all.Go(func() { errs[1] = h.EndPerson(t.Context(), ruth, "root@institute", now) })
		all.Wait()
		if (errs[0] == nil) == (errs[1] == nil) {
			t.Errorf("%v", errs)
		}
	})
}

func TestTokens(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, _ string) {
		h := newHouse(t, db)
		ctx, root := t.Context(), h.first()
		ada := h.member(root, "ada@lab")
		for _, wrong := range []string{"", "pht_", policy.NewToken(), policy.NewCode()} {
			_, err := h.Authenticate(ctx, wrong, now)
			wants(t, "a token that was never made", err, proofhouse.NotFound)
		}
		for _, expires := range []time.Time{now, now.Add(-time.Hour), now.Add(policy.MaxTokenLife + time.Hour)} {
			_, _, err := h.IssueToken(ctx, ada, "ada@lab", "", expires, now)
			wants(t, "a token's end", err, proofhouse.Invalid)
		}
		_, _, err := h.IssueToken(ctx, ada, "ada@lab", "a\u202eb", now.Add(time.Hour), now)
		wants(t, "a label that runs backwards", err, proofhouse.Invalid)
		token, made, err := h.IssueToken(ctx, ada, "ada@lab", "laptop", now.Add(48*time.Hour), now)
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range []time.Time{now, now.Add(time.Minute), now.Add(26 * time.Hour)} {
			if _, err := h.Authenticate(ctx, token, at); err != nil {
				t.Error(err)
			}
		}
		list, err := h.Tokens(ctx, ada, "ada@lab")
		if err != nil || len(list) != 2 {
			t.Fatal(list, err)
		}
		for _, got := range list {
			if got.ID == made.ID && (!got.Used.Equal(time.Date(2026, 6, 4, 0, 0, 0, 0, time.UTC)) || got.Label != "laptop" || got.Hash != "") {
				t.Errorf("%+v", got)
			}
		}
		_, ended := h.Authenticate(ctx, token, now.Add(48*time.Hour))
		wants(t, "a token that has ended", ended, proofhouse.NotFound)
		if err := h.RevokeToken(ctx, ada, made.ID, now); err != nil {
			t.Fatal(err)
		}
		_, revoked := h.Authenticate(ctx, token, now)
		wants(t, "a token that was revoked", revoked, proofhouse.NotFound)
		wants(t, "revoking it again", h.RevokeToken(ctx, ada, made.ID, now), proofhouse.Conflict)
		_, unknown := h.Authenticate(ctx, policy.NewToken(), now)
		if ended.Error() != revoked.Error() || ended.Error() != unknown.Error() {
			t.Errorf("%v; %v; %v", ended, revoked, unknown)
		}
		other, _, err := h.IssueToken(ctx, ada, "ada@lab", "", now.Add(time.Hour), now)
		if err != nil {
			t.Fatal(err)
		}
		if err := h.EndPerson(ctx, root, "ada@lab", now); err != nil {
			t.Fatal(err)
		}
		_, err = h.Authenticate(ctx, other, now)
		wants(t, "a token of an account that ended", err, proofhouse.NotFound)
	})
}

// weights is the artifact of the tests' case.
func weights(c policy.Case, a policy.Asked) policy.Resource {
	return policy.Artifact{Case: c, ID: "weights-1", Compartment: "weights", Marking: proofhouse.Amber, Approved: a.Approval()}
}

func wholeCase(c policy.Case, _ policy.Asked) policy.Resource { return c }

func TestTwoApprovers(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, _ string) {
		h := newHouse(t, db)
		ctx, root := t.Context(), h.first()
		sam := h.member(root, "sam@institute", policy.HouseSecurityOfficer)
		ada, rita, anton := h.member(root, "ada@lab"), h.member(root, "rita@institute"), h.member(root, "anton@institute")
		eve, paul := h.member(root, "eve@institute"), h.member(root, "paul@bank")
		if err := h.GiveClearance(ctx, sam, "eve@institute", "weights", now); err != nil {
			t.Fatal(err)
		}
		eve.Person.Clearances = []string{"weights"}
		for _, c := range []struct {
			what   policy.Action
			on     string
			reason string
		}{{policy.Export, "weights-1", "r"}, {policy.Unseal, "", "r"}, {policy.Unseal, "weights-1", ""}, {policy.Unseal, "weights-1", "a\u202eb"}, {policy.BreakGlass, "", "r"}} {
			_, err := h.Ask(ctx, eve, "case-1", c.what, c.on, c.reason, now)
			if kind := proofhouse.KindOf(err); kind != proofhouse.Invalid && (c.what != policy.Export || kind != proofhouse.Refused) {
				t.Errorf("%+v: %v", c, err)
			}
		}
		ask := func() policy.Asked {
			t.Helper()
			a, err := h.Ask(ctx, eve, "case-1", policy.Unseal, "weights-1", "to run the suite on them", now)
			if err != nil {
				t.Fatal(err)
			}
			return a
		}
		a := ask()
		use := func(who policy.Principal, on func(policy.Case, policy.Asked) policy.Resource, at time.Time) error {
			_, err := h.Use(ctx, who, a.ID, on, at)
			return err
		}
		approve := func(who policy.Principal, at time.Time) error {
			_, err := h.Approve(ctx, who, a.ID, at)
			return err
		}
		wants(t, "without an approval", use(eve, weights, now), proofhouse.Refused)
		wants(t, "approving what one asked for", approve(eve, now), proofhouse.Refused)
		wants(t, "approving by nobody of the case", approve(sam, now), proofhouse.NotFound)
		wants(t, "approving after too long", approve(ada, now.Add(8*24*time.Hour)), proofhouse.Limit)
		if err := approve(ada, now); err != nil {
			t.Fatal(err)
		}
		wants(t, "with one approval", use(eve, weights, now), proofhouse.Refused)
		wants(t, "approving twice", approve(ada, now), proofhouse.Refused)
		if err := approve(rita, now); err != nil {
			t.Fatal(err)
		}
		wants(t, "a third approval", approve(anton, now), proofhouse.Conflict)
		wants(t, "another's approval", use(rita, weights, now), proofhouse.NotFound) // who is not cleared
		wants(t, "by who may not know of it", use(paul, wholeCase, now), proofhouse.NotFound)
		wants(t, "for another thing", use(eve, wholeCase, now), proofhouse.Refused)
		wants(t, "for another artifact", use(eve, func(c policy.Case, a policy.Asked) policy.Resource {
			r := weights(c, a).(policy.Artifact)
			r.ID = "weights-2"
			return r
		}, now), proofhouse.Refused)
		wants(t, "after too long", use(eve, weights, now.Add(25*time.Hour)), proofhouse.Limit)
		if err := use(eve, weights, now); err != nil {
			t.Fatal(err)
		}
		wants(t, "twice", use(eve, weights, now), proofhouse.Conflict)
		if all, err := h.Requests(ctx, ada, "case-1", now); err != nil || len(all) != 1 || all[0].First != "ada@lab" || all[0].Second != "rita@institute" || all[0].Used.IsZero() {
			t.Errorf("%+v, %v", all, err)
		}

		// One person at two keyboards is one approver; of two uses at once one is.
		a = ask()
		var both sync.WaitGroup
		errs := make([]error, 2)
		for i := range errs {
			both.Go(func() { _, errs[i] = h.Approve(ctx, ada, a.ID, now) })
		}
		both.Wait()
		if (errs[0] == nil) == (errs[1] == nil) {
			t.Errorf("one person approved twice at once: %v", errs)
		}
		if err := approve(rita, now); err != nil {
			t.Fatal(err)
		}
		for i := range errs {
			both.Go(func() { _, errs[i] = h.Use(ctx, eve, a.ID, weights, now) })
		}
		both.Wait()
		if (errs[0] == nil) == (errs[1] == nil) {
			t.Errorf("an approval was used twice at once: %v", errs)
		}
	})
}

// TestExportAgain: whoever asked fetches an export again within an hour, for the same readers and as long as it may
// export at all; nobody else does. Each time is in the record.
func TestExportAgain(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, _ string) {
		h := newHouse(t, db)
		ctx, root := t.Context(), h.first()
		ada, rita, anton := h.member(root, "ada@lab"), h.member(root, "rita@institute"), h.member(root, "anton@institute")
		a, err := h.Ask(ctx, ada, "case-1", policy.Export, "", "for the archive", now)
		if err != nil {
			t.Fatal(err)
		}
		fetch := func(who policy.Principal, id proofhouse.CaseID, reader proofhouse.Role, at time.Time) error {
			return h.Fetch(ctx, who, a.ID, id, reader, at)
		}
		wants(t, "before anybody approved", fetch(ada, "case-1", proofhouse.Auditor, now), proofhouse.Refused)
		for _, who := range []policy.Principal{rita, anton} {
			if _, err := h.Approve(ctx, who, a.ID, now); err != nil {
				t.Fatal(err)
			}
		}
		if err := fetch(ada, "case-1", proofhouse.Auditor, now); err != nil {
			t.Fatal(err)
		}
		later := now.Add(50 * time.Minute)
		wants(t, "by who approved", fetch(rita, "case-1", proofhouse.Auditor, later), proofhouse.Refused)
		wants(t, "for other readers", fetch(ada, "case-1", proofhouse.Developer, later), proofhouse.Conflict)
		wants(t, "of another case", fetch(ada, "case-2", proofhouse.Auditor, later), proofhouse.Refused)
		_, err = h.Use(ctx, ada, a.ID, wholeCase, later)
		wants(t, "using it for something else", err, proofhouse.Conflict)
		before := len(h.entries())
		if err := fetch(ada, "case-1", proofhouse.Auditor, later); err != nil {
			t.Error(err)
		}
		entries := h.entries()
		if n := len(entries); n != before+1 || !strings.Contains(entries[n-1], `"for":"auditor"`) || !strings.Contains(entries[n-1], `"again":true`) || strings.Contains(entries[n-2], `"again"`) {
			t.Errorf("recorded: %v", entries[before-1:])
		}
		wants(t, "after the hour", fetch(ada, "case-1", proofhouse.Auditor, now.Add(61*time.Minute)), proofhouse.Conflict)
		c, err := h.Cases.Case(ctx, "case-1")
		if err != nil {
			t.Fatal(err)
		}
		c.Members = slices.DeleteFunc(slices.Clone(c.Members), func(m docket.Member) bool { return m.Person == "ada" })
		h.Cases = oneCase{c}
		wants(t, "by who has left", fetch(ada, "case-1", proofhouse.Auditor, later), proofhouse.NotFound)
	})
}

func TestGlass(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, _ string) {
		h := newHouse(t, db)
		ctx, root := t.Context(), h.first()
		sam, paul := h.member(root, "sam@institute", policy.HouseSecurityOfficer), h.member(root, "paul@bank")
		read := func(what policy.Action, at time.Time) error {
			return h.Check(ctx, sam, what, "case-1", func(c policy.Case) policy.Resource { return c }, at)
		}
		wants(t, "reading without breaking the glass", read(policy.ReadEvents, now), proofhouse.NotFound)
		_, err := h.BreakGlass(ctx, sam, "case-1", "", now)
		wants(t, "breaking it without a reason", err, proofhouse.Invalid)
		_, err = h.BreakGlass(ctx, sam, "case-2", "fire", now)
		wants(t, "breaking that of no case", err, proofhouse.NotFound)
		a, err := h.BreakGlass(ctx, sam, "case-1", "an intruder in the evaluation network", now)
		if err != nil {
			t.Fatal(err)
		}
		for _, what := range []policy.Action{policy.Export, policy.Destroy, policy.Act("pause access")} {
			wants(t, string(what)+" through the glass", read(what, now), proofhouse.Refused)
		}
		_, err = h.Use(ctx, sam, a.ID, wholeCase, now)
		wants(t, "using it as an approval", err, proofhouse.NotFound)
		_, err = h.Approve(ctx, sam, a.ID, now)
		wants(t, "approving it", err, proofhouse.NotFound)
		wants(t, "reading after an hour", read(policy.ReadEvents, now.Add(2*time.Hour)), proofhouse.NotFound)
		if err := read(policy.View, now); err != nil {
			t.Error(err)
		}
		var both sync.WaitGroup
		errs := make([]error, 2)
		for i := range errs {
			both.Go(func() { errs[i] = read(policy.ReadEvents, now) })
		}
		both.Wait()
		if (errs[0] == nil) == (errs[1] == nil) {
			t.Errorf("reading twice at once: %v", errs)
		}
		wants(t, "reading again", read(policy.ReadEvents, now), proofhouse.NotFound)
		// Every member is told, and the record has both.
		all, err := h.Requests(ctx, paul, "case-1", now)
		if err != nil || len(all) != 1 || all[0].Asker != "sam@institute" || all[0].Used.IsZero() {
			t.Errorf("a partner is told %+v, %v", all, err)
		}
		entries := h.entries()
		if n := len(entries); !strings.Contains(entries[n-2], `"act":"break glass"`) || !strings.Contains(entries[n-1], `"act":"read through the broken glass"`) {
			t.Errorf("recorded: %v", entries)
		}
	})
}

// TestPeopleSealed searches the database's files and the entries for secrets, and the files for names.
func TestPeopleSealed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "house.db")
	db, err := store.Open(t.Context(), "sqlite:"+path)
	if err != nil {
		t.Fatal(err)
	}
	h := newHouse(t, db)
	code, err := h.FirstCode(t.Context(), now)
	if err != nil {
		t.Fatal(err)
	}
	token, err := h.Redeem(t.Context(), code, policy.Organisation{ID: "canary-org", Title: "Canary"}, policy.Person{ID: "canary-id", Title: "Canary"}, now)
	if err != nil {
		t.Fatal(err)
	}
	root := h.who(token)
	h.member(root, "sam@institute", policy.HouseSecurityOfficer)
	sam := policy.Principal{Person: policy.Person{Organisation: "institute", ID: "sam"}}
	if _, err := h.BreakGlass(t.Context(), sam, "case-1", "canary reason", now); err != nil {
		t.Fatal(err)
	}
	if err := h.DeclareConflict(t.Context(), root, "canary-id@canary-org", policy.Conflict{With: "canary-lab"}, now); err != nil {
		t.Fatal(err)
	}
	secret, made, err := h.IssueToken(t.Context(), root, "canary-id@canary-org", "canary label", now.Add(time.Hour), now)
	if err != nil {
		t.Fatal(err)
	}
	entries := strings.Join(h.entries(), "\n")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(path + "*")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range []string{"canary", "Canary", "case-1", code, token, secret, "pht_", "phc_"} {
			if bytes.Contains(b, []byte(s)) {
				t.Errorf("%s holds %q", filepath.Base(f), s)
			}
		}
	}
	for _, s := range []string{code, token, secret, made.Hash, "pht_", "phc_"} {
		if strings.Contains(entries, s) {
			t.Errorf("the entries hold %q", s)
		}
	}
}
