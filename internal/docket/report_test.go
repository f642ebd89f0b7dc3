package docket

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"proofhouse/internal/proofhouse"
)

func TestReport(t *testing.T) {
	r := Report{Title: "Heron", Paragraphs: []Paragraph{
		{"threshold", []Tier{AuthorityTier}, proofhouse.Red},
		{"prompts", []Tier{DeveloperTier}, proofhouse.Red},
		{"rates", []Tier{AuthorityTier, DeveloperTier}, proofhouse.AmberStrict},
		{"mitigations", []Tier{PartnerTier, DeveloperTier}, proofhouse.Amber},
		{"outcome", Tiers, proofhouse.Clear},
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
		for set := range 1 << len(Tiers) {
			p := Paragraph{Text: "secret", Marking: m}
			for i, tier := range Tiers {
				if set>>i&1 == 1 {
					p.Tiers = append(p.Tiers, tier)
				}
			}
			r := Report{Title: "Heron", Paragraphs: []Paragraph{p}}
			if r.Validate() == nil {
				valid++
			}
			var readers []Tier
			for _, tier := range Tiers {
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

// tieredReport has a paragraph for each tier alone, and one for all.
func tieredReport() Report {
	return Report{Title: "Heron", Paragraphs: []Paragraph{
		{"canary-authority", []Tier{AuthorityTier}, proofhouse.Red},
		{"canary-developer", []Tier{DeveloperTier}, proofhouse.Red},
		{"canary-partner", []Tier{PartnerTier}, proofhouse.Amber},
		{"canary-public", []Tier{PublicTier}, proofhouse.Clear},
		{"for all,\n    and on two lines", Tiers, proofhouse.Clear},
	}}
}

// TestFileReport: refusals first; then versions, their publication, and what each tier reads.
func TestFileReport(t *testing.T) {
	rules := profile(t, "institute")
	c, now := play(t, rules, evaluated(50)...)
	file := FileReport{tieredReport(), salt}
	for _, by := range everyone {
		if by != registrar && by != evaluator {
			refused(t, c, by, file, now, proofhouse.Refused)
		}
		if by != registrar {
			refused(t, c, by, PublishReport{1}, now, proofhouse.Refused)
		}
	}
	refused(t, c, stranger, file, now, proofhouse.NotFound)
	refused(t, c, registrar, PublishReport{1}, now, proofhouse.NotFound)
	one := func(p Paragraph) Report { return Report{Title: "Heron", Paragraphs: []Paragraph{p}} }
	long := func(n int) string { return strings.TrimSuffix(strings.Repeat("a\n", n/2), "\n") }
	many := Report{Title: "Heron"}
	for range maxReport/8000 + 1 {
		many.Paragraphs = append(many.Paragraphs, Paragraph{strings.Repeat("<", 8000/6), []Tier{AuthorityTier}, proofhouse.Red}) // six bytes each, as JSON
	}
	all := []Tier{AuthorityTier}
	for name, bad := range map[string]struct {
		file FileReport
		kind proofhouse.Kind
	}{
		"no salt":              {FileReport{tieredReport(), Salt{}}, proofhouse.Invalid},
		"no paragraphs":        {FileReport{Report{Title: "Heron"}, salt}, proofhouse.Invalid},
		"no title":             {FileReport{Report{Paragraphs: tieredReport().Paragraphs}, salt}, proofhouse.Invalid},
		"red for two":          {FileReport{one(Paragraph{"x", []Tier{AuthorityTier, DeveloperTier}, proofhouse.Red}), salt}, proofhouse.Invalid},
		"an empty line":        {FileReport{one(Paragraph{"x\n\ny", all, proofhouse.Red}), salt}, proofhouse.Invalid},
		"a tab":                {FileReport{one(Paragraph{"x\ty", all, proofhouse.Red}), salt}, proofhouse.Invalid},
		"turned writing":       {FileReport{one(Paragraph{"x\u202ey", all, proofhouse.Red}), salt}, proofhouse.Invalid},
		"no UTF-8":             {FileReport{one(Paragraph{"x\xff", all, proofhouse.Red}), salt}, proofhouse.Invalid},
		"a made-up tag":        {FileReport{one(Paragraph{"x\n[TLP:CLEAR public]\ny", all, proofhouse.Red}), salt}, proofhouse.Invalid},
		"too long a paragraph": {FileReport{one(Paragraph{long(maxParagraph + 3), all, proofhouse.Red}), salt}, proofhouse.Invalid},
		"too many":             {FileReport{Report{"Heron", slices.Repeat(one(Paragraph{"x", all, proofhouse.Red}).Paragraphs, maxParagraphs+1)}, salt}, proofhouse.Limit},
		"too long":             {FileReport{many, salt}, proofhouse.Limit},
	} {
		if next, err := c.Apply(Event{registrar, bad.file}, now); proofhouse.KindOf(err) != bad.kind || next.Version != c.Version {
			t.Errorf("%s: got %v", name, err)
		}
	}
	secret := FileReport{one(Paragraph{"canary", all, proofhouse.Red}), salt}
	c, now = play(t, rules, append(evaluated(50), step{evaluator, file, 0}, step{registrar, secret, 0})...)
	refused(t, c, registrar, PublishReport{2}, now, proofhouse.Invalid) // nothing in it is for the public
	if _, err := c.PublishedReport(0); proofhouse.KindOf(err) != proofhouse.NotFound {
		t.Errorf("what nobody published is public: %v", err)
	}
	c, _ = c.Apply(Event{registrar, PublishReport{1}}, now)
	refused(t, c, registrar, PublishReport{1}, now, proofhouse.Conflict)
	if r, err := c.PublishedReport(0); err != nil || r.Version != 1 || len(r.Report.Paragraphs) != 2 {
		t.Errorf("published is %+v, %v", r, err)
	}
	if _, err := c.PublishedReport(2); proofhouse.KindOf(err) != proofhouse.NotFound {
		t.Errorf("another version is public: %v", err)
	}
	for _, tier := range Tiers {
		r, err := c.ReportFor(tier, 1)
		if err != nil || r.Check() != nil || r.Commitment != c.Reports[0].Commitment {
			t.Errorf("%s: %+v, %v", tier, r, err)
		}
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		for _, other := range Tiers {
			if got := strings.Contains(string(b), "canary-"+string(other)); got != (other == tier) {
				t.Errorf("the %s tier reads what is for the %s tier: %v", tier, other, got)
			}
		}
		var again TierReport
		if err := json.Unmarshal(b, &again); err != nil || again.Check() != nil {
			t.Errorf("%s: not shown after it was sent: %v", tier, err)
		}
		for name, change := range map[string]func(*TierReport){
			"a word":        func(r *TierReport) { r.Report.Paragraphs[0].Text += "!" },
			"a title":       func(r *TierReport) { r.Report.Title += "!" },
			"one left out":  func(r *TierReport) { r.Report.Paragraphs = r.Report.Paragraphs[1:] },
			"a marking":     func(r *TierReport) { r.Report.Paragraphs[0].Marking = proofhouse.Green },
			"another tier":  func(r *TierReport) { r.Tier = "press" },
			"a commitment":  func(r *TierReport) { r.Commitment = digestOf("x") },
			"another's":     func(r *TierReport) { r.Tiers[(slices.Index(Tiers, tier)+1)%4] = digestOf("x") },
			"a tier's loss": func(r *TierReport) { r.Tiers = r.Tiers[:3] },
		} {
			changed, _ := c.ReportFor(tier, 1)
			if change(&changed); proofhouse.KindOf(changed.Check()) != proofhouse.Integrity {
				t.Errorf("the %s tier, with %s changed, is shown to be what was filed", tier, name)
			}
		}
	}
	if r, err := c.ReportFor(AuthorityTier, 0); err != nil || r.Version != 2 {
		t.Errorf("the last is %+v, %v", r, err)
	}
	// No digest that all readers get tells whether a guess at another tier is right.
	guess, _ := c.ReportFor(PublicTier, 1)
	if guess.Tiers[0] == tieredReport().For(AuthorityTier).digest(guess.Salt, AuthorityTier) {
		t.Error("the public can try guesses at what the authority reads")
	}
	withdrawn, err := c.Apply(Event{dev, Withdraw{}}, now)
	if err != nil {
		t.Fatal(err)
	}
	refused(t, withdrawn, registrar, file, now, proofhouse.Refused)
	refused(t, withdrawn, registrar, PublishReport{1}, now, proofhouse.Refused)
	if _, err := withdrawn.PublishedReport(0); err != nil {
		t.Errorf("what was published is gone: %v", err)
	}
}

// TestReportSeen: no reader of the case or of its events is shown a tier.
func TestReportSeen(t *testing.T) {
	c, _ := play(t, profile(t, "institute"), append(evaluated(50), step{evaluator, FileReport{tieredReport(), salt}, 0}, step{registrar, PublishReport{1}, 0})...)
	for _, by := range everyone {
		r := c.Reader(Person{by.Organisation, by.Person})
		seen := c.SeenBy(r)
		b, err := json.Marshal(seen)
		if err != nil || strings.Contains(string(b)+fmt.Sprint(seen), "canary") || len(seen.Reports) != 1 {
			t.Errorf("a %s is shown %s, %v", by.Role, b, err)
		}
		if r.Sees(FileReport{}) {
			t.Errorf("a %s reads all tiers among the events", by.Role)
		}
	}
	if seen := c.SeenBy(Reader{}); len(seen.Reports) != 0 {
		t.Error("who is not in the case is shown that there is a report")
	}
}

// TestDetermineNamesReport: the authority signs which report it names, and one that there is.
func TestDetermineNamesReport(t *testing.T) {
	rules := profile(t, "institute")
	c, now := play(t, rules, append(consulted(80), step{evaluator, FileReport{tieredReport(), salt}, 0})...)
	plain, named := Determine{Outcome: Covered, Registration: 1}, Determine{Outcome: Covered, Registration: 1, Report: 1}
	refused(t, c, authority, sign(c, authority, Determine{Outcome: Covered, Registration: 1, Report: 2}), now, proofhouse.NotFound)
	refused(t, c, authority, sign(c, authority, Determine{Outcome: Covered, Registration: 1, Report: -1}), now, proofhouse.NotFound)
	moved := named
	moved.Signed = sign(c, authority, plain).(Determine).Signed
	refused(t, c, authority, moved, now, proofhouse.Integrity)
	got, err := c.Apply(Event{authority, sign(c, authority, named)}, now)
	if err != nil || got.Determinations[0].Report != 1 || got.Determinations[0].ReportCommitment != c.Reports[0].Commitment {
		t.Errorf("the determination is %+v, %v", got.Determinations, err)
	}
	other, _ := play(t, rules, append(consulted(80), step{evaluator, FileReport{tieredReport(), Salt{2}}, 0})...)
	if string(named.text(c, authority)) == string(named.text(other, authority)) {
		t.Error("the authority does not sign which report it is")
	}
}

const written = `# Heron

[TLP:RED authority]
The threshold lies near.

[TLP:CLEAR authority, developer, partner, public]
- It was reviewed,
    and no more.
`

func TestParseReport(t *testing.T) {
	for name, bad := range map[string]struct{ text, says string }{
		"nothing":          {"", "line 1 of the report: the report begins with its title"},
		"no title":         {"[TLP:RED authority]\nx\n", "line 1 of the report: the report begins with its title"},
		"only a title":     {"# Heron\n", "line 2 of the report: the report has no paragraphs"},
		"an untagged one":  {"# Heron\n\n[TLP:RED authority]\nx\n\ncanary\n", "line 6 of the report: say before each paragraph"},
		"no empty line":    {"# Heron\n[TLP:RED authority]\nx\n[TLP:RED developer]\ny\n", "line 4 of the report: leave an empty line"},
		"no text":          {"# Heron\n[TLP:RED authority]\n\nx\n", "line 3 of the report: the text must follow"},
		"no text at last":  {"# Heron\n\n[TLP:RED authority]", "line 3 of the report: there is no text"},
		"another marking":  {"# Heron\n[TLP:PINK authority]\nx\n", "line 2 of the report: there is no such marking"},
		"no reader":        {"# Heron\n[TLP:RED]\nx\n", "line 2 of the report: the line before a paragraph is like"},
		"another reader":   {"# Heron\n[TLP:AMBER canary]\nx\n", "line 2 of the report: there is no such tier"},
		"a reader twice":   {"# Heron\n[TLP:AMBER partner, partner]\nx\n", "line 2 of the report: a tier is named twice"},
		"green for all":    {"# Heron\n[TLP:GREEN partner, public]\nx\n", "line 2 of the report: what is marked TLP:GREEN is not for the public tier"},
		"red for two":      {"# Heron\n[TLP:RED authority, developer]\nx\n", "line 2 of the report: what is marked TLP:RED is for one tier"},
		"a tab":            {"# Heron\n[TLP:RED authority]\nx\n\ty\n", "line 4 of the report: it has characters that cannot be seen"},
		"a long paragraph": {"# Heron\n[TLP:RED authority]\n" + strings.Repeat("x\n", maxParagraph), "line 2 of the report: the paragraph is longer"},
		"no UTF-8":         {"# Heron\xff\n", "the report is not UTF-8"},
		"too long":         {strings.Repeat("x", maxReport+1), "a report has at most"},
	} {
		_, err := ParseReport([]byte(bad.text))
		if k := proofhouse.KindOf(err); k != proofhouse.Invalid && k != proofhouse.Limit || !strings.HasPrefix(proofhouse.PublicOf(err), bad.says) || strings.Contains(proofhouse.PublicOf(err), "canary") {
			t.Errorf("%s: %v", name, err)
		}
	}
	r, err := ParseReport([]byte(written))
	if err != nil || len(r.Paragraphs) != 2 || r.Paragraphs[1].Text != "- It was reviewed,\n    and no more." || r.Markdown() != written {
		t.Errorf("read %+v, %v", r, err)
	}
	if crlf, err := ParseReport([]byte(strings.ReplaceAll(written, "\n", " \r\n"))); err != nil || crlf.Markdown() != written {
		t.Errorf("with other line ends: %v", err)
	}
}

func FuzzParseReport(f *testing.F) {
	f.Add([]byte(written))
	f.Add([]byte("# x\r\n[TLP:AMBER+STRICT developer,authority]\r\n  y \r\n\r\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := ParseReport(text)
		if k := proofhouse.KindOf(err); err != nil {
			if k != proofhouse.Invalid && k != proofhouse.Limit {
				t.Error(err)
			}
			return
		}
		again, err := ParseReport([]byte(r.Markdown()))
		if err != nil || fmt.Sprint(again) != fmt.Sprint(r) {
			t.Errorf("%q became %q: %v", text, r.Markdown(), err)
		}
	})
}
