package docket

import (
	"strings"
	"testing"

	"proofhouse/internal/ledger"
	"proofhouse/internal/proofhouse"
)

// finished is a story to its determination, with more acts put before it.
func finished(t testing.TB, outcome Outcome, departure string, before func(c Case, add func(proofhouse.Actor, Act))) []Record {
	t.Helper()
	keys := map[proofhouse.Actor]*ledger.Key{}
	dir := t.TempDir()
	c, now := New("case-1", profile(t, "institute")), start
	var records []Record
	add := func(by proofhouse.Actor, a Act) {
		t.Helper()
		now = now.Add(1000)
		if keys[by] == nil {
			k, err := ledger.CreateKey(dir, string(by.Person))
			if err != nil {
				t.Fatal(err)
			}
			keys[by] = k
		}
		a, err := c.Sign(Event{by, a}, keys[by])
		if err != nil {
			t.Fatal(err)
		}
		next, err := c.Take(Event{by, a}, now)
		if err != nil {
			t.Fatalf("%s: %v", a.Kind(), err)
		}
		c = next
		records = append(records, c.Record(Event{by, a}))
	}
	for _, s := range opened(everyoneJoins...) {
		add(s.by, s.act)
	}
	for _, by := range []proofhouse.Actor{dev, authority, consultee} {
		k, err := ledger.CreateKey(dir, string(by.Person)+"-key")
		if err != nil {
			t.Fatal(err)
		}
		pem, err := k.PublicKey().PEM()
		if err != nil {
			t.Fatal(err)
		}
		keys[by] = k
		add(by, NameKey{Key: string(pem)})
	}
	add(dev, Ask{})
	add(dev, Lend{"body", "institute"})
	if before != nil {
		before(c, add)
	}
	add(registrar, Register{criteria(), salt})
	add(dev, Countersign{Version: len(c.Registrations)})
	add(evaluator, StartRun{"run-a", len(c.Registrations), criteria().As(cell)})
	add(evaluator, FinishRun{Run: "run-a", Evidence: digestOf("run"), Tally: Tally{Solved: 80, Samples: 100}, Tokens: 700})
	add(registrar, Consult{"cyber-centre"})
	add(consultee, Answer{View: Dissents, Reason: "the tasks are public"})
	add(authority, Determine{Outcome: outcome, Registration: len(c.Registrations), Departure: departure})
	return records
}

func TestVerify(t *testing.T) {
	rules := profile(t, "institute")
	honest := []Metered{{"body", "run-a", 700}}
	explore := func(_ Case, add func(proofhouse.Actor, Act)) {
		add(evaluator, StartRun{"run-0", 0, Manifest{}})
		add(evaluator, FinishRun{Run: "run-0", Evidence: digestOf("first"), Tokens: 50})
	}
	for _, r := range []struct {
		name      string
		outcome   Outcome
		departure string
		before    func(Case, func(proofhouse.Actor, Act))
		metered   []Metered
		follows   bool
		wrong     []string // beginnings, in order
		open      string
	}{
		{"as announced", Covered, "", nil, honest, true, nil, "nothing followed"},
		{"departs", Undetermined, "the tasks are public", nil, honest, false, nil, ""},
		{"no meter", Covered, "", nil, nil, true, nil, "the gate's meter"},
		{"late criteria", Covered, "", explore, append([]Metered{{"body", "run-0", 50}}, honest...), true, []string{"late criteria: when version 1 was registered, 1 run had begun"}, ""},
		{
			"a hidden run", Covered, "", nil, append([]Metered{{"body", "run-x", 9}}, honest...), true,
			[]string{"hidden run: the gate counted 9 tokens for run-x", "9 tokens belong to no run"},
			"",
		},
		{"tokens in no run", Covered, "", nil, append([]Metered{{"body", "", 5}}, honest...), true, []string{"5 tokens belong to no run"}, ""},
		{"a grant that is not of the case", Covered, "", nil, append([]Metered{{"other", "", 5}}, honest...), true, []string{"5 tokens belong to no run"}, ""},
		{"a meter that says less", Covered, "", nil, []Metered{{"body", "run-a", 600}}, true, []string{"the run run-a says another number"}, ""},
	} {
		t.Run(r.name, func(t *testing.T) {
			p, err := Verify(rules, finished(t, r.outcome, r.departure, r.before), r.metered, nil)
			if err != nil {
				t.Fatal(err)
			}
			if len(p.Determinations) != 1 || p.Determinations[0].Follows != r.follows || p.Determinations[0].Dissent != 1 || p.Determinations[0].Countersigned.IsZero() {
				t.Errorf("proved %+v", p.Determinations)
			}
			if len(p.Wrong) != len(r.wrong) {
				t.Fatalf("wrong: %q", p.Wrong)
			}
			for i := range r.wrong {
				if !strings.HasPrefix(p.Wrong[i], r.wrong[i]) {
					t.Errorf("wrong: %q", p.Wrong)
				}
			}
			if !strings.Contains(strings.Join(p.Open, "\n"), r.open) {
				t.Errorf("open: %q", p.Open)
			}
		})
	}
}

// TestVerifyPins holds the signers to keys that the verifier has from elsewhere.
func TestVerifyPins(t *testing.T) {
	rules, records := profile(t, "institute"), finished(t, Covered, "", nil)
	p, err := Verify(rules, records, nil, nil)
	if err != nil || len(p.Signers) != 3 || p.Signers[0].By != dev || p.Signers[0].Signed != 1 || p.Signers[0].Pinned {
		t.Fatalf("%+v, %v", p.Signers, err)
	}
	right := map[proofhouse.OrganisationID][]string{"lab": {p.Signers[0].KeyID}}
	if p, err := Verify(rules, records, nil, right); err != nil || !p.Signers[0].Pinned || len(p.Wrong) != 0 {
		t.Errorf("with the right key: %+v, %q, %v", p.Signers, p.Wrong, err)
	}
	// The house itself named a key for the developer, and signed with it.
	if p, err := Verify(rules, records, nil, map[proofhouse.OrganisationID][]string{"lab": {"0123"}}); err != nil || len(p.Wrong) != 1 || p.Signers[0].Pinned {
		t.Errorf("with another key: %+v, %q, %v", p.Signers, p.Wrong, err)
	}
	if _, err := Verify(profile(t, "board"), records, nil, nil); proofhouse.KindOf(err) != proofhouse.Integrity {
		t.Errorf("under other rules: %v", err)
	}
	if _, err := Verify(rules, nil, nil, nil); proofhouse.KindOf(err) != proofhouse.Integrity {
		t.Errorf("no records: %v", err)
	}
}
