package api

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"time"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/policy"
	"proofhouse/internal/proofhouse"
)

// People is the register of organisations, people, tokens and requests. Each
// method asks the guard itself, and records what it changes.
type People interface {
	// Check is Guard.Check for what is about a case; what only a broken glass permits, it permits once.
	Check(ctx context.Context, who policy.Principal, what policy.Action, id proofhouse.CaseID, on func(policy.Case) policy.Resource, now time.Time) error
	Organisations(ctx context.Context, who policy.Principal) ([]policy.Organisation, error)
	CreateOrganisation(ctx context.Context, who policy.Principal, o policy.Organisation, now time.Time) error
	Of(ctx context.Context, who policy.Principal, o proofhouse.OrganisationID) ([]policy.Person, error)
	CreatePerson(ctx context.Context, who policy.Principal, p policy.Person, now time.Time) error
	GiveRole(ctx context.Context, who policy.Principal, name string, role policy.HouseRole, now time.Time) error
	TakeRole(ctx context.Context, who policy.Principal, name string, role policy.HouseRole, now time.Time) error
	GiveClearance(ctx context.Context, who policy.Principal, name, clearance string, now time.Time) error
	TakeClearance(ctx context.Context, who policy.Principal, name, clearance string, now time.Time) error
	DeclareConflict(ctx context.Context, who policy.Principal, name string, c policy.Conflict, now time.Time) error
	LiftConflict(ctx context.Context, who policy.Principal, name string, c policy.Conflict, now time.Time) error
	EndPerson(ctx context.Context, who policy.Principal, name string, now time.Time) error
	IssueToken(ctx context.Context, who policy.Principal, name, label string, expires, now time.Time) (string, policy.Token, error)
	Tokens(ctx context.Context, who policy.Principal, name string) ([]policy.Token, error)
	RevokeToken(ctx context.Context, who policy.Principal, id string, now time.Time) error
	Ways(ctx context.Context, who policy.Principal, name string) ([]policy.Way, error)
	RemoveWay(ctx context.Context, who policy.Principal, id string, last bool, now time.Time) error
	Ask(ctx context.Context, who policy.Principal, id proofhouse.CaseID, what policy.Action, on, reason string, now time.Time) (policy.Asked, error)
	Approve(ctx context.Context, who policy.Principal, request string, now time.Time) (policy.Asked, error)
	Requests(ctx context.Context, who policy.Principal, id proofhouse.CaseID, now time.Time) ([]policy.Asked, error)
	BreakGlass(ctx context.Context, who policy.Principal, id proofhouse.CaseID, reason string, now time.Time) (policy.Asked, error)
	// MayAsk is what who may ask two others to approve in a case.
	MayAsk(ctx context.Context, who policy.Principal, id proofhouse.CaseID, now time.Time) ([]policy.Action, error)
	// Told is what who is told of with cases.
	Told(ctx context.Context, who policy.Principal, of []policy.Case, now time.Time) (map[proofhouse.CaseID]Told, error)
	Register(ctx context.Context, who policy.Principal, after int64, limit int) ([]json.RawMessage, error)
}

// Told is what members of a case are told of with it.
type Told struct {
	// Broken is whenever its glass was broken, oldest first; nothing for who may not know.
	Broken []policy.Asked
	// Waiting is how many requests wait for an approval that the member may give.
	Waiting int
}

// Named is an input that names a person.
type Named struct {
	Credential
	Person string `path:"person" maxLength:"201" doc:"PERSON@ORGANISATION"`
}

// namedBody is one that says something besides.
type namedBody[B any] struct {
	Named
	Body B
}

// nothing says nothing.
type nothing struct{}

// people adds the endpoints of organisations, people, tokens and requests.
func (s server) people() {
	s.directory()
	onPerson(s, "give-role", "Give a person a role of the house", "For administrators.", func(ctx context.Context, who policy.Principal, name string, b wire.GivenRole, now time.Time) error {
		return s.People.GiveRole(ctx, who, name, b.Role, now)
	})
	onPerson(s, "take-role", "Take a role of the house away", "For administrators.", func(ctx context.Context, who policy.Principal, name string, b wire.GivenRole, now time.Time) error {
		return s.People.TakeRole(ctx, who, name, b.Role, now)
	})
	onPerson(s, "give-clearance", "Clear a person for a compartment or a marking", "For security officers of the house.", func(ctx context.Context, who policy.Principal, name string, b wire.Clearance, now time.Time) error {
		return s.People.GiveClearance(ctx, who, name, b.Clearance, now)
	})
	onPerson(s, "take-clearance", "Take a clearance away", "For security officers of the house.", func(ctx context.Context, who policy.Principal, name string, b wire.Clearance, now time.Time) error {
		return s.People.TakeClearance(ctx, who, name, b.Clearance, now)
	})
	onPerson(s, "declare-conflict", "Declare a conflict of interest", "For the person, administrators and security officers.", func(ctx context.Context, who policy.Principal, name string, b policy.Conflict, now time.Time) error {
		return s.People.DeclareConflict(ctx, who, name, b, now)
	})
	onPerson(s, "lift-conflict", "Lift a conflict of interest", "For administrators, and not their own.", func(ctx context.Context, who policy.Principal, name string, b policy.Conflict, now time.Time) error {
		return s.People.LiftConflict(ctx, who, name, b, now)
	})
	onPerson(s, "end", "End an account and its tokens", "For administrators.", func(ctx context.Context, who policy.Principal, name string, _ nothing, now time.Time) error {
		return s.People.EndPerson(ctx, who, name, now)
	})
	s.tokens()
	s.ways()
	s.requests()
}

// onPerson adds an endpoint that changes one person and answers nothing.
func onPerson[B any](s server, name, summary, description string, do func(ctx context.Context, who policy.Principal, name string, b B, now time.Time) error) {
	add(s, operation{
		method: "POST", path: "/v1/people/{person}/" + name, id: "people-" + name, summary: summary, description: description, status: http.StatusNoContent,
	}, func(ctx context.Context, who policy.Person, in namedBody[B]) (*nothing, error) {
		err := do(ctx, policy.Principal{Person: who}, in.Person, in.Body, s.Now())
		s.wakeIf(err)
		return &nothing{}, err
	})
}

// wakeIf tells the sequencer of what was recorded.
func (s server) wakeIf(err error) {
	if err == nil {
		s.Wake()
	}
}

// directory adds the endpoints of the lists, and those that add to them.
func (s server) directory() {
	add(s, operation{method: "GET", path: "/v1/me", id: "people-me", summary: "Whose token it is"},
		func(_ context.Context, who policy.Person, _ struct{ Credential }) (*struct{ Body policy.Person }, error) {
			return &struct{ Body policy.Person }{who}, nil
		})
	add(s, operation{method: "GET", path: "/v1/organisations", id: "organisations-list", summary: "The organisations that you may know of"},
		func(ctx context.Context, who policy.Person, _ struct{ Credential }) (*struct{ Body wire.Organisations }, error) {
			all, err := s.People.Organisations(ctx, policy.Principal{Person: who})
			return &struct{ Body wire.Organisations }{wire.Organisations{Organisations: all}}, err
		})
	type organisationIn struct {
		Credential
		Body wire.NewOrganisation
	}
	add(s, operation{method: "POST", path: "/v1/organisations", id: "organisations-create", summary: "Add an organisation", description: "For administrators.", status: http.StatusCreated},
		func(ctx context.Context, who policy.Person, in organisationIn) (*struct{ Body policy.Organisation }, error) {
			o := policy.Organisation{ID: in.Body.ID, Title: in.Body.Title}
			err := s.People.CreateOrganisation(ctx, policy.Principal{Person: who}, o, s.Now())
			s.wakeIf(err)
			return &struct{ Body policy.Organisation }{o}, err
		})
	type peopleIn struct {
		Credential
		Organisation proofhouse.OrganisationID `query:"organisation" maxLength:"100" doc:"yours, if you name none"`
	}
	add(s, operation{method: "GET", path: "/v1/people", id: "people-list", summary: "An organisation's people"},
		func(ctx context.Context, who policy.Person, in peopleIn) (*struct{ Body wire.People }, error) {
			all, err := s.People.Of(ctx, policy.Principal{Person: who}, cmp.Or(in.Organisation, who.Organisation))
			return &struct{ Body wire.People }{wire.People{People: all}}, err
		})
	type personIn struct {
		Credential
		Body wire.NewPerson
	}
	add(s, operation{method: "POST", path: "/v1/people", id: "people-create", summary: "Add a person", description: "For administrators.", status: http.StatusCreated},
		func(ctx context.Context, who policy.Person, in personIn) (*struct{ Body policy.Person }, error) {
			p := policy.Person{Organisation: in.Body.Organisation, ID: in.Body.ID, Title: in.Body.Title}
			err := s.People.CreatePerson(ctx, policy.Principal{Person: who}, p, s.Now())
			s.wakeIf(err)
			return &struct{ Body policy.Person }{p}, err
		})
	type registerIn struct {
		Credential
		After int64 `query:"after" minimum:"0" doc:"the seq of the last entry that you have"`
		Limit int   `query:"limit" minimum:"1" maximum:"1000" default:"200"`
	}
	add(s, operation{method: "GET", path: "/v1/register", id: "people-register", summary: "What happened to people", description: "For administrators and auditors of the house."},
		func(ctx context.Context, who policy.Person, in registerIn) (*struct{ Body wire.HouseEntries }, error) {
			all, err := s.People.Register(ctx, policy.Principal{Person: who}, in.After, in.Limit)
			return &struct{ Body wire.HouseEntries }{wire.HouseEntries{Entries: all}}, err
		})
}

// tokens adds the endpoints of tokens.
func (s server) tokens() {
	add(s, operation{
		method: "POST", path: "/v1/people/{person}/tokens", id: "tokens-issue", summary: "Make a token, which is shown this once", status: http.StatusCreated,
		description: "For oneself, and for administrators a newcomer's first.",
	}, func(ctx context.Context, who policy.Person, in namedBody[wire.NewToken]) (*struct{ Body wire.IssuedToken }, error) {
		now := s.Now()
		secret, t, err := s.People.IssueToken(ctx, policy.Principal{Person: who}, in.Person, in.Body.Label, now.Add(time.Duration(in.Body.Days)*24*time.Hour), now)
		s.wakeIf(err)
		return &struct{ Body wire.IssuedToken }{wire.IssuedToken{Secret: secret, Token: t}}, err
	})
	add(s, operation{method: "GET", path: "/v1/people/{person}/tokens", id: "tokens-list", summary: "The tokens that a person has had"},
		func(ctx context.Context, who policy.Person, in Named) (*struct{ Body wire.Tokens }, error) {
			all, err := s.People.Tokens(ctx, policy.Principal{Person: who}, in.Person)
			return &struct{ Body wire.Tokens }{wire.Tokens{Tokens: all}}, err
		})
	type tokenIn struct {
		Credential
		Token string `path:"token" maxLength:"100"`
		Body  nothing
	}
	add(s, operation{
		method: "POST", path: "/v1/tokens/{token}/revoke", id: "tokens-revoke", summary: "End a token at once", status: http.StatusNoContent,
		description: "For its owner, administrators and security officers of the house.",
	}, func(ctx context.Context, who policy.Person, in tokenIn) (*nothing, error) {
		err := s.People.RevokeToken(ctx, policy.Principal{Person: who}, in.Token, s.Now())
		s.wakeIf(err)
		return &nothing{}, err
	})
}

// requests adds the endpoints of requests for two persons' approval.
func (s server) requests() {
	type requestOut struct{ Body wire.Request }
	type askIn struct {
		CaseIn
		Body wire.AskTwo
	}
	add(s, operation{method: "POST", path: "/v1/cases/{case}/requests", id: "requests-ask", summary: "Ask two others to approve an export, an unsealing or a destruction", status: http.StatusCreated},
		func(ctx context.Context, who policy.Person, in askIn) (*requestOut, error) {
			a, err := s.People.Ask(ctx, policy.Principal{Person: who}, in.Case, in.Body.What, in.Body.On, in.Body.Reason, s.Now())
			s.wakeIf(err)
			return &requestOut{wire.RequestOf(a)}, err
		})
	add(s, operation{method: "GET", path: "/v1/cases/{case}/requests", id: "requests-list", summary: "The requests about a case, and whenever its glass was broken"},
		func(ctx context.Context, who policy.Person, in CaseIn) (*struct{ Body wire.Requests }, error) {
			asks, now := policy.Principal{Person: who}, s.Now()
			all, err := s.People.Requests(ctx, asks, in.Case, now)
			if err != nil {
				return nil, err
			}
			out := wire.Requests{Requests: make([]wire.Request, len(all))}
			for i, a := range all {
				_, late := a.Approve(who.Name(), now)
				_, unfit := a.Fetch(a.For, now)
				out.Requests[i] = wire.RequestOf(a)
				out.Requests[i].Approvable = late == nil && s.Guard.Check(asks, policy.Approve, a) == nil
				out.Requests[i].Usable = unfit == nil && a.Asker == who.Name() && a.What != policy.BreakGlass
			}
			out.MayAsk, err = s.People.MayAsk(ctx, asks, in.Case, now)
			return &struct{ Body wire.Requests }{out}, err
		})
	type approveIn struct {
		Credential
		Request string `path:"request" maxLength:"100"`
		Body    nothing
	}
	add(s, operation{method: "POST", path: "/v1/requests/{request}/approve", id: "requests-approve", summary: "Approve a request"},
		func(ctx context.Context, who policy.Person, in approveIn) (*requestOut, error) {
			a, err := s.People.Approve(ctx, policy.Principal{Person: who}, in.Request, s.Now())
			s.wakeIf(err)
			return &requestOut{wire.RequestOf(a)}, err
		})
	type glassIn struct {
		CaseIn
		Body wire.Reason
	}
	add(s, operation{
		method: "POST", path: "/v1/cases/{case}/glass", id: "requests-glass", summary: "Break the glass: read a case once in an emergency", status: http.StatusCreated,
		description: "For security officers of the body. All members are told.",
	}, func(ctx context.Context, who policy.Person, in glassIn) (*requestOut, error) {
		a, err := s.People.BreakGlass(ctx, policy.Principal{Person: who}, in.Case, in.Body.Reason, s.Now())
		s.wakeIf(err)
		return &requestOut{wire.RequestOf(a)}, err
	})
}
