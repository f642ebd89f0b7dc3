package bwrap

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
	"proofhouse/internal/sandbox/guest"
)

// grace is how long output may still come after a command has ended.
const grace = 100 * time.Millisecond

// tick is how often the CPU time of a bounded command is read.
const tick = 20 * time.Millisecond

// Exec runs a command in namespaces of its own over the box's files.
func (b *Box) Exec(ctx context.Context, cmd sandbox.Command) (sandbox.Result, error) {
	switch {
	case len(cmd.Argv) == 0 || !path.IsAbs(cmd.Argv[0]):
		return sandbox.Result{}, proofhouse.Errorf(proofhouse.Invalid, nil, "a command's first word must be an absolute path of the box")
	case slices.ContainsFunc(slices.Concat(cmd.Argv, cmd.Env, []string{cmd.Dir}), func(s string) bool { return strings.ContainsRune(s, 0) }):
		return sandbox.Result{}, proofhouse.Errorf(proofhouse.Invalid, nil, "a command's words may not hold a zero byte")
	case slices.ContainsFunc(cmd.Env, func(e string) bool { return strings.IndexByte(e, '=') < 1 }):
		return sandbox.Result{}, proofhouse.Errorf(proofhouse.Invalid, nil, "a command's environment must be of the form KEY=value")
	}
	if err := sandbox.CheckFiles(cmd.Files); err != nil {
		return sandbox.Result{}, err
	}
	for _, f := range cmd.Files {
		// The box could open such a file anew, for writing, through /proc.
		if st, err := f.Stat(); err != nil || st.Mode()&0o022 != 0 {
			return sandbox.Result{}, proofhouse.Errorf(proofhouse.Invalid, err, "a file for a command may be writable by its owner only")
		}
	}
	if err := ctx.Err(); err != nil {
		return sandbox.Result{}, err
	}
	ctx, leave, err := b.enter(ctx)
	if err != nil {
		return sandbox.Result{}, err
	}
	defer leave()
	b.tree.RLock()
	defer b.tree.RUnlock()
	return b.exec(ctx, cmd)
}

// run is one command under way.
type run struct {
	cmd    *exec.Cmd
	child  int      // the first process of its namespace, as the host sees it
	status *os.File // what the guest says of the command's end
	ended  chan error
}

func (b *Box) exec(ctx context.Context, cmd sandbox.Command) (res sandbox.Result, err error) {
	s, err := newStreams(cmd, b.spec.Limits.Output)
	if err != nil {
		return res, err
	}
	defer s.close()
	before, err := b.group.Usage()
	if err != nil {
		return res, err
	}
	b.mu.Lock()
	b.peak = max(b.peak, before.Peak)
	if len(b.running) == 1 {
		b.group.ResetPeak()
	}
	b.mu.Unlock()
	kills, err := b.group.OOMKills()
	if err != nil {
		return res, err
	}
	began := time.Now()
	r, err := b.birth(cmd, s)
	if err != nil {
		return res, err
	}
	defer r.status.Close()
	s.flow()

	bound, cause := b.watch(ctx, cmd, before.CPU, r)
	if bound != "" || cause != nil {
		r.kill()
	}
	err = <-r.ended
	res.Wall = time.Since(began)
	s.finish(&res)
	said, _ := io.ReadAll(io.LimitReader(r.status, 1024))
	after, uerr := b.group.Usage()
	if uerr == nil {
		res.CPU, res.PeakMemory = after.CPU-before.CPU, after.Peak
		b.mu.Lock()
		b.peak = max(b.peak, after.Peak)
		b.mu.Unlock()
	}
	res.Limit = bound
	if now, kerr := b.group.OOMKills(); kerr == nil && now > kills && cause == nil {
		res.Limit, res.Exit, res.Signal = sandbox.BoundMemory, -1, int(unix.SIGKILL)
		b.mu.Lock()
		b.dead = proofhouse.Errorf(proofhouse.Unavailable, nil, "the box has died of its memory limit: stop it and start another")
		b.mu.Unlock()
		return res, nil
	}
	if cause != nil {
		return res, cause
	}
	if bound != "" {
		res.Exit, res.Signal = -1, int(unix.SIGKILL)
		return res, nil
	}
	return b.outcome(cmd, res, string(said), err)
}

// outcome reads what the guest said: "exit N", "signal N" or "fail WHY". A
// program that killed the guest leaves bubblewrap's own status, which counts
// a signal from 128 on.
func (b *Box) outcome(cmd sandbox.Command, res sandbox.Result, said string, err error) (sandbox.Result, error) {
	word, rest, _ := strings.Cut(strings.TrimSpace(said), " ")
	n, nerr := strconv.Atoi(rest)
	switch {
	case word == "exit" && nerr == nil && n >= 0 && n < 256:
		res.Exit = n
		return res, nil
	case word == "signal" && nerr == nil && n > 0 && n < 65:
		res.Exit, res.Signal = -1, n
		return res, nil
	case word == "fail":
		return sandbox.Result{}, proofhouse.Errorf(proofhouse.NotFound, errors.New(rest), "%s cannot be run in the box: it is not there, or not a program", cmd.Argv[0])
	}
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || exit.ExitCode() == 1 {
		cause := fmt.Errorf("bubblewrap: %w: %s", err, res.Stderr.Head)
		if strings.Contains(string(res.Stderr.Head), "chdir") {
			return sandbox.Result{}, proofhouse.Errorf(proofhouse.NotFound, cause, "the box has no folder %s to run %s in", cmd.Dir, cmd.Argv[0])
		}
		return sandbox.Result{}, proofhouse.Errorf(proofhouse.Unavailable, cause, "bubblewrap could not set up a command: see the operator's log for its words")
	}
	res.Exit, res.Signal = -1, int(unix.SIGKILL)
	if code := exit.ExitCode(); code > 128 {
		res.Signal = code - 128
	}
	return res, nil
}

// watch waits for the command's end or for what cuts it short.
func (b *Box) watch(ctx context.Context, cmd sandbox.Command, before time.Duration, r *run) (sandbox.Bound, error) {
	var wall <-chan time.Time
	if cmd.Wall > 0 {
		t := time.NewTimer(cmd.Wall)
		defer t.Stop()
		wall = t.C
	}
	var beat <-chan time.Time
	if cmd.CPU > 0 {
		t := time.NewTicker(tick)
		defer t.Stop()
		beat = t.C
	}
	for {
		select {
		case err := <-r.ended:
			r.ended <- err
			return "", nil
		case <-ctx.Done():
			return "", context.Cause(ctx)
		case <-wall:
			return sandbox.BoundWall, nil
		case <-beat:
			if used, err := b.group.CPU(); err == nil && used-before > cmd.CPU {
				return sandbox.BoundCPU, nil
			}
		}
	}
}

// kill ends the first process of the command's namespace, and so all of it.
func (r *run) kill() {
	_ = unix.Kill(r.child, unix.SIGKILL)
	_ = r.cmd.Process.Kill()
}

// birth starts bubblewrap, which waits; puts it into the box's group; and lets
// it go on. The guest sets the limits of a process before it starts the
// command, and fails if one does not stick.
func (b *Box) birth(cmd sandbox.Command, s *streams) (_ *run, err error) {
	var mine []*os.File // this process's ends
	var theirs []*os.File
	defer func() {
		for _, f := range theirs {
			f.Close()
		}
		if err != nil {
			for _, f := range mine {
				f.Close()
			}
		}
	}()
	pipe := func(read bool) (*os.File, error) {
		r, w, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		if read {
			mine, theirs = append(mine, r), append(theirs, w)
			return r, nil
		}
		mine, theirs = append(mine, w), append(theirs, r)
		return w, nil
	}
	first := len(s.guest) // the next free descriptor
	status, err := pipe(true)
	if err != nil {
		return nil, err
	}
	info, err := pipe(true)
	if err != nil {
		return nil, err
	}
	gate, err := pipe(false)
	if err != nil {
		return nil, err
	}
	arguments := b.arguments(cmd, first)
	if b.p.fault.arguments != nil {
		arguments = b.p.fault.arguments(arguments)
	}
	for _, content := range [][]byte{b.p.filter, []byte(strings.Join(arguments, "\x00") + "\x00")} {
		f, err := memfile(content)
		if err != nil {
			return nil, err
		}
		theirs = append(theirs, f)
	}
	c := exec.Command(b.p.program, "--args", strconv.Itoa(first+4))
	c.Args = append(c.Args, "--", guest.Dir+"/"+guest.Name, "run", strconv.Itoa(first), strconv.Itoa(b.spec.Limits.Processes), strconv.Itoa(b.spec.Limits.Files))
	c.Args = append(c.Args, cmd.Argv...)
	c.Env = append([]string{}, b.p.fault.env...) // never nil, which would be this process's
	c.Dir = "/"
	c.Stdin, c.Stdout, c.Stderr = s.guest[0], s.guest[1], s.guest[2]
	c.ExtraFiles = append(append([]*os.File{}, s.guest[3:]...), theirs...)
	id := uint32(hostUser(cmd.User.UID))
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: id, Gid: id, Groups: []uint32{}}, Setpgid: true}

	if b.p.fault.root {
		c.SysProcAttr.Credential = nil
	}
	started := make(chan error)
	// The provider closes only after every box's commands have ended, so the
	// channel is open.
	b.p.start <- func() { started <- c.Start() }
	if err := <-started; err != nil {
		return nil, proofhouse.Errorf(proofhouse.Unavailable, err, "bubblewrap cannot be started: %s", howTo)
	}
	s.closeGuest()
	for _, f := range theirs {
		f.Close()
	}
	theirs = nil
	r := &run{cmd: c, status: status, ended: make(chan error, 1)}
	go func() { r.ended <- c.Wait() }() // Exec waits for it

	if err := b.confine(r, info, gate); err != nil {
		if r.child > 0 {
			_ = unix.Kill(r.child, unix.SIGKILL)
		}
		_ = c.Process.Kill()
		<-r.ended //nolint:errcheck // it was killed just now
		words := &sandbox.Result{}
		s.flow()
		s.finish(words)
		return nil, proofhouse.Errorf(proofhouse.Unavailable, fmt.Errorf("%w: %s", err, words.Stderr.Head), "a command cannot be held to its box: this machine may forbid user namespaces (sysctl kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns, user.max_user_namespaces)")
	}
	info.Close()
	return r, nil
}

// confine reads the waiting process's id, puts it into the group, and opens
// the gate.
func (b *Box) confine(r *run, info, gate *os.File) error {
	defer gate.Close()
	var told struct {
		PID int `json:"child-pid"`
	}
	if err := json.NewDecoder(io.LimitReader(info, 4096)).Decode(&told); err != nil || told.PID <= 1 {
		return fmt.Errorf("waiting for bubblewrap: %w", err)
	}
	r.child = told.PID
	for _, f := range b.group.Files() {
		for _, pid := range []int{r.cmd.Process.Pid, r.child} {
			if err := os.WriteFile(f, []byte(strconv.Itoa(pid)), 0); err != nil {
				return fmt.Errorf("joining the group: %w", err)
			}
		}
	}
	_, err := gate.Write([]byte("x"))
	return err
}

// arguments are bubblewrap's, handed over in a file so that the box's process
// list does not show them. first is the number of the status descriptor; info,
// gate and filter follow it.
func (b *Box) arguments(cmd sandbox.Command, first int) []string {
	fd := func(n int) string { return strconv.Itoa(first + n) }
	a := []string{
		"--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent", "--new-session", "--clearenv",
		"--uid", strconv.FormatUint(uint64(cmd.User.UID), 10), "--gid", strconv.FormatUint(uint64(cmd.User.GID), 10),
		"--hostname", "box", "--cap-drop", "ALL",
		"--info-fd", fd(1), "--block-fd", fd(2), "--seccomp", fd(3),
		"--bind", b.at("root"), "/", "--proc", "/proc", "--dev", "/dev",
	}
	for _, pl := range b.places() {
		kind := "--bind"
		if pl.readonly {
			kind = "--ro-bind"
		}
		a = append(a, kind, pl.host, pl.path)
	}
	a = append(a, "--remount-ro", "/dev")
	for _, e := range environment(cmd.Env) {
		k, v, _ := strings.Cut(e, "=")
		if k == "PWD" {
			k = guest.PWD // bubblewrap overwrites PWD
		}
		a = append(a, "--setenv", k, v)
	}
	dir := cmd.Dir
	if dir == "" {
		dir = "/tmp"
	}
	return append(a, "--chdir", dir)
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

// memfile is a file in memory that holds content, to be read from its start.
func memfile(content []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate("", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "memory")
	if _, err := f.Write(content); err != nil {
		f.Close()
		return nil, err
	}
	_, err = f.Seek(0, io.SeekStart)
	return f, err
}
