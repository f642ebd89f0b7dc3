package sandbox

import (
	"io/fs"
	"os"
	"path/filepath"

	erofs "github.com/erofs/go-erofs"

	"proofhouse/internal/proofhouse"
)

// Image is a read-only file system in one EROFS file, named by the digest of
// that file.
type Image struct {
	Digest proofhouse.Digest `json:"digest"`
	Path   string            `json:"-"` // of the file on the host
}

// Images is a folder of images by digest. It is safe for concurrent use by
// several processes: a file appears under its name only when it is whole.
type Images struct{ Dir string }

// Open finds an image and checks nothing but that it is there; Verify reads it.
func (s Images) Open(d proofhouse.Digest) (Image, error) {
	if err := d.Validate(); err != nil {
		return Image{}, err
	}
	img := Image{Digest: d, Path: filepath.Join(s.Dir, d.Hex()+".erofs")}
	if _, err := os.Stat(img.Path); err != nil {
		return Image{}, proofhouse.Errorf(proofhouse.NotFound, err, "image %s is not on this machine: build the suite or the root again", d.Short())
	}
	return img, nil
}

// Verify reads the image and compares its digest.
func (s Images) Verify(d proofhouse.Digest) error {
	img, err := s.Open(d)
	if err != nil {
		return err
	}
	f, err := os.Open(img.Path)
	if err != nil {
		return err
	}
	defer f.Close()
	got, _, err := proofhouse.DigestReader(f)
	if err == nil && got != d {
		err = proofhouse.Errorf(proofhouse.Integrity, nil, "image %s has changed on disk (it is now %s): delete it and build again", d.Short(), got.Short())
	}
	return err
}

// Write makes an image by calling fill with a fresh writer, and puts it under
// its digest. fill fixes owners, modes and times, so that equal content gives
// equal digests.
func (s Images) Write(fill func(w *erofs.Writer) error) (img Image, err error) {
	if err := os.MkdirAll(s.Dir, 0o755); err != nil {
		return Image{}, err
	}
	tmp, err := os.CreateTemp(s.Dir, ".new-*")
	if err != nil {
		return Image{}, err
	}
	defer func() {
		tmp.Close()
		if err != nil {
			os.Remove(tmp.Name())
		}
	}()
	w := erofs.Create(tmp, erofs.WithBuildTime(0, 0))
	if err := fill(w); err != nil {
		return Image{}, err
	}
	if err := w.Close(); err != nil {
		return Image{}, err
	}
	if err := unpack(tmp); err != nil {
		return Image{}, err
	}
	if _, err := tmp.Seek(0, 0); err != nil {
		return Image{}, err
	}
	d, _, err := proofhouse.DigestReader(tmp)
	if err != nil {
		return Image{}, err
	}
	if err := tmp.Chmod(0o444); err != nil {
		return Image{}, err
	}
	if err := tmp.Sync(); err != nil {
		return Image{}, err
	}
	img = Image{Digest: d, Path: filepath.Join(s.Dir, d.Hex()+".erofs")}
	return img, os.Rename(tmp.Name(), img.Path)
}

// FS opens the image for reading on the host. Close the file when done.
func (i Image) FS() (fs.FS, *os.File, error) {
	f, err := os.Open(i.Path)
	if err != nil {
		return nil, nil, err
	}
	tree, err := erofs.Open(f)
	if err != nil {
		f.Close()
		return nil, nil, proofhouse.Errorf(proofhouse.Integrity, err, "image %s is not an EROFS image: delete it and build again", i.Digest.Short())
	}
	return tree, f, nil
}
