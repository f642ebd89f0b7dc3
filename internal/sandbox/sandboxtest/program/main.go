// Command program does in a box whatever a test asks for. argv[1] names it.
package main

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// deeds are what the program can do; add what a new test needs. Each gives
// the exit status.
var deeds = map[string]func(args []string) int{
	"true":   func([]string) int { return 0 },
	"exit":   func(a []string) int { return number(a[0]) },
	"echo":   func(a []string) int { fmt.Println(strings.Join(a, " ")); return 0 },
	"stderr": func(a []string) int { fmt.Fprintln(os.Stderr, strings.Join(a, " ")); return 0 },
	"env":    func([]string) int { fmt.Println(strings.Join(os.Environ(), "\n")); return 0 },
	"id":     func([]string) int { fmt.Println(os.Getuid(), os.Getgid()); return 0 },
	"pwd":    func([]string) int { d, err := os.Getwd(); fmt.Println(d); return fail(err) },
	"signal": func(a []string) int {
		// The runtime of Go exits on some signals; the kernel's own way is asked for.
		var action [4]uintptr // all zero: the default
		if _, _, errno := syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(number(a[0])), uintptr(unsafe.Pointer(&action)), 0, 8, 0, 0); errno != 0 {
			return fail(errno)
		}
		if err := syscall.Kill(os.Getpid(), syscall.Signal(number(a[0]))); err != nil {
			return fail(err)
		}
		select {}
	},
	"cat": func(a []string) int {
		var src io.Reader = os.Stdin
		if len(a) > 0 {
			f, err := os.Open(a[0])
			if err != nil {
				return fail(err)
			}
			defer f.Close()
			src = f
		}
		_, err := io.Copy(os.Stdout, src)
		return fail(err)
	},
	"write":   func(a []string) int { return fail(os.WriteFile(a[0], []byte(a[1]), 0o644)) },
	"symlink": func(a []string) int { return fail(os.Symlink(a[0], a[1])) },
	"link":    func(a []string) int { return fail(os.Link(a[0], a[1])) },
	"mkdir":   func(a []string) int { return fail(os.MkdirAll(a[0], 0o755)) },
	"mkfifo":  func(a []string) int { return fail(syscall.Mkfifo(a[0], 0o666)) },
	"exists":  func(a []string) int { _, err := os.Lstat(a[0]); return fail(err) },
	"sleep":   func(a []string) int { time.Sleep(duration(a[0])); return 0 },
	"spin":    spin,
	"flood":   flood,
	"eat":     eat,
	"fill":    fill,
	"sparse":  sparse,
	"fork":    fork,
	"forks":   forks,
	"orphan":  orphan,
	"ps":      ps,
	"fd":      fd,
	"report":  report,
	"connect": connect,
	"post":    post,
	"limits":  limits,
	"flip":    flip,
	"find":    find,
	"map":     mapped,

	"escape":    escape,
	"neighbour": neighbour,
	"setid":     setid,
	"swap":      swap,
}

func main() {
	if len(os.Args) < 2 || deeds[os.Args[1]] == nil {
		fmt.Fprintf(os.Stderr, "no such deed: %q\n", os.Args[1:])
		os.Exit(99)
	}
	os.Exit(deeds[os.Args[1]](os.Args[2:]))
}

func fail(err error) int {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic(err)
	}
	return n
}

func duration(s string) time.Duration {
	d, err := time.ParseDuration(s)
	if err != nil {
		panic(err)
	}
	return d
}

// spin uses a processor for ever.
func spin([]string) int {
	for n := 0; ; n++ {
		if n < 0 {
			return 1
		}
	}
}

// flood prints without end, with a marked head.
func flood([]string) int {
	fmt.Println("head of the flood")
	line := bytes.Repeat([]byte("0123456789abcdef"), 4096)
	for {
		if _, err := os.Stdout.Write(line); err != nil {
			return fail(err)
		}
	}
}

// eat takes memory, args[0] bytes or without end.
func eat(a []string) int {
	var all [][]byte
	for total := 0; len(a) == 0 || total < number(a[0]); total += 8 << 20 {
		b := make([]byte, 8<<20)
		for i := 0; i < len(b); i += 4096 {
			b[i] = byte(i)
		}
		all = append(all, b)
	}
	runtime.KeepAlive(all)
	return 0
}

// fill writes to args[0] until the disk is full and says how much there was.
func fill(a []string) int {
	f, err := os.Create(a[0])
	if err != nil {
		return fail(err)
	}
	b, n := make([]byte, 1<<20), 0
	for i := range b {
		b[i] = byte(i * 7)
	}
	for {
		k, err := f.Write(b)
		n += k
		if err != nil {
			fmt.Println(n)
			return fail(err)
		}
	}
}

// sparse makes a file of args[1] bytes with nothing in it.
func sparse(a []string) int {
	f, err := os.Create(a[0])
	if err != nil {
		return fail(err)
	}
	if err := f.Truncate(int64(number(a[1]))); err != nil {
		return fail(err)
	}
	st, err := f.Stat()
	if err == nil {
		fmt.Println(st.Size())
	}
	return fail(err)
}

// fork starts itself without end, two children each, until it may no more.
func fork([]string) int {
	for {
		_ = exec.Command("/proc/self/exe", "fork").Start()
	}
}

// forks starts sleepers until it may no more and says how many there were.
func forks(a []string) int {
	for n := 0; ; n++ {
		if err := exec.Command("/proc/self/exe", "sleep", "1h").Start(); err != nil || n > 10000 {
			return fail(err)
		}
		fmt.Println(n + 1)
	}
}

// orphan leaves a child behind that holds stdout; with "session", in a session
// of its own. The child carries the mark args[0] in its arguments.
func orphan(a []string) int {
	cmd := exec.Command("/proc/self/exe", "sleep", "1h", a[0])
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: slices.Contains(a, "session")}
	if err := cmd.Start(); err != nil {
		return fail(err)
	}
	fmt.Println("left", cmd.Process.Pid)
	if slices.Contains(a, "stay") {
		time.Sleep(time.Hour)
	}
	return 0
}

// ps prints the arguments of every process it can see.
func ps([]string) int {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	for _, d := range dirs {
		b, _ := os.ReadFile(d + "/cmdline")
		fmt.Println(filepath.Base(d), strings.ReplaceAll(string(b), "\x00", " "))
	}
	return fail(err)
}

// fd reads descriptor args[0] and tries to write to it.
func fd(a []string) int {
	n := number(a[0])
	b := make([]byte, 1024)
	k, err := syscall.Pread(n, b, 0)
	if err != nil {
		return fail(err)
	}
	fmt.Printf("%s", b[:k])
	if _, err := syscall.Write(n, []byte("x")); err == nil {
		fmt.Println("WRITTEN")
	}
	for _, path := range []string{fmt.Sprintf("/proc/self/fd/%d", n), fmt.Sprintf("/dev/fd/%d", n)} {
		if f, err := os.OpenFile(path, os.O_WRONLY, 0); err == nil {
			if _, err := f.Write([]byte("x")); err == nil {
				fmt.Println("WRITTEN through", path)
			}
			f.Close()
		}
	}
	return 0
}

// report writes args[1] to descriptor args[0].
func report(a []string) int {
	_, err := os.NewFile(uintptr(number(a[0])), "report").WriteString(a[1])
	return fail(err)
}

func connect(a []string) int {
	conn, err := net.DialTimeout(a[0], a[1], time.Second)
	if err != nil {
		return fail(err)
	}
	defer conn.Close()
	b, _ := io.ReadAll(io.LimitReader(conn, 100))
	fmt.Println(string(b))
	return 0
}

func limits([]string) int {
	for name, kind := range map[string]int{"nofile": syscall.RLIMIT_NOFILE, "core": syscall.RLIMIT_CORE, "nproc": 6} {
		var l syscall.Rlimit
		if err := syscall.Getrlimit(kind, &l); err != nil {
			return fail(err)
		}
		fmt.Println(name, l.Max)
	}
	return 0
}

// flip turns args[0] into a regular file, a link to args[1] and back without end.
func flip(a []string) int {
	for {
		_ = os.Remove(a[0])
		_ = os.WriteFile(a[0], []byte("harmless"), 0o644)
		_ = os.Remove(a[0])
		_ = os.Symlink(a[1], a[0])
	}
}

func find(a []string) int {
	return fail(filepath.WalkDir(a[0], func(name string, _ fs.DirEntry, err error) error {
		fmt.Println(name)
		return err
	}))
}

// mapped prints a file through a mapping of it.
func mapped(a []string) int {
	f, err := os.Open(a[0])
	if err != nil {
		return fail(err)
	}
	st, err := f.Stat()
	if err != nil {
		return fail(err)
	}
	b, err := syscall.Mmap(int(f.Fd()), 0, int(st.Size()), syscall.PROT_READ, syscall.MAP_PRIVATE)
	if err != nil {
		return fail(err)
	}
	_, err = os.Stdout.Write(b)
	return fail(err)
}

// post sends a[2] to the path a[1] at a[0], a[3] times at once, and prints each answer.
func post(a []string) int {
	answers := make([]string, number(a[3]))
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() {
			resp, err := http.Post("http://"+a[0]+a[1], "text/plain", strings.NewReader(a[2]))
			if err != nil {
				answers[i] = err.Error()
				return
			}
			defer resp.Body.Close()
			b, err := io.ReadAll(resp.Body)
			answers[i] = fmt.Sprintln(resp.StatusCode, resp.Header.Get("X-Answer"), string(b))
			if err != nil {
				answers[i] = err.Error()
			}
		})
	}
	all.Wait()
	fmt.Print(strings.Join(answers, ""))
	if !strings.Contains(strings.Join(answers, ""), "42") {
		return 1
	}
	return 0
}
