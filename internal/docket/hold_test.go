package docket

import (
	"reflect"
	"testing"
	"time"

	"proofhouse/internal/proofhouse"
	"proofhouse/internal/vault"
)

// sealed is the act of sealing something of that name.
func sealed(s string) Seal {
	return Seal{digestOf(s), "case-1", s, "text/plain", 7, proofhouse.Amber, "elsewhere"}
}

func must(t *testing.T, c Case, by proofhouse.Actor, a Act, now time.Time) Case {
	t.Helper()
	next, err := c.Apply(Event{by, a}, now)
	if err != nil {
		t.Fatalf("%s by a %s: %v", a.Kind(), by.Role, err)
	}
	return next
}

var (
	ofDev, ofBody = digestOf("of-dev"), digestOf("of-body")
	agreed        = [2]Word{{"institute", "rita", start}, {"institute", "otto", start}}
)

// withArtifacts is a case with one artifact of the developer's and one of the body's.
func withArtifacts(t *testing.T) (Case, time.Time) {
	t.Helper()
	return play(t, profile(t, "institute"), opened(append(append([]step{}, everyoneJoins...),
		step{dev, Offer{Terms{Marking: proofhouse.Amber, Retention: 30}}, 0}, step{registrar, Agree{1}, 0},
		step{dev, Join{dev2}, 0}, step{dev, sealed("of-dev"), 0}, step{evaluator, sealed("of-body"), 0})...)...)
}

func order(ids ...proofhouse.Digest) Order {
	return Order{Artifacts: ids, Request: "request-1", Agreed: agreed}
}

// TestHold: who may place and lift a hold, and what it keeps.
func TestHold(t *testing.T) {
	c, now := withArtifacts(t)
	hold := func(id string, on ...proofhouse.Digest) PlaceHold { return PlaceHold{id, on, "a court asks"} }
	for _, a := range []proofhouse.Actor{evaluator, consultee, tester, partner, coordinator, auditor} {
		refused(t, c, a, hold("h"), now, proofhouse.Refused)
		refused(t, c, a, LiftHold{"h", "over"}, now, proofhouse.Refused)
	}
	refused(t, c, stranger, hold("h"), now, proofhouse.NotFound)
	refused(t, c, dev, hold("h"), now, proofhouse.Refused)
	refused(t, c, dev, hold("h", ofBody), now, proofhouse.Refused)
	refused(t, c, dev, hold("h", ofDev, ofBody), now, proofhouse.Refused)
	refused(t, c, registrar, hold("h", digestOf("none")), now, proofhouse.NotFound)
	refused(t, c, registrar, hold("h", ofDev, ofDev), now, proofhouse.Invalid)
	refused(t, c, registrar, hold("../h"), now, proofhouse.Invalid)
	refused(t, c, registrar, PlaceHold{"h", nil, ""}, now, proofhouse.Invalid)
	refused(t, c, registrar, LiftHold{"h", "over"}, now, proofhouse.NotFound)

	withdrawn := must(t, c, dev, Withdraw{}, now)
	for _, c := range []Case{c, withdrawn} {
		for _, by := range []proofhouse.Actor{registrar, authority, security} {
			held := must(t, c, by, hold("h", ofDev), now)
			if !held.Held() || !held.Facts().Held || len(held.Holding(ofDev)) != 1 || len(held.Holding(ofBody)) != 0 {
				t.Errorf("held are %v and %v", held.Holding(ofDev), held.Holding(ofBody))
			}
			if f := held.Facts(); !held.Sealed(f, held.Artifacts[0]).Held || held.Sealed(f, held.Artifacts[1]).Held {
				t.Error("the guard sees another hold")
			}
			refused(t, held, by, hold("h"), now, proofhouse.Conflict)
			for _, other := range []proofhouse.Actor{dev, registrar, authority} {
				if other != by {
					refused(t, held, other, LiftHold{"h", "over"}, now, proofhouse.Refused)
				}
			}
			refused(t, held, by, LiftHold{"h", ""}, now, proofhouse.Invalid)
			for _, lifter := range []proofhouse.Actor{by, security} {
				lifted := must(t, held, lifter, LiftHold{"h", "over"}, now)
				if lifted.Held() || len(lifted.Holding(ofDev)) != 0 {
					t.Error("a hold that was lifted keeps")
				}
				refused(t, lifted, lifter, LiftHold{"h", "over"}, now, proofhouse.Conflict)
				refused(t, lifted, lifter, hold("h"), now, proofhouse.Conflict)
			}
			// Nothing else of the case is another.
			held.Holds, held.Version, held.Changed = c.Holds, c.Version, c.Changed
			if !reflect.DeepEqual(held, c) {
				t.Error("a hold changed something else")
			}
		}
		own := must(t, c, dev, hold("h", ofDev), now)
		refused(t, own, dev2, LiftHold{"h", "over"}, now, proofhouse.Refused)
		must(t, own, dev, LiftHold{"h", "over"}, now)
		// On all of the case, it keeps what comes later too.
		all := must(t, c, security, hold("h"), now)
		if len(all.Holding(ofDev)) != 1 || len(all.Holding(digestOf("later"))) != 1 {
			t.Error("a hold on the case does not keep all")
		}
	}
}

// TestCustody: what may be destroyed, and what is due, in the course of a case.
func TestCustody(t *testing.T) {
	c, now := withArtifacts(t)
	want := func(what string, c Case, now time.Time, standing vault.Standing) {
		t.Helper()
		custody, err := c.Custody()
		if err != nil {
			t.Fatal(err)
		}
		if got := custody.Standing(ofDev, now); got != standing {
			t.Errorf("%s, it %s, not %s", what, got, standing)
		}
	}
	want("before anything", c, now.Add(1000*day), vault.MustKeep)
	lent := must(t, c, dev, Lend{"body", "institute"}, now)
	end := lent.Window.End
	due := CalendarDays(30).After(end, c.Rules.Calendar)
	want("while access goes on", lent, end.Add(-time.Second), vault.MustKeep)
	want("after access", lent, end, vault.MayDestroy)
	want("before it is due", lent, due.Add(-time.Second), vault.MayDestroy)
	want("when it is due", lent, due, vault.Due)
	if at, ok := lent.Due(); !ok || !at.Equal(due) || !lent.Summary().Due.Equal(due) {
		t.Errorf("due at %s, %v; the list says %s", at, ok, lent.Summary().Due)
	}
	asked := must(t, lent, dev, Ask{}, now)
	want("while a question is open", asked, due, vault.MustKeep)
	if _, ok := asked.Due(); ok {
		t.Error("it is due while a question is open")
	}
	withdrawn := must(t, asked, dev, Withdraw{}, now)
	want("after the withdrawal", withdrawn, now, vault.MayDestroy)
	want("30 days after the withdrawal", withdrawn, now.Add(31*day), vault.Due)
	held := must(t, withdrawn, security, PlaceHold{"h", []proofhouse.Digest{ofDev}, "a court asks"}, now)
	want("while it is held", held, now.Add(31*day), vault.MustKeep)
	if _, ok := held.Due(); !ok {
		t.Error("the other one is not due")
	}
	if all := must(t, withdrawn, security, PlaceHold{"h", nil, "a court asks"}, now); !all.Summary().Due.IsZero() {
		t.Error("something is due while all is held")
	}
	want("once the hold is lifted", must(t, held, security, LiftHold{"h", "over"}, now), now.Add(31*day), vault.Due)
	// Without terms it may be destroyed, and is never due.
	free, now := play(t, profile(t, "institute"), opened(step{dev, sealed("of-dev"), 0}, step{dev, Withdraw{}, 0})...)
	want("without terms", free, now.Add(1000*day), vault.MayDestroy)
	// Of a question that was answered without access, the retention runs from the answer.
	never, _ := play(t, profile(t, "institute"), opened(step{dev, Ask{}, 0})...)
	never.Determinations = []Determination{{Version: 1, At: start.Add(day)}}
	never.Terms = []OfferedTerms{{Version: 1, Terms: Terms{Retention: 10}, Agreed: start}}
	if at, ok := never.KeptUntil(); !ok || !at.Equal(start.Add(11*day)) {
		t.Errorf("due at %s, %v", at, ok)
	}
}

// TestDestruction: who may order it, when, and what follows.
func TestDestruction(t *testing.T) {
	c, now := withArtifacts(t)
	refused(t, c, registrar, order(ofDev), now, proofhouse.Refused) // the review goes on
	open := c
	c = must(t, c, dev, Withdraw{}, now)
	for _, a := range []proofhouse.Actor{evaluator, authority, consultee, tester, partner, coordinator, auditor} {
		refused(t, c, a, order(ofDev), now, proofhouse.Refused)
		refused(t, c, a, Destroyed{1, [][]byte{{1}}}, now, proofhouse.Refused)
	}
	refused(t, c, stranger, order(ofDev), now, proofhouse.NotFound)
	one, self, later := order(ofDev), order(ofDev), order(ofDev)
	one.Agreed[1] = one.Agreed[0]
	self.Agreed[0] = Word{security.Organisation, security.Person, start}
	later.Agreed[1].At = now.Add(time.Second)
	refused(t, c, security, one, now, proofhouse.Refused)
	refused(t, c, security, self, now, proofhouse.Refused)
	refused(t, c, security, later, now, proofhouse.Invalid)
	refused(t, c, security, Order{Artifacts: []proofhouse.Digest{ofDev}, Request: "request-1"}, now, proofhouse.Invalid)
	refused(t, c, security, order(), now, proofhouse.Invalid)
	refused(t, c, security, order(digestOf("none")), now, proofhouse.NotFound)
	refused(t, c, security, order(ofDev, ofDev), now, proofhouse.Conflict)
	refused(t, c, security, Destroyed{1, [][]byte{{1}}}, now, proofhouse.NotFound)
	held := must(t, c, registrar, PlaceHold{"h", []proofhouse.Digest{ofDev}, "a court asks"}, now)
	refused(t, held, security, order(ofDev), now, proofhouse.Refused)
	refused(t, held, security, Order{Whole: true, Request: "request-1", Agreed: agreed}, now, proofhouse.Refused)
	must(t, held, security, order(ofBody), now)
	// A hold keeps the record too, of a case in which nothing is sealed.
	bare, at := play(t, profile(t, "institute"), opened(append(append([]step{}, everyoneJoins...), step{dev, Withdraw{}, 0}, step{registrar, PlaceHold{"h", nil, "a court asks"}, 0})...)...)
	refused(t, bare, security, Order{Whole: true, Request: "request-1", Agreed: agreed}, at, proofhouse.Refused)
	must(t, must(t, bare, security, LiftHold{"h", "over"}, at), security, Order{Whole: true, Request: "request-1", Agreed: agreed}, at)

	ordered := must(t, c, security, order(ofDev), now)
	refused(t, ordered, security, order(ofDev), now, proofhouse.Conflict)
	refused(t, ordered, registrar, PlaceHold{"h", []proofhouse.Digest{ofDev}, "late"}, now, proofhouse.Conflict)
	// Whatever comes between, it is carried out.
	between := must(t, ordered, registrar, PlaceHold{"h", nil, "all of it"}, now)
	custody, err := between.Custody()
	if err != nil || !ordered.Summary().Ordered || len(ordered.Pending()) != 1 {
		t.Error(err, ordered.Pending())
	}
	if got := custody.Standing(ofBody, now); got != vault.MustKeep {
		t.Errorf("what was not ordered %s", got)
	}
	refused(t, ordered, security, Destroyed{1, nil}, now, proofhouse.Invalid)
	done := must(t, ordered, security, Destroyed{1, [][]byte{[]byte("envelope")}}, now)
	refused(t, done, security, Destroyed{1, [][]byte{[]byte("envelope")}}, now, proofhouse.Conflict)
	if a, _ := done.Artifact(ofDev); a.Destroyed.IsZero() || len(done.Pending()) != 0 || done.Summary().Ordered {
		t.Errorf("destroyed: %+v", a)
	}

	// Who ordered it may leave, by which it does not lapse: a registrar's name stands for it, or a developer's.
	if by := ordered.Recorder(ordered.Destructions[0]); by != security {
		t.Errorf("recorded in the name of %+v", by)
	}
	left := must(t, ordered, registrar, Leave{security}, now)
	refused(t, left, security, Destroyed{1, [][]byte{[]byte("envelope")}}, now, proofhouse.NotFound)
	byDev := must(t, must(t, c, dev, order(ofDev), now), dev2, Leave{dev}, now)
	untaken := must(t, must(t, New("case-2", c.Rules), dev, OpenCase{Codename: "ibis", Variants: []string{"a"}}, now), dev, Join{dev2}, now)
	untaken = must(t, must(t, untaken, dev, Withdraw{}, now), dev, Order{Whole: true, Request: "request-1", Agreed: agreed}, now)
	untaken = must(t, untaken, dev2, Leave{dev}, now)
	for want, c := range map[proofhouse.Actor]Case{registrar: left, dev2: untaken} {
		by := c.Recorder(c.Destructions[0])
		if by != want {
			t.Errorf("in place of who has left it is recorded in the name of %+v", by)
		}
		must(t, c, by, Destroyed{1, [][]byte{[]byte("envelope")}}, now)
	}
	if by := byDev.Recorder(byDev.Destructions[0]); by != registrar {
		t.Errorf("in place of a developer who has left: %+v", by)
	}

	whole := Order{Whole: true, Request: "request-1", Agreed: agreed}
	refused(t, open, security, whole, now, proofhouse.Refused) // nothing says that the review is over
	asked := must(t, open, dev, Ask{}, now)
	refused(t, asked, security, whole, now, proofhouse.Refused)
	lent := must(t, open, dev, Lend{"body", "institute"}, now)
	refused(t, lent, security, whole, now, proofhouse.Refused)
	shared := must(t, c, dev, Share{Grant: "own", To: "bank"}, now)
	refused(t, shared, security, whole, now, proofhouse.Refused)
	both := whole
	both.Artifacts = []proofhouse.Digest{ofDev}
	refused(t, c, security, both, now, proofhouse.Invalid)
	end := must(t, c, security, whole, now)
	if d := end.Destructions[0]; len(d.Artifacts) != 2 {
		t.Errorf("%+v", d)
	}
	refused(t, end, security, whole, now, proofhouse.Conflict)
	refused(t, end, registrar, PlaceHold{"h", nil, "late"}, now, proofhouse.Conflict)
	// The developer's promises hold to the last.
	for _, a := range []Act{Withdraw{}, Announce{Date: now}, Share{Grant: "own", To: "bank"}} {
		if _, err := end.Apply(Event{dev, a}, now); err != nil && a.Kind() != KindWithdraw {
			t.Errorf("to %s: %v", a.Kind(), err)
		}
	}
}

// TestMakePart: compartments are called after the case, so that no other case has one of that name.
func TestMakePart(t *testing.T) {
	c, now := withArtifacts(t)
	refused(t, c, evaluator, MakePart{Name: "weights"}, now, proofhouse.Refused)
	refused(t, c, dev, MakePart{Name: "Weights"}, now, proofhouse.Invalid)
	refused(t, c, dev, MakePart{Name: "a/b"}, now, proofhouse.Invalid)
	refused(t, c, dev, MakePart{Name: "weights", Custodians: []string{"age1pq1x", "age1pq1y"}}, now, proofhouse.Invalid)
	c = must(t, c, dev, MakePart{Name: "weights"}, now)
	refused(t, c, dev, MakePart{Name: "weights"}, now, proofhouse.Conflict)
	a := sealed("more")
	for compartment, kind := range map[string]proofhouse.Kind{"weights": proofhouse.NotFound, "case-2": proofhouse.NotFound, "case-2.weights": proofhouse.NotFound} {
		a.Compartment = compartment
		refused(t, c, dev, a, now, kind)
	}
	a.Compartment = "case-1.weights"
	must(t, c, dev, a, now)
}
