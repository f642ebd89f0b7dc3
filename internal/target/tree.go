package target

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	erofs "github.com/erofs/go-erofs"

	"proofhouse/internal/proofhouse"
)

// Bounds of what is unpacked from an archive, far above any target and far
// below this machine.
const (
	maxTreeBytes = 1 << 30
	maxTreeFiles = 200_000
)

// tree is a set of files by clean relative slash path. Third-party archives
// are unpacked into a tree and written from it into an image, so that none of
// their paths, links or modes ever meets the host's file system.
type tree map[string]node

// node is one file of a tree.
type node struct {
	data []byte
	link string // target of a symbolic link that stays in the tree
	exec bool
}

// add puts a file into the tree, replacing an earlier one of that name as tar does.
func (t tree) add(name string, n node) error {
	if !fs.ValidPath(name) || name == "." || strings.ContainsAny(name, "\\\x00") {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "the archive holds %q, which leads out of it or is no portable name: it is not unpacked", clip(name))
	}
	t[name] = n
	return nil
}

// merge lays other over t, under dir ("" is t's own root).
func (t tree) merge(dir string, other tree) tree {
	for name, n := range other {
		t[path.Join(dir, name)] = n
	}
	return t
}

// sub is the part of t below dir.
func (t tree) sub(dir string) tree {
	out := tree{}
	for name, n := range t {
		if rest, ok := strings.CutPrefix(name, dir+"/"); ok {
			out[rest] = n
		}
	}
	return out
}

// names are t's paths in order.
func (t tree) names() []string { return slices.Sorted(maps.Keys(t)) }

// digest names t's content: paths, kinds, executable bits and bytes.
func (t tree) digest() proofhouse.Digest {
	var b bytes.Buffer
	for _, name := range t.names() {
		n := t[name]
		fmt.Fprintf(&b, "%q %t %q %s\n", name, n.exec, n.link, proofhouse.DigestOf(n.data))
	}
	return proofhouse.DigestOf(b.Bytes())
}

// epoch is the time of every file in an image, so that equal content gives
// equal digests.
var epoch = time.Unix(0, 0)

// write puts t into an image under construction, below dir ("" is the root).
// Files belong to owner and carry the time at.
func (t tree) write(w *erofs.Writer, dir string, owner int, at time.Time) error {
	made := map[string]bool{"/": true}
	var mkdir func(d string) error
	mkdir = func(d string) error {
		if made[d] {
			return nil
		}
		if err := mkdir(path.Dir(d)); err != nil {
			return err
		}
		made[d] = true
		if _, err := w.Stat(d); err == nil {
			return nil // from the image that t is laid over
		}
		if err := w.Mkdir(d, 0o755); err != nil {
			return err
		}
		return stamp(w, d, owner, at)
	}
	if _, err := w.Stat("/"); err != nil {
		if err := w.Mkdir("/", 0o755); err != nil {
			return err
		}
	}
	if err := stamp(w, "/", 0, epoch); err != nil {
		return err
	}
	for _, name := range t.names() {
		n, full := t[name], path.Join("/", dir, name)
		if err := mkdir(path.Dir(full)); err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
		if n.link != "" {
			if err := w.Symlink(n.link, full); err != nil {
				return fmt.Errorf("writing %s: %w", name, err)
			}
		} else if err := writeFile(w, full, n); err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
		if err := stamp(w, full, owner, at); err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
	}
	return nil
}

func writeFile(w *erofs.Writer, full string, n node) error {
	f, err := w.Create(full)
	if err != nil {
		return err
	}
	mode := fs.FileMode(0o644)
	if n.exec {
		mode = 0o755
	}
	_, werr := f.Write(n.data)
	return errors.Join(werr, f.Chmod(mode), f.Close())
}

func stamp(w *erofs.Writer, name string, owner int, at time.Time) error {
	return errors.Join(w.Chown(name, owner, owner), w.Chtimes(name, at, at))
}

// untar unpacks a tar stream. The first strip elements of every name are
// dropped, and so is a link that leads out of the tree, as npm and
// dpkg-source do; a name that leads out, and a special file, is refused.
func untar(r io.Reader, strip int) (tree, error) {
	t, left := tree{}, int64(maxTreeBytes)
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return t, t.check()
		}
		if err != nil {
			return nil, proofhouse.Errorf(proofhouse.Integrity, err, "the archive is cut short or damaged: fetch it again")
		}
		name, err := stripped(h.Name, strip)
		if err != nil {
			return nil, err
		}
		if name == "" {
			continue
		}
		n := node{exec: h.Mode&0o100 != 0}
		switch h.Typeflag {
		case tar.TypeReg:
			if left -= h.Size; left < 0 || len(t) >= maxTreeFiles {
				return nil, tooBig()
			}
			if n.data, err = io.ReadAll(tr); err != nil {
				return nil, proofhouse.Errorf(proofhouse.Integrity, err, "the archive is cut short or damaged: fetch it again")
			}
		case tar.TypeSymlink:
			to := path.Join(path.Dir(name), h.Linkname)
			if h.Linkname == "" || path.IsAbs(h.Linkname) || to == ".." || strings.HasPrefix(to, "../") {
				continue
			}
			n.link = h.Linkname
		case tar.TypeLink:
			from, err := stripped(h.Linkname, strip)
			if err != nil {
				return nil, err
			}
			old, ok := t[from]
			if !ok {
				continue
			}
			n = old
		case tar.TypeDir, tar.TypeXGlobalHeader:
			continue
		default:
			return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "the archive holds %q, a special file: it is not unpacked", clip(h.Name))
		}
		if err := t.add(name, n); err != nil {
			return nil, err
		}
	}
}

// stripped drops the first elements of an archive's name; "" is nothing left.
func stripped(name string, strip int) (string, error) {
	name = strings.TrimSuffix(strings.TrimPrefix(name, "./"), "/")
	for range strip {
		_, rest, ok := strings.Cut(name, "/")
		if !ok {
			return "", nil
		}
		name = rest
	}
	if name == "" || name == "." {
		return "", nil
	}
	if !fs.ValidPath(name) {
		if clean := path.Clean(name); fs.ValidPath(clean) && !strings.Contains("/"+name+"/", "/../") && !path.IsAbs(name) {
			return clean, nil // "a//b", "a/./b"
		}
		return "", proofhouse.Errorf(proofhouse.Invalid, nil, "the archive holds %q, which leads out of it: it is not unpacked", clip(name))
	}
	return name, nil
}

// unzip unpacks a zip whose names all begin with prefix, which is dropped.
func unzip(b []byte, prefix string) (tree, error) {
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, proofhouse.Errorf(proofhouse.Integrity, err, "the archive is cut short or damaged: fetch it again")
	}
	t, left := tree{}, int64(maxTreeBytes)
	for _, f := range z.File {
		name, ok := strings.CutPrefix(f.Name, prefix)
		if !ok {
			return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "the archive holds %q outside its own folder: it is not unpacked", clip(f.Name))
		}
		if name == "" || strings.HasSuffix(name, "/") {
			continue
		}
		if !f.Mode().IsRegular() {
			return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "the archive holds %q, a special file: it is not unpacked", clip(f.Name))
		}
		rc, err := f.Open()
		if err != nil {
			return nil, proofhouse.Errorf(proofhouse.Integrity, err, "the archive is cut short or damaged: fetch it again")
		}
		data, err := io.ReadAll(io.LimitReader(rc, left+1))
		rc.Close()
		if err != nil {
			return nil, proofhouse.Errorf(proofhouse.Integrity, err, "the archive is cut short or damaged: fetch it again")
		}
		if left -= int64(len(data)); left < 0 || len(t) >= maxTreeFiles {
			return nil, tooBig()
		}
		if err := t.add(name, node{data: data}); err != nil {
			return nil, err
		}
	}
	return t, t.check()
}

// check refuses a file below another file or a link: unpacked on a disk it
// would be written through the link.
func (t tree) check() error {
	for name := range t {
		for d := path.Dir(name); d != "."; d = path.Dir(d) {
			if _, ok := t[d]; ok {
				return proofhouse.Errorf(proofhouse.Invalid, nil, "the archive holds %q below a file or a link: it is not unpacked", clip(name))
			}
		}
	}
	return nil
}

// treeOf reads a folder of a task or of the drivers.
func treeOf(fsys fs.FS, dir string) (tree, error) {
	t := tree{}
	err := fs.WalkDir(fsys, dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if !d.Type().IsRegular() {
			return proofhouse.Errorf(proofhouse.Invalid, nil, "%s is not a regular file: a task's folder holds nothing else", name)
		}
		data, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		rel := strings.TrimPrefix(strings.TrimPrefix(name, dir), "/")
		return t.add(rel, node{data: data, exec: strings.HasSuffix(rel, ".sh")})
	})
	return t, err
}

func tooBig() error {
	return proofhouse.Errorf(proofhouse.Limit, nil, "the archive unpacks to more than %d MiB or %d files: it is not unpacked", maxTreeBytes>>20, maxTreeFiles)
}

// clip keeps a name from an archive short enough for a message.
func clip(s string) string { return s[:min(len(s), 120)] }
