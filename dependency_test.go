package proofhouse_test

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/mod/modfile"
)

// TestDependencies reports every direct dependency without a line that says
// why, and every line without a dependency.
func TestDependencies(t *testing.T) {
	raw, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	mod, err := modfile.Parse("go.mod", raw, nil)
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("docs/design/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]bool{}
	for line := range strings.Lines(string(page)) {
		if rest, ok := strings.CutPrefix(line, "| `"); ok {
			name, _, _ := strings.Cut(rest, "`")
			said[name] = true
		}
	}
	for _, r := range mod.Require {
		switch {
		case !r.Indirect && !said[r.Mod.Path]:
			t.Errorf("docs/design/dependencies.md does not say why %s", r.Mod.Path)
		case r.Indirect && said[r.Mod.Path]:
			t.Errorf("docs/design/dependencies.md explains %s, which is not used directly", r.Mod.Path)
		}
		delete(said, r.Mod.Path)
	}
	for name := range said {
		t.Errorf("docs/design/dependencies.md explains %s, which is not in go.mod", name)
	}
}
