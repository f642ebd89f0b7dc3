// Package proofhouse holds the words that all parts of the house share: ids,
// digests and the kinds of error. It promises nothing but names, and leaves
// every rule to the part that owns it.
package proofhouse

import (
	"errors"
	"fmt"
)

// Kind classifies an error for programs. Each kind has one exit code
// (see ExitCode) and one meaning for the person at the terminal.
type Kind string

// The kinds of error. A cause that has no Kind counts as Internal.
const (
	Internal    Kind = "internal"    // a fault of ours
	Invalid     Kind = "invalid"     // the input is wrong; the sentence says how to mend it
	NotFound    Kind = "not_found"   // no such thing, or none that the actor may know of
	Conflict    Kind = "conflict"    // it exists already, or changed meanwhile
	Unavailable Kind = "unavailable" // the machine, a registry or a right is missing
	Refused     Kind = "refused"     // a rule of the house forbids it, such as a box that leaks
	Integrity   Kind = "integrity"   // bytes are not what was pinned or signed
	Limit       Kind = "limit"       // a budget, a size or a time is used up
	Failed      Kind = "failed"      // a check ran to its end and said no
)

// exitCodes is the documented table; 0 is success, 130 an interrupt.
var exitCodes = map[Kind]int{
	Internal: 1, Invalid: 2, NotFound: 3, Conflict: 4, Unavailable: 5,
	Refused: 6, Integrity: 7, Limit: 8, Failed: 9,
}

// Error is an error with a kind for the program, one public sentence for the
// reader, and a private cause for the operator. The public sentence never
// holds a path of the host, a key, a task's text or a model's name.
type Error struct {
	Kind   Kind
	Public string
	Cause  error
}

// Error gives the public sentence and the cause; show Public alone to outsiders.
func (e *Error) Error() string {
	if e.Cause == nil {
		return e.Public
	}
	return e.Public + ": " + e.Cause.Error()
}

// Unwrap gives the private cause.
func (e *Error) Unwrap() error { return e.Cause }

// Errorf makes an Error. The sentence says what happened and, where one
// exists, what to do. cause may be nil.
func Errorf(kind Kind, cause error, format string, args ...any) *Error {
	return &Error{Kind: kind, Public: fmt.Sprintf(format, args...), Cause: cause}
}

// KindOf is the kind of the outermost Error in err's chain, or Internal.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Internal
}

// PublicOf is the outermost public sentence in err's chain, or a plain one
// that gives nothing away.
func PublicOf(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Public
	}
	return "an internal error occurred"
}

// ExitCode is the process exit code for err: 0 for nil.
func ExitCode(err error) int {
	if err == nil {
		return 0
	}
	return exitCodes[KindOf(err)]
}
