package oracle

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"
)

var (
	// "==12==ERROR: AddressSanitizer: heap-buffer-overflow on address 0x..."
	sanitizerHead = regexp.MustCompile(`(?m)^==[0-9]+==\s?(?:ERROR|WARNING): ([A-Za-z]+Sanitizer): ([^\n]*)`)
	// "WARNING: ThreadSanitizer: data race (pid=1)"
	sanitizerBare = regexp.MustCompile(`(?m)^(?:ERROR|WARNING): ([A-Za-z]+Sanitizer): ([^\n]*)`)
	// "parse.c:3:5: runtime error: signed integer overflow: ..."
	ubsanHead = regexp.MustCompile(`(?m)^([^\s:]*):([0-9]+):[0-9]+: runtime error: ([^\n]*)`)
	// "SUMMARY: AddressSanitizer: heap-buffer-overflow (/target/harness+0x12)"
	sanitizerSummary = regexp.MustCompile(`(?m)^SUMMARY: [A-Za-z]+Sanitizer: ([A-Za-z][A-Za-z0-9-]*)`)
	// "    #0 0x4c6a3f in parse /src/parse.c:12:3" or "    #0 0x4c6a3f  (/target/harness+0x4c6a3f) (BuildId: ...)"
	sanitizerFrame  = regexp.MustCompile(`^\s*#([0-9]{1,4}) 0x[0-9a-f]+\s+(?:in (.*?)\s*)?(?:\(([^()\s]+)\+0x([0-9a-f]{1,16})\)(?: \(BuildId: [0-9a-f]*\))?|((?:/|<)[^\s]*?)(?::([0-9]+))?(?::[0-9]+)?)?$`)
	sanitizerClass  = regexp.MustCompile(`^(?:attempting )?([A-Za-z][A-Za-z0-9-]*)`)
	ubsanStackStart = []byte("    #0 ")
)

// sanitizerPhrases name the classes whose first line does not begin with one.
var sanitizerPhrases = []struct{ phrase, class string }{
	{"attempting free on address which was not malloc", "bad-free"},
	{"requested allocation size", "allocation-size-too-big"},
	{"exceeds maximum supported size", "allocation-size-too-big"},
	{"allocator is out of memory", "out-of-memory"},
	{"failed to allocate", "out-of-memory"},
	{"hard rss limit exhausted", "rss-limit-exceeded"},
	{"calloc parameters overflow", "calloc-overflow"},
	{"detected memory leaks", "detected-memory-leaks"},
	{"data race", "data-race"},
}

// ubsanPhrases name the classes of UndefinedBehaviorSanitizer.
var ubsanPhrases = []struct{ phrase, class string }{
	{"signed integer overflow", "signed-integer-overflow"},
	{"unsigned integer overflow", "unsigned-integer-overflow"},
	{"out of bounds for type", "index-out-of-bounds"},
	{"shift exponent", "shift-exponent"},
	{"left shift of", "shift-base"},
	{"division by zero", "division-by-zero"},
	{"null pointer", "null-pointer"},
	{"misaligned address", "misaligned-pointer"},
	{"pointer index expression", "pointer-overflow"},
	{"applying non-zero offset", "pointer-overflow"},
	{"applying zero offset to null", "pointer-overflow"},
	{"insufficient space for an object", "object-size"},
	{"outside the range of representable values", "float-cast-overflow"},
	{"not a valid value for type", "invalid-value"},
	{"unreachable program point", "unreachable"},
	{"reached the end of a value-returning function", "missing-return"},
	{"variable length array bound", "vla-bound"},
	{"does not point to an object of type", "vptr"},
	{"incorrect function type", "function-type"},
}

// memoryClasses are the sanitizers' words for the end of the memory.
var memoryClasses = map[string]bool{
	"allocation-size-too-big": true, "out-of-memory": true, "rss-limit-exceeded": true, "calloc-overflow": true,
	"reallocarray-overflow": true, "pvalloc-overflow": true,
}

// parseSanitizer reads the first report of a sanitizer's log file. b is
// whatever the process wrote there; the log's path was random, so only the
// process itself could.
func parseSanitizer(b []byte) (crash, bool) {
	b = b[:min(len(b), maxReport)]
	var class string
	var c crash
	rest := b
	switch m, u := headOf(b), ubsanHead.FindSubmatchIndex(b); {
	case m != nil && (u == nil || m[0] < u[0]):
		line := string(b[m[4]:m[5]])
		for _, p := range sanitizerPhrases {
			if class == "" && strings.Contains(line, p.phrase) {
				class = p.class
			}
		}
		if class == "" {
			if w := sanitizerClass.FindStringSubmatch(line); w != nil {
				class = w[1]
			}
		}
		rest = b[m[1]:]
		// The summary has the canonical word; that of a later report of the same
		// file would not belong here.
		if s := sanitizerSummary.FindSubmatchIndex(rest); s != nil && class != "detected-memory-leaks" {
			if next := headOf(rest); next == nil || s[0] < next[0] {
				class = string(rest[s[2]:s[3]])
			}
		}
	case u != nil:
		class = "undefined-behavior"
		line := string(b[u[6]:u[7]])
		for _, p := range ubsanPhrases {
			if strings.Contains(line, p.phrase) {
				class = p.class
				break
			}
		}
		rest = b[u[1]:]
	}
	// A leak is told at the end of an intact run.
	if class == "" || class == "detected-memory-leaks" {
		return crash{}, false
	}
	c.class = clean(class)
	c.memory = memoryClasses[class]
	c.frames = sanitizerStack(rest)
	return c, true
}

func headOf(b []byte) []int {
	m, n := sanitizerHead.FindSubmatchIndex(b), sanitizerBare.FindSubmatchIndex(b)
	if m == nil || n != nil && n[0] < m[0] {
		return n
	}
	return m
}

// sanitizerStack reads the first block of frames in b.
func sanitizerStack(b []byte) []frame {
	i := bytes.Index(b, ubsanStackStart)
	if i < 0 {
		return nil
	}
	var out []frame
	for line := range bytes.Lines(b[i:]) {
		m := sanitizerFrame.FindSubmatch(bytes.TrimRight(line, "\r\n"))
		if m == nil || string(m[1]) != strconv.Itoa(len(out)) || len(out) == maxFrames {
			break
		}
		f := frame{function: functionName(string(m[2])), module: clean(string(m[3])), file: clean(string(m[5]))}
		f.offset, _ = strconv.ParseUint(string(m[4]), 16, 64) // the pattern admits 16 hex digits at most
		f.line, _ = strconv.Atoi(string(m[6]))
		out = append(out, f)
	}
	return out
}

// functionName is a C or C++ function without its parameters.
func functionName(s string) string {
	s = strings.ReplaceAll(strings.TrimSpace(s), "(anonymous namespace)::", "")
	if strings.HasPrefix(s, "operator") {
		s, _, _ = strings.Cut(s, "(")
		return clean(s)
	}
	if i := strings.IndexByte(s, '('); i > 0 {
		s = s[:i]
	}
	return clean(s)
}
