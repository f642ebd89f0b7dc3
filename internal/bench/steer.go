package bench

import (
	"context"
	"sync"

	"proofhouse/internal/proofhouse"
)

// Steering is what somebody asked of a run under way.
type Steering struct {
	What Steer  `json:"what"`
	By   string `json:"by"` // PERSON@ORGANISATION
}

// Steer is what can be asked of a run.
type Steer string

const (
	// Pause lets no sample begin any more. Those under way go on to their end, since their limits of time do not stand still.
	Pause Steer = "pause"
	// GoOn ends a pause.
	GoOn Steer = "go on"
	// Stop ends every sample within seconds and keeps what was measured, as an interrupt does.
	Stop Steer = "stop"
)

// helm holds a run's samples back. The zero value holds none.
type helm struct {
	stop context.CancelFunc // ends the run as its operator

	mu    sync.Mutex    // owns what follows
	held  chan struct{} // closed when the pause ends; nil if there is none
	ended bool          // the run takes nothing more
}

// beginSteering lets the run be steered until the function that it gives is called.
func (e *engine) beginSteering(ctx context.Context) (end func()) {
	if e.Steered == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		e.Steered(ctx, e.steer)
	}()
	return func() {
		e.helm.mu.Lock()
		e.helm.ended = true
		e.helm.mu.Unlock()
		cancel()
		<-done
	}
}

// steer puts what was asked into the journal and does it. It is in force when it returns.
func (e *engine) steer(s Steering) error {
	h := &e.helm
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ended {
		return proofhouse.Errorf(proofhouse.Conflict, nil, "the run is over")
	}
	switch s.What {
	case Pause, GoOn, Stop:
	default:
		return proofhouse.Errorf(proofhouse.Invalid, nil, "a run can be asked to pause, to go on or to stop")
	}
	if err := e.journal.put(Record{At: e.now(), Steering: &s}); err != nil {
		return err
	}
	switch {
	case s.What == Pause && h.held == nil:
		h.held = make(chan struct{})
	case s.What == GoOn && h.held != nil:
		close(h.held)
		h.held = nil
	case s.What == Stop:
		h.ended = true
		h.stop()
	}
	return nil
}

// unheld returns when no pause holds a sample back, or the run ends.
func (e *engine) unheld() {
	for {
		e.helm.mu.Lock()
		held := e.helm.held
		e.helm.mu.Unlock()
		if held == nil {
			return
		}
		select {
		case <-held:
		case <-e.ctx.Done():
			return
		}
	}
}
