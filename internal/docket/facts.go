package docket

import (
	"slices"

	"proofhouse/internal/policy"
)

// Facts is what the guard needs to know of c, but for requests about it.
func (c Case) Facts() policy.Case {
	f := c.Summary().Facts()
	for _, r := range c.Runs {
		if name := policy.NameOf(r.By.Organisation, r.By.Person); !slices.Contains(f.Ran, name) {
			f.Ran = append(f.Ran, name)
		}
	}
	f.Held = c.Held()
	return f
}

// Sealed is an artifact of c's as the guard knows it, for what takes two approvers. f are the facts of c.
func (c Case) Sealed(f policy.Case, a Artifact) policy.Artifact {
	return policy.Artifact{
		Case: f, ID: string(a.ID), Compartment: a.Compartment, Marking: a.Marking, By: policy.NameOf(a.By.Organisation, a.By.Person), Held: len(c.Holding(a.ID)) > 0,
	}
}

// Evidence is an artifact of c's as the guard knows it, for reading it as it is.
func (a Artifact) Evidence(f policy.Case) policy.Evidence {
	return policy.Evidence{Case: f, ID: string(a.ID), Compartment: a.Compartment, Marking: a.Marking, By: policy.NameOf(a.By.Organisation, a.By.Person)}
}

// Facts are enough to know whether the case may be seen, and not who may sign.
func (s Summary) Facts() policy.Case {
	return policy.Case{ID: s.ID, Developer: s.Developer, Body: s.Body, Members: s.Members, TakenUp: !s.Accepted.IsZero()}
}
