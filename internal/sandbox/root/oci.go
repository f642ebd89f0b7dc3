package root

import (
	"archive/tar"
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
	"path/filepath"
	"strings"
	"time"

	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
)

// What an image may hold at most.
const (
	maxManifest = 4 << 20 // bytes
	maxLayers   = 256
)

// descriptor names a blob (OCI image specification, descriptor).
type descriptor struct {
	MediaType string            `json:"mediaType"`
	Digest    proofhouse.Digest `json:"digest"`
	Size      int64             `json:"size"`
	Platform  *struct {
		OS           string `json:"os"`
		Architecture string `json:"architecture"`
	} `json:"platform"`
}

// manifest is an image manifest or an index of several.
type manifest struct {
	Manifests []descriptor `json:"manifests"`
	Config    descriptor   `json:"config"`
	Layers    []descriptor `json:"layers"`
}

// configuration is the part of an image's configuration that a root needs.
type configuration struct {
	Created time.Time `json:"created"`
	RootFS  struct {
		DiffIDs []proofhouse.Digest `json:"diff_ids"`
	} `json:"rootfs"`
}

// layer is one layer to be laid: a blob and what its bytes must hash to.
type layer struct {
	name   string
	packed proofhouse.Digest // of the bytes as stored; "" if not known
	plain  proofhouse.Digest // of the tar within
}

// FromOCI makes a root from an image on disk: a folder in the OCI image
// layout, or a tar of one, or what docker save wrote. want is the digest of
// the image's manifest or index in a layout, or of its configuration (its image
// ID) in a docker archive. Every byte used is held to that digest.
func (s Store) FromOCI(ctx context.Context, name string, want proofhouse.Digest) (sandbox.Image, error) {
	if err := want.Validate(); err != nil {
		return sandbox.Image{}, err
	}
	record := "oci-" + want.Hex()
	k := proofhouse.DigestOf([]byte(rules + "\n" + string(want)))
	if _, img, err := s.made(record, k); err == nil {
		return img, nil
	}
	blobs, err := openBlobs(name)
	if err != nil {
		return sandbox.Image{}, err
	}
	defer blobs.close()
	cfg, layers, err := plan(blobs, want)
	if err != nil {
		return sandbox.Image{}, err
	}
	spool, err := s.scratchFile()
	if err != nil {
		return sandbox.Image{}, err
	}
	defer spool.Close()
	t := newTree()
	t.replace = true
	for _, l := range layers {
		if err := ctx.Err(); err != nil {
			return sandbox.Image{}, err
		}
		if err := t.lay(blobs, l, spool); err != nil {
			return sandbox.Image{}, fmt.Errorf("laying layer %s: %w", l.plain.Short(), err)
		}
	}
	if err := furnish(t, spool); err != nil {
		return sandbox.Image{}, err
	}
	at := cfg.Created.UTC()
	if y := at.Year(); y < 1980 || y > 2200 {
		at = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	img, err := s.image(t, at)
	if err != nil {
		return sandbox.Image{}, err
	}
	rec := Record{Name: record, Key: k, Image: img.Digest}
	for _, l := range layers {
		rec.Packages = append(rec.Packages, "layer "+string(l.plain))
	}
	return img, s.writeRecord(rec, img)
}

// plan reads the manifests and checks them down to the digests of the layers.
func plan(blobs blobs, want proofhouse.Digest) (configuration, []layer, error) {
	var cfg configuration
	if f, err := blobs.open("oci-layout"); err == nil {
		f.Close()
		var m manifest
		if err := readJSON(blobs, "blobs/sha256/"+want.Hex(), want, &m); err == nil && (len(m.Layers) > 0 || len(m.Manifests) > 0) {
			return planOCI(blobs, m, 0)
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return cfg, nil, err
		}
	}
	return planDocker(blobs, want)
}

func planOCI(blobs blobs, m manifest, depth int) (configuration, []layer, error) {
	var cfg configuration
	if len(m.Manifests) > 0 {
		for _, d := range m.Manifests {
			if d.Platform != nil && (d.Platform.OS != "linux" || d.Platform.Architecture != debianArch) {
				continue
			}
			var next manifest
			if err := readJSON(blobs, blobName(d.Digest), d.Digest, &next); err != nil {
				return cfg, nil, err
			}
			if depth > 2 {
				break
			}
			return planOCI(blobs, next, depth+1)
		}
		return cfg, nil, proofhouse.Errorf(proofhouse.NotFound, nil, "the image has no manifest for linux on %s", debianArch)
	}
	if err := readJSON(blobs, blobName(m.Config.Digest), m.Config.Digest, &cfg); err != nil {
		return cfg, nil, err
	}
	if len(m.Layers) != len(cfg.RootFS.DiffIDs) || len(m.Layers) > maxLayers {
		return cfg, nil, proofhouse.Errorf(proofhouse.Integrity, nil, "the image names %d layers and %d contents: make it again", len(m.Layers), len(cfg.RootFS.DiffIDs))
	}
	var layers []layer
	for i, d := range m.Layers {
		if err := errors.Join(d.Digest.Validate(), cfg.RootFS.DiffIDs[i].Validate()); err != nil {
			return cfg, nil, err
		}
		layers = append(layers, layer{blobName(d.Digest), d.Digest, cfg.RootFS.DiffIDs[i]})
	}
	return cfg, layers, nil
}

// planDocker finds the image in what docker save wrote.
func planDocker(blobs blobs, want proofhouse.Digest) (configuration, []layer, error) {
	var cfg configuration
	var images []struct {
		Config string
		Layers []string
	}
	if err := readJSON(blobs, "manifest.json", "", &images); errors.Is(err, fs.ErrNotExist) {
		return cfg, nil, proofhouse.Errorf(proofhouse.NotFound, err, "the archive holds no image %s: give the digest of a manifest in it, or the image ID", want.Short())
	} else if err != nil {
		return cfg, nil, err
	}
	for _, m := range images {
		if strings.TrimSuffix(path.Base(m.Config), ".json") != want.Hex() {
			continue
		}
		if err := readJSON(blobs, m.Config, want, &cfg); err != nil {
			return cfg, nil, err
		}
		if len(m.Layers) != len(cfg.RootFS.DiffIDs) || len(m.Layers) > maxLayers {
			return cfg, nil, proofhouse.Errorf(proofhouse.Integrity, nil, "the image names %d layers and %d contents: make it again", len(m.Layers), len(cfg.RootFS.DiffIDs))
		}
		var layers []layer
		for i, name := range m.Layers {
			if err := cfg.RootFS.DiffIDs[i].Validate(); err != nil {
				return cfg, nil, err
			}
			layers = append(layers, layer{name: name, plain: cfg.RootFS.DiffIDs[i]})
		}
		return cfg, layers, nil
	}
	return cfg, nil, proofhouse.Errorf(proofhouse.NotFound, nil, "the archive holds no image %s: give the digest of a manifest in it, or the image ID", want.Short())
}

func blobName(d proofhouse.Digest) string { return "blobs/sha256/" + d.Hex() }

// readJSON reads a small blob whole and compares its digest, unless want is "".
func readJSON(blobs blobs, name string, want proofhouse.Digest, v any) error {
	if want != "" {
		if err := want.Validate(); err != nil {
			return err
		}
	}
	r, err := blobs.open(name)
	if err != nil {
		return err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, maxManifest+1))
	if err != nil {
		return err
	}
	if len(b) > maxManifest {
		return proofhouse.Errorf(proofhouse.Limit, nil, "a manifest of the image is larger than %d bytes", maxManifest)
	}
	if want != "" && proofhouse.DigestOf(b) != want {
		return proofhouse.Errorf(proofhouse.Integrity, nil, "a manifest of the image is not what its digest %s says: make the image again", want.Short())
	}
	if err := json.Unmarshal(b, v); err != nil {
		return proofhouse.Errorf(proofhouse.Integrity, err, "a manifest of the image cannot be read: make the image again")
	}
	return nil
}

// lay lays one layer: first what it takes away, then what it brings.
func (t *tree) lay(blobs blobs, l layer, spool *os.File) error {
	r, err := blobs.open(l.name)
	if err != nil {
		return proofhouse.Errorf(proofhouse.Integrity, err, "the image lacks a layer: make it again")
	}
	defer r.Close()
	packed, plain := sha256.New(), sha256.New()
	outer := io.TeeReader(r, packed)
	z, done, err := decompress(outer)
	if err != nil {
		return malformed(err, "the compression of a layer")
	}
	defer done()
	var entries []entry
	inner := io.TeeReader(z, plain)
	err = walkPlainTar(inner, func(h *tar.Header, name string, content io.Reader) error {
		e, err := entryOf(h, name, content, spool)
		entries = append(entries, e)
		return err
	})
	if err != nil {
		return err
	}
	// What follows the archive's end counts to its digest.
	if n, err := io.Copy(io.Discard, io.LimitReader(inner, 1<<30)); err != nil || n == 1<<30 {
		return malformed(err, "the end of a layer")
	}
	if _, err := io.Copy(io.Discard, io.LimitReader(outer, 1<<30)); err != nil {
		return err
	}
	if sum(plain) != l.plain || l.packed != "" && sum(packed) != l.packed {
		return proofhouse.Errorf(proofhouse.Integrity, nil, "a layer is not what the image's digest says: make the image again")
	}
	const whiteout, opaque = ".wh.", ".wh..wh..opq"
	var added []entry
	for _, e := range entries {
		base := path.Base(e.path)
		switch {
		case base == opaque:
			if n := t.find(path.Dir(e.path)); n != nil && n.mode.IsDir() {
				clear(n.children)
			}
		case strings.HasPrefix(base, ".wh..wh."): // aufs's own
		case strings.HasPrefix(base, whiteout):
			if gone := base[len(whiteout):]; gone != "" && gone != "." && gone != ".." {
				if err := t.remove(path.Join(path.Dir(e.path), gone)); err != nil {
					return err
				}
			}
		default:
			added = append(added, e)
		}
	}
	return t.add(added)
}

func sum(h hash.Hash) proofhouse.Digest {
	return proofhouse.Digest("sha256:" + hex.EncodeToString(h.Sum(nil)))
}

// furnish adds what boxes need and an image may lack, and takes away its
// resolvers.
func furnish(t *tree, spool *os.File) error {
	for _, p := range mountPoints {
		if t.find(p) == nil {
			if err := t.put(p, newDir(0o755)); err != nil {
				return err
			}
		}
	}
	if t.find("/tmp") == nil {
		if err := t.put("/tmp", newDir(0o777|fs.ModeSticky)); err != nil {
			return err
		}
	}
	if err := t.remove("/etc/resolv.conf"); err != nil {
		return err
	}
	return t.text("/etc/resolv.conf", "", spool)
}

// blobs are the files of an image on disk.
type blobs interface {
	open(name string) (io.ReadCloser, error)
	close() error
}

func openBlobs(name string) (blobs, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, proofhouse.Errorf(proofhouse.NotFound, err, "there is no image at %s", filepath.Base(name))
	}
	if info.IsDir() {
		root, err := os.OpenRoot(name)
		return folder{root}, err
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	a := &archiveFile{file: f, at: map[string][2]int64{}, links: map[string]string{}}
	if err := a.index(); err != nil {
		f.Close()
		return nil, err
	}
	return a, nil
}

// folder is an image layout on disk; no name or link leads out of it.
type folder struct{ root *os.Root }

func (d folder) open(name string) (io.ReadCloser, error) {
	f, err := d.root.Open(filepath.Clean(name))
	if err != nil {
		return nil, err
	}
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		f.Close()
		return nil, errors.Join(err, proofhouse.Errorf(proofhouse.Integrity, nil, "a blob of the image is no regular file"))
	}
	return f, nil
}

func (d folder) close() error { return d.root.Close() }

// archiveFile is a tar of blobs.
type archiveFile struct {
	file  *os.File
	at    map[string][2]int64 // offset and size
	links map[string]string
}

func (a *archiveFile) index() error {
	t := tar.NewReader(a.file)
	for n := 0; ; n++ {
		h, err := t.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil || n > maxEntries {
			return proofhouse.Errorf(proofhouse.Integrity, err, "the image's archive cannot be read: it must be a tar that is not compressed")
		}
		name := path.Clean(h.Name)
		switch h.Typeflag {
		case tar.TypeReg:
			off, err := a.file.Seek(0, io.SeekCurrent)
			if err != nil {
				return err
			}
			a.at[name] = [2]int64{off, h.Size}
		case tar.TypeSymlink: // a layer that two images share
			a.links[name] = path.Join(path.Dir(name), h.Linkname)
		}
	}
}

func (a *archiveFile) open(name string) (io.ReadCloser, error) {
	name = path.Clean(name)
	if to, ok := a.links[name]; ok {
		name = to
	}
	at, ok := a.at[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return io.NopCloser(io.NewSectionReader(a.file, at[0], at[1])), nil
}

func (a *archiveFile) close() error { return a.file.Close() }
