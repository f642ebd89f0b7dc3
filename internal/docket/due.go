package docket

import "time"

// Clock is by when something is due.
type Clock struct {
	What string    `json:"what"`
	From time.Time `json:"from"`
	Due  time.Time `json:"due"`
	Met  time.Time `json:"met,omitzero"` // when it was done; zero if it was not yet
}

// Late says whether the thing was done after it was due, or is not done and due
// at now.
func (c Clock) Late(now time.Time) bool {
	if !c.Met.IsZero() {
		now = c.Met
	}
	return now.After(c.Due)
}

// Clocks are those that have begun. When the developer has withdrawn the body
// owes nothing more, and only what was done is left.
func (c Case) Clocks() []Clock {
	var all []Clock
	add := func(what string, from, met time.Time, days Days) {
		if from.IsZero() || met.IsZero() && !c.Withdrawn.IsZero() {
			return
		}
		all = append(all, Clock{What: what, From: from, Due: days.After(from, c.Rules.Calendar), Met: met})
	}
	clocks := c.Rules.Clocks
	add("taking up the case", c.Opened, c.Accepted, clocks.Acceptance)
	add("the determination", c.Asked, c.determined(0), clocks.Determination)
	for _, r := range c.Rounds {
		add("the reconsideration", r.Asked, c.determined(r.Number), clocks.Reconsideration)
	}
	for _, k := range c.Consultations {
		add("the answer of "+string(k.Organisation), k.Asked, k.Answered, clocks.Consultation)
	}
	for _, n := range c.Nominees {
		next := func(i int) time.Time {
			if i < len(n.Answers) {
				return n.Answers[i].At
			}
			return time.Time{}
		}
		add("the answer to the nomination of "+string(n.Organisation), n.Nominated, next(0), clocks.PartnerAnswer)
		for i, a := range n.Answers {
			if a.Step == Appeals {
				add("the answer to the appeal for "+string(n.Organisation), a.At, next(i+1), clocks.PartnerAppeal)
			}
		}
	}
	return all
}

// determined is when the first determination of a round was signed.
func (c Case) determined(round int) time.Time {
	for _, d := range c.Determinations {
		if d.Round == round {
			return d.At
		}
	}
	return time.Time{}
}
