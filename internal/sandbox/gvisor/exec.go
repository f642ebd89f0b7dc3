package gvisor

import (
	"context"
	"errors"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/abi/linux"
	"gvisor.dev/gvisor/pkg/sentry/control"
	"gvisor.dev/gvisor/pkg/sentry/kernel/auth"

	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
)

// grace is how long output may still come after a command has ended: what its
// children that live on write later is not its output.
const grace = 100 * time.Millisecond

// tick is how often the CPU time of a bounded command is read.
const tick = 20 * time.Millisecond

// Exec runs a command in the work container.
func (b *Box) Exec(ctx context.Context, cmd sandbox.Command) (sandbox.Result, error) {
	if err := checkCommand(cmd); err != nil {
		return sandbox.Result{}, err
	}
	if err := b.alive(); err != nil {
		return sandbox.Result{}, err
	}
	if err := ctx.Err(); err != nil {
		return sandbox.Result{}, err
	}
	s, err := openStreams(cmd, b.spec.Limits.Output)
	if err != nil {
		return sandbox.Result{}, err
	}
	defer s.close()

	began := time.Now()
	b.mu.Lock()
	if len(b.running) == 0 {
		if u, err := b.group.Usage(); err == nil {
			b.peak = max(b.peak, u.Peak)
		}
		b.group.ResetPeak()
	}
	b.mu.Unlock()
	cpu, err := b.group.CPU()
	if err != nil {
		return sandbox.Result{}, b.broken(err)
	}
	work, pid, err := b.birth(cmd, s)
	if err != nil {
		return sandbox.Result{}, err
	}
	s.start()
	ended := make(chan error, 1)
	var status unix.WaitStatus
	go func() {
		var err error
		status, err = b.sentry.WaitPID(work, pid)
		ended <- err
	}()

	bound, cause, err := b.watch(ctx, cmd, cpu, ended)
	if bound != "" || cause != nil {
		if killed := b.kill(work, pid); killed == nil {
			err = <-ended
		} else if err == nil {
			err = killed
		}
	}
	b.mu.Lock()
	delete(b.running, pid)
	b.mu.Unlock()

	var res sandbox.Result
	res.Limit = bound
	s.finish(&res)
	res.Wall = time.Since(began)
	if u, uerr := b.group.Usage(); uerr == nil {
		res.CPU, res.PeakMemory = u.CPU-cpu, u.Peak
		b.mu.Lock()
		b.peak = max(b.peak, u.Peak)
		b.mu.Unlock()
	}
	if err != nil {
		return b.perished(res, err)
	}
	if cause != nil {
		return res, cause
	}
	switch {
	case status.Signaled():
		res.Exit, res.Signal = -1, int(status.Signal())
	default:
		res.Exit = status.ExitStatus()
	}
	return res, nil
}

// birth starts the command's process and enters it among the running.
func (b *Box) birth(cmd sandbox.Command, s *streams) (work string, pid int32, err error) {
	b.tree.RLock()
	defer b.tree.RUnlock()
	dir := cmd.Dir
	if dir == "" {
		dir = "/tmp"
	}
	caps := &auth.TaskCapabilities{}
	if cmd.User.UID == 0 {
		set := auth.CapabilitySetOfMany(rootCapabilities)
		caps = &auth.TaskCapabilities{PermittedCaps: set, EffectiveCaps: set, BoundingCaps: set}
	}
	pid, err = b.sentry.Execute(b.p.conf, &control.ExecArgs{
		Argv: cmd.Argv, Envv: environment(cmd.Env), WorkingDirectory: dir,
		KUID: auth.KUID(cmd.User.UID), KGID: auth.KGID(cmd.User.GID),
		NoNewPrivileges: true, Capabilities: caps, ContainerID: b.work,
		FilePayload: control.NewFilePayload(s.guest, nil),
	})
	s.closeGuest()
	if err != nil {
		if end := b.alive(); end != nil {
			return "", 0, end
		}
		// The library gives the guest's error as text only.
		for _, hint := range []string{"no such file or directory", "permission denied", "not a directory", "exec format error", "invalid argument", "argument list too long"} {
			if strings.Contains(err.Error(), hint) {
				return "", 0, proofhouse.Errorf(proofhouse.NotFound, err, "%s cannot be run in the box in %s: %s", cmd.Argv[0], dir, hint)
			}
		}
		return "", 0, b.broken(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.running[pid] = true
	return b.work, pid, nil
}

// rootCapabilities are what the box's root needs to look after files of any
// owner. Those that reach the sentry's network, devices, mounts or other
// processes are not among them.
var rootCapabilities = []linux.Capability{
	linux.CAP_CHOWN, linux.CAP_DAC_OVERRIDE, linux.CAP_FOWNER, linux.CAP_FSETID, linux.CAP_SETGID, linux.CAP_SETUID,
}

// environment adds what a program may count on.
func environment(env []string) []string {
	env = slices.Clone(env)
	for _, d := range []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/tmp", "LANG=C.UTF-8"} {
		name, _, _ := strings.Cut(d, "=")
		if !slices.ContainsFunc(env, func(e string) bool { return strings.HasPrefix(e, name+"=") }) {
			env = append(env, d)
		}
	}
	return env
}

// watch waits for the command's end, or for what cuts it short.
func (b *Box) watch(ctx context.Context, cmd sandbox.Command, cpu time.Duration, ended <-chan error) (bound sandbox.Bound, cause, err error) {
	var wall, ticks <-chan time.Time
	if cmd.Wall > 0 {
		t := time.NewTimer(cmd.Wall)
		defer t.Stop()
		wall = t.C
	}
	if cmd.CPU > 0 {
		t := time.NewTicker(tick)
		defer t.Stop()
		ticks = t.C
	}
	for {
		select {
		case err := <-ended:
			return "", nil, err
		case <-ctx.Done():
			return "", ctx.Err(), nil
		case <-wall:
			return sandbox.BoundWall, nil, nil
		case <-ticks:
			if now, err := b.group.CPU(); err == nil && now-cpu > cmd.CPU {
				return sandbox.BoundCPU, nil, nil
			}
		}
	}
}

// perished tells a box that its memory limit ended from one that ended
// otherwise.
func (b *Box) perished(res sandbox.Result, cause error) (sandbox.Result, error) {
	select {
	case <-b.ended:
	case <-b.keeper.dead:
	case <-time.After(time.Second):
	}
	b.mu.Lock()
	stopped := b.stopped
	b.mu.Unlock()
	if n, err := b.group.OOMKills(); err == nil && n > 0 && !stopped {
		res.Exit, res.Signal, res.Limit = -1, int(unix.SIGKILL), sandbox.BoundMemory
		return res, nil
	}
	return res, b.broken(cause)
}

// kill ends every process of a command. The container is stopped whole first,
// which nothing in it can resist or outrun, then all its processes are killed
// but the one that waits and those that descend from other running commands.
// An orphan cannot be told from one of another command's, and goes too.
func (b *Box) kill(work string, pid int32) error {
	b.tree.Lock()
	defer b.tree.Unlock()
	if b.work != work {
		return nil // Reset took it
	}
	for range 100 {
		if err := b.sentry.SignalContainer(work, unix.SIGSTOP, true); err != nil {
			return b.broken(err)
		}
		list, err := b.sentry.Processes(work)
		if err != nil {
			return b.broken(err)
		}
		b.mu.Lock()
		victims := victims(list, pid, b.running)
		b.mu.Unlock()
		for _, v := range victims {
			_ = b.sentry.SignalProcess(work, v, unix.SIGKILL, false) // it may just have ended
		}
		if err := b.sentry.SignalContainer(work, unix.SIGCONT, true); err != nil {
			return b.broken(err)
		}
		if len(victims) == 0 {
			return nil
		}
		time.Sleep(2 * time.Millisecond)
	}
	return proofhouse.Errorf(proofhouse.Internal, nil, "processes of a command do not die")
}

// victims are the processes of list to kill so that nothing of the command pid
// is left. running are the first processes of all commands.
func victims(list []*control.Process, pid int32, running map[int32]bool) []int32 {
	parent := map[int32]int32{}
	for _, p := range list {
		parent[int32(p.PID)] = int32(p.PPID)
	}
	var out []int32
	for _, p := range list {
		spared := p.UID == keeperUser
		for id, hops := int32(p.PID), 0; id != 0 && hops <= len(list); id, hops = parent[id], hops+1 {
			if id == pid {
				spared = false
				break
			}
			if running[id] {
				spared = true
				break
			}
		}
		if !spared {
			out = append(out, int32(p.PID))
		}
	}
	return out
}

// checkCommand refuses what cannot be run as asked.
func checkCommand(cmd sandbox.Command) error {
	if len(cmd.Argv) == 0 || !path.IsAbs(cmd.Argv[0]) {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "a command needs the absolute path of a program of the box")
	}
	if cmd.Dir != "" && !path.IsAbs(cmd.Dir) {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "a command's folder must be absolute, not %q", cmd.Dir)
	}
	if cmd.User.UID == keeperUser {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "the user %d is the box's own", keeperUser)
	}
	for _, e := range cmd.Env {
		if name, _, ok := strings.Cut(e, "="); !ok || name == "" {
			return proofhouse.Errorf(proofhouse.Invalid, nil, "%q is no environment variable: write KEY=value", e)
		}
	}
	return sandbox.CheckFiles(cmd.Files)
}

// streams are a command's pipes.
type streams struct {
	guest  map[int]*os.File // the box's ends, by descriptor
	in     *os.File         // our end of stdin, or nil
	out    []*os.File       // our ends of stdout, stderr, report
	sinks  []io.Writer
	stdout *sandbox.Capture
	stderr *sandbox.Capture
	stdin  io.Reader
	done   chan struct{} // one for each of out
}

func openStreams(cmd sandbox.Command, limit int64) (_ *streams, err error) {
	s := &streams{guest: map[int]*os.File{}, stdin: cmd.Stdin, done: make(chan struct{}, 3)}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	s.guest[0], s.in = r, w
	tail := sandbox.Share(cmd.Tail)
	s.stdout = &sandbox.Capture{Max: limit, Pass: tail}
	s.stderr = &sandbox.Capture{Max: limit, Pass: tail}
	add := func(fd int, sink io.Writer) error {
		r, w, err := os.Pipe()
		if err != nil {
			return err
		}
		s.guest[fd] = w
		s.out, s.sinks = append(s.out, r), append(s.sinks, sink)
		return nil
	}
	if err := errors.Join(add(1, s.stdout), add(2, s.stderr)); err != nil {
		return nil, err
	}
	for i, f := range cmd.Files {
		// A duplicate, so that closeGuest leaves the caller's open.
		fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			return nil, err
		}
		s.guest[3+i] = os.NewFile(uintptr(fd), f.Name())
	}
	if cmd.Report != nil {
		return s, add(3+len(cmd.Files), sandbox.First(cmd.Report, cmd.ReportMax))
	}
	return s, nil
}

// start lets the streams flow.
func (s *streams) start() {
	if s.stdin == nil {
		s.in.Close()
	} else {
		go func() {
			// A stdin that blocks for ever keeps only this goroutine; a
			// command that does not read ends the copy when it ends.
			_, _ = io.Copy(s.in, s.stdin)
			s.in.Close()
		}()
	}
	for i, r := range s.out {
		go func() {
			_, _ = io.Copy(s.sinks[i], r) // ends with the pipe or its deadline
			s.done <- struct{}{}
		}()
	}
}

// finish waits for what the command wrote and stops listening.
func (s *streams) finish(res *sandbox.Result) {
	deadline := time.Now().Add(grace)
	for _, r := range s.out {
		_ = r.SetReadDeadline(deadline)
	}
	for range s.out {
		<-s.done
	}
	res.Stdout, res.Stderr = s.stdout.Output(), s.stderr.Output()
}

func (s *streams) closeGuest() {
	for _, f := range s.guest {
		f.Close()
	}
}

func (s *streams) close() {
	s.closeGuest()
	if s.in != nil {
		s.in.Close()
	}
	for _, r := range s.out {
		r.Close()
	}
}
