package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// BenchmarkEngine runs 5,000 samples of a trivial agent that submits once,
// without boxes, with every sync of the disk:
//
//	go test -run '^$' -bench 'Engine|Idle' -benchtime 1x ./internal/bench
func BenchmarkEngine(b *testing.B) {
	for _, parallel := range []int{2, 64, 512} {
		b.Run(fmt.Sprintf("parallel=%d", parallel), func(b *testing.B) {
			for range b.N {
				setup := setupIn(b.TempDir(), 50, submits(""))
				setup.Config.Epochs, setup.Config.Parallel = 100, parallel
				begun := time.Now()
				r, err := Run(context.Background(), setup)
				if err != nil || r.Summary.Scored != 5000 {
					b.Fatal(err, r.Summary.Scored)
				}
				b.ReportMetric(5000/time.Since(begun).Seconds(), "samples/s")
			}
		})
	}
}

// BenchmarkIdle holds 1,000 samples whose agents wait.
func BenchmarkIdle(b *testing.B) {
	for range b.N {
		ready := make(chan struct{}, 1000)
		ctx, cancel := context.WithCancel(context.Background())
		setup := setupIn(b.TempDir(), 10, scripted{"idle", func(ctx context.Context, _ *Session) error {
			ready <- struct{}{}
			<-ctx.Done()
			return nil
		}})
		setup.Config.Epochs, setup.Config.Parallel = 100, 1000
		before := resident()
		done := make(chan error)
		go func() {
			_, err := Run(ctx, setup)
			done <- err
		}()
		for range 1000 {
			<-ready
		}
		runtime.GC()
		b.ReportMetric(float64(resident()-before)/1000, "B/sample")
		b.ReportMetric(float64(resident())/(1<<20), "MiB-total")
		cancel()
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
}

// resident is the memory of this process, in bytes.
func resident() int64 {
	data, err := os.ReadFile(filepath.Join("/proc/self", "statm"))
	if err != nil {
		return 0
	}
	var size, pages int64
	fmt.Sscan(string(data), &size, &pages)
	return pages * int64(os.Getpagesize())
}

// BenchmarkFold derives a result from the journal of 5,000 samples.
func BenchmarkFold(b *testing.B) {
	setup := setupIn(b.TempDir(), 50, submits(""))
	setup.Config.Epochs, setup.Config.Parallel = 100, 512
	if _, err := Run(context.Background(), setup); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := ReadResult(setup.Folder); err != nil {
			b.Fatal(err)
		}
	}
}
