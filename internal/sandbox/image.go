package sandbox

import (
	"io"
	"io/fs"
	"os"
	"path"
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

// maxDir bounds the files of WriteDir and their bytes.
const (
	maxDirFiles = 200_000
	maxDirBytes = 4 << 30
)

// WriteDir makes an image of a folder of the host: its files, folders and
// links, readable by all, owned by the box's root, without times. Anything
// else in it, or too much, is proofhouse.Invalid.
func (s Images) WriteDir(dir string) (Image, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return Image{}, proofhouse.Errorf(proofhouse.NotFound, err, "there is no folder %s", filepath.Base(dir))
	}
	defer root.Close()
	return s.Write(func(w *erofs.Writer) error {
		files, bytes := 0, int64(0)
		return fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if files++; files > maxDirFiles || bytes > maxDirBytes {
				return proofhouse.Errorf(proofhouse.Invalid, nil, "the folder holds more than %d files or %d bytes", maxDirFiles, int64(maxDirBytes))
			}
			n, err := addEntry(w, root, name, d)
			bytes += n
			return err
		})
	})
}

// addEntry puts one entry of a folder into an image and gives its bytes.
func addEntry(w *erofs.Writer, root *os.Root, name string, d fs.DirEntry) (int64, error) {
	full := path.Join("/", name)
	switch {
	case d.IsDir():
		return 0, w.Mkdir(full, 0o755)
	case d.Type() == fs.ModeSymlink:
		to, err := root.Readlink(name)
		if err != nil {
			return 0, err
		}
		return 0, w.Symlink(to, full)
	case !d.Type().IsRegular():
		return 0, proofhouse.Errorf(proofhouse.Invalid, nil, "%s is neither a file nor a folder nor a link", name)
	}
	in, err := root.Open(name)
	if err != nil {
		return 0, err
	}
	defer in.Close()
	st, err := in.Stat()
	if err != nil {
		return 0, err
	}
	out, err := w.Create(full)
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(out, in)
	if err != nil {
		return n, err
	}
	if err := out.Chmod(0o644 | st.Mode()&0o111); err != nil {
		return n, err
	}
	return n, out.Close()
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
