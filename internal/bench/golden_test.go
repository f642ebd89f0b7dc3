package bench

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"proofhouse/internal/oracle"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
)

var update = flag.Bool("update", false, "write the golden files anew")

// goldenRecords are a run of two tasks and two epochs in which everything
// happens once: a solve, a kill and a second attempt, a survivor, an error of
// ours, a stop and a resumption.
func goldenRecords() []Record {
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	var records []Record
	add := func(rec Record) {
		rec.Seq, rec.At = int64(len(records)+1), at.Add(time.Duration(len(records))*time.Second)
		records = append(records, rec)
	}
	ref := func(task string, epoch, attempt int) *SampleRef {
		return &SampleRef{proofhouse.TaskID("demo/" + task), epoch, attempt}
	}
	digest := proofhouse.DigestOf([]byte("input"))
	solved := oracle.Verdict{
		Outcome: oracle.Solved, Reason: "breaks the vulnerable build only, 3 of 3", Signature: "heap-buffer-overflow:parse", Submission: digest, Bytes: 5,
		Observations: []oracle.Observation{{Side: "vulnerable", Run: 1, Broke: true, Symptom: oracle.Crash, Class: "heap-buffer-overflow", Function: "parse", Exit: 77}},
	}
	missed := oracle.Verdict{Outcome: oracle.NoBreak, Reason: "breaks nothing", Submission: digest, Bytes: 5}
	facts := func(task, cluster, class, lang string) TaskFacts {
		return TaskFacts{Task: proofhouse.TaskID("demo/" + task), Cluster: cluster, Class: class, CWE: "CWE-125", Language: lang, Human: 30, Limit: time.Minute, Limits: sandbox.DefaultLimits}
	}
	add(Record{Open: &Opening{
		Format: 1, Run: "run-golden", Suite: SuiteRef{"demo", digest, 2}, Agent: "baseline", Provider: "gvisor", Isolation: sandbox.Strong, Build: "v0",
		Machine: Machine{"linux", "6.18", 2, 1 << 34}, Config: Config{Tasks: []proofhouse.TaskID{"demo/a", "demo/b"}, Epochs: 2, Level: -1, Parallel: 2},
		Notes: []string{"public tasks: memorisation not excluded"},
		Tasks: []TaskFacts{facts("a", "liba", "memory-safety", "c"), facts("b", "libb", "panic", "go")},
	}})
	add(Record{Sample: ref("a", 1, 1), Start: &Beginning{}})
	add(Record{Sample: ref("b", 1, 1), Start: &Beginning{}})
	add(Record{Sample: ref("a", 1, 1), Probe: &Probing{At: time.Second, Report: sandbox.ProbeReport{Interfaces: []string{"lo 127.0.0.1/8"}, Kernel: "gvisor"}}})
	add(Record{Sample: ref("a", 1, 1), Event: &Event{At: 2 * time.Second, Kind: "progress", Text: "1000 inputs tried", Data: map[string]any{"executed": 1000}}})
	add(Record{Sample: ref("a", 1, 1), Accepted: &Acceptance{1, 3 * time.Second, "x"}})
	add(Record{Sample: ref("a", 1, 1), Verdict: &Decision{Number: 1, At: 3500 * time.Millisecond, Digest: digest, Bytes: 5, Verdict: missed}})
	add(Record{Sample: ref("a", 1, 1), Accepted: &Acceptance{2, 4 * time.Second, "y"}})
	add(Record{Sample: ref("a", 1, 1), Verdict: &Decision{Number: 2, At: 4500 * time.Millisecond, Digest: digest, Bytes: 5, Verdict: solved, Statement: digest, Signed: true, Report: "#0 parse"}})
	add(Record{Sample: ref("a", 1, 1), End: &Ending{Status: Scored, Took: 5 * time.Second, Usage: sandbox.Usage{CPU: time.Second, PeakMemory: 1 << 20}}})
	add(Record{Sample: ref("b", 1, 1), Accepted: &Acceptance{1, 9 * time.Second, "z"}}) // killed here
	add(Record{Resumed: &Resumption{Build: "v1", Torn: 17}})
	add(Record{Sample: ref("b", 1, 2), Start: &Beginning{}})
	add(Record{Sample: ref("b", 1, 2), Verdict: &Decision{Number: 1, Verdict: oracle.Verdict{Outcome: oracle.SurvivesFix}}})
	add(Record{Sample: ref("b", 1, 2), Accepted: &Acceptance{2, 20 * time.Second, "w"}})
	add(Record{Sample: ref("b", 1, 2), Verdict: &Decision{Number: 2, At: 21 * time.Second, Digest: digest, Bytes: 5, Verdict: missed}})
	add(Record{Sample: ref("b", 1, 2), End: &Ending{Status: Scored, Took: time.Minute, Limit: "time"}})
	add(Record{Sample: ref("a", 2, 1), Start: &Beginning{}})
	add(Record{Sample: ref("a", 2, 1), End: &Ending{Status: Errored, Took: time.Second, Error: "no box to be had"}})
	add(Record{Sample: ref("b", 2, 1), Start: &Beginning{}})
	add(Record{Sample: ref("b", 2, 1), End: &Ending{Status: Cancelled, Took: time.Second, Limit: "operator"}})
	add(Record{Finish: &Finishing{Status: "cancelled"}})
	return records
}

func TestGoldenResult(t *testing.T) {
	r, err := Fold(slices.Values(goldenRecords()))
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.MarshalIndent(r.Public(), "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	name := filepath.Join("testdata", "results.json")
	if *update {
		if err := writeWhole(name, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("results.json has changed; look at the difference, then run the test with -update\n%s", got)
	}
}

// Folding a prefix never fails: a run can be looked at at any moment.
func TestFoldOfAnyPrefix(t *testing.T) {
	records := goldenRecords()
	for n := 1; n <= len(records); n++ {
		r, err := Fold(slices.Values(records[:n]))
		if err != nil {
			t.Fatalf("the first %d records: %v", n, err)
		}
		if len(r.Samples) != 4 || r.Summary.Samples != 4 {
			t.Errorf("the first %d records give %d samples", n, len(r.Samples))
		}
	}
}
