package docket

import (
	"fmt"
	"slices"
	"time"

	"proofhouse/internal/proofhouse"
)

// Excerpt is what the house says to whoever may not read all records of a case, in
// the place of those that are withheld: as much as it takes to check the
// signatures under the others. It says nothing that SeenBy would not show. What
// a signature covers is proved by it; the rest is the house's word.
type Excerpt struct {
	Case proofhouse.CaseID `json:"case"`
	// For is the role of the reader.
	For    proofhouse.Role `json:"for"`
	Events int             `json:"events"`
	// Entries is the digest of the commitments of all entries of the case, in order (ledger.ListDigest).
	Entries        proofhouse.Digest `json:"entries"`
	Criteria       []ExcerptCriteria `json:"criteria"`
	Answers        []ExcerptAnswer   `json:"answers"`
	Reports        []ExcerptReport   `json:"reports"`
	Determinations []Determination   `json:"determinations"`
	Adoptions      []Adoption        `json:"adoptions"`
	// Runs are those whose beginning is withheld, since it repeats the criteria.
	Runs []ExcerptRun `json:"runs,omitempty"`
	// Tiers are the reports as the reader may read them.
	Tiers []TierReport `json:"tiers"`
}

// ExcerptCriteria is a version of the criteria by its commitment, and which event registered it.
type ExcerptCriteria struct {
	Seq        int               `json:"seq"`
	Commitment proofhouse.Digest `json:"commitment"`
	At         time.Time         `json:"at"`
}

// ExcerptAnswer is an answer or a waiver by its digest, and which event it was.
type ExcerptAnswer struct {
	Seq          int                       `json:"seq"`
	Organisation proofhouse.OrganisationID `json:"organisation"`
	At           time.Time                 `json:"at"`
	Digest       proofhouse.Digest         `json:"digest"`
}

// ExcerptReport is a version of the report by its commitment, and which event filed it.
type ExcerptReport struct {
	Seq        int               `json:"seq"`
	Commitment proofhouse.Digest `json:"commitment"`
	At         time.Time         `json:"at"`
}

// ExcerptRun is a run by its name, the version of the criteria that it meant to follow, and which event began it.
type ExcerptRun struct {
	Seq          int              `json:"seq"`
	ID           proofhouse.RunID `json:"id"`
	Registration int              `json:"registration"`
	At           time.Time        `json:"at"`
}

// ExcerptFor is the excerpt of a case for somebody in a role, from all of its records. tiers are those of
// the report that the role may read, which is for policy to say.
func (c Case) ExcerptFor(role proofhouse.Role, records []Record, tiers []Tier) (Excerpt, error) {
	reader := Reader{Roles: []proofhouse.Role{role}}
	seen := c.SeenBy(reader)
	p := Excerpt{
		Case: c.ID, For: role, Events: c.Version, Criteria: []ExcerptCriteria{}, Answers: []ExcerptAnswer{}, Reports: []ExcerptReport{},
		Determinations: append([]Determination{}, seen.Determinations...), Adoptions: append([]Adoption{}, seen.Adoptions...), Tiers: []TierReport{},
	}
	at := New(c.ID, c.Rules)
	for _, r := range records {
		next, err := at.Replay(r)
		if err != nil {
			return p, err
		}
		switch a := r.Event.Act.(type) {
		case Register:
			if len(seen.Registrations) > 0 {
				p.Criteria = append(p.Criteria, ExcerptCriteria{r.Seq, next.Registrations[len(next.Registrations)-1].Commitment, r.At})
			}
		case Answer:
			p.Answers = append(p.Answers, next.excerptAnswer(r, r.Event.By.Organisation))
		case Waive:
			p.Answers = append(p.Answers, next.excerptAnswer(r, a.Organisation))
		case StartRun:
			if len(seen.Runs) > 0 && !reader.Sees(a) {
				p.Runs = append(p.Runs, ExcerptRun{r.Seq, a.Run, a.Registration, r.At})
			}
		case FileReport:
			if len(seen.Reports) > 0 {
				p.Reports = append(p.Reports, ExcerptReport{r.Seq, next.Reports[len(next.Reports)-1].Commitment, r.At})
			}
		}
		at = next
	}
	if len(seen.Consultations) == 0 {
		p.Answers = []ExcerptAnswer{}
	}
	for _, v := range c.Reports {
		for _, t := range tiers {
			r, err := c.ReportFor(t, v.Version)
			if err != nil {
				return p, err
			}
			p.Tiers = append(p.Tiers, r)
		}
	}
	return p, nil
}

func (c Case) excerptAnswer(r Record, o proofhouse.OrganisationID) ExcerptAnswer {
	i, _ := c.consultation(o)
	return ExcerptAnswer{r.Seq, o, r.At, c.Consultations[i].answer()}
}

// Opens says whether the excerpt for a role opens a record.
func Opens(role proofhouse.Role, a Act) bool { return Reader{Roles: []proofhouse.Role{role}}.Sees(a) }

// VerifyExcerpt checks what can be checked of a case of which only some records
// are opened: that each of these says what it is, that the signatures under them are by
// the keys that their actors named, that what the authority signed is what the house
// states, and that runs which count began after the developer's countersignature. rules is
// the profile; the other arguments are as Verify's. What contradicts itself is proofhouse.Integrity.
func VerifyExcerpt(rules *Profile, opened []Record, excerpt Excerpt, pins map[proofhouse.OrganisationID][]string) (Proof, error) {
	v := excerptReader{excerpt: excerpt, c: New(excerpt.Case, rules), countersigned: map[int]int{}, began: map[proofhouse.RunID]int{}}
	p := Proof{Case: excerpt.Case, For: excerpt.For, Events: excerpt.Events}
	for _, r := range opened {
		for ; v.seq < r.Seq-1; v.seq++ {
			if err := v.withheld(v.seq + 1); err != nil {
				return p, err
			}
			p.Withheld = append(p.Withheld, v.seq+1)
		}
		if err := v.open(r); err != nil {
			return p, proofhouse.Errorf(proofhouse.Integrity, err, "record %d of the case does not fit the others", r.Seq)
		}
		v.seq = r.Seq
	}
	for ; v.seq < excerpt.Events; v.seq++ {
		if err := v.withheld(v.seq + 1); err != nil {
			return p, err
		}
		p.Withheld = append(p.Withheld, v.seq+1)
	}
	if err := v.whole(); err != nil {
		return p, err
	}
	p.Last = v.c.Changed
	if err := p.signers(v.c, opened, pins); err != nil {
		return p, err
	}
	p.determinations(v.c)
	p.Adoptions = v.c.Adoptions
	v.runs(&p)
	if err := v.reports(&p); err != nil {
		return p, err
	}
	v.says(&p)
	return p, nil
}

// excerptReader goes through the events of a case of which some are withheld.
type excerptReader struct {
	excerpt Excerpt
	c       Case // as far as it is known
	seq     int  // of the last event
	// The event by which a version of the criteria was countersigned, and a run began.
	countersigned map[int]int
	began         map[proofhouse.RunID]int

	criteria, answers, reported, begun int // how many of the excerpt's were come to
}

func (v *excerptReader) wrong(format string, args ...any) error {
	return proofhouse.Errorf(proofhouse.Integrity, nil, format, args...)
}

// withheld takes what the house says of an event that is not opened.
func (v *excerptReader) withheld(seq int) error {
	if v.begun < len(v.excerpt.Runs) && v.excerpt.Runs[v.begun].Seq == seq {
		s := v.excerpt.Runs[v.begun]
		v.begun++
		if _, err := v.c.run(s.ID); err == nil {
			return v.wrong("the house states that a run began twice")
		}
		v.c.Runs = append(v.c.Runs, Run{ID: s.ID, Registration: s.Registration, Round: v.c.round(), Started: s.At})
		v.began[s.ID] = seq
		return nil
	}
	return v.stated(seq, func(proofhouse.Digest) bool { return true })
}

// stated takes what the house says of an event, if it says something. is says whether the
// digest is that of the event, where this is opened.
func (v *excerptReader) stated(seq int, is func(proofhouse.Digest) bool) error {
	switch {
	case v.criteria < len(v.excerpt.Criteria) && v.excerpt.Criteria[v.criteria].Seq == seq:
		s := v.excerpt.Criteria[v.criteria]
		v.criteria++
		if !is(s.Commitment) {
			return v.wrong("the house states other criteria than event %d registered", seq)
		}
		v.c.Registrations = append(v.c.Registrations, Registration{Version: v.criteria, Commitment: s.Commitment, At: s.At, Seen: len(v.c.Runs)})
	case v.answers < len(v.excerpt.Answers) && v.excerpt.Answers[v.answers].Seq == seq:
		s := v.excerpt.Answers[v.answers]
		v.answers++
		if !is(s.Digest) {
			return v.wrong("the house states another answer than that of event %d", seq)
		}
		if err := v.c.answered(s.Organisation, func(k *Consultation) { k.Answered, k.sealed = s.At, s.Digest }); err != nil {
			return proofhouse.Errorf(proofhouse.Integrity, err, "the house states an answer that nobody was asked for")
		}
	case v.reported < len(v.excerpt.Reports) && v.excerpt.Reports[v.reported].Seq == seq:
		s := v.excerpt.Reports[v.reported]
		v.reported++
		if !is(s.Commitment) {
			return v.wrong("the house states another report than event %d filed", seq)
		}
		v.c.Reports = append(v.c.Reports, FiledReport{Version: v.reported, Commitment: s.Commitment, At: s.At})
	}
	return nil
}

// open takes an event that is opened.
func (v *excerptReader) open(r Record) error {
	by, c := r.Event.By, &v.c
	switch {
	case r.Case != c.ID, r.Seq != v.seq+1, r.At.Before(c.Changed), !r.At.Equal(exact(r.At)):
		return v.wrong("it is another one")
	case r.Seq == 1 && r.Rules != c.Rules.Digest:
		return v.wrong("it is of a case under other rules")
	case !slices.Contains(r.Event.Act.Kind().Move().By, by.Role):
		return v.wrong("a %s may not %s", by.Role, r.Event.Act.Kind())
	}
	c.Changed, c.Version = r.At, r.Seq
	if _, own := r.Event.Act.(Determine); !own {
		if err := c.Signed(r.Event); err != nil {
			return err
		}
	}
	switch a := r.Event.Act.(type) {
	case OpenCase:
		c.Opened, c.Codename, c.Variants = r.At, a.Codename, a.Variants
	case Reconsider:
		if len(c.Determinations) == 0 {
			return v.wrong("there is nothing to reconsider")
		}
		return a.apply(c, by, r.At)
	case NameKey:
		return a.apply(c, by, r.At)
	case Cite:
		return a.apply(c, by, r.At)
	case Consult:
		return a.apply(c, by, r.At)
	case Register:
		commitment, err := a.Criteria.Commit(a.Salt)
		if err != nil {
			return err
		}
		return v.stated(r.Seq, func(d proofhouse.Digest) bool { return d == commitment })
	case Answer:
		return v.answer(r.Seq, Consultation{View: a.View, Reason: a.Reason, Signed: a.Signed, Answered: r.At})
	case Waive:
		return v.answer(r.Seq, Consultation{Reason: a.Reason, Signed: a.Signed, Answered: r.At})
	case Countersign:
		if err := a.apply(c, by, r.At); err != nil {
			return err
		}
		v.countersigned[a.Version] = r.Seq
	case StartRun:
		c.Runs = append(c.Runs, Run{ID: a.Run, Registration: a.Registration, Round: c.round(), Cell: Cell{a.Manifest.Variant, a.Manifest.Agent.Name}, By: by, Started: r.At})
		v.began[a.Run] = r.Seq
	case FinishRun:
		i, err := c.run(a.Run)
		if err != nil {
			return err
		}
		c.Runs[i].Finished, c.Runs[i].Evidence, c.Runs[i].Tally, c.Runs[i].Tokens, c.Runs[i].Void = r.At, a.Evidence, a.Tally, a.Tokens, a.Void
	case Determine:
		return v.determine(a, by, r.At)
	case Adopt:
		return v.adopt(a, by, r.At)
	}
	return nil
}

// answer takes an answer that is opened, and is stated as every other.
func (v *excerptReader) answer(seq int, k Consultation) error {
	if err := v.stated(seq, func(d proofhouse.Digest) bool { return d == k.answer() }); err != nil {
		return err
	}
	s := v.excerpt.Answers[v.answers-1]
	i, _ := v.c.consultation(s.Organisation)
	v.c.Consultations[i].View, v.c.Consultations[i].Reason = k.View, k.Reason
	return nil
}

// determine holds what the house states of a determination to the authority's signature.
func (v *excerptReader) determine(a Determine, by proofhouse.Actor, at time.Time) error {
	c := &v.c
	n := len(c.Determinations)
	if n >= len(v.excerpt.Determinations) {
		return v.wrong("the house does not state determination %d", n+1)
	}
	d := v.excerpt.Determinations[n]
	r, err := c.registration(a.Registration)
	if err != nil {
		return err
	}
	var report FiledReport
	if a.Report != 0 {
		if report, err = c.report(a.Report); err != nil {
			return err
		}
	}
	is := Determination{
		Version: n + 1, Round: c.round(), Outcome: a.Outcome, Registration: r.Version, Proposed: d.Proposed, Runs: d.Runs, Departure: a.Departure,
		Report: a.Report, ReportCommitment: report.Commitment, At: at, By: by, Signed: a.Signed,
	}
	if is.Digest() != d.Digest() {
		return v.wrong("the house states another determination than the case has")
	}
	if err := c.signedAs(a, by, a.says(*c, d.Proposed, d.Runs)); err != nil {
		return err
	}
	c.Determinations = append(c.Determinations, is)
	return nil
}

func (v *excerptReader) adopt(a Adopt, by proofhouse.Actor, at time.Time) error {
	c := &v.c
	n := len(c.Adoptions)
	a.Until = exact(a.Until)
	is := Adoption{Version: c.adoptions(by.Organisation) + 1, OwnUse: a.OwnUse, At: at, By: by, Signed: a.Signed}
	if n >= len(v.excerpt.Adoptions) || fmt.Sprint(v.excerpt.Adoptions[n]) != fmt.Sprint(is) {
		return v.wrong("the house states another deployment decision than the case has")
	}
	c.Adoptions = append(c.Adoptions, is)
	return nil
}

// whole says whether all that the house states was come to.
func (v *excerptReader) whole() error {
	p := v.excerpt
	if v.seq != p.Events {
		return v.wrong("the case has more events than the house states")
	}
	if v.criteria != len(p.Criteria) || v.answers != len(p.Answers) || v.reported != len(p.Reports) || v.begun != len(p.Runs) || len(v.c.Determinations) != len(p.Determinations) || len(v.c.Adoptions) != len(p.Adoptions) {
		return v.wrong("the house states something of an event that is not there")
	}
	return nil
}

// runs says which runs the authority counted, and whether they began after the countersignature.
func (v *excerptReader) runs(p *Proof) {
	counted := map[proofhouse.RunID]bool{}
	for _, d := range v.c.Determinations {
		for _, id := range d.Runs {
			counted[id] = true
			if began, there := v.began[id]; there && (v.countersigned[d.Registration] == 0 || v.countersigned[d.Registration] > began) {
				p.Wrong = append(p.Wrong, fmt.Sprintf("late criteria: the run %s, which determination %d counts, began before the developer had countersigned", id, d.Version))
			}
		}
	}
	for _, r := range v.c.Runs {
		proved := ProvedRun{ID: r.ID, Counts: counted[r.ID], Tally: r.Tally, Tokens: r.Tokens}
		if !proved.Counts {
			proved.Why = []string{"no determination counts it"}
		}
		p.Runs = append(p.Runs, proved)
	}
}

// reports holds the tiers to the commitments.
func (v *excerptReader) reports(p *Proof) error {
	for _, t := range v.excerpt.Tiers {
		if t.Version < 1 || t.Version > len(v.c.Reports) || t.Commitment != v.c.Reports[t.Version-1].Commitment {
			return v.wrong("a report is not of the case")
		}
		if err := t.Check(); err != nil {
			return err
		}
		p.Reports = append(p.Reports, t)
		if !slices.ContainsFunc(v.c.Determinations, func(d Determination) bool { return d.Report == t.Version }) {
			p.open("that version %d of the report is what was filed: no determination names it, and the house says so", t.Version)
		}
	}
	return nil
}

func (p *Proof) open(format string, args ...any) {
	if s := fmt.Sprintf(format, args...); !slices.Contains(p.Open, s) {
		p.Open = append(p.Open, s)
	}
}

// says is what the reader cannot know.
func (v *excerptReader) says(p *Proof) {
	p.open("what %d of %d events say, which are withheld from the %s", len(p.Withheld), p.Events, p.For)
	p.open("that each event was permitted when it was done: that takes all of them")
	if len(v.c.Determinations) > 0 {
		p.open("that the registered rule proposes what the authority signed that it does: the criteria, or other events, are withheld")
	}
	unread := slices.ContainsFunc(v.c.Consultations, func(k Consultation) bool { return !k.Answered.IsZero() && k.Reason == "" })
	if unread {
		p.open("how the consulted answered: the authority signed what they did, and the answers are withheld")
		for i := range p.Determinations {
			p.Determinations[i].Dissent = -1
		}
	}
	if v.begun > 0 {
		p.open("when %d of the runs began, and under which criteria, which is the house's word: what they were begun with repeats the criteria, and is withheld", v.begun)
	}
	if len(v.c.Registrations) > 0 {
		p.open("when criteria were registered, which is the house's word; that they were countersigned before a run began is shown where both are opened")
	}
	p.open("where the tokens went: the gate's meter is not in the bundle")
	p.open("which withheld entry is which, and that nothing followed event %d: that is the house's word; hold a receipt against it", p.Events)
	p.open("that the clock of the house was right: times are its own")
}
