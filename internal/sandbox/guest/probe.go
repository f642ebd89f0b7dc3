package guest

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"proofhouse/internal/sandbox"
)

// patience is how long the probe waits for a canary to answer. A box without a
// way to it is told so at once; on a busy machine an open one may be slow, and
// must not pass for closed.
const patience = 2 * time.Second

// probe reads canaries as JSON and writes what this process sees and reaches.
// args may name folders to look for socket files in, in place of all.
func probe(args []string, r io.Reader, w io.Writer) error {
	var canaries []sandbox.Canary
	if err := json.NewDecoder(r).Decode(&canaries); err != nil {
		return &exitError{ExitInvalid, err}
	}
	var report sandbox.ProbeReport
	var errs error
	note := func(err error) { errs = errors.Join(errs, err) }

	var err error
	report.Interfaces, err = interfaces()
	note(err)
	report.Routes, err = routes()
	note(err)
	report.Resolvers = resolvers()
	if len(args) == 0 {
		args = []string{"/"}
	}
	for _, dir := range args {
		report.Sockets = append(report.Sockets, socketFiles(dir)...)
	}
	report.Sockets = append(report.Sockets, boundSockets()...)
	var u unix.Utsname
	note(unix.Uname(&u))
	report.Kernel = unix.ByteSliceToString(u.Sysname[:]) + " " + unix.ByteSliceToString(u.Release[:]) + " " + unix.ByteSliceToString(u.Version[:])
	for _, c := range canaries {
		report.Canaries = append(report.Canaries, try(c))
	}
	if errs != nil {
		return errs
	}
	return json.NewEncoder(w).Encode(report)
}

func interfaces() ([]string, error) {
	links, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	var all []string
	for _, l := range links {
		line := l.Name
		addrs, err := l.Addrs()
		if err != nil {
			return nil, err
		}
		for _, a := range addrs {
			line += " " + a.String()
		}
		all = append(all, line)
	}
	return all, nil
}

// routes lists the routing tables of both families. Linux keeps its local
// table apart; gVisor has one table.
func routes() ([]string, error) {
	var all []string
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		list, err := netlink.RouteList(nil, family)
		if errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EOPNOTSUPP) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, r := range list {
			dst, dev := "default", "?"
			if r.Dst != nil {
				dst = r.Dst.String()
			}
			if l, err := net.InterfaceByIndex(r.LinkIndex); err == nil {
				dev = l.Name
			}
			line := dst + " dev " + dev
			if r.Gw != nil {
				line += " via " + r.Gw.String()
			}
			all = append(all, line)
		}
	}
	return all, nil
}

func resolvers() []string {
	b, _ := os.ReadFile("/etc/resolv.conf") // none is the good case
	var all []string
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "nameserver" {
			all = append(all, f[1])
		}
	}
	return all
}

// socketFiles finds socket files below dir. Only the box's root looks: it sees
// what everybody sees, and a large root takes a while.
func socketFiles(dir string) []string {
	if os.Geteuid() != 0 {
		return nil
	}
	var all []string
	_ = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil: // what went away is not visible
			return nil
		case name == "/proc", name == "/sys":
			return filepath.SkipDir
		case d.Type() == fs.ModeSocket && len(all) < 100:
			all = append(all, name)
		}
		return nil
	})
	return all
}

// boundSockets lists the names of sockets that this kernel says are bound.
func boundSockets() []string {
	var all []string
	b, _ := os.ReadFile("/proc/net/unix") // a box may be without
	for i, line := range strings.Split(strings.TrimSpace(string(b)), "\n") {
		if f := strings.Fields(line); i > 0 && len(f) > 7 && len(all) < 100 {
			all = append(all, "bound "+f[7])
		}
	}
	return all
}

// try connects to a canary. A connection counts as reached even if the token
// does not come back: something answered.
func try(c sandbox.Canary) sandbox.CanaryResult {
	res := sandbox.CanaryResult{Name: c.Name}
	network, address := c.Network, c.Address
	if network == "unix-abstract" {
		network, address = "unix", "@"+strings.TrimPrefix(address, "@")
	}
	conn, err := net.DialTimeout(network, address, patience)
	if err != nil {
		res.Error = err.Error()
		return res
	}
	defer conn.Close()
	res.Reached = true
	_ = conn.SetDeadline(time.Now().Add(patience))
	token, _ := io.ReadAll(io.LimitReader(conn, 256))
	if strings.TrimSpace(string(token)) != c.Token {
		res.Error = "something answered, but not with the token"
	}
	return res
}
