package oracle

import (
	"context"
	"errors"
	"sync"
	"time"

	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
)

// pool keeps boxes started ahead. A box leaves it once, to one verification,
// and never comes back; what waits in it has run nothing.
type pool struct {
	provider sandbox.Provider
	idle     int // boxes kept ready of each kind
	kinds    int // kinds kept

	ctx    context.Context // of the starts in the background
	cancel context.CancelFunc
	starts sync.WaitGroup

	mu      sync.Mutex        // guards the fields below and each shelf's
	shelves map[string]*shelf // by kind
	clock   int64             // counts takes, for the least recently used kind
	closed  bool
}

// shelf holds the boxes of one kind: same root, same build, same limits.
type shelf struct {
	spec     sandbox.Spec
	ready    chan started
	starting int
	waiters  int
	used     int64
	dropped  bool
}

type started struct {
	box sandbox.Box
	err error
}

// maxWaiters bounds how many may wait for boxes of one kind.
const maxWaiters = 1024

var errClosed = errors.New("the oracle is closed")

func newPool(p sandbox.Provider, idle, kinds int) *pool {
	ctx, cancel := context.WithCancel(context.Background())
	return &pool{provider: p, idle: idle, kinds: kinds, ctx: ctx, cancel: cancel, shelves: map[string]*shelf{}}
}

// kind names a box by all that makes it what it is.
func kind(s sandbox.Spec) string {
	b := string(s.Root.Digest)
	for _, m := range s.Mounts {
		b += "|" + string(m.Image.Digest) + "@" + m.Path
	}
	return b + "|" + limitsKey(s.Limits)
}

// warm starts boxes of a kind ahead.
func (p *pool) warm(spec sandbox.Spec) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.fill(p.shelf(spec))
	}
}

// take gives a box that ran nothing, and how long that took.
func (p *pool) take(ctx context.Context, spec sandbox.Spec) (sandbox.Box, time.Duration, error) {
	begin := time.Now()
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, 0, errClosed
	}
	s := p.shelf(spec)
	s.waiters++
	p.fill(s)
	p.mu.Unlock()
	var got started
	select {
	case got = <-s.ready:
	case <-ctx.Done():
		got.err = ctx.Err()
	case <-p.ctx.Done():
		got.err = errClosed
	}
	p.mu.Lock()
	s.waiters--
	p.trim(nil)
	if got.err == nil && !p.closed && !s.dropped {
		p.fill(s) // the next one starts while this one works
	}
	p.mu.Unlock()
	return got.box, time.Since(begin), got.err
}

// shelf is the shelf of spec's kind; p.mu is held.
func (p *pool) shelf(spec sandbox.Spec) *shelf {
	p.clock++
	k := kind(spec)
	if s := p.shelves[k]; s != nil {
		s.used = p.clock
		return s
	}
	s := &shelf{spec: spec, ready: make(chan started, maxWaiters+p.idle), used: p.clock}
	p.shelves[k] = s
	p.trim(s)
	return s
}

// trim drops the least recently used kinds beyond the number kept, but for
// keep and those that somebody waits for; p.mu is held.
func (p *pool) trim(keep *shelf) {
	for len(p.shelves) > p.kinds {
		oldest := ""
		for name, o := range p.shelves {
			if o != keep && o.waiters == 0 && (oldest == "" || o.used < p.shelves[oldest].used) {
				oldest = name
			}
		}
		if oldest == "" {
			return
		}
		p.drop(p.shelves[oldest])
		delete(p.shelves, oldest)
	}
}

// drop stops a shelf's boxes; p.mu is held.
func (p *pool) drop(s *shelf) {
	s.dropped = true
	for {
		select {
		case r := <-s.ready:
			if r.box != nil {
				p.starts.Go(func() { _ = r.box.Stop() })
			}
		default:
			return
		}
	}
}

// fill starts boxes until each waiter and the store ahead will have one; p.mu is held.
func (p *pool) fill(s *shelf) {
	for s.starting+len(s.ready) < min(s.waiters, maxWaiters)+p.idle {
		s.starting++
		p.starts.Go(func() {
			box, err := p.provider.Start(p.ctx, s.spec)
			p.mu.Lock()
			defer p.mu.Unlock()
			s.starting--
			if err == nil && (s.dropped || p.closed) {
				p.starts.Go(func() { _ = box.Stop() })
				return
			}
			if err != nil && s.waiters == 0 {
				return // nobody asked; the next one who does will hear it
			}
			s.ready <- started{box, err} // never blocks: at most waiters and idle are under way
		})
	}
}

// close stops all boxes that wait, and every start.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	p.cancel()
	for _, s := range p.shelves {
		p.drop(s)
	}
	p.mu.Unlock()
	p.starts.Wait()
}

// startError dresses a failure to start a box.
func startError(err error) error {
	if e, ok := errors.AsType[*proofhouse.Error](err); ok {
		return e
	}
	return proofhouse.Errorf(proofhouse.Unavailable, err, "a box could not be started: run `proofhouse sandbox doctor`")
}
