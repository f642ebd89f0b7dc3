package target

import (
	"bytes"
	"path"
	"strconv"
	"strings"

	"proofhouse/internal/proofhouse"
)

// filePatch is what one patch does to one file. An empty from makes the file,
// an empty to removes it.
type filePatch struct {
	from, to string
	hunks    []hunk
}

// hunk is a run of changed lines with their surroundings. Lines keep their
// newline, so that a last line without one is told apart.
type hunk struct {
	line     int // of the old file, from 1
	old, new [][]byte
	lead     int // unchanged lines at the start
	trail    int // unchanged lines at the end
}

// parsePatch reads a unified diff, as kept in debian/patches. Text before and
// between the files' parts is skipped; strip is the -p level.
func parsePatch(b []byte, strip int) ([]filePatch, error) {
	var out []filePatch
	lines := bytes.SplitAfter(b, []byte("\n"))
	bad := func(i int) error {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "line %d of a patch is not a unified diff's", i+1)
	}
	for i := 0; i < len(lines); i++ {
		if bytes.HasPrefix(lines[i], []byte("GIT binary patch")) {
			return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "the patch changes a binary file, which is not supported")
		}
		if !bytes.HasPrefix(lines[i], []byte("--- ")) || i+2 >= len(lines) || !bytes.HasPrefix(lines[i+1], []byte("+++ ")) || !bytes.HasPrefix(lines[i+2], []byte("@@ -")) {
			continue
		}
		p := filePatch{from: patchName(lines[i], strip), to: patchName(lines[i+1], strip)}
		if p.from == "" && p.to == "" {
			return nil, bad(i)
		}
		i += 2
		for i < len(lines) && bytes.HasPrefix(lines[i], []byte("@@ -")) {
			h, next, ok := parseHunk(lines, i)
			if !ok {
				return nil, bad(next)
			}
			p.hunks, i = append(p.hunks, h), next
		}
		i--
		out = append(out, p)
	}
	return out, nil
}

// patchName reads the name of a ---/+++ line; "" is /dev/null.
func patchName(line []byte, strip int) string {
	name, _, _ := strings.Cut(strings.TrimRight(string(line[4:]), "\r\n"), "\t")
	if name = strings.TrimSpace(name); name == "/dev/null" {
		return ""
	}
	for range strip {
		_, rest, ok := strings.Cut(name, "/")
		if !ok {
			break
		}
		name = rest
	}
	return path.Clean(name)
}

func parseHunk(lines [][]byte, i int) (h hunk, next int, ok bool) {
	head := strings.Fields(string(lines[i]))
	if len(head) < 4 {
		return h, i, false
	}
	at, oldLeft, ok1 := hunkRange(head[1], "-")
	_, newLeft, ok2 := hunkRange(head[2], "+")
	if !ok1 || !ok2 {
		return h, i, false
	}
	h.line = at
	changed := false
	for i++; i < len(lines) && (oldLeft > 0 || newLeft > 0); i++ {
		l := lines[i]
		if len(l) == 0 {
			return h, i, false
		}
		body, same := l[1:], false
		switch l[0] {
		case ' ', '\t':
			if l[0] == '\t' {
				body = l // a mail program ate the blank
			}
			same = true
			h.old, h.new = append(h.old, body), append(h.new, body)
			oldLeft, newLeft = oldLeft-1, newLeft-1
		case '\n', '\r':
			same = true
			h.old, h.new = append(h.old, l), append(h.new, l)
			oldLeft, newLeft = oldLeft-1, newLeft-1
		case '-':
			h.old, oldLeft = append(h.old, body), oldLeft-1
		case '+':
			h.new, newLeft = append(h.new, body), newLeft-1
		case '\\':
			h.chomp(lines[i-1])
			continue
		default:
			return h, i, false
		}
		switch {
		case !same:
			changed, h.trail = true, 0
		case !changed:
			h.lead++
		default:
			h.trail++
		}
	}
	if i < len(lines) && bytes.HasPrefix(lines[i], []byte(`\`)) {
		h.chomp(lines[i-1])
		i++
	}
	return h, i, oldLeft == 0 && newLeft == 0
}

// chomp takes the newline off the last line, as "\ No newline at end of file"
// below prev says.
func (h *hunk) chomp(prev []byte) {
	cut := func(l [][]byte) {
		if n := len(l); n > 0 {
			l[n-1] = bytes.TrimSuffix(l[n-1], []byte("\n"))
		}
	}
	if prev[0] != '+' {
		cut(h.old)
	}
	if prev[0] != '-' {
		cut(h.new)
	}
}

func hunkRange(s, sign string) (at, n int, ok bool) {
	s, ok = strings.CutPrefix(s, sign)
	a, b, two := strings.Cut(s, ",")
	at, err := strconv.Atoi(a)
	n = 1
	if err == nil && two {
		n, err = strconv.Atoi(b)
	}
	return at, n, ok && err == nil && at >= 0 && n >= 0 && n < 1<<24
}

// apply changes t as a patch says. fuzz is how many lines of each hunk's
// surroundings may differ, as in patch -F.
func (t tree) apply(b []byte, strip, fuzz int) error {
	files, err := parsePatch(b, strip)
	if err != nil {
		return err
	}
	for _, p := range files {
		name := p.to
		if name == "" {
			name = p.from
		} else if _, ok := t[name]; !ok && p.from != "" {
			if _, ok := t[p.from]; ok {
				name = p.from
			}
		}
		n := t[name]
		if n.link != "" {
			return proofhouse.Errorf(proofhouse.Invalid, nil, "the patch changes %s, which is a link", clip(name))
		}
		data, ok := applyHunks(n.data, p.hunks, fuzz)
		if !ok {
			return proofhouse.Errorf(proofhouse.Invalid, nil, "a patch does not fit %s any more", clip(name))
		}
		if p.to == "" && len(data) == 0 {
			delete(t, name)
			continue
		}
		if err := t.add(name, node{data: data, exec: n.exec}); err != nil {
			return err
		}
	}
	return nil
}

// applyHunks applies hunks in order. Each is looked for nearest to where the
// ones before it moved it, first with all its surroundings, then with fewer.
func applyHunks(data []byte, hunks []hunk, fuzz int) ([]byte, bool) {
	src := bytes.SplitAfter(data, []byte("\n"))
	if len(src[len(src)-1]) == 0 {
		src = src[:len(src)-1]
	}
	var out []byte
	done, offset := 0, 0
	for _, h := range hunks {
		at, cutLead, cutTrail := -1, 0, 0
		for f := 0; f <= fuzz && at < 0; f++ {
			cutLead, cutTrail = min(f, h.lead), min(f, h.trail)
			want := h.line - 1 + offset + cutLead
			if len(h.old) == 0 {
				want = h.line + offset // "-0,0" and insertions name the line before
			}
			at = find(src, h.old[cutLead:len(h.old)-cutTrail], done, want)
		}
		if at < 0 {
			return nil, false
		}
		old, repl := h.old[cutLead:len(h.old)-cutTrail], h.new[cutLead:len(h.new)-cutTrail]
		offset = at - cutLead - (h.line - 1)
		if len(h.old) == 0 {
			offset = at - h.line
		}
		for _, l := range src[done:at] {
			out = append(out, l...)
		}
		for _, l := range repl {
			out = append(out, l...)
		}
		done = at + len(old)
	}
	for _, l := range src[done:] {
		out = append(out, l...)
	}
	return out, true
}

// find looks for want in src at or after from, nearest to guess first.
func find(src, want [][]byte, from, guess int) int {
	fits := func(at int) bool {
		if at < from || at+len(want) > len(src) {
			return false
		}
		for i, l := range want {
			if !bytes.Equal(src[at+i], l) {
				return false
			}
		}
		return true
	}
	for d := 0; d <= len(src)+max(guess, 0); d++ {
		if fits(guess - d) {
			return guess - d
		}
		if fits(guess + d) {
			return guess + d
		}
	}
	return -1
}
