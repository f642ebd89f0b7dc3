package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"proofhouse/internal/proofhouse"
)

// maxPending is how many bytes wait in memory for a slow disk before Append
// waits too.
const maxPending = 4 << 20

// lazyWrite is how long a record that nobody waits for may stay in memory.
const lazyWrite = 2 * time.Millisecond

// LogOptions is how a log is opened. The zero value works.
type LogOptions struct {
	// Expect is a former Summary that the log must go on from. Zero: none.
	Expect Summary
	// Each, unless nil, is called with every record that is there, as by VerifyLog.
	Each func(seq uint64, record json.RawMessage) error
	// SignEvery is the least time between two signatures. 0 is one second.
	SignEvery time.Duration
}

// Log appends to a log file, of which it is the only writer. It is safe for
// concurrent use. One goroutine writes; Close ends it and waits for it.
type Log struct {
	key   *Key
	id    string // of key
	every time.Duration
	wake  chan struct{} // tells the writer to look at what mu owns
	lazy  *time.Timer   // does so when nobody waits for what was appended
	done  chan struct{} // closed by the writer as it ends

	// The writer owns these, and OpenLog before there is one.
	f      *os.File     // locked against other processes while open
	fsync  func() error // f.Sync, but for tests
	off    int64        // of the end of what was written whole, in bytes
	signed uint64       // the record that the last signature names
	spare  []byte       // the buffer that is not buf

	mu      sync.Mutex    // owns what follows
	room    *sync.Cond    // with mu: buf was emptied, or closing or err set
	h       hash.Hash     // scratch
	at      chain         // the last record appended
	buf     []byte        // lines that the writer has not taken
	want    uint64        // the highest record that someone waits for
	durable Summary       // what is on the disk
	written uint64        // the last record that the system has
	moved   chan struct{} // closed and made anew when durable, written or err moves
	closing bool
	err     error // the first failure; nothing is written after it
}

// OpenLog opens the log at path for appending, or makes one (mode 0600). One
// that is there is verified as by VerifyLog, with key's own public half; a last
// line that a crash cut short is cut off, and its length in bytes is torn. All
// that is there is durable on return, and what no signature covers yet will be
// signed. Nothing is written to a log that is refused.
//
// A log that another process (or this one) has open is proofhouse.Conflict;
// one that was changed, or does not go on from opts.Expect, is
// proofhouse.Integrity. ctx bounds the opening only.
func OpenLog(ctx context.Context, path string, key *Key, opts LogOptions) (l *Log, torn int64, err error) {
	if opts.SignEvery < 0 {
		return nil, 0, proofhouse.Errorf(proofhouse.Invalid, nil, "the time between signatures of a log cannot be negative")
	}
	if opts.SignEvery == 0 {
		opts.SignEvery = time.Second
	}
	// O_NONBLOCK is for what is not a file: opening a pipe would wait.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, 0, diskError(fmt.Errorf("opening the log: %w", err))
	}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, 0, proofhouse.Errorf(proofhouse.Invalid, err, "a log must be a plain file")
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, 0, proofhouse.Errorf(proofhouse.Conflict, err, "another process is writing this log: wait for it or stop it")
	}
	r := newLogReader(f, key.PublicKey(), opts.Expect)
	if err := r.all(ctx, opts.Each); err != nil && !r.torn {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, fmt.Errorf("opening the log: %w", err)
	}
	if torn = info.Size() - r.off; torn > 0 {
		if err := f.Truncate(r.off); err != nil {
			return nil, 0, diskError(fmt.Errorf("cutting the log's torn end: %w", err))
		}
	}
	// Of what a killed writer left, some may not have reached the disk; nor may
	// the name of a new file.
	if err := errors.Join(f.Sync(), syncDir(filepath.Dir(path))); err != nil {
		return nil, 0, diskError(fmt.Errorf("syncing the log: %w", err))
	}
	l = &Log{
		key: key, id: r.id, every: opts.SignEvery, wake: make(chan struct{}, 1), done: make(chan struct{}),
		f: f, fsync: f.Sync, off: r.off, signed: r.signed,
		h: sha256.New(), at: r.at, durable: r.summary(), written: r.at.seq, moved: make(chan struct{}),
	}
	l.room = sync.NewCond(&l.mu)
	l.lazy = time.AfterFunc(lazyWrite, l.rouse)
	go l.write()
	return l, torn, nil
}

func syncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// diskError gives what a disk refuses a kind.
func diskError(err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return proofhouse.Errorf(proofhouse.Unavailable, err, "the disk is full: free some space, then open the log again")
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return proofhouse.Errorf(proofhouse.Unavailable, err, "the log cannot be written: choose another folder or grant the right")
	}
	return err
}

// Append gives a record the next place in the log and hands it to the writer.
// It is durable once Sync says so, or else about SignEvery later; a crash
// before that may lose it, and then all that follow it. record is JSON of at
// most 64 KiB without a line break, otherwise the error is proofhouse.Invalid;
// it is kept byte for byte, and is the caller's again on return.
//
// Append waits only while 4 MiB are unwritten. After a failure of the disk
// every call gives that error; after Close it is proofhouse.Unavailable.
func (l *Log) Append(record []byte) (seq uint64, err error) {
	if why := checkLogRecord(record); why != "" {
		return 0, proofhouse.Errorf(proofhouse.Invalid, nil, "the record %s", why)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.buf) >= maxPending && l.err == nil && !l.closing {
		l.rouse()
		l.room.Wait()
	}
	switch {
	case l.err != nil:
		return 0, l.err
	case l.closing:
		return 0, proofhouse.Errorf(proofhouse.Unavailable, nil, "the log is closed")
	}
	l.at = l.at.next(l.h, record)
	if len(l.buf) == 0 {
		l.lazy.Reset(lazyWrite)
	}
	l.buf = l.at.appendRecord(l.buf, record)
	return l.at.seq, nil
}

// rouse makes the writer look again. A wake that is pending serves all.
func (l *Log) rouse() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Sync returns when record seq, and so all before it, is durable. Callers that
// wait together share one sync of the disk. A seq that no Append gave is
// proofhouse.Invalid. If ctx ends first its cause is returned, and the record
// may still become durable; after another error it may or may not be.
func (l *Log) Sync(ctx context.Context, seq uint64) error {
	return l.wait(ctx, seq, func() bool {
		l.want = max(l.want, seq)
		return l.durable.Records >= seq
	})
}

// Written returns when record seq, and so all before it, is in the hands of
// the system: the death of this process does not lose it, that of the machine
// may. It costs no sync of the disk. Errors are those of Sync.
func (l *Log) Written(ctx context.Context, seq uint64) error {
	return l.wait(ctx, seq, func() bool { return l.written >= seq })
}

// wait waits until done, which is called with mu held.
func (l *Log) wait(ctx context.Context, seq uint64, done func() bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if seq > l.at.seq {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "the log has no record %d", seq)
	}
	for !done() {
		if l.err != nil {
			return l.err
		}
		l.rouse()
		moved := l.moved
		l.mu.Unlock()
		select {
		case <-moved:
			l.mu.Lock()
		case <-ctx.Done():
			l.mu.Lock()
			return context.Cause(ctx)
		}
	}
	return nil
}

// Summary is of what is durable: a checkpoint for Expect.
func (l *Log) Summary() Summary {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.durable
}

// Close writes and signs what was appended, makes it durable, and lets go of
// the file. It gives the first failure that the log had. Closing again waits
// for the same.
func (l *Log) Close() error {
	l.mu.Lock()
	l.closing = true
	l.room.Broadcast()
	l.rouse()
	l.mu.Unlock()
	<-l.done
	l.lazy.Stop()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// write is the writer: it ends when the log is closing.
func (l *Log) write() {
	defer close(l.done)
	timer := time.NewTimer(l.every)
	armed := true // what an earlier writer left unsigned is signed too
	defer timer.Stop()
	for {
		due := false
		select {
		case <-l.wake:
		case <-timer.C:
			armed, due = false, true
		}
		closing, unsigned := l.step(due)
		if closing {
			return
		}
		if unsigned && !armed {
			timer.Reset(l.every)
			armed = true
		}
	}
}

// step writes what was appended; signs, if it is due; and syncs, if someone
// waits. The order is: lines, the signature over them, one sync for both, and
// only then the word that they are durable.
func (l *Log) step(due bool) (closing, unsigned bool) {
	l.mu.Lock()
	batch, at, failed := l.buf, l.at, l.err != nil
	l.buf, l.spare = l.spare[:0], nil
	waited := l.want > l.durable.Records
	closing = l.closing
	l.room.Broadcast()
	l.mu.Unlock()

	var err error
	if !failed {
		sign := (due || closing) && at.seq > l.signed
		err = l.put(&batch, at, sign)
		if err == nil && len(batch) > 0 {
			l.move(func() { l.written = at.seq })
		}
		if err == nil && (sign || waited) {
			if err = l.fsync(); err != nil { // nothing is known of the file after it
				err = fmt.Errorf("syncing the log: %w", err)
			} else {
				l.move(func() { l.durable = Summary{Records: at.seq, Signed: l.signed, Head: at.digest()} })
			}
		}
	}
	l.spare = batch
	if closing {
		err = errors.Join(err, l.f.Close())
	}
	if err != nil {
		l.move(func() {
			if l.err == nil {
				l.err = diskError(err)
			}
			l.room.Broadcast()
		})
	}
	return closing, !failed && err == nil && at.seq > l.signed
}

// move changes what waiters wait for, and tells them.
func (l *Log) move(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
	close(l.moved)
	l.moved = make(chan struct{})
}

// put writes the batch, which ends at at, and its signature.
func (l *Log) put(batch *[]byte, at chain, sign bool) error {
	if sign {
		sig, err := l.key.Sign(context.Background(), at.signed())
		if err != nil {
			return fmt.Errorf("signing the log: %w", err)
		}
		*batch = at.appendSignature(*batch, l.id, sig)
	}
	if len(*batch) > 0 {
		if _, err := l.f.Write(*batch); err != nil {
			// What was written of it is cut off, so that a later reader finds a
			// clean end; if that fails too, it finds a torn one.
			_ = l.f.Truncate(l.off)
			return fmt.Errorf("writing the log: %w", err)
		}
		l.off += int64(len(*batch))
	}
	if sign {
		l.signed = at.seq
	}
	return nil
}
