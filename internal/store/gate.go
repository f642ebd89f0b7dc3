package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"proofhouse/internal/gate"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/store/query"
)

// Gate is the database as gates and those who revoke use it.
type Gate struct{ *DB }

var _ gate.Source = Gate{}

// scopes are the names of a revocation's scope in its row.
const (
	scopeGrant      = "grant"
	scopeCase       = "case"
	scopeSubject    = "subject"
	scopeKey        = "key" // named by its hash
	scopeEverything = "everything"
)

// Revoke adds a revocation and gives its number. Numbers have no gaps and
// become visible in their order, so whoever has read up to n has missed none.
func (tx Tx) Revoke(ctx context.Context, r gate.Revocation) (int64, error) {
	if err := r.Validate(); err != nil {
		return 0, err
	}
	number, err := tx.q.NextNumber(ctx, "revocation")
	if err != nil {
		return 0, err
	}
	row := query.AddRevocationParams{Number: number, Scope: scopeEverything, Reason: r.Reason, Actor: r.Actor, MadeAt: r.Time.UnixMicro()}
	switch {
	case r.Grant != "":
		row.Scope, row.Name = scopeGrant, r.Grant
	case r.Case != "":
		row.Scope, row.Name = scopeCase, r.Case
	case r.Subject != "":
		row.Scope, row.Name = scopeSubject, r.Subject
	case r.KeyHash != "":
		row.Scope, row.Name = scopeKey, r.KeyHash
	}
	return number, tx.q.AddRevocation(ctx, row)
}

// Revoke is Tx.Revoke in a transaction of its own.
func (g Gate) Revoke(ctx context.Context, r gate.Revocation) (number int64, err error) {
	err = g.Update(ctx, func(tx Tx) (err error) {
		number, err = tx.Revoke(ctx, r)
		return err
	})
	return number, err
}

// meteredCounter is how long the gates' records were when somebody last looked, in bytes.
const meteredCounter = "metered"

// Metered is how long the gates' records ever were, in bytes.
func (d *Docket) Metered(ctx context.Context) (int64, error) {
	n, err := query.New(d.sql).Counter(ctx, meteredCounter)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil // nobody has looked
	}
	return n, d.dialect.explain(err)
}

// RaiseMetered says that they are so long. It never falls.
func (d *Docket) RaiseMetered(ctx context.Context, n int64) error {
	return d.dialect.explain(query.New(d.sql).RaiseCounter(ctx, query.RaiseCounterParams{Name: meteredCounter, Value: n}))
}

// page is how many revocations are read at once.
const page = 1000

// Revocations implements gate.Source.
func (g Gate) Revocations(ctx context.Context, after int64) ([]gate.Revocation, error) {
	rows, err := query.New(g.sql).Revocations(ctx, query.RevocationsParams{After: after, Most: page})
	if err != nil {
		return nil, g.dialect.explain(err)
	}
	all := make([]gate.Revocation, len(rows))
	for i, row := range rows {
		r := gate.Revocation{Number: row.Number, Reason: row.Reason, Actor: row.Actor, Time: time.UnixMicro(row.MadeAt).UTC()}
		switch row.Scope {
		case scopeGrant:
			r.Grant = row.Name
		case scopeCase:
			r.Case = row.Name
		case scopeSubject:
			r.Subject = row.Name
		case scopeKey:
			r.KeyHash = row.Name
		case scopeEverything:
			r.Everything = true
		default:
			return nil, proofhouse.Errorf(proofhouse.Integrity, nil, "revocation %d is of a kind that this version does not know", row.Number)
		}
		all[i] = r
	}
	return all, nil
}

// forget is after how long without a beat an instance's row goes.
const forget = 24 * time.Hour

// Beat implements gate.Source.
func (g Gate) Beat(ctx context.Context, instance string, applied int64, now time.Time) error {
	return g.Update(ctx, func(tx Tx) error {
		if err := tx.q.ForgetInstances(ctx, now.Add(-forget).UnixMicro()); err != nil {
			return err
		}
		return tx.q.Beat(ctx, query.BeatParams{ID: instance, Applied: applied, SeenAt: now.UnixMicro()})
	})
}

// Instance is one running gate, as it last told of itself.
type Instance struct {
	ID      string    `json:"id"`
	Applied int64     `json:"applied"` // every revocation up to this number is in force there
	Seen    time.Time `json:"seen"`    // by the instance's own clock
}

// Instances are the gates that were seen within a day.
func (g Gate) Instances(ctx context.Context) ([]Instance, error) {
	rows, err := query.New(g.sql).Instances(ctx)
	if err != nil {
		return nil, g.dialect.explain(err)
	}
	all := make([]Instance, len(rows))
	for i, row := range rows {
		all[i] = Instance{row.ID, row.Applied, time.UnixMicro(row.SeenAt).UTC()}
	}
	return all, nil
}
