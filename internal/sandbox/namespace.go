package sandbox

import (
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"runtime"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Isolated calls f on a thread in a fresh network namespace that has nothing
// but a loopback interface, and comes back. What f itself opens and starts
// (listeners, processes) belongs to the namespace; goroutines that f starts do
// not. Tests and the doctor use it to show a leaky box without giving it the
// host's network.
func Isolated(f func() error) error {
	return inFreshNamespace(func() error {
		lo, err := netlink.LinkByName("lo")
		if err == nil {
			err = netlink.LinkSetUp(lo)
		}
		if err != nil {
			return fmt.Errorf("setting the loopback interface up: %w", err)
		}
		return f()
	})
}

// inFreshNamespace runs f with its thread in a new network namespace. The
// thread is given back only in the namespace that it came from. Otherwise it
// is kept for ever: to end it would kill the processes that were started from
// it with a parent-death signal.
func inFreshNamespace(f func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		home, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			runtime.UnlockOSThread()
			result <- err
			return
		}
		defer home.Close()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			runtime.UnlockOSThread()
			result <- fmt.Errorf("making a network namespace: %w", err)
			return
		}
		err = f()
		if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
			result <- fmt.Errorf("coming back from a network namespace: %w", back)
			select {}
		}
		runtime.UnlockOSThread()
		result <- err
	}()
	return <-result
}

// listenInNamespace makes a network namespace, joins it to this one by a pair
// of virtual interfaces, and listens at an address in it. The addresses are
// taken at random from the range for benchmarks (RFC 2544), which routes
// nowhere.
func listenInNamespace() (_ net.Listener, undo func(), err error) {
	var b [3]byte
	_, _ = rand.Read(b[:])
	ours := net.IPv4(198, 18+b[0]&1, b[1], b[2]&^3|1)
	theirs := net.IPv4(198, 18+b[0]&1, b[1], b[2]&^3|2)
	mask := net.CIDRMask(30, 32)
	pair := &netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: fmt.Sprintf("phc%x", b)},
		PeerName:  fmt.Sprintf("php%x", b),
	}
	here, err := netlink.NewHandle()
	if err != nil {
		return nil, nil, err
	}
	undo = func() {
		_ = here.LinkDel(pair) // goes with its peer's namespace too
		here.Close()
	}
	defer func() {
		if err != nil {
			undo()
		}
	}()
	var l net.Listener
	err = inFreshNamespace(func() error {
		ns, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			return err
		}
		defer ns.Close()
		pair.PeerNamespace = netlink.NsFd(ns.Fd())
		if err := here.LinkAdd(pair); err != nil {
			return fmt.Errorf("making a pair of virtual interfaces: %w", err)
		}
		there, err := netlink.NewHandle()
		if err != nil {
			return err
		}
		defer there.Close()
		if err := setUp(there, pair.PeerName, &net.IPNet{IP: theirs, Mask: mask}); err != nil {
			return err
		}
		if err := setUp(here, pair.Name, &net.IPNet{IP: ours, Mask: mask}); err != nil {
			return err
		}
		l, err = net.Listen("tcp4", net.JoinHostPort(theirs.String(), "0"))
		return err
	})
	return l, undo, err
}

func setUp(h *netlink.Handle, name string, addr *net.IPNet) error {
	link, err := h.LinkByName(name)
	if err == nil {
		err = h.AddrAdd(link, &netlink.Addr{IPNet: addr})
	}
	if err == nil {
		err = h.LinkSetUp(link)
	}
	if err != nil {
		return fmt.Errorf("setting up a virtual interface: %w", err)
	}
	return nil
}
