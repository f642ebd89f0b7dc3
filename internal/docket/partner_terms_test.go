package docket

import (
	"strings"
	"testing"

	"proofhouse/internal/proofhouse"
)

// TestPartnerTerms offers terms to partners in versions: each organisation accepts the last, by the digest of the text that it read.
func TestPartnerTerms(t *testing.T) {
	hospital := proofhouse.Actor{Organisation: "hospital", Person: "hal", Role: proofhouse.Partner}
	colleague := proofhouse.Actor{Organisation: "bank", Person: "pia", Role: proofhouse.Partner}
	first, second := "For tests of your own systems.\n\nUntil we say otherwise.", "For tests of your own systems, and of others' with their word."
	accept := func(version int, text string) AcceptTerms {
		return AcceptTerms{version, proofhouse.DigestOf([]byte(text))}
	}
	c, now := play(t, profile(t, "institute"), opened(append(everyoneJoins, step{dev, Join{hospital}, 0}, step{dev, Join{colleague}, 0})...)...)
	refused(t, c, partner, accept(1, first), now, proofhouse.NotFound)
	for _, bad := range []string{"", " \n", "a\n", strings.Repeat("a", maxPartnerTerms+1), "to be \u202eread", "a\x00b", "a\r\nb", "\xff"} {
		refused(t, c, dev, OfferPartners{bad}, now, proofhouse.Invalid)
	}
	for _, by := range everyone {
		if by.Role != proofhouse.Developer {
			refused(t, c, by, OfferPartners{first}, now, proofhouse.Refused)
		}
	}
	take := func(by proofhouse.Actor, a Act) {
		t.Helper()
		next, err := c.Apply(Event{by, a}, now)
		if err != nil {
			t.Fatalf("%s: %v", a.Kind(), err)
		}
		c = next
	}
	take(dev, OfferPartners{first})
	before := c
	for _, by := range everyone {
		if by.Role != proofhouse.Partner {
			refused(t, c, by, accept(1, first), now, proofhouse.Refused)
		}
	}
	for _, version := range []int{-1, 0, 2} {
		refused(t, c, partner, accept(version, first), now, proofhouse.NotFound)
	}
	refused(t, c, partner, accept(1, second), now, proofhouse.Integrity)
	refused(t, c, partner, AcceptTerms{Version: 1}, now, proofhouse.Integrity)
	take(partner, accept(1, first))
	refused(t, c, colleague, accept(1, first), now, proofhouse.Conflict)
	take(hospital, accept(1, first))
	if len(before.PartnerTerms[0].Accepted) != 0 {
		t.Error("accepting changed the case that it was applied to")
	}
	if k := c.PartnerTerms[0]; k.Digest != proofhouse.DigestOf([]byte(first)) || k.By != dev || len(k.Accepted) != 2 || k.Accepted[0] != (Acceptance{partner, now}) {
		t.Errorf("on record: %+v", k)
	}
	take(dev, OfferPartners{second})
	refused(t, c, partner, accept(1, first), now, proofhouse.Conflict)
	if _, done := c.PartnerTerms[1].AcceptedBy("bank"); done {
		t.Error("who accepted a version has accepted the next")
	}
	take(partner, accept(2, second))

	seen := c.SeenBy(Reader{Organisation: "hospital", Roles: []proofhouse.Role{proofhouse.Partner}})
	if k := seen.PartnerTerms; len(k) != 2 || k[0].Text != first || len(k[0].Accepted) != 1 || k[0].Accepted[0].By != hospital || len(k[1].Accepted) != 0 {
		t.Errorf("another partner sees %+v", k)
	}
	if len(c.PartnerTerms[0].Accepted) != 2 {
		t.Error("seeing the case changed it")
	}
	if k := c.SeenBy(Reader{Organisation: "institute"}).PartnerTerms; len(k) != 0 {
		t.Errorf("who is nobody in the case sees %+v", k)
	}
}
