// Package docket holds the rules of a review case: who is in it, what they may
// do and when, when access ends, and what it takes to sign a determination. A
// case is a pure function of its events and the time. The package promises that
// a developer can withdraw, announce a release and share with any partner in
// every state, that no access of the body outlives its window, and that it has
// no word for allowing or forbidding a release. Keeping cases, checking
// signatures, revoking grants at the gate and asking who may read what are for
// others.
package docket

import (
	"slices"
	"time"

	"proofhouse/internal/proofhouse"
)

// Case is one review. Cases are values: Apply gives a new one and leaves the
// old as it was.
type Case struct {
	ID proofhouse.CaseID `json:"id"`
	// Rules are those that the case was opened under. They never change.
	Rules *Profile `json:"-"`
	// Version counts the events that made the case what it is.
	Version int `json:"version"`
	// Changed is when the last of them was. The time of a case never runs back,
	// whatever a machine's clock does.
	Changed time.Time `json:"changed"`

	Opened   time.Time `json:"opened"`
	Accepted time.Time `json:"accepted,omitzero"` // by the body's registrar; zero until then
	Codename string    `json:"codename"`
	// Variants are the models that the developer offers for review, under names
	// of its choice: "helpful-only", "deployed".
	Variants []string `json:"variants"`
	Members  []Member `json:"members"`
	// Keys are those that members named to sign with, in order.
	Keys []SigningKey `json:"keys"`

	// Terms are what the developer offered, in order; see Agreed.
	Terms []OfferedTerms `json:"terms"`

	// Asked is when the developer asked whether the model is covered.
	Asked time.Time `json:"asked,omitzero"`

	// Plan is when the developer plans to release to trusted partners; zero if
	// it has not said.
	Plan   time.Time `json:"plan,omitzero"`
	Window Window    `json:"window"`
	Grants []Grant   `json:"grants"`

	Registrations []Registration `json:"registrations"`
	Runs          []Run          `json:"runs"`
	// Exhibits are evidence from elsewhere, which counts as nothing of ours.
	Exhibits []Exhibit `json:"exhibits"`
	// Reports are the versions of the case's report, in order.
	Reports []FiledReport `json:"reports"`
	// Artifacts are what the vault has sealed for the case, and Parts its compartments there besides its own.
	Artifacts []Artifact `json:"artifacts"`
	Parts     []Part     `json:"parts"`
	// Holds keep artifacts, and Destructions are what was ordered to be destroyed; both in order.
	Holds        []Hold        `json:"holds"`
	Destructions []Destruction `json:"destructions"`
	// Citations are of earlier cases.
	Citations      []Citation      `json:"citations"`
	Consultations  []Consultation  `json:"consultations"`
	Determinations []Determination `json:"determinations"`
	// Adoptions are what other departments decided about their own use.
	Adoptions []Adoption `json:"adoptions"`
	// Rounds are the reconsiderations that the developer asked for.
	Rounds []Round `json:"rounds"`

	PartnerCriteria []PartnerCriteria `json:"partner_criteria"`
	Nominees        []Nominee         `json:"nominees"`
	// PartnerTerms are on what the developer shares with partners, in order; the last version is the one to accept.
	PartnerTerms []PartnerTerms `json:"partner_terms"`

	Withdrawn time.Time `json:"withdrawn,omitzero"`
	// Releases are what the developer announced, in order.
	Releases []Release `json:"releases"`
}

// Member is a person of an organisation in a role.
type Member = proofhouse.Actor

// Window is the time in which the body and its testers have access.
type Window struct {
	// First is when the first grant to either was made; zero before that.
	First time.Time `json:"first,omitzero"`
	// End is when access ends by itself. A pause leaves it alone.
	End    time.Time `json:"end,omitzero"`
	Pauses []Pause   `json:"pauses"`
	// Moves are the dates that the developer has signed since.
	Moves []WindowMove `json:"moves"`
}

// Pause is a time without access. To is zero while it lasts.
type Pause struct {
	From time.Time        `json:"from"`
	To   time.Time        `json:"to,omitzero"`
	By   proofhouse.Actor `json:"by"`
}

// WindowMove is a new end that the developer signed.
type WindowMove struct {
	From   time.Time        `json:"from"`        // the old end and the new
	To     time.Time        `json:"to,omitzero"` // the old end and the new
	By     proofhouse.Actor `json:"by"`
	Signed Signature        `json:"signed,omitzero"`
}

// Side is whose grant it is.
type Side string

// The sides.
const (
	BodySide    Side = "body"    // the reviewing organisation
	TesterSide  Side = "tester"  // independent testers, for the review
	PartnerSide Side = "partner" // trusted partners, for their own defence
)

// Grant is access to the model that the developer has given to an organisation.
type Grant struct {
	ID   GrantID                   `json:"id"`
	To   proofhouse.OrganisationID `json:"to,omitzero"`
	Side Side                      `json:"side"`
	// Sponsored says that the partner has it because the body put it forward.
	Sponsored bool      `json:"sponsored,omitzero"`
	From      time.Time `json:"from"`
	// Ended is when somebody ended it; zero if nobody has. The grants of the body
	// and its testers end with the window besides.
	Ended time.Time `json:"ended,omitzero"`
}

// GrantID names a grant within its case.
type GrantID string

// Release is what a developer announced about a release.
type Release struct {
	At   time.Time `json:"at"`   // when it was announced
	Date time.Time `json:"date"` // when it is to be, or was
	Note string    `json:"note,omitzero"`
}

// New is a case that nobody has opened yet.
func New(id proofhouse.CaseID, rules *Profile) Case { return Case{ID: id, Rules: rules} }

// Event is what somebody did.
type Event struct {
	By  proofhouse.Actor
	Act Act
}

// Act is one of the acts of this package. Each carries out its own change, so
// that the compiler misses none.
type Act interface {
	Kind() Kind
	// apply changes c, which is a copy of its own; slices are replaced, never
	// written to. now is never before c.Changed. Who may do it in which state has been checked.
	apply(c *Case, by proofhouse.Actor, now time.Time) error
}

// Apply is the case after e. If e is not permitted the error says why and what
// to do: proofhouse.Invalid for what no state would take, NotFound for what (or
// whom) the case does not have, Conflict for what was done already, Refused for
// what the state or the rules forbid. An actor that is not of the case is told
// that there is no such case.
func (c Case) Apply(e Event, now time.Time) (Case, error) {
	if e.Act == nil {
		return c, proofhouse.Errorf(proofhouse.Invalid, nil, "the event has no act")
	}
	now = later(exact(now), c.Changed)
	if err := c.permits(e.Act.Kind(), e.By, now); err != nil {
		return c, err
	}
	next := c
	if err := e.Act.apply(&next, e.By, now); err != nil {
		return c, err
	}
	next.Version++
	next.Changed = now
	return next, nil
}

// permits holds kind to the table of moves.
func (c Case) permits(kind Kind, by proofhouse.Actor, now time.Time) error {
	move := kind.Move()
	if move.By == nil {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "there is no act %q", string(kind))
	}
	if err := by.Role.Validate(); err != nil {
		return err
	}
	switch {
	case kind == KindOpen:
		if !c.Opened.IsZero() {
			return proofhouse.Errorf(proofhouse.Conflict, nil, "the case is open already")
		}
	case c.Opened.IsZero() || !c.has(by) && !c.bodysRegistrar(kind, by):
		return proofhouse.Errorf(proofhouse.NotFound, nil, "there is no such case")
	}
	if !slices.Contains(move.By, by.Role) {
		return proofhouse.Errorf(proofhouse.Refused, nil, "a %s may not %s: it is for %s", by.Role, kind, list(move.By))
	}
	engagement, access := c.engagement(), c.access(now)
	switch {
	case !c.Withdrawn.IsZero() && !move.Withdrawn:
		return proofhouse.Errorf(proofhouse.Refused, nil, "the developer has withdrawn: nothing more is done in this case")
	case move.Engagement != nil && !slices.Contains(move.Engagement, engagement):
		return proofhouse.Errorf(proofhouse.Refused, nil, "to %s, the engagement must be %s; it is %s", kind, list(move.Engagement), engagement)
	case move.Access != nil && !slices.Contains(move.Access, access):
		return proofhouse.Errorf(proofhouse.Refused, nil, "to %s, access must be %s; it is %s", kind, list(move.Access), access)
	}
	return nil
}

// bodysRegistrar says whether this is the body taking up the case, which
// nobody could have made a member before.
func (c Case) bodysRegistrar(kind Kind, by proofhouse.Actor) bool {
	return kind == KindAccept && by.Role == proofhouse.Registrar && by.Organisation == c.Rules.Body
}

func (c Case) has(a proofhouse.Actor) bool { return slices.Contains(c.Members, a) }

// Engagement is how far the question has come whether the model is covered.
type Engagement string

// The states of the engagement.
const (
	NotAsked      Engagement = "not asked"
	Open          Engagement = "open"
	Determined    Engagement = "determined"
	Reconsidering Engagement = "reconsidering"
	Ended         Engagement = "ended" // the developer withdrew first
)

// Access is what the body and its testers have.
type Access string

// The states of access.
const (
	NoAccess     Access = "none" // nothing was ever lent
	AccessOpen   Access = "open"
	AccessPaused Access = "paused"
	AccessEnded  Access = "ended"
)

// State is a case at a moment.
type State struct {
	At         time.Time  `json:"at"`
	Engagement Engagement `json:"engagement"`
	Access     Access     `json:"access"`
	// Live are the grants that open the model at this moment.
	Live []Grant `json:"live"`
}

// At is the case as it stands at now. Time alone ends access: there is no event
// for it that could be forgotten. A now before the last event counts as that.
func (c Case) At(now time.Time) State {
	now = later(exact(now), c.Changed)
	s := State{At: now, Engagement: c.engagement(), Access: c.access(now)}
	for _, g := range c.Grants {
		if c.live(g, s.Access, now) {
			s.Live = append(s.Live, g)
		}
	}
	return s
}

func (c Case) engagement() Engagement {
	switch {
	case c.Asked.IsZero():
		return NotAsked
	case len(c.Determinations) == 0 && c.Withdrawn.IsZero():
		return Open
	case len(c.Determinations) == 0:
		return Ended
	// What was determined before a withdrawal stays.
	case !c.Withdrawn.IsZero() || c.Determinations[len(c.Determinations)-1].Round == c.round():
		return Determined
	}
	return Reconsidering
}

func (c Case) access(now time.Time) Access {
	w := c.Window
	switch {
	case w.First.IsZero():
		return NoAccess
	case !c.Withdrawn.IsZero() || !now.Before(w.End):
		return AccessEnded
	case w.paused():
		return AccessPaused
	}
	return AccessOpen
}

func (w Window) paused() bool { return len(w.Pauses) > 0 && w.Pauses[len(w.Pauses)-1].To.IsZero() }

func (c Case) live(g Grant, a Access, now time.Time) bool {
	if !g.Ended.IsZero() && !now.Before(g.Ended) {
		return false
	}
	return g.Side == PartnerSide || a == AccessOpen
}

// GrantEnd is when g ends if nobody does anything more, and whether it does.
// A grant at the gate is made to end then.
func (c Case) GrantEnd(g Grant) (end time.Time, ends bool) {
	end = g.Ended
	if g.Side != PartnerSide && (end.IsZero() || c.Window.End.Before(end)) {
		end = c.Window.End
	}
	return end, !end.IsZero()
}

// latestEnd is the latest end of the window to which the developer may sign at
// now: the window's length, and what was lost to pauses. So whatever is signed,
// the body never has the model for longer than the profile's window.
func (c Case) latestEnd(now time.Time) time.Time {
	end := c.windowEnd()
	for _, p := range c.Window.Pauses {
		if p.To.IsZero() {
			p.To = now
		}
		// What lies after the window's end was not lost.
		end = end.Add(max(0, p.To.Sub(p.From)))
	}
	return end
}

// windowEnd is the end of a window without pauses.
func (c Case) windowEnd() time.Time {
	first, cal := c.Window.First, c.Rules.Calendar
	return earlier(c.Rules.Window.After(first, cal), longestWindow.After(first, cal))
}

// exact is t as it is kept: in UTC, in whole microseconds.
func exact(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
