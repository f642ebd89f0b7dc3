package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"

	"proofhouse/internal/policy"
	"proofhouse/internal/store/query"
)

// Handle is the name by which a passkey knows its person: 32 bytes that tell
// nothing, and stay.
func (p People) Handle(name string) ([]byte, error) { return p.find("person", name) }

// AddWay adds a way in. One that somebody has already is proofhouse.Conflict.
func (tx PeopleTx) AddWay(ctx context.Context, w policy.Way) error {
	person, err := tx.p.find("person", w.Owner)
	if err != nil {
		return err
	}
	sealed, err := tx.p.seal("way", w.ID, w)
	if err != nil {
		return err
	}
	return tx.taken(tx.q.AddWay(ctx, query.AddWayParams{ID: w.ID, Hash: w.Hash, Person: person, Sealed: sealed}), "somebody signs in that way already")
}

// ChangeWay keeps what change makes of a way in, and gives it. The error is proofhouse.NotFound.
func (tx PeopleTx) ChangeWay(ctx context.Context, id string, change func(*policy.Way) error) (w policy.Way, err error) {
	row, err := tx.q.Way(ctx, id)
	if errors.Is(err, sql.ErrNoRows) {
		return w, policy.NotFound(w)
	} else if err != nil {
		return w, err
	}
	if err := tx.p.unseal("way", id, row.Sealed, &w); err != nil {
		return w, err
	}
	if err := change(&w); err != nil {
		return w, err
	}
	sealed, err := tx.p.seal("way", id, w)
	if err != nil {
		return w, err
	}
	res, err := tx.q.ChangeWay(ctx, query.ChangeWayParams{Sealed: sealed, ID: id, Version: row.Version})
	if err != nil {
		return w, err
	}
	return w, changed(res)
}

// RemoveWay forgets a way in: who has the same again may add it again.
func (tx PeopleTx) RemoveWay(ctx context.Context, id string) error { return tx.q.RemoveWay(ctx, id) }

// WayByHash is the way in of that hash; the error is proofhouse.NotFound.
func (p People) WayByHash(ctx context.Context, hash string) (w policy.Way, err error) {
	row, err := query.New(p.sql).WayByHash(ctx, hash)
	if errors.Is(err, sql.ErrNoRows) {
		return w, policy.NotFound(w)
	} else if err != nil {
		return w, p.dialect.explain(err)
	}
	return w, p.unseal("way", row.ID, row.Sealed, &w)
}

// Ways are all that a person has, oldest first.
func (p People) Ways(ctx context.Context, name string) ([]policy.Way, error) {
	all, err := p.ways(ctx, query.New(p.sql), name)
	return all, p.dialect.explain(err)
}

// Ways are all that a person has, oldest first.
func (tx PeopleTx) Ways(ctx context.Context, name string) ([]policy.Way, error) {
	return tx.p.ways(ctx, tx.q, name)
}

func (p People) ways(ctx context.Context, q *query.Queries, name string) ([]policy.Way, error) {
	person, err := p.find("person", name)
	if err != nil {
		return nil, err
	}
	rows, err := q.WaysOf(ctx, person)
	if err != nil {
		return nil, err
	}
	all := make([]policy.Way, len(rows))
	for i, row := range rows {
		if err := p.unseal("way", row.ID, row.Sealed, &all[i]); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(all, func(a, b policy.Way) int { return a.Added.Compare(b.Added) })
	return all, nil
}

// Tokens are all that a person has had, oldest first.
func (tx PeopleTx) Tokens(ctx context.Context, name string) ([]policy.Token, error) {
	return tx.p.tokens(ctx, tx.q, name)
}

// RemoveToken forgets a session that has ended; tokens stay in their owner's list.
func (tx PeopleTx) RemoveToken(ctx context.Context, id string) error {
	return tx.q.RemoveToken(ctx, id)
}
