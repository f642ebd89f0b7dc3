package posix

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/transparency-dev/tessera/api/layout"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"proofhouse/internal/ledger"
	"proofhouse/internal/proofhouse"
)

// Leaves reads entry bundles. See ledger.PublicLog.
func (l *Log) Leaves(ctx context.Context, from, to uint64) ([][32]byte, error) {
	size, err := l.Size(ctx)
	if err != nil {
		return nil, err
	}
	if from > to || to > size {
		return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "the public log has %d leaves, not %d to %d", size, from, to)
	}
	out := make([][32]byte, 0, to-from)
	for from < to {
		tile := from / layout.EntryBundleWidth
		raw, err := l.reader.ReadEntryBundle(ctx, tile, layout.PartialTileSize(0, tile, size))
		if err != nil {
			return nil, damaged(fmt.Errorf("reading entry bundle %d: %w", tile, err))
		}
		// Each leaf has its length before it (c2sp.org/tlog-tiles).
		for i := tile * layout.EntryBundleWidth; i < to && i < (tile+1)*layout.EntryBundleWidth; i++ {
			if len(raw) < 34 || binary.BigEndian.Uint16(raw) != 32 {
				return nil, damaged(fmt.Errorf("leaf %d is not a commitment", i))
			}
			if i >= from {
				out = append(out, [32]byte(raw[2:34]))
			}
			raw = raw[34:]
		}
		from = (tile + 1) * layout.EntryBundleWidth
	}
	return out, nil
}

// Include proves a leaf. See ledger.PublicLog.
func (l *Log) Include(_ context.Context, index uint64, cp ledger.Checkpoint) (ledger.Proof, error) {
	if index >= cp.Size {
		return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "leaf %d is not in the tree of %d leaves", index, cp.Size)
	}
	p, err := tlog.ProveRecord(int64(cp.Size), int64(index), l.copy.hashes(cp))
	if err != nil {
		return nil, damaged(err)
	}
	return ledger.NewProof(p), nil
}

// Extend proves that cp goes on from older leaves. See ledger.PublicLog.
func (l *Log) Extend(ctx context.Context, older uint64, cp ledger.Checkpoint) (ledger.Proof, error) {
	return l.copy.Extend(ctx, older, cp)
}

// Copy is a log's folder, or a copy of it, for reading alone: whoever keeps it,
// each tile is checked against the checkpoint that is asked about.
type Copy struct {
	dir string

	mu    sync.Mutex // owns what follows
	known *tiles     // of the last checkpoint asked about
}

// OpenCopy reads the log in dir. A folder without one is proofhouse.NotFound.
func OpenCopy(dir string) (*Copy, error) {
	if _, err := os.Stat(filepath.Join(dir, "checkpoint")); err != nil {
		return nil, proofhouse.Errorf(proofhouse.NotFound, err, "there is no public log in that folder: name the one with the file `checkpoint`")
	}
	return &Copy{dir: dir}, nil
}

// Extend proves that cp goes on from older leaves. See ledger.VerifyOptions.
func (c *Copy) Extend(_ context.Context, older uint64, cp ledger.Checkpoint) (ledger.Proof, error) {
	switch {
	case older > cp.Size:
		return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "the tree of %d leaves is the newer one", older)
	case older == 0, older == cp.Size:
		return ledger.Proof{}, nil
	}
	p, err := tlog.ProveTree(int64(cp.Size), int64(older), c.hashes(cp))
	if err != nil {
		return nil, damaged(err)
	}
	return ledger.NewProof(p), nil
}

// root is the root of the first size leaves of cp's tree.
func (l *Log) root(cp ledger.Checkpoint, size uint64) ([32]byte, error) {
	h, err := tlog.TreeHash(int64(size), l.copy.hashes(cp))
	if err != nil {
		return h, damaged(err)
	}
	if size == cp.Size && h != cp.Root {
		return h, damaged(errors.New("the tiles lead to another root"))
	}
	return h, nil
}

// hashes reads cp's tree from the tiles, and checks each tile against cp's root.
func (c *Copy) hashes(cp ledger.Checkpoint) tlog.HashReader {
	c.mu.Lock()
	defer c.mu.Unlock()
	tree := tlog.Tree{N: int64(cp.Size), Hash: cp.Root}
	if c.known == nil || c.known.tree != tree {
		c.known = &tiles{dir: c.dir, tree: tree}
	}
	return c.known
}

func damaged(cause error) error {
	return proofhouse.Errorf(proofhouse.Integrity, cause, "the public log's folder is damaged: put back a copy that is whole")
}

// maxTiles is how many checked tiles of a tree stay in memory: 32 MiB at most.
const maxTiles = 4096

// tiles reads the hashes of one tree from a folder. Those of tiles that were
// checked against its root before are taken from memory: the proofs of a case's
// entries share most of theirs.
type tiles struct {
	dir  string
	tree tlog.Tree

	mu      sync.Mutex // owns what follows
	checked map[place][]byte
}

// place is where a tile is.
type place struct {
	level int
	n     int64
}

// ReadHashes is what tlog makes proofs from.
func (t *tiles) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	var missing []int64
	var at []int
	for i, x := range indexes {
		h, ok, err := t.recall(x)
		if err != nil {
			return nil, err
		}
		if out[i] = h; !ok {
			missing, at = append(missing, x), append(at, i)
		}
	}
	if len(missing) == 0 {
		return out, nil
	}
	hashes, err := tlog.TileHashReader(t.tree, t).ReadHashes(missing)
	if err != nil {
		return nil, err
	}
	for i, h := range hashes {
		out[at[i]] = h
	}
	return out, nil
}

// recall takes a hash from a tile that was checked.
func (t *tiles) recall(index int64) (tlog.Hash, bool, error) {
	tile := tlog.TileForIndex(layout.TileHeight, index)
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.checked[place{tile.L, tile.N}]
	if len(b) < tile.W*tlog.HashSize {
		return tlog.Hash{}, false, nil
	}
	h, err := tlog.HashFromTile(tile, b, index)
	return h, err == nil, err
}

// Height is for tlog.
func (t *tiles) Height() int { return layout.TileHeight }

// SaveTiles is called by tlog with tiles that lead to the tree's root.
func (t *tiles) SaveTiles(list []tlog.Tile, data [][]byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.checked == nil || len(t.checked)+len(list) > maxTiles {
		t.checked = map[place][]byte{}
	}
	for i, tile := range list {
		t.checked[place{tile.L, tile.N}] = data[i]
	}
}

// ReadTiles is for tlog, which checks them.
func (t *tiles) ReadTiles(want []tlog.Tile) ([][]byte, error) {
	out := make([][]byte, len(want))
	for i, w := range want {
		b, err := os.ReadFile(filepath.Join(t.dir, layout.TilePath(uint64(w.L), uint64(w.N), uint8(w.W%layout.TileWidth))))
		if errors.Is(err, fs.ErrNotExist) && w.W < layout.TileWidth { // partial tiles go once there is the full one
			b, err = os.ReadFile(filepath.Join(t.dir, layout.TilePath(uint64(w.L), uint64(w.N), 0)))
		}
		if err != nil {
			return nil, fmt.Errorf("reading tile %d of level %d: %w", w.N, w.L, err)
		}
		if len(b) < w.W*tlog.HashSize {
			return nil, fmt.Errorf("tile %d of level %d is too short", w.N, w.L)
		}
		out[i] = b[:w.W*tlog.HashSize]
	}
	return out, nil
}

// careful signs a checkpoint only if it goes on from the one before: whatever
// happens to the folder, this key signs no fork of what it published.
type careful struct {
	note.Signer
	log *Log

	mu   sync.Mutex
	last ledger.Checkpoint // the last one signed; its Note is of no use
	read bool              // last was read from the folder
}

// Sign is called by tessera with the text of a new checkpoint.
func (c *careful) Sign(text []byte) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.read {
		raw, err := os.ReadFile(filepath.Join(c.log.dir, "checkpoint"))
		switch {
		case errors.Is(err, fs.ErrNotExist): // the first one
		case err != nil:
			return nil, fmt.Errorf("reading the last checkpoint: %w", err)
		default:
			if c.last, err = ledger.ParseCheckpoint(raw, c.log.key); err != nil {
				return nil, err
			}
		}
		c.read = true
	}
	next, err := ledger.ParseCheckpointText(text)
	if err != nil {
		return nil, err
	}
	if c.last.Origin != "" {
		if next.Size < c.last.Size {
			return nil, damaged(fmt.Errorf("%d leaves are left of %d", next.Size, c.last.Size))
		}
		p, err := c.log.Extend(context.Background(), c.last.Size, next)
		if err != nil {
			return nil, err
		}
		if err := next.Extends(c.last, p); err != nil {
			return nil, err
		}
	}
	sig, err := c.Signer.Sign(text)
	if err != nil {
		return nil, err
	}
	signed, err := note.Sign(&note.Note{Text: string(text)}, c.Signer)
	if err != nil {
		return nil, err
	}
	// Before anybody can have it.
	if err := c.log.kept.add(signed); err != nil {
		return nil, err
	}
	c.last = next
	return sig, nil
}
