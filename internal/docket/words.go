package docket

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"proofhouse/internal/proofhouse"
)

// Line is a line of what a text to be signed says, for people.
type Line struct{ What, Says string }

// InWords is what a text that ToSign gave says, line by line, made from the text itself and nothing else, so that
// who reads the lines reads what is signed. A text of another form has none.
func InWords(text []byte) []Line {
	var t struct {
		Heading string            `json:"heading"`
		Case    proofhouse.CaseID `json:"case"`
		Says    json.RawMessage   `json:"says"`
	}
	if err := json.Unmarshal(text, &t); err != nil {
		return nil
	}
	w := wording{lines: []Line{{"In the case", string(t.Case)}}}
	var list []json.RawMessage
	if t.Heading != "proofhouse window v1" && json.Unmarshal(t.Says, &list) != nil {
		return nil
	}
	w.list = list
	switch t.Heading {
	case "proofhouse consultation v1":
		w.add("The answer of", w.text(0)+w.round(1))
		w.add("View", w.text(2))
		w.add("Because", w.text(3))
	case "proofhouse waiver v1":
		w.add("Done without the answer of", w.text(0)+w.round(1))
		w.add("Because", w.text(2))
	case "proofhouse criteria v1":
		w.add("The criteria", fmt.Sprintf("version %d, by their commitment %s", w.number(0), w.text(1)))
	case "proofhouse window v1":
		var end time.Time
		w.read(t.Says, &end)
		w.add("Access for the review ends", stamp(end))
	case "proofhouse deployment decision v1":
		w.ownUse()
	case "proofhouse determination, answers by digest v1":
		w.determination()
	default:
		return nil
	}
	if w.broken {
		return nil
	}
	return w.lines
}

// wording makes lines of the parts of a text. It is broken once a part is not what it should be.
type wording struct {
	list   []json.RawMessage
	lines  []Line
	broken bool
}

func (w *wording) add(what, says string) { w.lines = append(w.lines, Line{what, says}) }

func (w *wording) read(b []byte, into any) {
	if err := json.Unmarshal(b, into); err != nil {
		w.broken = true
	}
}

func (w *wording) part(i int, into any) {
	if i >= len(w.list) {
		w.broken = true
		return
	}
	w.read(w.list[i], into)
}

func (w *wording) text(i int) (s string) {
	w.part(i, &s)
	return s
}

func (w *wording) number(i int) (n int) {
	w.part(i, &n)
	return n
}

// round is which reconsideration it is in, if any.
func (w *wording) round(i int) string {
	if n := w.number(i); n > 0 {
		return fmt.Sprintf(", in reconsideration %d", n)
	}
	return ""
}

func stamp(t time.Time) string { return t.Format(time.RFC3339Nano) }

func (w *wording) ownUse() {
	var u OwnUse
	w.part(2, &u)
	w.add("Deployment decision", fmt.Sprintf("%d of %s, about its own use alone", w.number(1), w.text(0)))
	w.add("It", string(u.Use))
	w.add("Systems", u.Scope)
	w.add("For", u.Purpose)
	for _, c := range u.Conditions {
		w.add("On condition", c)
	}
	if !u.Until.IsZero() {
		w.add("Until", stamp(u.Until))
	}
	if u.Determination != "" {
		w.add("It rests on the determination", string(u.Determination))
	}
	for _, d := range u.Evidence {
		w.add("It rests on evidence", string(d))
	}
}

func (w *wording) determination() {
	var runs []proofhouse.RunID
	var evidence []proofhouse.Digest
	var citations []Citation
	var views [][]json.RawMessage
	w.part(6, &runs)
	w.part(7, &evidence)
	w.part(8, &citations)
	w.part(10, &views)
	outcome, proposed, departure := w.text(2), w.text(5), w.text(9)
	w.add("Determination", strconv.Itoa(w.number(0))+w.round(1))
	w.add("Outcome", outcome)
	follows := "which this follows"
	if outcome != proposed {
		follows = "from which this departs"
	}
	w.add("The registered rule proposes", proposed+", "+follows)
	if departure != "" {
		w.add("It departs because", departure)
	}
	w.add("Under the criteria", fmt.Sprintf("version %d, by their commitment %s", w.number(3), w.text(4)))
	for i, r := range runs {
		of := "no evidence"
		if i < len(evidence) {
			of = "evidence " + string(evidence[i])
		}
		w.add("A run that counts", string(r)+", "+of)
	}
	for _, c := range citations {
		var digests []string
		for _, d := range c.Evidence {
			digests = append(digests, string(d))
		}
		w.add("Cited", fmt.Sprintf("from %s, by %s@%s (%s), %s: %s; %s", c.Case, c.By.Person, c.By.Organisation, c.By.Role, stamp(c.At), c.Delta, strings.Join(digests, ", ")))
	}
	for _, v := range views {
		k := wording{list: v}
		var at time.Time
		k.part(2, &at)
		w.add("Consulted", fmt.Sprintf("%s%s, answered or waived %s, by its digest %s", k.text(0), k.round(1), stamp(at), k.text(3)))
		w.broken = w.broken || k.broken
	}
	if len(w.list) == 12 {
		var report []json.RawMessage
		w.part(11, &report)
		k := wording{list: report}
		w.add("It names the report", fmt.Sprintf("version %d, by its commitment %s", k.number(0), k.text(1)))
		w.broken = w.broken || k.broken
	}
}
