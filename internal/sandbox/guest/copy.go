package guest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// openParent walks to the folder of file without following any link, making
// folders where make is set. It gives the folder's descriptor and the name in it.
func openParent(file string, mkdir bool) (int, string, error) {
	if !path.IsAbs(file) || path.Clean(file) != file || file == "/" || strings.ContainsRune(file, 0) {
		return -1, "", &exitError{ExitInvalid, fmt.Errorf("%q is not a clean absolute path of a file", file)}
	}
	parts := strings.Split(file[1:], "/")
	dir, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, "", err
	}
	for _, p := range parts[:len(parts)-1] {
		const flags = unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
		next, err := unix.Openat(dir, p, flags, 0)
		if errors.Is(err, unix.ENOENT) && mkdir {
			if err = unix.Mkdirat(dir, p, 0o755); err == nil || errors.Is(err, unix.EEXIST) {
				if next, err = unix.Openat(dir, p, flags, 0); err == nil {
					err = unix.Fchownat(next, "", nobody, nobody, unix.AT_EMPTY_PATH)
				}
			}
		}
		unix.Close(dir)
		switch {
		case errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP):
			return -1, "", &exitError{ExitInvalid, fmt.Errorf("%q has a link or a file on its way", file)}
		case errors.Is(err, unix.ENOENT):
			return -1, "", &exitError{ExitNotFound, err}
		case err != nil:
			return -1, "", err
		}
		dir = next
	}
	return dir, parts[len(parts)-1], nil
}

// nobody is the user and group that owns what is copied in.
const nobody = 65534

// copyIn writes stdin to args[0] with the octal mode args[1]. What stands there
// is removed first, so that neither a link nor a second name of another file
// is written through.
func copyIn(args []string, r io.Reader) error {
	if len(args) != 2 {
		return &exitError{ExitInvalid, errors.New("copyin PATH MODE")}
	}
	mode, err := strconv.ParseUint(args[1], 8, 12)
	if err != nil {
		return &exitError{ExitInvalid, err}
	}
	dir, name, err := openParent(args[0], true)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	if err := unix.Unlinkat(dir, name, 0); errors.Is(err, unix.EISDIR) {
		return &exitError{ExitInvalid, fmt.Errorf("%q is a folder", args[0])}
	}
	fd, err := unix.Openat(dir, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return fmt.Errorf("making a file: %w", err)
	}
	f := os.NewFile(uintptr(fd), name)
	_, err = io.Copy(f, r)
	if err == nil {
		err = unix.Fchown(fd, nobody, nobody)
	}
	if err == nil {
		err = unix.Fchmod(fd, uint32(mode))
	}
	return errors.Join(err, f.Close())
}

// copyOut writes the regular file args[0] to stdout, at most args[1] bytes.
// The kind is asked of the open file, so that a path that changes meanwhile
// changes nothing.
func copyOut(args []string, w io.Writer) error {
	if len(args) != 2 {
		return &exitError{ExitInvalid, errors.New("copyout PATH MAX")}
	}
	limit, err := strconv.ParseInt(args[1], 10, 64)
	if err != nil || limit < 0 {
		return &exitError{ExitInvalid, fmt.Errorf("%q is not a size", args[1])}
	}
	dir, name, err := openParent(args[0], false)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	// Looking before opening keeps devices and pipes closed; looking again at
	// the open file makes it sound.
	var st unix.Stat_t
	if err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	irregular := &exitError{ExitInvalid, fmt.Errorf("%q is not a regular file", args[0])}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return irregular
	}
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENXIO) {
		return irregular
	}
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return irregular
	}
	over := &exitError{ExitLimit, fmt.Errorf("%q is larger than %d bytes", args[0], limit)}
	if st.Size > limit {
		return over
	}
	n, err := io.Copy(w, io.LimitReader(f, limit+1))
	if err == nil && n > limit {
		err = over
	}
	return err
}
