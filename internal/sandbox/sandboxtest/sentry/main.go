// Command sentry is the smallest executable of the house that boxes can be
// started from: the tests build it without cgo, because the race detector
// needs cgo and a sentry must be static.
package main

import (
	"fmt"
	"os"

	"proofhouse/internal/sandbox/gvisor"
)

func main() {
	gvisor.Dispatch()
	fmt.Fprintln(os.Stderr, "this executable is for tests: it starts boxes and nothing else")
	os.Exit(2)
}
