package docket

import (
	"testing"

	"proofhouse/internal/proofhouse"
)

// nominated is a case with published criteria and the bank nominated.
func nominated(more ...step) []step {
	return append(append(opened(everyoneJoins...),
		step{coordinator, Publish{[]Criterion{{"defends", "runs software that many depend on"}, {"secure", "keeps keys in hardware"}}}, 0},
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
	c, err := c.Apply(Event{coordinator, Nominate{"bank", "The Bank"}}, now)
	if err != nil {
		t.Fatal(err)
	}
	refused(t, c, coordinator, decline, now, proofhouse.Invalid) // nothing is published

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
	c, err = c.Apply(Event{authority, sponsor}, now)
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
