// Package report writes report.html: a run, and runs to compare it with, as
// one file that needs no network, no script and no other file, reads on a
// phone and on paper, and says beside each figure how to read it. Every string
// of a submission, a crash report or a transcript is hostile: the page is made
// by html/template from text that went through bench.Printable, and its
// content security policy forbids scripts. What is counted is bench's to say.
package report

import (
	"bufio"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"

	"proofhouse/internal/bench"
	"proofhouse/internal/proofhouse"
)

// Input is what a report is made from.
type Input struct {
	// Runs are the run to report, first, and runs to compare it with: the
	// no-op agent, the baseline, another model. Survivors in them are never
	// shown but as a total (bench.Result.Public is applied here).
	Runs []bench.Result
	// Artifact reads what the first run kept, by digest (bench.Artifact). Nil,
	// or an error, shows as content that is not at hand.
	Artifact func(proofhouse.Digest) ([]byte, error)
}

//go:embed style.css
var style string

//go:embed page.tmpl
var pageText string

// The style sheet is a constant of ours and holds no action, so it is parsed
// with the page instead of being trusted at run time.
var page = template.Must(template.New("page").Parse(
	pageText + `{{define "style"}}<style>` + strings.ReplaceAll(style, "{{", "") + `</style>{{end}}`))

// Write writes the report of in to w. No run is proofhouse.Invalid; other
// errors are w's.
func Write(w io.Writer, in Input) error {
	if len(in.Runs) == 0 {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "a report needs at least one run")
	}
	runs := make([]bench.Result, len(in.Runs))
	for i, r := range in.Runs {
		runs[i] = r.Public()
	}
	buffered := bufio.NewWriterSize(w, 64<<10)
	if err := page.Execute(buffered, newView(runs, in.Artifact)); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	if err := buffered.Flush(); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}
