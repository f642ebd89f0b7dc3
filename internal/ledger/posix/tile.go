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
	p, err := tlog.ProveRecord(int64(cp.Size), int64(index), l.hashes(cp))
	if err != nil {
		return nil, damaged(err)
	}
	return ledger.NewProof(p), nil
}

// Extend proves that cp goes on from older leaves. See ledger.PublicLog.
func (l *Log) Extend(_ context.Context, older uint64, cp ledger.Checkpoint) (ledger.Proof, error) {
	switch {
	case older > cp.Size:
		return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "the tree of %d leaves is the newer one", older)
	case older == 0, older == cp.Size:
		return ledger.Proof{}, nil
	}
	p, err := tlog.ProveTree(int64(cp.Size), int64(older), l.hashes(cp))
	if err != nil {
		return nil, damaged(err)
	}
	return ledger.NewProof(p), nil
}

// root is the root of the first size leaves of cp's tree.
func (l *Log) root(cp ledger.Checkpoint, size uint64) ([32]byte, error) {
	h, err := tlog.TreeHash(int64(size), l.hashes(cp))
	if err != nil {
		return h, damaged(err)
	}
	if size == cp.Size && h != cp.Root {
		return h, damaged(errors.New("the tiles lead to another root"))
	}
	return h, nil
}

// hashes reads cp's tree from the tiles, and checks each tile against cp's root.
func (l *Log) hashes(cp ledger.Checkpoint) tlog.HashReader {
	return tlog.TileHashReader(tlog.Tree{N: int64(cp.Size), Hash: cp.Root}, tiles{l.dir})
}

func damaged(cause error) error {
	return proofhouse.Errorf(proofhouse.Integrity, cause, "the public log's folder is damaged: put back a copy that is whole")
}

// tiles reads them from a folder.
type tiles struct{ dir string }

func (t tiles) Height() int { return layout.TileHeight }

func (t tiles) ReadTiles(want []tlog.Tile) ([][]byte, error) {
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

func (t tiles) SaveTiles([]tlog.Tile, [][]byte) {}

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
	if err == nil {
		c.last = next
	}
	return sig, err
}
