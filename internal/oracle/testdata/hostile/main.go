// Command hostile stands for a build under test whose behaviour the input
// chooses: each line of the input is "<side> <deed> <arguments>", where side is
// vulnerable, fixed or both. It does what a submission could do that has got
// control of the program.
package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

const report = `=================================================================
==7==ERROR: AddressSanitizer: heap-buffer-overflow on address 0x602000000038 at pc 0x563feca39f00 bp 0x7fff sp 0x7fff
READ of size 1 at 0x602000000038 thread T0
    #0 0x563feca39eff in parse_chunk /src/break.c:6:92
    #1 0x563feca3a335 in LLVMFuzzerTestOneInput /src/break.c:20:1

SUMMARY: AddressSanitizer: heap-buffer-overflow /src/break.c:6:92 in parse_chunk
==7==ABORTING
`

var environ = func() map[string]string {
	out := map[string]string{}
	for _, e := range os.Environ() {
		k, v, _ := strings.Cut(e, "=")
		out[k] = v
	}
	return out
}()

// logPath is where a sanitizer would write: to the error stream if nothing else is said.
func logPath() string {
	all := strings.Split(environ["ASAN_OPTIONS"], ":")
	for i := len(all) - 1; i >= 0; i-- {
		if p, ok := strings.CutPrefix(all[i], "log_path="); ok {
			return p + "." + strconv.Itoa(os.Getpid())
		}
	}
	return "/dev/stderr"
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		os.Exit(99)
	}
	return n
}

func write(path, s string) {
	if err := os.WriteFile(path, []byte(s), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

func spin(d time.Duration) {
	var from, now syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &from)
	for n := 0; ; n++ {
		if n%(1<<20) == 0 {
			_ = syscall.Getrusage(syscall.RUSAGE_SELF, &now)
			if time.Duration(now.Utime.Nano()-from.Utime.Nano()) >= d {
				return
			}
		}
	}
}

func fill(path string) {
	f, err := os.Create(path)
	if err != nil {
		return
	}
	b := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	for err == nil {
		_, err = f.Write(b)
	}
}

// orphan leaves a child in a session of its own that lives on and writes.
func orphan([]string) {
	cmd := exec.Command("/proc/self/exe", "-haunt")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	_ = cmd.Start()
	time.Sleep(50 * time.Millisecond)
}

type parser struct{ b []byte }

//go:noinline
func (p *parser) peek(i int) byte { return p.b[i] }

var deeds = map[string]func(a []string){
	"nothing": func([]string) {},
	"exit":    func(a []string) { os.Exit(number(a[0])) },
	"panic":   func([]string) { (&parser{}).peek(5) },
	"abort":   func([]string) { debug.SetTraceback("crash"); panic("x") },
	"asan":    func([]string) { write(logPath(), report); os.Exit(77) }, // the sanitizer itself
	"print": func(a []string) { // its words, with an exit status of one's own
		fmt.Print(report)
		fmt.Fprint(os.Stderr, report)
		os.Exit(number(a[0]))
	},
	"print-panic": func(a []string) {
		fmt.Fprint(os.Stderr, "panic: runtime error: index out of range [5] with length 0\n\ngoroutine 1 [running]:\nexample.org/a.b/c.f()\n\t/x.go:1 +0x1\nexit status 2\n")
		os.Exit(number(a[0]))
	},
	"guess-log": func([]string) {
		for _, dir := range []string{"/report", "/tmp", "/work", "/out", "/canary"} {
			for _, name := range []string{"log", "asan", "report", "aaaaaaaaaaaaaaaaaaaaaaaa"} {
				write(filepath.Join(dir, fmt.Sprintf("%s.%d", name, os.Getpid())), report)
			}
		}
		os.Exit(77)
	},
	"link-log": func([]string) { // a link where the log should be
		write("/tmp/mine", report)
		_ = os.Symlink("/tmp/mine", logPath())
		os.Exit(77)
	},
	"garbage-log": func([]string) { write(logPath(), "\x00\xff\xfe==ERROR: \xf0\x28"); os.Exit(77) },
	"huge-log":    func([]string) { write(logPath(), strings.Repeat(report, 10000)); os.Exit(77) },
	"full": func([]string) { // a report that finds no room where anybody can write
		for _, dir := range []string{"/tmp", "/work", "/out", "/canary"} {
			fill(dir + "/full")
		}
		write(logPath(), report)
		os.Exit(77)
	},
	"full-report": func([]string) { fill("/report/full"); write(logPath(), report); os.Exit(77) },
	"guess-channel": func([]string) {
		f := os.NewFile(4, "report")
		for _, nonce := range []string{"", "nonce", "PROOFHOUSE_NONCE", strings.Repeat("a", 32)} {
			fmt.Fprintf(f, "%s forged \"yes\"\n%s polluted \"Object.prototype.x\"\n", nonce, nonce)
		}
	},
	"channel": func(a []string) { // the driver itself
		fmt.Fprintf(os.NewFile(4, "report"), "%s %s %q\n", environ["PROOFHOUSE_NONCE"], a[0], strings.Join(a[1:], " "))
	},
	"flood-channel": func([]string) {
		f := os.NewFile(4, "report")
		b := bytes.Repeat([]byte("x"), 1<<20)
		for range 64 {
			if _, err := f.Write(b); err != nil {
				return
			}
		}
	},
	"spin":  func(a []string) { spin(time.Duration(number(a[0])) * time.Millisecond) },
	"sleep": func(a []string) { time.Sleep(time.Duration(number(a[0])) * time.Millisecond) },
	"child-spin": func(a []string) { // CPU time in a child does not hide
		cmd := exec.Command("/proc/self/exe", "-spin", a[0])
		_ = cmd.Run()
	},
	"clock": func([]string) { // set the clock on, then sleep a little
		ts := syscall.Timespec{Sec: 4e9}
		_, _, _ = syscall.RawSyscall(syscall.SYS_CLOCK_SETTIME, 0, uintptr(unsafe.Pointer(&ts)), 0)
		time.Sleep(10 * time.Millisecond)
	},
	"flood": func([]string) {
		b := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
		for range 1 << 10 {
			if _, err := os.Stdout.Write(b); err != nil {
				return
			}
			if _, err := os.Stderr.Write(b[:16]); err != nil {
				return
			}
		}
	},
	"binary": func([]string) {
		b := make([]byte, 1<<16)
		for i := range b {
			b[i] = byte(rand.Uint32())
		}
		_, _ = os.Stdout.Write(b)
		_, _ = os.Stderr.Write(b)
	},
	"close": func([]string) { // all but the report and the Go runtime's own, without which this program dies by itself
		for fd := range 64 {
			if link, _ := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd)); fd != 4 && !strings.Contains(link, "event") {
				_ = syscall.Close(fd)
			}
		}
	},
	"stop":   func([]string) { _ = syscall.Kill(os.Getpid(), syscall.SIGSTOP) },
	"killed": func([]string) { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL); select {} },
	"parents": func([]string) { // everything it may signal
		signal.Ignore(syscall.SIGTERM, syscall.SIGHUP)
		if os.Getppid() > 0 { // 0 would be its own group
			_ = syscall.Kill(os.Getppid(), syscall.SIGKILL)
		}
		_ = syscall.Kill(1, syscall.SIGKILL)
		_ = syscall.Kill(-1, syscall.SIGTERM)
	},
	"orphan": orphan,
	"haunted": func(a []string) { // breaks if a former run's orphan or file is still there
		procs, _ := filepath.Glob("/proc/[0-9]*/cmdline")
		for _, p := range procs {
			if b, _ := os.ReadFile(p); bytes.Contains(b, []byte("-haunt")) {
				write(logPath(), report)
				os.Exit(77)
			}
		}
		orphan(nil)
	},
	"remember": func([]string) { // breaks from the second run on, if anything is kept
		for _, dir := range []string{"/tmp", "/work", "/out", "/canary", "/report", "/dev/shm", "/var/tmp"} {
			if _, err := os.Stat(dir + "/seen"); err == nil {
				write(logPath(), report)
				os.Exit(77)
			}
			write(dir+"/seen", "x")
		}
	},
	"flaky": func([]string) {
		if rand.N(2) == 0 {
			write(logPath(), report)
			os.Exit(77)
		}
	},
	"eat": func([]string) {
		var all [][]byte
		for {
			b := make([]byte, 8<<20)
			for i := 0; i < len(b); i += 4096 {
				b[i] = 1
			}
			all = append(all, b)
			if len(all) > 1<<20 {
				return
			}
		}
	},
	"write":       func(a []string) { _ = os.MkdirAll(filepath.Dir(a[0]), 0o755); write(a[0], "x") },
	"symlink":     func(a []string) { _ = os.Symlink(a[0], a[1]) },
	"canary":      func([]string) { write(environ["CANARY"], "") },
	"canary-link": func([]string) { _ = os.Symlink("/nowhere", environ["CANARY"]) },
	"canary-guess": func([]string) {
		write("/canary/canary", "")
		for range 1000 {
			write(fmt.Sprintf("/canary/%d", rand.Uint64()), "")
		}
	},
	"whoami": func([]string) { // breaks if it is anybody but Nobody, or can write what it was given
		_, werr := syscall.Write(3, []byte("x"))
		f, oerr := os.OpenFile("/dev/fd/3", os.O_WRONLY, 0)
		if oerr == nil { // what counts is whether a byte gets through
			_, oerr = f.Write([]byte("x"))
			f.Close()
		}
		fmt.Println(os.Getuid(), os.Getgid(), "write:", werr, "open:", oerr)
		if os.Getuid() != 65534 || os.Getgid() != 65534 || werr == nil || oerr == nil || os.WriteFile("/target/x", nil, 0o644) == nil {
			write(logPath(), report)
			os.Exit(77)
		}
	},
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == "-spin" {
		spin(time.Duration(number(os.Args[2])) * time.Millisecond)
		return
	}
	if len(os.Args) == 2 && os.Args[1] == "-haunt" {
		for range 600 {
			write("/work/haunted", "x")
			time.Sleep(100 * time.Millisecond)
		}
		return
	}
	b, err := os.ReadFile(os.Args[len(os.Args)-1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(64)
	}
	for _, line := range strings.Split(string(b), "\n") {
		f := strings.Fields(line)
		if len(f) < 2 || deeds[f[1]] == nil || f[0] != "both" && f[0] != environ["SIDE"] {
			continue
		}
		deeds[f[1]](f[2:])
	}
}
