package api

import (
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
			list, err := s.list(ctx, who, in.State, in.Find, in.After, in.Limit)
			return &struct{ Body wire.List }{list}, err
		})
	add(s, operation{method: "GET", path: "/v1/cases/{case}", id: "cases-show", summary: "A case, as far as you may see it"},
		func(ctx context.Context, who policy.Person, in CaseIn) (*caseOut, error) {
			c, err := s.find(ctx, who, in.Case, policy.View)
			if err != nil {
				return nil, err
			}
			shown := s.show(c, who, s.Now())
			told, err := s.People.Told(ctx, policy.Principal{Person: who}, []policy.Case{c.Facts()}, s.Now())
			for _, a := range told[c.ID].Broken {
				shown.Body.Glass = append(shown.Body.Glass, wire.GlassOf(a))
			}
			shown.Body.Waiting = told[c.ID].Waiting
			return shown, err
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
	reader := s.reading(c, who)
	seen := c.SeenBy(reader)
	state := seen.At(now)
	out := wire.Case{Case: seen, Profile: wire.ProfileOf(c.Rules), State: state, Clocks: seen.Clocks(), Roles: reader.Roles}
	if due, ok := c.Due(); ok && slices.ContainsFunc(seen.Artifacts, func(a docket.Artifact) bool { return a.Ordered.IsZero() }) {
		out.Due = due
	}
	if in, ok := c.PartnerCriteriaInForce(); ok && len(seen.PartnerCriteria) > 0 {
		out.PartnersBy = in.Version
	}
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
func (s server) reading(c docket.Case, who policy.Person) docket.Reader {
	r := c.Reader(docket.Person{Organisation: who.Organisation, Person: who.ID})
	if len(r.Roles) == 0 && !c.Accepted.IsZero() && slices.Contains(who.House, policy.HouseSecurityOfficer) {
		r.Roles = []proofhouse.Role{proofhouse.SecurityOfficer}
	}
	if len(c.Artifacts) == 0 {
		return r
	}
	// The answer is one for all of a compartment that somebody brought.
	type alike struct{ compartment, by string }
	knows, f := map[alike]bool{}, c.Facts()
	for _, a := range c.Artifacts {
		sealed := c.Sealed(f, a)
		k := alike{sealed.Compartment, sealed.By}
		if _, asked := knows[k]; !asked {
			knows[k] = s.Guard.Check(policy.Principal{Person: who}, policy.Know, sealed) == nil
		}
		if knows[k] {
			r.Artifacts = append(r.Artifacts, a.ID)
		}
	}
	return r
}

func etag(version int) string { return `"` + strconv.Itoa(version) + `"` }

// list is a page of the cases that who may know of: those of which it is a member, and for a
// registrar of a body those that it has not taken up. The database orders and cuts them; each that
// is shown has passed the guard.
func (s server) list(ctx context.Context, who policy.Person, state, find, after string, limit int) (wire.List, error) {
	list := wire.List{Cases: []wire.Listed{}}
	ask := docket.Listing{Who: docket.Person{Organisation: who.Organisation, Person: who.ID}, State: state, Find: find, Limit: limit + 1}
	if slices.Contains(who.House, policy.HouseRegistrar) {
		ask.Untaken = who.Organisation
	}
	var err error
	if ask.After, err = parsePlace(after); err != nil {
		return list, err
	}
	for {
		rows, err := s.Registry.Store.Summaries(ctx, ask)
		if err != nil {
			return list, err
		}
		for _, c := range rows {
			// Of a destroyed case nobody knows more than that: who was a member finds it.
			if !c.Destroyed && s.Guard.Check(policy.Principal{Person: who}, policy.View, c.Facts()) != nil {
				continue
			}
			if len(list.Cases) == limit {
				list.Next = placeText(list.Cases[limit-1].Place())
				return list, s.told(ctx, who, list.Cases)
			}
			list.Cases = append(list.Cases, wire.Listed{Summary: c})
		}
		if len(rows) < ask.Limit {
			return list, s.told(ctx, who, list.Cases)
		}
		ask.After = rows[len(rows)-1].Place()
	}
}

// told says of each case of a list when its glass was broken last, and how many requests wait for who asks. Of a destroyed case
// that is in the house's register alone.
func (s server) told(ctx context.Context, who policy.Person, cases []wire.Listed) error {
	var of []policy.Case
	for _, c := range cases {
		if !c.Destroyed {
			of = append(of, c.Facts())
		}
	}
	told, err := s.People.Told(ctx, policy.Principal{Person: who}, of, s.Now())
	for i, c := range cases {
		is := told[c.ID]
		if n := len(is.Broken); n > 0 {
			last := wire.GlassOf(is.Broken[n-1])
			cases[i].Glass = &last
		}
		cases[i].Waiting = is.Waiting
	}
	return err
}

// placeText is a place as a list gives it for its next page.
func placeText(p docket.Place) string { return strconv.FormatInt(p.Urgency, 36) + "." + string(p.ID) }

func parsePlace(s string) (p docket.Place, err error) {
	if s == "" {
		return p, nil
	}
	urgency, id, ok := strings.Cut(s, ".")
	if p.Urgency, err = strconv.ParseInt(urgency, 36, 64); err != nil || !ok || p.Urgency < 0 {
		return p, huma.Error422UnprocessableEntity("after is not what a page of the list gave as next")
	}
	p.ID = proofhouse.CaseID(id)
	return p, nil
}
