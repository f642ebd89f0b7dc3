package report

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"proofhouse/internal/bench"
)

var examples = flag.String("examples", "", "folder to write reports of made-up runs to, to look at in a browser")

func TestExamples(t *testing.T) {
	dir := *examples
	if dir == "" {
		dir = t.TempDir()
	}
	k := kept{}
	for name, runs := range map[string][]bench.Result{
		"one.html":     {madeUp("baseline", 1, k)},
		"compare.html": {madeUp("ladder", 1, k), madeUp("baseline", 1, k), madeUp("noop", 1, k)},
		"many.html":    {madeUp("baseline", 42, k)},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), written(t, Input{Runs: runs, Artifact: k.read}), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
