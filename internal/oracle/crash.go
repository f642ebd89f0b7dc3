package oracle

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"syscall"

	"proofhouse/internal/sandbox"
	"proofhouse/internal/target"
)

// Bounds of what is read from a report. A report is written by the program
// under test, so its length and its bytes are anything.
const (
	maxReport = 1 << 20 // bytes looked at
	maxFrames = 128     // frames kept of a stack
	maxName   = 512     // bytes kept of a function, a file or a class
)

// crash is what a report or an exit status says about a break.
type crash struct {
	class  string
	frames []frame // innermost first
	// memory says that this is the end of the memory or of the threads, not a
	// break of its own.
	memory bool
}

// frame is one call of a crash's stack, innermost first.
type frame struct {
	function string // "" until symbolised
	file     string
	line     int
	module   string // path in the box of the program or library
	offset   uint64 // in module, of the call rather than of the return
}

// stackHash names a crash by its class and its innermost frames as they were
// reported, before symbolising.
func (c crash) stackHash() string {
	h := sha256.New()
	fmt.Fprintf(h, "%q\n", c.class)
	for _, f := range c.frames[:min(len(c.frames), 12)] {
		fmt.Fprintf(h, "%q %q %x\n", f.module, f.function, f.offset)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// function is the first frame in the project's own code: neither of the
// runtime nor of the harness. Where there is none it is the harness, and "" where
// no frame has a name.
func (c crash) function(lang target.Language) string {
	last := ""
	for _, f := range c.frames {
		switch origin(lang, f) {
		case fromProject:
			return f.function
		case fromHarness:
			if last == "" {
				last = f.function
			}
		case fromRuntime:
		}
	}
	return last
}

// provenance says whose code a frame is.
type provenance int

const (
	fromRuntime provenance = iota // of the language, the sanitizer or the system
	fromHarness                   // ours
	fromProject
)

// origin tells the project's frames from those of the runtime and the harness.
func origin(lang target.Language, f frame) provenance {
	switch lang {
	case target.C:
		return originC(f)
	case target.Go:
		return originGo(f)
	case target.JavaScript:
		return originJavaScript(f)
	}
	return fromRuntime
}

// runtimeC are functions that stand on top of a stack without being at fault:
// interceptors of the sanitizers and the allocator.
var runtimeC = []string{
	"abort", "raise", "gsignal", "__assert_fail", "__assert_fail_base", "__assert", "_start", "__libc_start_main",
	"__libc_start_call_main", "call_init", "malloc", "calloc", "realloc", "reallocarray", "free", "memcpy", "memmove", "memset",
	"memcmp", "bcmp", "memchr", "memrchr", "memmem", "strlen", "strnlen", "strcpy", "strncpy", "strcat", "strncat", "strcmp",
	"strncmp", "strcasecmp", "strncasecmp", "strchr", "strrchr", "strstr", "strcasestr", "strdup", "strndup", "strtol", "strtoll", "strtoul",
	"strtod", "atoi", "atol", "strspn", "strcspn", "strpbrk", "strtok", "printf", "fprintf", "sprintf", "snprintf", "vprintf", "vfprintf",
	"vsprintf", "vsnprintf", "scanf", "sscanf", "vsscanf", "printf_common", "scanf_common", "fread", "fwrite", "read", "write",
	"wcslen", "qsort", "operator new", "operator new[]", "operator delete", "operator delete[]", "start_thread", "clone",
	"MallocFreeStr", "StrstrCheck", "MemcmpInterceptorCommon", "StrcmpCheck", "SubstringCheck",
}

// runtimePrefixC are the prefixes of the sanitizers' own names.
var runtimePrefixC = []string{
	"__asan", "__ubsan", "__msan", "__lsan", "__tsan", "__sanitizer", "__interceptor_", "___interceptor_", "__interception",
	"__cxa_", "__gxx_", "_Unwind_", "std::", "__gnu_cxx::", "__GI_", "__libc_", "fuzzer::", "asan_thread_start",
}

func originC(f frame) provenance {
	name := f.function
	switch {
	case name == "main" || name == "LLVMFuzzerTestOneInput":
		return fromHarness
	case name == "" || slices.Contains(runtimeC, name):
		return fromRuntime
	case f.module != "" && !strings.HasPrefix(f.module, targetDir+"/"):
		return fromRuntime
	}
	for _, p := range runtimePrefixC {
		if strings.HasPrefix(name, p) {
			return fromRuntime
		}
	}
	return fromProject
}

// signalNames are the signals that a program brings upon itself by breaking.
// SIGKILL is not one: it comes from a limit. Nor are those that a program
// under test could meet by being stopped or cut off.
var signalNames = map[syscall.Signal]string{
	syscall.SIGSEGV: "SIGSEGV", syscall.SIGBUS: "SIGBUS", syscall.SIGILL: "SIGILL", syscall.SIGFPE: "SIGFPE",
	syscall.SIGABRT: "SIGABRT", syscall.SIGTRAP: "SIGTRAP", syscall.SIGSYS: "SIGSYS",
}

// exitSanitizer is the exit status that the sanitizers are told to use; it
// counts only together with a report in the log that they were told to write.
const exitSanitizer = 77

// exitGo is the exit status of a Go program that panicked or that its runtime
// gave up.
const exitGo = 2

// exitNode is the exit status of Node after an exception nobody caught.
const exitNode = 1

// findCrash says whether a run ended in a crash. Only what a process cannot
// choose to print decides: the signal that ended it, or the exit status
// together with the report that belongs to it. Codes above 128 are not taken for
// signals, because a program can exit with any code.
func findCrash(lang target.Language, notCrash []int, res sandbox.Result, logs [][]byte) (crash, bool) {
	if res.Limit != "" {
		return crash{}, false
	}
	if res.Signal != 0 {
		name, ok := signalNames[syscall.Signal(res.Signal)]
		if !ok {
			return crash{}, false
		}
		c := crash{class: name}
		if lang == target.JavaScript && bytes.Contains(text(res.Stderr), []byte("JavaScript heap out of memory")) {
			c.memory = true
		}
		if lang == target.Go { // GOTRACEBACK=crash, or a signal that came from C
			if g, ok := parseGo(text(res.Stderr)); ok {
				c.frames, c.memory = g.frames, g.memory
			}
		}
		return c, true
	}
	if slices.Contains(notCrash, res.Exit) {
		return crash{}, false
	}
	switch {
	case res.Exit == exitSanitizer && lang != target.JavaScript: // C, or Go with C inside
		for _, b := range logs {
			if c, ok := parseSanitizer(b); ok {
				return c, true
			}
		}
	case res.Exit == exitGo && lang == target.Go:
		return parseGo(text(res.Stderr))
	case res.Exit == exitNode && lang == target.JavaScript:
		return parseNode(text(res.Stderr))
	}
	return crash{}, false
}

// text is what was kept of a stream, in one piece.
func text(o sandbox.Output) []byte {
	if len(o.Tail) == 0 {
		return o.Head
	}
	return slices.Concat(o.Head, []byte("\n"), o.Tail)
}

// clean cuts s and makes it printable ASCII, so that a name that came out of a
// box can stand in a record and on a terminal.
func clean(s string) string {
	s = s[:min(len(s), maxName)]
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r > 0x7e {
			return '?'
		}
		return r
	}, s)
}
