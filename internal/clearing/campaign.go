package clearing

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	packageurl "github.com/package-url/packageurl-go"

	"proofhouse/internal/oracle"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/target"
)

// ThreatModelFile is the file of a target's folder with the project's declaration, of which a campaign takes the threat model.
const ThreatModelFile = "threat-model.toml"

// breaksAre says for a reader what a symptom is.
var breaksAre = map[oracle.Symptom]string{
	oracle.Crash: "a crash", oracle.Hang: "more CPU time than the oracle's floor", oracle.Memory: "more memory than the oracle's floor",
	oracle.Escape: "a file outside the folder that the software was given", oracle.Pollution: "a built-in prototype that was changed",
	oracle.Canary: "a file that only executed code can make", oracle.Forged: "something forged that was accepted",
}

// classesOf are the classes of crashes that a language's builds show, as an owner would name them.
var classesOf = map[target.Language]string{
	target.C:          "heap-buffer-overflow, stack-buffer-overflow, heap-use-after-free, stack-overflow, SEGV, SIGABRT and the sanitizer's others",
	target.Go:         "index out of range, slice bounds out of range, nil pointer dereference, stack overflow, and the run-time's others",
	target.JavaScript: "uncaught exceptions and the ends of the engine",
}

// DraftDeclaration is a first threat model of a target for its owner to edit, derived from what its folder says. It is a
// project's declaration, and ParseDeclaration reads it.
func DraftDeclaration(f Folder) string {
	s := f.Spec
	var b strings.Builder
	line := func(format string, args ...any) {
		b.WriteString(printable(fmt.Sprintf(format, args...), maxText) + "\n")
	}
	line("# The threat model of %s: a first version, made from the target's folder.", s.Purl)
	line("# Edit it: what it excludes is never filed, and agents are told.")
	line("#")
	line("# Who attacks chooses every byte of one input, and nothing else. It comes in by %s:", s.Recipe().Harness)
	entries := entryPoints(f)
	for _, e := range entries {
		line("#   %s", e)
	}
	if len(entries) == 0 {
		line("#   (no call was recognised there)")
	}
	rule := s.Rule()
	line("# In: %s, in the software's own code.", breaksAre[rule.Symptom])
	if rule.Symptom == oracle.Crash {
		line("# Classes: %s.", classesOf[s.Target.Language])
	}
	line("# Out: whatever needs more than one input, the harness itself, and running out of time or memory%s.",
		map[bool]string{true: " but for what is in", false: ""}[rule.Symptom == oracle.Hang || rule.Symptom == oracle.Memory])
	line("")
	line("style = \"plain\"")
	line("")
	line("[threat_model]")
	line("# Classes, such as \"stack-overflow\", that are no vulnerabilities here.")
	line("exclude_classes = []")
	line("# Patterns of functions, such as \"debug_*\": a break with one in its stack is none.")
	line("exclude_functions = []")
	return b.String()
}

var (
	called  = regexp.MustCompile(`\b([A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*)\s*\(`)
	defined = regexp.MustCompile(`(?m)^[ \t]*(?:func|static|int|void|struct|size_t|function|const)\b[^;{=]*?([A-Za-z_][A-Za-z0-9_]*)\s*\(`)
	asides  = regexp.MustCompile(`(?s)/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'`)
)

// notEntries are what a harness calls beside the software.
var notEntries = []string{
	"if", "for", "while", "switch", "return", "sizeof", "func", "function", "catch", "require", "len", "cap", "make", "append", "new", "panic", "recover", "string", "byte",
	"malloc", "calloc", "realloc", "free", "memcpy", "memset", "memmove", "strlen", "printf", "fprintf", "abort", "exit", "assert", "defer",
}

// entryPoints are the functions that the harness calls, as far as its text tells, in their order.
func entryPoints(f Folder) []string {
	dir := f.Spec.Recipe().Harness
	files, err := fs.ReadDir(f.FS, dir)
	if err != nil {
		return nil
	}
	var out []string
	for _, e := range files {
		if !slices.Contains([]string{".c", ".go", ".js"}, path.Ext(e.Name())) || !e.Type().IsRegular() {
			continue
		}
		text, err := fs.ReadFile(f.FS, path.Join(dir, e.Name()))
		if err != nil || len(text) > maxInput {
			continue
		}
		text = asides.ReplaceAll(text, nil)
		own := map[string]bool{}
		for _, m := range defined.FindAllSubmatch(text, -1) {
			own[string(m[1])] = true
		}
		for _, m := range called.FindAllSubmatch(text, -1) {
			name := string(m[1])
			if !own[name] && !slices.Contains(notEntries, name) && !slices.Contains(out, name) && len(out) < 20 {
				out = append(out, name)
			}
		}
	}
	return out
}

// Filed is a confirmed finding of a campaign as its folder holds it, beside the proof and the signed reproduction: a claim, as
// `finding submit` sends it, and what the machine saw.
type Filed struct {
	Claim
	Class     string            `json:"class"`
	Signature string            `json:"signature"`
	Frames    []string          `json:"frames,omitempty"`
	Target    proofhouse.Digest `json:"target"` // of the folder's archive
	Proof     proofhouse.Digest `json:"proof"`
	// Statement is the digest of reproduction.json.
	Statement proofhouse.Digest `json:"reproduction"`
}

// Discovery is how a campaign finds.
type Discovery struct{ Method, Tooling, AI string }

// File makes a finding of a confirmed reproduction.
func File(spec Spec, archive, proof, statement proofhouse.Digest, r Reproduction, by Discovery) (Filed, error) {
	if r.Verdict != Confirmed {
		return Filed{}, proofhouse.Errorf(proofhouse.Refused, nil, "what is not confirmed is not filed")
	}
	p, err := packageurl.FromString(spec.Purl)
	if err != nil {
		return Filed{}, proofhouse.Errorf(proofhouse.Invalid, err, "the target's purl cannot be read")
	}
	class, function, _ := strings.Cut(r.Signature, ":")
	if len(r.Frames) > 0 {
		function = r.Frames[0]
	}
	f := Filed{
		Claim: Claim{Purl: spec.Purl, Versions: []string{p.Version}, Method: by.Method, Tooling: by.Tooling, AI: by.AI, Marking: proofhouse.Red, Symbol: Symbol{Function: printable(function, maxWord)}},
		Class: class, Signature: r.Signature, Frames: r.Frames, Target: archive, Proof: proof, Statement: statement,
	}
	what := class
	if function != "" {
		what += " in " + function
	}
	f.Title = printable(what+" of "+p.Name+" "+p.Version, maxTitle)
	f.Description = printable(fmt.Sprintf("One input makes %s %s break: %s. It %s.", p.Name, p.Version, what, r.Reason), maxText)
	return f, f.Validate()
}

// Look is a break as cheap likeness sees it: the key of one line for a reader, and nothing that merges.
func (r Reproduction) Look() string {
	class, _, _ := strings.Cut(r.Signature, ":")
	return strings.Join(append([]string{class}, r.Frames[:min(3, len(r.Frames))]...), " < ")
}
