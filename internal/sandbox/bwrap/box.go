package bwrap

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
	"proofhouse/internal/sandbox/cgroup"
	"proofhouse/internal/sandbox/guest"
)

// Box is a box's files, mounted on the host, and its control group.
type Box struct {
	p     *Provider
	id    string
	spec  sandbox.Spec
	dir   string // its mounts: root, rw, w0, w1, ..., m0, m1, ...
	group *cgroup.Group
	base  time.Duration // CPU time that the group had used at the start

	// tree is held for reading while files of the box are used, and for
	// writing while they are replaced.
	tree sync.RWMutex

	mu      sync.Mutex // guards what follows
	running map[int]context.CancelCauseFunc
	next    int
	wait    sync.WaitGroup // of commands
	peak    int64
	dead    error // why no command runs any more
	stopped bool
}

var _ sandbox.Box = (*Box)(nil)

// ID is unique on this machine.
func (b *Box) ID() string { return b.id }

// open makes the group and mounts the files.
func (b *Box) open(ctx context.Context) (err error) {
	l := b.spec.Limits
	// Twice the processes of a user, as for other providers, and some for
	// bubblewrap's own; the bound of a user is set on each command.
	b.group, err = b.p.host.New(groupPrefix(os.Getpid())+b.id, cgroup.Limits{Memory: l.Memory, Tasks: 2*l.Processes + 100, CPU: l.CPU})
	if err != nil {
		return err
	}
	if err := b.mount(ctx); err != nil {
		return err
	}
	b.base, err = b.group.CPU()
	return err
}

// mount lays out the box's files.
func (b *Box) mount(ctx context.Context) error {
	root, err := b.p.unpack(b.spec.Root)
	if err != nil {
		return err
	}
	images := []string{b.p.guest}
	for _, m := range b.spec.Mounts {
		if err := ctx.Err(); err != nil {
			return err
		}
		dir, err := b.p.unpack(m.Image)
		if err != nil {
			return err
		}
		images = append(images, dir)
	}
	for _, dir := range []string{b.dir, b.at("rw"), b.at("root")} {
		if err := os.Mkdir(dir, 0o711); err != nil {
			return err
		}
	}
	if err := b.tmpfs("rw", "0711"); err != nil {
		return err
	}
	for _, dir := range []string{"upper", "work", "empty"} {
		if err := os.Mkdir(b.at("rw", dir), 0o755); err != nil {
			return err
		}
	}
	if err := os.Chown(b.at("rw", "upper"), hostRoot, hostRoot); err != nil {
		return err
	}
	for i := range writable(b.spec) {
		name := "w" + strconv.Itoa(i)
		if err := os.Mkdir(b.at(name), 0o711); err != nil {
			return err
		}
		if err := b.tmpfs(name, "1777"); err != nil {
			return err
		}
	}
	if err := overlay(b.at("root"), []string{root}, b.at("rw", "upper"), b.at("rw", "work")); err != nil {
		return err
	}
	for i, dir := range images {
		at := b.at("m" + strconv.Itoa(i))
		if err := os.Mkdir(at, 0o711); err != nil {
			return err
		}
		if err := overlay(at, []string{dir, b.at("rw", "empty")}, "", ""); err != nil {
			return err
		}
	}
	r, err := os.OpenRoot(b.at("root"))
	if err != nil {
		return err
	}
	defer r.Close()
	for _, pl := range b.places() {
		if strings.HasPrefix(pl.path, "/dev/") {
			continue // bubblewrap's own /dev has it
		}
		if err := r.MkdirAll(pl.path[1:], 0o755); err != nil {
			return proofhouse.Errorf(proofhouse.Invalid, err, "%s cannot be a folder of the box: its root has something else there", pl.path)
		}
	}
	for _, dir := range []string{"proc", "dev", "tmp"} {
		if err := r.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	return nil
}

// tmpfs mounts a file system of the box's size, owned by its root.
func (b *Box) tmpfs(name, mode string) error {
	options := fmt.Sprintf("mode=%s,uid=%d,gid=%d,size=%d", mode, hostRoot, hostRoot, b.spec.Limits.Disk)
	if err := unix.Mount("tmpfs", b.at(name), "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		return fmt.Errorf("mounting a writable layer: %w", err)
	}
	return nil
}

func (b *Box) at(elem ...string) string {
	return filepath.Join(append([]string{b.dir}, elem...)...)
}

// place is a path of the box that is not its root's, and where it lies on the host.
type place struct {
	path, host string
	readonly   bool
}

// places are in the order in which they are mounted over each other.
func (b *Box) places() []place {
	all := []place{{guest.Dir, b.at("m0"), true}}
	for i, m := range b.spec.Mounts {
		all = append(all, place{m.Path, b.at("m" + strconv.Itoa(i+1)), true})
	}
	for i, w := range writable(b.spec) {
		all = append(all, place{w, b.at("w" + strconv.Itoa(i)), false})
	}
	slices.SortStableFunc(all, func(x, y place) int { return strings.Compare(x.path, y.path) })
	return all
}

// alive says why no command can run, or nil.
func (b *Box) alive() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stopped {
		return errStopped
	}
	return b.dead
}

// enter registers a command; leave must be called when it has ended.
func (b *Box) enter(ctx context.Context) (context.Context, func(), error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stopped {
		return nil, nil, errStopped
	}
	if b.dead != nil {
		return nil, nil, b.dead
	}
	ctx, cancel := context.WithCancelCause(ctx)
	n := b.next
	b.next++
	b.running[n] = cancel
	b.wait.Add(1)
	return ctx, func() {
		b.mu.Lock()
		delete(b.running, n)
		b.mu.Unlock()
		cancel(nil)
		b.wait.Done()
	}, nil
}

// end stops every command and waits for them.
func (b *Box) end(cause error) {
	b.mu.Lock()
	for _, cancel := range b.running {
		cancel(cause)
	}
	b.mu.Unlock()
	b.wait.Wait()
}

// Reset ends every command and mounts fresh layers.
func (b *Box) Reset(ctx context.Context) error {
	if err := b.alive(); err != nil {
		return err
	}
	b.end(proofhouse.Errorf(proofhouse.Unavailable, nil, "the box was reset while the command ran"))
	b.tree.Lock()
	defer b.tree.Unlock()
	if err := b.alive(); err != nil {
		return err
	}
	if err := b.clear(); err != nil {
		return err
	}
	return b.mount(ctx)
}

// clear kills what is left in the group and unmounts the files.
func (b *Box) clear() error {
	if b.group != nil {
		for range 400 {
			n, err := b.group.Kill()
			if err != nil {
				return err
			}
			if n == 0 {
				break
			}
			time.Sleep(2 * time.Millisecond)
		}
	}
	return unmountBox(b.dir)
}

// Usage is what the box took since its start.
func (b *Box) Usage() (sandbox.Usage, error) {
	if err := b.alive(); errors.Is(err, errStopped) {
		return sandbox.Usage{}, err
	}
	u, err := b.group.Usage()
	if err != nil {
		return sandbox.Usage{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.peak = max(b.peak, u.Peak, u.Memory)
	return sandbox.Usage{CPU: u.CPU - b.base, Memory: u.Memory, PeakMemory: b.peak}, nil
}

// Stop ends the box.
func (b *Box) Stop() error {
	b.mu.Lock()
	if b.stopped {
		b.mu.Unlock()
		return nil
	}
	b.stopped = true
	b.mu.Unlock()
	b.end(errStopped)
	b.tree.Lock()
	defer b.tree.Unlock()
	err := b.clear()
	if b.group != nil {
		err = errors.Join(err, b.group.Remove())
	}
	b.p.mu.Lock()
	delete(b.p.boxes, b.id)
	b.p.mu.Unlock()
	return err
}
