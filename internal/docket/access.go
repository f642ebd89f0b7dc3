package docket

import (
	"slices"
	"time"

	"proofhouse/internal/proofhouse"
)

// OpenCase opens a case.
type OpenCase struct {
	Codename string   `json:"codename"`
	Variants []string `json:"variants"`
}

// Kind implements Act.
func (OpenCase) Kind() Kind { return KindOpen }

func (a OpenCase) apply(c *Case, by proofhouse.Actor, now time.Time) error {
	if c.Rules == nil {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "the case has no profile")
	}
	if _, consulted := c.Rules.Consultee(by.Organisation); consulted || by.Organisation == c.Rules.Body {
		return proofhouse.Errorf(proofhouse.Refused, nil, "the developer is neither the reviewing body nor consulted by it")
	}
	if err := validMember(by); err != nil {
		return err
	}
	if err := name("the codename", a.Codename); err != nil {
		return err
	}
	if len(a.Variants) == 0 {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "name at least one variant of the model")
	}
	for i, v := range a.Variants {
		if err := name("the name of a variant", v); err != nil {
			return err
		}
		if slices.Contains(a.Variants[:i], v) {
			return proofhouse.Errorf(proofhouse.Invalid, nil, "two variants have one name")
		}
	}
	c.Opened, c.Codename, c.Variants, c.Members = now, a.Codename, slices.Clone(a.Variants), []Member{by}
	return nil
}

// Accept is the body taking up the case. Whoever does so becomes its registrar.
type Accept struct{}

// Kind implements Act.
func (Accept) Kind() Kind { return KindAccept }

func (Accept) apply(c *Case, by proofhouse.Actor, now time.Time) error {
	if !c.Accepted.IsZero() {
		return proofhouse.Errorf(proofhouse.Conflict, nil, "the case has been taken up already")
	}
	if err := validMember(by); err != nil {
		return err
	}
	c.Accepted = now
	if !c.has(by) {
		c.Members = append(slices.Clip(c.Members), by)
	}
	return nil
}

// Join makes a person a member.
type Join struct {
	Member Member `json:"member"`
}

// Kind implements Act.
func (Join) Kind() Kind { return KindJoin }

func (a Join) apply(c *Case, by proofhouse.Actor, _ time.Time) error {
	if err := validMember(a.Member); err != nil {
		return err
	}
	if !mayPlace(by.Role, a.Member.Role) {
		return proofhouse.Errorf(proofhouse.Refused, nil, "a %s may not add a %s", by.Role, a.Member.Role)
	}
	if c.has(a.Member) {
		return proofhouse.Errorf(proofhouse.Conflict, nil, "that member is there already")
	}
	// The others work on the review; this one takes something away from it.
	if t, agreed := c.Agreed(); a.Member.Role == proofhouse.Adopter && (!agreed || !slices.Contains(t.Share, proofhouse.Adopter)) {
		return proofhouse.Errorf(proofhouse.Refused, nil, "the case is shown to another department only if the agreed terms share it with the role %q", proofhouse.Adopter)
	}
	if err := c.fits(a.Member); err != nil {
		return err
	}
	c.Members = append(slices.Clip(c.Members), a.Member)
	return nil
}

// fits holds a new member to the organisations of the case: each has one part
// in it, and the body's and the consultees' are those of the profile.
func (c Case) fits(m Member) error {
	party := partyOf(m.Role)
	_, consulted := c.Rules.Consultee(m.Organisation)
	if (party == bodyParty) != (m.Organisation == c.Rules.Body) || (party == consulteeParty) != consulted {
		return proofhouse.Errorf(proofhouse.Refused, nil, "a %s cannot be of that organisation: the profile says which is the body and which are consulted", m.Role)
	}
	for _, other := range c.Members {
		if other.Organisation == m.Organisation && partyOf(other.Role) != party {
			return proofhouse.Errorf(proofhouse.Refused, nil, "that organisation has another part in the case: its people cannot be %s too", m.Role)
		}
	}
	return nil
}

// Leave takes a member out. What the person did stays.
type Leave struct {
	Member Member `json:"member"`
}

// Kind implements Act.
func (Leave) Kind() Kind { return KindLeave }

func (a Leave) apply(c *Case, by proofhouse.Actor, _ time.Time) error {
	i := slices.Index(c.Members, a.Member)
	if i < 0 {
		return proofhouse.Errorf(proofhouse.NotFound, nil, "there is no such member")
	}
	if !mayPlace(by.Role, a.Member.Role) {
		return proofhouse.Errorf(proofhouse.Refused, nil, "a %s may not remove a %s", by.Role, a.Member.Role)
	}
	same := 0
	for _, m := range c.Members {
		if m.Role == a.Member.Role {
			same++
		}
	}
	// Otherwise nobody could withdraw, or nobody of the body could be added.
	if same == 1 && (a.Member.Role == proofhouse.Developer || a.Member.Role == proofhouse.Registrar) {
		return proofhouse.Errorf(proofhouse.Refused, nil, "that is the only %s of the case: add another first", a.Member.Role)
	}
	c.Members = slices.Delete(slices.Clone(c.Members), i, i+1)
	return nil
}

// party is the part that an organisation has in a case.
type party int

const (
	developerParty party = iota
	bodyParty
	consulteeParty
	partnerParty
	testerParty
	auditorParty
	adopterParty
)

func partyOf(r proofhouse.Role) party {
	switch r {
	case proofhouse.Developer:
		return developerParty
	case proofhouse.Registrar, proofhouse.Evaluator, proofhouse.Authority, proofhouse.SecurityOfficer, proofhouse.Coordinator:
		return bodyParty
	case proofhouse.Consultee:
		return consulteeParty
	case proofhouse.Partner:
		return partnerParty
	case proofhouse.Tester:
		return testerParty
	case proofhouse.Auditor:
		return auditorParty
	case proofhouse.Adopter:
		return adopterParty
	}
	return -1
}

// mayPlace says whether by may add and remove people in role.
func mayPlace(by, role proofhouse.Role) bool {
	switch partyOf(role) {
	case developerParty:
		return by == proofhouse.Developer
	case partnerParty:
		return by == proofhouse.Developer || by == proofhouse.Coordinator
	case bodyParty, consulteeParty, testerParty, auditorParty, adopterParty:
		return by == proofhouse.Registrar
	}
	return false
}

func validMember(m Member) error {
	if err := name("the organisation's name", string(m.Organisation)); err != nil {
		return err
	}
	if err := name("the person's name", string(m.Person)); err != nil {
		return err
	}
	return m.Role.Validate()
}

// Ask begins the engagement: is the model covered?
type Ask struct{}

// Kind implements Act.
func (Ask) Kind() Kind { return KindAsk }

func (Ask) apply(c *Case, _ proofhouse.Actor, now time.Time) error {
	c.Asked = now
	return nil
}

// Plan says when the developer plans to release to trusted partners. The zero
// time takes that back. A window that has begun ends no later than a date
// planned since, and does not grow with it.
type Plan struct {
	Date time.Time `json:"date"`
}

// Kind implements Act.
func (Plan) Kind() Kind { return KindPlan }

func (a Plan) apply(c *Case, _ proofhouse.Actor, now time.Time) error {
	c.Plan = exact(a.Date)
	if c.access(now) != AccessEnded && !c.Window.First.IsZero() && !a.Date.IsZero() {
		c.Window.End = earlier(c.Window.End, later(c.Plan, now))
	}
	return nil
}

// Lend gives an organisation of the review access to the model. The first such
// grant begins the window.
type Lend struct {
	Grant GrantID                   `json:"grant"`
	To    proofhouse.OrganisationID `json:"to"`
}

// Kind implements Act.
func (Lend) Kind() Kind { return KindLend }

func (a Lend) apply(c *Case, _ proofhouse.Actor, now time.Time) error {
	side := TesterSide
	switch {
	case a.To == c.Rules.Body:
		side = BodySide
	case !slices.ContainsFunc(c.Members, func(m Member) bool { return m.Organisation == a.To && m.Role == proofhouse.Tester }):
		return proofhouse.Errorf(proofhouse.Invalid, nil, "a model is lent for the review to the body or to a tester of the case; share it with anyone else")
	}
	if c.Accepted.IsZero() {
		return proofhouse.Errorf(proofhouse.Refused, nil, "the body has not taken up the case yet")
	}
	if !c.Plan.IsZero() && !now.Before(c.Plan) {
		return proofhouse.Errorf(proofhouse.Refused, nil, "the planned release to partners has passed: plan another date first, or share with partners")
	}
	if err := c.grant(Grant{ID: a.Grant, To: a.To, Side: side, From: now}); err != nil {
		return err
	}
	if c.Window.First.IsZero() {
		c.Window.First = now
		if c.Window.End = c.windowEnd(); !c.Plan.IsZero() {
			c.Window.End = earlier(c.Window.End, c.Plan)
		}
	}
	return nil
}

// grant adds g under a name of its own.
func (c *Case) grant(g Grant) error {
	if err := name("the grant's name", string(g.ID)); err != nil {
		return err
	}
	if _, there := c.find(g.ID); there {
		return proofhouse.Errorf(proofhouse.Conflict, nil, "there is a grant %s already", g.ID)
	}
	c.Grants = append(slices.Clip(c.Grants), g)
	return nil
}

func (c Case) find(id GrantID) (int, bool) {
	i := slices.IndexFunc(c.Grants, func(g Grant) bool { return g.ID == id })
	return i, i >= 0
}

// end ends the grant at i, if it has not ended.
func (c *Case) end(i int, now time.Time) {
	if c.Grants[i].Ended.IsZero() {
		c.Grants = slices.Clone(c.Grants)
		c.Grants[i].Ended = now
	}
}

// End ends a grant of the body or a tester before the window does.
type End struct {
	Grant GrantID `json:"grant"`
}

// Kind implements Act.
func (End) Kind() Kind { return KindEnd }

func (a End) apply(c *Case, _ proofhouse.Actor, now time.Time) error {
	i, there := c.find(a.Grant)
	if !there || c.Grants[i].Side == PartnerSide {
		return proofhouse.Errorf(proofhouse.NotFound, nil, "there is no grant %s for the review", a.Grant)
	}
	c.end(i, now)
	return nil
}

// PauseAccess stops the access of the body and its testers. The window runs on.
type PauseAccess struct{}

// Kind implements Act.
func (PauseAccess) Kind() Kind { return KindPause }

func (PauseAccess) apply(c *Case, by proofhouse.Actor, now time.Time) error {
	c.Window.Pauses = append(slices.Clip(c.Window.Pauses), Pause{From: now, By: by})
	return nil
}

// ResumeAccess ends a pause.
type ResumeAccess struct{}

// Kind implements Act.
func (ResumeAccess) Kind() Kind { return KindResume }

func (ResumeAccess) apply(c *Case, _ proofhouse.Actor, now time.Time) error {
	c.Window.Pauses = slices.Clone(c.Window.Pauses)
	c.Window.Pauses[len(c.Window.Pauses)-1].To = now
	return nil
}

// MoveWindow is a new end of the window, signed by the developer: earlier, or
// later by no more than was lost to pauses.
type MoveWindow struct {
	End    time.Time `json:"end"`
	Signed Signature `json:"signed,omitzero"`
}

// Kind implements Act.
func (MoveWindow) Kind() Kind { return KindMoveWindow }

func (a MoveWindow) text(c Case, _ proofhouse.Actor) []byte {
	return signText(c.ID, "window", exact(a.End))
}

func (a MoveWindow) signature() Signature { return a.Signed }

func (a MoveWindow) with(s Signature) Act { a.Signed = s; return a }

func (a MoveWindow) apply(c *Case, by proofhouse.Actor, now time.Time) error {
	end := exact(a.End)
	if err := a.Signed.over(proofhouse.DigestOf(a.text(*c, by))); err != nil {
		return err
	}
	if end.Before(now) {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "the new end is in the past: end the grants instead, or withdraw")
	}
	if latest := c.latestEnd(now); end.After(latest) {
		return proofhouse.Errorf(proofhouse.Refused, nil, "the window may end at %s at the latest: its length and what was lost to pauses", latest.Format(time.RFC3339))
	}
	if !c.Plan.IsZero() && end.After(c.Plan) {
		return proofhouse.Errorf(proofhouse.Refused, nil, "the window ends before the release to partners, which is planned for %s: plan another date first", c.Plan.Format(time.RFC3339))
	}
	c.Window.Moves = append(slices.Clip(c.Window.Moves), WindowMove{From: c.Window.End, To: end, By: by, Signed: a.Signed})
	c.Window.End = end
	return nil
}

// Withdraw ends the review: the grants of the body and its testers end, and
// nothing is signed afterwards. To withdraw again changes nothing. What was
// determined before stays as it was.
type Withdraw struct{}

// Kind implements Act.
func (Withdraw) Kind() Kind { return KindWithdraw }

func (Withdraw) apply(c *Case, _ proofhouse.Actor, now time.Time) error {
	if !c.Withdrawn.IsZero() {
		return nil
	}
	c.Withdrawn = now
	for i, g := range c.Grants {
		if g.Side != PartnerSide {
			c.end(i, now)
		}
	}
	return nil
}

// Announce says that the developer releases, or released, the model. It is a
// notice: nothing in the case depends on it.
type Announce struct {
	Date time.Time `json:"date"`
	Note string    `json:"note,omitempty"` // may be empty
}

// Kind implements Act.
func (Announce) Kind() Kind { return KindAnnounce }

func (a Announce) apply(c *Case, _ proofhouse.Actor, now time.Time) error {
	if a.Note != "" {
		if err := plain("the note", a.Note); err != nil {
			return err
		}
	}
	c.Releases = append(slices.Clip(c.Releases), Release{At: now, Date: exact(a.Date), Note: a.Note})
	return nil
}

// Share gives a partner access of the developer's own. It needs nobody's
// consent, in no state. Only the body is no partner, since its access would
// outlive the window. Other organisations of the review can be: otherwise the
// body could keep a partner out by making it a tester.
type Share struct {
	Grant GrantID                   `json:"grant"`
	To    proofhouse.OrganisationID `json:"to"`
	// Sponsored says that it shares because the body puts the partner forward. Such
	// a grant ends when the body no longer does; any other does not.
	Sponsored bool `json:"sponsored,omitempty"`
}

// Kind implements Act.
func (Share) Kind() Kind { return KindShare }

func (a Share) apply(c *Case, _ proofhouse.Actor, now time.Time) error {
	if err := name("the partner's name", string(a.To)); err != nil {
		return err
	}
	if a.To == c.Rules.Body {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "the reviewing body is no partner: lend it the model instead")
	}
	if a.Sponsored {
		if i, there := c.nominee(a.To); !there || !c.Nominees[i].Sponsored || !c.Withdrawn.IsZero() {
			return proofhouse.Errorf(proofhouse.Refused, nil, "the body does not sponsor %s: share with it as your own partner", a.To)
		}
	}
	return c.grant(Grant{ID: a.Grant, To: a.To, Side: PartnerSide, Sponsored: a.Sponsored, From: now})
}

// Unshare ends a partner's grant.
type Unshare struct {
	Grant GrantID `json:"grant"`
}

// Kind implements Act.
func (Unshare) Kind() Kind { return KindUnshare }

func (a Unshare) apply(c *Case, _ proofhouse.Actor, now time.Time) error {
	i, there := c.find(a.Grant)
	if !there || c.Grants[i].Side != PartnerSide {
		return proofhouse.Errorf(proofhouse.NotFound, nil, "there is no partner's grant %s", a.Grant)
	}
	c.end(i, now)
	return nil
}
