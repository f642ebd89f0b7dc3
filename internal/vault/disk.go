package vault

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"proofhouse/internal/proofhouse"
)

// writeFile writes a file that is durable on return; its name is not.
func writeFile(name string, b []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
}

// syncDir makes the names in a folder durable.
func syncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// diskError gives what a disk refuses a kind. It is nil for nil.
func diskError(err error) error {
	if _, ok := errors.AsType[*proofhouse.Error](err); ok || err == nil {
		return err
	}
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return proofhouse.Errorf(proofhouse.Unavailable, err, "the disk is full: free some space")
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return proofhouse.Errorf(proofhouse.Unavailable, err, "the vault cannot be read or written: its folder belongs to somebody else")
	}
	return proofhouse.Errorf(proofhouse.Unavailable, err, "the vault cannot be read or written")
}
