package page

import (
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// piece is a heading, a list, a table or a run of words in a paragraph of a report.
type piece struct {
	head  string
	items []string
	rows  [][]string // of a table: the first is its head
	right []bool     // which of its columns are set to the right
	words string
}

// pieces are what a paragraph of a report is made of, by the lines that it has as Markdown. Nothing of it is left out: what
// is none of the others is words.
func pieces(text string) (all []piece) {
	words := false // the last piece is words that go on
	for lines := strings.Split(text, "\n"); len(lines) > 0; {
		p, n := block(lines)
		switch {
		case n > 0:
			all, words = append(all, p), false
		case words:
			all[len(all)-1].words += "\n" + lines[0]
			n = 1
		default:
			all, words, n = append(all, piece{words: lines[0]}), true, 1
		}
		lines = lines[n:]
	}
	return all
}

// block is the piece that lines begin with and how many of them it is, 0 if they begin with words.
func block(lines []string) (p piece, n int) {
	if mark := strings.TrimLeft(lines[0], "#"); strings.HasPrefix(mark, " ") && mark != lines[0] {
		return piece{head: strings.TrimSpace(mark)}, 1
	}
	if right, ok := table(lines); ok {
		p = piece{rows: [][]string{cells(lines[0])}, right: right}
		for n = 2; n < len(lines) && barred(lines[n]); n++ {
			p.rows = append(p.rows, cells(lines[n]))
		}
		return p, n
	}
	for ; n < len(lines); n++ {
		if item, ok := strings.CutPrefix(lines[n], "- "); ok {
			p.items = append(p.items, item)
		} else if n > 0 && strings.HasPrefix(lines[n], "  ") {
			p.items[len(p.items)-1] += "\n" + lines[n]
		} else {
			break
		}
	}
	return p, n
}

func barred(line string) bool {
	return utf8.RuneCountInString(line) > 1 && strings.HasPrefix(line, "|") && strings.HasSuffix(line, "|")
}

// ruled is a cell of the line under a table's head; with a colon at its end its column is set to the right.
var ruled = regexp.MustCompile(`^:?-+:?$`)

// table says whether lines begin a table, and which of its columns are set to the right.
func table(lines []string) (right []bool, ok bool) {
	if len(lines) < 2 || !barred(lines[0]) || !barred(lines[1]) {
		return nil, false
	}
	for _, c := range cells(lines[1]) {
		if !ruled.MatchString(c) {
			return nil, false
		}
		right = append(right, strings.HasSuffix(c, ":"))
	}
	return right, len(right) == len(cells(lines[0]))
}

// cells are those of a row. A bar with a backslash before it is one of the text.
func cells(line string) (all []string) {
	cell := ""
	inner := strings.TrimSuffix(strings.TrimPrefix(line, "|"), "|")
	for part := range strings.SplitSeq(inner, "|") {
		if before, ok := strings.CutSuffix(cell+part, `\`); ok {
			cell = before + "|"
			continue
		}
		all, cell = append(all, strings.TrimSpace(cell+part)), ""
	}
	if cell != "" { // the row ends with a backslash, before its last bar
		all = append(all, strings.TrimSpace(cell))
	}
	return all
}

// longWord is how many characters in a row make a cell one that may break within a word, such as a digest.
const longWord = 24

// class is how a cell is set.
func (p piece) class(column int, text string) string {
	var all []string
	if column < len(p.right) && p.right[column] {
		all = append(all, "number")
	}
	if slices.ContainsFunc(strings.Fields(text), func(w string) bool { return utf8.RuneCountInString(w) > longWord }) {
		all = append(all, "long")
	}
	return strings.Join(all, " ")
}
