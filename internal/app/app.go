package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"proofhouse/internal/bench"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
	"proofhouse/internal/sandbox/bwrap"
	"proofhouse/internal/sandbox/gvisor"
	"proofhouse/internal/sandbox/root"
	"proofhouse/internal/target"
	"proofhouse/internal/vault"
	"proofhouse/tasks"
)

// App is the house on this machine. Its methods are safe for concurrent use.
type App struct {
	Config Config
	Images sandbox.Images
	Roots  root.Store
	Built  bench.BuiltStore

	mu       sync.Mutex // guards what follows, which opens at its first use
	provider sandbox.Provider
	verifier *verifier
	builder  *target.Builder
	vault    *vault.Vault
}

// Open opens the house. Nothing that needs rights is opened before it is
// used, so that lists and reports work for everybody.
func Open(_ context.Context, cfg Config) (*App, error) {
	cfg, err := cfg.resolve()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.Data, 0o755); err != nil {
		return nil, proofhouse.Errorf(proofhouse.Unavailable, err, "the data folder cannot be made: name another with --data or PROOFHOUSE_DATA")
	}
	a := &App{Config: cfg, Images: sandbox.Images{Dir: cfg.dir("images")}}
	a.Built = bench.BuiltStore{Dir: cfg.dir("suites"), Images: a.Images}
	a.Roots = root.Store{Images: a.Images, Fetch: cfg.dir("fetch"), Records: cfg.dir("roots"), Recipes: tasks.Roots()}
	return a, nil
}

// Close stops every box and whatever else was opened, in reverse order.
func (a *App) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	var errs []error
	if a.verifier != nil {
		errs = append(errs, a.verifier.close())
	}
	if a.provider != nil {
		errs = append(errs, a.provider.Close())
	}
	if a.vault != nil {
		errs = append(errs, a.vault.Close())
	}
	a.provider, a.verifier, a.builder, a.vault = nil, nil, nil, nil
	return errors.Join(errs...)
}

// Provider opens the configured sandbox, or gives the open one.
func (a *App) Provider() (sandbox.Provider, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.openProvider(gvisor.NoLeak)
}

func (a *App) openProvider(leak gvisor.Leak) (sandbox.Provider, error) {
	if a.provider != nil {
		return a.provider, nil
	}
	var err error
	a.provider, err = openProvider(a.Config, leak)
	return a.provider, err
}

// openProvider names the implementations: gVisor, and bubblewrap for who asks
// for it by name.
func openProvider(cfg Config, leak gvisor.Leak) (sandbox.Provider, error) {
	if cfg.Provider == "bwrap" {
		guest := cfg.Sentry
		if guest == "" {
			var err error
			if guest, err = os.Executable(); err != nil {
				return nil, fmt.Errorf("finding the own executable: %w", err)
			}
		}
		return asProvider(bwrap.New(bwrap.Config{State: cfg.dir("state"), Guest: guest}))
	}
	return asProvider(gvisor.New(gvisor.Config{State: cfg.dir("state"), Sentry: cfg.Sentry, Leak: leak}))
}

// asProvider keeps a nil pointer from becoming a provider that is not nil.
func asProvider[P sandbox.Provider](p P, err error) (sandbox.Provider, error) {
	if err != nil {
		return nil, err
	}
	return p, nil
}

// Builder opens what builds tasks; say is told how it goes.
func (a *App) Builder(say func(string)) (bench.Builder, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.builder == nil {
		provider, err := a.openProvider(gvisor.NoLeak)
		if err != nil {
			return nil, err
		}
		a.builder = target.New(target.Config{
			Provider: provider,
			Images:   a.Images,
			Dir:      a.Config.dir("targets"),
			Fetch:    target.Fetcher{Dir: a.Config.dir("fetch"), Environ: os.Environ(), Debian: newDebian(a.Roots)},
			Root:     func(ctx context.Context, name string) (sandbox.Image, error) { return a.MakeRoot(ctx, name, nil) },
			Drivers:  tasks.Drivers(),
		})
	}
	return builder{a.builder, say}, nil
}

// Verifier opens the oracle as bench uses it.
func (a *App) Verifier() (bench.Verifier, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.verifier == nil {
		provider, err := a.openProvider(gvisor.NoLeak)
		if err != nil {
			return nil, err
		}
		if a.verifier, err = openVerifier(a.Config, provider); err != nil {
			return nil, err
		}
	}
	return a.verifier, nil
}

// Suite loads a suite that ships, or a folder.
func (a *App) Suite(name string) (bench.Suite, error) {
	return bench.OpenSuite(tasks.Suites(), name, time.Now())
}

// Suites are the names of the suites that ship.
func (a *App) Suites() []string { return bench.ShippedSuites(tasks.Suites()) }

// Task loads one task by its full name, such as open-1/minimist-pollution.
func (a *App) Task(name string) (bench.Task, error) {
	suite, short, err := splitTask(name)
	if err != nil {
		return bench.Task{}, err
	}
	s, err := a.Suite(suite)
	if err != nil {
		return bench.Task{}, err
	}
	found, err := s.Select([]string{short})
	if err != nil {
		return bench.Task{}, err
	}
	return found[0], nil
}

// MakeRoot gives a root's image, making it if need be; say may be nil, and is
// told of each step, and every few seconds within one.
func (a *App) MakeRoot(ctx context.Context, name string, say func(string)) (sandbox.Image, error) {
	var step string
	var told time.Time
	return a.Roots.Make(ctx, name, time.Now(), func(p root.Progress) {
		if say == nil || p.Note == "" && p.Step == step && time.Since(told) < 3*time.Second {
			return
		}
		step, told = p.Step, time.Now()
		say(describeRoot(p))
	})
}

// describeRoot is one line about a root in the making.
func describeRoot(p root.Progress) string {
	switch {
	case p.Note != "":
		return fmt.Sprintf("root %s: %s", p.Root, p.Note)
	case p.Step == "fetch":
		return fmt.Sprintf("root %s: fetching %d of %d MB", p.Root, p.Done>>20, p.Total>>20)
	case p.Total > 0:
		return fmt.Sprintf("root %s: %s %d of %d", p.Root, p.Step, p.Done, p.Total)
	default:
		return fmt.Sprintf("root %s: %s", p.Root, p.Step)
	}
}
