package policy

import (
	"slices"
	"strings"
	"time"

	"proofhouse/internal/proofhouse"
)

// HouseRole is what a person is in the whole house, apart from cases.
type HouseRole string

// The house's roles. In the cases of its own organisation's, a registrar takes
// up what is new and a security officer may break the glass; a coordinator looks after findings; an auditor reads
// the register of people and what became of findings, and has no other role of the house.
const (
	Administrator        HouseRole = "administrator"
	HouseRegistrar       HouseRole = "registrar"
	HouseSecurityOfficer HouseRole = "security officer"
	HouseAuditor         HouseRole = "auditor"
	HouseCoordinator     HouseRole = "coordinator"
)

// HouseRoles are all of them.
var HouseRoles = []HouseRole{Administrator, HouseRegistrar, HouseSecurityOfficer, HouseAuditor, HouseCoordinator}

// Validate says whether r is one of HouseRoles.
func (r HouseRole) Validate() error {
	if !slices.Contains(HouseRoles, r) {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "%q is no role of the house: choose one of %v", string(r), HouseRoles)
	}
	return nil
}

// Person is somebody with an account.
type Person struct {
	Organisation proofhouse.OrganisationID `json:"organisation"`
	ID           proofhouse.PersonID       `json:"id"`
	Title        string                    `json:"title"` // what people call them
	House        []HouseRole               `json:"house,omitempty"`
	// ConflictsWith are developers in whose cases the person takes no part, and
	// ConflictsIn are such cases.
	ConflictsWith []proofhouse.OrganisationID `json:"conflicts_with,omitempty"`
	ConflictsIn   []proofhouse.CaseID         `json:"conflicts_in,omitempty"`
	// Clearances are compartments and markings that the person may read.
	Clearances []string `json:"clearances,omitempty"`
	// Enrolled says that the person has had a token.
	Enrolled bool `json:"enrolled,omitempty"`
	// Ended is when the account ended; zero if it has not.
	Ended time.Time `json:"ended,omitzero"`
}

// Name is how rules, requests and records name the person: PERSON@ORGANISATION.
func (p Person) Name() string { return NameOf(p.Organisation, p.ID) }

// NameOf is the name of a person of an organisation.
func NameOf(o proofhouse.OrganisationID, p proofhouse.PersonID) string {
	return string(p) + "@" + string(o)
}

// Principal is a person who asks for something, in a role or, if that is "", in
// all the roles that the person has.
type Principal struct {
	Person Person
	Role   proofhouse.Role
}

// Actor is the principal as events and records name it.
func (p Principal) Actor() proofhouse.Actor {
	return proofhouse.Actor{Organisation: p.Person.Organisation, Person: p.Person.ID, Role: p.Role}
}

// maxID bounds an id, in bytes.
const maxID = 100

// ValidID says whether s can be the id of an organisation or a person:
// lower-case ASCII letters, digits and . _ - /, so that no two ids look alike.
// what begins the sentence of the error, which is proofhouse.Invalid.
func ValidID(what, s string) error {
	if s == "" || len(s) > maxID || strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && !strings.ContainsRune("._-/", r)
	}) {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "%s must be 1 to %d lower-case letters, digits and . _ - /", what, maxID)
	}
	return nil
}

// Validate says whether ids and title are what ValidID and ValidTitle take. The error is
// proofhouse.Invalid.
func (p Person) Validate() error {
	if err := ValidID("the organisation's id", string(p.Organisation)); err != nil {
		return err
	}
	if err := ValidID("the person's id", string(p.ID)); err != nil {
		return err
	}
	return ValidTitle("the person's title", p.Title)
}

// Validate says whether id and title are what ValidID and ValidTitle take. The error is
// proofhouse.Invalid.
func (o Organisation) Validate() error {
	if err := ValidID("the organisation's id", string(o.ID)); err != nil {
		return err
	}
	if o.ID == "house" {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "the house itself acts under the id house: choose another")
	}
	return ValidTitle("the organisation's title", o.Title)
}

// ValidClearance says whether s can be a clearance: a compartment's name, which
// is of the form of an id, or a marking. The error is proofhouse.Invalid.
func ValidClearance(s string) error {
	if proofhouse.Marking(s).Validate() == nil {
		return nil
	}
	return ValidID("a clearance that is no marking", s)
}

// Conflict is a conflict of interest: with an organisation, in all cases of
// which it is the developer, or in one case. One of the two is set.
type Conflict struct {
	With proofhouse.OrganisationID `json:"with,omitempty" doc:"the developer in all of whose cases it is" maxLength:"100"`
	In   proofhouse.CaseID         `json:"in,omitempty" doc:"the case in which it is" maxLength:"100"`
}

// Validate says whether c names one thing. The error is proofhouse.Invalid.
func (c Conflict) Validate() error {
	if (c.With == "") == (c.In == "") {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "a conflict of interest is with an organisation or in a case: name one")
	}
	return ValidID("what a conflict names", string(c.With)+string(c.In))
}
