// Package guest is what runs inside a box on the house's behalf: a program
// that only waits, as the first process of each container, and the helpers
// that list, copy and probe. They see the box as its root does, from within,
// so nothing that a box does to its own paths can lead them out of it. Their
// output comes from an untrusted place and is parsed as such by the host.
package guest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// Name is the argv[0] under which an executable of the house acts as a guest.
const Name = "proofhouse-guest"

// Dir is where a box shows the guest programs, read-only.
const Dir = "/.proofhouse"

// Exit statuses of the helpers.
const (
	ExitInvalid  = 3 // a link or a special file, a path that is not absolute
	ExitNotFound = 4
	ExitLimit    = 5
	ExitFailed   = 6 // anything else, such as a full disk; stderr says what
)

// Main runs a helper and gives its exit status. args[0] names it.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		return ExitInvalid
	}
	var err error
	switch args[0] {
	case "list":
		err = list(args[1:], stdout)
	case "copyin":
		err = copyIn(args[1:], stdin)
	case "copyout":
		err = copyOut(args[1:], stdout)
	case "run":
		err = run(args[1:])
	case "bridge":
		err = bridge(args[1:], stdin, stdout)
	case "post":
		err = post(args[1:], os.Stdout)
	case "probe":
		err = probe(args[1:], stdin, stdout)
	default:
		err = &exitError{ExitInvalid, fmt.Errorf("no helper %q", args[0])}
	}
	if err == nil {
		return 0
	}
	fmt.Fprintln(stderr, err)
	if e, ok := errors.AsType[*exitError](err); ok {
		return e.status
	}
	if errors.Is(err, fs.ErrNotExist) {
		return ExitNotFound
	}
	return ExitFailed
}

type exitError struct {
	status int
	cause  error
}

func (e *exitError) Error() string { return e.cause.Error() }
