package vault

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// presence is this process's part in the lock of a folder: shared with all
// others that write there.
type presence struct {
	mu   sync.Mutex // guards what follows
	lock *os.File   // nil while this process has written nothing
}

// enter is called before something is written in dir. Who finds nobody there
// clears away what killed processes left, which sweep does.
func (p *presence) enter(dir string, sweep func() error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lock != nil {
		return nil
	}
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return diskError(err)
	}
	if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
		err = sweep()
	}
	if err := errors.Join(err, syscall.Flock(int(f.Fd()), syscall.LOCK_SH)); err != nil {
		f.Close()
		return diskError(err)
	}
	p.lock = f
	return nil
}

func (p *presence) leave() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lock == nil {
		return nil
	}
	err := p.lock.Close()
	p.lock = nil
	return err
}
