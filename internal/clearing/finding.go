package clearing

import (
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	packageurl "github.com/package-url/packageurl-go"

	"proofhouse/internal/proofhouse"
)

// FindingID names a finding: "finding-" and random letters.
type FindingID string

// NewFindingID is a fresh name.
func NewFindingID() FindingID { return FindingID("finding-" + proofhouse.Token(10)) }

// Claim is what a finder says. Its JSON names are those of Report.
type Claim struct {
	Title       string `json:"title"`
	Description string `json:"description,omitempty"`
	// Purl is the package with its version: "pkg:golang/gopkg.in/yaml.v3@v3.0.0".
	Purl     string   `json:"purl"`
	Versions []string `json:"versions,omitempty"`
	// CWE is a weakness, as "CWE-125".
	CWE              string   `json:"cwe,omitempty"`
	CodePath         string   `json:"code_path,omitempty"`
	Symbol           Symbol   `json:"affected_symbol,omitzero"`
	References       []string `json:"references,omitempty"`
	UpstreamIDs      []string `json:"upstream_ids,omitempty"`
	IntroducedCommit string   `json:"introduced_commit,omitempty"`
	FixedCommit      string   `json:"fixed_commit,omitempty"`
	Repository       string   `json:"package_repo_url,omitempty"`
	Method           string   `json:"discovery_method,omitempty"`
	Tooling          string   `json:"discovery_tooling,omitempty"`
	// Assessment is the finder's word, which nothing of the house's rests on.
	Assessment *Enrichment `json:"enrichment,omitempty"`
	// AI says which model or agent took part, in the finder's words; "none" is none. It is not
	// left out: a packet discloses it.
	AI string `json:"ai_use"`
	// Credit is how the finder wants to be named; "" is not at all.
	Credit  string             `json:"credit,omitempty"`
	Marking proofhouse.Marking `json:"marking"`
}

// Files are what a finder brings, by the digest of their bytes.
type Files struct {
	// Target is a ZIP archive with target.toml, by which the target is built.
	Target proofhouse.Digest `json:"target"`
	Proof  proofhouse.Digest `json:"proof"`
	// Fix and Regression are diffs, "" where there is none.
	Fix        proofhouse.Digest `json:"fix,omitempty"`
	Regression proofhouse.Digest `json:"regression,omitempty"`
	// Others are read by people only.
	Others []Enclosure `json:"others,omitempty"`
}

// Enclosure is a file that came along.
type Enclosure struct {
	Name   string            `json:"name"`
	Digest proofhouse.Digest `json:"digest"`
}

// Has says whether d is one of them.
func (f Files) Has(d proofhouse.Digest) bool {
	return d != "" && (d == f.Target || d == f.Proof || d == f.Fix || d == f.Regression || slices.ContainsFunc(f.Others, func(o Enclosure) bool { return o.Digest == d }))
}

// Bounds of a claim, in bytes.
const (
	maxTitle = 200
	maxText  = 20_000
	maxWord  = 1024
	maxList  = 64 // entries
)

// Validate says what is missing or too long. The error is proofhouse.Invalid.
func (c Claim) Validate() error {
	bad := func(format string, args ...any) error {
		return proofhouse.Errorf(proofhouse.Invalid, nil, format, args...)
	}
	switch {
	case strings.TrimSpace(c.Title) == "" || len(c.Title) > maxTitle || hidden(c.Title):
		return bad("a finding needs a title: one line of at most %d bytes", maxTitle)
	case len(c.Description) > maxText:
		return bad("the description is longer than %d bytes", maxText)
	case c.AI == "":
		return bad("a finding says in ai_use which model or agent took part; write none if none did")
	}
	lines := map[string][]string{
		"cwe": {c.CWE}, "code_path": {c.CodePath}, "affected_symbol": {c.Symbol.File, c.Symbol.Function}, "introduced_commit": {c.IntroducedCommit},
		"fixed_commit": {c.FixedCommit}, "package_repo_url": {c.Repository}, "discovery_method": {c.Method}, "discovery_tooling": {c.Tooling}, "ai_use": {c.AI}, "credit": {c.Credit},
		"versions": c.Versions, "references": c.References, "upstream_ids": c.UpstreamIDs,
	}
	if e := c.Assessment; e != nil {
		lines["enrichment"] = []string{e.CVSS, e.CWE, e.SSVC, e.VEX, e.Severity, e.Verified}
	}
	for _, name := range slices.Sorted(maps.Keys(lines)) {
		if len(lines[name]) > maxList {
			return bad("%s has more than %d entries", name, maxList)
		}
		for _, s := range lines[name] {
			if len(s) > maxWord || hidden(s) {
				return bad("%s is one line of at most %d bytes", name, maxWord)
			}
		}
	}
	for name, s := range map[string]string{"introduced_commit": c.IntroducedCommit, "fixed_commit": c.FixedCommit} {
		if s != "" && !commit.MatchString(s) {
			return bad("%s is 7 to 64 hexadecimal digits", name)
		}
	}
	if c.CWE != "" && cwe.FindString(c.CWE) != c.CWE {
		return bad("cwe is like CWE-125")
	}
	for _, s := range append(slices.Clone(c.References), c.Repository) {
		if s != "" && !strings.HasPrefix(s, "https://") && !strings.HasPrefix(s, "http://") {
			return bad("references and package_repo_url are http or https URLs")
		}
	}
	if _, err := ProjectOf(c.Purl); err != nil {
		return err
	}
	return c.Marking.Validate()
}

// hidden says whether s has anything that does not show in a line, such as what turns the direction of writing.
func hidden(s string) bool {
	return !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// ProjectOf is the package URL of a purl's project: without version, qualifiers and subpath, in the one spelling. A
// purl without a version, or none, is proofhouse.Invalid.
func ProjectOf(purl string) (string, error) {
	if len(purl) > 1000 {
		return "", proofhouse.Errorf(proofhouse.Invalid, nil, "the purl is longer than 1000 bytes")
	}
	p, err := packageurl.FromString(purl)
	if err != nil {
		return "", proofhouse.Errorf(proofhouse.Invalid, err, "%q is no package URL: write one such as pkg:npm/minimist@1.2.0", purl)
	}
	if p.Version == "" {
		return "", proofhouse.Errorf(proofhouse.Invalid, nil, "the purl names no version: what is not of a version cannot be reproduced")
	}
	p.Version, p.Qualifiers, p.Subpath = "", nil, ""
	return p.ToString(), nil
}

// Finding is one claim and what became of it.
type Finding struct {
	ID    FindingID        `json:"id"`
	Seq   int              `json:"seq"` // of the event that brought it
	By    proofhouse.Actor `json:"by"`
	Aware time.Time        `json:"aware"` // when it came in
	Claim Claim            `json:"claim"`
	Files Files            `json:"files"`
	// Attempts are the reproductions, the last of which holds.
	Attempts []AttemptRecord `json:"attempts,omitempty"`
	// Retried is how many attempts there were when a coordinator last had it tried again.
	Retried   int       `json:"retried,omitempty"`
	Withdrawn time.Time `json:"withdrawn,omitzero"`
}

// AttemptRecord is a reproduction as it is kept.
type AttemptRecord struct {
	At        time.Time         `json:"at"`
	Verdict   Verdict           `json:"verdict"`
	Reason    string            `json:"reason"`
	Signature string            `json:"signature,omitempty"`
	Frames    []string          `json:"frames,omitempty"`
	Runs      int               `json:"runs"`
	Broke     int               `json:"broke"`
	Statement proofhouse.Digest `json:"statement,omitempty"`
	// Report is the beginning of what the break printed, of what shows.
	Report string `json:"report,omitempty"`
}

// State is what a finding is.
type State string

// The states: those of Verdict, and before and after.
const (
	Waiting   State = "waiting"
	Withdrawn State = "withdrawn"
)

// maxAttempts is how often an infrastructure error is tried again before a person has to look.
const maxAttempts = 3

// State says where f stands.
func (f Finding) State() State {
	n := len(f.Attempts)
	switch {
	case !f.Withdrawn.IsZero():
		return Withdrawn
	case n == f.Retried || f.Attempts[n-1].Verdict == Infrastructure && n-f.Retried < maxAttempts:
		return Waiting
	}
	return State(f.Attempts[n-1].Verdict)
}

// Last is the attempt that holds; the zero value is none.
func (f Finding) Last() AttemptRecord {
	if n := len(f.Attempts); n > 0 {
		return f.Attempts[n-1]
	}
	return AttemptRecord{}
}

// Confirmed says whether f may count for anything.
func (f Finding) Confirmed() bool { return f.State() == State(Confirmed) }

// bucket is what proposes duplicates.
func (f Finding) bucket(purl string) Bucket {
	last := f.Last()
	class, _, _ := strings.Cut(last.Signature, ":")
	return Bucket{Purl: purl, Class: class, Frames: slices.Clone(last.Frames[:min(3, len(last.Frames))]), Function: f.Claim.Symbol.Function}
}
