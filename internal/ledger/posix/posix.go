// Package posix keeps a public log in a folder: tiles and checkpoint lie in it
// as c2sp.org/tlog-tiles says, so that any web server can publish it, and
// tessera writes them. It promises what ledger.PublicLog says, through a
// kill -9 at any point; that one process at a time holds the folder; and that
// nothing is signed that does not go on from the checkpoint before. What the
// leaves mean it does not know.
//
// The folder must lie on a local file system: tessera relies on its locks and
// on rename.
package posix

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"
	"k8s.io/klog/v2"

	"proofhouse/internal/ledger"
	"proofhouse/internal/proofhouse"
)

const (
	// interval is the shortest between checkpoints that tessera permits.
	interval = 100 * time.Millisecond
	// batch is how many leaves tessera takes at once.
	batch = 1024
	// batchAge is how long tessera waits for more leaves.
	batchAge = 2 * time.Millisecond
	// look is how often the folder is read while a checkpoint is awaited.
	look = 5 * time.Millisecond
	// closing bounds how long Close waits for the last checkpoint.
	closing = 5 * time.Second
)

// Options is how a log is opened.
type Options struct {
	Origin string      // the name that stands in every checkpoint, such as review.example/log
	Key    *ledger.Key // signs the checkpoints
	// Witnesses cosign them. None is permitted.
	Witnesses []Witness
	// Again is how long after it a checkpoint without news goes to the witnesses
	// once more. 0 is ten seconds; less than 100 ms is proofhouse.Invalid.
	Again time.Duration
}

// Log is a public log in a folder, held by this process. It is safe for
// concurrent use.
type Log struct {
	dir   string
	key   ledger.VerifierKey
	seen  []ledger.VerifierKey // of the witnesses
	copy  *Copy
	kept  *kept
	given *given
	lock  *os.File // flock: released as the process ends, however it ends

	appender *tessera.Appender
	reader   tessera.LogReader
	shutdown func(context.Context) error
	stop     context.CancelFunc // ends tessera's goroutines

	mu     sync.Mutex // one Append at a time, and none with or after Close
	closed bool
}

var _ ledger.PublicLog = (*Log)(nil)

// quiet sends what tessera reports through klog, a global, to slog: warnings
// only. They name files of the log and nothing of its contents.
var quiet = sync.OnceFunc(func() {
	klog.SetSlogLogger(slog.New(warnings{slog.Default().Handler()}))
})

type warnings struct{ slog.Handler }

func (w warnings) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && w.Handler.Enabled(ctx, l)
}

// Open takes hold of the log in dir, or makes one there. It checks that the
// last checkpoint is this key's and that the tiles lead to it. A log that
// another process (or this one) holds is proofhouse.Conflict; one of another
// name or key, or that is damaged, proofhouse.Integrity. ctx bounds the opening.
func Open(ctx context.Context, dir string, opts Options) (_ *Log, err error) {
	quiet()
	if opts.Key == nil {
		return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "a public log needs a key")
	}
	key, err := opts.Key.PublicKey().VerifierKey(opts.Origin)
	if err != nil {
		return nil, err
	}
	if opts.Again == 0 {
		opts.Again = again
	}
	if opts.Again < interval {
		return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "a checkpoint can go to the witnesses again after %s at the soonest", interval)
	}
	l := &Log{dir: dir, key: key, copy: &Copy{dir: dir}}
	for _, w := range opts.Witnesses {
		l.seen = append(l.seen, w.Key)
	}
	if err := l.hold(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			l.lock.Close()
		}
	}()
	if err := l.check(); err != nil {
		return nil, err
	}
	if l.kept, err = openKept(dir); err != nil {
		return nil, err
	}
	if l.given, err = openGiven(dir); err != nil {
		return nil, err
	}
	notes, err := opts.Key.NoteSigner(opts.Origin)
	if err != nil {
		return nil, err
	}
	driver, err := posix.New(ctx, posix.Config{Path: dir, HTTPClient: asking()})
	if err != nil {
		return nil, fmt.Errorf("opening the public log: %w", err)
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	settings := tessera.NewAppendOptions().
		WithCheckpointSigner(&careful{Signer: notes, log: l}).
		WithCheckpointInterval(interval).
		WithCheckpointRepublishInterval(0). // an idle log without witnesses writes nothing
		WithBatching(batch, batchAge)
	if err := witnessed(settings, opts.Witnesses, opts.Again); err != nil {
		stop()
		return nil, err
	}
	l.appender, l.shutdown, l.reader, err = tessera.NewAppender(running, driver, settings)
	if err != nil {
		stop()
		return nil, diskError(fmt.Errorf("opening the public log: %w", err))
	}
	l.stop = stop
	return l, nil
}

// hold makes the folder and locks it.
func (l *Log) hold() error {
	state := filepath.Join(l.dir, ".state") // tessera's own, not for publication
	if err := os.MkdirAll(state, 0o755); err != nil {
		return diskError(fmt.Errorf("making the public log's folder: %w", err))
	}
	f, err := os.OpenFile(filepath.Join(state, "held.lock"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return diskError(fmt.Errorf("locking the public log: %w", err))
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return proofhouse.Errorf(proofhouse.Conflict, err, "another process holds this public log: stop it first")
	}
	l.lock = f
	return nil
}

// check reads what is there before tessera does.
func (l *Log) check() error {
	raw, err := os.ReadFile(filepath.Join(l.dir, "checkpoint"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // a new log, or one whose making was cut short
	}
	if err != nil {
		return fmt.Errorf("reading the last checkpoint: %w", err)
	}
	if _, err := os.Stat(filepath.Join(l.dir, ".state", "treeState")); err != nil {
		return proofhouse.Errorf(proofhouse.Integrity, err, "the public log's folder has a checkpoint and not the state that belongs to it: put the folder back whole")
	}
	cp, err := ledger.ParseCheckpoint(raw, l.key)
	if err != nil {
		return err
	}
	if cp.Size == 0 {
		return nil
	}
	_, err = l.root(cp, cp.Size)
	return err
}

// Key is the log's public key, with its origin.
func (l *Log) Key() ledger.VerifierKey { return l.key }

// Append adds leaves. See ledger.PublicLog.
func (l *Log) Append(ctx context.Context, leaves [][32]byte) ([]uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, proofhouse.Errorf(proofhouse.Unavailable, nil, "the public log is closed")
	}
	var out []uint64
	// Tessera keeps the order of leaves within one of its batches, and may swap
	// two batches that wait: so there is never more than one.
	for start := 0; start < len(leaves); start += batch {
		part := leaves[start:min(len(leaves), start+batch)]
		futures := make([]tessera.IndexFuture, len(part))
		for i := range part {
			// Not ctx: what was begun is waited for, as its outcome would be unknown.
			futures[i] = l.appender.Add(context.WithoutCancel(ctx), tessera.NewEntry(part[i][:]))
		}
		for _, f := range futures {
			index, err := f()
			if err != nil {
				return nil, diskError(fmt.Errorf("appending to the public log: %w", err))
			}
			out = append(out, index.Index)
		}
		if ctx.Err() != nil && start+batch < len(leaves) {
			return nil, context.Cause(ctx)
		}
	}
	return out, nil
}

// Size is how many leaves are durable.
func (l *Log) Size(ctx context.Context) (uint64, error) {
	size, err := l.reader.IntegratedSize(ctx)
	if err != nil {
		return 0, diskError(fmt.Errorf("reading the public log's size: %w", err))
	}
	return size, nil
}

// Checkpoint is the last one published. See ledger.PublicLog.
func (l *Log) Checkpoint(ctx context.Context, atLeast uint64) (ledger.Checkpoint, error) {
	for {
		raw, err := l.reader.ReadCheckpoint(ctx)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return ledger.Checkpoint{}, diskError(fmt.Errorf("reading the last checkpoint: %w", err))
		}
		if err == nil {
			cp, err := ledger.ParseCheckpoint(raw, l.key, l.seen...)
			if err != nil || cp.Size >= atLeast {
				return cp, err
			}
			l.clockSetBack()
		}
		select {
		case <-ctx.Done():
			return ledger.Checkpoint{}, context.Cause(ctx)
		case <-time.After(look):
		}
	}
}

// clockSetBack keeps publication going when the clock was set back: tessera
// holds a new checkpoint until the file of the last one is old enough, which
// a file from the future never is.
func (l *Log) clockSetBack() {
	name := filepath.Join(l.dir, "checkpoint")
	now := time.Now()
	if info, err := os.Stat(name); err == nil && info.ModTime().After(now.Add(time.Second)) {
		_ = os.Chtimes(name, now, now)
	}
}

// Close publishes a checkpoint for what was appended, ends the goroutines and
// lets go of the folder. It waits at most five seconds for the checkpoint;
// what no checkpoint covers yet will be covered after the next Open.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	ctx, cancel := context.WithTimeout(context.Background(), closing)
	defer cancel()
	l.clockSetBack()
	err := l.shutdown(ctx)
	if err != nil {
		err = diskError(fmt.Errorf("publishing the last checkpoint: %w", err))
	}
	l.stop()
	return errors.Join(err, l.lock.Close())
}

// diskError gives what a disk refuses a kind.
func diskError(err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return proofhouse.Errorf(proofhouse.Unavailable, err, "the disk is full: free some space; what waits for the public log goes in then")
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return proofhouse.Errorf(proofhouse.Unavailable, err, "the public log cannot be written: choose another folder or grant the right")
	}
	return err
}
