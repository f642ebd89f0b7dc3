package clearing_test

import (
	"testing"

	"proofhouse/internal/clearing"
	"proofhouse/internal/clearing/clearingtest"
)

// TestMemory holds what the other tests keep projects in to what the house keeps them in is held to.
func TestMemory(t *testing.T) {
	m := clearing.NewMemory()
	clearingtest.TestStore(t, func(*testing.T) clearing.Store { return m })
	clearingtest.TestShelf(t, func(*testing.T) clearing.Shelf { return m })
}
