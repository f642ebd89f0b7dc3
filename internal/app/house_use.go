package app

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/docket"
	"proofhouse/internal/proofhouse"
)

// Uses implements api.Gate. It asks the gate that runs, and names neither model nor upstream.
func (h *House) Uses(ctx context.Context, id proofhouse.CaseID) (wire.Uses, error) {
	all := wire.Uses{Uses: []wire.GrantUse{}}
	uses, err := h.app.GateGrants(ctx)
	if proofhouse.KindOf(err) == proofhouse.Unavailable {
		return all, nil
	}
	if err != nil {
		return all, err
	}
	all.Running = true
	for _, u := range uses {
		grant, ok := strings.CutPrefix(u.Grant.Subject, string(id)+"/")
		if !ok || u.Grant.Case != string(id) {
			continue
		}
		limits, spent, held := u.Grant.Limits, u.Account.Spent, u.Account.Held
		all.Uses = append(all.Uses, wire.GrantUse{
			Grant: docket.GrantID(grant), Key: u.Grant.ID, Run: proofhouse.RunID(u.Grant.Run), Codename: u.Grant.Codename, Variant: u.Grant.Variant,
			From: u.Grant.From, Until: u.Grant.Until, Revoked: u.Revoked, Ended: endingOf(u), Open: u.Account.Open, Swept: len(u.Swept), URL: u.URL,
			Budgets: []wire.KeyBudget{
				{Of: "requests", Limit: limits.Requests, Spent: spent.Requests, Held: held.Requests},
				{Of: "input tokens", Limit: limits.Input, Spent: spent.Input, Held: held.Input},
				{Of: "output tokens", Limit: limits.Output, Spent: spent.Output, Held: held.Output},
				{Of: "nano-dollars", Limit: limits.NanoDollars, Spent: spent.NanoDollars, Held: held.NanoDollars},
			},
		})
	}
	slices.SortFunc(all.Uses, func(a, b wire.GrantUse) int {
		return cmp.Or(cmp.Compare(a.Grant, b.Grant), a.From.Compare(b.From), cmp.Compare(a.Key, b.Key))
	})
	return all, nil
}
