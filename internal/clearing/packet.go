package clearing

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"slices"
	"strings"

	"proofhouse/internal/proofhouse"
)

// Content is what a packet is written from.
type Content struct {
	Project Project
	Cluster Cluster
	// Proof is the shortest of the cluster's proofs, of the finding From.
	From  FindingID
	Proof []byte
	// Target is the archive of the target's folder that From came with.
	Target []byte
	// Report is the break as the oracle told it; Fix and Regression the texts of the patch, nil without one.
	Report          string
	Patch           *Patch
	Fix, Regression []byte
	// Contact is a person who answers, as "name <address>".
	Contact string
	// House is who sends it.
	House string
}

// Bounds of a packet's text.
const (
	packetWidth  = 72
	packetReport = 24  // lines of the break's report
	packetInline = 600 // bytes of a proof that stands in the text
)

// Validate says what a packet lacks.
func (c Content) Validate() error {
	switch {
	case strings.TrimSpace(c.Contact) == "" || len(c.Contact) > maxWord || strings.ContainsAny(c.Contact, "\r\n"):
		return proofhouse.Errorf(proofhouse.Invalid, nil, "a packet names a person who answers: give --contact \"NAME <ADDRESS>\"")
	case len(c.Cluster.Members) == 0:
		return proofhouse.Errorf(proofhouse.Invalid, nil, "a packet is of a bug that is confirmed")
	}
	return nil
}

// Text is the packet as the maintainer reads it: one bug, what breaks where, how to see it, the fix or that there is none, who
// answers. It is pure.
func (c Content) Text() (string, error) {
	if err := c.Validate(); err != nil {
		return "", err
	}
	f, err := c.Project.Finding(c.From)
	if err != nil {
		return "", err
	}
	w := writer{markdown: c.Project.Declaration.Or().Style == Markdown}
	class, function := breakOf(f)
	w.title(class + function)
	w.field("Version", f.Claim.Purl)
	if f.Claim.IntroducedCommit != "" {
		w.field("Introduced", f.Claim.IntroducedCommit+" (as the finder says)")
	}
	w.field("Breaks", where(f))
	if f.Claim.CWE != "" {
		w.field("Weakness", f.Claim.CWE)
	}
	w.field("Seen", fmt.Sprintf("in %d of %d runs, each in a fresh sandbox; harmless inputs and a patch that does nothing changed none of it", f.Last().Broke, f.Last().Runs))
	if doc := c.Project.Declaration.Model.Document; doc != "" {
		w.field("Model", "nothing in your threat model ("+doc+") excludes it")
	}
	w.heading("How to see it")
	w.para(fmt.Sprintf("The archive that comes with this holds the harness, how the target is built (target.toml), and the input proof, %d bytes, SHA-256 %s. Run: proofhouse finding reproduce target proof", len(c.Proof), proofhouse.DigestOf(c.Proof).Hex()))
	if len(c.Proof) <= packetInline {
		w.para("The input in base64:")
		w.code(fold(base64.StdEncoding.EncodeToString(c.Proof), 68))
	}
	if c.Report != "" {
		lines := strings.Split(strings.TrimRight(c.Report, "\n"), "\n")
		w.code(strings.Join(lines[:min(len(lines), packetReport)], "\n"))
	}
	w.heading("Fix")
	if c.Patch == nil {
		w.para("There is no fix yet.")
	} else {
		inputs := "the one input known for this bug and its variations"
		if c.Patch.Proofs > 1 {
			inputs = fmt.Sprintf("all %d inputs known for this bug and their variations", c.Patch.Proofs)
		}
		w.para(fmt.Sprintf("The patch below (%s, %d lines more, %d fewer) stops %s, keeps your tests, and its own test fails without it and passes with it.",
			strings.Join(c.Patch.Check.Files, ", "), c.Patch.Check.Added, c.Patch.Check.Removed, inputs))
		w.code(strings.TrimRight(string(c.Fix), "\n"))
		if len(c.Regression) > 0 {
			w.para("The test:")
			w.code(strings.TrimRight(string(c.Regression), "\n"))
		}
	}
	w.heading("Who")
	for _, line := range c.credits() {
		w.para(line)
	}
	w.para("A person read this before it was sent and answers: " + c.Contact + ".")
	return w.String(), nil
}

// Archive is what goes out with the packet's text: the text, the target's folder, the input, and the patch with its test where there is one. It is pure: the same
// content makes the same bytes.
func (c Content) Archive(text string) ([]byte, error) {
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	name := "packet.txt"
	if c.Project.Declaration.Or().Style == Markdown {
		name = "packet.md"
	}
	for _, f := range []struct {
		name string
		b    []byte
	}{{name, []byte(text)}, {"proof", c.Proof}, {"fix.diff", c.Fix}, {"regression.diff", c.Regression}} {
		if len(f.b) == 0 {
			continue
		}
		m, err := w.Create(f.name)
		if err != nil {
			return nil, err
		}
		if _, err := m.Write(f.b); err != nil {
			return nil, err
		}
	}
	target, err := zip.NewReader(bytes.NewReader(c.Target), int64(len(c.Target)))
	if err != nil {
		return nil, proofhouse.Errorf(proofhouse.Integrity, err, "the target's archive is not as it came")
	}
	// It was read as hostile when it came.
	for _, f := range target.File {
		if strings.HasSuffix(f.Name, "/") {
			continue
		}
		if err := copyMember(w, f); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// copyMember copies a file of the target's archive below target/, without what else its header says.
func copyMember(w *zip.Writer, f *zip.File) error {
	r, err := f.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	m, err := w.Create("target/" + f.Name)
	if err != nil {
		return err
	}
	_, err = io.Copy(m, io.LimitReader(r, maxUnpacked))
	return err
}

// credits says how many found it, whom to name, and what models took part.
func (c Content) credits() []string {
	var names, ai []string
	orgs := map[proofhouse.OrganisationID]bool{}
	for _, id := range c.Cluster.Members {
		f, err := c.Project.Finding(id)
		if err != nil {
			continue
		}
		orgs[f.By.Organisation] = true
		if f.Claim.Credit != "" && !slices.Contains(names, f.Claim.Credit) {
			names = append(names, f.Claim.Credit)
		}
		if !slices.Contains(ai, f.Claim.AI) {
			ai = append(ai, f.Claim.AI)
		}
	}
	out := []string{fmt.Sprintf("Reported %d times by %d independent finders; this is all of it.", len(c.Cluster.Members), len(orgs))}
	if len(c.Cluster.Members) == 1 {
		out[0] = "Reported once."
	}
	if len(names) > 0 {
		out[0] += " To be credited: " + strings.Join(names, "; ") + "."
	}
	return append(out, "Use of AI, as the finders say: "+strings.Join(ai, "; ")+".")
}

func breakOf(f Finding) (class, in string) {
	class, function, _ := strings.Cut(f.Last().Signature, ":")
	if function != "" {
		in = " in " + function
	}
	return class, in
}

// where is the break's place in the project.
func where(f Finding) string {
	frames := f.Last().Frames
	if len(frames) == 0 {
		class, in := breakOf(f)
		return class + in
	}
	return strings.Join(frames[:min(4, len(frames))], ", called by ")
}

// writer writes plain text or Markdown.
type writer struct {
	strings.Builder
	markdown bool
}

// marks are what Markdown would not write as it is. Names and credits are strangers' words: none of them is a picture, or a link that hides where it leads.
var marks = strings.NewReplacer(func() (all []string) {
	for _, c := range "\\`*_{}[]()<>#+!|~&" {
		all = append(all, string(c), "\\"+string(c))
	}
	return all
}()...)

func (w *writer) title(s string) {
	if w.markdown {
		w.WriteString("# " + marks.Replace(s) + "\n\n")
		return
	}
	w.WriteString(s + "\n\n")
}

func (w *writer) heading(s string) {
	if w.markdown {
		w.WriteString("\n## " + s + "\n\n")
		return
	}
	w.WriteString("\n" + s + "\n\n")
}

func (w *writer) field(name, value string) {
	if w.markdown {
		w.WriteString("- **" + name + "**: " + marks.Replace(value) + "\n")
		return
	}
	w.WriteString(wrap(fmt.Sprintf("%-10s  ", name+":"), strings.Repeat(" ", 12), value) + "\n")
}

func (w *writer) para(s string) {
	if w.markdown {
		w.WriteString(marks.Replace(s) + "\n\n")
		return
	}
	w.WriteString(wrap("", "", s) + "\n\n")
}

func (w *writer) code(s string) {
	if w.markdown {
		fence := "```"
		for strings.Contains(s, fence) {
			fence += "`"
		}
		w.WriteString(fence + "\n" + s + "\n" + fence + "\n\n")
		return
	}
	w.WriteString("    " + strings.ReplaceAll(s, "\n", "\n    ") + "\n\n")
}

// wrap fills lines up to packetWidth.
func wrap(first, rest, s string) string {
	var out strings.Builder
	line := first
	empty := true
	for _, word := range strings.Fields(s) {
		switch {
		case empty:
			line += word
		case len(line)+1+len(word) > packetWidth:
			out.WriteString(line + "\n")
			line = rest + word
		default:
			line += " " + word
		}
		empty = false
	}
	out.WriteString(line)
	return out.String()
}

// fold cuts s into lines of n bytes.
func fold(s string, n int) string {
	var lines []string
	for len(s) > n {
		lines, s = append(lines, s[:n]), s[n:]
	}
	return strings.Join(append(lines, s), "\n")
}
