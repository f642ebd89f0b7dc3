package docket

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"proofhouse/internal/proofhouse"
)

// TestHistories makes up histories of cases and holds every clock of each, and
// access at many times, to what slowCase works out by hand.
func TestHistories(t *testing.T) {
	histories := 1_000_000
	if testing.Short() || race {
		histories = 20_000
	}
	rules := madeUpRules(t)
	var wg sync.WaitGroup
	workers := runtime.GOMAXPROCS(0)
	var met [8]map[string]int
	for w := range min(workers, len(met)) {
		met[w] = map[string]int{}
		wg.Go(func() {
			for i := w; i < histories && !t.Failed(); i += min(workers, len(met)) {
				history(t, rand.New(rand.NewPCG(uint64(i), 4)), rules, met[w])
			}
		})
	}
	wg.Wait()
	all := map[string]int{}
	for _, m := range met {
		for what, n := range m {
			all[what] += n
		}
	}
	t.Log(all)
	for _, what := range []string{"open", "paused", "ended", "none", "moved", "clock", "late", "the determination", "the reconsideration", "the answer of cyber-centre", "the answer to the nomination of bank", "the answer to the appeal for bank"} {
		if all[what] < histories/300 {
			t.Errorf("only %d histories came to %q", all[what], what)
		}
	}
}

// ruled is a profile with what the count by hand needs to know of it.
type ruled struct {
	*Profile
	zone     *slowZone
	holidays map[slowDate]bool
}

func madeUpRules(t *testing.T) []ruled {
	r := rand.New(rand.NewPCG(3, 3))
	days := func(most int) Days {
		if r.IntN(2) == 0 {
			return BusinessDays(1 + r.IntN(most))
		}
		return CalendarDays(1 + r.IntN(most))
	}
	var all []ruled
	for range 300 {
		p := *profile(t, "institute")
		z := slowZones[r.IntN(len(slowZones))]
		p.Window = days(30)
		p.Clocks = Clocks{days(9), days(9), days(40), days(20), days(9), days(9)}
		p.Calendar = Calendar{Zone: zone(t, z.name), Holidays: map[Date]bool{}}
		slow := map[slowDate]bool{}
		for range 300 {
			d := slowDateOf(19_700 + r.Int64N(4_000))
			slow[d], p.Calendar.Holidays[Date{d.year, time.Month(d.month), d.day}] = true, true
		}
		all = append(all, ruled{&p, z, slow})
	}
	return all
}

// slowCase is what one must remember of a case to know its clocks.
type slowCase struct {
	ruled
	opened, accepted, asked, first, end, plan, withdrawn time.Time
	pauses                                               [][2]time.Time

	consulted, answered, determined, reasked, nominated, declined, appealed, decided time.Time
	ended                                                                            map[GrantID]time.Time
}

func (s slowCase) after(from time.Time, days Days) time.Time {
	return slowAfter(from, days, s.zone, s.holidays)
}

// took notes an act that the case has taken.
func (s *slowCase) took(a Act, now time.Time) {
	switch a := a.(type) {
	case Accept:
		s.accepted = now
	case Ask:
		s.asked = now
	case Plan:
		s.plan = a.Date
		if !s.first.IsZero() && s.withdrawn.IsZero() && now.Before(s.end) && !a.Date.IsZero() && a.Date.Before(s.end) {
			s.end = a.Date
			if a.Date.Before(now) {
				s.end = now
			}
		}
	case Lend:
		if s.first.IsZero() {
			s.first, s.end = now, s.after(now, s.Window)
			for _, other := range []time.Time{s.after(now, CalendarDays(30)), s.plan} {
				if !other.IsZero() && other.Before(s.end) {
					s.end = other
				}
			}
		}
	case End:
		if s.ended[a.Grant].IsZero() {
			s.ended[a.Grant] = now
		}
	case PauseAccess:
		s.pauses = append(s.pauses, [2]time.Time{now})
	case ResumeAccess:
		s.pauses[len(s.pauses)-1][1] = now
	case MoveWindow:
		s.end = a.End
	case Consult:
		s.consulted = now
	case Answer:
		s.answered = now
	case Determine:
		s.determined = now
	case Reconsider:
		s.reasked = now
	case Nominate:
		s.nominated = now
	case Decline:
		s.declined = now
	case Appeal:
		s.appealed = now
	case Sponsor:
		s.decided = now
	case Withdraw:
		if s.withdrawn.IsZero() {
			s.withdrawn = now
		}
	}
}

// access says whether a review's grant opens the model at a time after the last act.
func (s slowCase) access(at time.Time) Access {
	if s.first.IsZero() {
		return NoAccess
	}
	if !s.withdrawn.IsZero() || !at.Before(s.end) {
		return AccessEnded
	}
	if n := len(s.pauses); n > 0 && s.pauses[n-1][1].IsZero() {
		return AccessPaused
	}
	return AccessOpen
}

func history(t *testing.T, r *rand.Rand, rules []ruled, met map[string]int) {
	s := slowCase{ruled: rules[r.IntN(len(rules))], ended: map[GrantID]time.Time{}}
	now := time.Unix(1_710_000_000+r.Int64N(300_000_000), 0).UTC()
	s.opened = now
	c := New("case-1", s.Profile)
	c.Opened, c.Changed, c.Codename, c.Members = now, now, "heron", everyone
	// A sixth of the histories are mostly of the other clocks.
	others, events := r.IntN(6) == 0, 4+r.IntN(5)
	if others {
		events += 6
		c.Registrations = countersigned
		c.PartnerCriteria = []PartnerCriteria{{Version: 1, Agreed: now, Criteria: []Criterion{{ID: "defends"}, {ID: "secure"}}}}
	}
	if r.IntN(4) > 0 {
		c.Accepted, s.accepted = now, now
	}
	for range events {
		now = now.Add(time.Duration(r.Int64N(int64(5*86400))) * time.Second)
		e := someEvent(r, c, now)
		if others && r.IntN(6) > 0 {
			e = otherEvent(r, c)
		}
		next, err := c.Apply(e, now)
		if err != nil {
			if e.By == dev && (e.Act.Kind() == KindWithdraw || e.Act.Kind() == KindAnnounce) {
				t.Errorf("the developer could not %s: %v", e.Act.Kind(), err)
			}
			continue
		}
		if m, moved := e.Act.(MoveWindow); moved {
			met["moved"]++
			lost := time.Duration(0)
			for _, p := range s.pauses {
				if p[1].IsZero() {
					p[1] = now
				}
				lost += p[1].Sub(p[0])
			}
			if latest := s.after(s.first, s.Window).Add(lost); m.End.After(latest) {
				t.Errorf("the window was moved to %s, %s at the latest", m.End, latest)
			}
		}
		c = next
		s.took(e.Act, now)
		if s.first.IsZero() != c.Window.First.IsZero() || !s.first.IsZero() && !c.Window.End.Equal(s.end) {
			t.Errorf("after %s, the window ends at %s, by hand %s: %+v", e.Act.Kind(), c.Window.End, s.end, c.Window)
			return
		}
	}
	for _, after := range []time.Duration{0, time.Duration(r.Int64N(int64(20 * day))), 400 * day} {
		at := exact(now.Add(after))
		got := c.At(at)
		if want := s.access(at); got.Access != want {
			t.Errorf("access at %s is %s, by hand %s", at, got.Access, want)
		}
		met[string(got.Access)]++
		for _, id := range []GrantID{"body", "tester"} {
			_, there := c.find(id)
			if want := there && got.Access == AccessOpen && (s.ended[id].IsZero() || at.Before(s.ended[id])); isLive(got, id) != want {
				t.Errorf("the grant %s is live: %v", id, !want)
			}
		}
	}
	for _, k := range c.Clocks() {
		from, days, done := s.due(k.What)
		if !k.From.Equal(from) || !k.Due.Equal(s.after(from, days)) || !k.Met.Equal(done) {
			t.Errorf("the clock for %s runs from %s to %s, met %s; by hand from %s to %s, met %s", k.What, k.From, k.Due, k.Met, from, s.after(from, days), done)
		}
		met["clock"]++
		met[k.What]++
		if k.Late(now) {
			met["late"]++
		}
	}
}

// due is from when a clock runs, how long, and when it was met.
func (s slowCase) due(what string) (from time.Time, days Days, done time.Time) {
	switch what {
	case "taking up the case":
		return s.opened, s.Clocks.Acceptance, s.accepted
	case "the determination":
		return s.asked, s.Clocks.Determination, s.determined
	case "the answer of cyber-centre":
		return s.consulted, s.Clocks.Consultation, s.answered
	case "the answer to the nomination of bank":
		return s.nominated, s.Clocks.PartnerAnswer, s.declined
	case "the answer to the appeal for bank":
		return s.appealed, s.Clocks.PartnerAppeal, s.decided
	case "the reconsideration":
		return s.reasked, s.Clocks.Reconsideration, time.Time{}
	}
	panic(fmt.Sprintf("a clock for %s", what))
}

// someEvent is an event of those that have to do with time.
func someEvent(r *rand.Rand, c Case, now time.Time) Event {
	in := func(days int64) time.Time { return now.Add(time.Duration(r.Int64N(days*86400)) * time.Second) }
	switch r.IntN(14) {
	case 0, 1:
		return Event{registrar, Accept{}}
	case 2:
		return Event{dev, Ask{}}
	case 3:
		return Event{dev, Plan{in(60).Add(-5 * day)}}
	case 4, 5, 6:
		return Event{dev, Lend{"body", "institute"}}
	case 7:
		return Event{dev, Lend{"tester", "indie"}}
	case 8:
		return Event{[]proofhouse.Actor{dev, registrar}[r.IntN(2)], End{[]GrantID{"body", "tester"}[r.IntN(2)]}}
	case 9:
		return Event{security, PauseAccess{}}
	case 10:
		return Event{dev, ResumeAccess{}}
	case 11, 12:
		if a := c.access(now); a == NoAccess || a == AccessEnded {
			return Event{dev, Lend{"tester", "indie"}} // not worth a signature
		}
		return Event{dev, MoveWindow{End: in(40)}.signed(c.ID)}
	default:
		return Event{dev, []Act{Withdraw{}, Announce{}}[r.IntN(2)]}
	}
}

// countersigned are criteria under which an authority may sign.
var countersigned = []Registration{{Version: 1, Criteria: criteria(), Countersigned: time.Unix(1, 0)}}

// otherEvent is an event that starts or meets a clock besides the window's. Each comes
// once, so that one time says when.
func otherEvent(r *rand.Rand, c Case) Event {
	sign := func(by proofhouse.Actor, a Act) Event { return Event{by, sign(c, by, a)} }
	switch n := r.IntN(9); {
	case n == 0:
		return Event{dev, Ask{}}
	case n < 3 && len(c.Consultations) == 0:
		return Event{registrar, Consult{"cyber-centre"}}
	case n < 4:
		return sign(consultee, Answer{View: Agrees, Reason: "yes"})
	case n < 6 && len(c.Determinations) == 0:
		return sign(authority, Determine{Outcome: Undetermined, Registration: 1})
	case n < 7 && len(c.Rounds) == 0:
		return Event{dev, Reconsider{"no"}}
	}
	switch i, there := c.nominee("bank"); {
	case !there:
		return Event{coordinator, Nominate{"bank", "The Bank"}}
	case len(c.Nominees[i].Answers) == 0:
		return Event{coordinator, decline}
	case len(c.Nominees[i].Answers) == 1:
		return Event{partner, appeal}
	case len(c.Nominees[i].Answers) == 2:
		return Event{authority, sponsor}
	}
	return Event{dev, Announce{}}
}
