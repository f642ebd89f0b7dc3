package docket

import (
	"slices"
	"time"

	"proofhouse/internal/proofhouse"
)

// Registration is a version of the criteria. Versions are added, never changed.
type Registration struct {
	Version    int               `json:"version"`
	Criteria   Criteria          `json:"criteria"`
	Salt       Salt              `json:"salt,omitzero"`
	Commitment proofhouse.Digest `json:"commitment"`
	At         time.Time         `json:"at"`
	By         proofhouse.Actor  `json:"by"`
	// Seen is how many runs of the case had begun by then. Criteria that were
	// registered when some had are late, and whoever verifies them is told.
	Seen int `json:"seen"`
	// Countersigned is when the developer put its signature under the commitment.
	Countersigned   time.Time        `json:"countersigned,omitzero"`
	CountersignedBy proofhouse.Actor `json:"countersigned_by,omitzero"`
	Signed          Signature        `json:"signed,omitzero"`
}

// Register registers criteria.
type Register struct {
	Criteria Criteria `json:"criteria"`
	Salt     Salt     `json:"salt"`
}

// Kind implements Act.
func (Register) Kind() Kind { return KindRegister }

func (a Register) apply(c *Case, by proofhouse.Actor, now time.Time) error {
	commitment, err := a.Criteria.Commit(a.Salt)
	if err != nil {
		return err
	}
	for _, v := range a.Criteria.Variants {
		if !slices.Contains(c.Variants, v) {
			return proofhouse.Errorf(proofhouse.Invalid, nil, "the developer offers no variant %s", v)
		}
	}
	c.Registrations = append(slices.Clip(c.Registrations), Registration{
		Version: len(c.Registrations) + 1, Criteria: a.Criteria, Salt: a.Salt, Commitment: commitment, At: now, By: by, Seen: len(c.Runs),
	})
	return nil
}

// Countersign is the developer's signature under a commitment, which it need
// not be able to open.
type Countersign struct {
	Version int       `json:"version"`
	Signed  Signature `json:"signed,omitzero"`
}

// Kind implements Act.
func (Countersign) Kind() Kind { return KindCountersign }

func (a Countersign) apply(c *Case, by proofhouse.Actor, now time.Time) error {
	r, err := c.registration(a.Version)
	if err != nil {
		return err
	}
	if err := a.Signed.over(proofhouse.DigestOf(a.text(*c, by))); err != nil {
		return err
	}
	if !r.Countersigned.IsZero() {
		return proofhouse.Errorf(proofhouse.Conflict, nil, "version %d of the criteria is countersigned already", a.Version)
	}
	c.Registrations = slices.Clone(c.Registrations)
	r = c.Registrations[a.Version-1]
	r.Countersigned, r.CountersignedBy, r.Signed = now, by, a.Signed
	c.Registrations[a.Version-1] = r
	return nil
}

func (a Countersign) text(c Case, _ proofhouse.Actor) []byte {
	var commitment proofhouse.Digest
	if r, err := c.registration(a.Version); err == nil {
		commitment = r.Commitment
	}
	return signText(c.ID, "criteria", []any{a.Version, commitment})
}

func (a Countersign) signature() Signature { return a.Signed }

func (a Countersign) with(s Signature) Act { a.Signed = s; return a }

func (c Case) registration(version int) (Registration, error) {
	if version < 1 || version > len(c.Registrations) {
		return Registration{}, proofhouse.Errorf(proofhouse.NotFound, nil, "there is no version %d of the criteria", version)
	}
	return c.Registrations[version-1], nil
}

// Run is a run for the case. It is registered, and counts, or it is
// exploratory, and never does.
type Run struct {
	ID           proofhouse.RunID `json:"id"`
	Registration int              `json:"registration"` // the version that it meant to follow; 0 is none
	Round        int              `json:"round"`        // 0, or the number of the reconsideration
	Cell         Cell             `json:"cell"`
	By           proofhouse.Actor `json:"by"`
	// Exploratory are the reasons why it does not count; none if it does.
	Exploratory []string          `json:"exploratory"`
	Started     time.Time         `json:"started"`
	Finished    time.Time         `json:"finished,omitzero"`
	Evidence    proofhouse.Digest `json:"evidence,omitzero"`
	Tally       Tally             `json:"tally"`
	Tokens      int64             `json:"tokens"`
	// Void is why a run that broke down counts for nothing, "" if it did not.
	Void string `json:"void,omitzero"`
}

// Counts says whether the run is registered, finished and not void.
func (r Run) Counts() bool { return len(r.Exploratory) == 0 && !r.Finished.IsZero() && r.Void == "" }

// StartRun begins a run. The model is asked only after this event.
type StartRun struct {
	Run          proofhouse.RunID `json:"run"`
	Registration int              `json:"registration"` // 0 for an exploratory run
	Manifest     Manifest         `json:"manifest"`
}

// Kind implements Act.
func (StartRun) Kind() Kind { return KindStartRun }

func (a StartRun) apply(c *Case, by proofhouse.Actor, now time.Time) error {
	if err := name("the run's name", string(a.Run)); err != nil {
		return err
	}
	if _, err := c.run(a.Run); err == nil {
		return proofhouse.Errorf(proofhouse.Conflict, nil, "there is a run %s already", a.Run)
	}
	access := c.access(now)
	if !slices.ContainsFunc(c.Grants, func(g Grant) bool { return g.To == by.Organisation && c.live(g, access, now) }) {
		return proofhouse.Errorf(proofhouse.Refused, nil, "no grant of yours opens the model: ask the developer for one")
	}
	r := Run{ID: a.Run, Registration: a.Registration, Round: c.round(), Cell: Cell{a.Manifest.Variant, a.Manifest.Agent.Name}, By: by, Started: now}
	var err error
	if r.Exploratory, err = c.exploratory(r, a.Manifest); err != nil {
		return err
	}
	c.Runs = append(slices.Clip(c.Runs), r)
	return nil
}

// exploratory is why a run that is about to start does not count.
func (c Case) exploratory(r Run, m Manifest) ([]string, error) {
	if r.Registration == 0 {
		return []string{"no criteria"}, nil
	}
	reg, err := c.registration(r.Registration)
	if err != nil {
		return nil, err
	}
	why := reg.Criteria.Differences(m)
	if reg.Countersigned.IsZero() {
		why = append(why, "not countersigned")
	}
	if r.Round > 0 {
		round := c.Rounds[r.Round-1]
		if r.By.Organisation != round.Tester {
			why = append(why, "not by the appointed tester")
		}
		if r.Registration != round.Registration {
			why = append(why, "not under the same criteria")
		}
	} else if r.By.Organisation != c.Rules.Body {
		why = append(why, "not by the body")
	}
	// Otherwise a run could be repeated until it pleases.
	for _, other := range c.Runs {
		if other.Registration == r.Registration && other.Round == r.Round && other.Cell == r.Cell && len(other.Exploratory) == 0 && other.Void == "" {
			why = append(why, "repeated")
			break
		}
	}
	return why, nil
}

// FinishRun ends a run.
type FinishRun struct {
	Run      proofhouse.RunID  `json:"run"`
	Evidence proofhouse.Digest `json:"evidence"` // of the whole result
	Tally    Tally             `json:"tally"`
	Tokens   int64             `json:"tokens"` // all that the model was asked and said
	// Void is why the run broke down, if it did. It may be run again then, and
	// everyone sees that it was.
	Void string `json:"void,omitempty"`
}

// Kind implements Act.
func (FinishRun) Kind() Kind { return KindFinishRun }

func (a FinishRun) apply(c *Case, by proofhouse.Actor, now time.Time) error {
	i, err := c.run(a.Run)
	if err != nil {
		return err
	}
	r := c.Runs[i]
	if r.By.Organisation != by.Organisation {
		return proofhouse.Errorf(proofhouse.NotFound, nil, "you have no run %s", a.Run)
	}
	if !r.Finished.IsZero() {
		return proofhouse.Errorf(proofhouse.Conflict, nil, "the run %s has finished already", a.Run)
	}
	if err := a.Evidence.Validate(); err != nil {
		return err
	}
	if a.Void != "" {
		if err := plain("the reason why the run is void", a.Void); err != nil {
			return err
		}
	}
	if t := a.Tally; a.Tokens < 0 || t.Solved < 0 || t.Excluded < 0 || t.Samples < 0 || t.Samples > maxTasks*1000 || t.Solved > t.Samples-t.Excluded {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "the run's counts do not add up")
	}
	r.Finished, r.Evidence, r.Tally, r.Tokens, r.Void = now, a.Evidence, a.Tally, a.Tokens, a.Void
	if !c.Withdrawn.IsZero() {
		// The tokens are accounted for; what they showed is not kept.
		r.Tally, r.Void = Tally{}, "the developer withdrew"
	}
	if len(r.Exploratory) == 0 && r.Void == "" && r.Tally.Samples != c.Registrations[r.Registration-1].Criteria.Samples() {
		// A fixed sample that was cut short is not one.
		r.Exploratory = []string{"samples"}
	}
	c.Runs = slices.Clone(c.Runs)
	c.Runs[i] = r
	return nil
}

func (c Case) run(id proofhouse.RunID) (int, error) {
	i := slices.IndexFunc(c.Runs, func(r Run) bool { return r.ID == id })
	if i < 0 {
		return 0, proofhouse.Errorf(proofhouse.NotFound, nil, "you have no run %s", id)
	}
	return i, nil
}

// Exhibit is evidence from elsewhere. It is kept with where it came from, and
// counts as nothing of ours.
type Exhibit struct {
	Digest proofhouse.Digest `json:"digest"`
	What   string            `json:"what"` // "red-team report", "Inspect log"
	// Source is who made it, and how it came here.
	Source string           `json:"source"`
	At     time.Time        `json:"at"`
	By     proofhouse.Actor `json:"by"`
}

// Attach attaches evidence from elsewhere.
type Attach struct {
	Digest proofhouse.Digest `json:"digest"`
	What   string            `json:"what"`
	Source string            `json:"source"`
}

// Kind implements Act.
func (Attach) Kind() Kind { return KindAttach }

func (a Attach) apply(c *Case, by proofhouse.Actor, now time.Time) error {
	if err := a.Digest.Validate(); err != nil {
		return err
	}
	if err := plain("what the evidence is", a.What); err != nil {
		return err
	}
	if err := plain("where the evidence is from", a.Source); err != nil {
		return err
	}
	c.Exhibits = append(slices.Clip(c.Exhibits), Exhibit{a.Digest, a.What, a.Source, now, by})
	return nil
}

// Metered is what the gate has counted for one grant and, if the caller named one, one run.
type Metered struct {
	Grant  GrantID          `json:"grant"`
	Run    proofhouse.RunID `json:"run,omitempty"` // "" for none
	Tokens int64            `json:"tokens"`
}

// Accounts says where all tokens of a case went.
type Accounts struct {
	Registered  int64 `json:"registered"`
	Exploratory int64 `json:"exploratory"`
	// Outside are those of testers and partners, for their own work.
	Outside int64 `json:"outside"`
	// Remainder belongs to nothing: the body's tokens in no run of its own, and what no
	// grant of the case explains.
	Remainder int64 `json:"remainder"`
	// Differ are finished runs that say another number than the gate counted.
	Differ []proofhouse.RunID `json:"differ"`
}

// Account puts every metered token into exactly one account.
func (c Case) Account(metered []Metered) Accounts {
	var a Accounts
	counted := map[proofhouse.RunID]int64{}
	for _, m := range metered {
		g, there := c.find(m.Grant)
		i, err := c.run(m.Run)
		switch {
		case !there:
			a.Remainder += m.Tokens
		case err == nil && c.Runs[i].By.Organisation == c.Grants[g].To:
			counted[m.Run] += m.Tokens
			if c.Runs[i].Counts() {
				a.Registered += m.Tokens
			} else {
				a.Exploratory += m.Tokens
			}
		case m.Run != "" || c.Grants[g].Side == BodySide:
			a.Remainder += m.Tokens
		default:
			a.Outside += m.Tokens
		}
	}
	for _, r := range c.Runs {
		if !r.Finished.IsZero() && r.Tokens != counted[r.ID] {
			a.Differ = append(a.Differ, r.ID)
		}
	}
	return a
}
