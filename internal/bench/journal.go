package bench

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"sync"
	"syscall"

	"proofhouse/internal/proofhouse"
)

// A journal is a sequence of frames: the payload's length and the CRC32C of
// length and payload, four little-endian bytes each, then the payload, a
// Record as JSON. Each record carries the digest of the payload before it, the
// first one that of genesis, so that nothing in the middle can be taken out,
// changed or moved. A frame that a crash cut short can only be the last one.

const (
	frameHead = 8
	maxRecord = 4 << 20 // bytes of a payload
	genesis   = "proofhouse journal, format 1"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errTorn is the end of a journal in the middle of a frame.
var errTorn = errors.New("the last record is cut short")

func frameSum(head, payload []byte) uint32 {
	return crc32.Update(crc32.Checksum(head[:4], castagnoli), castagnoli, payload)
}

// journalReader reads records from the front, checking each.
type journalReader struct {
	r    *bufio.Reader
	prev proofhouse.Digest
	seq  int64
	off  int64 // of the end of the last good record
}

func newJournalReader(r io.Reader) *journalReader {
	return &journalReader{r: bufio.NewReaderSize(r, 64<<10), prev: proofhouse.DigestOf([]byte(genesis))}
}

// next gives the next record; io.EOF at a clean end; errTorn where the rest
// can only be a write that was cut short; proofhouse.Integrity otherwise.
func (j *journalReader) next() (Record, error) {
	var head [frameHead]byte
	n, err := io.ReadFull(j.r, head[:])
	switch {
	case errors.Is(err, io.EOF):
		return Record{}, io.EOF
	case errors.Is(err, io.ErrUnexpectedEOF):
		return Record{}, errTorn
	case err != nil:
		return Record{}, fmt.Errorf("reading the journal after %d bytes: %w", n, err)
	}
	size := binary.LittleEndian.Uint32(head[:])
	if size == 0 || size > maxRecord {
		return Record{}, j.tail(head[:], nil)
	}
	payload := make([]byte, size)
	n, err = io.ReadFull(j.r, payload)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return Record{}, j.tail(head[:], payload[:n])
	}
	if err != nil {
		return Record{}, fmt.Errorf("reading the journal: %w", err)
	}
	if frameSum(head[:], payload) != binary.LittleEndian.Uint32(head[4:]) {
		return Record{}, j.tail(head[:], payload)
	}
	var rec Record
	if err := json.Unmarshal(payload, &rec); err != nil {
		return Record{}, j.broken("is not a record")
	}
	if rec.Prev != j.prev || rec.Seq != j.seq+1 {
		return Record{}, j.broken("does not follow the one before")
	}
	j.prev, j.seq, j.off = proofhouse.DigestOf(payload), rec.Seq, j.off+frameHead+int64(size)
	return rec, nil
}

// tail decides what a frame that does not check out is. A write that a crash
// cut short is a prefix of a frame, or one whose end the disk never got and
// shows as zeros; a whole record behind a wrong length or sum, or anything
// that follows, was edited.
func (j *journalReader) tail(head, payload []byte) error {
	rest, err := io.ReadAll(io.LimitReader(j.r, 2*(maxRecord+frameHead)+1))
	if err != nil {
		return fmt.Errorf("reading the journal's end: %w", err)
	}
	all := append(append(append([]byte{}, head...), payload...), rest...)
	body := bytes.TrimRight(all, "\x00")
	zeros := len(body) < len(all)
	size := binary.LittleEndian.Uint32(head)
	switch {
	case len(all) > 2*(maxRecord+frameHead):
		return j.broken("does not match its checksum")
	case len(body) <= frameHead && zeros:
		return errTorn
	case size == 0 || size > maxRecord:
		return j.broken("has an impossible length")
	case json.Valid(body[min(frameHead, len(body)):]) || bytes.Contains(body[frameHead:], []byte(`{"seq":`)) && recordInside(body[frameHead:]):
		return j.broken("does not match its checksum")
	case int(size) > len(payload): // cut short
		return errTorn
	case zeros && len(body) < frameHead+int(size): // its end never reached the disk
		return errTorn
	}
	return j.broken("does not match its checksum")
}

// recordInside finds a whole frame in bytes that should be part of one.
func recordInside(b []byte) bool {
	for i := 0; i+frameHead < len(b); i++ {
		k := bytes.Index(b[i+frameHead:], []byte(`{"seq":`))
		if k < 0 {
			return false
		}
		i += k
		size := int(binary.LittleEndian.Uint32(b[i:]))
		if size <= 0 || size > len(b)-i-frameHead {
			continue
		}
		if frameSum(b[i:], b[i+frameHead:i+frameHead+size]) == binary.LittleEndian.Uint32(b[i+4:]) {
			return true
		}
	}
	return false
}

func (j *journalReader) broken(what string) error {
	return proofhouse.Errorf(proofhouse.Integrity, nil,
		"the journal was changed: record %d %s; what follows it cannot be trusted, so neither can the run", j.seq+1, what)
}

// journal appends to a run's journal. It is safe for concurrent use.
type journal struct {
	f *os.File // locked against other processes while open

	mu   sync.Mutex // owns what follows
	prev proofhouse.Digest
	seq  int64
	off  int64
	err  error // the first failure; nothing is written after it

	syncing sync.Mutex // one sync at a time; it owns synced
	synced  int64
}

// tied holds a reader that has just read a record against what results.json
// was told of the journal.
func (j *journalReader) tied(told JournalRef) error {
	if j.seq == told.Records && j.prev != told.Head {
		return j.broken("follows one that is not what results.json was made from")
	}
	return nil
}

// uncut says whether a journal that was read to its end has all that
// results.json was made from.
func (j *journalReader) uncut(told JournalRef) error {
	if j.seq < told.Records {
		return proofhouse.Errorf(proofhouse.Integrity, nil,
			"the journal was cut: results.json was made from %d records and %d are left", told.Records, j.seq)
	}
	return nil
}

// openJournal opens a journal for appending and calls each with every record
// that is there, told being what results.json knows of it. A torn end is cut
// off; its length is given. Nothing is written to a journal that is refused.
func openJournal(name string, told JournalRef, each func(Record) error) (j *journal, torn int64, err error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600) // it tells which samples have survivors
	if err != nil {
		return nil, 0, diskError(err)
	}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, 0, proofhouse.Errorf(proofhouse.Conflict, err, "another process is working on this run: wait for it or stop it")
	}
	r := newJournalReader(f)
	for {
		rec, err := r.next()
		if errors.Is(err, io.EOF) || errors.Is(err, errTorn) {
			break
		}
		if err == nil {
			err = errors.Join(each(rec), r.tied(told))
		}
		if err != nil {
			return nil, 0, err
		}
	}
	if err := r.uncut(told); err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	if torn = info.Size() - r.off; torn > 0 {
		if err := f.Truncate(r.off); err != nil {
			return nil, 0, diskError(err)
		}
	}
	if _, err := f.Seek(r.off, io.SeekStart); err != nil {
		return nil, 0, err
	}
	return &journal{f: f, prev: r.prev, seq: r.seq, off: r.off}, torn, nil
}

// append writes a record, giving it its place, and returns that. The record is
// in the hands of the system, so a kill does not lose it; sync makes it durable.
func (j *journal) append(rec Record) (int64, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err != nil {
		return 0, j.err
	}
	rec.Seq, rec.Prev = j.seq+1, j.prev
	payload, err := json.Marshal(rec)
	if err != nil {
		return 0, fmt.Errorf("writing a record: %w", err)
	}
	if len(payload) > maxRecord {
		return 0, proofhouse.Errorf(proofhouse.Limit, nil, "a record of %d bytes is too large for the journal", len(payload))
	}
	frame := make([]byte, frameHead+len(payload))
	binary.LittleEndian.PutUint32(frame, uint32(len(payload)))
	copy(frame[frameHead:], payload)
	binary.LittleEndian.PutUint32(frame[4:], frameSum(frame, payload))
	if _, err := j.f.Write(frame); err != nil {
		// What was written of it is cut off, so that a later reader finds a
		// clean end; if that fails too, it finds a torn one.
		_ = j.f.Truncate(j.off)
		j.err = diskError(err)
		return 0, j.err
	}
	j.prev, j.seq, j.off = proofhouse.DigestOf(payload), rec.Seq, j.off+int64(len(frame))
	return rec.Seq, nil
}

// sync returns when the record seq is durable. Callers that wait together
// share one sync of the disk.
func (j *journal) sync(seq int64) error {
	j.syncing.Lock()
	defer j.syncing.Unlock()
	if j.synced >= seq {
		return nil
	}
	j.mu.Lock()
	written, err := j.seq, j.err
	j.mu.Unlock()
	if err != nil {
		return err
	}
	if err := j.f.Sync(); err != nil {
		err = diskError(err)
		j.mu.Lock()
		j.err = err // after a failed sync nothing is known of the file
		j.mu.Unlock()
		return err
	}
	j.synced = written
	return nil
}

// put is append and sync.
func (j *journal) put(rec Record) error {
	seq, err := j.append(rec)
	if err != nil {
		return err
	}
	return j.sync(seq)
}

func (j *journal) close() error { return j.f.Close() }
