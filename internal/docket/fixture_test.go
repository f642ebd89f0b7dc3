package docket

import (
	"testing"
	"time"

	"proofhouse/internal/proofhouse"
)

// The people of the tests.
var (
	dev         = proofhouse.Actor{Organisation: "lab", Person: "ada", Role: proofhouse.Developer}
	dev2        = proofhouse.Actor{Organisation: "lab", Person: "bob", Role: proofhouse.Developer}
	registrar   = proofhouse.Actor{Organisation: "institute", Person: "rita", Role: proofhouse.Registrar}
	evaluator   = proofhouse.Actor{Organisation: "institute", Person: "eve", Role: proofhouse.Evaluator}
	authority   = proofhouse.Actor{Organisation: "institute", Person: "otto", Role: proofhouse.Authority}
	security    = proofhouse.Actor{Organisation: "institute", Person: "sam", Role: proofhouse.SecurityOfficer}
	coordinator = proofhouse.Actor{Organisation: "institute", Person: "cora", Role: proofhouse.Coordinator}
	consultee   = proofhouse.Actor{Organisation: "cyber-centre", Person: "carl", Role: proofhouse.Consultee}
	sister      = proofhouse.Actor{Organisation: "sister-institute", Person: "sue", Role: proofhouse.Consultee}
	tester      = proofhouse.Actor{Organisation: "indie", Person: "tess", Role: proofhouse.Tester}
	partner     = proofhouse.Actor{Organisation: "bank", Person: "pat", Role: proofhouse.Partner}
	auditor     = proofhouse.Actor{Organisation: "audit", Person: "al", Role: proofhouse.Auditor}
	stranger    = proofhouse.Actor{Organisation: "other", Person: "sid", Role: proofhouse.Developer}
)

// start is a Monday.
var start = time.Date(2026, 6, 1, 9, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

// step is an event of a history; after is the time since the one before.
type step struct {
	by    proofhouse.Actor
	act   Act
	after time.Duration
}

// play applies steps to a new case from start on, and all must be permitted.
func play(t testing.TB, rules *Profile, steps ...step) (Case, time.Time) {
	t.Helper()
	c, now := New("case-1", rules), start
	for i, s := range steps {
		now = now.Add(s.after)
		next, err := c.Apply(Event{s.by, s.act}, now)
		if err != nil {
			t.Fatalf("step %d, %s: %v", i+1, s.act.Kind(), err)
		}
		c = next
	}
	return c, now
}

// opened is a case that the body has taken up.
func opened(more ...step) []step {
	return append([]step{
		{dev, OpenCase{Codename: "heron", Variants: []string{"deployed", "helpful-only"}}, 0},
		{registrar, Accept{}, time.Hour},
	}, more...)
}

// signed is a's signature by whoever; whose it is, the ledger checks.
func (a MoveWindow) signed(id proofhouse.CaseID) MoveWindow {
	a.Signed = Signature{Over: a.ToSign(id), Bytes: []byte("signature")}
	return a
}

// refused applies an event that must be refused with kind, and changes nothing.
func refused(t testing.TB, c Case, by proofhouse.Actor, a Act, now time.Time, kind proofhouse.Kind) {
	t.Helper()
	next, err := c.Apply(Event{by, a}, now)
	if err == nil || proofhouse.KindOf(err) != kind {
		t.Errorf("%s by a %s: got %v, want %s", a.Kind(), by.Role, err, kind)
	}
	if next.Version != c.Version {
		t.Errorf("%s was refused and changed the case", a.Kind())
	}
}
