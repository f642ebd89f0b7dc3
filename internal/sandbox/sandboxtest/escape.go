package sandboxtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	erofs "github.com/erofs/go-erofs"
	"golang.org/x/sys/unix"

	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
)

// Jail is a provider that is held to the escape suite.
type Jail struct {
	Open func(t *testing.T) sandbox.Provider
	// OwnKernel says that a box has a kernel of its own, in which a user
	// namespace and the calls of Weak providers' filters are harmless.
	OwnKernel bool
}

// Escape tries the usual ways out of a box, as Nobody and as the box's root,
// and fails for each that leads anywhere.
func Escape(t *testing.T, j Jail) {
	for _, a := range escapes {
		t.Run(a.name, func(t *testing.T) {
			for _, found := range Escapes(t, j, a.name) {
				t.Error(found)
			}
		})
	}
}

// emulated are what a box with a kernel of its own may reach, because the
// thing is that kernel's and not the host's.
var emulated = []string{
	": /proc/sysrq-trigger opens for writing",                // gVisor's does nothing
	": /proc/sys/kernel/yama/ptrace_scope opens for writing", // bounds tracing within the box
	": device /dev/fuse (10:229) opens",                      // file systems of the box's own
	": device /dev/net/tun (10:200) opens",                   // interfaces of the box's own
	": chmod of a donated file",                              // kept by gVisor; the host's file is compared afterwards
	": chown of a donated file",
	": a user namespace",
}

// Escapes tries one way, by the name of Escape's subtest, and says what it
// reached. So a test can plant a fault and see that the suite finds it.
func Escapes(t *testing.T, j Jail, name string) []string {
	t.Helper()
	for _, a := range escapes {
		if a.name == name {
			w := newWarden(t, j)
			a.try(t, w)
			if !j.OwnKernel {
				return w.found
			}
			return slices.DeleteFunc(w.found, func(f string) bool {
				return slices.ContainsFunc(emulated, func(e string) bool { return strings.HasSuffix(f, e) })
			})
		}
	}
	t.Fatalf("the suite has no %q", name)
	return nil
}

var escapes = []struct {
	name string
	try  func(*testing.T, *warden)
}{
	{"mounts", func(t *testing.T, w *warden) { w.both(t, "mounts") }},
	{"kernel files", func(t *testing.T, w *warden) { w.both(t, "kernel") }},
	{"device nodes", func(t *testing.T, w *warden) { w.both(t, "devices") }},
	{"control groups", func(t *testing.T, w *warden) { w.both(t, "cgroups") }},
	{"files by number", func(t *testing.T, w *warden) { w.both(t, "handles") }},
	{"terminal", func(t *testing.T, w *warden) { w.both(t, "terminal") }},
	{"processes of the host", escapeProcesses},
	{"set-id programs", escapeSetuid},
	{"sockets of the host", escapeSockets},
	{"keys of the host", escapeKeys},
	{"user namespaces", escapeNamespaces},
	{"calls to the kernel", escapeCalls},
	{"donated files", escapeDonated},
	{"files of the host", escapeCanary},
	{"environment and paths of the host", escapeDump},
	{"other boxes", escapeNeighbour},
	{"races with copying", escapeRaces},
	{"second names of files", escapeLinks},
}

// warden holds one box and notes what got out of it.
type warden struct {
	Jail
	box    sandbox.Box
	start  func() sandbox.Box
	canary string // a folder of the host that anybody may read
	name   string // of the file in it
	token  string // its content

	mu    sync.Mutex // guards found
	found []string
}

// hidden is set in this process's environment, for no box to see.
const hidden = "PROOFHOUSE_TEST_HIDDEN"

func newWarden(t *testing.T, j Jail) *warden {
	t.Helper()
	w := &warden{Jail: j, name: "canary-" + proofhouse.Token(12), token: "token-" + proofhouse.Token(20)}
	t.Setenv(hidden, w.token)
	// Not below t.TempDir, whose folders other users may not enter.
	dir, err := os.MkdirTemp("", "proofhouse-escape-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	w.canary = dir
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(filepath.Join(dir, w.name), []byte(w.token), 0o644)); err != nil {
		t.Fatal(err)
	}
	root := jailRoot(t, sandbox.Images{Dir: t.TempDir()})
	p := j.Open(t)
	w.start = func() sandbox.Box {
		b, err := p.Start(t.Context(), sandbox.Spec{Root: root, Writable: []string{"/out"}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := b.Stop(); err != nil {
				t.Errorf("stopping a box: %v", err)
			}
		})
		return b
	}
	w.box = w.start()
	return w
}

// jailRoot is a root with a copy of the program that is set-id root.
func jailRoot(t *testing.T, store sandbox.Images) sandbox.Image {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	img, err := store.Write(func(w *erofs.Writer) error {
		for _, dir := range []string{"bin", "dev", "etc", "proc", "sys", "tmp", "mnt"} {
			if err := w.Mkdir(dir, 0o755); err != nil {
				return err
			}
		}
		return errors.Join(
			Add(w, "bin/program", string(b), 0o755),
			Add(w, "bin/setid", string(b), 0o755|fs.ModeSetuid|fs.ModeSetgid),
			Add(w, "etc/passwd", "root:x:0:0::/:\n", 0o644),
		)
	})
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func (w *warden) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.found = append(w.found, fmt.Sprintf(format, args...))
}

// both runs an attempt as Nobody and as the box's root.
func (w *warden) both(t *testing.T, args ...string) {
	t.Helper()
	w.attempt(t, sandbox.Command{User: sandbox.Nobody}, args...)
	w.attempt(t, sandbox.Command{}, args...)
}

// attempt runs an attempt, notes each "ESCAPED" and gives all that it said. An
// attempt that did not come to its end counts as found, because it proves nothing.
func (w *warden) attempt(t *testing.T, cmd sandbox.Command, args ...string) string {
	t.Helper()
	if cmd.Argv == nil {
		cmd.Argv = []string{Program}
	}
	cmd.Argv = append(cmd.Argv, append([]string{"escape"}, args...)...)
	cmd.Wall = 30 * time.Second
	res, err := w.box.Exec(t.Context(), cmd)
	if err != nil {
		w.note("%s as %d: %v", args[0], cmd.User.UID, err)
		return ""
	}
	said := string(res.Stdout.Head) + string(res.Stdout.Tail)
	t.Logf("%s as %d:\n%.4000s%s", args[0], cmd.User.UID, said, res.Stderr.Head)
	for line := range strings.Lines(said) {
		if what, ok := strings.CutPrefix(line, "ESCAPED "); ok {
			w.note("as user %d: %s", cmd.User.UID, strings.TrimSpace(what))
		}
	}
	if res.Exit != 0 || !strings.HasSuffix(said, "done\n") {
		w.note("%s as user %d did not come to its end: exit %d, signal %d, %s%s", args[0], cmd.User.UID, res.Exit, res.Signal, res.Limit, res.Stderr.Head)
	}
	return said
}

func escapeProcesses(t *testing.T, w *warden) {
	victim := exec.Command("sleep", "600")
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	dead := make(chan error, 1)
	go func() { dead <- victim.Wait() }()
	t.Cleanup(func() {
		_ = victim.Process.Kill()
		<-dead
	})
	other := w.start()
	stays := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		_, err := other.Exec(ctx, sandbox.Command{Argv: []string{Program, "sleep", "10m"}, User: sandbox.Nobody})
		stays <- err
	}()
	for _, user := range []sandbox.User{sandbox.Nobody, {}} {
		// The attempt ends with a signal to all that it can reach, itself
		// perhaps included, so its last word is not asked for.
		cmd := sandbox.Command{Argv: []string{Program, "escape", "processes", strconv.Itoa(victim.Process.Pid)}, User: user, Wall: 30 * time.Second}
		res, err := w.box.Exec(t.Context(), cmd)
		if err != nil {
			w.note("processes: %v", err)
		}
		t.Logf("as %d: %s", user.UID, res.Stdout.Head)
		for line := range strings.Lines(string(res.Stdout.Head)) {
			if what, ok := strings.CutPrefix(line, "ESCAPED "); ok {
				w.note("as user %d: %s", user.UID, strings.TrimSpace(what))
			}
		}
		if !strings.Contains(string(res.Stdout.Head), "priority of the host's process") {
			w.note("the attempt as user %d did not come to its end: %+v", user.UID, res)
		}
	}
	select {
	case err := <-dead:
		dead <- err
		w.note("a process of the host was ended: %v", err)
	case err := <-stays:
		stays <- err
		w.note("a process of another box was ended: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	cancel()
	<-stays
}

func escapeSetuid(t *testing.T, w *warden) {
	w.attempt(t, sandbox.Command{Argv: []string{"/bin/setid"}, User: sandbox.Nobody}, "setuid")
	// And one that the box's root makes.
	res, err := w.box.Exec(t.Context(), sandbox.Command{Argv: []string{Program, "setid", "/out/setid"}})
	if err != nil || res.Exit != 0 {
		t.Logf("the box's root cannot make a set-id program: %+v, %v", res, err)
		return
	}
	w.attempt(t, sandbox.Command{Argv: []string{"/out/setid"}, User: sandbox.Nobody}, "setuid")
}

func escapeSockets(t *testing.T, w *warden) {
	abstract, file := "proofhouse-"+proofhouse.Token(10), filepath.Join(w.canary, "socket")
	args := []string{"sockets"}
	for _, l := range []struct{ network, address string }{{"tcp4", "127.0.0.1:0"}, {"tcp6", "[::1]:0"}, {"unix", "@" + abstract}, {"unix", file}} {
		ln, err := net.Listen(l.network, l.address)
		if err != nil {
			if l.network == "tcp6" {
				continue // a machine without IPv6
			}
			t.Fatal(err)
		}
		t.Cleanup(func() { ln.Close() })
		args = append(args, l.network+"="+ln.Addr().String())
	}
	if err := os.Chmod(file, 0o777); err != nil {
		t.Fatal(err)
	}
	w.both(t, args...)
}

func escapeKeys(t *testing.T, w *warden) {
	id, err := unix.AddKey("user", w.name, []byte(w.token), unix.KEY_SPEC_USER_KEYRING)
	if err != nil {
		t.Logf("this machine keeps no keys (%v); the box is asked all the same", err)
	} else {
		t.Cleanup(func() { _, _ = unix.KeyctlInt(unix.KEYCTL_UNLINK, id, unix.KEY_SPEC_USER_KEYRING, 0, 0) })
		// Readable by anybody who has it.
		_ = unix.KeyctlSetperm(id, 0x3f3f3f3f)
	}
	w.both(t, "keys", w.name)
}

// escapeNamespaces asks for a user namespace. On a shared kernel none may be
// had; on a kernel of its own a box may have one, and gets nowhere in it.
func escapeNamespaces(t *testing.T, w *warden) {
	if !w.OwnKernel {
		w.both(t, "userns", "mounts")
		return
	}
	for _, inner := range [][]string{{"kernel"}, {"devices"}, {"cgroups"}, {"canary", w.canary, w.name}} {
		for _, user := range []sandbox.User{sandbox.Nobody, {}} {
			argv := append([]string{Program, "escape", "userns"}, inner...)
			res, err := w.box.Exec(t.Context(), sandbox.Command{Argv: argv, User: user, Wall: 30 * time.Second})
			if err != nil {
				w.note("user namespace: %v", err)
				continue
			}
			t.Logf("%v as %d: %.2000s", inner, user.UID, res.Stdout.Head)
			for line := range strings.Lines(string(res.Stdout.Head)) {
				if what, ok := strings.CutPrefix(line, "ESCAPED "); ok {
					w.note("in a user namespace of user %d: %s", user.UID, strings.TrimSpace(what))
				}
			}
		}
	}
}

func escapeCalls(t *testing.T, w *warden) {
	if !w.OwnKernel {
		w.both(t, "calls")
	}
	w.both(t, "oldcalls")
}

func escapeDonated(t *testing.T, w *warden) {
	name := filepath.Join(w.canary, "donated")
	content := bytes.Repeat([]byte("donated "), 1000)
	if err := os.WriteFile(name, content, 0o644); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, user := range []sandbox.User{sandbox.Nobody, {}} {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		w.attempt(t, sandbox.Command{User: user, Files: []*os.File{f}}, "donated")
		f.Close()
	}
	after, err := os.Stat(name)
	got, rerr := os.ReadFile(name)
	if err != nil || rerr != nil || !bytes.Equal(got, content) || after.Mode() != before.Mode() || !after.ModTime().Equal(before.ModTime()) || *ownerOf(after) != *ownerOf(before) {
		w.note("a donated file has changed: %v %v %v", after, err, rerr)
	}
}

type owner struct {
	uid, gid uint32
	links    uint64
}

func ownerOf(info fs.FileInfo) *owner {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return &owner{}
	}
	return &owner{st.Uid, st.Gid, uint64(st.Nlink)}
}

func escapeCanary(t *testing.T, w *warden) {
	w.both(t, "canary", w.canary, w.name)
}

// escapeDump looks in what a box can read of its surroundings for words of
// this process's: its environment, its folders, the user's home.
func escapeDump(t *testing.T, w *warden) {
	words := map[string]string{
		"the environment of the host": w.token,
		"the folder of the tests":     filepath.Base(filepath.Dir(t.TempDir())),
		"the folder of temporaries":   "proofhouse-test-",
	}
	if host, err := os.Hostname(); err == nil && len(host) > 5 {
		words["the name of the host"] = host
	}
	if wd, err := os.Getwd(); err == nil {
		words["the working folder"] = wd
	}
	for _, user := range []sandbox.User{sandbox.Nobody, {}} {
		said := w.attempt(t, sandbox.Command{User: user}, "dump")
		for what, word := range words {
			if i := strings.Index(said, word); i >= 0 {
				w.note("as user %d: the box sees %s: %.200q", user.UID, what, said[max(0, i-100):])
			}
		}
	}
}

func escapeNeighbour(t *testing.T, w *warden) {
	mark, port := "mark-"+proofhouse.Token(8), "4711"
	other := w.start()
	ctx, cancel := context.WithCancel(t.Context())
	here := &signalWriter{word: "here", ready: make(chan struct{})}
	var wg sync.WaitGroup
	wg.Go(func() {
		res, err := other.Exec(ctx, sandbox.Command{Argv: []string{Program, "neighbour", mark, port}, User: sandbox.Nobody, Tail: here})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("the other box: %+v, %v", res, err)
			here.once.Do(func() { close(here.ready) })
		}
	})
	<-here.ready
	w.both(t, "neighbour", mark, port)
	cancel()
	wg.Wait()
}

// signalWriter closes ready when word has been written.
type signalWriter struct {
	word  string
	seen  []byte
	once  sync.Once
	ready chan struct{}
}

func (s *signalWriter) Write(p []byte) (int, error) {
	if s.seen = append(s.seen, p...); bytes.Contains(s.seen, []byte(s.word)) {
		s.once.Do(func() { close(s.ready) })
	}
	return len(p), nil
}

// escapeRaces has a box exchange a folder for a link to a folder of the host,
// and a file for a link to a file of the host, while the host copies.
func escapeRaces(t *testing.T, w *warden) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	box := w.box
	for _, args := range [][]string{
		{"mkdir", "/out/d"},
		{"write", "/out/d/" + w.name, "harmless"},
		{"symlink", w.canary, "/out/l"},
		{"write", "/out/f", "harmless"},
		{"symlink", filepath.Join(w.canary, w.name), "/out/g"},
		{"mkdir", "/out/e"},
		{"symlink", "/etc", "/out/m"},
	} {
		if res, err := box.Exec(ctx, sandbox.Command{Argv: append([]string{Program}, args...), User: sandbox.Nobody}); err != nil || res.Exit != 0 {
			t.Fatalf("%v: %+v, %v", args, res, err)
		}
	}
	var wg sync.WaitGroup
	for _, args := range [][]string{{"swap", "/out/d", "/out/l"}, {"swap", "/out/f", "/out/g"}, {"swap", "/out/e", "/out/m"}} {
		wg.Go(func() {
			_, _ = box.Exec(ctx, sandbox.Command{Argv: append([]string{Program}, args...), User: sandbox.Nobody})
		})
	}
	for i := range 15 {
		for _, p := range []string{"/out/d/" + w.name, "/out/f"} {
			var out bytes.Buffer
			if err := box.CopyOut(ctx, p, &out, 100); err == nil && strings.Contains(out.String(), w.token) {
				w.note("copying out %s gave a file of the host", p)
			}
		}
		planted := fmt.Sprintf("planted-%d", i)
		_ = box.CopyIn(ctx, "/out/d/"+planted, strings.NewReader("x"), 0o644)
		_ = box.CopyIn(ctx, "/out/e/passwd", strings.NewReader("x"), 0o644)
		if _, err := os.Lstat(filepath.Join(w.canary, planted)); err == nil {
			w.note("copying in wrote to a folder of the host")
		}
		entries, err := box.List(ctx, "/out", 10_000)
		if err == nil {
			for _, e := range entries {
				if strings.HasSuffix(e.Path, "donated") || (strings.HasPrefix(e.Path, "/out/l/") || strings.HasPrefix(e.Path, "/out/d/")) && strings.HasSuffix(e.Path, w.name) && e.Size == int64(len(w.token)) {
					w.note("listing showed %s, a file of the host", e.Path)
				}
			}
		}
	}
	cancel()
	wg.Wait()
	if b, err := os.ReadFile(filepath.Join(w.canary, w.name)); err != nil || string(b) != w.token {
		w.note("the host's file has changed: %q, %v", b, err)
	}
	var passwd bytes.Buffer
	if err := box.CopyOut(t.Context(), "/etc/passwd", &passwd, 1000); err != nil || passwd.String() == "x" {
		w.note("copying in through a link wrote /etc/passwd of the box: %q, %v", passwd.String(), err)
	}
}

// escapeLinks has a box give a second name to a file, and the host write to it.
func escapeLinks(t *testing.T, w *warden) {
	box := w.box
	for _, args := range [][]string{{"write", "/out/own", "mine"}, {"link", "/out/own", "/out/second"}} {
		if res, err := box.Exec(t.Context(), sandbox.Command{Argv: append([]string{Program}, args...), User: sandbox.Nobody}); err != nil || res.Exit != 0 {
			t.Fatalf("%v: %+v, %v", args, res, err)
		}
	}
	if err := box.CopyIn(t.Context(), "/out/second", strings.NewReader("host"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := box.CopyOut(t.Context(), "/out/own", &out, 100); err != nil || out.String() != "mine" {
		w.note("copying in wrote through a second name: %q, %v", out.String(), err)
	}
	// A link as an image's file, to one of the host: it means a file of the box.
	for _, target := range []string{filepath.Join(w.canary, w.name), "/proc/self/root" + filepath.Join(w.canary, w.name), strings.Repeat("../", 30) + filepath.Join(w.canary, w.name)[1:]} {
		if res, err := box.Exec(t.Context(), sandbox.Command{Argv: []string{Program, "symlink", target, "/out/" + proofhouse.Token(5)}, User: sandbox.Nobody}); err != nil || res.Exit != 0 {
			t.Fatalf("%+v, %v", res, err)
		}
	}
	entries, err := box.List(t.Context(), "/out", 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		out.Reset()
		if err := box.CopyOut(t.Context(), e.Path, &out, 1000); err == nil && strings.Contains(out.String(), w.token) {
			w.note("copying out %s gave a file of the host", e.Path)
		}
	}
}
