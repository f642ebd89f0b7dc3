package bench

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"

	"proofhouse/internal/proofhouse"
)

// A packed suite is a zstd-compressed tar. Its first entry, manifest.json,
// names every other one with its size and digest, in the order in which they
// follow, and its own digest names the pack. The entries are
// suite/<file of the suite's folder>, built/<task>.json and
// images/<hex>.erofs, nothing else.

const (
	packFormat  = 1
	maxManifest = 16 << 20
	maxEntries  = 100_000
	// maxPacked bounds what a pack may unpack to, in bytes.
	maxPacked = 256 << 30
)

// Manifest is what a packed suite holds.
type Manifest struct {
	Format  int         `json:"format"` // 1
	Suite   SuiteRef    `json:"suite"`
	Entries []PackEntry `json:"entries"`
}

// PackEntry is one file of a pack.
type PackEntry struct {
	Name   string            `json:"name"`
	Size   int64             `json:"size"`
	Digest proofhouse.Digest `json:"digest"`
}

// packFile is a file to pack.
type packFile struct {
	PackEntry
	open func() (io.ReadCloser, error)
}

// Pack writes a suite with all its built tasks and every image that they need
// as one stream, and gives its manifest's digest. dir is the suite's folder.
// The same suite gives the same bytes. An image that is not what its name says
// is proofhouse.Integrity.
func Pack(ctx context.Context, w io.Writer, dir fs.FS, s Suite, store BuiltStore) (proofhouse.Digest, error) {
	if err := faultError(s.Faults); err != nil {
		return "", err
	}
	m, files, err := packList(dir, s, store)
	if err != nil {
		return "", err
	}
	head, err := json.Marshal(m)
	if err != nil {
		return "", err
	}
	z, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedDefault))
	if err != nil {
		return "", err
	}
	t := tar.NewWriter(z)
	put := func(e PackEntry, r io.Reader) error {
		if err := t.WriteHeader(&tar.Header{Name: e.Name, Size: e.Size, Mode: 0o644, Format: tar.FormatPAX}); err != nil {
			return err
		}
		got, n, err := proofhouse.DigestReader(io.TeeReader(&contextReader{ctx, r}, t))
		if err != nil {
			return fmt.Errorf("packing %s: %w", e.Name, err)
		}
		if got != e.Digest || n != e.Size {
			return proofhouse.Errorf(proofhouse.Integrity, nil, "%s changed while it was packed, or before: build the suite again", e.Name)
		}
		return nil
	}
	if err := put(PackEntry{"manifest.json", int64(len(head)), proofhouse.DigestOf(head)}, bytes.NewReader(head)); err != nil {
		return "", diskError(err)
	}
	for _, f := range files {
		r, err := f.open()
		if err != nil {
			return "", err
		}
		err = put(f.PackEntry, r)
		r.Close()
		if err != nil {
			return "", diskError(err)
		}
	}
	if err := errors.Join(t.Close(), z.Close()); err != nil {
		return "", diskError(err)
	}
	return proofhouse.DigestOf(head), nil
}

// packList names everything that goes into a pack, sorted within its kind.
func packList(dir fs.FS, s Suite, store BuiltStore) (Manifest, []packFile, error) {
	trials, ref, err := store.LoadTrials(s.Name, s.Tasks)
	if err != nil {
		return Manifest{}, nil, err
	}
	var list []packFile
	small := func(name string, b []byte) {
		list = append(list, packFile{PackEntry{name, int64(len(b)), proofhouse.DigestOf(b)}, func() (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(b)), nil
		}})
	}
	err = fs.WalkDir(dir, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := readFile(dir, name, maxFile)
		if err != nil {
			return err
		}
		small("suite/"+name, b)
		return nil
	})
	if err != nil {
		return Manifest{}, nil, fmt.Errorf("reading the suite's folder: %w", err)
	}
	images := map[proofhouse.Digest]string{}
	for _, t := range trials {
		b, err := json.MarshalIndent(t.Built, "", "\t")
		if err != nil {
			return Manifest{}, nil, err
		}
		small("built/"+t.Task.Short()+".json", b)
		for _, img := range t.Built.images() {
			images[img.Digest] = img.Path
		}
	}
	for d, name := range images {
		info, err := os.Stat(name)
		if err != nil {
			return Manifest{}, nil, err
		}
		list = append(list, packFile{PackEntry{"images/" + d.Hex() + ".erofs", info.Size(), d}, func() (io.ReadCloser, error) { return os.Open(name) }})
	}
	slices.SortFunc(list, func(a, b packFile) int { return strings.Compare(a.Name, b.Name) })
	m := Manifest{Format: packFormat, Suite: ref}
	for _, f := range list {
		m.Entries = append(m.Entries, f.PackEntry)
	}
	return m, list, nil
}

// contextReader stops reading when ctx ends.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// validate checks a manifest before anything is made of it.
func (m Manifest) validate() error {
	bad := func(format string, args ...any) error {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "this is no packed suite: "+format, args...)
	}
	if m.Format != packFormat {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "the pack has format %d and this program reads %d: use the program that made it", m.Format, packFormat)
	}
	if !folder.MatchString(m.Suite.Name) || m.Suite.Digest.Validate() != nil {
		return bad("its manifest names no suite")
	}
	if len(m.Entries) > maxEntries {
		return bad("it holds more than %d files", maxEntries)
	}
	var total int64
	last := ""
	for _, e := range m.Entries {
		switch {
		case e.Name <= last:
			return bad("its entries are out of order")
		case e.Size < 0 || e.Digest.Validate() != nil:
			return bad("an entry has no size or digest")
		case !entryAllowed(e):
			return bad("it holds a file where none belongs")
		}
		last = e.Name
		if total += e.Size; total > maxPacked || total < 0 {
			return bad("it unpacks to more than %d GiB", maxPacked>>30)
		}
	}
	return nil
}

// entryAllowed says whether an entry's name is one that Pack makes.
func entryAllowed(e PackEntry) bool {
	kind, rest, _ := strings.Cut(e.Name, "/")
	if !fs.ValidPath(e.Name) || rest == "" || strings.ContainsAny(e.Name, "\\\x00\n\r") || len(e.Name) > 400 {
		return false
	}
	switch kind {
	case "suite":
		return e.Size <= maxFile
	case "built":
		name, ok := strings.CutSuffix(rest, ".json")
		return ok && folder.MatchString(name) && e.Size <= maxFile
	case "images":
		return rest == e.Digest.Hex()+".erofs"
	}
	return false
}

// readEntry copies one entry of a pack and checks it against the manifest.
func readEntry(t *tar.Reader, want PackEntry, w io.Writer) error {
	h, err := t.Next()
	if errors.Is(err, io.EOF) {
		return proofhouse.Errorf(proofhouse.Integrity, nil, "the pack ends before %s: copy it again", path.Base(want.Name))
	}
	if err != nil {
		return packBroken(err)
	}
	if h.Name != want.Name || h.Typeflag != tar.TypeReg || h.Size != want.Size {
		return proofhouse.Errorf(proofhouse.Integrity, nil, "the pack does not hold what its manifest says: do not use it")
	}
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(w, sum), io.LimitReader(t, want.Size))
	if err != nil {
		if proofhouse.KindOf(diskError(err)) == proofhouse.Unavailable {
			return diskError(err)
		}
		return packBroken(err)
	}
	if n != want.Size || digestOfHash(sum) != want.Digest {
		return proofhouse.Errorf(proofhouse.Integrity, nil, "%s in the pack is not what its manifest says: do not use it", path.Base(want.Name))
	}
	return nil
}

func digestOfHash(h hash.Hash) proofhouse.Digest {
	return proofhouse.Digest("sha256:" + hex.EncodeToString(h.Sum(nil)))
}

func packBroken(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return proofhouse.Errorf(proofhouse.Integrity, err, "the pack is damaged: copy it again")
}
