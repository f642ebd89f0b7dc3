package agent

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"path"
	"regexp"
	"strconv"
	"strings"

	"proofhouse/internal/oracle"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
	"proofhouse/internal/target"
)

// candidate is an input that the fuzzer wrote down.
type candidate struct {
	kind  string // what the fuzzer calls the break
	input []byte
}

// maxListed bounds the files of the box that are looked at.
const maxListed = 20000

// wanted are the beginnings of a candidate's name by symptom, over all
// fuzzers: ours write "panic-<place>-<n>", libFuzzer "crash-<hash>".
var wanted = map[oracle.Symptom][]string{
	oracle.Crash:     {"crash-", "panic-", "exception-", "fatal-", "leak-"},
	oracle.Hang:      {"hang-", "timeout-", "slow-"},
	oracle.Memory:    {"alloc-", "memory-", "oom-"},
	oracle.Escape:    {"escape-"},
	oracle.Pollution: {"polluted-", "pollution-"},
	oracle.Canary:    {"canary-"},
	oracle.Forged:    {"forged-"},
}

// fresh gives the candidates that were not seen before and fit the symptom. A
// folder that is not there yet is empty.
func (h *hunt) fresh(ctx context.Context) ([]candidate, error) {
	entries, err := h.list(ctx, candidateDir)
	if err != nil {
		return nil, err
	}
	var found []candidate
	for _, e := range entries {
		name := path.Base(e.Path)
		if !e.Mode.IsRegular() || e.Size > h.s.Task.MaxBytes || h.seen[e.Path] || !fits(h.s.Task.Symptom, name) {
			continue
		}
		h.seen[e.Path] = true
		if c, ok := h.fetch(ctx, e.Path, kindOf(name)); ok {
			found = append(found, c)
		}
	}
	if h.s.Task.Language != target.Go {
		return found, nil
	}
	crashers, err := h.crashers(ctx)
	return append(found, crashers...), err
}

// list is the content of a folder of the box, nothing if it is not there.
func (h *hunt) list(ctx context.Context, dir string) ([]sandbox.Entry, error) {
	entries, err := h.s.Box.List(ctx, dir, maxListed)
	switch {
	case err == nil:
		return entries, nil
	case proofhouse.KindOf(err) == proofhouse.NotFound, errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case proofhouse.KindOf(err) == proofhouse.Limit:
		return nil, errDone // a fuzzer that floods its folder finds nothing more
	}
	return nil, err
}

// crashers are what Go's fuzzer itself wrote down when a worker died of what
// no program can recover from.
func (h *hunt) crashers(ctx context.Context) ([]candidate, error) {
	var found []candidate
	entries, err := h.list(ctx, h.crashed)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if !e.Mode.IsRegular() || h.seen[e.Path] {
			continue
		}
		h.seen[e.Path] = true
		if c, ok := h.fetch(ctx, e.Path, "died"); ok {
			if c.input, err = ParseCorpus(c.input); err == nil && int64(len(c.input)) <= h.s.Task.MaxBytes {
				found = append(found, c)
			}
		}
	}
	return found, nil
}

// fetch reads a file of the box; one that is gone or seen is passed over.
func (h *hunt) fetch(ctx context.Context, name, kind string) (candidate, bool) {
	var b bytes.Buffer
	if err := h.s.Box.CopyOut(ctx, name, &b, 5*h.s.Task.MaxBytes+1024); err != nil {
		delete(h.seen, name) // it may be whole next time
		return candidate{}, false
	}
	digest := string(proofhouse.DigestOf(b.Bytes()))
	if h.seen[digest] {
		return candidate{}, false
	}
	h.seen[digest] = true
	h.candidates++
	return candidate{kind, b.Bytes()}, true
}

func fits(symptom oracle.Symptom, name string) bool {
	for _, prefix := range wanted[symptom] {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// kindOf is a name without the number or hash at its end: what is in it
// besides tells one place of breaking from another.
func kindOf(name string) string {
	if i := strings.LastIndexByte(name, '-'); i > 0 {
		return name[:i]
	}
	return name
}

var (
	asanClass = regexp.MustCompile(`(?m)^==\d+==\s*ERROR: \w+: ([\w-]+)`)
	asanFrame = regexp.MustCompile(`(?m)^\s*#\d+ 0x[0-9a-f]+ .*\((/target/[^)]*\+0x[0-9a-f]+)\)`)
	goFrame   = regexp.MustCompile(`(?m)^\t(\S+\.go:\d+)`)
	nodeFrame = regexp.MustCompile(`(?m)^\s+at .*?([^/\s(]+\.js:\d+)`)
)

// crashSite is where a program says that it broke: the class and the frames
// nearest to it. It only keeps an agent from submitting one break many times;
// nothing that counts rests on it.
func crashSite(stderr sandbox.Output) string {
	text := string(stderr.Head)
	var parts []string
	if m := asanClass.FindStringSubmatch(text); m != nil {
		parts = append(parts, m[1])
	}
	for _, re := range []*regexp.Regexp{asanFrame, goFrame, nodeFrame} {
		for _, m := range re.FindAllStringSubmatch(text, 40) {
			if !strings.Contains(m[1], "/usr/local/go/src/runtime/") && len(parts) < 4 {
				parts = append(parts, m[1])
			}
		}
		if len(parts) > 1 {
			break
		}
	}
	return strings.Join(parts, " ")
}

// ParseCorpus reads an input out of a file that Go's fuzzer writes, with one
// argument of type []byte.
func ParseCorpus(file []byte) ([]byte, error) {
	bad := func(what string) ([]byte, error) {
		return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "this is no corpus file of Go's fuzzer: %s", what)
	}
	version, rest, _ := strings.Cut(string(file), "\n")
	if strings.TrimRight(version, "\r") != "go test fuzz v1" {
		return bad("its first line is not \"go test fuzz v1\"")
	}
	rest = strings.Trim(rest, "\r\n")
	literal, ok := strings.CutPrefix(rest, "[]byte(")
	if !ok {
		return bad("its argument is not a []byte")
	}
	if literal, ok = strings.CutSuffix(literal, ")"); !ok || strings.ContainsRune(literal, '\n') {
		return bad("it has more than one argument")
	}
	if len(literal) < 2 || literal[0] == '\'' {
		return bad("its argument is not quoted")
	}
	text, err := strconv.Unquote(literal)
	if err != nil {
		return bad("its argument is not quoted")
	}
	return []byte(text), nil
}
