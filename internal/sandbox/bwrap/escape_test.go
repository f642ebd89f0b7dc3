package bwrap

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"proofhouse/internal/sandbox"
	"proofhouse/internal/sandbox/sandboxtest"
)

func TestEscape(t *testing.T) {
	sandboxtest.Escape(t, sandboxtest.Jail{Open: open})
}

// without takes flags away, each with the words that follow it.
func without(args []string, flags map[string]int) []string {
	var kept []string
	for i := 0; i < len(args); i++ {
		if n, ok := flags[args[i]]; ok {
			i += n
			continue
		}
		kept = append(kept, args[i])
	}
	return kept
}

func add(more ...string) func([]string) []string {
	return func(args []string) []string { return append(args, more...) }
}

// asHostRoot has no user namespace, no filter and every right.
var asHostRoot = fault{root: true, arguments: func(args []string) []string {
	args = without(args, map[string]int{"--unshare-all": 0, "--unshare-user": 0, "--disable-userns": 0, "--uid": 1, "--gid": 1, "--seccomp": 1, "--cap-drop": 1})
	return append(args, "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--cap-add", "ALL", "--dir", "/sys", "--bind", "/sys", "/sys")
}}

// TestEscapeFinds plants a misconfiguration for each way out, and sees that
// the suite finds it. What cannot be planted so was tried by hand: see
// docs/design/root.md.
func TestEscapeFinds(t *testing.T) {
	dir, err := os.MkdirTemp("", "proofhouse-") // unlike t.TempDir's, one that others may enter
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	device := filepath.Join(dir, "device")
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	// A device that this machine has and anybody may open: autofs, tun, fuse, kmsg.
	for _, d := range [][2]uint32{{10, 235}, {10, 200}, {10, 229}, {1, 11}} {
		os.Remove(device)
		if err := errors.Join(unix.Mknod(device, unix.S_IFCHR|0o666, int(unix.Mkdev(d[0], d[1]))), os.Chmod(device, 0o666)); err != nil {
			t.Fatal(err)
		}
		if f, err := os.OpenFile(device, os.O_RDWR|unix.O_NONBLOCK, 0); err == nil {
			f.Close()
			break
		}
	}
	for _, test := range []struct {
		escape string
		find   string
		fault  fault
		filter func([]byte) []byte
	}{
		{escape: "mounts", find: "mount of tmpfs", fault: asHostRoot},
		{escape: "kernel files", find: "core_pattern opens for writing", fault: asHostRoot},
		{escape: "device nodes", find: "device /tmp/device", fault: fault{arguments: add("--dev-bind", device, "/tmp/device")}},
		{escape: "control groups", find: "opens for writing", fault: asHostRoot},
		{escape: "files by number", find: "open_by_handle_at below /mnt", fault: fault{root: true, arguments: func(args []string) []string {
			return append(asHostRoot.arguments(args), "--ro-bind", "/", "/mnt")
		}}},
		{escape: "keys of the host", find: "key of the host in ring", fault: asHostRoot},
		{escape: "donated files", find: "opens for both", fault: asHostRoot},
		{escape: "processes of the host", find: "descriptor of the host's process", fault: fault{arguments: func(args []string) []string {
			args = without(args, map[string]int{"--unshare-all": 0})
			return append(args, "--unshare-net", "--unshare-ipc", "--unshare-uts")
		}}},
		{escape: "set-id programs", find: "set-id gave the ids 0 0 0", fault: fault{arguments: func(args []string) []string {
			args = slices.Clone(args)
			args[slices.Index(args, "--uid")+1] = "0"
			return args
		}}},
		{escape: "sockets of the host", find: "connection to unix", fault: fault{arguments: add("--share-net")}},
		{escape: "other boxes", find: "the other box's abstract socket", fault: fault{arguments: add("--share-net")}},
		{escape: "user namespaces", find: "a user namespace", fault: fault{arguments: func(args []string) []string {
			return without(args, map[string]int{"--disable-userns": 0, "--seccomp": 1})
		}}},
		{escape: "calls to the kernel", find: "bpf reaches the kernel", fault: fault{arguments: func(args []string) []string {
			return without(args, map[string]int{"--seccomp": 1})
		}}},
		// The filter as the library makes it, without the first three
		// instructions of eight bytes, which look at the architecture.
		{escape: "calls to the kernel", find: "int 0x80", filter: func(f []byte) []byte { return f[3*8:] }},
		{escape: "files of the host", find: "the host's /mnt", fault: fault{arguments: add("--ro-bind", os.TempDir(), "/mnt")}},
		{escape: "environment and paths of the host", find: "sees the environment of the host", fault: fault{arguments: func(args []string) []string {
			return without(args, map[string]int{"--clearenv": 0})
		}}},
	} {
		t.Run(test.escape, func(t *testing.T) {
			found := sandboxtest.Escapes(t, sandboxtest.Jail{Open: func(t *testing.T) sandbox.Provider {
				p := open(t).(*Provider)
				p.fault = test.fault
				if test.escape == "environment and paths of the host" {
					p.fault.env = os.Environ()
				}
				if test.filter != nil {
					p.filter = test.filter(p.filter)
				}
				return p
			}}, test.escape)
			if !slices.ContainsFunc(found, func(f string) bool { return strings.Contains(f, test.find) }) {
				t.Errorf("the suite does not find the planted fault, but %.3000q", found)
			}
		})
	}
}
