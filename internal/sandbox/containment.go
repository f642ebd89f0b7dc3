package sandbox

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"proofhouse/internal/proofhouse"
)

// Contradictions compares what a box declares with what a probe of it saw, and
// gives a sentence for each point in which the box has more. It is empty only
// for a box that is contained as declared; a report that holds nothing
// contradicts too, since it shows nothing.
func Contradictions(declared Network, r ProbeReport) []string {
	if declared != NoNetwork {
		return []string{fmt.Sprintf("the network %q is none that can be proved", declared)}
	}
	var all []string
	add := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if r.Kernel == "" {
		add("the probe reported nothing")
	}
	for _, line := range r.Interfaces {
		if why := beyondLoopback(line); why != "" {
			add("interface %s: %s", line, why)
		}
	}
	for _, line := range r.Routes {
		if !staysOnLoopback(line) {
			add("route %s leads beyond the loopback interface", line)
		}
	}
	for _, s := range r.Resolvers {
		add("resolver %s is configured", s)
	}
	for _, s := range r.Sockets {
		add("socket %s is visible", s)
	}
	for _, c := range r.Canaries {
		if c.Reached {
			add("the canary %q was reached", c.Name)
		}
	}
	return all
}

// beyondLoopback says what is wrong with an interface, or "".
func beyondLoopback(line string) string {
	f := strings.Fields(line)
	if len(f) == 0 || f[0] != "lo" {
		return "only lo is allowed"
	}
	for _, a := range f[1:] {
		p, err := netip.ParsePrefix(a)
		if err != nil || !p.Addr().Unmap().IsLoopback() {
			return "it has an address that is not loopback"
		}
	}
	return ""
}

// staysOnLoopback accepts "PREFIX dev lo" where the prefix is no default.
func staysOnLoopback(line string) bool {
	f := strings.Fields(line)
	if len(f) != 3 || f[1] != "dev" || f[2] != "lo" {
		return false
	}
	p, err := netip.ParsePrefix(f[0])
	return err == nil && p.Bits() > 0 && (p.Addr().Unmap().IsLoopback() || p.Addr().IsMulticast())
}

// Prove puts canaries up on the host, has the box's probe try them, and
// compares what it saw with what the box declares. A box that has more than
// it declares is proofhouse.Refused, with all contradictions in the sentence;
// the report comes with the error then, for the record. further are canaries
// that the operator's configuration names.
func Prove(ctx context.Context, box Box, declared Network, further ...Canary) (ProbeReport, error) {
	w, err := OpenWatch()
	if err != nil {
		return ProbeReport{}, err
	}
	defer w.Close()
	canaries := append(w.Canaries(), further...)
	report, err := box.Probe(ctx, canaries)
	if err != nil {
		return ProbeReport{}, fmt.Errorf("probing a box: %w", err)
	}
	for _, c := range canaries {
		i := slices.IndexFunc(report.Canaries, func(r CanaryResult) bool { return r.Name == c.Name })
		if i < 0 {
			return report, proofhouse.Errorf(proofhouse.Refused, nil, "the box's probe did not try the canary %q: nothing is proved", c.Name)
		}
		if w.Reached(c.Name) {
			report.Canaries[i].Reached = true
		}
		// An address can be a path of the host, which is not for the record.
		report.Canaries[i].Error = strings.ReplaceAll(report.Canaries[i].Error, c.Address, "its address")
	}
	report.Canaries = append(report.Canaries, w.Missing()...)
	if bad := Contradictions(declared, report); len(bad) > 0 {
		return report, proofhouse.Errorf(proofhouse.Refused, nil, "the box declares %q but %s", declared, strings.Join(bad, "; "))
	}
	return report, nil
}
