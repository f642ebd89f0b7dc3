package cgroup

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"proofhouse/internal/proofhouse"
)

const v1Mounts = `31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 /docker/abc /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
`

func TestDetectV1NestsBelowItsOwnGroup(t *testing.T) {
	h, err := detect(v1Mounts, "8:pids:/\n4:memory:/docker/abc/x\n2:cpu,cpuacct:/user/1\n0::/\n")
	if err != nil {
		t.Fatal(err)
	}
	for c, want := range map[string]string{
		"memory": "/sys/fs/cgroup/memory/x", "pids": "/sys/fs/cgroup/pids",
		"cpu": "/sys/fs/cgroup/cpu,cpuacct/user/1", "cpuacct": "/sys/fs/cgroup/cpu,cpuacct/user/1",
	} {
		if h.version != 1 || h.parents[c] != want {
			t.Errorf("%s in %s, want %s", c, h.parents[c], want)
		}
	}
}

func TestDetectWithoutGroups(t *testing.T) {
	for _, mounts := range []string{"", "31 23 0:28 / /sys rw - sysfs sysfs rw\n"} {
		if _, err := detect(mounts, ""); proofhouse.KindOf(err) != proofhouse.Unavailable {
			t.Errorf("got %v", err)
		}
	}
}

// imitation is a folder with the files that a version 2 kernel shows.
func imitation(t *testing.T, controllers string) string {
	t.Helper()
	dir := t.TempDir()
	put(t, dir, "cgroup.controllers", controllers)
	put(t, dir, "cgroup.subtree_control", "")
	return dir
}

func put(t *testing.T, dir, name, content string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestV2SetsReadsAndCounts(t *testing.T) {
	root := imitation(t, "cpuset cpu io memory pids")
	box := filepath.Join(root, folder, "box")
	put(t, filepath.Join(root, folder), "cgroup.subtree_control", "")
	for _, f := range []string{"memory.max", "memory.swap.max", "memory.oom.group", "pids.max", "cpu.max"} {
		put(t, box, f, "")
	}
	put(t, box, "cpu.stat", "usage_usec 1500000\nuser_usec 1\n")
	put(t, box, "memory.current", "4096\n")
	put(t, box, "memory.peak", "8192\n")
	put(t, box, "memory.events", "low 0\noom 1\noom_kill 2\n")
	put(t, box, "cgroup.procs", "")

	h, err := detect("41 31 0:38 / "+root+" rw - cgroup2 cgroup2 rw\n", "0::/\n")
	if err != nil || h.Version() != 2 {
		t.Fatal(h, err)
	}
	for _, dir := range []string{root, filepath.Join(root, folder)} {
		if b, err := os.ReadFile(filepath.Join(dir, "cgroup.subtree_control")); err != nil || string(b) != "+memory\n+pids\n+cpu\n" {
			t.Errorf("%s hands down %q, %v", dir, b, err)
		}
	}
	g, err := h.New("box", Limits{Memory: 64<<20 + 5, Tasks: 300, CPU: 1.5})
	if err != nil {
		t.Fatal(err)
	}
	for f, want := range map[string]string{
		"memory.max": "67108864", "memory.swap.max": "0", "memory.oom.group": "1", "pids.max": "300", "cpu.max": "150000 100000",
	} {
		if b, err := os.ReadFile(filepath.Join(box, f)); err != nil || string(b) != want {
			t.Errorf("%s is %q, want %q (%v)", f, b, want, err)
		}
	}
	u, err := g.Usage()
	if err != nil || u != (Usage{CPU: 1500 * time.Millisecond, Memory: 4096, Peak: 8192}) {
		t.Errorf("usage %+v, %v", u, err)
	}
	if n, err := g.OOMKills(); n != 2 || err != nil {
		t.Errorf("%d kills, %v", n, err)
	}
	if g.CloneDir() != box || g.ResetPeak() {
		t.Errorf("clone into %q", g.CloneDir())
	}
}

func TestV2WithoutAController(t *testing.T) {
	_, err := openV2(imitation(t, "cpu hugetlb"))
	if proofhouse.KindOf(err) != proofhouse.Unavailable || !strings.Contains(err.Error(), "memory") {
		t.Errorf("got %v", err)
	}
}

// A kernel that takes a limit and keeps another must not get a box.
func TestALimitThatDoesNotStickIsRefused(t *testing.T) {
	root := imitation(t, "cpu memory pids")
	box := filepath.Join(root, folder, "box")
	put(t, filepath.Join(root, folder), "cgroup.subtree_control", "")
	for _, f := range []string{"memory.swap.max", "memory.oom.group", "pids.max", "cpu.max"} {
		put(t, box, f, "")
	}
	// A device takes whatever is written and reads as nothing.
	if err := os.Symlink("/dev/null", filepath.Join(box, "memory.max")); err != nil {
		t.Fatal(err)
	}
	h, err := openV2(root)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.New("box", Limits{Memory: 64 << 20, Tasks: 10, CPU: 1}); proofhouse.KindOf(err) != proofhouse.Unavailable {
		t.Errorf("got %v", err)
	}
	if err := os.Remove(filepath.Join(box, "memory.max")); err != nil {
		t.Fatal(err)
	}
	if _, err := h.New("box", Limits{Memory: 64 << 20, Tasks: 10, CPU: 1}); proofhouse.KindOf(err) != proofhouse.Unavailable {
		t.Errorf("without the file: %v", err)
	}
}

// here gives this machine's groups; the test needs root and version 1 or 2.
func here(t *testing.T) *Host {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("control groups need root")
	}
	h, err := Detect()
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// inGroup starts a shell that joins the group before it runs script.
func inGroup(t *testing.T, g *Group, script string) *exec.Cmd {
	t.Helper()
	var join strings.Builder
	for _, f := range g.Files() {
		join.WriteString("echo $$ > " + f + " && ")
	}
	cmd := exec.Command("/bin/sh", "-c", join.String()+script)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}

func TestAGroupOfThisMachineHolds(t *testing.T) {
	h := here(t)
	g, err := h.New("proofhouse-test-"+proofhouse.Token(5), Limits{Memory: 32 << 20, Tasks: 20, CPU: 0.5})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := g.Remove(); err != nil {
			t.Error(err)
		}
		if err := g.Remove(); err != nil {
			t.Errorf("again: %v", err)
		}
	}()
	cmd := inGroup(t, g, "x=0123456789abcdef; while :; do x=$x$x; done")
	if err := cmd.Wait(); err == nil {
		t.Error("a process took more memory than its group has")
	}
	if n, err := g.OOMKills(); n == 0 || err != nil {
		t.Errorf("%d kills, %v", n, err)
	}
	u, err := g.Usage()
	if err != nil || u.CPU <= 0 || u.Peak < 16<<20 || u.Peak > 33<<20 {
		t.Errorf("usage %+v, %v", u, err)
	}
	if h.Version() == 1 {
		if !g.ResetPeak() {
			t.Error("the peak cannot be reset")
		}
		if u, err := g.Usage(); err != nil || u.Peak > 16<<20 {
			t.Errorf("after a reset %+v, %v", u, err)
		}
	}
}

func TestKillAndSweep(t *testing.T) {
	h := here(t)
	prefix := "proofhouse-test-" + proofhouse.Token(5) + "-"
	g, err := h.New(prefix+"a", Limits{Memory: 64 << 20, Tasks: 20, CPU: 1})
	if err != nil {
		t.Fatal(err)
	}
	spared := inGroup(t, g, "exec sleep 1000")
	victim := inGroup(t, g, "exec sleep 1000")
	wait := func(n int) {
		t.Helper()
		for range 500 {
			b, err := os.ReadFile(g.Files()[0])
			if err != nil {
				t.Fatal(err)
			}
			if len(strings.Fields(string(b))) == n {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Fatalf("the group does not come to %d processes", n)
	}
	wait(2)
	if n, err := g.Kill(spared.Process.Pid); n != 1 || err != nil {
		t.Errorf("killed %d, %v", n, err)
	}
	_ = victim.Wait()
	wait(1)
	other, err := h.New("proofhouse-test-"+proofhouse.Token(5), Limits{Memory: 64 << 20, Tasks: 20, CPU: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Remove()
	swept := make(chan error, 1)
	go func() { swept <- h.Sweep(prefix) }()
	if err := spared.Wait(); err == nil {
		t.Error("the sweep spared a process")
	}
	if err := <-swept; err != nil {
		t.Error(err)
	}
	for _, f := range g.Files() {
		if _, err := os.Stat(filepath.Dir(f)); err == nil {
			t.Errorf("left %s", f)
		}
	}
	for _, f := range other.Files() {
		if _, err := os.Stat(f); err != nil {
			t.Errorf("another's group went: %v", err)
		}
	}
}

func TestQuotaHasTheKernelsLeast(t *testing.T) {
	for cores, want := range map[float64]int64{0.001: 1000, 0.5: 50_000, 4: 400_000} {
		if got := quota(cores); got != want {
			t.Errorf("%s cores give %d, want %d", strconv.FormatFloat(cores, 'g', -1, 64), got, want)
		}
	}
}
