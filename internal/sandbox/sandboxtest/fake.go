package sandboxtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
)

// Func is a program of a Fake: it does what the command asks in the process's
// view of the box and gives the exit status. It must return soon after
// p.Context ends.
type Func func(p *Process) int

// Fake is a provider in memory. Its boxes hold files as their images and
// programs made them; its programs are Go functions. It holds no limit but
// those on output, wall time and listings, and isolates nothing. It is safe
// for concurrent use.
type Fake struct {
	// Programs by path in the box. Set before the first Start.
	Programs map[string]Func
	// StartError, if set, is what Start gives for a spec.
	StartError func(sandbox.Spec) error
	// Report, if set, is what boxes' probes give.
	Report func(canaries []sandbox.Canary) sandbox.ProbeReport

	mu     sync.Mutex // guards the rest
	closed bool
	boxes  map[*fakeBox]bool
}

// Process is a command that runs in a Fake's box.
type Process struct {
	Context        context.Context
	Argv, Env      []string
	Dir            string
	User           sandbox.User
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Report         io.Writer // never nil
	Files          []*os.File
	Signal         int // set by the program to end by a signal

	box *fakeBox
}

// ReadFile reads a file of the box, links followed.
func (p *Process) ReadFile(name string) ([]byte, error) { return p.box.read(name) }

// WriteFile writes a file of the box as the process's user.
func (p *Process) WriteFile(name string, b []byte) error {
	return p.box.write(name, b, 0o644, p.User)
}

// Mkdir makes a folder of the box and its parents.
func (p *Process) Mkdir(name string) error { return p.box.mkdir(name, p.User) }

// Symlink makes a link.
func (p *Process) Symlink(target, name string) error {
	return p.box.put(name, &node{Entry: sandbox.Entry{Mode: fs.ModeSymlink | 0o777, Link: target, UID: p.User.UID, Size: int64(len(target))}}, p.User)
}

// node is a file, folder or link of a fake box.
type node struct {
	sandbox.Entry
	data     []byte
	readOnly bool // of a mount
}

type fakeBox struct {
	fake *Fake
	id   string
	spec sandbox.Spec
	life context.Context
	end  context.CancelCauseFunc

	mu    sync.Mutex // guards the rest
	nodes map[string]*node
	start map[string]node // for Reset
	work  context.Context // of the commands until the next Reset
	kill  context.CancelFunc
}

// Name is "fake".
func (f *Fake) Name() string { return "fake" }

// Strength is sandbox.None.
func (f *Fake) Strength() sandbox.Strength { return sandbox.None }

// Start makes a box.
func (f *Fake) Start(ctx context.Context, spec sandbox.Spec) (sandbox.Box, error) {
	spec.Limits = spec.Limits.Or(sandbox.DefaultLimits)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := checkFake(spec); err != nil {
		return nil, err
	}
	if f.StartError != nil {
		if err := f.StartError(spec); err != nil {
			return nil, err
		}
	}
	b := &fakeBox{fake: f, id: "fake-" + proofhouse.Token(5), spec: spec, nodes: map[string]*node{}}
	b.life, b.end = context.WithCancelCause(context.Background())
	b.work, b.kill = context.WithCancel(b.life)
	if err := b.load(spec.Root, "/", false); err != nil {
		return nil, err
	}
	for _, m := range spec.Mounts {
		if err := b.load(m.Image, m.Path, true); err != nil {
			return nil, err
		}
	}
	for _, dir := range append([]string{"/tmp", "/dev/shm"}, spec.Writable...) {
		if err := b.mkdir(dir, sandbox.User{}); err != nil {
			return nil, err
		}
		b.nodes[dir].Mode = fs.ModeDir | fs.ModeSticky | 0o777
	}
	b.start = map[string]node{}
	for name, n := range b.nodes {
		b.start[name] = *n
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, proofhouse.Errorf(proofhouse.Conflict, nil, "the sandbox is closed")
	}
	if f.boxes == nil {
		f.boxes = map[*fakeBox]bool{}
	}
	f.boxes[b] = true
	return b, nil
}

func checkFake(s sandbox.Spec) error {
	l, taken := s.Limits, map[string]bool{"/": true, "/proc": true, "/sys": true, "/dev": true}
	bad := s.Root.Path == "" || s.Network != "" && s.Network != sandbox.NoNetwork ||
		l.Memory < 1 || l.CPU <= 0 || l.Disk < 1 || l.Output < 1 || l.Files < 1 || l.Processes < 1
	places := slices.Clone(s.Writable)
	for _, m := range s.Mounts {
		bad = bad || m.Image.Path == ""
		places = append(places, m.Path)
	}
	for _, p := range places {
		bad = bad || !path.IsAbs(p) || path.Clean(p) != p || taken[p]
		taken[p] = true
	}
	if bad {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "this box cannot be held")
	}
	return nil
}

// Close stops every box.
func (f *Fake) Close() error {
	f.mu.Lock()
	f.closed = true
	boxes := f.boxes
	f.boxes = nil
	f.mu.Unlock()
	for b := range boxes {
		b.end(errStopped)
	}
	return nil
}

var errStopped = proofhouse.Errorf(proofhouse.Conflict, nil, "the box is stopped")

// load lays an image into the box at a path.
func (b *fakeBox) load(img sandbox.Image, at string, readOnly bool) error {
	tree, f, err := img.FS()
	if err != nil {
		return err
	}
	defer f.Close()
	return fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		n := &node{Entry: sandbox.Entry{Path: path.Join(at, name), Mode: info.Mode(), Size: info.Size()}, readOnly: readOnly}
		switch {
		case d.Type() == fs.ModeSymlink:
			n.Link, err = fs.ReadLink(tree, name)
		case d.Type().IsRegular():
			n.data, err = fs.ReadFile(tree, name)
		}
		b.nodes[n.Path] = n
		return err
	})
}

// find follows links in every part of name.
func (b *fakeBox) find(name string) *node {
	for range 40 {
		n := b.nodes[path.Clean(name)]
		if n != nil && n.Mode&fs.ModeSymlink == 0 {
			return n
		}
		moved := false
		parts := strings.Split(strings.Trim(path.Clean(name), "/"), "/")
		for i := range parts {
			prefix := "/" + path.Join(parts[:i+1]...)
			if l := b.nodes[prefix]; l != nil && l.Mode&fs.ModeSymlink != 0 {
				target := l.Link
				if !path.IsAbs(target) {
					target = path.Join(path.Dir(prefix), target)
				}
				name, moved = path.Join(append([]string{target}, parts[i+1:]...)...), true
				break
			}
		}
		if !moved {
			return n
		}
	}
	return nil
}

func (b *fakeBox) read(name string) ([]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.find(name)
	if n == nil {
		return nil, fs.ErrNotExist
	}
	return bytes.Clone(n.data), nil
}

func (b *fakeBox) write(name string, data []byte, mode fs.FileMode, u sandbox.User) error {
	b.mu.Lock()
	if n := b.find(name); n != nil {
		name, mode = n.Path, n.Mode
	}
	b.mu.Unlock()
	return b.put(name, &node{Entry: sandbox.Entry{Mode: mode, Size: int64(len(data)), UID: u.UID}, data: bytes.Clone(data)}, u)
}

func (b *fakeBox) mkdir(name string, u sandbox.User) error {
	for _, dir := range parents(path.Join(name, "x")) {
		b.mu.Lock()
		have := b.nodes[dir] != nil
		b.mu.Unlock()
		if have {
			continue
		}
		if err := b.put(dir, &node{Entry: sandbox.Entry{Mode: fs.ModeDir | 0o755, UID: u.UID}}, u); err != nil {
			return err
		}
	}
	return nil
}

// parents are the folders above a path, from the root down.
func parents(name string) []string {
	var all []string
	for dir := path.Dir(name); dir != "/" && dir != "."; dir = path.Dir(dir) {
		all = append(all, dir)
	}
	slices.Reverse(all)
	return all
}

// put enters a node where the user may write.
func (b *fakeBox) put(name string, n *node, u sandbox.User) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	name = path.Clean(name)
	old, dir := b.nodes[name], b.nodes[path.Dir(name)]
	switch {
	case old != nil && (old.readOnly || u.UID != 0 && old.UID != u.UID):
		return fs.ErrPermission
	case old != nil && old.Mode.IsRegular(): // its folder does not change
	case dir == nil && path.Dir(name) != "/":
		return fs.ErrNotExist
	case dir != nil && (dir.readOnly || u.UID != 0 && dir.UID != u.UID && dir.Mode.Perm()&0o002 == 0):
		return fs.ErrPermission
	}
	n.Path = name
	b.nodes[name] = n
	return nil
}

// ID is the box's name.
func (b *fakeBox) ID() string { return b.id }

// Exec calls the program.
func (b *fakeBox) Exec(ctx context.Context, cmd sandbox.Command) (sandbox.Result, error) {
	if len(cmd.Argv) == 0 || !path.IsAbs(cmd.Argv[0]) {
		return sandbox.Result{}, proofhouse.Errorf(proofhouse.Invalid, nil, "a command needs an absolute path")
	}
	if err := errors.Join(sandbox.CheckFiles(cmd.Files), context.Cause(b.life), ctx.Err()); err != nil {
		return sandbox.Result{}, err
	}
	program := b.fake.Programs[cmd.Argv[0]]
	if program == nil {
		return sandbox.Result{}, proofhouse.Errorf(proofhouse.NotFound, nil, "%s is not in the box", cmd.Argv[0])
	}
	b.mu.Lock()
	work := b.work
	b.mu.Unlock()
	running, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(work, cancel)()
	var wall <-chan time.Time
	if cmd.Wall > 0 {
		t := time.NewTimer(cmd.Wall)
		defer t.Stop()
		wall = t.C
	}
	tail := sandbox.Share(cmd.Tail)
	out := &sandbox.Capture{Max: b.spec.Limits.Output, Pass: tail}
	errs := &sandbox.Capture{Max: b.spec.Limits.Output, Pass: tail}
	p := &Process{
		Context: running, Argv: cmd.Argv, Env: fakeEnv(cmd.Env), Dir: cmd.Dir, User: cmd.User,
		Stdin: cmd.Stdin, Stdout: out, Stderr: errs, Report: io.Discard, Files: cmd.Files, box: b,
	}
	if p.Dir == "" {
		p.Dir = "/tmp"
	}
	if p.Stdin == nil {
		p.Stdin = strings.NewReader("")
	}
	if cmd.Report != nil {
		p.Report = sandbox.First(cmd.Report, cmd.ReportMax)
	}
	began := time.Now()
	var res sandbox.Result
	var cause error
	done := make(chan int, 1)
	go func() { done <- program(p) }()
	select {
	case res.Exit = <-done:
	case <-wall:
		res.Limit, cause = sandbox.BoundWall, nil
		cancel()
		<-done
	case <-running.Done():
		cause = errors.Join(context.Cause(b.life), ctx.Err())
		<-done
	}
	if cause == nil {
		cause = context.Cause(b.life)
	}
	if p.Signal != 0 || res.Limit != "" {
		res.Exit, res.Signal = -1, max(p.Signal, 0)
	}
	res.Stdout, res.Stderr, res.Wall = out.Output(), errs.Output(), time.Since(began)
	return res, cause
}

func fakeEnv(env []string) []string {
	env = slices.Clone(env)
	for _, d := range []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/tmp", "LANG=C.UTF-8"} {
		name, _, _ := strings.Cut(d, "=")
		if !slices.ContainsFunc(env, func(e string) bool { return strings.HasPrefix(e, name+"=") }) {
			env = append(env, d)
		}
	}
	return env
}

// lookup finds a path without following links: none may be on the way.
func (b *fakeBox) lookup(name string) (*node, error) {
	if !path.IsAbs(name) || path.Clean(name) != name {
		return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "%q is no clean absolute path", name)
	}
	for _, dir := range parents(name) {
		if n := b.nodes[dir]; n != nil && !n.Mode.IsDir() {
			return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "%q has a link on its way", name)
		}
	}
	n := b.nodes[name]
	if n == nil {
		return nil, proofhouse.Errorf(proofhouse.NotFound, nil, "the box has no such file")
	}
	return n, nil
}

// CopyIn writes a file.
func (b *fakeBox) CopyIn(ctx context.Context, name string, r io.Reader, mode fs.FileMode) error {
	if err := errors.Join(context.Cause(b.life), ctx.Err()); err != nil {
		return err
	}
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	b.mu.Lock()
	_, err = b.lookup(name)
	b.mu.Unlock()
	if err != nil && proofhouse.KindOf(err) != proofhouse.NotFound {
		return err
	}
	if err := b.mkdir(path.Dir(name), sandbox.User{}); err != nil {
		return err
	}
	return b.put(name, &node{
		Entry: sandbox.Entry{Mode: mode.Perm(), Size: int64(len(data)), UID: sandbox.Nobody.UID}, data: data,
	}, sandbox.User{})
}

// CopyOut reads a file.
func (b *fakeBox) CopyOut(ctx context.Context, name string, w io.Writer, max int64) error {
	if err := errors.Join(context.Cause(b.life), ctx.Err()); err != nil {
		return err
	}
	b.mu.Lock()
	n, err := b.lookup(name)
	b.mu.Unlock()
	switch {
	case err != nil:
		return err
	case !n.Mode.IsRegular():
		return proofhouse.Errorf(proofhouse.Invalid, nil, "%q is not a regular file", name)
	case n.Size > max:
		return proofhouse.Errorf(proofhouse.Limit, nil, "the box holds more than may be read")
	}
	_, err = w.Write(n.data)
	return err
}

// List lists a folder.
func (b *fakeBox) List(ctx context.Context, dir string, max int) ([]sandbox.Entry, error) {
	if err := errors.Join(context.Cause(b.life), ctx.Err()); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if dir != "/" {
		if _, err := b.lookup(dir); err != nil {
			return nil, err
		}
	}
	var all []sandbox.Entry
	for name, n := range b.nodes {
		if name != dir && name != "/" && strings.HasPrefix(name, strings.TrimSuffix(dir, "/")+"/") {
			all = append(all, n.Entry)
		}
	}
	if len(all) > max {
		return nil, proofhouse.Errorf(proofhouse.Limit, nil, "the box holds more than may be read")
	}
	slices.SortFunc(all, func(x, y sandbox.Entry) int { return strings.Compare(x.Path, y.Path) })
	return all, nil
}

// Reset ends the commands and restores the files of the start.
func (b *fakeBox) Reset(ctx context.Context) error {
	if err := errors.Join(context.Cause(b.life), ctx.Err()); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.kill()
	b.work, b.kill = context.WithCancel(b.life)
	b.nodes = map[string]*node{}
	for name, n := range b.start {
		b.nodes[name] = &n
	}
	return nil
}

// Usage is nothing.
func (b *fakeBox) Usage() (sandbox.Usage, error) { return sandbox.Usage{}, context.Cause(b.life) }

// Probe gives the Fake's report, or that of a contained box.
func (b *fakeBox) Probe(ctx context.Context, canaries []sandbox.Canary) (sandbox.ProbeReport, error) {
	if err := errors.Join(context.Cause(b.life), ctx.Err()); err != nil {
		return sandbox.ProbeReport{}, err
	}
	if b.fake.Report != nil {
		return b.fake.Report(canaries), nil
	}
	r := sandbox.ProbeReport{Interfaces: []string{"lo 127.0.0.1/8"}, Kernel: "fake"}
	for _, c := range canaries {
		r.Canaries = append(r.Canaries, sandbox.CanaryResult{Name: c.Name, Error: "a fake reaches nothing"})
	}
	return r, nil
}

// Stop ends the box.
func (b *fakeBox) Stop() error {
	b.end(errStopped)
	b.fake.mu.Lock()
	defer b.fake.mu.Unlock()
	delete(b.fake.boxes, b)
	return nil
}

// FakeProgram is Program as a Func, as far as the conformance suite asks a
// simulation for it.
func FakeProgram(p *Process) int {
	fail := func(err error) int {
		if err != nil {
			fmt.Fprintln(p.Stderr, err)
			return 1
		}
		return 0
	}
	args := p.Argv[2:]
	switch p.Argv[1] {
	case "true":
		return 0
	case "exit":
		var n int
		_, err := fmt.Sscan(args[0], &n)
		return n + fail(err)
	case "signal":
		_, err := fmt.Sscan(args[0], &p.Signal)
		return fail(err)
	case "echo":
		fmt.Fprintln(p.Stdout, strings.Join(args, " "))
	case "stderr":
		fmt.Fprintln(p.Stderr, strings.Join(args, " "))
	case "env":
		fmt.Fprintln(p.Stdout, strings.Join(p.Env, "\n"))
	case "id":
		fmt.Fprintln(p.Stdout, p.User.UID, p.User.GID)
	case "pwd":
		fmt.Fprintln(p.Stdout, p.Dir)
	case "sleep":
		d, err := time.ParseDuration(args[0])
		if err != nil {
			return fail(err)
		}
		select {
		case <-time.After(d):
		case <-p.Context.Done():
		}
	case "cat":
		if len(args) == 0 {
			_, err := io.Copy(p.Stdout, p.Stdin)
			return fail(err)
		}
		var fd int
		if _, err := fmt.Sscanf(args[0], "/dev/fd/%d", &fd); err == nil && fd-3 < len(p.Files) {
			_, err := io.Copy(p.Stdout, io.NewSectionReader(p.Files[fd-3], 0, 1<<20))
			return fail(err)
		}
		b, err := p.ReadFile(args[0])
		_, _ = p.Stdout.Write(b)
		return fail(err)
	case "fd":
		_, err := io.Copy(p.Stdout, io.NewSectionReader(p.Files[0], 0, 1<<20))
		return fail(err)
	case "report":
		_, err := io.WriteString(p.Report, args[1])
		return fail(err)
	case "write":
		return fail(p.WriteFile(args[0], []byte(args[1])))
	case "mkdir":
		return fail(p.Mkdir(args[0]))
	case "symlink":
		return fail(p.Symlink(args[0], args[1]))
	default:
		return 99
	}
	return 0
}
