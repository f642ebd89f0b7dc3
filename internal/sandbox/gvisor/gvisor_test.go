package gvisor

import (
	"context"
	"testing"
	"time"

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

func TestSlice(t *testing.T) {
	p := open(t, nil)
	root := sandboxtest.Root(t, sandbox.Images{Dir: t.TempDir()})
	for range 3 {
		began := time.Now()
		b, err := p.Start(context.Background(), sandbox.Spec{Root: root, Writable: []string{"/out"}})
		if err != nil {
			t.Fatal(err)
		}
		t.Log("start", time.Since(began))
		for range 5 {
			began = time.Now()
			res, err := b.Exec(context.Background(), sandbox.Command{Argv: []string{sandboxtest.Program, "echo", "hello"}, User: sandbox.Nobody})
			t.Log("exec", time.Since(began))
			if err != nil || res.Exit != 0 || string(res.Stdout.Head) != "hello\n" {
				t.Fatalf("%+v %v", res, err)
			}
		}
		began = time.Now()
		l, err := b.List(context.Background(), "/", 10000)
		t.Log("list", time.Since(began), len(l), err)
		began = time.Now()
		pr, err := b.Probe(context.Background(), nil)
		t.Log("probe", time.Since(began), pr, err)
		began = time.Now()
		err = b.Reset(context.Background())
		t.Log("reset", time.Since(began), err)
		u, err := b.Usage()
		t.Log(u, err)
		began = time.Now()
		if err := b.Stop(); err != nil {
			t.Fatal(err)
		}
		t.Log("stop", time.Since(began))
	}
}
