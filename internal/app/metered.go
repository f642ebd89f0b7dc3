package app

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"log/slog"
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

// meterMark records in the database how long the records of the gates are, and
// holds them to what was recorded before: records only grow. Shorter ones were put
// back from an older copy, and what these lack nobody knows, then or ever after: so the mark of
// sinceName goes. It is asked as the house is opened, before each bundle and from
// time to time; a backup's database has what it recorded.
func (h *House) meterMark(ctx context.Context) error {
	// Before the files: a mark that another process raises meanwhile would be above what was read of them.
	least, err := h.docket.Metered(ctx)
	if err != nil {
		return err
	}
	since := h.app.Config.dir("gate", sinceName)
	if _, err := os.Stat(since); errors.Is(err, os.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	logs, err := h.app.gateLogs()
	if err != nil {
		return err
	}
	var n int64
	for _, log := range logs {
		size, err := wholeLines(log)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		n += size
	}
	if n < least {
		slog.LogAttrs(ctx, slog.LevelError, "the gates' records are shorter than they were: bundles will say that where the tokens went is not proved; put back the newest copy of the folder gate and restart",
			slog.Int64("bytes", n), slog.Int64("were", least))
		return os.Remove(since)
	}
	return h.docket.RaiseMetered(ctx, n)
}

// wholeLines is how long a file is without what follows its last line's end, in
// bytes: a gate that was killed leaves half a line, which the next one cuts off.
func wholeLines(name string) (int64, error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	chunk := make([]byte, 64<<10)
	for end := info.Size(); end > 0; {
		from := max(0, end-int64(len(chunk)))
		part := chunk[:end-from]
		if _, err := f.ReadAt(part, from); err != nil {
			return 0, err
		}
		if i := bytes.LastIndexByte(part, '\n'); i >= 0 {
			return from + int64(i) + 1, nil
		}
		end = from
	}
	return 0, nil
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

// gateLogs are the records of each run's gate and of the one that is served, which need not be there.
func (a *App) gateLogs() ([]string, error) {
	logs, err := filepath.Glob(filepath.Join(a.Config.dir("gate"), "runs", "*", "log"))
	return append(logs, a.gateLog()), err
}

// counted is what the records that are here count.
func (a *App) counted(ctx context.Context, id proofhouse.CaseID) ([]docket.Metered, error) {
	logs, err := a.gateLogs()
	if err != nil {
		return nil, err
	}
	tokens := map[docket.Metered]int64{}
	for _, log := range logs {
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
