package posix

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/transparency-dev/tessera/api/layout"
	"golang.org/x/mod/sumdb/tlog"

	"proofhouse/internal/ledger"
	"proofhouse/internal/proofhouse"
)

// CopyFolder copies the log in the folder from, which a process may hold and append
// to, into the folder to, which must not be there, and says how many leaves the copy
// has. The kept checkpoints come first, then the last one, then the state, then the tiles: tiles only
// grow, so what the copied state counts is there. Nothing behind it is copied.
// Every tile is made again from the leaves and compared: what is damaged is
// proofhouse.Integrity, and nothing that is called a copy is left then. All is
// on the disk on return. Signatures are checked by Open.
func CopyFolder(from, to string) (size uint64, err error) {
	kept, err := wholeLines(filepath.Join(from, keptName))
	if err != nil {
		return 0, err
	}
	given, err := wholeLines(filepath.Join(from, givenName))
	if err != nil {
		return 0, err
	}
	checkpoint, err := os.ReadFile(filepath.Join(from, "checkpoint"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, proofhouse.Errorf(proofhouse.NotFound, err, "there is no public log in that folder")
	}
	if err != nil {
		return 0, fmt.Errorf("reading the last checkpoint: %w", err)
	}
	raw, err := os.ReadFile(filepath.Join(from, ".state", "treeState"))
	if err != nil {
		return 0, damaged(err)
	}
	var state struct { // as tessera has it
		Size uint64 `json:"size"`
		Root []byte `json:"root"`
	}
	if err := json.Unmarshal(raw, &state); err != nil {
		return 0, damaged(err)
	}
	if err := os.Mkdir(to, 0o755); err != nil {
		return 0, proofhouse.Errorf(proofhouse.Conflict, err, "the folder for the copy of the public log is there already, or cannot be made")
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(to)
		}
	}()
	c := copier{from, to}
	text, _, _ := bytes.Cut(checkpoint, []byte("\n\n"))
	cp, err := ledger.ParseCheckpointText(append(bytes.Clone(text), '\n'))
	if err != nil {
		return 0, damaged(err)
	}
	// The checkpoint may be behind, and then it has partial tiles of its own.
	for _, tree := range []struct {
		size uint64
		root []byte
	}{{state.Size, state.Root}, {cp.Size, cp.Root[:]}} {
		root, err := c.tiles(tree.size)
		if err != nil {
			return 0, err
		}
		if tree.size > 0 && !bytes.Equal(root[:], tree.root) {
			return 0, damaged(fmt.Errorf("the leaves lead to another root of %d leaves", tree.size))
		}
	}
	version, err := os.ReadFile(filepath.Join(from, ".state", "version"))
	if err != nil {
		return 0, damaged(err)
	}
	// The checkpoint goes last: a folder without one is no log yet.
	for _, f := range []struct {
		name string
		b    []byte
	}{{".state/version", version}, {".state/treeState", raw}, {keptName, kept}, {givenName, given}, {"checkpoint", checkpoint}} {
		if err := c.write(f.name, f.b); err != nil {
			return 0, err
		}
	}
	return state.Size, nil
}

// wholeLines reads a file that may be added to meanwhile; a log from before has none.
func wholeLines(name string) ([]byte, error) {
	b, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading the kept checkpoints: %w", err)
	}
	return b[:bytes.LastIndexByte(b, '\n')+1], nil
}

// copier copies tiles from one folder to another.
type copier struct{ from, to string }

// leafSize is that of a commitment with its length before it, in an entry bundle.
const leafSize = 2 + 32

// tiles copies those of a tree of size leaves, level by level, and gives the
// root. hashes are what the level's tiles have to hold.
func (c copier) tiles(size uint64) (root tlog.Hash, err error) {
	var hashes []tlog.Hash
	for at := uint64(0); at < size; at += layout.EntryBundleWidth {
		width := min(size-at, layout.EntryBundleWidth)
		n := at / layout.EntryBundleWidth
		partial := uint8(width % layout.EntryBundleWidth)
		b, err := c.copy(layout.EntriesPath(n, partial), layout.EntriesPath(n, 0), int(width)*leafSize)
		if err != nil {
			return root, err
		}
		for ; len(b) > 0; b = b[leafSize:] {
			if b[0] != 0 || b[1] != 32 {
				return root, damaged(fmt.Errorf("entry bundle %d holds what is no commitment", n))
			}
			hashes = append(hashes, tlog.RecordHash(b[2:leafSize]))
		}
	}
	root = fold(hashes)
	for level := uint64(0); len(hashes) > 0; level++ {
		var above []tlog.Hash
		for n := uint64(0); n*layout.TileWidth < uint64(len(hashes)); n++ {
			part := hashes[n*layout.TileWidth : min(uint64(len(hashes)), (n+1)*layout.TileWidth)]
			b, err := c.copy(layout.TilePath(level, n, uint8(len(part)%layout.TileWidth)), layout.TilePath(level, n, 0), len(part)*tlog.HashSize)
			if err != nil {
				return root, err
			}
			for i, h := range part {
				if !bytes.Equal(h[:], b[i*tlog.HashSize:(i+1)*tlog.HashSize]) {
					return root, damaged(fmt.Errorf("tile %d of level %d is not what its leaves make it", n, level))
				}
			}
			if len(part) == layout.TileWidth {
				above = append(above, fold(part))
			}
		}
		hashes = above
	}
	return root, nil
}

// fold is the root over hashes of equal height (RFC 6962).
func fold(hashes []tlog.Hash) tlog.Hash {
	switch len(hashes) {
	case 0:
		return tlog.Hash{}
	case 1:
		return hashes[0]
	}
	k := 1
	for 2*k < len(hashes) {
		k *= 2
	}
	return tlog.NodeHash(fold(hashes[:k]), fold(hashes[k:]))
}

// copy copies the first n bytes of a file, or of the full tile that took a partial one's place.
func (c copier) copy(name, full string, n int) ([]byte, error) {
	b, err := os.ReadFile(filepath.Join(c.from, name))
	if errors.Is(err, fs.ErrNotExist) {
		b, err = os.ReadFile(filepath.Join(c.from, full))
	}
	if err != nil {
		return nil, damaged(fmt.Errorf("reading %s: %w", name, err))
	}
	if len(b) < n {
		return nil, damaged(fmt.Errorf("%s is too short", name))
	}
	return b[:n], c.write(name, b[:n])
}

// write makes a file, durably.
func (c copier) write(name string, b []byte) error {
	path := filepath.Join(c.to, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return diskError(err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return nil // a full tile, of both trees
	}
	if err != nil {
		return diskError(err)
	}
	_, err = f.Write(b)
	return diskError(errors.Join(err, f.Sync(), f.Close()))
}
