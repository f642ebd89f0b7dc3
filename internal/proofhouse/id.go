package proofhouse

import (
	"crypto/rand"
	"encoding/base32"
	"strings"
)

// TaskID names a task within its suite: "open-1/minimist-pollution".
type TaskID string

// RunID names one run of a suite with an agent.
type RunID string

// NewRunID is a fresh random RunID.
func NewRunID() RunID { return RunID("run-" + Token(10)) }

// Token is n random bytes as lower-case base32 without padding: safe in file
// names, environment variables and URLs. Canaries, flags and keys come from it.
func Token(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails: crypto/rand aborts the process instead
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b))
}
