// Package gvisor is the house's strong provider: each box is a gVisor sentry
// of its own, a user-space kernel that runs without privileges, without the
// host's file system and without a network, held to its limits by control
// groups that are set before it starts. docs/design/sandbox.md says how a box
// is made and what is trusted.
//
// Sentries are started by a keeper, a small process from the same executable
// (Dispatch); this process speaks to the sentries' control sockets. What a
// command's end means is left to the caller.
package gvisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/runsc/config"

	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
	"proofhouse/internal/sandbox/cgroup"
)

// Config says where a provider keeps its state. The zero values of all fields
// but State work.
type Config struct {
	// State is a folder for control sockets, bundles and the guest image. It
	// may be shared by several processes of the house.
	State string
	// Sentry is a static executable of the house; "" is this process's own,
	// which must then be static and call Dispatch first.
	Sentry string
	// Keepers is how many sentries may be in the making at once; 0 is the
	// number of processors, at most 4.
	Keepers int
	// Leak opens a hole in every box. It exists to test the probe, and to
	// show it at work: sandbox.Prove refuses each such box.
	Leak Leak
}

// Leak names a hole for the probe to find.
type Leak string

// The leaks. Both give the box the network of the thread that starts it: start
// it within sandbox.Isolated, so that it is not the host's.
const (
	NoLeak          Leak = ""
	LeakHostNetwork Leak = "host-network" // the namespace's sockets themselves
	LeakInterfaces  Leak = "interfaces"   // a network stack of the box's own on the namespace's interfaces
)

// Provider starts boxes in gVisor.
type Provider struct {
	cfg   Config
	conf  *config.Config
	host  *cgroup.Host
	guest sandbox.Image
	owner string   // names this provider's groups
	dir   string   // State/<owner>
	lock  *os.File // held while this provider lives, so that others do not sweep it

	keepers chan *keeper // those at rest; nil is a place for one not yet started
	places  int

	life context.Context // ends with Close
	end  context.CancelFunc

	mu     sync.Mutex // guards the rest
	boxes  map[string]*Box
	closed bool
}

// groupPrefix starts the name of every control group of the house.
const groupPrefix = "proofhouse-"

// New opens a provider, and clears away what crashed ones of the same State
// left behind. Missing rights and control groups are proofhouse.Unavailable.
func New(cfg Config) (_ *Provider, err error) {
	switch {
	case runtime.GOARCH != "amd64":
		return nil, proofhouse.Errorf(proofhouse.Unavailable, nil, "boxes run on x86-64 only, not on %s", runtime.GOARCH)
	case os.Geteuid() != 0:
		return nil, proofhouse.Errorf(proofhouse.Unavailable, nil, "boxes need root, for control groups and namespaces: run as root")
	case cfg.State == "":
		return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "the sandbox has no folder for its state")
	}
	if cfg.State, err = filepath.Abs(cfg.State); err != nil {
		return nil, err
	}
	if cfg.Sentry == "" {
		if cfg.Sentry, err = os.Executable(); err != nil {
			return nil, fmt.Errorf("finding the own executable: %w", err)
		}
	}
	if cfg.Keepers == 0 {
		cfg.Keepers = min(4, runtime.NumCPU())
	}
	host, err := cgroup.Detect()
	if err != nil {
		return nil, err
	}
	conf, err := configOf(flags(cfg.Leak))
	if err != nil {
		return nil, fmt.Errorf("parsing gVisor's flags: %w", err)
	}
	p := &Provider{
		cfg: cfg, conf: conf, host: host, owner: proofhouse.Token(10),
		keepers: make(chan *keeper, cfg.Keepers), places: cfg.Keepers,
		boxes: map[string]*Box{},
	}
	p.life, p.end = context.WithCancel(context.Background())
	if err := os.MkdirAll(cfg.State, 0o700); err != nil {
		return nil, proofhouse.Errorf(proofhouse.Unavailable, err, "the sandbox's state folder cannot be made")
	}
	if err := sweep(host, cfg.State); err != nil {
		return nil, fmt.Errorf("clearing away crashed boxes: %w", err)
	}
	if p.guest, err = openGuest(sandbox.Images{Dir: filepath.Join(cfg.State, "guest")}, cfg.Sentry); err != nil {
		return nil, proofhouse.Errorf(proofhouse.Unavailable, err, "the guest image cannot be built")
	}
	p.dir = filepath.Join(cfg.State, ownerPrefix+p.owner)
	if p.lock, err = claim(p.dir); err != nil {
		return nil, proofhouse.Errorf(proofhouse.Unavailable, err, "the sandbox's state folder cannot be written")
	}
	for range cfg.Keepers {
		p.keepers <- nil
	}
	return p, nil
}

// Name is "gvisor".
func (p *Provider) Name() string { return "gvisor" }

// Strength is sandbox.Strong.
func (p *Provider) Strength() sandbox.Strength { return sandbox.Strong }

// Start starts a box.
func (p *Provider) Start(ctx context.Context, spec sandbox.Spec) (sandbox.Box, error) {
	spec.Limits = spec.Limits.Or(sandbox.DefaultLimits)
	if spec.Network == "" {
		spec.Network = sandbox.NoNetwork
	}
	if err := check(spec); err != nil {
		return nil, err
	}
	closed := proofhouse.Errorf(proofhouse.Conflict, nil, "the sandbox is closed")
	// Close gives up what is being started, as the caller's ctx does.
	outer := ctx
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(p.life, cancel)()
	gone := func() error {
		if err := outer.Err(); err != nil {
			return err
		}
		return closed
	}
	var k *keeper
	select {
	case <-ctx.Done():
		return nil, gone()
	case k = <-p.keepers:
	}
	defer func() { p.keepers <- k }()
	if ctx.Err() != nil || p.life.Err() != nil {
		return nil, gone()
	}
	if k != nil && k.isDead() {
		k.close()
		k = nil
	}
	if k == nil {
		var err error
		if k, err = newKeeper(p.cfg.Sentry); err != nil {
			return nil, proofhouse.Errorf(proofhouse.Unavailable, err, "the keeper of boxes does not start")
		}
	}
	b, err := p.start(ctx, k, spec)
	if ctx.Err() != nil {
		if err == nil {
			err = b.Stop()
		}
		if end := gone(); err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
			return nil, end
		}
	}
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, errors.Join(closed, b.Stop())
	}
	p.boxes[b.id] = b
	p.mu.Unlock()
	return b, nil
}

// Close stops every box and every keeper.
func (p *Provider) Close() error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil
	}
	p.closed = true
	p.end()
	boxes := make([]*Box, 0, len(p.boxes))
	for _, b := range p.boxes {
		boxes = append(boxes, b)
	}
	p.mu.Unlock()
	var wg sync.WaitGroup
	errs := make([]error, len(boxes))
	for i, b := range boxes {
		wg.Go(func() { errs[i] = b.Stop() })
	}
	wg.Wait()
	for range p.places { // waits for those that are starting a box
		if k := <-p.keepers; k != nil {
			k.close()
		}
	}
	errs = append(errs, os.RemoveAll(p.dir), p.lock.Close())
	return errors.Join(errs...)
}

func (p *Provider) forget(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.boxes, id)
}

// ownerPrefix starts the name of a provider's folder in State.
const ownerPrefix = "owner-"

// freshPrefix starts it while the folder is being made.
const freshPrefix = "fresh-"

// claim makes a provider's folder and locks it for the life of the process.
// The folder gets its name only when it is locked, so that no one sweeps it.
func claim(dir string) (*os.File, error) {
	fresh := filepath.Join(filepath.Dir(dir), freshPrefix+filepath.Base(dir))
	if err := os.Mkdir(fresh, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(fresh, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, os.Rename(fresh, dir)
}
