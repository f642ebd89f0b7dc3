package gate

import (
	"context"
	"slices"
	"time"

	"proofhouse/internal/proofhouse"
)

// Exposure says that a task became known to whoever serves an upstream: what is
// sent to a model that the developer serves, the developer can see. It stands
// in the gate's record, never taken back, and State has it by upstream.
type Exposure struct {
	Task proofhouse.Digest `json:"task"` // of its name
	Run  string            `json:"run,omitempty"`
}

// Expose records that tasks are about to be sent on a grant. Call it before
// the first request that holds anything of them; on return it is durable. A
// task that the grant's upstream knows already is not recorded again.
func (g *Gate) Expose(ctx context.Context, grant string, tasks []Exposure, now time.Time) error {
	t, err := g.granted(grant)
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, e := range tasks {
		if err := e.Task.Validate(); err != nil {
			return err
		}
		if known := g.exposed[t.grant.Upstream]; slices.ContainsFunc(known, func(k Exposure) bool { return k.Task == e.Task }) {
			continue
		}
		if err := g.record(ctx, Record{Kind: Exposed, Time: now, Grant: grant, Exposure: &tasks[i]}, g.cfg.Log.Sync); err != nil {
			return err
		}
		g.exposed[t.grant.Upstream] = append(g.exposed[t.grant.Upstream], e)
	}
	return nil
}

// maxReported bounds the model ids that are kept of one grant.
const maxReported = 64

// Reported are the ids under which the upstream reported the model of a grant
// since this gate was opened, each once, in the order of their coming. They
// are real names: they are for the house and not for callers.
func (g *Gate) Reported(grant string) []string {
	t, err := g.granted(grant)
	if err != nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.reported)
}

// report keeps a model's id, before the caller sees the answer that it is from.
func (t *tenancy) report(model string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if model != "" && len(t.reported) < maxReported && !slices.Contains(t.reported, model) {
		t.reported = append(t.reported, model)
	}
}

// granted is the grant of that id: proofhouse.NotFound if there is none.
func (g *Gate) granted(id string) (*tenancy, error) {
	for _, t := range *g.snapshot.Load() {
		if t.grant.ID == id {
			return t, nil
		}
	}
	return nil, proofhouse.Errorf(proofhouse.NotFound, nil, "the gate has no such grant: `gate list` shows them")
}
