package guest

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

func TestPauseHoldsNothingAndStays(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the program is x86-64 code")
	}
	path := filepath.Join(t.TempDir(), "pause")
	if err := os.WriteFile(path, Pause(), 0o755); err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = r, w, w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if n, err := r.Read(make([]byte, 1)); n != 0 || err == nil { // ends when the program has closed its descriptors
		t.Errorf("read %d bytes, %v", n, err)
	}
	for fd := range 3 {
		if held, err := os.Readlink("/proc/" + strconv.Itoa(cmd.Process.Pid) + "/fd/" + strconv.Itoa(fd)); err == nil {
			t.Errorf("it holds %s", held)
		}
	}
	if err := cmd.Process.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	err = cmd.Wait()
	if got := cmd.ProcessState.Sys().(interface{ Signaled() bool }); !got.Signaled() {
		t.Errorf("it ended by itself: %v", err)
	}
}
