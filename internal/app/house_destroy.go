package app

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"

	"proofhouse/internal/docket"
	"proofhouse/internal/policy"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/store"
	"proofhouse/internal/vault"
)

// Destroy implements api.Artifacts.
//
// The order of effects: whether the case lets it be is asked first, so that no
// approval is spent in vain; then the approval is used, which is recorded; then the
// order is an event of the case, and from here on no hold comes between; then it
// is carried out (carryOut). A process that dies behind the order is followed by one that carries it on.
func (h *House) Destroy(ctx context.Context, who policy.Principal, id proofhouse.CaseID, by proofhouse.Actor, artifact proofhouse.Digest, request string, now time.Time) (docket.Destruction, error) {
	var none docket.Destruction
	c, err := h.docket.Case(ctx, id)
	if err != nil {
		return none, err
	}
	all, err := h.Directory.Requests(ctx, who, id, now)
	if err != nil {
		return none, err
	}
	i := slices.IndexFunc(all, func(r policy.Asked) bool { return r.ID == request })
	if i < 0 {
		return none, policy.NotFound(policy.Asked{})
	}
	order := docket.Order{Request: request, Whole: artifact == ""}
	if !order.Whole {
		order.Artifacts = []proofhouse.Digest{artifact}
	}
	if _, err := all[i].Use(now); err != nil {
		return none, err
	}
	if order.Agreed, err = words(all[i]); err != nil {
		return none, err
	}
	e := docket.Event{By: by, Act: order}
	if _, err := c.Take(e, now); err != nil {
		return none, err
	}
	if _, err := h.Directory.Use(ctx, who, request, func(f policy.Case, r policy.Asked) policy.Resource {
		x, there := c.Artifact(artifact)
		switch {
		case f.ID != id || r.What != policy.Destroy:
			return policy.Report{} // which no request is about
		case order.Whole:
			return f
		case !there:
			return policy.Report{}
		}
		sealed := c.Sealed(f, x)
		sealed.Approved = r.Approval()
		return sealed
	}, now); err != nil {
		return none, err
	}
	ctx = context.WithoutCancel(ctx) // what is ordered is done
	if c, _, err = h.Registry.Do(ctx, id, e, 0, docket.Request{}, now); err != nil {
		return none, err
	}
	return h.carryOut(ctx, id, len(c.Destructions), now)
}

// words are who approved a request.
func words(r policy.Asked) (agreed [2]docket.Word, err error) {
	for i, name := range []string{r.First, r.Second} {
		person, organisation, ok := strings.Cut(name, "@")
		if !ok {
			return agreed, proofhouse.Errorf(proofhouse.Integrity, nil, "the request does not say who approved it")
		}
		agreed[i] = docket.Word{Organisation: proofhouse.OrganisationID(organisation), Person: proofhouse.PersonID(person), At: []time.Time{r.FirstAt, r.SecondAt}[i]}
	}
	return agreed, nil
}

// carryOut does what an order of a case says, and may be called again: what was done is not done
// twice. Of a whole case the key goes last, when the certificates are durable in the case's
// stream and, since nobody opens that any more, in the stream "house".
func (h *House) carryOut(ctx context.Context, id proofhouse.CaseID, number int, now time.Time) (docket.Destruction, error) {
	h.carrying.Lock()
	defer h.carrying.Unlock()
	c, err := h.docket.Case(ctx, id)
	if err != nil {
		return docket.Destruction{}, err
	}
	d := c.Destructions[number-1]
	if d.Done.IsZero() {
		statements, err := h.destroy(ctx, c, d)
		if err != nil {
			return d, err
		}
		e := docket.Event{By: c.Recorder(d), Act: docket.Destroyed{Order: number, Statements: statements}}
		if c, _, err = h.Registry.Do(ctx, id, e, 0, docket.Request{}, now); err != nil {
			return d, err
		}
		d = c.Destructions[number-1]
	}
	if !d.Whole {
		return d, nil
	}
	if err := h.Directory.destroyed(ctx, id, d, now); err != nil {
		return d, err
	}
	return d, h.keys.Shred(string(id))
}

// destroy ends the artifacts of an order in the vault, and gives the signed certificates.
func (h *House) destroy(ctx context.Context, c docket.Case, d docket.Destruction) ([][]byte, error) {
	custody, err := c.Custody()
	if err != nil {
		return nil, err
	}
	order := vault.Order{At: d.At}
	for i, w := range d.Agreed {
		order.Approvals[i] = vault.Approval{Actor: proofhouse.Actor{Organisation: w.Organisation, Person: w.Person}, At: w.At}
	}
	lie := map[string][]proofhouse.Digest{}
	for _, id := range d.Artifacts {
		a, _ := c.Artifact(id) // the order named it
		lie[a.Compartment] = append(lie[a.Compartment], id)
	}
	compartments := []string{docket.Compartment(c.ID, "")}
	for _, p := range c.Parts {
		compartments = append(compartments, p.Compartment)
	}
	var statements [][]byte
	for _, name := range compartments {
		var certificate vault.Certificate
		var err error
		switch {
		case d.Whole:
			if certificate, err = h.artifacts.Shred(name, custody, order); proofhouse.KindOf(err) == proofhouse.NotFound {
				continue // nothing was ever sealed there
			}
		case len(lie[name]) == 0:
			continue
		default:
			certificate, err = h.certificate(name, lie[name], custody, order)
		}
		if err != nil {
			return nil, err
		}
		statement, err := SealDestruction(ctx, certificate, h.key)
		if err != nil {
			return nil, err
		}
		statements = append(statements, statement)
	}
	return statements, nil
}

// certificate destroys artifacts of a compartment, unless this order's certificate is there already.
func (h *House) certificate(compartment string, ids []proofhouse.Digest, custody vault.Custody, order vault.Order) (vault.Certificate, error) {
	all, err := h.artifacts.Certificates(compartment)
	if err != nil {
		return vault.Certificate{}, err
	}
	for _, c := range all {
		if c.At.Equal(order.At) && !c.Whole && len(c.Destroyed) == len(ids) && !slices.ContainsFunc(c.Destroyed, func(x vault.Held) bool { return !slices.Contains(ids, x.ID) }) {
			return c, nil
		}
	}
	return h.artifacts.Destroy(compartment, ids, custody, order)
}

// destroyed records for good that a case was destroyed, by the house's own stream.
func (d Directory) destroyed(ctx context.Context, id proofhouse.CaseID, x docket.Destruction, now time.Time) error {
	says := struct {
		Case       proofhouse.CaseID `json:"case"`
		Request    string            `json:"request"`
		Agreed     [2]docket.Word    `json:"agreed"`
		Statements [][]byte          `json:"statements"`
	}{id, x.Request, x.Agreed, x.Statements}
	return d.People.Change(ctx, func(tx store.PeopleTx) error { return record(ctx, tx, &x.By, "destroyed a case", says, now) })
}

// sweepPause is how often the house looks for what is due.
const sweepPause = time.Hour

// sweepArtifacts carries on destructions that were cut short, and says how much is due, until ctx
// ends. It destroys nothing that nobody ordered.
func (h *House) sweepArtifacts(ctx context.Context) {
	for {
		if err := h.sweep(ctx, time.Now()); err != nil && ctx.Err() == nil {
			slog.LogAttrs(ctx, slog.LevelError, "what is due to be destroyed cannot be looked up", slog.Any("error", err))
		}
		if err := h.meterMark(ctx); err != nil && ctx.Err() == nil {
			slog.LogAttrs(ctx, slog.LevelError, "the gates' records cannot be looked at", slog.Any("error", err))
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(sweepPause):
		}
	}
}

func (h *House) sweep(ctx context.Context, now time.Time) error {
	all, err := h.docket.All(ctx)
	if err != nil {
		return err
	}
	due := 0
	var errs []error
	for _, s := range all {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !s.Due.IsZero() && !now.Before(s.Due) {
			due++
		}
		if !s.Ordered {
			continue
		}
		c, err := h.docket.Case(ctx, s.ID)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, d := range c.Destructions {
			if d.Done.IsZero() || d.Whole {
				if _, err := h.carryOut(ctx, s.ID, d.Number, now); err != nil {
					errs = append(errs, err)
				}
			}
		}
	}
	if due > 0 {
		slog.LogAttrs(ctx, slog.LevelWarn, "sealed artifacts are due to be destroyed: `case artifact list` shows which", slog.Int("cases", due))
	}
	return errors.Join(errs...)
}
