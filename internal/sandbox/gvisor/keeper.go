package gvisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// keeper is the house's end of a keeper process.
type keeper struct {
	cmd    *exec.Cmd
	socket *os.File
	pipes  []*os.File
	out    *json.Encoder // owned by whoever holds the keeper from the pool
	dead   chan struct{} // closed when the process is gone

	mu     sync.Mutex // guards the rest
	births map[string]chan notice
	boxes  map[string]chan struct{} // closed when the sentry has ended
	said   []byte                   // the last of its stderr
}

// newKeeper starts a keeper from an executable of the house.
func newKeeper(executable string) (*keeper, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("making a socket pair: %w", err)
	}
	if err := unix.SetNonblock(pair[0], true); err != nil {
		return nil, err
	}
	k := &keeper{
		socket: os.NewFile(uintptr(pair[0]), "keeper"),
		dead:   make(chan struct{}),
		births: map[string]chan notice{},
		boxes:  map[string]chan struct{}{},
	}
	k.out = json.NewEncoder(k.socket)
	theirs := os.NewFile(uintptr(pair[1]), "orders")
	defer theirs.Close()
	in, inW, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	inW.Close()
	errR, errW, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer errW.Close()
	k.cmd = &exec.Cmd{
		Path: executable, Args: []string{keeperName}, Dir: "/",
		Env:   []string{}, // nothing of ours, keys least of all
		Stdin: in, Stdout: errW, Stderr: errW,
		ExtraFiles: []*os.File{theirs},
		// A session of its own: Ctrl-C at the terminal is for the house to
		// answer in good order, not for the boxes.
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	if err := k.cmd.Start(); err != nil {
		k.socket.Close()
		errR.Close()
		return nil, fmt.Errorf("starting the keeper: %w", err)
	}
	k.pipes = []*os.File{errR}
	go k.listen()
	go k.hear(errR)
	return k, nil
}

// listen hands the keeper's notices to those who wait for them.
func (k *keeper) listen() {
	in := json.NewDecoder(k.socket)
	for {
		var n notice
		if in.Decode(&n) != nil {
			break
		}
		k.mu.Lock()
		if n.Exited {
			if ch, ok := k.boxes[n.ID]; ok {
				close(ch)
				delete(k.boxes, n.ID)
			}
		} else if ch, ok := k.births[n.ID]; ok {
			ch <- n // buffered
			delete(k.births, n.ID)
			if n.Error != "" {
				delete(k.boxes, n.ID)
			}
		}
		k.mu.Unlock()
	}
	_ = k.cmd.Process.Kill()
	_ = k.cmd.Wait()
	k.mu.Lock()
	defer k.mu.Unlock()
	for id, ch := range k.boxes { // its sentries died with it
		close(ch)
		delete(k.boxes, id)
	}
	close(k.dead)
}

// hear keeps the end of what the keeper says, for the operator.
func (k *keeper) hear(r io.Reader) {
	buf := make([]byte, 4096)
	for {
		n, err := r.Read(buf)
		k.mu.Lock()
		k.said = append(k.said, buf[:n]...)
		k.said = k.said[max(0, len(k.said)-4096):]
		k.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// start has the keeper start a sentry. The caller holds the keeper alone. When
// ctx ends, kill is called again and again until the keeper answers. The
// channel is closed when the sentry ends.
func (k *keeper) start(ctx context.Context, o order, kill func()) (pid int, ended <-chan struct{}, err error) {
	birth, gone := make(chan notice, 1), make(chan struct{})
	k.mu.Lock()
	k.births[o.ID], k.boxes[o.ID] = birth, gone
	k.mu.Unlock()
	if err := k.out.Encode(o); err != nil {
		k.forget(o.ID)
		return 0, nil, fmt.Errorf("asking the keeper: %w", err)
	}
	var n notice
	select {
	case n = <-birth:
	case <-k.dead:
		return 0, nil, errors.New("the keeper died: " + k.last())
	case <-ctx.Done():
		stop := repeat(kill)
		defer stop()
		select {
		case n = <-birth:
		case <-k.dead:
		}
		if n.Pid != 0 {
			select {
			case <-gone:
			case <-k.dead:
			}
		}
		k.forget(o.ID)
		return 0, nil, ctx.Err()
	}
	if n.Error != "" {
		return 0, nil, errors.New(n.Error + ": " + k.last())
	}
	return n.Pid, gone, nil
}

func (k *keeper) forget(id string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.births, id)
	delete(k.boxes, id)
}

func (k *keeper) last() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return strings.TrimSpace(string(k.said))
}

// close ends the keeper and with it every sentry of it.
func (k *keeper) close() {
	k.socket.Close()
	<-k.dead
	for _, p := range k.pipes {
		p.Close()
	}
}

func (k *keeper) isDead() bool {
	select {
	case <-k.dead:
		return true
	default:
		return false
	}
}

func (k *keeper) pid() int { return k.cmd.Process.Pid }

// repeat calls f every two milliseconds until the function it gives is called.
func repeat(f func()) (stop func()) {
	done, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		t := time.NewTicker(2 * time.Millisecond)
		defer t.Stop()
		for {
			f()
			select {
			case <-done:
				return
			case <-t.C:
			}
		}
	}()
	return func() { close(done); <-gone }
}
