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
	return f
}

// Sealed is an artifact of c's as the guard knows it, for what takes two approvers.
func (f Artifact) Sealed(c policy.Case) policy.Artifact {
	return policy.Artifact{Case: c, ID: string(f.ID), Compartment: f.Compartment, Marking: f.Marking, By: policy.NameOf(f.By.Organisation, f.By.Person)}
}

// Evidence is an artifact of c's as the guard knows it, for reading it as it is.
func (f Artifact) Evidence(c policy.Case) policy.Evidence {
	return policy.Evidence{Case: c, ID: string(f.ID), Compartment: f.Compartment, Marking: f.Marking, By: policy.NameOf(f.By.Organisation, f.By.Person)}
}

// Facts are enough to know whether the case may be seen, and not who may sign.
func (s Summary) Facts() policy.Case {
	return policy.Case{ID: s.ID, Developer: s.Developer, Body: s.Body, Members: s.Members, TakenUp: !s.Accepted.IsZero()}
}
