package store

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"proofhouse/internal/docket"
	"proofhouse/internal/gate"
	"proofhouse/internal/ledger"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/store/query"
	"proofhouse/internal/vault"
)

// Docket is the database as the docket keeps cases in it. Whatever a case says
// is sealed under the case's own key, in its entries and in what
// lists show.
type Docket struct {
	Outbox
	profiles sync.Map // by digest; they never change
	named    named
}

var _ docket.Store = (*Docket)(nil)

// NewDocket is the docket in db, whose rows are sealed under keys.
func NewDocket(db *DB, keys *vault.Records) *Docket { return &Docket{Outbox: Outbox{db, keys}} }

// houseKey names the key of what belongs to no case.
const houseKey = "house"

// Change implements docket.Store.
func (d *Docket) Change(ctx context.Context, change func(docket.Tx) error) error {
	return d.Update(ctx, func(tx Tx) error { return change(docketTx{tx, d}) })
}

// docketTx is a transaction of the docket's.
type docketTx struct {
	Tx
	d *Docket
}

// Case implements docket.Tx.
func (tx docketTx) Case(ctx context.Context, id proofhouse.CaseID) (docket.Case, error) {
	return tx.d.fold(ctx, tx.q, id)
}

// Case implements docket.Store.
func (d *Docket) Case(ctx context.Context, id proofhouse.CaseID) (docket.Case, error) {
	c, err := d.fold(ctx, query.New(d.sql), id)
	return c, d.dialect.explain(err)
}

// fold makes the case from its entries.
func (d *Docket) fold(ctx context.Context, q *query.Queries, id proofhouse.CaseID) (docket.Case, error) {
	var c docket.Case
	for after := 0; ; {
		entries, err := d.entries(ctx, q, id, after, page)
		if err != nil {
			return c, err
		}
		if after == 0 {
			if len(entries) == 0 {
				return c, proofhouse.Errorf(proofhouse.NotFound, nil, "there is no such case")
			}
			rules, err := d.profile(ctx, q, entries[0].Record.Rules)
			if err != nil {
				return c, err
			}
			c = docket.New(id, rules)
		}
		for _, e := range entries {
			if c, err = c.Replay(e.Record); err != nil {
				return c, err
			}
		}
		if after += len(entries); len(entries) < page {
			return c, nil
		}
	}
}

// Entries implements docket.Store.
func (d *Docket) Entries(ctx context.Context, id proofhouse.CaseID, after, limit int) ([]docket.Entry, error) {
	all, err := d.entries(ctx, query.New(d.sql), id, after, limit)
	return all, d.dialect.explain(err)
}

func (d *Docket) entries(ctx context.Context, q *query.Queries, id proofhouse.CaseID, after, limit int) ([]docket.Entry, error) {
	rows, err := q.Entries(ctx, query.EntriesParams{Stream: string(id), After: int64(after), Most: int32(min(limit, page))}) //nolint:gosec // bounded
	if err != nil {
		return nil, err
	}
	all := make([]docket.Entry, len(rows))
	for i, row := range rows {
		e, err := d.open(row)
		if err != nil {
			return nil, err
		}
		r, err := docket.ParseRecord(e.Body)
		if err != nil {
			return nil, err
		}
		all[i] = docket.Entry{Record: r, Ledger: e, Index: -1}
		if row.LeafIndex.Valid {
			all[i].Index = row.LeafIndex.Int64
		}
	}
	return all, nil
}

// Append implements docket.Tx.
func (tx docketTx) Append(ctx context.Context, before, after docket.Case, r docket.Record, e ledger.Entry) error {
	summary, err := json.Marshal(after.Summary())
	if err != nil {
		return err
	}
	sealed, err := tx.d.keys.Seal(string(after.ID), aboutReview(after.ID), summary)
	if err != nil {
		return err
	}
	if before.Version == 0 {
		if err := tx.q.AddRules(ctx, query.AddRulesParams{Digest: string(after.Rules.Digest), Body: string(after.Rules.Text)}); err != nil {
			return err
		}
		if err := tx.q.AddReview(ctx, query.AddReviewParams{ID: string(after.ID), Version: 1, Sealed: sealed}); err != nil {
			return err
		}
	} else {
		res, err := tx.q.ChangeReview(ctx, query.ChangeReviewParams{ID: string(after.ID), Version: int64(before.Version), Sealed: sealed})
		if err != nil {
			return err
		}
		if err := changed(res); err != nil {
			return err
		}
	}
	if err := tx.parties(ctx, before.Summary(), after.Summary()); err != nil {
		return err
	}
	return tx.d.append(ctx, tx.Tx, e, r.At)
}

// blind is a person's name for looking up, which tells nobody who it is.
func (d *Docket) blind(p docket.Person) ([]byte, error) { return d.finder(person(p)) }

// EndAccess implements docket.Tx.
func (tx docketTx) EndAccess(ctx context.Context, id proofhouse.CaseID, grant docket.GrantID, now time.Time) error {
	_, err := tx.Revoke(ctx, gate.Revocation{Subject: docket.Subject(id, grant), Reason: "the case ended this access", Actor: "docket", Time: now})
	return err
}

// Repeated implements docket.Tx.
func (tx docketTx) Repeated(ctx context.Context, r docket.Request) (proofhouse.CaseID, int, error) {
	if r.Key == "" {
		return "", 0, nil
	}
	who, name, err := tx.request(r)
	if err != nil {
		return "", 0, err
	}
	row, err := tx.q.Request(ctx, query.RequestParams{Who: who, Name: name})
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return "", 0, nil
	case err != nil:
		return "", 0, err
	case row.Digest != string(r.Digest):
		return "", 0, proofhouse.Errorf(proofhouse.Conflict, nil, "another request was sent under this idempotency key: choose a fresh one")
	}
	return proofhouse.CaseID(row.Stream), int(row.Seq), nil
}

// Keep implements docket.Tx.
func (tx docketTx) Keep(ctx context.Context, r docket.Request, id proofhouse.CaseID, seq int) error {
	who, name, err := tx.request(r)
	if err != nil {
		return err
	}
	c, err := tx.Case(ctx, id)
	if err != nil {
		return err
	}
	if err := tx.q.ForgetRequests(ctx, c.Changed.Add(-requestsKept).UnixMicro()); err != nil {
		return err
	}
	return tx.q.AddRequest(ctx, query.AddRequestParams{Who: who, Name: name, Digest: string(r.Digest), Stream: string(id), Seq: int64(seq), MadeAt: c.Changed.UnixMicro()})
}

// requestsKept is for how long a request can be repeated without being done twice.
const requestsKept = 48 * time.Hour

func (tx docketTx) request(r docket.Request) (who, name []byte, err error) {
	if who, err = tx.d.blind(r.By); err != nil {
		return nil, nil, err
	}
	name, err = tx.d.keys.Blind(houseKey, []byte("request\n"+r.Key))
	return who, name, err
}

func aboutReview(id proofhouse.CaseID) []byte { return []byte("review\n" + string(id)) }

// Profile implements docket.Store.
func (d *Docket) Profile(ctx context.Context, digest proofhouse.Digest) (*docket.Profile, error) {
	p, err := d.profile(ctx, query.New(d.sql), digest)
	return p, d.dialect.explain(err)
}

func (d *Docket) profile(ctx context.Context, q *query.Queries, digest proofhouse.Digest) (*docket.Profile, error) {
	if p, ok := d.profiles.Load(digest); ok {
		return p.(*docket.Profile), nil
	}
	text, err := q.Rules(ctx, string(digest))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, proofhouse.Errorf(proofhouse.NotFound, err, "there is no such profile")
	}
	if err != nil {
		return nil, err
	}
	p, err := docket.ParseProfile([]byte(text))
	if err != nil {
		return nil, err
	}
	if p.Digest != digest {
		return nil, proofhouse.Errorf(proofhouse.Integrity, nil, "a profile was changed after cases were opened under it")
	}
	d.profiles.Store(digest, p)
	return p, nil
}

// Outbox is the database as entries are kept in it, and wait there for the log.
type Outbox struct {
	*DB
	keys *vault.Records
}

var _ ledger.Outbox = Outbox{}

// append seals an entry under the key of its stream, and keeps it for the log.
func (s Outbox) append(ctx context.Context, tx Tx, e ledger.Entry, at time.Time) error {
	sealed, err := s.keys.Seal(e.Stream, aboutEntry(e.Stream, e.Seq), append(e.Salt[:], e.Body...))
	if err != nil {
		return err
	}
	commitment := e.Commitment()
	return tx.q.AddEntry(ctx, query.AddEntryParams{Stream: e.Stream, Seq: e.Seq, MadeAt: at.UnixMicro(), Commitment: commitment[:], Sealed: sealed})
}

// open is the entry of a row.
func (s Outbox) open(row query.Entry) (ledger.Entry, error) {
	plain, err := s.keys.Open(row.Stream, aboutEntry(row.Stream, row.Seq), row.Sealed)
	if err != nil {
		return ledger.Entry{}, err
	}
	e := ledger.Entry{Stream: row.Stream, Seq: row.Seq}
	if len(plain) < len(e.Salt) {
		return e, proofhouse.Errorf(proofhouse.Integrity, nil, "entry %d is damaged", row.Seq)
	}
	e.Body = plain[copy(e.Salt[:], plain):]
	if commitment := e.Commitment(); !bytes.Equal(commitment[:], row.Commitment) {
		return e, proofhouse.Errorf(proofhouse.Integrity, nil, "entry %d is not the one that was committed to", row.Seq)
	}
	return e, nil
}

func aboutEntry(stream string, seq int64) []byte {
	return fmt.Appendf(nil, "entry\n%s\n%d", stream, seq)
}

// Waiting implements ledger.Outbox.
func (s Outbox) Waiting(ctx context.Context, limit int) ([]ledger.Waiting, error) {
	rows, err := query.New(s.sql).WaitingEntries(ctx, int32(min(limit, 1<<20))) //nolint:gosec // bounded
	if err != nil {
		return nil, s.dialect.explain(err)
	}
	all := make([]ledger.Waiting, len(rows))
	for i, row := range rows {
		all[i] = ledger.Waiting{Stream: row.Stream, Seq: row.Seq}
		if copy(all[i].Commitment[:], row.Commitment) != len(row.Commitment) {
			return nil, proofhouse.Errorf(proofhouse.Integrity, nil, "an entry's commitment is damaged")
		}
	}
	return all, nil
}

// Place implements ledger.Outbox.
func (s Outbox) Place(ctx context.Context, placed []ledger.Placed) error {
	return s.amend(ctx, func(tx Tx) error {
		for _, p := range placed {
			index := sql.NullInt64{Int64: int64(p.Index), Valid: true} //nolint:gosec // a log has no 2^63 leaves
			res, err := tx.q.PlaceEntry(ctx, query.PlaceEntryParams{LeafIndex: index, Stream: p.Stream, Seq: p.Seq})
			if err = s.dialect.explain(err); proofhouse.KindOf(err) == proofhouse.Conflict && !errors.Is(err, errRace) {
				return proofhouse.Errorf(proofhouse.Integrity, err, "place %d in the log is another entry's already", p.Index)
			}
			if err != nil {
				return err
			}
			if n, err := res.RowsAffected(); err != nil || n == 1 {
				if err != nil {
					return err
				}
				continue
			}
			had, err := tx.q.EntryPlace(ctx, query.EntryPlaceParams{Stream: p.Stream, Seq: p.Seq})
			switch {
			case errors.Is(err, sql.ErrNoRows):
				return proofhouse.Errorf(proofhouse.NotFound, err, "the log has a place for an entry that is not there")
			case err != nil:
				return err
			case had != index:
				return proofhouse.Errorf(proofhouse.Integrity, nil, "entry %d has another place in the log already", p.Seq)
			}
		}
		return nil
	})
}

// Placed implements ledger.Outbox.
func (s Outbox) Placed(ctx context.Context) (uint64, error) {
	n, err := query.New(s.sql).PlacedEntries(ctx)
	return uint64(n), s.dialect.explain(err) //nolint:gosec // never below 0
}
