package docket

import (
	"slices"

	"proofhouse/internal/proofhouse"
)

// Reader is what a person may see of a case, by the roles that it has there.
type Reader struct {
	Organisation proofhouse.OrganisationID
	Roles        []proofhouse.Role
	// Artifacts are those of which the guard lets it know.
	Artifacts []proofhouse.Digest
}

// Reader is somebody as a reader of c.
func (c Case) Reader(p Person) Reader {
	r := Reader{Organisation: p.Organisation}
	for _, m := range c.Members {
		if m.Organisation == p.Organisation && m.Person == p.Person {
			r.Roles = append(r.Roles, m.Role)
		}
	}
	return r
}

func (r Reader) any(roles ...proofhouse.Role) bool {
	return slices.ContainsFunc(r.Roles, func(has proofhouse.Role) bool { return slices.Contains(roles, has) })
}

// criteria says whether r may read what a commitment is to. The developer signs
// the commitment; what a model is measured by would help to prepare it.
func (r Reader) criteria() bool {
	return r.any(proofhouse.Registrar, proofhouse.Evaluator, proofhouse.Authority, proofhouse.Consultee, proofhouse.Tester, proofhouse.Auditor, proofhouse.Adopter)
}

// answers says whether r may read what the consulted said.
func (r Reader) answers() bool {
	return r.any(proofhouse.Registrar, proofhouse.Authority, proofhouse.Consultee, proofhouse.Auditor)
}

// whole says whether r has a part in the review itself. The others, partners,
// see what concerns them.
func (r Reader) whole() bool {
	return r.any(proofhouse.Developer, proofhouse.Registrar, proofhouse.Evaluator, proofhouse.Authority, proofhouse.SecurityOfficer,
		proofhouse.Consultee, proofhouse.Coordinator, proofhouse.Tester, proofhouse.Auditor, proofhouse.Adopter)
}

// SeenBy is c without what r may not read. It is for showing: no event can be
// applied to it.
func (c Case) SeenBy(r Reader) Case {
	seen := c
	seen.Registrations = slices.Clone(c.Registrations)
	for i := range seen.Registrations {
		if !r.criteria() {
			seen.Registrations[i].Criteria = Criteria{}
		}
		if !r.any(proofhouse.Registrar) {
			seen.Registrations[i].Salt = Salt{}
		}
	}
	if !r.answers() {
		seen.Consultations = slices.Clone(c.Consultations)
		for i := range seen.Consultations {
			k := &seen.Consultations[i]
			k.View, k.Reason, k.Signed, k.By = "", "", Signature{}, proofhouse.Actor{}
		}
	}
	seen.Reports = slices.Clone(c.Reports)
	for i := range seen.Reports {
		seen.Reports[i].Report, seen.Reports[i].Salt = Report{}, Salt{}
	}
	seen.Artifacts = slices.DeleteFunc(slices.Clone(c.Artifacts), func(a Artifact) bool { return !slices.Contains(r.Artifacts, a.ID) })
	if r.whole() {
		return seen
	}
	partner := Case{
		ID: c.ID, Rules: c.Rules, Version: c.Version, Changed: c.Changed, Opened: c.Opened, Codename: c.Codename, Variants: c.Variants,
		PartnerCriteria: c.PartnerCriteria, Releases: c.Releases, Withdrawn: c.Withdrawn,
	}
	for _, v := range c.Reports { // of which partners have a tier
		partner.Reports = append(partner.Reports, FiledReport{Version: v.Version, Commitment: v.Commitment, At: v.At, Published: v.Published})
	}
	if !r.any(proofhouse.Partner) {
		// A registrar of the body, who has not taken the case up, sees who asks.
		partner.PartnerCriteria, partner.Releases, partner.Reports, partner.Members = nil, nil, nil, c.Members
		return partner
	}
	for _, m := range c.Members {
		if m.Organisation == r.Organisation || m.Role == proofhouse.Developer {
			partner.Members = append(partner.Members, m)
		}
	}
	for _, g := range c.Grants {
		if g.To == r.Organisation {
			partner.Grants = append(partner.Grants, g)
		}
	}
	if c.Rules.Partners == JointPartners {
		// What is still between body and developer is not yet for partners.
		partner.PartnerCriteria = slices.DeleteFunc(slices.Clone(c.PartnerCriteria), func(k PartnerCriteria) bool { return k.Agreed.IsZero() })
	}
	for _, v := range c.PartnerTerms { // who else is a partner is nothing to one
		v.Accepted = slices.DeleteFunc(slices.Clone(v.Accepted), func(a Acceptance) bool { return a.By.Organisation != r.Organisation })
		partner.PartnerTerms = append(partner.PartnerTerms, v)
	}
	for _, n := range c.Nominees {
		if n.Organisation == r.Organisation {
			partner.Nominees = append(partner.Nominees, n)
		}
	}
	return partner
}

// Sees says whether r may read what an act says, and not only that it was done.
func (r Reader) Sees(a Act) bool {
	switch a := a.(type) {
	case Seal:
		return r.whole() && slices.Contains(r.Artifacts, a.ID)
	case Register:
		return r.any(proofhouse.Registrar)
	case StartRun:
		return r.criteria() // its manifest repeats them
	case FileReport:
		return false // it holds all tiers, and there is nobody who may read them all
	case Answer, Waive:
		return r.answers()
	default:
		return r.whole()
	}
}
