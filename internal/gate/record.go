package gate

import (
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

// State is what a log's records add up to.
type State struct {
	Grants   []Grant
	Accounts map[string]Account // by grant
	Revoked  map[string]string  // the sentence for the caller, by grant
	// Suspended are the suspensions in force, oldest first.
	Suspended []Suspension
	Exposed   map[string][]Exposure // by upstream
	Covered   map[string]Record     // the last one, by grant, unless the gate was closed in order after it
	Open      []Record              // of the calls that were opened and never ended, in order
	Swept     map[string][]Swept    // the last ones, by grant
	Last      time.Time             // of the last record
}

// Fold adds up records in their order. A call that was opened and never ended
// is charged its whole hold: what the upstream did for it is not known.
func Fold(records []Record) State {
	s := State{
		Accounts: map[string]Account{}, Revoked: map[string]string{}, Covered: map[string]Record{}, Exposed: map[string][]Exposure{}, Swept: map[string][]Swept{},
	}
	open, upstream := map[string]bool{}, map[string]string{}
	spend := func(grant string, a Amount) {
		account := s.Accounts[grant]
		account.Spent = account.Spent.plus(a)
		s.Accounts[grant] = account
	}
	for _, r := range records {
		switch r.Kind {
		case Granted:
			s.Grants = append(s.Grants, *r.Terms)
			upstream[r.Grant] = r.Terms.Upstream
		case Opened:
			open[r.Call] = true
		case Ended:
			delete(open, r.Call)
			spend(r.Grant, r.End.Charge)
			if r.End.Outcome == SweptUp {
				s.Swept[r.Grant] = remember(s.Swept[r.Grant], Swept{r.Call, r.Time, r.End.Charge, r.Note})
			}
		case RevokedGrant:
			s.Revoked[r.Grant] = "this key was revoked"
		case SuspendedCalls:
			s.Suspended = append(s.Suspended, *r.Suspension)
		case ResumedCalls:
			s.Suspended = slices.DeleteFunc(s.Suspended, func(x Suspension) bool { return x.ID == r.Suspension.ID })
		case Denied:
		case Exposed:
			s.Exposed[upstream[r.Grant]] = append(s.Exposed[upstream[r.Grant]], *r.Exposure)
		case Covered:
			s.Covered[r.Grant] = r
		case Unaccounted:
			delete(s.Covered, r.Grant)
			spend(r.Grant, *r.Hold)
		case Closed:
			clear(s.Covered)
		}
	}
	for _, r := range records {
		if r.Kind == Opened && open[r.Call] {
			spend(r.Grant, *r.Hold)
			s.Open = append(s.Open, r)
		}
		s.Last = r.Time
	}
	return s
}
