package chat

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestMost plays random usages within random bounds, at random prices with and
// without a tier of long inputs: none costs more than the bound said.
func TestMost(t *testing.T) {
	at := [5]int{} // that some of each kind were among them
	for seed := range uint64(20_000) {
		r := rand.New(rand.NewPCG(seed, 7))
		p := Prices{Version: "v", Input: r.Int64N(900), CacheRead: r.Int64N(900), CacheWrite: r.Int64N(900), Output: r.Int64N(900)}
		if r.IntN(2) == 0 {
			p.CacheWrite1h = r.Int64N(2000)
		}
		in, out := r.Int64N(1000), r.Int64N(1000)
		if r.IntN(2) == 0 {
			p.LongAbove = 1 + r.Int64N(1000)
			p.Long = Tier{Input: r.Int64N(900), CacheRead: r.Int64N(900), CacheWrite: r.Int64N(900), CacheWrite1h: r.Int64N(2000), Output: r.Int64N(900)}
		}
		most := p.Most(in, out)
		for range 20 {
			u := Usage{Input: r.Int64N(in + 1), Output: r.Int64N(out + 1)}
			u.CacheRead = r.Int64N(in - u.Input + 1)
			u.CacheWrite = r.Int64N(in - u.Input - u.CacheRead + 1)
			u.CacheWrite1h = r.Int64N(u.CacheWrite + 1)
			if r.IntN(4) == 0 {
				u = Usage{CacheWrite: in, CacheWrite1h: in, Output: out}
			}
			if r.IntN(4) == 0 && p.LongAbove > 0 && p.LongAbove <= in {
				u = Usage{Input: p.LongAbove, Output: out}
			}
			cost := p.Of(u)
			if cost > most {
				t.Fatalf("seed %d: %+v costs %d of at most %d at %+v", seed, u, cost, most, p)
			}
			if cost == most {
				at[0]++
			}
			if p.LongAbove > 0 && u.In() > p.LongAbove {
				at[1]++
			}
		}
	}
	if at[0] < 1000 || at[1] < 1000 {
		t.Errorf("the bound was met %d times, and %d inputs were long", at[0], at[1])
	}
}

func TestPricesOf(t *testing.T) {
	p := Prices{Input: 3, CacheRead: 1, CacheWrite: 4, CacheWrite1h: 6, Output: 15, LongAbove: 100, Long: Tier{Input: 6, CacheRead: 2, CacheWrite: 8, Output: 22}}
	for _, c := range []struct {
		u    Usage
		want int64
	}{
		{Usage{Input: 10, CacheRead: 20, CacheWrite: 30, Output: 2, Reasoning: 1}, 30 + 20 + 120 + 30},
		{Usage{CacheWrite: 30, CacheWrite1h: 10}, 20*4 + 10*6},
		{Usage{CacheWrite: 30, CacheWrite1h: 40}, 30 * 6}, // an upstream that contradicts itself
		{Usage{Input: 100, Output: 1}, 315},
		{Usage{Input: 50, CacheRead: 51, Output: 1}, 300 + 102 + 22},
		{Usage{CacheWrite: 101, CacheWrite1h: 101}, 808},
		{Usage{Input: math.MaxInt64 / 7}, math.MaxInt64 / 7 * 6},
		{Usage{Output: math.MaxInt64 / 2}, math.MaxInt64},
		{Usage{Input: math.MaxInt64 / 7, Output: math.MaxInt64 / 22 / 2}, math.MaxInt64},
	} {
		if got := p.Of(c.u); got != c.want {
			t.Errorf("%+v costs %d and not %d", c.u, got, c.want)
		}
	}
	if (Prices{LongAbove: 1, Long: Tier{CacheWrite1h: -1}}).Negative() != true || (Prices{Output: -1}).Negative() != true || p.Negative() {
		t.Error("negative")
	}
}
