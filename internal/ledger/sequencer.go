package ledger

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"proofhouse/internal/proofhouse"
)

// maxBatch is how many commitments the sequencer appends at once.
const maxBatch = 1024

// Sequencer moves what waits in an outbox into the public log. It is the only
// one that appends to the log. It is for one goroutine, but for Wake.
//
// The order of effects: an entry is accepted, with its state, by a commit of
// the store alone; its commitment is appended; its place is recorded. A crash
// between the last two leaves leaves in the log of which the outbox knows
// nothing, so before it appends anything after a start or an error, the
// sequencer reads the log's tail and records those places: to append them
// again would give an entry two places.
type Sequencer struct {
	outbox Outbox
	log    PublicLog
	wake   chan struct{}

	size   uint64 // of the log, as recorded by the outbox
	agreed bool   // the log's tail and the outbox agree at size
}

// NewSequencer has done nothing yet.
func NewSequencer(outbox Outbox, log PublicLog) *Sequencer {
	return &Sequencer{outbox: outbox, log: log, wake: make(chan struct{}, 1)}
}

// Wake tells the sequencer that something waits. It never blocks, and may be
// called from any goroutine: after each commit, say.
func (s *Sequencer) Wake() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Run moves what waits until ctx ends, and then returns nil. It looks after
// every Wake, and each poll without one, since a Wake of a process that was
// killed is lost. Failures of the disk or the database are reported and tried
// again; a log and an outbox that contradict each other are
// proofhouse.Integrity and end it: nothing is appended before a person looked.
func (s *Sequencer) Run(ctx context.Context, poll time.Duration) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.wake:
		case <-timer.C:
		}
		for {
			n, err := s.Step(ctx)
			switch {
			case ctx.Err() != nil:
				return nil
			case proofhouse.KindOf(err) == proofhouse.Integrity:
				return err
			case err != nil:
				slog.LogAttrs(ctx, slog.LevelWarn, "the public log takes no entries: they wait, and are tried again", slog.Any("error", err))
			case n == maxBatch:
				continue // there may be more
			}
			break
		}
		timer.Reset(poll)
	}
}

// Step moves one batch and says how many entries it was. A caller that wants
// no loop calls it until it gives 0. Errors are those of the outbox and the
// log, and proofhouse.Integrity when the two contradict each other.
func (s *Sequencer) Step(ctx context.Context) (int, error) {
	if !s.agreed {
		if err := s.reconcile(ctx); err != nil {
			return 0, err
		}
		s.agreed = true
	}
	waiting, err := s.outbox.Waiting(ctx, maxBatch)
	if err != nil || len(waiting) == 0 {
		return 0, err
	}
	leaves := make([][32]byte, len(waiting))
	for i, w := range waiting {
		leaves[i] = w.Commitment
	}
	s.agreed = false // until the places are recorded
	indexes, err := s.log.Append(ctx, leaves)
	if err != nil {
		return 0, err
	}
	placed := make([]Placed, len(waiting))
	for i, w := range waiting {
		placed[i] = Placed{w.Stream, w.Seq, indexes[i]}
	}
	// Somebody else's leaves would lie between ours, or before them.
	for _, p := range placed {
		if p.Index < s.size || p.Index >= s.size+uint64(len(placed)) {
			return 0, proofhouse.Errorf(proofhouse.Integrity, nil, "the log gave place %d where %d to %d were due: something else appends to it", p.Index, s.size, s.size+uint64(len(placed))-1)
		}
	}
	if err := s.outbox.Place(ctx, placed); err != nil {
		return 0, err
	}
	s.size += uint64(len(placed))
	s.agreed = true
	return len(placed), nil
}

// reconcile records the places of what a crash left in the log's tail.
func (s *Sequencer) reconcile(ctx context.Context) error {
	recorded, err := s.outbox.Placed(ctx)
	if err != nil {
		return err
	}
	size, err := s.log.Size(ctx)
	if err != nil {
		return err
	}
	if recorded > size {
		return proofhouse.Errorf(proofhouse.Integrity, nil,
			"the public log has %d leaves and the database recorded %d: the log's folder was lost in part or put back from an old copy; put the newest copy back", size, recorded)
	}
	s.size = recorded
	for s.size < size {
		to := min(size, s.size+maxBatch)
		leaves, err := s.log.Leaves(ctx, s.size, to)
		if err != nil {
			return err
		}
		placed, err := s.match(ctx, leaves)
		if err != nil {
			return err
		}
		if err := s.outbox.Place(ctx, placed); err != nil {
			return err
		}
		s.size = to
	}
	return nil
}

var errUnknownLeaf = errors.New("no entry that waits has this commitment")

// match finds the entries whose commitments stand at s.size and behind. They
// are among the oldest that wait, but need not be the very oldest: a database
// may show a transaction that began earlier only later.
func (s *Sequencer) match(ctx context.Context, leaves [][32]byte) ([]Placed, error) {
	at := make(map[[32]byte]uint64, len(leaves))
	for i, leaf := range leaves {
		if first, twice := at[leaf]; twice {
			return nil, proofhouse.Errorf(proofhouse.Integrity, nil, "the public log has the same leaf at %d and %d: an entry was appended twice", first, s.size+uint64(i))
		}
		at[leaf] = s.size + uint64(i)
	}
	for limit := 2 * len(leaves); ; limit *= 2 {
		waiting, err := s.outbox.Waiting(ctx, limit)
		if err != nil {
			return nil, err
		}
		var placed []Placed
		for _, w := range waiting {
			if i, ok := at[w.Commitment]; ok {
				placed = append(placed, Placed{w.Stream, w.Seq, i})
			}
		}
		switch {
		case len(placed) == len(leaves):
			return placed, nil
		case len(waiting) < limit:
			return nil, proofhouse.Errorf(proofhouse.Integrity, errUnknownLeaf,
				"the public log has %d leaves behind %d that no entry of the database accounts for: the database was put back from an old copy, or something else appended; put the newest copy back",
				len(leaves)-len(placed), s.size)
		}
	}
}
