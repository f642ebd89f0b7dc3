package guest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
)

// ParseList reads what list wrote, at most max entries, and sorts it by path.
// It trusts nothing: anything else than well-formed lines is an error.
func ParseList(r io.Reader, max int) ([]sandbox.Entry, error) {
	bad := func(line string) error {
		return proofhouse.Errorf(proofhouse.Internal, fmt.Errorf("line %.80q", line), "the box's listing cannot be read")
	}
	var all []sandbox.Entry
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 64<<10)
	for sc.Scan() {
		line := sc.Text()
		f := strings.SplitN(line, " ", 4)
		if len(f) != 4 || len(all) >= max {
			return nil, bad(line)
		}
		mode, err1 := strconv.ParseUint(f[0], 10, 32)
		size, err2 := strconv.ParseInt(f[1], 10, 64)
		uid, err3 := strconv.ParseUint(f[2], 10, 32)
		quoted, err4 := strconv.QuotedPrefix(f[3])
		if errors.Join(err1, err2, err3, err4) != nil || size < 0 || quoted[0] != '"' {
			return nil, bad(line)
		}
		name, err1 := strconv.Unquote(quoted)
		link, err2 := strconv.Unquote(strings.TrimPrefix(f[3][len(quoted):], " "))
		if errors.Join(err1, err2) != nil || !path.IsAbs(name) || path.Clean(name) != name {
			return nil, bad(line)
		}
		all = append(all, sandbox.Entry{Path: name, Mode: fs.FileMode(mode), Size: size, Link: link, UID: uint32(uid)})
	}
	if err := sc.Err(); err != nil {
		return nil, bad(err.Error())
	}
	slices.SortFunc(all, func(a, b sandbox.Entry) int { return strings.Compare(a.Path, b.Path) })
	return all, nil
}

// errEnough ends a walk that met more than it may report.
var errEnough = errors.New("enough")

// list walks args[0] and writes a line for each file below it, at most args[1]:
// mode, size and owner in decimal, then path and link target as Go strings.
// It does not descend into /proc and /sys, which are not the box's own, nor
// into the guest's own folder.
func list(args []string, w io.Writer) error {
	if len(args) != 2 {
		return &exitError{ExitInvalid, errors.New("list DIR MAX")}
	}
	dir := args[0]
	most, err := strconv.Atoi(args[1])
	if err != nil || !path.IsAbs(dir) || path.Clean(dir) != dir {
		return &exitError{ExitInvalid, fmt.Errorf("%q is not a clean absolute path", dir)}
	}
	if st, err := os.Lstat(dir); err != nil {
		return err
	} else if !st.IsDir() {
		return &exitError{ExitInvalid, fmt.Errorf("%q is not a folder", dir)}
	}
	out := bufio.NewWriter(w)
	n := 0
	err = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil && name == dir:
			return err
		case err != nil: // it went away meanwhile
			return nil
		case name == "/proc", name == "/sys", name == Dir:
			return filepath.SkipDir
		case name == dir:
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return nil
		}
		if n++; n > most {
			return errEnough
		}
		uid, link := uint32(0), ""
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			uid = st.Uid
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			link, _ = os.Readlink(name)
		}
		_, err = fmt.Fprintf(out, "%d %d %d %q %q\n", uint32(info.Mode()), info.Size(), uid, name, link)
		return err
	})
	if errors.Is(err, errEnough) {
		err = &exitError{ExitLimit, fmt.Errorf("more than %d files below %q", most, dir)}
	}
	return errors.Join(err, out.Flush())
}
