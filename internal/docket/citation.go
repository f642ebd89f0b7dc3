package docket

import (
	"slices"
	"time"

	"proofhouse/internal/proofhouse"
)

// Citation is evidence of an earlier case of the same developer's, cited because this model differs
// from that one by no more than a declared delta. It names each piece, is part of what the
// authority signs, and is no run of this case: the registered rule does not count it.
type Citation struct {
	Case     proofhouse.CaseID   `json:"case"`
	Evidence []proofhouse.Digest `json:"evidence"`
	Delta    string              `json:"delta"` // what is different, as the developer declared it
	At       time.Time           `json:"at"`
	By       proofhouse.Actor    `json:"by"`
}

// Cite cites earlier evidence.
type Cite struct {
	Case     proofhouse.CaseID   `json:"case"`
	Evidence []proofhouse.Digest `json:"evidence"`
	Delta    string              `json:"delta"`
}

// Kind implements Act.
func (Cite) Kind() Kind { return KindCite }

func (a Cite) apply(c *Case, by proofhouse.Actor, now time.Time) error {
	if err := name("the earlier case", string(a.Case)); err != nil {
		return err
	}
	if a.Case == c.ID {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "a case does not cite itself")
	}
	if err := plain("the declared delta", a.Delta); err != nil {
		return err
	}
	if len(a.Evidence) == 0 || len(a.Evidence) > maxList {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "cite 1 to %d pieces of evidence", maxList)
	}
	for i, d := range a.Evidence {
		if err := d.Validate(); err != nil {
			return err
		}
		if slices.Contains(a.Evidence[:i], d) {
			return proofhouse.Errorf(proofhouse.Invalid, nil, "a piece of evidence is cited twice")
		}
	}
	c.Citations = append(slices.Clip(c.Citations), Citation{a.Case, slices.Clone(a.Evidence), a.Delta, now, by})
	return nil
}
