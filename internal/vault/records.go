package vault

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"proofhouse/internal/proofhouse"
)

// Records seals small records, such as the rows of a database, each under a
// key of the thing that it is about. The keys lie in a folder of their own, one file
// each, sealed under the house's key: a backup of the database without that
// folder opens nothing, and to shred a key ends every copy of what was sealed under it.
// It is safe for concurrent use, by several processes too.
type Records struct {
	dir   string
	vault *Vault // for the house's key

	mu    sync.Mutex
	house cipher.AEAD // nil until it is needed
	keys  map[string]recordKey
}

// recordKey is a key of records, for each use one made of it.
type recordKey struct {
	cipher.AEAD
	mac  []byte
	file fs.FileInfo // as it was when it was read
}

// shreddedKey stands where a key was.
const shreddedKey = "shredded\n"

// Records are those whose keys lie in dir, under the vault's house key.
func (v *Vault) Records(dir string) *Records {
	return &Records{dir: dir, vault: v, keys: map[string]recordKey{}}
}

// Seal seals plain under the key of name, which is made if there is none. about
// says what the record is, and is not kept: it opens as nothing else.
func (r *Records) Seal(name string, about, plain []byte) ([]byte, error) {
	key, err := r.key(name, true)
	if err != nil {
		return nil, err
	}
	return key.Seal(nil, nil, plain, about), nil
}

// Open gives what Seal was given, with the same name and about. A key that was
// shredded, or that there never was, is proofhouse.NotFound; a record that was
// changed, or is another one, proofhouse.Integrity.
func (r *Records) Open(name string, about, sealed []byte) ([]byte, error) {
	key, err := r.key(name, false)
	if err != nil {
		return nil, err
	}
	plain, err := key.Open(nil, nil, sealed, about)
	if err != nil {
		return nil, proofhouse.Errorf(proofhouse.Integrity, err, "a sealed record was changed, or is another one")
	}
	return plain, nil
}

// Blind is a name for what that can be looked up, and not guessed without the
// key of name, which is made if there is none.
func (r *Records) Blind(name string, what []byte) ([]byte, error) {
	key, err := r.key(name, true)
	if err != nil {
		return nil, err
	}
	h := hmac.New(sha256.New, key.mac)
	h.Write(what)
	return h.Sum(nil), nil
}

// Shred ends the key of name for good. It may be called again. Another process that
// has the key in its memory looks at its file before each use, and forgets it then.
func (r *Records) Shred(name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.keys, name)
	path := filepath.Join(r.dir, name)
	old, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return proofhouse.Errorf(proofhouse.NotFound, err, "there is no such key")
	case err != nil:
		return diskError(err)
	case string(old) == shreddedKey:
		return nil
	}
	// First over the key where it lies, as far as a disk does that, and then by
	// a mark that is whole or not there.
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return diskError(err)
	}
	_, err = f.Write(make([]byte, len(old)))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return diskError(err)
	}
	if err := writeFile(path+newSuffix, []byte(shreddedKey)); err != nil {
		return diskError(err)
	}
	return diskError(errors.Join(os.Rename(path+newSuffix, path), syncDir(r.dir)))
}

// Has says whether the key of name is there: neither shredded, nor lost, nor elsewhere.
func (r *Records) Has(name string) (bool, error) {
	if err := checkName(name); err != nil {
		return false, err
	}
	b, err := os.ReadFile(filepath.Join(r.dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return string(b) != shreddedKey, diskError(err)
}

// Shredded says whether the key of name was shredded: one that is neither there
// nor was, is lost or lies elsewhere.
func (r *Records) Shredded(name string) (bool, error) {
	if err := checkName(name); err != nil {
		return false, err
	}
	b, err := os.ReadFile(filepath.Join(r.dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return string(b) == shreddedKey, diskError(err)
}

// key is the key of name, from memory or from its file.
func (r *Records) key(name string, create bool) (recordKey, error) {
	var none recordKey
	if err := checkName(name); err != nil {
		return none, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	path := filepath.Join(r.dir, name)
	file, err := os.Stat(path)
	if key, ok := r.keys[name]; ok {
		// Who shreds it writes over its file. One that is lost was not shredded.
		if errors.Is(err, fs.ErrNotExist) || err == nil && os.SameFile(file, key.file) && file.ModTime().Equal(key.file.ModTime()) && file.Size() == key.file.Size() {
			return key, nil
		}
		delete(r.keys, name)
	}
	if err := r.openHouse(); err != nil {
		return none, err
	}
	sealed, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && create {
		if sealed, err = r.create(name); err != nil {
			return none, err
		}
		file, err = os.Stat(path)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && string(sealed) == shreddedKey:
		return none, proofhouse.Errorf(proofhouse.NotFound, err, "the key of this record is not there: it was destroyed, or is kept elsewhere")
	case err != nil:
		return none, diskError(err)
	case file == nil: // another process made it just now
		if file, err = os.Stat(path); err != nil {
			return none, diskError(err)
		}
	}
	secret, err := r.house.Open(nil, nil, sealed, []byte(name))
	if err != nil {
		return none, proofhouse.Errorf(proofhouse.Integrity, err, "the key of this record does not open: it was changed, or is of another house's key")
	}
	key := recordKey{file: file}
	if key.AEAD, err = aead(secret); err != nil {
		return none, err
	}
	if key.mac, err = hkdf.Key(sha256.New, secret, nil, "proofhouse blind names, format 1", 32); err != nil {
		return none, err
	}
	r.keys[name] = key
	return key, nil
}

// openHouse opens the house's key. One that is lost while it has sealed keys is not made anew.
func (r *Records) openHouse() error {
	if r.house != nil {
		return nil
	}
	identity, err := openKey(r.vault.keyFile)
	if proofhouse.KindOf(err) == proofhouse.NotFound {
		if sealed, _ := os.ReadDir(r.dir); len(sealed) > 0 {
			return err
		}
		if err := os.MkdirAll(r.vault.dir, 0o700); err != nil {
			return diskError(err)
		}
		identity, err = r.vault.houseKey()
	}
	if err != nil {
		return err
	}
	kek, err := hkdf.Key(sha256.New, []byte(identity.String()), nil, "proofhouse keys of records, format 1", 32)
	if err != nil {
		return err
	}
	r.house, err = aead(kek)
	return err
}

// create makes the key of name. Of several who do so at once, one makes it and all get it.
func (r *Records) create(name string) ([]byte, error) {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	if err := os.MkdirAll(r.dir, 0o700); err != nil {
		return nil, diskError(err)
	}
	tmp := filepath.Join(r.dir, "."+proofhouse.Token(8)+newSuffix)
	defer os.Remove(tmp)
	if err := writeFile(tmp, r.house.Seal(nil, nil, secret, []byte(name))); err != nil {
		return nil, diskError(err)
	}
	path := filepath.Join(r.dir, name)
	if err := os.Link(tmp, path); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, diskError(err)
	}
	if err := syncDir(r.dir); err != nil {
		return nil, diskError(err)
	}
	return os.ReadFile(path)
}

func aead(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}
