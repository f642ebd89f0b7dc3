package oracle

import (
	"strings"
	"time"
)

// Defaults of a Rule's silent fields.
const (
	defaultRuns    = 3
	defaultTimeout = 10.0 // seconds
	defaultRatio   = 8.0
	defaultMemory  = 2 << 30 // bytes, of the box
)

// defaultFloor is in seconds of CPU time for a hang and in bytes for memory.
var defaultFloor = map[Symptom]float64{Hang: 2, Memory: 64 << 20}

// Or fills r's silent fields with their defaults.
func (r Rule) Or() Rule {
	if r.Runs <= 0 {
		r.Runs = defaultRuns
	}
	if r.TimeoutSec <= 0 {
		r.TimeoutSec = defaultTimeout
	}
	if r.Ratio <= 0 {
		r.Ratio = defaultRatio
	}
	if r.MemoryBytes <= 0 {
		r.MemoryBytes = defaultMemory
	}
	if r.Floor <= 0 {
		r.Floor = defaultFloor[r.Symptom]
	}
	return r
}

// cpuBound is the CPU time that one run may take.
func (r Rule) cpuBound() time.Duration { return seconds(r.TimeoutSec) }

// wallBound is the wall time that one run may take. It is looser than the bound
// on CPU time, so that a loaded machine does not turn a slow run into a
// different outcome.
func (r Rule) wallBound() time.Duration { return 2*seconds(r.TimeoutSec) + 2*time.Second }

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// matches says whether a break of this class in this function is the one that
// the rule is about: one of the alternatives of its signature.
func (r Rule) matches(class, function string) bool {
	if strings.TrimSpace(r.Signature) == "" {
		return true
	}
	for alt := range strings.SplitSeq(r.Signature, "|") {
		c, f := splitSignature(alt)
		if (c == "" || strings.EqualFold(c, class)) && (f == "" || sameFunction(f, function)) {
			return true
		}
	}
	return false
}

// splitSignature cuts "<class>:<function>" at the colon that is not part of a
// C++ scope. Without one, all of it is the class.
func splitSignature(alt string) (class, function string) {
	alt = strings.TrimSpace(alt)
	for i := 0; i < len(alt); i++ {
		if alt[i] != ':' {
			continue
		}
		if i+1 < len(alt) && alt[i+1] == ':' {
			i++
			continue
		}
		return strings.TrimSpace(alt[:i]), strings.TrimSpace(alt[i+1:])
	}
	return alt, ""
}

// sameFunction compares a signature's function with a frame's: the whole name,
// or its end from a ".", "/" or "::" on, so that a task may leave out package,
// class or namespace.
func sameFunction(want, got string) bool {
	head, ok := strings.CutSuffix(got, want)
	return ok && (head == "" || strings.HasSuffix(head, ".") || strings.HasSuffix(head, "/") || strings.HasSuffix(head, "::"))
}
