package proofhouse_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const internal = "proofhouse/internal/"

// layers lists the parts from the ground up. A part may import any part of a
// lower row that the table below grants it, and nothing of its own row or
// above. A package below a part, such as sandbox/gvisor, stands in the part's
// row and may import the part.
var layers = [][]string{
	{"proofhouse"},
	{"chat", "ledger", "policy", "sandbox", "vault"},
	{"target"},
	{"docket", "gate", "oracle"},
	{"bench", "clearing", "referral"},
	{"store", "api"},
	{"web"},
	{"app"},
	{"cli"},
}

// imports is the table of ARCHITECTURE.md: what a part may import besides
// proofhouse. "*" is every part of a lower row.
var imports = map[string][]string{
	"proofhouse": {}, "chat": {}, "ledger": {}, "policy": {}, "sandbox": {}, "vault": {},
	"docket":   {"ledger", "policy", "vault"},
	"target":   {"sandbox"},
	"gate":     {"chat", "policy", "ledger", "vault"},
	"oracle":   {"target", "sandbox", "ledger"},
	"bench":    {"chat", "sandbox", "target", "oracle", "policy", "ledger", "bench/stat"},
	"clearing": {"target", "oracle", "vault", "ledger", "policy"},
	"referral": {"target", "oracle", "vault", "ledger", "policy"},
	"store":    {"*"}, "api": {"*"}, "app": {"*"},
	"web": {"api", "docket", "clearing", "policy", "bench", "bench/report", "sandbox", "chat"}, // of api the messages, api/wire
	"cli": {"*"},
}

// TestLayering reports every import that goes sideways or up, and every
// package without a package comment.
//
// It parses the files itself rather than asking go list: the test cache sees
// the files a test opens, not those that a command it runs opens.
func TestLayering(t *testing.T) {
	documented := map[string]bool{} // package, and whether some file has its comment
	err := filepath.WalkDir("internal", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == "testdata":
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		pkg := strings.TrimPrefix(filepath.ToSlash(filepath.Dir(name)), "internal/")
		documented[pkg] = documented[pkg] || f.Doc != nil
		for _, spec := range f.Imports {
			imp, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if dep, ok := strings.CutPrefix(imp, internal); ok {
				if why := forbidden(pkg, dep); why != "" {
					t.Errorf("%s: %s imports %s: %s", name, pkg, dep, why)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for pkg, ok := range documented {
		if !ok {
			t.Errorf("%s has no package comment", pkg)
		}
	}
}

// TestForbidden shows that the rule itself says no where it should.
func TestForbidden(t *testing.T) {
	for _, c := range []struct {
		pkg, dep string
		ok       bool
	}{
		{"bench", "oracle", true},
		{"bench", "bench/stat", true},
		{"bench", "gate", false},            // no way round the gate
		{"bench", "docket", false},          // a case id is all it holds
		{"target", "oracle", false},         // up
		{"sandbox", "ledger", false},        // sideways
		{"target", "sandbox/gvisor", false}, // an implementation
		{"sandbox/gvisor", "sandbox", true},
		{"sandbox/gvisor", "sandbox/bwrap", true}, // judged by its part: both are sandbox's
		{"app", "sandbox/gvisor", true},
		{"cli", "sandbox/gvisor", false},
		{"oracle", "sandbox/sandboxtest", false}, // for tests
		{"utils", "proofhouse", false},           // in no layer
	} {
		if why := forbidden(c.pkg, c.dep); (why == "") != c.ok {
			t.Errorf("%s imports %s: got %q, want allowed %v", c.pkg, c.dep, why, c.ok)
		}
	}
}

// forbidden says why pkg may not import dep, or "".
func forbidden(pkg, dep string) string {
	row := map[string]int{}
	for i, parts := range layers {
		for _, p := range parts {
			row[p] = i
		}
	}
	part, below, _ := strings.Cut(pkg, "/")
	depPart, depBelow, _ := strings.Cut(dep, "/")
	r, ok := row[part]
	if !ok {
		return "the importer is in no layer"
	}
	dr, ok := row[depPart]
	granted := imports[part]
	switch {
	case !ok:
		return "it is in no layer"
	case strings.HasSuffix(path.Base(dep), "test") && path.Base(pkg) != path.Base(dep):
		return "it is for tests"
	case part == depPart && below == depBelow:
		return "it is a sibling"
	case part == depPart:
		return ""
	case dr >= r:
		return "it is not below"
	case depBelow != "" && part != "app" && dep != "api/wire" && !slices.Contains(granted, dep):
		return "only app names implementations"
	case depPart != "proofhouse" && !slices.Contains(granted, "*") && !slices.Contains(granted, depPart):
		return "the table does not grant it"
	}
	return ""
}
