package gate

import (
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"proofhouse/internal/chat"
	"proofhouse/internal/proofhouse"
)

const plainPrice = "version = \"v\"\n\n[[price]]\nmodel = \"m\"\ninput = 1\ncache_read = 2\ncache_write = 3\noutput = 4\n"

// TestPriceExample reads the table that the documents show.
func TestPriceExample(t *testing.T) {
	text, err := os.ReadFile("../../docs/design/prices.toml")
	if err != nil {
		t.Fatal(err)
	}
	table, err := ReadPrices(text)
	if err != nil {
		t.Fatal(err)
	}
	const v = "example 2026-01"
	for model, want := range map[string]chat.Prices{
		"example-large": {
			Version: v, Input: 3000, CacheRead: 300, CacheWrite: 3750, CacheWrite1h: 6000, Output: 15000,
			LongAbove: 200_000, Long: chat.Tier{Input: 6000, CacheRead: 600, CacheWrite: 7500, CacheWrite1h: 12000, Output: 22500},
		},
		"example-small-7": {Version: v, Input: 100, CacheRead: 25, CacheWrite: 100, CacheWrite1h: 100, Output: 400},
		"example-local":   {Version: v},
	} {
		got, err := table.Of(model)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v %s", model, err, diff)
		}
	}
	if got, err := table.Of("example-small"); proofhouse.KindOf(err) != proofhouse.NotFound || got != (chat.Prices{}) {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestPriceRefusals holds each fault to its line.
func TestPriceRefusals(t *testing.T) {
	for _, c := range []struct{ name, text, says string }{
		{"nothing", "", "line 1: a price table needs a version"},
		{"no price", "version = \"v\"\n", "no [[price]]"},
		{"a version that breaks a line", strings.Replace(plainPrice, `"v"`, `"v\nw"`, 1), "plain characters"},
		{"no TOML", "version = \"v\"\n[[price]\n", "line 2"},
		{"an unknown key", strings.Replace(plainPrice, "output", "ouput", 1), "line 8: unknown key price.ouput"},
		{"an unknown table", plainPrice + "[other]\nx = 1\n", "line 9: unknown key other"},
		{"a class left out", strings.Replace(plainPrice, "cache_read = 2\n", "", 1), "line 3: cache_read has no price"},
		{"a fraction", strings.Replace(plainPrice, "input = 1", "input = 1.5", 1), "line 5"},
		{"a text", strings.Replace(plainPrice, "input = 1", `input = "1"`, 1), "line 5"},
		{"a negative price", strings.Replace(plainPrice, "input = 1", "input = -1", 1), "line 3: input is from 0"},
		{"a price of more than a dollar", strings.Replace(plainPrice, "output = 4", "output = 1000000001", 1), "line 3: output is from 0"},
		{"no model", strings.Replace(plainPrice, `"m"`, `""`, 1), "line 3: a price needs a model"},
		{"a broken pattern", strings.Replace(plainPrice, `"m"`, `"m["`, 1), "line 3: the model's pattern"},
		{"a model twice", plainPrice + plainPrice[strings.Index(plainPrice, "[["):], "line 9: the model has a price already, at line 3"},
		{"an hour that is cheaper", plainPrice + "cache_write_1h = 2\n", "line 3: cache_write_1h is no less"},
		{"a tier without its bound", plainPrice + "[price.long]\ninput = 1\ncache_read = 1\ncache_write = 1\noutput = 1\n", "line 3: the tier of long inputs needs above"},
		{"half a tier", plainPrice + "[price.long]\nabove = 5\ninput = 1\n", "line 3: long: cache_read has no price"},
		{"too large", strings.Repeat("#", pricesMax+1), "at most"},
	} {
		_, err := ReadPrices([]byte(c.text))
		if proofhouse.KindOf(err) != proofhouse.Invalid || !strings.Contains(proofhouse.PublicOf(err), c.says) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	entry := plainPrice[strings.Index(plainPrice, "[["):]
	table, err := ReadPrices([]byte(strings.Replace(plainPrice, `"m"`, `"m*"`, 1) + strings.Replace(entry, `"m"`, `"?1"`, 1) + strings.Replace(strings.Replace(entry, `"m"`, `"m2"`, 1), "= 4", "= 5", 1)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := table.Of("m1"); proofhouse.KindOf(err) != proofhouse.Invalid || !strings.Contains(err.Error(), "line 9: this pattern and that of line 3") {
		t.Errorf("two patterns: %v", err)
	}
	if p, err := table.Of("m2"); err != nil || p.Output != 5 {
		t.Errorf("a name beside a pattern: %+v, %v", p, err)
	}
}

// FuzzReadPrices holds every table that can be read to what a budget relies on:
// its prices are in range, and no usage within a bound costs more than the bound.
func FuzzReadPrices(f *testing.F) {
	f.Add([]byte(plainPrice), uint64(1))
	f.Add([]byte(plainPrice+"[price.long]\nabove = 5\ninput = 9\ncache_read = 1\ncache_write = 1\ncache_write_1h = 7\noutput = 1\n"), uint64(2))
	f.Add([]byte("version='v'\nprice=[{model='*',input=0,cache_read=0,cache_write=0,output=0}]"), uint64(3))
	f.Fuzz(func(t *testing.T, text []byte, seed uint64) {
		table, err := ReadPrices(text)
		if err != nil {
			if proofhouse.KindOf(err) != proofhouse.Invalid {
				t.Fatal(err)
			}
			return
		}
		r := rand.New(rand.NewPCG(seed, 3))
		for _, e := range table.entries {
			if e.prices.Negative() || e.prices.Version == "" || e.line < 1 {
				t.Fatalf("%+v", e)
			}
			g := Grant{Rates: e.prices, Limits: Limits{OutputCap: 1 + r.Int64N(1000)}}
			c := Call{Inputs: r.Int64N(2*max(1, min(e.prices.LongAbove, 1<<40)) + 1000), Outputs: 1 + r.Int64N(3)}
			hold := g.hold(c)
			u := chat.Usage{Input: r.Int64N(c.Inputs + 1), Output: r.Int64N(hold.Output + 1)}
			u.CacheWrite = r.Int64N(c.Inputs - u.Input + 1)
			u.CacheWrite1h = r.Int64N(u.CacheWrite + 1)
			u.CacheRead = c.Inputs - u.Input - u.CacheWrite
			if charge := g.charge(u); !charge.within(hold) {
				t.Fatalf("%+v is charged on a hold of %+v at %+v", charge, hold, e.prices)
			}
		}
	})
}
