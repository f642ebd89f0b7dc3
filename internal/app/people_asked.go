package app

import (
	"context"
	"slices"
	"time"

	"proofhouse/internal/api"
	"proofhouse/internal/policy"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/store"
)

// Facts is what the guard needs to know of a case. One that is not there is
// proofhouse.NotFound.
func (d Directory) Facts(ctx context.Context, id proofhouse.CaseID, now time.Time) (policy.Case, error) {
	c, err := d.Cases.Case(ctx, id)
	if proofhouse.KindOf(err) == proofhouse.NotFound {
		return policy.Case{}, policy.NotFound(policy.Case{})
	} else if err != nil {
		return policy.Case{}, err
	}
	f := c.Facts()
	asked, err := d.People.AskedAbout(ctx, id)
	f.Glass = broken(asked, now)
	return f, err
}

// broken are the names of those who may still read through a broken glass.
func broken(asked []policy.Asked, now time.Time) (names []string) {
	for _, a := range asked {
		if a.What == policy.BreakGlass {
			if _, err := a.Use(now); err == nil {
				names = append(names, a.Asker)
			}
		}
	}
	return names
}

// Check is Guard.Check for what is about a case, and is to be asked before
// anything of it is shown or changed. What only a broken glass permits, other than
// seeing that the case is there, is permitted once: the reading is recorded, and the glass is whole again.
func (d Directory) Check(ctx context.Context, who policy.Principal, what policy.Action, id proofhouse.CaseID, on func(policy.Case) policy.Resource, now time.Time) error {
	f, err := d.Facts(ctx, id, now)
	if err != nil {
		return err
	}
	if err := d.Guard.Check(who, what, on(f)); err != nil {
		return err
	}
	name := who.Person.Name()
	if what != policy.ReadEvents && what != policy.ReadEvidence || !slices.Contains(f.Glass, name) {
		return nil
	}
	f.Glass = nil
	hidden := d.Guard.Check(who, what, on(f))
	if hidden == nil {
		return nil // a member may, without the glass
	}
	return d.People.Change(ctx, func(tx store.PeopleTx) error {
		asked, err := tx.AskedAbout(ctx, id)
		if err != nil {
			return err
		}
		for _, a := range asked {
			if a.What != policy.BreakGlass || a.Asker != name {
				continue
			}
			if _, err := a.Use(now); err != nil {
				continue
			}
			if _, err := tx.ChangeAsked(ctx, a.ID, func(a *policy.Asked) (err error) {
				*a, err = a.Use(now)
				return err
			}); err != nil {
				return err
			}
			by := who.Actor()
			return record(ctx, tx, &by, "read through the broken glass", onCase{Case: id, Request: a.ID, What: what.String()}, now)
		}
		return hidden // another reading was faster
	})
}

// onCase is what entries say of an act about a case.
type onCase struct {
	Case    proofhouse.CaseID `json:"case"`
	Request string            `json:"request"`
	What    string            `json:"what,omitempty"`
	On      string            `json:"on,omitempty"`
	Reason  string            `json:"reason,omitempty"`
	For     proofhouse.Role   `json:"for,omitempty"`   // of an export
	Again   bool              `json:"again,omitempty"` // it was fetched before
}

// Ask asks two others to approve that who exports a case, or unseals or
// destroys an artifact (on) or, to destroy, all of a case (on is "").
func (d Directory) Ask(ctx context.Context, who policy.Principal, id proofhouse.CaseID, what policy.Action, on, reason string, now time.Time) (policy.Asked, error) {
	if what == policy.BreakGlass {
		return policy.Asked{}, proofhouse.Errorf(proofhouse.Invalid, nil, "to break the glass is not asked for: it is done")
	}
	return d.ask(ctx, who, id, what, on, reason, now)
}

// BreakGlass lets a security officer of the body read a case once, within an
// hour. Members find it with the case and in Requests, and the stream "house" has it for good.
func (d Directory) BreakGlass(ctx context.Context, who policy.Principal, id proofhouse.CaseID, reason string, now time.Time) (policy.Asked, error) {
	return d.ask(ctx, who, id, policy.BreakGlass, "", reason, now)
}

func (d Directory) ask(ctx context.Context, who policy.Principal, id proofhouse.CaseID, what policy.Action, on, reason string, now time.Time) (policy.Asked, error) {
	var none policy.Asked
	f, err := d.Facts(ctx, id, now)
	if err != nil {
		return none, err
	}
	a := policy.Asked{
		ID: "request-" + proofhouse.Token(5), Case: f, What: what, On: on, Reason: reason, Asker: who.Person.Name(), At: now.UTC().Truncate(time.Microsecond),
	}
	says, act := onCase{Case: id, Request: a.ID, What: what.String(), On: on, Reason: reason}, policy.Ask
	if what == policy.BreakGlass {
		says.What, act = "", policy.BreakGlass
	}
	return a, d.change(ctx, who, act, says, now, func(tx store.PeopleTx, who policy.Principal) error {
		var on policy.Resource = a
		if what == policy.BreakGlass {
			on = f
		}
		if err := d.Guard.Check(who, act, on); err != nil {
			if proofhouse.KindOf(err) != proofhouse.NotFound {
				return err
			}
			// What is asked about is the case: there is no request yet that could be hidden.
			if !d.knows(who, f) {
				return policy.NotFound(f)
			}
			return proofhouse.Errorf(proofhouse.Refused, nil, "you may not ask for that in your role")
		}
		if err := a.Validate(); err != nil {
			return err
		}
		return tx.AddAsked(ctx, a)
	})
}

// Approve is one person's approval of a request, the first or the second.
func (d Directory) Approve(ctx context.Context, who policy.Principal, request string, now time.Time) (a policy.Asked, err error) {
	f, err := d.factsOf(ctx, request, now)
	if err != nil {
		return a, err
	}
	says := onCase{Case: f.ID, Request: request}
	err = d.change(ctx, who, policy.Approve, &says, now, func(tx store.PeopleTx, who policy.Principal) error {
		a, err = tx.ChangeAsked(ctx, request, func(a *policy.Asked) (err error) {
			a.Case = f
			if err := d.Guard.Check(who, policy.Approve, *a); err != nil {
				return err
			}
			says.What, says.On = a.What.String(), a.On
			*a, err = a.Approve(who.Person.Name(), now.UTC().Truncate(time.Microsecond))
			return err
		})
		return err
	})
	if err != nil {
		return policy.Asked{}, err
	}
	return a, nil
}

// factsOf is Facts of the case that a request is about.
func (d Directory) factsOf(ctx context.Context, request string, now time.Time) (policy.Case, error) {
	a, err := d.People.Asked(ctx, request)
	if err != nil {
		return policy.Case{}, err
	}
	f, err := d.Facts(ctx, a.Case.ID, now)
	if proofhouse.KindOf(err) == proofhouse.NotFound {
		return f, policy.NotFound(a)
	}
	return f, err
}

// Use makes use of an approved request, once, and says so before the thing is
// done: whoever calls then exports, unseals or destroys what the request names, and no
// more. on gives the resource with the facts and the approval put in: the case itself, or the artifact with
// its compartment and marking.
func (d Directory) Use(ctx context.Context, who policy.Principal, request string, on func(policy.Case, policy.Asked) policy.Resource, now time.Time) (policy.Asked, error) {
	return d.use(ctx, who, request, on, policy.Asked.Use, now)
}

// Fetch is Use for the export of a case to readers in a role ("" is everything), which may be repeated for
// a while (policy.Asked.Fetch). Each time is recorded.
func (d Directory) Fetch(ctx context.Context, who policy.Principal, request string, id proofhouse.CaseID, reader proofhouse.Role, now time.Time) error {
	_, err := d.use(ctx, who, request, func(c policy.Case, a policy.Asked) policy.Resource {
		if c.ID != id || a.What != policy.Export {
			return policy.Case{} // which the request is not about
		}
		return c
	}, func(a policy.Asked, now time.Time) (policy.Asked, error) { return a.Fetch(reader, now) }, now)
	return err
}

func (d Directory) use(
	ctx context.Context, who policy.Principal, request string, on func(policy.Case, policy.Asked) policy.Resource, use func(policy.Asked, time.Time) (policy.Asked, error), now time.Time,
) (a policy.Asked, err error) {
	f, err := d.factsOf(ctx, request, now)
	if err != nil {
		return a, err
	}
	says := onCase{Case: f.ID, Request: request}
	err = d.change(ctx, who, "use an approval", &says, now, func(tx store.PeopleTx, who policy.Principal) error {
		a, err = tx.ChangeAsked(ctx, request, func(a *policy.Asked) (err error) {
			if a.What == policy.BreakGlass {
				return policy.NotFound(*a)
			}
			a.Case = f
			if !d.knows(who, *a) {
				return policy.NotFound(*a)
			}
			f := f
			f.Approved = a.Approval()
			thing := on(f, *a)
			if !names(*a, thing) {
				return proofhouse.Errorf(proofhouse.Refused, nil, "the approval is for another thing: ask for one for this")
			}
			if err := d.Guard.Check(who, a.What, thing); err != nil {
				return err
			}
			says.What, says.On, says.Again = a.What.String(), a.On, !a.Used.IsZero()
			*a, err = use(*a, now.UTC().Truncate(time.Microsecond))
			says.For = a.For
			return err
		})
		return err
	})
	if err != nil {
		return policy.Asked{}, err
	}
	a.Case = f
	return a, nil
}

// names says whether a request is about a thing.
func names(a policy.Asked, thing policy.Resource) bool {
	switch thing := thing.(type) {
	case policy.Case:
		return a.On == "" && thing.ID == a.Case.ID
	case policy.Artifact:
		return a.On == thing.ID && thing.Case.ID == a.Case.ID
	}
	return false
}

// Told implements api.People: all members know whenever the glass of their case was broken.
func (d Directory) Told(ctx context.Context, who policy.Principal, of []policy.Case, now time.Time) (map[proofhouse.CaseID]api.Told, error) {
	ids := make([]proofhouse.CaseID, len(of))
	for i, c := range of {
		ids[i] = c.ID
	}
	all, err := d.People.AskedAboutEach(ctx, ids)
	if err != nil {
		return nil, err
	}
	out := map[proofhouse.CaseID]api.Told{}
	for _, c := range of {
		c.Glass = broken(all[c.ID], now)
		var told api.Told
		for _, a := range all[c.ID] {
			a.Case = c
			_, late := a.Approve(who.Person.Name(), now)
			switch {
			case a.What == policy.BreakGlass && d.knows(who, a):
				told.Broken = append(told.Broken, a)
			case late == nil && d.Guard.Check(who, policy.Approve, a) == nil:
				told.Waiting++
			}
		}
		out[c.ID] = told
	}
	return out, nil
}

// MayAsk implements api.People.
func (d Directory) MayAsk(ctx context.Context, who policy.Principal, id proofhouse.CaseID, now time.Time) ([]policy.Action, error) {
	f, err := d.Facts(ctx, id, now)
	if err != nil {
		return nil, err
	}
	may := []policy.Action{}
	for _, what := range []policy.Action{policy.Export, policy.Unseal, policy.Destroy} {
		if d.Guard.Check(who, policy.Ask, policy.Asked{Case: f, What: what, Asker: who.Person.Name(), At: now}) == nil {
			may = append(may, what)
		}
	}
	return may, nil
}

// Requests are those about a case of which who may know, oldest first: all
// members know whenever the glass was broken.
func (d Directory) Requests(ctx context.Context, who policy.Principal, id proofhouse.CaseID, now time.Time) ([]policy.Asked, error) {
	f, err := d.Facts(ctx, id, now)
	if err != nil {
		return nil, err
	}
	if err := d.Guard.Check(who, policy.View, f); err != nil {
		return nil, err
	}
	all, err := d.People.AskedAbout(ctx, id)
	if err != nil {
		return nil, err
	}
	for i := range all {
		all[i].Case = f
	}
	return slices.DeleteFunc(all, func(a policy.Asked) bool { return !d.knows(who, a) }), nil
}
