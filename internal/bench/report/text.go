package report

import (
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"proofhouse/internal/bench"
	"proofhouse/internal/proofhouse"
)

// text is a string that went through bench.Printable. The page is made of text,
// words and numbers only; TestViewHoldsNoBareString holds that.
type text string

// word is a constant of this package, or made of numbers by it.
type word string

// Bounds of what the page shows, in bytes.
const (
	maxLabel   = 200      // a name
	maxLine    = 2 << 10  // a line of a transcript
	maxReport  = 12 << 10 // a crash report
	maxHex     = 1 << 10  // of a submission, as hex
	maxContent = 4 << 10  // of a submission, as text
	maxEvents  = 160      // lines of a transcript, head and tail
	maxDetail  = 4        // submissions of a sample shown whole
	maxRows    = 40       // submissions of a sample listed
	maxObserve = 24       // observations of a verdict
	maxList    = 64       // interfaces, routes, sockets
	maxPrinted = 60       // samples whose details are printed
	maxCompare = 8        // runs side by side
)

func label(s string) text { return text(bench.Printable(s, maxLabel)) }
func line(s string) text  { return text(bench.Printable(s, maxLine)) }

func labels(all []string) []text {
	var out []text
	for i, s := range all {
		if i == maxList {
			return append(out, text(fmt.Sprintf("… and %d more", len(all)-maxList)))
		}
		out = append(out, label(s))
	}
	return out
}

// percent is a share as a whole percentage; shares near the ends keep a
// decimal, so that 99.6% does not read as all.
func percent(share float64) word {
	p := share * 100
	if math.IsNaN(p) {
		return "–"
	}
	if (p > 0 && p < 1) || (p > 99 && p < 100) {
		return word(strconv.FormatFloat(p, 'f', 1, 64) + "%")
	}
	return word(strconv.FormatFloat(p, 'f', 0, 64) + "%")
}

// span is a duration to three figures at most.
func span(d time.Duration) word {
	switch {
	case d < 0:
		return "–"
	case d == 0:
		return "0 s"
	case d < time.Millisecond:
		return word(fmt.Sprintf("%d µs", d.Microseconds()))
	case d < time.Second:
		return word(fmt.Sprintf("%d ms", d.Milliseconds()))
	case d < 10*time.Second:
		return word(fmt.Sprintf("%.1f s", d.Seconds()))
	case d < time.Minute:
		return word(fmt.Sprintf("%.0f s", d.Seconds()))
	case d < time.Hour:
		return word(fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60))
	}
	return word(fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60))
}

// size is a number of bytes in binary units.
func size(n int64) word {
	if n < 1024 {
		return word(fmt.Sprintf("%d B", n))
	}
	v, units := float64(n), []string{"KiB", "MiB", "GiB", "TiB"}
	for i, u := range units {
		v /= 1024
		if v < 1024 || i == len(units)-1 {
			return word(strings.TrimSuffix(strconv.FormatFloat(v, 'f', 1, 64), ".0") + " " + u)
		}
	}
	return ""
}

func moment(t time.Time) word {
	if t.IsZero() {
		return "–"
	}
	return word(t.UTC().Format("2006-01-02 15:04:05 UTC"))
}

func plural(n int, one, many string) word {
	if n == 1 {
		return word("1 " + one)
	}
	return word(strconv.Itoa(n) + " " + many)
}

// content is a submission, read once and bounded.
type content struct {
	Hex, Text text
	Note      word // what is missing, or why nothing is there
	Textual   bool // it reads as text, so the text is shown first
}

func readContent(artifact func(proofhouse.Digest) ([]byte, error), d proofhouse.Digest) content {
	if artifact == nil || d == "" {
		return content{Note: "The submission's bytes are not at hand."}
	}
	b, err := artifact(d)
	if err != nil {
		return content{Note: "The submission's bytes are not at hand."}
	}
	if proofhouse.DigestOf(b) != d {
		return content{Note: "The kept bytes do not have the recorded digest, so they are not shown."}
	}
	var c content
	if len(b) > maxHex {
		c.Note = word(fmt.Sprintf("The first %d bytes as hex; the rest is among the run's artifacts.", maxHex))
	}
	c.Hex = text(strings.TrimRight(hex.Dump(b[:min(len(b), maxHex)]), "\n"))
	c.Text = text(bench.Printable(string(b), maxContent))
	c.Textual = textual(b[:min(len(b), maxHex)])
	return c
}

// textual says whether nearly all of b is printable ASCII.
func textual(b []byte) bool {
	good := 0
	for _, c := range b {
		if c >= 0x20 && c < 0x7f || c == '\n' || c == '\t' || c == '\r' {
			good++
		}
	}
	return good*20 >= len(b)*19
}
