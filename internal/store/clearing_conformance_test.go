package store_test

import (
	"path/filepath"
	"testing"

	"proofhouse/internal/clearing"
	"proofhouse/internal/clearing/clearingtest"
	"proofhouse/internal/store"
	"proofhouse/internal/store/storetest"
	"proofhouse/internal/vault"
)

// TestClearingConforms holds the rows and files of findings to the suite that the memory of clearing's own tests passes, too.
func TestClearingConforms(t *testing.T) {
	storetest.Each(t, func(t *testing.T, _ *store.DB, address string) {
		dir := t.TempDir()
		open := func(t *testing.T) store.Files {
			db := must[*store.DB](t)(store.OpenExisting(t.Context(), address))
			t.Cleanup(func() { db.Close() })
			keys := vault.New(filepath.Join(dir, "vault"), filepath.Join(dir, "house.key")).Records(filepath.Join(dir, "case"))
			return store.Files{Clearing: store.NewClearing(db, keys), Shelf: keys.Shelf(filepath.Join(dir, "finding"))}
		}
		clearingtest.TestStore(t, func(t *testing.T) clearing.Store { return open(t).Clearing })
		clearingtest.TestShelf(t, func(t *testing.T) clearing.Shelf { return open(t) })
	})
}
