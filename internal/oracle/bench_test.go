package oracle

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"proofhouse/internal/sandbox"
	"proofhouse/internal/target"
)

// counting adds up the CPU time of boxes by the host's accounting, which goes
// when they do.
type counting struct {
	sandbox.Provider
	cpu atomic.Int64 // nanoseconds
}

type countedBox struct {
	sandbox.Box
	c    *counting
	done atomic.Bool
}

func (c *counting) Start(ctx context.Context, s sandbox.Spec) (sandbox.Box, error) {
	b, err := c.Provider.Start(ctx, s)
	if err != nil {
		return nil, err
	}
	return &countedBox{Box: b, c: c}, nil
}

func (b *countedBox) Stop() error {
	if !b.done.Swap(true) {
		if u, err := b.Usage(); err == nil {
			b.c.cpu.Add(int64(u.CPU))
		}
	}
	return b.Box.Stop()
}

// spent is the CPU time of all boxes that were stopped, of this process, and of
// its children that keep boxes.
func (c *counting) spent() time.Duration {
	var self syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &self)
	total := time.Duration(c.cpu.Load()) + time.Duration(self.Utime.Nano()+self.Stime.Nano())
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range stats {
		b, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
		if len(f) > 13 && f[1] == strconv.Itoa(os.Getpid()) {
			u, _ := strconv.Atoi(f[11])
			s, _ := strconv.Atoi(f[12])
			total += time.Duration(u+s) * 10 * time.Millisecond
		}
	}
	return total
}

// BenchmarkVerify measures verifications by CPU time, which a loaded machine
// disturbs less than wall time: "/s/core" is what one free core would do.
// wait-ms is the median wait for boxes, start-up included where none was ready:
// back to back, every box is waited for; now and then, as an agent submits, none.
func BenchmarkVerify(b *testing.B) {
	provider, pair := boxes(b)
	for _, c := range []struct {
		name  string
		runs  int
		input string
		want  Outcome
		pause time.Duration // between verifications, in which boxes are started ahead
	}{
		{"n=1/one-box", 1, "both nothing", NoBreak, 0},
		{"n=1/two-boxes", 1, "vulnerable panic", Solved, 0},
		{"n=3/one-box", 3, "both nothing", NoBreak, 0},
		{"n=3/two-boxes", 3, "vulnerable panic", Solved, 0},
		{"n=3/two-boxes/sanitizer", 3, "vulnerable asan", Solved, 0}, // its log is listed and copied out of the box
		{"n=3/two-boxes/now-and-then", 3, "vulnerable panic", Solved, 500 * time.Millisecond},
	} {
		b.Run(c.name, func(b *testing.B) {
			count := &counting{Provider: provider}
			o := New(Config{Provider: count, Parallel: 1})
			tgt := pair
			if strings.HasSuffix(c.input, "panic") {
				tgt.Language = target.Go
			}
			k := Case{Name: "bench", Target: tgt, Rule: Rule{Symptom: Crash, Runs: c.runs}}
			o.Warm(k)
			time.Sleep(300 * time.Millisecond)
			from := count.spent()
			var waits []time.Duration
			for b.Loop() {
				time.Sleep(c.pause)
				v, ev := verify(b, o, k, c.input)
				if v.Outcome != c.want {
					b.Fatalf("%+v", v)
				}
				waits = append(waits, ev.Waited)
			}
			// Each verification stopped as many boxes as it had started for the
			// next one; those that wait now stand for those that waited at first.
			each := (count.spent() - from).Seconds() / float64(b.N)
			_ = o.Close()
			slices.Sort(waits)
			b.ReportMetric(each*1000, "cpu-ms/op")
			b.ReportMetric(1/each, "/s/core")
			b.ReportMetric(waits[len(waits)/2].Seconds()*1000, "wait-ms")
		})
	}
}

// BenchmarkSitting measures runs of one build in a box that is kept.
func BenchmarkSitting(b *testing.B) {
	provider, tgt := boxes(b)
	for _, c := range []struct {
		input  string
		glance bool
	}{{"both nothing", false}, {"vulnerable asan", false}, {"vulnerable asan", true}} {
		name, input := strings.ReplaceAll(c.input, " ", "-"), []byte(c.input)
		if c.glance {
			name += "-glance"
		}
		b.Run(name, func(b *testing.B) {
			count := &counting{Provider: provider}
			o := New(Config{Provider: count, Ready: -1})
			defer o.Close()
			tr, err := o.Sit(Subject{tgt.Language, tgt.Vulnerable, Rule{Symptom: Crash}})
			if err != nil {
				b.Fatal(err)
			}
			look := func() (Sight, error) { return tr.Observe(b.Context(), input, 1) }
			if c.glance {
				look = func() (Sight, error) { return tr.Glance(b.Context(), input) }
			}
			if _, err := look(); err != nil {
				b.Fatal(err)
			}
			from := count.spent()
			used, err := tr.seat.box.Usage()
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if _, err := look(); err != nil {
					b.Fatal(err)
				}
			}
			_ = tr.Close()
			each := (count.spent() - from - used.CPU).Seconds() / float64(b.N)
			b.ReportMetric(each*1000, "cpu-ms/op")
			b.ReportMetric(1/each, "/s/core")
		})
	}
}

// BenchmarkParse measures the reading of a report.
func BenchmarkParse(b *testing.B) {
	for _, name := range []string{"asan-r-0.txt", "go-stack.txt", "node-deep.txt"} {
		text, err := os.ReadFile("testdata/report/" + name)
		if err != nil {
			b.Fatal(err)
		}
		lang, res, logs := asRun(name, text)
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				if _, ok := findCrash(lang, nil, res, logs); !ok {
					b.Fatal("no crash")
				}
			}
		})
	}
}
