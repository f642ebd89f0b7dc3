package bwrap

import (
	"bytes"
	"encoding/binary"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// forbidden are the system calls that a box does not get: those that reach
// keys, other processes' memory, kernel subsystems with a record of faults,
// and mounts and namespaces.
var forbidden = []string{
	"io_uring_setup", "io_uring_enter", "io_uring_register", "bpf", "userfaultfd", "perf_event_open",
	"keyctl", "add_key", "request_key", "process_vm_readv", "process_vm_writev", "kcmp", "pidfd_getfd",
	"open_by_handle_at", "name_to_handle_at", "fanotify_init",
	"mount", "umount2", "fsopen", "fsconfig", "fsmount", "fspick", "move_mount", "open_tree", "mount_setattr", "pivot_root", "chroot",
	"unshare", "setns", "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module",
	"swapon", "swapoff", "reboot", "acct", "quotactl", "lookup_dcookie", "vmsplice", "syslog", "settimeofday", "clock_settime",
	"iopl", "ioperm", "vhangup", "move_pages", "mbind", "migrate_pages", "set_mempolicy", "sethostname", "setdomainname",
}

// families are the only kinds of socket that a box may make.
var families = []uint64{unix.AF_UNIX, unix.AF_INET, unix.AF_INET6, unix.AF_NETLINK}

// filter is the seccomp program of a box, in the form that bubblewrap reads.
func filter() ([]byte, error) {
	var conditions seccomp.ArgumentConditions
	for _, f := range families {
		conditions = append(conditions, seccomp.Condition{Argument: 0, Operation: seccomp.NotEqual, Value: f})
	}
	p := seccomp.Policy{
		DefaultAction: seccomp.ActionAllow,
		Syscalls: []seccomp.SyscallGroup{
			{Action: seccomp.ActionErrno, Names: forbidden},
			{Action: seccomp.ActionErrno, NamesWithCondtions: []seccomp.NameWithConditions{{Name: "socket", Conditions: conditions}}},
		},
	}
	rest, err := p.Assemble()
	if err != nil {
		return nil, err
	}
	// The library lets calls of another architecture through, so a program
	// could make any call by int 0x80. They are refused first.
	const (
		archOffset = 4          // of struct seccomp_data
		archX86_64 = 0xc000003e // AUDIT_ARCH_X86_64
	)
	program := append([]bpf.Instruction{
		bpf.LoadAbsolute{Off: archOffset, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: archX86_64, SkipTrue: 1},
		bpf.RetConstant{Val: unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)},
	}, rest...)
	raw, err := bpf.Assemble(program)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	for _, in := range raw { // struct sock_filter
		b.Write(binary.NativeEndian.AppendUint16(nil, in.Op))
		b.Write([]byte{in.Jt, in.Jf})
		b.Write(binary.NativeEndian.AppendUint32(nil, in.K))
	}
	return b.Bytes(), nil
}
