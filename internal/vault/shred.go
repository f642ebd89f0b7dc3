package vault

import (
	"errors"
	"io/fs"
	"os"
	"strings"

	"proofhouse/internal/proofhouse"
)

// Shred ends a compartment for good: on return nothing in it opens any more,
// with whatever key, and nothing can be sealed in it. It may be called again,
// and a shredding that was cut short goes on where it was. One that is not
// there is proofhouse.NotFound.
//
// docs/design/vault.md says what shredding cannot promise: copies of the key
// that were made before, and what a disk keeps of blocks that were overwritten.
func (v *Vault) Shred(compartment string) error {
	if err := checkName(compartment); err != nil {
		return err
	}
	entries, err := os.ReadDir(v.path(compartment))
	if err != nil {
		return proofhouse.Errorf(proofhouse.NotFound, err, "there is no such compartment")
	}
	// The mark comes first, so that a shredding is never half forgotten; then
	// the key, without which the rest is noise; the recipient goes last and
	// says that all went.
	if err := errors.Join(writeFile(v.path(compartment, shreddedName), nil), syncDir(v.path(compartment))); err != nil {
		return diskError(err)
	}
	if err := errors.Join(overwrite(v.path(compartment, keyName)), syncDir(v.path(compartment))); err != nil {
		return diskError(err)
	}
	for _, e := range entries {
		switch {
		case strings.HasSuffix(e.Name(), headSuffix):
			err = errors.Join(err, overwrite(v.path(compartment, e.Name())))
		case e.Name() != shreddedName && e.Name() != recipientName:
			err = errors.Join(err, remove(v.path(compartment, e.Name())))
		}
	}
	if err != nil {
		return diskError(err)
	}
	v.mu.Lock()
	delete(v.recipients, compartment)
	v.mu.Unlock()
	return diskError(errors.Join(syncDir(v.path(compartment)), remove(v.path(compartment, recipientName)), syncDir(v.path(compartment))))
}

// Destroy ends one artifact for good. One that is not there is
// proofhouse.NotFound.
func (v *Vault) Destroy(compartment, name string) error {
	if err := errors.Join(checkName(name), v.check(compartment)); err != nil {
		return err
	}
	head := v.path(compartment, name+headSuffix)
	b, err := os.ReadFile(head)
	if err != nil {
		return proofhouse.Errorf(proofhouse.NotFound, err, "nothing of that name is sealed there")
	}
	err = errors.Join(overwrite(head), syncDir(v.path(compartment)))
	if body, _, ok := parseHead(b); ok {
		err = errors.Join(err, remove(v.path(compartment, body+bodySuffix)))
	}
	return diskError(err)
}

// overwrite puts zeros in a file's place on the disk, as far as the disk lets
// it, and deletes it. One that is not there is none.
func overwrite(name string) error {
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	st, err := f.Stat()
	if err == nil {
		_, err = f.Write(make([]byte, st.Size()))
	}
	return errors.Join(err, f.Sync(), f.Close(), remove(name))
}

func remove(name string) error {
	if err := os.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
