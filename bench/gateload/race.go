package main

import (
	"bufio"
	"errors"
	"flag"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// A race is for one budget: clients in two groups, as on two replicas of a
// gateway, take from it until it is spent. The designs are models of what
// peers document or show in their source (docs/performance.md names them).
const (
	budget    = 1_000_000 // tokens
	inTokens  = 500
	outTokens = 4000 // at most; what is used is random
)

// ledger is the replicas' shared store; nothing is lost or late in it.
type ledger struct {
	mu    sync.Mutex
	taken int64
}

func (l *ledger) add(n int64) { l.mu.Lock(); l.taken += n; l.mu.Unlock() }
func (l *ledger) get() int64  { l.mu.Lock(); defer l.mu.Unlock(); return l.taken }

// take takes n if it fits.
func (l *ledger) take(n int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.taken+n > budget {
		return false
	}
	l.taken += n
	return true
}

// shrink takes n or what is left of the budget, and says how much.
func (l *ledger) shrink(n int64) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	n = max(min(n, budget-l.taken), 0)
	l.taken += n
	return n
}

// replica is one group's memory between two writes to the store.
type replica struct {
	mu    sync.Mutex
	local int64
}

// design is a way to admit a call and to account for it. admit gives what was held.
type design struct {
	name   string
	admit  func(*ledger, *replica) (held int64, ok bool)
	settle func(l *ledger, r *replica, held, used int64)
	flush  time.Duration // how often a replica's own count goes to the store
}

const most = inTokens + outTokens

var designs = []design{
	{
		name:   "check, then charge; one shared counter",
		admit:  func(l *ledger, _ *replica) (int64, bool) { return 0, l.get() < budget },
		settle: func(l *ledger, _ *replica, _, used int64) { l.add(used) },
	},
	{
		name: "check, then charge; a counter for each replica, flushed every 5 s", flush: 500 * time.Millisecond, // times run ten times as fast
		admit: func(l *ledger, r *replica) (int64, bool) {
			r.mu.Lock()
			defer r.mu.Unlock()
			return 0, l.get()+r.local < budget
		},
		settle: func(_ *ledger, r *replica, _, used int64) { r.mu.Lock(); r.local += used; r.mu.Unlock() },
	},
	{
		name: "reserve; the last hold is cut to what is left",
		admit: func(l *ledger, _ *replica) (int64, bool) {
			held := l.shrink(most)
			return held, held > 0
		},
		settle: func(l *ledger, _ *replica, held, used int64) { l.add(used - held) },
	},
	{
		name:   "reserve and settle, strictly (ours)",
		admit:  func(l *ledger, _ *replica) (int64, bool) { return most, l.take(most) },
		settle: func(l *ledger, _ *replica, held, used int64) { l.add(used - held) },
	},
}

// race runs the designs against one another, or, with -key, real callers
// against a real gateway whose grant has -budget output tokens.
func race(args []string) error {
	f := flag.NewFlagSet("race", flag.ExitOnError)
	var t target
	t.flags(f)
	limit := f.Int64("budget", 0, "output tokens of the key's grant: race a real gateway")
	_ = f.Parse(args)
	if *limit > 0 {
		return t.race(*limit)
	}
	for _, d := range designs {
		for _, clients := range []int{16, 128} {
			used, served, refused := d.run(clients)
			if err := say(map[string]any{"design": d.name, "clients": clients, "over_percent": 100 * float64(used-budget) / budget, "served": served, "refused": refused}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d design) run(clients int) (used, served, refused int64) {
	store, replicas := &ledger{}, []*replica{{}, {}}
	stop := make(chan struct{})
	var flushing sync.WaitGroup
	if d.flush > 0 {
		flushing.Go(func() {
			for tick := time.NewTicker(d.flush); ; {
				select {
				case <-stop:
					tick.Stop()
					return
				case <-tick.C:
					for _, r := range replicas {
						r.mu.Lock()
						store.add(r.local)
						r.local = 0
						r.mu.Unlock()
					}
				}
			}
		})
	}
	var all, ok, no atomic.Int64
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			rng, r := rand.New(rand.NewPCG(1, uint64(c))), replicas[c%len(replicas)]
			for failures := 0; failures < 50; {
				out := int64(200 + rng.IntN(outTokens-200))
				held, admitted := d.admit(store, r)
				if !admitted {
					no.Add(1)
					failures++
					time.Sleep(20 * time.Millisecond)
					continue
				}
				failures = 0
				time.Sleep(time.Duration(out/40) * time.Millisecond)
				all.Add(inTokens + out)
				ok.Add(1)
				d.settle(store, r, held, inTokens+out)
			}
		})
	}
	wg.Wait()
	close(stop)
	flushing.Wait()
	return all.Load(), ok.Load(), no.Load()
}

// race has callers call until each was refused 20 times in a row.
func (t *target) race(limit int64) error {
	request := t.request()
	var served, refused atomic.Int64
	var wg sync.WaitGroup
	for range t.conns {
		wg.Go(func() {
			for failures := 0; failures < 20; {
				conn, err := net.Dial("tcp", t.addr)
				if err != nil {
					failures++
					continue
				}
				r := bufio.NewReaderSize(conn, 8<<10)
				for failures < 20 {
					_, err := ask(conn, r, request)
					if err == nil {
						served.Add(1)
						failures = 0
						continue
					}
					refused.Add(1)
					failures++
					if !errors.Is(err, errStatus) {
						break
					}
				}
				conn.Close()
			}
		})
	}
	wg.Wait()
	used := served.Load() * 200 // what the upstream bills for an answer
	return say(map[string]any{"clients": t.conns, "budget": limit, "used": used, "over_percent": 100 * float64(used-limit) / float64(limit), "served": served.Load(), "refused": refused.Load()})
}
