package docket

import (
	"slices"

	"proofhouse/internal/proofhouse"
)

// Tier is for whom a version of the report is.
type Tier string

// The tiers.
const (
	AuthorityTier Tier = "authority"
	DeveloperTier Tier = "developer"
	PartnerTier   Tier = "partner"
	PublicTier    Tier = "public"
)

// Report is the report of a case, of which each reader sees a part.
type Report struct {
	Title      string
	Paragraphs []Paragraph
}

// Paragraph is a piece of a report with who may read it. Both its tiers and
// its marking must allow a reader.
type Paragraph struct {
	Text    string
	Tiers   []Tier
	Marking proofhouse.Marking
}

// widest are the tiers that a marking allows at most. A marking that is not
// here allows none.
var widest = map[proofhouse.Marking][]Tier{
	proofhouse.Clear:       {AuthorityTier, DeveloperTier, PartnerTier, PublicTier},
	proofhouse.Green:       {AuthorityTier, DeveloperTier, PartnerTier},
	proofhouse.Amber:       {AuthorityTier, DeveloperTier, PartnerTier},
	proofhouse.AmberStrict: {AuthorityTier, DeveloperTier},
	proofhouse.Red:         {AuthorityTier, DeveloperTier}, // named readers: one of the two
}

// Validate says whether every paragraph has a text, readers, and a marking
// that allows them. The error is proofhouse.Invalid and quotes nothing.
func (r Report) Validate() error {
	if err := plain("the report's title", r.Title); err != nil {
		return err
	}
	for i, p := range r.Paragraphs {
		if p.Text == "" || len(p.Tiers) == 0 {
			return proofhouse.Errorf(proofhouse.Invalid, nil, "paragraph %d has no text or no readers", i+1)
		}
		if err := p.Marking.Validate(); err != nil {
			return proofhouse.Errorf(proofhouse.Invalid, err, "paragraph %d has no marking of the Traffic Light Protocol", i+1)
		}
		for j, t := range p.Tiers {
			if !slices.Contains(widest[p.Marking], t) || slices.Contains(p.Tiers[:j], t) || p.Marking == proofhouse.Red && len(p.Tiers) > 1 {
				return proofhouse.Errorf(proofhouse.Invalid, nil, "paragraph %d is marked %s, which does not allow all its readers", i+1, p.Marking)
			}
		}
	}
	return nil
}

// For is what a reader of tier t sees: nothing of the other paragraphs, not even that
// they are there. Of a report that is not valid, nobody sees anything.
func (r Report) For(t Tier) Report {
	if r.Validate() != nil {
		return Report{}
	}
	out := Report{Title: r.Title}
	for _, p := range r.Paragraphs {
		if slices.Contains(p.Tiers, t) {
			// Who else may read it is not the reader's to know.
			out.Paragraphs = append(out.Paragraphs, Paragraph{Text: p.Text, Tiers: []Tier{t}, Marking: p.Marking})
		}
	}
	return out
}
