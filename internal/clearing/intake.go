package clearing

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	sarif "github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"
	packageurl "github.com/package-url/packageurl-go"

	"proofhouse/internal/proofhouse"
)

// Report is a finding as it is sent: the report object of TAP, the field's intake API, and four fields more. Of TAP's it lacks exploit and
// raw, which are deprecated there.
type Report struct {
	Purl             string       `json:"purl" maxLength:"512" doc:"the package with its version, such as pkg:npm/minimist@1.2.0"`
	Software         string       `json:"software,omitempty" maxLength:"256" doc:"taken, and not read: purl says it"`
	Ecosystem        string       `json:"ecosystem,omitempty" maxLength:"128" doc:"taken, and not read: purl says it"`
	Versions         []string     `json:"versions,omitempty" maxItems:"64" doc:"affected versions; the only one gives the version of a purl that has none"`
	CodePath         string       `json:"code_path,omitempty" maxLength:"1024"`
	Attachments      []Attachment `json:"attachments" minItems:"1" maxItems:"16" doc:"one exploit-proof-of-concept, the input; one reproducer, the target's folder as a ZIP archive; at most one patch, and with it at most one whose filename begins with regression"`
	Symbol           Symbol       `json:"affected_symbol,omitzero"`
	References       []string     `json:"references,omitempty" maxItems:"16"`
	UpstreamIDs      []string     `json:"upstream_ids,omitempty" maxItems:"16" doc:"what is public of it already, such as CVE-2026-12345"`
	IntroducedCommit string       `json:"introduced_commit,omitempty" maxLength:"64"`
	FixedCommit      string       `json:"fixed_commit,omitempty" maxLength:"64"`
	Repository       string       `json:"package_repo_url,omitempty" maxLength:"512"`
	Method           string       `json:"discovery_method,omitempty" maxLength:"32" doc:"such as manual, ai-assisted, ai-discovered, hybrid"`
	Tooling          string       `json:"discovery_tooling,omitempty" maxLength:"128" doc:"the model or harness"`
	Email            string       `json:"email,omitempty" maxLength:"256" doc:"taken, and not kept: you are told by your account"`
	Notify           string       `json:"notify,omitempty" enum:"off,final,milestones,all"`
	Enrichment       *Enrichment  `json:"enrichment,omitempty"`

	Title       string             `json:"title,omitempty" maxLength:"200" doc:"one line; where left out, of what the rest says"`
	Description string             `json:"description,omitempty" maxLength:"20000"`
	AI          string             `json:"ai_use,omitempty" maxLength:"300" doc:"which model or agent took part; none if none did. Where left out, of discovery_method and discovery_tooling"`
	Credit      string             `json:"credit,omitempty" maxLength:"300" doc:"how you want to be named; nothing is not at all"`
	Marking     proofhouse.Marking `json:"marking,omitempty" enum:"TLP:CLEAR,TLP:GREEN,TLP:AMBER,TLP:AMBER+STRICT,TLP:RED" doc:"TLP:RED where left out"`
}

// Symbol is a place in the code.
type Symbol struct {
	File     string `json:"file,omitempty" maxLength:"512"`
	Function string `json:"function,omitempty" maxLength:"256"`
	Line     int    `json:"line,omitempty" minimum:"0" doc:"shown, and matched with nothing"`
}

// Enrichment is an assessment that came along. It is kept as the finder's word.
type Enrichment struct {
	CVSS     string  `json:"cvss_vector,omitempty" maxLength:"300"`
	CWE      string  `json:"cwe,omitempty" maxLength:"300"`
	SSVC     string  `json:"ssvc,omitempty" maxLength:"40"`
	VEX      string  `json:"vex_status,omitempty" maxLength:"40"`
	Severity string  `json:"severity,omitempty" maxLength:"40"`
	Verified string  `json:"verified,omitempty" maxLength:"40"`
	EPSS     float64 `json:"epss,omitempty" minimum:"0" maximum:"1"`
}

// Attachment is a file of a report.
type Attachment struct {
	Filename    string `json:"filename" minLength:"1" maxLength:"255"`
	Data        string `json:"data,omitempty" doc:"the file; standard base64 with padding unless its type is text or JSON"`
	ContentType string `json:"content_type" maxLength:"100" example:"application/zip" doc:"text/plain, text/markdown, application/json, application/pdf, application/zip, application/gzip, application/x-bzip2 or application/octet-stream"`
	Description string `json:"description,omitempty" maxLength:"1024"`
	Type        string `json:"type,omitempty" enum:"patch,exploit-proof-of-concept,reproducer,threat-model,other" doc:"other where left out"`
	// Digest stands for what the same organisation brought to the project before.
	Digest proofhouse.Digest `json:"digest,omitempty" maxLength:"71" doc:"in place of data: a file that your organisation brought to this project before, by sha256:…"`
}

// The types of attachments.
const (
	OfProof       = "exploit-proof-of-concept"
	OfTarget      = "reproducer"
	OfPatch       = "patch"
	OfThreatModel = "threat-model"
	OfOther       = "other"
)

// Piece is a file of a report as it came: its bytes, or the digest of what is there already.
type Piece struct {
	Name   string
	Bytes  []byte
	Digest proofhouse.Digest
}

// Brought are the files of a report by what they are for.
type Brought struct {
	Target, Proof   Piece
	Fix, Regression *Piece
	// Others are kept, and read by people only.
	Others []Piece
}

// maxOther bounds a file that only people read, in bytes.
const maxOther = 1 << 20

// asBase64 are the content types that come as base64, and asText those that do not.
var (
	asBase64 = []string{"application/pdf", "application/zip", "application/gzip", "application/x-bzip2", "application/octet-stream"}
	asText   = []string{"text/plain", "text/markdown", "application/json"}
	commit   = regexp.MustCompile(`^[0-9a-fA-F]{7,64}$`)
	cwe      = regexp.MustCompile(`^(?i)(CWE-[0-9]{1,5})\b`)
)

// Read is what the report claims and what it brings. The error is proofhouse.Invalid or proofhouse.Limit, and says which field.
func (r Report) Read() (Claim, Brought, error) {
	purl, err := r.versioned()
	if err != nil {
		return Claim{}, Brought{}, err
	}
	b, said, err := r.brought()
	if err != nil {
		return Claim{}, Brought{}, err
	}
	c := Claim{
		Title: r.Title, Description: r.Description, Purl: purl, Versions: r.Versions, CodePath: r.CodePath, Symbol: r.Symbol, References: r.References, UpstreamIDs: r.UpstreamIDs,
		IntroducedCommit: r.IntroducedCommit, FixedCommit: r.FixedCommit, Repository: r.Repository, Method: r.Method, Tooling: r.Tooling, AI: r.AI,
		Credit: r.Credit, Marking: r.Marking, Assessment: r.Enrichment,
	}
	if r.Enrichment != nil {
		c.CWE = strings.ToUpper(cwe.FindString(r.Enrichment.CWE))
	}
	said.fill(&c)
	c.fill()
	return c, b, c.Validate()
}

// versioned is the purl with a version.
func (r Report) versioned() (string, error) {
	p, err := packageurl.FromString(r.Purl)
	if err == nil && p.Version == "" && len(r.Versions) == 1 {
		p.Version = r.Versions[0]
		return p.ToString(), nil
	}
	return r.Purl, nil // Claim.Validate says what is wrong with it
}

// fill says what the finder left out.
func (c *Claim) fill() {
	if c.Marking == "" {
		c.Marking = proofhouse.Red
	}
	if c.AI == "" && c.Method != "" {
		c.AI = c.Method
		if c.Tooling != "" {
			c.AI += ": " + c.Tooling
		}
		if c.Method == "manual" && c.Tooling == "" {
			c.AI = "none"
		}
	}
	if c.Title == "" {
		at := cmp.Or(c.Symbol.Function, c.Symbol.File, c.CWE)
		if c.Title = "A finding in " + c.Purl; at != "" {
			c.Title = at + " in " + c.Purl
		}
		c.Title = strings.ToValidUTF8(c.Title[:min(len(c.Title), maxTitle)], "")
	}
}

// brought sorts the attachments. A SARIF log among them is read as well.
func (r Report) brought() (b Brought, said said, err error) {
	names := map[string]bool{}
	one := func(what string, into **Piece, p Piece) error {
		if *into != nil {
			return invalid("there are two attachments of %s, and one is taken", what)
		}
		*into = &p
		return nil
	}
	var target, proof *Piece
	for i, a := range r.Attachments {
		field := fmt.Sprintf("attachments[%d]", i)
		p, err := a.piece(field)
		if err != nil {
			return b, said, err
		}
		name := strings.ToLower(p.Name)
		if names[name] {
			return b, said, invalid("%s: there is another file of that name", field)
		}
		names[name] = true
		switch {
		case a.Type == OfProof:
			err = one("type "+OfProof, &proof, p)
		case a.Type == OfTarget:
			err = one("type "+OfTarget, &target, p)
		case a.Type == OfPatch && strings.HasPrefix(strings.ToLower(p.Name), "regression"):
			err = one("type patch whose filename begins with regression", &b.Regression, p)
		case a.Type == OfPatch:
			err = one("type patch", &b.Fix, p)
		case a.Type == OfThreatModel, a.Type == OfOther, a.Type == "":
			if len(p.Bytes) > maxOther {
				err = proofhouse.Errorf(proofhouse.Limit, nil, "%s is larger than %d bytes", field, maxOther)
			}
			b.Others = append(b.Others, p)
			if err == nil && (strings.HasSuffix(name, ".sarif") || strings.HasSuffix(name, ".sarif.json")) {
				said, err = readSARIF(p.Bytes)
			}
		default:
			err = invalid("%s: %q is no type of attachment", field, a.Type)
		}
		if err != nil {
			return b, said, err
		}
	}
	switch {
	case proof == nil:
		return b, said, invalid("the report brings no input that breaks the target: attach it with the type %s", OfProof)
	case target == nil:
		return b, said, invalid("the report does not say how the target is built, and what nobody can run goes nowhere: attach its folder, with %s in it, as a ZIP archive of the type %s", SpecFile, OfTarget)
	case b.Regression != nil && b.Fix == nil:
		return b, said, invalid("there is a regression test without a patch: attach the patch, too")
	}
	for what, bound := range map[*Piece]int{proof: maxInput, target: maxArchive, b.Fix: maxPatch, b.Regression: maxPatch} {
		if what != nil && len(what.Bytes) > bound {
			return b, said, proofhouse.Errorf(proofhouse.Limit, nil, "%s is larger than %d bytes", what.Name, bound)
		}
	}
	b.Proof, b.Target = *proof, *target
	return b, said, nil
}

// piece is an attachment's file.
func (a Attachment) piece(field string) (Piece, error) {
	p := Piece{Name: a.Filename, Digest: a.Digest}
	kind := strings.ToLower(a.ContentType)
	switch {
	case a.Filename == "" || len(a.Filename) > 255 || a.Filename == "." || a.Filename == ".." || strings.ContainsAny(a.Filename, `/\`) || hidden(a.Filename):
		return p, invalid("%s.filename is the name of a file, not a path", field)
	case !slices.Contains(asBase64, kind) && !slices.Contains(asText, kind):
		return p, invalid("%s.content_type is not one that is taken: write one of %s", field, strings.Join(append(slices.Clone(asText), asBase64...), ", "))
	case a.Digest != "" && (a.Data != "" || a.Digest.Validate() != nil):
		return p, invalid("%s has data or else a digest, which is sha256: and 64 hexadecimal digits", field)
	case a.Digest != "":
		return p, nil
	case slices.Contains(asBase64, kind):
		b, err := base64.StdEncoding.Strict().DecodeString(strings.NewReplacer("\n", "", "\r", "").Replace(a.Data))
		if err != nil {
			return p, proofhouse.Errorf(proofhouse.Invalid, err, "%s.data is not standard base64 with padding", field)
		}
		p.Bytes = b
	case !utf8.ValidString(a.Data):
		return p, invalid("%s.data is not UTF-8", field)
	default:
		p.Bytes = []byte(a.Data)
	}
	if len(p.Bytes) == 0 {
		return p, invalid("%s.data is empty", field)
	}
	return p, nil
}

// said is what a SARIF result says of a finding.
type said struct {
	title, text, cwe, tool string
	symbol                 Symbol
}

// fill fills in what the claim itself leaves out.
func (s said) fill(c *Claim) {
	c.Title = cmp.Or(c.Title, s.title)
	c.Description = cmp.Or(c.Description, s.text)
	c.CWE = cmp.Or(c.CWE, s.cwe)
	c.Tooling = cmp.Or(c.Tooling, s.tool)
	if c.Symbol == (Symbol{}) {
		c.Symbol = s.symbol
	}
}

// readSARIF reads a SARIF 2.1.0 log with one result, as a stranger wrote it: any part of it may be missing.
func readSARIF(b []byte) (s said, err error) {
	bad := func(cause error) (said, error) {
		return said{}, proofhouse.Errorf(proofhouse.Invalid, cause, "the SARIF log cannot be read: it is version 2.1.0, of at most 1 MiB, with one run and one result in it")
	}
	defer func() {
		// The library trusts what it reads.
		if r := recover(); r != nil {
			s, err = bad(fmt.Errorf("reading it: %v", r))
		}
	}()
	if !json.Valid(b) || len(b) > maxOther {
		return bad(nil)
	}
	log, err := sarif.FromBytes(bytes.Clone(b))
	if err != nil {
		return bad(err)
	}
	if log.Version != "2.1.0" || len(log.Runs) != 1 || log.Runs[0] == nil || len(log.Runs[0].Results) != 1 || log.Runs[0].Results[0] == nil {
		return bad(nil)
	}
	run, result := log.Runs[0], log.Runs[0].Results[0]
	if result.Message != nil && result.Message.Text != nil {
		line, _, _ := strings.Cut(*result.Message.Text, "\n")
		s.title, s.text = printable(line, maxTitle), *result.Message.Text
		s.text = strings.ToValidUTF8(s.text[:min(len(s.text), maxText)], "")
	}
	if result.RuleID != nil {
		s.cwe = strings.ToUpper(cwe.FindString(*result.RuleID))
	}
	for _, t := range result.Taxa {
		if t != nil && t.ID != nil && s.cwe == "" {
			if t.ToolComponent != nil && t.ToolComponent.Name != nil && strings.EqualFold(*t.ToolComponent.Name, "CWE") {
				s.cwe = strings.ToUpper(cwe.FindString("CWE-" + strings.TrimPrefix(strings.ToUpper(*t.ID), "CWE-")))
			}
		}
	}
	if run.Tool != nil && run.Tool.Driver != nil && run.Tool.Driver.Name != nil {
		s.tool = *run.Tool.Driver.Name
		if v := run.Tool.Driver.Version; v != nil {
			s.tool += " " + *v
		}
		s.tool = printable(s.tool, 128)
	}
	if len(result.Locations) > 0 && result.Locations[0] != nil {
		s.symbol = symbolOf(result.Locations[0])
	}
	return s, nil
}

func symbolOf(at *sarif.Location) (s Symbol) {
	if p := at.PhysicalLocation; p != nil {
		if p.ArtifactLocation != nil && p.ArtifactLocation.URI != nil {
			s.File = printable(*p.ArtifactLocation.URI, 512)
		}
		if p.Region != nil && p.Region.StartLine != nil {
			s.Line = max(0, *p.Region.StartLine)
		}
	}
	for _, l := range at.LogicalLocations {
		if l == nil {
			continue
		}
		if l.FullyQualifiedName != nil {
			s.Function = printable(*l.FullyQualifiedName, 256)
		} else if l.Name != nil {
			s.Function = printable(*l.Name, 256)
		}
		break
	}
	return s
}

// printable is s as one line of at most n bytes of what shows.
func printable(s string, n int) string {
	s = strings.Map(func(r rune) rune {
		if hidden(string(r)) {
			return -1
		}
		return r
	}, s)
	if len(s) > n {
		s = strings.ToValidUTF8(s[:n], "")
	}
	return strings.TrimSpace(s)
}
