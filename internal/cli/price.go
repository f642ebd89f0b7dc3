package cli

import (
	"math"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"proofhouse/internal/app"
	"proofhouse/internal/chat"
	"proofhouse/internal/proofhouse"
)

// price is what a model costs and what may be spent, as flags say it.
type price struct {
	dollars      float64
	given, table string
}

func priceFlags(cmd *cobra.Command) *price {
	f, p := cmd.Flags(), &price{}
	f.Float64Var(&p.dollars, "dollars", 0, "dollars in all, by --prices or --price; 0 sets no bound")
	f.StringVar(&p.table, "prices", "", "file with a table of what models cost")
	f.StringVar(&p.given, "price", "", "dollars for a million tokens, in place of --prices: INPUT,CACHE-READ,CACHE-WRITE,OUTPUT")
	return p
}

// read gives the model's prices, and how many nano-dollars may be spent. A
// bound in dollars needs a price.
func (p *price) read(model string) (prices chat.Prices, nano int64, err error) {
	switch {
	case !(p.dollars >= 0 && p.dollars <= 1e9):
		return prices, 0, proofhouse.Errorf(proofhouse.Invalid, nil, "--dollars is from 0 to a thousand million")
	case p.given != "" && p.table != "":
		return prices, 0, proofhouse.Errorf(proofhouse.Invalid, nil, "--prices and --price both say what the model costs: choose one")
	case p.table != "":
		prices, err = app.PricesOf(p.table, model)
		if proofhouse.KindOf(err) == proofhouse.NotFound && p.dollars == 0 {
			err = nil // nothing is bounded by it, and its cost is unknown
		}
	case p.given != "":
		prices, err = parsePrice(p.given)
	}
	if err != nil {
		return prices, 0, err
	}
	if p.dollars > 0 && prices == (chat.Prices{}) {
		return prices, 0, proofhouse.Errorf(proofhouse.Invalid, nil, "--dollars needs the model's price: --prices FILE, or --price")
	}
	return prices, int64(math.Round(p.dollars * 1e9)), nil
}

// parsePrice reads dollars a million tokens as nano-dollars a token.
func parsePrice(s string) (chat.Prices, error) {
	parts := strings.Split(s, ",")
	var nano [4]int64
	for i, p := range parts {
		v, err := strconv.ParseFloat(strings.TrimSpace(p), 64)
		if err != nil || len(parts) != len(nano) || !(v >= 0 && v <= 1e6) {
			return chat.Prices{}, proofhouse.Errorf(proofhouse.Invalid, nil, "--price takes four numbers of dollars for a million tokens, such as 3,0.3,3.75,15: input, cache read, cache write, output")
		}
		nano[i] = int64(v*1000 + 0.5)
	}
	return chat.Prices{Version: "given", Input: nano[0], CacheRead: nano[1], CacheWrite: nano[2], Output: nano[3]}, nil
}
