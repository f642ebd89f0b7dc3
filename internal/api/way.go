package api

import (
	"context"
	"net/http"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/policy"
)

// ways adds the endpoints of the ways in which people sign in without a token. None are added
// here: a passkey takes a browser.
func (s server) ways() {
	add(s, operation{method: "GET", path: "/v1/people/{person}/ways", id: "ways-list", summary: "The ways in which a person signs in without a token"},
		func(ctx context.Context, who policy.Person, in Named) (*struct{ Body wire.Ways }, error) {
			all, err := s.People.Ways(ctx, policy.Principal{Person: who}, in.Person)
			return &struct{ Body wire.Ways }{wire.Ways{Ways: all}}, err
		})
	type wayIn struct {
		Credential
		Way  string `path:"way" maxLength:"100"`
		Body wire.RemoveWay
	}
	add(s, operation{
		method: "POST", path: "/v1/ways/{way}/remove", id: "ways-remove", summary: "Take a way in away at once, with the sessions that it opened", status: http.StatusNoContent,
		description: "For its owner, administrators and security officers of the house.",
	}, func(ctx context.Context, who policy.Person, in wayIn) (*nothing, error) {
		err := s.People.RemoveWay(ctx, policy.Principal{Person: who}, in.Way, in.Body.Last, s.Now())
		s.wakeIf(err)
		return &nothing{}, err
	})
}
