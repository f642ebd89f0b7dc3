package bench

import (
	"encoding/json"
	"slices"
	"time"

	"proofhouse/internal/chat"
	"proofhouse/internal/proofhouse"
)

// Step is one step of the conversation between an agent's program and its
// model; exactly one of the fields after At is set. Steps hold what a model
// wrote, and with it any input that it made, so they lie in the private folder
// until it is known that none of the run's inputs survives the fix.
type Step struct {
	At time.Duration `json:"at"` // since the sample's start, killed attempts included

	Said       *chat.Message `json:"said,omitempty"` // to the model: a prompt, a reminder
	Call       *ModelCall    `json:"call,omitempty"`
	Tool       *ToolResult   `json:"tool,omitempty"`
	Compaction *Compaction   `json:"compaction,omitempty"`
	Passed     *Passed       `json:"passed,omitempty"`
}

// Passed is an answer that a program in the box got from the model.
type Passed struct {
	Request proofhouse.Digest `json:"request"` // of path, query and body
	Type    string            `json:"type"`    // its content type
	Body    []byte            `json:"body"`
	// What it took, which is counted when it is given again after a kill that
	// came before the journal had the figures.
	Usage       chat.Usage    `json:"usage"`
	NanoDollars int64         `json:"nano_dollars"`
	Took        time.Duration `json:"took"`
}

// ModelCall is a request to a model and its answer. What was asked is the
// conversation so far, of which Request is the digest.
type ModelCall struct {
	Request  proofhouse.Digest `json:"request"`
	Messages int               `json:"messages"` // in the request
	Tools    []chat.Tool       `json:"tools,omitempty"`
	Config   chat.Config       `json:"config"`
	Output   chat.Output       `json:"output"`
	Whole    time.Duration     `json:"whole"` // with retries and waiting
}

// ToolResult is what a tool gave for one call of a model's turn.
type ToolResult struct {
	Call    chat.ToolCall `json:"call"`
	Message chat.Message  `json:"message"` // as the model reads it
	Took    time.Duration `json:"took"`
}

// Compaction makes a conversation shorter: the text of some messages becomes
// Marker, and those from From up to To are left out.
type Compaction struct {
	Cleared []int  `json:"cleared,omitempty"` // indices
	Marker  string `json:"marker,omitempty"`
	From    int    `json:"from,omitempty"`
	To      int    `json:"to,omitempty"`
	// Before and After estimate the tokens of the conversation.
	Before int64 `json:"before"`
	After  int64 `json:"after"`
}

// Apply gives the shorter conversation; all is left as it is.
func (c Compaction) Apply(all []chat.Message) []chat.Message {
	out := slices.Clone(all)
	for _, i := range c.Cleared {
		if i >= 0 && i < len(out) {
			out[i].Text = c.Marker
		}
	}
	if 0 <= c.From && c.From < c.To && c.To <= len(out) {
		out = slices.Delete(out, c.From, c.To)
	}
	return out
}

// Follow is the conversation after a step. One that begins again begins with
// a system message.
func Follow(all []chat.Message, s Step) []chat.Message {
	switch {
	case s.Said != nil && s.Said.Role == chat.System:
		return []chat.Message{*s.Said}
	case s.Said != nil:
		return append(all, *s.Said)
	case s.Call != nil:
		return append(all, s.Call.Output.Message)
	case s.Tool != nil:
		return append(all, s.Tool.Message)
	case s.Compaction != nil:
		return s.Compaction.Apply(all)
	}
	return all
}

// settled is a value as a journal gives it back, so that a conversation is the
// same, byte for byte, when it is taken up again.
func settled[T any](v T) (T, error) {
	var out T
	b, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(b, &out)
	}
	return out, err
}
