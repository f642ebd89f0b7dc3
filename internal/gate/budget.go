package gate

import (
	"math"
	"math/bits"
	"time"

	"proofhouse/internal/chat"
)

// Amount is what a call takes of a grant. Its sums and products end at the
// largest int64 instead of passing over it, so that no number that a caller or
// an upstream writes makes a budget look unused.
type Amount struct {
	Requests    int64 `json:"requests"`
	Input       int64 `json:"input"`
	Output      int64 `json:"output"`
	NanoDollars int64 `json:"nano_dollars"`
}

func (a Amount) plus(b Amount) Amount {
	return Amount{add(a.Requests, b.Requests), add(a.Input, b.Input), add(a.Output, b.Output), add(a.NanoDollars, b.NanoDollars)}
}

func (a Amount) minus(b Amount) Amount {
	return Amount{a.Requests - b.Requests, a.Input - b.Input, a.Output - b.Output, a.NanoDollars - b.NanoDollars}
}

// within says that a is no more than b in anything.
func (a Amount) within(b Amount) bool {
	return a.Requests <= b.Requests && a.Input <= b.Input && a.Output <= b.Output && a.NanoDollars <= b.NanoDollars
}

// beyond is how much a is more than b, thing by thing.
func (a Amount) beyond(b Amount) Amount {
	return Amount{max(a.Requests-b.Requests, 0), max(a.Input-b.Input, 0), max(a.Output-b.Output, 0), max(a.NanoDollars-b.NanoDollars, 0)}
}

func add(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

func mul(a, b int64) int64 {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	if hi != 0 || lo > math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(lo)
}

// hold is the most that a call can take: every input token at the dearest
// rate at which one can be charged, every answer as long as it may get.
func (g *Grant) hold(c Call) Amount {
	if c.Counting {
		return Amount{Requests: 1}
	}
	in, out := c.Inputs, c.OutputCap
	if c.ByRef != "" {
		in = add(in, g.Limits.Context)
	}
	if out == 0 {
		out = g.Limits.OutputCap
	}
	out = mul(out, max(c.Outputs, 1))
	return Amount{Requests: 1, Input: in, Output: out, NanoDollars: g.Rates.Most(in, out)}
}

// charge is what a call took, by the usage that the upstream reported.
func (g *Grant) charge(u chat.Usage) Amount {
	return Amount{Requests: 1, Input: u.In(), Output: u.Output, NanoDollars: g.Rates.Of(u)}
}

// Account is what is used of a grant. Its methods return the account as it is
// afterwards; the one that they were called on is not used again.
type Account struct {
	Spent Amount `json:"spent"` // charged for good
	Held  Amount `json:"held"`  // reserved by calls under way
	Open  int    `json:"open"`  // calls under way
	// begun are the times of the last Limits.PerMinute calls, oldest first from next on.
	begun []time.Time
	next  int
}

// Reserve takes a hold if all of it fits within l beside what is spent and
// held; it never takes a part of one. The refusal says which limit was met.
func (a Account) Reserve(l Limits, hold Amount, now time.Time) (Account, *Refusal) {
	if no := a.fits(l, hold); no != nil {
		return a, no
	}
	if l.Streams > 0 && a.Open >= l.Streams {
		return a, refuse(Busy, "%d calls are under way, which is as many as this key permits at once", a.Open)
	}
	if l.PerMinute > 0 {
		if len(a.begun) < l.PerMinute {
			a.begun = append(a.begun, now)
		} else {
			if now.Sub(a.begun[a.next]) < time.Minute {
				return a, refuse(Busy, "this key permits %d calls a minute: wait", l.PerMinute)
			}
			a.begun[a.next], a.next = now, (a.next+1)%len(a.begun)
		}
	}
	a.Held, a.Open = a.Held.plus(hold), a.Open+1
	return a, nil
}

// fits says which of the budgets in l a hold does not fit, or nil.
func (a Account) fits(l Limits, hold Amount) *Refusal {
	total := a.Spent.plus(a.Held).plus(hold)
	for _, c := range []struct {
		total, limit, left int64
		what               string
	}{
		{total.Requests, l.Requests, l.Requests - a.Spent.Requests - a.Held.Requests, "requests"},
		{total.Input, l.Input, l.Input - a.Spent.Input - a.Held.Input, "input tokens"},
		{total.Output, l.Output, l.Output - a.Spent.Output - a.Held.Output, "output tokens"},
		{total.NanoDollars, l.NanoDollars, l.NanoDollars - a.Spent.NanoDollars - a.Held.NanoDollars, "nano-dollars"},
	} {
		if c.limit > 0 && c.total > c.limit {
			return refuse(Spent, "this request could take more than the %d %s that are left of this key's budget of %d: ask for fewer output tokens, or the issuer for more", max(c.left, 0), c.what, c.limit)
		}
	}
	return nil
}

// Settle puts a charge in the place of a hold that Reserve took. A charge above
// the hold, which an upstream that reports more than it could use would cause, is
// charged all the same.
func (a Account) Settle(hold, charge Amount) Account {
	a.Held, a.Spent, a.Open = a.Held.minus(hold), a.Spent.plus(charge), a.Open-1
	return a
}
