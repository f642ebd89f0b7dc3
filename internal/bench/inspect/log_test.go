package inspect_test

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"proofhouse/internal/bench"
	"proofhouse/internal/bench/benchtest"
	"proofhouse/internal/bench/inspect"
	"proofhouse/internal/oracle"
	"proofhouse/internal/proofhouse"
)

var examples = flag.String("examples", "", "folder to write logs of made-up runs to, for interop/run")

// members writes r's log and takes it apart; names are in the archive's order.
func members(t *testing.T, r bench.Result, k benchtest.Kept) (names []string, content map[string][]byte) {
	t.Helper()
	var b bytes.Buffer
	if err := inspect.Write(&b, r, k.Read); err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(b.Bytes(), []byte("PK\x03\x04")) {
		t.Error("the log does not begin like a zip file")
	}
	z, err := zip.NewReader(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	content = map[string][]byte{}
	for _, f := range z.File {
		in, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		if content[f.Name], err = io.ReadAll(in); err != nil {
			t.Fatal(err)
		}
		if f.Method != zip.Deflate {
			t.Errorf("%s has method %d", f.Name, f.Method)
		}
		names = append(names, f.Name)
	}
	return names, content
}

// schemas are Inspect's own, by type.
func schemas(t *testing.T) func(name string) *jsonschema.Schema {
	t.Helper()
	raw, err := os.ReadFile("testdata/inspect-openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("inspect.json", doc); err != nil {
		t.Fatal(err)
	}
	return func(name string) *jsonschema.Schema {
		s, err := c.Compile("inspect.json#/components/schemas/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
}

// validate holds data to a type of Inspect's; a list to one for each.
func validate(t *testing.T, s *jsonschema.Schema, name string, data []byte) {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	all, ok := v.([]any)
	if !ok {
		all = []any{v}
	}
	for _, x := range all {
		if err := s.Validate(x); err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
	}
}

// runs are the made-up runs, and two that ended early.
func runs(k benchtest.Kept) map[string]bench.Result {
	all := map[string]bench.Result{
		"baseline": benchtest.Result("baseline", 2, k), "ladder": benchtest.Result("ladder", 1, k), "noop": benchtest.Result("noop", 1, k),
		"empty": {Status: "error", Error: "no task could be built"},
	}
	cancelled := benchtest.Result("baseline", 1, k)
	cancelled.Status = "cancelled"
	cancelled.Samples[3].Status, cancelled.Samples[3].Score = bench.Cancelled, bench.Score{}
	cancelled.Samples[4].Limit = "submissions"
	cancelled.Summary.Scored, cancelled.Summary.Cancelled = 10, 1
	all["cancelled"] = cancelled
	all["model"] = withModel(k)
	return all
}

func TestMembersFollowInspectsSchema(t *testing.T) {
	compile := schemas(t)
	log, sample, summary, reductions := compile("EvalLog"), compile("EvalSample"), compile("EvalSampleSummary"), compile("EvalSampleReductions")
	spec, plan := compile("EvalSpec"), compile("EvalPlan")
	k := benchtest.Kept{}
	for name, r := range runs(k) {
		names, content := members(t, r, k)
		for _, n := range names {
			switch {
			case n == "header.json":
				validate(t, log, name+" "+n, content[n])
			case n == "reductions.json":
				validate(t, reductions, name+" "+n, content[n])
			case n == "summaries.json" || strings.HasPrefix(n, "_journal/summaries/"):
				validate(t, summary, name+" "+n, content[n])
			case n == "_journal/start.json":
				var start map[string]json.RawMessage
				if err := json.Unmarshal(content[n], &start); err != nil {
					t.Fatal(err)
				}
				validate(t, spec, name+" "+n, start["eval"])
				validate(t, plan, name+" "+n, start["plan"])
			case strings.HasPrefix(n, "samples/"):
				validate(t, sample, name+" "+n, content[n])
			default:
				t.Errorf("%s: unknown member %s", name, n)
			}
		}
	}
}

func TestSchemaIsChecked(t *testing.T) {
	s := schemas(t)("EvalSample")
	_, content := members(t, benchtest.Result("ladder", 1, benchtest.Kept{}), benchtest.Kept{})
	for _, c := range []struct{ name, old, new string }{
		{"a score without history", `"history":[]`, `"histories":[]`},
		{"an unknown event", `"event":"span_end"`, `"event":"span_over"`},
		{"a required field gone", `"attachments":`, `"attachment":`},
		{"a wrong type", `"epoch":1`, `"epoch":"one"`},
	} {
		data := strings.ReplaceAll(string(content["samples/cjson-parse_epoch_1.json"]), c.old, c.new)
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if s.Validate(v) == nil {
			t.Errorf("%s passes", c.name)
		}
	}
}

func TestShape(t *testing.T) {
	k := benchtest.Kept{}
	r := benchtest.Result("baseline", 1, k)
	names, content := members(t, r, k)
	var want []string
	want = append(want, "_journal/start.json")
	for _, s := range r.Samples {
		want = append(want, "samples/"+strings.TrimPrefix(string(s.Task), "open-1/")+"_epoch_1.json")
	}
	want = append(want, "_journal/summaries/1.json", "summaries.json", "reductions.json", "header.json")
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("members (-want +got):\n%s", diff)
	}
	if got := inspect.FileName(r); !regexp.MustCompile(`^2026-11-20T09-00-00-00-00_open-1_[0-9a-f]{22}\.eval$`).MatchString(got) {
		t.Errorf("the file is called %s", got)
	}
	var h struct {
		Status  string
		Results struct {
			TotalSamples     int `json:"total_samples"`
			CompletedSamples int `json:"completed_samples"`
			Scores           []struct {
				Name    string
				Metrics map[string]struct{ Value float64 }
			}
		}
	}
	if err := json.Unmarshal(content["header.json"], &h); err != nil {
		t.Fatal(err)
	}
	if h.Status != "success" || h.Results.TotalSamples != 12 || h.Results.CompletedSamples != 11 || len(h.Results.Scores) != 3 {
		t.Errorf("header %+v", h)
	}
	m := h.Results.Scores[0].Metrics
	// 5 of 11; the error is the root of p(1-p)/(n-1), as Inspect's stderr() computes it.
	for name, want := range map[string]float64{
		"accuracy": 5.0 / 11, "stderr": 0.15745916432444337, "solve_rate": 5.0 / 11, "wilson_low": r.Summary.Wilson.Low, "clustered_high": r.Summary.Clustered.High,
	} {
		if got := m[name].Value; got < want-1e-12 || got > want+1e-12 {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
}

func TestUnfinishedRunHasNoHeader(t *testing.T) {
	k := benchtest.Kept{}
	r := benchtest.Result("baseline", 1, k)
	r.Status = "started"
	r.Samples[5].Status = bench.Running
	names, _ := members(t, r, k)
	if slices.Contains(names, "header.json") || slices.Contains(names, "summaries.json") || !slices.Contains(names, "_journal/summaries/1.json") {
		t.Errorf("members %v", names)
	}
	if slices.Contains(names, "samples/xnet-html-hang_epoch_1.json") {
		t.Error("a sample that still runs is in the log")
	}
}

// What must not be in a log: what survived the fix, paths of this machine,
// letters that hide.
func TestNothingLeaks(t *testing.T) {
	k := benchtest.Kept{}
	r := benchtest.Result("baseline", 1, k)
	s := &r.Samples[0]
	s.Submissions = append(s.Submissions, bench.Submission{
		Number: 2, At: 9 * time.Second, Digest: k.Put([]byte("UNFIXED-INPUT")), Report: "UNFIXED-REPORT",
		Verdict: oracle.Verdict{Outcome: oracle.SurvivesFix, Reason: "UNFIXED-REASON"},
	})
	s.Score.Outcome, s.Score.Survivors = oracle.SurvivesFix, 1
	s.Events = append(s.Events, bench.Event{Kind: "verdict", Text: "UNFIXED-EVENT survives_fix", Data: map[string]any{"outcome": "survives_fix", "number": 2}})
	bad := "\x1b[2J\x00\u202e\xff<script>"
	s = &r.Samples[1]
	s.Events = append(s.Events,
		bench.Event{Kind: bad, Text: bad, Data: map[string]any{bad: []any{bad, map[string]any{"x": bad}}}},
		bench.Event{Kind: "exec", Text: bad, Data: map[string]any{"argv": []any{"/bin/sh", bad}, "stdout": bad, "exit": 1.0}},
	)
	s.Submissions[0].Report, s.Submissions[0].Verdict.Reason = bad, bad
	s.Probe.Kernel, s.Task = bad, proofhouse.TaskID("open-1/../../"+bad)
	names, content := members(t, r, k)
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.Contains(name, "..") && strings.Contains(strings.TrimPrefix(name, "samples/"), "/") {
			t.Errorf("member %q leaves its folder", name)
		}
		for _, word := range []string{"UNFIXED", "VU5GSVhFRC1", "survives_fix", wd, os.TempDir() + "/", `"` + host + `"`, "\x1b", "\\u001b", "\\u0000", "\u202e", "\\u202e[", "\ufffd", "<script>"} {
			if bytes.Contains(content[name], []byte(word)) {
				t.Errorf("%s holds %q", name, word)
			}
		}
	}
}

func TestVerdictTravels(t *testing.T) {
	k := benchtest.Kept{}
	_, content := members(t, benchtest.Result("ladder", 1, k), k)
	var s struct {
		Scores map[string]struct {
			Value    string
			Answer   string
			Metadata struct {
				Outcome, Report, Signature, Statement string
				Base64                                []byte
				Signed                                bool
				Observations                          []struct{ Side string }
			}
		}
		Events []map[string]any
	}
	if err := json.Unmarshal(content["samples/cjson-parse_epoch_1.json"], &s); err != nil {
		t.Fatal(err)
	}
	main := s.Scores["oracle"]
	if main.Value != "C" || main.Metadata.Outcome != "solved" || len(main.Metadata.Observations) != 6 || main.Metadata.Statement == "" ||
		string(main.Metadata.Base64) != "{\"a\\" || !strings.Contains(main.Metadata.Report, "parse_string") {
		t.Errorf("the score lacks something: %+v", main)
	}
	var kinds []string
	for _, e := range s.Events {
		kinds = append(kinds, e["event"].(string))
	}
	want := strings.Fields("span_begin sample_init span_end span_begin span_begin info info info score info score span_end span_end span_begin score span_end")
	if diff := cmp.Diff(want, kinds); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// full is a disk that is full after n bytes.
type full struct{ n int }

func (f *full) Write(b []byte) (int, error) {
	if f.n -= len(b); f.n < 0 {
		return 0, errors.New("no space left")
	}
	return len(b), nil
}

func TestFullDiskIsSaid(t *testing.T) {
	k := benchtest.Kept{}
	r := benchtest.Result("baseline", 1, k)
	for _, n := range []int{0, 100, 5000} {
		if err := inspect.Write(&full{n}, r, k.Read); err == nil {
			t.Errorf("a disk with room for %d bytes took the log", n)
		}
	}
}

func TestExamples(t *testing.T) {
	dir := *examples
	if dir == "" {
		dir = t.TempDir()
	}
	k := benchtest.Kept{}
	for name, r := range runs(k) {
		folder := filepath.Join(dir, name)
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		f, err := os.Create(filepath.Join(folder, inspect.FileName(r)))
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(inspect.Write(f, r, k.Read), f.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

func BenchmarkWrite(b *testing.B) {
	k := benchtest.Kept{}
	r := benchtest.Result("baseline", 50, k)
	b.ReportAllocs()
	for b.Loop() {
		if err := inspect.Write(io.Discard, r, k.Read); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(r.Samples))*float64(b.N)/b.Elapsed().Seconds(), "samples/s")
}
