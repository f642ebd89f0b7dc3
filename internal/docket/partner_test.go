package docket

import (
	"testing"

	"proofhouse/internal/proofhouse"
)

// nominated is a case with published criteria and the bank nominated.
func nominated(more ...step) []step {
	return append(append(opened(everyoneJoins...),
		step{coordinator, Publish{[]Criterion{{"defends", "runs software that many depend on"}, {"secure", "keeps keys in hardware"}}}, 0},
		step{dev, AgreePartners{1}, 0},
		step{coordinator, Nominate{"bank", "The Bank"}, 0}), more...)
}

var (
	sponsor = Sponsor{"bank", "defends", "it runs payments"}
	decline = Decline{"bank", "secure", "it keeps keys in files"}
	appeal  = Appeal{"bank", "it does not any more"}
)

func TestPartners(t *testing.T) {
	rules := profile(t, "institute")
	sponsored := nominated(step{coordinator, sponsor, day}, step{dev, Share{Grant: "lent", To: "bank", Sponsored: true}, 0}, step{dev, Share{Grant: "own", To: "bank"}, 0})
	other := partner
	other.Organisation = "hospital"

	c, now := play(t, rules, opened(everyoneJoins...)...)
	refused(t, c, coordinator, sponsor, now, proofhouse.NotFound)
	refused(t, c, coordinator, Nominate{"institute", "Us"}, now, proofhouse.Invalid)
	refused(t, c, coordinator, Nominate{"bank", "The\u202eBank"}, now, proofhouse.Invalid)
	refused(t, c, coordinator, Publish{}, now, proofhouse.Invalid)
	refused(t, c, coordinator, Publish{[]Criterion{{"a", "b"}, {"a", "c"}}}, now, proofhouse.Invalid)

	// Where the body alone chooses the criteria, whoever is nominated before has no answer yet.
	alone := *rules
	alone.Partners = BodyPartners
	c, now = play(t, &alone, append(opened(everyoneJoins...), step{coordinator, Nominate{"bank", "The Bank"}, 0})...)
	refused(t, c, coordinator, decline, now, proofhouse.Invalid) // nothing is published
	refused(t, c, dev, AgreePartners{1}, now, proofhouse.Refused)

	c, now = play(t, rules, nominated(step{dev, Join{other}, 0})...)
	refused(t, c, coordinator, Nominate{"bank", "The Bank"}, now, proofhouse.Conflict)
	refused(t, c, coordinator, Decline{"bank", "whim", "no"}, now, proofhouse.Invalid)
	refused(t, c, coordinator, Decline{"bank", "secure", ""}, now, proofhouse.Invalid)
	refused(t, c, dev, Share{Grant: "lent", To: "bank", Sponsored: true}, now, proofhouse.Refused)
	refused(t, c, partner, appeal, now, proofhouse.Refused)
	refused(t, c, other, appeal, now, proofhouse.NotFound)

	// A refusal ends what the body sponsors, and nothing else.
	c, now = play(t, rules, append(sponsored, step{dev, Lend{"body", "institute"}, 0}, step{coordinator, decline, day})...)
	s := c.At(now)
	if isLive(s, "lent") || !isLive(s, "own") || !isLive(s, "body") {
		t.Errorf("after the refusal: %+v", s.Live)
	}
	refused(t, c, dev, Share{Grant: "lent-2", To: "bank", Sponsored: true}, now, proofhouse.Refused)
	refused(t, c, coordinator, decline, now, proofhouse.Conflict)

	// An appeal is answered by the authority, and not by whoever declined.
	second := coordinator
	second.Person = "cleo"
	c, now = play(t, rules, append(sponsored, step{registrar, Join{second}, 0}, step{coordinator, decline, day}, step{partner, appeal, day})...)
	refused(t, c, coordinator, sponsor, now, proofhouse.Refused)
	refused(t, c, second, sponsor, now, proofhouse.Refused)
	refused(t, c, partner, appeal, now, proofhouse.Refused)
	c, err := c.Apply(Event{authority, sponsor}, now)
	if err != nil || !c.Nominees[0].Sponsored || len(c.Nominees[0].Answers) != 4 {
		t.Errorf("after the appeal: %v, %+v", err, c.Nominees)
	}
	c, now = play(t, rules, nominated(step{authority, decline, day}, step{dev, appeal, day})...)
	refused(t, c, authority, sponsor, now, proofhouse.Refused)
	c, now = play(t, rules, nominated(step{coordinator, decline, day}, step{partner, appeal, day}, step{authority, decline, day})...)
	if n := c.Nominees[0]; n.Sponsored || n.Answers[2].Criterion != "secure" || n.Answers[2].Version != 1 {
		t.Errorf("an appeal that did not succeed: %+v", n)
	}
	if clocks := c.Clocks(); len(clocks) != 3 || clocks[2].Met.IsZero() {
		t.Errorf("the clocks are %+v", clocks)
	}
	if _, err := c.Apply(Event{dev, Share{Grant: "own", To: "bank"}}, now); err != nil {
		t.Errorf("the developer cannot share with a partner that the body declined: %v", err)
	}
}

// TestJointPartners chooses criteria for partners together.
func TestJointPartners(t *testing.T) {
	criteria := func(id string) Publish { return Publish{[]Criterion{{id, "a text"}}} }
	nominate := Nominate{"bank", "The Bank"}
	c, now := play(t, profile(t, "us-order"), step{dev, OpenCase{Codename: "heron", Variants: []string{"deployed"}}, 0},
		step{proofhouse.Actor{Organisation: "nsa", Person: "rita", Role: proofhouse.Registrar}, Accept{}, 0},
		step{proofhouse.Actor{Organisation: "nsa", Person: "rita", Role: proofhouse.Registrar}, Join{proofhouse.Actor{Organisation: "nsa", Person: "cora", Role: proofhouse.Coordinator}}, 0})
	cora := proofhouse.Actor{Organisation: "nsa", Person: "cora", Role: proofhouse.Coordinator}
	take := func(by proofhouse.Actor, a Act) {
		t.Helper()
		next, err := c.Apply(Event{by, a}, now)
		if err != nil {
			t.Fatalf("%s: %v", a.Kind(), err)
		}
		c = next
	}
	refused(t, c, cora, nominate, now, proofhouse.Refused)
	refused(t, c, dev, nominate, now, proofhouse.Refused)
	refused(t, c, dev, AgreePartners{1}, now, proofhouse.NotFound)
	take(cora, criteria("first"))
	refused(t, c, cora, nominate, now, proofhouse.Refused)
	refused(t, c, cora, AgreePartners{1}, now, proofhouse.Refused)
	for _, version := range []int{-1, 0, 2} {
		refused(t, c, dev, AgreePartners{version}, now, proofhouse.NotFound)
	}
	// What the developer shares on its own waits for none of it.
	take(dev, Share{Grant: "own", To: "bank"})
	pat := Reader{Organisation: "bank", Roles: []proofhouse.Role{proofhouse.Partner}}
	if seen := c.SeenBy(pat); len(seen.PartnerCriteria) != 0 {
		t.Errorf("a partner sees criteria that nobody agreed to: %+v", seen.PartnerCriteria)
	}
	take(dev, AgreePartners{1})
	refused(t, c, dev, AgreePartners{1}, now, proofhouse.Conflict)
	take(cora, nominate)
	// A later version is no criterion until it is agreed to; then the one before is none.
	take(cora, criteria("second"))
	take(cora, criteria("third"))
	refused(t, c, cora, Sponsor{"bank", "third", "why"}, now, proofhouse.Invalid)
	take(cora, Decline{"bank", "first", "why"})
	if n := c.Nominees[0]; n.Answers[0].Version != 1 {
		t.Errorf("declined by version %d", n.Answers[0].Version)
	}
	if seen := c.SeenBy(pat); len(seen.PartnerCriteria) != 1 {
		t.Errorf("a partner sees %+v", seen.PartnerCriteria)
	}
	take(dev, AgreePartners{3})
	refused(t, c, dev, AgreePartners{2}, now, proofhouse.Conflict)
	refused(t, c, cora, Sponsor{"bank", "first", "why"}, now, proofhouse.Invalid)
	take(cora, Sponsor{"bank", "third", "why"})
	if k, _ := c.PartnerCriteriaInForce(); k.Version != 3 || k.AgreedBy != dev || k.Agreed.IsZero() {
		t.Errorf("in force is %+v", k)
	}
	if seen := c.SeenBy(pat); len(seen.PartnerCriteria) != 2 || seen.PartnerCriteria[1].Version != 3 {
		t.Errorf("a partner sees %+v", seen.PartnerCriteria)
	}
}
