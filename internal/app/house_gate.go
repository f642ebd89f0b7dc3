package app

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/docket"
	"proofhouse/internal/gate"
	"proofhouse/internal/policy"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/store"
)

// caseOf is the case and the grant in it that a gate's subject names, if it names any.
func caseOf(subject, ofCase string) (proofhouse.CaseID, docket.GrantID) {
	id, grant, ok := strings.Cut(subject, "/")
	switch {
	case ofCase == "" && !ok:
		return "", ""
	case ofCase != "" && id != ofCase:
		return proofhouse.CaseID(ofCase), ""
	}
	return proofhouse.CaseID(id), docket.GrantID(grant)
}

func endingOf(u GateUse) *wire.Ending {
	if u.Ending == nil {
		return nil
	}
	return &wire.Ending{At: u.Ending.Time, Took: u.Ending.Took, Cut: u.Ending.Cut}
}

// Ended implements api.Gate: it tells the gate that runs on the data folder at once, whether that follows the database or not. What ended
// stands in the database already, so a gate that cannot be told hears of it there.
func (h *House) Ended(ctx context.Context, c docket.Case) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tellPatience)
	defer cancel()
	uses, err := h.app.GateGrants(ctx)
	if err != nil {
		return // none runs here
	}
	live := c.At(c.Changed).Live
	told := map[string]bool{}
	for _, u := range uses {
		subject := u.Grant.Subject
		id, grant := caseOf(subject, u.Grant.Case)
		if id != c.ID || u.Revoked || told[subject] || slices.ContainsFunc(live, func(g docket.Grant) bool { return g.ID == grant }) {
			continue
		}
		told[subject] = true
		_, err := h.app.RevokeGate(ctx, gate.Revocation{Subject: subject, Reason: "the case ended this access", Time: c.Changed})
		if err != nil {
			slog.LogAttrs(ctx, slog.LevelError, "the gate could not be told that an access ended: it hears of it by the database", slog.Any("error", err))
		}
	}
}

// tellPatience is for how long a gate is waited for that is told of something.
const tellPatience = 3 * time.Second

// Status implements api.Gate.
func (h *House) Status(ctx context.Context) (wire.Gate, error) {
	out := wire.Gate{Upstreams: []wire.Upstream{}, Grants: []wire.Lent{}, Suspensions: []wire.Suspension{}, Rules: []wire.GateRule{}, Decisions: []wire.GateDecision{}}
	status, err := h.app.GateStatus(ctx)
	if proofhouse.KindOf(err) == proofhouse.Unavailable {
		return out, nil
	}
	if err != nil {
		return out, err
	}
	uses, err := h.app.GateGrants(ctx)
	if err != nil {
		return out, err
	}
	suspensions, err := h.app.Suspensions(ctx)
	if err != nil {
		return out, err
	}
	out.Running, out.Since, out.Follows, out.AsOf = true, status.Since, status.Follows, status.AsOf
	for i, u := range status.Upstreams {
		up := wire.Upstream{
			Number: i + 1, State: "unknown", Open: u.Open, Answered: u.Answered, Refused: u.Refused, Limited: u.Limited, Failed: u.Failed, Silent: u.Silent,
			Last: u.Last, First: u.First, Trouble: u.Trouble, Status: u.Status, Until: u.Until,
		}
		if well, known := u.Well(); well {
			up.State = "answers"
		} else if known {
			up.State = "in trouble"
		}
		out.Upstreams = append(out.Upstreams, up)
	}
	grants := map[string]GateUse{}
	for _, u := range uses {
		grants[u.Grant.ID] = u
	}
	out.Grants = lent(uses, time.Now())
	for _, s := range suspensions {
		x := wire.Suspension{
			ID: s.ID, Tool: s.Tool, Protocol: s.Protocol, Class: string(s.Class), Reason: s.Reason, By: s.By, Since: s.Since, Took: s.Took, Cut: s.Cut,
			Narrow: s.Grant+s.Case+s.Subject != "",
		}
		x.Case, x.Grant = caseOf(s.Subject, s.Case)
		if u, ok := grants[s.Grant]; ok {
			x.Case, x.Grant = caseOf(u.Grant.Subject, u.Grant.Case)
			x.Key = s.Grant
		}
		out.Suspensions = append(out.Suspensions, x)
	}
	for _, r := range status.Rules {
		out.Rules = append(out.Rules, wire.GateRule{
			Guard: r.Guard, Stage: string(r.Stage), Mode: string(r.Mode), Policy: r.Policy, Passed: r.Counts[gate.Passed], Cut: r.Counts[gate.Stopped],
			Noted: r.Counts[gate.Noted], FailedOpen: r.Counts[gate.FailedOpen], FailedClosed: r.Counts[gate.FailedClosed], Denied: r.Counts[gate.Refusing],
		})
	}
	for _, d := range status.Decisions {
		x := wire.GateDecision{
			At: d.Time, Call: d.Call, Protocol: d.Protocol, Guard: d.Guard, Stage: string(d.Stage), Mode: string(d.Mode), Policy: d.Policy, Action: string(d.Action),
			Reason: d.Reason, Took: d.Took,
		}
		if u, ok := grants[d.Grant]; ok {
			x.Case, x.Grant = caseOf(u.Grant.Subject, u.Grant.Case)
		}
		out.Decisions = append(out.Decisions, x)
	}
	return out, nil
}

// lent are the grants of cases for which there are keys that open something now.
func lent(uses []GateUse, now time.Time) []wire.Lent {
	all := map[wire.Lent]wire.Lent{} // by case and grant
	for _, u := range uses {
		if u.Revoked || !now.Before(u.Grant.Until) {
			continue
		}
		id, grant := caseOf(u.Grant.Subject, u.Grant.Case)
		name := wire.Lent{Case: id, Grant: grant}
		l, ok := all[name]
		if !ok {
			l = name
			l.Codename = u.Grant.Codename
		}
		l.Keys++
		l.Open += u.Account.Open
		if u.Grant.Until.After(l.Until) {
			l.Until = u.Grant.Until
		}
		all[name] = l
	}
	out := make([]wire.Lent, 0, len(all))
	for _, l := range all {
		out = append(out, l)
	}
	slices.SortFunc(out, func(a, b wire.Lent) int { return cmp.Or(cmp.Compare(a.Case, b.Case), cmp.Compare(a.Grant, b.Grant)) })
	return out
}

// onGate is what entries of the house say of an act on the gate. The gate's own record says all of it; which case it is about is
// not for everybody who reads of the house.
type onGate struct {
	Suspension string `json:"suspension"`
	Tool       string `json:"tool,omitempty"`
	Protocol   string `json:"protocol,omitempty"`
	Class      string `json:"class,omitempty"`
	OfACase    bool   `json:"of_a_case,omitempty"`
}

// Suspend implements api.Gate: in force first, since it may be urgent, and recorded then.
func (h *House) Suspend(ctx context.Context, who policy.Person, s wire.NewSuspension, now time.Time) (wire.Suspension, error) {
	ask := gate.Suspension{Tool: s.Tool, Protocol: s.Protocol, Class: gate.Class(s.Class), Case: string(s.Case), Reason: s.Reason, By: who.Name()}
	if s.Grant != "" {
		ask.Subject = docket.Subject(s.Case, s.Grant)
	}
	done, err := h.app.Suspend(ctx, ask)
	if err != nil {
		return wire.Suspension{}, err
	}
	out := wire.Suspension{
		ID: done.ID, Tool: s.Tool, Protocol: s.Protocol, Class: s.Class, Case: s.Case, Grant: s.Grant, Reason: s.Reason, By: who.Name(), Since: now,
		Took: done.Took.Microseconds(), Cut: done.Calls, Narrow: s.Case != "",
	}
	return out, h.recordOnGate(ctx, who, "suspended a kind of request", onGate{Suspension: done.ID, Tool: s.Tool, Protocol: s.Protocol, Class: s.Class, OfACase: s.Case != ""}, now)
}

// Resume implements api.Gate.
func (h *House) Resume(ctx context.Context, who policy.Person, id, reason string, now time.Time) error {
	if _, err := h.app.Resume(ctx, id, "by "+who.Name()+": "+reason); err != nil {
		return err
	}
	return h.recordOnGate(ctx, who, "ended a suspension", onGate{Suspension: id}, now)
}

func (h *House) recordOnGate(ctx context.Context, who policy.Person, act string, says onGate, now time.Time) error {
	by := proofhouse.Actor{Organisation: who.Organisation, Person: who.ID}
	return h.Directory.People.Change(context.WithoutCancel(ctx), func(tx store.PeopleTx) error { return record(ctx, tx, &by, act, says, now) })
}
