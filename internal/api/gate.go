package api

import (
	"context"
	"net/http"
	"slices"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/docket"
	"proofhouse/internal/policy"
	"proofhouse/internal/proofhouse"
)

// gate adds the endpoints of the gate as a whole.
func (s server) gate() {
	add(s, operation{
		method: "GET", path: "/v1/gate", id: "gate-show", summary: "How the gate does, and what its rules decided",
		description: "Of the gate that is served from the house's data folder, since it was opened. For administrators, security officers and auditors of the house. What it is about a case is told to who may see the case.",
	}, func(ctx context.Context, who policy.Person, _ struct{ Credential }) (*struct{ Body wire.Gate }, error) {
		all, err := s.gateFor(ctx, who)
		return &struct{ Body wire.Gate }{all}, err
	})
	type suspendIn struct {
		Credential
		Body wire.NewSuspension
	}
	add(s, operation{
		method: "POST", path: "/v1/gate/suspensions", id: "gate-suspend", summary: "Take a kind of request away for a time, at once", status: http.StatusCreated,
		description: "For security officers of the house. Calls under way that match are cut. It is recorded, and can be ended; to end access for good is an act in a case.",
	}, func(ctx context.Context, who policy.Person, in suspendIn) (*struct{ Body wire.Suspension }, error) {
		if err := s.Guard.Check(policy.Principal{Person: who}, policy.SteerGate, policy.House{}); err != nil {
			return nil, err
		}
		if in.Body.Case == "" && in.Body.Grant != "" {
			return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "a grant is one of a case: name that, too")
		}
		if in.Body.Case != "" {
			c, err := s.find(ctx, who, in.Body.Case, policy.View)
			if err != nil {
				return nil, err
			}
			if seen := c.SeenBy(s.reading(c, who)).Grants; in.Body.Grant != "" && !slices.ContainsFunc(seen, func(g docket.Grant) bool { return g.ID == in.Body.Grant }) {
				return nil, proofhouse.Errorf(proofhouse.NotFound, nil, "there is no such grant in the case")
			}
		}
		done, err := s.Gate.Suspend(ctx, who, in.Body, s.Now())
		s.Wake()
		return &struct{ Body wire.Suspension }{done}, err
	})
	type resumeIn struct {
		Credential
		Suspension string `path:"suspension" maxLength:"100"`
		Body       wire.Resumption
	}
	add(s, operation{
		method: "POST", path: "/v1/gate/suspensions/{suspension}/resume", id: "gate-resume", summary: "End a suspension",
		description: "For security officers of the house. It is recorded.",
	}, func(ctx context.Context, who policy.Person, in resumeIn) (*struct{ Body wire.Gate }, error) {
		if err := s.Guard.Check(policy.Principal{Person: who}, policy.SteerGate, policy.House{}); err != nil {
			return nil, err
		}
		if err := s.Gate.Resume(ctx, who, in.Suspension, in.Body.Reason, s.Now()); err != nil {
			return nil, err
		}
		s.Wake()
		all, err := s.gateFor(ctx, who)
		return &struct{ Body wire.Gate }{all}, err
	})
}

// gateFor is the gate as who may read of it.
func (s server) gateFor(ctx context.Context, who policy.Person) (wire.Gate, error) {
	if err := s.Guard.Check(policy.Principal{Person: who}, policy.ReadGate, policy.House{}); err != nil {
		return wire.Gate{}, err
	}
	all, err := s.Gate.Status(ctx)
	if err != nil {
		return all, err
	}
	sees := s.sees(ctx, who)
	all.Grants = slices.DeleteFunc(all.Grants, func(l wire.Lent) bool {
		if sees(l.Case, l.Grant) {
			return false
		}
		all.Others += l.Keys
		return true
	})
	for i := range all.Suspensions {
		if x := &all.Suspensions[i]; x.Narrow && !sees(x.Case, x.Grant) {
			x.Case, x.Grant, x.Key, x.Reason = "", "", "", ""
		}
	}
	for i := range all.Decisions {
		if x := &all.Decisions[i]; !sees(x.Case, x.Grant) {
			x.Case, x.Grant, x.Call, x.Reason = "", "", "", ""
		}
	}
	return all, nil
}
