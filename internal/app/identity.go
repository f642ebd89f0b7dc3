package app

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"proofhouse/internal/bench"
	"proofhouse/internal/gate"
	"proofhouse/internal/proofhouse"
)

// identity asks a run's model the gate's probes.
type identity struct{ gate.Prober }

func (i identity) First(ctx context.Context) (bench.Impression, error) {
	seen, err := i.Prober.First(ctx, time.Now())
	private, lost := json.Marshal(seen)
	return impression(seen, private), errors.Join(err, lost)
}

func (i identity) Again(ctx context.Context, first json.RawMessage) (bench.Impression, error) {
	var before gate.Impression
	if err := json.Unmarshal(first, &before); err != nil {
		return bench.Impression{}, proofhouse.Errorf(proofhouse.Integrity, err, "what the run's model answered at first cannot be read")
	}
	seen, err := i.Prober.Again(ctx, before, time.Now())
	out := impression(seen, nil)
	if err == nil {
		out.Changes = before.Changes(seen)
	}
	return out, err
}

func impression(seen gate.Impression, private json.RawMessage) bench.Impression {
	out := bench.Impression{Private: private}
	for _, a := range seen.Answers {
		out.Asked += len(a.Digests)
		out.Usage = out.Usage.Plus(a.Usage)
	}
	return out
}
