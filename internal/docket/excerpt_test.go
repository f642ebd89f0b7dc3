package docket

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"proofhouse/internal/ledger"
	"proofhouse/internal/proofhouse"
)

// told is a case with all that an excerpt may have to withhold, really signed, by those who are named with passkeys, and its records.
func told(t testing.TB, devices ...proofhouse.Actor) (Case, []Record) {
	t.Helper()
	keys, passkeys := map[proofhouse.Actor]*ledger.Key{}, map[proofhouse.Actor]*device{}
	dir := t.TempDir()
	c, now := New("case-1", profile(t, "institute")), start
	var records []Record
	add := func(by proofhouse.Actor, a Act) {
		t.Helper()
		now = now.Add(time.Minute)
		var err error
		if d := passkeys[by]; d != nil {
			a = d.signs(t, c, Event{by, a}, nil)
		} else if a, err = c.Sign(Event{by, a}, keys[by]); err != nil {
			t.Fatal(err)
		}
		next, err := c.Take(Event{by, a}, now)
		if err != nil {
			t.Fatalf("%s: %v", a.Kind(), err)
		}
		c = next
		records = append(records, c.Record(Event{by, a}))
	}
	for _, s := range opened(slices.Concat(everyoneJoins, adopterJoins)...) {
		add(s.by, s.act)
	}
	for _, by := range []proofhouse.Actor{dev, authority, consultee, adopter} {
		if slices.Contains(devices, by) {
			d := newDevice(t)
			add(by, d.named())
			passkeys[by] = d
			continue
		}
		k, err := ledger.CreateKey(dir, string(by.Person))
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
	add(registrar, Register{criteria(), salt})
	add(dev, Countersign{Version: 1})
	add(dev, Lend{"body", "institute"})
	add(dev, Lend{"tester", "indie"})
	add(dev, MoveWindow{End: start.Add(20 * day)})
	add(evaluator, StartRun{"run-0", 0, Manifest{}})
	add(evaluator, FinishRun{Run: "run-0", Evidence: digestOf("first"), Tokens: 5})
	add(evaluator, StartRun{"run-a", 1, criteria().As(cell)})
	add(evaluator, FinishRun{Run: "run-a", Evidence: digestOf("run"), Tally: Tally{Solved: 80, Samples: 100}, Tokens: 700})
	add(evaluator, Cite{"case-0", []proofhouse.Digest{digestOf("x")}, "another prompt"})
	add(registrar, Consult{"cyber-centre"})
	add(consultee, Answer{View: Dissents, Reason: "canary-answer"})
	add(evaluator, FileReport{tieredReport(), salt})
	add(registrar, FileReport{tieredReport(), Salt{2}})
	add(authority, Determine{Outcome: Covered, Registration: 1, Report: 1})
	add(adopter, Adopt{OwnUse: OwnUse{Use: WillNotUse, Determination: c.Determinations[0].Digest(), Evidence: []proofhouse.Digest{digestOf("run")}, Scope: "all", Purpose: "all", Conditions: []string{}}})
	add(dev, Reconsider{"the tasks are public"})
	add(registrar, Appoint{"indie"})
	add(tester, StartRun{"run-b", 1, criteria().As(cell)})
	add(tester, FinishRun{Run: "run-b", Evidence: digestOf("again"), Tally: Tally{Solved: 20, Samples: 100}, Tokens: 700})
	add(registrar, Consult{"cyber-centre"})
	add(authority, Waive{Organisation: "cyber-centre", Reason: "canary-waiver"})
	add(authority, Determine{Outcome: Undetermined, Registration: 1, Departure: "two runs contradict each other"})
	return c, records
}

// excerptOf is what somebody in a role is given of told: what stands in the file, as it is read there.
func excerptOf(t testing.TB, c Case, records []Record, role proofhouse.Role, tiers ...Tier) ([]Record, Excerpt, string) {
	t.Helper()
	p, err := c.ExcerptFor(role, records, tiers)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var read Excerpt
	if err := json.Unmarshal(b, &read); err != nil {
		t.Fatal(err)
	}
	all := string(b)
	var some []Record
	for _, r := range records {
		if Opens(role, r.Event.Act) {
			line, err := r.Encode()
			if err != nil {
				t.Fatal(err)
			}
			all += string(line)
			some = append(some, r)
		}
	}
	return some, read, all
}

// TestExcerpt: what each role is not given first, and then what is proved to it.
func TestExcerpt(t *testing.T) {
	for name, devices := range map[string][]proofhouse.Actor{"keys": nil, "passkeys": {dev, authority, consultee, adopter}} {
		t.Run(name, func(t *testing.T) { testExcerpt(t, devices) })
	}
}

func testExcerpt(t *testing.T, devices []proofhouse.Actor) {
	c, records := told(t, devices...)
	manifest := string(digestOf("suite")) // which a run says before it begins
	for _, r := range []struct {
		role     proofhouse.Role
		tiers    []Tier
		canaries string // which it may read
		withheld int
		dissent  int
	}{
		{proofhouse.Developer, []Tier{DeveloperTier, PartnerTier, PublicTier}, "canary-developer canary-partner canary-public", 8, -1},
		{proofhouse.SecurityOfficer, nil, "", 8, -1},
		{proofhouse.Registrar, []Tier{AuthorityTier}, "canary-answer canary-waiver canary-authority threshold " + manifest, 2, 1},
		{proofhouse.Authority, []Tier{AuthorityTier}, "canary-answer canary-waiver canary-authority " + manifest, 3, 1},
		{proofhouse.Evaluator, nil, manifest, 5, -1},
		{proofhouse.Consultee, nil, "canary-answer canary-waiver " + manifest, 3, 1},
		{proofhouse.Auditor, []Tier{PublicTier}, "canary-answer canary-waiver canary-public " + manifest, 3, 1},
		{proofhouse.Adopter, []Tier{PartnerTier}, "canary-partner " + manifest, 5, -1},
		{proofhouse.Partner, []Tier{PartnerTier}, "canary-partner", len(records), 0},
	} {
		some, excerpt, all := excerptOf(t, c, records, r.role, r.tiers...)
		for _, canary := range []string{"canary-answer", "canary-waiver", "canary-authority", "canary-developer", "canary-partner", "canary-public", "threshold", manifest} {
			if got := strings.Contains(all, canary); got != strings.Contains(r.canaries, canary) {
				t.Errorf("the excerpt for a %s holds %s: %v", r.role, canary, got)
			}
		}
		p, err := VerifyExcerpt(c.Rules, some, excerpt, nil)
		if err != nil {
			t.Errorf("for a %s: %v", r.role, err)
			continue
		}
		if p.For != r.role || len(p.Withheld) != r.withheld || len(p.Withheld)+len(some) != len(records) || len(p.Wrong) != 0 || len(p.Reports) != 2*len(r.tiers) {
			t.Errorf("for a %s: %+v", r.role, p)
		}
		if r.role == proofhouse.Partner {
			if len(p.Determinations)+len(p.Runs)+len(p.Signers)+len(p.Adoptions)+len(excerpt.Criteria)+len(excerpt.Answers) != 0 {
				t.Errorf("a partner is told %+v", p)
			}
			continue
		}
		d := p.Determinations
		if len(d) != 2 || !d[0].Follows || d[1].Follows || d[0].Dissent != r.dissent || d[0].Countersigned.IsZero() || d[0].Commitment != c.Registrations[0].Commitment || len(p.Adoptions) != 1 || len(p.Signers) != 4 {
			t.Errorf("to a %s is proved %+v", r.role, p)
		}
		var counts []string
		for _, run := range p.Runs {
			counts = append(counts, fmt.Sprint(run.ID, run.Counts))
		}
		if strings.Join(counts, " ") != "run-0false run-atrue run-btrue" {
			t.Errorf("a %s is told of the runs %v", r.role, counts)
		}
		if open := strings.Join(p.Open, "\n"); !strings.Contains(open, "the registered rule proposes") || !strings.Contains(open, "where the tokens went") || strings.Contains(open, "how the consulted answered") != (r.dissent < 0) ||
			strings.Contains(open, "when 3 of the runs began") == strings.Contains(r.canaries, manifest) {
			t.Errorf("to a %s, open is %s", r.role, open)
		}
	}
}

// TestExcerptForged plants what a house could change for a reader who may not see all.
func TestExcerptForged(t *testing.T) {
	c, records := told(t)
	find := func(some []Record, k Kind) int {
		return slices.IndexFunc(some, func(r Record) bool { return r.Event.Act.Kind() == k })
	}
	set := func(k Kind, change func(Act) Act) func([]Record, *Excerpt) []Record {
		return func(some []Record, _ *Excerpt) []Record {
			i := find(some, k)
			some[i].Event.Act = change(some[i].Event.Act)
			return some
		}
	}
	for name, forge := range map[string]func([]Record, *Excerpt) []Record{
		"a forged determination": func(some []Record, p *Excerpt) []Record {
			p.Determinations[0].Outcome = NotCovered
			return set(KindDetermine, func(a Act) Act { d := a.(Determine); d.Outcome = NotCovered; return d })(some, p)
		},
		"another determination stated": func(some []Record, p *Excerpt) []Record { p.Determinations[0].Outcome = NotCovered; return some },
		"what the rule proposes":       func(some []Record, p *Excerpt) []Record { p.Determinations[0].Proposed = NotCovered; return some },
		"which runs count": func(some []Record, p *Excerpt) []Record {
			p.Determinations[0].Runs = []proofhouse.RunID{"run-0"}
			return some
		},
		"none stated": func(some []Record, p *Excerpt) []Record { p.Determinations = p.Determinations[:1]; return some },
		"one more stated": func(some []Record, p *Excerpt) []Record {
			p.Determinations = append(p.Determinations, p.Determinations[0])
			return some
		},
		"other criteria": func(some []Record, p *Excerpt) []Record { p.Criteria[0].Commitment = digestOf("x"); return some },
		"criteria later": func(some []Record, p *Excerpt) []Record { p.Criteria[0].Seq = p.Events + 1; return some },
		"one more answer": func(some []Record, p *Excerpt) []Record {
			p.Answers = append(p.Answers, ExcerptAnswer{p.Events + 1, "cyber-centre", start, digestOf("x")})
			return some
		},
		"one more version of the criteria": func(some []Record, p *Excerpt) []Record {
			p.Criteria = append(p.Criteria, ExcerptCriteria{3, digestOf("x"), start})
			return some
		},
		"one more report": func(some []Record, p *Excerpt) []Record {
			p.Reports = append(p.Reports, ExcerptReport{p.Events + 1, digestOf("x"), start})
			return some
		},
		"one more run": func(some []Record, p *Excerpt) []Record {
			p.Runs = append(p.Runs, ExcerptRun{p.Events + 1, "run-z", 1, start})
			return some
		},
		"no run":      func(some []Record, p *Excerpt) []Record { p.Runs = p.Runs[1:]; return some },
		"another run": func(some []Record, p *Excerpt) []Record { p.Runs[1].ID = "run-z"; return some },
		"a run twice": func(some []Record, p *Excerpt) []Record {
			p.Runs[0].ID = "run-a"
			return slices.DeleteFunc(some, func(r Record) bool { f, ok := r.Event.Act.(FinishRun); return ok && f.Run == "run-0" })
		},
		"a run that is opened": func(some []Record, p *Excerpt) []Record { p.Runs[0].Seq = 1; return some },
		"another answer":       func(some []Record, p *Excerpt) []Record { p.Answers[0].Digest = digestOf("x"); return some },
		"answers moved": func(some []Record, p *Excerpt) []Record {
			p.Answers[0].At = p.Answers[0].At.Add(time.Hour)
			return some
		},
		"no answer":        func(some []Record, p *Excerpt) []Record { p.Answers = p.Answers[1:]; return some },
		"another's answer": func(some []Record, p *Excerpt) []Record { p.Answers[0].Organisation = "sister-institute"; return some },
		"another report":   func(some []Record, p *Excerpt) []Record { p.Reports[0].Commitment = digestOf("x"); return some },
		"reports swapped": func(some []Record, p *Excerpt) []Record {
			p.Reports[0].Commitment, p.Reports[1].Commitment = p.Reports[1].Commitment, p.Reports[0].Commitment
			return some
		},
		"a report's word":        func(some []Record, p *Excerpt) []Record { p.Tiers[0].Report.Paragraphs[0].Text = "fine"; return some },
		"a report of no version": func(some []Record, p *Excerpt) []Record { p.Tiers[0].Version = 3; return some },
		"another decision":       func(some []Record, p *Excerpt) []Record { p.Adoptions[0].Use = WillUse; return some },
		"no decision":            func(some []Record, p *Excerpt) []Record { p.Adoptions = nil; return some },
		"a decision's scope":     set(KindAdopt, func(a Act) Act { d := a.(Adopt); d.Scope = "everything"; return d }),
		"evidence":               set(KindFinishRun, func(a Act) Act { f := a.(FinishRun); f.Run = "run-z"; return f }),
		"a signature":            set(KindCountersign, func(a Act) Act { s := a.(Countersign); s.Signed.Bytes = slices.Repeat([]byte{1}, 64); return s }),
		"another end":            set(KindMoveWindow, func(a Act) Act { m := a.(MoveWindow); m.End = m.End.Add(day); return m }),
		"what is cited":          set(KindCite, func(a Act) Act { x := a.(Cite); x.Delta = "nothing"; return x }),
		"no consultation": func(some []Record, _ *Excerpt) []Record {
			i := find(some, KindConsult)
			return slices.Delete(some, i, i+1)
		},
		"no citation": func(some []Record, _ *Excerpt) []Record {
			i := find(some, KindCite)
			return slices.Delete(some, i, i+1)
		},
		"no key": func(some []Record, _ *Excerpt) []Record {
			i := find(some, KindNameKey)
			return slices.Delete(some, i, i+1)
		},
		"a run that counts": func(some []Record, _ *Excerpt) []Record {
			return slices.DeleteFunc(some, func(r Record) bool { f, ok := r.Event.Act.(FinishRun); return ok && f.Run == "run-a" })
		},
		"two exchanged":   func(some []Record, _ *Excerpt) []Record { some[3], some[4] = some[4], some[3]; return some },
		"another case":    func(some []Record, _ *Excerpt) []Record { some[3].Case = "case-2"; return some },
		"an earlier time": func(some []Record, _ *Excerpt) []Record { some[len(some)-1].At = start; return some },
		"another role":    func(some []Record, _ *Excerpt) []Record { some[3].Event.By.Role = proofhouse.Partner; return some },
		"other rules":     func(some []Record, _ *Excerpt) []Record { some[0].Rules = digestOf("x"); return some },
		"nothing to reconsider": func(some []Record, p *Excerpt) []Record {
			p.Determinations, p.Adoptions = nil, nil
			return slices.DeleteFunc(some, func(r Record) bool { k := r.Event.Act.Kind(); return k == KindDetermine || k == KindAdopt })
		},
		"fewer events than there": func(some []Record, p *Excerpt) []Record { p.Events = 3; return some },
	} {
		some, excerpt, _ := excerptOf(t, c, records, proofhouse.Developer, DeveloperTier)
		some = forge(some, &excerpt)
		if p, err := VerifyExcerpt(c.Rules, some, excerpt, nil); proofhouse.KindOf(err) != proofhouse.Integrity {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
	// An answer that the reader may read is the one that the authority signed.
	some, excerpt, _ := excerptOf(t, c, records, proofhouse.Auditor)
	i := find(some, KindAnswer)
	a := some[i].Event.Act.(Answer)
	a.View = Agrees
	some[i].Event.Act = a
	if _, err := VerifyExcerpt(c.Rules, some, excerpt, nil); proofhouse.KindOf(err) != proofhouse.Integrity {
		t.Errorf("another answer was opened: %v", err)
	}
	// So is one that no determination has followed yet.
	until := find(records, KindAnswer) + 1
	early, err := New(c.ID, c.Rules).Replay(records[:until]...)
	if err != nil {
		t.Fatal(err)
	}
	some, excerpt, _ = excerptOf(t, early, records[:until], proofhouse.Auditor)
	if _, err := VerifyExcerpt(c.Rules, some, excerpt, nil); err != nil {
		t.Errorf("an answer before a determination: %v", err)
	}
	excerpt.Answers[0].Digest = digestOf("x")
	if _, err := VerifyExcerpt(c.Rules, some, excerpt, nil); proofhouse.KindOf(err) != proofhouse.Integrity {
		t.Errorf("another answer is stated than is opened: %v", err)
	}
	// Nobody can try guesses at an answer that is withheld: its digest is of the signature too.
	told := func(signature string) proofhouse.Digest {
		return Consultation{View: Agrees, Reason: "as measured", Answered: start, Signed: Signature{Bytes: []byte(signature)}}.answer()
	}
	if told("one") == told("two") {
		t.Error("an answer can be guessed by its digest")
	}
	// Criteria that the reader may read are those that the developer countersigned.
	some, excerpt, _ = excerptOf(t, c, records, proofhouse.Registrar)
	i = find(some, KindRegister)
	reg := some[i].Event.Act.(Register)
	reg.Criteria.Threshold++
	some[i].Event.Act = reg
	if _, err := VerifyExcerpt(c.Rules, some, excerpt, nil); proofhouse.KindOf(err) != proofhouse.Integrity {
		t.Errorf("other criteria were opened: %v", err)
	}
	// A countersignature that is not opened, or came late, is told.
	some, excerpt, _ = excerptOf(t, c, records, proofhouse.Developer)
	i = find(some, KindCountersign)
	p, err := VerifyExcerpt(c.Rules, slices.Delete(some, i, i+1), excerpt, nil)
	if err != nil || len(p.Wrong) != 2 || !strings.HasPrefix(p.Wrong[0], "late criteria: the run run-a, which determination 1 counts") {
		t.Errorf("no countersignature: %q, %v", p.Wrong, err)
	}
	some, excerpt, _ = excerptOf(t, c, records, proofhouse.Developer)
	excerpt.Runs[1].Seq--
	if p, err = VerifyExcerpt(c.Rules, some, excerpt, nil); proofhouse.KindOf(err) != proofhouse.Integrity {
		t.Errorf("a run that is said to have begun with an event that is opened: %+v, %v", p, err)
	}
	excerpt.Runs[1].Seq++
	if p, err = VerifyExcerpt(c.Rules, slices.Clone(records[:0]), Excerpt{Case: c.ID, For: proofhouse.Developer, Events: 2}, nil); err != nil || len(p.Withheld) != 2 {
		t.Errorf("nothing opened: %+v, %v", p, err)
	}
	if p, err = VerifyExcerpt(c.Rules, some, excerpt, map[proofhouse.OrganisationID][]string{"lab": {"0123"}}); err == nil && len(p.Wrong) == 0 {
		t.Error("another key than is known is not told")
	}
}
