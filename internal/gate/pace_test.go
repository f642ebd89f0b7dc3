package gate

import (
	"testing"
	"time"
)

func TestPaceState(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	p := newPaceState(100)
	fill := func() (n int) {
		for ok := true; ok; n++ {
			p, ok, _ = p.begin(now)
		}
		return n - 1
	}
	for _, want := range []int{4, 8, 16} { // doubled by each round that goes well
		if n := fill(); n != want {
			t.Fatalf("%d calls at once, not %d", n, want)
		}
		for range want {
			p = p.end(now, now, false, 0)
		}
	}
	fill()
	began := now
	now = now.Add(time.Second)
	p = p.end(began, now, true, time.Minute)
	p = p.end(began, now, true, 0) // of the same round: it tells nothing new
	if _, ok, wait := p.begin(now); ok || wait != time.Minute || p.limit != 16 {
		t.Errorf("limit %v, %v, %v", p.limit, ok, wait)
	}
	now = now.Add(time.Minute)
	p.open = 0
	if n := fill(); n != 16 {
		t.Errorf("%d calls at once", n)
	}
	for range 16 {
		p = p.end(now, now, false, 0)
	}
	if p.limit < 16.9 || p.limit > 17.1 { // by one a round from here on
		t.Errorf("limit %v", p.limit)
	}
	for range 20 {
		now = now.Add(time.Second)
		p.open = 1
		p = p.end(now, now.Add(time.Millisecond), true, 0)
	}
	if p.limit != 1 {
		t.Errorf("limit %v", p.limit)
	}
}
