package store

import (
	"context"
	"encoding/json"
	"time"

	"proofhouse/internal/ledger"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/store/query"
)

// Accept is append in a transaction of its own.
func (s Outbox) Accept(ctx context.Context, e ledger.Entry, at time.Time) error {
	return s.Update(ctx, func(tx Tx) error { return s.append(ctx, tx, e, at) })
}

// Unorder takes back what lists are ordered by, as if the database were older than that.
func (d *Docket) Unorder(ctx context.Context, bodies ...proofhouse.OrganisationID) error {
	if _, err := d.sql.ExecContext(ctx, "UPDATE review_party SET urgency = 0"); err != nil {
		return err
	}
	for _, body := range bodies {
		who, err := d.finder(untaken(body))
		if err != nil {
			return err
		}
		if _, err := d.sql.ExecContext(ctx, "DELETE FROM review_party WHERE who = $1", who); err != nil {
			return err
		}
	}
	return nil
}

// Damage takes a byte from what lists show of a case.
func (d *Docket) Damage(ctx context.Context, id proofhouse.CaseID) error {
	_, err := d.sql.ExecContext(ctx, "UPDATE review SET sealed = substr(sealed, 2) WHERE id = $1", string(id))
	return err
}

// ForTheHouse puts what lists show of a case under the house's key, as if the database were older than the
// cases' own, or tries whether it lies there.
func (d *Docket) ForTheHouse(ctx context.Context, id proofhouse.CaseID, put bool) error {
	var sealed []byte
	if err := d.sql.QueryRowContext(ctx, "SELECT sealed FROM review WHERE id = $1", string(id)).Scan(&sealed); err != nil {
		return err
	}
	if !put {
		_, err := d.keys.Open(houseKey, aboutReview(id), sealed)
		return err
	}
	plain, err := d.keys.Open(string(id), aboutReview(id), sealed)
	if err != nil {
		return err
	}
	if sealed, err = d.keys.Seal(houseKey, aboutReview(id), plain); err != nil {
		return err
	}
	_, err = d.sql.ExecContext(ctx, "UPDATE review SET sealed = $1, own_key = 0 WHERE id = $2", sealed, string(id))
	return err
}

// ShredCase shreds a case's key.
func (d *Docket) ShredCase(id proofhouse.CaseID) error { return d.keys.Shred(string(id)) }

// Rename changes what lists show of a case, as an event of it would.
func (d *Docket) Rename(ctx context.Context, id proofhouse.CaseID, codename string) error {
	return d.Update(ctx, func(tx Tx) error {
		rows, err := tx.q.ReviewsAfter(ctx, query.ReviewsAfterParams{Most: page})
		if err != nil {
			return err
		}
		for _, row := range rows {
			if row.ID != string(id) {
				continue
			}
			s, err := d.summary(row.ID, row.Sealed)
			if err != nil {
				return err
			}
			s.Codename = codename
			plain, err := json.Marshal(s)
			if err != nil {
				return err
			}
			sealed, err := d.keys.Seal(row.ID, aboutReview(id), plain)
			if err != nil {
				return err
			}
			_, err = tx.q.ChangeReview(ctx, query.ChangeReviewParams{ID: row.ID, Version: row.Version, Sealed: sealed})
			return err
		}
		return nil
	})
}
