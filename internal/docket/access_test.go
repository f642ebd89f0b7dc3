package docket

import (
	"slices"
	"testing"
	"time"

	"proofhouse/internal/proofhouse"
)

func TestRefusals(t *testing.T) {
	rules := profile(t, "institute")
	c, now := play(t, rules, opened(step{registrar, Join{tester}, 0}, step{registrar, Join{auditor}, 0}, step{dev, Lend{"g1", "institute"}, 0})...)
	for _, r := range []struct {
		name string
		by   proofhouse.Actor
		act  Act
		kind proofhouse.Kind
	}{
		{"a stranger", stranger, Withdraw{}, proofhouse.NotFound},
		{"a developer's name in another role", proofhouse.Actor{Organisation: "lab", Person: "ada", Role: proofhouse.Authority}, Withdraw{}, proofhouse.NotFound},
		{"another body's registrar", proofhouse.Actor{Organisation: "other", Person: "rita", Role: proofhouse.Registrar}, Accept{}, proofhouse.NotFound},
		{"taken up twice", registrar, Accept{}, proofhouse.Conflict},
		{"opened twice", dev, OpenCase{Codename: "heron", Variants: []string{"a"}}, proofhouse.Conflict},
		{"the registrar withdraws", registrar, Withdraw{}, proofhouse.Refused},
		{"the registrar asks in the developer's place", registrar, Ask{}, proofhouse.Refused},
		{"the body lends to itself", registrar, Lend{"g2", "institute"}, proofhouse.Refused},
		{"lent to somebody else", dev, Lend{"g2", "bank"}, proofhouse.Invalid},
		{"a grant's name twice", dev, Lend{"g1", "indie"}, proofhouse.Conflict},
		{"a grant's name in look-alikes", dev, Lend{"gａ", "indie"}, proofhouse.Invalid},
		{"the body as its own partner", dev, Share{Grant: "g2", To: "institute"}, proofhouse.Invalid},
		{"a partner's grant ended as the review's", dev, End{"g9"}, proofhouse.NotFound},
		{"the review's grant ended as a partner's", dev, Unshare{"g1"}, proofhouse.NotFound},
		{"resumed without a pause", dev, ResumeAccess{}, proofhouse.Refused},
		{"an auditor pauses", auditor, PauseAccess{}, proofhouse.Refused},
		{"a registrar adds a developer", registrar, Join{dev2}, proofhouse.Refused},
		{"a developer adds an evaluator", dev, Join{evaluator}, proofhouse.Refused},
		{"a tester of the body", registrar, Join{proofhouse.Actor{Organisation: "institute", Person: "tim", Role: proofhouse.Tester}}, proofhouse.Refused},
		{"a tester of the developer", registrar, Join{proofhouse.Actor{Organisation: "lab", Person: "tim", Role: proofhouse.Tester}}, proofhouse.Refused},
		{"an evaluator of elsewhere", registrar, Join{proofhouse.Actor{Organisation: "other", Person: "tim", Role: proofhouse.Evaluator}}, proofhouse.Refused},
		{"a consultee whom the profile does not name", registrar, Join{proofhouse.Actor{Organisation: "other", Person: "tim", Role: proofhouse.Consultee}}, proofhouse.Refused},
		{"a member twice", registrar, Join{tester}, proofhouse.Conflict},
		{"no such role", registrar, Join{proofhouse.Actor{Organisation: "other", Person: "tim", Role: "judge"}}, proofhouse.Invalid},
		{"the last developer leaves", dev, Leave{dev}, proofhouse.Refused},
		{"the last registrar leaves", registrar, Leave{registrar}, proofhouse.Refused},
		{"the registrar removes the developer", registrar, Leave{dev}, proofhouse.Refused},
		{"no signature on a new end", dev, MoveWindow{End: now.Add(day)}, proofhouse.Invalid},
		{"a signature over another end", dev, MoveWindow{End: now.Add(day), Signed: MoveWindow{End: now.Add(2 * day)}.signed(c.ID).Signed}, proofhouse.Integrity},
		{"a signature from another case", dev, MoveWindow{End: now.Add(day), Signed: MoveWindow{End: now.Add(day)}.signed("case-2").Signed}, proofhouse.Integrity},
		{"longer than the window, without a pause", dev, MoveWindow{End: c.Window.End.Add(time.Second)}.signed(c.ID), proofhouse.Refused},
		{"an end in the past", dev, MoveWindow{End: now.Add(-time.Second)}.signed(c.ID), proofhouse.Invalid},
		{"a note that cannot be seen", dev, Announce{Note: "\u200b"}, proofhouse.Invalid},
		{"no act", dev, nil, proofhouse.Invalid},
	} {
		t.Run(r.name, func(t *testing.T) {
			if r.act == nil {
				if _, err := c.Apply(Event{By: r.by}, now); proofhouse.KindOf(err) != r.kind {
					t.Errorf("got %v", err)
				}
				return
			}
			refused(t, c, r.by, r.act, now, r.kind)
		})
	}
	refused(t, New("case-2", rules), dev, Withdraw{}, now, proofhouse.NotFound)
	refused(t, New("case-2", rules), registrar, Accept{}, now, proofhouse.NotFound)
	for _, o := range []proofhouse.OrganisationID{"institute", "cyber-centre"} {
		by := dev
		by.Organisation = o
		refused(t, New("case-2", rules), by, OpenCase{Codename: "heron", Variants: []string{"a"}}, now, proofhouse.Refused)
	}
}

func TestWindow(t *testing.T) {
	rules := profile(t, "us-order")
	us := func(more ...step) []step {
		nsa := registrar
		nsa.Organisation = "nsa"
		return append([]step{{dev, OpenCase{Codename: "heron", Variants: []string{"deployed"}}, 0}, {nsa, Accept{}, 0}}, more...)
	}
	lend := step{dev, Lend{"g1", "nsa"}, 0}
	for _, c := range []struct {
		name  string
		steps []step
		end   time.Time
	}{
		{"thirty days", us(lend), start.Add(30 * day)},
		{"to the planned release to partners", us(step{dev, Plan{start.Add(10 * day)}, 0}, lend), start.Add(10 * day)},
		{"not beyond thirty days by a later plan", us(step{dev, Plan{start.Add(90 * day)}, 0}, lend), start.Add(30 * day)},
		{"an earlier plan ends it earlier", us(lend, step{dev, Plan{start.Add(5 * day)}, day}), start.Add(5 * day)},
		{"a later plan then moves nothing", us(lend, step{dev, Plan{start.Add(5 * day)}, day}, step{dev, Plan{start.Add(20 * day)}, day}), start.Add(5 * day)},
		{"until the developer signs", us(lend, step{dev, Plan{start.Add(5 * day)}, day}, step{dev, Plan{start.Add(20 * day)}, day}, step{dev, MoveWindow{End: start.Add(20 * day)}.signed("case-1"), 0}), start.Add(20 * day)},
		{"a plan in the past ends it now", us(lend, step{dev, Plan{start.Add(-day)}, day}), start.Add(day)},
		{"a plan taken back changes nothing", us(lend, step{dev, Plan{start.Add(5 * day)}, day}, step{dev, Plan{}, day}), start.Add(5 * day)},
		{"a second grant begins no second window", us(lend, step{dev, Lend{"g2", "nsa"}, 10 * day}), start.Add(30 * day)},
		{"a pause does not move it", us(lend, step{dev, PauseAccess{}, day}, step{dev, ResumeAccess{}, 7 * day}), start.Add(30 * day)},
		{"a pause and a signature do", us(lend, step{dev, PauseAccess{}, day}, step{dev, ResumeAccess{}, 7 * day}, step{dev, MoveWindow{End: start.Add(37 * day)}.signed("case-1"), 0}), start.Add(37 * day)},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, _ := play(t, rules, c.steps...)
			if !got.Window.End.Equal(c.end) {
				t.Errorf("the window ends at %s, want %s", got.Window.End, c.end)
			}
			if s := got.At(c.end.Add(-time.Microsecond)); len(s.Live) == 0 && got.Changed.Before(c.end) {
				t.Error("access has ended before the window")
			}
			if s := got.At(c.end); s.Access != AccessEnded || len(s.Live) != 0 {
				t.Errorf("at the end of the window access is %s, with %d grants", s.Access, len(s.Live))
			}
		})
	}
	// Twenty business days over Christmas would be more than thirty days.
	institute := profile(t, "institute")
	c := Case{Rules: institute, Window: Window{First: time.Date(2026, 12, 10, 9, 0, 0, 0, time.UTC)}}
	if got, want := c.windowEnd(), c.Window.First.Add(30*day); !got.Equal(want) {
		t.Errorf("the window ends at %s, want %s", got, want)
	}
	c, now := play(t, rules, us(lend, step{dev, PauseAccess{}, day}, step{dev, ResumeAccess{}, 7 * day})...)
	refused(t, c, dev, MoveWindow{End: start.Add(37*day + time.Second)}.signed(c.ID), now, proofhouse.Refused)
	refused(t, c, dev, MoveWindow{End: start.Add(31 * day)}.signed(c.ID), start.Add(30*day), proofhouse.Refused)
	refused(t, c, dev, Lend{"g2", "nsa"}, start.Add(30*day), proofhouse.Refused)
}

func TestWithdraw(t *testing.T) {
	c, now := play(t, profile(t, "institute"), opened(
		step{registrar, Join{tester}, 0}, step{dev, Ask{}, 0}, step{dev, Lend{"g1", "institute"}, 0}, step{dev, Lend{"g2", "indie"}, 0},
		step{dev, Share{Grant: "g3", To: "bank"}, day}, step{dev, Withdraw{}, day})...)
	s := c.At(now)
	if s.Engagement != Ended || s.Access != AccessEnded || len(s.Live) != 1 || s.Live[0].ID != "g3" {
		t.Errorf("after the withdrawal: %+v", s)
	}
	for _, g := range c.Grants[:2] {
		if end, ends := c.GrantEnd(g); !ends || !end.Equal(now) {
			t.Errorf("grant %s ends at %s, want %s", g.ID, end, now)
		}
	}
	again, err := c.Apply(Event{dev, Withdraw{}}, now.Add(day))
	if err != nil || !again.Withdrawn.Equal(now) {
		t.Errorf("withdrawn again: %v, at %s", err, again.Withdrawn)
	}
	refused(t, c, dev, Lend{"g4", "institute"}, now, proofhouse.Refused)
	refused(t, c, dev, Ask{}, now, proofhouse.Refused)
}

// TestClockJumps runs the machine's clock back and far forward.
func TestClockJumps(t *testing.T) {
	c, now := play(t, profile(t, "institute"), opened(step{dev, Lend{"g1", "institute"}, 0})...)
	end := c.Window.End
	back, err := c.Apply(Event{dev, PauseAccess{}}, now.Add(-100*day))
	if err != nil || back.Changed.Before(now) || back.Window.Pauses[0].From.Before(now) {
		t.Errorf("a clock that ran back took the case with it: %v, %+v", err, back.Window)
	}
	ahead, err := back.Apply(Event{dev, Announce{Date: now}}, now.Add(10_000*day))
	if err != nil {
		t.Fatal(err)
	}
	if s := ahead.At(now); s.Access != AccessEnded {
		t.Error("access came back when the clock was set right: what has ended has ended")
	}
	if !ahead.Window.End.Equal(end) {
		t.Error("a clock that jumped moved the window")
	}
	if _, err := ahead.Apply(Event{dev, Withdraw{}}, now); err != nil {
		t.Errorf("withdrawing after a jump: %v", err)
	}
}

// TestRegistrarCannotKeepPartnersOut adds a bank as a tester, which is no
// reason why the developer could not share with it.
func TestRegistrarCannotKeepPartnersOut(t *testing.T) {
	bank := proofhouse.Actor{Organisation: "bank", Person: "pat", Role: proofhouse.Tester}
	c, now := play(t, profile(t, "institute"), opened(step{registrar, Join{bank}, 0}, step{dev, Share{Grant: "g1", To: "bank"}, 0}, step{dev, Withdraw{}, day})...)
	if s := c.At(now); len(s.Live) != 1 {
		t.Errorf("the bank's access is gone: %+v", s)
	}
}

// TestEveryone tries each act by each role that the table does not name.
func TestEveryone(t *testing.T) {
	c, now := play(t, profile(t, "institute"), opened(everyoneJoins...)...)
	for _, a := range allActs {
		for _, by := range everyone {
			if !slices.Contains(who(a.Kind()), by) && a.Kind() != KindOpen {
				refused(t, c, by, a, now, proofhouse.Refused)
			}
		}
	}
}
