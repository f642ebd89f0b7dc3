package gvisor

import (
	"fmt"
	"net"
	"strings"
	"testing"

	erofs "github.com/erofs/go-erofs"
	"github.com/vishvananda/netlink"

	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
	"proofhouse/internal/sandbox/sandboxtest"
)

func TestProofOfABoxThatHolds(t *testing.T) {
	p := open(t, nil)
	box, err := p.Start(t.Context(), sandbox.Spec{Root: sandboxtest.Root(t, sandbox.Images{Dir: t.TempDir()})})
	if err != nil {
		t.Fatal(err)
	}
	report, err := sandbox.Prove(t.Context(), box, sandbox.NoNetwork)
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Canaries) != 5 || len(report.Interfaces) != 1 || report.Kernel == "" {
		t.Errorf("report %+v", report)
	}
	for _, c := range report.Canaries {
		if c.Reached || c.Error == "" || strings.Contains(c.Error, "not tried") && !strings.Contains(c.Name, "IPv6") {
			t.Errorf("canary %+v", c)
		}
	}
}

// Each of these boxes is misconfigured on purpose, within a network namespace
// made for it. Each must be refused, for the reason that was planted.
func TestLeakyBoxesAreRefused(t *testing.T) {
	for _, c := range []struct {
		name string
		leak Leak
		root func(w *erofs.Writer) error
		want []string
	}{
		{
			"the host's network", LeakHostNetwork, nil,
			[]string{`"host loopback" was reached`, `"namespace address" was reached`, "interface planted"},
		},
		{
			"interfaces of its own", LeakInterfaces, nil,
			[]string{"interface planted", "192.0.2"},
		},
		{"a resolver", NoLeak, func(w *erofs.Writer) error {
			return sandboxtest.Add(w, "etc/resolv.conf", "nameserver 192.0.2.53\n", 0o644)
		}, []string{"resolver 192.0.2.53"}},
		{"a socket file", NoLeak, func(w *erofs.Writer) error {
			return w.Mknod("etc/engine.sock", 0xC000|0o777, 0)
		}, []string{"socket /etc/engine.sock"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := sandboxtest.RootWith(t, sandbox.Images{Dir: t.TempDir()}, c.root)
			err := sandbox.Isolated(func() error {
				if err := plantInterface(); err != nil {
					return fmt.Errorf("planting an interface: %w", err)
				}
				p := open(t, func(cfg *Config) { cfg.Leak = c.leak })
				box, err := p.Start(t.Context(), sandbox.Spec{Root: root})
				if err != nil {
					return fmt.Errorf("starting: %w", err)
				}
				_, err = sandbox.Prove(t.Context(), box, sandbox.NoNetwork)
				return err
			})
			if proofhouse.KindOf(err) != proofhouse.Refused {
				t.Fatalf("not refused: %v", err)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("no %q in: %v", want, err)
				}
			}
		})
	}
}

// plantInterface gives the thread's namespace an interface with an address.
func plantInterface() error {
	link := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "planted"}, PeerName: "planted-peer"}
	if err := netlink.LinkAdd(link); err != nil {
		return err
	}
	addr := &net.IPNet{IP: net.IPv4(192, 0, 2, 1), Mask: net.CIDRMask(24, 32)}
	if err := netlink.AddrAdd(link, &netlink.Addr{IPNet: addr}); err != nil {
		return err
	}
	peer, err := netlink.LinkByName("planted-peer")
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(peer); err != nil {
		return err
	}
	return netlink.LinkSetUp(link)
}
