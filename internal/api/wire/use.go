package wire

import (
	"context"
	"net/url"
	"time"

	"proofhouse/internal/docket"
	"proofhouse/internal/proofhouse"
)

// Uses is what is used of the grants of a case at the gate that is served from the house's data folder.
type Uses struct {
	// Running says whether there is such a gate at this moment. What others lend is not known here.
	Running bool       `json:"running"`
	Uses    []GrantUse `json:"uses"`
}

// GrantUse is what is used of one key.
type GrantUse struct {
	Grant    docket.GrantID   `json:"grant"`
	Key      string           `json:"key" doc:"the gate's name for the key, which opens nothing"`
	Run      proofhouse.RunID `json:"run,omitempty" doc:"the run that it is for"`
	Codename string           `json:"codename"`
	Variant  string           `json:"variant,omitempty"`
	From     time.Time        `json:"from"`
	Until    time.Time        `json:"until"`
	Revoked  bool             `json:"revoked,omitempty"`
	Ended    *Ending          `json:"ended,omitempty" doc:"how it was revoked, as the gate measured it"`
	URL      string           `json:"url" doc:"by which callers reach the gate"`
	Open     int              `json:"open" doc:"calls under way"`
	Swept    int              `json:"swept,omitempty" doc:"calls whose budget was settled by the sweep, since nothing ended them; the last ones"`
	Budgets  []KeyBudget      `json:"budgets"`
}

// Ending is how a key was revoked.
type Ending struct {
	At   time.Time `json:"at" doc:"when it was asked for: the time of the event in the case"`
	Took int64     `json:"took_us" doc:"microseconds after that, by the gate's clock, nothing was admitted any more and each call under way had been told"`
	Cut  int       `json:"cut" doc:"calls under way that were cut"`
}

// KeyBudget is one of the bounds of a key.
type KeyBudget struct {
	Of    string `json:"of" enum:"requests,input tokens,output tokens,nano-dollars"`
	Limit int64  `json:"limit" doc:"0 is none"`
	Spent int64  `json:"spent" doc:"charged for good"`
	Held  int64  `json:"held" doc:"reserved by calls under way"`
}

// Left is what is left of the budget, and whether it has a limit.
func (b KeyBudget) Left() (int64, bool) { return max(b.Limit-b.Spent-b.Held, 0), b.Limit > 0 }

// Uses is what is used of the grants that the person sees in a case.
func (c Client) Uses(ctx context.Context, id proofhouse.CaseID) (Uses, error) {
	return get[Uses](ctx, c, "/v1/cases/"+url.PathEscape(string(id))+"/use", nil)
}
