package docket

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"proofhouse/internal/proofhouse"
)

// TestWalk is a model check. It applies every act in every order to every state that it reaches, takes states that differ in nothing
// that a rule looks at as one, and goes on until there is nothing new or the bound is
// met. In each state it holds the case to what the house promises.
func TestWalk(t *testing.T) {
	bound := 60_000
	if testing.Short() || race {
		bound = 6_000
	}
	rules := profile(t, "institute")
	first, now := play(t, rules, opened(
		step{registrar, Join{evaluator}, 0}, step{registrar, Join{authority}, 0}, step{registrar, Join{security}, 0}, step{registrar, Join{coordinator}, 0},
		step{registrar, Join{consultee}, 0}, step{registrar, Join{sister}, 0}, step{registrar, Join{tester}, 0}, step{registrar, Join{auditor}, 0}, step{dev, Join{partner}, 0})...)
	type at struct {
		c   Case
		now time.Time
	}
	seen := map[string]bool{abstract(first, now): true}
	queue, depth, applied, taken := []at{{first, now}}, 0, 0, map[Kind]bool{KindOpen: true, KindAccept: true, KindJoin: true}
	for ; len(queue) > 0 && len(seen) < bound; depth++ {
		var next []at
		for _, s := range queue {
			kept := abstract(s.c, s.now)
			promises(t, s.c, s.now)
			if now := abstract(s.c, s.now); now != kept {
				t.Fatalf("applying acts changed the case that they were applied to: %s became %s", kept, now)
			}
			if t.Failed() {
				t.Fatalf("after %d acts, in the state %s", s.c.Version, abstract(s.c, s.now))
			}
			for _, pass := range []time.Duration{0, 16 * day} {
				now := s.now.Add(pass)
				before := abstract(s.c, now)
				for _, a := range acts(s.c, now) {
					for _, by := range who(a.Kind()) {
						c, err := s.c.Apply(Event{by, a}, now)
						applied++
						if err != nil {
							continue
						}
						taken[a.Kind()] = true
						if key := abstract(c, now); !seen[key] && len(seen) < bound {
							seen[key] = true
							next = append(next, at{c, now})
						}
					}
				}
				if after := abstract(s.c, now); after != before {
					t.Fatalf("applying acts changed the case that they were applied to: %s became %s", before, after)
				}
			}
		}
		queue = next
	}
	for _, k := range Kinds {
		if !taken[k] && k != KindLeave {
			t.Errorf("the walk never came to %s", k)
		}
	}
	t.Logf("%d states, %d acts deep, %d applied, all: %v", len(seen), depth, applied, len(queue) == 0)
}

var everyone = []proofhouse.Actor{dev, registrar, evaluator, authority, security, coordinator, consultee, sister, tester, partner, auditor}

// who are those whom the table lets do k; TestEveryone tries the others.
func who(k Kind) []proofhouse.Actor {
	var some []proofhouse.Actor
	for _, a := range everyone {
		if slices.Contains(k.Move().By, a.Role) {
			some = append(some, a)
		}
	}
	return some
}

// acts are those that the walk tries: each with all words that make a
// difference to a rule, and not so often that the walk would have no end.
func acts(c Case, now time.Time) []Act {
	all := []Act{
		Ask{},
		ResumeAccess{},
		Withdraw{},
		End{"body"},
		End{"tester"},
		Unshare{"own"},
		Announce{Date: now},
		Lend{"body", "institute"},
		Lend{"tester", "indie"},
		Share{"own", "bank"},
	}
	if len(c.Window.Pauses) < 2 {
		all = append(all, PauseAccess{})
	}
	if c.Plan.IsZero() {
		all = append(all, Plan{now.Add(24 * day)})
	} else {
		all = append(all, Plan{})
	}
	if !c.Window.First.IsZero() && len(c.Window.Moves) == 0 {
		all = append(all, MoveWindow{End: c.latestEnd(now)}.signed(c.ID))
	}
	return all
}

// abstract is all of a case at now that a rule looks at, with times as the time
// from now.
func abstract(c Case, now time.Time) string {
	var b strings.Builder
	s := c.At(now)
	rel := func(t time.Time) string {
		if t.IsZero() {
			return "-"
		}
		if d := t.Sub(now); d > 0 {
			return d.String()
		}
		return "past"
	}
	fmt.Fprint(&b, s.Engagement, "|", s.Access, "|", !c.Withdrawn.IsZero(), "|", rel(c.Plan))
	if s.Access == AccessOpen || s.Access == AccessPaused {
		fmt.Fprint(&b, "|", rel(c.Window.End), rel(c.latestEnd(now)), len(c.Window.Pauses), len(c.Window.Moves))
	}
	for _, id := range []GrantID{"body", "tester", "own"} {
		if i, there := c.find(id); there {
			fmt.Fprint(&b, "|", id, c.Grants[i].Sponsored, c.Grants[i].Ended.IsZero())
		}
	}
	return b.String()
}

// promises holds a state to what the house promises developers.
func promises(t *testing.T, c Case, now time.Time) {
	t.Helper()
	// The developer can announce a release, and nothing else changes.
	announced, err := c.Apply(Event{dev, Announce{Date: now, Note: "out"}}, now)
	if err != nil {
		t.Errorf("the developer cannot announce a release: %v", err)
	}
	announced.Releases, announced.Version, announced.Changed = c.Releases, c.Version, c.Changed
	if !reflect.DeepEqual(announced, c) {
		t.Error("announcing a release changed something else")
	}
	// It can share with any partner, and the partner has the model at once.
	for i, to := range []proofhouse.OrganisationID{"bank", "hospital", "indie", "audit", "cyber-centre"} {
		id := GrantID(fmt.Sprint("any-", i))
		shared, err := c.Apply(Event{dev, Share{id, to}}, now)
		if err != nil {
			t.Errorf("the developer cannot share with %s: %v", to, err)
		}
		if s := shared.At(now.Add(1000 * day)); !isLive(s, id) {
			t.Errorf("a grant of the developer's to %s ended by itself", to)
		}
	}
	// It can withdraw: the review's access ends at once, partners' stays, and
	// nobody but itself does anything more than keep the house.
	withdrawn, err := c.Apply(Event{dev, Withdraw{}}, now)
	if err != nil {
		t.Errorf("the developer cannot withdraw: %v", err)
	}
	before, after := c.At(now), withdrawn.At(now)
	for _, g := range before.Live {
		if isLive(after, g.ID) != (g.Side == PartnerSide) {
			t.Errorf("after the withdrawal, the grant %s of the %s is live: %v", g.ID, g.Side, isLive(after, g.ID))
		}
	}
	for _, a := range acts(withdrawn, now) {
		for _, by := range who(a.Kind()) {
			if _, err := withdrawn.Apply(Event{by, a}, now); err == nil && by.Role != proofhouse.Developer && a.Kind() != KindEnd {
				t.Errorf("after the withdrawal a %s could %s", by.Role, a.Kind())
			}
		}
	}
	// No access of the body outlives the window, and that is no longer than it may be.
	if w := c.Window; !w.First.IsZero() {
		for _, late := range []time.Duration{0, time.Microsecond, day, 10_000 * day} {
			for _, g := range c.At(later(w.End, now).Add(late)).Live {
				if g.Side != PartnerSide {
					t.Errorf("the grant %s of the %s outlives the window", g.ID, g.Side)
				}
			}
		}
		length := w.End.Sub(w.First)
		for _, p := range w.Pauses {
			if p.To.IsZero() {
				p.To = w.End
			}
			length -= p.To.Sub(p.From)
		}
		if length > 30*day+time.Hour { // an hour at the end of summer time
			t.Errorf("the body has the model for %s", length)
		}
		for _, g := range c.Grants {
			if end, ends := c.GrantEnd(g); g.Side != PartnerSide && (!ends || end.After(w.End)) {
				t.Errorf("the gate would keep the grant %s beyond the window", g.ID)
			}
		}
	}
}

func isLive(s State, id GrantID) bool {
	for _, g := range s.Live {
		if g.ID == id {
			return true
		}
	}
	return false
}

// TestNoLicensing looks at every word that the package has for an act, a field or a
// state: none of them allows, forbids or conditions a release, or blames a
// developer for what it did.
func TestNoLicensing(t *testing.T) {
	bad := []string{"approv", "permit", "licen", "deny", "denied", "authoris", "authoriz", "clear", "forbid", "embargo", "hold", "block", "veto", "penal", "sanction", "blame", "fine", "strike", "complian", "violat", "cooperat", "preclear", "unblock", "certif", "delay", "require"}
	allowed := map[string]bool{
		"ConsulteeRule.Required": true, // to be asked before the authority signs; not a word about releases
	}
	check := func(what, word string) {
		for _, b := range bad {
			if strings.Contains(strings.ToLower(word), b) && !allowed[what] {
				t.Errorf("%s: the house has no word for %q", what, b)
			}
		}
	}
	seen := map[reflect.Type]bool{}
	var walk func(reflect.Type)
	walk = func(r reflect.Type) {
		if seen[r] || r.PkgPath() != "" && !strings.HasPrefix(r.PkgPath(), "proofhouse/") {
			return
		}
		seen[r] = true
		switch r.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Array:
			walk(r.Elem())
		case reflect.Map:
			walk(r.Key())
			walk(r.Elem())
		case reflect.Struct:
			for i := range r.NumField() {
				f := r.Field(i)
				check(r.Name()+"."+f.Name, f.Name)
				walk(f.Type)
			}
		}
	}
	walk(reflect.TypeFor[Case]())
	walk(reflect.TypeFor[State]())
	for _, a := range allActs {
		walk(reflect.TypeOf(a))
		check(reflect.TypeOf(a).Name(), reflect.TypeOf(a).Name())
	}
	for _, k := range Kinds {
		check(string(k), string(k))
	}
	for _, s := range []Engagement{NotAsked, Open, Determined, Reconsidering, Ended} {
		check(string(s), string(s))
	}
	for _, s := range []Access{NoAccess, AccessOpen, AccessPaused, AccessEnded} {
		check(string(s), string(s))
	}
	if len(seen) < 20 {
		t.Fatalf("only %d types were looked at", len(seen))
	}
}

// allActs is one of each act.
var allActs = []Act{
	OpenCase{}, Accept{}, Join{}, Leave{}, Ask{}, Plan{}, Lend{}, End{}, PauseAccess{}, ResumeAccess{}, MoveWindow{}, Withdraw{}, Announce{}, Share{}, Unshare{},
}

// TestKinds holds the list of kinds, the table of moves and the acts to each other.
func TestKinds(t *testing.T) {
	kinds := map[Kind]int{}
	for _, a := range allActs {
		kinds[a.Kind()]++
	}
	for _, k := range Kinds {
		if kinds[k] != 1 {
			t.Errorf("%d acts are to %s", kinds[k], k)
		}
		if k.Move().By == nil {
			t.Errorf("nobody may %s", k)
		}
	}
	if len(kinds) != len(Kinds) {
		t.Errorf("there are %d acts and %d kinds", len(kinds), len(Kinds))
	}
	for _, k := range []Kind{KindWithdraw, KindAnnounce, KindShare} {
		if m := k.Move(); m.Engagement != nil || m.Access != nil || !m.Withdrawn || m.By[0] != proofhouse.Developer {
			t.Errorf("the developer cannot always %s: %+v", k, m)
		}
	}
}
