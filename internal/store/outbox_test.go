package store_test

import (
	"testing"
	"time"

	"proofhouse/internal/ledger"
	"proofhouse/internal/ledger/ledgertest"
	"proofhouse/internal/store"
	"proofhouse/internal/store/storetest"
)

// TestOutbox holds the outbox of the database to what the ledger asks of one.
func TestOutbox(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, _ string) {
		box, at := newDocket(t, db), start
		ledgertest.TestOutbox(t, box, func(t *testing.T, e ledger.Entry) {
			at = at.Add(time.Microsecond)
			if err := box.Accept(t.Context(), e, at); err != nil {
				t.Fatal(err)
			}
		})
	})
}
