// Package storetest gives tests a fresh, migrated database: SQLite always, and
// PostgreSQL where TEST_POSTGRES names a server. It leaves nothing behind.
package storetest

import (
	"database/sql"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver

	"proofhouse/internal/proofhouse"
	"proofhouse/internal/store"
)

// Open is a fresh SQLite database, closed when the test ends.
func Open(t testing.TB) *store.DB {
	t.Helper()
	return open(t, file(t))
}

// Each runs test on a fresh SQLite database and, if TEST_POSTGRES is a
// postgres:// URL of a user who may make schemas, on a fresh schema there.
// address opens the same database a second time.
func Each(t *testing.T, test func(t *testing.T, db *store.DB, address string)) {
	EachAddress(t, func(t *testing.T, address string) { test(t, open(t, address), address) })
}

// EachAddress is Each with nothing opened or made yet.
func EachAddress(t *testing.T, test func(t *testing.T, address string)) {
	t.Run("sqlite", func(t *testing.T) { test(t, file(t)) })
	t.Run("postgres", func(t *testing.T) { test(t, Postgres(t)) })
}

// Postgres is the address of a fresh schema; without TEST_POSTGRES the test is skipped.
func Postgres(t testing.TB) string {
	t.Helper()
	server := os.Getenv("TEST_POSTGRES")
	if server == "" {
		t.Skip("TEST_POSTGRES is not set: it is the postgres:// URL of a server for tests")
	}
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal("TEST_POSTGRES is not a URL")
	}
	db, err := sql.Open("pgx", server)
	if err != nil {
		t.Fatal(err)
	}
	schema := "test_" + proofhouse.Token(10)
	if _, err := db.ExecContext(t.Context(), "CREATE SCHEMA "+schema); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := db.Exec("DROP SCHEMA " + schema + " CASCADE"); err != nil {
			t.Error(err)
		}
		db.Close()
	})
	q := u.Query()
	q.Set("search_path", schema)
	u.RawQuery = q.Encode()
	return u.String()
}

func file(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "house.db") }

func open(t testing.TB, address string) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// SQL is the bare database, for tests that do what no program of ours does.
func SQL(t testing.TB, address string) *sql.DB {
	t.Helper()
	driver, source := "pgx", address
	if path, ok := strings.CutPrefix(address, "sqlite:"); ok {
		driver, source = "sqlite", path
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}
