package docket

import (
	"slices"
	"strings"
	"testing"

	"proofhouse/internal/proofhouse"
)

func TestDetermine(t *testing.T) {
	rules := profile(t, "institute")
	determine := Determine{Outcome: Covered, Registration: 1}
	without := func(kind Kind, steps []step) []step {
		return slices.DeleteFunc(slices.Clone(steps), func(s step) bool { return s.act.Kind() == kind })
	}
	end := step{dev, Announce{}, 60 * day} // lets the window end
	for _, r := range []struct {
		name  string
		steps []step
		by    proofhouse.Actor
		act   Determine
		kind  proofhouse.Kind
		want  string
	}{
		{"nothing was asked", without(KindConsult, without(KindAnswer, without(KindAsk, consulted(80)))), authority, determine, proofhouse.Refused, "must be open"},
		{"the evaluator signs", consulted(80), evaluator, determine, proofhouse.Refused, "for authority"},
		{"the developer signs", consulted(80), dev, determine, proofhouse.Refused, "for authority"},
		{"no criteria", consulted(80), authority, Determine{Outcome: Covered, Registration: 2}, proofhouse.NotFound, "no version 2"},
		{"no consultation", evaluated(80), authority, determine, proofhouse.Refused, "neither answered nor been waived"},
		{"no answer", without(KindAnswer, consulted(80)), authority, determine, proofhouse.Refused, "neither answered nor been waived"},
		{"an optional consultee was asked and did not answer", append(consulted(80), step{registrar, Consult{"sister-institute"}, 0}), authority, determine, proofhouse.Refused, "sister-institute"},
		{"no evidence while there is access", without(KindStartRun, without(KindFinishRun, consulted(80))), authority, determine, proofhouse.Refused, "access has not ended"},
		{"a run goes on", without(KindFinishRun, consulted(80)), authority, determine, proofhouse.Refused, "has not finished"},
		{"a run goes on after the window", append(without(KindFinishRun, consulted(80)), end), authority, determine, proofhouse.Refused, "has not finished"},
		{"departs without a reason", consulted(50), authority, determine, proofhouse.Invalid, `proposes "undetermined"`},
		{"a reason and no departure", consulted(80), authority, Determine{Outcome: Covered, Registration: 1, Departure: "so"}, proofhouse.Invalid, "nothing to depart"},
		{"no such outcome", consulted(80), authority, Determine{Outcome: "approved", Registration: 1}, proofhouse.Invalid, "the outcome is"},
		{"a later version is countersigned", append(consulted(80), step{registrar, Register{criteria(), Salt{9}}, 0}, step{dev, Countersign{Version: 2}, 0}), authority, determine, proofhouse.Refused, "a later version"},
		{"withdrawn", append(consulted(80), step{dev, Withdraw{}, 0}), authority, determine, proofhouse.Refused, "withdrawn"},
		{"determined already", append(consulted(80), step{authority, determine, 0}), authority, determine, proofhouse.Refused, "it is determined"},
	} {
		t.Run(r.name, func(t *testing.T) {
			c, now := play(t, rules, r.steps...)
			_, err := c.Apply(Event{r.by, sign(c, r.by, r.act)}, now)
			if err == nil || proofhouse.KindOf(err) != r.kind || !strings.Contains(proofhouse.PublicOf(err), r.want) {
				t.Errorf("got %v, want %s with %q", err, r.kind, r.want)
			}
		})
	}

	t.Run("not countersigned", func(t *testing.T) {
		c, now := play(t, rules, without(KindCountersign, append(consulted(80), end))...)
		if got := c.Runs[0].Exploratory; !slices.Equal(got, []string{"not countersigned"}) {
			t.Errorf("the run is exploratory for %v", got)
		}
		refused(t, c, authority, sign(c, authority, Determine{Outcome: Undetermined, Registration: 1}), now, proofhouse.Refused)
	})
	t.Run("unsigned, and signed before another answer", func(t *testing.T) {
		c, now := play(t, rules, consulted(80)...)
		refused(t, c, authority, determine, now, proofhouse.Invalid)
		early := sign(c, authority, determine)
		c, now = play(t, rules, append(consulted(80), step{registrar, Consult{"sister-institute"}, 0}, step{sister, Answer{View: Dissents, Reason: "too few tasks"}, 0})...)
		refused(t, c, authority, early, now, proofhouse.Integrity)
	})
	t.Run("whoever measured", func(t *testing.T) {
		eve := evaluator
		eve.Role = proofhouse.Authority
		c, now := play(t, rules, append(consulted(80), step{registrar, Join{eve}, 0})...)
		refused(t, c, eve, sign(c, eve, determine), now, proofhouse.Refused)
	})

	for _, r := range []struct {
		name     string
		steps    []step
		outcome  Outcome
		reason   string
		proposed Outcome
	}{
		{"follows, covered", consulted(80), Covered, "", Covered},
		{"follows, not covered", consulted(20), NotCovered, "", NotCovered},
		{"follows, undetermined", consulted(50), Undetermined, "", Undetermined},
		{"departs", consulted(50), Covered, "the hardest tasks were solved", Undetermined},
		{"waived", append(evaluated(80), step{registrar, Consult{"cyber-centre"}, 0}, step{authority, Waive{Organisation: "cyber-centre", Reason: "no answer in ten days"}, 10 * day}), Covered, "", Covered},
		{"dissent is kept and stops nothing", append(evaluated(80), step{registrar, Consult{"cyber-centre"}, 0}, step{consultee, Answer{View: Dissents, Reason: "no"}, 0}), Covered, "", Covered},
		{"no evidence, after access has ended", append(without(KindStartRun, without(KindFinishRun, consulted(80))), end), Undetermined, "", Undetermined},
		{"no access at all", without(KindLend, without(KindStartRun, without(KindFinishRun, consulted(80)))), Undetermined, "", Undetermined},
		{"a red-team report counts for nothing", append(consulted(50), step{dev, Attach{digestOf("report"), "red-team report", "by Redteam Ltd, handed over by the developer"}, 0}), Undetermined, "", Undetermined},
		{"an exploratory run counts for nothing", append(consulted(50), step{evaluator, StartRun{"run-2", 0, Manifest{}}, 0}, step{evaluator, FinishRun{Run: "run-2", Evidence: digestOf("x"), Tally: Tally{Solved: 100, Samples: 100}}, 0}), Undetermined, "", Undetermined},
		{"a repeated run counts for nothing", append(consulted(50), step{evaluator, StartRun{"run-2", 1, criteria().As(cell)}, 0}, step{evaluator, FinishRun{Run: "run-2", Evidence: digestOf("x"), Tally: Tally{Solved: 100, Samples: 100}}, 0}), Undetermined, "", Undetermined},
	} {
		t.Run(r.name, func(t *testing.T) {
			c, now := play(t, rules, append(r.steps, step{authority, Determine{Outcome: r.outcome, Registration: 1, Departure: r.reason}, 0})...)
			d := c.Determinations[0]
			if d.Proposed != r.proposed || d.Outcome != r.outcome || d.Follows() != (r.reason == "") || d.Departure != r.reason || d.Version != 1 {
				t.Errorf("determined %+v", d)
			}
			if s := c.At(now); s.Engagement != Determined {
				t.Errorf("the engagement is %s", s.Engagement)
			}
			// A withdrawal afterwards leaves it as it was.
			w, err := c.Apply(Event{dev, Withdraw{}}, now)
			if err != nil || len(w.Determinations) != 1 || w.At(now).Engagement != Determined {
				t.Errorf("after a withdrawal: %v, %+v", err, w.Determinations)
			}
		})
	}
}

// TestRuns holds what makes a run count.
func TestRuns(t *testing.T) {
	rules := profile(t, "institute")
	ready := evaluated(80)[:len(evaluated(80))-2]
	change := func(f func(*Manifest)) Manifest { m := criteria().As(cell); f(&m); return m }
	for _, r := range []struct {
		name string
		m    Manifest
		want []string
	}{
		{"as registered", criteria().As(cell), nil},
		{"another suite", change(func(m *Manifest) { m.Suites = []SuiteCommitment{{"open-1", digestOf("other"), 100}} }), []string{"suites"}},
		{"a suite left out", change(func(m *Manifest) { m.Suites = nil }), []string{"suites"}},
		{"another variant", change(func(m *Manifest) { m.Variant = "deployed" }), []string{"variant"}},
		{"another prompt", change(func(m *Manifest) { m.Agent.Elicitation = digestOf("better prompts") }), []string{"agent"}},
		{"a larger budget", change(func(m *Manifest) { m.Budget.Tokens++ }), []string{"budget"}},
		{"more epochs", change(func(m *Manifest) { m.Epochs = 2 }), []string{"epochs"}},
		{"another analysis", change(func(m *Manifest) { m.Analysis = "2" }), []string{"analysis"}},
		{"an exclusion", change(func(m *Manifest) { m.Exclusions = []string{"task 3"} }), []string{"exclusions"}},
	} {
		t.Run(r.name, func(t *testing.T) {
			c, _ := play(t, rules, append(ready, step{evaluator, StartRun{"run-1", 1, r.m}, 0}, step{evaluator, FinishRun{Run: "run-1", Evidence: digestOf("x"), Tally: Tally{Solved: 80, Samples: 100}}, 0})...)
			if got := c.Runs[0]; !slices.Equal(got.Exploratory, r.want) || got.Counts() != (r.want == nil) {
				t.Errorf("exploratory for %v, want %v", got.Exploratory, r.want)
			}
		})
	}
	c, now := play(t, rules, append(ready, step{evaluator, StartRun{"run-1", 1, criteria().As(cell)}, 0})...)
	refused(t, c, tester, FinishRun{Run: "run-1", Evidence: digestOf("x")}, now, proofhouse.NotFound)
	refused(t, c, tester, StartRun{"run-2", 1, criteria().As(cell)}, now, proofhouse.Refused) // without a grant
	refused(t, c, evaluator, StartRun{"run-1", 1, criteria().As(cell)}, now, proofhouse.Conflict)
	refused(t, c, evaluator, StartRun{"run-2", 7, criteria().As(cell)}, now, proofhouse.NotFound)
	refused(t, c, evaluator, StartRun{"run-2", 1, criteria().As(cell)}, c.Window.End, proofhouse.Refused)
	for _, bad := range []Tally{{Solved: 2, Samples: 1}, {Solved: -1, Samples: 1}, {Solved: 1, Excluded: 1, Samples: 1}, {Samples: -1}, {Excluded: -1}} {
		refused(t, c, evaluator, FinishRun{Run: "run-1", Evidence: digestOf("x"), Tally: bad}, now, proofhouse.Invalid)
	}
	refused(t, c, evaluator, FinishRun{Run: "run-1", Evidence: "x"}, now, proofhouse.Invalid)

	finish := func(f FinishRun) Run {
		t.Helper()
		f.Run, f.Evidence = "run-1", digestOf("x")
		next, err := c.Apply(Event{evaluator, f}, now)
		if err != nil {
			t.Fatal(err)
		}
		return next.Runs[0]
	}
	if r := finish(FinishRun{Tally: Tally{Solved: 80, Samples: 99}}); r.Counts() || !slices.Equal(r.Exploratory, []string{"samples"}) {
		t.Errorf("a run that was cut short: %+v", r)
	}
	if r := finish(FinishRun{Void: "the host's disk was full"}); r.Counts() {
		t.Errorf("a void run counts: %+v", r)
	}
	w, err := c.Apply(Event{dev, Withdraw{}}, now)
	if err != nil {
		t.Fatal(err)
	}
	w, err = w.Apply(Event{evaluator, FinishRun{Run: "run-1", Evidence: digestOf("x"), Tally: Tally{Solved: 80, Samples: 100}, Tokens: 5}}, now)
	if err != nil || w.Runs[0].Counts() || w.Runs[0].Tally != (Tally{}) || w.Runs[0].Tokens != 5 {
		t.Errorf("a run that finishes after the withdrawal: %v, %+v", err, w.Runs)
	}
	// A tester's run, outside a reconsideration, is its own.
	c, _ = play(t, rules, append(ready, step{dev, Lend{"tester", "indie"}, 0}, step{tester, StartRun{"run-1", 1, criteria().As(cell)}, 0})...)
	if got := c.Runs[0].Exploratory; !slices.Equal(got, []string{"not by the body"}) {
		t.Errorf("a tester's run is exploratory for %v", got)
	}
	// A void run can be repeated, and both are on record.
	c, _ = play(t, rules, append(ready,
		step{evaluator, StartRun{"run-1", 1, criteria().As(cell)}, 0}, step{evaluator, FinishRun{Run: "run-1", Evidence: digestOf("x"), Void: "a disk was full"}, 0},
		step{evaluator, StartRun{"run-2", 1, criteria().As(cell)}, 0}, step{evaluator, FinishRun{Run: "run-2", Evidence: digestOf("x"), Tally: Tally{Solved: 80, Samples: 100}}, 0})...)
	if !c.Runs[1].Counts() || len(c.Runs) != 2 {
		t.Errorf("after a void run: %+v", c.Runs)
	}
	// Criteria that come when runs have been seen say so.
	c, _ = play(t, rules, append(evaluated(50), step{registrar, Register{criteria(), Salt{2}}, 0})...)
	if c.Registrations[0].Seen != 0 || c.Registrations[1].Seen != 1 || c.Registrations[1].Version != 2 {
		t.Errorf("late criteria: %+v", c.Registrations)
	}
	if c.Registrations[0].Commitment == c.Registrations[1].Commitment {
		t.Error("two salts give one commitment")
	}
}

func TestReconsider(t *testing.T) {
	rules := profile(t, "institute")
	again := append(consulted(80), step{authority, Determine{Outcome: Covered, Registration: 1}, 0}, step{dev, Reconsider{"the tasks are public"}, day})
	appointed := append(slices.Clone(again), step{registrar, Appoint{"indie"}, 0}, step{dev, Lend{"tester", "indie"}, 0})
	run := func(by proofhouse.Actor, version, solved int) []step {
		return []step{{by, StartRun{"run-2", version, criteria().As(cell)}, 0}, {by, FinishRun{Run: "run-2", Evidence: digestOf("again"), Tally: Tally{Solved: solved, Samples: 100}}, day}}
	}
	c, now := play(t, rules, again...)
	if s := c.At(now); s.Engagement != Reconsidering {
		t.Errorf("the engagement is %s", s.Engagement)
	}
	refused(t, c, registrar, Appoint{"institute"}, now, proofhouse.Invalid)
	refused(t, c, registrar, Register{criteria(), salt}, now, proofhouse.Refused)
	refused(t, c, authority, sign(c, authority, Determine{Outcome: Covered, Registration: 1}), now, proofhouse.Refused)

	c, now = play(t, rules, append(appointed, run(tester, 1, 20)...)...)
	if !c.Runs[1].Counts() || c.Runs[1].Round != 1 {
		t.Errorf("the tester's run does not count: %+v", c.Runs[1])
	}
	// The first round's answers are of the first round.
	_, err := c.Apply(Event{authority, sign(c, authority, Determine{Outcome: NotCovered, Registration: 1})}, now)
	if err == nil || !strings.Contains(proofhouse.PublicOf(err), "neither answered nor been waived") {
		t.Errorf("determined again without a second consultation: %v", err)
	}
	c, now = play(t, rules, append(append(appointed, run(tester, 1, 20)...), step{registrar, Consult{"cyber-centre"}, 0}, step{consultee, Answer{View: Agrees, Reason: "yes"}, 0}, step{authority, Determine{Outcome: NotCovered, Registration: 1}, 0})...)
	if len(c.Determinations) != 2 || c.Determinations[0].Outcome != Covered || c.Determinations[1].Outcome != NotCovered || !c.Determinations[1].Follows() || c.Determinations[1].Runs[0] != "run-2" {
		t.Errorf("the determinations are %+v", c.Determinations)
	}
	refused(t, c, registrar, Appoint{"indie"}, now, proofhouse.Refused)
	c, _ = play(t, rules, append(appointed, run(evaluator, 1, 80)...)...)
	if c.Runs[1].Counts() {
		t.Error("the body's run counts in a reconsideration by a tester")
	}
	late := slices.Insert(slices.Clone(appointed), len(consulted(80)), step{registrar, Register{criteria(), Salt{9}}, 0})
	c, _ = play(t, rules, append(append(late, step{dev, Countersign{Version: 2}, 0}), run(tester, 2, 20)...)...)
	if c.Runs[1].Counts() {
		t.Error("a run under other criteria counts in a reconsideration")
	}
	// A tester that measured before is not independent.
	before := append(consulted(80)[:len(consulted(80))-2], step{dev, Lend{"tester", "indie"}, 0}, step{tester, StartRun{"run-0", 0, Manifest{}}, 0},
		step{tester, FinishRun{Run: "run-0", Evidence: digestOf("x")}, 0}, step{registrar, Consult{"cyber-centre"}, 0}, step{consultee, Answer{View: Agrees, Reason: "yes"}, 0},
		step{authority, Determine{Outcome: Covered, Registration: 1}, 0}, step{dev, Reconsider{"the tasks are public"}, day})
	c, now = play(t, rules, before...)
	refused(t, c, registrar, Appoint{"indie"}, now, proofhouse.Refused)
}

func TestAccount(t *testing.T) {
	c, _ := play(t, profile(t, "institute"), append(evaluated(80),
		step{dev, Lend{"tester", "indie"}, 0}, step{dev, Share{Grant: "own", To: "bank"}, 0},
		step{evaluator, StartRun{"run-2", 0, Manifest{}}, 0}, step{evaluator, FinishRun{Run: "run-2", Evidence: digestOf("x"), Tokens: 40}, 0})...)
	got := c.Account([]Metered{
		{"body", "run-1", 3}, {"body", "run-1", 4}, // as the run says
		{"body", "run-2", 30},    // the run says 40
		{"body", "", 100},        // the body, in no run
		{"body", "run-9", 200},   // a hidden run
		{"own", "run-1", 400},    // a partner's tokens under the body's run
		{"tester", "", 1000},     // a tester's own work
		{"own", "", 2000},        // a partner's
		{"elsewhere", "", 10000}, // a grant that the case does not know
	})
	if got.Registered != 7 || got.Exploratory != 30 || got.Outside != 3000 || got.Remainder != 10700 || !slices.Equal(got.Differ, []proofhouse.RunID{"run-2"}) {
		t.Errorf("the accounts are %+v", got)
	}
}

func TestClocks(t *testing.T) {
	c, now := play(t, profile(t, "institute"), append(consulted(80), step{authority, Determine{Outcome: Covered, Registration: 1}, 0}, step{dev, Reconsider{"no"}, day})...)
	for _, k := range c.Clocks() {
		if k.Late(now) {
			t.Errorf("%s is late: %+v", k.What, k)
		}
		if open := k.What == "the reconsideration"; k.Met.IsZero() != open || k.Late(now.Add(60*day)) != open {
			t.Errorf("%s: %+v", k.What, k)
		}
	}
	if n := len(c.Clocks()); n != 4 {
		t.Errorf("there are %d clocks", n)
	}
	w, err := c.Apply(Event{dev, Withdraw{}}, now)
	if err != nil || len(w.Clocks()) != 3 {
		t.Errorf("after the withdrawal the body owes: %v %+v", err, w.Clocks())
	}
}
