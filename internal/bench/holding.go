package bench

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"proofhouse/internal/proofhouse"
)

// holding keeps submissions from their acceptance to their verdict: a file of
// frames in the private folder, each a random token, the length and CRC32C of
// the content in four little-endian bytes, and the content, which is wiped
// when it has its verdict. It is safe for concurrent use; those who put at the
// same time share a sync of the disk.
type holding struct {
	f *os.File

	mu   sync.Mutex // owns what follows
	off  int64
	held map[string]place

	syncing sync.Mutex // one sync at a time; it owns synced
	synced  int64
}

// place is where a content lies.
type place struct {
	off  int64
	size uint32
	sum  uint32
}

const (
	tokenBytes  = 16 // gives tokenLength letters
	tokenLength = 26
	holdHead    = tokenLength + 8
)

// openHolding opens or makes the file. A frame that a kill cut short was
// never accepted and is cut off.
func openHolding(name string) (*holding, error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return nil, diskError(err)
	}
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, diskError(err)
	}
	h := &holding{f: f, held: map[string]place{}}
	if err := errors.Join(h.scan(), syncDir(filepath.Dir(name))); err != nil {
		f.Close()
		return nil, diskError(err)
	}
	return h, nil
}

// scan finds what is held.
func (h *holding) scan() error {
	info, err := h.f.Stat()
	if err != nil {
		return err
	}
	head := make([]byte, holdHead)
	for h.off+holdHead <= info.Size() {
		if _, err := h.f.ReadAt(head, h.off); err != nil {
			return err
		}
		p := place{h.off + holdHead, binary.LittleEndian.Uint32(head[tokenLength:]), binary.LittleEndian.Uint32(head[tokenLength+4:])}
		if p.off+int64(p.size) > info.Size() {
			break
		}
		h.held[string(head[:tokenLength])] = p
		h.off = p.off + int64(p.size)
	}
	return h.f.Truncate(h.off)
}

// put makes a content durable and gives its token.
func (h *holding) put(content []byte) (token string, err error) {
	token = proofhouse.Token(tokenBytes)
	frame := make([]byte, holdHead+len(content))
	p := place{0, uint32(len(content)), crc32.Checksum(content, castagnoli)}
	copy(frame, token)
	binary.LittleEndian.PutUint32(frame[tokenLength:], p.size)
	binary.LittleEndian.PutUint32(frame[tokenLength+4:], p.sum)
	copy(frame[holdHead:], content)

	h.mu.Lock()
	if _, err := h.f.WriteAt(frame, h.off); err != nil {
		_ = h.f.Truncate(h.off) // the next frame is written over it in any case
		h.mu.Unlock()
		return "", diskError(err)
	}
	p.off = h.off + holdHead
	h.off += int64(len(frame))
	h.held[token] = p
	end := h.off
	h.mu.Unlock()

	h.syncing.Lock()
	defer h.syncing.Unlock()
	if h.synced >= end {
		return token, nil
	}
	h.mu.Lock()
	written := h.off
	h.mu.Unlock()
	if err := h.f.Sync(); err != nil {
		return "", diskError(err)
	}
	h.synced = written
	return token, nil
}

// get reads a content that was put.
func (h *holding) get(token string) ([]byte, error) {
	h.mu.Lock()
	p, ok := h.held[token]
	h.mu.Unlock()
	if !ok {
		return nil, proofhouse.Errorf(proofhouse.Integrity, nil, "an accepted submission is missing from the data folder: resume the run with the data folder that it began with")
	}
	content := make([]byte, p.size)
	if _, err := h.f.ReadAt(content, p.off); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if crc32.Checksum(content, castagnoli) != p.sum {
		return nil, proofhouse.Errorf(proofhouse.Integrity, nil, "an accepted submission was changed in the data folder: the run cannot be trusted")
	}
	return content, nil
}

// drop wipes a content that has its verdict.
func (h *holding) drop(token string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	p, ok := h.held[token]
	if !ok {
		return nil
	}
	delete(h.held, token)
	_, err := h.f.WriteAt(make([]byte, p.size), p.off)
	return diskError(err)
}

// keepOnly drops what is not awaited.
func (h *holding) keepOnly(awaited map[string]bool) error {
	h.mu.Lock()
	var others []string
	for token := range h.held {
		if !awaited[token] {
			others = append(others, token)
		}
	}
	h.mu.Unlock()
	var errs []error
	for _, token := range others {
		errs = append(errs, h.drop(token))
	}
	return errors.Join(errs...)
}

// close removes the file if nothing waits for a verdict.
func (h *holding) close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var err error
	if len(h.held) == 0 {
		if err = os.Remove(h.f.Name()); errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	}
	return errors.Join(err, h.f.Close())
}
