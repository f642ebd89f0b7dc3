package vault

import (
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"proofhouse/internal/proofhouse"
)

// Shelf keeps files that fit into memory, sealed each under the key of the thing that it belongs to, as Records do. Neither what a file holds nor
// its digest can be told from its name, and one that is put twice is kept once. It is safe for concurrent use, by several processes too.
type Shelf struct {
	dir     string
	records *Records
}

// Shelf keeps its files in dir.
func (r *Records) Shelf(dir string) *Shelf { return &Shelf{dir, r} }

func (s *Shelf) path(name string, d proofhouse.Digest) (string, error) {
	blind, err := s.records.Blind(name, []byte("file\n"+d))
	if err != nil {
		return "", err
	}
	return filepath.Join(s.dir, name, hex.EncodeToString(blind)+bodySuffix), nil
}

// Put keeps text for name, durably, and gives its digest.
func (s *Shelf) Put(name string, text []byte) (proofhouse.Digest, error) {
	d := proofhouse.DigestOf(text)
	path, err := s.path(name, d)
	if err != nil {
		return "", err
	}
	if _, err := os.Lstat(path); err == nil {
		return d, nil
	}
	sealed, err := s.records.Seal(name, aboutFile(d), text)
	if err != nil {
		return "", err
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", diskError(err)
	}
	tmp := filepath.Join(dir, "."+proofhouse.Token(8)+newSuffix)
	defer os.Remove(tmp)
	if err := writeFile(tmp, sealed); err != nil {
		return "", diskError(err)
	}
	return d, diskError(errors.Join(os.Rename(tmp, path), syncDir(dir), syncDir(s.dir)))
}

// Open gives back what was put. What is not there is proofhouse.NotFound, what was changed proofhouse.Integrity.
func (s *Shelf) Open(name string, d proofhouse.Digest) ([]byte, error) {
	has, err := s.records.Has(name)
	if err != nil {
		return nil, err
	}
	missing := func(cause error) error {
		return proofhouse.Errorf(proofhouse.NotFound, cause, "there is no such file, or it was destroyed")
	}
	if !has {
		return nil, missing(nil)
	}
	path, err := s.path(name, d)
	if err != nil {
		return nil, err
	}
	sealed, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, missing(err)
	}
	if err != nil {
		return nil, diskError(err)
	}
	text, err := s.records.Open(name, aboutFile(d), sealed)
	if err == nil && proofhouse.DigestOf(text) != d {
		err = proofhouse.Errorf(proofhouse.Integrity, nil, "a sealed file is another one")
	}
	return text, err
}

func aboutFile(d proofhouse.Digest) []byte { return []byte("file\n" + string(d)) }
