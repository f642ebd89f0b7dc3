package oracle

import (
	"debug/elf"
	"os"
	"path/filepath"
	"strings"
	"testing"

	erofs "github.com/erofs/go-erofs"

	"proofhouse/internal/sandbox"
	"proofhouse/internal/sandbox/sandboxtest"
	"proofhouse/internal/target"
)

// TestResolve names the frame of a function of a real program by its offset.
func TestResolve(t *testing.T) {
	boxes(t)
	program, err := os.ReadFile(filepath.Join(shared.dir, "hostile"))
	if err != nil {
		t.Fatal(err)
	}
	e, err := elf.Open(filepath.Join(shared.dir, "hostile"))
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	all, err := e.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	var offset uint64
	for _, s := range all {
		if s.Name == "main.fill" {
			offset = s.Value + 8
		}
	}
	store := sandbox.Images{Dir: t.TempDir()}
	img, err := store.Write(func(w *erofs.Writer) error { return sandboxtest.Add(w, "harness", string(program), 0o755) })
	if err != nil {
		t.Fatal(err)
	}
	b := target.Build{Image: img, Root: img}
	s := newSymbols()
	raw := crash{class: "x", frames: []frame{
		{module: "/target/harness", offset: offset}, {module: "/target/harness", offset: 1}, {module: "/target/absent", offset: 1}, {module: "/../../etc/passwd", offset: 1},
	}}
	for range 2 { // the second comes from what was kept
		got := s.resolve(b, raw)
		if f := got.frames[0]; f.function != "main.fill" || !strings.HasSuffix(f.file, "main.go") || f.line == 0 {
			t.Errorf("resolved %+v", f)
		}
		for _, f := range got.frames[1:] {
			if f.function != "" {
				t.Errorf("%+v has a name", f)
			}
		}
	}
	if len(s.crashes) != 1 {
		t.Errorf("%d crashes are kept", len(s.crashes))
	}

	// Damaged programs give no names and no panic.
	for part := range 10 {
		damaged := []byte(string(program[:len(program)/10*part]))
		for i := 64; i < len(damaged); i += 997 {
			damaged[i] ^= byte(i * part)
		}
		img, err := store.Write(func(w *erofs.Writer) error { return sandboxtest.Add(w, "harness", string(damaged), 0o755) })
		if err != nil {
			t.Fatal(err)
		}
		newSymbols().resolve(target.Build{Image: img, Root: img}, raw)
	}
}

func TestDemangle(t *testing.T) {
	for in, want := range map[string]string{
		"parse": "parse", "_ZN3foo3barEi": "foo::bar", "_ZL3barv": "bar", "_ZNK3foo6Reader4nextEv": "foo::Reader::next",
		"_ZN3FooC2Ei": "Foo::Foo", "_ZN3FooD1Ev": "Foo::~Foo", "_ZN12_GLOBAL__N_13runEv": "(anonymous namespace)::run",
		"_ZN3fooIiE3barEv": "_ZN3fooIiE3barEv", "_Z": "_Z", "_ZN": "_ZN", "_Z99x": "_Z99x",
	} {
		if got := demangle(in); got != want {
			t.Errorf("%s is %s, want %s", in, got, want)
		}
	}
}
