package oracle

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"
)

var (
	goHead       = regexp.MustCompile(`(?m)^(panic|fatal error|runtime): ([^\n]*)`)
	goHeadWithin = regexp.MustCompile(`(panic|fatal error): ([^\n]*)`)
	goGoroutine  = regexp.MustCompile(`(?m)^goroutine [0-9]+ (?:gp=0x[0-9a-f]+ m=[^\n]*? )?\[[^\]\n]{1,64}\]:\n`)
	goFile       = regexp.MustCompile(`^\t([^\n]+?):([0-9]+)(?: \+0x[0-9a-f]+)?(?: fp=[^\n]*)?\s*$`)
	goNumbers    = regexp.MustCompile(`\[[-0-9:]+\]|0x[0-9a-f]+|\b[0-9]+\b`)
)

// goPhrases name the classes of Go's run-time errors, the first that fits.
var goPhrases = []struct{ phrase, class string }{
	{"index out of range", "index out of range"},
	{"slice bounds out of range", "slice bounds out of range"},
	{"nil pointer dereference", "nil pointer dereference"},
	{"integer divide by zero", "integer divide by zero"},
	{"assignment to entry in nil map", "assignment to entry in nil map"},
	{"makeslice: len out of range", "makeslice"},
	{"makeslice: cap out of range", "makeslice"},
	{"growslice: len out of range", "growslice"},
	{"makechan: size out of range", "makechan"},
	{"interface conversion", "interface conversion"},
	{"hash of unhashable type", "hash of unhashable type"},
	{"comparing uncomparable type", "comparing uncomparable type"},
	{"cannot convert slice", "slice conversion"},
	{"negative shift amount", "negative shift amount"},
	{"unexpected fault address", "unexpected fault address"},
	{"close of closed channel", "close of closed channel"},
	{"close of nil channel", "close of nil channel"},
	{"send on closed channel", "send on closed channel"},
	{"stack overflow", "stack overflow"},
	{"all goroutines are asleep", "deadlock"},
	{"concurrent map", "concurrent map access"},
	{"negative WaitGroup counter", "negative WaitGroup counter"},
}

// goMemory are the runtime's words for the end of the memory or of the threads.
var goMemory = []string{"out of memory", "cannot allocate memory", "failed to create new OS thread", "newosproc", "cannot map pages"}

// parseGo reads the panic or fatal error at the end of a Go program's stderr.
// The caller has checked the exit status: the text alone proves nothing.
//
// The last head that a goroutine's stack follows is the one that ended the
// program, whatever was printed before it.
func parseGo(b []byte) (crash, bool) {
	b = b[max(0, len(b)-maxReport):]
	stacks := goGoroutine.FindAllIndex(b, -1)
	if len(stacks) == 0 {
		return crash{}, false
	}
	heads := goHead.FindAllSubmatchIndex(b, -1)
	if heads == nil {
		// The program's own last line was not ended.
		heads = goHeadWithin.FindAllSubmatchIndex(b, -1)
	}
	var head []int
	for _, h := range heads {
		if h[0] < stacks[len(stacks)-1][0] && string(b[h[2]:h[3]]) != "runtime" {
			head = h
		}
	}
	if head == nil {
		return crash{}, false
	}
	// A re-raised panic prints its chain in consecutive lines; the first of
	// them is the cause.
	for i := len(heads) - 1; i > 0; i-- {
		if heads[i][0] == head[0] && string(b[head[2]:head[3]]) == "panic" && adjacent(b, heads[i-1][1], head[0]) {
			head = heads[i-1]
		}
	}
	var c crash
	line := string(b[head[4]:head[5]])
	fatal := string(b[head[2]:head[3]]) == "fatal error"
	c.class = "panic"
	if fatal {
		c.class = clean(strings.TrimSpace(goNumbers.ReplaceAllString(line, "")))
	}
	if fatal || strings.HasPrefix(line, "runtime error: ") || strings.HasPrefix(line, "assignment to entry") || strings.Contains(line, " channel") ||
		strings.HasPrefix(line, "interface conversion") || strings.HasPrefix(line, "sync: ") {
		for _, p := range goPhrases {
			if strings.Contains(line, p.phrase) {
				c.class = p.class
				break
			}
		}
	}
	if fatal {
		for _, w := range goMemory {
			c.memory = c.memory || strings.Contains(line, w)
		}
	}
	for _, s := range stacks {
		if s[0] > head[0] {
			c.frames = goStack(b[s[1]:])
			// Above the last call of panic stand functions that were deferred.
			for i := len(c.frames) - 1; i >= 0; i-- {
				if c.frames[i].function == "panic" {
					c.frames = c.frames[i+1:]
					break
				}
			}
			break
		}
	}
	return c, true
}

// adjacent says whether nothing but the lines of a chain of panics stands
// between two heads.
func adjacent(b []byte, from, to int) bool {
	for line := range bytes.Lines(b[from:to]) {
		l := bytes.TrimSpace(line)
		if len(l) > 0 && !bytes.HasPrefix(l, []byte("[signal ")) && !bytes.HasPrefix(line, []byte("\t")) && !bytes.Equal(l, []byte("[recovered]")) {
			return false
		}
	}
	return true
}

// goStack reads the frames of one goroutine.
func goStack(b []byte) []frame {
	var out []frame
	name := ""
	for line := range bytes.Lines(b) {
		l := string(bytes.TrimRight(line, "\r\n"))
		if m := goFile.FindStringSubmatch(l); m != nil && name != "" {
			n, _ := strconv.Atoi(m[2])
			out = append(out, frame{function: name, file: clean(m[1]), line: n})
			name = ""
			continue
		}
		if l == "" || strings.HasPrefix(l, "created by ") || len(out) == maxFrames {
			break
		}
		if strings.HasPrefix(l, "...") || strings.HasPrefix(l, "\t") { // frames elided, or a line we do not know
			continue
		}
		name = goFunction(l)
	}
	return out
}

// goFunction is a line of a stack without its arguments, with the escapes of
// import paths undone: "gopkg.in/yaml.v3.(*parser).peek".
func goFunction(l string) string {
	if strings.HasSuffix(l, ")") {
		// The arguments are the last group of parentheses that opens outside
		// any other; "(...)" stands for those of an inlined call.
		depth := 0
		for i := len(l) - 1; i >= 0; i-- {
			switch l[i] {
			case ')', '}':
				depth++
			case '(', '{':
				depth--
			}
			if depth == 0 {
				l = l[:i]
				break
			}
		}
	}
	for _, e := range []struct{ from, to string }{{"%2e", "."}, {"%22", `"`}, {"%25", "%"}} {
		l = strings.ReplaceAll(l, e.from, e.to)
	}
	return clean(l)
}

// originGo tells packages of the standard library (no dot in the first element
// of the path) and the harness (package main) from the project's.
func originGo(f frame) provenance {
	first, _, _ := strings.Cut(f.function, "/")
	switch {
	case strings.HasPrefix(f.function, "main."):
		return fromHarness
	case f.function == "panic" || !strings.Contains(f.function, "/"):
		return fromRuntime
	case !strings.Contains(first, "."):
		return fromRuntime
	}
	return fromProject
}
