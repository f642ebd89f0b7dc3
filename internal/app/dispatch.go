package app

import "proofhouse/internal/sandbox/gvisor"

// Dispatch must be the first thing that main does: the same executable is also
// the sentry, the keeper of boxes and the guest inside them, and where it was
// started as one of these, Dispatch does not return.
func Dispatch() { gvisor.Dispatch() }
