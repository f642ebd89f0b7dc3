package app

import (
	"cmp"
	"context"
	"path/filepath"
	"slices"
	"time"

	"proofhouse/internal/gate"
	"proofhouse/internal/proofhouse"
)

// exposedTask is how a task stands in a gate's record.
func exposedTask(name proofhouse.TaskID) proofhouse.Digest { return proofhouse.DigestOf([]byte(name)) }

// Exposed is a task that whoever serves an upstream has seen.
type Exposed struct {
	Upstream string            `json:"upstream"`
	Task     proofhouse.TaskID `json:"task"`
	Since    time.Time         `json:"since"`
}

// Exposures reads the records of this house's gate and of its runs' gates, and
// gives each task of a suite once for an upstream, the first time that it was
// about to be sent there.
func (a *App) Exposures(ctx context.Context, suite string) ([]Exposed, error) {
	s, err := a.Suite(suite)
	if err != nil {
		return nil, err
	}
	names := map[proofhouse.Digest]proofhouse.TaskID{}
	for _, t := range s.Tasks {
		names[exposedTask(t.Task.Name)] = t.Task.Name
	}
	logs, err := filepath.Glob(filepath.Join(a.Config.dir("gate"), "runs", "*", "log"))
	if err != nil {
		return nil, err
	}
	all := []Exposed{}
	for _, log := range append(logs, a.gateLog()) {
		upstream := map[string]string{}
		err := a.readGateAt(ctx, log, func(r gate.Record) error {
			switch r.Kind { //nolint:exhaustive // the others say nothing of tasks
			case gate.Granted:
				upstream[r.Grant] = r.Terms.Upstream
			case gate.Exposed:
				if name, ok := names[r.Exposure.Task]; ok {
					all = append(all, Exposed{upstream[r.Grant], name, r.Time})
				}
			}
			return nil
		})
		if err != nil && proofhouse.KindOf(err) != proofhouse.NotFound {
			return nil, err
		}
	}
	slices.SortFunc(all, func(x, y Exposed) int {
		return cmp.Or(cmp.Compare(x.Task, y.Task), cmp.Compare(x.Upstream, y.Upstream), x.Since.Compare(y.Since))
	})
	return slices.CompactFunc(all, func(x, y Exposed) bool { return x.Task == y.Task && x.Upstream == y.Upstream }), nil
}
