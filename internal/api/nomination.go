package api

import (
	"context"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/docket"
	"proofhouse/internal/policy"
	"proofhouse/internal/proofhouse"
)

// nominations adds the endpoint that nominates the partners of an allow-list. It may be sent again: who
// was nominated stays so, and is said to be.
func (s server) nominations() {
	type listIn struct {
		Credential
		Case proofhouse.CaseID `path:"case" maxLength:"100"`
		As   proofhouse.Role   `query:"as" doc:"your role, where you have several that may"`
		Body wire.AllowList
	}
	add(s, operation{
		method: "POST", path: "/v1/cases/{case}/nominations", id: "nominations-list", summary: "Nominate the partners of a list, in one event",
		description: "For: developer, coordinator. Rows that are wrong are told by their line. If there are any, nothing is done, unless good_rows is set.",
	}, func(ctx context.Context, who policy.Person, in listIn) (*struct{ Body wire.Nominations }, error) {
		c, e, err := s.event(ctx, who, in.Case, in.As, docket.NominateList{})
		if err != nil {
			return nil, err
		}
		n, err := c.Nominations(e.By, []byte(in.Body.List), s.Now())
		if err != nil {
			return nil, err
		}
		out := wire.Nominations{Already: append([]proofhouse.OrganisationID{}, n.Already...), Wrong: []wire.WrongRow{}}
		for _, row := range n.Wrong {
			out.Wrong = append(out.Wrong, wire.WrongRow{Line: row.Line, Detail: proofhouse.PublicOf(row.Err)})
		}
		if len(n.New) == 0 || len(n.Wrong) > 0 && !in.Body.GoodRows {
			return &struct{ Body wire.Nominations }{out}, nil
		}
		e.Act = docket.NominateList{Partners: n.New}
		if c, out.Seq, err = s.Registry.Do(ctx, in.Case, e, c.Version, docket.Request{}, s.Now()); err != nil {
			return nil, err // a case that has gone on meanwhile is a conflict: to be sent again
		}
		out.Nominated = len(n.New)
		s.Wake()
		return &struct{ Body wire.Nominations }{out}, nil
	})
}
