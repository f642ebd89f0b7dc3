package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"proofhouse/internal/chat"
	"proofhouse/internal/proofhouse"
)

// Identity tells whether the model that answers is still the one that answered
// at first. App hands one that asks through the run's gate.
type Identity interface {
	// First asks what Again compares with.
	First(ctx context.Context) (Impression, error)
	// Again asks once more and says what shows that the model is another one.
	// A provider that fails is the error, and no change.
	Again(ctx context.Context, first json.RawMessage) (Impression, error)
}

// Impression is what a model answered at one time.
type Impression struct {
	// Private is for Again. It names the model, so it lies in the private folder
	// only.
	Private json.RawMessage
	Asked   int // questions
	Usage   chat.Usage
	Changes []string // sentences that name no model
}

// Identification is what the record says of one time that the model was asked.
type Identification struct {
	At      time.Time `json:"at"`
	When    When      `json:"when"`
	Asked   int       `json:"asked"` // questions
	Spent   Spent     `json:"spent"` // is in the run's budget and in no sample's
	Changes []string  `json:"changes,omitempty"`
	Failed  string    `json:"failed,omitempty"` // public sentence, if it could not be asked
}

// When says when a model was asked.
type When string

// The times: at the start of a run, and again each time that it is taken up;
// while it goes on; when all samples are over.
const (
	AtStart When = "start"
	During  When = "during"
	AtEnd   When = "end"
)

// identifyEvery is how long a run goes on before its model is asked again.
const identifyEvery = 10 * time.Minute

// identify asks the model once. A model that changed, or cannot be asked at
// the start, ends the run: proofhouse.Conflict or the provider's error.
func (e *engine) identify(ctx context.Context, when When) error {
	var seen Impression
	var err error
	known := e.first != nil
	if known {
		seen, err = e.Identity.Again(ctx, e.first)
	} else {
		seen, err = e.Identity.First(ctx)
	}
	if ctx.Err() != nil {
		return nil
	}
	i := Identification{At: e.now(), When: when, Asked: seen.Asked, Changes: seen.Changes}
	i.Spent = Spent{Turns: seen.Asked, Messages: 2 * seen.Asked, Usage: seen.Usage, NanoDollars: e.opening.Config.Model.Prices.Of(seen.Usage)}
	if err != nil {
		i.Failed, i.Spent.Failures = proofhouse.PublicOf(err), 1
	}
	if err == nil && !known {
		e.first = seen.Private
		if err := e.talks.put(Record{At: i.At, Impression: seen.Private}); err != nil {
			return err
		}
	}
	e.account(i.Spent)
	if err := e.journal.put(Record{At: i.At, Identity: &i}); err != nil {
		return err
	}
	switch {
	case len(i.Changes) > 0:
		return proofhouse.Errorf(proofhouse.Conflict, nil, "the model changed during the run: %s; what was measured is of more than one model", strings.Join(i.Changes, ", "))
	case err != nil && when == AtStart:
		return fmt.Errorf("asking the model what it is: %w", err)
	}
	return nil
}

// beginIdentity asks at the start, and from then on until the function that it
// gives is called, which asks for the last time.
func (e *engine) beginIdentity() (end func()) {
	if e.Identity == nil {
		return func() {}
	}
	if err := e.identify(e.ctx, AtStart); err != nil {
		e.refuse(err)
	}
	ctx, stop := context.WithCancel(e.ctx)
	var watching sync.WaitGroup
	watching.Go(func() { e.watchIdentity(ctx) })
	return func() {
		stop()
		watching.Wait()
		if e.ctx.Err() != nil {
			return
		}
		if err := e.identify(e.ctx, AtEnd); err != nil {
			e.refuse(err)
		}
	}
}

// watchIdentity asks every so often until ctx ends.
func (e *engine) watchIdentity(ctx context.Context) {
	every := e.IdentifyEvery
	if every == 0 {
		every = identifyEvery
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := e.identify(ctx, During); err != nil {
				e.refuse(err)
				return
			}
		}
	}
}

// identityNote is what a reader must know of whether it was one model; "" in a
// run that was not asked to find out.
func identityNote(all []Identification) string {
	asked, last := 0, Identification{}
	for _, i := range all {
		if len(i.Changes) > 0 {
			return "the model changed during the run: " + strings.Join(i.Changes, ", ")
		}
		if i.Failed == "" {
			asked, last = asked+1, i
		}
	}
	switch {
	case asked == 0:
		return ""
	case last.When == AtEnd:
		return fmt.Sprintf("the model was asked the same questions %d times, from start to end, and nothing showed that it changed", asked)
	}
	return fmt.Sprintf("the model was asked the same questions %d times, the last time before the run's end: whether it changed after that is not known", asked)
}
