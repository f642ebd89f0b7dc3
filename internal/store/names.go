package store

import (
	"context"
	"sync"

	"proofhouse/internal/docket"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/store/query"
)

// maxNamed is of how many cases at most the names are remembered: some 20 MB.
const maxNamed = 100_000

// named remembers, in memory alone, what cases are found by, so that a search need not open every row anew. What it
// has of a case holds for one version of the case's row, which every change of it counts up in its own transaction, whichever
// process made it; of another version it has nothing. It says only what need not be opened: what is given to anybody is
// opened from the row as it is then.
type named struct {
	mu   sync.Mutex
	rows map[string]namedRow
}

type namedRow struct {
	version int64
	names   docket.Names
}

// fits says whether the case may be found by find: not only if it is known that it is not.
func (n *named) fits(id string, version int64, find string) bool {
	n.mu.Lock()
	row, ok := n.rows[id]
	n.mu.Unlock()
	return !ok || row.version != version || row.names.Fit(proofhouse.CaseID(id), find)
}

func (n *named) learn(id string, version int64, names docket.Names) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.rows == nil {
		n.rows = map[string]namedRow{}
	}
	if _, ok := n.rows[id]; !ok && len(n.rows) >= maxNamed {
		for some := range n.rows {
			delete(n.rows, some)
			break
		}
	}
	n.rows[id] = namedRow{version, names}
}

// Learn opens the rows of all cases, so that a first search has not to. Rows that do not open are left to those who ask for them.
func (d *Docket) Learn(ctx context.Context) error {
	for after := ""; ; {
		rows, err := query.New(d.sql).ReviewsAfter(ctx, query.ReviewsAfterParams{After: after, Most: page})
		if err != nil {
			return d.dialect.explain(err)
		}
		for _, row := range rows {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if s, err := d.summary(row.ID, row.Sealed); err == nil {
				d.named.learn(row.ID, row.Version, s.Names())
			} else if shredded, err := d.keys.Shredded(row.ID); err == nil && shredded {
				d.named.learn(row.ID, row.Version, docket.Names{})
			}
		}
		if len(rows) < page {
			return nil
		}
		after = rows[len(rows)-1].ID
	}
}
