package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"proofhouse/internal/proofhouse"
)

// dialect is all that differs between the two databases, but for the text of
// the migrations. This file alone knows which one it is.
type dialect struct {
	name       string
	goose      goose.Dialect
	begin      *sql.TxOptions
	remote     bool // a connection can break between a commit and its answer
	migrations string
	// snapshot begins a transaction that reads the state of one moment and holds nobody up.
	snapshot string
	// catalogue lists the tables, each with every other that it refers to, or "".
	catalogue string
	// known gives the kind and the sentence of one of the database's own errors.
	known func(error) (answer, bool)
}

// answer is what an error of a database means. race: another transaction came
// in between, so begin again.
type answer struct {
	kind   proofhouse.Kind
	public string
	code   string // of the database, for the operator; never its text, which quotes rows and names
	race   bool
}

// errRace marks errors after which a transaction is to be run again.
var errRace = errors.New("another transaction came in between")

//go:embed migration
var migrations embed.FS

// busyPatience is how long a writer waits for another one on SQLite.
const busyPatience = 10 * time.Second

// dial opens without a look at what is there.
func dial(address string, create bool, patience time.Duration) (*DB, error) {
	scheme, rest, _ := strings.Cut(address, ":")
	switch scheme {
	case "sqlite":
		return dialSQLite(rest, create, patience)
	case "postgres", "postgresql":
		return dialPostgres(address)
	}
	return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "a database is named as sqlite:PATH or postgres://USER@HOST/NAME")
}

func dialSQLite(path string, create bool, patience time.Duration) (*DB, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("finding the database's folder: %w", err)
	}
	// SQLite would make it readable for all, and its journal after it.
	flags := os.O_RDWR
	if create {
		flags |= os.O_CREATE
	}
	f, err := os.OpenFile(path, flags, 0o600)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !create:
		return nil, proofhouse.Errorf(proofhouse.NotFound, nil, "there is no such database: check the address")
	case err != nil:
		return nil, proofhouse.Errorf(proofhouse.Unavailable, bare(err), "the database's file cannot be opened: check that its folder exists and may be written to")
	}
	f.Close()
	// busy_timeout comes first: the next one may have to wait already. Without _txlock a transaction that reads before
	// it writes is refused at once when another one writes.
	q := url.Values{"_txlock": {"immediate"}, "_pragma": {
		"busy_timeout(" + strconv.FormatInt(patience.Milliseconds(), 10) + ")", "journal_mode(wal)", "synchronous(full)", "foreign_keys(1)",
	}}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+q.Encode())
	if err != nil {
		return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "the database's address cannot be read")
	}
	db.SetMaxOpenConns(8)
	return &DB{db, dialect{
		name: "sqlite", goose: goose.DialectSQLite3, migrations: "migration/sqlite", known: knownSQLite,
		snapshot: "BEGIN DEFERRED",
		catalogue: `SELECT t.name, coalesce(f."table", '') FROM sqlite_schema AS t LEFT JOIN pragma_foreign_key_list(t.name) AS f ON true
			WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite\_%' ESCAPE '\'`,
	}}, nil
}

func dialPostgres(address string) (*DB, error) {
	cfg, err := pgx.ParseConfig(address)
	if err != nil { // it quotes the address
		return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "the database's address cannot be read: it is of the form postgres://USER@HOST/NAME")
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = 5 * time.Second
	}
	db := stdlib.OpenDB(*cfg)
	db.SetMaxOpenConns(16)
	db.SetMaxIdleConns(4)
	db.SetConnMaxIdleTime(time.Minute)
	return &DB{db, dialect{
		name: "postgres", remote: true, goose: goose.DialectPostgres, migrations: "migration/postgres", known: knownPostgres,
		snapshot: "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
		catalogue: `SELECT t.relname, coalesce(r.relname, '') FROM pg_class AS t LEFT JOIN pg_constraint AS c ON c.conrelid = t.oid AND c.contype = 'f'
			LEFT JOIN pg_class AS r ON r.oid = c.confrelid WHERE t.relkind = 'r' AND t.relnamespace = current_schema()::regnamespace`,
		// As SQLite has it: no transaction sees, or acts on, what another one is about to change.
		begin: &sql.TxOptions{Isolation: sql.LevelSerializable},
	}}, nil
}

// migrate brings the tables up to date. Two programs may try at the same time:
// one of them fails, and finds the work done when it looks again.
func (db *DB) migrate(ctx context.Context, create bool) error {
	dir, err := fs.Sub(migrations, db.dialect.migrations)
	if err != nil {
		return err
	}
	if err := db.ping(ctx); err != nil {
		return err
	}
	p, err := goose.NewProvider(db.dialect.goose, db.sql, dir, goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return fmt.Errorf("reading the migrations: %w", err)
	}
	if !create {
		if _, err := db.sql.ExecContext(ctx, "SELECT version_id FROM goose_db_version LIMIT 1"); err != nil {
			if err = db.dialect.explain(err); proofhouse.KindOf(err) == proofhouse.Internal {
				return proofhouse.Errorf(proofhouse.NotFound, err, "that database holds nothing of Proofhouse: check the address")
			}
			return err
		}
	}
	for range looks {
		if _, err = p.Up(ctx); err == nil {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	if err != nil {
		if err = db.dialect.explain(err); proofhouse.KindOf(err) == proofhouse.Internal {
			return proofhouse.Errorf(proofhouse.Unavailable, err, "the database's tables cannot be brought up to date: its user must be allowed to make tables")
		}
		return err
	}
	have, newest, err := p.GetVersions(ctx)
	if err != nil {
		return db.dialect.explain(err)
	}
	if have > newest {
		return proofhouse.Errorf(proofhouse.Conflict, nil, "a newer Proofhouse has changed this database: use that version or a newer one")
	}
	return nil
}

// looks is how often a program that opens the database looks again, each 50 ms.
const looks = 40

// ping makes the first connection. SQLite waits for no lock when that turns
// the journal of a fresh file over.
func (db *DB) ping(ctx context.Context) (err error) {
	for range looks {
		err = db.sql.PingContext(ctx)
		if e, ok := errors.AsType[*sqlite.Error](err); !ok || e.Code()&0xff != sqlite3.SQLITE_BUSY {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	return db.dialect.explain(err)
}

// explain gives an error of the database its kind, and takes out what it
// quotes: addresses, names, rows. Errors that have a kind stay as they are.
func (d dialect) explain(err error) error {
	if err == nil || errors.Is(err, errStale) || errors.Is(err, errRace) {
		return err
	}
	if a, ok := d.known(err); ok && a.race { // whatever a part has made of it
		return proofhouse.Errorf(a.kind, fmt.Errorf("%w (%s: %s)", errRace, d.name, a.code), "%s", a.public)
	}
	if _, ok := errors.AsType[*proofhouse.Error](err); ok {
		return err
	}
	if errors.Is(err, context.Canceled) {
		return context.Canceled
	}
	if a, ok := d.known(err); ok {
		return proofhouse.Errorf(a.kind, fmt.Errorf("%s: %s", d.name, a.code), "%s", a.public)
	}
	if _, ok := errors.AsType[net.Error](err); ok || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrNotExist) {
		return proofhouse.Errorf(proofhouse.Unavailable, bare(err), "the database does not answer: check its address, and that it runs")
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok || errors.Is(err, sql.ErrConnDone) || pgconn.SafeToRetry(err) {
		return proofhouse.Errorf(proofhouse.Unavailable, bare(err), "the database does not answer: check its address, and that it runs")
	}
	if errors.Is(err, sql.ErrNoRows) {
		return proofhouse.Errorf(proofhouse.NotFound, sql.ErrNoRows, "there is no such row")
	}
	return proofhouse.Errorf(proofhouse.Internal, bare(err), "the database could not do that")
}

// bare is an error without names and addresses: the system's own word, or the type.
func bare(err error) error {
	if no, ok := errors.AsType[syscall.Errno](err); ok {
		return no
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return context.DeadlineExceeded
	}
	return fmt.Errorf("%T", err)
}

func knownSQLite(err error) (answer, bool) {
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return answer{}, false
	}
	a := answer{kind: proofhouse.Internal, public: "the database could not do that", code: "result code " + strconv.Itoa(e.Code())}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		a.kind, a.public = proofhouse.Unavailable, "another program holds the database locked: end it, or try again later"
	case sqlite3.SQLITE_FULL:
		a.kind, a.public = proofhouse.Unavailable, "the database has no space left on its disk: make room"
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_IOERR:
		a.kind, a.public = proofhouse.Unavailable, "the database's file cannot be read or written: check its folder, its rights and its disk"
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		a.kind, a.public = proofhouse.Integrity, "the database's file is damaged, or is none of SQLite's"
	case sqlite3.SQLITE_INTERRUPT:
		a.kind, a.public = proofhouse.Unavailable, "the database took too long"
	case sqlite3.SQLITE_CONSTRAINT:
		switch e.Code() {
		case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_ROWID:
			a.kind, a.public = proofhouse.Conflict, "it exists already"
		case sqlite3.SQLITE_CONSTRAINT_TRIGGER:
			a.kind, a.public = proofhouse.Refused, "what is recorded there is for good"
		}
	}
	return a, true
}

func knownPostgres(err error) (answer, bool) {
	e, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return answer{}, false
	}
	a := answer{kind: proofhouse.Internal, public: "the database could not do that", code: "SQLSTATE " + e.Code}
	switch e.Code {
	case "40001", "40P01": // serialization failure, deadlock
		a.kind, a.public, a.race = proofhouse.Conflict, "others keep changing the same thing at the same time: try again", true
	case "23505":
		a.kind, a.public = proofhouse.Conflict, "it exists already"
	case "23001": // what our triggers raise
		a.kind, a.public = proofhouse.Refused, "what is recorded there is for good"
	case "53100", "53200":
		a.kind, a.public = proofhouse.Unavailable, "the database's server has no space left: make room"
	case "55P03", "57014":
		a.kind, a.public = proofhouse.Unavailable, "another program holds the database locked: end it, or try again later"
	case "3D000":
		a.kind, a.public = proofhouse.NotFound, "the server has no such database: make it, or check the address"
	case "42501", "25006":
		a.kind, a.public = proofhouse.Unavailable, "the database's user has no right to do that"
	default:
		switch e.Code[:min(2, len(e.Code))] {
		case "28":
			a.kind, a.public = proofhouse.Unavailable, "the database's server does not accept this user: check the name and the password"
		case "08", "53", "57", "58":
			a.kind, a.public = proofhouse.Unavailable, "the database's server does not serve us now: see its log"
		}
	}
	return a, true
}
