package bench

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"proofhouse/internal/proofhouse"
)

// writeWhole writes a file that is whole or not there, and stays after a loss
// of power: a temporary file, synced, renamed, its folder synced.
func writeWhole(name string, data []byte, mode fs.FileMode) (err error) {
	dir := filepath.Dir(name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return diskError(err)
	}
	tmp, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return diskError(err)
	}
	defer func() {
		tmp.Close()
		if err != nil {
			os.Remove(tmp.Name())
			err = diskError(err)
		}
	}()
	if _, err := tmp.Write(data); err != nil {
		return err
	}
	if err := tmp.Chmod(mode); err != nil {
		return err
	}
	if err := tmp.Sync(); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), name); err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDir makes a folder's entries durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// diskError gives the errors of a disk their sentence.
func diskError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return proofhouse.Errorf(proofhouse.Unavailable, err, "the disk is full: free some space, then take the work up again with --resume")
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return proofhouse.Errorf(proofhouse.Unavailable, err, "the folder cannot be written: choose another one or grant the right")
	}
	return err
}
