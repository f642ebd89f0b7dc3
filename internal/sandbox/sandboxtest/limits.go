package sandboxtest

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
)

func testCPU(t *testing.T, b *bench) {
	box := b.start(t, nil)
	cmd := do("spin")
	cmd.CPU = 300 * time.Millisecond
	res := run(t, box, cmd)
	// The upper bound is loose: it only tells CPU time from something else.
	if res.Limit != sandbox.BoundCPU || res.CPU < cmd.CPU || res.CPU > 10*time.Second {
		t.Errorf("got %+v", res)
	}
	cmd = do("sleep", "600ms")
	cmd.CPU = 500 * time.Millisecond
	if res := run(t, box, cmd); res.Limit != "" || res.CPU > cmd.CPU {
		t.Errorf("sleeping took CPU time: %+v", res)
	}
}

func testQuota(t *testing.T, b *bench) {
	box := b.start(t, func(s *sandbox.Spec) { s.Limits.CPU = 0.25 })
	cmd := do("spin")
	cmd.Wall = 2 * time.Second
	res := run(t, box, cmd)
	if res.Limit != sandbox.BoundWall {
		t.Errorf("got %+v", res)
	}
	// The kernel lends a period or two; twice the share is no share.
	if share := float64(res.CPU) / float64(res.Wall); share > 0.5 {
		t.Errorf("it had %.2f of a core, with a limit of 0.25", share)
	}
}

func testMemory(t *testing.T, b *bench) {
	box := b.start(t, func(s *sandbox.Spec) { s.Limits.Memory = 128 << 20 })
	other := b.start(t, nil)
	res, err := box.Exec(t.Context(), do("eat"))
	if err != nil {
		t.Fatal(err)
	}
	// A provider whose box is one kernel loses it; another may lose the
	// program only. Both say memory.
	if res.Limit != sandbox.BoundMemory {
		t.Errorf("got %+v", res)
	}
	if _, err := box.Exec(t.Context(), do("true")); b.provider.Strength() == sandbox.Strong {
		wantKind(t, err, proofhouse.Internal)
	}
	if err := box.Stop(); err != nil {
		t.Error(err)
	}
	want(t, other, "unharmed\n", "echo", "unharmed")
}

func testUsage(t *testing.T, b *bench) {
	box := b.start(t, nil)
	big := run(t, box, do("eat", strconv.Itoa(96<<20)))
	// A kernel may give a program's memory back some time after its end, and
	// until then the box holds it; but each command has a peak of its own.
	small := run(t, box, do("true"))
	for range 100 {
		if small.PeakMemory <= big.PeakMemory/2+32<<20 {
			break
		}
		time.Sleep(50 * time.Millisecond)
		small = run(t, box, do("true"))
	}
	if big.PeakMemory < 96<<20 || big.PeakMemory > 256<<20 {
		t.Errorf("the peak of 96 MiB is %d", big.PeakMemory)
	}
	if small.PeakMemory > big.PeakMemory/2+32<<20 {
		t.Errorf("the peak of nothing is %d, after %d", small.PeakMemory, big.PeakMemory)
	}
	u, err := box.Usage()
	if err != nil || u.PeakMemory < big.PeakMemory || u.CPU < big.CPU || u.Memory <= 0 {
		t.Errorf("usage %+v, %v; the command took %+v", u, err, big)
	}
}

func testForks(t *testing.T, b *bench) {
	box := b.start(t, func(s *sandbox.Spec) { s.Limits.Processes = 40 })
	for _, user := range []sandbox.User{sandbox.Nobody, {}} {
		cmd := do("forks")
		cmd.User = user
		res := run(t, box, cmd)
		// The count stands after each child, since the program's own runtime may
		// be the one that is refused a thread, and die of it.
		counts := strings.Fields(string(res.Stdout.Head))
		n, err := strconv.Atoi(append([]string{""}, counts...)[len(counts)])
		if err != nil || n < 3 || n > 40 {
			t.Errorf("%v: %d children with a limit of 40: %+v, %v", user, n, res, err)
		}
		if err := box.Reset(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	bomb := do("fork")
	bomb.Wall = time.Second
	res := run(t, box, bomb)
	if res.Limit != sandbox.BoundWall {
		if !strings.Contains(string(res.Stderr.Head), "failed to create new OS thread") {
			t.Errorf("got %+v\n%s", res.Limit, res.Stderr.Head)
		}
		// It died of the limit; its children were not cut short, and fill the box.
		if err := box.Reset(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	want(t, box, "alive\n", "echo", "alive")
}

func testDisk(t *testing.T, b *bench) {
	const disk = 16 << 20
	box := b.start(t, func(s *sandbox.Spec) { s.Limits.Disk = disk })
	for _, path := range []string{"/out/f", "/tmp/f", "/dev/shm/f", "/etc/f"} {
		cmd := do("fill", path)
		cmd.User = sandbox.User{}
		res := run(t, box, cmd)
		n, err := strconv.Atoi(strings.TrimSpace(string(res.Stdout.Head)))
		if err != nil || n > disk || n < disk/2 || !strings.Contains(string(res.Stderr.Head), "no space left") {
			t.Errorf("%s took %d bytes with a limit of %d: %q, %v", path, n, disk, res.Stderr.Head, err)
		}
	}
	want(t, box, "alive\n", "echo", "alive")
	if err := box.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	want(t, box, "", "write", "/out/f", "room again")
}

func testSparse(t *testing.T, b *bench) {
	box := b.start(t, nil)
	const size = 10 << 30
	before, err := box.Usage()
	if err != nil {
		t.Fatal(err)
	}
	res := run(t, box, do("sparse", "/out/f", strconv.Itoa(size)))
	after, err := box.Usage()
	if err != nil || after.Memory-before.Memory > 64<<20 {
		t.Errorf("memory went from %d to %d, %v", before.Memory, after.Memory, err)
	}
	if res.Exit == 0 { // where the file system refuses such a size, that is an answer too
		wantKind(t, box.CopyOut(t.Context(), "/out/f", failing{t}, 1<<20), proofhouse.Limit)
	}
	want(t, box, "alive\n", "echo", "alive")
}

// failing fails the test if more is written than a limit allowed.
type failing struct{ t *testing.T }

func (f failing) Write(p []byte) (int, error) {
	if len(p) > 1<<20 {
		f.t.Errorf("%d bytes came out", len(p))
	}
	return len(p), nil
}

func testFlood(t *testing.T, b *bench) {
	box := b.start(t, nil)
	cmd := do("flood")
	cmd.Wall = time.Second
	res := run(t, box, cmd)
	if res.Limit != sandbox.BoundWall || len(res.Stdout.Head)+len(res.Stdout.Tail) != 4096 || res.Stdout.Dropped < 1<<20 {
		t.Errorf("limit %q, kept %d and %d, dropped %d", res.Limit, len(res.Stdout.Head), len(res.Stdout.Tail), res.Stdout.Dropped)
	}
	if !strings.HasPrefix(string(res.Stdout.Head), "head of the flood\n") {
		t.Errorf("head is %.40q", res.Stdout.Head)
	}
	want(t, box, "alive\n", "echo", "alive")
}

func testRlimits(t *testing.T, b *bench) {
	box := b.start(t, nil)
	out := string(run(t, box, do("limits")).Stdout.Head)
	for _, line := range []string{"nofile 100\n", "core 0\n", "nproc 64\n"} {
		if !strings.Contains(out, line) {
			t.Errorf("no %q in %q", line, out)
		}
	}
}
