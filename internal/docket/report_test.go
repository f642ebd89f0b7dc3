package docket

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"proofhouse/internal/proofhouse"
)

var tiers = []Tier{AuthorityTier, DeveloperTier, PartnerTier, PublicTier}

func TestReport(t *testing.T) {
	r := Report{Title: "Heron", Paragraphs: []Paragraph{
		{"threshold", []Tier{AuthorityTier}, proofhouse.Red},
		{"prompts", []Tier{DeveloperTier}, proofhouse.Red},
		{"rates", []Tier{AuthorityTier, DeveloperTier}, proofhouse.AmberStrict},
		{"mitigations", []Tier{PartnerTier, DeveloperTier}, proofhouse.Amber},
		{"outcome", tiers, proofhouse.Clear},
	}}
	if err := r.Validate(); err != nil {
		t.Fatal(err)
	}
	for tier, want := range map[Tier]string{
		AuthorityTier: "threshold rates outcome", DeveloperTier: "prompts rates mitigations outcome", PartnerTier: "mitigations outcome", PublicTier: "outcome", "": "", "press": "",
	} {
		var got []string
		for _, p := range r.For(tier).Paragraphs {
			got = append(got, p.Text)
			if !slices.Equal(p.Tiers, []Tier{tier}) {
				t.Errorf("%q is told that %v read it too", tier, p.Tiers)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q reads %q, want %q", tier, got, want)
		}
	}
	// Each marking with each set of readers: what is valid shows nobody more than the marking allows.
	valid := 0
	for _, m := range append(slices.Clone(proofhouse.Markings), "", "TLP:WHITE", "tlp:red") {
		for set := range 1 << len(tiers) {
			p := Paragraph{Text: "secret", Marking: m}
			for i, tier := range tiers {
				if set>>i&1 == 1 {
					p.Tiers = append(p.Tiers, tier)
				}
			}
			r := Report{Title: "Heron", Paragraphs: []Paragraph{p}}
			if r.Validate() == nil {
				valid++
			}
			var readers []Tier
			for _, tier := range tiers {
				if strings.Contains(fmt.Sprint(r.For(tier)), "secret") {
					readers = append(readers, tier)
				}
			}
			public, partner := slices.Contains(readers, PublicTier), slices.Contains(readers, PartnerTier)
			switch {
			case public && m != proofhouse.Clear,
				partner && !slices.Contains([]proofhouse.Marking{proofhouse.Clear, proofhouse.Green, proofhouse.Amber}, m),
				m == proofhouse.Red && len(readers) > 1,
				m.Validate() != nil && len(readers) > 0,
				r.Validate() == nil && !slices.Equal(readers, p.Tiers):
				t.Errorf("a paragraph marked %q for %v is read by %v", m, p.Tiers, readers)
			}
		}
	}
	if valid != 15+7+7+3+2 {
		t.Errorf("%d pairs of marking and readers are valid", valid)
	}
}
