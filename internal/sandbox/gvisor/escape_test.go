package gvisor

import (
	"testing"

	"proofhouse/internal/sandbox"
	"proofhouse/internal/sandbox/sandboxtest"
)

func TestEscape(t *testing.T) {
	sandboxtest.Escape(t, sandboxtest.Jail{
		Open:      func(t *testing.T) sandbox.Provider { return open(t, nil) },
		OwnKernel: true,
	})
}
