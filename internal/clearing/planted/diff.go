package planted

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
)

const around = 3 // unchanged lines around a hunk

// diffTrees is the unified diff, in git's style, that turns one set of files
// into another.
func diffTrees(from, to map[string][]byte) []byte {
	names := map[string]bool{}
	for name := range from {
		names[name] = true
	}
	for name := range to {
		names[name] = true
	}
	var out bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(names)) {
		a, old := from[name]
		b, kept := to[name]
		if bytes.Equal(a, b) && old == kept {
			continue
		}
		fmt.Fprintf(&out, "diff --git a/%s b/%s\n", name, name)
		left, right := "a/"+name, "b/"+name
		if !old {
			out.WriteString("new file mode 100644\n")
			left = "/dev/null"
		}
		if !kept {
			out.WriteString("deleted file mode 100644\n")
			right = "/dev/null"
		}
		fmt.Fprintf(&out, "--- %s\n+++ %s\n", left, right)
		diffLines(&out, lines(a), lines(b))
	}
	return out.Bytes()
}

func lines(b []byte) []string {
	var out []string
	for l := range bytes.Lines(b) {
		out = append(out, string(l))
	}
	return out
}

// edit is one line of a diff: ' ', '-' or '+'.
type edit struct {
	op   byte
	line string
}

// edits are the changes of a longest common subsequence.
func edits(a, b []string) []edit {
	common := make([][]int, len(a)+1)
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	var out []edit
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			out = append(out, edit{' ', a[i]})
			i, j = i+1, j+1
		case i < len(a) && (j == len(b) || common[i+1][j] >= common[i][j+1]):
			out = append(out, edit{'-', a[i]})
			i++
		default:
			out = append(out, edit{'+', b[j]})
			j++
		}
	}
	return out
}

// hunk is a run of changes with what is around it, and how many lines of the
// two files stand before it.
type hunk struct {
	oldAt, newAt int
	edits        []edit
}

func hunks(a, b []string) []hunk {
	all := edits(a, b)
	var out []hunk
	var h hunk
	for at := 0; at < len(all); {
		first := at
		for first < len(all) && all[first].op == ' ' {
			first++
		}
		if first == len(all) {
			break
		}
		last := first // of the hunk's changes
		for i := first; i < len(all) && i-last <= 2*around; i++ {
			if all[i].op != ' ' {
				last = i
			}
		}
		from, to := max(at, first-around), min(len(all), last+1+around)
		for _, e := range all[at:from] {
			h.step(e)
		}
		h.edits = all[from:to]
		out = append(out, h)
		for _, e := range h.edits {
			h.step(e)
		}
		at = to
	}
	return out
}

func (h *hunk) step(e edit) {
	if e.op != '+' {
		h.oldAt++
	}
	if e.op != '-' {
		h.newAt++
	}
}

// side is a hunk's lines without those of the operation.
func (h hunk) side(without byte) []string {
	var out []string
	for _, e := range h.edits {
		if e.op != without {
			out = append(out, e.line)
		}
	}
	return out
}

// diffLines writes the hunks; every line ends in a newline, since all files
// made here do.
func diffLines(out *bytes.Buffer, a, b []string) {
	for _, h := range hunks(a, b) {
		fmt.Fprintf(out, "@@ -%s +%s @@\n", span(h.oldAt, len(h.side('+'))), span(h.newAt, len(h.side('-'))))
		for _, e := range h.edits {
			out.WriteByte(e.op)
			out.WriteString(e.line)
		}
	}
}

// span is a hunk's range: the first line from 1, or the line before an empty
// range.
func span(before, n int) string {
	if n > 0 {
		before++
	}
	if n == 1 {
		return fmt.Sprint(before)
	}
	return fmt.Sprintf("%d,%d", before, n)
}

// fits says whether the difference between from and to can be applied to base.
func fits(base, from, to map[string][]byte) bool {
	for name, b := range to {
		if bytes.Equal(from[name], b) {
			continue
		}
		for _, h := range hunks(lines(from[name]), lines(b)) {
			if !strings.Contains(string(base[name]), strings.Join(h.side('+'), "")) {
				return false
			}
		}
	}
	return true
}
