package api

import (
	"context"
	"slices"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/docket"
	"proofhouse/internal/policy"
	"proofhouse/internal/proofhouse"
)

// State says how the house itself does.
type State interface {
	// House is all of it, with the cases that it is about.
	House(ctx context.Context) (wire.House, error)
}

// state adds the endpoint of the house itself.
func (s server) state() {
	add(s, operation{
		method: "GET", path: "/v1/house", id: "house-show", summary: "How the house does: its log, backups and prices",
		description: "For administrators, security officers and auditors of the house. Prices of a grant are told to who sees the grant in its case.",
	}, func(ctx context.Context, who policy.Person, _ struct{ Credential }) (*struct{ Body wire.House }, error) {
		if err := s.Guard.Check(policy.Principal{Person: who}, policy.ReadState, policy.House{}); err != nil {
			return nil, err
		}
		h, err := s.State.House(ctx)
		if err != nil {
			return nil, err
		}
		sees := s.sees(ctx, who)
		h.Version = s.Version
		h.Prices.Rates = slices.DeleteFunc(h.Prices.Rates, func(r wire.GrantRates) bool { return !sees(r.Case, r.Grant) })
		return &struct{ Body wire.House }{h}, nil
	})
}

// sees says of grants whether who sees them in their cases, and with "" for the grant whether who may see the case.
func (s server) sees(ctx context.Context, who policy.Person) func(proofhouse.CaseID, docket.GrantID) bool {
	asked := map[proofhouse.CaseID]map[docket.GrantID]bool{} // nil of a case that who does not see
	return func(id proofhouse.CaseID, grant docket.GrantID) bool {
		if id == "" {
			return false
		}
		grants, ok := asked[id]
		if !ok {
			// As a member: that a glass was broken is for one look at the case.
			if c, err := s.Registry.Store.Case(ctx, id); err == nil && s.Guard.Check(policy.Principal{Person: who}, policy.View, c.Facts()) == nil {
				grants = map[docket.GrantID]bool{"": true}
				for _, g := range c.SeenBy(s.reading(c, who)).Grants {
					grants[g.ID] = true
				}
			}
			asked[id] = grants
		}
		return grants[grant]
	}
}
