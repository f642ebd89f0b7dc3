package docket

import (
	"slices"
	"time"

	"proofhouse/internal/proofhouse"
)

// Terms are on what the developer takes part, as programs read them.
type Terms struct {
	// Marking is the narrowest that everything of the case has unless it says otherwise.
	Marking proofhouse.Marking `json:"marking"`
	// Retention is how long the body keeps what is sealed after access has
	// ended, in calendar days. A legal hold beats it.
	Retention int `json:"retention_days"`
	// Export says that sealed evidence may leave the house, when two persons agree to it.
	Export bool `json:"export,omitempty"`
	// Share are roles that may be shown the case besides those who work on it:
	// a partner, an auditor.
	Share []proofhouse.Role `json:"share"`
	// Agreement is the digest of the text that people signed; "" if there is none.
	Agreement proofhouse.Digest `json:"agreement,omitempty"`
}

// maxRetention bounds Terms.Retention: ten years.
const maxRetention = 3660

// Validate says whether the terms are whole. The error is proofhouse.Invalid.
func (t Terms) Validate() error {
	if err := t.Marking.Validate(); err != nil {
		return err
	}
	if t.Retention < 0 || t.Retention > maxRetention {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "what is sealed is kept for 0 to %d days", maxRetention)
	}
	for i, r := range t.Share {
		if err := r.Validate(); err != nil {
			return err
		}
		if slices.Contains(t.Share[:i], r) {
			return proofhouse.Errorf(proofhouse.Invalid, nil, "a role is named twice")
		}
	}
	if t.Agreement != "" {
		return t.Agreement.Validate()
	}
	return nil
}

// OfferedTerms are a version of the terms. Versions are added, never changed; the
// last that the body agreed to holds.
type OfferedTerms struct {
	Version int              `json:"version"`
	Terms   Terms            `json:"terms"`
	At      time.Time        `json:"at"`
	By      proofhouse.Actor `json:"by"`
	// Agreed is when the body's registrar agreed; zero if it has not.
	Agreed time.Time `json:"agreed,omitzero"`
}

// Offer offers terms.
type Offer struct {
	Terms Terms `json:"terms"`
}

// Kind implements Act.
func (Offer) Kind() Kind { return KindOffer }

func (a Offer) apply(c *Case, by proofhouse.Actor, now time.Time) error {
	if err := a.Terms.Validate(); err != nil {
		return err
	}
	c.Terms = append(slices.Clip(c.Terms), OfferedTerms{Version: len(c.Terms) + 1, Terms: a.Terms, At: now, By: by})
	return nil
}

// Agree agrees to a version of the terms.
type Agree struct {
	Version int `json:"version"`
}

// Kind implements Act.
func (Agree) Kind() Kind { return KindAgree }

func (a Agree) apply(c *Case, _ proofhouse.Actor, now time.Time) error {
	if a.Version < 1 || a.Version > len(c.Terms) {
		return proofhouse.Errorf(proofhouse.NotFound, nil, "there is no version %d of the terms", a.Version)
	}
	if !c.Terms[a.Version-1].Agreed.IsZero() {
		return proofhouse.Errorf(proofhouse.Conflict, nil, "the body has agreed to version %d of the terms already", a.Version)
	}
	c.Terms = slices.Clone(c.Terms)
	c.Terms[a.Version-1].Agreed = now
	return nil
}

// Agreed are the terms that hold: the last that the body agreed to, if it agreed to any.
func (c Case) Agreed() (Terms, bool) {
	for _, t := range slices.Backward(c.Terms) {
		if !t.Agreed.IsZero() {
			return t.Terms, true
		}
	}
	return Terms{}, false
}

// KeptUntil is when what is sealed in the case is due to be destroyed: the
// agreed retention after access to the model has ended or, if it was never lent, after the last
// determination. Without terms, or as long as access may go on, it is never due.
func (c Case) KeptUntil() (due time.Time, ok bool) {
	t, agreed := c.Agreed()
	over := c.over()
	if !agreed || over.IsZero() {
		return time.Time{}, false
	}
	return CalendarDays(t.Retention).After(over, c.Rules.Calendar), true
}
