// Package cgroup holds one box to its limits with the host's control groups,
// version 1 or 2: it makes a group, writes the limits, reads them back, counts
// what the group used, kills everything in it and removes it. What runs in a
// group, and how it gets there, is left to the caller.
//
// Version 1 is exercised for real by the tests. Version 2 is tested against a
// directory tree that imitates the kernel's files, because the machines that
// run the tests have no version 2 controllers; what no imitation shows is
// whether a kernel enforces what it reads back.
package cgroup

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"proofhouse/internal/proofhouse"
)

// Limits are what a group is held to. All must be positive.
type Limits struct {
	Memory int64   // bytes, page cache included, no swap
	Tasks  int     // processes and threads
	CPU    float64 // cores
}

// Usage is what a group used since it was made, by the kernel's accounting.
type Usage struct {
	CPU    time.Duration
	Memory int64 // bytes now
	Peak   int64 // bytes, since the last ResetPeak; 0 where the kernel does not say
}

// controllers are those that every limit needs.
var controllers = []string{"memory", "pids", "cpu", "cpuacct"}

// period is the CPU quota's period in microseconds.
const period = 100_000

// Host is where groups can be made on this machine.
type Host struct {
	version int
	parents map[string]string // version 1: controller to folder; version 2: "" to folder
}

// Detect finds the control groups of this machine. Groups are made below the
// caller's own, so that whatever bounds the caller bounds its boxes too; on
// version 2, where a group with processes cannot have bounded children, they
// are made below the root of the mount. proofhouse.Unavailable says what is
// missing.
func Detect() (*Host, error) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("reading mounts: %w", err)
	}
	self, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, fmt.Errorf("reading own groups: %w", err)
	}
	return detect(string(mounts), string(self))
}

func detect(mounts, self string) (*Host, error) {
	own := map[string]string{} // controller to path
	for line := range strings.Lines(self) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) == 3 {
			for c := range strings.SplitSeq(f[1], ",") {
				own[c] = f[2]
			}
		}
	}
	v1 := map[string]string{}
	v2 := ""
	for line := range strings.Lines(mounts) {
		m, ok := parseMount(line)
		switch {
		case !ok:
		case m.kind == "cgroup2" && v2 == "":
			v2 = m.point
		case m.kind == "cgroup":
			for _, c := range controllers {
				if strings.Contains(","+m.super+",", ","+c+",") && v1[c] == "" {
					rel, err := filepath.Rel(m.root, own[c])
					if err != nil || strings.HasPrefix(rel, "..") {
						rel = "."
					}
					v1[c] = filepath.Join(m.point, rel)
				}
			}
		}
	}
	if len(v1) == len(controllers) {
		return &Host{version: 1, parents: v1}, nil
	}
	if v2 == "" {
		return nil, proofhouse.Errorf(proofhouse.Unavailable, nil, "no control groups are mounted: mount cgroup2, or the version 1 controllers memory, pids, cpu and cpuacct")
	}
	return openV2(v2)
}

type mount struct{ root, point, kind, super string }

// parseMount reads a line of /proc/self/mountinfo (proc_pid_mountinfo(5)).
func parseMount(line string) (mount, bool) {
	left, right, ok := strings.Cut(line, " - ")
	l, r := strings.Fields(left), strings.Fields(right)
	if !ok || len(l) < 5 || len(r) < 3 {
		return mount{}, false
	}
	return mount{root: l[3], point: l[4], kind: r[0], super: r[2]}, true
}

// Version is 1 or 2.
func (h *Host) Version() int { return h.version }

// Group is one box's group. Its methods may be called concurrently.
type Group struct {
	name string
	host *Host
	dirs map[string]string // as Host.parents, of this group
}

// New makes a group, sets its limits and reads them back. On an error nothing
// is left behind. A limit that does not stick is proofhouse.Unavailable.
func (h *Host) New(name string, l Limits) (_ *Group, err error) {
	g := &Group{name: name, host: h, dirs: map[string]string{}}
	defer func() {
		if err != nil {
			_ = g.Remove()
		}
	}()
	for c, parent := range h.parents {
		dir := filepath.Join(parent, name)
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, proofhouse.Errorf(proofhouse.Unavailable, err, "cannot make a control group: run as root, with the control groups mounted writable")
		}
		g.dirs[c] = dir
	}
	page := int64(os.Getpagesize())
	l.Memory -= l.Memory % page
	settings := h.v1Settings(l)
	if h.version == 2 {
		settings = h.v2Settings(l)
	}
	for _, s := range settings {
		if err := g.set(s); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// setting is one file of a group and what it must hold afterwards.
type setting struct {
	controller, file, value string
	optional                bool // the file may be missing
}

func (h *Host) v1Settings(l Limits) []setting {
	memory := strconv.FormatInt(l.Memory, 10)
	return []setting{
		{"memory", "memory.limit_in_bytes", memory, false},
		// Memory and swap together; missing where the kernel does not account swap.
		{"memory", "memory.memsw.limit_in_bytes", memory, true},
		{"pids", "pids.max", strconv.Itoa(l.Tasks), false},
		{"cpu", "cpu.cfs_period_us", strconv.Itoa(period), false},
		{"cpu", "cpu.cfs_quota_us", strconv.FormatInt(quota(l.CPU), 10), false},
	}
}

// quota is the CPU time a period in microseconds; the kernel's least is 1,000.
func quota(cores float64) int64 { return max(1000, int64(cores*period)) }

func (g *Group) set(s setting) error {
	err := g.write(s.controller, s.file, s.value)
	if s.optional && errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		var got string
		got, err = g.read(s.controller, s.file)
		if err == nil && got != s.value {
			err = fmt.Errorf("%s holds %q, not %q", s.file, got, s.value)
		}
	}
	if err != nil {
		return proofhouse.Errorf(proofhouse.Unavailable, err, "this machine does not hold the limit %s: no box starts without it", s.file)
	}
	return nil
}

func (g *Group) read(controller, file string) (string, error) {
	b, err := os.ReadFile(filepath.Join(g.dirs[g.key(controller)], file))
	return strings.TrimSpace(string(b)), err
}

func (g *Group) write(controller, file, value string) error {
	f, err := os.OpenFile(filepath.Join(g.dirs[g.key(controller)], file), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}

func (g *Group) key(controller string) string {
	if g.host.version == 2 {
		return ""
	}
	return controller
}

func (g *Group) readInt(controller, file string) (int64, error) {
	s, err := g.read(controller, file)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(s, 10, 64)
}

// field reads "name value" from a file of lines.
func (g *Group) field(controller, file, name string) (int64, error) {
	s, err := g.read(controller, file)
	if err != nil {
		return 0, err
	}
	sc := bufio.NewScanner(strings.NewReader(s))
	for sc.Scan() {
		if v, ok := strings.CutPrefix(sc.Text(), name+" "); ok {
			return strconv.ParseInt(v, 10, 64)
		}
	}
	return 0, fmt.Errorf("%s has no %q", file, name)
}

// Files are the files that a process writes its id to in order to join, one a
// hierarchy.
func (g *Group) Files() []string {
	var files []string
	for _, d := range g.dirs {
		files = append(files, filepath.Join(d, "cgroup.procs"))
	}
	return files
}

// CloneDir is the folder whose descriptor clone3 takes to make a child in the
// group (CLONE_INTO_CGROUP), or "" where only joining is possible.
func (g *Group) CloneDir() string { return g.dirs[""] }

// CPU is the CPU time that the group used.
func (g *Group) CPU() (time.Duration, error) {
	if g.host.version == 2 {
		us, err := g.field("cpu", "cpu.stat", "usage_usec")
		return time.Duration(us) * time.Microsecond, err
	}
	ns, err := g.readInt("cpuacct", "cpuacct.usage")
	return time.Duration(ns), err
}

// Usage is what the group used.
func (g *Group) Usage() (u Usage, err error) {
	if u.CPU, err = g.CPU(); err != nil {
		return u, err
	}
	now, peak := "memory.usage_in_bytes", "memory.max_usage_in_bytes"
	if g.host.version == 2 {
		now, peak = "memory.current", "memory.peak"
	}
	if u.Memory, err = g.readInt("memory", now); err != nil {
		return u, err
	}
	u.Peak, err = g.readInt("memory", peak)
	if errors.Is(err, fs.ErrNotExist) { // before Linux 5.19
		u.Peak, err = 0, nil
	}
	return u, err
}

// ResetPeak starts the peak anew, and says whether that worked: on version 2
// the kernel resets it for one open file only, so there it never does.
func (g *Group) ResetPeak() bool {
	return g.host.version == 1 && g.write("memory", "memory.max_usage_in_bytes", "0") == nil
}

// OOMKills counts the processes that the kernel killed because the group
// reached its memory limit.
func (g *Group) OOMKills() (int64, error) {
	if g.host.version == 2 {
		return g.field("memory", "memory.events", "oom_kill")
	}
	return g.field("memory", "memory.oom_control", "oom_kill")
}

// Kill sends SIGKILL to every process of the group but those of except, and
// says how many it found. Processes that are born meanwhile need another call.
func (g *Group) Kill(except ...int) (int, error) {
	found := map[int]bool{}
	for _, f := range g.Files() {
		b, err := os.ReadFile(f)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENODEV) {
			return 0, fmt.Errorf("listing a group: %w", err)
		}
		for line := range strings.Lines(string(b)) {
			if pid, err := strconv.Atoi(strings.TrimSpace(line)); err == nil && pid > 0 {
				found[pid] = true
			}
		}
	}
	for _, pid := range except {
		delete(found, pid)
	}
	for pid := range found {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return len(found), fmt.Errorf("killing a process of a group: %w", err)
		}
	}
	return len(found), nil
}

// Remove removes the group, which must be empty of processes; a process that
// is just dying is waited for up to a second. Removing twice is no error.
func (g *Group) Remove() error {
	var errs error
	for _, dir := range g.dirs {
		errs = errors.Join(errs, remove(dir))
	}
	return errs
}

func remove(dir string) error {
	for tries := 0; ; tries++ {
		err := syscall.Rmdir(dir)
		switch {
		case err == nil, errors.Is(err, fs.ErrNotExist):
			return nil
		case !errors.Is(err, syscall.EBUSY) || tries == 200:
			return fmt.Errorf("removing a group: %w", err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// Sweep kills and removes every group whose name starts with prefix: what a
// crashed owner left behind. The caller knows that the owner is dead.
func (h *Host) Sweep(prefix string) error {
	names := map[string]bool{}
	for _, parent := range h.parents {
		entries, err := os.ReadDir(parent)
		if err != nil {
			return fmt.Errorf("listing groups: %w", err)
		}
		for _, e := range entries {
			if e.IsDir() && strings.HasPrefix(e.Name(), prefix) {
				names[e.Name()] = true
			}
		}
	}
	var errs error
	for name := range names {
		g := &Group{name: name, host: h, dirs: map[string]string{}}
		for c, parent := range h.parents {
			g.dirs[c] = filepath.Join(parent, name)
		}
		for range 100 {
			n, err := g.Kill()
			if n == 0 || err != nil {
				errs = errors.Join(errs, err)
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
		errs = errors.Join(errs, g.Remove())
	}
	return errs
}

// Files are the files that a process writes its id to in order to go back to
// where the groups are made.
func (h *Host) Files() []string {
	var files []string
	for _, d := range h.parents {
		files = append(files, filepath.Join(d, "cgroup.procs"))
	}
	return files
}
