package store

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"sync"
	"time"

	"proofhouse/internal/clearing"
	"proofhouse/internal/ledger"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/store/query"
	"proofhouse/internal/vault"
)

// Clearing is the database as findings are kept in it: a project's events are entries of a stream of its own, sealed under a key of its
// own. Which projects there are the database does not show.
type Clearing struct {
	Outbox

	mu sync.Mutex
	// known are projects as they were last seen: with ten thousand findings in one, it is not made from its entries each time.
	known map[string]clearing.Project
}

var _ clearing.Store = (*Clearing)(nil)

// NewClearing are the findings in db, whose rows are sealed under keys.
func NewClearing(db *DB, keys *vault.Records) *Clearing {
	return &Clearing{Outbox: Outbox{db, keys}, known: map[string]clearing.Project{}}
}

// maxKnown bounds the projects in memory.
const maxKnown = 64

// Stream is the id of a project, under which its events, its key and its files are.
func (c *Clearing) Stream(purl string) (string, error) {
	blind, err := c.keys.Blind(houseKey, []byte("project\n"+purl))
	if err != nil {
		return "", err
	}
	return "project-" + hex.EncodeToString(blind[:20]), nil
}

// Project implements clearing.Store.
func (c *Clearing) Project(ctx context.Context, purl string) (clearing.Project, error) {
	stream, err := c.Stream(purl)
	if err != nil {
		return clearing.Project{}, err
	}
	p, err := c.fold(ctx, query.New(c.sql), stream, purl)
	return p, c.dialect.explain(err)
}

// fold makes the project from its entries, from where it was seen last.
func (c *Clearing) fold(ctx context.Context, q *query.Queries, stream, purl string) (clearing.Project, error) {
	c.mu.Lock()
	p, ok := c.known[stream]
	c.mu.Unlock()
	if !ok {
		p = clearing.Project{Purl: purl}
	}
	for {
		rows, err := q.Entries(ctx, query.EntriesParams{Stream: stream, After: int64(p.Version), Most: page})
		if err != nil {
			return p, err
		}
		records := make([]clearing.Record, len(rows))
		for i, row := range rows {
			if records[i], err = c.record(row); err != nil {
				return p, err
			}
		}
		if p, err = p.Replay(records...); err != nil {
			return p, err
		}
		if len(rows) < page {
			return p, nil
		}
	}
}

func (c *Clearing) record(row query.Entry) (clearing.Record, error) {
	e, err := c.open(row)
	if err != nil {
		return clearing.Record{}, err
	}
	return clearing.ParseRecord(e.Body)
}

// remember keeps a project that is committed.
func (c *Clearing) remember(stream string, p clearing.Project) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.known[stream]; !ok && len(c.known) >= maxKnown {
		for other := range c.known {
			delete(c.known, other)
			break
		}
	}
	if c.known[stream].Version < p.Version {
		c.known[stream] = p
	}
}

// Change implements clearing.Store.
func (c *Clearing) Change(ctx context.Context, purl string, r clearing.Request, decide func(clearing.Project) (clearing.Event, error), now time.Time) (p clearing.Project, seq int, err error) {
	stream, err := c.Stream(purl)
	if err != nil {
		return p, 0, err
	}
	err = c.Update(ctx, func(tx Tx) error {
		p, seq = clearing.Project{}, 0
		before, err := c.fold(ctx, tx.q, stream, purl)
		if err != nil {
			return err
		}
		p = before
		if seq, err = c.repeated(ctx, tx, stream, r); err != nil || seq > 0 {
			return err
		}
		e, err := decide(before)
		if err != nil || e.Act == nil {
			return err
		}
		after, err := before.Apply(e, now)
		if err != nil {
			return err
		}
		if err := c.keep(ctx, tx, stream, after, e, r); err != nil {
			return err
		}
		p, seq = after, after.Version
		return nil
	})
	if err != nil {
		return p, 0, err
	}
	if p.Version > 0 {
		c.remember(stream, p)
	}
	return p, seq, nil
}

// keep keeps the event that made after what it is, and all that follows from it.
func (c *Clearing) keep(ctx context.Context, tx Tx, stream string, after clearing.Project, e clearing.Event, r clearing.Request) error {
	if after.Version == 1 {
		sealed, err := c.keys.Seal(stream, aboutProject(stream), []byte(after.Purl))
		if err != nil {
			return err
		}
		if err := tx.q.AddProject(ctx, query.AddProjectParams{ID: stream, Sealed: sealed}); err != nil {
			if explained := c.dialect.explain(err); proofhouse.KindOf(explained) == proofhouse.Conflict {
				return errStale // somebody was first
			}
			return err
		}
	} else {
		res, err := tx.q.ChangeProject(ctx, query.ChangeProjectParams{ID: stream, Version: int64(after.Version - 1)})
		if err != nil {
			return err
		}
		if err := changed(res); err != nil {
			return err
		}
	}
	body, err := after.Record(e).Encode()
	if err != nil {
		return err
	}
	if err := c.append(ctx, tx, ledger.Entry{Stream: stream, Seq: int64(after.Version), Body: body, Salt: ledger.NewSalt()}, after.Changed); err != nil {
		return err
	}
	if id, kind := clearing.Names(e.Act); id != "" {
		who, err := c.organisation(e.By.Organisation)
		if err != nil {
			return err
		}
		if err := tx.q.AddNamed(ctx, query.AddNamedParams{ID: id, Kind: kind, Project: stream, Who: who, Seq: int64(after.Version), MadeAt: after.Changed.UnixMicro()}); err != nil {
			return err
		}
	}
	if r.Key == "" {
		return nil
	}
	who, name, err := c.request(r)
	if err != nil {
		return err
	}
	if err := tx.q.ForgetRequests(ctx, after.Changed.Add(-requestsKept).UnixMicro()); err != nil {
		return err
	}
	return tx.q.AddRequest(ctx, query.AddRequestParams{Who: who, Name: name, Digest: string(r.Digest), Stream: stream, Seq: int64(after.Version), MadeAt: after.Changed.UnixMicro()})
}

func aboutProject(stream string) []byte { return []byte("project\n" + stream) }

// organisation is what rows have in place of an organisation's name.
func (c *Clearing) organisation(o proofhouse.OrganisationID) ([]byte, error) {
	return c.keys.Blind(houseKey, []byte("finder\n"+o))
}

func (c *Clearing) request(r clearing.Request) (who, name []byte, err error) {
	if who, err = c.keys.Blind(houseKey, []byte("sender\n"+string(r.By.Organisation)+"\n"+string(r.By.Person))); err != nil {
		return nil, nil, err
	}
	name, err = c.keys.Blind(houseKey, []byte("request of the clearing\n"+r.Key))
	return who, name, err
}

// repeated is where a request that was taken before stands, 0 if it was not.
func (c *Clearing) repeated(ctx context.Context, tx Tx, stream string, r clearing.Request) (int, error) {
	if r.Key == "" {
		return 0, nil
	}
	who, name, err := c.request(r)
	if err != nil {
		return 0, err
	}
	row, err := tx.q.Request(ctx, query.RequestParams{Who: who, Name: name})
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return 0, nil
	case err != nil:
		return 0, err
	case row.Digest != string(r.Digest) || row.Stream != stream:
		return 0, proofhouse.Errorf(proofhouse.Conflict, nil, "another request was sent under this idempotency key: choose a fresh one")
	}
	return int(row.Seq), nil
}

// Entry is the entry of a project that has seq, and its place in the public log, -1 if it has none yet.
func (c *Clearing) Entry(ctx context.Context, purl string, seq int) (clearing.Record, ledger.Entry, int64, error) {
	none := func(err error) (clearing.Record, ledger.Entry, int64, error) {
		return clearing.Record{}, ledger.Entry{}, -1, err
	}
	stream, err := c.Stream(purl)
	if err != nil {
		return none(err)
	}
	rows, err := query.New(c.sql).Entries(ctx, query.EntriesParams{Stream: stream, After: int64(seq - 1), Most: 1})
	if err != nil {
		return none(c.dialect.explain(err))
	}
	if len(rows) == 0 || rows[0].Seq != int64(seq) {
		return none(proofhouse.Errorf(proofhouse.NotFound, nil, "the project has no event %d", seq))
	}
	e, err := c.open(rows[0])
	if err != nil {
		return none(err)
	}
	r, err := clearing.ParseRecord(e.Body)
	index := int64(-1)
	if rows[0].LeafIndex.Valid {
		index = rows[0].LeafIndex.Int64
	}
	return r, e, index, err
}

// Find is the purl of the project in which a finding, a patch or a packet is, and the seq of the event that brought it.
func (c *Clearing) Find(ctx context.Context, id string) (purl string, seq int, err error) {
	q := query.New(c.sql)
	row, err := q.Named(ctx, id)
	if errors.Is(err, sql.ErrNoRows) {
		return "", 0, proofhouse.Errorf(proofhouse.NotFound, err, "there is nothing of that name")
	}
	if err != nil {
		return "", 0, c.dialect.explain(err)
	}
	sealed, err := q.ProjectSealed(ctx, row.Project)
	if err != nil {
		return "", 0, c.dialect.explain(err)
	}
	purl, err = c.purl(row.Project, sealed)
	if err == nil && purl == "" {
		err = proofhouse.Errorf(proofhouse.NotFound, nil, "the key of its project is not here")
	}
	return purl, int(row.Seq), err
}

// purl is a project's, "" where its key is not here or was shredded.
func (c *Clearing) purl(stream string, sealed []byte) (string, error) {
	b, err := c.keys.Open(stream, aboutProject(stream), sealed)
	if proofhouse.KindOf(err) == proofhouse.NotFound {
		return "", nil
	}
	return string(b), err
}

// Projects are the purls of all projects or, if waiting, of those in which the desk may have something to do: those after a stream, at most limit. Of one whose key is not here
// the purl is "". The last stream is where the next page begins, "" after the last page.
func (c *Clearing) Projects(ctx context.Context, waiting bool, after string, limit int) (purls []string, next string, err error) {
	q := query.New(c.sql)
	most := int32(min(limit, page)) //nolint:gosec // bounded
	var rows []query.ProjectsRow
	if waiting {
		found, err := q.WaitingProjects(ctx, query.WaitingProjectsParams{After: after, Most: most})
		if err != nil {
			return nil, "", c.dialect.explain(err)
		}
		for _, row := range found {
			rows = append(rows, query.ProjectsRow(row))
		}
	} else if rows, err = q.Projects(ctx, query.ProjectsParams{After: after, Most: most}); err != nil {
		return nil, "", c.dialect.explain(err)
	}
	for _, row := range rows {
		purl, err := c.purl(row.ID, row.Sealed)
		if err != nil {
			return nil, "", err
		}
		purls = append(purls, purl)
	}
	if len(rows) == int(most) {
		next = rows[len(rows)-1].ID
	}
	return purls, next, nil
}

// Rest says that nothing is left to do in a project as it was at a version. Each event ends that.
func (c *Clearing) Rest(ctx context.Context, p clearing.Project) error {
	stream, err := c.Stream(p.Purl)
	if err != nil {
		return err
	}
	return c.Update(ctx, func(tx Tx) error {
		return tx.q.RestProject(ctx, query.RestProjectParams{ID: stream, Version: int64(p.Version)})
	})
}

// Page is where a list of what has names goes on: below what was made at Until under the name Before.
type Page struct {
	Until  time.Time
	Before string
}

// Line is a line of such a list. Its purl is "" where the project's key is not here.
type Line struct {
	ID   string
	Purl string
	Made time.Time
}

// Named are the names of a kind, the newest first: those that an organisation brought or, if that is "", all.
func (c *Clearing) Named(ctx context.Context, kind string, by proofhouse.OrganisationID, from Page, limit int) ([]Line, error) {
	q := query.New(c.sql)
	most := int32(min(limit, page)) //nolint:gosec // bounded
	until := from.Until.UnixMicro()
	if from.Until.IsZero() {
		until = 1<<63 - 1
	}
	var rows []query.NamedBeforeRow
	if by == "" {
		found, err := q.NamedBefore(ctx, query.NamedBeforeParams{Kind: kind, Until: until, Before: from.Before, Most: most})
		if err != nil {
			return nil, c.dialect.explain(err)
		}
		rows = found
	} else {
		who, err := c.organisation(by)
		if err != nil {
			return nil, err
		}
		found, err := q.NamedByBefore(ctx, query.NamedByBeforeParams{Kind: kind, Who: who, Until: until, Before: from.Before, Most: most})
		if err != nil {
			return nil, c.dialect.explain(err)
		}
		for _, row := range found {
			rows = append(rows, query.NamedBeforeRow(row))
		}
	}
	purls := map[string]string{}
	all := make([]Line, len(rows))
	for i, row := range rows {
		if _, ok := purls[row.Project]; !ok {
			sealed, err := q.ProjectSealed(ctx, row.Project)
			if err != nil {
				return nil, c.dialect.explain(err)
			}
			if purls[row.Project], err = c.purl(row.Project, sealed); err != nil {
				return nil, err
			}
		}
		all[i] = Line{ID: row.ID, Purl: purls[row.Project], Made: time.UnixMicro(row.MadeAt).UTC()}
	}
	return all, nil
}

// Files are the project's files, under one roof with its key.
type Files struct {
	Clearing *Clearing
	Shelf    *vault.Shelf
}

var _ clearing.Shelf = Files{}

// Put implements clearing.Shelf.
func (f Files) Put(_ context.Context, purl string, b []byte) (proofhouse.Digest, error) {
	stream, err := f.Clearing.Stream(purl)
	if err != nil {
		return "", err
	}
	return f.Shelf.Put(stream, b)
}

// Open implements clearing.Shelf.
func (f Files) Open(_ context.Context, purl string, d proofhouse.Digest) ([]byte, error) {
	stream, err := f.Clearing.Stream(purl)
	if err != nil {
		return nil, err
	}
	return f.Shelf.Open(stream, d)
}
