package root

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
)

// maker makes one root.
type maker struct {
	Store
	name     string
	recipe   Recipe
	lock     Lock // its packages change where one is substituted
	now      time.Time
	progress func(Progress)

	mu          sync.Mutex // guards what follows, and calls of progress
	substitutes []Substitute
}

func (m *maker) tell(p Progress) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p.Root = m.name
	m.progress(p)
}

// unpacked is one package's content, in the order of its archive.
type unpacked struct {
	spool   *os.File
	entries []entry
}

type entry struct {
	path string
	node *node  // nil for a hard link
	hard string // what the hard link names
}

// make fetches two packages at a time, unpacks as many as there are cores,
// and lays them in the order of the lock.
func (m *maker) make(ctx context.Context) (sandbox.Image, error) {
	files, err := m.fetchAll(ctx)
	if err != nil {
		return sandbox.Image{}, err
	}
	scratch, err := os.MkdirTemp(m.Fetch, ".unpack-*")
	if err != nil {
		return sandbox.Image{}, err
	}
	defer os.RemoveAll(scratch)

	drop := newDropper(unwanted, m.recipe.Drop)
	all := make([]unpacked, len(m.lock.Packages))
	defer func() {
		for _, u := range all {
			if u.spool != nil {
				u.spool.Close()
			}
		}
	}()
	var done atomic.Int64
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	// The largest first, so that no core waits for it at the end.
	order := make([]int, len(all))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return int(m.lock.Packages[b].Size - m.lock.Packages[a].Size)
	})
	for _, i := range order {
		g.Go(func() error {
			if gctx.Err() != nil {
				return gctx.Err()
			}
			p := m.lock.Packages[i]
			u, err := unpackDeb(files[i], p, drop, scratch)
			all[i] = u
			if err != nil {
				return fmt.Errorf("unpacking %s: %w", p.Name, err)
			}
			m.tell(Progress{Step: "unpack", Done: done.Add(1), Total: int64(len(all))})
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return sandbox.Image{}, err
	}
	t := newTree()
	if err := lay(t); err != nil {
		return sandbox.Image{}, err
	}
	for _, u := range all {
		if err := t.add(u.entries); err != nil {
			return sandbox.Image{}, err
		}
	}
	spool, err := os.CreateTemp(scratch, "own-*")
	if err != nil {
		return sandbox.Image{}, err
	}
	defer spool.Close()
	for _, mod := range m.lock.Modules {
		name, err := m.fetchModule(ctx, m.Client, mod)
		if err != nil {
			return sandbox.Image{}, err
		}
		if err := unpackToolchain(t, name, mod.Version, drop, spool); err != nil {
			return sandbox.Image{}, err
		}
	}
	if err := finish(t, m.recipe.Links, spool); err != nil {
		return sandbox.Image{}, err
	}
	if err := ctx.Err(); err != nil {
		return sandbox.Image{}, err
	}
	bytes, _ := t.root.size()
	m.tell(Progress{Step: "write", Total: bytes})
	return m.image(t, m.lock.date())
}

// add lays a package's entries. Hard links become files of the same content.
func (t *tree) add(entries []entry) error {
	for _, e := range entries {
		n := e.node
		if n == nil {
			to := t.find(e.hard)
			if to == nil || !to.mode.IsRegular() {
				return proofhouse.Errorf(proofhouse.Integrity, nil, "an archive has a hard link to what it does not hold")
			}
			same := *to
			n = &same
		}
		if err := t.put(e.path, n); err != nil {
			return err
		}
	}
	return nil
}

// unpackDeb reads a package whole, compares its digest with the lock's, and
// keeps its content in a spool file that has no name.
func unpackDeb(name string, p Package, drop dropper, scratch string) (unpacked, error) {
	f, err := os.Open(name)
	if err != nil {
		return unpacked{}, err
	}
	defer f.Close()
	got, _, err := proofhouse.DigestReader(f)
	if err != nil {
		return unpacked{}, err
	}
	if got != p.Digest {
		os.Remove(name)
		return unpacked{}, proofhouse.Errorf(proofhouse.Integrity, nil, "the fetched package %s has changed on disk: run the command again to fetch it anew", p.Name)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return unpacked{}, err
	}
	data, err := dataOf(f)
	if err != nil {
		return unpacked{}, err
	}
	spool, err := os.CreateTemp(scratch, "deb-*")
	if err != nil {
		return unpacked{}, err
	}
	os.Remove(spool.Name())
	u := unpacked{spool: spool}
	err = walkTar(data, func(h *tar.Header, name string, content io.Reader) error {
		if drop.drops(name) {
			return nil
		}
		e, err := entryOf(h, name, content, spool)
		if e.node != nil {
			e.node.uid, e.node.gid = 0, 0
		}
		u.entries = append(u.entries, e)
		return err
	})
	return u, err
}

// entryOf makes an entry of a tar's header. Setuid and setgid bits and
// extended attributes, which would be capabilities, are left behind.
func entryOf(h *tar.Header, name string, content io.Reader, spool *os.File) (entry, error) {
	e := entry{path: name}
	info := h.FileInfo().Mode()
	switch h.Typeflag {
	case tar.TypeLink:
		hard, err := cleanName(h.Linkname)
		e.hard = hard
		return e, err
	case tar.TypeDir:
		e.node = newDir(info.Perm() | info&fs.ModeSticky)
	case tar.TypeSymlink:
		if h.Linkname == "" || len(h.Linkname) > 4096 {
			return e, proofhouse.Errorf(proofhouse.Integrity, nil, "an archive has a link to nowhere")
		}
		e.node = &node{mode: fs.ModeSymlink | 0o777, link: h.Linkname}
	default:
		data, err := spoolFrom(spool, content, h.Size)
		if err != nil {
			return e, malformed(err, "its content")
		}
		e.node = &node{mode: info.Perm(), data: data}
	}
	e.node.uid, e.node.gid = uint32(h.Uid), uint32(h.Gid)
	return e, nil
}

// fetchAll brings every package of the lock into the folder, two at a time.
func (m *maker) fetchAll(ctx context.Context) ([]string, error) {
	sources, err := readSources(or(m.Apt, "/etc/apt"))
	if err != nil {
		return nil, err
	}
	files, gone, err := m.fetchRound(ctx, sources)
	if err != nil || len(gone) == 0 {
		return files, err
	}
	if err := m.substitute(ctx, gone); err != nil {
		return nil, err
	}
	files, gone, err = m.fetchRound(ctx, sources)
	if err == nil && len(gone) > 0 {
		err = proofhouse.Errorf(proofhouse.Unavailable, nil, "the archive signs %s %s but does not serve it: try another mirror, or later", gone[0].Name, gone[0].Version)
	}
	return files, err
}

// fetchRound tries every package once and names those that no archive serves.
func (m *maker) fetchRound(ctx context.Context, sources []source) (files []string, gone []Package, err error) {
	var total int64
	for _, p := range m.lock.Packages {
		total += p.Size
	}
	files = make([]string, len(m.lock.Packages))
	missing := make([]bool, len(files))
	var done atomic.Int64
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(2)
	for i, p := range m.lock.Packages {
		g.Go(func() error {
			name, err := m.fetch(gctx, m.Client, archives(sources, p.Suite), p.Path, p.Size, p.Digest)
			if errors.Is(err, errGone) {
				missing[i] = true
				return nil
			}
			files[i] = name
			m.tell(Progress{Step: "fetch", Done: done.Add(p.Size), Total: total})
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, nil, err
	}
	for i, p := range m.lock.Packages {
		if missing[i] {
			if len(archives(sources, p.Suite)) == 0 {
				return nil, nil, noArchive(p.Suite)
			}
			gone = append(gone, p)
		}
	}
	return files, gone, nil
}

// substitute puts the newest signed revision in place of packages that are
// gone, together with those that come of the same source, and checks that the
// set still holds together.
func (m *maker) substitute(ctx context.Context, gone []Package) error {
	if m.Strict {
		return proofhouse.Errorf(proofhouse.Unavailable, nil, "the archive no longer serves %s %s, which the lock pins: run proofhouse root relock", gone[0].Name, gone[0].Version)
	}
	indexes := map[string]Index{}
	var lists [][]candidate
	for _, suite := range releaseSuites {
		ix, list, err := m.index(ctx, m.Client, suite, m.now)
		if err != nil {
			return err
		}
		indexes[suite] = ix
		lists = append(lists, list)
	}
	u := newUniverse(lists...)
	stale := map[string]bool{} // sources whose packages go together
	for _, p := range gone {
		c, ok := u.newest[p.Name]
		if !ok || compareVersions(c.Version, p.Version) <= 0 {
			return proofhouse.Errorf(proofhouse.Unavailable, nil, "the archive no longer serves %s %s and signs no newer one: try another mirror", p.Name, p.Version)
		}
		stale[c.Source] = true
	}
	var set []candidate
	for i, p := range m.lock.Packages {
		c, ok := u.newest[p.Name]
		if ok && stale[c.Source] && compareVersions(c.Version, p.Version) > 0 {
			sub := Substitute{Name: p.Name, Locked: p.Version, Taken: c.Version, Digest: c.Digest, Index: indexes[c.Suite].Digest, Date: indexes[c.Suite].Date}
			m.mu.Lock()
			m.substitutes = append(m.substitutes, sub)
			m.mu.Unlock()
			m.lock.Packages[i] = c.Package
			m.tell(Progress{Step: "substitute", Note: fmt.Sprintf("The archive no longer serves %s %s; taking the signed %s of %s.", p.Name, p.Version, c.Version, sub.Date.Format(time.DateOnly))})
		} else {
			if c.Version != p.Version {
				c.Depends = nil // the index knows only the needs of the newer one
			}
			c.Package = p
		}
		set = append(set, c)
	}
	if what := unmet(set, m.recipe.Without); what != "" {
		return proofhouse.Errorf(proofhouse.Unavailable, nil, "the newer packages need more than the lock holds (%s): run proofhouse root relock", what)
	}
	return nil
}

// scratchFile is a file without a name in a folder of the store.
func (s Store) scratchFile() (*os.File, error) {
	if err := os.MkdirAll(s.Fetch, 0o755); err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(s.Fetch, ".spool-*")
	if err != nil {
		return nil, err
	}
	return f, os.Remove(filepath.Clean(f.Name()))
}
