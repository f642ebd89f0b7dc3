package docket

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"proofhouse/internal/proofhouse"
)

// ParseReport reads a report as people write it: Markdown in which a line
// before each paragraph says its marking and for whom it is.
//
//	# Heron: what was measured
//
//	[TLP:RED authority]
//	The threshold lies near what was measured.
//
//	[TLP:CLEAR authority, developer, partner, public]
//	The model was reviewed under criteria that were registered first.
//
// A paragraph ends at an empty line. There is no default, so that nothing is
// shown to somebody because a line was forgotten. The error is
// proofhouse.Invalid, or Limit for what is too long, says the line and quotes nothing of it.
func ParseReport(text []byte) (Report, error) {
	wrong := func(line int, format string, args ...any) (Report, error) {
		return Report{}, proofhouse.Errorf(proofhouse.Invalid, nil, "line %d of the report: %s", line, fmt.Sprintf(format, args...))
	}
	if len(text) > maxReport {
		return Report{}, proofhouse.Errorf(proofhouse.Limit, nil, "a report has at most %d bytes: attach what is longer as evidence", maxReport)
	}
	if !utf8.Valid(text) {
		return Report{}, proofhouse.Errorf(proofhouse.Invalid, nil, "the report is not UTF-8")
	}
	r := Report{Paragraphs: []Paragraph{}}
	var tag *Paragraph // of the paragraph that is being read, or is due
	begun := 0         // the line of its tag
	end := func() bool {
		if tag != nil && tag.Text != "" {
			r.Paragraphs, tag = append(r.Paragraphs, *tag), nil
		}
		return tag == nil
	}
	n := 0
	for line := range bytes.Lines(text) {
		n++
		s := strings.TrimRight(strings.TrimRight(string(line), "\r\n"), " ")
		switch {
		case s == "":
			if !end() {
				return wrong(n, "the text must follow the line that says for whom it is")
			}
		case r.Title == "":
			title, ok := strings.CutPrefix(s, "# ")
			if !ok {
				return wrong(n, "the report begins with its title: # and a space before it")
			}
			if err := plain("the title", title); err != nil {
				return wrong(n, "%s", proofhouse.PublicOf(err))
			}
			r.Title = title
		case strings.HasPrefix(s, tagged):
			if tag != nil {
				return wrong(n, "leave an empty line before the line that says for whom the next paragraph is")
			}
			p, why := parseTag(s)
			if why != "" {
				return wrong(n, "%s", why)
			}
			tag, begun = &p, n
		case tag == nil:
			return wrong(n, "say before each paragraph what its marking is and for whom it is, such as [TLP:AMBER developer, partner]")
		default:
			if tag.Text != "" {
				tag.Text += "\n"
			}
			tag.Text += s
			if why := (Paragraph{Text: s}).unreadable(); why != "" {
				return wrong(n, "it %s", why)
			}
			if len(tag.Text) > maxParagraph {
				return wrong(begun, "the paragraph is longer than %d bytes", maxParagraph)
			}
		}
	}
	switch {
	case r.Title == "":
		return wrong(n+1, "the report begins with its title: # and a space before it")
	case !end():
		return wrong(begun, "there is no text behind the line that says for whom it is")
	case len(r.Paragraphs) == 0:
		return wrong(n+1, "the report has no paragraphs")
	}
	return r, r.Validate()
}

// parseTag reads the line before a paragraph, or says why it is none.
func parseTag(line string) (Paragraph, string) {
	inner, ok := strings.CutSuffix(strings.TrimPrefix(line, "["), "]")
	marking, readers, ok2 := strings.Cut(inner, " ")
	if !ok || !ok2 {
		return Paragraph{}, "the line before a paragraph is like [TLP:AMBER developer, partner]"
	}
	p := Paragraph{Marking: proofhouse.Marking(marking)}
	allowed, ok := widest[p.Marking]
	if !ok {
		return Paragraph{}, fmt.Sprintf("there is no such marking: choose one of %v", proofhouse.Markings)
	}
	for reader := range strings.SplitSeq(readers, ",") {
		t := Tier(strings.Trim(reader, " "))
		switch {
		case !slices.Contains(Tiers, t):
			return Paragraph{}, "there is no such tier: a paragraph is for " + list(Tiers) + ", or several of them with commas between"
		case slices.Contains(p.Tiers, t):
			return Paragraph{}, "a tier is named twice"
		case !slices.Contains(allowed, t):
			return Paragraph{}, fmt.Sprintf("what is marked %s is not for the %s tier", p.Marking, t)
		}
		p.Tiers = append(p.Tiers, t)
	}
	if p.Marking == proofhouse.Red && len(p.Tiers) > 1 {
		return Paragraph{}, "what is marked TLP:RED is for one tier"
	}
	return p, ""
}

// Markdown is the report as ParseReport reads it.
func (r Report) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n", r.Title)
	for _, p := range r.Paragraphs {
		words := make([]string, len(p.Tiers))
		for i, t := range p.Tiers {
			words[i] = string(t)
		}
		fmt.Fprintf(&b, "\n[%s %s]\n%s\n", p.Marking, strings.Join(words, ", "), p.Text)
	}
	return b.String()
}
