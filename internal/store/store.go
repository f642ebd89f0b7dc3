// Package store keeps the house's rows in SQLite or PostgreSQL, by one text of
// queries. It promises that what Update has returned is on disk, that no two
// updates lose one another's work, and that no error names a database, a
// password or a row. Rules are the parts' own: store knows none.
package store

import (
	"context"
	"database/sql"
	"errors"
	"math/rand/v2"
	"time"

	"proofhouse/internal/proofhouse"
	"proofhouse/internal/store/query"
)

// DB is an open database, for any number of goroutines.
type DB struct {
	sql     *sql.DB
	dialect dialect
}

// Open opens the database at url, makes it if it is a file that is not there,
// and brings its tables up to date. url is sqlite:PATH, or postgres://… with
// the parameters, environment variables and password file that psql knows. Several programs may do
// so at once.
func Open(ctx context.Context, url string) (*DB, error) { return open(ctx, url, true) }

// OpenExisting is Open for one who has nothing to write to a new database: a
// mistyped address is proofhouse.NotFound, and makes nothing.
func OpenExisting(ctx context.Context, url string) (*DB, error) { return open(ctx, url, false) }

func open(ctx context.Context, url string, create bool) (*DB, error) {
	db, err := dial(url, create, busyPatience)
	if err != nil {
		return nil, err
	}
	if err := db.migrate(ctx, create); err != nil {
		db.sql.Close()
		return nil, err
	}
	return db, nil
}

// Close ends all use of the database.
func (db *DB) Close() error { return db.sql.Close() }

// Tx is a transaction, with the methods of all parts. It is used by one
// goroutine and only within the function that Update gives it to.
type Tx struct {
	tx *sql.Tx
	q  *query.Queries
}

// errStale is for an update that says "where version = …" and finds no row:
// somebody changed it after it was read.
var errStale = errors.New("the row was changed meanwhile")

// tries is how often Update begins anew; by then some tens of seconds have passed.
const tries = 200

// Update runs change in one transaction. All of it is durable on return, or,
// with an error, none of it. Where another transaction got in between, change
// is run again from its start, so it may do nothing that cannot be repeated,
// and it must return the errors of tx's methods.
//
// One error leaves open what happened: proofhouse.Unavailable from a
// connection that broke while it was told to commit. Its sentence says so.
func (db *DB) Update(ctx context.Context, change func(Tx) error) error {
	return db.update(ctx, db.dialect.begin, change)
}

// amend is Update for a change whose statements each hold by themselves,
// whatever others do meanwhile. On PostgreSQL it is not serializable: it would
// be made to begin anew as long as others go on writing to the same table.
func (db *DB) amend(ctx context.Context, change func(Tx) error) error {
	return db.update(ctx, nil, change)
}

func (db *DB) update(ctx context.Context, begin *sql.TxOptions, change func(Tx) error) error {
	var err error
	for try := range tries {
		if try > 0 {
			// Random, so that those who met do not meet again.
			pause := time.Duration(rand.Int64N(int64(min(time.Millisecond<<min(try, 8), 100*time.Millisecond)))) //nolint:gosec // no secret
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(pause):
			}
		}
		if err = db.once(ctx, begin, change); !errors.Is(err, errStale) && !errors.Is(err, errRace) {
			return err
		}
	}
	return proofhouse.Errorf(proofhouse.Conflict, err, "others keep changing the same thing at the same time: try again")
}

func (db *DB) once(ctx context.Context, begin *sql.TxOptions, change func(Tx) error) error {
	tx, err := db.sql.BeginTx(ctx, begin)
	if err != nil {
		return db.dialect.explain(err)
	}
	defer func() { _ = tx.Rollback() }() // of what is committed, it does nothing
	if err := change(Tx{tx, query.New(tx)}); err != nil {
		return db.dialect.explain(err)
	}
	err = db.dialect.explain(tx.Commit())
	if db.dialect.remote && proofhouse.KindOf(err) == proofhouse.Unavailable {
		return proofhouse.Errorf(proofhouse.Unavailable, err, "the database went away while it was told to commit: look whether the change is there before repeating it")
	}
	return err
}

// changed is errStale if an update that names a version found no such row.
func changed(res sql.Result) error {
	n, err := res.RowsAffected()
	if err == nil && n == 0 {
		err = errStale
	}
	return err
}
