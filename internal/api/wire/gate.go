package wire

import (
	"context"
	"net/url"
	"time"

	"proofhouse/internal/docket"
	"proofhouse/internal/proofhouse"
)

// Gate is the gate that is served from the house's data folder, as it knows itself since it was opened. It names neither models nor
// upstreams, and cases only to who may see them.
type Gate struct {
	Running bool      `json:"running" doc:"whether there is such a gate at this moment; nothing else is known if not"`
	Since   time.Time `json:"since,omitzero" doc:"when it was opened: what is counted here is counted from then on"`
	Follows bool      `json:"follows,omitempty" doc:"whether it follows the database's revocations"`
	AsOf    time.Time `json:"as_of,omitzero" doc:"since when it is sure of all of them"`

	Upstreams   []Upstream     `json:"upstreams"`
	Grants      []Lent         `json:"grants" doc:"of cases that you may see, with keys that open something now"`
	Others      int            `json:"others" doc:"keys that open something now, of what you may not see"`
	Suspensions []Suspension   `json:"suspensions"`
	Rules       []GateRule     `json:"rules" doc:"safeguards and policies, and how often they decided what"`
	Decisions   []GateDecision `json:"decisions" doc:"the last ones that were not to let pass, the newest first"`
}

// Upstream is a model's server, by its number: its address would tell whose model it is.
type Upstream struct {
	Number   int       `json:"number"`
	State    string    `json:"state" enum:"answers,in trouble,unknown" doc:"by the last that it did"`
	Open     int       `json:"open" doc:"calls under way"`
	Answered int64     `json:"answered" doc:"calls with a status below 400"`
	Refused  int64     `json:"refused" doc:"with another below 500, which is the request's fault"`
	Limited  int64     `json:"limited" doc:"with 429, 503 or 529: too much at once"`
	Failed   int64     `json:"failed" doc:"with another from 500"`
	Silent   int64     `json:"silent" doc:"without an answer, or with one that broke off"`
	Last     time.Time `json:"last,omitzero" doc:"when it last answered with a status below 400"`
	First    int64     `json:"first_us,omitempty" doc:"microseconds to the first byte of that"`
	Trouble  time.Time `json:"trouble,omitzero" doc:"when it was last limited, failed or silent"`
	Status   int       `json:"status,omitempty" doc:"what it answered then; none is no answer"`
	Until    time.Time `json:"until,omitzero" doc:"how long it asked to be left alone"`
}

// Lent is a grant of a case for which the gate has keys.
type Lent struct {
	Case     proofhouse.CaseID `json:"case,omitempty"`
	Grant    docket.GrantID    `json:"grant,omitempty"`
	Codename string            `json:"codename"`
	Keys     int               `json:"keys"`
	Open     int               `json:"open" doc:"calls under way"`
	Until    time.Time         `json:"until"`
}

// NewSuspension takes a kind of request away: what all that is set match.
type NewSuspension struct {
	Tool     string            `json:"tool,omitempty" maxLength:"200" doc:"by name, or by type where it has none"`
	Protocol string            `json:"protocol,omitempty" maxLength:"100" doc:"such as openai-chat"`
	Class    string            `json:"class,omitempty" enum:"streams,tools,by-reference,many-answers"`
	Case     proofhouse.CaseID `json:"case,omitempty" maxLength:"100" doc:"one that you may see"`
	Grant    docket.GrantID    `json:"grant,omitempty" maxLength:"100" doc:"of that case"`
	Reason   string            `json:"reason,omitempty" maxLength:"400" doc:"callers read it"`
}

// Suspension is a kind of request that is taken away.
type Suspension struct {
	ID       string            `json:"id"`
	Tool     string            `json:"tool,omitempty"`
	Protocol string            `json:"protocol,omitempty"`
	Class    string            `json:"class,omitempty"`
	Case     proofhouse.CaseID `json:"case,omitempty"`
	Grant    docket.GrantID    `json:"grant,omitempty"`
	Key      string            `json:"key,omitempty" doc:"the gate's name for one key"`
	Narrow   bool              `json:"narrow,omitempty" doc:"it is of a case, a grant or a subject; which, only who may see that reads"`
	Reason   string            `json:"reason,omitempty"`
	By       string            `json:"by,omitempty"`
	Since    time.Time         `json:"since,omitzero"`
	Took     int64             `json:"took_us,omitempty" doc:"microseconds until it was in force and each call under way that it matches had been told"`
	Cut      int               `json:"cut,omitempty" doc:"calls under way that were cut"`
}

// Resumption ends a suspension.
type Resumption struct {
	Reason string `json:"reason,omitempty" maxLength:"400"`
}

// GateRule is a safeguard at one stage, or a policy that denied calls, and in how many calls it decided what.
type GateRule struct {
	Guard        string `json:"guard,omitempty"`
	Stage        string `json:"stage,omitempty" doc:"request or answer"`
	Mode         string `json:"mode,omitempty" doc:"observe, hold or cut"`
	Policy       string `json:"policy,omitempty"`
	Passed       int64  `json:"passed"`
	Cut          int64  `json:"cut"`
	Noted        int64  `json:"noted"`
	FailedOpen   int64  `json:"failed_open"`
	FailedClosed int64  `json:"failed_closed"`
	Denied       int64  `json:"denied"`
}

// GateDecision is one decision of a rule, without anything of what was said.
type GateDecision struct {
	At       time.Time         `json:"at"`
	Case     proofhouse.CaseID `json:"case,omitempty" doc:"if you may see it"`
	Grant    docket.GrantID    `json:"grant,omitempty"`
	Call     string            `json:"call,omitempty"`
	Protocol string            `json:"protocol"`
	Guard    string            `json:"guard,omitempty"`
	Stage    string            `json:"stage,omitempty"`
	Mode     string            `json:"mode,omitempty"`
	Policy   string            `json:"policy,omitempty"`
	Action   string            `json:"action"`
	Reason   string            `json:"reason,omitempty" doc:"the rule's code, if you may see the case"`
	Took     int64             `json:"took_us,omitempty"`
}

// Gate is the gate of the house's data folder.
func (c Client) Gate(ctx context.Context) (Gate, error) {
	return get[Gate](ctx, c, "/v1/gate", nil)
}

// Suspend takes a kind of request away for a time, at once.
func (c Client) Suspend(ctx context.Context, s NewSuspension) (Suspension, error) {
	return send[Suspension](ctx, c, "/v1/gate/suspensions", s, nil)
}

// Resume ends a suspension.
func (c Client) Resume(ctx context.Context, id, reason string) error {
	_, err := send[Gate](ctx, c, "/v1/gate/suspensions/"+url.PathEscape(id)+"/resume", Resumption{reason}, nil)
	return err
}
