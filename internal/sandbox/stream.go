package sandbox

import (
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"proofhouse/internal/proofhouse"
)

// CheckFiles refuses descriptors that a box must not get: only regular files
// opened for reading alone may be handed over.
func CheckFiles(files []*os.File) error {
	for _, f := range files {
		var st unix.Stat_t
		flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
		if err == nil {
			err = unix.Fstat(int(f.Fd()), &st)
		}
		if err != nil {
			return proofhouse.Errorf(proofhouse.Invalid, err, "a file for a command is not open")
		}
		if flags&unix.O_ACCMODE != unix.O_RDONLY || flags&unix.O_PATH != 0 || st.Mode&unix.S_IFMT != unix.S_IFREG {
			return proofhouse.Errorf(proofhouse.Invalid, nil, "a command may be given regular files that are open for reading only")
		}
	}
	return nil
}

// Share makes w safe for two writers at once; nil stays nil.
func Share(w io.Writer) io.Writer {
	if w == nil {
		return nil
	}
	return &shared{w: w}
}

type shared struct {
	mu sync.Mutex // guards w
	w  io.Writer
}

func (s *shared) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(p)
}

// First passes the first max bytes on to w and swallows the rest, so that who
// writes never waits.
func First(w io.Writer, max int64) io.Writer { return &first{w, max} }

type first struct {
	w    io.Writer
	left int64
}

func (f *first) Write(p []byte) (int, error) {
	take := p[:min(int64(len(p)), max(0, f.left))]
	f.left -= int64(len(take))
	if len(take) > 0 {
		_, _ = f.w.Write(take) // a broken sink must not block the program
	}
	return len(p), nil
}
