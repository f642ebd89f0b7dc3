package wire

import (
	"context"
	"time"

	"proofhouse/internal/chat"
	"proofhouse/internal/docket"
	"proofhouse/internal/proofhouse"
)

// House is how the house itself does, for those who look after it.
type House struct {
	Version  string       `json:"version"`
	Database string       `json:"database" enum:"sqlite,postgres"`
	Log      LogState     `json:"log"`
	Gate     bool         `json:"gate" doc:"whether a gate runs on the data folder"`
	Backups  []BackupMade `json:"backups" doc:"that were made from this data folder and noted in it, the newest first"`
	Prices   PricesNow    `json:"prices"`
}

// LogState is how far the public log is.
type LogState struct {
	Leaves    uint64    `json:"leaves" doc:"entries that have their place"`
	Waiting   int       `json:"waiting" doc:"entries that wait for theirs, 1000 at most"`
	Published time.Time `json:"published,omitzero" doc:"when the newest checkpoint was written"`
}

// BackupMade is a backup as it was made. Whether it is still there nobody here knows.
type BackupMade struct {
	Made     time.Time         `json:"made"`
	Folder   string            `json:"folder" doc:"the name of its folder, without where that is"`
	Leaves   uint64            `json:"leaves"`
	Rows     int64             `json:"rows"`
	Bodies   int               `json:"bodies" doc:"sealed artifacts"`
	Database proofhouse.Digest `json:"database" doc:"of its file house.db"`
}

// PricesNow are those by which keys that open something now are counted. Each key has had its own since it was made.
type PricesNow struct {
	Tables   []PriceTable `json:"tables"`
	Unpriced int          `json:"unpriced" doc:"keys without a price: their dollars are not counted"`
	Rates    []GrantRates `json:"rates" doc:"of grants that you see"`
}

// PriceTable is a table of prices, by the name that it gives itself.
type PriceTable struct {
	Version string    `json:"version"`
	Keys    int       `json:"keys"`
	First   time.Time `json:"first" doc:"when the first of these keys was made"`
	Last    time.Time `json:"last"`
}

// GrantRates is what a grant is charged.
type GrantRates struct {
	Case     proofhouse.CaseID `json:"case"`
	Grant    docket.GrantID    `json:"grant"`
	Codename string            `json:"codename"`
	Key      string            `json:"key"`
	Prices   chat.Prices       `json:"prices" doc:"nano-dollars a token"`
}

// House is how the house itself does.
func (c Client) House(ctx context.Context) (House, error) {
	return get[House](ctx, c, "/v1/house", nil)
}
