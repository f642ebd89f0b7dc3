package docket

import "time"

// Clock is by when something is due.
type Clock struct {
	What      string
	From, Due time.Time
	Met       time.Time // when it was done; zero if it was not yet
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
	add("taking up the case", c.Opened, c.Accepted, c.Rules.Clocks.Acceptance)
	return all
}
