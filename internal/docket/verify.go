package docket

import (
	"fmt"
	"slices"
	"time"

	"proofhouse/internal/proofhouse"
)

// Proof is what the records of a case prove to somebody who trusts nobody, and
// what they do not.
type Proof struct {
	Case    proofhouse.CaseID `json:"case"`
	Events  int               `json:"events"`
	Last    time.Time         `json:"last"`
	Signers []Signer          `json:"signers"`
	// For is the role of a reader who may not read all records, and Withheld are the others, by
	// their seq; see VerifyExcerpt. Both are zero where all were read.
	For      proofhouse.Role `json:"for,omitempty"`
	Withheld []int           `json:"withheld,omitempty"`
	// Reports are those that such a reader may read.
	Reports []TierReport `json:"reports,omitempty"`
	// Determinations in order; a case may have none.
	Determinations []ProvedDetermination `json:"determinations"`
	Runs           []ProvedRun           `json:"runs"`
	// Artifacts is how many were sealed, and Destructions are what was ordered to be destroyed.
	Artifacts    int                 `json:"artifacts"`
	Destructions []ProvedDestruction `json:"destructions"`
	// Adoptions are other departments' decisions, each about its own use alone.
	Adoptions []Adoption `json:"adoptions,omitempty"`
	// Accounts say where the tokens went; nil if the gate's meter is not there.
	Accounts *Accounts `json:"accounts"`
	// Wrong is what breaks the announced rules. Each is named: late criteria, hidden runs.
	Wrong []string `json:"wrong"`
	// Open is what the records cannot show.
	Open []string `json:"open"`
}

// Signer is somebody whose signatures were checked.
type Signer struct {
	By     proofhouse.Actor `json:"by"`
	KeyID  string           `json:"key_id"`
	Pinned bool             `json:"pinned"` // it is the key that the verifier already had
	Signed int              `json:"signed"` // how many acts
	// Passkey is the house that the key is a passkey of; zero for a key that its owner keeps.
	Passkey RelyingParty `json:"passkey,omitzero"`
}

// ProvedDetermination is a determination held to the rule.
type ProvedDetermination struct {
	Version  int     `json:"version"`
	Outcome  Outcome `json:"outcome"`
	Proposed Outcome `json:"proposed"`
	Follows  bool    `json:"follows"`
	// Departure is the authority's reason where it does not follow.
	Departure string `json:"departure,omitempty"`
	// Commitment is to the criteria; Late is how many runs had begun before they were registered.
	Commitment    proofhouse.Digest `json:"commitment"`
	Registered    time.Time         `json:"registered"`
	Countersigned time.Time         `json:"countersigned"`
	Late          int               `json:"late"`
	Signed        time.Time         `json:"signed"`
	Dissent       int               `json:"dissent"` // how many of the consulted dissented; -1 if the reader may not know
}

// ProvedDestruction is an order to destroy artifacts that two others agreed to.
type ProvedDestruction struct {
	Artifacts []proofhouse.Digest `json:"artifacts"`
	Agreed    [2]Word             `json:"agreed"`
	Ordered   time.Time           `json:"ordered"`
	// Done is when it was carried out, by the house's signed word; zero if it says nothing of it.
	Done       time.Time `json:"done,omitzero"`
	Statements [][]byte  `json:"-"`
}

// ProvedRun is a run and in which account it is.
type ProvedRun struct {
	ID     proofhouse.RunID `json:"id"`
	Counts bool             `json:"counts"`
	Why    []string         `json:"why,omitempty"` // why it does not
	Tally  Tally            `json:"tally"`
	Tokens int64            `json:"tokens"`
}

// Verify makes the case anew from its records under rules and says what that
// proves. metered is what the gate counted, nil if nobody can say. pins are keys
// that the verifier has from elsewhere, by organisation. Records that do not
// follow from one another are proofhouse.Integrity; what the rules forbid and
// happened all the same is in Wrong.
func Verify(rules *Profile, records []Record, metered []Metered, pins map[proofhouse.OrganisationID][]string) (Proof, error) {
	if len(records) == 0 {
		return Proof{}, proofhouse.Errorf(proofhouse.Integrity, nil, "there are no records")
	}
	p := Proof{Case: records[0].Case}
	c, err := New(p.Case, rules).Replay(records...)
	if err != nil {
		return p, err
	}
	p.Events, p.Last = c.Version, c.Changed
	if err := p.signers(c, records, pins); err != nil {
		return p, err
	}
	p.determinations(c)
	p.runs(c)
	p.Artifacts = len(c.Artifacts)
	for _, d := range c.Destructions {
		p.Destructions = append(p.Destructions, ProvedDestruction{d.Artifacts, d.Agreed, d.At, d.Done, d.Statements})
	}
	if len(c.Destructions) > 0 {
		p.Open = append(p.Open, "that nobody kept a copy of what was destroyed: a certificate is the house's word")
	}
	p.Adoptions = c.Adoptions
	p.accounts(c, metered)
	p.Open = append(p.Open, fmt.Sprintf("that nothing followed event %d: ask the house for a later bundle, or hold a receipt against this one", c.Version),
		"that the clock of the house was right: times are its own",
		"that a run's evidence is what it says: its digest is here, and the evidence with whoever may read it")
	return p, nil
}

func (p *Proof) signers(c Case, records []Record, pins map[proofhouse.OrganisationID][]string) error {
	for _, k := range c.Keys {
		id, err := k.ID()
		if err != nil {
			return err
		}
		s := Signer{By: k.By, KeyID: id, Passkey: k.Passkey}
		known, pinned := pins[k.By.Organisation]
		s.Pinned = slices.Contains(known, s.KeyID)
		if pinned && !s.Pinned {
			p.Wrong = append(p.Wrong, fmt.Sprintf("%s of %s named the key %s, which is none of those that you gave for it", k.By.Person, k.By.Organisation, s.KeyID))
		}
		p.Signers = append(p.Signers, s)
	}
	last := map[proofhouse.Actor]int{}
	named := 0
	for _, r := range records {
		switch r.Event.Act.(type) {
		case NameKey:
			last[r.Event.By] = named
			named++
		case signedAct:
			s := &p.Signers[last[r.Event.By]]
			s.Signed++
			if s.Passkey != (RelyingParty{}) {
				p.open("what whoever signed with a passkey had read: an authenticator shows no text, and the pages of %s showed it", s.Passkey.Origin)
			}
		}
	}
	return nil
}

func (p *Proof) determinations(c Case) {
	for _, d := range c.Determinations {
		r := c.Registrations[d.Registration-1]
		proved := ProvedDetermination{
			Version: d.Version, Outcome: d.Outcome, Proposed: d.Proposed, Follows: d.Follows(), Departure: d.Departure,
			Commitment: r.Commitment, Registered: r.At, Countersigned: r.Countersigned, Late: r.Seen, Signed: d.At,
		}
		for _, k := range c.Consultations {
			if k.Round == d.Round && k.View == Dissents && !k.Answered.After(d.At) {
				proved.Dissent++
			}
		}
		if r.Seen > 0 {
			p.Wrong = append(p.Wrong, fmt.Sprintf("late criteria: when version %d was registered, %s had begun", r.Version, plural(r.Seen, "run")))
		}
		p.Determinations = append(p.Determinations, proved)
	}
}

func (p *Proof) runs(c Case) {
	for _, r := range c.Runs {
		proved := ProvedRun{ID: r.ID, Counts: r.Counts(), Why: r.Exploratory, Tally: r.Tally, Tokens: r.Tokens}
		switch {
		case r.Finished.IsZero():
			proved.Why = append(slices.Clone(proved.Why), "not finished")
		case r.Void != "":
			proved.Why = append(slices.Clone(proved.Why), "void: "+r.Void)
		}
		p.Runs = append(p.Runs, proved)
	}
}

func (p *Proof) accounts(c Case, metered []Metered) {
	if metered == nil {
		p.Open = append(p.Open, "where the tokens went: the gate's meter is not in the bundle")
		return
	}
	a := c.Account(metered)
	p.Accounts = &a
	hidden := map[proofhouse.RunID]int64{}
	for _, m := range metered {
		if _, err := c.run(m.Run); m.Run != "" && err != nil && m.Tokens != 0 {
			hidden[m.Run] += m.Tokens
		}
	}
	for _, id := range sortedKeys(hidden) {
		p.Wrong = append(p.Wrong, fmt.Sprintf("hidden run: the gate counted %d tokens for %s, of which the case has no record", hidden[id], id))
	}
	for _, id := range a.Differ {
		p.Wrong = append(p.Wrong, fmt.Sprintf("the run %s says another number of tokens than the gate counted", id))
	}
	if a.Remainder != 0 {
		p.Wrong = append(p.Wrong, fmt.Sprintf("%d tokens belong to no run and no grant of the case", a.Remainder))
	}
}

func sortedKeys(m map[proofhouse.RunID]int64) []proofhouse.RunID {
	keys := make([]proofhouse.RunID, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
