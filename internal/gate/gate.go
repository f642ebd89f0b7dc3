// Package gate is the only way to a model: it passes requests and answers
// byte for byte between a caller who holds a scoped key and an upstream whose
// key it holds alone, and it promises that no grant is overspent, that a
// revoked one ends at once, and that the model's real name stays inside.
// Who may have a grant is for others to decide.
package gate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"proofhouse/internal/policy"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/vault"
)

// Config says what a gate passes on, and where.
type Config struct {
	Protocols []Protocol
	Upstreams []Upstream
	// Boot names the machine's present start. As long as it is the same, what was
	// written is there, synced or not; "" is unknown, and never the same.
	Boot string
	// Policies decide on each call beyond what its grant says; nil: the grant alone.
	Policies *policy.Set
	// Guards are the classifiers that grants can name.
	Guards map[string]Guard
	// Log keeps the record. It holds everything that the accounts are made
	// from, so that a gate which was killed knows what was spent.
	Log Log
	// Follow is the source of revocations that gates share.
	Follow Follow
	// Vault takes the content of grants that are recorded sealed; nil if there
	// are none.
	Vault *vault.Vault
	// BodyMax bounds a request's body in bytes (default 32 MiB).
	BodyMax int64
	// Memory bounds the bytes of all bodies and events over 64 KiB that are in
	// the gate at once (default 512 MiB). What finds no room is told to try
	// again.
	Memory int64
	// Stall is how long a caller may take to send its body, and to take in
	// what was written to it, before the call is ended (default 2 min).
	Stall time.Duration
	// Transport reaches the upstreams; nil is one made for this.
	Transport http.RoundTripper
}

// Upstream is a model's server, or another gate.
type Upstream struct {
	Name string
	// Base is the URL that a protocol's path is appended to, without "/v1".
	Base *url.URL
	Key  vault.Secret
	// Secrets are words besides the model's name that must not reach a caller:
	// provider, deployment, organisation. The host of Base is one anyway.
	Secrets []string
}

// Log is an append-only record; ledger.Log is one.
type Log interface {
	// Append adds a record of one line of JSON and gives its number. It may
	// return before the record is durable.
	Append(record []byte) (uint64, error)
	// Written returns when record seq and all before it survive the death of
	// this process, and Sync when they survive that of the machine.
	Written(ctx context.Context, seq uint64) error
	Sync(ctx context.Context, seq uint64) error
}

// Gate is an open gate. It is an http.Handler for callers.
type Gate struct {
	cfg       Config
	protocols map[string]Protocol // by path
	upstreams map[string]Upstream
	snapshot  atomic.Pointer[map[string]*tenancy] // by the key's hash; replaced, never changed

	suspended atomic.Pointer[[]Suspension] // replaced, never changed

	following *following // nil: this gate follows nobody
	memory    memory
	keeper    watchkeeper

	mu      sync.Mutex            // guards replacing the snapshot and suspended, and what follows
	exposed map[string][]Exposure // by upstream
	seen    int64                 // the last shared revocation that new grants know of
	away    []Grant               // whose upstreams are not served this time, not revoked yet
}

// tenancy is a grant in use.
type tenancy struct {
	grant   Grant
	secrets atomic.Pointer[secrets] // replaced, never changed, with the gate's lock

	mu       sync.Mutex // guards what follows
	account  Account
	revoked  *Refusal  // set once, never taken back
	ended    time.Time // when it was revoked
	ending   *Ending   // how, if it is known
	calls    map[*flow]struct{}
	sweeps   []Swept  // the last ones
	reported []string // model ids, as the upstream has them
	covered  Amount   // what may be used before the next durable Covered record

	covering sync.Mutex // held while such a record is written
}

// flow is a call under way.
type flow struct {
	call     string
	settled  bool // or about to be: whoever sets it settles it; with the tenancy's lock
	cancel   context.CancelCauseFunc
	hold     Amount
	protocol string
	asked    Call
}

// Open opens a gate. past is what the log has already, nil if it is empty: what
// was spent and revoked, and the holds that a killed gate left, which count as
// spent in full. The gate takes it over.
func Open(cfg Config, past *State) (*Gate, error) {
	if cfg.BodyMax == 0 {
		cfg.BodyMax = 32 << 20
	}
	if cfg.Memory == 0 {
		cfg.Memory = 512 << 20
	}
	if cfg.Stall == 0 {
		cfg.Stall = 2 * time.Minute
	}
	if cfg.Transport == nil {
		cfg.Transport = &http.Transport{
			DisableCompression: true, MaxIdleConns: 4096, MaxIdleConnsPerHost: 4096, IdleConnTimeout: 90 * time.Second, MaxResponseHeaderBytes: 1 << 20,
			ReadBufferSize: 16 << 10, WriteBufferSize: 8 << 10,
		}
	}
	g := &Gate{cfg: cfg, protocols: map[string]Protocol{}, upstreams: map[string]Upstream{}, following: newFollowing(cfg.Follow)}
	g.memory.left.Store(cfg.Memory)
	g.keeper = watchkeeper{since: time.Now(), health: map[string]Health{}, rules: map[ruleKey]map[Action]int64{}}
	for _, p := range cfg.Protocols {
		g.protocols[p.Path()] = p
	}
	for _, u := range cfg.Upstreams {
		if u.Base == nil || u.Base.Host == "" || u.Base.Scheme != "http" && u.Base.Scheme != "https" {
			return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "upstream %q needs an address such as http://127.0.0.1:8080", u.Name)
		}
		g.upstreams[u.Name] = u
	}
	state := past
	if state == nil {
		state = NewState()
	}
	if err := errors.Join(g.sweepKilled(state), g.chargeLost(state)); err != nil {
		return nil, err
	}
	g.suspended.Store(&state.Suspended)
	g.exposed = state.Exposed
	byKey := map[string]*tenancy{}
	for _, grant := range state.Grants {
		if _, ok := g.upstreams[grant.Upstream]; !ok {
			if _, ok := state.Revoked[grant.ID]; !ok {
				g.away = append(g.away, grant) // its key works again when its upstream is served
			}
			continue
		}
		t, err := g.tenancy(grant)
		if err != nil {
			return nil, err
		}
		if g.following != nil {
			g.following.sight.Least = max(g.following.sight.Least, grant.Since)
		}
		t.account, t.sweeps = Account{Spent: state.Accounts[grant.ID].Spent}, state.Swept[grant.ID]
		if why, ok := state.Revoked[grant.ID]; ok {
			t.revoked, t.ending = refuse(BadKey, "%s", why), state.Endings[grant.ID]
		}
		byKey[grant.KeyHash] = t
	}
	g.hide(byKey)
	g.snapshot.Store(&byKey)
	return g, nil
}

func (g *Gate) tenancy(grant Grant) (*tenancy, error) {
	if err := grant.Validate(); err != nil {
		return nil, err
	}
	up, ok := g.upstreams[grant.Upstream]
	if !ok {
		return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "grant %s is for an upstream that this gate does not have", grant.ID)
	}
	for _, name := range grant.Protocols {
		if !slices.ContainsFunc(g.cfg.Protocols, func(p Protocol) bool { return p.Name() == name }) {
			return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "this gate does not speak %q", name)
		}
	}
	if grant.Recording == RecordSealed && g.cfg.Vault == nil {
		return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "grant %s is recorded sealed, and this gate has no vault", grant.ID)
	}
	t := &tenancy{grant: grant, calls: map[*flow]struct{}{}}
	t.secrets.Store(newSecrets(grant.Model, grant.Codename, up))
	return t, nil
}

// hide keeps the models of each upstream out of what the callers of all its
// grants read.
func (g *Gate) hide(all map[string]*tenancy) {
	models := map[string][]string{}
	for _, t := range all {
		if m := models[t.grant.Upstream]; !slices.Contains(m, t.grant.Model) {
			models[t.grant.Upstream] = append(m, t.grant.Model)
		}
	}
	for _, t := range all {
		others := slices.DeleteFunc(slices.Clone(models[t.grant.Upstream]), func(m string) bool { return m == t.grant.Model })
		slices.Sort(others)
		t.secrets.Store(newSecrets(t.grant.Model, t.grant.Codename, g.upstreams[t.grant.Upstream], others...))
	}
}

// Grant adds a grant. It is in the record, durably, before its key works.
func (g *Gate) Grant(ctx context.Context, grant Grant, now time.Time) error {
	t, err := g.tenancy(grant)
	if err != nil {
		return err
	}
	if err := g.provide(grant); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	old := *g.snapshot.Load()
	for _, o := range old {
		if o.grant.ID == grant.ID || o.grant.KeyHash == grant.KeyHash {
			return proofhouse.Errorf(proofhouse.Conflict, nil, "grant %s exists already", grant.ID)
		}
		if o.grant.Upstream == grant.Upstream && (hasName(grant.Codename, o.grant.Model) || hasName(o.grant.Codename, grant.Model)) {
			return proofhouse.Errorf(proofhouse.Conflict, nil, "a codename gives the name of another model of this upstream away: choose another with --codename")
		}
	}
	grant.Since, t.grant.Since = g.seen, g.seen
	if err := g.record(ctx, Record{Kind: Granted, Time: now, Grant: grant.ID, Terms: &grant}, g.cfg.Log.Sync); err != nil {
		return err
	}
	next := maps.Clone(old)
	next[grant.KeyHash] = t
	g.hide(next)
	g.snapshot.Store(&next)
	return nil
}

// Ending is how a grant was revoked.
type Ending struct {
	Time time.Time `json:"time"` // when it was asked for
	// Took is how long after that nothing was admitted any more and each call under way had been told, in µs, by the gate's
	// clock; who asked may have another.
	Took int64 `json:"took_us"`
	Cut  int   `json:"cut"` // calls under way
}

// Revoke ends the grants that match accepts, for good: nothing is admitted on
// them any more, and their calls under way are cut. It returns how many calls
// those were, when each has been told. The revocation is in force even if
// writing it down fails, and then that is the error. Grants whose upstream is
// not served this time are ended too, for when it is.
func (g *Gate) Revoke(ctx context.Context, match func(Grant) bool, reason string, now time.Time) (grants, calls int, err error) {
	for _, t := range *g.snapshot.Load() {
		if !match(t.grant) {
			continue
		}
		grants++
		t.mu.Lock()
		if t.revoked == nil {
			t.revoked, t.ended = refuse(BadKey, "this key was revoked"), now
		}
		calls += len(t.calls)
		for f := range t.calls {
			f.cancel(refuse(Revoked, "access was revoked while this answer was under way"))
		}
		e := Ending{Time: now, Took: max(time.Since(now).Microseconds(), 0), Cut: len(t.calls)}
		if t.ending == nil {
			t.ending = &e
		}
		t.mu.Unlock()
		err = errors.Join(err, g.record(ctx, Record{Kind: RevokedGrant, Time: now, Grant: t.grant.ID, Note: reason, Ending: &e}, g.cfg.Log.Sync))
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.away = slices.DeleteFunc(g.away, func(grant Grant) bool {
		if !match(grant) {
			return false
		}
		grants++
		wrong := g.record(ctx, Record{Kind: RevokedGrant, Time: now, Grant: grant.ID, Note: reason}, g.cfg.Log.Sync)
		err = errors.Join(err, wrong)
		return wrong == nil
	})
	return grants, calls, err
}

// Accounts are the grants and what is used of them, by the grants' ids.
func (g *Gate) Accounts() map[string]Account {
	all := map[string]Account{}
	for _, t := range *g.snapshot.Load() {
		t.mu.Lock()
		all[t.grant.ID] = Account{Spent: t.account.Spent, Held: t.account.Held, Open: t.account.Open}
		t.mu.Unlock()
	}
	return all
}

// Endings are how grants were revoked, by their ids, as far as the record says.
func (g *Gate) Endings() map[string]Ending {
	all := map[string]Ending{}
	for _, t := range *g.snapshot.Load() {
		t.mu.Lock()
		if t.ending != nil {
			all[t.grant.ID] = *t.ending
		}
		t.mu.Unlock()
	}
	return all
}

// Grants are the grants of this gate, in the order of their ids.
func (g *Gate) Grants() []Grant {
	var all []Grant
	for _, t := range *g.snapshot.Load() {
		all = append(all, t.grant)
	}
	slices.SortFunc(all, func(a, b Grant) int { return strings.Compare(a.ID, b.ID) })
	return all
}

// admit reserves a call's hold and enters it among those that a revocation or
// a suspension cuts: both or neither, so no call can slip between.
func (g *Gate) admit(t *tenancy, f *flow, now time.Time) *Refusal {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.revoked != nil {
		return t.revoked
	}
	if no := g.following.unsure(time.Now()); no != nil {
		return no
	}
	if no := g.suspension(t, f); no != nil {
		return no
	}
	next, no := t.account.Reserve(t.grant.Limits, f.hold, now)
	if no != nil {
		return no
	}
	t.account = next
	t.calls[f] = struct{}{}
	return nil
}

// fits says whether the budget has room for hold at this moment.
func (t *tenancy) fits(hold Amount) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.account.fits(t.grant.Limits, hold) == nil
}

// settle ends a call that admit let in.
func (t *tenancy) settle(f *flow, charge Amount) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.calls, f)
	t.account = t.account.Settle(f.hold, charge)
}

// record appends r, and waits with wait, one of the log's waits, unless that is nil.
func (g *Gate) record(ctx context.Context, r Record, wait func(context.Context, uint64) error) error {
	b, err := r.encode(make([]byte, 0, 640))
	if err != nil {
		return fmt.Errorf("writing a record: %w", err)
	}
	seq, err := g.cfg.Log.Append(b)
	if err == nil && wait != nil {
		err = wait(ctx, seq)
	}
	if err != nil {
		return proofhouse.Errorf(proofhouse.Unavailable, err, "the gate's record cannot be written")
	}
	return nil
}
