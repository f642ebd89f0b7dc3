package app

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"proofhouse/internal/docket"
	"proofhouse/internal/policy"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/store"
)

// Directory is the register of organisations, people, tokens and requests for
// approval. Each method asks the guard first, and what it changes commits in one
// transaction with its entry in the stream "house", which names the actor.
// Methods are safe for concurrent use, by several processes too.
//
// The errors are proofhouse.NotFound and Refused as Guard.Check gives them,
// Invalid for what is malformed, Conflict for what is there already.
type Directory struct {
	People store.People
	Guard  *policy.Guard
	Cases  Cases
}

// Cases are looked at to know who is a member of which.
type Cases interface {
	// Case is the case; one that is not there is proofhouse.NotFound.
	Case(ctx context.Context, id proofhouse.CaseID) (docket.Case, error)
}

// houseLine is an entry of the stream "house" as it is written.
type houseLine struct {
	Stream string            `json:"stream"`
	Seq    int64             `json:"seq"` // from 1
	At     time.Time         `json:"at"`  // UTC, whole microseconds
	By     *proofhouse.Actor `json:"by,omitempty"`
	Act    string            `json:"act"`
	Says   any               `json:"says"`
}

// record keeps what was done, by whom. by is nil for what nobody with an account did.
func record(ctx context.Context, tx store.PeopleTx, by *proofhouse.Actor, act string, says any, now time.Time) error {
	at := now.UTC().Truncate(time.Microsecond)
	return tx.Record(ctx, at, func(seq int64) ([]byte, error) {
		return json.Marshal(houseLine{store.HouseStream, seq, at, by, act, says})
	})
}

// onPerson is what entries say of an act on a person.
type onPerson struct {
	Person string `json:"person"`
	Detail string `json:"detail,omitempty"`
}

// Register is the stream "house" above after, at most limit entries: what
// happened to people, as it was recorded.
func (d Directory) Register(ctx context.Context, who policy.Principal, after int64, limit int) ([]json.RawMessage, error) {
	if err := d.Guard.Check(who, policy.ReadRegister, policy.House{}); err != nil {
		return nil, err
	}
	entries, err := d.People.HouseEntries(ctx, after, limit)
	all := make([]json.RawMessage, len(entries))
	for i, e := range entries {
		all[i] = e.Body
	}
	return all, err
}

// FirstCode makes the one-time code for the first administrator, if there is
// nobody yet and none was made before; else it is "". It is printed once.
func (d Directory) FirstCode(ctx context.Context, now time.Time) (string, error) {
	return d.code(ctx, false, now)
}

// AnotherCode is Directory.AnotherCode, for whoever works on the house's
// machine. It opens the database alone, so the house may be running.
func (a *App) AnotherCode(ctx context.Context, cfg HouseConfig, now time.Time) (string, error) {
	if cfg.Database == "" {
		cfg.Database = "sqlite:" + a.Config.dir("house.db")
	}
	db, err := store.OpenExisting(ctx, cfg.Database)
	if err != nil {
		return "", err
	}
	defer db.Close()
	return Directory{People: store.NewPeople(db, a.Vault().Records(a.Config.dir("keys", "case")))}.AnotherCode(ctx, now)
}

// AnotherCode makes a code for whoever lost the first one. It is for those who
// have the database in their hands; where there is somebody it is proofhouse.Refused.
func (d Directory) AnotherCode(ctx context.Context, now time.Time) (string, error) {
	code, err := d.code(ctx, true, now)
	if err == nil && code == "" {
		return "", proofhouse.Errorf(proofhouse.Refused, nil, "the first administrator is there already: an administrator adds people")
	}
	return code, err
}

func (d Directory) code(ctx context.Context, another bool, now time.Time) (code string, err error) {
	err = d.People.Change(ctx, func(tx store.PeopleTx) error {
		code = ""
		nobody, noCode, err := tx.Empty(ctx)
		if err != nil || !nobody || !noCode && !another {
			return err
		}
		code = policy.NewCode()
		hash, _ := policy.HashCode(code)
		return tx.AddCode(ctx, hash, now)
	})
	if err != nil {
		return "", err
	}
	return code, nil
}

// Redeem spends the one-time code: it makes the organisation, the person, who
// becomes administrator, and a token of theirs, which is given once. Whoever is
// second is refused, with the same code or another.
func (d Directory) Redeem(ctx context.Context, code string, o policy.Organisation, p policy.Person, now time.Time) (token string, err error) {
	hash, ok := policy.HashCode(code)
	if !ok {
		return "", proofhouse.Errorf(proofhouse.Refused, nil, "this code is not valid: it is mistyped, or the first administrator is there already")
	}
	p = policy.Person{Organisation: o.ID, ID: p.ID, Title: p.Title, House: []policy.HouseRole{policy.Administrator}, Enrolled: true}
	if err := valid(o, p); err != nil {
		return "", err
	}
	err = d.People.Change(ctx, func(tx store.PeopleTx) error {
		if err := tx.UseCode(ctx, hash, now); err != nil {
			return err
		}
		if err := tx.AddOrganisation(ctx, o); err != nil {
			return err
		}
		if err := tx.AddPerson(ctx, p); err != nil {
			return err
		}
		var t policy.Token
		token, t = newToken(p, "first", now.Add(firstTokenLife), now)
		if err := tx.AddToken(ctx, t); err != nil {
			return err
		}
		return record(ctx, tx, nil, "redeem the first code", struct {
			Organisation policy.Organisation `json:"organisation"`
			Person       policy.Person       `json:"person"`
			Token        string              `json:"token"`
		}{o, p, t.ID}, now)
	})
	if err != nil {
		return "", err
	}
	return token, nil
}

// firstTokenLife is how long the first administrator's token lasts.
const firstTokenLife = 90 * 24 * time.Hour

func newToken(p policy.Person, label string, expires, now time.Time) (string, policy.Token) {
	token := policy.NewToken()
	hash, _ := policy.HashToken(token)
	return token, policy.Token{
		ID: "token-" + proofhouse.Token(5), Owner: p.Name(), Label: label, Hash: hash,
		Issued: now.UTC().Truncate(time.Microsecond), Expires: expires.UTC().Truncate(time.Microsecond),
	}
}

func valid(o policy.Organisation, p policy.Person) error {
	if err := o.Validate(); err != nil {
		return err
	}
	return p.Validate()
}

// Authenticate is whose token it is. Any token that is not in force, for
// whatever reason, is proofhouse.NotFound with one sentence. It keeps the day on
// which a token was last used.
func (d Directory) Authenticate(ctx context.Context, token string, now time.Time) (policy.Person, error) {
	p, _, err := d.token(ctx, token, now)
	return p, err
}

func (d Directory) token(ctx context.Context, token string, now time.Time) (policy.Person, policy.Token, error) {
	none := proofhouse.Errorf(proofhouse.NotFound, nil, "that token is nobody's: it is wrong, has ended or was revoked")
	hash, ok := policy.HashToken(token)
	if !ok {
		return policy.Person{}, policy.Token{}, none
	}
	p, t, err := d.whose(ctx, hash, none, now)
	if err != nil {
		return policy.Person{}, t, err
	}
	if _, fresh := t.UsedAt(now); fresh {
		if err := d.People.Change(ctx, func(tx store.PeopleTx) error {
			_, err := tx.ChangeToken(ctx, t.ID, func(t *policy.Token) error {
				*t, _ = t.UsedAt(now)
				return nil
			})
			return err
		}); err != nil {
			return policy.Person{}, t, err
		}
	}
	return p, t, nil
}

// CreateOrganisation adds an organisation.
func (d Directory) CreateOrganisation(ctx context.Context, who policy.Principal, o policy.Organisation, now time.Time) error {
	return d.change(ctx, who, policy.CreateOrganisation, o, now, func(tx store.PeopleTx, who policy.Principal) error {
		if err := d.Guard.Check(who, policy.CreateOrganisation, policy.House{}); err != nil {
			return err
		}
		if err := o.Validate(); err != nil {
			return err
		}
		return tx.AddOrganisation(ctx, o)
	})
}

// CreatePerson adds a person, who has no role and no token yet: see IssueToken.
// Only organisation, id and title are taken from p.
func (d Directory) CreatePerson(ctx context.Context, who policy.Principal, p policy.Person, now time.Time) error {
	p = policy.Person{Organisation: p.Organisation, ID: p.ID, Title: p.Title}
	return d.change(ctx, who, policy.CreatePerson, p, now, func(tx store.PeopleTx, who policy.Principal) error {
		if err := d.Guard.Check(who, policy.CreatePerson, policy.Organisation{ID: p.Organisation}); err != nil {
			return err
		}
		if err := p.Validate(); err != nil {
			return err
		}
		if _, err := tx.Organisation(ctx, p.Organisation); err != nil {
			return err
		}
		return tx.AddPerson(ctx, p)
	})
}

// change makes a change and its entry. The principal that change is given is as it is kept, so that
// an account that ended or a role that was taken meanwhile counts.
func (d Directory) change(ctx context.Context, who policy.Principal, what policy.Action, says any, now time.Time, change func(store.PeopleTx, policy.Principal) error) error {
	by := who.Actor()
	return d.People.Change(ctx, func(tx store.PeopleTx) error {
		who, err := current(ctx, tx, who)
		if err != nil {
			return err
		}
		if err := change(tx, who); err != nil {
			return err
		}
		return record(ctx, tx, &by, what.String(), says, now)
	})
}

// current is a principal as it is kept.
func current(ctx context.Context, tx store.PeopleTx, who policy.Principal) (policy.Principal, error) {
	var err error
	who.Person, err = tx.Person(ctx, who.Person.Name())
	return who, err
}

// onPerson asks the guard about a person as it is kept, changes it and records that. Whoever may
// not know of the person is told that there is none, as if there were none.
func (d Directory) onPerson(ctx context.Context, who policy.Principal, what policy.Action, name, detail string, now time.Time, change func(store.PeopleTx, *policy.Person) error) error {
	return d.change(ctx, who, what, onPerson{name, detail}, now, func(tx store.PeopleTx, who policy.Principal) error {
		_, err := tx.ChangePerson(ctx, name, func(p *policy.Person) error {
			if err := d.Guard.Check(who, what, *p); err != nil {
				return err
			}
			return change(tx, p)
		})
		return err
	})
}

// GiveRole gives the person of that name (PERSON@ORGANISATION) a role of the house.
func (d Directory) GiveRole(ctx context.Context, who policy.Principal, name string, role policy.HouseRole, now time.Time) error {
	if err := role.Validate(); err != nil {
		return err
	}
	return d.onPerson(ctx, who, policy.GiveRole(role), name, string(role), now, func(_ store.PeopleTx, p *policy.Person) error {
		return add(&p.House, role)
	})
}

// TakeRole takes it away. The last administrator stays one: proofhouse.Refused.
func (d Directory) TakeRole(ctx context.Context, who policy.Principal, name string, role policy.HouseRole, now time.Time) error {
	if err := role.Validate(); err != nil {
		return err
	}
	return d.onPerson(ctx, who, policy.TakeRole(role), name, string(role), now, func(tx store.PeopleTx, p *policy.Person) error {
		if role == policy.Administrator {
			if err := otherAdministrator(ctx, tx, p.Name()); err != nil {
				return err
			}
		}
		return remove(&p.House, role)
	})
}

// EndPerson ends an account, and with it all its tokens at once. What the person did stays, and
// memberships in cases are docket's.
func (d Directory) EndPerson(ctx context.Context, who policy.Principal, name string, now time.Time) error {
	return d.onPerson(ctx, who, policy.EndPerson, name, "", now, func(tx store.PeopleTx, p *policy.Person) error {
		if !p.Ended.IsZero() {
			return proofhouse.Errorf(proofhouse.Conflict, nil, "this account has ended already")
		}
		if slices.Contains(p.House, policy.Administrator) {
			if err := otherAdministrator(ctx, tx, name); err != nil {
				return err
			}
		}
		p.Ended = now.UTC().Truncate(time.Microsecond)
		return nil
	})
}

// otherAdministrator is proofhouse.Refused if there is none but name.
func otherAdministrator(ctx context.Context, tx store.PeopleTx, name string) error {
	all, err := tx.Everybody(ctx)
	if err != nil {
		return err
	}
	for _, p := range all {
		if p.Name() != name && p.Ended.IsZero() && slices.Contains(p.House, policy.Administrator) {
			return nil
		}
	}
	return proofhouse.Errorf(proofhouse.Refused, nil, "that is the last administrator: make another one first")
}

// GiveClearance clears a person for a compartment, or for a marking such as TLP:RED.
func (d Directory) GiveClearance(ctx context.Context, who policy.Principal, name, clearance string, now time.Time) error {
	if err := policy.ValidClearance(clearance); err != nil {
		return err
	}
	return d.onPerson(ctx, who, policy.GiveClearance, name, clearance, now, func(_ store.PeopleTx, p *policy.Person) error {
		return add(&p.Clearances, clearance)
	})
}

// TakeClearance takes it away.
func (d Directory) TakeClearance(ctx context.Context, who policy.Principal, name, clearance string, now time.Time) error {
	return d.onPerson(ctx, who, policy.TakeClearance, name, clearance, now, func(_ store.PeopleTx, p *policy.Person) error {
		return remove(&p.Clearances, clearance)
	})
}

// DeclareConflict says that a person has a conflict of interest, which closes those cases to them.
// It does not ask whether there is such an organisation or case, of which the person may not know.
func (d Directory) DeclareConflict(ctx context.Context, who policy.Principal, name string, c policy.Conflict, now time.Time) error {
	if err := c.Validate(); err != nil {
		return err
	}
	return d.onPerson(ctx, who, policy.DeclareConflict, name, string(c.With)+string(c.In), now, func(_ store.PeopleTx, p *policy.Person) error {
		if c.With != "" {
			return add(&p.ConflictsWith, c.With)
		}
		return add(&p.ConflictsIn, c.In)
	})
}

// LiftConflict takes that back.
func (d Directory) LiftConflict(ctx context.Context, who policy.Principal, name string, c policy.Conflict, now time.Time) error {
	if err := c.Validate(); err != nil {
		return err
	}
	return d.onPerson(ctx, who, policy.LiftConflict, name, string(c.With)+string(c.In), now, func(_ store.PeopleTx, p *policy.Person) error {
		if c.With != "" {
			return remove(&p.ConflictsWith, c.With)
		}
		return remove(&p.ConflictsIn, c.In)
	})
}

// maxList bounds the roles, clearances and conflicts of one person.
const maxList = 1000

func add[T comparable](to *[]T, v T) error {
	switch {
	case slices.Contains(*to, v):
		return proofhouse.Errorf(proofhouse.Conflict, nil, "the person has that already")
	case len(*to) >= maxList:
		return proofhouse.Errorf(proofhouse.Limit, nil, "a person has at most %d of these", maxList)
	}
	*to = append(*to, v)
	return nil
}

func remove[T comparable](from *[]T, v T) error {
	i := slices.Index(*from, v)
	if i < 0 {
		return proofhouse.Errorf(proofhouse.NotFound, nil, "the person does not have that")
	}
	*from = slices.Delete(*from, i, i+1)
	return nil
}

// Organisations are those of which who may know, by id.
func (d Directory) Organisations(ctx context.Context, who policy.Principal) ([]policy.Organisation, error) {
	all, err := d.People.Organisations(ctx)
	return slices.DeleteFunc(all, func(o policy.Organisation) bool { return !d.knows(who, o) }), err
}

// Of is the people of an organisation, by name, as far as who may know of them. Conflicts and
// clearances are given only to whom they are of, and to administrators and security officers.
func (d Directory) Of(ctx context.Context, who policy.Principal, o proofhouse.OrganisationID) ([]policy.Person, error) {
	if on := (policy.Organisation{ID: o}); !d.knows(who, on) {
		return nil, policy.NotFound(on)
	}
	all, err := d.People.Of(ctx, o)
	all = slices.DeleteFunc(all, func(p policy.Person) bool { return !d.knows(who, p) })
	for i := range all {
		if !d.Guard.Decide(who, policy.ListTokens, all[i]).Allow {
			all[i].Clearances, all[i].ConflictsIn, all[i].ConflictsWith = nil, nil, nil
		}
	}
	return all, err
}

func (d Directory) knows(who policy.Principal, on policy.Resource) bool {
	return d.Guard.Decide(who, policy.Know, on).Allow
}

// IssueToken makes a token for the person of that name, which is given once.
// Everybody makes their own; an administrator makes a newcomer's first.
func (d Directory) IssueToken(ctx context.Context, who policy.Principal, name, label string, expires, now time.Time) (token string, t policy.Token, err error) {
	err = d.People.Change(ctx, func(tx store.PeopleTx) error {
		who, err := current(ctx, tx, who)
		if err != nil {
			return err
		}
		p, err := tx.ChangePerson(ctx, name, func(p *policy.Person) error {
			if err := d.Guard.Check(who, policy.IssueToken, *p); err != nil {
				return err
			}
			if !p.Ended.IsZero() {
				return proofhouse.Errorf(proofhouse.Refused, nil, "this account has ended")
			}
			p.Enrolled = true
			return nil
		})
		if err != nil {
			return err
		}
		token, t = newToken(p, label, expires, now)
		if err := t.Validate(); err != nil {
			return err
		}
		if err := tx.AddToken(ctx, t); err != nil {
			return err
		}
		by := who.Actor()
		return record(ctx, tx, &by, string(policy.IssueToken), onPerson{name, t.ID}, now)
	})
	if err != nil {
		return "", policy.Token{}, err
	}
	return token, t, nil
}

// Tokens are those that a person has had, oldest first.
func (d Directory) Tokens(ctx context.Context, who policy.Principal, name string) ([]policy.Token, error) {
	p, err := d.People.Person(ctx, name)
	if err != nil {
		return nil, err
	}
	if err := d.Guard.Check(who, policy.ListTokens, p); err != nil {
		return nil, err
	}
	return d.People.Tokens(ctx, name)
}

// RevokeToken ends a token at once, and the sessions that it opened. One that has ended is proofhouse.Conflict.
func (d Directory) RevokeToken(ctx context.Context, who policy.Principal, id string, now time.Time) error {
	return d.change(ctx, who, policy.RevokeToken, struct {
		Token string `json:"token"`
	}{id}, now, func(tx store.PeopleTx, who policy.Principal) error {
		t, err := tx.ChangeToken(ctx, id, func(t *policy.Token) error {
			if err := d.Guard.Check(who, policy.RevokeToken, *t); err != nil {
				return err
			}
			if !t.Holds(now) {
				return proofhouse.Errorf(proofhouse.Conflict, nil, "this token is not in force any more")
			}
			t.Revoked = now.UTC().Truncate(time.Microsecond)
			return nil
		})
		if err != nil {
			return err
		}
		return endSessions(ctx, tx, t.Owner, id, now)
	})
}
