package app

import (
	"context"
	"time"

	"proofhouse/internal/policy"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/store"
)

// maxWays bounds the ways in of one person.
const maxWays = 20

// addWay adds a way in for the person of that name. Everybody adds their own; an
// administrator adds a newcomer's first.
func (d Directory) addWay(ctx context.Context, who policy.Principal, name string, w policy.Way, now time.Time) (policy.Way, error) {
	w.ID, w.Owner, w.Added = "way-"+proofhouse.Token(5), name, now.UTC().Truncate(time.Microsecond)
	if err := w.Validate(); err != nil {
		return w, err
	}
	by := who.Actor()
	return w, d.People.Change(ctx, func(tx store.PeopleTx) error {
		who, err := current(ctx, tx, who)
		if err != nil {
			return err
		}
		if _, err := tx.ChangePerson(ctx, name, func(p *policy.Person) error {
			if err := d.Guard.Check(who, policy.IssueToken, *p); err != nil {
				return err
			}
			if !p.Ended.IsZero() {
				return proofhouse.Errorf(proofhouse.Refused, nil, "this account has ended")
			}
			p.Enrolled = true
			return nil
		}); err != nil {
			return err
		}
		all, err := tx.Ways(ctx, name)
		if err != nil {
			return err
		}
		if len(all) >= maxWays {
			return proofhouse.Errorf(proofhouse.Limit, nil, "a person has at most %d ways in: remove one first", maxWays)
		}
		if err := tx.AddWay(ctx, w); err != nil {
			return err
		}
		return record(ctx, tx, &by, "add a way in", w.Shown(), now)
	})
}

// Ways are the ways in which a person signs in without a token, oldest first.
func (d Directory) Ways(ctx context.Context, who policy.Principal, name string) ([]policy.Way, error) {
	p, err := d.People.Person(ctx, name)
	if err != nil {
		return nil, err
	}
	if err := d.Guard.Check(who, policy.ListTokens, p); err != nil {
		return nil, err
	}
	all, err := d.People.Ways(ctx, name)
	for i := range all {
		all[i] = all[i].Shown()
	}
	return all, err
}

// RemoveWay takes a way in away at once, and ends the sessions that it opened.
// The last one, of somebody who has no token in force, is proofhouse.Refused unless last says that it is meant.
func (d Directory) RemoveWay(ctx context.Context, who policy.Principal, id string, last bool, now time.Time) error {
	return d.change(ctx, who, policy.RevokeToken, struct {
		Way string `json:"way"`
	}{id}, now, func(tx store.PeopleTx, who policy.Principal) error {
		w, err := tx.ChangeWay(ctx, id, func(w *policy.Way) error { return d.Guard.Check(who, policy.RevokeToken, *w) })
		if err != nil {
			return err
		}
		if !last {
			if err := otherWay(ctx, tx, w, now); err != nil {
				return err
			}
		}
		if err := tx.RemoveWay(ctx, id); err != nil {
			return err
		}
		return endSessions(ctx, tx, w.Owner, id, now)
	})
}

// otherWay is proofhouse.Refused if the owner of w would be locked out without it.
func otherWay(ctx context.Context, tx store.PeopleTx, w policy.Way, now time.Time) error {
	ways, err := tx.Ways(ctx, w.Owner)
	if err != nil {
		return err
	}
	for _, other := range ways {
		if other.ID != w.ID && other.Suspect.IsZero() {
			return nil
		}
	}
	tokens, err := tx.Tokens(ctx, w.Owner)
	if err != nil {
		return err
	}
	for _, t := range tokens {
		if !t.Session() && t.Holds(now) {
			return nil
		}
	}
	return proofhouse.Errorf(proofhouse.Refused, nil, "that is the last way in, and there is no token: nobody can make another for this account. Say that it is meant, or add another one first")
}

// usedAt is the way used at now.
func usedAt(w policy.Way, now time.Time) policy.Way {
	w.Used = now.UTC().Truncate(24 * time.Hour)
	return w
}
