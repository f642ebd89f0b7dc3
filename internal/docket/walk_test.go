package docket

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"proofhouse/internal/proofhouse"
)

// TestWalk is a model check. It applies every act in every
// order to every state that it reaches, takes states that differ in nothing
// that a rule looks at as one, and goes on until there is nothing new or the bound is
// met. In each state it holds the case to what the house promises. The three
// tracks are walked to their ends one by one, since all states of all of them together are too
// many, and then all at once as far as the bound.
func TestWalk(t *testing.T) {
	many := 5_000
	if testing.Short() || race {
		many = 500
	}
	taken := map[Kind]bool{KindOpen: true, KindAccept: true, KindJoin: true, KindLeave: true, KindOffer: true, KindFileReport: true, KindOfferPartners: true, KindAcceptTerms: true}
	for _, w := range []struct {
		name   string
		acts   func(Case, time.Time) []Act
		passes []time.Duration
		bound  int
		all    bool
	}{
		{"access", accessActs, []time.Duration{0, 16 * day}, 30_000, true},
		{"determination", determinationActs, []time.Duration{0, 40 * day}, 100_000, true},
		{"partners", partnerActs, []time.Duration{0, 40 * day}, 30_000, true},
		{"custody", custodyActs, []time.Duration{0, 40 * day}, 30_000, true},
		{"all", allTracks, []time.Duration{0, 40 * day}, many, false},
	} {
		t.Run(w.name, func(t *testing.T) {
			if (testing.Short() || race) && w.bound > 6*many {
				w.bound, w.all = 6*many, false
			}
			states, deep, complete := walk(t, w.acts, w.passes, w.bound, taken)
			t.Logf("%d states, %d acts deep, all: %v", states, deep, complete)
			if complete != w.all && w.all {
				t.Error("the walk did not come to its end: raise the bound")
			}
		})
	}
	for _, k := range Kinds {
		if !taken[k] && !testing.Short() && !race {
			t.Errorf("the walk never came to %s", k)
		}
	}
}

func walk(t *testing.T, acts func(Case, time.Time) []Act, passes []time.Duration, bound int, taken map[Kind]bool) (states, depth int, complete bool) {
	type at struct {
		c   Case
		now time.Time
	}
	// Terms make no difference to any rule of the walk: they are offered once.
	offered := step{dev, Offer{Terms{Marking: proofhouse.Amber}}, 0}
	told := step{dev, OfferPartners{"Keep it to yourselves."}, 0}
	filed := step{evaluator, FileReport{tieredReport(), salt}, 0} // nor do reports
	first, now := play(t, profile(t, "institute"), opened(slices.Concat(everyoneJoins, adopterJoins, []step{offered, filed, told})...)...)
	seen := map[string]bool{abstract(first, now): true}
	queue := []at{{first, now}}
	for ; len(queue) > 0 && len(seen) < bound; depth++ {
		var next []at
		for _, s := range queue {
			kept := abstract(s.c, s.now)
			promises(t, s.c, s.now, acts)
			if t.Failed() {
				t.Fatalf("after %d acts, in the state %s", s.c.Version, kept)
			}
			for _, pass := range passes {
				now := s.now.Add(pass)
				for _, a := range acts(s.c, now) {
					for _, by := range who(a.Kind()) {
						c, err := s.c.Apply(Event{by, sign(s.c, by, a)}, now)
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
			}
			if now := abstract(s.c, s.now); now != kept {
				t.Fatalf("applying acts changed the case that they were applied to: %s became %s", kept, now)
			}
		}
		queue = next
	}
	return len(seen), depth, len(queue) == 0
}

var everyone = []proofhouse.Actor{dev, registrar, evaluator, authority, security, coordinator, consultee, sister, tester, partner, auditor}

// who are those whom the table lets do k; TestEveryone tries the others.
func who(k Kind) []proofhouse.Actor {
	var some []proofhouse.Actor
	for _, a := range append(slices.Clone(everyone), adopter) {
		if slices.Contains(k.Move().By, a.Role) {
			some = append(some, a)
		}
	}
	return some
}

// accessActs and the two below are the acts that a walk tries: each with all words that make a
// difference to a rule, and not so often that the walk would have no end.
func accessActs(c Case, now time.Time) []Act {
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
		Share{Grant: "own", To: "bank"},
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
		all = append(all, MoveWindow{End: c.latestEnd(now)})
	}
	return all
}

func determinationActs(c Case, _ time.Time) []Act {
	all := []Act{
		Ask{},
		Withdraw{},
		Lend{"body", "institute"},
		Lend{"tester", "indie"},
		Countersign{Version: 1},
		Appoint{"indie"},
		Attach{digestOf("report"), "red-team report", "elsewhere"},
		Seal{digestOf("log"), "case-1", "run.log", "text/plain", 7, proofhouse.Amber, "elsewhere"},
		Cite{"case-0", []proofhouse.Digest{digestOf("x")}, "another system prompt"},
		Answer{View: Agrees, Reason: "yes"},
		Answer{View: Dissents, Reason: "no"},
		Waive{Organisation: "cyber-centre", Reason: "no answer"},
		Determine{Outcome: Covered, Registration: 1},
		Determine{Outcome: Undetermined, Registration: 1, Report: 1},
		Determine{Outcome: NotCovered, Registration: 1, Departure: "so"},
	}
	if c.Terms[1].Agreed.IsZero() {
		all = append(all, Agree{2})
	}
	if len(c.Keys) == 0 {
		all = append(all, NameKey{Key: testKey}, PublishReport{1})
	}
	if len(c.Registrations) == 0 {
		all = append(all, Register{criteria(), salt})
	}
	if n := len(c.Runs); n < 2+c.round() {
		id := proofhouse.RunID("run-" + string(rune('a'+n)))
		all = append(all, StartRun{id, 1, criteria().As(cell)})
		if n == 0 {
			all = append(all, StartRun{id, 0, Manifest{}})
		}
	}
	for _, r := range c.Runs {
		all = append(all, ownUse(r.Evidence), FinishRun{Run: r.ID, Evidence: digestOf("run"), Tally: Tally{Solved: 80, Samples: 100}}, FinishRun{Run: r.ID, Evidence: digestOf("run"), Void: "a disk was full"})
	}
	if i, asked := c.consultation("cyber-centre"); !asked || c.Consultations[i].View == Dissents {
		all = append(all, Consult{"cyber-centre"})
	}
	if c.round() == 0 {
		all = append(all, Reconsider{"the tasks are public"})
	}
	return all
}

func partnerActs(c Case, now time.Time) []Act {
	all := []Act{
		Withdraw{},
		Lend{"body", "institute"},
		Announce{Date: now},
		Share{Grant: "own", To: "bank"},
		Share{Grant: "lent", To: "bank", Sponsored: true},
		Unshare{"own"},
		Unshare{"lent"},
		Nominate{"bank", "The Bank"},
		NominateList{[]Nominate{{"bank", "The Bank"}}},
	}
	if len(c.PartnerCriteria) == 0 {
		all = append(all, Publish{[]Criterion{{"defends", "runs software that many depend on"}, {"secure", "keeps keys in hardware"}}})
	}
	if n := len(c.PartnerCriteria); n > 0 {
		all = append(all, AgreePartners{n})
	}
	if i, there := c.nominee("bank"); there && len(c.Nominees[i].Answers) < 5 {
		all = append(all, sponsor, decline, appeal)
	}
	return all
}

// custodyActs are what may happen to what is sealed, and what lets it go.
func custodyActs(c Case, _ time.Time) []Act {
	all := []Act{
		Withdraw{},
		Lend{"body", "institute"},
		MakePart{Name: "part"},
		sealed("a"),
		PlaceHold{"h", nil, "a court asks"},
		LiftHold{"h", "over"},
		order(digestOf("a")),
		Order{Whole: true, Request: "request-2", Agreed: agreed},
	}
	for _, d := range c.Destructions {
		all = append(all, Destroyed{d.Number, [][]byte{[]byte("envelope")}})
	}
	return all
}

func allTracks(c Case, now time.Time) []Act {
	return slices.Concat(accessActs(c, now), determinationActs(c, now), partnerActs(c, now))
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
	for _, r := range c.Registrations {
		outcome, _ := c.Propose(r.Version)
		fmt.Fprint(&b, "|reg", !r.Countersigned.IsZero(), outcome)
	}
	// Of a run that does not count, rules look at whose it is; of one that may,
	// at whether it has finished, in this round.
	ran := map[proofhouse.OrganisationID]bool{}
	for _, r := range c.Runs {
		ran[r.By.Organisation] = true
		if r.Round == c.round() && r.Void == "" && len(r.Exploratory) == 0 {
			fmt.Fprint(&b, "|run", r.By.Organisation, !r.Finished.IsZero())
		}
	}
	fmt.Fprint(&b, "|", len(c.Runs), ran["institute"], ran["indie"])
	fmt.Fprint(&b, "|", len(c.Determinations) > 0, c.round(), len(c.PartnerCriteria))
	for _, k := range c.PartnerCriteria {
		fmt.Fprint(&b, !k.Agreed.IsZero())
	}
	for _, r := range c.Rounds {
		fmt.Fprint(&b, "|round", r.Tester)
	}
	if i, asked := c.consultation("cyber-centre"); asked {
		fmt.Fprint(&b, "|asked", c.Consultations[i].View, !c.Consultations[i].Answered.IsZero())
	}
	for _, n := range c.Nominees {
		fmt.Fprint(&b, "|", n.Organisation, n.Sponsored)
		for _, a := range n.Answers {
			fmt.Fprint(&b, a.Step, a.By.Role)
		}
	}
	for _, a := range c.Artifacts {
		fmt.Fprint(&b, "|sealed", a.By.Organisation, !a.Ordered.IsZero(), !a.Destroyed.IsZero())
	}
	for _, h := range c.Holds {
		fmt.Fprint(&b, "|hold", h.By.Organisation, h.By.Role, h.Lifted.IsZero())
	}
	fmt.Fprint(&b, "|", len(c.Parts), c.ending(), len(c.Pending()))
	for _, id := range []GrantID{"body", "tester", "own", "lent"} {
		if i, there := c.find(id); there {
			fmt.Fprint(&b, "|", id, c.Grants[i].Sponsored, c.Grants[i].Ended.IsZero())
		}
	}
	return b.String()
}

// afterwards are what others than the developer may still do after it has withdrawn: end what runs, see to what is sealed, and accept what a partner's own grant goes on with.
var afterwards = []Kind{KindEnd, KindFinishRun, KindHold, KindLift, KindOrder, KindDestroyed, KindAcceptTerms}

// promises holds a state to what the house promises developers.
func promises(t *testing.T, c Case, now time.Time, acts func(Case, time.Time) []Act) {
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
	// Nor does evidence from elsewhere count for anything.
	if attached, err := c.Apply(Event{dev, Attach{digestOf("x"), "red-team report", "elsewhere"}}, now); err == nil {
		attached.Exhibits, attached.Version, attached.Changed = c.Exhibits, c.Version, c.Changed
		if !reflect.DeepEqual(attached, c) {
			t.Error("evidence from elsewhere changed something else")
		}
	}
	// Nor does a report.
	for _, a := range []Act{FileReport{tieredReport(), salt}, PublishReport{1}} {
		if told, err := c.Apply(Event{registrar, a}, now); err == nil {
			told.Reports, told.Version, told.Changed = c.Reports, c.Version, c.Changed
			if !reflect.DeepEqual(told, c) {
				t.Errorf("to %s changed something else", a.Kind())
			}
		}
	}
	// Nor do terms for partners, accepted or not; and a partner may always accept them.
	for _, e := range []Event{{dev, OfferPartners{"Other words."}}, {partner, AcceptTerms{1, proofhouse.DigestOf([]byte("Keep it to yourselves."))}}} {
		told, err := c.Apply(e, now)
		if err != nil {
			t.Errorf("the %s cannot %s: %v", e.By.Role, e.Act.Kind(), err)
		}
		told.PartnerTerms, told.Version, told.Changed = c.PartnerTerms, c.Version, c.Changed
		if !reflect.DeepEqual(told, c) {
			t.Errorf("to %s changed something else", e.Act.Kind())
		}
	}
	if sealed, err := c.Apply(Event{dev, Seal{digestOf("x"), "case-1", "x", "text/plain", 7, proofhouse.Amber, "elsewhere"}}, now); err == nil {
		sealed.Artifacts, sealed.Version, sealed.Changed = c.Artifacts, c.Version, c.Changed
		if !reflect.DeepEqual(sealed, c) {
			t.Error("what was sealed changed something else")
		}
	}
	// Nor does what another department decides about its own use.
	for _, by := range who(KindAdopt) {
		for _, r := range c.Runs {
			if adopted, err := c.Apply(Event{by, sign(c, by, ownUse(r.Evidence))}, now); err == nil {
				adopted.Adoptions, adopted.Version, adopted.Changed = c.Adoptions, c.Version, c.Changed
				if !reflect.DeepEqual(adopted, c) {
					t.Error("a department's decision about its own use changed something else")
				}
			}
		}
	}
	// It can share with any partner, and the partner has the model at once.
	for i, to := range []proofhouse.OrganisationID{"bank", "hospital", "indie", "audit", "cyber-centre"} {
		id := GrantID(fmt.Sprint("any-", i))
		shared, err := c.Apply(Event{dev, Share{Grant: id, To: to}}, now)
		if err != nil {
			t.Errorf("the developer cannot share with %s: %v", to, err)
		}
		if s := shared.At(now.Add(1000 * day)); !isLive(s, id) {
			t.Errorf("a grant of the developer's to %s ended by itself", to)
		}
	}
	// Where the choice of partners is joint, none is proposed before the developer agreed by what.
	if k, agreed := c.PartnerCriteriaInForce(); len(c.Nominees) > 0 && (!agreed || k.Agreed.IsZero()) {
		t.Error("a partner was nominated before the developer agreed to criteria")
	}
	// It can withdraw: the review's access ends at once, partners' stays, and
	// nobody but itself does anything more than those of afterwards.
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
			next, err := withdrawn.Apply(Event{by, sign(withdrawn, by, a)}, now)
			if err != nil {
				continue
			}
			if by.Role != proofhouse.Developer && !slices.Contains(afterwards, a.Kind()) {
				t.Errorf("after the withdrawal a %s could %s", by.Role, a.Kind())
			}
			if _, signed := reflect.TypeOf(a).FieldByName("Signed"); signed {
				t.Errorf("after the withdrawal something was signed: to %s", a.Kind())
			}
			if before, _ := withdrawn.Propose(1); withdrawn.engagement() != Determined {
				if after, _ := next.Propose(1); after != before {
					t.Errorf("after the withdrawal, to %s changed what the rule proposes to %s", a.Kind(), after)
				}
			}
		}
	}
	// A refusal of a partner by the body touches only what the body sponsors.
	for _, by := range who(KindDecline) {
		declined, err := c.Apply(Event{by, decline}, now)
		if err != nil {
			continue
		}
		after := declined.At(now)
		for _, g := range before.Live {
			if ended := !isLive(after, g.ID); ended != (g.Sponsored && g.To == decline.Organisation) {
				t.Errorf("the body declined to sponsor a partner, and the grant %s (sponsored: %v) ended: %v", g.ID, g.Sponsored, ended)
			}
		}
		if _, err := declined.Apply(Event{dev, Share{Grant: "any", To: decline.Organisation}}, now); err != nil {
			t.Errorf("the developer cannot share with a partner that the body declined: %v", err)
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
	bad := []string{"approv", "permit", "licen", "deny", "denied", "authoris", "authoriz", "clear", "forbid", "embargo", "withhold", "on hold", "block", "veto", "penal", "sanction", "blame", "fine", "strike", "complian", "violat", "cooperat", "preclear", "unblock", "certif", "delay", "require", "condition", "secure"}
	allowed := map[string]bool{
		"ConsulteeRule.Required": true, // to be asked before the authority signs; not a word about releases
		"OwnUse.Conditions":      true, // a department's own, on its own use
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
	for _, s := range []Outcome{Covered, NotCovered, Undetermined} {
		check(string(s), string(s))
	}
	for _, s := range []Use{WillUse, WillNotUse} {
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
var allActs = slices.Collect(maps.Values(acts))

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
