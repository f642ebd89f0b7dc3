package bwrap

import (
	"testing"

	"proofhouse/internal/sandbox/sandboxtest"
)

func TestEscape(t *testing.T) {
	sandboxtest.Escape(t, sandboxtest.Jail{Open: open})
}
