package api

import (
	"context"
	"slices"
	"time"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/docket"
	"proofhouse/internal/policy"
	"proofhouse/internal/proofhouse"
)

// Gate is the gate that lends models from the house's data folder.
type Gate interface {
	// Uses is what is used of all grants of a case.
	Uses(ctx context.Context, id proofhouse.CaseID) (wire.Uses, error)
	// Ended tells the gate which grants of a case open nothing any more, before the database does.
	Ended(ctx context.Context, c docket.Case)
	// Status is all that the gate knows of itself, with the cases that it is about.
	Status(ctx context.Context) (wire.Gate, error)
	// Suspend takes a kind of request away, and Resume ends that. Both are recorded.
	Suspend(ctx context.Context, who policy.Person, s wire.NewSuspension, now time.Time) (wire.Suspension, error)
	Resume(ctx context.Context, who policy.Person, id, reason string, now time.Time) error
}

// uses adds the endpoint of what is used of the grants of a case.
func (s server) uses() {
	add(s, operation{
		method: "GET", path: "/v1/cases/{case}/use", id: "grants-use", summary: "What is used of the grants that you see",
		description: "As the gate counts it that is served from the house's data folder. Whoever sees a grant in the case sees its use: a partner its own organisation's.",
	}, func(ctx context.Context, who policy.Person, in CaseIn) (*struct{ Body wire.Uses }, error) {
		c, err := s.find(ctx, who, in.Case, policy.View)
		if err != nil {
			return nil, err
		}
		all, err := s.Gate.Uses(ctx, c.ID)
		if err != nil {
			return nil, err
		}
		seen := c.SeenBy(s.reading(c, who)).Grants
		all.Uses = slices.DeleteFunc(all.Uses, func(u wire.GrantUse) bool {
			return !slices.ContainsFunc(seen, func(g docket.Grant) bool { return g.ID == u.Grant })
		})
		return &struct{ Body wire.Uses }{all}, nil
	})
}
