package gate

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"proofhouse/internal/chat"
	"proofhouse/internal/policy"
)

const (
	canaryModel    = "Titan-9-secret"
	canaryUpstream = "https://titan.example:8443/base"
	canaryHash     = "00c0ffee"
)

// exportedRecords is a record with an event of every kind.
func exportedRecords() []Record {
	at := func(s int) time.Time { return time.Date(2026, 3, 1, 12, 0, s, 123456789, time.UTC) }
	one := Grant{
		ID: "grant-1", Subject: "alice", Case: "case 7", Upstream: canaryUpstream, Model: canaryModel, Variant: "titan-9-SECRET, reduced", Codename: "violet",
		Protocols: []string{"openai-chat", "anthropic-messages"}, From: at(0), Until: at(0).Add(time.Hour), ByReference: true,
		Limits:     Limits{Requests: 10, Input: 1000, Output: 2000, NanoDollars: 5e9, Streams: 3, PerMinute: 60, OutputCap: 100, Context: 500},
		Rates:      chat.Prices{Version: "2026-03", Input: 3000, Output: 15000},
		Safeguards: []Safeguard{{Guard: "keys"}}, Recording: RecordSealed, KeyHash: canaryHash, Issuer: "root", Reason: "to see \"" + canaryModel + "\" [at titan.example]",
	}
	two := Grant{
		ID: "grant-2", Subject: "bob", Upstream: canaryUpstream, Model: "Colossus-2", Codename: "amber", Protocols: []string{"openai-chat"},
		From: at(0), Until: at(0).Add(time.Hour), Limits: Limits{Requests: 1, OutputCap: 5}, Recording: RecordNone, KeyHash: canaryHash, Issuer: "root", Reason: "unlike " + canaryModel,
	}
	hold := &Amount{1, 50, 100, 1_650_000}
	return []Record{
		{Kind: Granted, Time: at(1), Grant: "grant-1", Terms: &one},
		{Kind: Granted, Time: at(2), Grant: "grant-2", Terms: &two},
		{Kind: Covered, Time: at(3), Grant: "grant-1", Hold: hold, Note: "boot"},
		{Kind: Opened, Time: at(3), Grant: "grant-1", Call: "c1", Protocol: "openai-chat", Stream: true, Hold: hold},
		{Kind: Opened, Time: at(3), Grant: "grant-2", Call: "c2", Hold: hold},
		{Kind: Opened, Time: at(3), Grant: "grant-1", Call: "c3", Protocol: "anthropic-messages", Hold: hold},
		{Kind: Ended, Time: at(4), Grant: "grant-1", Call: "c1", Protocol: "openai-chat", End: &End{
			Outcome: Metered, Status: 200, Charge: Amount{1, 40, 11, 285_000}, Usage: chat.Usage{Input: 10, CacheRead: 20, CacheWrite: 10, CacheWrite1h: 4, Output: 11, Reasoning: 5},
			Model: canaryModel + "-20260301", Request: "sha256:aa", Answer: "sha256:bb", Sent: 321, Seen: 4321, First: 250_000, Whole: 1_250_000,
			Named: map[SecretKind]int64{ModelName: 2, HostName: 1}, Kept: KeptBoth, Judged: []Judged{{Guard: "keys", Stage: "answer", Action: "passed"}},
		}},
		{Kind: Ended, Time: at(5), Grant: "grant-2", Call: "c2", End: &End{Outcome: Failed, Charge: Amount{Requests: 1}}},
		{Kind: Ended, Time: at(6), Grant: "grant-1", Call: "c3", Protocol: "anthropic-messages", End: &End{Outcome: Failed, Status: 503, Upstream: 429, Charge: Amount{Requests: 1}, First: 1, Whole: 2}},
		{Kind: Denied, Time: at(7), Grant: "grant-1", Protocol: "openai-chat", Decision: &policy.Decision{Policy: "no-tools", Reason: "not on " + canaryModel, At: "house.cedar:1"}},
		{Kind: SuspendedCalls, Time: at(8), Suspension: &Suspension{ID: "suspension-1", Tool: "bash", Reason: "until Monday"}, Note: "until Monday"},
		{Kind: SuspendedCalls, Time: at(8), Suspension: &Suspension{ID: "suspension-2", Subject: "bob", Protocol: "openai-chat", Class: "streams", Grant: "grant-2"}},
		{Kind: ResumedCalls, Time: at(9), Suspension: &Suspension{ID: "suspension-1"}, Note: "over"},
		{Kind: ResumedCalls, Time: at(9), Suspension: &Suspension{ID: "suspension-2"}, Note: "bob is back"},
		{Kind: Ended, Time: at(10), Grant: "grant-1", Call: "c4", End: &End{Outcome: SweptUp, Charge: *hold}, Note: sweptKill},
		{Kind: Unaccounted, Time: at(11), Grant: "grant-1", Hold: hold, Note: "the machine failed"},
		{Kind: Exposed, Time: at(12), Grant: "grant-1", Exposure: &Exposure{Task: "sha256:cc", Run: "run-1"}},
		{Kind: RevokedGrant, Time: at(13), Grant: "grant-1", Note: "line one\r\nline two ] \" \\"},
		{Kind: Closed, Time: at(14)},
	}
}

func exportAll(f ExportFilter, encode func(Exported, []byte) []byte) []byte {
	records := exportedRecords()
	x := NewExporter(f, []Grant{*records[0].Terms, *records[1].Terms})
	var out []byte
	for _, r := range records {
		if e, ok := x.Add(r); ok {
			out = encode(e, out)
		}
	}
	return out
}

// TestExport holds both forms to their golden files, and both to the secrets
// that they must not have.
func TestExport(t *testing.T) {
	for name, encode := range map[string]func(Exported, []byte) []byte{"export.jsonl": Exported.JSON, "export.syslog": Exported.Syslog} {
		got := exportAll(ExportFilter{}, encode)
		file := filepath.Join("testdata", name)
		if update := flag.Lookup("update"); update != nil && update.Value.String() == "true" {
			if err := os.WriteFile(file, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s differs (-update rewrites it): %v\n%s", name, err, got)
		}
		if strings.Count(string(got), "until Monday") != 1 {
			t.Errorf("%s says why something was suspended %d times", name, strings.Count(string(got), "until Monday"))
		}
		for _, secret := range []string{canaryModel, "colossus", "titan.example", "8443", canaryHash, "sha256:cc", "house.cedar"} {
			if bytes.Contains(bytes.ToLower(got), []byte(strings.ToLower(secret))) {
				t.Errorf("%s has %s", name, secret)
			}
		}
		for line := range bytes.Lines(got) {
			if name == "export.jsonl" && !json.Valid(line) {
				t.Errorf("no JSON: %s", line)
			}
			if name == "export.syslog" {
				if _, err := readSyslog(string(line)); err != nil {
					t.Errorf("%v: %s", err, line)
				}
			}
		}
	}
}

// TestExportFilter counts what each filter leaves, and looks for what belongs to others.
func TestExportFilter(t *testing.T) {
	for _, c := range []struct {
		f      ExportFilter
		lines  int
		others string
	}{
		{ExportFilter{}, 13, ""},
		{ExportFilter{Grant: "grant-1"}, 9, "bob"},
		{ExportFilter{Case: "case 7"}, 9, "bob"},
		{ExportFilter{Subject: "bob"}, 6, "alice"},
		{ExportFilter{Subject: "bob", Grant: "grant-1"}, 0, ""},
		{ExportFilter{Grant: "grant-1", Since: time.Date(2026, 3, 1, 12, 0, 9, 0, time.UTC)}, 4, "c3"},
	} {
		got := string(exportAll(c.f, Exported.JSON))
		if n := strings.Count(got, "\n"); n != c.lines || c.others != "" && strings.Contains(got, c.others) {
			t.Errorf("%+v leaves %d lines:\n%s", c.f, n, got)
		}
	}
}

// TestExportTimes works the two times of a stream out from one record.
func TestExportTimes(t *testing.T) {
	records := exportedRecords()
	x := NewExporter(ExportFilter{}, []Grant{*records[0].Terms})
	for _, c := range []struct {
		stream      bool
		end         End
		first, each any
	}{
		{true, End{Outcome: Metered, First: 250_000, Whole: 1_250_000, Usage: chat.Usage{Output: 11}}, 0.25, 0.1},
		{true, End{Outcome: Metered, First: 250_000, Whole: 1_250_000, Usage: chat.Usage{Output: 1}}, 0.25, nil},
		{true, End{Outcome: Cut, First: 250_000, Whole: 1_250_000, Usage: chat.Usage{Output: 11}}, 0.25, nil},
		{true, End{Outcome: Metered, First: 1, Whole: 4, Usage: chat.Usage{Output: 4}}, 1e-6, 1e-6},
		{false, End{Outcome: Metered, First: 250_000, Whole: 1_250_000, Usage: chat.Usage{Output: 11}}, nil, nil},
		{true, End{Outcome: Cut, Whole: 5}, nil, nil},
	} {
		x.Add(Record{Kind: Opened, Grant: "grant-1", Call: "c", Protocol: "p", Stream: c.stream})
		e, _ := x.Add(Record{Kind: Ended, Grant: "grant-1", Call: "c", Protocol: "p", End: &c.end})
		got := map[string]any{}
		for _, a := range e.Attrs {
			got[a.Name] = a.Value
		}
		if got[otelFirstToken] != c.first || got[otelPerToken] != c.each || got[otelStream] != c.stream {
			t.Errorf("%+v: first %v, each %v", c.end, got[otelFirstToken], got[otelPerToken])
		}
	}
	if len(x.streams) != 0 {
		t.Errorf("%d calls that ended are remembered", len(x.streams))
	}
}

// readSyslog reads one message as RFC 5424 has it, strictly, and gives its
// structured data as names of the form element.parameter.
func readSyslog(line string) (map[string]string, error) {
	rest, ok := strings.CutSuffix(line, "\n")
	if !ok || !utf8.ValidString(rest) || strings.ContainsFunc(rest, unicode.IsControl) {
		return nil, fmt.Errorf("not one line of text")
	}
	parts := strings.SplitN(rest, " ", 7)
	if len(parts) != 7 || parts[0] != "<110>1" && parts[0] != "<109>1" || parts[2] != "-" || parts[3] != "proofhouse" || parts[4] != "-" || parts[5] == "" {
		return nil, fmt.Errorf("no header")
	}
	if _, err := time.Parse(time.RFC3339Nano, parts[1]); err != nil || len(parts[1]) != len("2026-03-01T12:00:00.000000Z") {
		return nil, fmt.Errorf("no time")
	}
	name := func(s string, stop string) (string, string, error) {
		i := strings.IndexAny(s, stop)
		if i < 1 || i > 32 || strings.ContainsAny(s[:i], "= ]\"") || strings.ContainsFunc(s[:i], func(r rune) bool { return r <= ' ' || r > '~' }) {
			return "", "", fmt.Errorf("no name at %q", s)
		}
		return s[:i], s[i:], nil
	}
	all, seen, s := map[string]string{}, map[string]bool{}, parts[6]
	for s != "" && s != "-" {
		if s[0] != '[' {
			return nil, fmt.Errorf("no element at %q", s)
		}
		element, tail, err := name(s[1:], " ]")
		if err != nil || seen[element] {
			return nil, fmt.Errorf("element %q: %w", element, err)
		}
		seen[element] = true
		for s = tail; s != "" && s[0] == ' '; {
			param, tail, err := name(s[1:], "=")
			if err != nil || !strings.HasPrefix(tail, `="`) {
				return nil, fmt.Errorf("parameter at %q: %w", s, err)
			}
			var value strings.Builder
			i := 2
			for ; i < len(tail) && tail[i] != '"'; i++ {
				if tail[i] == ']' {
					return nil, fmt.Errorf("an unescaped ] at %q", tail)
				}
				if tail[i] == '\\' {
					if i++; i == len(tail) || !strings.ContainsRune("\"\\]", rune(tail[i])) {
						return nil, fmt.Errorf("an escape at %q", tail)
					}
				}
				value.WriteByte(tail[i])
			}
			if i == len(tail) {
				return nil, fmt.Errorf("no end of %s", param)
			}
			all[element+"."+param], s = value.String(), tail[i+1:]
		}
		if s == "" || s[0] != ']' {
			return nil, fmt.Errorf("no end of element %s", element)
		}
		s = s[1:]
	}
	return all, nil
}

// FuzzSyslog: whatever a value is, the message is one line, and the value
// comes back but for control characters and what is no UTF-8.
func FuzzSyslog(f *testing.F) {
	for _, s := range []string{"", "plain", "a\r\nb", `q"\]`, "\x00\x7f\u0085\u2028", "\xff\xfe", "]\n<110>1 - - - - -", "ä日本"} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, one, two string) {
		e := Exported{Time: time.Unix(1, 2), Kind: Ended, Attrs: []Attribute{{otelSubject, one}, {otelStream, true}, {otelReason, two}, {otelCase, two}, {otelProtocols, []string{one, two}}}}
		got, err := readSyslog(string(e.Syslog(nil)))
		if err != nil {
			t.Fatalf("%q, %q: %v", one, two, err)
		}
		plain := func(s string) string {
			var b strings.Builder
			for _, r := range s { // what is no UTF-8 comes as U+FFFD
				if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
					fmt.Fprintf(&b, "#%03d", r)
				} else {
					b.WriteRune(r)
				}
			}
			return b.String()
		}
		for name, want := range map[string]string{
			"proofhouse.grant@32473.subject": one, "proofhouse.event@32473.reason": two, "proofhouse.grant@32473.case": two,
			"proofhouse.grant@32473.protocols": one + "," + two, "gen_ai.request@32473.stream": "true",
		} {
			if got[name] != plain(want) {
				t.Fatalf("%s is %q and not %q", name, got[name], plain(want))
			}
		}
		var back struct{ Attributes map[string]any }
		if err := json.Unmarshal(e.JSON(nil), &back); err != nil {
			t.Fatal(err)
		}
		if utf8.ValidString(one) && back.Attributes[otelSubject] != one {
			t.Fatalf("JSON has %q", back.Attributes[otelSubject])
		}
	})
}
