package clearing

import (
	"bytes"
	"errors"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"proofhouse/internal/proofhouse"
)

// Declaration is what a project says of how it wants to be told of findings, in one small file and without an
// account. The zero value takes plain text, one packet a week.
type Declaration struct {
	// Contact is whom a person writes to: an address or a page, as the project gives it.
	Contact string `toml:"contact" json:"contact,omitempty"`
	// Style is how packets are written.
	Style Style `toml:"style" json:"style"`
	// Capacity is how many packets may go out in a week of seven days; 0 is 1, and below 0 none.
	Capacity int `toml:"capacity" json:"capacity"`
	// Open is how many packets that are not answered there may be at once; 0 is 3.
	Open int `toml:"open" json:"open"`
	// Closed are times in which nothing is sent.
	Closed []Window    `toml:"closed" json:"closed,omitempty"`
	Model  ThreatModel `toml:"threat_model" json:"threat_model"`
}

// Style is how a project wants a packet.
type Style string

// The styles.
const (
	Plain    Style = "plain"    // text without any marks, lines of at most 72 characters
	Markdown Style = "markdown" // with headings and code blocks
)

// Window is a time: from its first day to the end of its last, UTC.
type Window struct {
	From  Day    `toml:"from" json:"from"`
	Until Day    `toml:"until" json:"until"`
	Why   string `toml:"why" json:"why,omitempty"`
}

// Day is a date as "2026-07-31".
type Day string

func (d Day) time() (time.Time, error) { return time.Parse(time.DateOnly, string(d)) }

// Holds says whether now is in the window.
func (w Window) Holds(now time.Time) bool {
	from, err1 := w.From.time()
	until, err2 := w.Until.time()
	return err1 == nil && err2 == nil && !now.Before(from) && now.Before(until.AddDate(0, 0, 1))
}

// ThreatModel says which breaks the project does not take for vulnerabilities.
type ThreatModel struct {
	// Document is where the model stands at length.
	Document string `toml:"document" json:"document,omitempty"`
	// Classes are classes of breaks, such as "stack-overflow" or "out of memory"; Functions are globs
	// of functions, such as "debug_*", any of which in the stack excludes it.
	Classes   []string `toml:"exclude_classes" json:"exclude_classes,omitempty"`
	Functions []string `toml:"exclude_functions" json:"exclude_functions,omitempty"`
}

// Excludes says what in the model excludes a break, or "".
func (m ThreatModel) Excludes(signature string, frames []string) string {
	class, _, _ := strings.Cut(signature, ":")
	if slices.Contains(m.Classes, class) {
		return "the class " + class
	}
	for _, glob := range m.Functions {
		for _, f := range frames {
			if ok, err := path.Match(glob, f); err == nil && ok {
				return "functions that match " + glob
			}
		}
	}
	return ""
}

// ParseDeclaration reads a declaration. Every key must be known. The error is proofhouse.Invalid and says where.
func ParseDeclaration(b []byte) (Declaration, error) {
	var d Declaration
	if err := decode("the project's declaration", b, &d); err != nil {
		return Declaration{}, err
	}
	return d, d.Validate()
}

// decode reads TOML, every key of which must be known.
func decode(what string, text []byte, into any) error {
	err := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields().Decode(into)
	if strict, ok := errors.AsType[*toml.StrictMissingError](err); ok && len(strict.Errors) > 0 {
		line, _ := strict.Errors[0].Position()
		return proofhouse.Errorf(proofhouse.Invalid, err, "line %d of %s: there is no key %s", line, what, strings.Join(strict.Errors[0].Key(), "."))
	}
	if at, ok := errors.AsType[*toml.DecodeError](err); ok {
		line, _ := at.Position()
		return proofhouse.Errorf(proofhouse.Invalid, err, "line %d of %s: %s", line, what, strings.TrimPrefix(at.Error(), "toml: "))
	}
	if err != nil {
		return proofhouse.Errorf(proofhouse.Invalid, err, "%s is not TOML", what)
	}
	return nil
}

// Validate says what is wrong with d.
func (d Declaration) Validate() error {
	bad := func(format string, args ...any) error {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "the project's declaration: "+format, args...)
	}
	if d.Style != "" && d.Style != Plain && d.Style != Markdown {
		return bad("style %q: write plain or markdown", string(d.Style))
	}
	if len(d.Contact) > 500 || strings.ContainsFunc(d.Contact, func(r rune) bool { return r < ' ' }) {
		return bad("the contact is one line of at most 500 bytes")
	}
	for _, w := range d.Closed {
		from, err1 := w.From.time()
		until, err2 := w.Until.time()
		if err1 != nil || err2 != nil || until.Before(from) {
			return bad("closed from %q until %q is no time: write days such as 2026-07-01", string(w.From), string(w.Until))
		}
	}
	for _, glob := range d.Model.Functions {
		if _, err := path.Match(glob, ""); err != nil {
			return bad("the pattern %q is malformed", glob)
		}
	}
	return nil
}

// Or fills in what d does not say.
func (d Declaration) Or() Declaration {
	if d.Style == "" {
		d.Style = Plain
	}
	if d.Capacity == 0 {
		d.Capacity = 1
	}
	if d.Open == 0 {
		d.Open = 3
	}
	return d
}
