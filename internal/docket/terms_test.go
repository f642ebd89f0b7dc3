package docket

import (
	"testing"
	"time"

	"proofhouse/internal/proofhouse"
)

func TestTerms(t *testing.T) {
	terms := Terms{Marking: proofhouse.AmberStrict, Retention: 90, Share: []proofhouse.Role{proofhouse.Auditor}}
	for name, bad := range map[string]Terms{
		"no marking": {Retention: 1}, "a retention of no end": {Marking: proofhouse.Red, Retention: 4000}, "less than nothing": {Marking: proofhouse.Red, Retention: -1},
		"a role that there is not": {Marking: proofhouse.Red, Share: []proofhouse.Role{"judge"}},
		"a role twice":             {Marking: proofhouse.Red, Share: []proofhouse.Role{proofhouse.Auditor, proofhouse.Auditor}},
		"no digest":                {Marking: proofhouse.Red, Agreement: "sha256:12"},
	} {
		if err := bad.Validate(); proofhouse.KindOf(err) != proofhouse.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	c, now := play(t, profile(t, "institute"), opened(step{dev, Offer{terms}, 0}, step{dev, Lend{"body", "institute"}, 0})...)
	if _, ok := c.Agreed(); ok {
		t.Error("terms hold that the body has not agreed to")
	}
	if _, ok := c.KeptUntil(); ok {
		t.Error("without terms something is due")
	}
	refused(t, c, registrar, Agree{2}, now, proofhouse.NotFound)
	agree := func(c Case, v int) Case {
		t.Helper()
		next, err := c.Apply(Event{registrar, Agree{v}}, now)
		if err != nil {
			t.Fatal(err)
		}
		return next
	}
	c = agree(c, 1)
	refused(t, c, registrar, Agree{1}, now, proofhouse.Conflict)
	if due, ok := c.KeptUntil(); !ok || !due.Equal(CalendarDays(90).After(c.Window.End, c.Rules.Calendar)) {
		t.Errorf("due at %s, %v", due, ok)
	}
	// A second version changes nothing before the body agrees.
	terms.Retention = 10
	c, err := c.Apply(Event{dev, Offer{terms}}, now)
	if err != nil {
		t.Fatal(err)
	}
	if held, _ := c.Agreed(); held.Retention != 90 {
		t.Errorf("terms of %d days hold", held.Retention)
	}
	c = agree(c, 2)
	withdrawn, err := c.Apply(Event{dev, Withdraw{}}, now.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if due, ok := withdrawn.KeptUntil(); !ok || !due.Equal(now.Add(time.Hour+10*day)) {
		t.Errorf("after the withdrawal, due at %s, %v", due, ok)
	}
}
