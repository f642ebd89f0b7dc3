package target

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"proofhouse/internal/proofhouse"
)

// Fetcher gets third-party code by name, version and hash, from the registries
// that this machine's ordinary clients are set up for, and runs none of it.
// What it got stays in a folder under its hash and is checked again each time
// it is read, so a suite once fetched builds offline. It is safe for
// concurrent use.
type Fetcher struct {
	// Dir is the folder of downloads. It may be shared by processes.
	Dir string
	// Environ is the environment that the registries' clients see, normally
	// the process's own: proxies, mirrors and credentials are named there and
	// in the files that it points to.
	Environ []string
	// Debian finds Debian source packages; nil refuses them.
	Debian DebianIndex
}

// DebianIndex finds source packages in the machine's signed package indexes.
type DebianIndex interface {
	// Sources lists the revisions of a source package that are at least
	// atLeast by dpkg's order, newest first. None is proofhouse.NotFound, an
	// index that cannot be had proofhouse.Unavailable.
	Sources(ctx context.Context, name, atLeast string) ([]DebianSource, error)
	// Fetch writes a file of a source package. Its bytes have the size and
	// hash of the signed index, or the error is proofhouse.Integrity.
	Fetch(ctx context.Context, f DebianFile, w io.Writer) error
}

// DebianSource is one revision of a source package, as the index has it.
type DebianSource struct {
	Name    string
	Version string
	Files   []DebianFile
}

// DebianFile is a file of a source package.
type DebianFile struct {
	Name     string // "cjson_1.7.15.orig.tar.gz"
	Location string // where the index found it; nothing to target
	SHA256   proofhouse.Digest
	Size     int64
}

// maxDownload bounds one archive, in bytes.
const maxDownload = 256 << 20

// lookup reads a kept download after checking it with ok; absent is
// fs.ErrNotExist. A kept file that fails is thrown away and counts as absent,
// since the registry still has the pinned bytes.
func (f Fetcher) lookup(name string, ok func([]byte) error) ([]byte, error) {
	b, err := os.ReadFile(filepath.Join(f.Dir, name))
	if err != nil {
		return nil, err
	}
	if ok(b) != nil {
		_ = os.Remove(filepath.Join(f.Dir, name))
		return nil, fs.ErrNotExist
	}
	return b, nil
}

// keep stores a checked download; it appears under its name only when whole.
func (f Fetcher) keep(name string, b []byte) error {
	if err := os.MkdirAll(f.Dir, 0o755); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(f.Dir, ".new-*")
	if err != nil {
		return err
	}
	_, err = tmp.Write(b)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), filepath.Join(f.Dir, name))
	}
	if err != nil {
		_ = os.Remove(tmp.Name())
		return fmt.Errorf("keeping a download: %w", err)
	}
	return nil
}

// debianFile gets one file of a source package by the index's hash.
func (f Fetcher) debianFile(ctx context.Context, file DebianFile) ([]byte, error) {
	check := func(b []byte) error {
		if got := proofhouse.DigestOf(b); got != file.SHA256 {
			return differs(file.Name, string(file.SHA256), string(got))
		}
		return nil
	}
	if err := file.SHA256.Validate(); err != nil {
		return nil, err
	}
	name := "sha256-" + file.SHA256.Hex()
	if b, err := f.lookup(name, check); err == nil {
		return b, nil
	}
	if file.Size > maxDownload {
		return nil, proofhouse.Errorf(proofhouse.Limit, nil, "%s has %d MiB, more than the %d MiB that a target may have", file.Name, file.Size>>20, maxDownload>>20)
	}
	var b bytes.Buffer
	if err := f.Debian.Fetch(ctx, file, &b); err != nil {
		return nil, err
	}
	if err := check(b.Bytes()); err != nil {
		return nil, err
	}
	return b.Bytes(), f.keep(name, b.Bytes())
}

// env is a variable of the clients' environment.
func (f Fetcher) env(key string) string {
	for _, kv := range f.Environ {
		if k, v, ok := strings.Cut(kv, "="); ok && k == key {
			return v
		}
	}
	return ""
}

// differs is the refusal of bytes that are not what a task pins.
func differs(what, want, got string) error {
	return proofhouse.Errorf(proofhouse.Integrity, nil,
		"%s is not what the task pins: wanted %s, got %s; check the mirror that served it, and change the task's lock only if the pin was wrong", what, want, got)
}
