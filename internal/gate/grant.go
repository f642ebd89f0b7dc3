package gate

import (
	"crypto/sha256"
	"slices"
	"strings"
	"time"

	"proofhouse/internal/chat"
	"proofhouse/internal/proofhouse"
)

// Grant says who may use which model under which name, from when until when,
// and how much of it. It never changes; what was used of it is counted apart.
type Grant struct {
	ID        string   `json:"id"`
	Subject   string   `json:"subject"` // who uses it
	Case      string   `json:"case,omitempty"`
	Run       string   `json:"run,omitempty"` // the one run that it is for
	Upstream  string   `json:"upstream"`      // the name of one of the gate's upstreams
	Model     string   `json:"model"`         // the real name, as the upstream knows it
	Variant   string   `json:"variant,omitempty"`
	Codename  string   `json:"codename"` // what the caller writes and reads in its place
	Protocols []string `json:"protocols"`
	// From and Until bound its life: Until needs nobody to act.
	From   time.Time   `json:"from"`
	Until  time.Time   `json:"until"`
	Limits Limits      `json:"limits"`
	Rates  chat.Prices `json:"rates"`
	// ByReference permits inputs that the gate does not see, such as file_id;
	// each holds Limits.Context input tokens.
	ByReference bool        `json:"by_reference,omitempty"`
	Safeguards  []Safeguard `json:"safeguards,omitempty"`
	// Recording is how much of its calls is kept.
	Recording Recording `json:"recording,omitempty"`
	KeyHash   string    `json:"key_hash"` // of the key, see HashKey
	Issuer    string    `json:"issuer"`
	// Since is the last shared revocation that was in force when this was made;
	// up to it, only one that names this grant can end it. The gate sets it.
	Since  int64  `json:"since,omitempty"`
	Reason string `json:"reason"`
}

// Limits bound a grant. 0 sets no bound, but for OutputCap and Until each
// grant must have some bound on what can be used: see Validate.
type Limits struct {
	Requests    int64 `json:"requests,omitempty"`
	Input       int64 `json:"input,omitempty"`        // tokens, over the grant's life
	Output      int64 `json:"output,omitempty"`       // tokens, over the grant's life
	NanoDollars int64 `json:"nano_dollars,omitempty"` // 10^-9 dollars, over the grant's life
	Streams     int   `json:"streams,omitempty"`      // calls under way at once
	PerMinute   int   `json:"per_minute,omitempty"`   // calls begun in any 60 s
	// OutputCap is how many output tokens one answer may have. It is written
	// into a request that has no bound; a request with a higher one is refused.
	OutputCap int64 `json:"output_cap"`
	Context   int64 `json:"context,omitempty"` // tokens that an input by reference can be
}

// Validate says what a grant lacks or contradicts: proofhouse.Invalid.
func (g *Grant) Validate() error {
	l := g.Limits
	for _, c := range []struct {
		wrong bool
		what  string
	}{
		{g.ID == "" || g.Subject == "" || g.Upstream == "" || g.Model == "", "a grant needs an id, a subject, an upstream and a model"},
		{g.Codename == "" || strings.ContainsAny(g.Codename, "\"\\\r\n"), "a grant needs a codename without quotes, backslashes and line ends"},
		{hasName(g.Codename, g.Model), "the codename gives the model's name away: choose another"},
		{len(g.Protocols) == 0, "a grant needs at least one protocol"},
		{!g.From.Before(g.Until), "a grant ends after it starts: set until"},
		{l.OutputCap <= 0, "a grant needs an output cap: how many tokens one answer may have"},
		{l.Requests < 0 || l.Input < 0 || l.Output < 0 || l.NanoDollars < 0 || l.Streams < 0 || l.PerMinute < 0 || l.Context < 0, "a limit is not negative"},
		{l.Requests == 0 && l.Output == 0 && l.NanoDollars == 0, "a grant needs a budget: requests, output tokens or dollars"},
		{g.Rates.Negative(), "a price is not negative"},
		{g.ByReference && l.Context == 0, "inputs by reference need the context window that each holds"},
		{len(g.KeyHash) != 2*sha256.Size, "a grant needs the hash of its key"},
	} {
		if c.wrong {
			return proofhouse.Errorf(proofhouse.Invalid, nil, "%s", c.what)
		}
	}
	if err := g.Recording.validate(); err != nil {
		return err
	}
	for _, s := range g.Safeguards {
		if err := s.Validate(); err != nil {
			return err
		}
	}
	return nil
}

// maxOutputs is how many answers one request may ask for, as the protocols have it.
const maxOutputs = 128

// admits is the part of a request's admission that needs no count: whether the
// grant is in force at now and covers what is asked.
func (g *Grant) admits(protocol string, c Call, now time.Time) *Refusal {
	switch {
	case now.Before(g.From) || !now.Before(g.Until):
		return refuse(NotInTime, "this key is in force from %s until %s", g.From.UTC().Format(time.RFC3339), g.Until.UTC().Format(time.RFC3339))
	case !slices.Contains(g.Protocols, protocol):
		return refuse(NotGranted, "this key is not for %s: use %s", protocol, strings.Join(g.Protocols, " or "))
	case c.Model != g.Codename:
		return unknownModel(g.Codename)
	case c.ByRef != "" && !g.ByReference:
		return refuse(NotGranted, "%s refers to input that the gate cannot measure: send the content itself", c.ByRef)
	case c.OutputCap > g.Limits.OutputCap:
		return refuse(NotGranted, "%d output tokens are asked for, and this key permits %d for one answer: ask for fewer", c.OutputCap, g.Limits.OutputCap)
	case c.Outputs > maxOutputs:
		return refuse(BadRequest, "%d answers are asked for at once, and %d is the most", c.Outputs, maxOutputs)
	case g.Limits.NanoDollars > 0 && g.Rates == chat.Prices{}:
		return refuse(Unpriced, "the price of this model is not known, so its use cannot be bounded: ask the issuer of this key")
	}
	return nil
}

func unknownModel(codename string) *Refusal {
	return refuse(UnknownModel, "this key knows no model of that name: the one that it is for is %s", codename)
}

// keys are the secrets of grants.
var keys = proofhouse.SecretKind{Prefix: "phk_", Word: "proofhouse key"}

// NewKey is a fresh key, which is shown once; what is kept is its hash.
func NewKey() string { return keys.New() }

// HashKey is how a key is stored, its SHA-256 in hex. ok is false for what
// NewKey cannot have made.
func HashKey(key string) (hash string, ok bool) { return keys.Hash(key) }
