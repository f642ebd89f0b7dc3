package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	erofs "github.com/erofs/go-erofs"
	"golang.org/x/sys/unix"

	"proofhouse/internal/proofhouse"
)

// Machine is what boxes draw on, as the kernel says.
type Machine struct {
	Kernel     string `json:"kernel"`
	Arch       string `json:"arch"`
	UID        int    `json:"uid"`
	CPUs       int    `json:"cpus"`
	Memory     int64  `json:"memory"`      // bytes
	MemoryFree int64  `json:"memory_free"` // bytes that can be had without swapping
	DiskFree   int64  `json:"disk_free"`   // bytes where the data folder is
	PIDs       int    `json:"pids"`        // processes and threads that the kernel allows
	Groups     int    `json:"groups"`      // version of the control groups; 0 if none can be made
}

// Finding is one thing that Diagnose looked at.
type Finding struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	What string `json:"what"`
	Fix  string `json:"fix,omitempty"` // what to do, where it is not OK
}

// Patient is a provider to try.
type Patient struct {
	Name string
	Open func() (Provider, error)
}

// Trial is how a provider did.
type Trial struct {
	Name     string        `json:"name"`
	Strength Strength      `json:"strength,omitempty"`
	OK       bool          `json:"ok"`
	Kernel   string        `json:"kernel,omitempty"` // what a program in the box takes for its kernel
	Start    time.Duration `json:"start"`            // until the box accepted a command
	Probe    time.Duration `json:"probe"`
	Stop     time.Duration `json:"stop"`
	Why      string        `json:"why,omitempty"` // where it is not OK: what happened and what to do
}

// Capacity is an estimate of how many boxes of gVisor fit side by side.
type Capacity struct {
	Idle int    `json:"idle"` // that only wait
	Busy int    `json:"busy"` // that use all of DefaultLimits.Memory
	By   string `json:"by"`   // what bounds Idle
}

// Diagnosis says what a machine can hold and why.
type Diagnosis struct {
	Machine  Machine   `json:"machine"`
	Findings []Finding `json:"findings"`
	Trials   []Trial   `json:"trials"`
	Capacity Capacity  `json:"capacity"`
}

// Healthy says whether boxes of the first provider, the default one, can be had.
func (d Diagnosis) Healthy() bool { return len(d.Trials) > 0 && d.Trials[0].OK }

// Diagnose examines this machine. data is the data folder, groups finds the
// control groups' version, and patients are tried in order: each starts a box,
// probes it and stops it.
func Diagnose(ctx context.Context, data string, groups func() (int, error), patients ...Patient) (Diagnosis, error) {
	var d Diagnosis
	m := &d.Machine
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return d, err
	}
	m.Kernel, m.Arch = unix.ByteSliceToString(u.Sysname[:])+" "+unix.ByteSliceToString(u.Release[:]), runtime.GOARCH
	m.UID, m.CPUs = os.Getuid(), runtime.NumCPU()
	mem, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return d, fmt.Errorf("reading the machine's memory: %w", err)
	}
	m.Memory, m.MemoryFree = meminfo(string(mem), "MemTotal"), meminfo(string(mem), "MemAvailable")
	pids, err := os.ReadFile("/proc/sys/kernel/pid_max")
	if err != nil {
		return d, fmt.Errorf("reading the bound of processes: %w", err)
	}
	if m.PIDs, err = strconv.Atoi(strings.TrimSpace(string(pids))); err != nil {
		return d, fmt.Errorf("reading the bound of processes: %w", err)
	}
	var disk unix.Statfs_t
	if err := unix.Statfs(existing(data), &disk); err != nil {
		return d, fmt.Errorf("reading the disk's room: %w", err)
	}
	m.DiskFree = int64(disk.Bavail) * disk.Bsize
	version, gerr := groups()
	if gerr == nil {
		m.Groups = version
	}
	d.Findings = findings(*m, gerr)
	d.Capacity = capacity(*m)
	for _, p := range patients {
		t, err := try(ctx, data, p)
		if err != nil {
			return d, err
		}
		d.Trials = append(d.Trials, t)
	}
	return d, nil
}

// existing is the nearest folder above a path that is there.
func existing(p string) string {
	for ; p != "/" && p != "."; p = filepath.Dir(p) {
		if _, err := os.Stat(p); err == nil {
			break
		}
	}
	return p
}

// meminfo gives a field of /proc/meminfo in bytes.
func meminfo(text, field string) int64 {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, field+":"); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			if err == nil {
				return n << 10
			}
		}
	}
	return 0
}

// findings judges a machine.
func findings(m Machine, groups error) []Finding {
	var all []Finding
	add := func(ok bool, name, fix, format string, args ...any) {
		f := Finding{Name: name, OK: ok, What: fmt.Sprintf(format, args...)}
		if !ok {
			f.Fix = fix
		}
		all = append(all, f)
	}
	add(m.Arch == "amd64", "processor", "use an amd64 machine: the roots are made for it", "%s, %d cores", m.Arch, m.CPUs)
	add(m.UID == 0, "rights", "run as root: limits and mounts need it", "user %d", m.UID)
	if groups != nil {
		add(false, "control groups", proofhouse.PublicOf(groups), "cannot be made here")
	} else {
		add(true, "control groups", "", "version %d, and they can be written", m.Groups)
	}
	add(m.MemoryFree >= DefaultLimits.Memory, "memory", "free some memory, or give boxes less", "%s of %s free", inWords(m.MemoryFree), inWords(m.Memory))
	add(m.DiskFree >= leastDisk, "disk", "free some disk, or move the data folder with --data", "%s free where the data folder is", inWords(m.DiskFree))
	return all
}

// leastDisk is room for the roots of the quick profile and their downloads.
const leastDisk = 4 << 30 // bytes

// What an idle box of gVisor takes, as measured up to 400 boxes at once on
// Linux 6.18: 14 to 17 MiB and some 22 processes and threads.
const (
	idleMemory = 17 << 20 // bytes
	idleTasks  = 22
)

// capacity estimates how many boxes fit, a fifth of everything left alone.
func capacity(m Machine) Capacity {
	byMemory, byPIDs := int(m.MemoryFree/5*4/idleMemory), m.PIDs/5*4/idleTasks
	c := Capacity{Idle: min(byMemory, byPIDs), By: "memory", Busy: int(m.MemoryFree / 5 * 4 / DefaultLimits.Memory)}
	if byPIDs < byMemory {
		c.By = "the kernel's bound of processes (sysctl kernel.pid_max)"
	}
	return c
}

// try opens a provider, starts a box of an all but empty root, probes it and
// stops it. The error is about this machine's disk, never about the provider.
func try(ctx context.Context, data string, p Patient) (t Trial, err error) {
	t.Name = p.Name
	fail := func(err error) (Trial, error) {
		t.Why = proofhouse.PublicOf(err)
		if proofhouse.KindOf(err) == proofhouse.Internal {
			t.Why = err.Error()
		}
		return t, ctx.Err()
	}
	if err := os.MkdirAll(data, 0o755); err != nil {
		return t, err
	}
	dir, err := os.MkdirTemp(data, ".doctor-*")
	if err != nil {
		return t, proofhouse.Errorf(proofhouse.Unavailable, err, "the data folder cannot be written: name another with --data")
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	img, err := Images{Dir: dir}.Write(func(w *erofs.Writer) error {
		for _, name := range []string{"dev", "etc", "proc", "sys", "tmp", ".proofhouse"} {
			if err := w.Mkdir(name, 0o755); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return t, err
	}
	provider, err := p.Open()
	if err != nil {
		return fail(err)
	}
	defer func() { err = errors.Join(err, provider.Close()) }()
	t.Strength = provider.Strength()
	began := time.Now()
	box, err := provider.Start(ctx, Spec{Root: img})
	if err != nil {
		return fail(err)
	}
	t.Start = time.Since(began)
	began = time.Now()
	report, perr := box.Probe(ctx, nil)
	t.Probe, t.Kernel = time.Since(began), report.Kernel
	began = time.Now()
	serr := box.Stop()
	t.Stop = time.Since(began)
	if err := errors.Join(perr, serr); err != nil {
		return fail(err)
	}
	t.OK = true
	return t, nil
}

// inWords writes bytes for people: "1.5 GiB".
func inWords(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	default:
		return fmt.Sprintf("%d bytes", n)
	}
}

// Lines says it for people.
func (d Diagnosis) Lines() []string {
	mark := map[bool]string{true: "ok     ", false: "MISSING"}
	lines := []string{d.Machine.Kernel}
	for _, f := range d.Findings {
		line := mark[f.OK] + " " + f.Name + ": " + f.What
		if f.Fix != "" {
			line += ". " + f.Fix
		}
		lines = append(lines, line)
	}
	for _, t := range d.Trials {
		line := mark[t.OK] + " provider " + t.Name
		if t.Strength != "" {
			line += " (" + string(t.Strength) + " isolation)"
		}
		if t.OK {
			line += fmt.Sprintf(": a box started in %v, answered in %v, stopped in %v; it sees %s",
				t.Start.Round(time.Millisecond), t.Probe.Round(time.Millisecond), t.Stop.Round(time.Millisecond), t.Kernel)
		} else {
			line += ": " + t.Why
		}
		lines = append(lines, line)
	}
	return append(lines, fmt.Sprintf("room for about %d idle boxes (bound by %s), or %d that each use %s",
		d.Capacity.Idle, d.Capacity.By, d.Capacity.Busy, inWords(DefaultLimits.Memory)))
}
