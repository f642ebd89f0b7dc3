package posix

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

// givenName is a file beside the checkpoints: which of them went out in bundles
// and receipts, in the order of going out, as lines of KIND TAG SIZE. The tag
// stands for a stream, which the log's own files never name.
const givenName = "given"

// Given is what a checkpoint went out in.
type Given string

// What shows somebody a checkpoint that may be held to a later bundle.
const (
	InBundle  Given = "bundle"
	InReceipt Given = "receipt"
)

// given adds to that file.
type given struct {
	path string

	mu   sync.Mutex // owns last, and the file's end
	last string     // the last line
}

func openGiven(dir string) (*given, error) {
	g := &given{path: filepath.Join(dir, givenName)}
	line, err := mendLines(g.path)
	g.last = string(line)
	return g, err
}

// Give records, durably, that the checkpoint of size leaves goes out in a bundle
// or a receipt of stream. Kept prefers it from then on, so call it first.
func (l *Log) Give(in Given, stream string, size uint64) error {
	line := fmt.Sprintf("%s %s %d", in, givenTag(stream), size)
	l.given.mu.Lock()
	defer l.given.mu.Unlock()
	if line == l.given.last {
		return nil
	}
	if err := addLine(l.given.path, []byte(line)); err != nil {
		return err
	}
	l.given.last = line
	return nil
}

func givenTag(stream string) string {
	h := sha256.Sum256([]byte("proofhouse given, format 1\n" + stream))
	return hex.EncodeToString(h[:16])
}

// givenOut are sizes that went out, the first first.
type givenOut struct {
	bundles, receipts []uint64 // of one stream
	others            []uint64 // bundles of other streams
}

func (l *Log) givenOf(stream string) (out givenOut, err error) {
	f, err := os.Open(l.given.path)
	if errors.Is(err, fs.ErrNotExist) {
		return out, nil
	}
	if err != nil {
		return out, fmt.Errorf("reading which checkpoints went out: %w", err)
	}
	defer f.Close()
	tag := givenTag(stream)
	r := bufio.NewReader(f)
	for n := 1; ; n++ {
		line, err := r.ReadString('\n')
		if err != nil {
			return out, nil //nolint:nilerr // what comes after the last line is being written
		}
		words := strings.Split(strings.TrimSuffix(line, "\n"), " ")
		if len(words) != 3 {
			return out, damaged(fmt.Errorf("line %d of the checkpoints that went out has not three words", n))
		}
		size, err := strconv.ParseUint(words[2], 10, 64)
		if err != nil {
			return out, damaged(fmt.Errorf("line %d of the checkpoints that went out: %w", n, err))
		}
		switch own := words[1] == tag; {
		case own && Given(words[0]) == InBundle:
			out.bundles = append(out.bundles, size)
		case own:
			out.receipts = append(out.receipts, size)
		case Given(words[0]) == InBundle:
			out.others = append(out.others, size)
		}
	}
}
