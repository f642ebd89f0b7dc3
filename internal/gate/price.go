package gate

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"

	"proofhouse/internal/chat"
	"proofhouse/internal/proofhouse"
)

// PriceTable is a versioned table of what models cost.
type PriceTable struct {
	// Version is the table's own name for its state; it stands in the terms of
	// every grant that was priced by it.
	Version string
	entries []priceEntry
}

type priceEntry struct {
	pattern string
	prices  chat.Prices
	line    int
}

// The form of a table: docs/design/prices.toml is one. Prices are nano-dollars
// a token, whole numbers: one dollar a million tokens is 1,000.
type (
	priceFile struct {
		Version string       `toml:"version"`
		Price   []priceModel `toml:"price"`
	}
	priceModel struct {
		Model string `toml:"model"` // a name, or a pattern with * and ? as path.Match has them
		priceClasses
		Long *priceLong `toml:"long"` // the tier of long inputs
	}
	priceLong struct {
		Above *int64 `toml:"above"` // input tokens of one call, beyond which all of its tokens cost this
		priceClasses
	}
	priceClasses struct {
		Input        *int64 `toml:"input"`
		CacheRead    *int64 `toml:"cache_read"`
		CacheWrite   *int64 `toml:"cache_write"`
		CacheWrite1h *int64 `toml:"cache_write_1h"` // as cache_write if there is none
		Output       *int64 `toml:"output"`
	}
)

// pricesMax bounds a table, in bytes, and priceMax one price: a dollar a token.
const (
	pricesMax = 1 << 20
	priceMax  = 1_000_000_000
)

// ReadPrices reads a table, strictly: a key it does not know, a class without
// a price, or a model with two is proofhouse.Invalid and names the line.
func ReadPrices(data []byte) (PriceTable, error) {
	if len(data) > pricesMax {
		return PriceTable{}, proofhouse.Errorf(proofhouse.Invalid, nil, "a price table has at most %d bytes", pricesMax)
	}
	var f priceFile
	err := toml.NewDecoder(bytes.NewReader(data)).DisallowUnknownFields().Decode(&f)
	if strict, ok := errors.AsType[*toml.StrictMissingError](err); ok && len(strict.Errors) > 0 {
		row, _ := strict.Errors[0].Position()
		return PriceTable{}, badPrices(row, "unknown key %s: remove it or correct its spelling", strings.Join(strict.Errors[0].Key(), "."))
	}
	if bad, ok := errors.AsType[*toml.DecodeError](err); ok {
		row, _ := bad.Position()
		return PriceTable{}, badPrices(row, "%s", strings.TrimPrefix(bad.Error(), "toml: "))
	}
	if err != nil {
		return PriceTable{}, proofhouse.Errorf(proofhouse.Invalid, err, "the price table cannot be read as TOML")
	}
	if f.Version == "" || len(f.Version) > 80 || strings.ContainsFunc(f.Version, func(r rune) bool { return r < ' ' || r > '~' }) {
		return PriceTable{}, badPrices(1, "a price table needs a version of at most 80 plain characters: it stands in the record")
	}
	lines := priceLines(data)
	p := PriceTable{Version: f.Version}
	for i, m := range f.Price {
		at := lines[min(i, len(lines)-1)]
		prices, err := m.prices(f.Version)
		if err != nil {
			return PriceTable{}, badPrices(at, "%s", err)
		}
		for _, e := range p.entries {
			if e.pattern == m.Model {
				return PriceTable{}, badPrices(at, "the model has a price already, at line %d", e.line)
			}
		}
		p.entries = append(p.entries, priceEntry{m.Model, prices, at})
	}
	if len(p.entries) == 0 {
		return PriceTable{}, badPrices(1, "the price table has no [[price]]")
	}
	return p, nil
}

func badPrices(line int, format string, args ...any) error {
	return proofhouse.Errorf(proofhouse.Invalid, nil, "the price table, line %d: %s", line, fmt.Sprintf(format, args...))
}

// priceLines are the lines of the [[price]] headers.
func priceLines(data []byte) (lines []int) {
	var p unstable.Parser
	p.Reset(data)
	for p.NextExpression() {
		node := p.Expression()
		if node.Kind != unstable.ArrayTable {
			continue
		}
		if it := node.Key(); it.Next() {
			lines = append(lines, p.Shape(it.Node().Raw).Start.Line)
		}
	}
	return append(lines, 1)
}

func (m priceModel) prices(version string) (chat.Prices, error) {
	if m.Model == "" {
		return chat.Prices{}, errors.New("a price needs a model: its name, or a pattern with * and ?")
	}
	if _, err := path.Match(m.Model, ""); err != nil {
		return chat.Prices{}, errors.New("the model's pattern cannot be read")
	}
	t, err := m.tier()
	if err != nil {
		return chat.Prices{}, err
	}
	r := chat.Prices{Version: version, Input: t.Input, CacheRead: t.CacheRead, CacheWrite: t.CacheWrite, CacheWrite1h: t.CacheWrite1h, Output: t.Output}
	if m.Long == nil {
		return r, nil
	}
	if m.Long.Above == nil || *m.Long.Above <= 0 {
		return chat.Prices{}, errors.New("the tier of long inputs needs above: the input tokens beyond which it applies")
	}
	if r.Long, err = m.Long.tier(); err != nil {
		return chat.Prices{}, fmt.Errorf("long: %w", err)
	}
	r.LongAbove = *m.Long.Above
	return r, nil
}

func (c priceClasses) tier() (t chat.Tier, err error) {
	for _, class := range []struct {
		name string
		from *int64
		to   *int64
		need bool
	}{
		{"input", c.Input, &t.Input, true},
		{"cache_read", c.CacheRead, &t.CacheRead, true},
		{"cache_write", c.CacheWrite, &t.CacheWrite, true},
		{"cache_write_1h", c.CacheWrite1h, &t.CacheWrite1h, false},
		{"output", c.Output, &t.Output, true},
	} {
		switch {
		case class.from == nil && class.need:
			return t, fmt.Errorf("%s has no price: say 0 if it costs nothing", class.name)
		case class.from == nil:
		case *class.from < 0 || *class.from > priceMax:
			return t, fmt.Errorf("%s is from 0 to %d nano-dollars a token", class.name, priceMax)
		default:
			*class.to = *class.from
		}
	}
	if c.CacheWrite1h == nil {
		t.CacheWrite1h = t.CacheWrite
	}
	if t.CacheWrite1h < t.CacheWrite {
		return t, errors.New("cache_write_1h is no less than cache_write: leave it out if it is the same")
	}
	return t, nil
}

// Of is the price of a model: of the entry with just its name, or else of the
// one pattern that fits. None is proofhouse.NotFound, and so that nobody has to
// guess which of several patterns counts, several are proofhouse.Invalid.
func (p PriceTable) Of(model string) (chat.Prices, error) {
	var found []priceEntry
	for _, e := range p.entries {
		if e.pattern == model {
			return e.prices, nil
		}
		if ok, _ := path.Match(e.pattern, model); ok {
			found = append(found, e)
		}
	}
	switch len(found) {
	case 0:
		return chat.Prices{}, proofhouse.Errorf(proofhouse.NotFound, nil, "the price table %s has no price of this model", p.Version)
	case 1:
		return found[0].prices, nil
	}
	return chat.Prices{}, badPrices(found[1].line, "this pattern and that of line %d both fit the model: add a price with its very name", found[0].line)
}
