package bench

import (
	"fmt"
	"time"

	"proofhouse/internal/chat"
	"proofhouse/internal/proofhouse"
)

// ModelConfig is what a run asks of its model.
type ModelConfig struct {
	Name     string      `json:"name"` // the codename
	Protocol string      `json:"protocol"`
	Generate chat.Config `json:"generate"`
	// Context is the model's context window in tokens; 0 if it is not known,
	// and then nothing is compacted.
	Context int64 `json:"context,omitempty"`
	// Texts is the digest of what the agent's program says to the model of its
	// own: the prompt, the tools, the reminders.
	Texts proofhouse.Digest `json:"texts,omitempty"`
	// Told says that the model learns whether a submission solved the task.
	Told   bool        `json:"told"`
	Prices chat.Prices `json:"prices"`
	Sample Budget      `json:"sample"` // of each sample, over all its attempts
	// Run is the budget of all samples together. It may be raised when the run
	// is taken up again.
	Run Budget `json:"run"`
}

// Budget bounds what a model may use. 0 sets no bound. It is looked at before
// each request, so the last answer may pass it; what must never be passed is
// the gate's to hold.
type Budget struct {
	Tokens      int64 `json:"tokens,omitempty"` // of all classes, in and out
	NanoDollars int64 `json:"nano_dollars,omitempty"`
	Turns       int   `json:"turns,omitempty"`    // answers of the model
	Messages    int   `json:"messages,omitempty"` // of a sample, in its conversation as it stands; of a run, all that were added
}

// Spent is what a model used, and what its provider did.
type Spent struct {
	Turns int `json:"turns"` // answers of the model
	// Messages were added to conversations: prompts, answers, what tools gave.
	// Those of a program in the box are not known.
	Messages    int        `json:"messages,omitempty"`
	Usage       chat.Usage `json:"usage"`
	NanoDollars int64      `json:"nano_dollars"`
	Retries     int        `json:"retries"`  // attempts that failed for a reason of the provider's
	Failures    int        `json:"failures"` // calls that got no answer at all
	Refusals    int        `json:"refusals"` // answers that a filter cut or that the model refused
	// Took is the time of the attempts that were answered, Waited the rest of
	// the calls' time: retries, and queueing for a place.
	Took   time.Duration `json:"took"`
	Waited time.Duration `json:"waited"`
	// Queued is the part of Waited in which this house held the calls back.
	Queued time.Duration `json:"queued,omitempty"`
}

// Tokens are all that were used, in and out.
func (s Spent) Tokens() int64 { return s.Usage.In() + s.Usage.Output }

// Plus is the sum.
func (s Spent) Plus(t Spent) Spent {
	return Spent{
		s.Turns + t.Turns, s.Messages + t.Messages, s.Usage.Plus(t.Usage), s.NanoDollars + t.NanoDollars, s.Retries + t.Retries, s.Failures + t.Failures,
		s.Refusals + t.Refusals, s.Took + t.Took, s.Waited + t.Waited, s.Queued + t.Queued,
	}
}

// spentOn is what one answered call used.
func spentOn(c ModelCall, p chat.Prices) Spent {
	s := Spent{
		Turns: 1, Usage: c.Output.Usage, NanoDollars: p.Of(c.Output.Usage), Retries: len(c.Output.Retries),
		Took: c.Output.Took, Waited: max(0, c.Whole-c.Output.Took), Queued: c.Output.Queued,
	}
	if c.Output.Refusal != "" || c.Output.StopReason == chat.ContentFilter {
		s.Refusals = 1
	}
	return s
}

// The limits of a budget, in Inspect's words.
const (
	limitToken   = "token"
	limitCost    = "cost"
	limitTurn    = "turn"
	limitMessage = "message"
)

// Met says which limit a request of so many messages would pass, or "".
func (b Budget) Met(s Spent, messages int) string {
	switch {
	case b.Tokens > 0 && s.Tokens() >= b.Tokens:
		return limitToken
	case b.NanoDollars > 0 && s.NanoDollars >= b.NanoDollars:
		return limitCost
	case b.Turns > 0 && s.Turns >= b.Turns:
		return limitTurn
	case b.Messages > 0 && messages >= b.Messages:
		return limitMessage
	}
	return ""
}

// Value is the bound of one of the budget's limits, dollars in whole ones.
func (b Budget) Value(limit string) (float64, bool) {
	switch limit {
	case limitToken:
		return float64(b.Tokens), true
	case limitCost:
		return float64(b.NanoDollars) / 1e9, true
	case limitTurn:
		return float64(b.Turns), true
	case limitMessage:
		return float64(b.Messages), true
	}
	return 0, false
}

// said names a limit with its bound.
func (b Budget) said(limit string) string {
	v, _ := b.Value(limit)
	switch limit {
	case limitCost:
		return fmt.Sprintf("%.6f dollars", v)
	case limitMessage:
		return fmt.Sprintf("%.0f messages", v)
	}
	return fmt.Sprintf("%.0f %ss", v, limit)
}

// check finds what is wrong with a configuration, or "".
func (c ModelConfig) check() string {
	negative := func(b Budget) bool { return b.Tokens < 0 || b.NanoDollars < 0 || b.Turns < 0 || b.Messages < 0 }
	switch {
	case c.Name == "":
		return "a model needs a name"
	case negative(c.Sample) || negative(c.Run) || c.Context < 0:
		return "a limit is not negative: 0 sets none"
	case (c.Sample.NanoDollars > 0 || c.Run.NanoDollars > 0) && c.Prices == (chat.Prices{}):
		return "a limit in dollars needs the model's price"
	}
	return ""
}
