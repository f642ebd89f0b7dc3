package app

import (
	"context"
	"time"

	"proofhouse/internal/policy"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/store"
)

// errNoSession is said of every session that is not in force, for whatever reason.
var errNoSession = proofhouse.Errorf(proofhouse.NotFound, nil, "that session has ended: sign in again")

// Session is whose session it is, and notes that it was seen. One that is not
// in force is proofhouse.NotFound with one sentence.
func (d Directory) Session(ctx context.Context, secret string, now time.Time) (policy.Person, error) {
	p, t, err := d.session(ctx, secret, now)
	if err != nil {
		return policy.Person{}, err
	}
	if _, stale := t.SeenAt(now); !stale {
		return p, nil
	}
	err = d.People.Change(ctx, func(tx store.PeopleTx) error {
		_, err := tx.ChangeToken(ctx, t.ID, func(t *policy.Token) error {
			if !t.Holds(now) { // it was ended meanwhile
				return errNoSession
			}
			*t, _ = t.SeenAt(now)
			return nil
		})
		if err != nil && proofhouse.KindOf(err) == proofhouse.NotFound {
			return errNoSession
		}
		return err
	})
	if err != nil {
		return policy.Person{}, err
	}
	return p, nil
}

func (d Directory) session(ctx context.Context, secret string, now time.Time) (policy.Person, policy.Token, error) {
	hash, ok := policy.HashSession(secret)
	if !ok {
		return policy.Person{}, policy.Token{}, errNoSession
	}
	return d.whose(ctx, hash, errNoSession, now)
}

// whose is the token of that hash and its owner, or none if it is not in force.
func (d Directory) whose(ctx context.Context, hash string, none error, now time.Time) (policy.Person, policy.Token, error) {
	t, err := d.People.TokenByHash(ctx, hash)
	switch {
	case err != nil && proofhouse.KindOf(err) == proofhouse.NotFound:
		return policy.Person{}, t, none
	case err != nil:
		return policy.Person{}, t, err
	case !t.Holds(now):
		return policy.Person{}, t, none
	}
	p, err := d.People.Person(ctx, t.Owner)
	if err != nil {
		return policy.Person{}, t, err
	}
	if !p.Ended.IsZero() {
		return policy.Person{}, t, none
	}
	return p, t, nil
}

// signedIn is what an entry says of a session that was opened.
type signedIn struct {
	Person  string `json:"person"`
	Session string `json:"session"`
	From    string `json:"from"` // the token's id or the way's
}

// openSession opens a session for the person of that name, who came in by from,
// until at the latest. Sessions that ended are forgotten with it; the register has them.
func (d Directory) openSession(ctx context.Context, tx store.PeopleTx, name, from string, latest, now time.Time) (secret string, err error) {
	p, err := tx.Person(ctx, name)
	if err != nil {
		return "", err
	}
	if !p.Ended.IsZero() {
		return "", proofhouse.Errorf(proofhouse.Refused, nil, "this account has ended")
	}
	all, err := tx.Tokens(ctx, name)
	if err != nil {
		return "", err
	}
	for _, t := range all {
		if t.Session() && !t.Holds(now) {
			if err := tx.RemoveToken(ctx, t.ID); err != nil {
				return "", err
			}
		}
	}
	at := now.UTC().Truncate(time.Microsecond)
	ends := at.Add(policy.SessionLife)
	if latest.Before(ends) {
		ends = latest
	}
	secret = policy.NewSession()
	hash, _ := policy.HashSession(secret)
	t := policy.Token{ID: "session-" + proofhouse.Token(5), Owner: name, Hash: hash, Issued: at, Expires: ends, From: from, Seen: at}
	if err := tx.AddToken(ctx, t); err != nil {
		return "", err
	}
	by := proofhouse.Actor{Organisation: p.Organisation, Person: p.ID}
	return secret, record(ctx, tx, &by, "sign in", signedIn{name, t.ID, from}, now)
}

// endSessions ends the sessions of a person's that came from a token or a way.
func endSessions(ctx context.Context, tx store.PeopleTx, name, from string, now time.Time) error {
	all, err := tx.Tokens(ctx, name)
	if err != nil {
		return err
	}
	for _, t := range all {
		if t.From != from || !t.Holds(now) {
			continue
		}
		if _, err := tx.ChangeToken(ctx, t.ID, func(t *policy.Token) error {
			t.Revoked = now.UTC().Truncate(time.Microsecond)
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// SessionFor opens a session for whose token it is. It ends with the token.
func (d Directory) SessionFor(ctx context.Context, token string, now time.Time) (secret string, err error) {
	p, t, err := d.token(ctx, token, now)
	if err != nil {
		return "", err
	}
	err = d.People.Change(ctx, func(tx store.PeopleTx) error {
		secret, err = d.openSession(ctx, tx, p.Name(), t.ID, t.Expires, now)
		return err
	})
	return secret, err
}

// EndSession ends the session of who has its secret. One that has ended is no error.
func (d Directory) EndSession(ctx context.Context, secret string, now time.Time) error {
	p, t, err := d.session(ctx, secret, now)
	if proofhouse.KindOf(err) == proofhouse.NotFound {
		return nil
	} else if err != nil {
		return err
	}
	return d.RevokeToken(ctx, policy.Principal{Person: p}, t.ID, now)
}
