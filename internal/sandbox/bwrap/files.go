package bwrap

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
	"proofhouse/internal/sandbox/guest"
)

// locate gives where a path of the box lies on the host: a folder that the
// box cannot move, and the path below it.
func (b *Box) locate(p string) (place, string, error) {
	if !path.IsAbs(p) || path.Clean(p) != p || strings.ContainsRune(p, 0) {
		return place{}, "", proofhouse.Errorf(proofhouse.Invalid, nil, "%q is not a clean absolute path of a box", p)
	}
	for _, special := range []string{"/proc", "/sys", "/dev"} {
		if p != special && strings.HasPrefix(p, special+"/") && !strings.HasPrefix(p, "/dev/shm") {
			return place{}, "", proofhouse.Errorf(proofhouse.Invalid, nil, "%s of a box holds no files", special)
		}
	}
	best := place{"/", b.at("root"), false}
	for _, pl := range b.places() {
		if (p == pl.path || strings.HasPrefix(p, pl.path+"/")) && len(pl.path) > len(best.path) {
			best = pl
		}
	}
	rel := strings.TrimPrefix(strings.TrimPrefix(p, best.path), "/")
	if rel == "" {
		rel = "."
	}
	return best, rel, nil
}

// beneath opens a path below a folder. The kernel follows no link on the way,
// whatever a command of the box does to it meanwhile.
func beneath(dir string, rel string, flags int, mode uint32) (*os.File, error) {
	root, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(root)
	return beneathFD(root, rel, flags, mode)
}

func beneathFD(root int, rel string, flags int, mode uint32) (*os.File, error) {
	fd, err := unix.Openat2(root, rel, &unix.OpenHow{
		Flags: uint64(flags | unix.O_CLOEXEC | unix.O_NOFOLLOW), Mode: uint64(mode),
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV,
	})
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), rel), nil
}

func pathError(err error) error {
	switch {
	case errors.Is(err, unix.ENOENT):
		return proofhouse.Errorf(proofhouse.NotFound, err, "the box has no such file")
	case errors.Is(err, unix.ELOOP), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.EXDEV), errors.Is(err, unix.EISDIR), errors.Is(err, unix.ENXIO), errors.Is(err, unix.EROFS):
		return proofhouse.Errorf(proofhouse.Invalid, err, "that path of the box is a link, a special file or read-only")
	default:
		return fmt.Errorf("opening a file of the box: %w", err)
	}
}

// hold keeps the box's files in place.
func (b *Box) hold(ctx context.Context) (func(), error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b.tree.RLock()
	if err := b.alive(); err != nil {
		b.tree.RUnlock()
		return nil, err
	}
	return b.tree.RUnlock, nil
}

// CopyIn writes a file of the box. What stands there goes first, so that
// nothing is written through a second name of another file.
func (b *Box) CopyIn(ctx context.Context, p string, r io.Reader, mode fs.FileMode) error {
	release, err := b.hold(ctx)
	if err != nil {
		return err
	}
	defer release()
	pl, rel, err := b.locate(p)
	if err != nil {
		return err
	}
	if rel == "." || pl.readonly {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "%s is no file of the box that can be written", p)
	}
	nobody := hostUser(sandbox.Nobody.UID)
	dir, err := beneath(pl.host, ".", unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return pathError(err)
	}
	parents, name := path.Split(rel)
	for step := range strings.SplitSeq(strings.Trim(parents, "/"), "/") {
		if step == "" {
			continue
		}
		next, err := beneathFD(int(dir.Fd()), step, unix.O_PATH|unix.O_DIRECTORY, 0)
		if errors.Is(err, unix.ENOENT) {
			if err = unix.Mkdirat(int(dir.Fd()), step, 0o755); err == nil || errors.Is(err, unix.EEXIST) {
				if next, err = beneathFD(int(dir.Fd()), step, unix.O_PATH|unix.O_DIRECTORY, 0); err == nil {
					err = unix.Fchownat(int(next.Fd()), "", nobody, nobody, unix.AT_EMPTY_PATH)
				}
			}
		}
		dir.Close()
		if err != nil {
			return pathError(err)
		}
		dir = next
	}
	defer dir.Close()
	if err := unix.Unlinkat(int(dir.Fd()), name, 0); errors.Is(err, unix.EISDIR) {
		return pathError(err)
	}
	f, err := beneathFD(int(dir.Fd()), name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, 0o600)
	if err != nil {
		return pathError(err)
	}
	_, err = io.Copy(f, r)
	if errors.Is(err, unix.ENOSPC) {
		err = proofhouse.Errorf(proofhouse.Limit, err, "the box's disk is full")
	}
	return errors.Join(err, f.Chown(nobody, nobody), f.Chmod(mode.Perm()), f.Close())
}

// CopyOut reads a regular file of the box.
func (b *Box) CopyOut(ctx context.Context, p string, w io.Writer, max int64) error {
	release, err := b.hold(ctx)
	if err != nil {
		return err
	}
	defer release()
	pl, rel, err := b.locate(p)
	if err != nil {
		return err
	}
	look, err := beneath(pl.host, rel, unix.O_PATH, 0)
	if err != nil {
		return pathError(err)
	}
	defer look.Close()
	if err := regular(look); err != nil { // before it is opened, so that no pipe or device is
		return err
	}
	f, err := beneath(pl.host, rel, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return pathError(err)
	}
	defer f.Close()
	if err := regular(f); err != nil {
		return err
	}
	over := proofhouse.Errorf(proofhouse.Limit, nil, "a file of the box is larger than %d bytes", max)
	if st, err := f.Stat(); err != nil || st.Size() > max {
		return errors.Join(err, over)
	}
	n, err := io.Copy(w, io.LimitReader(f, max+1))
	if err == nil && n > max {
		err = over
	}
	return err
}

func regular(f *os.File) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "that path of the box is a link or a special file")
	}
	return nil
}

// List walks a folder of the box, its mounts included.
func (b *Box) List(ctx context.Context, dir string, max int) ([]sandbox.Entry, error) {
	release, err := b.hold(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	l := &lister{box: b, max: max, ctx: ctx, places: map[string]bool{}}
	for _, pl := range b.places() {
		l.places[pl.path] = true
	}
	if err := l.walk(dir, true); err != nil {
		return nil, err
	}
	slices.SortFunc(l.all, func(x, y sandbox.Entry) int { return strings.Compare(x.Path, y.Path) })
	return l.all, nil
}

type lister struct {
	box    *Box
	ctx    context.Context
	max    int
	places map[string]bool
	all    []sandbox.Entry
}

// walk lists a folder. Only the first must be there: a command of the box may
// take others away meanwhile.
func (l *lister) walk(dir string, must bool) error {
	if err := l.ctx.Err(); err != nil {
		return err
	}
	pl, rel, err := l.box.locate(dir)
	if err != nil {
		return err
	}
	f, err := beneath(pl.host, rel, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		if must {
			return pathError(err)
		}
		return nil
	}
	names, err := f.Readdirnames(l.max + 1)
	f.Close()
	if err != nil && !errors.Is(err, io.EOF) {
		return nil
	}
	for _, name := range names {
		p := path.Join(dir, name)
		e, ok, err := l.stat(p)
		if err != nil {
			return err
		}
		if !ok || p == guest.Dir {
			continue
		}
		if len(l.all) >= l.max {
			return proofhouse.Errorf(proofhouse.Limit, nil, "the box holds more than %d files there", l.max)
		}
		l.all = append(l.all, e)
		if e.Mode.IsDir() && p != "/proc" && p != "/sys" {
			if err := l.walk(p, false); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *lister) stat(p string) (sandbox.Entry, bool, error) {
	pl, rel, err := l.box.locate(p)
	if err != nil {
		return sandbox.Entry{}, false, err
	}
	f, err := beneath(pl.host, rel, unix.O_PATH, 0)
	if err != nil {
		return sandbox.Entry{}, false, nil // it went away
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return sandbox.Entry{}, false, nil
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return sandbox.Entry{}, false, nil
	}
	e := sandbox.Entry{Path: p, Mode: info.Mode(), Size: st.Size, UID: boxUser(st.Uid)}
	if e.Mode&fs.ModeSymlink != 0 {
		buf := make([]byte, 4096)
		if n, err := unix.Readlinkat(int(f.Fd()), "", buf); err == nil {
			e.Link = string(buf[:n])
		}
	}
	return e, true, nil
}

// maxReport bounds a probe's report in bytes.
const maxReport = 1 << 20

// Probe runs the guest's probe as Nobody and as the box's root.
func (b *Box) Probe(ctx context.Context, canaries []sandbox.Canary) (sandbox.ProbeReport, error) {
	in, err := json.Marshal(canaries)
	if err != nil {
		return sandbox.ProbeReport{}, err
	}
	var both sandbox.ProbeReport
	for _, user := range []sandbox.User{sandbox.Nobody, {}} {
		var out bytes.Buffer
		res, err := b.Exec(ctx, sandbox.Command{
			Argv: []string{guest.Dir + "/" + guest.Name, "probe"}, Dir: "/", User: user,
			Stdin: bytes.NewReader(in), Report: &out, ReportMax: maxReport,
		})
		if err != nil {
			return sandbox.ProbeReport{}, err
		}
		var r sandbox.ProbeReport
		if err := json.Unmarshal(out.Bytes(), &r); err != nil || res.Exit != 0 {
			return sandbox.ProbeReport{}, proofhouse.Errorf(proofhouse.Internal, fmt.Errorf("%w: exit %d: %s", err, res.Exit, res.Stderr.Head), "the box's probe failed")
		}
		both = both.Merge(r)
	}
	return both, nil
}
