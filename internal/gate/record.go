package gate

import (
	"maps"
	"slices"
	"time"

	"proofhouse/internal/chat"
	"proofhouse/internal/policy"
)

// Record is one entry of the gate's log: metadata only, never a body.
type Record struct {
	Kind     Kind      `json:"kind"`
	Time     time.Time `json:"time"`
	Grant    string    `json:"grant"`
	Call     string    `json:"call,omitempty"` // of Opened and Ended
	Protocol string    `json:"protocol,omitempty"`
	Stream   bool      `json:"stream,omitempty"`

	Terms    *Grant    `json:"terms,omitempty"`    // of Granted
	Hold     *Amount   `json:"hold,omitempty"`     // of Opened, Covered and Unaccounted
	End      *End      `json:"end,omitempty"`      // of Ended
	Exposure *Exposure `json:"exposure,omitempty"` // of Exposed
	Note     string    `json:"note,omitempty"`

	Suspension *Suspension      `json:"suspension,omitempty"` // of SuspendedCalls and ResumedCalls
	Decision   *policy.Decision `json:"decision,omitempty"`   // of Denied
	Ending     *Ending          `json:"ending,omitempty"`     // of RevokedGrant, if the gate served it
}

// Kind is what a Record says.
type Kind string

// The kinds of Record.
const (
	Granted      Kind = "granted"
	Opened       Kind = "opened" // a call was admitted; written before the upstream hears of it
	Ended        Kind = "ended"
	RevokedGrant Kind = "revoked"
	Covered      Kind = "covered"     // up to Hold may be used of the grant in all, with what may be lost of the record; Note is Config.Boot
	Unaccounted  Kind = "unaccounted" // Hold is charged for calls whose records were lost with the machine
	// Denied is a call that a policy refused.
	Denied         Kind = "denied"
	SuspendedCalls Kind = "suspended"
	ResumedCalls   Kind = "resumed"
	Exposed        Kind = "exposed" // a task becomes known to the grant's upstream; durable before it is sent
	Closed         Kind = "closed"  // the gate ended in order: nothing before this was lost
)

// End is how a call ended.
type End struct {
	Outcome Outcome `json:"outcome"`
	Status  int     `json:"status"` // that the caller saw
	// Upstream is the status that the upstream gave, if that is another.
	Upstream int        `json:"upstream,omitempty"`
	Charge   Amount     `json:"charge"`             // what the grant was charged
	Usage    chat.Usage `json:"usage"`              // as the upstream reported it
	Model    string     `json:"model,omitempty"`    // as the upstream reported it
	Request  string     `json:"request,omitempty"`  // digest of the body as the caller sent it
	Answer   string     `json:"answer,omitempty"`   // digest of the body as the caller saw it
	Sent     int64      `json:"sent"`               // bytes of the request
	Seen     int64      `json:"seen"`               // bytes of the answer
	First    int64      `json:"first_us,omitempty"` // from admission to the answer's first byte, µs
	Whole    int64      `json:"whole_us"`           // from admission to the end, µs
	// Named counts the secret names in the text that was generated, which
	// passed as it was.
	Named map[SecretKind]int64 `json:"named,omitempty"`
	// Kept is what was sealed of the content, if the grant says so.
	Kept Kept `json:"kept,omitempty"`
	// Judged is what the grant's safeguards did.
	Judged []Judged `json:"judged,omitempty"`
}

// Outcome is why a call was charged what it was.
type Outcome string

// The outcomes of a call.
const (
	Metered   Outcome = "metered"   // by the usage that the upstream reported
	Unmetered Outcome = "unmetered" // the upstream reported none: the whole hold
	Counted   Outcome = "counted"   // the upstream counted tokens and generated none: one request
	Cut       Outcome = "cut"       // ended before usage was known: the whole hold
	Failed    Outcome = "failed"    // the upstream answered with an error: no tokens
	Unsent    Outcome = "unsent"    // the upstream was not reached: nothing
	SweptUp   Outcome = "swept"     // the call left no end: the whole hold, see Record.Note
)

// State is what a log's records add up to. It holds what is open and what
// stays, and nothing of calls that ended: a log of any length is folded in
// memory for its grants. It belongs to one goroutine, and to the gate that is
// opened with it.
type State struct {
	Grants []Grant
	// Accounts are by grant. What calls hold that were opened and have not ended
	// is held there.
	Accounts map[string]Account
	Revoked  map[string]string  // the sentence for the caller, by grant
	Endings  map[string]*Ending // the first of each grant, if the record says
	// Suspended are the suspensions in force, oldest first.
	Suspended []Suspension
	Exposed   map[string][]Exposure // by upstream
	Covered   map[string]Record     // the last one, by grant, unless the gate was closed in order after it
	Swept     map[string][]Swept    // the last ones, by grant
	Last      time.Time             // of the last record

	open     map[string]opened // calls that have not ended
	count    int               // of calls that were opened
	upstream map[string]string // by grant
}

// opened is a call that was opened as the number-th.
type opened struct {
	number int
	grant  string
	hold   Amount
}

// NewState is that of an empty log.
func NewState() *State {
	return &State{
		Accounts: map[string]Account{}, Revoked: map[string]string{}, Covered: map[string]Record{}, Exposed: map[string][]Exposure{}, Swept: map[string][]Swept{}, Endings: map[string]*Ending{},
		open: map[string]opened{}, upstream: map[string]string{},
	}
}

// Fold adds up records in their order.
func Fold(records []Record) *State {
	s := NewState()
	for _, r := range records {
		s.Add(r)
	}
	return s
}

// Add takes the next record.
func (s *State) Add(r Record) {
	s.Last = r.Time
	switch r.Kind {
	case Granted:
		s.Grants = append(s.Grants, *r.Terms)
		s.upstream[r.Grant] = r.Terms.Upstream
	case Opened:
		s.count++
		s.open[r.Call] = opened{s.count, r.Grant, *r.Hold}
		s.change(r.Grant, func(a *Account) { a.Held, a.Open = a.Held.plus(*r.Hold), a.Open+1 })
	case Ended:
		s.end(r.Call)
		s.change(r.Grant, func(a *Account) { a.Spent = a.Spent.plus(r.End.Charge) })
		if r.End.Outcome == SweptUp {
			s.Swept[r.Grant] = remember(s.Swept[r.Grant], Swept{r.Call, r.Time, r.End.Charge, r.Note})
		}
	case RevokedGrant:
		s.Revoked[r.Grant] = "this key was revoked"
		if s.Endings[r.Grant] == nil && r.Ending != nil {
			s.Endings[r.Grant] = r.Ending
		}
	case SuspendedCalls:
		s.Suspended = append(s.Suspended, *r.Suspension)
	case ResumedCalls:
		s.Suspended = slices.DeleteFunc(s.Suspended, func(x Suspension) bool { return x.ID == r.Suspension.ID })
	case Denied:
	case Exposed:
		s.Exposed[s.upstream[r.Grant]] = append(s.Exposed[s.upstream[r.Grant]], *r.Exposure)
	case Covered:
		s.Covered[r.Grant] = r
	case Unaccounted:
		delete(s.Covered, r.Grant)
		s.change(r.Grant, func(a *Account) { a.Spent = a.Spent.plus(*r.Hold) })
	case Closed:
		clear(s.Covered)
	}
}

func (s *State) change(grant string, how func(*Account)) {
	a := s.Accounts[grant]
	how(&a)
	s.Accounts[grant] = a
}

// end takes a call out of those that are open, and its hold with it.
func (s *State) end(call string) {
	o, ok := s.open[call]
	if !ok {
		return
	}
	delete(s.open, call)
	s.change(o.grant, func(a *Account) { a.Held, a.Open = a.Held.minus(o.hold), a.Open-1 })
}

// Open are the calls that were opened and never ended, in the order of their opening.
func (s *State) Open() []string {
	return slices.SortedFunc(maps.Keys(s.open), func(a, b string) int { return s.open[a].number - s.open[b].number })
}
