package bench

import (
	"errors"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"proofhouse/internal/proofhouse"
)

// Live is a run as far as its journal tells by now, read by another process than the one that writes it. It reads only what is
// new since it was last asked, keeps no text of any transcript, and is safe for concurrent use.
//
// It shows no more than Result.Public, and of a run that is not over still less: a submission without verdict is not counted, and
// no total of survivors is given, since to see either change would tell which task has a survivor.
type Live struct {
	run proofhouse.RunID

	mu    sync.Mutex // owns what follows
	w     *watcher
	fold  folding
	at    int64                     // where the next record begins
	lines map[sampleKey][]linePlace // the records of a sample's events
	state State
	spent Spent
	limit int // attempts that were refused for coming too fast
	burn  []Burn
	step  time.Duration // at least so much lies between two of burn
	err   error         // the journal cannot be read any further
}

// linePlace is where an event stands, and what its record must follow.
type linePlace struct {
	off, seq int64
	prev     proofhouse.Digest
	at       time.Duration // since the sample's start
}

// State is a run at one moment.
type State struct {
	// Result is without transcripts. It is shared and not to be changed.
	Result Result
	Seq    int64     // of the last record
	Last   time.Time // when that was written
	// Steered is what was asked of this part of the run, the last at the end.
	Steered []Steered
	Over    bool
	// Limited is how many attempts at a call of the model its provider refused for coming too fast (HTTP 429).
	Limited int
	// Burn is what the model had used at moments of the run, at most maxBurn of them.
	Burn []Burn
}

// Burn is what a run's model had used by a moment, by the time since the run began.
type Burn struct {
	At          time.Duration
	Tokens      int64
	NanoDollars int64
}

// maxBurn bounds the moments that are kept of a run; beyond, every second one is dropped.
const maxBurn = 512

// Steered is a Steering with its time.
type Steered struct {
	Steering
	At time.Time
}

// Paused says whether no sample may begin.
func (s State) Paused() bool {
	for _, x := range slices.Backward(s.Steered) {
		if x.What != Stop {
			return x.What == Pause && !s.Over
		}
	}
	return false
}

// OpenLive is the run of that name in an output folder, whether it has begun there or not.
func OpenLive(folder string, run proofhouse.RunID) *Live {
	return &Live{
		run: run, w: &watcher{name: filepath.Join(folder, journalName), reader: newJournalReader(nil)},
		fold: folding{samples: map[sampleKey]*sampleState{}}, lines: map[sampleKey][]linePlace{},
	}
}

// Close lets go of the journal.
func (l *Live) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.w.close()
	l.w.f, l.err = nil, errClosed
}

var errClosed = errors.New("the run was closed")

// State reads what is new. A folder in which no run has begun, or another one, is proofhouse.NotFound.
func (l *Live) State() (State, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.read(); err != nil {
		return State{}, err
	}
	seq := l.w.reader.seq
	if seq == 0 {
		return State{}, proofhouse.Errorf(proofhouse.NotFound, nil, "the run has not begun, or its folder is gone: look again in a moment")
	}
	if seq != l.state.Seq {
		l.state = State{
			Result: seen(l.fold.result(), l.w.finished), Seq: seq, Last: l.fold.last.At, Steered: slices.Clip(l.fold.steered), Over: l.w.finished,
			Limited: l.limit, Burn: slices.Clone(l.burn),
		}
		l.state.Result.Journal = JournalRef{Records: seq, Head: l.w.reader.prev}
	}
	return l.state, nil
}

// read takes in what is new.
func (l *Live) read() error {
	if l.err != nil {
		return l.err
	}
	_, err := l.w.poll(func(rec Record) bool {
		l.err = l.add(rec)
		l.at = l.w.reader.off
		return l.err == nil
	})
	if proofhouse.KindOf(err) == proofhouse.Integrity {
		l.err = err // it does not heal
	}
	return errors.Join(l.err, err)
}

func (l *Live) add(rec Record) error {
	if rec.Open != nil && rec.Open.Run != l.run {
		return proofhouse.Errorf(proofhouse.NotFound, nil, "the run's folder holds another run by now")
	}
	if err := l.fold.add(rec); err != nil {
		return err
	}
	if rec.Sample == nil {
		return nil
	}
	key := sampleKey{rec.Sample.Task, rec.Sample.Epoch}
	if rec.Event != nil {
		st := l.fold.samples[key]
		l.lines[key] = append(l.lines[key], linePlace{l.at, rec.Seq - 1, rec.Prev, st.spent + rec.Event.At})
		if m := rec.Event.Model; m != nil {
			l.called(rec.At.Sub(l.fold.head.Started), *m)
		}
	}
	l.fold.samples[key].Events = nil // they are read again where they are wanted
	return nil
}

// called counts a call of the model.
func (l *Live) called(at time.Duration, m Figures) {
	for _, r := range m.Retries {
		if r.Status == http.StatusTooManyRequests {
			l.limit++
		}
	}
	l.spent = l.spent.Plus(m.Spent)
	b := Burn{max(0, at), l.spent.Tokens(), l.spent.NanoDollars}
	if n := len(l.burn); n > 0 && b.At-l.burn[n-1].At < l.step {
		l.burn[n-1] = b
		return
	}
	if l.burn = append(l.burn, b); len(l.burn) <= maxBurn {
		return
	}
	for i := range maxBurn / 2 {
		l.burn[i] = l.burn[2*i+1]
	}
	l.burn = l.burn[:maxBurn/2]
	l.step = max(2*l.step, b.At/maxBurn)
}

// seen is what may be shown of a result.
func seen(r Result, over bool) Result {
	for i := range r.Samples {
		r.Samples[i].Submissions = slices.DeleteFunc(r.Samples[i].Submissions, func(s Submission) bool { return s.Verdict.Outcome == "" })
	}
	r = r.Public()
	if !over {
		r.Summary.Survivors = 0
	}
	return r
}
