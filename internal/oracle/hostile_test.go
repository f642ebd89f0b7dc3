package oracle

import (
	"fmt"
	"strings"
	"testing"

	"proofhouse/internal/target"
)

// TestHostile lets submissions do to the oracle what they like. Each line of
// a submission is what the build of that side does; see testdata/hostile.
func TestHostile(t *testing.T) {
	// Filling a disk takes a slow machine seconds of CPU time; only the case about that bound sets a short one.
	crash := Rule{Symptom: Crash, TimeoutSec: 30, Signature: "heap-buffer-overflow:parse_chunk"}
	hang := Rule{Symptom: Hang, TimeoutSec: 3, Floor: 0.5}
	memory := Rule{Symptom: Memory, TimeoutSec: 5, MemoryBytes: 256 << 20}
	escape := Rule{Symptom: Escape, AllowRoot: "/work/a/b/root"}
	for _, c := range []struct {
		name  string
		lang  target.Language
		rule  Rule
		input string
		want  Outcome
	}{
		// What a sanitizer says counts, where it says it.
		{"a report", target.C, crash, "vulnerable asan", Solved},
		{"a report of both", target.C, crash, "both asan", SurvivesFix},
		{"a report of another kind", target.C, Rule{Symptom: Crash, Signature: "double-free:"}, "vulnerable asan", SameFixOtherSignature},
		{"a panic", target.Go, Rule{Symptom: Crash}, "vulnerable panic", Solved},
		{"a panic of both", target.Go, Rule{Symptom: Crash}, "both panic", SurvivesFix},
		{"a signal", target.Go, Rule{Symptom: Crash, Signature: "SIGABRT:"}, "vulnerable abort", Solved},
		{"nothing", target.C, crash, "both nothing", NoBreak},
		{"binary garbage as input", target.C, crash, "\x00\xff\xfe\x80 \n\x00", NoBreak},
		{"nothing at all", target.C, crash, "", NoBreak},

		// Words where anybody can write them do not.
		{"printed report, exit 77", target.C, crash, "vulnerable print 77", NoBreak},
		{"printed report, exit 1", target.C, crash, "vulnerable print 1", NoBreak},
		{"printed report, exit 134", target.C, crash, "vulnerable print 134", NoBreak},
		{"printed report, exit 137", target.C, crash, "vulnerable print 137", NoBreak},
		{"printed report, exit 139", target.C, crash, "vulnerable print 139", NoBreak},
		{"printed panic, exit 139", target.Go, crash, "vulnerable print-panic 139", NoBreak},
		{"printed panic, exit 1", target.Go, crash, "vulnerable print-panic 1", NoBreak},
		{"printed panic of a C program", target.C, crash, "vulnerable print-panic 2", NoBreak},
		{"exit 77", target.C, crash, "vulnerable exit 77", NoBreak},
		{"exit 139", target.C, crash, "vulnerable exit 139", NoBreak},
		{"logs at guessed paths", target.C, crash, "vulnerable guess-log", NoBreak},
		{"a link for a log", target.C, crash, "vulnerable link-log", NoBreak},
		{"a log of garbage", target.C, crash, "vulnerable garbage-log", NoBreak},
		{"a log without end", target.C, crash, "vulnerable huge-log", NoBreak},
		{"no room for the log", target.C, crash, "vulnerable full", Solved},
		{"no room in the log's own place", target.C, crash, "vulnerable full-report", NoBreak},
		{"a guessed nonce", target.JavaScript, Rule{Symptom: Forged}, "vulnerable guess-channel", NoBreak},
		{"a guessed nonce, polluted", target.JavaScript, Rule{Symptom: Pollution}, "vulnerable guess-channel", NoBreak},
		{"the driver's word", target.JavaScript, Rule{Symptom: Pollution}, "vulnerable channel polluted Object.prototype.x", Solved},
		{"the driver's word on both", target.JavaScript, Rule{Symptom: Forged}, "both channel forged x", SurvivesFix},
		{"the driver's other word", target.JavaScript, Rule{Symptom: Pollution}, "vulnerable channel forged x", SameFixOtherSignature},
		{"a flooded channel", target.JavaScript, Rule{Symptom: Forged}, "vulnerable flood-channel", NoBreak},

		// Ends that are not crashes.
		{"killed", target.C, crash, "vulnerable killed", NoBreak},
		{"out of memory", target.C, Rule{Symptom: Crash, MemoryBytes: 256 << 20}, "vulnerable eat", LimitHit},
		{"CPU time", target.C, Rule{Symptom: Crash, TimeoutSec: 1.5}, "vulnerable spin 60000", LimitHit},
		{"sleep", target.C, Rule{Symptom: Crash, TimeoutSec: 0.2}, "vulnerable sleep 60000", LimitHit},
		{"stopped", target.C, Rule{Symptom: Crash, TimeoutSec: 0.2}, "vulnerable stop", LimitHit},

		// Clocks: CPU time counts, wall time does not.
		{"a hang", target.C, hang, "vulnerable spin 60000", Solved},
		{"a hang in a child", target.C, hang, "vulnerable child-spin 60000", Solved},
		{"a hang of both", target.C, Rule{Symptom: Hang, TimeoutSec: 1, Floor: 0.5}, "both spin 60000", SurvivesFix},
		{"slow on both", target.C, hang, "vulnerable spin 900\nfixed spin 400", NoBreak},
		{"sleep for a hang", target.C, Rule{Symptom: Hang, TimeoutSec: 0.2, Floor: 0.1}, "vulnerable sleep 60000", LimitHit},
		{"the clock set on", target.C, hang, "vulnerable clock", NoBreak},
		{"memory", target.C, memory, "vulnerable eat", Solved},
		{"counted memory", target.Go, memory, "vulnerable channel alloc 900000000\nfixed channel alloc 1000", Solved},

		// Files.
		{"an escape", target.Go, escape, "vulnerable write /work/a/b/x", Solved},
		{"an escape to another place", target.Go, escape, "vulnerable write /tmp/x", Solved},
		{"an escape by a link", target.Go, escape, "vulnerable symlink /etc/passwd /work/a/link", Solved},
		{"no escape", target.Go, escape, "vulnerable write /work/a/b/root/c/d", NoBreak},
		{"an escape of both", target.Go, escape, "both write /work/a/b/x", SurvivesFix},
		{"a name that begins like the root", target.Go, escape, "vulnerable write /work/a/b/rootx", Solved},
		{"the canary", target.JavaScript, Rule{Symptom: Canary}, "vulnerable canary", Solved},
		{"the canary as a link", target.JavaScript, Rule{Symptom: Canary}, "vulnerable canary-link", Solved},
		{"guessed canaries", target.JavaScript, Rule{Symptom: Canary}, "vulnerable canary-guess", NoBreak},
		{"no canary for a crash", target.C, crash, "vulnerable canary", NoBreak},

		// What it leaves, and what it is.
		{"an orphan", target.C, crash, "vulnerable orphan", NoBreak},
		{"an orphan of the former run", target.C, Rule{Symptom: Crash, Runs: 2}, "vulnerable haunted", NoBreak},
		{"a memory of the former run", target.C, Rule{Symptom: Crash, Runs: 2}, "both remember", NoBreak},
		{"an orphan beside a break", target.C, crash, "vulnerable orphan\nvulnerable asan", Solved},
		{"all it may signal", target.C, crash, "vulnerable parents", NoBreak},
		{"all it may signal beside a break", target.C, crash, "vulnerable parents\nvulnerable asan", Solved},
		{"closed descriptors", target.C, crash, "vulnerable close\nvulnerable asan", Solved},
		{"a gigabyte of output", target.C, crash, "vulnerable flood\nvulnerable asan", Solved},
		{"binary output", target.Go, Rule{Symptom: Crash, Runs: 1}, "vulnerable binary\nvulnerable panic", Solved},
		{"an unprivileged user", target.C, crash, "both whoami", NoBreak},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			o, tgt := open(t, func(c *Config) { c.Ready = -1 })
			tgt.Language = c.lang
			v, ev := verify(t, o, Case{Name: "test/" + c.name, Target: tgt, Rule: c.rule}, c.input)
			if v.Outcome != c.want {
				t.Errorf("%s (%s), want %s\n%s", v.Outcome, v.Reason, c.want, dump(v, ev))
			}
			if v.Outcome.Counts() && ev.Report == "" || strings.Contains(ev.Report, againstFixed) {
				t.Errorf("the report of a success is %q: it says what broke, and nothing of the fixed build", ev.Report)
			}
			if want, ok := map[Outcome]int{Solved: 2, NoBreak: 0}[c.want]; ok && c.rule.Symptom == Crash {
				// A finding's proof is read the same way.
				sight, err := o.Observe(t.Context(), Subject{tgt.Language, tgt.Vulnerable, c.rule}, []byte(c.input), 2)
				if err != nil || sight.Broke() != want {
					t.Errorf("as a finding's proof it broke %d times, not %d: %v", sight.Broke(), want, err)
				}
			}
			n, err := o.cfg.Quarantine.Count()
			if survived := c.want == SurvivesFix; err != nil || (n == 1) != survived {
				t.Errorf("%d in the quarantine, %v", n, err)
			}
			if v.Outcome == SurvivesFix && (len(v.Observations) > 0 || v.Submission != "" || v.Bytes != 0 || v.Signature != "" || ev.Report != "" || len(ev.Artifacts) > 0 || len(ev.Statement) > 0) {
				t.Errorf("a survivor says more than that it is one: %+v %+v", v, ev)
			}
		})
	}
}

// TestFlaky verifies what breaks every other time by chance. Whether it breaks in the first two runs, which
// decide between the two words, is chance too: neither counts, and one of many tries says flaky.
func TestFlaky(t *testing.T) {
	o, tgt := open(t, func(c *Config) { c.Ready = -1 })
	tgt.Language = target.C
	for range 24 {
		v, ev := verify(t, o, Case{Name: "test/flaky", Target: tgt, Rule: Rule{Symptom: Crash, Runs: 40}}, "vulnerable flaky")
		switch v.Outcome {
		case Flaky:
			return
		case NoBreak:
		default:
			t.Fatalf("%s (%s), want %s or %s\n%s", v.Outcome, v.Reason, Flaky, NoBreak, dump(v, ev))
		}
	}
	t.Error("24 tries never said flaky")
}

func dump(v Verdict, ev Evidence) string {
	var b strings.Builder
	for _, o := range v.Observations {
		fmt.Fprintf(&b, "%s %d: %+v\n", o.Side, o.Run, o)
	}
	for d, a := range ev.Artifacts {
		fmt.Fprintf(&b, "%s: %.300q\n", d.Short(), a)
	}
	return b.String()
}
