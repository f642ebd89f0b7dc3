package docket

import (
	"encoding/json"
	"slices"
	"time"

	"proofhouse/internal/proofhouse"
)

// Consultation is a question to an organisation before the authority signs.
// Each question is kept with its answer; a second question takes nothing back.
type Consultation struct {
	Organisation proofhouse.OrganisationID `json:"organisation"`
	Round        int                       `json:"round"`
	Asked        time.Time                 `json:"asked,omitzero"`
	// Answered is when it answered or was waived; zero before that.
	Answered time.Time        `json:"answered,omitzero"`
	By       proofhouse.Actor `json:"by"`
	View     View             `json:"view,omitzero"` // "" if it was waived
	Reason   string           `json:"reason"`
	Signed   Signature        `json:"signed,omitzero"` // of the answer or of the waiver
	// sealed is the digest of an answer that whoever verifies the case may not read; see VerifyExcerpt.
	sealed proofhouse.Digest
}

// View is what a consultee says.
type View string

// The views.
const (
	Agrees   View = "agrees"
	Dissents View = "dissents"
	Comments View = "comments"
)

// Consult asks an organisation that the profile names.
type Consult struct {
	Organisation proofhouse.OrganisationID `json:"organisation"`
}

// Kind implements Act.
func (Consult) Kind() Kind { return KindConsult }

func (a Consult) apply(c *Case, _ proofhouse.Actor, now time.Time) error {
	if _, there := c.Rules.Consultee(a.Organisation); !there {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "the profile does not name %s as one to be consulted", a.Organisation)
	}
	if i, there := c.consultation(a.Organisation); there && c.Consultations[i].Answered.IsZero() {
		return proofhouse.Errorf(proofhouse.Conflict, nil, "%s has been asked, and has not answered yet", a.Organisation)
	}
	c.Consultations = append(slices.Clip(c.Consultations), Consultation{Organisation: a.Organisation, Round: c.round(), Asked: now})
	return nil
}

// consultation is the last with an organisation in this round.
func (c Case) consultation(o proofhouse.OrganisationID) (int, bool) {
	for i := len(c.Consultations) - 1; i >= 0; i-- {
		if k := c.Consultations[i]; k.Organisation == o && k.Round == c.round() {
			return i, true
		}
	}
	return 0, false
}

// Answer is what a consultee says when it was asked.
type Answer struct {
	View   View      `json:"view"`
	Reason string    `json:"reason"`
	Signed Signature `json:"signed,omitzero"`
}

// Kind implements Act.
func (Answer) Kind() Kind { return KindAnswer }

func (a Answer) text(c Case, by proofhouse.Actor) []byte {
	return signText(c.ID, "consultation", []any{by.Organisation, c.round(), a.View, a.Reason})
}

func (a Answer) signature() Signature { return a.Signed }

func (a Answer) with(s Signature) Act { a.Signed = s; return a }

func (a Answer) apply(c *Case, by proofhouse.Actor, now time.Time) error {
	switch a.View {
	case Agrees, Dissents, Comments:
	default:
		return proofhouse.Errorf(proofhouse.Invalid, nil, "a consultee agrees, dissents or comments")
	}
	if err := plain("the reason", a.Reason); err != nil {
		return err
	}
	if err := a.Signed.over(proofhouse.DigestOf(a.text(*c, by))); err != nil {
		return err
	}
	return c.answered(by.Organisation, func(k *Consultation) {
		k.Answered, k.By, k.View, k.Reason, k.Signed = now, by, a.View, a.Reason, a.Signed
	})
}

func (c *Case) answered(o proofhouse.OrganisationID, change func(*Consultation)) error {
	i, there := c.consultation(o)
	if !there || !c.Consultations[i].Answered.IsZero() {
		return proofhouse.Errorf(proofhouse.Conflict, nil, "%s has no question to answer", o)
	}
	c.Consultations = slices.Clone(c.Consultations)
	change(&c.Consultations[i])
	return nil
}

// Waive does without a consultee's answer, for a reason that the authority signs.
type Waive struct {
	Organisation proofhouse.OrganisationID `json:"organisation"`
	Reason       string                    `json:"reason"`
	Signed       Signature                 `json:"signed,omitzero"`
}

// Kind implements Act.
func (Waive) Kind() Kind { return KindWaive }

func (a Waive) text(c Case, _ proofhouse.Actor) []byte {
	return signText(c.ID, "waiver", []any{a.Organisation, c.round(), a.Reason})
}

func (a Waive) signature() Signature { return a.Signed }

func (a Waive) with(s Signature) Act { a.Signed = s; return a }

func (a Waive) apply(c *Case, by proofhouse.Actor, now time.Time) error {
	if err := plain("the reason", a.Reason); err != nil {
		return err
	}
	if err := a.Signed.over(proofhouse.DigestOf(a.text(*c, by))); err != nil {
		return err
	}
	return c.answered(a.Organisation, func(k *Consultation) {
		k.Answered, k.By, k.Reason, k.Signed = now, by, a.Reason, a.Signed
	})
}

// Determination is a signed answer to the developer's question. It is about
// what the model can do. Later ones stand beside it.
type Determination struct {
	Version      int     `json:"version"`
	Round        int     `json:"round"`
	Outcome      Outcome `json:"outcome"`
	Registration int     `json:"registration"`
	// Proposed is what the registered rule says of Runs.
	Proposed Outcome            `json:"proposed"`
	Runs     []proofhouse.RunID `json:"runs"`
	// Departure is why the authority does not follow the rule; "" if it does.
	Departure string `json:"departure,omitzero"`
	// Report is the version of the report that the authority names, by its commitment; 0 is none.
	Report           int               `json:"report,omitzero"`
	ReportCommitment proofhouse.Digest `json:"report_commitment,omitzero"`

	At     time.Time        `json:"at"`
	By     proofhouse.Actor `json:"by"`
	Signed Signature        `json:"signed,omitzero"`
}

// Follows says whether the outcome is the one that the registered rule proposes.
func (d Determination) Follows() bool { return d.Outcome == d.Proposed }

// Determine signs an outcome under a version of the criteria.
type Determine struct {
	Outcome      Outcome   `json:"outcome"`
	Registration int       `json:"registration"`
	Departure    string    `json:"departure,omitempty"`
	Report       int       `json:"report,omitempty"` // the version of the report that it names; 0 is none
	Signed       Signature `json:"signed,omitzero"`
}

// Kind implements Act.
func (Determine) Kind() Kind { return KindDetermine }

// text is the outcome with the criteria, what the rule proposes, every run that
// counts, what is cited, and every consultee's answer.
func (a Determine) text(c Case, _ proofhouse.Actor) []byte {
	proposed, runs := c.Propose(a.Registration)
	return a.says(c, proposed, runs)
}

// says is the text where the rule proposes that of these runs. Answers stand in
// it by their digests, so that the signature can be checked by whoever may not read them.
func (a Determine) says(c Case, proposed Outcome, runs []proofhouse.RunID) []byte {
	var commitment proofhouse.Digest
	if r, err := c.registration(a.Registration); err == nil {
		commitment = r.Commitment
	}
	var evidence []proofhouse.Digest
	for _, id := range runs {
		if i, err := c.run(id); err == nil {
			evidence = append(evidence, c.Runs[i].Evidence)
		}
	}
	var views []any
	for _, k := range c.Consultations {
		views = append(views, []any{k.Organisation, k.Round, k.Answered, k.answer()})
	}
	says := []any{
		len(c.Determinations) + 1, c.round(), a.Outcome, a.Registration, commitment, proposed, runs, evidence, c.Citations, a.Departure, views,
	}
	if a.Report != 0 {
		r, _ := c.report(a.Report) // apply holds it to those that there are
		says = append(says, []any{a.Report, r.Commitment})
	}
	return signText(c.ID, "determination, answers by digest", says)
}

// answer is the digest of what was answered, or of the waiver, with its
// signature: nobody can make that, so a guess at the answer cannot be tried. "" before there is one.
func (k Consultation) answer() proofhouse.Digest {
	switch {
	case k.sealed != "":
		return k.sealed
	case k.Answered.IsZero():
		return ""
	}
	says := []any{"proofhouse answer v1", k.View, k.Reason, k.Signed.Bytes}
	if k.Signed.byPasskey() {
		says = append(says, k.Signed.Passkey)
	}
	b, err := json.Marshal(says)
	if err != nil {
		panic(err) // strings are JSON
	}
	return proofhouse.DigestOf(b)
}

func (a Determine) signature() Signature { return a.Signed }

func (a Determine) with(s Signature) Act { a.Signed = s; return a }

// Propose is what the registered rule says of the runs that count in this round, and which they are.
func (c Case) Propose(version int) (Outcome, []proofhouse.RunID) {
	r, err := c.registration(version)
	if err != nil {
		return Undetermined, nil
	}
	tallies := map[Cell]Tally{}
	var runs []proofhouse.RunID
	for _, run := range c.Runs {
		if run.Counts() && run.Registration == version && run.Round == c.round() {
			tallies[run.Cell] = run.Tally
			runs = append(runs, run.ID)
		}
	}
	return r.Criteria.Propose(tallies), runs
}

func (a Determine) apply(c *Case, by proofhouse.Actor, now time.Time) error {
	switch a.Outcome {
	case Covered, NotCovered, Undetermined:
	default:
		return proofhouse.Errorf(proofhouse.Invalid, nil, "the outcome is covered, not covered or undetermined")
	}
	reg, err := c.registration(a.Registration)
	if err != nil {
		return err
	}
	if reg.Countersigned.IsZero() {
		return proofhouse.Errorf(proofhouse.Refused, nil, "the developer has not countersigned version %d of the criteria", a.Registration)
	}
	// Otherwise the authority could choose, of two versions, the one that suits it.
	if c.round() == 0 && slices.ContainsFunc(c.Registrations[a.Registration:], func(r Registration) bool { return !r.Countersigned.IsZero() }) {
		return proofhouse.Errorf(proofhouse.Refused, nil, "the developer has countersigned a later version of the criteria: sign under that")
	}
	if n := c.round(); n > 0 && c.Rounds[n-1].Registration != a.Registration {
		return proofhouse.Errorf(proofhouse.Refused, nil, "a reconsideration is under the same criteria, version %d", c.Rounds[n-1].Registration)
	}
	if slices.ContainsFunc(c.Runs, func(r Run) bool { return r.By.Organisation == by.Organisation && r.By.Person == by.Person }) {
		return proofhouse.Errorf(proofhouse.Refused, nil, "whoever ran an evaluation of the case does not sign its determination")
	}
	proposed, runs := c.Propose(a.Registration)
	if err := c.evidenceFinished(reg, len(runs), now); err != nil {
		return err
	}
	for _, k := range c.Rules.Consultees {
		i, asked := c.consultation(k.Organisation)
		if k.Required && !asked || asked && c.Consultations[i].Answered.IsZero() {
			return proofhouse.Errorf(proofhouse.Refused, nil, "%s has neither answered nor been waived", k.Organisation)
		}
	}
	if departs := a.Outcome != proposed; departs != (a.Departure != "") {
		if departs {
			return proofhouse.Errorf(proofhouse.Invalid, nil, "the registered rule proposes %q: give the reason for departing from it", proposed)
		}
		return proofhouse.Errorf(proofhouse.Invalid, nil, "this is what the registered rule proposes: there is nothing to depart from")
	}
	if a.Departure != "" {
		if err := plain("the reason for departing", a.Departure); err != nil {
			return err
		}
	}
	var report FiledReport
	if a.Report != 0 {
		if report, err = c.report(a.Report); err != nil {
			return err
		}
	}
	if err := a.Signed.over(proofhouse.DigestOf(a.text(*c, by))); err != nil {
		return err
	}
	c.Determinations = append(slices.Clip(c.Determinations), Determination{
		Version: len(c.Determinations) + 1, Round: c.round(), Outcome: a.Outcome, Registration: a.Registration, Proposed: proposed, Runs: runs,
		Departure: a.Departure, Report: a.Report, ReportCommitment: report.Commitment, At: now, By: by, Signed: a.Signed,
	})
	return nil
}

// evidenceFinished says whether no more can come: every cell was measured, or
// there is no access by which it could be. A run that still goes on is waited for.
func (c Case) evidenceFinished(reg Registration, cells int, now time.Time) error {
	for _, r := range c.Runs {
		if len(r.Exploratory) == 0 && r.Registration == reg.Version && r.Round == c.round() && r.Finished.IsZero() {
			return proofhouse.Errorf(proofhouse.Refused, nil, "the run %s has not finished", r.ID)
		}
	}
	if a := c.access(now); cells < len(reg.Criteria.Cells()) && (a == AccessOpen || a == AccessPaused) {
		return proofhouse.Errorf(proofhouse.Refused, nil, "%d of %d registered runs are not finished, and access has not ended", len(reg.Criteria.Cells())-cells, len(reg.Criteria.Cells()))
	}
	return nil
}

// Round is a reconsideration, by an independent tester under the criteria of
// the determination that it is about.
type Round struct {
	Number       int                       `json:"number"`
	Registration int                       `json:"registration"`
	Reason       string                    `json:"reason"`
	Asked        time.Time                 `json:"asked,omitzero"`
	By           proofhouse.Actor          `json:"by"`
	Tester       proofhouse.OrganisationID `json:"tester,omitzero"` // "" until one is appointed
}

// round is the number of the last reconsideration, 0 if there was none.
func (c Case) round() int { return len(c.Rounds) }

// Reconsider asks for a determination to be looked at again.
type Reconsider struct {
	Reason string `json:"reason"`
}

// Kind implements Act.
func (Reconsider) Kind() Kind { return KindReconsider }

func (a Reconsider) apply(c *Case, by proofhouse.Actor, now time.Time) error {
	if err := plain("the reason", a.Reason); err != nil {
		return err
	}
	last := c.Determinations[len(c.Determinations)-1]
	c.Rounds = append(slices.Clip(c.Rounds), Round{Number: len(c.Rounds) + 1, Registration: last.Registration, Reason: a.Reason, Asked: now, By: by})
	return nil
}

// Appoint names the tester of the reconsideration.
type Appoint struct {
	Tester proofhouse.OrganisationID `json:"tester"`
}

// Kind implements Act.
func (Appoint) Kind() Kind { return KindAppoint }

func (a Appoint) apply(c *Case, _ proofhouse.Actor, _ time.Time) error {
	n := c.round()
	if c.Rounds[n-1].Tester != "" {
		return proofhouse.Errorf(proofhouse.Conflict, nil, "a tester is appointed already")
	}
	if !slices.ContainsFunc(c.Members, func(m Member) bool { return m.Organisation == a.Tester && m.Role == proofhouse.Tester }) {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "%s is no tester of the case", a.Tester)
	}
	if slices.ContainsFunc(c.Runs, func(r Run) bool { return r.By.Organisation == a.Tester }) {
		return proofhouse.Errorf(proofhouse.Refused, nil, "%s has measured this model already, and is not independent of that", a.Tester)
	}
	c.Rounds = slices.Clone(c.Rounds)
	c.Rounds[n-1].Tester = a.Tester
	return nil
}
