package app

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"proofhouse/internal/docket"
	"proofhouse/internal/gate"
	"proofhouse/internal/proofhouse"
)

// sinceName is a file in the gates' folder that the house lays there as it is
// opened for the first time: what was metered since is in this folder. A house
// that was restored without it cannot say what its cases used, whatever its
// gates count from then on.
const sinceName = "since"

// meterSince lays it there.
func (a *App) meterSince(now time.Time) error {
	if err := os.MkdirAll(a.Config.dir("gate"), 0o700); err != nil {
		return err
	}
	return os.WriteFile(a.Config.dir("gate", sinceName), []byte(now.UTC().Format(time.RFC3339)+"\n"), 0o600)
}

// metered is what this house's gates counted for a case, that of each run and
// the one that is served; "" is for all cases. Each record is checked first. It
// is nil if the records are not those of the house's whole life, and empty if
// nothing was used.
func (a *App) metered(ctx context.Context, id proofhouse.CaseID) ([]docket.Metered, error) {
	if _, err := os.Stat(a.Config.dir("gate", sinceName)); errors.Is(err, os.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	return a.counted(ctx, id)
}

// counted is what the records that are here count.
func (a *App) counted(ctx context.Context, id proofhouse.CaseID) ([]docket.Metered, error) {
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
