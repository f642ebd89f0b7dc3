package api

import (
	"context"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/docket"
	"proofhouse/internal/policy"
	"proofhouse/internal/proofhouse"
)

type reportOut struct{ Body wire.CaseReport }

// reports adds the endpoints of the report of a case.
func (s server) reports() {
	type reportIn struct {
		CaseIn
		Tier    docket.Tier `query:"tier" enum:"authority,developer,partner,public" doc:"for whom; else the narrowest that you may read, in this order"`
		Version int         `query:"version" minimum:"0" doc:"the last unless you say which"`
	}
	add(s, operation{
		method: "GET", path: "/v1/cases/{case}/report", id: "reports-get", summary: "The report of a case, as the readers of one tier read it",
		description: "Gives the paragraphs of that tier and tells of the others nothing, not even how many there are.",
	}, func(ctx context.Context, who policy.Person, in reportIn) (*reportOut, error) {
		c, err := s.Registry.Store.Case(ctx, in.Case)
		if err != nil {
			return nil, noReport(err)
		}
		tiers := docket.Tiers
		if in.Tier != "" {
			tiers = []docket.Tier{in.Tier}
		}
		for _, t := range tiers {
			if err = s.Guard.Check(policy.Principal{Person: who}, policy.ReadReport, policy.Report{Case: c.Facts(), Tier: string(t)}); err == nil {
				r, err := c.ReportFor(t, in.Version)
				return &reportOut{wire.CaseReport{Case: c.ID, TierReport: r}}, noReport(err)
			}
		}
		return nil, err
	})
	type publicIn struct {
		Case    proofhouse.CaseID `path:"case" maxLength:"100"`
		Version int               `query:"version" minimum:"0" doc:"the last that was published unless you say which"`
	}
	public(s, operation{
		method: "GET", path: "/v1/reports/{case}", id: "reports-public", summary: "What was published of the report of a case",
		description: "The public tier of a version that the registrar published, for everybody. Until then there is no such report.",
	}, func(ctx context.Context, in publicIn) (*reportOut, error) {
		c, err := s.Registry.Store.Case(ctx, in.Case)
		if err != nil {
			return nil, noReport(err)
		}
		r, err := c.PublishedReport(in.Version)
		return &reportOut{wire.CaseReport{Case: c.ID, TierReport: r}}, noReport(err)
	})
}

// noReport puts what is not there in the guard's words, so that nobody can tell
// a case that is not there from one that has no report for its reader.
func noReport(err error) error {
	if proofhouse.KindOf(err) == proofhouse.NotFound {
		return policy.NotFound(policy.Report{})
	}
	return err
}
