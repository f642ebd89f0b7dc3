package docket

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"

	"proofhouse/internal/proofhouse"
)

// maxNominations bounds what one act nominates, in bytes of what it says: an
// entry of the log has room for twice that.
const maxNominations = 512 << 10

// NominateList proposes partners of a list, all in one event. Those that have been nominated already
// stay as they are. If one of the others cannot be nominated, none is.
type NominateList struct {
	Partners []Nominate `json:"partners"`
}

// Kind implements Act.
func (NominateList) Kind() Kind { return KindNominateList }

func (a NominateList) apply(c *Case, by proofhouse.Actor, now time.Time) error {
	if err := c.nominates(); err != nil {
		return err
	}
	if len(a.Partners) == 0 || len(a.Partners) > maxAllowRows {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "nominate 1 to %d partners at once", maxAllowRows)
	}
	if says, err := json.Marshal(a); err != nil || len(says) > maxNominations {
		return proofhouse.Errorf(proofhouse.Limit, err, "that is more than %d bytes of nominations: send the list in parts", maxNominations)
	}
	there := c.nominated()
	listed := map[proofhouse.OrganisationID]bool{}
	nominees := slices.Clip(c.Nominees)
	for i, n := range a.Partners {
		if err := n.may(*c); err != nil {
			return proofhouse.Errorf(proofhouse.KindOf(err), err, "partner %d of the list: %s", i+1, proofhouse.PublicOf(err))
		}
		if listed[n.Organisation] {
			return proofhouse.Errorf(proofhouse.Invalid, nil, "partner %d of the list is in it twice", i+1)
		}
		listed[n.Organisation] = true
		if !there[n.Organisation] {
			nominees = append(nominees, Nominee{Organisation: n.Organisation, Title: n.Title, Nominated: now, By: by})
		}
	}
	if len(nominees) == len(c.Nominees) {
		return proofhouse.Errorf(proofhouse.Conflict, nil, "all of them have been nominated already")
	}
	c.Nominees = nominees
	return nil
}

func (c Case) nominated() map[proofhouse.OrganisationID]bool {
	all := make(map[proofhouse.OrganisationID]bool, len(c.Nominees))
	for _, n := range c.Nominees {
		all[n.Organisation] = true
	}
	return all
}

// Nominations are what an allow-list (ParseAllowList) comes to in a case.
type Nominations struct {
	New     []Nominate                  // who can be nominated
	Already []proofhouse.OrganisationID // who has been
	Wrong   []RowError                  // what cannot be taken, by line
}

// Nominations sorts the rows of an allow-list for by, who must be permitted to nominate now: whom the
// case has is not for everybody. A file that is no such list at all is an error, proofhouse.Invalid.
func (c Case) Nominations(by proofhouse.Actor, list []byte, now time.Time) (n Nominations, err error) {
	if err := c.permits(KindNominateList, by, later(exact(now), c.Changed)); err != nil {
		return n, err
	}
	if err := c.nominates(); err != nil {
		return n, err
	}
	rows, lines, wrong, err := parseAllowList(list)
	if err != nil {
		return n, err
	}
	n.Wrong = wrong
	there := c.nominated()
	for _, row := range rows {
		if err := row.may(c); err != nil {
			n.Wrong = append(n.Wrong, RowError{lines[row.Organisation], err})
		} else if there[row.Organisation] {
			n.Already = append(n.Already, row.Organisation)
		} else {
			n.New = append(n.New, row)
		}
	}
	slices.SortStableFunc(n.Wrong, func(a, b RowError) int { return cmp.Compare(a.Line, b.Line) })
	return n, nil
}
