package clearing

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"proofhouse/internal/proofhouse"
)

// sarifLog is a log as a tool of the field writes it.
const sarifLog = `{"$schema":"https://json.schemastore.org/sarif-2.1.0.json","version":"2.1.0","runs":[{"tool":{"driver":{"name":"finder","version":"3",
"rules":[{"id":"r1"}]}},"results":[{"ruleId":"r1","taxa":[{"id":"787","toolComponent":{"name":"CWE"}}],"message":{"text":"a name\u202e overflows\nmore of it"},"locations":[{"physicalLocation":
{"artifactLocation":{"uri":"src/name.c"},"region":{"startLine":10}},"logicalLocations":[{"name":"copy_name"}]}]}]}]}`

func TestSARIF(t *testing.T) {
	s, err := readSARIF([]byte(sarifLog))
	if err != nil || s.title != "a name overflows" || s.cwe != "CWE-787" || s.tool != "finder 3" || s.symbol != (Symbol{"src/name.c", "copy_name", 10}) || !strings.HasSuffix(s.text, "more of it") {
		t.Errorf("%+v %v", s, err)
	}
	for name, text := range map[string]string{
		"nothing": "", "no JSON": "{", "no runs": `{"version":"2.1.0","runs":[]}`, "no result": `{"version":"2.1.0","runs":[{"results":[]}]}`,
		"two results": `{"version":"2.1.0","runs":[{"results":[{},{}]}]}`, "two runs": `{"version":"2.1.0","runs":[{"results":[{}]},{"results":[{}]}]}`,
		"null": `{"version":"2.1.0","runs":[null]}`, "null result": `{"version":"2.1.0","runs":[{"results":[null]}]}`, "another version": strings.Replace(sarifLog, "2.1.0\",\"runs", "2.0.0\",\"runs", 1),
		"large": `{"version":"2.1.0","runs":[{"results":[{"message":{"text":"` + strings.Repeat("x", 1<<20) + `"}}]}]}`,
	} {
		if _, err := readSARIF([]byte(text)); proofhouse.KindOf(err) != proofhouse.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestFilled holds what a report leaves out to what is taken in its place.
func TestFilled(t *testing.T) {
	base := Report{Purl: "pkg:npm/a@1", Attachments: []Attachment{
		{Filename: "t", Type: OfTarget, ContentType: "application/zip", Data: "QUJD"}, {Filename: "p", Type: OfProof, ContentType: "text/plain", Data: "x"},
	}}
	for name, c := range map[string]struct {
		change func(*Report)
		want   Claim
	}{
		"by hand":     {func(r *Report) { r.Method = "manual" }, Claim{AI: "none", Title: "A finding in pkg:npm/a@1", Marking: proofhouse.Red}},
		"by a model":  {func(r *Report) { r.Method, r.Tooling, r.Symbol.Function = "hybrid", "m", "f" }, Claim{AI: "hybrid: m", Title: "f in pkg:npm/a@1", Marking: proofhouse.Red}},
		"its own":     {func(r *Report) { r.AI, r.Title, r.Marking = "none", "t", proofhouse.Green }, Claim{AI: "none", Title: "t", Marking: proofhouse.Green}},
		"a long word": {func(r *Report) { r.AI, r.Symbol.Function = "none", strings.Repeat("é", 120) }, Claim{AI: "none", Title: strings.Repeat("é", 100), Marking: proofhouse.Red}},
	} {
		r := base
		c.change(&r)
		got, _, err := r.Read()
		if err != nil || got.AI != c.want.AI || got.Title != c.want.Title || got.Marking != c.want.Marking {
			t.Errorf("%s: %+v %v", name, got, err)
		}
	}
	if c, _, err := func() (Claim, Brought, error) {
		r := base
		r.Purl, r.Versions, r.AI = "pkg:npm/a", []string{"2"}, "none"
		return r.Read()
	}(); err != nil || c.Purl != "pkg:npm/a@2" {
		t.Error(c.Purl, err)
	}
}

// noon is a time.
var noon = time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)

// FuzzReport reads reports as strangers write them: what is taken is valid, and survives being written down.
func FuzzReport(f *testing.F) {
	f.Add([]byte(`{"purl":"pkg:npm/a@1","ai_use":"none","attachments":[{"filename":"t.zip","type":"reproducer","content_type":"application/zip","data":"QUJD"},{"filename":"p","type":"exploit-proof-of-concept","content_type":"text/plain","data":"x"}]}`))
	quoted, err := json.Marshal(sarifLog)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(`{"purl":"pkg:npm/a@1","discovery_method":"hybrid","enrichment":{"cwe":"cwe-79 xss"},"attachments":[{"filename":"t.zip","type":"reproducer","content_type":"application/zip","data":"QUJD"},{"filename":"p","type":"exploit-proof-of-concept","content_type":"text/plain","data":"x"},{"filename":"a.sarif","content_type":"application/json","data":` + string(quoted) + `}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var r Report
		if json.Unmarshal(b, &r) != nil {
			return
		}
		claim, brought, err := r.Read()
		if err != nil {
			if k := proofhouse.KindOf(err); k != proofhouse.Invalid && k != proofhouse.Limit {
				t.Fatal(k, err)
			}
			return
		}
		if err := claim.Validate(); err != nil {
			t.Fatal(err)
		}
		if len(brought.Proof.Bytes) == 0 && brought.Proof.Digest == "" {
			t.Fatal("no proof was taken")
		}
		d := proofhouse.DigestOf([]byte("x"))
		p, err := Project{}.Apply(Event{By: proofhouse.Actor{Organisation: "o", Person: "p"}, Act: Submit{ID: "finding-a", Claim: claim, Files: Files{Target: d, Proof: d}}}, noon)
		if err != nil {
			t.Fatal(err)
		}
		line, err := p.Record(Event{By: p.Findings[0].By, Act: Submit{ID: "finding-a", Claim: claim, Files: p.Findings[0].Files}}).Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseRecord(line); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
	})
}

// FuzzSARIF reads logs that are none.
func FuzzSARIF(f *testing.F) {
	f.Add([]byte(sarifLog))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := readSARIF(b)
		if err != nil && proofhouse.KindOf(err) != proofhouse.Invalid {
			t.Fatal(err)
		}
		if hidden(s.title) || hidden(s.tool) || hidden(s.symbol.Function) || hidden(s.symbol.File) {
			t.Fatalf("%+v", s)
		}
	})
}
