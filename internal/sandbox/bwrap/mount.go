package bwrap

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	erofs "github.com/erofs/go-erofs"
	"golang.org/x/sys/unix"

	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
	"proofhouse/internal/sandbox/guest"
)

// unpack gives the folder that holds an image's files, writing it at first
// use. A folder appears under its digest only when it is whole.
func (p *Provider) unpack(img sandbox.Image) (string, error) {
	dir := filepath.Join(p.state, "unpacked", img.Digest.Hex())
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	store := sandbox.Images{Dir: filepath.Dir(img.Path)}
	if err := store.Verify(img.Digest); err != nil {
		return "", err
	}
	tree, f, err := img.FS()
	if err != nil {
		return "", err
	}
	defer f.Close()
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), ".new-*")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp) // nothing once it is renamed
	if err := writeTree(tree, tmp); err != nil {
		return "", fmt.Errorf("unpacking image %s: %w", img.Digest.Short(), err)
	}
	if err := os.Rename(tmp, dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	return dir, nil
}

// writeTree writes files, folders and links, and nothing else, below dir. It
// works through a root of the operating system's, so that no link of the
// image leads out. Owners become those that
// stand for them on the host; set-id bits stay behind.
func writeTree(tree fs.FS, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		st, ok := info.Sys().(*erofs.Stat)
		if !ok {
			return fmt.Errorf("%s has no owner", name)
		}
		owner := hostUser(st.UID)
		switch mode := st.Mode; {
		case mode.IsDir():
			if name != "." {
				err = root.Mkdir(name, 0o755)
			}
			if err == nil {
				err = root.Lchown(name, owner, owner)
			}
			if err == nil {
				err = root.Chmod(name, mode.Perm()|mode&fs.ModeSticky)
			}
			return err
		case mode&fs.ModeSymlink != 0:
			target, err := fs.ReadLink(tree, name)
			if err != nil {
				return err
			}
			if err := root.Symlink(target, name); err != nil {
				return err
			}
			return root.Lchown(name, owner, owner)
		case mode.IsRegular():
			in, err := tree.Open(name)
			if err != nil {
				return err
			}
			defer in.Close()
			out, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
			if err != nil {
				return err
			}
			_, err = io.Copy(out, in)
			return errors.Join(err, out.Chown(owner, owner), out.Chmod(mode.Perm()), out.Close())
		default:
			return nil
		}
	})
}

// installGuest copies the guest program to a folder of its own, which boxes
// show, by its digest.
func (p *Provider) installGuest(executable string) (string, error) {
	f, err := os.Open(executable)
	if err != nil {
		return "", err
	}
	defer f.Close()
	d, _, err := proofhouse.DigestReader(f)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(p.state, "guest", d.Hex())
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), ".new-*")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	if err := os.Chmod(tmp, 0o755); err != nil {
		return "", err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	out, err := os.OpenFile(filepath.Join(tmp, guest.Name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		return "", err
	}
	_, err = io.Copy(out, f)
	if err := errors.Join(err, out.Close()); err != nil {
		return "", err
	}
	if err := os.Rename(tmp, dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	return dir, nil
}

// overlay mounts layers at a folder. The layers are named by descriptors, so
// that what a box reads of its mounts names no path of the host.
func overlay(at string, lower []string, upper, work string) error {
	var open []int
	defer func() {
		for _, fd := range open {
			unix.Close(fd)
		}
	}()
	byFD := func(dir string) (string, error) {
		fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return "", err
		}
		open = append(open, fd)
		return "/proc/self/fd/" + strconv.Itoa(fd), nil
	}
	var lowers []string
	for _, dir := range lower {
		l, err := byFD(dir)
		if err != nil {
			return err
		}
		lowers = append(lowers, l)
	}
	options := "lowerdir=" + strings.Join(lowers, ":")
	flags := uintptr(unix.MS_NOSUID | unix.MS_NODEV)
	if upper == "" {
		flags |= unix.MS_RDONLY
	} else {
		u, err := byFD(upper)
		if err != nil {
			return err
		}
		w, err := byFD(work)
		if err != nil {
			return err
		}
		options += ",upperdir=" + u + ",workdir=" + w
	}
	if err := unix.Mount("overlay", at, "overlay", flags, options); err != nil {
		return proofhouse.Errorf(proofhouse.Unavailable, err, "this machine cannot stack file systems: load the kernel module overlay, or use the provider gvisor")
	}
	return nil
}

// unmountBox takes away a box's folder and all that is mounted below it.
func unmountBox(dir string) error {
	places, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		return err
	}
	for _, at := range places {
		if err := unix.Unmount(at, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("unmounting a box: %w", err)
		}
		// Remove, not RemoveAll: what is still mounted must not be emptied.
		if err := os.Remove(at); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
