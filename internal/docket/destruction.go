package docket

import (
	"slices"
	"time"

	"proofhouse/internal/proofhouse"
	"proofhouse/internal/vault"
)

// Destruction is an order to destroy what is sealed, for which two others gave
// their word, and what came of it.
type Destruction struct {
	Number int `json:"number"` // from 1
	// Artifacts are what it is about; of a whole case all that it had.
	Artifacts []proofhouse.Digest `json:"artifacts"`
	// Whole says that the case goes with them: afterwards nothing of it opens.
	Whole   bool             `json:"whole,omitzero"`
	Request string           `json:"request"` // which two others agreed to
	Agreed  [2]Word          `json:"agreed"`
	At      time.Time        `json:"at"`
	By      proofhouse.Actor `json:"by"`
	// Done is when it was carried out; zero until then. Statements are the house's
	// signed word on what was destroyed, an envelope for each compartment.
	Done       time.Time `json:"done,omitzero"`
	Statements [][]byte  `json:"statements,omitempty"`
}

// Word is what somebody agreed to, and when.
type Word struct {
	Organisation proofhouse.OrganisationID `json:"organisation"`
	Person       proofhouse.PersonID       `json:"person"`
	At           time.Time                 `json:"at"`
}

// Order is the decision to destroy artifacts, or the whole case. From then on nothing keeps
// them, and what was decided is carried out whatever happens to the machine.
type Order struct {
	Artifacts []proofhouse.Digest `json:"artifacts,omitempty"`
	Whole     bool                `json:"whole,omitempty"`
	Request   string              `json:"request"`
	Agreed    [2]Word             `json:"agreed"`
}

// Kind implements Act.
func (Order) Kind() Kind { return KindOrder }

func (a Order) apply(c *Case, by proofhouse.Actor, now time.Time) error {
	if err := name("the request", a.Request); err != nil {
		return err
	}
	who := []Word{a.Agreed[0], a.Agreed[1], {Organisation: by.Organisation, Person: by.Person, At: now}}
	for i, w := range who {
		switch {
		case w.Organisation == "" || w.Person == "" || w.At.IsZero() || w.At.After(now):
			return proofhouse.Errorf(proofhouse.Invalid, nil, "an order to destroy says which two agreed to it, and when")
		case slices.ContainsFunc(who[:i], func(o Word) bool { return o.Organisation == w.Organisation && o.Person == w.Person }):
			return proofhouse.Errorf(proofhouse.Refused, nil, "to destroy takes one who asks and two others")
		}
	}
	if c.ending() {
		return proofhouse.Errorf(proofhouse.Conflict, nil, "all of the case is being destroyed already")
	}
	ids := slices.Clone(a.Artifacts)
	if a.Whole {
		if err := c.closes(now); err != nil {
			return err
		}
		if len(ids) > 0 {
			return proofhouse.Errorf(proofhouse.Invalid, nil, "an order is about artifacts, or about all of the case")
		}
		for _, x := range c.Artifacts {
			if x.Ordered.IsZero() {
				ids = append(ids, x.ID)
			}
		}
	} else if len(ids) == 0 || len(ids) > maxList {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "name 1 to %d artifacts that are to be destroyed", maxList)
	}
	custody, err := c.Custody()
	if err != nil {
		return err
	}
	c.Artifacts = slices.Clone(c.Artifacts)
	for _, id := range ids {
		i := slices.IndexFunc(c.Artifacts, func(x Artifact) bool { return x.ID == id })
		switch {
		case i < 0:
			return proofhouse.Errorf(proofhouse.NotFound, nil, "the case has no such artifact")
		case !c.Artifacts[i].Ordered.IsZero():
			return proofhouse.Errorf(proofhouse.Conflict, nil, "artifact %s is destroyed, or is being destroyed", id.Short())
		case len(c.Holding(id)) > 0:
			return proofhouse.Errorf(proofhouse.Refused, nil, "a legal hold is on artifact %s, and a hold beats every wish to destroy: have the hold lifted first", id.Short())
		case custody.Standing(id, now) == vault.MustKeep:
			return proofhouse.Errorf(proofhouse.Refused, nil, "artifact %s is kept until the review is over: the developer has withdrawn, or access has ended and no question is open", id.Short())
		}
		c.Artifacts[i].Ordered = now
	}
	c.Destructions = append(slices.Clip(c.Destructions), Destruction{
		Number: len(c.Destructions) + 1, Artifacts: ids, Whole: a.Whole, Request: a.Request, Agreed: a.Agreed, At: now, By: by,
	})
	return nil
}

// closes says why the case cannot go as a whole.
func (c Case) closes(now time.Time) error {
	s := c.At(now)
	switch {
	case c.Held():
		return proofhouse.Errorf(proofhouse.Refused, nil, "a legal hold is on the case, and a hold beats every wish to destroy: have the hold lifted first")
	case s.Engagement == Open || s.Engagement == Reconsidering:
		return proofhouse.Errorf(proofhouse.Refused, nil, "the developer's question is open: a case goes when it is over")
	case s.Access == AccessOpen || s.Access == AccessPaused || len(s.Live) > 0:
		return proofhouse.Errorf(proofhouse.Refused, nil, "somebody has access to the model by this case: a case goes when its grants have ended")
	}
	return nil
}

// ending says whether all of the case was ordered to be destroyed.
func (c Case) ending() bool {
	return slices.ContainsFunc(c.Destructions, func(d Destruction) bool { return d.Whole })
}

// Destroyed records that an order was carried out.
type Destroyed struct {
	Order int `json:"order"`
	// Statements are signed by the house; each says what was destroyed in one compartment.
	Statements [][]byte `json:"statements"`
}

// maxStatements bounds all statements of an order, in bytes.
const maxStatements = 16 << 20

// Kind implements Act.
func (Destroyed) Kind() Kind { return KindDestroyed }

func (a Destroyed) apply(c *Case, _ proofhouse.Actor, now time.Time) error {
	if a.Order < 1 || a.Order > len(c.Destructions) {
		return proofhouse.Errorf(proofhouse.NotFound, nil, "the case has no such order")
	}
	d := c.Destructions[a.Order-1]
	if !d.Done.IsZero() {
		return proofhouse.Errorf(proofhouse.Conflict, nil, "it was carried out already")
	}
	size := 0
	d.Statements = nil
	for _, s := range a.Statements {
		size += len(s)
		d.Statements = append(d.Statements, slices.Clone(s))
	}
	if size > maxStatements || len(a.Statements) == 0 && len(d.Artifacts) > 0 {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "the house's word on what was destroyed is missing, or too long")
	}
	d.Done = now
	c.Destructions = slices.Clone(c.Destructions)
	c.Destructions[a.Order-1] = d
	c.Artifacts = slices.Clone(c.Artifacts)
	for i := range c.Artifacts {
		if slices.Contains(d.Artifacts, c.Artifacts[i].ID) {
			c.Artifacts[i].Destroyed = now
		}
	}
	return nil
}

// Recorder is in whose name the house records that d was carried out: whoever ordered it, or if
// that person has left the case since a registrar of it, or else a developer, of whom a case always has one.
// No order lapses: two others agreed to it as well, and the vault may have carried it out already.
func (c Case) Recorder(d Destruction) proofhouse.Actor {
	if c.has(d.By) {
		return d.By
	}
	for _, r := range []proofhouse.Role{proofhouse.Registrar, proofhouse.Developer} {
		if i := slices.IndexFunc(c.Members, func(m Member) bool { return m.Role == r }); i >= 0 {
			return c.Members[i]
		}
	}
	return d.By
}

// Pending are the orders that have not been carried out.
func (c Case) Pending() (all []Destruction) {
	for _, d := range c.Destructions {
		if d.Done.IsZero() {
			all = append(all, d)
		}
	}
	return all
}
