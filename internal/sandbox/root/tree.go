package root

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	erofs "github.com/erofs/go-erofs"

	"proofhouse/internal/proofhouse"
)

// blob is a file's content in a spool file.
type blob struct {
	file *os.File
	off  int64
	size int64
}

// node is a file, directory or link of a tree that is being put together.
// Nothing of it is on the host's file system but the spooled content, so no
// name can lead out of it.
type node struct {
	mode     fs.FileMode // type and permission bits
	uid, gid uint32
	link     string // target of a symbolic link
	data     blob
	children map[string]*node // of a directory
}

// tree is a root in the making.
type tree struct {
	root *node
	// replace says that a directory laid over a link, or a link over a
	// directory, replaces it, as in layers of an image. Packages keep what is
	// there, so that /bin stays the link to usr/bin.
	replace bool
}

func newTree() *tree { return &tree{root: newDir(0o755)} }

func newDir(perm fs.FileMode) *node {
	return &node{mode: fs.ModeDir | perm, children: map[string]*node{}}
}

// cleanName turns an archive's name into a clean absolute one. A name that
// climbs, or that no file system holds, is refused.
func cleanName(name string) (string, error) {
	bad := func(why string) (string, error) {
		return "", proofhouse.Errorf(proofhouse.Integrity, nil, "an archive names a file %s", why)
	}
	if len(name) > 4096 || strings.ContainsRune(name, 0) {
		return bad("by what is no path")
	}
	parts := strings.Split(name, "/")
	if len(parts) > 128 {
		return bad("too deep")
	}
	for _, p := range parts {
		if p == ".." {
			return bad("outside itself")
		}
		if len(p) > 255 {
			return bad("by a name that is too long")
		}
	}
	return path.Clean("/" + name), nil
}

// dir gives the directory at a clean absolute path, following links within
// the tree and making what is missing.
func (t *tree) dir(p string) (*node, error) {
	at := []*node{t.root} // the way from the root, for ..
	rest := strings.Split(strings.Trim(p, "/"), "/")
	for hops := 0; len(rest) > 0; {
		name := rest[0]
		rest = rest[1:]
		here := at[len(at)-1]
		switch name {
		case "", ".":
			continue
		case "..":
			at = at[:max(1, len(at)-1)]
			continue
		}
		next := here.children[name]
		switch {
		case next == nil:
			next = newDir(0o755)
			here.children[name] = next
		case next.mode&fs.ModeSymlink != 0:
			if hops++; hops > 40 || len(rest) > 512 {
				return nil, proofhouse.Errorf(proofhouse.Integrity, nil, "an archive has links that lead in a circle")
			}
			if path.IsAbs(next.link) {
				at = at[:1]
			}
			rest = append(strings.Split(next.link, "/"), rest...)
			continue
		case !next.mode.IsDir():
			if !t.replace {
				return nil, proofhouse.Errorf(proofhouse.Integrity, nil, "an archive has a file below what is no directory")
			}
			next = newDir(0o755)
			here.children[name] = next
		}
		at = append(at, next)
	}
	return at[len(at)-1], nil
}

// find gives the node at a path without following a last link, or nil.
func (t *tree) find(p string) *node {
	if p == "/" {
		return t.root
	}
	if !t.has(path.Dir(p)) {
		return nil
	}
	d, err := t.dir(path.Dir(p))
	if err != nil {
		return nil
	}
	return d.children[path.Base(p)]
}

// has says whether a directory is there, so that looking makes none.
func (t *tree) has(p string) bool {
	here := t.root
	for name := range strings.SplitSeq(strings.Trim(p, "/"), "/") {
		if name == "" {
			continue
		}
		next := here.children[name]
		if next != nil && next.mode&fs.ModeSymlink != 0 {
			return true // dir follows it, and at worst makes an empty directory
		}
		if next == nil || !next.mode.IsDir() {
			return false
		}
		here = next
	}
	return true
}

// put lays a node at a clean absolute path; what was there before goes, but
// directories merge.
func (t *tree) put(p string, n *node) error {
	if p == "/" {
		if n.mode.IsDir() {
			t.root.mode = n.mode
		}
		return nil
	}
	d, err := t.dir(path.Dir(p))
	if err != nil {
		return err
	}
	old := d.children[path.Base(p)]
	if old != nil && n.mode.IsDir() {
		if old.mode.IsDir() {
			old.mode, old.uid, old.gid = n.mode, n.uid, n.gid
			return nil
		}
		if old.mode&fs.ModeSymlink != 0 && !t.replace {
			return nil
		}
	}
	if old != nil && old.mode.IsDir() && len(old.children) > 0 && !t.replace {
		if n.mode&fs.ModeSymlink != 0 {
			return nil
		}
		return proofhouse.Errorf(proofhouse.Integrity, nil, "two packages disagree whether %s is a directory", p)
	}
	d.children[path.Base(p)] = n
	return nil
}

// remove takes away what is at a path, if it is there.
func (t *tree) remove(p string) error {
	if p == "/" || !t.has(path.Dir(p)) {
		return nil
	}
	d, err := t.dir(path.Dir(p))
	if err != nil {
		return err
	}
	delete(d.children, path.Base(p))
	return nil
}

// text lays a small file that Make itself writes.
func (t *tree) text(p, content string, spool *os.File) error {
	b, err := spoolFrom(spool, strings.NewReader(content), 1<<20)
	if err != nil {
		return err
	}
	return t.put(p, &node{mode: 0o644, data: b})
}

// spoolFrom appends what r holds to a spool file.
func spoolFrom(spool *os.File, r io.Reader, max int64) (blob, error) {
	off, err := spool.Seek(0, io.SeekEnd)
	if err != nil {
		return blob{}, err
	}
	n, err := io.Copy(spool, io.LimitReader(r, max+1))
	if err == nil && n > max {
		err = proofhouse.Errorf(proofhouse.Limit, nil, "a file of an archive is larger than it says")
	}
	return blob{spool, off, n}, err
}

// size is the content of the tree in bytes, and its number of files.
func (n *node) size() (bytes int64, files int) {
	bytes, files = n.data.size, 1
	for _, c := range n.children {
		b, f := c.size()
		bytes, files = bytes+b, files+f
	}
	return bytes, files
}

// write puts the tree into an image, sorted by name, every time the same.
func (t *tree) write(w *erofs.Writer, at time.Time) error {
	return writeNode(w, "/", t.root, at)
}

func writeNode(w *erofs.Writer, p string, n *node, at time.Time) error {
	var err error
	switch {
	case n.mode.IsDir():
		err = w.Mkdir(p, n.mode.Perm())
	case n.mode&fs.ModeSymlink != 0:
		err = w.Symlink(n.link, p)
	default:
		err = writeFile(w, p, n)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", p, err)
	}
	if n.mode&fs.ModeSymlink == 0 {
		if err := w.Chmod(p, n.mode.Perm()|n.mode&fs.ModeSticky); err != nil {
			return err
		}
	}
	if err := w.Chown(p, int(n.uid), int(n.gid)); err != nil {
		return err
	}
	if err := w.Chtimes(p, at, at); err != nil {
		return err
	}
	names := make([]string, 0, len(n.children))
	for name := range n.children {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if err := writeNode(w, path.Join(p, name), n.children[name], at); err != nil {
			return err
		}
	}
	return nil
}

func writeFile(w *erofs.Writer, p string, n *node) error {
	f, err := w.Create(p)
	if err != nil {
		return err
	}
	if n.data.size > 0 {
		if _, err := io.Copy(f, io.NewSectionReader(n.data.file, n.data.off, n.data.size)); err != nil {
			return err
		}
	}
	return f.Close()
}
