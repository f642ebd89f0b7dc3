package docket

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"proofhouse/internal/proofhouse"
)

// ownUse is a decision on one piece of evidence.
func ownUse(evidence proofhouse.Digest) Adopt {
	return Adopt{OwnUse: OwnUse{Use: WillNotUse, Evidence: []proofhouse.Digest{evidence}, Scope: "all systems", Purpose: "defence"}}
}

// TestAdopt: refusals first; then a decision of another department's, which changes nothing else.
func TestAdopt(t *testing.T) {
	rules := profile(t, "institute")
	joined := func(more ...step) []step {
		return slices.Concat(consulted(80), []step{{authority, Determine{Outcome: Covered, Registration: 1}, 0}}, adopterJoins, more)
	}
	c, now := play(t, rules, joined()...)
	good := Adopt{OwnUse: OwnUse{
		Use: WillUse, Determination: c.Determinations[0].Digest(), Evidence: []proofhouse.Digest{digestOf("run")}, Scope: "the department's own mail filter",
		Purpose: "finding weaknesses in it", Conditions: []string{"two people read each finding"}, Until: now.Add(90 * day),
	}}
	for _, by := range everyone {
		if by.Role != proofhouse.Adopter && by.Role != proofhouse.Consultee {
			refused(t, c, by, sign(c, by, good), now, proofhouse.Refused)
		}
	}
	refused(t, c, stranger, sign(c, stranger, good), now, proofhouse.NotFound)
	for name, bad := range map[string]struct {
		change func(*Adopt)
		kind   proofhouse.Kind
	}{
		"no use":                {func(a *Adopt) { a.Use = "secure" }, proofhouse.Invalid},
		"another determination": {func(a *Adopt) { a.Determination = digestOf("x") }, proofhouse.NotFound},
		"no evidence":           {func(a *Adopt) { a.Evidence = nil }, proofhouse.Invalid},
		"evidence of no run":    {func(a *Adopt) { a.Evidence = []proofhouse.Digest{digestOf("x")} }, proofhouse.NotFound},
		"evidence twice":        {func(a *Adopt) { a.Evidence = append(a.Evidence, a.Evidence[0]) }, proofhouse.Invalid},
		"no digest":             {func(a *Adopt) { a.Evidence[0] = "run-1" }, proofhouse.Invalid},
		"too much":              {func(a *Adopt) { a.Evidence = make([]proofhouse.Digest, maxList+1) }, proofhouse.Invalid},
		"no scope":              {func(a *Adopt) { a.Scope = "" }, proofhouse.Invalid},
		"no purpose":            {func(a *Adopt) { a.Purpose = " " }, proofhouse.Invalid},
		"an empty condition":    {func(a *Adopt) { a.Conditions = []string{""} }, proofhouse.Invalid},
		"many conditions":       {func(a *Adopt) { a.Conditions = slices.Repeat([]string{"x"}, maxList+1) }, proofhouse.Invalid},
		"for ever":              {func(a *Adopt) { a.Until = time.Time{} }, proofhouse.Invalid},
		"until yesterday":       {func(a *Adopt) { a.Until = now }, proofhouse.Invalid},
	} {
		a := good
		a.Evidence = slices.Clone(a.Evidence)
		bad.change(&a)
		next, err := c.Apply(Event{adopter, sign(c, adopter, a)}, now)
		if proofhouse.KindOf(err) != bad.kind || next.Version != c.Version {
			t.Errorf("%s: got %v, want %s", name, err, bad.kind)
		}
	}
	refused(t, c, adopter, good, now, proofhouse.Invalid) // nobody signed it
	// What was signed as one thing is no other: neither another scope, nor a later version, nor another department's.
	signed := sign(c, adopter, good).(Adopt)
	wider := signed
	wider.Scope = "every department"
	refused(t, c, adopter, wider, now, proofhouse.Integrity)
	refused(t, c, consultee, signed, now, proofhouse.Integrity)
	next, err := c.Apply(Event{adopter, signed}, now)
	if err != nil || len(next.Adoptions) != 1 || next.Adoptions[0].Version != 1 || !next.Adoptions[0].Holds(next, now) || next.Adoptions[0].Holds(next, good.Until) {
		t.Fatalf("adopted: %+v, %v", next.Adoptions, err)
	}
	refused(t, next, adopter, signed, now, proofhouse.Integrity)
	if !reflect.DeepEqual(next.Determinations, c.Determinations) {
		t.Error("the body's determination is another")
	}
	not := ownUse(digestOf("run"))
	again, err := next.Apply(Event{adopter, sign(next, adopter, not)}, now)
	if err != nil || again.Adoptions[1].Version != 2 || again.Adoptions[0].Holds(again, now) || !again.Adoptions[1].Holds(again, now.Add(1000*day)) {
		t.Fatalf("decided anew: %+v, %v", again.Adoptions, err)
	}
	other, err := again.Apply(Event{consultee, sign(again, consultee, good)}, now)
	if err != nil || other.Adoptions[2].Version != 1 || !other.Adoptions[1].Holds(other, now) {
		t.Errorf("another department's: %+v, %v", other.Adoptions, err)
	}
	withdrawn, err := c.Apply(Event{dev, Withdraw{}}, now)
	if err != nil {
		t.Fatal(err)
	}
	refused(t, withdrawn, adopter, sign(withdrawn, adopter, good), now, proofhouse.Refused)
	// By its digest a determination is known after it was sent, too.
	b, err := json.Marshal(c.Determinations[0])
	var sent Determination
	if err != nil || json.Unmarshal(b, &sent) != nil || sent.Digest() != good.Determination {
		t.Error("a determination that was sent has another digest")
	}
	// A run that broke down is no evidence.
	void, now := play(t, rules, append(opened(slices.Concat(everyoneJoins, adopterJoins)...), step{dev, Lend{"body", "institute"}, 0},
		step{evaluator, StartRun{"run-1", 0, Manifest{}}, day}, step{evaluator, FinishRun{Run: "run-1", Evidence: digestOf("run"), Void: "the disk was full"}, day})...)
	refused(t, void, adopter, sign(void, adopter, not), now, proofhouse.NotFound)
}

// TestAdopterJoins: another department is shown the case only as the developer agreed to, and not as something else besides.
func TestAdopterJoins(t *testing.T) {
	rules := profile(t, "institute")
	c, now := play(t, rules, opened(everyoneJoins...)...)
	refused(t, c, registrar, Join{adopter}, now, proofhouse.Refused)
	c, now = play(t, rules, opened(append(slices.Clone(everyoneJoins), adopterJoins[0])...)...)
	refused(t, c, registrar, Join{adopter}, now, proofhouse.Refused) // nobody agreed
	c, now = play(t, rules, opened(append(slices.Clone(everyoneJoins), adopterJoins[:2]...)...)...)
	refused(t, c, dev, Join{adopter}, now, proofhouse.Refused)
	for _, o := range []proofhouse.OrganisationID{"lab", "institute", "cyber-centre", "indie", "bank"} {
		refused(t, c, registrar, Join{proofhouse.Actor{Organisation: o, Person: "x", Role: proofhouse.Adopter}}, now, proofhouse.Refused)
	}
	c, _ = play(t, rules, append(consulted(80), adopterJoins...)...)
	seen := fmt.Sprint(c.SeenBy(c.Reader(Person{"treasury", "trudy"})))
	if strings.Contains(seen, "as measured") || !strings.Contains(seen, string(digestOf("run"))) {
		t.Errorf("another department sees %s", seen)
	}
}
