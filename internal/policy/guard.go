package policy

import (
	"io/fs"
	"slices"
	"strings"

	"proofhouse/internal/proofhouse"
)

// Action is what somebody wants to do to a resource. It completes "you may not …".
type Action string

// The actions. Which resources each applies to is in rules/house.cedarschema.
const (
	// View is to see that a case is there, its codename and its state.
	View         Action = "view"
	ReadEvents   Action = "read events" // the whole record
	ReadReport   Action = "read report"
	ReadEvidence Action = "read evidence"
	ReadRun      Action = "read a run"  // its samples and what was said in them
	SteerRun     Action = "steer a run" // hold it back, let it go on, stop it
	BreakGlass   Action = "break glass"
	// Export, Unseal and Destroy need an Approval.
	Export  Action = "export"
	Unseal  Action = "unseal"
	Destroy Action = "destroy"
	Ask     Action = "ask"
	Approve Action = "approve"

	SubmitFinding   Action = "submit a finding"
	ViewFinding     Action = "view a finding"
	ReadProof       Action = "read a proof" // what the finder brought
	TakeBackFinding Action = "take back a finding"
	OfferPatch      Action = "offer a patch"
	ReadProject     Action = "read a project" // all that is known of its findings

	ReadState Action = "read the house's state" // its log, backups and prices
	ReadGate  Action = "read the gate"          // how it does, and what its rules decided
	SteerGate Action = "steer the gate"         // take kinds of request away and give them back

	OpenCase           Action = "open a case"
	CreateOrganisation Action = "create an organisation"
	ReadRegister       Action = "read the register"
	CreatePerson       Action = "create a person"
	EndPerson          Action = "end a person"
	GiveClearance      Action = "give a clearance"
	TakeClearance      Action = "take a clearance"
	DeclareConflict    Action = "declare a conflict"
	LiftConflict       Action = "lift a conflict"
	IssueToken         Action = "issue a token"
	ListTokens         Action = "list tokens"
	RevokeToken        Action = "revoke a token"

	// Know is what decides between "not found" and "refused".
	Know Action = "know"
)

// Actions with a word of their own: see Act, Coordinate, GiveRole and TakeRole.
const (
	act        = "act"
	coordinate = "coordinate"
	giveRole   = "give a role"
	takeRole   = "take a role"
)

// Act is one of docket's kinds of act, such as "register criteria".
func Act(kind string) Action { return Action(act + "\x00" + kind) }

// Coordinate is one of clearing's acts that are a coordinator's, such as "release".
func Coordinate(act string) Action { return Action(coordinate + "\x00" + act) }

// GiveRole makes a person something in the house.
func GiveRole(r HouseRole) Action { return Action(giveRole + "\x00" + string(r)) }

// TakeRole ends that.
func TakeRole(r HouseRole) Action { return Action(takeRole + "\x00" + string(r)) }

// parts are the action's name in the rules and its word.
func (a Action) parts() (name, word string) {
	name, word, _ = strings.Cut(string(a), "\x00")
	return name, word
}

// String is the action as a person reads it.
func (a Action) String() string {
	switch name, word := a.parts(); name {
	case act:
		return word
	case coordinate:
		return coordinate + ": " + word
	case giveRole, takeRole:
		return strings.TrimSuffix(name, "role") + "role: " + word
	default:
		return name
	}
}

// free are the acts that the house promises every developer in every state. No
// rule of an operator's is asked about them.
var free = []Action{Act("withdraw"), Act("announce a release"), Act("share with a partner"), Act("end a partner's grant")}

// Guard decides who may see and do what in the house. It never changes, and is
// safe for concurrent use.
type Guard struct {
	all  *Set
	ours *Set // without what an operator added
}

// NewGuard loads the rules that ship and those of an operator's folders, with
// Load's errors.
func NewGuard(folders ...fs.FS) (*Guard, error) {
	const schema = houseRules + "/house.cedarschema"
	ours, err := read(houseRules, schema, nil)
	if err != nil {
		return nil, err
	}
	all, err := read(houseRules, schema, folders)
	if err != nil {
		return nil, err
	}
	return &Guard{all: all, ours: ours}, nil
}

// Decide is the decision with its reason, for records and for those who write
// rules: whoever is refused reads Check's sentence.
func (g *Guard) Decide(who Principal, what Action, on Resource) Decision {
	if who.invalid() {
		return Decision{Failed: true, Reason: "the actor's ids are not valid"}
	}
	set := g.all
	if slices.Contains(free, what) {
		set = g.ours
	}
	return set.Decide(question(who, what, on))
}

// Check is nil if who may do what to on. Whoever may not even know of the thing
// gets proofhouse.NotFound, with the same sentence as if it were not there; who
// may know but not do it proofhouse.Refused, with the rule's reason.
func (g *Guard) Check(who Principal, what Action, on Resource) error {
	d := g.Decide(who, what, on)
	switch {
	case d.Allow:
		return nil
	case !g.Decide(who, Know, on).Allow:
		return NotFound(on)
	case d.Reason != "":
		return proofhouse.Errorf(proofhouse.Refused, nil, "you may not %s: %s", what, d.Reason)
	}
	return proofhouse.Errorf(proofhouse.Refused, nil, "you may not %s: no rule permits it to you in your role", what)
}

// NotFound is the error for a thing that is not there, or of which the asker
// may not know. Whoever looks a thing up returns it too, so that the two cannot be
// told apart.
func NotFound(on Resource) error {
	return proofhouse.Errorf(proofhouse.NotFound, nil, "there is no such %s", on.kind())
}

func (p Principal) invalid() bool {
	return ValidID("", string(p.Person.Organisation)) != nil || ValidID("", string(p.Person.ID)) != nil
}

// question is what Cedar is asked.
func question(who Principal, what Action, on Resource) Request {
	name, word := what.parts()
	c := on.inCase()
	r := Request{Principal: who.entity(c), Action: name, Resource: on.entity()}
	switch what {
	case Export, Unseal, Destroy:
		a := on.approval()
		r.Context = Attrs{"asker": a.Asker, "first": a.First, "second": a.Second}
	default:
		switch name {
		case act, coordinate:
			r.Context = Attrs{"act": word}
		case giveRole, takeRole:
			r.Context = Attrs{"role": word}
		}
	}
	return r
}

// entity is the person, with the roles that it has in c and in the house.
func (p Principal) entity(c *Case) Entity {
	e := p.Person.entity()
	if c == nil {
		return e
	}
	member := false
	for _, m := range c.Members {
		if m.Organisation == p.Person.Organisation && m.Person == p.Person.ID && (p.Role == "" || p.Role == m.Role) {
			e.Parents = append(e.Parents, Entity{Type: "Role", ID: string(m.Role)})
			member = true
		}
	}
	if member {
		e.Parents = append(e.Parents, Entity{Type: "Role", ID: "member"})
	}
	if slices.Contains(c.Glass, p.Person.Name()) {
		e.Parents = append(e.Parents, Entity{Type: "Role", ID: "glass"})
	}
	return e
}

func (p Person) entity() Entity {
	with, in := make([]Ref, len(p.ConflictsWith)), make([]Ref, len(p.ConflictsIn))
	for i, o := range p.ConflictsWith {
		with[i] = Ref{"Organisation", string(o)}
	}
	for i, c := range p.ConflictsIn {
		in[i] = Ref{"Case", string(c)}
	}
	e := Entity{Type: "Person", ID: p.Name(), Parents: []Entity{{Type: "Organisation", ID: string(p.Organisation)}}, Attrs: Attrs{
		"name": p.Name(), "organisation": Ref{"Organisation", string(p.Organisation)}, "conflicts_with": with, "conflicts_in": in,
		"clearances": p.Clearances, "ended": !p.Ended.IsZero(), "enrolled": p.Enrolled,
	}}
	for _, r := range p.House {
		e.Parents = append(e.Parents, Entity{Type: "HouseRole", ID: string(r)})
	}
	return e
}
