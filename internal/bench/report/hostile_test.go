package report

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"golang.org/x/net/html"

	"proofhouse/internal/bench"
	"proofhouse/internal/bench/benchtest"
	"proofhouse/internal/oracle"
	"proofhouse/internal/proofhouse"
)

// payloads are what a submission, a crash report or an agent may write.
var payloads = []string{
	`<script>planted()</script>`,
	`"><img src=x onerror=planted()>`,
	`' onmouseover='planted()' x='`,
	`javascript:planted()`,
	`</style><script>planted()</script><style>`,
	`</title></svg></pre></details><iframe srcdoc="<script>planted()</script>">`,
	`<svg onload=planted()><a href="javascript:planted()">x</a><set attributeName=href>`,
	`{{.}}{{template "style"}}<!--`, `]]>--><base href=//x/><meta http-equiv=refresh content=0>`,
	"\x1b[2J\x1b]8;;http://x/\x07link\x1b]8;;\x07", "nul\x00nul", "\u202edevlos\u2066\u200b\u2028", "\xff\xfe\xc0\xaf",
	"Z" + strings.Repeat("\u0335", 400), `url(javascript:planted())`, `100%;background:url(//x)`,
	strings.Repeat("<b>huge ", 40_000),
}

// fill puts payloads into every string that v holds, map keys included, so
// that a field added later is tried without anyone thinking of it. Numbers and
// statuses that choose what is shown stay as they are.
func fill(v reflect.Value, next func() string) {
	switch v.Kind() {
	case reflect.String:
		switch v.Interface().(type) {
		case bench.SampleStatus, oracle.Outcome:
		default:
			v.SetString(next())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() && v.Type() != reflect.TypeFor[time.Time]() {
				fill(v.Field(i), next)
			}
		}
	case reflect.Slice:
		if v.Len() == 0 && v.Type().Elem().Kind() == reflect.String {
			v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		}
		for i := range v.Len() {
			fill(v.Index(i), next)
		}
	case reflect.Map:
		filled := reflect.MakeMap(v.Type())
		for _, key := range v.MapKeys() {
			k, x := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			k.Set(key)
			x.Set(v.MapIndex(key))
			fill(k, next)
			fill(x, next)
			filled.SetMapIndex(k, x)
		}
		v.Set(filled)
	case reflect.Interface:
		v.Set(reflect.ValueOf(next()))
	}
}

// faults finds what no report may hold: elements and attributes that are not
// ours, links that lead out, letters that hide.
func faults(page []byte) (out []string) {
	allowed := strings.Fields(`html head meta title style body header main section p b h1 h2 h3 h4 ul li div span i table caption thead tbody tr
		th td dl dt dd details summary pre code small ol time br fieldset legend label input a svg circle path line rect text g`)
	attributes := strings.Fields(`lang charset http-equiv content name viewport class id aria-labelledby aria-hidden aria-label role scope data-l
		data-agent tabindex open type checked href viewbox width height cx cy r x y x1 x2 y1 y2 dx dy rx d`)
	tokens, raw := html.NewTokenizer(bytes.NewReader(page)), ""
	styles := 0
	for {
		switch tokens.Next() {
		case html.ErrorToken:
			if styles != 1 {
				out = append(out, fmt.Sprintf("%d style elements", styles))
			}
			for i, r := range string(page) {
				if r != '\n' && r != '\t' && (unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Zl, unicode.Zp) || r == unicode.ReplacementChar) {
					out = append(out, fmt.Sprintf("%U at %d", r, i))
					break
				}
			}
			return out
		case html.StartTagToken, html.SelfClosingTagToken:
			t := tokens.Token()
			raw = t.Data
			if t.Data == "style" {
				styles++
			}
			if !slices.Contains(allowed, t.Data) {
				out = append(out, "element "+t.Data)
			}
			for _, a := range t.Attr {
				if !slices.Contains(attributes, strings.ToLower(a.Key)) {
					out = append(out, "attribute "+a.Key+" of "+t.Data)
				}
				if a.Key == "href" && !strings.HasPrefix(a.Val, "#") {
					out = append(out, "link to "+a.Val)
				}
			}
		case html.TextToken:
			if raw == "style" {
				if s := string(tokens.Text()); s != style {
					out = append(out, "the style sheet is not ours")
				}
			}
			raw = ""
		case html.CommentToken:
			out = append(out, "a comment")
		}
	}
}

func TestHostileStringsStayText(t *testing.T) {
	for i := 0; i < len(payloads); i += 4 { // each round meets every payload, in other fields
		k, n := benchtest.Kept{}, i
		next := func() string {
			n++
			return payloads[n%len(payloads)]
		}
		runs := []bench.Result{benchtest.Result("baseline", 1, k), benchtest.Result("ladder", 1, k)}
		content := k.Put([]byte(strings.Join(payloads[:len(payloads)-1], "\n")))
		for x := range runs {
			fill(reflect.ValueOf(&runs[x]).Elem(), next)
			for y := range runs[x].Samples {
				for z := range runs[x].Samples[y].Submissions {
					runs[x].Samples[y].Submissions[z].Digest = content
				}
			}
		}
		var page bytes.Buffer
		if err := Write(&page, Input{Runs: runs, Artifact: k.Read}); err != nil {
			t.Fatal(err)
		}
		if found := faults(page.Bytes()); len(found) > 0 {
			t.Errorf("with payload %d: %d faults, such as %q", i, len(found), found[:min(len(found), 3)])
		}
		if size := page.Len(); size > 4<<20 {
			t.Errorf("with payload %d: the page has %d bytes", i, size)
		}
	}
}

// The check itself must see what it is for.
func TestFaultsAreSeen(t *testing.T) {
	var page bytes.Buffer
	if err := Write(&page, Input{Runs: []bench.Result{benchtest.Result("baseline", 1, benchtest.Kept{})}}); err != nil {
		t.Fatal(err)
	}
	if found := faults(page.Bytes()); len(found) > 0 {
		t.Fatalf("an honest page has faults: %q", found)
	}
	for _, payload := range payloads[:13] {
		if payload == `javascript:planted()` || strings.HasPrefix(payload, "' on") {
			payload = "<a href='" + payload + "'>x</a>"
		}
		bad := bytes.Replace(page.Bytes(), []byte("<main>"), []byte("<main>"+payload), 1)
		if strings.HasPrefix(payload, "\xff") || len(faults(bad)) > 0 {
			continue // bytes that are no UTF-8 read as U+FFFD
		}
		t.Errorf("%q went unseen", payload)
	}
}

// A view is made of text, words and numbers, so no string can reach the page
// without bench.Printable.
func TestViewHoldsNoBareString(t *testing.T) {
	var walk func(t reflect.Type, at string) []string
	walk = func(x reflect.Type, at string) (bad []string) {
		switch x.Kind() {
		case reflect.String:
			if x != reflect.TypeFor[text]() && x != reflect.TypeFor[word]() {
				bad = append(bad, at)
			}
		case reflect.Struct:
			for i := range x.NumField() {
				bad = append(bad, walk(x.Field(i).Type, at+"."+x.Field(i).Name)...)
			}
		case reflect.Slice, reflect.Pointer:
			bad = walk(x.Elem(), at)
		case reflect.Int, reflect.Float64, reflect.Bool:
		default:
			bad = append(bad, at)
		}
		return bad
	}
	if bad := walk(reflect.TypeFor[view](), "view"); len(bad) > 0 {
		t.Errorf("neither text, word nor number: %q", bad)
	}
}

func TestSurvivorsAreACountOnly(t *testing.T) {
	k := benchtest.Kept{}
	r := benchtest.Result("baseline", 1, k)
	s := &r.Samples[0]
	s.Submissions = append(s.Submissions, bench.Submission{
		Number: 2, At: 9 * time.Second, Digest: k.Put([]byte("UNFIXED-INPUT")), Report: "UNFIXED-REPORT",
		Verdict: oracle.Verdict{Outcome: oracle.SurvivesFix, Reason: "UNFIXED-REASON"},
	})
	s.Score.Outcome, s.Score.Survivors, r.Summary.Survivors = oracle.SurvivesFix, 1, 1
	s.Events = append(s.Events, bench.Event{Kind: "verdict", Text: "UNFIXED-EVENT", Data: map[string]any{"outcome": "survives_fix", "number": 2}})
	var page bytes.Buffer
	if err := Write(&page, Input{Runs: []bench.Result{r}, Artifact: k.Read}); err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"UNFIXED", "survives_fix", string(proofhouse.DigestOf([]byte("UNFIXED-INPUT"))), "554e4649584544"} {
		if bytes.Contains(page.Bytes(), []byte(word)) {
			t.Errorf("the page holds %q", word)
		}
	}
	if !strings.Contains(page.String(), "Survived the fix</dt><dd><b>1</b>") {
		t.Error("the count is missing")
	}
}
