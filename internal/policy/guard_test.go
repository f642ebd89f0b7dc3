package policy

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/cedar-policy/cedar-go"
	"github.com/google/go-cmp/cmp"

	"proofhouse/internal/proofhouse"
)

var update = flag.Bool("update", false, "write the golden files anew")

func guard(t testing.TB, rules string) *Guard {
	t.Helper()
	g, err := NewGuard(fstest.MapFS{"mine.cedar": {Data: []byte(rules)}})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// column is one who asks in the golden table.
type column struct {
	name string
	who  Principal
}

func person(organisation, id string, change func(*Person)) Person {
	p := Person{Organisation: proofhouse.OrganisationID(organisation), ID: proofhouse.PersonID(id), Enrolled: true}
	if change != nil {
		change(&p)
	}
	return p
}

// of is the organisation that a role's people are of in the tables.
func of(r proofhouse.Role) string {
	if r == proofhouse.Developer {
		return "lab"
	}
	if slices.Contains([]proofhouse.Role{proofhouse.Consultee, proofhouse.Partner, proofhouse.Tester, proofhouse.Auditor, proofhouse.Adopter}, r) {
		return string(r) + "s"
	}
	return "body"
}

// memberOf is the member in role r of the tables' case, cleared for "weights".
func memberOf(r proofhouse.Role, change func(*Person)) Principal {
	p := person(of(r), strings.ReplaceAll(string(r), " ", "-"), func(p *Person) { p.Clearances = []string{"weights"} })
	if change != nil {
		change(&p)
	}
	return Principal{Person: p, Role: r}
}

// columns are those who ask.
func columns() []column {
	all := []column{
		{"outsider", Principal{Person: person("elsewhere", "mallory", func(p *Person) { p.Clearances = []string{"weights", "TLP:RED"} })}},
		{"namesake", Principal{Person: person("elsewhere", "developer", func(p *Person) { p.Clearances = []string{"weights"} }), Role: proofhouse.Developer}},
		{"colleague", Principal{Person: person("lab", "carol", nil)}}, // of the developer, and no member
	}
	for _, r := range HouseRoles {
		all = append(all, column{"house " + string(r), Principal{Person: person("body", "house-"+strings.ReplaceAll(string(r), " ", "-"), func(p *Person) { p.House = []HouseRole{r} })}})
	}
	all = append(all,
		column{"another body's registrar", Principal{Person: person("other", "rita", func(p *Person) { p.House = []HouseRole{HouseRegistrar} })}},
		column{"another body's security officer", Principal{Person: person("other", "sam", func(p *Person) { p.House = []HouseRole{HouseSecurityOfficer} })}},
		column{"registrar with a conflict, no member", Principal{Person: person("body", "ron", func(p *Person) {
			p.House, p.ConflictsWith = []HouseRole{HouseRegistrar, HouseSecurityOfficer}, []proofhouse.OrganisationID{"lab"}
		})}},
		column{"coordinator cleared for red", Principal{Person: person("body", "cleo", func(p *Person) { p.House, p.Clearances = []HouseRole{HouseCoordinator}, []string{"TLP:RED"} })}},
		column{"coordinator with a conflict", Principal{Person: person("body", "cord", func(p *Person) {
			p.House, p.ConflictsWith = []HouseRole{HouseCoordinator}, []proofhouse.OrganisationID{"partners"}
		})}},
		column{"glass", Principal{Person: person("body", "gus", func(p *Person) { p.House = []HouseRole{HouseSecurityOfficer} })}},
	)
	for _, r := range proofhouse.Roles {
		all = append(all, column{string(r), memberOf(r, nil)})
	}
	for _, r := range []proofhouse.Role{proofhouse.Developer, proofhouse.Authority} {
		all = append(all,
			column{string(r) + " with a conflict", memberOf(r, func(p *Person) { p.ConflictsWith = []proofhouse.OrganisationID{"lab"} })},
			column{string(r) + " with a conflict in the case", memberOf(r, func(p *Person) { p.ConflictsIn = []proofhouse.CaseID{"case-1"} })},
			column{string(r) + " without clearance", memberOf(r, func(p *Person) { p.Clearances = nil })},
			column{string(r) + " whose account ended", memberOf(r, func(p *Person) { p.Ended = time.Unix(1, 0) })},
		)
	}
	return append(all,
		column{"authority cleared for red", memberOf(proofhouse.Authority, func(p *Person) { p.Clearances = append(p.Clearances, "TLP:RED") })},
		column{"developer as registrar", Principal{Person: memberOf(proofhouse.Developer, nil).Person, Role: proofhouse.Registrar}},
		column{"evaluator of the authority", Principal{Person: person("body", "eve", func(p *Person) { p.Clearances = []string{"weights"} }), Role: proofhouse.Authority}},
	)
}

// theCase is the case of the tables; everyone of columns that is a member is
// one in it.
func theCase() Case {
	c := Case{ID: "case-1", Developer: "lab", Body: "body", TakenUp: true, Ran: []string{"eve@body"}, Glass: []string{"gus@body"}}
	for _, r := range proofhouse.Roles {
		c.Members = append(c.Members, memberOf(r, nil).Actor())
	}
	c.Members = append(c.Members, proofhouse.Actor{Organisation: "body", Person: "eve", Role: proofhouse.Evaluator}, proofhouse.Actor{Organisation: "body", Person: "eve", Role: proofhouse.Authority})
	return c
}

// row is a question of the golden table.
type row struct {
	name string
	what Action
	on   func(who Principal) Resource
}

// rows are all actions on all resources, in the variants that rules tell apart.
func rows() []row {
	always := func(on Resource) func(Principal) Resource { return func(Principal) Resource { return on } }
	taken, fresh, held := theCase(), theCase(), theCase()
	fresh.TakenUp, held.Held = false, true
	fresh.Members, fresh.Glass = []proofhouse.Actor{memberOf(proofhouse.Developer, nil).Actor()}, nil
	full := func(who Principal) Approval {
		return Approval{Asker: who.Person.Name(), First: "anna@body", Second: "bob@lab"}
	}
	artifact := Artifact{Case: taken, ID: "a", Compartment: "weights", Marking: proofhouse.Amber}
	approvedCase := func(c Case, change func(Principal, *Approval)) func(Principal) Resource {
		return func(who Principal) Resource {
			c.Approved = full(who)
			if change != nil {
				change(who, &c.Approved)
			}
			return c
		}
	}
	approved := func(a Artifact, change func(Principal, *Approval)) func(Principal) Resource {
		return func(who Principal) Resource {
			a.Approved = full(who)
			if change != nil {
				change(who, &a.Approved)
			}
			return a
		}
	}
	all := []row{
		{"see it, taken up", View, always(taken)},
		{"see it, fresh", View, always(fresh)},
		{"read events", ReadEvents, always(taken)},
		{"read events, fresh", ReadEvents, always(fresh)},
		{"act: register criteria", Act("register criteria"), always(taken)},
		{"act: take up the case, fresh", Act("take up the case"), always(fresh)},
		{"act: take up the case, taken up", Act("take up the case"), always(taken)},
		{"act: pause access, fresh", Act("pause access"), always(fresh)},
		{"act: sign a determination", Act("sign a determination"), always(taken)},
		{"act: withdraw", Act("withdraw"), always(taken)},
		{"break glass", BreakGlass, always(taken)},
	}
	for _, tier := range []string{"authority", "developer", "partner", "public"} {
		all = append(all, row{"read report, " + tier, ReadReport, always(Report{Case: taken, Tier: tier})})
	}
	run := Run{Case: taken, ID: "run-1", By: "eve@body"}
	for _, what := range []Action{ReadRun, SteerRun} {
		all = append(all, row{what.String(), what, always(run)}, row{what.String() + ", own", what, func(who Principal) Resource {
			return Run{Case: taken, ID: "run-1", By: who.Person.Name()}
		}})
	}
	evidence := Evidence{Case: taken, ID: "e", Compartment: "weights", Marking: proofhouse.Amber}
	red := evidence
	red.Marking = proofhouse.Red
	other := evidence
	other.Compartment = "exploits"
	redArtifact := artifact
	redArtifact.Marking = proofhouse.Red
	otherArtifact := artifact
	otherArtifact.Compartment = "exploits"
	heldArtifact := artifact
	heldArtifact.Held = true
	own := func(who Principal) Evidence {
		e := other
		e.By = who.Person.Name()
		return e
	}
	all = append(all,
		row{"read evidence", ReadEvidence, always(evidence)},
		row{"read evidence, red", ReadEvidence, always(red)},
		row{"read evidence, other compartment", ReadEvidence, always(other)},
		row{"read evidence, own, other compartment", ReadEvidence, func(who Principal) Resource { return own(who) }},
		row{"read evidence, own, red", ReadEvidence, func(who Principal) Resource {
			e := own(who)
			e.Marking = proofhouse.Red
			return e
		}},
		row{"know of what is sealed, own, other compartment", Know, func(who Principal) Resource {
			return Artifact{Case: taken, ID: "o", Compartment: "exploits", Marking: proofhouse.Amber, By: who.Person.Name()}
		}},
		row{"know of what is sealed, other compartment", Know, always(otherArtifact)},
		row{"unseal", Unseal, approved(artifact, nil)},
		row{"unseal, red", Unseal, approved(redArtifact, nil)},
		row{"unseal, other compartment", Unseal, approved(otherArtifact, nil)},
		row{"unseal, nobody approved", Unseal, approved(artifact, func(_ Principal, a *Approval) { a.First, a.Second = "", "" })},
		row{"unseal, one approved", Unseal, approved(artifact, func(_ Principal, a *Approval) { a.Second = "" })},
		row{"unseal, one approved twice", Unseal, approved(artifact, func(_ Principal, a *Approval) { a.Second = a.First })},
		row{"unseal, asker approved first", Unseal, approved(artifact, func(_ Principal, a *Approval) { a.First = a.Asker })},
		row{"unseal, asker approved second", Unseal, approved(artifact, func(_ Principal, a *Approval) { a.Second = a.Asker })},
		row{"unseal, another asked", Unseal, approved(artifact, func(_ Principal, a *Approval) { a.Asker = "dora@lab" })},
		row{"export", Export, approvedCase(taken, nil)},
		row{"export, nobody approved", Export, always(taken)},
		row{"export, one approved twice", Export, approvedCase(taken, func(_ Principal, a *Approval) { a.Second = a.First })},
		row{"destroy case", Destroy, approvedCase(taken, nil)},
		row{"destroy case, nobody approved", Destroy, always(taken)},
		row{"destroy case, held", Destroy, approvedCase(held, nil)},
		row{"destroy artifact", Destroy, approved(artifact, nil)},
		row{"destroy artifact, one approved twice", Destroy, approved(artifact, func(_ Principal, a *Approval) { a.Second = a.First })},
		row{"destroy artifact, held", Destroy, approved(heldArtifact, nil)},
	)
	for _, what := range []Action{Unseal, Export, Destroy} {
		all = append(all,
			row{"ask to " + string(what), Ask, func(who Principal) Resource { return Asked{Case: taken, ID: "r", What: what, Asker: who.Person.Name()} }},
			row{"approve to " + string(what), Approve, always(Asked{Case: taken, ID: "r", What: what, Asker: "dora@lab"})})
	}
	all = append(all,
		row{"know of a broken glass", Know, always(Asked{Case: taken, ID: "r", What: BreakGlass, Asker: "gus@body"})},
		row{"approve to break glass", Approve, always(Asked{Case: taken, ID: "r", What: BreakGlass, Asker: "gus@body"})},
		row{"approve what one asked for", Approve, func(who Principal) Resource {
			return Asked{Case: taken, ID: "r", What: Export, Asker: who.Person.Name()}
		}},
		row{"approve a second time", Approve, func(who Principal) Resource {
			return Asked{Case: taken, ID: "r", What: Export, Asker: "dora@lab", First: who.Person.Name()}
		}},
		row{"submit a finding", SubmitFinding, always(House{})},
		row{"read a proof, red", ReadProof, always(Finding{ID: "f", By: "partners", Marking: proofhouse.Red})},
		row{"read a project", ReadProject, always(Project{Purl: "pkg:npm/x", Finders: []proofhouse.OrganisationID{"partners", "testers"}})},
		row{"coordinate: link", Coordinate("link"), always(Project{Purl: "pkg:npm/x", Finders: []proofhouse.OrganisationID{"partners", "testers"}})},
		row{"coordinate: release", Coordinate("release"), always(Project{Purl: "pkg:npm/x", Finders: []proofhouse.OrganisationID{"partners", "testers"}})},
	)
	for _, what := range []Action{ViewFinding, ReadProof, TakeBackFinding, OfferPatch} {
		all = append(all, row{what.String(), what, always(Finding{ID: "f", By: "partners", Marking: proofhouse.Amber})})
	}
	all = append(all,
		row{"open a case", OpenCase, always(House{})},
		row{"create an organisation", CreateOrganisation, always(House{})},
		row{"read the register", ReadRegister, always(House{})},
		row{"read the house's state", ReadState, always(House{})},
		row{"read the gate", ReadGate, always(House{})},
		row{"steer the gate", SteerGate, always(House{})},
		row{"create a person", CreatePerson, always(Organisation{ID: "lab"})},
	)
	peter := person("lab", "peter", nil)
	self := func(who Principal) Resource { return who.Person }
	newcomer, auditor, administrator := peter, peter, peter
	newcomer.Enrolled, auditor.House, administrator.House = false, []HouseRole{HouseAuditor}, []HouseRole{Administrator}
	for _, what := range []Action{GiveRole(HouseRegistrar), TakeRole(HouseRegistrar), EndPerson, GiveClearance, TakeClearance, DeclareConflict, LiftConflict, IssueToken, ListTokens} {
		all = append(all, row{what.String() + ", another's", what, always(peter)}, row{what.String() + ", own", what, self})
	}
	return append(all,
		row{"give a role: administrator, own", GiveRole(Administrator), self},
		row{"give a role: registrar, an auditor's", GiveRole(HouseRegistrar), always(auditor)},
		row{"give a role: auditor, an administrator's", GiveRole(HouseAuditor), always(administrator)},
		row{"issue a token, a newcomer's", IssueToken, always(newcomer)},
		row{"revoke a token, another's", RevokeToken, always(Token{ID: "t", Owner: peter.Name()})},
		row{"revoke a token, own", RevokeToken, func(who Principal) Resource { return Token{ID: "t", Owner: who.Person.Name()} }},
	)
}

// cell is the answer to one question: "yes", "no" and the rule, or "" for
// not found.
func cell(g *Guard, who Principal, what Action, on Resource) string {
	err := g.Check(who, what, on)
	switch {
	case err == nil:
		return "yes"
	case proofhouse.KindOf(err) == proofhouse.NotFound:
		return ""
	}
	rule := g.Decide(who, what, on).Policy
	if rule == "" {
		rule = "?"
	}
	return "no " + rule
}

// table decides every cell.
func table(g *Guard) string {
	var b bytes.Buffer
	b.WriteString("# Who may what; go test ./internal/policy -run Table -update writes it. After \"no\" stands the rule that refuses, or ? if only none\n" +
		"# permits it. Whoever is not named reads that there is no such thing.\n")
	for _, r := range rows() {
		fmt.Fprintf(&b, "\n%s\n", r.name)
		said := map[string][]string{}
		for _, c := range columns() {
			answer := cell(g, c.who, r.what, r.on(c.who))
			said[answer] = append(said[answer], c.name)
		}
		delete(said, "")
		answers := slices.Sorted(maps.Keys(said))
		slices.Reverse(answers) // yes comes first
		for _, a := range answers {
			fmt.Fprintf(&b, "  %s: %s\n", a, strings.Join(said[a], "; "))
		}
	}
	return b.String()
}

// TestTable holds every cell of who may what to testdata/table.golden.
func TestTable(t *testing.T) {
	got := table(guard(t, ""))
	const file = "testdata/table.golden"
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Error(diff)
	}
}

// TestCells: every question has the schema's shape, decides without failing,
// and permits nothing to whom may not know of the thing.
func TestCells(t *testing.T) {
	g := guard(t, "")
	for _, r := range rows() {
		for _, c := range columns() {
			on := r.on(c.who)
			for _, what := range []Action{r.what, Know} {
				if err := g.all.Fits(question(c.who, what, on)); err != nil {
					t.Errorf("%s, %s: %v", r.name, c.name, err)
				}
			}
			d := g.Decide(c.who, r.what, on)
			// Who breaks the glass need not have known of the case.
			if knows := g.Decide(c.who, Know, on).Allow; d.Failed || d.Allow && !knows && r.what != BreakGlass {
				t.Errorf("%s, %s: %+v, and may know of it: %v", r.name, c.name, d, knows)
			}
		}
	}
}

// TestEveryRuleCounts takes each rule away in turn: the table changes, so no
// rule can be lost or broken unseen.
func TestEveryRuleCounts(t *testing.T) {
	whole, all := guard(t, ""), rows()
	changes := func(without *Guard) bool {
		for _, r := range all {
			for _, c := range columns() {
				if on := r.on(c.who); cell(whole, c.who, r.what, on) != cell(without, c.who, r.what, on) {
					return true
				}
			}
		}
		return false
	}
	for id := range whole.ours.policies {
		s := newSet(whole.ours.check)
		for other, p := range whole.ours.policies {
			if other != id {
				s.put(other, p)
			}
		}
		if !changes(&Guard{all: s, ours: s}) {
			t.Errorf("without the rule %s all is as with it", id)
		}
	}
}

// TestEveryAction: each action and each word of docket's that rules name is asked about in the table.
func TestEveryAction(t *testing.T) {
	asked := map[string]bool{string(Know): true}
	for _, r := range rows() {
		name, _ := r.what.parts()
		asked[name] = true
	}
	text, err := shipped.ReadFile(houseRules + "/house.cedarschema")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for line := range strings.Lines(string(text)) {
		names, ok := strings.CutPrefix(line, "action ")
		if !ok {
			continue
		}
		for i, name := range strings.Split(names, `"`) {
			if i%2 == 0 {
				continue
			}
			if found++; !asked[name] {
				t.Errorf("the table does not ask about %q", name)
			}
		}
	}
	if found != len(asked) {
		t.Errorf("the schema has %d actions, and %d are asked about", found, len(asked))
	}
}

// TestPromises: whatever an operator's rules say, a developer withdraws,
// announces and shares, conflict or not.
func TestPromises(t *testing.T) {
	g := guard(t, `@id("nothing") forbid (principal, action, resource);`)
	c := theCase()
	c.Held = true
	who := memberOf(proofhouse.Developer, func(p *Person) {
		p.ConflictsWith, p.Clearances = []proofhouse.OrganisationID{"lab"}, nil
	})
	c.Glass = []string{who.Person.Name()}
	for _, what := range free {
		if err := g.Check(who, what, c); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := g.Check(who, Act("register criteria"), c); proofhouse.KindOf(err) != proofhouse.NotFound {
		t.Errorf("an operator's rule is not asked: %v", err)
	}
}

// TestOperatorsRules: an operator's rule takes away, and says why.
func TestOperatorsRules(t *testing.T) {
	g := guard(t, `@id("quiet") @reason("no exports this week") forbid (principal, action == Action::"export", resource);`)
	who := memberOf(proofhouse.Developer, nil)
	c := theCase()
	c.Approved = Approval{who.Person.Name(), "anna@body", "bob@lab"}
	err := g.Check(who, Export, c)
	if proofhouse.KindOf(err) != proofhouse.Refused || proofhouse.PublicOf(err) != "you may not export: no exports this week" {
		t.Error(err)
	}
	if d := g.Decide(who, Export, c); d.Policy != "quiet" || d.At != "mine.cedar:1" {
		t.Errorf("%+v", d)
	}
}

// TestGuardFailsClosed: a rule that cannot be evaluated denies, though Cedar would go on
// without it.
func TestGuardFailsClosed(t *testing.T) {
	g := guard(t, "")
	list, err := cedar.NewPolicyListFromBytes("trap.cedar", []byte(`@id("trap") forbid (principal, action == Action::"view", resource) when { principal.missing };`))
	if err != nil {
		t.Fatal(err)
	}
	g.all.put("trap", list[0])
	err = g.Check(memberOf(proofhouse.Developer, nil), View, theCase())
	if d := g.Decide(memberOf(proofhouse.Developer, nil), View, theCase()); d.Allow || !d.Failed || proofhouse.KindOf(err) != proofhouse.Refused {
		t.Errorf("%+v, %v", d, err)
	}
}

// TestOrderOfRules: a rule for every action is asked wherever it stands among those that
// name the action.
func TestOrderOfRules(t *testing.T) {
	const every, one = `@id("every") forbid (principal, action, resource);`, `@id("one") permit (principal, action == Action::"view", resource);`
	for _, rules := range []string{every + one, one + every} {
		list, err := cedar.NewPolicyListFromBytes("mine.cedar", []byte(rules))
		if err != nil {
			t.Fatal(err)
		}
		s := newSet(nil)
		for _, p := range list {
			s.put(cedar.PolicyID(p.Annotations()["id"]), p)
		}
		if d := s.Decide(question(columns()[0].who, View, theCase())); d.Policy != "every" {
			t.Errorf("%s: %+v", rules, d)
		}
	}
}

// TestNotFoundTellsNothing: the sentence about a thing that is hidden is that about a thing that is not there.
func TestNotFoundTellsNothing(t *testing.T) {
	g := guard(t, "")
	mallory := columns()[0].who
	for _, what := range []Action{View, ReadEvents, Act("withdraw"), Export, BreakGlass} {
		hidden, absent := g.Check(mallory, what, theCase()), NotFound(Case{ID: "case-2"})
		if hidden == nil || hidden.Error() != absent.Error() || proofhouse.KindOf(hidden) != proofhouse.NotFound {
			t.Errorf("%s: %v", what, hidden)
		}
	}
}

// TestStrangeActors: ids that could be taken for another's name get nothing.
func TestStrangeActors(t *testing.T) {
	g := guard(t, "")
	c := theCase()
	for _, p := range []Person{
		person("", "", nil), person("lab", "", nil), person("lab", "a@b", nil), person("Lab", "x", nil), person("l\u0430b", "x", nil), person("lab", "x\x00", nil),
	} {
		c.Members = append(c.Members, proofhouse.Actor{Organisation: p.Organisation, Person: p.ID, Role: proofhouse.Developer})
		if err := g.Check(Principal{Person: p, Role: proofhouse.Developer}, View, c); proofhouse.KindOf(err) != proofhouse.NotFound {
			t.Errorf("%q: %v", p.Name(), err)
		}
	}
}

func BenchmarkGuard(b *testing.B) {
	g := guard(b, "")
	who, c := memberOf(proofhouse.Registrar, nil), theCase()
	for _, bench := range []struct {
		name string
		who  Principal
		what Action
		on   Resource
	}{
		{"view", who, View, c},
		{"act", who, Act("register criteria"), c},
		{"unseal", who, Unseal, Artifact{Case: c, ID: "a", Compartment: "weights", Marking: proofhouse.Amber, Approved: Approval{who.Person.Name(), "anna@body", "bob@lab"}}},
		{"outsider", columns()[0].who, View, c},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := g.Check(bench.who, bench.what, bench.on); (err == nil) == (bench.name == "outsider") {
					b.Fatal(err)
				}
			}
		})
	}
}
