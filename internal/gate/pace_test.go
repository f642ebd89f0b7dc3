package gate

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// round lets as many calls begin as may, and ends them all the same way.
func round(p paceState, l load, now time.Time) (paceState, int) {
	n := 0
	for next, ok, _ := p.begin(now); ok; next, ok, _ = p.begin(now) {
		p = next
		n++
	}
	for range n {
		p = p.end(now, now.Add(time.Second), l, 0)
	}
	return p, n
}

func TestPaceRounds(t *testing.T) {
	now := time.Unix(1000, 0)
	p, sizes := newPaceState(1000), []int{}
	for _, l := range []load{answered, answered, answered, overloaded, answered, answered, answered, unheard, overloaded, overloaded, overloaded, overloaded, overloaded, overloaded, answered} {
		var n int
		now = now.Add(2 * time.Second)
		p, n = round(p, l, now)
		sizes = append(sizes, n)
	}
	// Twice as many each round until the first overload; then one more each round, and half for each overloaded one.
	if want := []int{4, 8, 16, 32, 16, 17, 18, 19, 19, 9, 4, 2, 1, 1, 1}; !slices.Equal(sizes, want) {
		t.Errorf("%v, want %v", sizes, want)
	}
	p = newPaceState(1000)
	for range 100 { // one at a time tells nothing of what the upstream can take
		now = now.Add(time.Second)
		p, _, _ = p.begin(now)
		p = p.end(now, now, answered, 0)
	}
	if p.places != paceStart {
		t.Errorf("%d places after calls one by one", p.places)
	}
}

// TestPaceHolds walks at random, and checks what must hold after every step.
func TestPaceHolds(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		p, now, open := newPaceState(30), time.Unix(1000, 0), []time.Time{}
		for range 500 {
			now = now.Add(time.Duration(r.IntN(300)) * time.Millisecond)
			before := p
			next, ok, wait := p.begin(now)
			switch {
			case ok && r.IntN(2) == 0:
				if p = next; p.open > p.places || now.Before(p.until) {
					t.Fatalf("seed %d: began one too many or too early: %+v at %v", seed, p, now)
				}
				open = append(open, now)
			case !ok && wait > 0:
				if _, ok, _ := p.begin(now.Add(wait)); !ok {
					t.Fatalf("seed %d: after %v it may not begin as promised: %+v", seed, wait, p)
				}
			}
			if len(open) == 0 || r.IntN(2) == 0 {
				continue
			}
			i := r.IntN(len(open))
			l, after := load(r.IntN(3)), time.Duration(r.IntN(3))*time.Second
			p = p.end(open[i], now, l, after)
			switch {
			case p.places < 1 || p.places > 30 || p.open != len(open)-1:
				t.Fatalf("seed %d: %+v with %d open", seed, p, len(open)-1)
			case l != answered && p.places > before.places, p.places > before.places+1, l == unheard && p.places != before.places:
				t.Fatalf("seed %d: load %d made %d of %d", seed, l, p.places, before.places)
			case l == overloaded && open[i].Before(before.cut) && p.places != before.places:
				t.Fatalf("seed %d: one overload was counted twice", seed)
			case after > 0 && p.until.Before(now.Add(after)), p.until.Before(before.until):
				t.Fatalf("seed %d: the upstream's wish of %v is forgotten: %+v", seed, after, p)
			}
			open = slices.Delete(open, i, i+1)
		}
	}
}

func TestPaceQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &Pace{state: paceState{most: 1, places: 1, steady: true}}
		began := time.Now()
		if _, err := p.Begin(t.Context()); err != nil {
			t.Fatal(err)
		}
		gone, cancel := context.WithCancelCause(t.Context())
		order := make(chan int, 4)
		for i := range 3 {
			ctx := t.Context()
			if i == 1 {
				ctx = gone
			}
			go func() {
				waited, err := p.Begin(ctx)
				if err != nil {
					order <- -1
					return
				}
				if want := time.Minute + time.Duration(i/2)*time.Second; waited != want {
					t.Errorf("call %d waited %v, want %v", i, waited, want)
				}
				order <- i
				began := time.Now()
				time.Sleep(time.Second)
				p.End(began, answered, 0)
			}()
			synctest.Wait()
		}
		cancel(errors.New("left"))
		synctest.Wait()
		p.End(began, overloaded, time.Minute) // for everybody
		time.Sleep(time.Hour)
		if a, b, c := <-order, <-order, <-order; a != -1 || b != 0 || c != 2 {
			t.Errorf("order %d %d %d", a, b, c)
		}
		synctest.Wait()
		if p.state.open != 0 || p.waiting.Len() != 0 {
			t.Errorf("left behind: %+v, %d waiting", p.state, p.waiting.Len())
		}
	})
}

// TestPace: with callers that never stop asking an upstream that can do ten at
// once, as many as that are under way before long, and a server's wish to be
// left alone holds for all.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPace(1000)
		var open, most, refused, served atomic.Int64
		var lonely atomic.Int64 // until when nobody may come, in ns
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		var wg sync.WaitGroup
		for range 200 {
			wg.Go(func() {
				for {
					if _, err := p.Begin(ctx); err != nil {
						return
					}
					began := time.Now()
					if until := lonely.Load(); began.UnixNano() < until && began.UnixNano() > until-int64(50*time.Millisecond) {
						t.Error("a call began while the server wanted to be left alone")
					}
					now := open.Add(1)
					if now > most.Load() {
						most.Store(now)
					}
					time.Sleep(100 * time.Millisecond)
					open.Add(-1)
					if now > 10 {
						refused.Add(1)
						p.End(began, overloaded, 50*time.Millisecond)
						lonely.Store(time.Now().Add(50 * time.Millisecond).UnixNano())
					} else {
						served.Add(1)
						p.End(began, answered, 0)
					}
				}
			})
		}
		wg.Wait()
		if served.Load() < 1000 || refused.Load() > served.Load()/5 || most.Load() > 40 {
			t.Errorf("%d served, %d refused, at most %d at once", served.Load(), refused.Load(), most.Load())
		}
	})
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name, value string
		want        time.Duration
	}{
		{"Retry-After", "7", 7 * time.Second},
		{"Retry-After", "0.5", 500 * time.Millisecond},
		{"Retry-After", "Fri, 27 Nov 2026 12:01:30 GMT", 90 * time.Second},
		{"Retry-After", "Fri, 27 Nov 2026 11:00:00 GMT", 0},
		{"Retry-After", "-3", 0},
		{"Retry-After", "soon", 0},
		{"Retry-After", "NaN", 0},
		{"Retry-After", "1e300", 10 * time.Minute},
		{"Retry-After-Ms", "1500", 1500 * time.Millisecond},
		{"Retry-After-Ms", "x", 0},
	} {
		if got := retryAfter(http.Header{c.name: {c.value}}, now); got != c.want {
			t.Errorf("%s: %s is %v, want %v", c.name, c.value, got, c.want)
		}
	}
}
