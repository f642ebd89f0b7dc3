package docket

import (
	"slices"
	"time"

	"proofhouse/internal/proofhouse"
	"proofhouse/internal/vault"
)

// Hold keeps artifacts whatever the terms say, such as for a court, until it is lifted.
type Hold struct {
	ID string `json:"id"`
	// Artifacts are those that it keeps; none are all of the case, those that come later too.
	Artifacts []proofhouse.Digest `json:"artifacts"`
	Reason    string              `json:"reason"`
	At        time.Time           `json:"at"`
	By        proofhouse.Actor    `json:"by"`
	Lifted    time.Time           `json:"lifted,omitzero"`
	LiftedBy  proofhouse.Actor    `json:"lifted_by,omitzero"`
	Why       string              `json:"why,omitempty"` // it was lifted
}

// PlaceHold places a legal hold.
type PlaceHold struct {
	ID        string              `json:"id"`
	Artifacts []proofhouse.Digest `json:"artifacts,omitempty"`
	Reason    string              `json:"reason"`
}

// Kind implements Act.
func (PlaceHold) Kind() Kind { return KindHold }

// maxHolds bounds how many holds a case ever has.
const maxHolds = 1000

func (a PlaceHold) apply(c *Case, by proofhouse.Actor, now time.Time) error {
	if err := plain("the reason", a.Reason); err != nil {
		return err
	}
	if len(c.Holds) >= maxHolds {
		return proofhouse.Errorf(proofhouse.Limit, nil, "a case has at most %d holds", maxHolds)
	}
	if c.ending() {
		return proofhouse.Errorf(proofhouse.Conflict, nil, "all of the case is being destroyed: it is too late for a hold")
	}
	for i, id := range a.Artifacts {
		switch x, there := c.Artifact(id); {
		case !there:
			return proofhouse.Errorf(proofhouse.NotFound, nil, "the case has no such artifact")
		case !x.Ordered.IsZero():
			return proofhouse.Errorf(proofhouse.Conflict, nil, "artifact %s is destroyed, or is being destroyed: it is too late for a hold", id.Short())
		case slices.Contains(a.Artifacts[:i], id):
			return proofhouse.Errorf(proofhouse.Invalid, nil, "an artifact is named twice")
		case by.Role == proofhouse.Developer && x.By.Organisation != by.Organisation:
			return proofhouse.Errorf(proofhouse.Refused, nil, "a developer holds what its own people brought, and nothing else")
		}
	}
	if by.Role == proofhouse.Developer && len(a.Artifacts) == 0 {
		return proofhouse.Errorf(proofhouse.Refused, nil, "a developer holds what its own people brought: name the artifacts")
	}
	h := Hold{ID: a.ID, Artifacts: slices.Clone(a.Artifacts), Reason: a.Reason, At: now, By: by}
	if slices.ContainsFunc(c.Holds, func(h Hold) bool { return h.ID == a.ID }) {
		return proofhouse.Errorf(proofhouse.Conflict, nil, "there is, or was, a hold of that name: choose another")
	}
	if _, err := (vault.Custody{}).Apply(h.event()); err != nil {
		return err
	}
	c.Holds = append(slices.Clip(c.Holds), h)
	return nil
}

// LiftHold ends a hold.
type LiftHold struct {
	ID     string `json:"id"`
	Reason string `json:"reason"`
}

// Kind implements Act.
func (LiftHold) Kind() Kind { return KindLift }

func (a LiftHold) apply(c *Case, by proofhouse.Actor, now time.Time) error {
	if err := plain("the reason", a.Reason); err != nil {
		return err
	}
	i := slices.IndexFunc(c.Holds, func(h Hold) bool { return h.ID == a.ID })
	switch {
	case i < 0:
		return proofhouse.Errorf(proofhouse.NotFound, nil, "the case has no such hold")
	case !c.Holds[i].Lifted.IsZero():
		return proofhouse.Errorf(proofhouse.Conflict, nil, "the hold was lifted already")
	}
	placed := c.Holds[i].By
	if by.Role != proofhouse.SecurityOfficer && (by.Organisation != placed.Organisation || by.Person != placed.Person) {
		return proofhouse.Errorf(proofhouse.Refused, nil, "a hold is lifted by whoever placed it, or by a security officer")
	}
	c.Holds = slices.Clone(c.Holds)
	c.Holds[i].Lifted, c.Holds[i].LiftedBy, c.Holds[i].Why = now, by, a.Reason
	return nil
}

func (h Hold) event() vault.CustodyEvent {
	return vault.CustodyEvent{At: h.At, Actor: h.By, Reason: h.Reason, Hold: &vault.Hold{ID: h.ID, Artifacts: h.Artifacts}}
}

// Holding are the names of the holds that keep an artifact.
func (c Case) Holding(id proofhouse.Digest) []string {
	names := []string{}
	for _, h := range c.Holds {
		if h.Lifted.IsZero() && (len(h.Artifacts) == 0 || slices.Contains(h.Artifacts, id)) {
			names = append(names, h.ID)
		}
	}
	return names
}

// Held says whether any hold is on the case.
func (c Case) Held() bool {
	return slices.ContainsFunc(c.Holds, func(h Hold) bool { return h.Lifted.IsZero() })
}

// over is when the review has no more to do with what is sealed: at the end of
// access, at the withdrawal, or, if the model was never lent, with the last determination. Zero is not
// yet: a question that is open keeps its evidence.
func (c Case) over() time.Time {
	ended := c.Window.End
	switch {
	case !c.Withdrawn.IsZero():
		if ended.IsZero() || c.Withdrawn.Before(ended) {
			ended = c.Withdrawn
		}
	case ended.IsZero() && len(c.Determinations) > 0:
		ended = c.Determinations[len(c.Determinations)-1].At
	}
	return ended
}

// Custody is how long the vault keeps the case's artifacts, by its events: until
// the review is over, and as long as its question is open; after that they may be destroyed, and after the
// agreed retention they are due. A hold beats both. What was ordered to be destroyed is no longer kept.
func (c Case) Custody() (vault.Custody, error) {
	var custody vault.Custody
	var err error
	over, due := c.over(), time.Time{}
	if until, ok := c.KeptUntil(); ok {
		due = until
	}
	e := c.engagement()
	for _, a := range c.Artifacts {
		term := vault.Term{Keep: over, End: due}
		switch {
		case !a.Ordered.IsZero():
			term = vault.Term{}
		case over.IsZero() || e == Open || e == Reconsidering:
			continue
		}
		if custody, err = custody.Apply(vault.CustodyEvent{At: a.At, Actor: a.By, Reason: "the terms of the case", Retain: &vault.Retention{Artifact: a.ID, Term: term}}); err != nil {
			return custody, err
		}
	}
	for _, h := range c.Holds {
		if h.Lifted.IsZero() {
			if custody, err = custody.Apply(h.event()); err != nil {
				return custody, err
			}
		}
	}
	return custody, nil
}

// Due is when the first of the artifacts is due to be destroyed, if one is ever and nothing holds it.
func (c Case) Due() (due time.Time, ok bool) {
	due, ok = c.KeptUntil()
	e := c.engagement()
	if !ok || e == Open || e == Reconsidering || !slices.ContainsFunc(c.Artifacts, func(a Artifact) bool { return a.Ordered.IsZero() && len(c.Holding(a.ID)) == 0 }) {
		return time.Time{}, false
	}
	return due, true
}
