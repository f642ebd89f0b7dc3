// Package wire holds the messages of the house's API and a client that sends
// them. What an act says is docket's own; what the messages add is how they are
// asked for and answered. It promises that an error arrives as the kind that the
// server gave it.
package wire

import (
	"encoding/json"
	"time"

	"proofhouse/internal/docket"
	"proofhouse/internal/policy"
	"proofhouse/internal/proofhouse"
)

// Case is a case as its reader may see it.
type Case struct {
	docket.Case
	Profile Profile `json:"profile"`
	// State is as of the answer.
	State docket.State `json:"state"`
	// Clocks are what the body owes, and by when.
	Clocks []docket.Clock `json:"clocks"`
	// Roles are the reader's.
	Roles []proofhouse.Role `json:"roles"`
	// Due is when what is sealed in the case is due to be destroyed by the terms; zero if it is not.
	Due time.Time `json:"due,omitzero"`
	// Proposals are what the registered rule says at this moment of each version of the
	// criteria, for those who may read the criteria.
	Proposals []Proposal `json:"proposals"`
	// PartnersBy is the version of the criteria for partners that is in force; 0 is none.
	PartnersBy int `json:"partners_by,omitzero"`
	// Glass is whenever the case's glass was broken, oldest first, for members. Answers to acts leave it out.
	Glass []Glass `json:"glass,omitempty"`
	// Waiting is how many requests wait for an approval that the reader may give. Answers to acts leave it out.
	Waiting int `json:"waiting,omitzero"`
}

// Glass is a glass that was broken: a security officer of the body, who need be no
// member, could read the case once, within the hour.
type Glass struct {
	Request string    `json:"request"`
	By      string    `json:"by" doc:"PERSON@ORGANISATION"`
	Reason  string    `json:"reason"`
	At      time.Time `json:"at"`
	Read    time.Time `json:"read,omitzero" doc:"when it was read through"`
}

// GlassOf is a as the API gives it.
func GlassOf(a policy.Asked) Glass { return Glass{a.ID, a.Asker, a.Reason, a.At, a.Used} }

// Proposal is what the registered rule says of the runs that count.
type Proposal struct {
	Registration int                `json:"registration"`
	Outcome      docket.Outcome     `json:"outcome"`
	Runs         []proofhouse.RunID `json:"runs"`
}

// Profile is how a review body works, in short.
type Profile struct {
	Name       string                    `json:"name"`
	Title      string                    `json:"title"`
	Digest     proofhouse.Digest         `json:"digest"`
	Body       proofhouse.OrganisationID `json:"body"`
	Window     string                    `json:"window" doc:"the longest time of access for the review, such as \"30 calendar days\""`
	Consultees []Consultee               `json:"consultees" nullable:"false"`
	Partners   docket.PartnerRule        `json:"partners" doc:"joint: criteria for partners hold once the developer has agreed; body: as they are published"`
}

// Consultee is an organisation to be asked before a determination.
type Consultee struct {
	Organisation proofhouse.OrganisationID `json:"organisation"`
	Title        string                    `json:"title"`
	Required     bool                      `json:"required" doc:"the determination waits for its answer, or for a waiver with a reason"`
}

// ProfileOf is p in short.
func ProfileOf(p *docket.Profile) Profile {
	out := Profile{Name: p.Name, Title: p.Title, Digest: p.Digest, Body: p.Body, Window: p.Window.String(), Consultees: []Consultee{}, Partners: p.Partners}
	for _, c := range p.Consultees {
		out.Consultees = append(out.Consultees, Consultee(c))
	}
	return out
}

// Open opens a case.
type Open struct {
	docket.OpenCase
	Profile string `json:"profile" doc:"name of the profile, as the list of profiles has it" example:"us-order"`
}

// List is a page of cases, the most urgent first.
type List struct {
	Cases []Listed `json:"cases" nullable:"false"`
	Next  string   `json:"next,omitempty" doc:"what to give as after for the next page"`
}

// Listed is a case in a list.
type Listed struct {
	docket.Summary
	// Glass is when the case's glass was broken last, for members; nil if it never was.
	Glass *Glass `json:"glass,omitempty"`
	// Waiting is how many requests about the case wait for an approval that the reader may give.
	Waiting int `json:"waiting,omitzero"`
}

// Done is the answer to an act.
type Done struct {
	Seq     int  `json:"seq" doc:"which event of the case it is"`
	Version int  `json:"version" doc:"how many events the case has"`
	Case    Case `json:"case"`
}

// Text is what somebody signs.
type Text struct {
	Text   string            `json:"text" doc:"sign this, and nothing that you have not read"`
	Digest proofhouse.Digest `json:"digest"`
	By     proofhouse.Actor  `json:"by" doc:"as whom you sign"`
	// Key is the one that must sign, as it was named last; nil if none was.
	Key *docket.SigningKey `json:"key,omitempty"`
	// Challenge is what a browser asks that key for, if it is a passkey.
	Challenge string `json:"challenge,omitempty" doc:"base64url; where the key is a passkey"`
}

// CaseReport is a version of a case's report for the readers of one tier.
type CaseReport struct {
	Case proofhouse.CaseID `json:"case"`
	docket.TierReport
}

// Event is an event of a case. Says is left out where the reader may know only
// that it was done.
type Event struct {
	Seq  int              `json:"seq"`
	At   time.Time        `json:"at"`
	By   proofhouse.Actor `json:"by"`
	Act  string           `json:"act"`
	Says json.RawMessage  `json:"says,omitempty"`
	// Commitment is what the public log holds of it, at Index; -1 as long as it does not.
	Commitment string `json:"commitment" doc:"SHA-256 in hex"`
	Index      int64  `json:"index" doc:"place in the public log, -1 while it waits"`
}

// Events is a page of events.
type Events struct {
	Events []Event `json:"events" nullable:"false"`
}

// Profiles is the list of profiles.
type Profiles struct {
	Profiles []Profile `json:"profiles" nullable:"false"`
}

// Health says that the house is there.
type Health struct {
	Version string `json:"version"`
}

// StreamEnd is the last message of a stream that the house ends.
type StreamEnd struct {
	Kind   proofhouse.Kind `json:"kind"`
	Detail string          `json:"detail"`
}

// Claim makes its sender the first administrator.
type Claim struct {
	Code              string                    `json:"code"`
	Organisation      proofhouse.OrganisationID `json:"organisation"`
	OrganisationTitle string                    `json:"organisation_title"`
	Person            proofhouse.PersonID       `json:"person"`
	PersonTitle       string                    `json:"person_title"`
}

// Claimed is the first token, which is shown once.
type Claimed struct {
	Token string `json:"token"`
}

// AllowList is a list of partners to nominate.
type AllowList struct {
	List     string `json:"list" maxLength:"900000" doc:"CSV in UTF-8 with the header \"organisation,title\""`
	GoodRows bool   `json:"good_rows,omitempty" doc:"take the rows that can be, even if others cannot; otherwise all are taken or none"`
}

// Nominations is what became of a list of partners.
type Nominations struct {
	Nominated int                         `json:"nominated" doc:"how many were, in one event"`
	Already   []proofhouse.OrganisationID `json:"already" nullable:"false" doc:"who had been nominated before, and stays so"`
	Wrong     []WrongRow                  `json:"wrong" nullable:"false" doc:"what could not be taken"`
	Seq       int                         `json:"seq,omitempty" doc:"which event of the case it is; 0 if nothing happened"`
}

// WrongRow says what is wrong with a row, and quotes nothing of it.
type WrongRow struct {
	Line   int    `json:"line" doc:"of the list, from 1"`
	Detail string `json:"detail"`
}
