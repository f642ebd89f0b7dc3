package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"proofhouse/internal/ledger"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/store/query"
)

// migrationsTable is goose's own: both databases of a copy have been migrated.
const migrationsTable = "goose_db_version"

// Create is Open for a database that holds nothing yet: one that has any table
// is proofhouse.Conflict, and is left as it is.
func Create(ctx context.Context, url string) (*DB, error) {
	db, err := dial(url, true, busyPatience)
	if err != nil {
		return nil, err
	}
	err = db.ping(ctx)
	if err == nil {
		var there []string
		if there, err = db.tables(ctx, db.sql); err == nil && len(there) > 0 {
			err = proofhouse.Errorf(proofhouse.Conflict, nil, "that database holds something already: name one that is empty")
		}
	}
	if err == nil {
		err = db.migrate(ctx, true)
	}
	if err != nil {
		db.sql.Close()
		return nil, err
	}
	return db, nil
}

// CopyTo copies every row of every table into to, which Create made, as they
// stood at one moment while others go on, and says how many rows it were.
// Entries whose place in the public log is logged or above wait there again.
// All of it is durable on return or none; the two may be of different kinds.
func (db *DB) CopyTo(ctx context.Context, to *DB, logged uint64) (rows int64, err error) {
	conn, err := db.sql.Conn(ctx)
	if err != nil {
		return 0, db.dialect.explain(err)
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, db.dialect.snapshot); err != nil {
		return 0, db.dialect.explain(err)
	}
	defer func() { _, _ = conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK") }() // it only read
	tables, err := db.tables(ctx, conn)
	if err != nil {
		return 0, err
	}
	err = to.once(ctx, to.dialect.begin, func(tx Tx) error {
		rows = 0
		for _, table := range tables {
			n, err := copyTable(ctx, conn, tx.tx, table, logged)
			if err != nil {
				if _, ok := errors.AsType[*proofhouse.Error](err); ok {
					return err
				}
				// Of either database.
				return errors.Join(db.dialect.explain(err), fmt.Errorf("copying table %s", table))
			}
			rows += n
		}
		return nil
	})
	return rows, err
}

// asker is a database, a connection or a transaction.
type asker interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// tables are all tables but the migrations', each behind those that it refers
// to. They are asked of the database, so that none is forgotten which a later migration adds.
func (db *DB) tables(ctx context.Context, from asker) ([]string, error) {
	rows, err := from.QueryContext(ctx, db.dialect.catalogue)
	if err != nil {
		return nil, db.dialect.explain(err)
	}
	defer rows.Close()
	refers := map[string][]string{}
	for rows.Next() {
		var table, other string
		if err := rows.Scan(&table, &other); err != nil {
			return nil, db.dialect.explain(err)
		}
		if table == migrationsTable {
			continue
		}
		refers[table] = append(refers[table], other)
	}
	if err := rows.Err(); err != nil {
		return nil, db.dialect.explain(err)
	}
	var ordered []string
	for len(ordered) < len(refers) {
		var ready []string
		for table, others := range refers {
			waits := slices.ContainsFunc(others, func(o string) bool { return o != "" && o != table && !slices.Contains(ordered, o) })
			if !waits && !slices.Contains(ordered, table) {
				ready = append(ready, table)
			}
		}
		if len(ready) == 0 {
			return nil, proofhouse.Errorf(proofhouse.Internal, nil, "the database's tables refer to each other in a circle")
		}
		slices.Sort(ready)
		ordered = append(ordered, ready...)
	}
	return ordered, nil
}

// copyTable copies a table's rows, by the names of its columns. What the
// migrations put there gives way.
func copyTable(ctx context.Context, from asker, to *sql.Tx, table string, logged uint64) (n int64, err error) {
	name := quoted(table)
	var seeds int64
	if err := to.QueryRowContext(ctx, "SELECT count(*) FROM "+name).Scan(&seeds); err != nil {
		return 0, err
	}
	if seeds > 0 {
		if _, err := to.ExecContext(ctx, "DELETE FROM "+name); err != nil {
			return 0, err
		}
	}
	rows, err := from.QueryContext(ctx, "SELECT * FROM "+name) //nolint:gosec // the catalogue's own name
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return 0, err
	}
	names, marks := make([]string, len(columns)), make([]string, len(columns))
	values, into := make([]any, len(columns)), make([]any, len(columns))
	for i, c := range columns {
		names[i], marks[i], into[i] = quoted(c), fmt.Sprintf("$%d", i+1), &values[i]
	}
	insert, err := to.PrepareContext(ctx, "INSERT INTO "+name+" ("+strings.Join(names, ", ")+") VALUES ("+strings.Join(marks, ", ")+")") //nolint:gosec // likewise
	if err != nil {
		return 0, err
	}
	defer insert.Close()
	place := -1
	if table == "entry" {
		place = slices.Index(columns, "leaf_index")
	}
	for ; rows.Next(); n++ {
		if err := rows.Scan(into...); err != nil {
			return n, err
		}
		if place >= 0 {
			if index, ok := values[place].(int64); ok && uint64(index) >= logged { //nolint:gosec // never below 0
				values[place] = nil
			}
		}
		if _, err := insert.ExecContext(ctx, values...); err != nil {
			return n, err
		}
	}
	return n, rows.Err()
}

func quoted(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// LostStream is the stream of leaves of the public log that no entry explains:
// what they stood for was accepted after the copy of the database was made, and is lost.
const LostStream = "lost"

// PlacedEntry is an entry's place in the public log, and what has to stand there.
type PlacedEntry struct {
	ledger.Placed
	Commitment [32]byte
}

// PlacedFrom are the entries whose place is first or above, in that order, at most limit.
func (s Outbox) PlacedFrom(ctx context.Context, first uint64, limit int) ([]PlacedEntry, error) {
	rows, err := query.New(s.sql).PlacedFrom(ctx, query.PlacedFromParams{First: sql.NullInt64{Int64: int64(first), Valid: true}, Most: int32(min(limit, 1<<20))}) //nolint:gosec // bounded
	if err != nil {
		return nil, s.dialect.explain(err)
	}
	all := make([]PlacedEntry, len(rows))
	for i, row := range rows {
		all[i].Placed = ledger.Placed{Stream: row.Stream, Seq: row.Seq, Index: uint64(row.LeafIndex.Int64)} //nolint:gosec // never below 0
		if copy(all[i].Commitment[:], row.Commitment) != len(row.Commitment) {
			return nil, proofhouse.Errorf(proofhouse.Integrity, nil, "an entry's commitment is damaged")
		}
	}
	return all, nil
}

// Lose keeps leaves that no entry explains, by their indexes, in the stream
// of its name: the log goes on behind them, and nobody takes them for unread.
func (s Outbox) Lose(ctx context.Context, lost []PlacedEntry, at time.Time) error {
	return s.Update(ctx, func(tx Tx) error {
		for _, l := range lost {
			if err := tx.q.AddLost(ctx, query.AddLostParams{
				Stream: LostStream, Seq: int64(l.Index) + 1, MadeAt: at.UnixMicro(), Commitment: l.Commitment[:], Sealed: []byte{}, //nolint:gosec // a log has no 2^63 leaves
				LeafIndex: sql.NullInt64{Int64: int64(l.Index), Valid: true}, //nolint:gosec // likewise
			}); err != nil {
				return err
			}
		}
		return nil
	})
}
