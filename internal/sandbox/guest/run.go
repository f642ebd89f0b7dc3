package guest

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// PWD is the variable in which run takes the command's PWD. The one of that
// name was set by the runtime and is left out.
const PWD = "PROOFHOUSE_PWD"

// run starts args[3:] with every descriptor below args[0], at most args[1]
// processes of its user and args[2] open files, and writes to descriptor
// args[0] how it ended: "exit N", "signal N" or "fail WHY". It is for
// providers whose runtime does neither set limits nor tell an exit status from
// a signal. The command runs as the same user, so this process makes itself
// one that its user can neither trace nor open.
func run(args []string) error {
	if len(args) < 4 {
		return &exitError{ExitInvalid, errors.New("run FD PROCESSES FILES PROGRAM ARGUMENTS")}
	}
	fd, err := strconv.Atoi(args[0])
	if err != nil || fd < 3 {
		return &exitError{ExitInvalid, fmt.Errorf("%q is not a descriptor", args[0])}
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return err
	}
	for kind, value := range map[int]string{unix.RLIMIT_NPROC: args[1], unix.RLIMIT_NOFILE: args[2], unix.RLIMIT_CORE: "0"} {
		n, err := strconv.ParseUint(value, 10, 64)
		if err != nil {
			return &exitError{ExitInvalid, err}
		}
		want := syscall.Rlimit{Cur: n, Max: n}
		var got syscall.Rlimit
		// Through syscall, which then leaves the child's number of files alone.
		if err := syscall.Setrlimit(kind, &want); err != nil {
			return fmt.Errorf("setting a limit: %w", err)
		}
		if err := syscall.Getrlimit(kind, &got); err != nil || got != want {
			return fmt.Errorf("a limit is %v, not %v", got, want)
		}
	}
	args = args[2:]
	// Neither the status nor what else the runtime left open is the command's.
	if err := unix.CloseRange(uint(fd), ^uint(0), unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return fmt.Errorf("closing descriptors: %w", err)
	}
	status := os.NewFile(uintptr(fd), "status")
	files := make([]uintptr, fd)
	for i := range files {
		files[i] = uintptr(i)
	}
	var env []string
	for _, e := range os.Environ() {
		if pwd, ok := strings.CutPrefix(e, PWD+"="); ok {
			env = append(env, "PWD="+pwd)
		} else if !strings.HasPrefix(e, "PWD=") {
			env = append(env, e)
		}
	}
	pid, err := syscall.ForkExec(args[1], args[1:], &syscall.ProcAttr{Env: env, Files: files})
	if err != nil {
		_, err = fmt.Fprintf(status, "fail %v\n", err)
		return err
	}
	var ws syscall.WaitStatus
	for {
		if _, err = syscall.Wait4(pid, &ws, 0, nil); !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		return err
	}
	if ws.Signaled() {
		_, err = fmt.Fprintf(status, "signal %d\n", ws.Signal())
	} else {
		_, err = fmt.Fprintf(status, "exit %d\n", ws.ExitStatus())
	}
	return err
}
