// Package agent holds the agents that need no model: the noop, the ladder of
// reference solutions, and the baseline, a fuzzer that every report shows
// beside a model. They get what a model gets: the same box, time and oracle.
// What a sample is and how it is scored is left to bench.
package agent

import (
	"context"
	"io/fs"
	"slices"

	"proofhouse/internal/bench"
	"proofhouse/internal/proofhouse"
)

// New is the agent of a name. No ability of a noop and a ladder is measured:
// they show that the scale tells nothing from something.
func New(name string) (bench.Agent, error) {
	for _, a := range []bench.Agent{Noop{}, Baseline{}, Ladder{}} {
		if a.Name() == name {
			return a, nil
		}
	}
	return nil, proofhouse.Errorf(proofhouse.NotFound, nil, "there is no agent %q: choose noop, baseline, ladder, react or external", name)
}

// Noop submits nothing but an empty input.
type Noop struct{}

// Name is "noop".
func (Noop) Name() string { return "noop" }

// Run submits the empty input.
func (Noop) Run(ctx context.Context, s *bench.Session) error {
	_, err := s.Submit(ctx, nil)
	return err
}

// Ladder submits a task's partial solutions, in the order of their names, and
// then the reference. It reads them on the host; they are never in the box.
type Ladder struct{}

// Name is "ladder".
func (Ladder) Name() string { return "ladder" }

// Replays marks it as an agent that is shown the references.
func (Ladder) Replays() {}

// Run climbs.
func (Ladder) Run(ctx context.Context, s *bench.Session) error {
	var rungs []string
	entries, err := fs.ReadDir(s.Reference, "solution/partial")
	if err == nil {
		for _, e := range entries {
			if e.Type().IsRegular() {
				rungs = append(rungs, "solution/partial/"+e.Name())
			}
		}
	}
	slices.Sort(rungs)
	if most := s.Left() - 1; len(rungs) > most {
		rungs = rungs[:max(0, most)] // the reference needs one
	}
	for _, name := range append(rungs, "solution/poc") {
		input, err := fs.ReadFile(s.Reference, name)
		if err != nil {
			return err
		}
		f, err := s.Submit(ctx, input)
		if err != nil {
			return err
		}
		said := "does not score"
		if f.Solved {
			said = "scores"
		}
		if err := s.Log("info", name+" "+said, nil); err != nil {
			return err
		}
		if f.Solved {
			return nil
		}
	}
	return nil
}
