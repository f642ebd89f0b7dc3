package app

import (
	"cmp"
	"context"
	"os"
	"slices"
	"time"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/chat"
	"proofhouse/internal/proofhouse"
)

const (
	shownBackups = 20
	shownWaiting = 1000
)

// House implements api.State.
func (h *House) House(ctx context.Context) (wire.House, error) {
	out := wire.House{Database: h.kind, Prices: wire.PricesNow{Tables: []wire.PriceTable{}, Rates: []wire.GrantRates{}}}
	var err error
	if out.Log.Leaves, err = h.docket.Placed(ctx); err != nil {
		return out, err
	}
	waiting, err := h.docket.Waiting(ctx, shownWaiting)
	if err != nil {
		return out, err
	}
	out.Log.Waiting = len(waiting)
	if st, err := os.Stat(h.app.Config.dir("log", "checkpoint")); err == nil { // else nothing was published yet
		out.Log.Published = st.ModTime().UTC()
	}
	if out.Backups, err = h.app.Backups(shownBackups); err != nil {
		return out, err
	}
	uses, err := h.app.GateGrants(ctx)
	switch {
	case proofhouse.KindOf(err) == proofhouse.Unavailable:
	case err != nil:
		return out, err
	default:
		out.Gate, out.Prices = true, prices(uses, time.Now())
	}
	return out, nil
}

// prices are those of the keys that open something now.
func prices(uses []GateUse, now time.Time) wire.PricesNow {
	out := wire.PricesNow{Tables: []wire.PriceTable{}, Rates: []wire.GrantRates{}}
	for _, u := range uses {
		if u.Revoked || !now.Before(u.Grant.Until) {
			continue
		}
		if u.Grant.Rates == (chat.Prices{}) {
			out.Unpriced++
			continue
		}
		version, made := u.Grant.Rates.Version, u.Grant.From
		i := slices.IndexFunc(out.Tables, func(t wire.PriceTable) bool { return t.Version == version })
		if i < 0 {
			i = len(out.Tables)
			out.Tables = append(out.Tables, wire.PriceTable{Version: version, First: made, Last: made})
		}
		t := &out.Tables[i]
		t.Keys++
		if made.Before(t.First) {
			t.First = made
		}
		if made.After(t.Last) {
			t.Last = made
		}
		id, grant := caseOf(u.Grant.Subject, u.Grant.Case)
		out.Rates = append(out.Rates, wire.GrantRates{Case: id, Grant: grant, Codename: u.Grant.Codename, Key: u.Grant.ID, Prices: u.Grant.Rates})
	}
	slices.SortFunc(out.Tables, func(a, b wire.PriceTable) int {
		return cmp.Or(b.Last.Compare(a.Last), cmp.Compare(a.Version, b.Version))
	})
	slices.SortFunc(out.Rates, func(a, b wire.GrantRates) int {
		return cmp.Or(cmp.Compare(a.Case, b.Case), cmp.Compare(a.Grant, b.Grant), cmp.Compare(a.Key, b.Key))
	})
	return out
}
