package gvisor

import (
	"testing"

	"proofhouse/internal/sandbox"
)

// TestStarved tells helpers that the box's own memory ended from those that broke.
func TestStarved(t *testing.T) {
	for _, c := range []struct {
		name string
		res  sandbox.Result
		said string
		want bool
	}{
		{"killed for memory", sandbox.Result{Signal: 9}, "", true},
		{"over the box's bound", sandbox.Result{Exit: -1, Limit: sandbox.BoundMemory}, "", true},
		{"could not begin", sandbox.Result{Exit: 2}, "fatal error: runtime: cannot allocate memory", true},
		{"broke", sandbox.Result{Exit: 2}, "panic: nil", false},
		{"took too long", sandbox.Result{Exit: -1, Limit: sandbox.BoundWall}, "", false},
	} {
		if got := starved(c.res, c.said); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
