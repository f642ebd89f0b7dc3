package gvisor

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"proofhouse/internal/sandbox"
	"proofhouse/internal/sandbox/sandboxtest"
)

func benchBox(b *testing.B) (*Provider, sandbox.Spec, sandbox.Box) {
	b.Helper()
	p := open(b, nil)
	spec := sandbox.Spec{Root: sandboxtest.Root(b, sandbox.Images{Dir: b.TempDir()}), Limits: sandbox.Limits{CPU: 2}}
	box, err := p.Start(b.Context(), spec) // the first start also starts a keeper
	if err != nil {
		b.Fatal(err)
	}
	return p, spec, box
}

func BenchmarkStartStop(b *testing.B) {
	p, spec, _ := benchBox(b)
	var cpu time.Duration
	for b.Loop() {
		box, err := p.Start(b.Context(), spec)
		if err != nil {
			b.Fatal(err)
		}
		u, err := box.Usage()
		if err != nil {
			b.Fatal(err)
		}
		cpu += u.CPU
		if err := box.Stop(); err != nil {
			b.Fatal(err)
		}
	}
	reportCPU(b, cpu)
}

// reportCPU reports the boxes' CPU time an operation: unlike the wall time, it
// does not depend on what else the machine does.
func reportCPU(b *testing.B, cpu time.Duration) {
	b.ReportMetric(float64(cpu.Microseconds())/1000/float64(b.N), "box-cpu-ms/op")
}

func BenchmarkStartStopParallel(b *testing.B) {
	p, spec, _ := benchBox(b)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			box, err := p.Start(b.Context(), spec)
			if err != nil {
				b.Error(err)
				return
			}
			if err := box.Stop(); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkStop(b *testing.B) {
	p, spec, _ := benchBox(b)
	for b.Loop() {
		b.StopTimer()
		box, err := p.Start(b.Context(), spec)
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		if err := box.Stop(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkExec(b *testing.B) {
	_, _, box := benchBox(b)
	var cpu time.Duration
	for b.Loop() {
		res, err := box.Exec(b.Context(), sandbox.Command{Argv: []string{sandboxtest.Program, "true"}, User: sandbox.Nobody})
		if err != nil {
			b.Fatal(err)
		}
		cpu += res.CPU
	}
	reportCPU(b, cpu)
}

func BenchmarkReset(b *testing.B) {
	_, _, box := benchBox(b)
	for b.Loop() {
		if err := box.Reset(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkList(b *testing.B) {
	_, _, box := benchBox(b)
	for b.Loop() {
		if _, err := box.List(b.Context(), "/tmp", 100); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkProve(b *testing.B) {
	_, _, box := benchBox(b)
	for b.Loop() {
		if _, err := sandbox.Prove(b.Context(), box, sandbox.NoNetwork); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkIdle holds 200 idle boxes and reports what one of them costs: the
// proportional memory of its processes and the machine's loss of free memory.
func BenchmarkIdle(b *testing.B) {
	const boxes = 200
	p, spec, _ := benchBox(b)
	for b.Loop() {
		before := available(b)
		var held []sandbox.Box
		for range boxes {
			box, err := p.Start(b.Context(), spec)
			if err != nil {
				b.Fatal(err)
			}
			held = append(held, box)
		}
		b.ReportMetric(float64(before-available(b))/boxes/(1<<20), "MiB-free/box")
		b.ReportMetric(float64(pss(b, p.owner))/(boxes+1)/(1<<20), "MiB-pss/box")
		for _, box := range held {
			if err := box.Stop(); err != nil {
				b.Error(err)
			}
		}
	}
}

func available(b *testing.B) int64 { return field(b, "/proc/meminfo", "MemAvailable:") }

// pss sums the proportional set size of the sentries of owner; their stub
// processes, whose memory is the guest's, share their names.
func pss(b *testing.B, owner string) (sum int64) {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		b.Fatal(err)
	}
	for _, d := range dirs {
		cmdline, _ := os.ReadFile(d + "/cmdline")
		if strings.Contains(string(cmdline), ownerPrefix+owner) {
			sum += field(b, d+"/smaps_rollup", "Pss:")
		}
	}
	return sum
}

// field reads "name N kB" in bytes; a process that has just ended has none.
func field(b *testing.B, file, name string) int64 {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == name {
			n, err := strconv.ParseInt(f[1], 10, 64)
			if err != nil {
				b.Fatal(fmt.Errorf("%s: %w", file, err))
			}
			return n << 10
		}
	}
	return 0
}
