package app

import (
	"os"
	"runtime"
	"testing"

	"proofhouse/internal/clearing"
)

// TestMain lets the test's own program keep boxes, as the command's does.
func TestMain(m *testing.M) {
	Dispatch()
	os.Exit(m.Run())
}

// BenchmarkReproduce makes whole reproductions: three runs of the proof and five more, the controls and the null patch, all in fresh boxes,
// as many side by side as there are cores. Builds are made once before. Needs root and CGO_ENABLED=0; the data folder is the machine's.
func BenchmarkReproduce(b *testing.B) {
	for _, c := range []struct{ name, folder, proof string }{
		{"c", "../../tasks/recipe/cjson", "../../tasks/open-1/cjson-parse/solution/poc"},
		{"go", "../../tasks/recipe/jsonparser", "../../tasks/open-1/jsonparser-delete/solution/poc"},
	} {
		b.Run(c.name, func(b *testing.B) {
			a, err := Open(b.Context(), Config{Data: os.Getenv("PROOFHOUSE_DATA")})
			if err != nil {
				b.Fatal(err)
			}
			defer a.Close()
			w, err := a.OpenBench(c.folder)
			if err != nil {
				b.Fatal(err)
			}
			proof, err := ReadInput(c.proof)
			if err != nil {
				b.Fatal(err)
			}
			reproduce := func() {
				r, _, err := w.Reproduce(b.Context(), proof, 3)
				if err != nil || r.Verdict != clearing.Confirmed {
					b.Errorf("%s: %s, %v", r.Verdict, r.Reason, err)
				}
			}
			reproduce()
			b.SetParallelism(1)
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					reproduce()
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Hours()/float64(runtime.GOMAXPROCS(0)), "/h/core")
		})
	}
}
