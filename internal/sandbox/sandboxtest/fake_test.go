package sandboxtest

import (
	"testing"

	"proofhouse/internal/sandbox"
)

var (
	_ sandbox.Provider = (*Fake)(nil)
	_ sandbox.Box      = (*fakeBox)(nil)
)

func TestFake(t *testing.T) {
	store := sandbox.Images{Dir: t.TempDir()}
	root, mounted := Root(t, store), ImageOf(t, store, Mounted)
	TestProvider(t, Subject{
		Open: func(t *testing.T) sandbox.Provider {
			f := &Fake{Programs: map[string]Func{Program: FakeProgram}}
			t.Cleanup(func() { f.Close() })
			return f
		},
		Images:    func(*testing.T) (sandbox.Image, sandbox.Image) { return root, mounted },
		Simulated: true,
	})
}
