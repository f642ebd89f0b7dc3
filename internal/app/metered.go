package app

import (
	"cmp"
	"context"
	"path/filepath"
	"slices"
	"strings"

	"proofhouse/internal/docket"
	"proofhouse/internal/gate"
	"proofhouse/internal/proofhouse"
)

// metered is what this house's gates counted for a case, that of each run and
// the one that is served; "" is for all cases. Each record is checked first.
func (a *App) metered(ctx context.Context, id proofhouse.CaseID) ([]docket.Metered, error) {
	logs, err := filepath.Glob(filepath.Join(a.Config.dir("gate"), "runs", "*", "log"))
	if err != nil {
		return nil, err
	}
	tokens := map[docket.Metered]int64{}
	for _, log := range append(logs, a.gateLog()) {
		err := a.readGateAt(ctx, log, countFor(id, tokens))
		if err != nil && proofhouse.KindOf(err) != proofhouse.NotFound {
			return nil, err
		}
	}
	all := []docket.Metered{}
	for m, n := range tokens {
		m.Tokens = n
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b docket.Metered) int { return cmp.Or(cmp.Compare(a.Grant, b.Grant), cmp.Compare(a.Run, b.Run)) })
	return all, nil
}

// countFor adds up what the grants of a case were charged, for one record after the other.
func countFor(id proofhouse.CaseID, tokens map[docket.Metered]int64) func(gate.Record) error {
	of := map[string]docket.Metered{} // by the gate's grant
	return func(r gate.Record) error {
		switch r.Kind {
		case gate.Granted:
			if t := r.Terms; t.Case != "" && (id == "" || t.Case == string(id)) {
				grant, _ := strings.CutPrefix(t.Subject, t.Case+"/")
				of[r.Grant] = docket.Metered{Grant: docket.GrantID(grant), Run: proofhouse.RunID(t.Run)}
				tokens[of[r.Grant]] += 0 // also a grant that nobody used is accounted for
			}
		case gate.Ended:
			if m, ok := of[r.Grant]; ok {
				tokens[m] += r.End.Charge.Input + r.End.Charge.Output
			}
		case gate.Unaccounted:
			if m, ok := of[r.Grant]; ok {
				tokens[m] += r.Hold.Input + r.Hold.Output
			}
		default:
		}
		return nil
	}
}
