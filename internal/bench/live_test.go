package bench

import (
	"context"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"proofhouse/internal/proofhouse"
)

// steered is a run in the background whose helm the test has.
type steered struct {
	live   *Live
	steer  func(Steering) error
	begun  chan string // a sample's agent has started
	let    chan string // what it submits
	result chan Result
}

func steerRun(t *testing.T, tasks, parallel int) *steered {
	t.Helper()
	s := &steered{begun: make(chan string), let: make(chan string), result: make(chan Result, 1)}
	setup := fixtureSetup(t, tasks, scripted{"script", func(ctx context.Context, x *Session) error {
		s.begun <- string(x.sample.ref.Task)
		for {
			select {
			case text := <-s.let:
				if text == "" {
					return nil
				}
				if _, err := x.Submit(ctx, []byte(text)); err != nil {
					return err
				}
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}})
	setup.Config.Parallel, setup.Run = parallel, proofhouse.NewRunID()
	helm := make(chan func(Steering) error, 1)
	setup.Steered = func(ctx context.Context, steer func(Steering) error) {
		helm <- steer
		<-ctx.Done()
	}
	go func() {
		r, err := Run(t.Context(), setup)
		if err != nil {
			t.Error(err)
		}
		s.result <- r
	}()
	s.steer = <-helm
	s.live = OpenLive(setup.Folder, setup.Run)
	t.Cleanup(s.live.Close)
	return s
}

func (s *steered) ask(t *testing.T, what Steer) {
	t.Helper()
	if err := s.steer(Steering{What: what, By: "eve@institute"}); err != nil {
		t.Fatal(err)
	}
}

func (s *steered) state(t *testing.T) State {
	t.Helper()
	st, err := s.live.State()
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// TestPause: while a run is paused no sample begins, those under way go on, and what was asked stands in the journal at once.
func TestPause(t *testing.T) {
	s := steerRun(t, 3, 1)
	<-s.begun
	s.ask(t, Pause)
	if st := s.state(t); !st.Paused() || len(st.Steered) != 1 || st.Steered[0].By != "eve@institute" {
		t.Errorf("asked to pause: %+v", st.Steered)
	}
	s.let <- "BREAK"
	s.let <- "" // the first sample ends
	for s.state(t).Result.Summary.Scored == 0 {
		select {
		case name := <-s.begun:
			t.Fatalf("%s began in a pause", name)
		case <-time.After(time.Millisecond):
		}
	}
	s.ask(t, Pause) // said twice it is one
	select {
	case name := <-s.begun:
		t.Fatalf("%s began in a pause", name)
	case <-time.After(30 * time.Millisecond): // it cannot be waited for that something does not happen
	}
	s.ask(t, GoOn)
	for range 2 {
		<-s.begun
		s.let <- ""
	}
	if r := <-s.result; r.Status != "success" || r.Summary.Scored != 3 {
		t.Errorf("%s with %d scored", r.Status, r.Summary.Scored)
	}
	if st := s.state(t); st.Paused() || !st.Over {
		t.Errorf("after its end: %+v", st)
	}
	if err := s.steer(Steering{What: Pause}); proofhouse.KindOf(err) != proofhouse.Conflict {
		t.Errorf("a run that is over was paused: %v", err)
	}
}

// TestStop: a run that is stopped ends as by its operator, also out of a pause, and says who asked.
func TestStop(t *testing.T) {
	for _, paused := range []bool{false, true} {
		s := steerRun(t, 3, 2)
		<-s.begun
		<-s.begun
		if err := s.steer(Steering{What: "explode"}); proofhouse.KindOf(err) != proofhouse.Invalid {
			t.Errorf("asked for anything: %v", err)
		}
		if paused {
			s.ask(t, Pause)
		}
		s.ask(t, Stop)
		r := <-s.result
		if r.Status != "cancelled" || r.Summary.Cancelled != 2 || r.Samples[0].Limit != "operator" {
			t.Errorf("paused %v: %s, %+v", paused, r.Status, r.Summary)
		}
		if st := s.state(t); st.Result.Status != "cancelled" || st.Paused() || st.Steered[len(st.Steered)-1].What != Stop {
			t.Errorf("paused %v: %+v", paused, st)
		}
	}
}

// TestLive: what is seen of a run under way never tells which sample has a survivor, and at its end it is the public result.
func TestLive(t *testing.T) {
	s := steerRun(t, 2, 1)
	<-s.begun
	s.let <- "x"
	s.let <- "SURVIVE secretly"
	s.let <- "BREAK"
	s.let <- ""
	<-s.begun // the first one is over
	st := s.state(t)
	if one := st.Result.Samples[0]; len(one.Submissions) != 2 || one.Submissions[1].Number != 2 || one.Score.Survivors != 0 || st.Result.Summary.Survivors != 0 || !one.Score.Solved {
		t.Errorf("seen under way: %+v", one)
	}
	if st.Over || st.Result.Status != "started" || st.Result.Samples[1].Status != Running {
		t.Errorf("under way: %+v", st.Result)
	}
	s.let <- ""
	want := <-s.result
	for i := range want.Samples {
		want.Samples[i].Events = nil
	}
	st = s.state(t)
	if st.Result.Summary.Survivors != 1 || !st.Over {
		t.Errorf("at its end: %+v", st.Result.Summary)
	}
	if diff := cmp.Diff(asJSON(t, want), asJSON(t, st.Result)); diff != "" {
		t.Error(diff)
	}
	for _, x := range st.Result.Samples {
		if x.Events != nil {
			t.Error("it keeps what stands in the transcript")
		}
	}
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestLivePending: a submission that nobody has judged yet is not seen.
func TestLivePending(t *testing.T) {
	judging, judge := make(chan bool), make(chan bool)
	setup := fixtureSetup(t, 1, submits("REF"))
	setup.Run = proofhouse.NewRunID()
	setup.Verifier = textVerifier{before: func([]byte) { judging <- true; <-judge }}
	done := make(chan Result, 1)
	go func() {
		r, err := Run(t.Context(), setup)
		if err != nil {
			t.Error(err)
		}
		done <- r
	}()
	<-judging
	live := OpenLive(setup.Folder, setup.Run)
	defer live.Close()
	st, err := live.State()
	if err != nil || len(st.Result.Samples[0].Submissions) != 0 {
		t.Errorf("%+v, %v", st.Result.Samples, err)
	}
	close(judge)
	<-done
	if st, err = live.State(); err != nil || len(st.Result.Samples[0].Submissions) != 1 {
		t.Errorf("%+v, %v", st.Result.Samples, err)
	}
}

// TestLiveOfAnother: a folder that has no run yet, or another one, is not the run that was asked for.
func TestLiveOfAnother(t *testing.T) {
	setup := fixtureSetup(t, 1, submits("REF"))
	early := OpenLive(setup.Folder, "run-x")
	defer early.Close()
	if _, err := early.State(); proofhouse.KindOf(err) != proofhouse.NotFound {
		t.Errorf("before it began: %v", err)
	}
	run(t, setup)
	for _, l := range []*Live{early, OpenLive(setup.Folder, "run-y")} {
		if _, err := l.State(); proofhouse.KindOf(err) != proofhouse.NotFound {
			t.Errorf("another run: %v", err)
		}
		l.Close()
	}
}

// TestBurn: however many calls a run makes, few moments are kept, in order and to the last.
func TestBurn(t *testing.T) {
	l := OpenLive(t.TempDir(), "run-x")
	for i := range 20_000 {
		l.called(time.Duration(i)*time.Second, Figures{Spent: Spent{NanoDollars: 1}})
	}
	if n := len(l.burn); n > maxBurn || n < maxBurn/8 {
		t.Errorf("%d moments", n)
	}
	if last := l.burn[len(l.burn)-1]; last.NanoDollars != 20_000 {
		t.Errorf("the last is %+v", last)
	}
	if !slices.IsSortedFunc(l.burn, func(a, b Burn) int { return int(a.At - b.At) }) {
		t.Error("out of order")
	}
}
