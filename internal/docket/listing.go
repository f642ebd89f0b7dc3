package docket

import (
	"strings"

	"proofhouse/internal/proofhouse"
)

// Listing asks for a page of the cases in which somebody is a member.
type Listing struct {
	Who Person
	// Untaken is a body of which cases are listed too that wait for it to take them up; "" is none.
	Untaken proofhouse.OrganisationID
	// State is which cases: "open" for those that are neither determined nor withdrawn, "ended" for the
	// others; "" is all.
	State string
	// Find is a part of what names a case (Names); "" is every case.
	Find  string
	After Place
	Limit int // at least 1
}

// Place is where a case stands in lists. The zero value is before all.
type Place struct {
	Urgency int64
	ID      proofhouse.CaseID
}

// Names are what a case is found by, beside its id.
type Names struct {
	Codename  string
	Developer proofhouse.OrganisationID
}

// Names are those of s. Of a destroyed case there are none.
func (s Summary) Names() Names { return Names{s.Codename, s.Developer} }

// Fit says whether a case of that id is found by find.
func (n Names) Fit(id proofhouse.CaseID, find string) bool {
	return strings.Contains(n.Codename, find) || strings.Contains(string(n.Developer), find) || strings.Contains(string(id), find)
}

// Place is where s stands.
func (s Summary) Place() Place { return Place{s.Urgency(), s.ID} }

// Urgency orders a list, the lowest first: cases whose window ends next, by its end; then those
// without one and then those that are over, both the newest first. It is never 0.
func (s Summary) Urgency() int64 {
	switch {
	case s.Destroyed:
		return s.urgency
	case s.Over():
		return OverFrom + (halfRange - s.Opened.UnixMicro())
	case s.Window.IsZero():
		return windowlessFrom + (halfRange - s.Opened.UnixMicro())
	}
	return min(max(s.Window.UnixMicro(), 1), windowlessFrom-1)
}

// Where the second and the third group of a list begin. Times of cases are
// microseconds since 1970, which leaves room for 36,000 years.
const (
	windowlessFrom int64 = 1 << 61
	OverFrom       int64 = 1 << 62
	halfRange      int64 = 1 << 60
)

// Over says whether the case is determined or withdrawn.
func (s Summary) Over() bool {
	return !s.Withdrawn.IsZero() || s.Engagement == Determined || s.Engagement == Ended
}

// Range are the urgencies of a state's cases: from the first to below the second.
func (l Listing) Range() (from, below int64) {
	switch l.State {
	case "open":
		return 0, OverFrom
	case "ended":
		return OverFrom, 1<<63 - 1
	}
	return 0, 1<<63 - 1
}
