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
	driverCandidates = "/out/candidates"
	driverSeeds      = "/src/harness/seeds"
	driverPerSite    = 4        // inputs kept for one place of breaking
	driverMuch       = 64 << 20 // bytes allocated for one input, where memory is the symptom
)

// FuzzHarness drives the harness with mutated inputs. A panic is written down
// as a candidate and forgiven, so that a shallow one does not hide those
// behind it; an input that runs longer than 3 s ends the process, for nothing
// else stops a loop.
func FuzzHarness(f *testing.F) {
	symptom := os.Getenv("PROOFHOUSE_SYMPTOM")
	files, _ := filepath.Glob(driverSeeds + "/*")
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
			driverKeep("hang", driverHash(string(b)), b)
			panic("watchdog: an input ran longer than 3 s")
		})
		defer w.Stop()
		driverFound = func(kind, detail string) {
			if kind != "alloc" {
				driverKeep(kind, driverHash(detail), b)
			}
		}
		var check func()
		if symptom == "escape" {
			check = driverRooted(b)
		}
		before := driverAllocated()
		driverRun(b)
		if n := driverAllocated() - before; symptom == "memory" && n > driverMuch {
			driverKeep("alloc", fmt.Sprint(n/driverMuch), b)
		}
		if check != nil {
			check()
		}
	})
}

// driverRun calls the harness and writes down where it panicked.
func driverRun(b []byte) {
	defer func() {
		if v := recover(); v != nil {
			driverKeep("panic", driverSite(), b)
		}
	}()
	Harness(b)
}

// driverSite names the place that panicked: the first frame outside the runtime.
func driverSite() string {
	pcs := make([]uintptr, 64)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs)])
	for {
		f, more := frames.Next()
		if !strings.HasPrefix(f.Function, "runtime.") || !more {
			return driverHash(fmt.Sprintf("%s:%d", f.Function, f.Line))
		}
	}
}

// driverRooted puts the process into a fresh deep folder; the returned check looks
// for files that appeared beside it.
func driverRooted(b []byte) func() {
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
				driverKeep("escape", driverHash(dir), b)
			}
		}
		_ = os.RemoveAll(top)
	}
}

// driverKeep writes a candidate, at most perSite for one place, whoever of the
// fuzzing processes comes first.
func driverKeep(kind, place string, b []byte) {
	_ = os.MkdirAll(driverCandidates, 0o777)
	for i := 0; i < driverPerSite; i++ { // a lock may ask for an older language
		name := filepath.Join(driverCandidates, fmt.Sprintf("%s-%s-%d", kind, place, i))
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

func driverHash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:6])
}
