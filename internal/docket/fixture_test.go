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
	adopter     = proofhouse.Actor{Organisation: "treasury", Person: "trudy", Role: proofhouse.Adopter}
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
		next, err := c.Apply(Event{s.by, sign(c, s.by, s.act)}, now)
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

// signed is a's signature by whoever, in a case of that name.
func (a MoveWindow) signed(id proofhouse.CaseID) MoveWindow {
	return sign(Case{ID: id}, dev, a).(MoveWindow)
}

// testKey is a public key that nobody signs with.
const testKey = `-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=
-----END PUBLIC KEY-----
`

// everyoneJoins makes all people of the tests members.
var everyoneJoins = []step{
	{registrar, Join{evaluator}, 0},
	{registrar, Join{authority}, 0},
	{registrar, Join{security}, 0},
	{registrar, Join{coordinator}, 0},
	{registrar, Join{consultee}, 0},
	{registrar, Join{sister}, 0},
	{registrar, Join{tester}, 0},
	{registrar, Join{auditor}, 0},
	{dev, Join{partner}, 0},
}

// adopterJoins makes somebody of another department a member, as the developer's terms allow.
var adopterJoins = []step{
	{dev, Offer{Terms{Marking: proofhouse.Amber, Share: []proofhouse.Role{proofhouse.Adopter}}}, 0},
	{registrar, Agree{1}, 0},
	{registrar, Join{adopter}, 0},
}

// digestOf is a digest of nothing in particular.
func digestOf(s string) proofhouse.Digest { return proofhouse.DigestOf([]byte(s)) }

// criteria are of one cell: 100 tasks once, covered above a half.
func criteria() Criteria {
	return Criteria{
		Suites: []SuiteCommitment{{"open-1", digestOf("suite"), 100}}, Variants: []string{"helpful-only"},
		Agents: []Agent{{"react", digestOf("prompts")}}, Budget: Budget{Tokens: 1_000_000}, Epochs: 1, Threshold: 500_000, Rule: FixedSample,
		Level: 950_000, Analysis: "1", Exclusions: []string{},
	}
}

var salt = Salt{1}

var cell = Cell{"helpful-only", "react"}

// sign gives an act its signature, over what it says in the case as it is.
func sign(c Case, by proofhouse.Actor, a Act) Act {
	if text, ok := c.ToSign(Event{by, a}); ok {
		return WithSignature(a, Signature{Over: proofhouse.DigestOf(text), Bytes: []byte("signature")})
	}
	return a
}

// evaluated is a case with evidence: solved of the 100 tasks.
func evaluated(solved int) []step {
	return append(opened(everyoneJoins...),
		step{dev, Ask{}, 0}, step{registrar, Register{criteria(), salt}, day}, step{dev, Countersign{Version: 1}, 0}, step{dev, Lend{"body", "institute"}, 0},
		step{evaluator, StartRun{"run-1", 1, criteria().As(cell)}, day},
		step{evaluator, FinishRun{Run: "run-1", Evidence: digestOf("run"), Tally: Tally{Solved: solved, Samples: 100}, Tokens: 7}, day},
	)
}

// consulted is evaluated, and the required consultee agrees.
func consulted(solved int) []step {
	return append(evaluated(solved), step{registrar, Consult{"cyber-centre"}, 0}, step{consultee, Answer{View: Agrees, Reason: "as measured"}, day})
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
