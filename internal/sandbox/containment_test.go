package sandbox_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
	"proofhouse/internal/sandbox/guest"
)

func TestContradictions(t *testing.T) {
	contained := func(change func(*sandbox.ProbeReport)) sandbox.ProbeReport {
		r := sandbox.ProbeReport{
			Interfaces: []string{"lo 127.0.0.1/8 ::1/128"},
			Routes:     []string{"127.0.0.0/8 dev lo", "::1/128 dev lo"},
			Canaries:   []sandbox.CanaryResult{{Name: "host loopback", Error: "refused"}},
			Kernel:     "Linux",
		}
		change(&r)
		return r
	}
	for _, c := range []struct {
		name   string
		report sandbox.ProbeReport
		want   []string
	}{
		{"contained", contained(func(*sandbox.ProbeReport) {}), nil},
		{"no interface at all", contained(func(r *sandbox.ProbeReport) { r.Interfaces, r.Routes = nil, nil }), nil},
		{"an empty report", sandbox.ProbeReport{}, []string{"the probe reported nothing"}},
		{
			"a second interface", contained(func(r *sandbox.ProbeReport) { r.Interfaces = append(r.Interfaces, "eth0") }),
			[]string{"interface eth0: only lo is allowed"},
		},
		{
			"an address on lo", contained(func(r *sandbox.ProbeReport) { r.Interfaces[0] += " 192.0.2.1/24" }),
			[]string{"interface lo 127.0.0.1/8 ::1/128 192.0.2.1/24: it has an address that is not loopback"},
		},
		{
			"a default route on lo", contained(func(r *sandbox.ProbeReport) { r.Routes = []string{"default dev lo"} }),
			[]string{"route default dev lo leads beyond the loopback interface"},
		},
		{
			"a default route as a prefix", contained(func(r *sandbox.ProbeReport) { r.Routes = []string{"0.0.0.0/0 dev lo"} }),
			[]string{"route 0.0.0.0/0 dev lo leads beyond the loopback interface"},
		},
		{
			"a gateway", contained(func(r *sandbox.ProbeReport) { r.Routes = []string{"127.0.0.0/8 dev lo via 192.0.2.1"} }),
			[]string{"route 127.0.0.0/8 dev lo via 192.0.2.1 leads beyond the loopback interface"},
		},
		{
			"another network", contained(func(r *sandbox.ProbeReport) { r.Routes = []string{"192.0.2.0/24 dev lo"} }),
			[]string{"route 192.0.2.0/24 dev lo leads beyond the loopback interface"},
		},
		{
			"a resolver", contained(func(r *sandbox.ProbeReport) { r.Resolvers = []string{"192.0.2.53"} }),
			[]string{"resolver 192.0.2.53 is configured"},
		},
		{
			"a socket", contained(func(r *sandbox.ProbeReport) { r.Sockets = []string{"/run/engine.sock"} }),
			[]string{"socket /run/engine.sock is visible"},
		},
		{
			"a canary", contained(func(r *sandbox.ProbeReport) { r.Canaries[0].Reached = true }),
			[]string{`the canary "host loopback" was reached`},
		},
	} {
		if diff := cmp.Diff(c.want, sandbox.Contradictions(sandbox.NoNetwork, c.report)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
	if len(sandbox.Contradictions("anything", contained(func(*sandbox.ProbeReport) {}))) == 0 {
		t.Error("a declaration that cannot be proved was proved")
	}
}

// open is a box without walls: its probe runs in this process.
type open struct {
	sandbox.Box
	forget string // a canary that it does not report
}

func (b open) Probe(_ context.Context, canaries []sandbox.Canary) (sandbox.ProbeReport, error) {
	in, err := json.Marshal(canaries)
	if err != nil {
		return sandbox.ProbeReport{}, err
	}
	var out, said bytes.Buffer
	args := []string{"probe"}
	for _, c := range canaries {
		if c.Network == "unix" {
			args = append(args, filepath.Dir(c.Address))
		}
	}
	if guest.Main(args, bytes.NewReader(in), &out, &said) != 0 {
		return sandbox.ProbeReport{}, proofhouse.Errorf(proofhouse.Internal, nil, "%s", said.String())
	}
	var r sandbox.ProbeReport
	err = json.Unmarshal(out.Bytes(), &r)
	for i, c := range r.Canaries {
		if c.Name == b.forget {
			r.Canaries = append(r.Canaries[:i], r.Canaries[i+1:]...)
			break
		}
	}
	return r, err
}

// Every canary is one that a process without walls does reach; a canary that
// nobody can reach would prove nothing.
func TestEveryCanaryCanBeReached(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("a network namespace needs root")
	}
	report, err := sandbox.Prove(t.Context(), open{}, sandbox.NoNetwork)
	if proofhouse.KindOf(err) != proofhouse.Refused {
		t.Fatalf("an open box was not refused: %v", err)
	}
	for _, name := range []string{"host loopback", "socket file", "abstract socket", "namespace address"} {
		if !strings.Contains(err.Error(), `the canary "`+name+`" was reached`) {
			t.Errorf("%s was not reached: %+v", name, report.Canaries)
		}
	}
	if !strings.Contains(err.Error(), "/socket is visible") {
		t.Errorf("the socket file was not seen: %v", err)
	}
	for _, c := range report.Canaries {
		if c.Name == "host loopback IPv6" && !c.Reached && !strings.Contains(c.Error, "not tried") {
			t.Errorf("IPv6 was tried and not reached: %+v", c)
		}
	}
}

func TestAProbeThatLeavesACanaryOutProvesNothing(t *testing.T) {
	_, err := sandbox.Prove(t.Context(), open{forget: "abstract socket"}, sandbox.NoNetwork)
	if proofhouse.KindOf(err) != proofhouse.Refused || !strings.Contains(err.Error(), "did not try") {
		t.Errorf("got %v", err)
	}
}
