package bench

import (
	"fmt"
	"strings"

	"proofhouse/internal/proofhouse"
)

// Fault is one thing wrong in a suite or task folder: where, and what to do.
type Fault struct {
	File string `json:"file"` // within the suite: "minimist-pollution/task.toml"
	Line int    `json:"line,omitempty"`
	Key  string `json:"key,omitempty"` // "metadata.cyber.class"
	What string `json:"what"`          // what is wrong and what to do, without a full stop
}

// String is the fault on one line, in the form that editors jump to.
func (f Fault) String() string {
	where := f.File
	if f.Line > 0 {
		where = fmt.Sprintf("%s:%d", where, f.Line)
	}
	if f.Key != "" {
		return fmt.Sprintf("%s: %s: %s", where, f.Key, f.What)
	}
	return where + ": " + f.What
}

// faultError is nil for no faults, or an Invalid error that names each.
func faultError(faults []Fault) error {
	if len(faults) == 0 {
		return nil
	}
	lines := make([]string, len(faults))
	for i, f := range faults {
		lines[i] = f.String()
	}
	return proofhouse.Errorf(proofhouse.Invalid, nil, "%s", strings.Join(lines, "\n"))
}
