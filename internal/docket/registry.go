package docket

import (
	"context"
	"slices"
	"time"

	"proofhouse/internal/ledger"
	"proofhouse/internal/proofhouse"
)

// Store keeps cases.
type Store interface {
	// Change runs change in one transaction: all of it is durable on return, or none. change may be run
	// again from its start.
	Change(ctx context.Context, change func(Tx) error) error
	// Case is the case; one that is not there is proofhouse.NotFound.
	Case(ctx context.Context, id proofhouse.CaseID) (Case, error)
	// Entries are those of a case whose seq is above after, in order, at most limit, each with its
	// place in the log.
	Entries(ctx context.Context, id proofhouse.CaseID, after, limit int) ([]Entry, error)
	// Summaries are a page of what lists show, the most urgent first: at most l.Limit, and fewer only
	// at the end.
	Summaries(ctx context.Context, l Listing) ([]Summary, error)
	// Profile is the profile by its digest; the error is proofhouse.NotFound.
	Profile(ctx context.Context, digest proofhouse.Digest) (*Profile, error)
}

// Tx is one transaction.
type Tx interface {
	// Case is as of Store; it stays what it is until the transaction ends.
	Case(ctx context.Context, id proofhouse.CaseID) (Case, error)
	// Append keeps a record that made before into after, with the entry for the log.
	Append(ctx context.Context, before, after Case, r Record, e ledger.Entry) error
	// EndAccess revokes what the gate gave by a grant of the case.
	EndAccess(ctx context.Context, id proofhouse.CaseID, grant GrantID, now time.Time) error
	// Repeated is the seq of the record that was kept for a request under key, 0 if none was. A
	// request that says something else under the same key is proofhouse.Conflict.
	Repeated(ctx context.Context, r Request) (proofhouse.CaseID, int, error)
	// Keep says that r led to that record.
	Keep(ctx context.Context, r Request, id proofhouse.CaseID, seq int) error
}

// Person is somebody, whatever the role.
type Person struct {
	Organisation proofhouse.OrganisationID
	Person       proofhouse.PersonID
}

// Request is what its sender may send again without doing it twice.
type Request struct {
	By     Person
	Key    string            // of the sender's choice; "" is none
	Digest proofhouse.Digest // of all that it says
}

// Entry is a record with what the log has of it.
type Entry struct {
	Record Record
	Ledger ledger.Entry
	// Index is its place in the log; -1 as long as it has none.
	Index int64
}

// Summary is what a list shows of a case.
type Summary struct {
	ID         proofhouse.CaseID         `json:"id"`
	Codename   string                    `json:"codename"`
	Developer  proofhouse.OrganisationID `json:"developer"`
	Body       proofhouse.OrganisationID `json:"body"`
	Profile    string                    `json:"profile"`
	Version    int                       `json:"version"` // how many events it has
	Opened     time.Time                 `json:"opened"`
	Accepted   time.Time                 `json:"accepted,omitzero"`
	Changed    time.Time                 `json:"changed"`
	Engagement Engagement                `json:"engagement"`
	Window     time.Time                 `json:"window,omitzero"` // when access ends
	Withdrawn  time.Time                 `json:"withdrawn,omitzero"`
	Outcome    Outcome                   `json:"outcome,omitempty"` // the last that was signed
	Members    []Member                  `json:"members"`
	// Due is when the first of what is sealed is due to be destroyed; zero if nothing is.
	Due time.Time `json:"due,omitzero"`
	// Ordered says that destructions were ordered that are not carried out, or end the case.
	Ordered bool `json:"ordered,omitzero"`
	// Destroyed says that the case was destroyed: nothing else of it is known.
	Destroyed bool `json:"destroyed,omitzero"`
	// urgency is where a destroyed case stands in lists.
	urgency int64
}

// DestroyedSummary is what is left of a case that was destroyed: that it was there, and where it
// stands in lists.
func DestroyedSummary(id proofhouse.CaseID, urgency int64) Summary {
	return Summary{ID: id, Destroyed: true, urgency: urgency, Members: []Member{}}
}

// Summary is what a list shows of c.
func (c Case) Summary() Summary {
	s := Summary{
		ID: c.ID, Codename: c.Codename, Body: c.Rules.Body, Profile: c.Rules.Name, Version: c.Version, Opened: c.Opened, Accepted: c.Accepted,
		Changed: c.Changed, Engagement: c.engagement(), Window: c.Window.End, Withdrawn: c.Withdrawn, Members: c.Members, Developer: c.developer(),
	}
	s.Ordered = len(c.Pending()) > 0 || c.ending()
	s.Due, _ = c.Due()
	if n := len(c.Determinations); n > 0 {
		s.Outcome = c.Determinations[n-1].Outcome
	}
	return s
}

// developer is the organisation whose model it is.
func (c Case) developer() proofhouse.OrganisationID {
	for _, m := range c.Members {
		if m.Role == proofhouse.Developer {
			return m.Organisation
		}
	}
	return ""
}

// Registry takes events into cases. It is the only writer of cases.
type Registry struct{ Store Store }

// Open opens a case under rules. With a key in request, the same request again
// gives the case that it opened. newID is asked for the case's name.
func (r Registry) Open(ctx context.Context, by proofhouse.Actor, rules *Profile, a OpenCase, request Request, newID func() proofhouse.CaseID, now time.Time) (c Case, err error) {
	err = r.Store.Change(ctx, func(tx Tx) error {
		id, seq, err := tx.Repeated(ctx, request)
		if err != nil {
			return err
		}
		if seq > 0 {
			c, err = tx.Case(ctx, id)
			return err
		}
		c, err = r.take(ctx, tx, New(newID(), rules), Event{by, a}, request, now)
		return err
	})
	return c, err
}

// Do takes an event into a case. at is the version of the case that its actor has seen,
// 0 for any; if the case has gone on since, the error is proofhouse.Conflict. A request that was
// done already changes nothing and gives the seq of its record again.
func (r Registry) Do(ctx context.Context, id proofhouse.CaseID, e Event, at int, request Request, now time.Time) (c Case, seq int, err error) {
	err = r.Store.Change(ctx, func(tx Tx) error {
		before, err := tx.Case(ctx, id)
		if err != nil {
			return err
		}
		if _, seq, err = tx.Repeated(ctx, request); err != nil || seq > 0 {
			c = before
			return err
		}
		if at != 0 && at != before.Version {
			return proofhouse.Errorf(proofhouse.Conflict, nil, "the case has gone on since: it is at version %d, and you saw %d", before.Version, at)
		}
		c, err = r.take(ctx, tx, before, e, request, now)
		seq = c.Version
		return err
	})
	return c, seq, err
}

func (r Registry) take(ctx context.Context, tx Tx, before Case, e Event, request Request, now time.Time) (Case, error) {
	after, err := before.Take(e, now)
	if err != nil {
		return before, err
	}
	record := after.Record(e)
	body, err := record.Encode()
	if err != nil {
		return before, err
	}
	entry := ledger.Entry{Stream: string(after.ID), Seq: int64(record.Seq), Body: body, Salt: ledger.NewSalt()}
	if err := tx.Append(ctx, before, after, record, entry); err != nil {
		return before, err
	}
	for _, g := range endsAccess(before, after, after.Changed) {
		if err := tx.EndAccess(ctx, after.ID, g, after.Changed); err != nil {
			return before, err
		}
	}
	if request.Key == "" {
		return after, nil
	}
	return after, tx.Keep(ctx, request, after.ID, record.Seq)
}

// Subject is what the gate knows the user of a grant by.
func Subject(id proofhouse.CaseID, g GrantID) string { return string(id) + "/" + string(g) }

// endsAccess are the grants that an event ended, stopped, or made to end
// earlier. What the gate gave by them is revoked with the event: keys for what
// is left are given anew. So the gate never gives more than the case does.
func endsAccess(before, after Case, now time.Time) []GrantID {
	live := after.At(now).Live
	var ended []GrantID
	for _, g := range before.At(now).Live {
		i, _ := after.find(g.ID)
		was, wasEnding := before.GrantEnd(g)
		is, isEnding := after.GrantEnd(after.Grants[i])
		stays := slices.ContainsFunc(live, func(l Grant) bool { return l.ID == g.ID })
		if !stays || isEnding && (!wasEnding || is.Before(was)) {
			ended = append(ended, g.ID)
		}
	}
	return ended
}
