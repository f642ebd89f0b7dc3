//go:build ignore

package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// What a breaking input is written to, and where benign inputs come from.
const (
	candidates = "/out/candidates"
	seeds      = "/src/harness/seeds"
	perSite    = 4        // inputs kept for one place of breaking
	much       = 64 << 20 // bytes allocated for one input, where memory is the symptom
)

// FuzzHarness drives the harness with mutated inputs. A panic is written down
// as a candidate and forgiven, so that a shallow one does not hide those
// behind it; an input that runs longer than 3 s ends the process, for nothing
// else stops a loop.
func FuzzHarness(f *testing.F) {
	symptom := os.Getenv("PROOFHOUSE_SYMPTOM")
	files, _ := filepath.Glob(seeds + "/*")
	for _, name := range files {
		if b, err := os.ReadFile(name); err == nil {
			f.Add(b)
		}
	}
	if len(files) == 0 {
		f.Add([]byte("0"))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		w := time.AfterFunc(3*time.Second, func() {
			keep("hang", hash(string(b)), b)
			panic("watchdog: an input ran longer than 3 s")
		})
		defer w.Stop()
		found = func(kind, detail string) {
			if kind != "alloc" {
				keep(kind, hash(detail), b)
			}
		}
		var check func()
		if symptom == "escape" {
			check = rooted(b)
		}
		before := allocated()
		run(b)
		if n := allocated() - before; symptom == "memory" && n > much {
			keep("alloc", fmt.Sprint(n/much), b)
		}
		if check != nil {
			check()
		}
	})
}

// run calls the harness and writes down where it panicked.
func run(b []byte) {
	defer func() {
		if v := recover(); v != nil {
			keep("panic", site(), b)
		}
	}()
	Harness(b)
}

// site names the place that panicked: the first frame outside the runtime.
func site() string {
	pcs := make([]uintptr, 64)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs)])
	for {
		f, more := frames.Next()
		if !strings.HasPrefix(f.Function, "runtime.") || !more {
			return hash(fmt.Sprintf("%s:%d", f.Function, f.Line))
		}
	}
}

// rooted puts the process into a fresh deep folder; the returned check looks
// for files that appeared beside it.
func rooted(b []byte) func() {
	top, err := os.MkdirTemp("", "fuzz")
	if err != nil {
		return func() {}
	}
	root := filepath.Join(top, "a", "b", "c", "root")
	_ = os.MkdirAll(root, 0o755)
	_ = os.Chdir(root)
	return func() {
		_ = os.Chdir("/tmp")
		for dir := filepath.Dir(root); strings.HasPrefix(dir, top); dir = filepath.Dir(dir) {
			if entries, _ := os.ReadDir(dir); len(entries) > 1 {
				keep("escape", hash(dir), b)
			}
		}
		_ = os.RemoveAll(top)
	}
}

// keep writes a candidate, at most perSite for one place, whoever of the
// fuzzing processes comes first.
func keep(kind, place string, b []byte) {
	_ = os.MkdirAll(candidates, 0o777)
	for i := 0; i < perSite; i++ { // a lock may ask for an older language
		name := filepath.Join(candidates, fmt.Sprintf("%s-%s-%d", kind, place, i))
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if err != nil {
			continue
		}
		_, _ = f.Write(b)
		_ = f.Close()
		fmt.Println("candidate", name)
		return
	}
}

func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:6])
}
