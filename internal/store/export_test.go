package store

import (
	"context"
	"time"

	"proofhouse/internal/ledger"
)

// Accept is append in a transaction of its own.
func (s Outbox) Accept(ctx context.Context, e ledger.Entry, at time.Time) error {
	return s.Update(ctx, func(tx Tx) error { return s.append(ctx, tx, e, at) })
}
