package docket

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/design/docket.md anew")

// TestPage holds the page's table to the code.
func TestPage(t *testing.T) {
	const name = "../../docs/design/docket.md"
	page, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	table.WriteString("<!-- moves -->\n| act | by | engagement | access | after withdrawal |\n|---|---|---|---|---|\n")
	for _, k := range Kinds {
		m := k.Move()
		after := "no"
		if m.Withdrawn {
			after = "yes"
		}
		fmt.Fprintf(&table, "| %s | %s | %s | %s | %s |\n", k, list(m.By), list(m.Engagement), list(m.Access), after)
	}
	before, rest, found := strings.Cut(string(page), "<!-- moves -->")
	_, behind, closed := strings.Cut(rest, "<!-- end -->")
	if !found || !closed {
		t.Fatal("the page has no place for the table")
	}
	want := before + table.String() + "<!-- end -->" + behind
	if *update {
		if err := os.WriteFile(name, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if string(page) != want {
		t.Error("docs/design/docket.md is not what the code says: run go test ./internal/docket -update")
	}
}
