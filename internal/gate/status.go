package gate

import (
	"cmp"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Status is what a gate knows of itself since it was opened: how its upstreams answer, and what safeguards and policies decided. It holds
// no content.
type Status struct {
	Since     time.Time  `json:"since"`
	Upstreams []Health   `json:"upstreams"`
	Rules     []Rule     `json:"rules"`
	Decisions []Decision `json:"decisions"` // the last ones that were not to let pass, the newest first
	// Follows says that the gate follows shared revocations, and AsOf since when it is sure of all of them.
	Follows bool      `json:"follows"`
	AsOf    time.Time `json:"as_of,omitzero"`
}

// Health is how an upstream has answered.
type Health struct {
	Upstream string `json:"upstream"`
	Open     int    `json:"open"` // calls under way
	// Calls that reached their end, by what the upstream made of them.
	Answered int64 `json:"answered"` // status below 400
	Refused  int64 `json:"refused"`  // another status below 500
	Limited  int64 `json:"limited"`  // 429, 503 or 529: too much at once
	Failed   int64 `json:"failed"`   // another status from 500
	Silent   int64 `json:"silent"`   // no answer, or one that broke off
	// Last is when the upstream last answered with a status below 400, and First how long its first byte took then, in µs.
	Last  time.Time `json:"last,omitzero"`
	First int64     `json:"first_us,omitempty"`
	// Trouble is the last one that was limited, failed or silent, and Status what was answered, 0 for nothing.
	Trouble time.Time `json:"trouble,omitzero"`
	Status  int       `json:"status,omitempty"`
	// Until is how long the upstream asked to be left alone when it was last limited.
	Until time.Time `json:"until,omitzero"`
}

// Well says whether the last that is known of the upstream is an answer; known is false if nothing is.
func (h Health) Well() (well, known bool) {
	return h.Last.After(h.Trouble), !h.Last.IsZero() || !h.Trouble.IsZero()
}

// note takes in how a call ended; status 0 is no answer, or one that broke off.
func (h Health) note(status int, first int64, retry time.Duration, now time.Time) Health {
	switch {
	case status == 0:
		h.Silent++
	case status < 400:
		h.Answered++
		h.Last, h.First = now, first
		return h
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable, status == statusOverloaded:
		h.Limited++
		if retry > 0 {
			h.Until = now.Add(retry)
		}
	case status < 500:
		h.Refused++ // which is the request's fault
		return h
	default:
		h.Failed++
	}
	h.Trouble, h.Status = now, status
	return h
}

// Rule is a safeguard at one stage, or a policy that denied calls, and how often it decided what.
type Rule struct {
	// Guard or Policy names it.
	Guard  string           `json:"guard,omitempty"`
	Stage  Stage            `json:"stage,omitempty"`
	Mode   Mode             `json:"mode,omitempty"`
	Policy string           `json:"policy,omitempty"`
	Counts map[Action]int64 `json:"counts"`
}

// Decision is one of a rule's: metadata of the call that it was about.
type Decision struct {
	Time     time.Time `json:"time"`
	Grant    string    `json:"grant"`
	Call     string    `json:"call,omitempty"`
	Protocol string    `json:"protocol"`
	Guard    string    `json:"guard,omitempty"`
	Stage    Stage     `json:"stage,omitempty"`
	Mode     Mode      `json:"mode,omitempty"`
	Policy   string    `json:"policy,omitempty"`
	Action   Action    `json:"action"`
	Reason   string    `json:"reason,omitempty"`
	Took     int64     `json:"took_us,omitempty"`
}

// Refusing is a policy's Action.
const Refusing Action = "denied"

// maxDecisions is how many of the last decisions a gate remembers.
const maxDecisions = 100

// watchkeeper keeps a gate's Status.
type watchkeeper struct {
	since time.Time

	mu        sync.Mutex // guards what follows
	health    map[string]Health
	rules     map[ruleKey]map[Action]int64
	decisions []Decision // the oldest first
}

// ruleKey is a Rule without its counts.
type ruleKey struct {
	guard  string
	stage  Stage
	mode   Mode
	policy string
}

func (k *watchkeeper) answered(upstream string, status int, first int64, retry time.Duration, now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.health[upstream] = k.health[upstream].note(status, first, retry, now)
}

// decided takes in a decision.
func (k *watchkeeper) decided(d Decision) {
	k.mu.Lock()
	defer k.mu.Unlock()
	r := ruleKey{d.Guard, d.Stage, d.Mode, d.Policy}
	if k.rules[r] == nil {
		k.rules[r] = map[Action]int64{}
	}
	k.rules[r][d.Action]++
	if d.Action == Passed {
		return
	}
	if len(k.decisions) == maxDecisions {
		k.decisions = append(k.decisions[:0], k.decisions[1:]...)
	}
	k.decisions = append(k.decisions, d)
}

// Status is what the gate knows of itself now.
func (g *Gate) Status() Status {
	s := Status{Since: g.keeper.since, Rules: []Rule{}, Follows: g.following != nil}
	if s.Follows {
		s.AsOf = *g.following.asOf.Load()
	}
	open := map[string]int{}
	for _, t := range *g.snapshot.Load() {
		t.mu.Lock()
		open[t.grant.Upstream] += len(t.calls)
		t.mu.Unlock()
	}
	g.keeper.mu.Lock()
	defer g.keeper.mu.Unlock()
	for name := range g.upstreams {
		h := g.keeper.health[name]
		h.Upstream, h.Open = name, open[name]
		s.Upstreams = append(s.Upstreams, h)
	}
	slices.SortFunc(s.Upstreams, func(a, b Health) int { return cmp.Compare(a.Upstream, b.Upstream) })
	for r, counts := range g.keeper.rules {
		rule := Rule{Guard: r.guard, Stage: r.stage, Mode: r.mode, Policy: r.policy, Counts: map[Action]int64{}}
		for a, n := range counts {
			rule.Counts[a] = n
		}
		s.Rules = append(s.Rules, rule)
	}
	slices.SortFunc(s.Rules, func(a, b Rule) int {
		return cmp.Or(cmp.Compare(a.Policy, b.Policy), cmp.Compare(a.Guard, b.Guard), cmp.Compare(b.Stage, a.Stage), cmp.Compare(a.Mode, b.Mode))
	})
	s.Decisions = slices.Clone(g.keeper.decisions)
	slices.Reverse(s.Decisions)
	return s
}

// watched tells the keeper how a call ended.
func (c *call) watched(status int, now time.Time) {
	if status != 0 || c.silent {
		c.gate.keeper.answered(c.tenancy.grant.Upstream, status, c.end.First, c.retry, now)
	}
	for _, j := range c.end.Judged {
		c.gate.keeper.decided(Decision{
			Time: now, Grant: c.tenancy.grant.ID, Call: c.id, Protocol: c.protocol.Name(),
			Guard: j.Guard, Stage: j.Stage, Mode: j.Mode, Action: j.Action, Reason: j.Reason, Took: j.Took,
		})
	}
}
