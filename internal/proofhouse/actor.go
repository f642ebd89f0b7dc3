package proofhouse

import "slices"

// CaseID names one review case.
type CaseID string

// NewCaseID is a fresh random CaseID.
func NewCaseID() CaseID { return CaseID("case-" + Token(10)) }

// OrganisationID names an organisation: "nist", "lab/product". A part of an
// organisation that acts on its own, such as a lab's release board, is one too.
type OrganisationID string

// PersonID names a person within an organisation.
type PersonID string

// Actor is who does something: a person of an organisation, in one role.
type Actor struct {
	Organisation OrganisationID `json:"organisation"`
	Person       PersonID       `json:"person"`
	Role         Role           `json:"role"`
}

// Role is what a person does in a case.
type Role string

// The roles. What they are called aloud is a matter of configuration.
const (
	Developer       Role = "developer"        // of the model; the case is theirs to end
	Registrar       Role = "registrar"        // keeps the case and registers criteria
	Evaluator       Role = "evaluator"        // runs the registered suites
	Authority       Role = "authority"        // signs the determination
	SecurityOfficer Role = "security officer" // may pause access
	Consultee       Role = "consultee"        // is asked before the authority signs
	Partner         Role = "partner"          // a trusted defender with early access
	Coordinator     Role = "coordinator"      // looks after partners that the body sponsors
	Tester          Role = "tester"           // independent of body and developer
	Auditor         Role = "auditor"          // reads that the rules were followed
	Adopter         Role = "adopter"          // of another department, which decides about its own use
)

// Roles are all of them.
var Roles = []Role{Developer, Registrar, Evaluator, Authority, SecurityOfficer, Consultee, Partner, Coordinator, Tester, Auditor, Adopter}

// Validate says whether r is one of Roles.
func (r Role) Validate() error {
	if !slices.Contains(Roles, r) {
		return Errorf(Invalid, nil, "%q is not a role: choose one of %v", string(r), Roles)
	}
	return nil
}
