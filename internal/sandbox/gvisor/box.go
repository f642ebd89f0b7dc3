package gvisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	gvisor "gvisor.dev/gvisor/runsc/sandbox"

	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
	"proofhouse/internal/sandbox/cgroup"
)

// Box is a sentry with two containers: the first only waits and holds the box
// open, the second is where commands run and what Reset replaces.
type Box struct {
	p      *Provider
	id     string
	dir    string
	spec   sandbox.Spec
	group  *cgroup.Group
	keeper *keeper
	sentry *gvisor.Sandbox
	ended  <-chan struct{} // closed when the sentry is gone

	// tree orders commands' births and deaths: held for reading while a
	// command is born, for writing while commands are killed or the container
	// is replaced.
	tree sync.RWMutex
	work string // the work container; guarded by tree
	nth  int    // guarded by tree

	mu      sync.Mutex // guards the rest
	running map[int32]bool
	peak    int64
	stopped bool

	stop    sync.Once
	stopErr error
}

// start makes a box. Whatever it made is gone again when it gives an error.
func (p *Provider) start(ctx context.Context, k *keeper, spec sandbox.Spec) (_ *Box, err error) {
	b := &Box{p: p, id: "b" + proofhouse.Token(10), spec: spec, keeper: k, running: map[int32]bool{}}
	b.dir = filepath.Join(p.dir, b.id)
	// A thread of the guest is up to two of the host's, and both Nobody and the
	// box's root may have as many as the limit says; the sentry has its own.
	// The guest's own limit (RLIMIT_NPROC) must bite first: at this one the
	// sentry dies.
	b.group, err = p.host.New(groupPrefix+p.owner+"-"+b.id, cgroup.Limits{
		Memory: spec.Limits.Memory, Tasks: 4*spec.Limits.Processes + 200, CPU: spec.Limits.CPU,
	})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.Stop())
		}
	}()
	root := rootSpec(p.guest, b.dir, spec.Limits, p.cfg.Leak)
	if err := writeBundle(b.dir, root); err != nil {
		return nil, proofhouse.Errorf(proofhouse.Unavailable, err, "the sandbox's state folder cannot be written")
	}
	o := order{ID: b.id, Dir: b.dir, Flags: flags(p.cfg.Leak), Spec: root, Image: p.guest.Path, Clone: b.group.CloneDir()}
	if o.Clone == "" {
		o.Join, o.Leave = b.group.Files(), p.host.Files()
	}
	pid, ended, err := k.start(ctx, o, func() { _, _ = b.group.Kill(k.pid()) })
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, proofhouse.Errorf(proofhouse.Unavailable, err, "gVisor does not start on this machine")
	}
	b.ended = ended
	b.sentry = &gvisor.Sandbox{
		ID: b.id, UID: sentryUser, GID: sentryUser,
		ControlSocketPath: filepath.Join(b.dir, "runsc-"+b.id+".sock"),
	}
	b.sentry.Pid.Store(pid)
	cancel := context.AfterFunc(ctx, func() { _ = b.Stop() })
	err = b.startWork()
	if !cancel() && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, proofhouse.Errorf(proofhouse.Unavailable, err, "the box does not start: are its images whole?")
	}
	return b, nil
}

// sentryUser is the host's user that a sentry runs as.
const sentryUser = 65534

func writeBundle(dir string, spec any) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	b, err := json.Marshal(spec)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "config.json"), b, 0o600)
}

// startWork starts a fresh work container. The caller holds tree, or the box
// alone.
func (b *Box) startWork() error {
	b.nth++
	id := containerID(b.id, b.nth)
	spec, images, confs := workSpec(b.id, b.dir, b.spec, b.p.guest)
	var files []*os.File
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	for _, name := range images {
		f, err := os.Open(name)
		if err != nil {
			return fmt.Errorf("opening an image: %w", err)
		}
		files = append(files, f)
	}
	// Pipes that lead nowhere: the waiting process closes them.
	in, inW, err := os.Pipe()
	if err != nil {
		return err
	}
	outR, out, err := os.Pipe()
	if err != nil {
		in.Close()
		inW.Close()
		return err
	}
	for _, f := range []*os.File{inW, outR, in, out} {
		defer f.Close()
	}
	if err := b.sentry.CreateSubcontainer(b.p.conf, id, nil); err != nil {
		return err
	}
	err = b.sentry.StartSubcontainer(spec, b.p.conf, id, []*os.File{in, out, out}, files, nil, nil, confs)
	if err != nil {
		return err
	}
	b.work = id
	return nil
}

// ID is the box's name.
func (b *Box) ID() string { return b.id }

// Reset replaces the work container: every process and all that was written go
// with the old one.
func (b *Box) Reset(ctx context.Context) error {
	b.tree.Lock()
	defer b.tree.Unlock()
	if err := b.alive(); err != nil {
		return err
	}
	cancel := context.AfterFunc(ctx, func() { _ = b.Stop() })
	defer cancel()
	if err := b.sentry.DestroyContainer(b.work); err != nil {
		return b.broken(fmt.Errorf("destroying a container: %w", err))
	}
	if err := b.startWork(); err != nil {
		return b.broken(fmt.Errorf("starting a container: %w", err))
	}
	return nil
}

// Usage is what the box took.
func (b *Box) Usage() (sandbox.Usage, error) {
	u, err := b.group.Usage()
	if err != nil {
		return sandbox.Usage{}, b.broken(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.peak = max(b.peak, u.Peak)
	return sandbox.Usage{CPU: u.CPU, Memory: u.Memory, PeakMemory: b.peak}, nil
}

// Stop kills everything of the box and removes its group and folder.
func (b *Box) Stop() error {
	b.stop.Do(func() {
		b.mu.Lock()
		b.stopped = true
		b.mu.Unlock()
		b.stopErr = b.tearDown()
		b.p.forget(b.id)
	})
	return b.stopErr
}

func (b *Box) tearDown() error {
	deadline := time.Now().Add(2 * time.Second)
	for {
		n, err := b.group.Kill(b.keeper.pid())
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
		if time.Now().After(deadline) {
			return proofhouse.Errorf(proofhouse.Internal, nil, "%d processes of a box do not die", n)
		}
		time.Sleep(time.Millisecond)
	}
	if b.ended != nil {
		select {
		case <-b.ended:
		case <-b.keeper.dead:
		}
	}
	return errors.Join(b.group.Remove(), os.RemoveAll(b.dir))
}

// alive says whether the box still is; the error says why not.
func (b *Box) alive() error {
	b.mu.Lock()
	stopped := b.stopped
	b.mu.Unlock()
	if stopped {
		return proofhouse.Errorf(proofhouse.Conflict, nil, "the box is stopped")
	}
	select {
	case <-b.ended:
		return proofhouse.Errorf(proofhouse.Internal, nil, "the box is dead: stop it and start another")
	case <-b.keeper.dead:
		return proofhouse.Errorf(proofhouse.Internal, nil, "the box is dead: stop it and start another")
	default:
		return nil
	}
}

// broken gives the box's own end as the error where it has ended, and err
// otherwise.
func (b *Box) broken(err error) error {
	if end := b.alive(); end != nil {
		return end
	}
	return proofhouse.Errorf(proofhouse.Internal, err, "the box does not answer")
}
