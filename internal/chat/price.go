package chat

import (
	"math"
	"math/bits"
)

// Prices are what one token of each class costs, in nano-dollars (10^-9
// dollars); one dollar a million tokens is 1,000. The zero value means that
// the price is not known. They are compared with ==.
type Prices struct {
	Version    string `json:"version,omitempty"` // of the table that they were taken from
	Input      int64  `json:"input"`
	CacheRead  int64  `json:"cache_read"`
	CacheWrite int64  `json:"cache_write"`
	// CacheWrite1h is for tokens that are kept for an hour; 0 is as CacheWrite.
	CacheWrite1h int64 `json:"cache_write_1h,omitempty"`
	Output       int64 `json:"output"`
	// LongAbove is how many input tokens a call has at most before all of its
	// tokens cost what Long says; 0 is any number.
	LongAbove int64 `json:"long_above,omitempty"`
	Long      Tier  `json:"long,omitzero"`
}

// Tier is what one token of each class costs in calls with long inputs, as Prices has it.
type Tier struct {
	Input        int64 `json:"input"`
	CacheRead    int64 `json:"cache_read"`
	CacheWrite   int64 `json:"cache_write"`
	CacheWrite1h int64 `json:"cache_write_1h,omitempty"`
	Output       int64 `json:"output"`
}

// Negative says that some price is, which none can be.
func (p Prices) Negative() bool {
	t := p.tier(0)
	return min(t.Input, t.CacheRead, t.CacheWrite, t.CacheWrite1h, t.Output, p.LongAbove,
		p.Long.Input, p.Long.CacheRead, p.Long.CacheWrite, p.Long.CacheWrite1h, p.Long.Output) < 0
}

// Of is the price of one answer's usage, at most the largest number.
func (p Prices) Of(u Usage) int64 {
	t := p.tier(u.In())
	hour := min(u.CacheWrite1h, u.CacheWrite)
	var sum nano
	sum.add(u.Input, t.Input)
	sum.add(u.CacheRead, t.CacheRead)
	sum.add(u.CacheWrite-hour, t.CacheWrite)
	sum.add(hour, t.hour())
	sum.add(u.Output, t.Output)
	return int64(sum)
}

// Most is the most that an answer of at most so many tokens can cost: Of is
// never more for a usage within them.
func (p Prices) Most(in, out int64) int64 {
	most := p.tier(0).most(in, out)
	if p.LongAbove > 0 && in > p.LongAbove {
		// Shorter inputs of the same call stay in the first tier, dearer or not.
		most = max(p.tier(0).most(p.LongAbove, out), p.Long.most(in, out))
	}
	return most
}

func (p Prices) tier(in int64) Tier {
	if p.LongAbove > 0 && in > p.LongAbove {
		return p.Long
	}
	return Tier{p.Input, p.CacheRead, p.CacheWrite, p.CacheWrite1h, p.Output}
}

func (t Tier) hour() int64 {
	if t.CacheWrite1h == 0 {
		return t.CacheWrite
	}
	return t.CacheWrite1h
}

func (t Tier) most(in, out int64) int64 {
	var sum nano
	sum.add(in, max(t.Input, t.CacheRead, t.CacheWrite, t.hour()))
	sum.add(out, t.Output)
	return int64(sum)
}

// nano is a sum that ends at the largest number instead of passing over it.
type nano int64

// add adds n tokens at a price; neither is negative, but for what a record can have of before.
func (s *nano) add(n, price int64) {
	if n <= 0 || price <= 0 {
		return
	}
	hi, lo := bits.Mul64(uint64(n), uint64(price))
	if hi != 0 || lo > uint64(math.MaxInt64-int64(*s)) {
		*s = math.MaxInt64
		return
	}
	*s += nano(lo)
}
