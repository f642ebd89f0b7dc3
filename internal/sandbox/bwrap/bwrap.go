// Package bwrap starts boxes with bubblewrap: namespaces, a filter of system
// calls and control groups on the host's own kernel. That is weak isolation,
// so it is used only where somebody chose it, and every record says so. Each
// command gets process ids of its own and ends with all that it started; the
// commands of a box share its files and its limits. A box's root owns what it
// makes, but not the files of its image.
package bwrap

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
	"proofhouse/internal/sandbox/cgroup"
	"proofhouse/internal/sandbox/guest"
)

// Config says where a provider keeps its things.
type Config struct {
	// State is a folder for images that are unpacked once, by digest.
	State string
	// Guest is the static executable that acts as the guest in a box when its
	// argv[0] says so; see guest.Name.
	Guest string
	// Bubblewrap is the program; "" finds bwrap in PATH.
	Bubblewrap string
}

// Provider starts boxes.
type Provider struct {
	program string
	state   string
	run     string // where boxes are mounted
	guest   string // folder with the guest program
	host    *cgroup.Host
	filter  []byte
	fault   fault
	start   chan func()    // to the thread that starts bubblewraps
	starter sync.WaitGroup // of that thread

	mu     sync.Mutex // guards what follows
	boxes  map[string]*Box
	closed bool
}

// fault is a misconfiguration that the tests plant, to see that the escape
// suite finds it. It is empty otherwise.
type fault struct {
	arguments func([]string) []string // of bubblewrap
	root      bool                    // bubblewrap runs as the host's root
	env       []string                // bubblewrap's own
}

var _ sandbox.Provider = (*Provider)(nil)

const howTo = "install bubblewrap 0.8 or newer (on Debian: apt-get install bubblewrap), or use the provider gvisor"

// New finds out whether this machine can hold such boxes.
func New(cfg Config) (*Provider, error) {
	if os.Getuid() != 0 {
		return nil, proofhouse.Errorf(proofhouse.Unavailable, nil, "boxes of bubblewrap need the right to mount: run as root, or use the provider gvisor")
	}
	program := cfg.Bubblewrap
	if program == "" {
		program = "bwrap"
	}
	program, err := exec.LookPath(program)
	if err != nil {
		return nil, proofhouse.Errorf(proofhouse.Unavailable, err, "bubblewrap is not on this machine: %s", howTo)
	}
	if err := checkVersion(program); err != nil {
		return nil, err
	}
	host, err := cgroup.Detect()
	if err != nil {
		return nil, err
	}
	p := &Provider{program: program, state: cfg.State, host: host, start: make(chan func()), boxes: map[string]*Box{}}
	if p.filter, err = filter(); err != nil {
		return nil, fmt.Errorf("assembling the filter: %w", err)
	}
	// What this process was started with and does not know of must not reach
	// a bubblewrap. Descriptors that Go opens are marked so from the start.
	if err := unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return nil, fmt.Errorf("marking descriptors: %w", err)
	}
	sweep()
	if p.guest, err = p.installGuest(cfg.Guest); err != nil {
		return nil, err
	}
	if p.run, err = os.MkdirTemp("", fmt.Sprintf("%s%d-", runPrefix, os.Getpid())); err != nil {
		return nil, err
	}
	if err := os.Chmod(p.run, 0o711); err != nil {
		return nil, err
	}
	p.starter.Go(func() {
		// A bubblewrap dies with the thread that started it, so one thread
		// starts them all and lives as long as the provider.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for f := range p.start {
			f()
		}
	})
	return p, nil
}

var versionPattern = regexp.MustCompile(`(\d+)\.(\d+)`)

// checkVersion wants --disable-userns, which came with 0.8.
func checkVersion(program string) error {
	out, err := exec.Command(program, "--version").Output()
	m := versionPattern.FindStringSubmatch(string(out))
	if err != nil || m == nil {
		return proofhouse.Errorf(proofhouse.Unavailable, err, "bubblewrap does not say its version: %s", howTo)
	}
	major, _ := strconv.Atoi(m[1])
	minor, _ := strconv.Atoi(m[2])
	if major == 0 && minor < 8 {
		return proofhouse.Errorf(proofhouse.Unavailable, nil, "bubblewrap %s cannot keep a box from making user namespaces: %s", m[0], howTo)
	}
	return nil
}

// Name is the provider's stable name.
func (p *Provider) Name() string { return "bwrap" }

// Strength is weak: the box shares the host's kernel.
func (p *Provider) Strength() sandbox.Strength { return sandbox.Weak }

// Start starts a box.
func (p *Provider) Start(ctx context.Context, spec sandbox.Spec) (sandbox.Box, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if spec.Network == "" {
		spec.Network = sandbox.NoNetwork
	}
	spec.Limits = spec.Limits.Or(sandbox.DefaultLimits)
	if err := check(spec); err != nil {
		return nil, err
	}
	b := &Box{p: p, id: "b" + strings.ToLower(proofhouse.Token(10)), spec: spec, running: map[int]context.CancelCauseFunc{}}
	b.dir = filepath.Join(p.run, b.id)
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, errStopped
	}
	p.boxes[b.id] = b
	p.mu.Unlock()
	if err := b.open(ctx); err != nil {
		return nil, errors.Join(err, b.Stop())
	}
	return b, nil
}

// hostRoot is the host's user id that stands for a box's root, beyond those
// that systems give out. The next two stand for Nobody and for anybody else.
const hostRoot = 1_900_000_000

// hostUser is the user id on the host that stands for one of a box.
func hostUser(u uint32) int {
	switch u {
	case 0:
		return hostRoot
	case sandbox.Nobody.UID:
		return hostRoot + 1
	default:
		return hostRoot + 2
	}
}

// boxUser is the reverse.
func boxUser(host uint32) uint32 {
	if host == hostRoot {
		return 0
	}
	return sandbox.Nobody.UID
}

// Close stops every box and undoes what New did.
func (p *Provider) Close() error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil
	}
	p.closed = true
	var all []*Box
	for _, b := range p.boxes {
		all = append(all, b)
	}
	p.mu.Unlock()
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, b := range all {
		wg.Go(func() { errs[i] = b.Stop() })
	}
	wg.Wait()
	close(p.start)
	p.starter.Wait()
	return errors.Join(errors.Join(errs...), os.RemoveAll(p.run))
}

// runPrefix starts the names of the folders that boxes are mounted in; the
// owner's process id follows.
const runPrefix = "proofhouse-bwrap-"

// sweep takes away what a killed process left mounted.
func sweep() {
	dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), runPrefix+"*"))
	for _, dir := range dirs {
		owner, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), runPrefix), "-")
		pid, err := strconv.Atoi(owner)
		if err != nil || unix.Kill(pid, 0) == nil {
			continue
		}
		boxes, _ := filepath.Glob(filepath.Join(dir, "*"))
		for _, b := range boxes {
			_ = unmountBox(b) // what is not mounted any more is as it should be
		}
		_ = os.Remove(dir)
		if h, err := cgroup.Detect(); err == nil {
			_ = h.Sweep(groupPrefix(pid))
		}
	}
}

func groupPrefix(pid int) string { return fmt.Sprintf("proofhouse-bwrap-%d-", pid) }

// check refuses a spec that cannot be held, before anything is made.
func check(s sandbox.Spec) error {
	invalid := func(format string, args ...any) error {
		return proofhouse.Errorf(proofhouse.Invalid, nil, format, args...)
	}
	switch l := s.Limits; {
	case s.Network != sandbox.NoNetwork:
		return invalid("a box declares network %q: only %q can be given", s.Network, sandbox.NoNetwork)
	case s.Root.Path == "":
		return invalid("a box has no root: give the image of one")
	case l.Memory < leastMemory:
		return invalid("a box of %d bytes of memory cannot start: give at least %d", l.Memory, int64(leastMemory))
	case l.Processes < 1 || l.Files < 16 || l.Disk < 4096 || l.CPU <= 0 || l.Output < 2:
		return invalid("a limit of a box is not positive, or leaves no room to start: %+v", l)
	}
	taken := map[string]bool{guest.Dir: true, "/": true, "/proc": true, "/sys": true, "/dev": true}
	places := append([]string{}, writable(s)...)
	for _, m := range s.Mounts {
		if m.Image.Path == "" {
			return invalid("the mount at %s has no image", m.Path)
		}
		places = append(places, m.Path)
	}
	for _, p := range places {
		if !path.IsAbs(p) || path.Clean(p) != p || taken[p] || strings.ContainsRune(p, 0) {
			return invalid("%q cannot be a mount of a box: give a clean absolute path that is not taken", p)
		}
		taken[p] = true
	}
	return nil
}

const leastMemory = 64 << 20

// writable are the folders that are fresh in each box.
func writable(s sandbox.Spec) []string {
	dirs := []string{"/tmp", "/dev/shm"}
	for _, d := range s.Writable {
		if d != "/tmp" && d != "/dev/shm" {
			dirs = append(dirs, d)
		}
	}
	return dirs
}

var errStopped = proofhouse.Errorf(proofhouse.Conflict, nil, "the box has been stopped")
