package api

import (
	"context"
	"net/http"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/policy"
)

// setup adds the endpoint by which the first administrator comes in.
func (s server) setup() {
	type claimIn struct{ Body wire.Claim }
	public(s, operation{
		method: "POST", path: "/v1/setup", id: "setup-claim", summary: "Become the first administrator", status: http.StatusCreated,
		description: "Once, with the code that the first start printed.",
	}, func(ctx context.Context, in claimIn) (*struct{ Body wire.Claimed }, error) {
		b := in.Body
		token, err := s.Claim(ctx, b.Code, policy.Organisation{ID: b.Organisation, Title: b.OrganisationTitle},
			policy.Person{Organisation: b.Organisation, ID: b.Person, Title: b.PersonTitle}, s.Now())
		return &struct{ Body wire.Claimed }{wire.Claimed{Token: token}}, err
	})
}
