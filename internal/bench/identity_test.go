package bench

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"proofhouse/internal/chat"
	"proofhouse/internal/proofhouse"
)

// turncoat is an identity that answers in turn: "same", "other" or "down".
type turncoat struct {
	mu    sync.Mutex
	asked []string // "first", or the first impression that Again was given
	says  []string
}

func (x *turncoat) next(call string) (Impression, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	says := "same"
	if n := len(x.asked); n < len(x.says) {
		says = x.says[n]
	}
	x.asked = append(x.asked, call)
	i := Impression{Asked: 5, Usage: chat.Usage{Input: 100, Output: 20}}
	switch says {
	case "other":
		i.Changes = []string{"probe 2 is answered otherwise than at first"}
	case "down":
		return i, proofhouse.Errorf(proofhouse.Unavailable, nil, "the model's server does not answer")
	}
	return i, nil
}

func (x *turncoat) First(context.Context) (Impression, error) {
	i, err := x.next("first")
	i.Private = json.RawMessage(`"titan"`)
	return i, err
}

func (x *turncoat) Again(_ context.Context, first json.RawMessage) (Impression, error) {
	return x.next(string(first))
}

type unasked struct{}

func (unasked) Generate(context.Context, chat.Request) (chat.Output, error) {
	return chat.Output{}, errors.New("nobody answers")
}

// TestQuestionsAreInTheRunsBudget, those of the run's earlier part included.
func TestQuestionsAreInTheRunsBudget(t *testing.T) {
	var heard error
	s := identified(t, &turncoat{}, scripted{"asks", func(ctx context.Context, s *Session) error {
		_, heard = s.Generate(ctx, chat.Request{})
		return heard
	}})
	s.Config.Model.Run.Tokens = 500 // 120 at the start and 120 at the end, each time
	for n, limited := range []bool{false, false, true} {
		s.Resume = n > 0
		_, err := Run(t.Context(), s)
		if got := proofhouse.KindOf(heard) == proofhouse.Limit; got != limited || (err != nil) != limited {
			t.Errorf("part %d: %v, %v", n+1, heard, err)
		}
	}
}

func identified(t *testing.T, x *turncoat, agent Agent) Setup {
	s := fixtureSetup(t, 2, agent)
	s.Config.Parallel, s.Model, s.Identity = 1, unasked{}, x
	s.Config.Model = &ModelConfig{Name: "violet", Prices: chat.Prices{Input: 1, Output: 1}}
	return s
}

// TestIdentity is asked at the start and at the end, and the result says so.
func TestIdentity(t *testing.T) {
	x := &turncoat{}
	s := identified(t, x, submits("REF"))
	r := run(t, s)
	if strings.Join(x.asked, " ") != `first "titan"` || len(r.Identity) != 2 || r.Identity[0].When != AtStart || r.Identity[1].When != AtEnd {
		t.Errorf("asked %v, %+v", x.asked, r.Identity)
	}
	if got := r.Identity[0].Spent; got.NanoDollars != 120 || got.Turns != 5 || r.Summary.Model != nil {
		t.Errorf("%+v, and of the samples %+v", got, r.Summary.Model)
	}
	if note := r.Notes[len(r.Notes)-1]; !strings.Contains(note, "2 times, from start to end, and nothing showed") {
		t.Error(note)
	}
	checkNoName(t, s.Folder)
}

// checkNoName looks for the model's name in what may be handed on.
func checkNoName(t *testing.T, folder string) {
	t.Helper()
	err := filepath.WalkDir(folder, func(name string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(name)
		if strings.Contains(string(b), "titan") {
			t.Errorf("%s names the model", name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestChangedModelStopsTheRun at each time that it can be found, and once it was, no resumption goes on.
func TestChangedModelStopsTheRun(t *testing.T) {
	t.Run("while it goes on", func(t *testing.T) {
		x := &turncoat{says: []string{"same", "same", "other", "other"}}
		s := identified(t, x, scripted{"waits", func(ctx context.Context, _ *Session) error { <-ctx.Done(); return ctx.Err() }})
		s.IdentifyEvery = time.Millisecond
		r, err := Run(t.Context(), s)
		if proofhouse.KindOf(err) != proofhouse.Conflict || r.Status != "error" || !strings.Contains(r.Error, "probe 2 is answered otherwise") {
			t.Errorf("%v, %s %q", err, r.Status, r.Error)
		}
		if len(r.Identity) != 3 || r.Identity[2].When != During || r.Samples[0].Status != Cancelled || r.Samples[1].Status != Waiting {
			t.Errorf("%+v, %s, %s", r.Identity, r.Samples[0].Status, r.Samples[1].Status)
		}
		if note := r.Notes[len(r.Notes)-1]; !strings.Contains(note, "the model changed during the run") {
			t.Error(note)
		}
		s.Resume = true
		r, err = Run(t.Context(), s)
		if proofhouse.KindOf(err) != proofhouse.Conflict || x.asked[3] != `"titan"` || r.Samples[1].Attempts != 0 {
			t.Errorf("taken up again: %v, asked %v, %+v", err, x.asked, r.Samples[1].Status)
		}
		checkNoName(t, s.Folder)
	})
	t.Run("at the end", func(t *testing.T) {
		s := identified(t, &turncoat{says: []string{"same", "other"}}, submits("REF"))
		r, err := Run(t.Context(), s)
		if proofhouse.KindOf(err) != proofhouse.Conflict || r.Status != "error" || r.Summary.Scored != 2 {
			t.Errorf("%v, %s, %d scored", err, r.Status, r.Summary.Scored)
		}
	})
}

// TestSilentServerIsNoChange: it ends a run that has not begun, and leaves a note in one that has.
func TestSilentServerIsNoChange(t *testing.T) {
	r, err := Run(t.Context(), identified(t, &turncoat{says: []string{"down"}}, submits("REF")))
	if proofhouse.KindOf(err) != proofhouse.Unavailable || r.Samples[0].Attempts != 0 {
		t.Errorf("%v, %d attempts", err, r.Samples[0].Attempts)
	}
	r = run(t, identified(t, &turncoat{says: []string{"same", "down"}}, submits("REF")))
	if note := r.Notes[len(r.Notes)-1]; r.Status != "success" || r.Identity[1].Failed == "" || !strings.Contains(note, "whether it changed after that is not known") {
		t.Errorf("%s, %+v, %s", r.Status, r.Identity, note)
	}
}

// TestExposedBeforeItIsSent: an agent starts once its task's exposure is on record, and not without.
func TestExposedBeforeItIsSent(t *testing.T) {
	var mu sync.Mutex
	known := map[proofhouse.TaskID]bool{}
	s := identified(t, &turncoat{}, scripted{"asks", func(_ context.Context, s *Session) error {
		mu.Lock()
		defer mu.Unlock()
		if !known[s.sample.ref.Task] {
			t.Errorf("%s is not on record", s.sample.ref.Task)
		}
		return nil
	}})
	s.Expose = func(_ context.Context, task TaskFacts) error {
		mu.Lock()
		defer mu.Unlock()
		if len(known) > 0 {
			return proofhouse.Errorf(proofhouse.Unavailable, nil, "the disk is full")
		}
		known[task.Task] = true
		return nil
	}
	r := run(t, s)
	if r.Samples[0].Status != Scored || r.Samples[1].Status != Errored || r.Samples[1].Error != "the disk is full" {
		t.Errorf("%s, then %s %q", r.Samples[0].Status, r.Samples[1].Status, r.Samples[1].Error)
	}
}
