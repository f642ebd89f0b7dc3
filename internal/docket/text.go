package docket

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"proofhouse/internal/proofhouse"
)

// maxText bounds a word, a name or a reason, in bytes. What is longer is
// evidence, and is named by its digest.
const maxText = 2000

// plain holds a text that people will read to printable characters. What
// cannot be seen, or turns the direction of writing, could make two names look
// alike. The error does not quote it.
func plain(what, s string) error {
	switch {
	case strings.TrimSpace(s) == "":
		return proofhouse.Errorf(proofhouse.Invalid, nil, "%s is missing", what)
	case len(s) > maxText:
		return proofhouse.Errorf(proofhouse.Invalid, nil, "%s is longer than %d bytes", what, maxText)
	case !utf8.ValidString(s) || strings.TrimSpace(s) != s || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }):
		return proofhouse.Errorf(proofhouse.Invalid, nil, "%s has characters that cannot be seen, or white space around it", what)
	}
	return nil
}

// name holds an identifier to lower-case ASCII letters, digits and . _ - /, so
// that no two names look alike.
func name(what, s string) error {
	if s == "" || len(s) > 100 || strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && !strings.ContainsRune("._-/", r)
	}) {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "%s must be 1 to 100 lower-case letters, digits and . _ - /", what)
	}
	return nil
}
