package app

import (
	"os"

	"proofhouse/internal/chat"
	"proofhouse/internal/gate"
	"proofhouse/internal/proofhouse"
)

// PricesOf is what a model costs by the table in a file. A model that is not
// in it is proofhouse.NotFound.
func PricesOf(file, model string) (chat.Prices, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return chat.Prices{}, proofhouse.Errorf(proofhouse.Invalid, err, "the file of --prices cannot be read")
	}
	table, err := gate.ReadPrices(text)
	if err != nil {
		return chat.Prices{}, err
	}
	return table.Of(model)
}
