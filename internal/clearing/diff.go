package clearing

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/bluekeyes/go-gitdiff/gitdiff"

	"proofhouse/internal/proofhouse"
	"proofhouse/internal/target"
)

// maxPatch bounds a patch that somebody brings, in bytes.
const maxPatch = 1 << 20

// Diff is a patch in the smallest pieces that can be left out: runs of changed
// lines with no unchanged line between them.
type Diff struct {
	files  []*gitdiff.File
	pieces []piece
}

// piece is a run of changed lines: lines from to until of a fragment of a file.
type piece struct{ file, fragment, from, until int }

// ParseDiff reads a unified diff of text files. What is none, is too long, or renames, copies or removes
// files or changes their modes, is proofhouse.Invalid.
func ParseDiff(patch []byte) (Diff, error) {
	bad := func(cause error, format string, args ...any) (Diff, error) {
		return Diff{}, proofhouse.Errorf(proofhouse.Invalid, cause, format, args...)
	}
	if len(patch) > maxPatch {
		return bad(nil, "the patch is longer than %d KiB", maxPatch>>10)
	}
	files, _, err := gitdiff.Parse(bytes.NewReader(patch))
	if err != nil {
		return bad(err, "the patch is no unified diff")
	}
	d := Diff{files: files}
	// Git's own headers say where the names begin; plain ones have an element before, which is dropped as by -p1.
	headers := bytes.Count(append([]byte("\n"), patch...), []byte("\ndiff --git "))
	if headers != 0 && headers != len(files) {
		return bad(nil, "the patch can be read in two ways: send a plain unified diff")
	}
	for i, f := range files {
		if headers == 0 {
			f.OldName, f.NewName = dropped(f.OldName), dropped(f.NewName)
		}
		if f.NewName == "" || !f.IsNew && f.OldName != f.NewName {
			return bad(nil, "the patch names a file in two ways, or none: its names begin with a/ and b/")
		}
		if f.IsBinary || f.IsCopy || f.IsRename || f.IsDelete || f.OldMode != f.NewMode && f.OldMode != 0 && f.NewMode != 0 {
			return bad(nil, "the patch renames, copies or removes a file, or changes its mode or one that is no text: send a diff of text")
		}
		for j, t := range f.TextFragments {
			for from := 0; from < len(t.Lines); from++ {
				if t.Lines[from].Op == gitdiff.OpContext {
					continue
				}
				until := from
				for until < len(t.Lines) && t.Lines[until].Op != gitdiff.OpContext {
					until++
				}
				d.pieces = append(d.pieces, piece{i, j, from, until})
				from = until
			}
		}
	}
	if len(d.pieces) == 0 {
		return bad(nil, "the patch changes nothing")
	}
	// Another reader lays patches over the source: neither may see a file that the other does not.
	touched, err := target.Touched(d.Whole())
	if err != nil || !slices.Equal(touched, d.Files()) {
		return bad(err, "the patch can be read in two ways: send a plain unified diff")
	}
	return d, nil
}

// Len is how many pieces there are.
func (d Diff) Len() int { return len(d.pieces) }

// dropped is a name without its first element.
func dropped(name string) string {
	_, rest, _ := strings.Cut(name, "/")
	return rest
}

// Whole is the patch as it was read, and nothing that stood around it.
func (d Diff) Whole() []byte {
	all := make([]int, len(d.pieces))
	for i := range all {
		all[i] = i
	}
	return d.Subset(all)
}

// wholes are patches as they were read.
func wholes(patches ...[]byte) ([][]byte, error) {
	var all [][]byte
	for _, p := range patches {
		d, err := ParseDiff(p)
		if err != nil {
			return nil, err
		}
		all = append(all, d.Whole())
	}
	return all, nil
}

// Files are the files that the patch changes, as they are named after it.
func (d Diff) Files() []string {
	var all []string
	for _, f := range d.files {
		all = append(all, f.NewName)
	}
	return all
}

// Changed counts the lines that are added and removed.
func (d Diff) Changed() (added, removed int64) {
	for _, f := range d.files {
		for _, t := range f.TextFragments {
			added, removed = added+t.LinesAdded, removed+t.LinesDeleted
		}
	}
	return added, removed
}

// Removes says whether the patch takes lines of a file away, or changes them.
func (d Diff) Removes(file string) bool {
	for _, f := range d.files {
		if f.NewName != file {
			continue
		}
		for _, t := range f.TextFragments {
			if t.LinesDeleted > 0 {
				return true
			}
		}
	}
	return false
}

// wording is what code calls things by: names, numbers and texts.
var wording = regexp.MustCompile("[\\pL_][\\pL\\pN_]*|\\pN[\\pL\\pN_.]*|\"(?:[^\"\\\\]|\\\\.)*\"|'(?:[^'\\\\]|\\\\.)*'|`[^`]*`|\\s+")

// Change is what the patch does, in which files, with names, numbers, texts and blanks left out: the digest is one for a check and for the same check of
// another thing.
func (d Diff) Change() proofhouse.Digest {
	var all []string
	for _, p := range d.pieces {
		f := d.files[p.file]
		text := f.NewName
		for _, l := range f.TextFragments[p.fragment].Lines[p.from:p.until] {
			text += "\n" + l.Op.String() + wording.ReplaceAllStringFunc(l.Line, func(word string) string {
				if strings.TrimSpace(word) == "" {
					return ""
				}
				return "x"
			})
		}
		all = append(all, text)
	}
	slices.Sort(all)
	return proofhouse.DigestOf([]byte(strings.Join(all, "\n\n")))
}

// swallowing are the ways by which code keeps a break from showing.
var swallowing = regexp.MustCompile(`\b(recover|sigaction|signal|bsd_signal|sigsetjmp|setjmp|longjmp|__asan_\w+|__sanitizer_\w+|no_sanitize\w*|uncaughtException|debug\.SetPanicOnFault)\b`)

// swallows is a word in what the patch adds that keeps a break from showing, or "".
func (d Diff) swallows() string {
	for _, f := range d.files {
		for _, t := range f.TextFragments {
			for _, l := range t.Lines {
				if l.Op == gitdiff.OpAdd {
					if word := swallowing.FindString(l.Line); word != "" {
						return word
					}
				}
			}
		}
	}
	return ""
}

// Makes says whether the patch makes the file.
func (d Diff) Makes(file string) bool {
	for _, f := range d.files {
		if f.NewName == file {
			return f.IsNew
		}
	}
	return false
}

// Subset is the patch with the given pieces alone, in ascending order. What the others
// add is left out, and what they take away stays.
func (d Diff) Subset(keep []int) []byte {
	kept := map[piece]bool{}
	for _, i := range keep {
		kept[d.pieces[i]] = true
	}
	var out bytes.Buffer
	for i, f := range d.files {
		var body strings.Builder
		for j, t := range f.TextFragments {
			if text, ok := d.fragment(i, j, t, kept); ok {
				body.WriteString(text)
			}
		}
		if body.Len() == 0 {
			continue
		}
		from, to := "a/"+f.OldName, "b/"+f.NewName
		if f.IsNew {
			from = "/dev/null"
		}
		fmt.Fprintf(&out, "--- %s\n+++ %s\n%s", from, to, body.String())
	}
	return out.Bytes()
}

// fragment is a fragment with the kept pieces alone.
func (d Diff) fragment(file, at int, t *gitdiff.TextFragment, kept map[piece]bool) (string, bool) {
	on := make([]bool, len(t.Lines))
	some := false
	for p := range kept {
		if p.file == file && p.fragment == at {
			some = true
			for i := p.from; i < p.until; i++ {
				on[i] = true
			}
		}
	}
	if !some {
		return "", false
	}
	var body strings.Builder
	var before, after int64
	for i, l := range t.Lines {
		op := l.Op
		if !on[i] {
			if op == gitdiff.OpAdd {
				continue
			}
			op = gitdiff.OpContext
		}
		if op != gitdiff.OpAdd {
			before++
		}
		if op != gitdiff.OpDelete {
			after++
		}
		body.WriteString(op.String() + l.Line)
		if l.NoEOL() {
			body.WriteString("\n\\ No newline at end of file\n")
		}
	}
	return fmt.Sprintf("@@ -%d,%d +%d,%d @@\n%s", t.OldPosition, before, t.NewPosition, after, body.String()), true
}
