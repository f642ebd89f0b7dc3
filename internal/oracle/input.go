package oracle

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"proofhouse/internal/proofhouse"
)

// input is a submission as a file that no name leads to and that nobody can
// change: it lies in memory, sealed, so that nothing of a survivor is left on
// a disk, however this process ends.
type input struct{ file *os.File }

// newInput makes the file. Close it when done.
func newInput(b []byte) (input, error) {
	full := func(err error) (input, error) {
		return input{}, proofhouse.Errorf(proofhouse.Unavailable, err, "there is no memory for the submission")
	}
	fd, err := unix.MemfdCreate("submission", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return full(err)
	}
	f := os.NewFile(uintptr(fd), "submission")
	_, err = f.Write(b)
	if err == nil {
		err = f.Chmod(0o444) // for a provider whose boxes open it anew as Nobody
	}
	if err == nil {
		_, err = unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_WRITE|unix.F_SEAL_GROW|unix.F_SEAL_SHRINK|unix.F_SEAL_SEAL)
	}
	if err != nil {
		return full(errors.Join(err, f.Close()))
	}
	return input{f}, nil
}

// open gives a read-only descriptor with an offset of its own.
func (i input) open() (*os.File, error) {
	return os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", i.file.Fd()), os.O_RDONLY, 0)
}

func (i input) close() { _ = i.file.Close() }
