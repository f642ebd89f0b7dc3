package policy

import "proofhouse/internal/proofhouse"

// Resource is a thing that rules protect: one of the types of this file, or a
// Person.
type Resource interface {
	kind() string // in words
	entity() Entity
	inCase() *Case // nil for what belongs to none
	approval() Approval
}

// Approval says who asked for something and which two persons approved it, by
// name (see Person.Name). The zero value is none.
type Approval struct{ Asker, First, Second string }

// Case is what rules need to know of a case.
type Case struct {
	ID        proofhouse.CaseID         `json:"id"`
	Developer proofhouse.OrganisationID `json:"-"`
	Body      proofhouse.OrganisationID `json:"-"` // which reviews
	Members   []proofhouse.Actor        `json:"-"`
	// TakenUp says that a registrar of the body has accepted it.
	TakenUp bool `json:"-"`
	// Held says that a legal hold is on it.
	Held bool `json:"-"`
	// Ran are the names of those who ran an evaluation.
	Ran []string `json:"-"`
	// Glass are the names of those who broke the glass and have not read yet.
	Glass []string `json:"-"`
	// Approved is of the request that is being carried out.
	Approved Approval `json:"-"`
}

func (Case) kind() string         { return "case" }
func (c Case) inCase() *Case      { return &c }
func (c Case) approval() Approval { return c.Approved }
func (c Case) entity() Entity {
	return Entity{
		Type: "Case", ID: string(c.ID), Parents: []Entity{{Type: "Organisation", ID: string(c.Developer)}},
		Attrs: Attrs{"body": Ref{"Organisation", string(c.Body)}, "taken_up": c.TakenUp, "held": c.Held, "ran": c.Ran},
	}
}

// Report is a tier of a case's report: "authority", "developer", "partner" or
// "public".
type Report struct {
	Case Case
	Tier string
}

func (Report) kind() string       { return "report" }
func (r Report) inCase() *Case    { return &r.Case }
func (Report) approval() Approval { return Approval{} }
func (r Report) entity() Entity {
	return Entity{Type: "Report", ID: string(r.Case.ID) + "/" + r.Tier, Parents: []Entity{r.Case.entity()}, Attrs: Attrs{"tier": r.Tier}}
}

// Run is a run in a case, with its samples and what was said in them.
type Run struct {
	Case Case
	ID   proofhouse.RunID
	By   string // the name of who began it
}

func (Run) kind() string       { return "run" }
func (r Run) inCase() *Case    { return &r.Case }
func (Run) approval() Approval { return Approval{} }
func (r Run) entity() Entity {
	return Entity{Type: "Run", ID: string(r.Case.ID) + "/" + string(r.ID), Parents: []Entity{r.Case.entity()}, Attrs: Attrs{"by": r.By}}
}

// Evidence is a piece of evidence in a case that can be read as it is.
type Evidence struct {
	Case        Case
	ID          string
	Compartment string
	Marking     proofhouse.Marking
	By          string // the name of who brought it, or ""
}

func (Evidence) kind() string       { return "evidence" }
func (e Evidence) inCase() *Case    { return &e.Case }
func (Evidence) approval() Approval { return Approval{} }
func (e Evidence) entity() Entity {
	return Entity{
		Type: "Evidence", ID: e.ID, Parents: []Entity{e.Case.entity()},
		Attrs: Attrs{"compartment": e.Compartment, "marking": string(e.Marking), "by": e.By},
	}
}

// Artifact is something that the vault has sealed.
type Artifact struct {
	Case        Case
	ID          string
	Compartment string
	Marking     proofhouse.Marking
	By          string // the name of who brought it, or ""
	// Held says that a legal hold is on it.
	Held bool
	// Approved is of the request that is being carried out.
	Approved Approval
}

func (Artifact) kind() string         { return "artifact" }
func (a Artifact) inCase() *Case      { return &a.Case }
func (a Artifact) approval() Approval { return a.Approved }
func (a Artifact) entity() Entity {
	return Entity{
		Type: "Artifact", ID: a.ID, Parents: []Entity{a.Case.entity()},
		Attrs: Attrs{"compartment": a.Compartment, "marking": string(a.Marking), "by": a.By, "held": a.Held},
	}
}

// Finding is a finding that an organisation brought.
type Finding struct {
	ID      string
	By      proofhouse.OrganisationID
	Marking proofhouse.Marking
}

func (Finding) kind() string       { return "finding" }
func (Finding) inCase() *Case      { return nil }
func (Finding) approval() Approval { return Approval{} }
func (f Finding) entity() Entity {
	return Entity{
		Type: "Finding", ID: f.ID, Parents: []Entity{{Type: "Organisation", ID: string(f.By)}}, Attrs: Attrs{"marking": string(f.Marking)},
	}
}

// Project is a project in which there are findings.
type Project struct {
	Purl    string
	Finders []proofhouse.OrganisationID
}

func (Project) kind() string       { return "project" }
func (Project) inCase() *Case      { return nil }
func (Project) approval() Approval { return Approval{} }
func (p Project) entity() Entity {
	e := Entity{Type: "Project", ID: p.Purl}
	for _, o := range p.Finders {
		e.Parents = append(e.Parents, Entity{Type: "Organisation", ID: string(o)})
	}
	return e
}

// House is the house as a whole.
type House struct{}

func (House) kind() string       { return "thing" }
func (House) inCase() *Case      { return nil }
func (House) approval() Approval { return Approval{} }
func (House) entity() Entity     { return Entity{Type: "House", ID: "house"} }

// Organisation is one that has people here.
type Organisation struct {
	ID    proofhouse.OrganisationID `json:"id"`
	Title string                    `json:"title"` // what people call it
}

func (Organisation) kind() string       { return "organisation" }
func (Organisation) inCase() *Case      { return nil }
func (Organisation) approval() Approval { return Approval{} }
func (o Organisation) entity() Entity   { return Entity{Type: "Organisation", ID: string(o.ID)} }

func (Person) kind() string       { return "person" }
func (Person) inCase() *Case      { return nil }
func (Person) approval() Approval { return Approval{} }
