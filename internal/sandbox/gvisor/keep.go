package gvisor

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/log"
	"gvisor.dev/gvisor/runsc/boot"
	"gvisor.dev/gvisor/runsc/sandbox"
	"gvisor.dev/gvisor/runsc/specutils"
)

// keep is the main function of a keeper: a process of its own that does
// nothing but start sentries, one at a time, and tell when they end.
//
// It exists because gVisor's library does to its caller what must not be done
// to a server: it hands the caller's standard descriptors to the first
// container and changes their owner, marks all descriptors, and on version 1
// joins the box's control groups. The keeper has pipes for its descriptors, no
// environment, and no secrets. The sentries are its children and die with it
// (PDEATHSIG); it dies with the house, whose end of the socket then closes.
func keep() {
	signal.Ignore(unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGPIPE)
	log.SetTarget(&log.GoogleEmitter{Writer: &log.Writer{Next: os.Stderr}})
	log.SetLevel(log.Warning)
	specutils.ExePath = "/proc/self/exe"

	socket := os.NewFile(3, "orders")
	k := &keeperState{out: json.NewEncoder(socket), byPid: map[int]string{}, ended: map[int]unix.WaitStatus{}}
	children := make(chan os.Signal, 1)
	signal.Notify(children, unix.SIGCHLD)
	go func() {
		for range children {
			k.reap()
		}
	}()

	orders := make(chan order)
	go func() {
		in := json.NewDecoder(socket)
		for {
			var o order
			if err := in.Decode(&o); err != nil {
				// The house is gone, or speaks nonsense: the boxes go too.
				status := 0
				if !errors.Is(err, io.EOF) {
					status = 1
				}
				os.Exit(status)
			}
			orders <- o
		}
	}()
	for o := range orders {
		k.forget()
		pid, err := start(o)
		if err != nil {
			k.tell(notice{ID: o.ID, Error: err.Error()})
			continue
		}
		k.born(pid, o.ID)
	}
}

// keeperState is shared by the loop of orders and the reaper.
type keeperState struct {
	mu    sync.Mutex // guards all fields
	out   *json.Encoder
	byPid map[int]string
	ended map[int]unix.WaitStatus // reaped before born was called
}

// forget drops what ended before the next start, whose process may get the
// number of one that is long gone.
func (k *keeperState) forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	clear(k.ended)
}

func (k *keeperState) tell(n notice) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.tellLocked(n)
}

func (k *keeperState) tellLocked(n notice) {
	if err := k.out.Encode(n); err != nil {
		os.Exit(1)
	}
}

func (k *keeperState) born(pid int, id string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.tellLocked(notice{ID: id, Pid: pid})
	if status, ok := k.ended[pid]; ok {
		k.tellLocked(notice{ID: id, Exited: true, Status: int(status)})
		return
	}
	k.byPid[pid] = id
}

func (k *keeperState) reap() {
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
		if err != nil || pid <= 0 {
			return
		}
		k.mu.Lock()
		if id, ok := k.byPid[pid]; ok {
			delete(k.byPid, pid)
			k.tellLocked(notice{ID: id, Exited: true, Status: int(status)})
		} else {
			k.ended[pid] = status
		}
		k.mu.Unlock()
	}
}

// start starts a sentry with its first container.
func start(o order) (pid int, err error) {
	if err := os.Chdir(o.Dir); err != nil { // keeps the control socket's path short
		return 0, err
	}
	conf, err := configOf(o.Flags)
	if err != nil {
		return 0, fmt.Errorf("parsing gVisor's flags: %w", err)
	}
	image, err := os.Open(o.Image)
	if err != nil {
		return 0, fmt.Errorf("opening the guest image: %w", err)
	}
	hints, err := boot.NewPodMountHints(o.Spec)
	if err != nil {
		return 0, err
	}
	var clone *os.File
	if o.Clone != "" {
		if clone, err = os.Open(o.Clone); err != nil {
			return 0, fmt.Errorf("opening the control group: %w", err)
		}
		defer clone.Close()
	}
	if err := join(o.Join); err != nil {
		return 0, fmt.Errorf("joining the control group: %w", err)
	}
	box, err := sandbox.New(conf, &sandbox.Args{
		ID: o.ID, Spec: o.Spec, BundleDir: o.Dir,
		IOFiles:           []*os.File{image},
		GoferMountConfs:   specutils.GoferMountConfFlags{rootConf},
		MountHints:        hints,
		CloneIntoCgroupFD: clone,
		Attached:          true,
	})
	if left := join(o.Leave); left != nil {
		// Staying in a box's group would kill the keeper with the box.
		os.Exit(1)
	}
	if err != nil {
		return 0, err
	}
	if err := box.StartRoot(conf, o.Spec); err != nil {
		_ = unix.Kill(box.Getpid(), unix.SIGKILL)
		return 0, err
	}
	return box.Getpid(), nil
}

// join moves this process into groups.
func join(files []string) error {
	for _, name := range files {
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = f.WriteString(strconv.Itoa(os.Getpid()))
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return nil
}
