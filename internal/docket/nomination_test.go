package docket

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"proofhouse/internal/proofhouse"
)

// agreedPartners is a case in which partners can be nominated.
func agreedPartners() []step {
	return append(opened(everyoneJoins...), step{coordinator, Publish{[]Criterion{{"defends", "many depend on it"}}}, 0}, step{dev, AgreePartners{1}, 0})
}

// TestNominateList nominates partners of a list in one event.
func TestNominateList(t *testing.T) {
	c, now := play(t, profile(t, "institute"), agreedPartners()...)
	list := func(names ...string) (a NominateList) {
		for _, n := range names {
			a.Partners = append(a.Partners, Nominate{proofhouse.OrganisationID(n), "The " + n})
		}
		return a
	}
	refused(t, c, evaluator, list("bank"), now, proofhouse.Refused)
	refused(t, c, coordinator, list(), now, proofhouse.Invalid)
	refused(t, c, coordinator, list("bank", "bank"), now, proofhouse.Invalid)
	refused(t, c, coordinator, list("bank", "Bank"), now, proofhouse.Invalid)
	refused(t, c, coordinator, list("bank", "institute"), now, proofhouse.Invalid)
	big := list("bank")
	for i := range 300 {
		big.Partners = append(big.Partners, Nominate{proofhouse.OrganisationID(fmt.Sprint("bank-", i)), strings.Repeat("x", 2000)})
	}
	refused(t, c, coordinator, big, now, proofhouse.Limit)
	bare, _ := play(t, profile(t, "institute"), opened(everyoneJoins...)...)
	refused(t, bare, coordinator, list("bank"), now, proofhouse.Refused)

	before := c
	c, err := c.Apply(Event{coordinator, list("bank", "hospital")}, now)
	if err != nil || len(c.Nominees) != 2 || c.Nominees[1].Title != "The hospital" || c.Nominees[1].By != coordinator || len(before.Nominees) != 0 {
		t.Fatalf("nominated %+v, %v", c.Nominees, err)
	}
	refused(t, c, dev, list("hospital", "bank"), now, proofhouse.Conflict)
	c, err = c.Apply(Event{dev, list("hospital", "grid", "bank")}, now)
	if err != nil || len(c.Nominees) != 3 || c.Nominees[2].Organisation != "grid" || c.Nominees[1].By != coordinator {
		t.Fatalf("nominated %+v, %v", c.Nominees, err)
	}

	csv := "organisation,title\nbank,The Bank\nInstitute,Us\ninstitute,Us\nwater,The Water\nwater,Again\n"
	n, err := c.Nominations(coordinator, []byte(csv), now)
	var lines []int
	for _, w := range n.Wrong {
		lines = append(lines, w.Line)
	}
	if err != nil || len(n.New) != 1 || n.New[0].Organisation != "water" || !slices.Equal(n.Already, []proofhouse.OrganisationID{"bank"}) || !slices.Equal(lines, []int{3, 4, 6}) {
		t.Errorf("the list comes to %+v, %v", n, err)
	}
	if n, err := c.Nominations(partner, []byte(csv), now); proofhouse.KindOf(err) != proofhouse.Refused || len(n.Already) > 0 {
		t.Errorf("a partner is told who is nominated: %+v, %v", n, err)
	}
	if _, err := c.Nominations(coordinator, []byte("a,b\n"), now); proofhouse.KindOf(err) != proofhouse.Invalid {
		t.Errorf("another file: %v", err)
	}
}
