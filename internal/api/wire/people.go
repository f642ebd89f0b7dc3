package wire

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"proofhouse/internal/policy"
	"proofhouse/internal/proofhouse"
)

// Organisations is the list of organisations that its reader may know of.
type Organisations struct {
	Organisations []policy.Organisation `json:"organisations" nullable:"false"`
}

// People is the list of an organisation's people.
type People struct {
	People []policy.Person `json:"people" nullable:"false"`
}

// NewPerson makes an account.
type NewPerson struct {
	Organisation proofhouse.OrganisationID `json:"organisation" maxLength:"100"`
	ID           proofhouse.PersonID       `json:"id" maxLength:"100" doc:"lower-case letters, digits and . _ - /"`
	Title        string                    `json:"title" maxLength:"200" doc:"what people call them"`
}

// NewOrganisation makes an organisation.
type NewOrganisation struct {
	ID    proofhouse.OrganisationID `json:"id" maxLength:"100" doc:"lower-case letters, digits and . _ - /"`
	Title string                    `json:"title" maxLength:"200" doc:"what people call it"`
}

// GivenRole is a role of the house.
type GivenRole struct {
	Role policy.HouseRole `json:"role" enum:"administrator,registrar,security officer,auditor,coordinator"`
}

// Clearance is a compartment, or a marking.
type Clearance struct {
	Clearance string `json:"clearance" maxLength:"100" example:"weights"`
}

// NewToken asks for a token.
type NewToken struct {
	Label string `json:"label,omitempty" maxLength:"100"`
	Days  int    `json:"days" minimum:"1" maximum:"366" doc:"how long it lasts"`
}

// IssuedToken is a fresh token.
type IssuedToken struct {
	Secret string       `json:"secret" doc:"shown this once"`
	Token  policy.Token `json:"token"`
}

// Tokens is the list of the tokens that a person has had.
type Tokens struct {
	Tokens []policy.Token `json:"tokens" nullable:"false"`
}

// AskTwo asks two others to approve something.
type AskTwo struct {
	What   policy.Action `json:"what" enum:"export,unseal,destroy"`
	On     string        `json:"on,omitempty" maxLength:"200" doc:"the artifact; without one it is the case"`
	Reason string        `json:"reason" minLength:"1" maxLength:"2000"`
}

// Reason is why.
type Reason struct {
	Reason string `json:"reason" minLength:"1" maxLength:"2000"`
}

// Request is a request for two persons' approval, or a glass that was broken.
type Request struct {
	ID       string            `json:"id"`
	Case     proofhouse.CaseID `json:"case"`
	What     policy.Action     `json:"what"`
	On       string            `json:"on,omitempty"`
	Reason   string            `json:"reason"`
	Asker    string            `json:"asker"`
	First    string            `json:"first,omitempty" doc:"the first who approved"`
	Second   string            `json:"second,omitempty" doc:"the second, other than the first"`
	At       time.Time         `json:"at"`
	FirstAt  time.Time         `json:"first_at,omitzero"`
	SecondAt time.Time         `json:"second_at,omitzero"`
	Used     time.Time         `json:"used,omitzero" doc:"when it was made use of, which is once"`
	For      proofhouse.Role   `json:"for,omitempty" doc:"the role for whose readers an export was made"`
	Until    time.Time         `json:"until,omitzero" doc:"until when it waits for approvals, or holds once it has them, or gives the same export again"`
	// The two below are said in lists alone, and of the moment.
	Approvable bool `json:"approvable,omitempty" doc:"you may approve it"`
	Usable     bool `json:"usable,omitempty" doc:"it is yours, is approved, and can be made use of"`
}

// RequestOf is a as the API gives it.
func RequestOf(a policy.Asked) Request {
	return Request{a.ID, a.Case.ID, a.What, a.On, a.Reason, a.Asker, a.First, a.Second, a.At, a.FirstAt, a.SecondAt, a.Used, a.For, a.Until(), false, false}
}

// Requests is the list of a case's requests.
type Requests struct {
	Requests []Request       `json:"requests" nullable:"false"`
	MayAsk   []policy.Action `json:"may_ask" nullable:"false" doc:"what you may ask for"`
}

// HouseEntries is a page of what happened to people.
type HouseEntries struct {
	Entries []json.RawMessage `json:"entries" nullable:"false"`
}

// Me is the person whose token it is.
func (c Client) Me(ctx context.Context) (policy.Person, error) {
	return get[policy.Person](ctx, c, "/v1/me", nil)
}

// Organisations are those that one may know of.
func (c Client) Organisations(ctx context.Context) (Organisations, error) {
	return get[Organisations](ctx, c, "/v1/organisations", nil)
}

// CreateOrganisation makes an organisation.
func (c Client) CreateOrganisation(ctx context.Context, o NewOrganisation) (policy.Organisation, error) {
	return send[policy.Organisation](ctx, c, "/v1/organisations", o, nil)
}

// People are those of an organisation.
func (c Client) People(ctx context.Context, o proofhouse.OrganisationID) (People, error) {
	return get[People](ctx, c, "/v1/people", url.Values{"organisation": {string(o)}})
}

// CreatePerson makes an account.
func (c Client) CreatePerson(ctx context.Context, p NewPerson) (policy.Person, error) {
	return send[policy.Person](ctx, c, "/v1/people", p, nil)
}

// onPerson does something to the account of that name.
func (c Client) onPerson(ctx context.Context, name, what string, says any) error {
	_, err := send[struct{}](ctx, c, "/v1/people/"+url.PathEscape(name)+"/"+what, says, nil)
	return err
}

// GiveRole gives the person of that name (PERSON@ORGANISATION) a role of the house.
func (c Client) GiveRole(ctx context.Context, name string, r policy.HouseRole) error {
	return c.onPerson(ctx, name, "give-role", GivenRole{r})
}

// TakeRole takes it away.
func (c Client) TakeRole(ctx context.Context, name string, r policy.HouseRole) error {
	return c.onPerson(ctx, name, "take-role", GivenRole{r})
}

// GiveClearance clears a person for a compartment or a marking.
func (c Client) GiveClearance(ctx context.Context, name, clearance string) error {
	return c.onPerson(ctx, name, "give-clearance", Clearance{clearance})
}

// TakeClearance takes it away.
func (c Client) TakeClearance(ctx context.Context, name, clearance string) error {
	return c.onPerson(ctx, name, "take-clearance", Clearance{clearance})
}

// DeclareConflict declares a person's conflict of interest.
func (c Client) DeclareConflict(ctx context.Context, name string, k policy.Conflict) error {
	return c.onPerson(ctx, name, "declare-conflict", k)
}

// LiftConflict takes that back.
func (c Client) LiftConflict(ctx context.Context, name string, k policy.Conflict) error {
	return c.onPerson(ctx, name, "lift-conflict", k)
}

// EndPerson ends an account and its tokens.
func (c Client) EndPerson(ctx context.Context, name string) error {
	return c.onPerson(ctx, name, "end", struct{}{})
}

// IssueToken makes a token, which is shown this once.
func (c Client) IssueToken(ctx context.Context, name string, t NewToken) (IssuedToken, error) {
	return send[IssuedToken](ctx, c, "/v1/people/"+url.PathEscape(name)+"/tokens", t, nil)
}

// Tokens are those that a person has had.
func (c Client) Tokens(ctx context.Context, name string) (Tokens, error) {
	return get[Tokens](ctx, c, "/v1/people/"+url.PathEscape(name)+"/tokens", nil)
}

// RevokeToken ends a token at once.
func (c Client) RevokeToken(ctx context.Context, id string) error {
	_, err := send[struct{}](ctx, c, "/v1/tokens/"+url.PathEscape(id)+"/revoke", struct{}{}, nil)
	return err
}

// Ask asks two others to approve something.
func (c Client) Ask(ctx context.Context, id proofhouse.CaseID, a AskTwo) (Request, error) {
	return send[Request](ctx, c, "/v1/cases/"+url.PathEscape(string(id))+"/requests", a, nil)
}

// Requests are those about a case.
func (c Client) Requests(ctx context.Context, id proofhouse.CaseID) (Requests, error) {
	return get[Requests](ctx, c, "/v1/cases/"+url.PathEscape(string(id))+"/requests", nil)
}

// Approve approves a request.
func (c Client) Approve(ctx context.Context, request string) (Request, error) {
	return send[Request](ctx, c, "/v1/requests/"+url.PathEscape(request)+"/approve", struct{}{}, nil)
}

// BreakGlass lets a security officer read a case once.
func (c Client) BreakGlass(ctx context.Context, id proofhouse.CaseID, reason string) (Request, error) {
	return send[Request](ctx, c, "/v1/cases/"+url.PathEscape(string(id))+"/glass", Reason{reason}, http.Header{})
}

// Register is what happened to people, after one of the entries.
func (c Client) Register(ctx context.Context, after int64) (HouseEntries, error) {
	return get[HouseEntries](ctx, c, "/v1/register", url.Values{"after": {strconv.FormatInt(after, 10)}, "limit": {"1000"}})
}
