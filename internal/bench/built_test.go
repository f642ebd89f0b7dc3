package bench

import (
	"strings"
	"testing"
)

// TestCutPatch holds a patch to its bound, at a line's end, and says so.
func TestCutPatch(t *testing.T) {
	short := "--- a\n+++ b\n"
	if got := cutPatch([]byte(short)); got != short {
		t.Errorf("a short patch became %q", got)
	}
	long := strings.Repeat(strings.Repeat("+", 99)+"\n", maxPatch/50)
	got := cutPatch([]byte(long))
	if len(got) > maxPatch+80 || !strings.HasSuffix(got, "bytes]\n") || !strings.Contains(got, "+\n[cut: the first ") {
		t.Errorf("a patch of %d bytes became one of %d that ends %q", len(long), len(got), got[max(0, len(got)-80):])
	}
	if got := cutPatch([]byte(strings.Repeat("x", maxPatch+1))); !strings.HasPrefix(got, "[cut: the first 0 of") {
		t.Errorf("one endless line was kept: %d bytes", len(got))
	}
}
