package ledger

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"proofhouse/internal/proofhouse"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func write(t testing.TB, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// plain makes a log from the words of docs/design/ledger.md alone, with none of
// the code that makes real ones. "sign" is a signature, all else a record.
func plain(key *Key, items ...string) []byte {
	var out bytes.Buffer
	head := sha256.Sum256([]byte("proofhouse log, format 1\n"))
	seq := uint64(0)
	for _, it := range items {
		if it == "sign" {
			sig := ed25519.Sign(key.private, append(binary.BigEndian.AppendUint64([]byte("proofhouse log head, format 1\n"), seq), head[:]...))
			id := sha256.Sum256(key.private.Public().(ed25519.PublicKey))
			fmt.Fprintf(&out, `{"seq":%d,"head":"%x","key":"%x","sig":"%x"}`+"\n", seq, head, id[:16], sig)
			continue
		}
		seq++
		in := binary.BigEndian.AppendUint64([]byte("proofhouse log record, format 1\n"), seq)
		head = sha256.Sum256(append(append(in, head[:]...), it...))
		fmt.Fprintf(&out, `{"seq":%d,"hash":"%x","record":%s}`+"\n", seq, head, it)
	}
	return out.Bytes()
}

func unsigned(t testing.TB, records ...string) []byte {
	t.Helper()
	return plain(fixedKey(1), records...)
}

// small is a log of four records, of which three are signed.
func small() []byte {
	return plain(fixedKey(1), `{"n":1}`, `{"who":"ä","cost":0.10}`, "sign", ` [3] `, "sign", `{"n":4}`)
}

func verify(b []byte) (Summary, error) {
	return VerifyLog(context.Background(), bytes.NewReader(b), fixedKey(1).PublicKey(), nil)
}

func TestLogGolden(t *testing.T) {
	path := filepath.Join(t.TempDir(), "meter.log")
	l := openLog(t, path, LogOptions{})
	appendLog(t, l, `{"n":1}`, `{"who":"ä","cost":0.10}`)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = openLog(t, path, LogOptions{})
	appendLog(t, l, ` [3] `)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "log.jsonl")
	if *update {
		write(t, golden, got)
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the log's text changed:\n%s", got)
	}
	if page := plain(fixedKey(1), `{"n":1}`, `{"who":"ä","cost":0.10}`, "sign", ` [3] `, "sign"); !bytes.Equal(got, page) {
		t.Errorf("the log is not what its page says:\n%s", page)
	}
	for line := range bytes.Lines(got) {
		if !json.Valid(line) {
			t.Errorf("not JSON: %s", line)
		}
	}
}

// TestVerifyLogFlips changes each byte of a log in turn, in six ways: every
// change is found at its line, by VerifyLog and, but for the end that a crash
// may tear, by OpenLog.
func TestVerifyLogFlips(t *testing.T) {
	good := small()
	if s, err := verify(good); err != nil || s.Records != 4 || s.Signed != 3 || s.Unsigned() != 1 {
		t.Fatalf("%+v, %v", s, err)
	}
	line, seqs := 1, []uint64{0, 1, 2, 3, 3, 4, 4} // the record due at each line
	path := filepath.Join(t.TempDir(), "meter.log")
	for i, old := range good {
		for _, c := range []byte{old ^ 1, old ^ 4, old ^ 0x20, old ^ 0x80, '\n', '0'} {
			if c == old {
				continue
			}
			bad := bytes.Clone(good)
			bad[i] = c
			_, err := verify(bad)
			where := fmt.Sprintf("line %d, where record %d is due", line, seqs[line])
			if proofhouse.KindOf(err) != proofhouse.Integrity || !strings.Contains(fmt.Sprint(err), where) {
				t.Fatalf("byte %d (%q) as %q, at %s: %v", i, old, c, where, err)
			}
			if errors.Is(err, ErrTorn) {
				t.Errorf("byte %d (%q) as %q counts as a crash", i, old, c)
			}
		}
		if i%29 == 0 || i == len(good)-1 {
			bad := bytes.Clone(good)
			bad[i] ^= 2
			write(t, path, bad)
			if _, _, err := OpenLog(t.Context(), path, fixedKey(1), LogOptions{}); proofhouse.KindOf(err) != proofhouse.Integrity {
				t.Errorf("opened with byte %d changed: %v", i, err)
			}
			if after, _ := os.ReadFile(path); !bytes.Equal(after, bad) {
				t.Error("a log that was refused was written to")
			}
		}
		if old == '\n' {
			line++
		}
	}
}

// TestVerifyLogTorn cuts a log at every byte. A cut within a line is torn, and
// OpenLog goes on from the line before; one at a line's end shows only to who
// kept a checkpoint.
func TestVerifyLogTorn(t *testing.T) {
	good := small()
	full, err := verify(good)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "meter.log")
	for n := range good {
		for _, zeros := range []int{0, 1, 5000, maxLogLine + 77} {
			if n%7 != 0 && zeros > 1 {
				continue
			}
			cut := append(bytes.Clone(good[:n]), make([]byte, zeros)...)
			whole := bytes.LastIndexByte(good[:n], '\n') + 1
			_, err := verify(cut)
			if torn := len(cut) > whole; errors.Is(err, ErrTorn) != torn || (err != nil) != torn {
				t.Fatalf("cut at %d and %d zeros: %v", n, zeros, err)
			}
			if n%21 != 0 || zeros == 5000 {
				continue
			}
			write(t, path, cut)
			if _, _, err := OpenLog(t.Context(), path, fixedKey(1), LogOptions{Expect: full}); proofhouse.KindOf(err) != proofhouse.Integrity || errors.Is(err, ErrTorn) {
				t.Fatalf("cut at %d, and the checkpoint: %v", n, err)
			}
			l, torn, err := OpenLog(t.Context(), path, fixedKey(1), LogOptions{})
			if err != nil || torn != int64(len(cut)-whole) {
				t.Fatalf("opened after a cut at %d: %d, %v", n, torn, err)
			}
			appendLog(t, l, "5")
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			readLog(t, path)
		}
	}
}

func TestVerifyLogFaults(t *testing.T) {
	lines := bytes.SplitAfter(small(), []byte("\n"))
	join := func(order ...int) []byte {
		var out []byte
		for _, n := range order {
			out = append(out, lines[n-1]...)
		}
		return out
	}
	forged := func(items ...string) []byte { return plain(fixedKey(2), items...) }
	sub := func(old, new string) []byte { return bytes.Replace(small(), []byte(old), []byte(new), 1) }
	oneSig := bytes.Split(plain(fixedKey(1), "1", "sign"), []byte("\n"))
	otherSig := bytes.Split(plain(fixedKey(1), "2", "sign"), []byte("\n"))
	sig := lines[2][bytes.Index(lines[2], []byte(`"sig":"`))+7:]
	for _, c := range []struct {
		name string
		log  []byte
		want string
	}{
		{"first removed", join(2, 3, 4, 5, 6), "line 1, where record 1 is due, holds record 2"},
		{"removed", join(1, 3, 4, 5, 6), "line 2, where record 2 is due, holds a signature of record 2"},
		{"removed with its signature", join(1, 4, 5, 6), "line 2, where record 2 is due, holds record 3"},
		{"doubled", join(1, 2, 2, 3, 4, 5, 6), "line 3, where record 3 is due, holds record 2"},
		{"doubled at the end", join(1, 2, 3, 4, 5, 6, 6), "line 7, where record 5 is due, holds record 4"},
		{"swapped", join(2, 1, 3, 4, 5, 6), "line 1, where record 1 is due, holds record 2"},
		{"moved over a signature", join(1, 2, 4, 3, 5, 6), "line 4, where record 4 is due, holds a signature of record 2"},
		{"signature doubled", join(1, 2, 3, 3, 4, 5, 6), "line 4, where record 3 is due, holds a signature that was there before"},
		{"signature of nothing", append(plain(fixedKey(1), "sign"), small()...), "line 1, where record 1 is due, is neither"},
		{"signature of another head", bytes.Join([][]byte{oneSig[0], otherSig[1], nil}, []byte("\n")), "line 2, where record 2 is due, holds a signature of another record 1"},
		{"foreign signature", forged("1", "2", "sign", "3"), "line 3, where record 3 is due, is signed by key " + fixedKey(2).PublicKey().ID()},
		{
			"foreign signature in our name",
			bytes.Replace(forged("1", "sign"), []byte(fixedKey(2).PublicKey().ID()), []byte(fixedKey(1).PublicKey().ID()), 1),
			"line 2, where record 2 is due, holds a signature that does not fit",
		},
		{"a record made anew under a signature", append(plain(fixedKey(1), `{"n":0}`), join(2, 3)...), "line 2, where record 2 is due, does not match its hash"},
		{"record changed", sub(`0.10`, `0.1`), "line 2, where record 2 is due, does not match its hash"},
		{"key added", sub(`"record":{"n":1}`, `"record":{"n":1},"x":1`), "line 1, where record 1 is due, does not match its hash"},
		{"hex in capitals", bytes.Replace(small(), sig[:128], bytes.ToUpper(sig[:128]), 1), "line 3, where record 3 is due, is neither"},
		{"white space", sub(`{"seq":2`, `{"seq": 2`), "line 2, where record 2 is due, is neither"},
		{"leading zero", sub(`{"seq":2`, `{"seq":02`), "line 2, where record 2 is due, is neither"},
		{"seq too large", sub(`{"seq":2`, `{"seq":18446744073709551618`), "line 2, where record 2 is due, is neither"},
		{"no record", sub(`"record":{"n":1}`, `"record":`), "line 1, where record 1 is due, is neither"},
		{"empty line", append([]byte("\n"), small()...), "line 1, where record 1 is due, is neither"},
		{"CRLF", bytes.ReplaceAll(small(), []byte("\n"), []byte("\r\n")), "line 1, where record 1 is due, is neither"},
		{"a record that is none", plain(fixedKey(1), "{} {}"), "line 1, where record 1 is due, holds a record that is not JSON"},
		{"a long record", plain(fixedKey(1), `"`+strings.Repeat("x", maxLogRecord)+`"`), "line 1, where record 1 is due, holds a record that is longer than 64 KiB"},
		{"a long line", plain(fixedKey(1), `"`+strings.Repeat("x", 2*maxLogRecord)+`"`), "line 1, where record 1 is due, is longer than a line can be"},
		{"zeros and then more", append(append(small(), make([]byte, 2*maxLogLine)...), '1'), "line 7, where record 5 is due, is longer than a line can be"},
		{"not a log", []byte("hello\n"), "line 1, where record 1 is due, is neither"},
		{"an end that is no line", append(small(), "hello"...), "line 7, where record 5 is due, has no end and is not"},
		{"an end of another record", append(small(), `{"seq":6,"hash":"00`...), "line 7, where record 5 is due, has no end and is not"},
	} {
		_, err := verify(c.log)
		if proofhouse.KindOf(err) != proofhouse.Integrity || !strings.Contains(proofhouse.PublicOf(err), c.want) {
			t.Errorf("%s: %v\n want %s", c.name, err, c.want)
		}
	}
}

func TestVerifyLogExpect(t *testing.T) {
	items := []string{"1", "2", "sign", "3", "4", "sign", "5"}
	all := plain(fixedKey(1), items...)
	ends := []int{0}
	for i, c := range all {
		if c == '\n' {
			ends = append(ends, i+1)
		}
	}
	expect := func(s Summary, log []byte) error {
		_, err := s.Expect(t.Context(), bytes.NewReader(log), fixedKey(1).PublicKey(), nil)
		return err
	}
	for i, a := range ends {
		former, err := verify(all[:a])
		if err != nil {
			t.Fatal(err)
		}
		for j, b := range ends {
			err := expect(former, all[:b])
			if j >= i && err != nil || j < i && proofhouse.KindOf(err) != proofhouse.Integrity {
				t.Errorf("%d lines after %d: %v", j, i, err)
			}
		}
		if former.Records > 0 {
			// The key's owner can make another log: the checkpoint tells.
			other := plain(fixedKey(1), append([]string{"0"}, items[1:]...)...)
			if err := expect(former, other); proofhouse.KindOf(err) != proofhouse.Integrity ||
				!strings.Contains(err.Error(), fmt.Sprintf("record %d, has not the hash of the checkpoint", former.Records)) {
				t.Errorf("another log, after %d lines: %v", i, err)
			}
		}
	}
	last, _ := verify(all)
	b, err := json.Marshal(last)
	if err != nil {
		t.Fatal(err)
	}
	var back Summary
	if err := json.Unmarshal(b, &back); err != nil || back != last {
		t.Errorf("kept as %s: %v", b, err)
	}
}

func TestVerifyLogStops(t *testing.T) {
	key := fixedKey(1).PublicKey()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := VerifyLog(ctx, bytes.NewReader(small()), key, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
	if _, err := VerifyLog(t.Context(), iotest.TimeoutReader(iotest.OneByteReader(bytes.NewReader(small()))), key, nil); !errors.Is(err, iotest.ErrTimeout) {
		t.Errorf("a reader that fails: %v", err)
	}
	s, err := VerifyLog(t.Context(), bytes.NewReader(small()), key, func(seq uint64, _ json.RawMessage) error {
		if seq == 2 {
			return ErrTorn
		}
		return nil
	})
	if !errors.Is(err, ErrTorn) || s.Records != 2 {
		t.Errorf("each's own error: %+v, %v", s, err)
	}
	path := filepath.Join(t.TempDir(), "meter.log")
	write(t, path, small())
	if _, _, err := OpenLog(t.Context(), path, fixedKey(1), LogOptions{Each: func(uint64, json.RawMessage) error { return ErrTorn }}); !errors.Is(err, ErrTorn) {
		t.Errorf("each's own error on opening: %v", err)
	}
	if _, _, err := OpenLog(t.Context(), path, fixedKey(1), LogOptions{SignEvery: -1}); proofhouse.KindOf(err) != proofhouse.Invalid {
		t.Errorf("a negative pace: %v", err)
	}
	if _, _, err := OpenLog(t.Context(), t.TempDir(), fixedKey(1), LogOptions{}); err == nil {
		t.Error("opened a folder")
	}
	if _, _, err := OpenLog(t.Context(), os.DevNull, fixedKey(1), LogOptions{}); proofhouse.KindOf(err) != proofhouse.Invalid {
		t.Errorf("opened a device: %v", err)
	}
}

// FuzzVerifyLog holds what verifies against the only log that the key ever
// signed: what a signature covers must be of it.
// FuzzLogRecord: what may be appended is JSON for those who read it.
func FuzzLogRecord(f *testing.F) {
	for _, s := range []string{`{"n":1}`, `"\ud800"`, "\"\x7f\"", `-0.0e+1`, `01`, `[1,]`, `{"a":1,"a":2}`, " \t1 ", "\"\t\"", "nul", `{"a"}`, strings.Repeat("[", 20000) + strings.Repeat("]", 20000)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if ours, theirs := checkLogRecord(b) == "", json.Valid(b); ours && !theirs {
			t.Fatalf("%q may be appended and is not JSON", b)
		}
	})
}

func FuzzVerifyLog(f *testing.F) {
	signed := []string{`{"n":1}`, `{"who":"ä","cost":0.10}`, ` [3] `}
	f.Add(small())
	f.Add(unsigned(f, "1", "2"))
	f.Add(small()[:300])
	f.Add(append(small(), make([]byte, 100)...))
	f.Add(plain(fixedKey(2), "1", "sign"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var got []string
		var again []byte
		at, h := newChain(), sha256.New()
		s, err := VerifyLog(t.Context(), bytes.NewReader(b), fixedKey(1).PublicKey(), func(_ uint64, r json.RawMessage) error {
			if why := checkLogRecord(r); why != "" {
				t.Errorf("record %q %s", r, why)
			}
			at = at.next(h, r)
			again = at.appendRecord(again, r)
			got = append(got, string(r))
			return nil
		})
		if int(s.Records) != len(got) || s.Signed > s.Records || s.Head.Hex() != hex.EncodeToString(at.head[:]) {
			t.Fatalf("%+v of %d records", s, len(got))
		}
		for i := range s.Signed {
			if got[i] != signed[i] {
				t.Errorf("record %d is signed and was not: %s", i+1, got[i])
			}
		}
		if err == nil && s.Signed == 0 && !bytes.Equal(again, b) {
			t.Errorf("a second text for the same log: %q, %q", b, again)
		}
		if err != nil && proofhouse.KindOf(err) != proofhouse.Integrity {
			t.Errorf("%v", err)
		}
		if _, again := s.Expect(t.Context(), bytes.NewReader(b), fixedKey(1).PublicKey(), nil); (again == nil) != (err == nil) {
			t.Errorf("the log does not go on from itself: %v", again)
		}
	})
}
