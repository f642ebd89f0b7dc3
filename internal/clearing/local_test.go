package clearing

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"proofhouse/internal/clearing/planted"
	"proofhouse/internal/oracle"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/target"
)

// local is a Workshop outside boxes, for projects of our own making: it costs a tenth of the time, and what it
// sees is what boxes see (TestBoxes).
type local struct {
	t   testing.TB
	p   *planted.Project
	dir string

	mu      sync.Mutex
	objects map[string]string // compiled files, by all that went into them
	tested  map[proofhouse.Digest]target.Tested
}

func newLocal(t testing.TB, p *planted.Project) *local {
	return &local{t: t, p: p, dir: t.TempDir(), objects: map[string]string{}, tested: map[proofhouse.Digest]target.Tested{}}
}

// TestMain is also the compiler of the projects' own tests (compile).
func TestMain(m *testing.M) {
	if dir := os.Getenv("PLANTED_CC"); dir != "" {
		if err := compile(dir, os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// compile is clang, but nothing is compiled twice: what it makes follows from flags, named files and headers, and is kept in dir.
func compile(dir string, args []string) error {
	all := sha256.New()
	out := 0
	var headers []string
	_ = filepath.WalkDir(".", func(name string, d os.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(name, ".h") {
			headers = append(headers, name)
		}
		return err
	})
	for i, a := range append(slices.Clone(args), headers...) {
		switch {
		case i > 0 && i < len(args) && args[i-1] == "-o":
			out = i
		case strings.HasPrefix(a, "-"):
			fmt.Fprintln(all, a)
		default:
			b, err := os.ReadFile(a)
			if err != nil {
				return err
			}
			fmt.Fprintln(all, filepath.Base(a), len(b))
			all.Write(b)
		}
	}
	made := filepath.Join(dir, fmt.Sprintf("t-%x", all.Sum(nil)))
	to := args[out]
	if _, err := os.Stat(made); err != nil {
		args[out] = made
		cmd := exec.Command("clang", args...)
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := cmd.Run(); err != nil {
			return err
		}
	}
	_ = os.Remove(to)
	return os.Link(made, to)
}

const localFlags = "-g -O1 -fno-omit-frame-pointer -fsanitize=address -w"

// localMain takes inputs one after the other, runs each in a child of its own, and gives status, output and report.
const localMain = `
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
int LLVMFuzzerTestOneInput(const uint8_t *, size_t);
static void all(int fd, void *p, size_t n, int out) {
	for (char *b = p; n;) {
		ssize_t k = out ? write(fd, b, n) : read(fd, b, n);
		if (k <= 0) _exit(0);
		b += k, n -= k;
	}
}
static void give(FILE *f) {
	static char buf[1 << 20];
	rewind(f);
	uint32_t n = fread(buf, 1, sizeof buf, f);
	all(1, &n, 4, 1);
	all(1, buf, n, 1);
}
int main(void) {
	for (;;) {
		uint32_t n;
		all(0, &n, 4, 0);
		uint8_t *b = malloc(n ? n : 1);
		all(0, b, n, 0);
		FILE *o = tmpfile(), *e = tmpfile();
		pid_t child = fork();
		if (child == 0) {
			close(0);
			dup2(fileno(o), 1);
			dup2(fileno(e), 2);
			alarm(10);
			LLVMFuzzerTestOneInput(b, n);
			fputs("returned\n", stderr);
			exit(0);
		}
		int status;
		waitpid(child, &status, 0);
		uint32_t code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
		all(1, &code, 4, 1);
		give(o);
		give(e);
		fclose(o);
		fclose(e);
		free(b);
	}
}
`

// source is the project's code with patches; a patch that does not fit is proofhouse.Invalid.
func (l *local) source(patches [][]byte) (map[string][]byte, error) {
	dir := l.lay(l.p.Source)
	for _, d := range patches {
		if _, err := ParseDiff(d); err != nil {
			return nil, err
		}
		cmd := exec.Command("git", "apply", "-p1", "-")
		cmd.Dir, cmd.Stdin = dir, bytes.NewReader(d)
		cmd.Env = append(os.Environ(), "GIT_CEILING_DIRECTORIES="+l.dir)
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, proofhouse.Errorf(proofhouse.Invalid, fmt.Errorf("%w: %s", err, out), "the patch does not fit")
		}
	}
	files := map[string][]byte{}
	err := filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(name)
		rel, _ := filepath.Rel(dir, name)
		files[rel] = b
		return err
	})
	_ = os.RemoveAll(dir)
	return files, err
}

func (l *local) lay(files map[string][]byte) string {
	dir, err := os.MkdirTemp(l.dir, "tree")
	if err != nil {
		l.t.Fatal(err)
	}
	for name, b := range files {
		to := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			l.t.Fatal(err)
		}
		if err := os.WriteFile(to, b, 0o644); err != nil {
			l.t.Fatal(err)
		}
	}
	return dir
}

// Build implements Workshop.
func (l *local) Build(_ context.Context, patches ...[]byte) (Program, error) {
	files, err := l.source(patches)
	if err != nil {
		return nil, err
	}
	if l.p.Language == target.Go {
		return l.buildGo(files)
	}
	maps.Copy(files, l.p.Harness)
	files["local-main.c"] = []byte(localMain)
	var headers []byte
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if strings.HasSuffix(name, ".h") {
			headers = append(append(headers, name...), files[name]...)
		}
	}
	dir := l.lay(files)
	var objects []string
	for _, name := range slices.Sorted(maps.Keys(files)) {
		ok := name == "local-main.c" || name == "harness.c"
		for _, glob := range l.p.Recipe.Sources {
			fits, _ := filepath.Match(glob, name)
			ok = ok || fits
		}
		if !ok {
			continue
		}
		key := name + "\x00" + string(files[name]) + "\x00" + string(headers)
		l.mu.Lock()
		o := l.objects[key]
		l.mu.Unlock()
		if o == "" {
			o = filepath.Join(l.dir, "o-"+proofhouse.DigestOf([]byte(key)).Hex()+".o")
			argv := slices.Concat([]string{"clang"}, strings.Fields(localFlags), l.p.Recipe.Flags, []string{"-c", name, "-o", o})
			if out, err := l.run(dir, nil, argv...); err != nil {
				return nil, proofhouse.Errorf(proofhouse.Failed, fmt.Errorf("%w: %s", err, out), "the build failed")
			}
			l.mu.Lock()
			l.objects[key] = o
			l.mu.Unlock()
		}
		objects = append(objects, o)
	}
	program := filepath.Join(dir, "program")
	if out, err := l.run(dir, nil, slices.Concat([]string{"clang", "-fsanitize=address"}, objects, []string{"-lm", "-o", program})...); err != nil {
		return nil, proofhouse.Errorf(proofhouse.Failed, fmt.Errorf("%w: %s", err, out), "the build failed")
	}
	return &localProgram{l: l, program: program, dir: dir}, nil
}

// localGoMain takes inputs one after the other, as the projects keep nothing of one for the next, until one breaks it, and gives what each prints.
const localGoMain = `package main

import (
	"encoding/binary"
	"io"
	"os"
)

func main() {
	to := os.Stdout
	out, err := os.CreateTemp(".", "out")
	if err != nil {
		os.Exit(9)
	}
	os.Stdout = out
	for {
		var n uint32
		if binary.Read(os.Stdin, binary.NativeEndian, &n) != nil {
			return
		}
		b := make([]byte, n)
		if _, err := io.ReadFull(os.Stdin, b); err != nil {
			return
		}
		Harness(b)
		size, _ := out.Seek(0, io.SeekCurrent)
		said := make([]byte, 4+size)
		binary.NativeEndian.PutUint32(said, uint32(size))
		_, _ = out.ReadAt(said[4:], 0)
		_ = out.Truncate(0)
		_, _ = out.Seek(0, io.SeekStart)
		_, _ = to.Write(said)
	}
}
`

func (l *local) buildGo(files map[string][]byte) (Program, error) {
	for name, b := range l.p.Harness {
		if strings.HasSuffix(name, ".go") {
			files["local-harness/"+name] = bytes.ReplaceAll(b, []byte("//go:build ignore\n"), nil)
		}
	}
	files["local-harness/main.go"] = []byte(localGoMain)
	dir := l.lay(files)
	program := filepath.Join(dir, "program")
	if out, err := l.run(dir, []string{"CGO_ENABLED=0", "GOFLAGS=-trimpath", "GOWORK=off"}, "go", "build", "-o", program, "./local-harness"); err != nil {
		return nil, proofhouse.Errorf(proofhouse.Failed, fmt.Errorf("%w: %s", err, out), "the build failed")
	}
	return &localProgram{l: l, program: program, dir: dir}, nil
}

// Test implements Workshop.
func (l *local) Test(_ context.Context, patches ...[]byte) (target.Tested, error) {
	key := nameOf(patches)
	l.mu.Lock()
	got, ok := l.tested[key]
	l.mu.Unlock()
	if ok {
		return got, nil
	}
	files, err := l.source(patches)
	if err != nil {
		return target.Tested{}, err
	}
	dir := l.lay(files)
	defer os.RemoveAll(dir)
	self, err := os.Executable()
	if err != nil {
		return target.Tested{}, err
	}
	out, err := l.run(dir, []string{"CC=" + self, "PLANTED_CC=" + l.dir, "GOFLAGS=-trimpath", "CFLAGS=" + localFlags, "ASAN_OPTIONS=detect_leaks=0:symbolize=0", "GOWORK=off"}, l.p.Test...)
	if err != nil {
		got = target.Tested{Exit: 1, Said: out}
	}
	l.mu.Lock()
	l.tested[key] = got
	l.mu.Unlock()
	return got, nil
}

func (l *local) run(dir string, env []string, argv ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

type localProgram struct {
	l       *local
	program string
	dir     string

	symbols []elf.Symbol // of a C program: its functions, by address
	server  *exec.Cmd
	said    bytes.Buffer // of a Go program: what it said of itself
	in      io.WriteCloser
	out     *bufio.Reader
}

func (p *localProgram) Close() error {
	if p.server != nil {
		_ = p.in.Close()
		_ = p.server.Wait()
	}
	return os.RemoveAll(p.dir)
}

// once runs the program on an input.
func (p *localProgram) once(ctx context.Context, input []byte) (exit int, stdout, stderr []byte, err error) {
	if p.l.p.Language == target.Go {
		return p.onceGo(input)
	}
	if p.server == nil {
		p.server = exec.Command(p.program)
		p.server.Dir = p.dir
		p.server.Env = []string{"ASAN_OPTIONS=detect_leaks=0:symbolize=0:exitcode=77:allocator_may_return_null=1"}
		p.in, err = p.server.StdinPipe()
		if err != nil {
			return 0, nil, nil, err
		}
		pipe, err := p.server.StdoutPipe()
		if err != nil {
			return 0, nil, nil, err
		}
		p.out = bufio.NewReader(pipe)
		if err := p.server.Start(); err != nil {
			return 0, nil, nil, err
		}
	}
	if _, err := p.in.Write(append(binary.NativeEndian.AppendUint32(nil, uint32(len(input))), input...)); err != nil {
		return 0, nil, nil, err
	}
	var n uint32
	if err := binary.Read(p.out, binary.NativeEndian, &n); err != nil {
		return 0, nil, nil, err
	}
	exit = int(n)
	for _, into := range []*[]byte{&stdout, &stderr} {
		if err := binary.Read(p.out, binary.NativeEndian, &n); err != nil {
			return 0, nil, nil, err
		}
		*into = make([]byte, n)
		if _, err := io.ReadFull(p.out, *into); err != nil {
			return 0, nil, nil, err
		}
	}
	return exit, stdout, stderr, nil
}

// onceGo gives an input to the process that runs, or to a new one.
func (p *localProgram) onceGo(input []byte) (exit int, stdout, stderr []byte, err error) {
	if p.server == nil {
		p.said.Reset()
		p.server = exec.Command(p.program)
		p.server.Dir, p.server.Stderr = p.dir, &p.said
		if p.in, err = p.server.StdinPipe(); err != nil {
			return 0, nil, nil, err
		}
		pipe, err := p.server.StdoutPipe()
		if err != nil {
			return 0, nil, nil, err
		}
		p.out = bufio.NewReader(pipe)
		if err := p.server.Start(); err != nil {
			return 0, nil, nil, err
		}
	}
	late := time.AfterFunc(10*time.Second, func() { _ = p.server.Process.Kill() })
	defer late.Stop()
	_, _ = p.in.Write(append(binary.NativeEndian.AppendUint32(nil, uint32(len(input))), input...))
	var n uint32
	if binary.Read(p.out, binary.NativeEndian, &n) == nil {
		stdout = make([]byte, n)
		_, err = io.ReadFull(p.out, stdout)
		return 0, stdout, []byte("returned\n"), err
	}
	_ = p.in.Close()
	_ = p.server.Wait()
	exit = p.server.ProcessState.ExitCode()
	p.server = nil
	return exit, nil, bytes.Clone(p.said.Bytes()), nil
}

var (
	asanSummary = regexp.MustCompile(`(?m)^SUMMARY: AddressSanitizer: ([A-Za-z-]+)`)
	asanFrame   = regexp.MustCompile(`(?m)^ +#([0-9]+) 0x[0-9a-f]+ +\((.*?)\+0x([0-9a-f]+)\)`)
	goPanic     = regexp.MustCompile(`(?m)^(?:panic: |fatal error: )(.*)$`)
	goFrame     = regexp.MustCompile(`(?m)^([a-zA-Z0-9_./-]+)\.((?:\(\*?\w+\)\.)?\w+)(?:\(.*)?$`)
)

// Observe implements Program.
func (p *localProgram) Observe(ctx context.Context, input []byte, n int) (oracle.Sight, error) {
	var out oracle.Sight
	for i := range n {
		exit, stdout, stderr, err := p.once(ctx, input)
		if err != nil {
			return out, err
		}
		o := oracle.Observation{Run: i + 1, Exit: exit, Raw: map[string]proofhouse.Digest{"stdout": proofhouse.DigestOf(stdout)}}
		o.Returned = bytes.HasSuffix(stderr, []byte("returned\n"))
		if exit < 0 || exit == 128+14 {
			o.Bound = "wall"
		}
		var frames []string
		switch {
		case p.l.p.Language == target.Go && o.Exit == 2:
			o.Broke, o.Symptom = true, oracle.Crash
			if m := goPanic.FindSubmatch(stderr); m != nil {
				o.Class = classOfPanic(string(m[1]))
			}
			for _, m := range goFrame.FindAllStringSubmatch(string(stderr), -1) {
				if m[1] != "runtime" && m[1] != "main" && m[1] != "panic" && !strings.HasPrefix(m[1], "runtime") && len(frames) < 16 {
					frames = append(frames, m[1]+"."+m[2])
				}
			}
		case p.l.p.Language != target.Go && o.Exit == 77:
			o.Broke, o.Symptom = true, oracle.Crash
			if m := asanSummary.FindSubmatch(stderr); m != nil {
				o.Class = string(m[1])
			}
			frames = p.frames(string(stderr))
		}
		if len(frames) > 0 {
			o.Function = frames[0]
		}
		if o.Broke && out.Frames == nil {
			out.Frames = frames
		}
		out.Observations = append(out.Observations, o)
	}
	return out, nil
}

func classOfPanic(s string) string {
	s = strings.TrimPrefix(s, "runtime error: ")
	for _, cut := range []string{" [", ": "} {
		s, _, _ = strings.Cut(s, cut)
	}
	return s
}

// symbol is the function at an offset, or "".
func (p *localProgram) symbol(at uint64) string {
	if p.symbols == nil {
		f, err := elf.Open(p.program)
		if err != nil {
			p.l.t.Fatal(err)
		}
		defer f.Close()
		all, err := f.Symbols()
		if err != nil {
			p.l.t.Fatal(err)
		}
		p.symbols = slices.DeleteFunc(all, func(s elf.Symbol) bool { return elf.ST_TYPE(s.Info) != elf.STT_FUNC || s.Size == 0 })
		slices.SortFunc(p.symbols, func(a, b elf.Symbol) int { return cmp.Compare(a.Value, b.Value) })
	}
	i, found := slices.BinarySearchFunc(p.symbols, at, func(s elf.Symbol, at uint64) int { return cmp.Compare(s.Value, at) })
	if !found {
		i--
	}
	if i < 0 || at >= p.symbols[i].Value+p.symbols[i].Size {
		return ""
	}
	return p.symbols[i].Name
}

// frames are the project's own functions of the first stack.
func (p *localProgram) frames(report string) []string {
	var offsets []uint64
	for _, m := range asanFrame.FindAllStringSubmatch(report, -1) {
		if m[1] == "0" && len(offsets) > 0 {
			break
		}
		at := uint64(0) // in another file
		if m[2] == p.program {
			at, _ = strconv.ParseUint(m[3], 16, 64)
			if len(offsets) > 0 {
				at-- // the call, not what it comes back to
			}
		}
		offsets = append(offsets, at)
	}
	var out []string
	for _, o := range offsets {
		name := p.symbol(o)
		if o == 0 || name == "main" || name == "LLVMFuzzerTestOneInput" || name == "" || strings.HasPrefix(name, "_") || strings.Contains(name, "interceptor") || strings.HasPrefix(name, "asan_") {
			continue
		}
		switch name {
		case "malloc", "free", "calloc", "realloc", "memcpy", "memmove", "memset", "strlen", "memcmp", "fwrite", "vfprintf", "fprintf", "printf":
			continue
		}
		out = append(out, name)
	}
	return out[:min(len(out), 16)]
}
