package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"proofhouse/internal/ledger"
	"proofhouse/internal/policy"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/store/query"
	"proofhouse/internal/vault"
)

// People is the database as the house keeps organisations, people, their
// tokens and their requests in it, and what happened to them in the stream
// "house". All that says who somebody is, or why, is sealed under the house's
// key; rows are found by keyed hashes.
type People struct{ Outbox }

// NewPeople are those in db, whose rows are sealed under keys.
func NewPeople(db *DB, keys *vault.Records) People { return People{Outbox{db, keys}} }

// HouseStream is the stream of what happens to people and keys.
const HouseStream = "house"

// PeopleTx is a transaction on people. Its methods' errors are to be returned
// from the change.
type PeopleTx struct {
	Tx
	p People
}

// Change runs change in one transaction, as DB.Update does.
func (p People) Change(ctx context.Context, change func(PeopleTx) error) error {
	return p.Update(ctx, func(tx Tx) error { return change(PeopleTx{tx, p}) })
}

// Record keeps an entry of the stream "house", and its place in the queue for the log, with the
// transaction. body makes it, given its seq.
func (tx PeopleTx) Record(ctx context.Context, at time.Time, body func(seq int64) ([]byte, error)) error {
	seq, err := tx.q.NextNumber(ctx, HouseStream)
	if err != nil {
		return err
	}
	b, err := body(seq)
	if err != nil {
		return err
	}
	return tx.p.append(ctx, tx.Tx, ledger.Entry{Stream: HouseStream, Seq: seq, Body: b, Salt: ledger.NewSalt()}, at)
}

// HouseEntries are the entries of the stream "house" above after, at most limit.
func (p People) HouseEntries(ctx context.Context, after int64, limit int) ([]ledger.Entry, error) {
	rows, err := query.New(p.sql).Entries(ctx, query.EntriesParams{Stream: HouseStream, After: after, Most: int32(min(limit, page))}) //nolint:gosec // bounded
	if err != nil {
		return nil, p.dialect.explain(err)
	}
	all := make([]ledger.Entry, len(rows))
	for i, row := range rows {
		if all[i], err = p.open(row); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// find is a name by which a row is found.
func (p People) find(kind, name string) ([]byte, error) {
	return p.keys.Blind(houseKey, []byte(kind+"\n"+name))
}

// seal seals v as the row of that kind and name.
func (p People) seal(kind, name string, v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return p.keys.Seal(houseKey, []byte(kind+"\n"+name), b)
}

// unseal reads into v what seal made of it.
func (p People) unseal(kind, name string, sealed []byte, v any) error {
	b, err := p.keys.Open(houseKey, []byte(kind+"\n"+name), sealed)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return proofhouse.Errorf(proofhouse.Integrity, err, "a row of people is damaged")
	}
	return nil
}

// AddOrganisation adds one. One whose id or title looks like another's is proofhouse.Conflict.
func (tx PeopleTx) AddOrganisation(ctx context.Context, o policy.Organisation) error {
	who, err := tx.p.find("organisation", string(o.ID))
	if err != nil {
		return err
	}
	look, err := tx.p.find("look", policy.Look(string(o.ID)))
	if err != nil {
		return err
	}
	titleLook, err := tx.p.find("title", policy.Look(o.Title))
	if err != nil {
		return err
	}
	sealed, err := tx.p.seal("organisation", string(who), o)
	if err != nil {
		return err
	}
	err = tx.q.AddOrganisation(ctx, query.AddOrganisationParams{Who: who, Look: look, TitleLook: titleLook, Sealed: sealed})
	return tx.taken(err, "there is an organisation of that name, or of one that looks like it: choose another")
}

// taken says what exists already.
func (tx PeopleTx) taken(err error, sentence string) error {
	if explained := tx.p.dialect.explain(err); proofhouse.KindOf(explained) == proofhouse.Conflict && !errors.Is(explained, errRace) {
		return proofhouse.Errorf(proofhouse.Conflict, nil, "%s", sentence)
	}
	return err
}

// Organisation is the one of that id; the error is proofhouse.NotFound.
func (tx PeopleTx) Organisation(ctx context.Context, id proofhouse.OrganisationID) (o policy.Organisation, err error) {
	return tx.p.organisation(ctx, tx.q, id)
}

func (p People) organisation(ctx context.Context, q *query.Queries, id proofhouse.OrganisationID) (o policy.Organisation, err error) {
	who, err := p.find("organisation", string(id))
	if err != nil {
		return o, err
	}
	sealed, err := q.Organisation(ctx, who)
	if errors.Is(err, sql.ErrNoRows) {
		return o, policy.NotFound(o)
	} else if err != nil {
		return o, err
	}
	return o, p.unseal("organisation", string(who), sealed, &o)
}

// Organisations are all of them, by id.
func (p People) Organisations(ctx context.Context) ([]policy.Organisation, error) {
	rows, err := query.New(p.sql).Organisations(ctx)
	if err != nil {
		return nil, p.dialect.explain(err)
	}
	all := make([]policy.Organisation, len(rows))
	for i, row := range rows {
		if err := p.unseal("organisation", string(row.Who), row.Sealed, &all[i]); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(all, func(a, b policy.Organisation) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return all, nil
}

// AddPerson adds one to an organisation that is there. One whose id looks like another's there is
// proofhouse.Conflict.
func (tx PeopleTx) AddPerson(ctx context.Context, p policy.Person) error {
	who, err := tx.p.find("person", p.Name())
	if err != nil {
		return err
	}
	organisation, err := tx.p.find("organisation", string(p.Organisation))
	if err != nil {
		return err
	}
	look, err := tx.p.find("look", policy.Look(string(p.ID))+"@"+string(p.Organisation))
	if err != nil {
		return err
	}
	sealed, err := tx.p.seal("person", string(who), p)
	if err != nil {
		return err
	}
	err = tx.q.AddPerson(ctx, query.AddPersonParams{Who: who, Organisation: organisation, Look: look, Sealed: sealed})
	return tx.taken(err, "there is a person of that name, or of one that looks like it: choose another")
}

// ChangePerson keeps what change makes of a person, and gives it. The error is proofhouse.NotFound.
func (tx PeopleTx) ChangePerson(ctx context.Context, name string, change func(*policy.Person) error) (policy.Person, error) {
	p, who, version, err := tx.p.person(ctx, tx.q, name)
	if err != nil {
		return p, err
	}
	if err := change(&p); err != nil {
		return p, err
	}
	sealed, err := tx.p.seal("person", string(who), p)
	if err != nil {
		return p, err
	}
	res, err := tx.q.ChangePerson(ctx, query.ChangePersonParams{Sealed: sealed, Who: who, Version: version})
	if err != nil {
		return p, err
	}
	return p, changed(res)
}

// Person is the one of that name; the error is proofhouse.NotFound.
func (tx PeopleTx) Person(ctx context.Context, name string) (policy.Person, error) {
	p, _, _, err := tx.p.person(ctx, tx.q, name)
	return p, err
}

// Person is the one of that name; the error is proofhouse.NotFound.
func (p People) Person(ctx context.Context, name string) (policy.Person, error) {
	person, _, _, err := p.person(ctx, query.New(p.sql), name)
	return person, p.dialect.explain(err)
}

func (p People) person(ctx context.Context, q *query.Queries, name string) (person policy.Person, who []byte, version int64, err error) {
	if who, err = p.find("person", name); err != nil {
		return person, nil, 0, err
	}
	row, err := q.Person(ctx, who)
	if errors.Is(err, sql.ErrNoRows) {
		return person, nil, 0, policy.NotFound(person)
	} else if err != nil {
		return person, nil, 0, err
	}
	return person, who, row.Version, p.unseal("person", string(who), row.Sealed, &person)
}

// Everybody is all people, by name.
func (tx PeopleTx) Everybody(ctx context.Context) ([]policy.Person, error) {
	rows, err := tx.q.People(ctx)
	if err != nil {
		return nil, err
	}
	return tx.p.people(rows)
}

// Of is the people of an organisation, by name.
func (p People) Of(ctx context.Context, o proofhouse.OrganisationID) ([]policy.Person, error) {
	organisation, err := p.find("organisation", string(o))
	if err != nil {
		return nil, err
	}
	rows, err := query.New(p.sql).PeopleOf(ctx, organisation)
	if err != nil {
		return nil, p.dialect.explain(err)
	}
	all := make([]query.PeopleRow, len(rows))
	for i, row := range rows {
		all[i] = query.PeopleRow(row)
	}
	return p.people(all)
}

func (p People) people(rows []query.PeopleRow) ([]policy.Person, error) {
	all := make([]policy.Person, len(rows))
	for i, row := range rows {
		if err := p.unseal("person", string(row.Who), row.Sealed, &all[i]); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(all, func(a, b policy.Person) int { return strings.Compare(a.Name(), b.Name()) })
	return all, nil
}

// AddToken adds a person's token.
func (tx PeopleTx) AddToken(ctx context.Context, t policy.Token) error {
	person, err := tx.p.find("person", t.Owner)
	if err != nil {
		return err
	}
	sealed, err := tx.p.seal("token", t.ID, t)
	if err != nil {
		return err
	}
	return tx.q.AddToken(ctx, query.AddTokenParams{ID: t.ID, Hash: t.Hash, Person: person, Sealed: sealed})
}

// ChangeToken keeps what change makes of a token, and gives it. The error is proofhouse.NotFound.
func (tx PeopleTx) ChangeToken(ctx context.Context, id string, change func(*policy.Token) error) (t policy.Token, err error) {
	row, err := tx.q.Token(ctx, id)
	if errors.Is(err, sql.ErrNoRows) {
		return t, policy.NotFound(t)
	} else if err != nil {
		return t, err
	}
	if err := tx.p.unseal("token", id, row.Sealed, &t); err != nil {
		return t, err
	}
	if err := change(&t); err != nil {
		return t, err
	}
	sealed, err := tx.p.seal("token", id, t)
	if err != nil {
		return t, err
	}
	res, err := tx.q.ChangeToken(ctx, query.ChangeTokenParams{Sealed: sealed, ID: id, Version: row.Version})
	if err != nil {
		return t, err
	}
	return t, changed(res)
}

// TokenByHash is the token of that hash, in force or not; the error is proofhouse.NotFound.
func (p People) TokenByHash(ctx context.Context, hash string) (t policy.Token, err error) {
	row, err := query.New(p.sql).TokenByHash(ctx, hash)
	if errors.Is(err, sql.ErrNoRows) {
		return t, policy.NotFound(t)
	} else if err != nil {
		return t, p.dialect.explain(err)
	}
	return t, p.unseal("token", row.ID, row.Sealed, &t)
}

// Tokens are all that a person has had, oldest first.
func (p People) Tokens(ctx context.Context, name string) ([]policy.Token, error) {
	all, err := p.tokens(ctx, query.New(p.sql), name)
	return all, p.dialect.explain(err)
}

func (p People) tokens(ctx context.Context, q *query.Queries, name string) ([]policy.Token, error) {
	person, err := p.find("person", name)
	if err != nil {
		return nil, err
	}
	rows, err := q.TokensOf(ctx, person)
	if err != nil {
		return nil, err
	}
	all := make([]policy.Token, len(rows))
	for i, row := range rows {
		if err := p.unseal("token", row.ID, row.Sealed, &all[i]); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(all, func(a, b policy.Token) int { return a.Issued.Compare(b.Issued) })
	return all, nil
}

// AddAsked adds a request.
func (tx PeopleTx) AddAsked(ctx context.Context, a policy.Asked) error {
	about, err := tx.p.find("about", string(a.Case.ID))
	if err != nil {
		return err
	}
	sealed, err := tx.p.seal("asked", a.ID, keptAsked(a))
	if err != nil {
		return err
	}
	return tx.q.AddApproval(ctx, query.AddApprovalParams{ID: a.ID, About: about, Sealed: sealed})
}

// keptAsked is a as it is kept: of the case no more than its id.
func keptAsked(a policy.Asked) policy.Asked {
	a.Case = policy.Case{ID: a.Case.ID}
	return a
}

// ChangeAsked keeps what change makes of a request, and gives it. The error is proofhouse.NotFound.
func (tx PeopleTx) ChangeAsked(ctx context.Context, id string, change func(*policy.Asked) error) (a policy.Asked, err error) {
	row, err := tx.q.Approval(ctx, id)
	if errors.Is(err, sql.ErrNoRows) {
		return a, policy.NotFound(a)
	} else if err != nil {
		return a, err
	}
	if err := tx.p.unseal("asked", id, row.Sealed, &a); err != nil {
		return a, err
	}
	if err := change(&a); err != nil {
		return a, err
	}
	sealed, err := tx.p.seal("asked", id, keptAsked(a))
	if err != nil {
		return a, err
	}
	res, err := tx.q.ChangeApproval(ctx, query.ChangeApprovalParams{Sealed: sealed, ID: id, Version: row.Version})
	if err != nil {
		return a, err
	}
	return a, changed(res)
}

// Asked is the request of that id; the error is proofhouse.NotFound.
func (p People) Asked(ctx context.Context, id string) (a policy.Asked, err error) {
	row, err := query.New(p.sql).Approval(ctx, id)
	if errors.Is(err, sql.ErrNoRows) {
		return a, policy.NotFound(a)
	} else if err != nil {
		return a, p.dialect.explain(err)
	}
	return a, p.unseal("asked", id, row.Sealed, &a)
}

// AskedAbout are the requests about a case, oldest first.
func (p People) AskedAbout(ctx context.Context, id proofhouse.CaseID) ([]policy.Asked, error) {
	all, err := p.askedAbout(ctx, query.New(p.sql), id)
	return all, p.dialect.explain(err)
}

// AskedAbout are the requests about a case, oldest first.
func (tx PeopleTx) AskedAbout(ctx context.Context, id proofhouse.CaseID) ([]policy.Asked, error) {
	return tx.p.askedAbout(ctx, tx.q, id)
}

func (p People) askedAbout(ctx context.Context, q *query.Queries, id proofhouse.CaseID) ([]policy.Asked, error) {
	about, err := p.find("about", string(id))
	if err != nil {
		return nil, err
	}
	rows, err := q.ApprovalsAbout(ctx, about)
	if err != nil {
		return nil, err
	}
	all := make([]policy.Asked, len(rows))
	for i, row := range rows {
		if err := p.unseal("asked", row.ID, row.Sealed, &all[i]); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(all, func(a, b policy.Asked) int { return a.At.Compare(b.At) })
	return all, nil
}

// AskedAboutEach are the requests about each of a page of cases, oldest first, in one query.
func (p People) AskedAboutEach(ctx context.Context, ids []proofhouse.CaseID) (map[proofhouse.CaseID][]policy.Asked, error) {
	all := map[proofhouse.CaseID][]policy.Asked{}
	for part := range slices.Chunk(ids, page) {
		if err := p.dialect.explain(p.askedAmong(ctx, part, all)); err != nil {
			return nil, err
		}
	}
	for _, asked := range all {
		slices.SortFunc(asked, func(a, b policy.Asked) int { return a.At.Compare(b.At) })
	}
	return all, nil
}

// askedAmong puts those about at most a page of cases into all. sqlc has no list of
// arguments that both databases read, so the text is made here.
func (p People) askedAmong(ctx context.Context, ids []proofhouse.CaseID, all map[proofhouse.CaseID][]policy.Asked) error {
	var about []any
	var places []string
	for i, id := range ids {
		a, err := p.find("about", string(id))
		if err != nil {
			return err
		}
		about, places = append(about, a), append(places, "$"+strconv.Itoa(i+1))
	}
	rows, err := p.sql.QueryContext(ctx, "SELECT id, sealed FROM approval WHERE about IN ("+strings.Join(places, ", ")+")", about...) //nolint:gosec // numbers
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		var sealed []byte
		var a policy.Asked
		if err := rows.Scan(&id, &sealed); err != nil {
			return err
		}
		if err := p.unseal("asked", id, sealed, &a); err != nil {
			return err
		}
		all[a.Case.ID] = append(all[a.Case.ID], a)
	}
	return rows.Err()
}

// Empty says whether there is nobody, and no code was ever made.
func (tx PeopleTx) Empty(ctx context.Context) (people, codes bool, err error) {
	n, err := tx.q.CountPeople(ctx)
	if err != nil {
		return false, false, err
	}
	m, err := tx.q.CountSetups(ctx)
	return n == 0, m == 0, err
}

// AddCode keeps a one-time code by its hash.
func (tx PeopleTx) AddCode(ctx context.Context, hash string, now time.Time) error {
	return tx.q.AddSetup(ctx, query.AddSetupParams{Hash: hash, MadeAt: now.UnixMicro()})
}

// UseCode spends a code, and with it all others. One that is not there or was spent is
// proofhouse.Refused.
func (tx PeopleTx) UseCode(ctx context.Context, hash string, now time.Time) error {
	res, err := tx.q.UseSetup(ctx, query.UseSetupParams{UsedAt: now.UnixMicro(), Hash: hash})
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err != nil {
		return err
	}
	used, err := tx.q.UsedSetups(ctx)
	if err != nil {
		return err
	}
	if n == 0 || used > 1 {
		return proofhouse.Errorf(proofhouse.Refused, nil, "this code is not valid: it is mistyped, or the first administrator is there already")
	}
	return nil
}
