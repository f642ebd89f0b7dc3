package oracle

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"proofhouse/internal/sandbox"
	"proofhouse/internal/target"
)

// The reports were made with clang 14, Go 1.26 and Node 20 from programs of
// our own; asan-?-0 are not symbolised, asan-?-1 are.
var reports = []struct {
	file            string
	class, function string
	frames          int
	memory          bool
}{
	{"asan-o-0.txt", "heap-buffer-overflow", "", 6, false},
	{"asan-o-1.txt", "heap-buffer-overflow", "peek", 7, false},
	{"asan-l-0.txt", "heap-buffer-overflow", "", 7, false},
	{"asan-l-1.txt", "heap-buffer-overflow", "parse_name", 7, false},
	{"asan-u-1.txt", "heap-use-after-free", "peek", 7, false},
	{"asan-d-0.txt", "double-free", "", 6, false},
	{"asan-b-0.txt", "bad-free", "", 6, false},
	{"asan-n-0.txt", "null-pointer", "", 6, false},
	{"asan-r-1.txt", "stack-overflow", "recurse", maxFrames, false},
	{"asan-s-0.txt", "shift-exponent", "", 6, false},
	{"asan-i-0.txt", "signed-integer-overflow", "", 6, false},
	{"msan-v-0.txt", "use-of-uninitialized-value", "", 5, false},
	{"go-index.txt", "index out of range", "example.org/shop/v2.1/parse.v3.(*Parser).peek", 4, false},
	{"go-again.txt", "index out of range", "example.org/shop/v2.1/parse.v3.(*Parser).peek", 4, false},
	{"go-nil.txt", "nil pointer dereference", "example.org/shop/v2.1/parse.v3.(*Parser).peek", 4, false},
	{"go-slice.txt", "slice bounds out of range", "example.org/shop/v2.1/parse.v3.Do", 3, false},
	{"go-map.txt", "assignment to entry in nil map", "example.org/shop/v2.1/parse.v3.Do", 3, false},
	{"go-custom.txt", "panic", "example.org/shop/v2.1/parse.v3.Do", 3, false},
	{"go-text.txt", "index out of range", "example.org/shop/v2.1/parse.v3.Do", 3, false},
	{"go-stack.txt", "stack overflow", "example.org/shop/v2.1/parse.v3.Do.func2", 100, false},
	{"go-deadlock.txt", "deadlock", "example.org/shop/v2.1/parse.v3.Do", 3, false},
	{"go-go.txt", "index out of range", "example.org/shop/v2.1/parse.v3.(*Parser).peek", 2, false},
	{"go-oom.txt", "out of memory", "example.org/shop/v2.1/parse.v3.Do", 10, true},
	{"node-type.txt", "TypeError", "Parser.feed", 9, false},
	{"node-custom.txt", "BadHeader", "Parser.feed", 9, false},
	{"node-deep.txt", "RangeError", "Parser.feed", 10, false},
	{"node-cause.txt", "TypeError", "Parser.feed", 3, false},
	{"node-code.txt", "Error", "Parser.feed", 10, false},
	{"node-reject.txt", "SyntaxError", "Parser.feed", 9, false},
	{"node-rejectnum.txt", "UnhandledPromiseRejection", "", 3, false},
	{"node-string.txt", "uncaught", "", 0, false},
}

func TestParseReports(t *testing.T) {
	for _, r := range reports {
		b, err := os.ReadFile(filepath.Join("testdata/report", r.file))
		if err != nil {
			t.Fatal(err)
		}
		lang, res, logs := asRun(r.file, b)
		c, ok := findCrash(lang, nil, res, logs)
		if !ok {
			t.Errorf("%s: no crash found", r.file)
			continue
		}
		if c.class != r.class || c.function(lang) != r.function || len(c.frames) != r.frames || c.memory != r.memory {
			t.Errorf("%s: got %q in %q, %d frames, memory %v; want %q in %q, %d, %v", r.file,
				c.class, c.function(lang), len(c.frames), c.memory, r.class, r.function, r.frames, r.memory)
		}
	}
}

// asRun dresses a report as the run that it came from.
func asRun(file string, b []byte) (target.Language, sandbox.Result, [][]byte) {
	switch {
	case strings.HasPrefix(file, "go-"):
		return target.Go, sandbox.Result{Exit: 2, Stderr: sandbox.Output{Head: b}}, nil
	case strings.HasPrefix(file, "node-"):
		return target.JavaScript, sandbox.Result{Exit: 1, Stderr: sandbox.Output{Head: b}}, nil
	}
	return target.C, sandbox.Result{Exit: exitSanitizer}, [][]byte{b}
}

// TestForgedText prints whole reports where a program can print, with every
// exit status and signal that does not belong to them: none is a crash.
func TestForgedText(t *testing.T) {
	for _, r := range reports {
		b, err := os.ReadFile(filepath.Join("testdata/report", r.file))
		if err != nil {
			t.Fatal(err)
		}
		out := sandbox.Output{Head: b}
		for exit := range 256 {
			for _, lang := range []target.Language{target.C, target.Go, target.JavaScript} {
				if own, _, _ := asRun(r.file, b); own == lang && (exit == exitGo && lang == target.Go || exit == exitNode && lang == target.JavaScript) {
					continue
				}
				if c, ok := findCrash(lang, nil, sandbox.Result{Exit: exit, Stdout: out, Stderr: out}, nil); ok {
					t.Errorf("%s: printed by a %s program that exits %d, believed as %q", r.file, lang, exit, c.class)
				}
				if _, ok := findCrash(lang, nil, sandbox.Result{Exit: exit}, [][]byte{b}); ok && exit != exitSanitizer {
					t.Errorf("%s: a log with exit %d is believed of a %s program", r.file, exit, lang)
				}
			}
		}
	}
}

func TestSignals(t *testing.T) {
	crashes := map[syscall.Signal]bool{
		syscall.SIGSEGV: true, syscall.SIGBUS: true, syscall.SIGILL: true, syscall.SIGFPE: true,
		syscall.SIGABRT: true, syscall.SIGTRAP: true, syscall.SIGSYS: true,
	}
	for s := syscall.Signal(1); s < 65; s++ {
		_, ok := findCrash(target.C, nil, sandbox.Result{Exit: -1, Signal: int(s)}, nil)
		if ok != crashes[s] {
			t.Errorf("signal %d (%v): crash %v", s, s, ok)
		}
		if _, ok := findCrash(target.C, nil, sandbox.Result{Exit: -1, Signal: int(s), Limit: sandbox.BoundCPU}, nil); ok {
			t.Errorf("signal %d of a run ended at its bound is a crash", s)
		}
	}
	heap, err := os.ReadFile("testdata/report/node-heap.txt")
	if err != nil {
		t.Fatal(err)
	}
	c, ok := findCrash(target.JavaScript, nil, sandbox.Result{Exit: -1, Signal: int(syscall.SIGABRT), Stderr: sandbox.Output{Head: heap}}, nil)
	if !ok || !c.memory {
		t.Errorf("Node's exhausted heap is %+v, %v; want the end of the memory", c, ok)
	}
}

// FuzzParse feeds all parsers: they end, keep their bounds and give printable
// names whatever the bytes.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/report/*.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add(bytes.Repeat([]byte("    #0 0x0 in ((((((\n"), 100))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, p := range []struct {
			lang  target.Language
			parse func([]byte) (crash, bool)
		}{{target.C, parseSanitizer}, {target.Go, parseGo}, {target.JavaScript, parseNode}} {
			c, ok := p.parse(b)
			if !ok {
				continue
			}
			names := []string{c.class, c.function(p.lang)}
			for _, fr := range c.frames {
				names = append(names, fr.function, fr.file, fr.module)
			}
			for _, n := range names {
				if n != clean(n) {
					t.Errorf("%s: %q is not clean", p.lang, n)
				}
			}
			if len(c.frames) > maxFrames || c.class == "" {
				t.Errorf("%s: class %q, %d frames", p.lang, c.class, len(c.frames))
			}
		}
		readChannel("n", b)
	})
}
