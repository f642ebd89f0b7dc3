package page

import (
	"fmt"
	"strings"
	"testing"
)

// TestPieces: what looks like a heading, a list or a table is one, and whatever else is words; nothing is lost.
func TestPieces(t *testing.T) {
	for text, want := range map[string]string{
		"one\ntwo":                        "words(one\ntwo)",
		"# a":                             "head(a)",
		"### What was measured\nand more": "head(What was measured) words(and more)",
		"#none":                           "words(#none)",
		"before\n- a\n  b\n- c\nafter":    "words(before) items([a\n  b c]) words(after)",
		"  - no item":                     "words(  - no item)",
		"| a | b |\n|---|--:|\n| 1 | 2 |": "rows([[a b] [1 2]] [false true])",
		"| a | b |\n|---|--:|\n| 1 |\n| 1 | 2 | 3 |\nafter": "rows([[a b] [1] [1 2 3]] [false true]) words(after)",
		`| a \| b | c |` + "\n|:-|:-:|":                     "rows([[a | b c]] [false true])",
		`| a | b\|` + "\n|-|-|":                             "rows([[a b|]] [false false])",
		"| a | b |\n| c | d |":                              "words(| a | b |\n| c | d |)",
		"| a | b |\n|---|":                                  "words(| a | b |\n|---|)",
		"|\n|":                                              "words(|\n|)",
		"a\n# b\n|c|\n|-|\nd":                               "words(a) head(b) rows([[c]] [false]) words(d)",
		"<b>words</b>":                                      "words(<b>words</b>)",
	} {
		var got []string
		for _, p := range pieces(text) {
			switch {
			case p.head != "":
				got = append(got, fmt.Sprintf("head(%s)", p.head))
			case p.items != nil:
				got = append(got, fmt.Sprintf("items(%v)", p.items))
			case p.rows != nil:
				got = append(got, fmt.Sprintf("rows(%v %v)", p.rows, p.right))
			default:
				got = append(got, fmt.Sprintf("words(%s)", p.words))
			}
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%q is %s, not %s", text, s, want)
		}
	}
}
