package report

import (
	"os"
	"path/filepath"
	"testing"

	"proofhouse/internal/bench"
)

// TestWrite writes reports of made-up runs, to a folder to look at if REPORT_OUT names one.
func TestWriteExamples(t *testing.T) {
	dir := os.Getenv("REPORT_OUT")
	if dir == "" {
		dir = t.TempDir()
	}
	k := kept{}
	for name, in := range map[string]Input{
		"one.html":     {Runs: []bench.Result{madeUp("baseline", 1, k)}, Open: k.open},
		"compare.html": {Runs: []bench.Result{madeUp("ladder", 1, k), madeUp("baseline", 1, k), madeUp("noop", 1, k)}, Open: k.open},
		"many.html":    {Runs: []bench.Result{madeUp("baseline", 42, k)}, Open: k.open},
	} {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := Write(f, in); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
