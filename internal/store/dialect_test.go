package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"proofhouse/internal/proofhouse"
)

// each opens a fresh database of both kinds; storetest cannot be imported from here.
func each(t *testing.T, test func(t *testing.T, db *DB)) {
	t.Run("sqlite", func(t *testing.T) {
		db, err := Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "house.db"))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		test(t, db)
	})
	t.Run("postgres", func(t *testing.T) {
		server := os.Getenv("TEST_POSTGRES")
		if server == "" {
			t.Skip("TEST_POSTGRES is not set")
		}
		admin, err := sql.Open("pgx", server)
		if err != nil {
			t.Fatal(err)
		}
		defer admin.Close()
		schema := "test_" + proofhouse.Token(10)
		if _, err := admin.Exec("CREATE SCHEMA " + schema); err != nil {
			t.Fatal(err)
		}
		defer admin.Exec("DROP SCHEMA " + schema + " CASCADE")
		mark := "?"
		if strings.Contains(server, "?") {
			mark = "&"
		}
		db, err := Open(t.Context(), server+mark+"search_path="+schema)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		test(t, db)
	})
}

// TestLostUpdates is the race that SQLite alone hides: eight goroutines read a
// row, add one and write it back, 25 times each, with and without a version.
func TestLostUpdates(t *testing.T) {
	each(t, func(t *testing.T, db *DB) {
		if _, err := db.sql.Exec("CREATE TABLE tally (id BIGINT NOT NULL PRIMARY KEY, n BIGINT NOT NULL, version BIGINT NOT NULL)"); err != nil {
			t.Fatal(err)
		}
		for id, versioned := range []bool{false, true} {
			if _, err := db.sql.Exec("INSERT INTO tally (id, n, version) VALUES ($1, 0, 0)", id); err != nil {
				t.Fatal(err)
			}
			var all sync.WaitGroup
			for range 8 {
				all.Go(func() {
					for range 25 {
						if err := db.Update(t.Context(), func(tx Tx) error {
							var n, version int64
							if err := tx.tx.QueryRowContext(t.Context(), "SELECT n, version FROM tally WHERE id = $1", id).Scan(&n, &version); err != nil {
								return fmt.Errorf("reading: %w", err)
							}
							where := ""
							if versioned {
								where = " AND version = " + fmt.Sprint(version)
							}
							res, err := tx.tx.ExecContext(t.Context(), "UPDATE tally SET n = $1, version = version + 1 WHERE id = $2"+where, n+1, id)
							if err != nil {
								return fmt.Errorf("writing: %w", err)
							}
							return changed(res)
						}); err != nil {
							t.Error(err)
						}
					}
				})
			}
			all.Wait()
			var n int64
			if err := db.sql.QueryRow("SELECT n FROM tally WHERE id = $1", id).Scan(&n); err != nil || n != 200 {
				t.Errorf("with a version: %v: 200 said ok, %d counted, %v", versioned, n, err)
			}
		}
	})
}

// TestStale runs a change again whose row was changed after it was read.
func TestStale(t *testing.T) {
	each(t, func(t *testing.T, db *DB) {
		runs := 0
		err := db.Update(t.Context(), func(tx Tx) error {
			runs++
			res, err := tx.tx.Exec("UPDATE counter SET value = value WHERE name = 'revocation' AND value = $1", runs-3)
			if err != nil {
				return err
			}
			return changed(res)
		})
		if err != nil || runs != 3 {
			t.Errorf("%d runs, %v", runs, err)
		}
	})
}

// TestForGood tries to take a revocation back, past all queries of ours.
func TestForGood(t *testing.T) {
	each(t, func(t *testing.T, db *DB) {
		if _, err := db.sql.Exec("INSERT INTO revocation (number, scope, name, reason, actor, made_at) VALUES (1, 'grant', 'canary', '', '', 0)"); err != nil {
			t.Fatal(err)
		}
		tries := []string{
			"DELETE FROM revocation", "DELETE FROM revocation WHERE number = 1", "UPDATE revocation SET name = 'other'",
			"INSERT INTO revocation (number, scope, name, reason, actor, made_at) VALUES (1, 'grant', 'other', '', '', 0) ON CONFLICT (number) DO UPDATE SET name = excluded.name",
		}
		if db.dialect.remote {
			tries = append(tries, "TRUNCATE revocation")
		}
		for _, try := range tries {
			_, err := db.sql.Exec(try)
			if err = db.dialect.explain(err); proofhouse.KindOf(err) != proofhouse.Refused {
				t.Errorf("%s: %v", try, err)
			}
		}
		var name string
		if err := db.sql.QueryRow("SELECT name FROM revocation").Scan(&name); err != nil || name != "canary" {
			t.Errorf("%q, %v", name, err)
		}
		_, err := db.sql.Exec("INSERT INTO revocation (number, scope, name, reason, actor, made_at) VALUES (1, 'grant', 'canary', '', '', 0)")
		if err = db.dialect.explain(err); proofhouse.KindOf(err) != proofhouse.Conflict || strings.Contains(err.Error(), "canary") {
			t.Errorf("the same number twice: %v", err)
		}
	})
}

// TestParity holds the two schemas to each other after all migrations.
func TestParity(t *testing.T) {
	schemas := map[string][]string{}
	each(t, func(t *testing.T, db *DB) {
		q := `SELECT m.name, c.name, c.type, c."notnull" <> 0 FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%'`
		if db.dialect.remote {
			q = `SELECT table_name, column_name, data_type, is_nullable = 'NO' FROM information_schema.columns WHERE table_schema = current_schema()`
		}
		rows, err := db.sql.Query("SELECT * FROM (" + q + ") x WHERE x.name NOT LIKE 'goose%' ORDER BY 1, 2")
		if db.dialect.remote {
			rows, err = db.sql.Query("SELECT * FROM (" + q + ") x WHERE x.table_name NOT LIKE 'goose%' ORDER BY 1, 2")
		}
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			var table, column, kind string
			var required bool
			if err := rows.Scan(&table, &column, &kind, &required); err != nil {
				t.Fatal(err)
			}
			same := map[string]string{"bigint": "INTEGER", "text": "TEXT", "bytea": "BLOB"}
			if db.dialect.remote {
				kind = same[kind]
			}
			schemas[db.dialect.name] = append(schemas[db.dialect.name], fmt.Sprintf("%s.%s %s required=%v", table, column, kind, required))
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
	})
	if len(schemas["sqlite"]) == 0 {
		t.Error("there are no tables")
	}
	if os.Getenv("TEST_POSTGRES") != "" {
		if diff := cmp.Diff(schemas["sqlite"], schemas["postgres"]); diff != "" {
			t.Errorf("SQLite has -, PostgreSQL has +:\n%s", diff)
		}
	}
}

// TestLockedAndFull says in a sentence what the operator can do.
func TestLockedAndFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "house.db")
	holder, err := Open(t.Context(), "sqlite:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close()
	db, err := dial("sqlite:"+path, false, time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	add := func(tx Tx) error {
		_, err := tx.tx.Exec("INSERT INTO revocation (number, scope, name, reason, actor, made_at) SELECT count(*) + 1, 'grant', 'g', $1, '', 0 FROM revocation", strings.Repeat("canary", 1000))
		return err
	}
	tx, err := holder.sql.Begin()
	if err != nil {
		t.Fatal(err)
	}
	want(t, db.Update(t.Context(), add), proofhouse.Unavailable, "another program holds")
	tx.Rollback()
	db.sql.SetMaxOpenConns(1) // the bound is the connection's
	if _, err := db.sql.Exec("PRAGMA max_page_count = 40"); err != nil {
		t.Fatal(err)
	}
	for err = nil; err == nil; {
		err = db.Update(t.Context(), add)
	}
	want(t, err, proofhouse.Unavailable, "no space left")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := db.Update(ctx, add); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled update: %v", err)
	}
}

func want(t *testing.T, err error, kind proofhouse.Kind, says string) {
	t.Helper()
	if proofhouse.KindOf(err) != kind || !strings.Contains(proofhouse.PublicOf(err), says) || strings.Contains(err.Error(), "canary") {
		t.Errorf("%s: %v", proofhouse.KindOf(err), err)
	}
}
