package report

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"

	"proofhouse/internal/bench"
	"proofhouse/internal/oracle"
	"proofhouse/internal/proofhouse"
)

// Part is a piece of the report's page.
type Part string

// The pieces that stand by themselves. Each but Notes says how to read it.
const (
	Notes   Part = "notes"
	Result  Part = "result" // the rate, ways to count, figures
	Curve   Part = "curve"
	Compare Part = "compare" // nothing of a run that stands alone
	Groups  Part = "groups"  // by class, language and hint level
)

// WriteParts writes pieces of the report of runs, the first with others beside it, for a page with a frame of its own. They go into an
// element of class "report", under the style sheet Style. What makes the report safe to show makes its pieces so.
func WriteParts(w io.Writer, runs []bench.Result, parts ...Part) error {
	if len(runs) == 0 {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "a report needs at least one run")
	}
	public := make([]bench.Result, len(runs))
	for i, r := range runs {
		public[i] = r.Public()
	}
	v := newFigures(public)
	var b bytes.Buffer
	for _, p := range parts {
		if err := page.ExecuteTemplate(&b, string(p), v); err != nil {
			return fmt.Errorf("writing a part of the report: %w", err)
		}
	}
	_, err := b.WriteTo(w)
	return err
}

// WriteRecord writes the record of one sample of a run, counted from 0, without its transcript: submissions, containment, what it took.
func WriteRecord(w io.Writer, run bench.Result, sample int, artifact func(proofhouse.Digest) ([]byte, error)) error {
	run = run.Public()
	if err := page.ExecuteTemplate(w, "record", newSample(sample+1, run.Samples[sample], run, artifact)); err != nil {
		return fmt.Errorf("writing a record: %w", err)
	}
	return nil
}

// Style is the report's style sheet for its pieces: it holds within elements of class "report" alone.
func Style() string {
	return "@scope (.report) {\n" + strings.ReplaceAll(style, ":root", ":scope") + "}\n"
}

// The report's words for figures, for pages that show others beside its pieces.

// Span is a duration to three figures at most.
func Span(d time.Duration) string { return string(span(d)) }

// Count is a number with its thousands apart.
func Count(n int64) string { return string(count(n)) }

// Dollars is an amount of nano-dollars to the hundredth of a cent, rounded up.
func Dollars(nano int64) string { return string(dollars(nano)) }

// Size is a number of bytes in binary units.
func Size(n int64) string { return string(size(n)) }

// State is how a sample stands: a class of the style sheet, a sign that does not need colour, and a word.
func State(s bench.Sample) (class, sign, name string) {
	a, b, c := state(s)
	return string(a), string(b), string(c)
}

// Outcome names an outcome; the empty one is a sample without a submission that broke anything.
func Outcome(o oracle.Outcome) string { return string(outcomeWord(o)) }
