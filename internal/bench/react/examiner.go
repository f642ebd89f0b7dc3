package react

import _ "embed"

//go:embed examiner.md
var examining string

// Examiner is React with another office: it looks at what somebody else says is a proof, in a
// conversation of its own, and submits its opinion.
type Examiner struct{ React }

// NewExaminer is an Examiner.
func NewExaminer() Examiner { return Examiner{React{prompt: examining}} }

// Name is "examiner".
func (Examiner) Name() string { return "examiner" }
