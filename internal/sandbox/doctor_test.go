package sandbox

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"proofhouse/internal/proofhouse"
)

func TestCapacity(t *testing.T) {
	for _, test := range []struct {
		free int64
		pids int
		want Capacity
	}{
		{24 << 30, 32768, Capacity{Idle: 1156, Busy: 9, By: "memory"}},
		{24 << 30, 11000, Capacity{Idle: 400, Busy: 9, By: "the kernel's bound of processes (sysctl kernel.pid_max)"}},
		{1 << 30, 4 << 20, Capacity{Idle: 48, Busy: 0, By: "memory"}},
	} {
		if got := capacity(Machine{MemoryFree: test.free, PIDs: test.pids}); got != test.want {
			t.Errorf("%+v: got %+v", test, got)
		}
	}
}

func TestFindings(t *testing.T) {
	good := Machine{Arch: "amd64", CPUs: 2, MemoryFree: 8 << 30, DiskFree: 10 << 30, Groups: 1}
	for _, f := range findings(good, nil) {
		if !f.OK || f.Fix != "" {
			t.Errorf("a good machine has %+v", f)
		}
	}
	none := proofhouse.Errorf(proofhouse.Unavailable, nil, "mount them")
	for _, f := range findings(Machine{Arch: "riscv64", UID: 1000, MemoryFree: 1 << 20, DiskFree: 1}, none) {
		if f.OK || f.Fix == "" {
			t.Errorf("a bad machine has %+v", f)
		}
	}
}

func TestDiagnose(t *testing.T) {
	data := filepath.Join(t.TempDir(), "not", "yet")
	none := proofhouse.Errorf(proofhouse.Unavailable, os.ErrPermission, "install it")
	d, err := Diagnose(context.Background(), data, func() (int, error) { return 2, nil },
		Patient{Name: "absent", Open: func() (Provider, error) { return nil, none }})
	if err != nil {
		t.Fatal(err)
	}
	if d.Machine.Kernel == "" || d.Machine.Memory <= 0 || d.Machine.DiskFree <= 0 || d.Machine.PIDs <= 0 || d.Machine.Groups != 2 {
		t.Errorf("the machine is %+v", d.Machine)
	}
	if d.Healthy() || len(d.Trials) != 1 || d.Trials[0].Why != "install it" {
		t.Errorf("the trials are %+v", d.Trials)
	}
	if text := strings.Join(d.Lines(), "\n"); !strings.Contains(text, "MISSING provider absent: install it") || strings.Contains(text, "permission denied") {
		t.Errorf("it says\n%s", text)
	}
	if left, _ := os.ReadDir(data); len(left) != 0 {
		t.Errorf("it left %v", left)
	}
}
