package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// attempts are ways out of a badly made box. Each prints "ESCAPED what" for
// what it reached and "held what: why" for what it did not; nothing that it
// does would harm a host that it got to.
var attempts = map[string]func(args []string){
	"mounts":    tryMounts,
	"kernel":    tryKernelFiles,
	"devices":   tryDevices,
	"processes": tryProcesses,
	"setuid":    trySetuid,
	"sockets":   trySockets,
	"keys":      tryKeys,
	"cgroups":   tryCgroups,
	"userns":    tryUserNamespace,
	"handles":   tryHandles,
	"donated":   tryDonated,
	"canary":    tryCanary,
	"neighbour": tryNeighbour,
	"calls":     tryCalls,
	"oldcalls":  tryOldCalls,
	"dump":      tryDump,
	"terminal":  tryTerminal,
}

// escape runs one attempt to its end, which it says.
func escape(args []string) int {
	try := attempts[args[0]]
	if try == nil {
		return 99
	}
	try(args[1:])
	fmt.Println("done")
	return 0
}

// outcome prints what became of one thing: no error is an escape.
func outcome(err error, format string, args ...any) {
	what := fmt.Sprintf(format, args...)
	if err == nil {
		fmt.Println("ESCAPED", what)
		return
	}
	fmt.Println("held", what+":", err)
}

var errNothing = errors.New("nothing to be had")

func tryMounts([]string) {
	dir, err := os.MkdirTemp("/tmp", "m")
	if err != nil {
		fmt.Println("held", err)
		return
	}
	for _, kind := range []string{"tmpfs", "proc", "sysfs", "cgroup", "cgroup2", "devtmpfs", "debugfs", "overlay", "ext4"} {
		source := kind
		if kind == "ext4" {
			source = "/dev/vda"
		}
		err := unix.Mount(source, dir, kind, 0, "")
		outcome(err, "mount of %s", kind)
		if err == nil {
			_ = unix.Unmount(dir, unix.MNT_DETACH)
		}
	}
	outcome(unix.Mount("/", dir, "", unix.MS_BIND|unix.MS_REC, ""), "bind mount of /")
	outcome(unix.Mount("", "/proc", "", unix.MS_REMOUNT|unix.MS_BIND, ""), "remount of /proc")
	outcome(unix.Unmount("/proc", unix.MNT_DETACH), "unmount of /proc")
	outcome(unix.PivotRoot(dir, dir), "pivot_root")
	fd, err := unix.Fsopen("tmpfs", 0)
	outcome(err, "fsopen")
	if err == nil {
		unix.Close(fd)
	}
	// The classic way out of chroot.
	top, err := os.Open("/")
	if err == nil && unix.Chroot(dir) == nil {
		_ = unix.Fchdir(int(top.Fd()))
		for range 40 {
			_ = unix.Chdir("..")
		}
		if unix.Chroot(".") == nil {
			if _, err := os.Stat("/bin/program"); err != nil {
				outcome(nil, "chroot to another root")
			}
		}
	}
}

// tryKernelFiles opens files that steer or show the kernel, and writes none.
func tryKernelFiles([]string) {
	for _, name := range []string{
		"/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sys/kernel/hotplug",
		"/proc/sys/vm/panic_on_oom", "/proc/sys/fs/binfmt_misc/register", "/proc/sys/kernel/sysrq", "/sys/kernel/uevent_helper",
		"/sys/kernel/mm/ksm/run", "/sys/power/state", "/proc/acpi/wakeup", "/proc/timer_list", "/sys/firmware/efi/vars/new_var",
		"/proc/sys/kernel/yama/ptrace_scope", "/proc/1/oom_score_adj_host", "/proc/bus/pci/00/00.0",
	} {
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		outcome(err, "%s opens for writing", name)
		if err == nil {
			f.Close()
		}
	}
	for _, name := range []string{"/proc/kcore", "/proc/kmsg", "/proc/kpageflags", "/dev/mem", "/dev/kmem", "/dev/port", "/sys/kernel/debug/sched", "/sys/kernel/security/lsm"} {
		err := readSome(name)
		outcome(err, "%s can be read", name)
	}
	b, _ := os.ReadFile("/proc/kallsyms")
	for line := range strings.Lines(string(b)) {
		if addr, _, _ := strings.Cut(line, " "); strings.Trim(addr, "0") != "" {
			outcome(nil, "/proc/kallsyms shows addresses")
			break
		}
	}
}

func readSome(name string) error {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_ = f.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	n, err := f.Read(make([]byte, 64))
	if n > 0 {
		return nil
	}
	if err == nil {
		err = errNothing
	}
	return err
}

func tryDevices([]string) {
	for _, dir := range []string{"/tmp", "/out", "/dev", "/dev/shm", "/"} {
		for name, dev := range map[string]struct {
			kind         uint32
			major, minor uint32
		}{
			"mem": {unix.S_IFCHR, 1, 1}, "kvm": {unix.S_IFCHR, 10, 232}, "fuse": {unix.S_IFCHR, 10, 229}, "tun": {unix.S_IFCHR, 10, 200},
			"disk": {unix.S_IFBLK, 8, 0}, "virtio": {unix.S_IFBLK, 254, 0}, "loop": {unix.S_IFBLK, 7, 0}, "console": {unix.S_IFCHR, 5, 1},
		} {
			p := filepath.Join(dir, "node-"+name)
			if err := unix.Mknod(p, dev.kind|0o666, int(unix.Mkdev(dev.major, dev.minor))); err == nil {
				outcome(readSome(p), "a device %s made in %s can be read", name, dir)
				_ = os.Remove(p)
			}
		}
	}
	// Whatever lies about must be one of the harmless ones.
	harmless := map[uint64]bool{}
	for _, d := range [][2]uint32{{1, 3}, {1, 5}, {1, 7}, {1, 8}, {1, 9}, {5, 0}, {5, 2}, {136, 0}} {
		harmless[unix.Mkdev(d[0], d[1])] = true
	}
	_ = filepath.WalkDir("/", func(name string, _ fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		if name == "/proc" || name == "/sys" {
			return filepath.SkipDir
		}
		// The folder's own entry is of what lies below a mounted device.
		var st unix.Stat_t
		if unix.Lstat(name, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFCHR && st.Mode&unix.S_IFMT != unix.S_IFBLK {
			return nil
		}
		if st.Mode&unix.S_IFMT == unix.S_IFCHR && (harmless[st.Rdev] || unix.Major(st.Rdev) == 136) {
			return nil
		}
		f, err := os.OpenFile(name, os.O_RDWR|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
		outcome(err, "device %s (%d:%d) opens", name, unix.Major(st.Rdev), unix.Minor(st.Rdev))
		if err == nil {
			f.Close()
		}
		return nil
	})
}

// tryProcesses goes for a process of the host, whose id is args[0].
func tryProcesses(args []string) {
	pid := number(args[0])
	outcome(unix.Kill(pid, unix.SIGKILL), "signal to the host's process")
	outcome(unix.PtraceAttach(pid), "trace of the host's process")
	local, remote := make([]byte, 8), unix.RemoteIovec{Base: 0x400000, Len: 8}
	_, err := unix.ProcessVMReadv(pid, []unix.Iovec{{Base: &local[0], Len: 8}}, []unix.RemoteIovec{remote}, 0)
	outcome(err, "memory of the host's process")
	fd, err := unix.PidfdOpen(pid, 0)
	outcome(err, "descriptor of the host's process")
	if err == nil {
		_, err := unix.PidfdGetfd(fd, 0, 0)
		outcome(err, "file of the host's process")
	}
	for _, name := range []string{"root", "cwd", "exe", "mem", "environ", "maps"} {
		_, err := os.Open(fmt.Sprintf("/proc/%d/%s", pid, name))
		outcome(err, "/proc/%d/%s of the host", pid, name)
	}
	outcome(unix.Setpriority(unix.PRIO_PROCESS, pid, 19), "priority of the host's process")
	// All that there is, but for this process: the host looks whether its own live.
	_ = unix.Kill(-1, unix.SIGTERM)
}

// trySetuid is run from a file that is set-id root, by somebody else.
func trySetuid([]string) {
	r, e, s := unix.Getresuid()
	_, ge, _ := unix.Getresgid()
	if e == 0 || s == 0 || ge == 0 {
		outcome(nil, "set-id gave the ids %d %d %d, group %d", r, e, s, ge)
	}
	if unix.Setuid(0) == nil {
		outcome(nil, "setuid(0)")
	}
	fmt.Println("held set-id: ids", r, e, s)
}

// trySockets takes addresses of the host as network=address.
func trySockets(args []string) {
	for _, a := range args {
		network, address, _ := strings.Cut(a, "=")
		conn, err := net.DialTimeout(network, address, 300*time.Millisecond)
		outcome(err, "connection to %s %s", network, strings.TrimPrefix(address, "@"))
		if err == nil {
			conn.Close()
		}
	}
	for name, s := range map[string][3]int{
		"packet": {unix.AF_PACKET, unix.SOCK_RAW, 0}, "raw IPv4": {unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP},
		"raw IPv6": {unix.AF_INET6, unix.SOCK_RAW, unix.IPPROTO_ICMPV6}, "crypto": {unix.AF_ALG, unix.SOCK_SEQPACKET, 0},
		"bluetooth": {unix.AF_BLUETOOTH, unix.SOCK_RAW, 1}, "xdp": {unix.AF_XDP, unix.SOCK_RAW, 0}, "key": {unix.AF_KEY, unix.SOCK_RAW, 2},
		"rds": {unix.AF_RDS, unix.SOCK_SEQPACKET, 0}, "can": {unix.AF_CAN, unix.SOCK_RAW, 1}, "tipc": {unix.AF_TIPC, unix.SOCK_STREAM, 0},
	} {
		fd, err := unix.Socket(s[0], s[1], s[2])
		outcome(err, "%s socket", name)
		if err == nil {
			unix.Close(fd)
		}
	}
	fd, err := unix.Socket(unix.AF_VSOCK, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		outcome(err, "vsock")
		return
	}
	err = unix.Connect(fd, &unix.SockaddrVM{CID: unix.VMADDR_CID_HOST, Port: 1024})
	if errors.Is(err, unix.EINPROGRESS) || errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.ECONNREFUSED) {
		err = nil // the host's side answered, or may
	}
	outcome(err, "vsock to the host")
}

// tryKeys looks for a key of the host by its description, args[0].
func tryKeys(args []string) {
	for _, ring := range []int{unix.KEY_SPEC_SESSION_KEYRING, unix.KEY_SPEC_USER_KEYRING, unix.KEY_SPEC_USER_SESSION_KEYRING} {
		id, err := unix.KeyctlSearch(ring, "user", args[0], 0)
		if err == nil {
			b := make([]byte, 100)
			_, err = unix.KeyctlBuffer(unix.KEYCTL_READ, id, b, 0)
		}
		outcome(err, "key of the host in ring %d", ring)
	}
	id, err := unix.RequestKey("user", args[0], "", 0)
	outcome(err, "key of the host %d", id)
	b, _ := os.ReadFile("/proc/keys")
	if strings.Contains(string(b), args[0]) {
		outcome(nil, "/proc/keys shows a key of the host")
	}
}

func tryCgroups([]string) {
	err := filepath.WalkDir("/sys/fs/cgroup", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		switch d.Name() {
		case "release_agent", "cgroup.procs", "tasks", "notify_on_release", "devices.allow", "memory.limit_in_bytes", "memory.max", "pids.max", "cgroup.subtree_control":
			f, err := os.OpenFile(name, os.O_WRONLY, 0)
			outcome(err, "%s opens for writing", name)
			if err == nil {
				f.Close()
			}
		}
		if d.IsDir() {
			sub := filepath.Join(name, "escape")
			if err := os.Mkdir(sub, 0o755); err == nil {
				if _, err := os.Stat(filepath.Join(sub, "cgroup.procs")); err == nil {
					outcome(nil, "a group can be made in %s", name)
				}
				_ = os.Remove(sub)
			}
		}
		return nil
	})
	fmt.Println("held groups:", err)
}

// tryUserNamespace makes a user namespace, where it has every right, and says
// whether it could; with a program's arguments it runs that in it.
func tryUserNamespace(args []string) {
	cmd := exec.Command("/proc/self/exe", append([]string{"escape"}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	outcome(err, "a user namespace")
	fmt.Printf("%s", out)
}

// tryHandles opens files by their numbers, past any mount.
func tryHandles([]string) {
	for _, dir := range []string{"/", "/etc", "/tmp", "/out", "/mnt"} {
		top, err := os.Open(dir)
		if err != nil {
			continue
		}
		var handles []unix.FileHandle
		h, _, err := unix.NameToHandleAt(unix.AT_FDCWD, dir, 0)
		if err == nil {
			handles = append(handles, h)
		}
		fmt.Println("held name_to_handle_at", dir, err)
		for _, ino := range []uint32{2, 64, 128} { // the top of the usual file systems
			for _, kind := range []int32{1, 2, 0x81} {
				handles = append(handles, unix.NewFileHandle(kind, append(binary.NativeEndian.AppendUint32(nil, ino), 0, 0, 0, 0)))
			}
		}
		for _, h := range handles {
			fd, err := unix.OpenByHandleAt(int(top.Fd()), h, unix.O_RDONLY)
			outcome(err, "open_by_handle_at below %s of kind %d", dir, h.Type())
			if err == nil {
				unix.Close(fd)
			}
		}
		top.Close()
	}
}

// tryDonated misuses descriptor 3, a file of the host that may be read.
func tryDonated([]string) {
	const fd = 3
	_, err := unix.Write(fd, []byte("x"))
	outcome(err, "write to a donated file")
	_, err = unix.Pwrite(fd, []byte("x"), 0)
	outcome(err, "pwrite to a donated file")
	outcome(unix.Ftruncate(fd, 0), "truncation of a donated file")
	outcome(unix.Fallocate(fd, 0, 0, 4096), "fallocate of a donated file")
	outcome(unix.Fchmod(fd, 0o777), "chmod of a donated file")
	outcome(unix.Fchown(fd, os.Getuid(), os.Getgid()), "chown of a donated file")
	outcome(unix.Fsetxattr(fd, "user.x", []byte("x"), 0), "xattr of a donated file")
	for _, p := range []string{"/proc/self/fd/3", "/dev/fd/3", "/proc/thread-self/fd/3"} {
		for name, flags := range map[string]int{"writing": os.O_WRONLY, "both": os.O_RDWR, "truncation": os.O_RDWR | os.O_TRUNC, "appending": os.O_WRONLY | os.O_APPEND} {
			f, err := os.OpenFile(p, flags, 0)
			outcome(err, "%s opens for %s", p, name)
			if err == nil {
				f.Close()
			}
		}
	}
	for _, p := range []string{"..", "../..", "../../etc/passwd", "."} {
		_, err := unix.Openat(fd, p, unix.O_RDONLY, 0)
		outcome(err, "openat of %q from a donated file", p)
	}
	outcome(unix.Fchdir(fd), "fchdir to a donated file")
	outcome(unix.Linkat(fd, "", unix.AT_FDCWD, "/out/stolen", unix.AT_EMPTY_PATH), "name for a donated file")
	outcome(unix.Linkat(unix.AT_FDCWD, "/proc/self/fd/3", unix.AT_FDCWD, "/out/stolen", unix.AT_SYMLINK_FOLLOW), "name for a donated file by its link")
	m, err := unix.Mmap(fd, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	outcome(err, "shared writable map of a donated file")
	if err == nil {
		_ = unix.Munmap(m)
	}
	// And whatever else came along.
	names, _ := os.ReadDir("/proc/self/fd")
	for _, e := range names {
		var st unix.Stat_t
		n := 0
		if _, err := fmt.Sscan(e.Name(), &n); err != nil || unix.Fstat(n, &st) != nil || n <= fd {
			continue
		}
		link, _ := os.Readlink("/proc/self/fd/" + e.Name())
		if strings.HasPrefix(link, "anon_inode:") || link == "/proc/self/fd" || strings.HasPrefix(link, "/proc/") {
			continue // this program's own poller, and the list being read
		}
		outcome(nil, "descriptor %d came along: %s", n, link)
	}
}

// tryCanary looks for a file of the host, by its folder args[0] and name args[1].
func tryCanary(args []string) {
	want := filepath.Join(args[0], args[1])
	places := []string{want, "/host" + want, "/oldroot" + want, "/mnt" + want, "/.." + want, strings.Repeat("/..", 40) + want, "/proc/1/root" + want, "/proc/self/root/.." + want, "/proc/self/cwd/" + strings.Repeat("../", 40) + want}
	procs, _ := filepath.Glob("/proc/[0-9]*")
	for _, p := range procs {
		places = append(places, p+"/root"+want, p+"/cwd/"+args[1], p+"/cwd"+want)
		fds, _ := filepath.Glob(p + "/fd/*")
		for _, fd := range fds {
			places = append(places, fd+"/"+args[1], fd+want, fd+"/.."+want)
		}
	}
	for _, p := range places {
		if b, err := os.ReadFile(p); err == nil {
			outcome(nil, "%s: %s", p, b)
		}
	}
	_ = filepath.WalkDir("/", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		if name == "/proc" {
			return filepath.SkipDir
		}
		if d.Name() == args[1] {
			outcome(nil, "the host's %s", name)
		}
		return nil
	})
	fmt.Println("held", len(places), "places")
}

// tryNeighbour looks for another box, of which args[0] marks everything and
// args[1] is the port it listens on.
func tryNeighbour(args []string) {
	mark := args[0]
	for _, p := range []string{"/tmp/" + mark, "/out/" + mark, "/dev/shm/" + mark} {
		_, err := os.Lstat(p)
		outcome(err, "the other box's %s", p)
	}
	procs, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, p := range procs {
		b, _ := os.ReadFile(p)
		if words := strings.Split(string(b), "\x00"); strings.Contains(string(b), mark) && !strings.Contains(string(b), "escape") {
			outcome(nil, "the other box's process %q", words)
		}
	}
	for _, network := range []string{"tcp4", "tcp6"} {
		host := map[string]string{"tcp4": "127.0.0.1", "tcp6": "::1"}[network]
		conn, err := net.DialTimeout(network, net.JoinHostPort(host, args[1]), 300*time.Millisecond)
		outcome(err, "the other box's port over %s", network)
		if err == nil {
			conn.Close()
		}
	}
	conn, err := net.DialTimeout("unix", "@"+mark, 300*time.Millisecond)
	outcome(err, "the other box's abstract socket")
	if err == nil {
		conn.Close()
	}
	id, _, errno := unix.Syscall(unix.SYS_SHMGET, 0x70726f6f, 4096, 0)
	outcome(onlyErrno(errno), "the other box's shared memory %d", int(id))
}

func onlyErrno(e syscall.Errno) error {
	if e == 0 {
		return nil
	}
	return e
}

// neighbour is the other box: it leaves its mark everywhere and stays.
func neighbour(args []string) int {
	mark := args[0]
	for _, p := range []string{"/tmp/" + mark, "/out/" + mark, "/dev/shm/" + mark} {
		if err := os.WriteFile(p, nil, 0o666); err != nil {
			return fail(err)
		}
	}
	l, err := net.Listen("tcp", ":"+args[1])
	if err != nil {
		return fail(err)
	}
	defer l.Close()
	u, err := net.Listen("unix", "@"+mark)
	if err != nil {
		return fail(err)
	}
	defer u.Close()
	unix.Syscall(unix.SYS_SHMGET, 0x70726f6f, 4096, unix.IPC_CREAT|0o666)
	fmt.Println("here")
	time.Sleep(time.Hour)
	return 0
}

// tryCalls makes calls that a box on the host's kernel must not get, with
// arguments that make each fail even where it is let through.
func tryCalls([]string) {
	for name, nr := range map[string]uintptr{
		"io_uring_setup": unix.SYS_IO_URING_SETUP, "bpf": unix.SYS_BPF, "userfaultfd": unix.SYS_USERFAULTFD,
		"perf_event_open": unix.SYS_PERF_EVENT_OPEN, "keyctl": unix.SYS_KEYCTL, "add_key": unix.SYS_ADD_KEY, "request_key": unix.SYS_REQUEST_KEY,
		"process_vm_readv": unix.SYS_PROCESS_VM_READV, "process_vm_writev": unix.SYS_PROCESS_VM_WRITEV, "open_by_handle_at": unix.SYS_OPEN_BY_HANDLE_AT,
		"name_to_handle_at": unix.SYS_NAME_TO_HANDLE_AT, "mount": unix.SYS_MOUNT, "umount2": unix.SYS_UMOUNT2, "fsopen": unix.SYS_FSOPEN,
		"fsmount": unix.SYS_FSMOUNT, "move_mount": unix.SYS_MOVE_MOUNT, "open_tree": unix.SYS_OPEN_TREE, "pivot_root": unix.SYS_PIVOT_ROOT,
		"unshare": unix.SYS_UNSHARE, "setns": unix.SYS_SETNS, "kexec_load": unix.SYS_KEXEC_LOAD, "init_module": unix.SYS_INIT_MODULE,
		"finit_module": unix.SYS_FINIT_MODULE, "delete_module": unix.SYS_DELETE_MODULE, "swapon": unix.SYS_SWAPON, "acct": unix.SYS_ACCT,
		"quotactl": unix.SYS_QUOTACTL, "vmsplice": unix.SYS_VMSPLICE, "pidfd_getfd": unix.SYS_PIDFD_GETFD, "kcmp": unix.SYS_KCMP,
	} {
		// An address that is not mapped, or a descriptor that is not open.
		const bad = ^uintptr(0) - 4095
		_, _, errno := unix.Syscall6(nr, bad, bad, bad, bad, bad, bad)
		if errno == unix.EPERM || errno == unix.ENOSYS {
			outcome(errno, "%s", name)
		} else {
			outcome(nil, "%s reaches the kernel (%v)", name, errno)
		}
	}
}

// tryOldCalls makes io_uring_setup by the 32-bit door of the kernel, which a
// filter for 64 bits does not see.
func tryOldCalls([]string) {
	const name = "/tmp/old"
	if err := os.WriteFile(name, oldCall(), 0o755); err != nil {
		fmt.Println("held", err)
		return
	}
	defer os.Remove(name)
	err := exec.Command(name).Run()
	exit, ok := errors.AsType[*exec.ExitError](err)
	switch {
	case !ok:
		outcome(err, "a 32-bit call")
	case exit.Exited() && unix.Errno(exit.ExitCode()) != unix.ENOSYS && unix.Errno(exit.ExitCode()) != unix.EPERM:
		outcome(nil, "io_uring_setup by int 0x80 reaches the kernel (%v)", unix.Errno(exit.ExitCode()))
	default:
		outcome(err, "io_uring_setup by int 0x80")
	}
}

// oldCall is an x86-64 program that calls io_uring_setup(0, 0) by int 0x80
// and exits with the error's number.
func oldCall() []byte {
	code := []byte{
		0xb8, 0xa9, 0x01, 0, 0, // mov eax, 425
		0x31, 0xdb, // xor ebx, ebx
		0x31, 0xc9, // xor ecx, ecx
		0xcd, 0x80, // int 0x80
		0xf7, 0xd8, // neg eax
		0x89, 0xc7, // mov edi, eax
		0xb8, 60, 0, 0, 0, // mov eax, 60 (exit)
		0x0f, 0x05, // syscall
	}
	const base, header, segment = 0x400000, 64, 56
	var b bytes.Buffer
	size := uint64(header + segment + len(code))
	for _, v := range []any{
		[16]byte{0x7f, 'E', 'L', 'F', 2, 1, 1},
		uint16(2), uint16(0x3e), uint32(1), uint64(base + header + segment), uint64(header), uint64(0),
		uint32(0), uint16(header), uint16(segment), uint16(1), uint16(0), uint16(0), uint16(0),
		uint32(1), uint32(5), uint64(0), uint64(base), uint64(base), size, size, uint64(0x1000), code,
	} {
		_ = binary.Write(&b, binary.LittleEndian, v) // a buffer does not fail
	}
	return b.Bytes()
}

// tryDump prints what the box can read of its surroundings, for the host to
// look for words of its own in.
func tryDump([]string) {
	for _, pattern := range []string{
		"/proc/[0-9]*/environ", "/proc/[0-9]*/cmdline", "/proc/[0-9]*/mountinfo", "/proc/[0-9]*/mounts", "/proc/[0-9]*/cgroup", "/proc/[0-9]*/maps",
		"/proc/cmdline", "/proc/mounts", "/proc/sys/kernel/hostname", "/etc/*", "/proc/net/unix", "/proc/swaps", "/proc/partitions",
	} {
		names, _ := filepath.Glob(pattern)
		for _, name := range names {
			f, err := os.Open(name)
			if err != nil {
				continue
			}
			b, _ := io.ReadAll(io.LimitReader(f, 16<<10))
			f.Close()
			fmt.Printf("%s: %q\n", name, b)
		}
	}
	links, _ := filepath.Glob("/proc/[0-9]*/*")
	fds, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, name := range append(links, fds...) {
		if to, err := os.Readlink(name); err == nil {
			fmt.Println(name, "->", to)
		}
	}
	fmt.Println(strings.Join(os.Environ(), "\n"))
}

// tryTerminal types into a terminal of the host.
func tryTerminal([]string) {
	for _, name := range []string{"/dev/tty", "/dev/console", "/proc/self/fd/0"} {
		f, err := os.OpenFile(name, os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
		if err != nil {
			outcome(err, "%s", name)
			continue
		}
		c := byte('\n')
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), unix.TIOCSTI, uintptr(unsafe.Pointer(&c)))
		outcome(onlyErrno(errno), "typing into %s", name)
		f.Close()
	}
}

// setid copies this program to args[0] and makes it set-id.
func setid(args []string) int {
	b, err := os.ReadFile("/proc/self/exe")
	if err == nil {
		err = os.WriteFile(args[0], b, 0o755)
	}
	if err == nil {
		err = os.Chmod(args[0], 0o755|fs.ModeSetuid|fs.ModeSetgid)
	}
	return fail(err)
}

// swap exchanges args[0] and args[1] without end.
func swap(args []string) int {
	for {
		_ = unix.Renameat2(unix.AT_FDCWD, args[0], unix.AT_FDCWD, args[1], unix.RENAME_EXCHANGE)
		// Where there is no exchange, by hand.
		_ = os.Rename(args[0], args[0]+".away")
		_ = os.Rename(args[1], args[0])
		_ = os.Rename(args[0]+".away", args[1])
	}
}
