package store

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"proofhouse/internal/docket"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/store/query"
)

// Summaries implements docket.Store. Only the rows that it gives are opened, and of a search those that may fit.
func (d *Docket) Summaries(ctx context.Context, l docket.Listing) ([]docket.Summary, error) {
	in, err := d.listOf(l)
	if err != nil {
		return nil, err
	}
	if l.Find != "" {
		return d.search(ctx, in, l)
	}
	rows, err := in.rows(ctx, min(l.Limit, page))
	if err != nil {
		return nil, err
	}
	all := make([]docket.Summary, len(rows))
	for i, row := range rows {
		if all[i], err = d.listed(row); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// search is a page of the cases that are found by what l says. What of the list cannot fit is
// passed over by its place and its version alone.
func (d *Docket) search(ctx context.Context, in list, l docket.Listing) ([]docket.Summary, error) {
	var all []docket.Summary
	for most := min(l.Limit, page); ; {
		places, err := in.places(ctx, page)
		if err != nil || len(places) == 0 {
			return all, err
		}
		all, err = d.opened(ctx, in, places, l.Find, all, most)
		if err != nil || len(all) == most {
			return all, err
		}
		if len(places) < page {
			return all, nil
		}
		in.after = placeOf(places[len(places)-1])
	}
}

// opened adds to all the cases of places that find finds, until there are most.
func (d *Docket) opened(ctx context.Context, in list, places []query.PlacesOfRow, find string, all []docket.Summary, most int) ([]docket.Summary, error) {
	may := slices.DeleteFunc(slices.Clone(places), func(p query.PlacesOfRow) bool { return !d.named.fits(p.ID, p.Version, find) })
	if len(may) == 0 {
		return all, nil
	}
	// From the first to the last of them, as they are now.
	if first := slices.Index(places, may[0]); first > 0 {
		in.after = placeOf(places[first-1])
	}
	last := placeOf(may[len(may)-1])
	in.below = min(in.below, last.Urgency+1)
	rows, err := in.rows(ctx, page)
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		if row.Urgency == last.Urgency && row.ID > string(last.ID) {
			break // the next page of places has it
		}
		if !d.named.fits(row.ID, row.Version, find) {
			continue
		}
		s, err := d.listed(row)
		if err != nil {
			return nil, err
		}
		if !s.Names().Fit(s.ID, find) {
			continue
		}
		if all = append(all, s); len(all) == most {
			break
		}
	}
	return all, nil
}

func placeOf(p query.PlacesOfRow) docket.Place {
	return docket.Place{Urgency: p.Urgency, ID: proofhouse.CaseID(p.ID)}
}

// list is what somebody finds, from a place on.
type list struct {
	d     *Docket
	who   [][]byte
	after docket.Place
	below int64
}

func (d *Docket) listOf(l docket.Listing) (list, error) {
	from, below := l.Range()
	in := list{d: d, after: l.After, below: below}
	if in.after.Urgency < from {
		in.after = docket.Place{Urgency: from}
	}
	names := []string{person(l.Who)}
	if l.Untaken != "" {
		names = append(names, untaken(l.Untaken))
	}
	for _, name := range names {
		who, err := d.finder(name)
		if err != nil {
			return in, err
		}
		in.who = append(in.who, who)
	}
	return in, nil
}

// rows are the first of the list, at most that many.
func (in list) rows(ctx context.Context, most int) ([]query.ReviewsOfRow, error) {
	return merged(in, most, func(who []byte) ([]query.ReviewsOfRow, error) {
		return query.New(in.d.sql).ReviewsOf(ctx, query.ReviewsOfParams{Who: who, AfterUrgency: in.after.Urgency, AfterID: string(in.after.ID), Below: in.below, Most: int32(most)}) //nolint:gosec // bounded
	}, func(r query.ReviewsOfRow) (int64, string) { return r.Urgency, r.ID })
}

// places are where the first of the list stand, at most that many, and their versions.
func (in list) places(ctx context.Context, most int) ([]query.PlacesOfRow, error) {
	return merged(in, most, func(who []byte) ([]query.PlacesOfRow, error) {
		return query.New(in.d.sql).PlacesOf(ctx, query.PlacesOfParams{Who: who, AfterUrgency: in.after.Urgency, AfterID: string(in.after.ID), Below: in.below, Most: int32(most)}) //nolint:gosec // bounded
	}, func(r query.PlacesOfRow) (int64, string) { return r.Urgency, r.ID })
}

// merged are the first rows of all that the list is made of: the first of all are among the first of each.
func merged[R any](in list, most int, read func(who []byte) ([]R, error), place func(R) (int64, string)) ([]R, error) {
	var rows []R
	for _, who := range in.who {
		found, err := read(who)
		if err != nil {
			return nil, in.d.dialect.explain(err)
		}
		rows = append(rows, found...)
	}
	if len(in.who) > 1 {
		slices.SortFunc(rows, func(a, b R) int {
			au, ai := place(a)
			bu, bi := place(b)
			return cmp.Or(cmp.Compare(au, bu), cmp.Compare(ai, bi))
		})
		rows = slices.CompactFunc(rows, func(a, b R) bool {
			_, ai := place(a)
			_, bi := place(b)
			return ai == bi
		})
	}
	return rows[:min(most, len(rows))], nil
}

// listed opens a row of a list.
func (d *Docket) listed(row query.ReviewsOfRow) (docket.Summary, error) {
	s, err := d.summary(row.ID, row.Sealed)
	if proofhouse.KindOf(err) == proofhouse.NotFound {
		s, err = d.destroyed(row.ID, row.Urgency, err)
	}
	if err != nil {
		return s, err
	}
	if s.Urgency() != row.Urgency {
		return s, proofhouse.Errorf(proofhouse.Integrity, nil, "the list of cases is not in the order of what it says")
	}
	d.named.learn(row.ID, row.Version, s.Names())
	return s, nil
}

// All are the summaries of all cases, by id, for whoever checks a whole house. Of a case whose key
// is not here there is the id.
func (d *Docket) All(ctx context.Context) ([]docket.Summary, error) {
	rows, err := query.New(d.sql).Reviews(ctx)
	if err != nil {
		return nil, d.dialect.explain(err)
	}
	all := make([]docket.Summary, len(rows))
	for i, row := range rows {
		all[i], err = d.summary(row.ID, row.Sealed)
		if proofhouse.KindOf(err) == proofhouse.NotFound {
			all[i] = docket.Summary{ID: proofhouse.CaseID(row.ID)}
		} else if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// destroyed is what is left of a case whose key is not there, if that was shredded.
func (d *Docket) destroyed(id string, urgency int64, missing error) (docket.Summary, error) {
	shredded, err := d.keys.Shredded(id)
	if err == nil && !shredded {
		err = missing
	}
	return docket.DestroyedSummary(proofhouse.CaseID(id), urgency), err
}

func (d *Docket) summary(id string, sealed []byte) (s docket.Summary, err error) {
	plain, err := d.keys.Open(id, aboutReview(proofhouse.CaseID(id)), sealed)
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(plain, &s); err != nil {
		return s, proofhouse.Errorf(proofhouse.Integrity, err, "the list of cases is damaged")
	}
	return s, nil
}

// finders are by what a case is found: its members and, until it is taken up,
// the body that it waits for.
func finders(s docket.Summary) (all []string) {
	for _, m := range s.Members {
		if p := person(docket.Person{Organisation: m.Organisation, Person: m.Person}); !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	if s.Version > 0 && s.Accepted.IsZero() {
		all = append(all, untaken(s.Body))
	}
	return all
}

func person(p docket.Person) string { return fmt.Sprintf("person\n%s\n%s", p.Organisation, p.Person) }

func untaken(body proofhouse.OrganisationID) string { return "untaken by\n" + string(body) }

// finder is what the database has in place of a name: it tells nobody whose it is.
func (d *Docket) finder(name string) ([]byte, error) { return d.keys.Blind(houseKey, []byte(name)) }

// parties keeps by whom the case is found, and where it stands in their lists.
func (tx docketTx) parties(ctx context.Context, before, after docket.Summary) error {
	was, is := finders(before), finders(after)
	moved := before.Version > 0 && before.Urgency() != after.Urgency()
	for _, name := range is {
		if !moved && slices.Contains(was, name) {
			continue
		}
		if err := tx.d.found(ctx, tx.Tx, name, after); err != nil {
			return err
		}
	}
	for _, name := range was {
		if slices.Contains(is, name) {
			continue
		}
		who, err := tx.d.finder(name)
		if err != nil {
			return err
		}
		if err := tx.q.RemoveParty(ctx, query.RemovePartyParams{Review: string(after.ID), Who: who}); err != nil {
			return err
		}
	}
	return nil
}

// found puts a case in the list of who finds it by name.
func (d *Docket) found(ctx context.Context, tx Tx, name string, s docket.Summary) error {
	who, err := d.finder(name)
	if err != nil {
		return err
	}
	return tx.q.AddParty(ctx, query.AddPartyParams{Review: string(s.ID), Who: who, Urgency: s.Urgency()})
}

// Reseal seals under the cases' own keys what lists show and was sealed under the house's, so that
// nothing of a case is left when its key is shredded. Of a case whose key is not here it is left as it is.
func (d *Docket) Reseal(ctx context.Context) error {
	for after := ""; ; {
		rows, err := query.New(d.sql).ReviewsOfTheHouse(ctx, query.ReviewsOfTheHouseParams{After: after, Most: page})
		if err != nil {
			return d.dialect.explain(err)
		}
		if len(rows) == 0 {
			return nil
		}
		if err := d.Update(ctx, func(tx Tx) error {
			for _, row := range rows {
				sealed, err := d.reseal(row.ID, row.Sealed)
				if err != nil {
					return err
				}
				if sealed == nil {
					continue
				}
				if _, err := tx.q.ResealReview(ctx, query.ResealReviewParams{Sealed: sealed, ID: row.ID, Version: row.Version}); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
		after = rows[len(rows)-1].ID
	}
}

// reseal is a summary sealed under the case's key, nothing if that was shredded, or nil if it is not here.
func (d *Docket) reseal(id string, old []byte) ([]byte, error) {
	shredded, err := d.keys.Shredded(id)
	if err != nil || shredded {
		return []byte{}, err
	}
	if has, err := d.keys.Has(id); err != nil || !has {
		return nil, err
	}
	about := aboutReview(proofhouse.CaseID(id))
	plain, err := d.keys.Open(houseKey, about, old)
	if err != nil {
		return nil, err
	}
	return d.keys.Seal(id, about, plain)
}

// Order works out where cases stand in lists that were kept before the database ordered them.
func (d *Docket) Order(ctx context.Context) error {
	for after := ""; ; {
		rows, err := query.New(d.sql).UnorderedReviews(ctx, query.UnorderedReviewsParams{After: after, Most: page})
		if err != nil {
			return d.dialect.explain(err)
		}
		if len(rows) == 0 {
			return nil
		}
		if err := d.Update(ctx, func(tx Tx) error {
			for _, row := range rows {
				s, err := d.summary(row.ID, row.Sealed)
				if err != nil {
					return err
				}
				for _, name := range finders(s) {
					if err := d.found(ctx, tx, name, s); err != nil {
						return err
					}
				}
			}
			return nil
		}); err != nil {
			return err
		}
		after = rows[len(rows)-1].ID
	}
}
