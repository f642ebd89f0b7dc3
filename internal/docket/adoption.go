package docket

import (
	"encoding/json"
	"slices"
	"time"

	"proofhouse/internal/proofhouse"
)

// OwnUse is what a department decides about its own use of a model, on
// evidence of a case that others reviewed. It says nothing about anybody else's
// use and nothing about a release: there is no state of a model that it could
// set, and no rule of the case looks at it.
type OwnUse struct {
	Use Use `json:"use"`
	// Determination is the digest of the body's that it rests on; "" if it rests on the evidence alone.
	Determination proofhouse.Digest `json:"determination,omitempty"`
	// Evidence are the digests that it adopts: of finished runs, or of what was attached.
	Evidence []proofhouse.Digest `json:"evidence" nullable:"false"`
	Scope    string              `json:"scope"`   // of which systems, by whom
	Purpose  string              `json:"purpose"` // for what
	// Conditions are the department's own, on its own use.
	Conditions []string  `json:"conditions" nullable:"false"`
	Until      time.Time `json:"until,omitzero"` // when it decides anew; zero only if it will not use the model
}

// Use is whether a department will use the model itself.
type Use string

// The uses.
const (
	WillUse    Use = "will use"
	WillNotUse Use = "will not use"
)

// Adoption is a department's decision, signed with its own key. Versions are
// each department's own; they are added, never changed, and the last holds.
type Adoption struct {
	Version int `json:"version"`
	OwnUse
	At     time.Time        `json:"at"`
	By     proofhouse.Actor `json:"by"`
	Signed Signature        `json:"signed,omitzero"`
}

// Holds says whether a is the last decision of its department in c, and its time has not run out at now.
func (a Adoption) Holds(c Case, now time.Time) bool {
	return a.Version == c.adoptions(a.By.Organisation) && (a.Until.IsZero() || now.Before(a.Until))
}

// Digest is by what others cite the determination.
func (d Determination) Digest() proofhouse.Digest {
	b, err := json.Marshal(d)
	if err != nil {
		panic(err) // strings, numbers and times are JSON
	}
	return proofhouse.DigestOf(b)
}

// Adopt adopts evidence of the case and signs what the department decides about its own use.
type Adopt struct {
	OwnUse
	Signed Signature `json:"signed,omitzero"`
}

// Kind implements Act.
func (Adopt) Kind() Kind { return KindAdopt }

func (a Adopt) text(c Case, by proofhouse.Actor) []byte {
	a.Until = exact(a.Until)
	return signText(c.ID, "deployment decision", []any{by.Organisation, c.adoptions(by.Organisation) + 1, a.OwnUse})
}

func (a Adopt) signature() Signature { return a.Signed }

func (a Adopt) with(s Signature) Act { a.Signed = s; return a }

// adoptions counts those of a department.
func (c Case) adoptions(o proofhouse.OrganisationID) int {
	n := 0
	for _, a := range c.Adoptions {
		if a.By.Organisation == o {
			n++
		}
	}
	return n
}

// hasEvidence says whether d is evidence of c: of a run that was finished, or from elsewhere.
func (c Case) hasEvidence(d proofhouse.Digest) bool {
	return slices.ContainsFunc(c.Runs, func(r Run) bool { return r.Evidence == d && !r.Finished.IsZero() && r.Void == "" }) ||
		slices.ContainsFunc(c.Exhibits, func(x Exhibit) bool { return x.Digest == d })
}

func (a Adopt) apply(c *Case, by proofhouse.Actor, now time.Time) error {
	if a.Use != WillUse && a.Use != WillNotUse {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "say whether the department %q or %q the model itself", WillUse, WillNotUse)
	}
	if a.Determination != "" && !slices.ContainsFunc(c.Determinations, func(d Determination) bool { return d.Digest() == a.Determination }) {
		return proofhouse.Errorf(proofhouse.NotFound, nil, "the case has no determination of that digest")
	}
	if len(a.Evidence) == 0 || len(a.Evidence) > maxList {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "adopt 1 to %d pieces of evidence", maxList)
	}
	for i, d := range a.Evidence {
		if err := d.Validate(); err != nil {
			return err
		}
		if slices.Contains(a.Evidence[:i], d) {
			return proofhouse.Errorf(proofhouse.Invalid, nil, "a piece of evidence is adopted twice")
		}
		if !c.hasEvidence(d) {
			return proofhouse.Errorf(proofhouse.NotFound, nil, "the case has no evidence of the digest %s", d.Short())
		}
	}
	if err := plain("the scope", a.Scope); err != nil {
		return err
	}
	if err := plain("the purpose", a.Purpose); err != nil {
		return err
	}
	if len(a.Conditions) > maxList {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "there are at most %d conditions", maxList)
	}
	for _, s := range a.Conditions {
		if err := plain("a condition", s); err != nil {
			return err
		}
	}
	a.Until = exact(a.Until)
	if a.Use == WillUse && a.Until.IsZero() || !a.Until.IsZero() && !a.Until.After(now) {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "say until when it holds: a moment that is still to come")
	}
	if err := a.Signed.over(proofhouse.DigestOf(a.text(*c, by))); err != nil {
		return err
	}
	a.Evidence, a.Conditions = slices.Clone(a.Evidence), slices.Clone(a.Conditions)
	c.Adoptions = append(slices.Clip(c.Adoptions), Adoption{Version: c.adoptions(by.Organisation) + 1, OwnUse: a.OwnUse, At: now, By: by, Signed: a.Signed})
	return nil
}
