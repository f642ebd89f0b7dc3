package bench

import (
	"context"
	"errors"
	"io"
	"iter"
	"os"
	"path/filepath"
	"time"

	"proofhouse/internal/proofhouse"
)

// watchEvery is how often Watch looks for new records.
const watchEvery = 100 * time.Millisecond

// Watch gives a run's records with a sequence number above after, first those
// that are there and then new ones as they come, until the run is finished or
// ctx ends. Who lost the connection goes on with the last number seen. It
// works from any process that can read the folder. The sequence ends with an
// error if there is one; ctx's is not given.
func Watch(ctx context.Context, folder string, after int64) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		tick := time.NewTicker(watchEvery)
		defer tick.Stop()
		w := &watcher{after: after, name: filepath.Join(folder, journalName), reader: newJournalReader(nil)}
		defer w.close()
		for {
			over, err := w.poll(func(rec Record) bool { return ctx.Err() == nil && yield(rec, nil) })
			if err != nil {
				yield(Record{}, err)
				return
			}
			if over {
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	}
}

// watcher reads a journal that somebody else appends to.
type watcher struct {
	name     string
	after    int64
	f        *os.File
	reader   *journalReader
	finished bool // the last record read was a finish
}

func (w *watcher) close() {
	if w.f != nil {
		w.f.Close()
	}
}

// poll gives what is new; over says that nothing more will come or is wanted.
func (w *watcher) poll(yield func(Record) bool) (over bool, err error) {
	if w.f == nil {
		f, err := os.Open(w.name)
		if errors.Is(err, os.ErrNotExist) {
			return false, nil // the run has not begun
		}
		if err != nil {
			return false, err
		}
		w.f = f
	}
	if info, err := w.f.Stat(); err != nil || info.Size() == w.reader.off {
		return w.finished, err
	}
	if _, err := w.f.Seek(w.reader.off, io.SeekStart); err != nil {
		return false, err
	}
	w.reader.r.Reset(w.f)
	for {
		rec, err := w.reader.next()
		if errors.Is(err, io.EOF) || errors.Is(err, errTorn) {
			return w.finished, nil // the rest is being written
		}
		if err != nil {
			// A frame may be half written while it is read: only one that stays
			// wrong is wrong.
			return w.again(yield, err)
		}
		w.finished = rec.Finish != nil
		if rec.Seq > w.after && !yield(rec) {
			return true, nil
		}
	}
}

// again reads a record that did not check out once more.
func (w *watcher) again(yield func(Record) bool, was error) (bool, error) {
	if proofhouse.KindOf(was) != proofhouse.Integrity {
		return false, was
	}
	time.Sleep(watchEvery)
	if _, err := w.f.Seek(w.reader.off, io.SeekStart); err != nil {
		return false, err
	}
	w.reader.r.Reset(w.f)
	rec, err := w.reader.next()
	if errors.Is(err, io.EOF) || errors.Is(err, errTorn) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	w.finished = rec.Finish != nil
	return rec.Seq > w.after && !yield(rec), nil
}
