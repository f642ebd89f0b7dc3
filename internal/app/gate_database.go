package app

import (
	"context"
	"os"
	"os/user"
	"strconv"
	"time"

	"proofhouse/internal/gate"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/store"
)

// follow opens the database whose revocations a gate follows; "" is none.
// done closes it.
func follow(ctx context.Context, database string) (f gate.Follow, done func(), err error) {
	if database == "" {
		return f, func() {}, nil
	}
	db, err := store.Open(ctx, database)
	if err != nil {
		return f, nil, err
	}
	return gate.Follow{Source: store.Gate{DB: db}, Instance: "gate-" + proofhouse.Token(5)}, func() { db.Close() }, nil
}

// SharedRevocation is a revocation that stands in the database, and what the gates made of it.
type SharedRevocation struct {
	Number int64 `json:"number"`
	// Gates were alive when it was written; at InForce of them it was in force within Took.
	Gates   int           `json:"gates"`
	InForce int           `json:"in_force"`
	Took    time.Duration `json:"took_ns"`
}

const (
	// alive is how long after its last beat a gate is waited for.
	alive = 10 * time.Second
	// confirm is how long; by then a gate that did not hear of it admits nothing.
	confirm = 3 * time.Second
)

// RevokeShared revokes what is named
// at every gate that follows the database, and waits a while for them. What
// the database has is for good, whether they answered or not.
func (a *App) RevokeShared(ctx context.Context, database string, what gate.Revocation) (done SharedRevocation, err error) {
	if err := what.Validate(); err != nil {
		return done, err
	}
	db, err := store.OpenExisting(ctx, database)
	if err != nil {
		return done, err
	}
	defer db.Close()
	shared, began := store.Gate{DB: db}, time.Now()
	what.Actor, what.Time = localUser(), began
	done.Number, err = shared.Revoke(ctx, what)
	if err != nil {
		return done, err
	}
	for {
		all, err := shared.Instances(ctx)
		if err != nil {
			return done, nil //nolint:nilerr // it is written; only who has heard of it is unknown
		}
		done.Gates, done.InForce, done.Took = 0, 0, time.Since(began)
		for _, i := range all {
			if began.Sub(i.Seen) > alive {
				continue
			}
			done.Gates++
			if i.Applied >= done.Number {
				done.InForce++
			}
		}
		if done.InForce == done.Gates || done.Took > confirm {
			return done, nil
		}
		select {
		case <-ctx.Done():
			return done, nil
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// localUser names who works on this machine.
func localUser() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "uid " + strconv.Itoa(os.Getuid())
}
