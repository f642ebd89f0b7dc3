package api

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/docket"
	"proofhouse/internal/policy"
	"proofhouse/internal/proofhouse"
)

// Repeat is what a request that changes something may bear, so that it can be
// sent again without being done twice.
type Repeat struct {
	Key string `header:"Idempotency-Key" maxLength:"200" doc:"of your choice; the same request under it within two days is not done again"`
}

// request is the request of who, which says what v holds.
func (r Repeat) request(who policy.Person, v ...any) docket.Request {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // all of it was read from JSON
	}
	return docket.Request{By: docket.Person{Organisation: who.Organisation, Person: who.ID}, Key: r.Key, Digest: proofhouse.DigestOf(b)}
}

type caseOut struct {
	ETag string `header:"ETag"`
	Body wire.Case
}

// cases adds the endpoints of cases as a whole.
func (s server) cases() {
	public(s, operation{method: "GET", path: "/v1/health", id: "health-get", summary: "Whether the house is there"},
		func(context.Context, struct{}) (*struct{ Body wire.Health }, error) {
			return &struct{ Body wire.Health }{wire.Health{Version: s.Version}}, nil
		})
	public(s, operation{method: "GET", path: "/v1/profiles", id: "profiles-list", summary: "The profiles under which a case can be opened"},
		func(context.Context, struct{}) (*struct{ Body wire.Profiles }, error) {
			out := wire.Profiles{Profiles: []wire.Profile{}}
			for _, name := range docket.Profiles() {
				p, err := docket.ShippedProfile(name)
				if err != nil {
					return nil, err
				}
				out.Profiles = append(out.Profiles, wire.ProfileOf(p))
			}
			return &struct{ Body wire.Profiles }{out}, nil
		})
	type openIn struct {
		Credential
		Repeat
		Body wire.Open
	}
	add(s, operation{method: "POST", path: "/v1/cases", id: "cases-open", summary: "Open a case as the model's developer", status: http.StatusCreated},
		func(ctx context.Context, who policy.Person, in openIn) (*caseOut, error) {
			if err := s.Guard.Check(policy.Principal{Person: who}, policy.OpenCase, policy.House{}); err != nil {
				return nil, err
			}
			rules, err := docket.ShippedProfile(in.Body.Profile)
			if err != nil {
				return nil, err
			}
			now := s.Now()
			by := proofhouse.Actor{Organisation: who.Organisation, Person: who.ID, Role: proofhouse.Developer}
			c, err := s.Registry.Open(ctx, by, rules, in.Body.OpenCase, in.request(who, "open", in.Body), proofhouse.NewCaseID, now)
			if err != nil {
				return nil, err
			}
			// A request that is repeated gives the case that it opened, which who may have left since.
			if err := s.Guard.Check(policy.Principal{Person: who}, policy.View, c.Facts()); err != nil {
				return nil, err
			}
			s.Wake()
			return s.show(c, who, now), nil
		})
	type listIn struct {
		Credential
		After string `query:"after" maxLength:"200" doc:"where the page before ended (next)"`
		Limit int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
		State string `query:"state" enum:"open,ended,all" default:"all" doc:"open: neither determined nor withdrawn"`
		Find  string `query:"find" maxLength:"100" doc:"part of a codename or of an organisation's id"`
	}
	add(s, operation{method: "GET", path: "/v1/cases", id: "cases-list", summary: "The cases that you may know of, the most urgent first"},
		func(ctx context.Context, who policy.Person, in listIn) (*struct{ Body wire.List }, error) {
			all, err := s.known(ctx, who)
			if err != nil {
				return nil, err
			}
			list, err := page(all, in.State, in.Find, in.After, in.Limit)
			return &struct{ Body wire.List }{list}, err
		})
	add(s, operation{method: "GET", path: "/v1/cases/{case}", id: "cases-show", summary: "A case, as far as you may see it"},
		func(ctx context.Context, who policy.Person, in CaseIn) (*caseOut, error) {
			c, err := s.find(ctx, who, in.Case, policy.View)
			if err != nil {
				return nil, err
			}
			return s.show(c, who, s.Now()), nil
		})
}

// CaseIn names a case.
type CaseIn struct {
	Credential
	Case proofhouse.CaseID `path:"case" maxLength:"100"`
}

// find is a case to which who may do what.
func (s server) find(ctx context.Context, who policy.Person, id proofhouse.CaseID, what policy.Action) (docket.Case, error) {
	c, err := s.Registry.Store.Case(ctx, id)
	if err != nil {
		if proofhouse.KindOf(err) == proofhouse.NotFound {
			// In the guard's words, so that nobody can tell the two apart.
			err = policy.NotFound(policy.Case{})
		}
		return c, err
	}
	err = s.Guard.Check(policy.Principal{Person: who}, what, c.Facts())
	if err != nil && slices.Contains(who.House, policy.HouseSecurityOfficer) {
		// Who broke the glass is no member, or may less as one.
		err = s.People.Check(ctx, policy.Principal{Person: who}, what, id, func(facts policy.Case) policy.Resource { return facts }, s.Now())
	}
	return c, err
}

// show is c as who may see it.
func (s server) show(c docket.Case, who policy.Person, now time.Time) *caseOut {
	reader := reading(c, who)
	seen := c.SeenBy(reader)
	state := seen.At(now)
	out := wire.Case{Case: seen, Profile: wire.ProfileOf(c.Rules), State: state, Clocks: seen.Clocks(), Roles: reader.Roles}
	for _, r := range seen.Registrations {
		if r.Criteria.Threshold > 0 { // the reader may see it
			outcome, runs := c.Propose(r.Version)
			out.Proposals = append(out.Proposals, wire.Proposal{Registration: r.Version, Outcome: outcome, Runs: runs})
		}
	}
	return &caseOut{ETag: etag(c.Version), Body: out}
}

// reading is who as a reader of a case that it was found to see. A security
// officer of the house who is no member sees it through a broken glass, as that.
func reading(c docket.Case, who policy.Person) docket.Reader {
	r := c.Reader(docket.Person{Organisation: who.Organisation, Person: who.ID})
	if len(r.Roles) == 0 && !c.Accepted.IsZero() && slices.Contains(who.House, policy.HouseSecurityOfficer) {
		r.Roles = []proofhouse.Role{proofhouse.SecurityOfficer}
	}
	return r
}

func etag(version int) string { return `"` + strconv.Itoa(version) + `"` }

// known are the cases that who may know of: those of which it is a member, and
// for a registrar of a body those that it has not taken up.
func (s server) known(ctx context.Context, who policy.Person) ([]docket.Summary, error) {
	one := &docket.Person{Organisation: who.Organisation, Person: who.ID}
	if slices.Contains(who.House, policy.HouseRegistrar) {
		one = nil
	}
	all, err := s.Registry.Store.Summaries(ctx, one)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(c docket.Summary) bool {
		return s.Guard.Check(policy.Principal{Person: who}, policy.View, c.Facts()) != nil
	}), nil
}

// page is a page of the cases that fit, the most urgent first: those whose
// window ends next, then those without one, then those that are over.
func page(all []docket.Summary, state, find, after string, limit int) (wire.List, error) {
	over := func(c docket.Summary) bool {
		return !c.Withdrawn.IsZero() || c.Engagement == docket.Determined || c.Engagement == docket.Ended
	}
	all = slices.DeleteFunc(all, func(c docket.Summary) bool {
		fits := find == "" || strings.Contains(c.Codename, find) || strings.Contains(string(c.Developer), find) || strings.Contains(string(c.ID), find)
		return !fits || state == "open" && over(c) || state == "ended" && !over(c)
	})
	rank := func(c docket.Summary) int {
		switch {
		case over(c):
			return 2
		case c.Window.IsZero():
			return 1
		}
		return 0
	}
	slices.SortFunc(all, func(a, b docket.Summary) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), a.Window.Compare(b.Window), b.Opened.Compare(a.Opened), cmp.Compare(a.ID, b.ID))
	})
	list := wire.List{Cases: []docket.Summary{}, Total: len(all)}
	if after != "" {
		i := slices.IndexFunc(all, func(c docket.Summary) bool { return string(c.ID) == after })
		if i < 0 {
			return list, huma.Error422UnprocessableEntity("the list has changed since: begin again without after")
		}
		all = all[i+1:]
	}
	list.Cases = append(list.Cases, all[:min(limit, len(all))]...)
	if len(list.Cases) < len(all) {
		list.Next = string(list.Cases[len(list.Cases)-1].ID)
	}
	return list, nil
}
