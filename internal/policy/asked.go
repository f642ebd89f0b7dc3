package policy

import (
	"time"

	"proofhouse/internal/proofhouse"
)

const (
	// approvalLife is how long a request waits for its two approvers.
	approvalLife = 7 * 24 * time.Hour
	// useLife is how long an approval holds.
	useLife = 24 * time.Hour
	// glassLife is how long a broken glass may be read through.
	glassLife = time.Hour
	// fetchLife is for how long what was exported may be fetched again: a download can break off.
	fetchLife = time.Hour
	// maxReason bounds a reason, in bytes.
	maxReason = 2000
)

// Asked is a request: for the approval of two persons, or to have the glass
// broken, which takes none and is read through once.
type Asked struct {
	ID string `json:"id"`
	// Case is what it is about; what is kept of it is its id.
	Case Case `json:"case"`
	// What is Export, Unseal, Destroy or BreakGlass.
	What Action `json:"what"`
	// On is the id of the artifact; "" is the case.
	On     string `json:"on,omitempty"`
	Reason string `json:"reason"`
	// Asker, First and Second are the names of who asked and who approved, or "".
	Asker    string    `json:"asker"`
	First    string    `json:"first,omitempty"`
	Second   string    `json:"second,omitempty"`
	At       time.Time `json:"at"`
	FirstAt  time.Time `json:"first_at,omitzero"`
	SecondAt time.Time `json:"second_at,omitzero"`
	// Used is when it was made use of; zero if it was not yet.
	Used time.Time `json:"used,omitzero"`
	// For is the role for whose readers an export was made; "" holds everything, or was not made yet.
	For proofhouse.Role `json:"for,omitempty"`
}

func (Asked) kind() string       { return "request" }
func (a Asked) inCase() *Case    { return &a.Case }
func (Asked) approval() Approval { return Approval{} }
func (a Asked) entity() Entity {
	return Entity{
		Type: "Request", ID: a.ID, Parents: []Entity{a.Case.entity()},
		Attrs: Attrs{"kind": string(a.What), "asker": a.Asker, "first": a.First},
	}
}

// Validate says whether the request is whole. The error is proofhouse.Invalid.
func (a Asked) Validate() error {
	switch {
	case a.What != Export && a.What != Unseal && a.What != Destroy && a.What != BreakGlass:
		return proofhouse.Errorf(proofhouse.Invalid, nil, "one can ask to %s, %s or %s", Export, Unseal, Destroy)
	case (a.What == Unseal) != (a.On != "") && a.What != Destroy:
		return proofhouse.Errorf(proofhouse.Invalid, nil, "what is unsealed is an artifact: name it; what is exported is a case")
	case len(a.On) > maxReason:
		return proofhouse.Errorf(proofhouse.Invalid, nil, "the artifact's name is too long")
	}
	return validReason(a.Reason)
}

// Approve is the request with name's approval. Whether name may is for Guard to
// say; that it is neither the asker nor the same person twice is held here as
// well. The error is proofhouse.Conflict for what was approved or used already, Limit for what
// has waited too long.
func (a Asked) Approve(name string, now time.Time) (Asked, error) {
	switch {
	case a.What == BreakGlass:
		return a, proofhouse.Errorf(proofhouse.Invalid, nil, "to break the glass takes no approval")
	case a.Second != "" || !a.Used.IsZero():
		return a, proofhouse.Errorf(proofhouse.Conflict, nil, "it is approved already")
	case now.Sub(a.At) > approvalLife:
		return a, proofhouse.Errorf(proofhouse.Limit, nil, "the request has waited for more than a week: ask again")
	case name == a.Asker || name == a.First || name == "":
		return a, proofhouse.Errorf(proofhouse.Refused, nil, "it takes two persons other than the one who asked")
	case a.First == "":
		a.First, a.FirstAt = name, now
	default:
		a.Second, a.SecondAt = name, now
	}
	return a, nil
}

// Use is the request once it is made use of. The error is proofhouse.Refused if two
// persons have not approved it, Conflict if it was used, Limit if it is too old.
func (a Asked) Use(now time.Time) (Asked, error) {
	since, life := a.SecondAt, useLife
	if a.What == BreakGlass {
		since, life = a.At, glassLife
	}
	switch {
	case !a.Used.IsZero():
		return a, proofhouse.Errorf(proofhouse.Conflict, nil, "it was used already, and holds once: ask again")
	case a.What != BreakGlass && a.Second == "":
		return a, proofhouse.Errorf(proofhouse.Refused, nil, "two persons have not approved it yet")
	case now.Sub(since) > life:
		return a, proofhouse.Errorf(proofhouse.Limit, nil, "it was approved too long ago: ask again")
	}
	a.Used = now
	return a, nil
}

// Fetch is Use for an export for readers in a role. Within an hour of the first time the same may be
// fetched again, since a download can break off; what is for other readers takes another request. Its errors
// are Use's. Who fetches is for Guard to say, each time.
func (a Asked) Fetch(reader proofhouse.Role, now time.Time) (Asked, error) {
	if a.What == Export && !a.Used.IsZero() && a.For == reader && !now.Before(a.Used) && now.Sub(a.Used) <= fetchLife {
		return a, nil
	}
	used, err := a.Use(now)
	if err == nil {
		used.For = reader
	}
	return used, err
}

// Until is until when the request waits for its approvals, or when it has them holds, or when an export was
// made gives the same again; zero if it was used and gives nothing more.
func (a Asked) Until() time.Time {
	switch {
	case a.What == BreakGlass && a.Used.IsZero():
		return a.At.Add(glassLife)
	case a.What == Export && !a.Used.IsZero():
		return a.Used.Add(fetchLife)
	case !a.Used.IsZero():
		return time.Time{}
	case a.Second == "":
		return a.At.Add(approvalLife)
	}
	return a.SecondAt.Add(useLife)
}

// Approval is who asked and approved.
func (a Asked) Approval() Approval { return Approval{a.Asker, a.First, a.Second} }
