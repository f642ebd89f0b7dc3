package report

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	"proofhouse/internal/bench"
	"proofhouse/internal/bench/benchtest"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
)

var update = flag.Bool("update", false, "write the golden files anew")

// outline is the page as headings, captions, tables' sizes and figures, which
// stays readable when the words beside them change.
func outline(page []byte) (string, error) {
	doc, err := html.Parse(bytes.NewReader(page))
	if err != nil {
		return "", err
	}
	var out strings.Builder
	for n := range doc.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		switch n.Data {
		case "h1", "h2", "h3", "caption", "dt":
			fmt.Fprintf(&out, "%s: %s\n", n.Data, words(n))
		case "tbody":
			rows := 0
			for c := range n.ChildNodes() {
				if c.Data == "tr" {
					rows++
				}
			}
			fmt.Fprintf(&out, "  %d rows\n", rows)
		case "svg":
			if attr(n, "role") == "img" {
				fmt.Fprintf(&out, "  figure: %s\n", attr(n, "aria-label"))
			}
		case "section", "details", "p":
			if c := attr(n, "class") + attr(n, "id"); n.Data != "p" || strings.Contains(c, "how") || strings.Contains(c, "alarm") || strings.Contains(c, "held") {
				fmt.Fprintf(&out, "%s %s\n", n.Data, c)
			}
		}
	}
	return out.String(), nil
}

func words(n *html.Node) string {
	var b strings.Builder
	for c := range n.Descendants() {
		if c.Type == html.TextNode {
			b.WriteString(c.Data)
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

func attr(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

func written(t *testing.T, in Input) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, in); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestOutline(t *testing.T) {
	k := benchtest.Kept{}
	got, err := outline(written(t, Input{Runs: []bench.Result{benchtest.Result("baseline", 1, k), benchtest.Result("ladder", 1, k), benchtest.Result("noop", 1, k)}, Artifact: k.Read}))
	if err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/outline.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("run with -update if this is meant (-want +got):\n%s", diff)
	}
}

// Every figure of the page has its explanation beside it.
func TestEachFigureSaysHowToReadIt(t *testing.T) {
	k := benchtest.Kept{}
	page := written(t, Input{Runs: []bench.Result{benchtest.Result("ladder", 1, k), benchtest.Result("noop", 1, k)}, Artifact: k.Read})
	doc, err := html.Parse(bytes.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	sections := 0
	for n := range doc.Descendants() {
		if n.Data != "section" || attr(n, "id") == "notes" || attr(n, "id") == "records" {
			continue
		}
		sections++
		how := false
		for c := range n.Descendants() {
			how = how || c.Data == "p" && attr(c, "class") == "how"
		}
		if !how {
			t.Errorf("section %s does not say how to read it", attr(n, "id"))
		}
	}
	if sections != 6 {
		t.Errorf("%d sections with figures, want 6", sections)
	}
}

func TestNotesInPlainWords(t *testing.T) {
	k := benchtest.Kept{}
	for _, c := range []struct {
		name         string
		change       func(*bench.Result)
		says, silent string
	}{
		{"public", func(*bench.Result) {}, "public tasks: memorisation not excluded", "weak isolation"},
		{"discovery", func(*bench.Result) {}, "discovery only", ""},
		{"unsigned", func(*bench.Result) {}, "unsigned: no key vouches", ""},
		{"signed", func(r *bench.Result) {
			for i := range r.Samples {
				for j := range r.Samples[i].Submissions {
					r.Samples[i].Submissions[j].Signed = true
				}
			}
		}, "", "unsigned"},
		{"weak", func(r *bench.Result) { r.Isolation = sandbox.Weak }, "weak isolation: the boxes shared", ""},
		{"none", func(r *bench.Result) { r.Isolation = sandbox.None }, "no isolation", ""},
		{"said already", func(r *bench.Result) {
			r.Isolation = sandbox.Weak
			r.Notes = append(r.Notes, "Isolation was weak")
		}, "Isolation was weak", "weak isolation: the boxes"},
		{"cancelled", func(r *bench.Result) { r.Status = "cancelled" }, "did not reach its end", ""},
		{"resumed", func(r *bench.Result) { r.Resumes = 2 }, "interrupted and resumed (2 ×)", ""},
	} {
		r := benchtest.Result("baseline", 1, k)
		c.change(&r)
		page := string(written(t, Input{Runs: []bench.Result{r}}))
		notes, _, _ := strings.Cut(page, `id="result"`)
		if c.says != "" && !strings.Contains(notes, c.says) {
			t.Errorf("%s: the notes do not say %q", c.name, c.says)
		}
		if c.silent != "" && strings.Contains(notes, c.silent) {
			t.Errorf("%s: the notes say %q", c.name, c.silent)
		}
	}
}

func TestNothingAtAll(t *testing.T) {
	if err := Write(&bytes.Buffer{}, Input{}); proofhouse.KindOf(err) != proofhouse.Invalid {
		t.Errorf("no run: %v", err)
	}
	page := string(written(t, Input{Runs: []bench.Result{{}, {}}}))
	for _, bad := range []string{"NaN", "+Inf", "-Inf", "%!"} {
		if strings.Contains(page, bad) {
			t.Errorf("an empty result shows %s", bad)
		}
	}
	if !strings.Contains(page, "No sample was scored") {
		t.Error("an empty result shows a rate")
	}
}

// A leaky box is said loudly, and content that is not what was judged is not shown.
func TestLeaksAndForgeries(t *testing.T) {
	k := benchtest.Kept{}
	r := benchtest.Result("baseline", 1, k)
	r.Samples[0].Probe.Canaries[0].Reached = true
	k[r.Samples[0].Submissions[0].Digest] = []byte("SWAPPED")
	page := string(written(t, Input{Runs: []bench.Result{r}, Artifact: k.Read}))
	if !strings.Contains(page, "Leaky: a process in the box reached 1 of 5 listeners") {
		t.Error("the leak is not shown")
	}
	if strings.Contains(page, "SWAPPED") || !strings.Contains(page, "do not have the recorded digest") {
		t.Error("bytes with another digest are shown")
	}
	if !strings.Contains(page, "No probe is recorded") { // the sample with the error
		t.Error("a missing proof is not said")
	}
}

// A run with less time must not look as if it had stood still.
func TestShorterRunEndsEarly(t *testing.T) {
	k := benchtest.Kept{}
	long, short := benchtest.Result("ladder", 1, k), benchtest.Result("baseline", 1, k)
	for i := range long.Samples {
		long.Samples[i].Bound = 40 * time.Second
	}
	charts := newCharts([]bench.Result{long, short})
	wide := charts[0]
	for i, want := range []string{fmt.Sprintf("H%.1f", wide.Right), fmt.Sprintf("H%.1f", (wide.Left+wide.Right)/2)} {
		if got := string(wide.Series[i].Line); !strings.HasSuffix(got, want) {
			t.Errorf("line %d ends in %s, want %s", i, got[max(0, len(got)-20):], want)
		}
	}
}

func TestManySamplesStayUsable(t *testing.T) {
	k := benchtest.Kept{}
	page := written(t, Input{Runs: []bench.Result{benchtest.Result("baseline", 42, k)}, Artifact: k.Read})
	t.Logf("504 samples: %d bytes", len(page))
	if len(page) > 5<<20 {
		t.Errorf("504 samples take %d bytes, want at most 5 MiB", len(page))
	}
	if !bytes.Contains(page, []byte(`class="long"`)) {
		t.Error("504 records would be printed")
	}
}

func TestWords(t *testing.T) {
	for _, c := range []struct{ got, want word }{
		{span(0), "0 s"},
		{span(340 * time.Microsecond), "340 µs"},
		{span(64 * time.Millisecond), "64 ms"},
		{span(1900 * time.Millisecond), "1.9 s"},
		{span(42 * time.Second), "42 s"},
		{span(200 * time.Second), "3 min 20 s"},
		{span(2*time.Hour + 5*time.Minute), "2 h 5 min"},
		{span(-1), "–"},
		{size(0), "0 B"},
		{size(1023), "1023 B"},
		{size(1 << 10), "1 KiB"},
		{size(24 << 30), "24 GiB"},
		{size(1536), "1.5 KiB"},
		{percent(0), "0%"},
		{percent(1), "100%"},
		{percent(0.996), "99.6%"},
		{percent(0.004), "0.4%"},
		{percent(0.42), "42%"},
		{axisLabel(90*time.Second, 30*time.Second), "1:30"},
		{axisLabel(2*time.Minute, 30*time.Second), "2 min"},
		{axisLabel(0, 1), "0"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
	for _, d := range []time.Duration{1, time.Second, 20 * time.Second, 7 * time.Minute, 30 * time.Hour, 400 * time.Hour} {
		if n := d / niceStep(d, 6); n > 6 {
			t.Errorf("%d ticks for %v", n, d)
		}
	}
}
