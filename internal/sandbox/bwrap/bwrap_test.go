package bwrap

import (
	"testing"

	"proofhouse/internal/sandbox"
	"proofhouse/internal/sandbox/sandboxtest"
)

func open(t *testing.T) sandbox.Provider {
	t.Helper()
	p, err := New(Config{State: t.TempDir(), Guest: sandboxtest.Sentry(t)})
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

func TestProvider(t *testing.T) {
	sandboxtest.TestProvider(t, sandboxtest.Subject{
		Open: open, Fleeting: true,
		Images: func(t *testing.T) (root, mounted sandbox.Image) {
			store := sandbox.Images{Dir: t.TempDir()}
			return sandboxtest.Root(t, store), sandboxtest.ImageOf(t, store, sandboxtest.Mounted)
		},
	})
}
