package wire

import (
	"context"
	"net/url"

	"proofhouse/internal/policy"
)

// Ways is the list of the ways in which a person signs in without a token.
type Ways struct {
	Ways []policy.Way `json:"ways" nullable:"false"`
}

// RemoveWay takes a way in away.
type RemoveWay struct {
	Last bool `json:"last,omitempty" doc:"even if it is the last one, and there is no token"`
}

// Ways are those in which a person signs in without a token.
func (c Client) Ways(ctx context.Context, name string) (Ways, error) {
	return get[Ways](ctx, c, "/v1/people/"+url.PathEscape(name)+"/ways", nil)
}

// RemoveWay takes a way in away at once.
func (c Client) RemoveWay(ctx context.Context, id string, last bool) error {
	_, err := send[struct{}](ctx, c, "/v1/ways/"+url.PathEscape(id)+"/remove", RemoveWay{last}, nil)
	return err
}
