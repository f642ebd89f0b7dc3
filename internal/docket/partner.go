package docket

import (
	"slices"
	"time"

	"proofhouse/internal/proofhouse"
)

// PartnerRule says whose the criteria are by which the body puts partners forward.
type PartnerRule string

// The rules. Neither says anything of partners that are the developer's own.
const (
	// JointPartners hold once the developer has agreed to them.
	JointPartners PartnerRule = "joint"
	// BodyPartners hold as the body publishes them.
	BodyPartners PartnerRule = "body"
)

// PartnerCriteria are by what the body puts partners forward. They are
// published before they are used; versions are added, never changed.
type PartnerCriteria struct {
	Version  int              `json:"version"`
	Criteria []Criterion      `json:"criteria"`
	At       time.Time        `json:"at"`
	By       proofhouse.Actor `json:"by"`
	// Agreed is when the developer agreed, where the profile has that; zero if it has not.
	Agreed   time.Time        `json:"agreed,omitzero"`
	AgreedBy proofhouse.Actor `json:"agreed_by,omitzero"`
}

// PartnerCriteriaInForce are those by which partners are chosen now: the last version, or where they
// are joint the last that the developer agreed to.
func (c Case) PartnerCriteriaInForce() (PartnerCriteria, bool) {
	for _, k := range slices.Backward(c.PartnerCriteria) {
		if c.Rules.Partners != JointPartners || !k.Agreed.IsZero() {
			return k, true
		}
	}
	return PartnerCriteria{}, false
}

// Criterion is one of them.
type Criterion struct {
	ID   string `json:"id"`
	Text string `json:"text"`
}

// Nominee is an organisation that somebody proposes as a partner whose access
// the body would sponsor.
type Nominee struct {
	Organisation proofhouse.OrganisationID `json:"organisation"`
	Title        string                    `json:"title"` // what people call it
	Nominated    time.Time                 `json:"nominated"`
	By           proofhouse.Actor          `json:"by"`
	Sponsored    bool                      `json:"sponsored,omitzero"`
	// Answers are what the body said and the partner asked, in order.
	Answers []PartnerAnswer `json:"answers"`
}

// PartnerAnswer is one step in the choice of a partner.
type PartnerAnswer struct {
	Step PartnerStep `json:"step"`
	// Version and Criterion are by which published criterion; only an appeal has none.
	Version   int              `json:"version"`
	Criterion string           `json:"criterion,omitzero"`
	Reason    string           `json:"reason"`
	At        time.Time        `json:"at"`
	By        proofhouse.Actor `json:"by"`
}

// PartnerStep is what was said.
type PartnerStep string

// The steps.
const (
	Sponsors PartnerStep = "sponsors"
	Declines PartnerStep = "declines to sponsor"
	Appeals  PartnerStep = "appeals"
)

// Publish publishes criteria for partners.
type Publish struct {
	Criteria []Criterion `json:"criteria"`
}

// Kind implements Act.
func (Publish) Kind() Kind { return KindPublish }

func (a Publish) apply(c *Case, by proofhouse.Actor, now time.Time) error {
	if len(a.Criteria) == 0 || len(a.Criteria) > maxList {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "publish 1 to %d criteria", maxList)
	}
	for i, k := range a.Criteria {
		if err := name("the criterion's name", k.ID); err != nil {
			return err
		}
		if err := plain("the criterion", k.Text); err != nil {
			return err
		}
		if slices.ContainsFunc(a.Criteria[:i], func(o Criterion) bool { return o.ID == k.ID }) {
			return proofhouse.Errorf(proofhouse.Invalid, nil, "two criteria have one name")
		}
	}
	c.PartnerCriteria = append(slices.Clip(c.PartnerCriteria), PartnerCriteria{Version: len(c.PartnerCriteria) + 1, Criteria: slices.Clone(a.Criteria), At: now, By: by})
	return nil
}

// AgreePartners is the developer's agreement to a version of the criteria for partners, where the
// profile has them joint. Versions before it are over with.
type AgreePartners struct {
	Version int `json:"version"`
}

// Kind implements Act.
func (AgreePartners) Kind() Kind { return KindAgreePartners }

func (a AgreePartners) apply(c *Case, by proofhouse.Actor, now time.Time) error {
	if c.Rules.Partners != JointPartners {
		return proofhouse.Errorf(proofhouse.Refused, nil, "under this profile the criteria for partners are the body's alone: they hold as they are published")
	}
	if a.Version < 1 || a.Version > len(c.PartnerCriteria) {
		return proofhouse.Errorf(proofhouse.NotFound, nil, "there is no version %d of the criteria for partners", a.Version)
	}
	if now, there := c.PartnerCriteriaInForce(); there && a.Version <= now.Version {
		return proofhouse.Errorf(proofhouse.Conflict, nil, "version %d of the criteria for partners has been agreed to already", now.Version)
	}
	c.PartnerCriteria = slices.Clone(c.PartnerCriteria)
	k := &c.PartnerCriteria[a.Version-1]
	k.Agreed, k.AgreedBy = now, by
	return nil
}

// Nominate proposes a partner.
type Nominate struct {
	Organisation proofhouse.OrganisationID `json:"organisation"`
	Title        string                    `json:"title"`
}

// Kind implements Act.
func (Nominate) Kind() Kind { return KindNominate }

// nominates says whether nominations wait for criteria that are agreed to.
func (c Case) nominates() error {
	if _, there := c.PartnerCriteriaInForce(); !there && c.Rules.Partners == JointPartners {
		return proofhouse.Errorf(proofhouse.Refused, nil, "nominations wait for criteria that the body publishes and the developer agrees to; with a partner of its own the developer shares without")
	}
	return nil
}

// may says whether a can be nominated in c, but for whether it has been.
func (a Nominate) may(c Case) error {
	if err := name("the partner's name", string(a.Organisation)); err != nil {
		return err
	}
	if err := plain("the partner's title", a.Title); err != nil {
		return err
	}
	if a.Organisation == c.Rules.Body {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "the reviewing body is no partner")
	}
	return nil
}

func (a Nominate) apply(c *Case, by proofhouse.Actor, now time.Time) error {
	if err := a.may(*c); err != nil {
		return err
	}
	if err := c.nominates(); err != nil {
		return err
	}
	if _, there := c.nominee(a.Organisation); there {
		return proofhouse.Errorf(proofhouse.Conflict, nil, "%s has been nominated already", a.Organisation)
	}
	c.Nominees = append(slices.Clip(c.Nominees), Nominee{Organisation: a.Organisation, Title: a.Title, Nominated: now, By: by})
	return nil
}

func (c Case) nominee(o proofhouse.OrganisationID) (int, bool) {
	i := slices.IndexFunc(c.Nominees, func(n Nominee) bool { return n.Organisation == o })
	return i, i >= 0
}

// Sponsor puts a partner forward. The developer may then share with it as
// sponsored, or not.
type Sponsor struct {
	Organisation proofhouse.OrganisationID `json:"organisation"`
	Criterion    string                    `json:"criterion"`
	Reason       string                    `json:"reason"`
}

// Kind implements Act.
func (Sponsor) Kind() Kind { return KindSponsor }

func (a Sponsor) apply(c *Case, by proofhouse.Actor, now time.Time) error {
	return c.answerNominee(a.Organisation, PartnerAnswer{Step: Sponsors, Criterion: a.Criterion, Reason: a.Reason, At: now, By: by})
}

// Decline is the body's refusal to sponsor a partner, or to go on doing so. It ends the access that
// the body sponsors, and no other. The partner can appeal.
type Decline struct {
	Organisation proofhouse.OrganisationID `json:"organisation"`
	Criterion    string                    `json:"criterion"`
	Reason       string                    `json:"reason"`
}

// Kind implements Act.
func (Decline) Kind() Kind { return KindDecline }

func (a Decline) apply(c *Case, by proofhouse.Actor, now time.Time) error {
	return c.answerNominee(a.Organisation, PartnerAnswer{Step: Declines, Criterion: a.Criterion, Reason: a.Reason, At: now, By: by})
}

// Appeal asks the authority to look at a refusal again. A partner appeals for
// itself, the developer for any.
type Appeal struct {
	Organisation proofhouse.OrganisationID `json:"organisation"`
	Reason       string                    `json:"reason"`
}

// Kind implements Act.
func (Appeal) Kind() Kind { return KindAppeal }

func (a Appeal) apply(c *Case, by proofhouse.Actor, now time.Time) error {
	i, there := c.nominee(a.Organisation)
	if !there || by.Role == proofhouse.Partner && by.Organisation != a.Organisation {
		return proofhouse.Errorf(proofhouse.NotFound, nil, "there is no such nominee")
	}
	if err := plain("the reason", a.Reason); err != nil {
		return err
	}
	if c.Nominees[i].last() != Declines {
		return proofhouse.Errorf(proofhouse.Refused, nil, "there is no refusal to appeal against")
	}
	c.addAnswer(i, PartnerAnswer{Step: Appeals, Reason: a.Reason, At: now, By: by})
	return nil
}

// answerNominee takes the body's answer. To an appeal, only the authority
// answers, and not the person who declined.
func (c *Case) answerNominee(o proofhouse.OrganisationID, a PartnerAnswer) error {
	i, there := c.nominee(o)
	if !there {
		return proofhouse.Errorf(proofhouse.NotFound, nil, "there is no such nominee")
	}
	n := c.Nominees[i]
	if err := plain("the reason", a.Reason); err != nil {
		return err
	}
	criteria, there := c.PartnerCriteriaInForce()
	if a.Version = criteria.Version; !there || !slices.ContainsFunc(criteria.Criteria, func(k Criterion) bool { return k.ID == a.Criterion }) {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "name one of the published criteria")
	}
	switch last := n.last(); {
	case last == a.Step:
		return proofhouse.Errorf(proofhouse.Conflict, nil, "the body has said so already")
	case last == Appeals && a.By.Role != proofhouse.Authority:
		return proofhouse.Errorf(proofhouse.Refused, nil, "the authority answers an appeal")
	case last == Appeals && n.Answers[len(n.Answers)-2].By.Person == a.By.Person:
		return proofhouse.Errorf(proofhouse.Refused, nil, "whoever declined does not answer the appeal")
	}
	c.addAnswer(i, a)
	if a.Step == Declines {
		for j, g := range c.Grants {
			if g.Sponsored && g.To == o {
				c.end(j, a.At)
			}
		}
	}
	return nil
}

func (n Nominee) last() PartnerStep {
	if len(n.Answers) == 0 {
		return ""
	}
	return n.Answers[len(n.Answers)-1].Step
}

func (c *Case) addAnswer(i int, a PartnerAnswer) {
	c.Nominees = slices.Clone(c.Nominees)
	n := &c.Nominees[i]
	n.Answers = append(slices.Clip(n.Answers), a)
	switch a.Step {
	case Sponsors:
		n.Sponsored = true
	case Declines:
		n.Sponsored = false
	case Appeals: // what the body declined stays so until the authority says otherwise
	}
}
