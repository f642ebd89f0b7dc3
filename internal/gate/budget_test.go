package gate

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"proofhouse/internal/chat"
)

// TestAccountNeverOverspends plays random calls against random limits: what is spent and held never
// passes a limit as long as no charge is above its hold, and all holds come back.
func TestAccountNeverOverspends(t *testing.T) {
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 1))
		g := Grant{
			Limits: Limits{Requests: r.Int64N(40) + 1, Input: r.Int64N(9000) + 1, Output: r.Int64N(9000) + 1, NanoDollars: r.Int64N(1e7) + 1, Streams: r.IntN(5), OutputCap: r.Int64N(900) + 1},
			Rates:  chat.Prices{Input: r.Int64N(900), CacheRead: r.Int64N(90), CacheWrite: r.Int64N(2000), Output: r.Int64N(3000)},
		}
		var a Account
		type open struct {
			hold Amount
			c    Call
		}
		var calls []open
		now := time.Unix(0, 0)
		for range 200 {
			now = now.Add(time.Second)
			if len(calls) > 0 && r.IntN(2) == 0 {
				i := r.IntN(len(calls))
				c := calls[i]
				calls = append(calls[:i], calls[i+1:]...)
				charge := c.hold // nobody said how much was used
				if r.IntN(4) > 0 {
					u := chat.Usage{Output: r.Int64N(c.hold.Output + 1)}
					u.Input = r.Int64N(c.c.Inputs + 1)
					u.CacheWrite = r.Int64N(c.c.Inputs - u.Input + 1)
					u.CacheRead = c.c.Inputs - u.Input - u.CacheWrite
					charge = g.charge(u)
				}
				if charge.NanoDollars > c.hold.NanoDollars {
					t.Fatalf("seed %d: %+v is charged on a hold of %+v", seed, charge, c.hold)
				}
				a = a.Settle(c.hold, charge)
			} else {
				c := Call{Inputs: r.Int64N(2000), OutputCap: r.Int64N(g.Limits.OutputCap + 1), Outputs: r.Int64N(3)}
				hold := g.hold(c)
				before := a.Spent.plus(a.Held)
				next, no := a.Reserve(g.Limits, hold, now)
				if no != nil {
					if next.Spent.plus(next.Held) != before {
						t.Fatalf("seed %d: a refusal took something", seed)
					}
					continue
				}
				a = next
				calls = append(calls, open{hold, c})
			}
			total := a.Spent.plus(a.Held)
			if total.Requests > g.Limits.Requests || total.Input > g.Limits.Input || total.Output > g.Limits.Output || total.NanoDollars > g.Limits.NanoDollars {
				t.Fatalf("seed %d: %+v of %+v", seed, total, g.Limits)
			}
			if a.Open != len(calls) || g.Limits.Streams > 0 && a.Open > g.Limits.Streams {
				t.Fatalf("seed %d: %d open of %d, limit %d", seed, a.Open, len(calls), g.Limits.Streams)
			}
		}
		for _, c := range calls {
			a = a.Settle(c.hold, Amount{})
		}
		if a.Held != (Amount{}) || a.Open != 0 {
			t.Fatalf("seed %d: %+v is held by nobody", seed, a.Held)
		}
	}
}

func TestAmountsEndAtTheLargest(t *testing.T) {
	huge := Amount{NanoDollars: math.MaxInt64}
	if got := huge.plus(huge).NanoDollars; got != math.MaxInt64 {
		t.Errorf("%d", got)
	}
	if got := mul(math.MaxInt64/2, 3); got != math.MaxInt64 {
		t.Errorf("%d", got)
	}
	g := Grant{Limits: Limits{NanoDollars: 1 << 40, OutputCap: 1 << 40}, Rates: chat.Prices{Input: 1, Output: 1 << 40}}
	if _, no := (Account{}).Reserve(g.Limits, g.hold(Call{Outputs: 128}), time.Now()); no == nil || no.Reason != Spent {
		t.Errorf("a hold over all bounds: %v", no)
	}
}

func TestPerMinute(t *testing.T) {
	var a Account
	l := Limits{PerMinute: 3}
	begin := time.Unix(1000, 0)
	var admitted []time.Time
	for i := range 400 {
		now := begin.Add(time.Duration(i) * 700 * time.Millisecond)
		next, no := a.Reserve(l, Amount{Requests: 1}, now)
		if no != nil {
			if no.Reason != Busy || !no.Retry() {
				t.Fatalf("%v", no)
			}
			continue
		}
		a = next
		admitted = append(admitted, now)
	}
	for i := 3; i < len(admitted); i++ {
		if admitted[i].Sub(admitted[i-3]) < time.Minute {
			t.Errorf("four calls within %s", admitted[i].Sub(admitted[i-3]))
		}
	}
	if len(admitted) < 12 {
		t.Errorf("only %d calls in 280 s", len(admitted))
	}
}
