package gvisor

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"proofhouse/internal/sandbox/cgroup"
)

// sweep removes the groups and folders of providers that are gone. A lock that
// the kernel drops with its process tells the living from the dead, where a
// process id could belong to another by now, or to another container.
func sweep(host *cgroup.Host, state string) error {
	entries, err := os.ReadDir(state)
	if err != nil {
		return err
	}
	var errs error
	for _, e := range entries {
		dir := filepath.Join(state, e.Name())
		if strings.HasPrefix(e.Name(), freshPrefix) {
			// Being made at this moment, or crashed while it was: it holds
			// nothing yet, so only an old one goes.
			if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > time.Minute {
				errs = errors.Join(errs, os.RemoveAll(dir))
			}
			continue
		}
		owner, ok := strings.CutPrefix(e.Name(), ownerPrefix)
		if !ok || !e.IsDir() {
			continue
		}
		f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR, 0)
		if errors.Is(err, fs.ErrNotExist) { // another sweep is at it
			continue
		}
		if err != nil {
			return err
		}
		if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			if err := host.Sweep(groupPrefix + owner + "-"); err != nil {
				errs = errors.Join(errs, err)
			} else {
				errs = errors.Join(errs, os.RemoveAll(dir))
			}
		}
		f.Close()
	}
	return errs
}
