package app

import (
	"context"
	"errors"

	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
	"proofhouse/internal/sandbox/cgroup"
	"proofhouse/internal/sandbox/gvisor"
)

// prove checks a live box against what it declares.
func prove(ctx context.Context, box sandbox.Box, declared sandbox.Network) (sandbox.ProbeReport, error) {
	return sandbox.Prove(ctx, box, declared)
}

// LeakHostNetwork is the hole that ProveBox can open for the probe to find.
const LeakHostNetwork = string(gvisor.LeakHostNetwork)

// ProveBox starts a box, with a hole in it if leak names one, and proves what
// it reaches. A leaky box lives in a network namespace made for it, so that
// nothing but that namespace is in reach. It is refused, with the report.
func (a *App) ProveBox(ctx context.Context, leak string, say func(string)) (report sandbox.ProbeReport, err error) {
	if a.Config.Provider != "gvisor" && leak != "" {
		return report, proofhouse.Errorf(proofhouse.Invalid, nil, "only gvisor has holes to open: leave --provider out")
	}
	if leak != "" && leak != LeakHostNetwork {
		return report, proofhouse.Errorf(proofhouse.Invalid, nil, "there is no leak %q: the one to show is %s", leak, LeakHostNetwork)
	}
	image, err := a.MakeRoot(ctx, "base", say)
	if err != nil {
		return report, err
	}
	try := func() error {
		provider, err := a.openLeaky(gvisor.Leak(leak))
		if err != nil {
			return err
		}
		box, err := provider.Start(ctx, sandbox.Spec{Root: image, Network: sandbox.NoNetwork})
		if err != nil {
			return err
		}
		report, err = prove(ctx, box, sandbox.NoNetwork)
		return errors.Join(err, box.Stop())
	}
	if leak == "" {
		return report, try()
	}
	return report, sandbox.Isolated(try)
}

// Diagnose says what this machine can hold and why. An error means that it
// could not even be examined; what it cannot hold stands in the Diagnosis.
func (a *App) Diagnose(ctx context.Context) (sandbox.Diagnosis, error) {
	patient := func(name string) sandbox.Patient {
		cfg := a.Config
		cfg.Provider = name
		return sandbox.Patient{Name: name, Open: func() (sandbox.Provider, error) { return openProvider(cfg, gvisor.NoLeak) }}
	}
	groups := func() (int, error) {
		host, err := cgroup.Detect()
		if err != nil {
			return 0, err
		}
		return host.Version(), nil
	}
	return sandbox.Diagnose(ctx, a.Config.Data, groups, patient("gvisor"), patient("bwrap"))
}

// openLeaky opens the provider with a hole in its boxes. It is the only way to
// one, and this App has no other provider then.
func (a *App) openLeaky(leak gvisor.Leak) (sandbox.Provider, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.provider != nil && leak != gvisor.NoLeak {
		return nil, errors.New("a sandbox is open already")
	}
	return a.openProvider(leak)
}
