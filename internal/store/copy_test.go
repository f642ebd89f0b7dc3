package store_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"proofhouse/internal/docket"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/store"
	"proofhouse/internal/store/storetest"
)

// TestCopyTo copies a database to one of either kind and back, with a table
// that no migration of today has and that refers to another one. Nothing is
// forgotten, nothing changed but the places that the log's copy has not.
func TestCopyTo(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, address string) {
		d := newDocket(t, db)
		r := docket.Registry{Store: d}
		for i := range 3 {
			openCase(t, r, proofhouse.CaseID(fmt.Sprintf("case-%d", i)))
		}
		do(t, r, "case-1", dev, docket.Withdraw{})
		outbox(t, d)
		raw := storetest.SQL(t, address)
		for _, q := range []string{
			"CREATE TABLE a_later (id TEXT NOT NULL PRIMARY KEY, review TEXT NOT NULL REFERENCES review (id), maybe BIGINT)",
			"INSERT INTO a_later (id, review, maybe) VALUES ('x', 'case-1', NULL), ('y', 'case-2', 7)",
		} {
			if _, err := raw.ExecContext(t.Context(), q); err != nil {
				t.Fatal(err)
			}
		}
		later := func(address string) {
			if _, err := storetest.SQL(t, address).ExecContext(t.Context(), "CREATE TABLE a_later (id TEXT NOT NULL PRIMARY KEY, review TEXT NOT NULL REFERENCES review (id), maybe BIGINT)"); err != nil {
				t.Fatal(err)
			}
		}
		want := everything(t, address)
		if len(want["entry"]) != 7 || len(want["a_later"]) != 2 || len(want["revocation"]) != 0 {
			t.Fatalf("the database to copy has %v", want)
		}
		storetest.EachAddress(t, func(t *testing.T, to string) {
			copied := must[*store.DB](t)(store.Create(t.Context(), to))
			defer copied.Close()
			later(to)
			rows, err := db.CopyTo(t.Context(), copied, 5)
			if err != nil {
				t.Fatal(err)
			}
			got, expected := everything(t, to), everything(t, address)
			n := 0
			for _, all := range expected {
				n += len(all)
			}
			if rows != int64(n) {
				t.Errorf("%d rows were copied of %d", rows, n)
			}
			waiting, err := store.NewDocket(copied, nil).Waiting(t.Context(), 100)
			if err != nil || len(waiting) != 2 {
				t.Errorf("%d entries wait for a log of 5: %v", len(waiting), err)
			}
			delete(got, "entry")
			delete(expected, "entry")
			if diff := cmp.Diff(expected, got); diff != "" {
				t.Errorf("the copy differs: %s", diff)
			}
			if _, err := store.Create(t.Context(), to); proofhouse.KindOf(err) != proofhouse.Conflict {
				t.Errorf("a database that holds something: %v", err)
			}
		})
	})
}

// everything is each table's rows as text, in order.
func everything(t *testing.T, address string) map[string][]string {
	t.Helper()
	raw := storetest.SQL(t, address)
	all := map[string][]string{}
	for _, table := range []string{"counter", "revocation", "gate_instance", "review", "review_party", "rules", "entry", "request", "organisation", "person", "token", "approval", "setup", "a_later"} {
		rows, err := raw.QueryContext(t.Context(), "SELECT * FROM "+table+" ORDER BY 1, 2")
		if err != nil {
			t.Fatal(err)
		}
		columns, err := rows.Columns()
		if err != nil {
			t.Fatal(err)
		}
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		for rows.Next() {
			if err := rows.Scan(into...); err != nil {
				t.Fatal(err)
			}
			line := ""
			for i, c := range columns {
				line += fmt.Sprintf("%s=%v ", c, values[i])
			}
			all[table] = append(all[table], line)
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		rows.Close()
	}
	return all
}

// TestSnapshot: a copy holds nobody up, and has what stood there as it began.
func TestSnapshot(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, _ string) {
		d := newDocket(t, db)
		r := docket.Registry{Store: d}
		openCase(t, r, "case-1")
		stop, done := make(chan struct{}), make(chan int)
		go func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					done <- n
					return
				default:
				}
				m := evaluator
				m.Person = proofhouse.PersonID(fmt.Sprintf("p%d", n))
				if _, _, err := r.Do(t.Context(), "case-1", docket.Event{By: registrar, Act: docket.Join{Member: m}}, 0, docket.Request{}, start); err != nil {
					t.Error(err)
				}
			}
		}()
		for i := range 5 {
			copied := must[*store.DB](t)(store.Create(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "copy.db")))
			if _, err := db.CopyTo(t.Context(), copied, 0); err != nil {
				t.Fatal(err)
			}
			raw := store.NewDocket(copied, nil)
			waiting, err := raw.Waiting(t.Context(), 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			for seq, w := range waiting {
				if w.Seq != int64(seq)+1 {
					t.Errorf("copy %d has event %d in place %d", i, w.Seq, seq+1)
				}
			}
			copied.Close()
		}
		close(stop)
		if n := <-done; n == 0 {
			t.Error("nobody wrote during the copies")
		}
	})
}
