package policy

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"proofhouse/internal/proofhouse"
)

// pick is one of all, and some a few of them.
func pick[T any](r *rand.Rand, all []T) T { return all[r.IntN(len(all))] }

func some[T any](r *rand.Rand, all []T) (few []T) {
	for _, v := range all {
		if r.IntN(3) == 0 {
			few = append(few, v)
		}
	}
	return few
}

// TestNever asks about a hundred thousand made-up cases, and holds each yes to
// what can never be, said a second time here without Cedar.
func TestNever(t *testing.T) {
	g, r := guard(t, ""), rand.New(rand.NewPCG(1, 2)) //nolint:gosec // no secret
	organisations := []proofhouse.OrganisationID{"lab", "body", "other"}
	ids := []proofhouse.PersonID{"a", "b", "c"}
	names := []string{"", "a@lab", "b@lab", "a@body", "b@body", "c@body"}
	compartments := []string{"weights", "exploits", "TLP:RED"}
	anyPerson := func() Person {
		p := Person{
			Organisation: pick(r, organisations), ID: pick(r, ids), House: some(r, HouseRoles), Clearances: some(r, compartments),
			Enrolled: r.IntN(2) == 0,
		}
		if r.IntN(4) == 0 {
			p.ConflictsWith = some(r, organisations)
		}
		if r.IntN(4) == 0 {
			p.ConflictsIn = some(r, []proofhouse.CaseID{"case-1", "case-2"})
		}
		if r.IntN(8) == 0 {
			p.Ended = time.Unix(1, 0)
		}
		return p
	}
	n := 100_000
	if testing.Short() {
		n /= 10
	}
	allowed := map[Action]int{}
	for range n {
		p := anyPerson()
		who := Principal{Person: p}
		if r.IntN(2) == 0 {
			who.Role = pick(r, proofhouse.Roles)
		}
		c := Case{
			ID: "case-1", Developer: "lab", Body: "body", TakenUp: r.IntN(2) == 0, Held: r.IntN(4) == 0, Ran: some(r, names[1:]),
			Approved: Approval{pick(r, names), pick(r, names), pick(r, names)},
		}
		if r.IntN(4) == 0 {
			c.Glass = some(r, names[1:])
		}
		for range r.IntN(6) {
			c.Members = append(c.Members, proofhouse.Actor{Organisation: pick(r, organisations), Person: pick(r, ids), Role: pick(r, proofhouse.Roles)})
		}
		if r.IntN(2) == 0 { // who asks was asked for it, or nothing would ever be allowed
			c.Approved.Asker = p.Name()
			c.Members = append(c.Members, proofhouse.Actor{Organisation: p.Organisation, Person: p.ID, Role: pick(r, proofhouse.Roles)})
		}
		compartment, marking := pick(r, compartments[:2]), pick(r, []proofhouse.Marking{proofhouse.Amber, proofhouse.Red})
		asked := Asked{Case: c, ID: "r", What: pick(r, []Action{Export, Unseal, Destroy, BreakGlass}), Asker: pick(r, names[1:]), First: pick(r, names)}
		by := pick(r, names)
		artifact := Artifact{Case: c, ID: "x", Compartment: compartment, Marking: marking, By: by, Held: c.Held, Approved: c.Approved}
		var what Action
		var on Resource
		switch r.IntN(12) {
		case 0:
			what, on = View, c
		case 1:
			what, on = ReadEvents, c
		case 2:
			what, on = Act(pick(r, []string{"sign a determination", "take up the case", "withdraw", "register criteria"})), c
		case 3:
			what, on = Export, c
		case 4:
			what, on = Destroy, c
		case 5:
			what, on = Destroy, artifact
		case 6:
			what, on = Unseal, artifact
		case 7:
			what, on = ReadEvidence, Evidence{Case: c, ID: "x", Compartment: compartment, Marking: marking, By: by}
		case 8:
			what, on = Approve, asked
		case 9:
			what, on = ReadRun, Run{Case: c, ID: "run-1", By: by}
		case 10:
			what, on = SteerRun, Run{Case: c, ID: "run-1", By: by}
		default:
			what, on = ReadReport, Report{Case: c, Tier: pick(r, []string{"authority", "developer", "partner", "public"})}
		}
		d := g.Decide(who, what, on)
		if d.Failed {
			t.Fatalf("%s of %+v by %+v: %+v", what, on, who, d)
		}
		if !d.Allow {
			continue
		}
		allowed[what]++
		var roles []proofhouse.Role
		for _, m := range c.Members {
			if m.Organisation == p.Organisation && m.Person == p.ID && (who.Role == "" || who.Role == m.Role) {
				roles = append(roles, m.Role)
			}
		}
		developer := slices.Contains(roles, proofhouse.Developer)
		conflict := slices.Contains(p.ConflictsWith, c.Developer) || slices.Contains(p.ConflictsIn, c.ID)
		glass := slices.Contains(c.Glass, p.Name())
		cleared := (slices.Contains(p.Clearances, compartment) || what == ReadEvidence && by == p.Name()) && (marking != proofhouse.Red || slices.Contains(p.Clearances, "TLP:RED"))
		fresh := slices.Contains(p.House, HouseRegistrar) && p.Organisation == c.Body && !c.TakenUp
		reads := what == View || what == ReadEvents || what == ReadEvidence
		for reason, wrong := range map[string]bool{
			"the account has ended":          !p.Ended.IsZero(),
			"a conflict of interest":         conflict && !developer,
			"no member, and no other reason": len(roles) == 0 && (!glass || !reads) && (!fresh || what != View && what != Act("take up the case")),
			"an auditor and evidence":        slices.Contains(roles, proofhouse.Auditor) && (what == ReadEvidence || what == Unseal),
			"another's run and none of its readers": (what == ReadRun || what == SteerRun) && by != p.Name() && !slices.ContainsFunc(roles, func(r proofhouse.Role) bool {
				return r == proofhouse.Registrar && what == ReadRun || r == proofhouse.Evaluator || r == proofhouse.Authority && what == ReadRun
			}),
			"no clearance":                           (what == Unseal || what == ReadEvidence && !glass) && !cleared,
			"who ran signs":                          what == Act("sign a determination") && slices.Contains(c.Ran, p.Name()),
			"a hold":                                 what == Destroy && c.Held,
			"through the glass":                      glass && !reads && !developer && what != ReadReport && what != ReadRun,
			"who asked, or approved first, approves": what == Approve && (asked.Asker == p.Name() || asked.First == p.Name() || asked.What == BreakGlass),
			"not two approvers":                      (what == Export || what == Unseal || what == Destroy) && !two(c.Approved, p.Name()),
		} {
			if wrong {
				t.Errorf("%s: %s of %+v by %+v is allowed by %s", reason, what, on, who, d.Policy)
			}
		}
		if t.Failed() {
			return
		}
	}
	for _, what := range []Action{View, ReadEvents, Export, Destroy, Unseal, ReadEvidence, Approve, ReadReport, ReadRun, SteerRun, Act("sign a determination"), Act("take up the case")} {
		if allowed[what] == 0 {
			t.Errorf("%s was never allowed, so nothing was learnt of it", what)
		}
	}
}

// two says whether a is the approval by two persons of what name asked for.
func two(a Approval, name string) bool {
	people := map[string]bool{a.Asker: true, a.First: true, a.Second: true}
	return len(people) == 3 && !people[""] && a.Asker == name
}
