package docket

import (
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"proofhouse/internal/proofhouse"
)

// PartnerTerms are a version of the terms on which the developer shares with partners, as people read them. Versions are added, never changed. What a partner may use
// is its grant's and the gate's to say; whether it has accepted is on record, and stops nothing by itself.
type PartnerTerms struct {
	Version int    `json:"version"`
	Text    string `json:"text"`
	// Digest is that of Text, which is what a partner accepts.
	Digest proofhouse.Digest `json:"digest"`
	At     time.Time         `json:"at"`
	By     proofhouse.Actor  `json:"by"`
	// Accepted are the partners that accepted this version, in order.
	Accepted []Acceptance `json:"accepted"`
}

// Acceptance is the word of a partner's person for their organisation.
type Acceptance struct {
	By proofhouse.Actor `json:"by"`
	At time.Time        `json:"at"`
}

// AcceptedBy is the acceptance of these terms by an organisation, if there is one.
func (t PartnerTerms) AcceptedBy(o proofhouse.OrganisationID) (Acceptance, bool) {
	i := slices.IndexFunc(t.Accepted, func(a Acceptance) bool { return a.By.Organisation == o })
	if i < 0 {
		return Acceptance{}, false
	}
	return t.Accepted[i], true
}

// maxPartnerTerms bounds the text of terms for partners, in bytes, so that an entry of the log has room for it.
const maxPartnerTerms = 32 << 10

// OfferPartners offers terms to the partners of a case.
type OfferPartners struct {
	Text string `json:"text"`
}

// Kind implements Act.
func (OfferPartners) Kind() Kind { return KindOfferPartners }

func (a OfferPartners) apply(c *Case, by proofhouse.Actor, now time.Time) error {
	switch {
	case strings.TrimSpace(a.Text) == "":
		return proofhouse.Errorf(proofhouse.Invalid, nil, "the text of the terms is missing")
	case len(a.Text) > maxPartnerTerms:
		return proofhouse.Errorf(proofhouse.Invalid, nil, "the text of the terms is longer than %d bytes", maxPartnerTerms)
	case strings.TrimSpace(a.Text) != a.Text:
		return proofhouse.Errorf(proofhouse.Invalid, nil, "the text of the terms has white space around it")
	case !utf8.ValidString(a.Text) || strings.ContainsFunc(a.Text, func(r rune) bool { return !unicode.IsPrint(r) && r != '\n' }):
		return proofhouse.Errorf(proofhouse.Invalid, nil, "the text of the terms has characters that cannot be seen")
	}
	c.PartnerTerms = append(slices.Clip(c.PartnerTerms), PartnerTerms{Version: len(c.PartnerTerms) + 1, Text: a.Text, Digest: proofhouse.DigestOf([]byte(a.Text)), At: now, By: by})
	return nil
}

// AcceptTerms accepts the last version of the terms for partners, for the organisation of whoever does. Digest is that of the text that was read.
type AcceptTerms struct {
	Version int               `json:"version"`
	Digest  proofhouse.Digest `json:"digest"`
}

// Kind implements Act.
func (AcceptTerms) Kind() Kind { return KindAcceptTerms }

func (a AcceptTerms) apply(c *Case, by proofhouse.Actor, now time.Time) error {
	if a.Version < 1 || a.Version > len(c.PartnerTerms) {
		return proofhouse.Errorf(proofhouse.NotFound, nil, "there is no version %d of the terms for partners", a.Version)
	}
	t := c.PartnerTerms[a.Version-1]
	if a.Version < len(c.PartnerTerms) {
		return proofhouse.Errorf(proofhouse.Conflict, nil, "there is a later version of the terms for partners: read that one")
	}
	if a.Digest != t.Digest {
		return proofhouse.Errorf(proofhouse.Integrity, nil, "the text that was read is not that of version %d of the terms for partners", a.Version)
	}
	if _, done := t.AcceptedBy(by.Organisation); done {
		return proofhouse.Errorf(proofhouse.Conflict, nil, "your organisation has accepted version %d of the terms for partners already", a.Version)
	}
	c.PartnerTerms = slices.Clone(c.PartnerTerms)
	t.Accepted = append(slices.Clip(t.Accepted), Acceptance{By: by, At: now})
	c.PartnerTerms[a.Version-1] = t
	return nil
}
