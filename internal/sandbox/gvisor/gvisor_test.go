package gvisor

import (
	"testing"

	"proofhouse/internal/sandbox"
	"proofhouse/internal/sandbox/sandboxtest"
)

func open(t testing.TB, change func(*Config)) *Provider {
	t.Helper()
	cfg := Config{State: t.TempDir(), Sentry: sandboxtest.Sentry(t)}
	if change != nil {
		change(&cfg)
	}
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("closing the provider: %v", err)
		}
	})
	return p
}

func TestConformance(t *testing.T) {
	state := t.TempDir() // shared, so that the guest image is built once
	store := sandbox.Images{Dir: t.TempDir()}
	root, mounted := sandboxtest.Root(t, store), sandboxtest.ImageOf(t, store, sandboxtest.Mounted)
	sandboxtest.TestProvider(t, sandboxtest.Subject{
		Open: func(t *testing.T) sandbox.Provider {
			return open(t, func(c *Config) { c.State = state })
		},
		Images: func(*testing.T) (sandbox.Image, sandbox.Image) { return root, mounted },
	})
}
