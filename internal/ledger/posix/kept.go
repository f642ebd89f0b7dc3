package posix

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"proofhouse/internal/ledger"
)

// keptName is a file beside the checkpoint: every checkpoint that the log ever
// signed, the oldest first, each as a JSON string of the signed note on a line.
// A tree has one checkpoint. The cosignatures are those of whoever kept them.
const keptName = "checkpoints"

// kept adds to that file.
type kept struct {
	path string

	mu   sync.Mutex        // owns what follows, and the file's end
	last ledger.Checkpoint // the last one in it; Origin is "" if there is none
}

// openKept cuts off what a kill left of a last line, and adds the published
// checkpoint where the file does not have it: a log from before there was one.
func openKept(dir string) (*kept, error) {
	k := &kept{path: filepath.Join(dir, keptName)}
	b, err := os.ReadFile(k.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading the kept checkpoints: %w", err)
	}
	if end := bytes.LastIndexByte(b, '\n') + 1; end < len(b) {
		if err := os.Truncate(k.path, int64(end)); err != nil {
			return nil, diskError(fmt.Errorf("mending the kept checkpoints: %w", err))
		}
		b = b[:end]
	}
	all, err := parseKept(b)
	if err != nil {
		return nil, err
	}
	if len(all) > 0 {
		k.last = all[len(all)-1]
	}
	published, err := os.ReadFile(filepath.Join(dir, "checkpoint"))
	if errors.Is(err, fs.ErrNotExist) {
		return k, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the last checkpoint: %w", err)
	}
	return k, k.add(published)
}

// add keeps a checkpoint, durably, unless its tree has one already.
func (k *kept) add(note []byte) error {
	cp, err := parseNote(note)
	if err != nil {
		return damaged(err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.last.Origin != "" && cp.Size <= k.last.Size {
		return nil
	}
	line, err := json.Marshal(string(note))
	if err != nil {
		return err
	}
	f, err := os.OpenFile(k.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return diskError(fmt.Errorf("keeping a checkpoint: %w", err))
	}
	at, err := f.Seek(0, 2)
	if err == nil {
		if _, err = f.Write(append(line, '\n')); err == nil {
			err = f.Sync()
		}
		if err != nil {
			err = errors.Join(err, f.Truncate(at)) // half a line would be in the middle of the next
		}
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return diskError(fmt.Errorf("keeping a checkpoint: %w", err))
	}
	k.last = cp
	return nil
}

// parseNote reads a signed note's text. Its signatures are for whoever uses it.
func parseNote(note []byte) (ledger.Checkpoint, error) {
	text, _, _ := bytes.Cut(note, []byte("\n\n"))
	cp, err := ledger.ParseCheckpointText(append(bytes.Clone(text), '\n'))
	cp.Note = note
	return cp, err
}

func parseKept(b []byte) ([]ledger.Checkpoint, error) {
	var all []ledger.Checkpoint
	for line := range strings.Lines(string(b)) {
		if !strings.HasSuffix(line, "\n") {
			break // one that is being written
		}
		var note string
		if err := json.Unmarshal([]byte(line), &note); err != nil {
			return nil, damaged(fmt.Errorf("kept checkpoint %d: %w", len(all)+1, err))
		}
		cp, err := parseNote([]byte(note))
		if err != nil || len(all) > 0 && cp.Size <= all[len(all)-1].Size {
			return nil, damaged(fmt.Errorf("kept checkpoint %d: %w", len(all)+1, errors.Join(err, errors.New("it is not one, or out of order"))))
		}
		all = append(all, cp)
	}
	return all, nil
}

// Kept are at most so many of the checkpoints that this log signed at sizes of
// at most upTo leaves, by size: all of them, or if they are more, half of them
// the first ones that cover each of these leaves, the last leaves first, and
// the newest for the rest. Their signatures are not checked. A file that does
// not have them in their order is proofhouse.Integrity.
func (l *Log) Kept(upTo uint64, leaves []uint64, most int) ([]ledger.Checkpoint, error) {
	b, err := os.ReadFile(filepath.Join(l.dir, keptName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading the kept checkpoints: %w", err)
	}
	all, err := parseKept(b)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(cp ledger.Checkpoint) bool { return cp.Size == 0 || cp.Size > upTo })
	return choose(all, leaves, most), nil
}

func choose(all []ledger.Checkpoint, leaves []uint64, most int) []ledger.Checkpoint {
	if len(all) <= most {
		return all
	}
	take := map[int]bool{}
	for _, leaf := range slices.Backward(slices.Sorted(slices.Values(leaves))) {
		if len(take) == most/2 {
			break
		}
		if i, _ := slices.BinarySearchFunc(all, leaf+1, func(cp ledger.Checkpoint, size uint64) int {
			if cp.Size < size {
				return -1
			}
			return 1
		}); i < len(all) {
			take[i] = true
		}
	}
	for i := len(all) - 1; len(take) < most; i-- {
		take[i] = true
	}
	var chosen []ledger.Checkpoint
	for i, cp := range all {
		if take[i] {
			chosen = append(chosen, cp)
		}
	}
	return chosen
}
