package app

import (
	"bufio"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"proofhouse/internal/bench"
	"proofhouse/internal/proofhouse"
	"proofhouse/tasks"
)

// Packed is a suite that was packed or unpacked.
type Packed struct {
	Suite  string            `json:"suite"`
	Tasks  int               `json:"tasks"`
	Digest proofhouse.Digest `json:"digest"` // of the manifest: compare it on the other machine
	File   string            `json:"file,omitempty"`
	Folder string            `json:"folder,omitempty"`
}

// PackSuite writes a suite, built whole, into a new file.
func (a *App) PackSuite(ctx context.Context, name, file string) (p Packed, err error) {
	suite, err := a.Suite(name)
	if err != nil {
		return p, err
	}
	dir := os.DirFS(name)
	if !strings.ContainsRune(name, '/') {
		if dir, err = fs.Sub(tasks.Suites(), name); err != nil {
			return p, err
		}
	}
	if _, err := os.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
		return p, proofhouse.Errorf(proofhouse.Conflict, err, "the file exists already: choose another name")
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), ".pack-*")
	if err != nil {
		return p, proofhouse.Errorf(proofhouse.Unavailable, err, "the pack cannot be written there")
	}
	defer os.Remove(tmp.Name())
	defer tmp.Close()
	buffered := bufio.NewWriterSize(tmp, 1<<20)
	digest, err := bench.Pack(ctx, buffered, dir, suite, a.Built)
	if err := errors.Join(err, buffered.Flush(), tmp.Sync()); err != nil {
		return p, err
	}
	return Packed{Suite: suite.Name, Tasks: len(suite.Tasks), Digest: digest, File: file}, os.Rename(tmp.Name(), file)
}

// UnpackSuite takes a packed suite in; its folder lies in parent. wanted is
// the digest that pack printed, or "".
func (a *App) UnpackSuite(ctx context.Context, file, parent string, wanted proofhouse.Digest) (Packed, error) {
	f, err := os.Open(file)
	if err != nil {
		return Packed{}, proofhouse.Errorf(proofhouse.NotFound, err, "the packed suite cannot be opened")
	}
	defer f.Close()
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return Packed{}, proofhouse.Errorf(proofhouse.Unavailable, err, "the folder for the suite cannot be made: name another with --into")
	}
	suite, err := bench.Unpack(ctx, bufio.NewReaderSize(f, 1<<20), parent, a.Built, wanted, time.Now())
	if err != nil {
		return Packed{}, err
	}
	return Packed{Suite: suite.Name, Tasks: len(suite.Tasks), Digest: wanted, Folder: "./" + filepath.Join(parent, suite.Name)}, nil
}
