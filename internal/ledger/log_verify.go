package ledger

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"

	"proofhouse/internal/proofhouse"
)

// ErrTorn is the cause of an error about a log whose last line has no end: a
// writer was killed, or is writing it. OpenLog cuts such a line.
var ErrTorn = errors.New("the last line is cut short")

// Summary is what a log amounts to. Kept elsewhere it is a checkpoint: Expect
// tells whether a later log goes on from it. The zero Summary expects nothing.
type Summary struct {
	Records uint64            `json:"records"`
	Signed  uint64            `json:"signed"` // how many of them the last signature covers
	Head    proofhouse.Digest `json:"head"`   // the hash of the last record
}

// Unsigned is how many records follow the last signature. Whoever can write the
// file can have changed these, and made their hashes anew.
func (s Summary) Unsigned() uint64 { return s.Records - s.Signed }

// VerifyLog reads a log to its end, in memory of a fixed size, and checks that
// every record is the one that was appended, in its place, and every signature
// is key's. each, unless nil, is called with every record in turn; its error ends the reading and is
// returned as it is. It sees a record before the signature that covers it: what
// it gathered counts once VerifyLog returns no error.
//
// What was changed, taken out, doubled or moved is proofhouse.Integrity, and
// names the line and the record, both from 1. So is a last line without an end,
// with ErrTorn as a cause. The Summary is of what was good up to there.
//
// A log that was cut at the end of a line is a whole log, only shorter, and so
// is another log that the key signed: no file can show this by itself. Keep a
// Summary where the log's writer cannot change it, and use Expect.
func VerifyLog(ctx context.Context, r io.Reader, key *PublicKey, each func(seq uint64, record json.RawMessage) error) (Summary, error) {
	return Summary{}.Expect(ctx, r, key, each)
}

// Expect is VerifyLog, and checks too that the log goes on from s: that it
// begins with the same records and has not lost a signature. One that does not
// is proofhouse.Integrity.
func (s Summary) Expect(ctx context.Context, r io.Reader, key *PublicKey, each func(seq uint64, record json.RawMessage) error) (Summary, error) {
	lr := newLogReader(r, key, s)
	err := lr.all(ctx, each)
	return lr.summary(), err
}

// logReader reads a log from the front, checking each line.
type logReader struct {
	r      *bufio.Reader
	key    *PublicKey
	id     string // of key
	expect Summary
	h      hash.Hash // scratch

	at     chain // the last good record
	signed uint64
	line   uint64 // the last line read, from 1
	off    int64  // of the end of the last good line, in bytes
	torn   bool   // what is behind off was cut short by a crash
}

func newLogReader(r io.Reader, key *PublicKey, expect Summary) *logReader {
	return &logReader{r: bufio.NewReaderSize(r, maxLogLine), key: key, id: key.ID(), expect: expect, h: sha256.New(), at: newChain()}
}

func (r *logReader) summary() Summary {
	return Summary{Records: r.at.seq, Signed: r.signed, Head: r.at.digest()}
}

// all reads to the end.
func (r *logReader) all(ctx context.Context, each func(uint64, json.RawMessage) error) error {
	for {
		if r.line%256 == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := r.expected(); err != nil {
			return err
		}
		b, err := r.r.ReadSlice('\n')
		if err == nil {
			r.line++
			record, err := r.take(b[:len(b)-1])
			if err != nil {
				return err
			}
			r.off += int64(len(b))
			if record != nil && each != nil {
				if err := each(r.at.seq, bytes.Clone(record)); err != nil {
					return err
				}
			}
			continue
		}
		if errors.Is(err, io.EOF) && len(b) == 0 {
			return r.uncut()
		}
		r.line++
		switch {
		case errors.Is(err, io.EOF):
			return r.tail(b)
		case errors.Is(err, bufio.ErrBufferFull):
			return r.long(b)
		}
		return fmt.Errorf("reading line %d of the log: %w", r.line, err)
	}
}

// take checks a line and moves behind it. It gives the record, if it is one.
func (r *logReader) take(b []byte) ([]byte, error) {
	l, ok := parseLogLine(b)
	switch {
	case !ok:
		return nil, r.broken("is neither a record nor a signature")
	case l.record == nil:
		return nil, r.takeSignature(l)
	case l.seq != r.at.seq+1:
		return nil, r.broken("holds record %d: one was taken out, doubled or moved", l.seq)
	}
	next := r.at.next(r.h, l.record)
	if !sameHex(l.hash, next.head[:]) {
		return nil, r.broken("does not match its hash: it or one before it was changed")
	}
	if why := checkLogRecord(l.record); why != "" {
		return nil, r.broken("holds a record that %s", why)
	}
	r.at = next
	return l.record, nil
}

func (r *logReader) takeSignature(l logLine) error {
	switch {
	case l.seq != r.at.seq:
		return r.broken("holds a signature of record %d: a line was taken out, doubled or moved", l.seq)
	case l.seq == r.signed:
		return r.broken("holds a signature that was there before: it was doubled")
	case !sameHex(l.hash, r.at.head[:]):
		return r.broken("holds a signature of another record %d", l.seq)
	case string(l.key) != r.id:
		return r.broken("is signed by key %s, not by %s", l.key, r.id)
	}
	sig, err := hex.DecodeString(string(l.sig))
	if err == nil {
		err = r.key.Verify(context.Background(), r.at.signed(), sig)
	}
	if err != nil {
		return r.broken("holds a signature that does not fit")
	}
	r.signed = l.seq
	return nil
}

func sameHex(digits, raw []byte) bool {
	var want [hexHash]byte
	hex.Encode(want[:], raw)
	return bytes.Equal(digits, want[:])
}

// broken is about the line last read. The record it names is the next one: the
// first that is not known to be good.
func (r *logReader) broken(format string, args ...any) error {
	return proofhouse.Errorf(proofhouse.Integrity, nil, "the log was changed: line %d, where record %d is due, %s",
		r.line, r.at.seq+1, fmt.Sprintf(format, args...))
}

// expected holds the place that was reached against the checkpoint.
func (r *logReader) expected() error {
	if r.at.seq == r.expect.Records && r.expect.Head != "" && r.expect.Head != r.at.digest() {
		return proofhouse.Errorf(proofhouse.Integrity, nil, "the log was replaced: line %d, record %d, has not the hash of the checkpoint", r.line, r.at.seq)
	}
	return nil
}

// uncut says whether a log that was read to its end has all that the
// checkpoint had.
func (r *logReader) uncut() error {
	if r.at.seq < r.expect.Records || r.signed < r.expect.Signed {
		return proofhouse.Errorf(proofhouse.Integrity, nil,
			"the log was cut: it ends at line %d with %d records, %d of them signed, and the checkpoint had %d and %d",
			r.line, r.at.seq, r.signed, r.expect.Records, r.expect.Signed)
	}
	return nil
}

// tail decides what a last line without a newline is. A write that a crash cut
// short is the beginning of a line, perhaps with zeros behind it where the disk
// never got the rest; anything else was edited.
func (r *logReader) tail(b []byte) error {
	body := bytes.TrimRight(b, "\x00")
	for _, head := range []string{
		fmt.Sprintf(`{"seq":%d,"hash":"`, r.at.seq+1),
		fmt.Sprintf(`{"seq":%d,"head":"`, r.at.seq),
	} {
		n := min(len(head), len(body))
		if string(body[:n]) == head[:n] {
			return r.unfinished(body)
		}
	}
	return r.broken("has no end and is not the beginning of a line")
}

func (r *logReader) unfinished(body []byte) error {
	dec := json.NewDecoder(bytes.NewReader(body))
	var v json.RawMessage
	err := dec.Decode(&v)
	switch {
	case err == nil && dec.InputOffset() == int64(len(body)): // the newline alone is missing
		whole := *r
		if _, err := whole.take(body); err != nil {
			return err
		}
	case err == nil, len(body) > 0 && !errors.Is(err, io.ErrUnexpectedEOF):
		return r.broken("has no end and is not the beginning of a line")
	}
	if err := r.uncut(); err != nil {
		return err
	}
	r.torn = true
	return proofhouse.Errorf(proofhouse.Integrity, ErrTorn, "the log has no clean end: line %d, where record %d is due, is not whole", r.line, r.at.seq+1)
}

// long decides what a line longer than any is: zeros to the end of the file
// are one that the disk never got.
func (r *logReader) long(b []byte) error {
	if b[len(b)-1] != 0 {
		return r.broken("is longer than a line can be")
	}
	head := bytes.Clone(b)
	for {
		c, err := r.r.ReadByte()
		switch {
		case errors.Is(err, io.EOF):
			return r.tail(head)
		case err != nil:
			return fmt.Errorf("reading line %d of the log: %w", r.line, err)
		case c != 0:
			return r.broken("is longer than a line can be")
		}
	}
}
