package sandboxtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
)

// Subject is a provider to be held to the suite.
type Subject struct {
	// Open gives a fresh provider, closed by the test's cleanup.
	Open func(t *testing.T) sandbox.Provider
	// Images are those that the boxes may use.
	Images func(t *testing.T) (root, mounted sandbox.Image)
	// Simulated says that programs run in this process (Fake): what only the
	// host's kernel or the box's own can hold is not asked for.
	Simulated bool
	// Fleeting says that each command has process ids of its own, and ends with
	// all that it started.
	Fleeting bool
}

// Mounted is the one file of the image that TestProvider mounts at /data.
var Mounted = map[string]string{"note": "mounted"}

// TestProvider holds a provider to what sandbox.Provider and sandbox.Box
// promise.
func TestProvider(t *testing.T, s Subject) {
	for _, c := range []struct {
		name string
		test func(*testing.T, *bench)
		held bool // needs real limits
	}{
		{"A program's exit is a result", testExit, false},
		{"A program that is not there is not found", testNotFound, false},
		{"A command sees nothing of the host's environment", testEnvironment, false},
		{"Standard input arrives and ends", testStdin, false},
		{"Output keeps head and tail", testOutput, false},
		{"The report has a descriptor of its own", testReport, false},
		{"A bridge carries requests to the host and nothing else", testBridge, true},
		{"Live output arrives while the command runs", testTail, false},
		{"Files are handed over for reading only", testFiles, false},
		{"Mounts show and cannot be written", testMounts, false},
		{"Files go in and out", testCopy, false},
		{"Copying follows no link", testCopyLinks, false},
		{"A listing shows what changed", testList, false},
		{"Reset brings back the start", testReset, false},
		{"A wall-clock limit ends every process", testWall, false},
		{"A cancelled command leaves no process", testCancel, true},
		{"A child that stays does not hold its parent's result", testOrphan, true},
		{"Commands run side by side", testSideBySide, false},
		{"A cut-short command spares the others", testSpares, true},
		{"Stop ends a running command and may be repeated", testStop, false},
		{"A cancelled start gives its error and no box", testCancelledStart, false},
		{"Closing the provider stops its boxes", testClose, false},
		{"A spec that cannot be held is refused", testBadSpec, false},
		{"CPU time is measured and bounded from outside", testCPU, true},
		{"CPU is shared out as the limit says", testQuota, true},
		{"A memory bomb ends as such", testMemory, true},
		{"Usage and peaks are reported", testUsage, true},
		{"A fork bomb is held", testForks, true},
		{"A full disk is the program's trouble", testDisk, true},
		{"A sparse file of 10 GB costs nothing", testSparse, true},
		{"Endless output is cut", testFlood, true},
		{"Limits on files and core dumps are set", testRlimits, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.held && s.Simulated {
				t.Skip("a simulation holds no limits")
			}
			c.test(t, &bench{Subject: s, provider: s.Open(t)})
		})
	}
}

// bench is a provider under test.
type bench struct {
	Subject
	provider sandbox.Provider
}

func (b *bench) start(t *testing.T, change func(*sandbox.Spec)) sandbox.Box {
	t.Helper()
	root, mounted := b.Images(t)
	spec := sandbox.Spec{
		Root: root, Mounts: []sandbox.Mount{{Image: mounted, Path: "/data"}},
		Writable: []string{"/out", "/work"}, Network: sandbox.NoNetwork,
		Limits: sandbox.Limits{Memory: 256 << 20, Processes: 64, Disk: 32 << 20, Output: 4096, Files: 100},
	}
	if change != nil {
		change(&spec)
	}
	box, err := b.provider.Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := box.Stop(); err != nil {
			t.Errorf("stopping: %v", err)
		}
	})
	return box
}

func do(args ...string) sandbox.Command {
	return sandbox.Command{Argv: append([]string{Program}, args...), User: sandbox.Nobody}
}

func run(t *testing.T, box sandbox.Box, cmd sandbox.Command) sandbox.Result {
	t.Helper()
	res, err := box.Exec(t.Context(), cmd)
	if err != nil {
		t.Fatalf("%q: %v", cmd.Argv, err)
	}
	return res
}

// want runs a deed that must succeed and print out.
func want(t *testing.T, box sandbox.Box, out string, args ...string) {
	t.Helper()
	res := run(t, box, do(args...))
	if res.Exit != 0 || string(res.Stdout.Head) != out {
		t.Errorf("%q: exit %d, %q, %q; want %q", args, res.Exit, res.Stdout.Head, res.Stderr.Head, out)
	}
}

func wantKind(t *testing.T, err error, kind proofhouse.Kind) {
	t.Helper()
	if err == nil || proofhouse.KindOf(err) != kind {
		t.Errorf("got %v, want an error of kind %s", err, kind)
	}
}

func testExit(t *testing.T, b *bench) {
	box := b.start(t, nil)
	want(t, box, "hello\n", "echo", "hello")
	if res := run(t, box, do("exit", "42")); res.Exit != 42 || res.Signal != 0 || res.Limit != "" {
		t.Errorf("exit 42 gave %+v", res)
	}
	if res := run(t, box, do("signal", "11")); res.Exit != -1 || res.Signal != 11 {
		t.Errorf("a segmentation fault gave %+v", res)
	}
	if res := run(t, box, do("stderr", "woe")); string(res.Stderr.Head) != "woe\n" || len(res.Stdout.Head) != 0 {
		t.Errorf("stderr gave %+v", res)
	}
	want(t, box, "65534 65534\n", "id")
	want(t, box, "/tmp\n", "pwd")
	cmd := do("pwd")
	cmd.Dir = "/work"
	if res := run(t, box, cmd); string(res.Stdout.Head) != "/work\n" {
		t.Errorf("in /work: %+v", res)
	}
	cmd = do("id")
	cmd.User = sandbox.User{}
	if res := run(t, box, cmd); string(res.Stdout.Head) != "0 0\n" {
		t.Errorf("as the box's root: %+v", res)
	}
}

func testNotFound(t *testing.T, b *bench) {
	box := b.start(t, nil)
	_, err := box.Exec(t.Context(), sandbox.Command{Argv: []string{"/bin/absent"}})
	wantKind(t, err, proofhouse.NotFound)
	_, err = box.Exec(t.Context(), sandbox.Command{Argv: []string{"program"}})
	wantKind(t, err, proofhouse.Invalid)
	want(t, box, "still\n", "echo", "still")
}

func testEnvironment(t *testing.T, b *bench) {
	t.Setenv("PROOFHOUSE_SECRET", "must not be seen")
	box := b.start(t, nil)
	cmd := do("env")
	cmd.Env = []string{"A=1", "HOME=/work"}
	res := run(t, box, cmd)
	got := strings.Fields(string(res.Stdout.Head))
	slices.Sort(got)
	if diff := cmp.Diff([]string{
		"A=1", "HOME=/work", "LANG=C.UTF-8", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	}, got); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
}

func testStdin(t *testing.T, b *bench) {
	box := b.start(t, nil)
	want(t, box, "", "cat")
	cmd := do("cat")
	cmd.Stdin = strings.NewReader("given")
	if res := run(t, box, cmd); string(res.Stdout.Head) != "given" {
		t.Errorf("got %+v", res)
	}
	cmd = do("true") // reads nothing of a stdin that never ends
	r, w := io.Pipe()
	defer w.Close()
	cmd.Stdin = r
	if res := run(t, box, cmd); res.Exit != 0 {
		t.Errorf("got %+v", res)
	}
}

func testOutput(t *testing.T, b *bench) {
	box := b.start(t, nil)
	var in bytes.Buffer
	for i := range 10_000 {
		in.WriteString(strconv.Itoa(i) + "\n")
	}
	all := in.String()
	cmd := do("cat")
	cmd.Stdin = &in
	out := run(t, box, cmd).Stdout
	if len(out.Head)+len(out.Tail) != 4096 || int(out.Dropped) != len(all)-4096 {
		t.Errorf("kept %d and %d, dropped %d of %d", len(out.Head), len(out.Tail), out.Dropped, len(all))
	}
	if !strings.HasPrefix(all, string(out.Head)) || !strings.HasSuffix(all, string(out.Tail)) {
		t.Error("head or tail is not that of the stream")
	}
}

func testReport(t *testing.T, b *bench) {
	box := b.start(t, nil)
	file := tempFile(t, "a file")
	var report bytes.Buffer
	cmd := do("report", "4", "nonce polluted")
	cmd.Files, cmd.Report, cmd.ReportMax = []*os.File{file}, &report, 5
	if res := run(t, box, cmd); res.Exit != 0 || report.String() != "nonce" || len(res.Stdout.Head) != 0 {
		t.Errorf("report %q, %+v", report.String(), res)
	}
}

func testBridge(t *testing.T, b *bench) {
	box := b.start(t, nil)
	started, gone := make(chan struct{}, 1), make(chan struct{}, 1)
	serve := func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch r.URL.Path {
		case "/hang":
			started <- struct{}{}
			<-r.Context().Done()
			gone <- struct{}{}
		default:
			w.Header().Set("X-Answer", "42")
			w.WriteHeader(http.StatusTeapot)
			fmt.Fprintf(w, "%s %s %s", r.Method, r.URL, body)
		}
	}
	bridged := func(ctx context.Context, args ...string) (sandbox.Result, error) {
		return sandbox.ExecBridged(ctx, box, do(args...), &http.Server{Handler: http.HandlerFunc(serve)}) //nolint:gosec // a test's
	}
	res, err := bridged(t.Context(), "post", sandbox.BridgeAddr, "/a?b=c", "hello", "60")
	if want := strings.Repeat("418 42 POST /a?b=c hello\n", 60); err != nil || string(res.Stdout.Head) != want || res.Exit != 0 {
		t.Errorf("got %+v, %v", res, err)
	}
	if res, err := bridged(t.Context(), "exit", "7"); err != nil || res.Exit != 7 {
		t.Errorf("got %+v, %v", res, err)
	}
	if res, err := bridged(t.Context(), "report", "3", "x"); err != nil || res.Exit == 0 {
		t.Errorf("the program has the bridge's own descriptor: %+v, %v", res, err)
	}
	if res := run(t, box, do("post", sandbox.BridgeAddr, "/", "", "1")); res.Exit == 0 {
		t.Errorf("there is a bridge that nobody granted: %+v", res)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-started; cancel() }()
	if _, err := bridged(ctx, "post", sandbox.BridgeAddr, "/hang", "", "1"); err == nil {
		t.Error("a cancelled command has no error")
	}
	<-gone
}

func testTail(t *testing.T, b *bench) {
	box := b.start(t, nil)
	seen, w := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		cmd := do("echo", "early")
		if !b.Simulated {
			cmd = do("flood")
		}
		cmd.Tail = w
		_, err := box.Exec(ctx, cmd)
		w.Close()
		done <- err
	}()
	head := make([]byte, 5)
	if _, err := io.ReadFull(seen, head); err != nil {
		t.Errorf("no live output: %v", err)
	}
	cancel()
	_, _ = io.Copy(io.Discard, seen)
	if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func tempFile(t *testing.T, content string) *os.File {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte(content), 0o666); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func testFiles(t *testing.T, b *bench) {
	box := b.start(t, nil)
	file := tempFile(t, "submission")
	cmd := do("fd", "3")
	cmd.Files = []*os.File{file}
	if res := run(t, box, cmd); string(res.Stdout.Head) != "submission" {
		t.Errorf("got %q, %q", res.Stdout.Head, res.Stderr.Head)
	}
	if got, err := os.ReadFile(file.Name()); err != nil || string(got) != "submission" {
		t.Errorf("the host's file is now %q, %v", got, err)
	}
	cmd = do("cat", "/dev/fd/3")
	cmd.Files = []*os.File{file}
	if res := run(t, box, cmd); string(res.Stdout.Head) != "submission" {
		t.Errorf("through /dev/fd: %q, %q", res.Stdout.Head, res.Stderr.Head)
	}

	writable, err := os.OpenFile(file.Name(), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer writable.Close()
	dir, err := os.Open(filepath.Dir(file.Name()))
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	pipe, other, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	defer other.Close()
	for name, f := range map[string]*os.File{"writable": writable, "folder": dir, "pipe": pipe} {
		cmd.Files = []*os.File{f}
		_, err := box.Exec(t.Context(), cmd)
		if err == nil || proofhouse.KindOf(err) != proofhouse.Invalid {
			t.Errorf("a %s was handed over: %v", name, err)
		}
	}
}

func testMounts(t *testing.T, b *bench) {
	box := b.start(t, nil)
	want(t, box, "mounted", "cat", "/data/note")
	for _, path := range []string{"/data/new", "/data/note"} {
		for _, user := range []sandbox.User{sandbox.Nobody, {}} {
			cmd := do("write", path, "x")
			cmd.User = user
			if res := run(t, box, cmd); res.Exit == 0 {
				t.Errorf("%v wrote %s", user, path)
			}
		}
	}
	want(t, box, "mounted", "cat", "/data/note")
	for _, dir := range []string{"/out", "/work", "/tmp"} {
		want(t, box, "", "write", dir+"/f", "x")
	}
	if res := run(t, box, do("write", "/bin/f", "x")); res.Exit == 0 {
		t.Error("Nobody wrote to a folder of root's")
	}
}

func testCopy(t *testing.T, b *bench) {
	box := b.start(t, nil)
	ctx := t.Context()
	big := strings.Repeat("0123456789", 100_000)
	if err := box.CopyIn(ctx, "/work/a/b/file", strings.NewReader(big), 0o640); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := box.CopyOut(ctx, "/work/a/b/file", &out, 1_000_000); err != nil || out.String() != big {
		t.Errorf("out came %d bytes, %v", out.Len(), err)
	}
	out.Reset()
	wantKind(t, box.CopyOut(ctx, "/work/a/b/file", &out, 999_999), proofhouse.Limit)
	if out.Len() > 999_999 {
		t.Errorf("%d bytes came out over the limit", out.Len())
	}
	wantKind(t, box.CopyOut(ctx, "/work/absent", &out, 10), proofhouse.NotFound)
	wantKind(t, box.CopyOut(ctx, "/absent/file", &out, 10), proofhouse.NotFound)
	wantKind(t, box.CopyOut(ctx, "/work/a", &out, 10), proofhouse.Invalid)
	wantKind(t, box.CopyOut(ctx, "work/a/b/file", &out, 10), proofhouse.Invalid)
	wantKind(t, box.CopyOut(ctx, "/work/../work/a/b/file", &out, 10), proofhouse.Invalid)
	want(t, box, "", "write", "/work/a/b/file", "again") // it is Nobody's
	list, err := box.List(ctx, "/work/a", 10)
	if err != nil || len(list) != 2 || list[1].UID != 65534 || list[1].Mode.Perm() != 0o640 {
		t.Errorf("listing %+v, %v", list, err)
	}
}

func testCopyLinks(t *testing.T, b *bench) {
	box := b.start(t, nil)
	ctx := t.Context()
	want(t, box, "", "write", "/work/secret", "s")
	want(t, box, "", "symlink", "/work/secret", "/out/link")
	want(t, box, "", "symlink", "/work", "/out/dir")
	var out bytes.Buffer
	wantKind(t, box.CopyOut(ctx, "/out/link", &out, 10), proofhouse.Invalid)
	wantKind(t, box.CopyOut(ctx, "/out/dir/secret", &out, 10), proofhouse.Invalid)
	wantKind(t, box.CopyIn(ctx, "/out/dir/secret", strings.NewReader("new"), 0o600), proofhouse.Invalid)
	if err := box.CopyIn(ctx, "/out/link", strings.NewReader("new"), 0o600); err != nil {
		t.Error(err) // replaces the link
	}
	want(t, box, "s", "cat", "/work/secret")
	if b.Simulated {
		return
	}
	want(t, box, "", "mkfifo", "/out/pipe")
	wantKind(t, box.CopyOut(ctx, "/out/pipe", &out, 10), proofhouse.Invalid)
	wantKind(t, box.CopyOut(ctx, "/dev/zero", &out, 10), proofhouse.Invalid)
	if out.Len() != 0 {
		t.Errorf("out came %q", out.String())
	}

	// A box that changes the path all the time gets out nothing but what the
	// path held as a regular file.
	flipping, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = box.Exec(flipping, do("flip", "/out/flip", "/work/secret")) })
	for range 50 {
		out.Reset()
		if err := box.CopyOut(ctx, "/out/flip", &out, 100); err == nil && out.String() != "harmless" && out.Len() > 0 {
			t.Errorf("out came %q", out.String())
		}
	}
	stop()
	wg.Wait()
}

func testList(t *testing.T, b *bench) {
	box := b.start(t, nil)
	want(t, box, "", "mkdir", "/work/d")
	want(t, box, "", "write", "/work/d/file name\n", "12345")
	want(t, box, "", "symlink", "../x \"y", "/work/link")
	list, err := box.List(t.Context(), "/work", 100)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]sandbox.Entry{}
	for i, e := range list {
		if i > 0 && list[i-1].Path >= e.Path {
			t.Errorf("%q comes after %q", e.Path, list[i-1].Path)
		}
		got[e.Path] = e
	}
	if e := got["/work/d/file name\n"]; e.Size != 5 || !e.Mode.IsRegular() || e.UID != 65534 {
		t.Errorf("file: %+v", e)
	}
	if e := got["/work/link"]; e.Link != "../x \"y" {
		t.Errorf("link: %+v", e)
	}
	if len(list) != 3 || !got["/work/d"].Mode.IsDir() {
		t.Errorf("listing: %+v", list)
	}
	_, err = box.List(t.Context(), "/work", 2)
	wantKind(t, err, proofhouse.Limit)
	_, err = box.List(t.Context(), "/absent", 2)
	wantKind(t, err, proofhouse.NotFound)
}

func testReset(t *testing.T, b *bench) {
	box := b.start(t, nil)
	before, err := box.List(t.Context(), "/", 10_000)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		for _, dir := range []string{"/out", "/work", "/tmp", "/dev/shm"} {
			want(t, box, "", "write", dir+"/left", "x")
		}
		cmd := do("write", "/etc/left", "x")
		cmd.User = sandbox.User{}
		if res := run(t, box, cmd); res.Exit != 0 {
			t.Errorf("root cannot write to its layer: %s", res.Stderr.Head)
		}
		if !b.Simulated {
			want(t, box, string(run(t, box, do("echo", "")).Stdout.Head), "echo", "")
			if res := run(t, box, do("orphan", "left-behind", "session")); res.Exit != 0 {
				t.Errorf("orphan: %+v", res)
			}
		}
		if err := box.Reset(t.Context()); err != nil {
			t.Fatal(err)
		}
		after, err := box.List(t.Context(), "/", 10_000)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("after a reset (-before +after):\n%s", diff)
		}
		if !b.Simulated && strings.Contains(processes(t, box), "left-behind") {
			t.Error("a process outlived the reset")
		}
	}
}

func processes(t *testing.T, box sandbox.Box) string {
	t.Helper()
	cmd := do("ps")
	cmd.User = sandbox.User{}
	return string(run(t, box, cmd).Stdout.Head)
}

func testWall(t *testing.T, b *bench) {
	box := b.start(t, nil)
	cmd := do("sleep", "1h")
	cmd.Wall = 50 * time.Millisecond
	res := run(t, box, cmd)
	if res.Limit != sandbox.BoundWall || res.Wall < cmd.Wall {
		t.Errorf("got %+v", res)
	}
	want(t, box, "alive\n", "echo", "alive")
	if b.Simulated {
		return
	}
	for _, how := range [][]string{{"orphan", "mark", "stay"}, {"orphan", "mark", "session", "stay"}, {"fork"}, {"flood"}} {
		cmd := do(how...)
		cmd.Wall = 300 * time.Millisecond
		if res := run(t, box, cmd); res.Limit != sandbox.BoundWall {
			t.Errorf("%v: %+v", how, res)
		}
		if ps := processes(t, box); strings.Contains(ps, "mark") || strings.Contains(ps, " fork") || strings.Contains(ps, "flood") {
			t.Errorf("%v left processes:\n%s", how, ps)
		}
	}
}

func testCancel(t *testing.T, b *bench) {
	box := b.start(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := box.Exec(ctx, do("orphan", "mark", "session", "stay"))
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if ps := processes(t, box); strings.Contains(ps, "mark") {
		t.Errorf("it left processes:\n%s", ps)
	}
	_, err = box.Exec(ctx, do("true"))
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("with an ended context: %v", err)
	}
}

func testOrphan(t *testing.T, b *bench) {
	box := b.start(t, nil)
	for _, args := range [][]string{{"orphan", "one"}, {"orphan", "two", "session"}} {
		// The child sleeps for an hour and holds the output; a test that hangs
		// here fails by its own time limit.
		res := run(t, box, do(args...))
		if res.Exit != 0 || !strings.HasPrefix(string(res.Stdout.Head), "left ") || res.Limit != "" {
			t.Errorf("%v: %+v", args, res)
		}
	}
	if ps := processes(t, box); strings.Contains(ps, "one") == b.Fleeting || strings.Contains(ps, "two") == b.Fleeting {
		t.Errorf("whether a child lives on is not as the provider says (fleeting: %v):\n%s", b.Fleeting, ps)
	}
}

func testSideBySide(t *testing.T, b *bench) {
	box := b.start(t, nil)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 5 {
				text := strconv.Itoa(i) + "-" + strconv.Itoa(j)
				res, err := box.Exec(t.Context(), do("echo", text))
				if err != nil || string(res.Stdout.Head) != text+"\n" {
					t.Errorf("%s: %+v, %v", text, res, err)
				}
			}
		})
	}
	wg.Wait()
}

func testSpares(t *testing.T, b *bench) {
	box := b.start(t, nil)
	r, w := io.Pipe()
	cmd := do("cat")
	cmd.Stdin = r
	done := make(chan sandbox.Result, 1)
	go func() {
		res, err := box.Exec(t.Context(), cmd)
		if err != nil {
			t.Error(err)
		}
		done <- res
	}()
	if _, err := w.Write([]byte("before ")); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		short := do("sleep", "1h")
		short.Wall = 50 * time.Millisecond
		if res := run(t, box, short); res.Limit != sandbox.BoundWall {
			t.Errorf("got %+v", res)
		}
	}
	if _, err := w.Write([]byte("after")); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if res := <-done; string(res.Stdout.Head) != "before after" || res.Exit != 0 {
		t.Errorf("the other command gave %+v", res)
	}
}

func testStop(t *testing.T, b *bench) {
	box := b.start(t, nil)
	done := make(chan error, 1)
	began := make(chan struct{})
	go func() {
		close(began)
		_, err := box.Exec(t.Context(), do("sleep", "1h"))
		done <- err
	}()
	<-began
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if err := box.Stop(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if err := <-done; err == nil {
		t.Error("the command that was stopped gave no error")
	}
	_, err := box.Exec(t.Context(), do("true"))
	wantKind(t, err, proofhouse.Conflict)
	if err := box.Reset(t.Context()); err == nil {
		t.Error("a stopped box was reset")
	}
}

func testCancelledStart(t *testing.T, b *bench) {
	root, _ := b.Images(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := b.provider.Start(ctx, sandbox.Spec{Root: root})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	// A box that has started outlives the context of its start.
	ctx, cancel = context.WithCancel(t.Context())
	box, err := b.provider.Start(ctx, sandbox.Spec{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	want(t, box, "alive\n", "echo", "alive")
	if err := box.Stop(); err != nil {
		t.Error(err)
	}
}

func testClose(t *testing.T, b *bench) {
	box := b.start(t, nil)
	if err := b.provider.Close(); err != nil {
		t.Error(err)
	}
	_, err := box.Exec(t.Context(), do("true"))
	wantKind(t, err, proofhouse.Conflict)
	root, _ := b.Images(t)
	if _, err := b.provider.Start(t.Context(), sandbox.Spec{Root: root}); err == nil {
		t.Error("a closed provider started a box")
	}
	if err := b.provider.Close(); err != nil {
		t.Errorf("closing again: %v", err)
	}
}

func testBadSpec(t *testing.T, b *bench) {
	root, mounted := b.Images(t)
	for name, spec := range map[string]sandbox.Spec{
		"no root":         {},
		"a network":       {Root: root, Network: "host"},
		"relative mount":  {Root: root, Mounts: []sandbox.Mount{{Image: mounted, Path: "data"}}},
		"unclean mount":   {Root: root, Mounts: []sandbox.Mount{{Image: mounted, Path: "/data/../etc"}}},
		"mount over root": {Root: root, Mounts: []sandbox.Mount{{Image: mounted, Path: "/"}}},
		"twice":           {Root: root, Writable: []string{"/a", "/a"}},
		"no image":        {Root: root, Mounts: []sandbox.Mount{{Path: "/data"}}},
		"negative memory": {Root: root, Limits: sandbox.Limits{Memory: -1}},
		"negative CPU":    {Root: root, Limits: sandbox.Limits{CPU: -1}},
	} {
		box, err := b.provider.Start(t.Context(), spec)
		if err == nil {
			_ = box.Stop()
		}
		if err == nil || proofhouse.KindOf(err) != proofhouse.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}
