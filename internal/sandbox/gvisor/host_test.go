package gvisor

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"proofhouse/internal/sandbox"
	"proofhouse/internal/sandbox/sandboxtest"
)

// What the house knows must not be in the memory of a process that a box could
// take over, nor open in it.
func TestNothingOfTheHouseIsInASentry(t *testing.T) {
	t.Setenv("PROOFHOUSE_SECRET", "a key")
	p := open(t, nil)
	box, err := p.Start(t.Context(), sandbox.Spec{Root: sandboxtest.Root(t, sandbox.Images{Dir: t.TempDir()})})
	if err != nil {
		t.Fatal(err)
	}
	b := box.(*Box)
	for name, pid := range map[string]int{"keeper": b.keeper.pid(), "sentry": b.sentry.Getpid()} {
		environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		if err != nil || strings.Contains(string(environ), "PROOFHOUSE_SECRET") {
			t.Errorf("the %s's environment: %q, %v", name, environ, err)
		}
	}
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", b.sentry.Getpid()))
	if err != nil || len(fds) == 0 {
		t.Fatal(fds, err)
	}
	for _, fd := range fds {
		to, err := os.Readlink(fd)
		if err != nil {
			continue
		}
		writable := false
		if info, err := os.ReadFile(strings.Replace(fd, "/fd/", "/fdinfo/", 1)); err == nil {
			for line := range strings.Lines(string(info)) {
				if f := strings.Fields(line); len(f) == 2 && f[0] == "flags:" {
					writable = !strings.HasSuffix(f[1], "0") // the last octal digit is the access mode
				}
			}
		}
		if filepath.IsAbs(to) && writable && to != "/dev/null" && !strings.HasPrefix(to, "/memfd:") {
			t.Errorf("the sentry may write to %s of the host", to)
		}
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", b.sentry.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Uid:\t65534\t65534\t65534\t65534", "CapEff:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"} {
		if !strings.Contains(string(status), want) {
			t.Errorf("the sentry's status lacks %q", want)
		}
	}
}

// gVisor cannot map what an image keeps inside an inode; Images.Write sees to
// it that there is none.
func TestSmallFilesCanBeMapped(t *testing.T) {
	p := open(t, nil)
	store := sandbox.Images{Dir: t.TempDir()}
	box, err := p.Start(t.Context(), sandbox.Spec{
		Root:   sandboxtest.Root(t, store),
		Mounts: []sandbox.Mount{{Image: sandboxtest.ImageOf(t, store, map[string]string{"small": "a few bytes"}), Path: "/data"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	res, err := box.Exec(t.Context(), sandbox.Command{Argv: []string{sandboxtest.Program, "map", "/data/small"}, User: sandbox.Nobody})
	if err != nil || res.Exit != 0 || string(res.Stdout.Head) != "a few bytes" {
		t.Errorf("%+v, %v", res, err)
	}
}
