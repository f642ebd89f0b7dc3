package gvisor

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"
	"syscall"

	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
	"proofhouse/internal/sandbox/guest"
)

// help runs a guest helper as the box's root. out takes its whole output.
func (b *Box) help(ctx context.Context, user sandbox.User, in io.Reader, out io.Writer, max int64, args ...string) error {
	var over bool
	sink := &bounded{w: out, left: max, over: &over}
	res, err := b.Exec(ctx, sandbox.Command{
		Argv: append([]string{guest.Dir + "/" + guest.Name}, args...),
		Env:  []string{"GOMAXPROCS=1", "GODEBUG=madvdontneed=1"},
		Dir:  "/", User: user, Stdin: in,
		Report: sink, ReportMax: max + 1,
	})
	if err != nil {
		return err
	}
	if sink.err != nil {
		return sink.err
	}
	said := strings.TrimSpace(string(res.Stderr.Head))
	switch {
	case over || res.Exit == guest.ExitLimit:
		return proofhouse.Errorf(proofhouse.Limit, fmt.Errorf("guest: %s", said), "the box holds more than may be read")
	case res.Exit == 0 && res.Limit == "":
		return nil
	case res.Exit == guest.ExitInvalid:
		return proofhouse.Errorf(proofhouse.Invalid, fmt.Errorf("guest: %s", said), "that path of the box is a link, a special file or no clean absolute path")
	case res.Exit == guest.ExitNotFound:
		return proofhouse.Errorf(proofhouse.NotFound, fmt.Errorf("guest: %s", said), "the box has no such file")
	case starved(res, said):
		return proofhouse.Errorf(proofhouse.Limit, fmt.Errorf("guest: exit %d, signal %d, %s: %s: %w", res.Exit, res.Signal, res.Limit, said, sandbox.ErrNoMemory), "the box has no memory left")
	default:
		return proofhouse.Errorf(proofhouse.Internal, fmt.Errorf("guest: exit %d, signal %d, %s: %s", res.Exit, res.Signal, res.Limit, said), "a helper in the box failed")
	}
}

// starved says whether a helper ended because what runs in the box has taken all of its memory: that is the doing
// of whoever has the box.
func starved(res sandbox.Result, said string) bool {
	return res.Limit == sandbox.BoundMemory || res.Signal == int(syscall.SIGKILL) || strings.Contains(said, "out of memory") || strings.Contains(said, "cannot allocate memory")
}

// bounded passes at most left bytes on, and notes whether there were more.
type bounded struct {
	w    io.Writer
	left int64
	over *bool
	err  error
}

func (s *bounded) Write(p []byte) (int, error) {
	take := p[:min(int64(len(p)), s.left)]
	s.left -= int64(len(take))
	*s.over = *s.over || len(take) < len(p)
	if s.err == nil && len(take) > 0 {
		_, s.err = s.w.Write(take)
	}
	return len(p), nil
}

// CopyIn writes a file of the box.
func (b *Box) CopyIn(ctx context.Context, path string, r io.Reader, mode fs.FileMode) error {
	return b.help(ctx, sandbox.User{}, r, io.Discard, 0, "copyin", path, strconv.FormatUint(uint64(mode.Perm()), 8))
}

// CopyOut reads a file of the box.
func (b *Box) CopyOut(ctx context.Context, path string, w io.Writer, max int64) error {
	return b.help(ctx, sandbox.User{}, nil, w, max, "copyout", path, strconv.FormatInt(max, 10))
}

// maxLine is the longest line of a listing: two paths, every byte escaped.
const maxLine = 2*4*4096 + 64

// List walks a folder of the box.
func (b *Box) List(ctx context.Context, dir string, max int) ([]sandbox.Entry, error) {
	var out bytes.Buffer
	if err := b.help(ctx, sandbox.User{}, nil, &out, int64(max)*maxLine, "list", dir, strconv.Itoa(max)); err != nil {
		return nil, err
	}
	return guest.ParseList(&out, max)
}

// maxReport bounds a probe's report in bytes.
const maxReport = 1 << 20

// Probe runs the probe as Nobody and as the box's root and gives what either
// saw.
func (b *Box) Probe(ctx context.Context, canaries []sandbox.Canary) (sandbox.ProbeReport, error) {
	in, err := json.Marshal(canaries)
	if err != nil {
		return sandbox.ProbeReport{}, err
	}
	var both sandbox.ProbeReport
	for _, user := range []sandbox.User{sandbox.Nobody, {}} {
		var out bytes.Buffer
		if err := b.help(ctx, user, bytes.NewReader(in), &out, maxReport, "probe"); err != nil {
			return sandbox.ProbeReport{}, err
		}
		var r sandbox.ProbeReport
		if err := json.Unmarshal(out.Bytes(), &r); err != nil {
			return sandbox.ProbeReport{}, proofhouse.Errorf(proofhouse.Internal, err, "the probe's report cannot be read")
		}
		both = both.Merge(r)
	}
	return both, nil
}
