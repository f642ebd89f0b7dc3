package oracle

import (
	"bytes"
	"strconv"
	"strings"

	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
	"proofhouse/internal/target"
)

// rawRun is what the host holds of one run of one build.
type rawRun struct {
	side    target.Side
	run     int // from 1
	result  sandbox.Result
	nonce   string   // of the report channel
	channel []byte   // what came over it
	logs    [][]byte // sanitizer logs found at the run's random path
	outside []string // paths that appeared outside the allowed root
	canary  bool     // the run's random file exists
}

// observe turns a run into an observation and, where it crashed, the crash.
// It is pure. The task's own symptom decides first; any other break that was
// seen stands in its place, so that it can be told apart.
func observe(lang target.Language, rule Rule, r rawRun) (Observation, *crash) {
	o := Observation{
		Side: string(r.side), Run: r.run, Exit: r.result.Exit, Signal: r.result.Signal, Bound: string(r.result.Limit),
		CPU: r.result.CPU, Wall: r.result.Wall, PeakMemory: r.result.PeakMemory,
	}
	c, crashed := findCrash(lang, rule.NotCrash, r.result, r.logs)
	if crashed && c.memory {
		// The end of the memory is a limit, not a break of its own.
		crashed = false
		if o.Bound == "" {
			o.Bound = boundMemory
		}
	}
	channel := readChannel(r.nonce, r.channel)
	o.Alloc, o.Returned = channel.alloc, channel.returned
	set := func(s Symptom, class, detail string) {
		if !o.Broke || s == rule.Symptom {
			o.Broke, o.Symptom, o.Class, o.Function, o.Detail = true, s, class, "", detail
		}
	}
	if crashed {
		set(Crash, c.class, "")
		if o.Symptom == Crash {
			o.Function = c.function(lang)
		}
	}
	if len(r.outside) > 0 {
		set(Escape, "", clean(strings.Join(r.outside, ", ")))
	}
	if r.canary {
		set(Canary, "", "the run's random file was made")
	}
	if channel.polluted != "" {
		set(Pollution, "", channel.polluted)
	}
	if channel.forged != "" {
		set(Forged, "", channel.forged)
	}
	if !crashed {
		return o, nil
	}
	return o, &c
}

// channelReport is what a driver said over its channel.
type channelReport struct {
	polluted, forged string
	alloc            int64 // bytes, at least 1 where it was reported
	returned         bool
}

// readChannel reads the lines that carry the run's nonce; the first of each
// kind counts, and everything else is noise of the program under test.
func readChannel(nonce string, b []byte) channelReport {
	var out channelReport
	if nonce == "" {
		return out
	}
	for line := range bytes.Lines(b[:min(len(b), reportMax)]) {
		rest, ok := strings.CutPrefix(strings.TrimRight(string(line), "\r\n"), nonce+" ")
		if !ok {
			continue
		}
		kind, detail, _ := strings.Cut(rest, " ")
		if s, err := strconv.Unquote(detail); err == nil {
			detail = s
		}
		detail = clean(detail)
		switch kind {
		case "polluted":
			if out.polluted == "" {
				out.polluted = orElse(detail, "a built-in prototype")
			}
		case "forged":
			if out.forged == "" {
				out.forged = orElse(detail, "accepted though refused by policy")
			}
		case "returned":
			out.returned = true
		case "alloc": // a Go driver says it when its harness has returned
			out.returned = true
			// A driver may truly have counted nothing; 1 tells that from no report.
			if n, err := strconv.ParseInt(detail, 10, 64); err == nil && n >= 0 && out.alloc == 0 {
				out.alloc = max(n, 1)
			}
		}
	}
	return out
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// artifacts are the raw outputs of a run, by name.
func (r rawRun) artifacts() map[string][]byte {
	out := map[string][]byte{}
	add := func(name string, b []byte) {
		if len(b) > 0 {
			out[name] = b
		}
	}
	add("stdout", text(r.result.Stdout))
	add("stderr", text(r.result.Stderr))
	add("channel", r.channel)
	for i, b := range r.logs {
		name := "report"
		if i > 0 {
			name += "-" + strconv.Itoa(i+1)
		}
		add(name, b)
	}
	return out
}

// rawDigests are the digests of those.
func (r rawRun) rawDigests() map[string]proofhouse.Digest {
	all := r.artifacts()
	if len(all) == 0 {
		return nil
	}
	out := map[string]proofhouse.Digest{}
	for name, b := range all {
		out[name] = proofhouse.DigestOf(b)
	}
	return out
}
