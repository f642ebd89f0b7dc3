package docket

import (
	"mime"
	"slices"
	"strings"
	"time"

	"proofhouse/internal/proofhouse"
	"proofhouse/internal/vault"
)

// Artifact is something that a member brought and the vault has sealed: a
// report, a log, a list of weights. Like an exhibit it counts as nothing of ours.
type Artifact struct {
	// ID is the digest of the sealed body, which anybody can check. The text's
	// own digest would tell who knows a file that it is held here.
	ID          proofhouse.Digest  `json:"id"`
	Compartment string             `json:"compartment"` // its name in the vault, and as a clearance
	Name        string             `json:"name"`
	Media       string             `json:"media"` // its media type, as who brought it said
	Bytes       int64              `json:"bytes"` // of the text
	Marking     proofhouse.Marking `json:"marking"`
	Source      string             `json:"source"` // who made it, and how it came here
	At          time.Time          `json:"at"`
	By          proofhouse.Actor   `json:"by"`
	// Ordered is when it was ordered to be destroyed, and Destroyed when it was; zero if not.
	Ordered   time.Time `json:"ordered,omitzero"`
	Destroyed time.Time `json:"destroyed,omitzero"`
}

const (
	// maxArtifacts bounds how many a case has, so that a certificate of all of them stays a page.
	maxArtifacts = 10_000
	maxMedia     = 200 // bytes of a media type
)

// Compartment is the name of a part of the case in the vault, and as a
// clearance: no other case has one of that name. "" is the case's own.
func Compartment(id proofhouse.CaseID, part string) string {
	if part == "" {
		return string(id)
	}
	return string(id) + "." + part
}

// Seal records that an artifact was sealed, which has happened when it is done.
type Seal struct {
	ID          proofhouse.Digest  `json:"id"`
	Compartment string             `json:"compartment"`
	Name        string             `json:"name"`
	Media       string             `json:"media"`
	Bytes       int64              `json:"bytes"`
	Marking     proofhouse.Marking `json:"marking"`
	Source      string             `json:"source"`
}

// Kind implements Act.
func (Seal) Kind() Kind { return KindSeal }

func (a Seal) apply(c *Case, by proofhouse.Actor, now time.Time) error {
	if err := a.ID.Validate(); err != nil {
		return err
	}
	if err := plain("the artifact's name", a.Name); err != nil {
		return err
	}
	if strings.ContainsAny(a.Name, `/\`) || a.Name == "." || a.Name == ".." {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "the artifact's name is that of a file, without folders")
	}
	if kind, _, err := mime.ParseMediaType(a.Media); err != nil || !strings.Contains(kind, "/") || len(a.Media) > maxMedia {
		return proofhouse.Errorf(proofhouse.Invalid, err, "a media type is like text/plain or application/zip")
	}
	if err := a.Marking.Validate(); err != nil {
		return err
	}
	if err := plain("where the artifact is from", a.Source); err != nil {
		return err
	}
	switch _, there := c.Artifact(a.ID); {
	case there:
		return proofhouse.Errorf(proofhouse.Conflict, nil, "the case has that artifact already")
	case a.Bytes < 0:
		return proofhouse.Errorf(proofhouse.Invalid, nil, "an artifact has no less than 0 bytes")
	case len(c.Artifacts) >= maxArtifacts:
		return proofhouse.Errorf(proofhouse.Limit, nil, "a case has at most %d artifacts: bring several as one archive", maxArtifacts)
	}
	if _, err := c.Custodians(a.Compartment); err != nil {
		return err
	}
	if c.ending() {
		return proofhouse.Errorf(proofhouse.Conflict, nil, "all of the case is being destroyed")
	}
	c.Artifacts = append(slices.Clip(c.Artifacts), Artifact{
		ID: a.ID, Compartment: a.Compartment, Name: a.Name, Media: a.Media, Bytes: a.Bytes, Marking: a.Marking, Source: a.Source, At: now, By: by,
	})
	return nil
}

// Artifact is the case's artifact of that ID, if it has one.
func (c Case) Artifact(id proofhouse.Digest) (Artifact, bool) {
	i := slices.IndexFunc(c.Artifacts, func(a Artifact) bool { return a.ID == id })
	if i < 0 {
		return Artifact{}, false
	}
	return c.Artifacts[i], true
}

// Part is a compartment of the case's besides its own: with custodians nothing
// in it opens without both of them.
type Part struct {
	Name        string           `json:"name"`
	Compartment string           `json:"compartment"` // its name in the vault, and as a clearance
	Custodians  []string         `json:"custodians"`  // public keys, in the order in which they open; none or two
	At          time.Time        `json:"at"`
	By          proofhouse.Actor `json:"by"`
}

// MakePart makes a compartment.
type MakePart struct {
	Name       string   `json:"name"`
	Custodians []string `json:"custodians,omitempty"`
}

// Kind implements Act.
func (MakePart) Kind() Kind { return KindMakePart }

// maxParts bounds how many compartments a case has besides its own.
const maxParts = 20

func (a MakePart) apply(c *Case, by proofhouse.Actor, now time.Time) error {
	if err := name("the compartment's name", a.Name); err != nil {
		return err
	}
	p := Part{a.Name, Compartment(c.ID, a.Name), slices.Clone(a.Custodians), now, by}
	if strings.Contains(a.Name, "/") || len(p.Compartment) > 80 {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "the compartment's name is one word, and not that long")
	}
	if _, err := c.Custodians(p.Compartment); err == nil {
		return proofhouse.Errorf(proofhouse.Conflict, nil, "the case has that compartment already")
	}
	if len(a.Custodians) != 0 && (len(a.Custodians) != 2 || a.Custodians[0] == a.Custodians[1]) {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "a compartment has two custodians with a key each, or none")
	}
	for _, key := range a.Custodians {
		if err := vault.ValidCustodian(key); err != nil {
			return err
		}
	}
	if len(c.Parts) >= maxParts {
		return proofhouse.Errorf(proofhouse.Limit, nil, "a case has at most %d compartments", maxParts)
	}
	c.Parts = append(slices.Clip(c.Parts), p)
	return nil
}

// Custodians are the public keys of those without both of whom nothing in the
// compartment opens, or none. A compartment that the case has not is proofhouse.NotFound.
func (c Case) Custodians(compartment string) ([]string, error) {
	if compartment == Compartment(c.ID, "") {
		return nil, nil
	}
	i := slices.IndexFunc(c.Parts, func(p Part) bool { return p.Compartment == compartment })
	if i < 0 {
		return nil, proofhouse.Errorf(proofhouse.NotFound, nil, "the case has no such compartment: `case artifact compartment` makes one")
	}
	return c.Parts[i].Custodians, nil
}
