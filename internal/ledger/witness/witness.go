// Package witness cosigns the checkpoints of logs that it knows, over HTTP as
// c2sp.org/tlog-witness says. A cosignature is the witness's word that the
// checkpoint goes on from every one that it cosigned before; the witness
// promises that through a kill -9 at any point, as long as its folder is not
// put back from an old copy. It holds no leaves, and what they mean is nothing
// to it. Run it where the log's operator has no say: beside the log it proves
// little.
package witness

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"proofhouse/internal/ledger"
	"proofhouse/internal/proofhouse"
)

const (
	stateFile = "state.json"
	keyName   = "witness"
)

// Witness cosigns. It is safe for concurrent use.
type Witness struct {
	dir  string
	name string
	key  *ledger.Key
	logs map[string]ledger.VerifierKey // by origin
	now  func() time.Time
	lock *os.File

	mu   sync.Mutex        // owns what follows, and the file
	last map[string]string // by origin: the last checkpoint cosigned, as a signed note
}

// Open takes hold of a witness's folder, or makes one with a new key. logs are
// those that it cosigns; now is its clock. A folder that another process holds
// is proofhouse.Conflict. One with a key and without its memory, or with a
// memory that was changed, is proofhouse.Integrity: such a witness could
// cosign a fork, so make a new one, in a new folder.
func Open(dir, name string, logs []ledger.VerifierKey, now func() time.Time) (_ *Witness, err error) {
	w := &Witness{dir: dir, name: name, logs: map[string]ledger.VerifierKey{}, now: now, last: map[string]string{}}
	for _, l := range logs {
		if l.IsWitness() {
			return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "%s is a witness's key: give the log's", l)
		}
		if _, twice := w.logs[l.Name()]; twice {
			return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "there are two keys for the log %s", l.Name())
		}
		w.logs[l.Name()] = l
	}
	if len(logs) == 0 {
		return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "a witness needs the key of a log")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, diskError(err)
	}
	if w.lock, err = os.OpenFile(filepath.Join(dir, "held.lock"), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return nil, diskError(err)
	}
	defer func() {
		if err != nil {
			w.lock.Close()
		}
	}()
	if err := syscall.Flock(int(w.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, proofhouse.Errorf(proofhouse.Conflict, err, "another process holds this witness's folder: stop it first")
	}
	if err := w.remember(); err != nil {
		return nil, err
	}
	if _, err := w.key.PublicKey().WitnessKey(name); err != nil {
		return nil, err
	}
	return w, nil
}

// remember reads the memory and the key. The memory is made before the key:
// a key without a memory is one that has cosigned and forgot.
func (w *Witness) remember() error {
	_, keyErr := os.Stat(filepath.Join(w.dir, keyName+".key"))
	raw, err := os.ReadFile(filepath.Join(w.dir, stateFile))
	switch {
	case errors.Is(err, fs.ErrNotExist) && errors.Is(keyErr, fs.ErrNotExist):
		err = w.write(w.last)
	case errors.Is(err, fs.ErrNotExist):
		return proofhouse.Errorf(proofhouse.Integrity, err, "this witness has lost the memory of what it cosigned, and could cosign a fork: make a new one in a new folder")
	case err == nil:
		if err := json.Unmarshal(raw, &w.last); err != nil {
			return forgot(err)
		}
		for origin, signed := range w.last {
			// A log that is no longer configured keeps its place in the memory.
			if log, ok := w.logs[origin]; ok {
				if _, err := ledger.ParseCheckpoint([]byte(signed), log); err != nil {
					return forgot(err)
				}
			}
		}
	}
	if err != nil {
		return diskError(err)
	}
	if errors.Is(keyErr, fs.ErrNotExist) {
		w.key, err = ledger.CreateKey(w.dir, keyName)
	} else {
		w.key, err = ledger.OpenKey(w.dir, keyName)
	}
	return err
}

func forgot(cause error) error {
	return proofhouse.Errorf(proofhouse.Integrity, cause, "this witness's memory was changed, and it could cosign a fork: make a new one in a new folder")
}

// Key is the witness's public key.
func (w *Witness) Key() ledger.VerifierKey {
	k, _ := w.key.PublicKey().WitnessKey(w.name) // Open saw that the name is good
	return k
}

// Close lets go of the folder.
func (w *Witness) Close() error { return w.lock.Close() }

// refusal is why a checkpoint is not cosigned.
type refusal struct {
	why    reason
	size   uint64 // with stale: of the last checkpoint cosigned
	public string
}

type reason int

const (
	malformed reason = iota
	unknownLog
	notSigned
	stale      // the old size is not that of the last checkpoint cosigned
	sameSize   // another tree of a size that was cosigned
	notProved  // the proof does not lead from the last to the new one
	diskFailed // the memory could not be written
)

func (r *refusal) Error() string { return r.public }

func refuse(why reason, format string, args ...any) *refusal {
	return &refusal{why: why, public: fmt.Sprintf(format, args...)}
}

// add is add-checkpoint: it checks that signed goes on from the last checkpoint
// of its log, and gives the cosignature's line.
func (w *Witness) add(ctx context.Context, old uint64, p ledger.Proof, signed []byte) (string, error) {
	claimed, err := ledger.ParseCheckpointText(textOf(signed))
	if err != nil {
		return "", refuse(malformed, "this is not a checkpoint")
	}
	log, ok := w.logs[claimed.Origin]
	if !ok {
		return "", refuse(unknownLog, "this witness does not know that log")
	}
	cp, err := ledger.ParseCheckpoint(signed, log)
	if err != nil {
		return "", refuse(notSigned, "the checkpoint is not signed by the log's key")
	}
	if old > cp.Size {
		return "", refuse(malformed, "the old size is larger than the checkpoint's")
	}

	// Checking and remembering are one step, or two requests could each check
	// against the same memory and both be cosigned.
	w.mu.Lock()
	defer w.mu.Unlock()
	last, known := ledger.Checkpoint{}, w.last[cp.Origin]
	if known != "" {
		if last, err = ledger.ParseCheckpoint([]byte(known), log); err != nil {
			return "", refuse(diskFailed, "the witness's memory is damaged")
		}
	}
	if old != last.Size {
		r := refuse(stale, "the last checkpoint cosigned has %d leaves", last.Size)
		r.size = last.Size
		return "", r
	}
	if known == "" && len(p) > 0 {
		return "", refuse(notProved, "the proof from 0 leaves is not empty")
	}
	if err := cp.Extends(last, p); known != "" && err != nil {
		if cp.Size != last.Size {
			slog.LogAttrs(ctx, slog.LevelError, "a checkpoint was refused: no proof that the log was not forked",
				slog.String("log", cp.Origin), slog.Uint64("size", cp.Size), slog.Uint64("cosigned", last.Size))
			return "", refuse(notProved, "%s", proofhouse.PublicOf(err))
		}
		if cp.Root == last.Root {
			return "", refuse(notProved, "%s", proofhouse.PublicOf(err))
		}
		slog.LogAttrs(ctx, slog.LevelError, "the log was forked: it signed two trees of the same size",
			slog.String("log", cp.Origin), slog.Uint64("size", cp.Size))
		w.keepEvidence(ctx, last, cp)
		return "", refuse(sameSize, "%s", proofhouse.PublicOf(err))
	}
	if last.Size != cp.Size || known == "" {
		// The memory is on the disk before there is a cosignature: a witness that
		// is killed between the two has cosigned less than it remembers.
		next := maps.Clone(w.last)
		next[cp.Origin] = string(cp.Note)
		if err := w.write(next); err != nil {
			slog.LogAttrs(ctx, slog.LevelError, "the witness's memory cannot be written", slog.Any("error", err))
			return "", refuse(diskFailed, "the witness's memory cannot be written")
		}
		w.last = next
	}
	return w.key.Cosign(w.name, textOf(cp.Note), w.now())
}

// textOf is what the signatures of a note are of: all before the empty line.
func textOf(signed []byte) []byte {
	for i := 1; i < len(signed); i++ {
		if signed[i] == '\n' && signed[i-1] == '\n' {
			return signed[:i]
		}
	}
	return signed
}

// write makes next the memory, durably on return.
func (w *Witness) write(next map[string]string) error {
	b, err := json.MarshalIndent(next, "", "  ")
	if err != nil {
		return err
	}
	return replace(filepath.Join(w.dir, stateFile), append(b, '\n'))
}

// keepEvidence keeps the two checkpoints that show a fork, the first time that
// size is seen: whoever has the log's key can check them.
func (w *Witness) keepEvidence(ctx context.Context, a, b ledger.Checkpoint) {
	name := filepath.Join(w.dir, fmt.Sprintf("fork-%d.txt", a.Size))
	if _, err := os.Stat(name); err == nil {
		return
	}
	if err := replace(name, append(append(append([]byte(nil), a.Note...), '\n'), b.Note...)); err != nil {
		slog.LogAttrs(ctx, slog.LevelError, "the evidence of a fork cannot be kept", slog.Any("error", err))
	}
}

// replace writes a file whole or not at all.
func replace(name string, b []byte) (err error) {
	f, err := os.OpenFile(name+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(name+".new", name); err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// diskError gives what a disk refuses a kind.
func diskError(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		return proofhouse.Errorf(proofhouse.Unavailable, err, "the witness's folder cannot be written: free some space, grant the right, or choose another")
	}
	return err
}
