package gate

import (
	"net/http"
	"slices"

	"proofhouse/internal/chat"
)

// Protocol is one vendor's way to ask a model over HTTP. Its methods keep no
// state and are safe for concurrent use. Implementations lie below this
// package; gatetest has the conformance suite that each passes.
type Protocol interface {
	// Name is how grants and records name the protocol: "openai-chat".
	Name() string
	// Path is matched against a request's path, its query apart, and asked of
	// the upstream below its base: "/v1/chat/completions".
	Path() string
	// Credential puts the upstream's key into h, and Key takes the caller's
	// key out of h: it is gone from h afterwards, and "" where there was none.
	Credential(h http.Header, key string)
	Key(h http.Header) string
	// Read reads the request's body. The error is proofhouse.Invalid, with a
	// sentence for the caller, if what the gate must know cannot be read
	// without doubt: not JSON, a governed field twice or of the wrong type.
	Read(body []byte) (Call, error)
	// Meter reads one answer to call.
	Meter(call Call) Meter
	// Refuse is the body of an error in the protocol's shape, and Cut the
	// event that ends an open stream with that error.
	Refuse(r Refusal) []byte
	Cut(r Refusal) []byte
}

// Meter reads the usage out of one answer and keeps the real model's name
// out of its protocol fields. It belongs to one goroutine.
type Meter interface {
	// Body reads an answer that is no stream, and returns what the caller is
	// to see: body itself but for the fields that name the model.
	Body(body []byte, names Names) []byte
	// Event reads one event of a stream, its closing blank line included, and
	// returns what the caller is to see of it: nothing for an event that only
	// the gate asked for.
	Event(event []byte, names Names) []byte
	// Usage is what the answer has said so far. ok is false until it has said
	// how much was used in all; then the caller is charged that and no more.
	Usage() (u chat.Usage, ok bool)
	// Model is the model's name as the upstream reported it, or "".
	Model() string
	// Generated is the text that the model generated in what Body or Event
	// read last, in its order, and is valid as long as that is. It is found
	// when it is asked for: whoever needs it asks after each event, as often
	// as it likes; without that it costs nothing. A text that a stream gives
	// in pieces and then once more as a whole is given in pieces only.
	Generated() []Piece
}

// Names are the two names of the model of one grant.
type Names struct{ Real, Code string }

// Call is what the gate has to know of a request's body, and nothing more:
// the rest passes unread. Offsets are in bytes of the body.
type Call struct {
	Model     string // the value of "model", decoded
	ModelAt   Span   // where that value stands, its quotes included
	Stream    bool
	Inputs    int64    // bound on input tokens: one a byte, and templates' constants
	ByRef     string   // the first input by reference ("file_id"), or ""
	Outputs   int64    // how many answers are asked for, at least 1
	OutputCap int64    // output tokens of each answer at most; 0 if the request has no bound
	CapField  string   // the field that an injected output cap goes to
	Tools     []string // types or names of the tools offered, for policies
	// Switch is the splice that switches usage on in a stream, nil if it is on
	// anyway. HideUsage says that the caller did not ask for it.
	Switch    *Splice
	HideUsage bool
	// Counting says that only tokens are counted and none generated: there is
	// nothing to hold and no output to cap.
	Counting bool
}

// Span is a stretch of bytes.
type Span struct{ At, Len int }

// Splice replaces a stretch of bytes by others. One of no length inserts.
type Splice struct {
	Span
	With []byte
}

// splice cuts body at the given places. The pieces share body's memory, so
// that a large body is never held twice.
func splice(body []byte, at ...Splice) [][]byte {
	slices.SortStableFunc(at, func(a, b Splice) int { return a.At - b.At })
	var pieces [][]byte
	from := 0
	for _, s := range at {
		pieces = append(pieces, body[from:s.At], s.With)
		from = s.At + s.Len
	}
	return append(pieces, body[from:])
}
