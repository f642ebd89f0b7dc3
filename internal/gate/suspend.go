package gate

import (
	"context"
	"slices"
	"time"

	"proofhouse/internal/policy"
	"proofhouse/internal/proofhouse"
)

// Suspension takes a part of what grants permit away for a time, where a
// revocation would take all of it for good. A field that is "" stands for any;
// a call is suspended if all that are set match it.
type Suspension struct {
	ID       string `json:"id"`
	Grant    string `json:"grant,omitempty"`
	Case     string `json:"case,omitempty"`
	Subject  string `json:"subject,omitempty"`
	Protocol string `json:"protocol,omitempty"`
	Tool     string `json:"tool,omitempty"` // by name, or by type where it has none
	Class    Class  `json:"class,omitempty"`
	Reason   string `json:"reason,omitempty"` // told to callers
	By       string `json:"by,omitempty"`     // who suspended it
	// The gate sets these: when it was asked for, how long after that it was in force and each call under way that it matches had been
	// told, in µs, and how many those were.
	Since time.Time `json:"since,omitzero"`
	Took  int64     `json:"took_us,omitempty"`
	Cut   int       `json:"cut,omitempty"`
}

// Class is a kind of request.
type Class string

// The classes. A request can be of several.
const (
	Streams     Class = "streams"
	WithTools   Class = "tools"        // any tool at all
	ByReference Class = "by-reference" // inputs that the gate does not see
	ManyAnswers Class = "many-answers" // more than one answer asked for
)

// classes are all of them, for messages and checks.
var classes = []Class{Streams, WithTools, ByReference, ManyAnswers}

// Validate says what a suspension lacks: proofhouse.Invalid.
func (s Suspension) Validate() error {
	if s.Grant+s.Case+s.Subject+s.Protocol+s.Tool+string(s.Class) == "" {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "say what is suspended: a grant, a case, a subject, a protocol, a tool or a class of request")
	}
	if s.Class != "" && !slices.Contains(classes, s.Class) {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "there is no class of request %q: there are %v", s.Class, classes)
	}
	return nil
}

// matches says whether s suspends a call of g.
func (s Suspension) matches(g *Grant, protocol string, c Call) bool {
	is := func(want, have string) bool { return want == "" || want == have }
	return is(s.Grant, g.ID) && is(s.Case, g.Case) && is(s.Subject, g.Subject) && is(s.Protocol, protocol) &&
		(s.Tool == "" || slices.Contains(c.Tools, s.Tool)) && (s.Class == "" || slices.Contains(c.classes(), s.Class))
}

func (c Call) classes() (of []Class) {
	for class, is := range map[Class]bool{Streams: c.Stream, WithTools: len(c.Tools) > 0, ByReference: c.ByRef != "", ManyAnswers: c.Outputs > 1} {
		if is {
			of = append(of, class)
		}
	}
	return of
}

func (s Suspension) refusal() *Refusal {
	why := ""
	if s.Reason != "" {
		why = ": " + s.Reason
	}
	return refuse(Suspended, "this kind of request is suspended for now%s", why)
}

// Suspend takes effect at once: on new calls, and on those under way, which are
// cut. It returns how many those were. It is durable on return; in force it is
// even if writing it down fails, and then that is the error.
func (g *Gate) Suspend(ctx context.Context, s Suspension, now time.Time) (cut int, err error) {
	if err := s.Validate(); err != nil {
		return 0, err
	}
	s.Since = now
	g.mu.Lock()
	next := append(slices.Clone(*g.suspended.Load()), s)
	g.suspended.Store(&next)
	g.mu.Unlock()
	// A call that did not see it was entered before this, and is found here.
	for _, t := range *g.snapshot.Load() {
		t.mu.Lock()
		for f := range t.calls {
			if s.matches(&t.grant, f.protocol, f.asked) {
				f.cancel(s.refusal())
				cut++
			}
		}
		t.mu.Unlock()
	}
	before := s
	s.Took, s.Cut = max(time.Since(now).Microseconds(), 0), cut
	g.measured(before, s)
	return cut, g.record(ctx, Record{Kind: SuspendedCalls, Time: now, Suspension: &s}, g.cfg.Log.Sync)
}

// measured puts after in the place of a suspension, if nobody has ended it meanwhile.
func (g *Gate) measured(before, after Suspension) {
	g.mu.Lock()
	defer g.mu.Unlock()
	next := slices.Clone(*g.suspended.Load())
	if i := slices.Index(next, before); i >= 0 {
		next[i] = after
		g.suspended.Store(&next)
	}
}

// Resume ends a suspension: proofhouse.NotFound if there is none of that id.
func (g *Gate) Resume(ctx context.Context, id, reason string, now time.Time) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	next := slices.DeleteFunc(slices.Clone(*g.suspended.Load()), func(s Suspension) bool { return s.ID == id })
	if len(next) == len(*g.suspended.Load()) {
		return proofhouse.Errorf(proofhouse.NotFound, nil, "nothing is suspended under that name")
	}
	if err := g.record(ctx, Record{Kind: ResumedCalls, Time: now, Suspension: &Suspension{ID: id}, Note: reason}, g.cfg.Log.Sync); err != nil {
		return err
	}
	g.suspended.Store(&next)
	return nil
}

// Suspensions are those in force, oldest first.
func (g *Gate) Suspensions() []Suspension { return slices.Clone(*g.suspended.Load()) }

// suspension is the refusal of a call that is suspended, nil if it is not.
func (g *Gate) suspension(t *tenancy, f *flow) *Refusal {
	for _, s := range *g.suspended.Load() {
		if s.matches(&t.grant, f.protocol, f.asked) {
			return s.refusal()
		}
	}
	return nil
}

// permitted asks the house's policies about a call. A denial is in the record.
func (g *Gate) permitted(grant *Grant, protocol string, c Call, now time.Time) *Refusal {
	if g.cfg.Policies == nil {
		return nil
	}
	d := g.cfg.Policies.Decide(question(grant, protocol, c, now))
	if d.Allow {
		return nil
	}
	_ = g.record(context.Background(), Record{Kind: Denied, Time: now, Grant: grant.ID, Protocol: protocol, Decision: &d}, nil)
	g.keeper.decided(Decision{Time: now, Grant: grant.ID, Protocol: protocol, Policy: d.Policy, Action: Refusing, Reason: d.Reason})
	switch {
	case d.Failed:
		return refuse(NotGranted, "a policy of this house could not be evaluated, so the request is refused")
	case d.Reason != "":
		return refuse(NotGranted, "policy %s refuses this request: %s", d.Policy, d.Reason)
	case d.Policy != "":
		return refuse(NotGranted, "policy %s refuses this request", d.Policy)
	}
	return refuse(NotGranted, "no policy of this house permits this request")
}

// question is a call as policies see it; policy/rules/house.cedarschema has
// the same shape.
func question(g *Grant, protocol string, c Call, now time.Time) policy.Request {
	subject := policy.Entity{Type: "Subject", ID: g.Subject}
	if g.Case != "" {
		subject.Parents = []policy.Entity{{Type: "Case", ID: g.Case}}
	}
	out := c.OutputCap
	if out == 0 {
		out = g.Limits.OutputCap
	}
	at := now.UTC()
	return policy.Request{
		Principal: subject, Action: "ask", Resource: policy.Entity{Type: "Model", ID: g.Codename, Attrs: policy.Attrs{"variant": g.Variant}},
		Context: policy.Attrs{
			"protocol": protocol, "stream": c.Stream, "tools": c.Tools, "input_bound": c.Inputs, "output_cap": out, "answers": max(c.Outputs, 1),
			"by_reference": c.ByRef != "", "at": at, "hour": at.Hour(), "weekday": int(at.Weekday()),
		},
	}
}
