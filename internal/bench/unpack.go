package bench

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"proofhouse/internal/proofhouse"
)

// Unpack reads a packed suite: its folder goes to parent/<name>, which must
// not exist, its built tasks and images into the store. Every byte is checked
// against the manifest before the suite appears, and the suite is loaded as
// any other, with now as the day. wanted is the pack's digest where the reader
// knows it, or "". Nothing appears half: on an error the images that were
// whole may stay, since a digest names them, and everything else goes.
func Unpack(ctx context.Context, r io.Reader, parent string, store BuiltStore, wanted proofhouse.Digest, now time.Time) (Suite, error) {
	z, err := zstd.NewReader(&contextReader{ctx, r}, zstd.WithDecoderMaxWindow(64<<20), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return Suite{}, packBroken(err)
	}
	defer z.Close()
	t := tar.NewReader(z)
	m, digest, err := readManifest(t)
	if err != nil {
		return Suite{}, err
	}
	if wanted != "" && wanted != digest {
		return Suite{}, proofhouse.Errorf(proofhouse.Integrity, nil, "this is pack %s and not the one that was asked for: do not use it", digest.Short())
	}
	target := filepath.Join(parent, m.Suite.Name)
	if _, err := os.Lstat(target); !errors.Is(err, fs.ErrNotExist) {
		return Suite{}, proofhouse.Errorf(proofhouse.Conflict, err, "there is a folder %s already: remove it or unpack elsewhere", m.Suite.Name)
	}
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return Suite{}, diskError(err)
	}
	stage, err := os.MkdirTemp(parent, ".unpack-*")
	if err != nil {
		return Suite{}, diskError(err)
	}
	defer os.RemoveAll(stage)
	u := unpacking{stage: stage, store: store, built: map[string][]byte{}, manifest: m}
	for _, e := range m.Entries {
		if err := u.entry(t, e); err != nil {
			return Suite{}, err
		}
	}
	if _, err := t.Next(); !errors.Is(err, io.EOF) {
		return Suite{}, proofhouse.Errorf(proofhouse.Integrity, err, "the pack holds more than its manifest says: do not use it")
	}
	if err := u.check(now); err != nil {
		return Suite{}, err
	}
	if err := os.Rename(filepath.Join(stage, "suite"), target); err != nil {
		return Suite{}, diskError(err)
	}
	return OpenSuite(nil, target+"/", now)
}

// readManifest reads and checks the first entry.
func readManifest(t *tar.Reader) (Manifest, proofhouse.Digest, error) {
	h, err := t.Next()
	if err != nil || h.Name != "manifest.json" || h.Typeflag != tar.TypeReg || h.Size > maxManifest {
		return Manifest{}, "", proofhouse.Errorf(proofhouse.Invalid, err, "this is no packed suite: `suite pack` makes one")
	}
	data, err := io.ReadAll(io.LimitReader(t, maxManifest))
	if err != nil {
		return Manifest{}, "", packBroken(err)
	}
	var m Manifest
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&m); err != nil {
		return Manifest{}, "", proofhouse.Errorf(proofhouse.Invalid, err, "the pack's manifest cannot be read: copy the pack again")
	}
	return m, proofhouse.DigestOf(data), m.validate()
}

// unpacking is a pack on its way.
type unpacking struct {
	stage    string
	store    BuiltStore
	built    map[string][]byte // by task folder
	manifest Manifest
}

// entry unpacks one file. Names were checked with the manifest, and the stage
// is fresh and ours, so no name leads out of it.
func (u *unpacking) entry(t *tar.Reader, e PackEntry) error {
	kind, rest, _ := strings.Cut(e.Name, "/")
	switch kind {
	case "built":
		var b bytes.Buffer
		if err := readEntry(t, e, &b); err != nil {
			return err
		}
		u.built[strings.TrimSuffix(rest, ".json")] = b.Bytes()
		return nil
	case "images":
		return u.image(t, e)
	}
	name := filepath.Join(u.stage, "suite", filepath.FromSlash(rest))
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return diskError(err)
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return diskError(err)
	}
	return diskError(errors.Join(readEntry(t, e, f), f.Close()))
}

// image puts an image into the store once its digest is right.
func (u *unpacking) image(t *tar.Reader, e PackEntry) error {
	dir := u.store.Images.Dir
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return diskError(err)
	}
	f, err := os.CreateTemp(dir, ".unpack-*")
	if err != nil {
		return diskError(err)
	}
	defer os.Remove(f.Name()) // fails once it is renamed
	defer f.Close()
	if err := readEntry(t, e, f); err != nil {
		return err
	}
	if err := errors.Join(f.Chmod(0o444), f.Sync()); err != nil {
		return diskError(err)
	}
	return diskError(os.Rename(f.Name(), filepath.Join(dir, e.Digest.Hex()+".erofs")))
}

// check loads the staged suite, compares its built tasks with it and with the
// images, and stores them.
func (u *unpacking) check(now time.Time) error {
	s, err := loadSuite(os.DirFS(filepath.Join(u.stage, "suite")), u.manifest.Suite.Name, now)
	if err != nil {
		return err
	}
	if err := faultError(s.Faults); err != nil {
		return err
	}
	staged := BuiltStore{Dir: filepath.Join(u.stage, "built"), Images: u.store.Images}
	for _, t := range s.Tasks {
		if err := writeWhole(staged.path(t.Task.Name), u.built[t.Short()], 0o644); err != nil {
			return err
		}
	}
	trials, ref, err := staged.LoadTrials(s.Name, s.Tasks)
	if err != nil {
		return err
	}
	if ref != u.manifest.Suite {
		return proofhouse.Errorf(proofhouse.Integrity, nil, "the pack's tasks are not those that its manifest names: do not use it")
	}
	for _, t := range trials {
		if err := u.store.Put(t.Built); err != nil {
			return err
		}
	}
	return nil
}
