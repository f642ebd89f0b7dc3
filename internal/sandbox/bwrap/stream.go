package bwrap

import (
	"errors"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"proofhouse/internal/sandbox"
)

// streams are the ends of a command's descriptors.
type streams struct {
	guest          []*os.File // the command's ends, by descriptor
	in             *os.File   // this process's end of stdin
	stdin          io.Reader
	out            []*os.File // this process's ends of the outputs
	sinks          []io.Writer
	done           chan struct{}
	flowing        bool
	stdout, stderr *sandbox.Capture
}

func newStreams(cmd sandbox.Command, limit int64) (_ *streams, err error) {
	s := &streams{stdin: cmd.Stdin, done: make(chan struct{}, 3)}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	s.guest, s.in = []*os.File{r}, w
	tail := sandbox.Share(cmd.Tail)
	s.stdout = &sandbox.Capture{Max: limit, Pass: tail}
	s.stderr = &sandbox.Capture{Max: limit, Pass: tail}
	add := func(sink io.Writer) error {
		r, w, err := os.Pipe()
		if err != nil {
			return err
		}
		s.guest = append(s.guest, w)
		s.out, s.sinks = append(s.out, r), append(s.sinks, sink)
		return nil
	}
	if err := errors.Join(add(s.stdout), add(s.stderr)); err != nil {
		return nil, err
	}
	for _, f := range cmd.Files {
		fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			return nil, err
		}
		s.guest = append(s.guest, os.NewFile(uintptr(fd), f.Name()))
	}
	if cmd.Report != nil {
		return s, add(sandbox.First(cmd.Report, cmd.ReportMax))
	}
	return s, nil
}

// flow lets the streams go; calling it again does nothing.
func (s *streams) flow() {
	if s.flowing {
		return
	}
	s.flowing = true
	if s.stdin == nil {
		s.in.Close()
	} else {
		go func() {
			_, _ = io.Copy(s.in, s.stdin) // ends when nobody reads any more
			s.in.Close()
		}()
	}
	for i, r := range s.out {
		go func() {
			_, _ = io.Copy(s.sinks[i], r) // ends with the pipe or its deadline
			s.done <- struct{}{}
		}()
	}
}

// finish waits for what the command wrote and stops listening.
func (s *streams) finish(res *sandbox.Result) {
	deadline := time.Now().Add(grace)
	for _, r := range s.out {
		_ = r.SetReadDeadline(deadline)
	}
	for range s.out {
		<-s.done
	}
	res.Stdout, res.Stderr = s.stdout.Output(), s.stderr.Output()
}

func (s *streams) closeGuest() {
	for _, f := range s.guest {
		f.Close()
	}
}

func (s *streams) close() {
	s.closeGuest()
	if s.in != nil {
		s.in.Close()
	}
	for _, r := range s.out {
		r.Close()
	}
}
