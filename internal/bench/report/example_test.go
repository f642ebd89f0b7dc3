package report

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"proofhouse/internal/bench"
	"proofhouse/internal/bench/benchtest"
)

var examples = flag.String("examples", "", "folder to write reports of made-up runs to, to look at in a browser")

func TestExamples(t *testing.T) {
	dir := *examples
	if dir == "" {
		dir = t.TempDir()
	}
	k := benchtest.Kept{}
	for name, runs := range map[string][]bench.Result{
		"one.html":     {benchtest.Result("baseline", 1, k)},
		"compare.html": {benchtest.Result("ladder", 1, k), benchtest.Result("baseline", 1, k), benchtest.Result("noop", 1, k)},
		"model.html":   {withModel(k)},
		"many.html":    {benchtest.Result("baseline", 42, k)},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), written(t, Input{Runs: runs, Artifact: k.Read}), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
