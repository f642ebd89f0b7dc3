package posix

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
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
	line, err := mendLines(k.path)
	if err != nil {
		return nil, err
	}
	if len(line) > 0 {
		if k.last, err = parseLine(line); err != nil {
			return nil, damaged(fmt.Errorf("the last kept checkpoint: %w", err))
		}
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
	if err := addLine(k.path, line); err != nil {
		return err
	}
	k.last = cp
	return nil
}

// mendLines cuts off what a kill left of a file's last line, and gives the last whole one.
func mendLines(name string) (last []byte, err error) {
	end, last, err := lastLine(name)
	if err == nil && end >= 0 {
		if err = os.Truncate(name, end); err != nil {
			err = diskError(fmt.Errorf("mending the kept checkpoints: %w", err))
		}
	}
	return last, err
}

// addLine adds a line to a file, durably. Its caller owns the file's end.
func addLine(name string, line []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
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
	return nil
}

// parseNote reads a signed note's text. Its signatures are for whoever uses it.
func parseNote(note []byte) (ledger.Checkpoint, error) {
	text, _, _ := bytes.Cut(note, []byte("\n\n"))
	cp, err := ledger.ParseCheckpointText(append(bytes.Clone(text), '\n'))
	cp.Note = note
	return cp, err
}

// parseLine reads a line of the file, without its end.
func parseLine(line []byte) (ledger.Checkpoint, error) {
	var note string
	if err := json.Unmarshal(line, &note); err != nil {
		return ledger.Checkpoint{}, err
	}
	return parseNote([]byte(note))
}

// maxLine bounds a line, in bytes: a checkpoint with a few cosignatures has some hundreds.
const maxLine = 64 << 10

// lastLine is the file's last whole line without its end, and where the file is to be cut since a kill left half of one, -1 if nowhere. The file grows for as long as the log
// does, so no more of it is read.
func lastLine(name string) (cut int64, line []byte, err error) {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return -1, nil, nil
	}
	if err != nil {
		return -1, nil, fmt.Errorf("reading the kept checkpoints: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return -1, nil, fmt.Errorf("reading the kept checkpoints: %w", err)
	}
	from := max(0, info.Size()-2*maxLine) // half a line, and a whole one before it
	tail := make([]byte, info.Size()-from)
	if _, err := f.ReadAt(tail, from); err != nil {
		return -1, nil, fmt.Errorf("reading the kept checkpoints: %w", err)
	}
	end := bytes.LastIndexByte(tail, '\n') + 1
	if end == 0 && from > 0 {
		return -1, nil, damaged(errors.New("the kept checkpoints end in a line that is too long"))
	}
	cut = -1
	if end < len(tail) {
		cut = from + int64(end)
	}
	if end == 0 {
		return cut, nil, nil
	}
	whole := tail[:end-1]
	return cut, whole[bytes.LastIndexByte(whole, '\n')+1:], nil
}

// Kept are at most so many of the checkpoints that this log signed at sizes of
// at most upTo leaves, by size, for a bundle of stream: all of them, or if they
// are more, those that went out in bundles of stream (Give), and of what is left
// half for those that went out in its receipts, half of the rest for those of others' bundles, half of that for
// the first ones that cover each of these leaves, and else the newest; of each kind the
// last first. Their signatures are not checked. A file that does not have them in their order is proofhouse.Integrity.
func (l *Log) Kept(stream string, upTo uint64, leaves []uint64, most int) ([]ledger.Checkpoint, error) {
	out, err := l.givenOf(stream)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(filepath.Join(l.dir, keptName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the kept checkpoints: %w", err)
	}
	defer f.Close()
	all, err := places(f)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(p keptAt) bool { return p.size == 0 || p.size > upTo })
	var list []ledger.Checkpoint
	for _, p := range choose(all, out, leaves, most) {
		line := make([]byte, p.bytes)
		if _, err := f.ReadAt(line, p.at); err != nil {
			return nil, fmt.Errorf("reading the kept checkpoints: %w", err)
		}
		cp, err := parseLine(line)
		if err != nil || cp.Size != p.size {
			return nil, damaged(fmt.Errorf("the kept checkpoint of %d leaves: %w", p.size, errors.Join(err, errors.New("it is not one, or of another size"))))
		}
		list = append(list, cp)
	}
	return list, nil
}

// keptAt is where a checkpoint stands in the file, and of how many leaves it is.
type keptAt struct {
	size  uint64
	at    int64
	bytes int
}

// places goes through the file and keeps no more of it than that.
func places(f io.Reader) (all []keptAt, err error) {
	r := bufio.NewReaderSize(f, maxLine)
	for at := int64(0); ; {
		line, err := r.ReadSlice('\n')
		if errors.Is(err, io.EOF) {
			return all, nil // what comes after the last line is being written
		}
		if err != nil {
			return nil, damaged(fmt.Errorf("kept checkpoint %d: %w", len(all)+1, err))
		}
		// In the JSON string the note's lines end in \n, two characters: its second is the size.
		_, rest, _ := bytes.Cut(line, []byte(`\n`))
		digits, _, _ := bytes.Cut(rest, []byte(`\n`))
		size, err := strconv.ParseUint(string(digits), 10, 64)
		if err != nil || len(all) > 0 && size <= all[len(all)-1].size {
			return nil, damaged(fmt.Errorf("kept checkpoint %d: %w", len(all)+1, errors.Join(err, errors.New("it is not one, or out of order"))))
		}
		all = append(all, keptAt{size, at, len(line) - 1})
		at += int64(len(line))
	}
}

// choose is what Kept says, of the checkpoints in the file.
func choose(all []keptAt, out givenOut, leaves []uint64, most int) []keptAt {
	if len(all) <= most {
		return all
	}
	bySize := func(p keptAt, size uint64) int { return cmp.Compare(p.size, size) }
	take := map[int]bool{}
	atMost := func(n int, sizes []uint64, exact bool) {
		n += len(take)
		for _, size := range slices.Backward(sizes) {
			if len(take) == n {
				break
			}
			if i, is := slices.BinarySearchFunc(all, size, bySize); i < len(all) && (is || !exact) {
				take[i] = true
			}
		}
	}
	var covering []uint64
	for _, leaf := range slices.Sorted(slices.Values(leaves)) {
		covering = append(covering, leaf+1)
	}
	atMost(most, out.bundles, true)
	atMost((most-len(take))/2, out.receipts, true)
	atMost((most-len(take))/2, out.others, true)
	atMost((most-len(take))/2, covering, false)
	for i := len(all) - 1; len(take) < most; i-- {
		take[i] = true
	}
	var chosen []keptAt
	for i, p := range all {
		if take[i] {
			chosen = append(chosen, p)
		}
	}
	return chosen
}
