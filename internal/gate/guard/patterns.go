// Package guard is the gate's own classifiers: sets of patterns, an
// OpenAI-compatible moderation model, and any HTTP service that speaks the
// house's hook. A guard only says what it thinks of a text; what follows from
// it, and from a failure, is the gate's.
package guard

import (
	"context"
	"regexp"

	"proofhouse/internal/gate"
	"proofhouse/internal/proofhouse"
)

// Patterns are named regular expressions; the first that matches cuts.
type Patterns []Pattern

// Pattern is one of them, of Go's syntax (RE2: its time is linear in the text).
type Pattern struct {
	Name   string
	Regexp *regexp.Regexp
}

// Compile makes a Pattern: proofhouse.Invalid if expr is none.
func Compile(name, expr string) (Pattern, error) {
	re, err := regexp.Compile(expr)
	if err != nil {
		return Pattern{}, proofhouse.Errorf(proofhouse.Invalid, err, "pattern %s: %v", name, err)
	}
	if re.MatchString("") {
		return Pattern{}, proofhouse.Errorf(proofhouse.Invalid, nil, "pattern %s matches every text", name)
	}
	return Pattern{name, re}, nil
}

// Quick implements gate.Guard.
func (Patterns) Quick() bool { return true }

// Judge implements gate.Guard.
func (p Patterns) Judge(_ context.Context, i gate.Inspection) (gate.Judgement, error) {
	for _, pattern := range p {
		if pattern.Regexp.Match(i.Text) {
			return gate.Judgement{Cut: true, Reason: "pattern " + pattern.Name}, nil
		}
	}
	return gate.Judgement{}, nil
}
