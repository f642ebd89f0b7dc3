package ledger

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"proofhouse/internal/proofhouse"
)

// fixedKey is the same in every run, so that logs can be golden.
func fixedKey(n byte) *Key {
	return &Key{ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize))}
}

func openLog(t testing.TB, path string, opts LogOptions) *Log {
	t.Helper()
	l, _, err := OpenLog(t.Context(), path, fixedKey(1), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func appendLog(t testing.TB, l *Log, records ...string) uint64 {
	t.Helper()
	var last uint64
	for _, r := range records {
		seq, err := l.Append([]byte(r))
		if err != nil {
			t.Fatal(err)
		}
		last = seq
	}
	return last
}

// readLog verifies the log at path and gives its records.
func readLog(t testing.TB, path string) ([]string, Summary) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var got []string
	s, err := VerifyLog(t.Context(), f, fixedKey(1).PublicKey(), func(seq uint64, r json.RawMessage) error {
		if got = append(got, string(r)); seq != uint64(len(got)) {
			t.Errorf("record %d came as %d", seq, len(got))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got, s
}

func TestLogAppendSync(t *testing.T) {
	path := filepath.Join(t.TempDir(), "meter.log")
	l := openLog(t, path, LogOptions{SignEvery: time.Hour})
	for name, bad := range map[string]string{
		"nothing": "", "not JSON": "{", "two values": "{} {}", "a line break": "{\n}", "a carriage return": "{\r}",
		"not UTF-8": "\"\xff\"", "too long": `"` + strings.Repeat("x", maxLogRecord-1) + `"`,
	} {
		if _, err := l.Append([]byte(bad)); proofhouse.KindOf(err) != proofhouse.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := l.Sync(t.Context(), 1); proofhouse.KindOf(err) != proofhouse.Invalid {
		t.Errorf("a sync of a record that is not there: %v", err)
	}
	if _, _, err := OpenLog(t.Context(), path, fixedKey(1), LogOptions{}); proofhouse.KindOf(err) != proofhouse.Conflict {
		t.Errorf("opened twice: %v", err)
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	want := []string{`{"n":1}`, ` {"n" : 12345678901234567890.50, "n":2} `, `"` + strings.Repeat("x", maxLogRecord-2) + `"`, `null`}
	last := appendLog(t, l, want...)
	if err := l.Sync(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	got, s := readLog(t, path)
	if strings.Join(got, "|") != strings.Join(want, "|") || s.Signed != 0 || s.Unsigned() != 4 || l.Summary() != s {
		t.Errorf("read %d records, %+v; the log says %+v", len(got), s, l.Summary())
	}
	if err := errors.Join(l.Close(), l.Close()); err != nil {
		t.Fatal(err)
	}
	if _, s = readLog(t, path); s.Signed != 4 || l.Summary() != s {
		t.Errorf("closed: %+v; the log says %+v", s, l.Summary())
	}
	if _, err := l.Append([]byte("1")); proofhouse.KindOf(err) != proofhouse.Unavailable {
		t.Errorf("an append to a closed log: %v", err)
	}
	if err := l.Sync(t.Context(), last); err != nil {
		t.Errorf("a sync of what Close made durable: %v", err)
	}
}

// TestLogSigns waits for a signature that nobody asked for, first of new
// records and then of those that a killed writer left.
func TestLogSigns(t *testing.T) {
	path := filepath.Join(t.TempDir(), "meter.log")
	signed := func(l *Log, n uint64) {
		for l.Summary().Signed < n && t.Context().Err() == nil {
			time.Sleep(time.Millisecond)
		}
	}
	l := openLog(t, path, LogOptions{SignEvery: time.Millisecond})
	appendLog(t, l, "1", "2")
	signed(l, 2)
	appendLog(t, l, "3")
	signed(l, 3)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	write(t, path, unsigned(t, "1", "2"))
	l = openLog(t, path, LogOptions{SignEvery: time.Millisecond})
	signed(l, 2)
}

// TestLogGroupCommit holds a sync of the disk back until 50 more callers wait:
// they must share the next one.
func TestLogGroupCommit(t *testing.T) {
	l := openLog(t, filepath.Join(t.TempDir(), "meter.log"), LogOptions{SignEvery: time.Hour})
	enter, leave := make(chan struct{}, 100), make(chan struct{})
	l.fsync = func() error { enter <- struct{}{}; <-leave; return l.f.Sync() }
	var wg sync.WaitGroup
	put := func() {
		seq, err := l.Append([]byte("{}"))
		if err = errors.Join(err, l.Sync(t.Context(), seq)); err != nil {
			t.Error(err)
		}
	}
	wg.Go(put)
	<-enter
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(io.ErrClosedPipe)
	if err := l.Sync(ctx, 1); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("a sync that was given up: %v", err)
	}
	for range 50 {
		wg.Go(put)
	}
	for wanted := uint64(0); wanted < 51; {
		time.Sleep(time.Millisecond)
		l.mu.Lock()
		wanted = l.want
		l.mu.Unlock()
	}
	if s := l.Summary(); s.Records != 0 {
		t.Errorf("durable before the sync: %+v", s)
	}
	close(leave)
	wg.Wait()
	if n := 1 + len(enter); n != 2 {
		t.Errorf("%d syncs for 51 records", n)
	}
}

// TestLogWritten: what was written needs no sync of the disk, and is in the
// file when the wait ends.
func TestLogWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "meter.log")
	l := openLog(t, path, LogOptions{SignEvery: time.Hour})
	l.fsync = func() error { t.Error("a sync that nobody asked for"); return nil }
	for n := range 100 {
		if err := l.Written(t.Context(), appendLog(t, l, strconv.Itoa(n))); err != nil {
			t.Fatal(err)
		}
		if got, _ := readLog(t, path); len(got) != n+1 {
			t.Fatalf("%d records are there after %d", len(got), n+1)
		}
	}
	if err := l.Written(t.Context(), 101); proofhouse.KindOf(err) != proofhouse.Invalid {
		t.Errorf("a wait for a record that is not there: %v", err)
	}
	if s := l.Summary(); s.Records != 0 {
		t.Errorf("durable without a sync: %+v", s)
	}
	l.fsync = func() error { return nil }
}

// TestLogFails: the first failure of the disk stays, and what was durable does too.
func TestLogFails(t *testing.T) {
	for _, c := range []struct {
		name  string
		plant func(*Log)
	}{
		{"sync", func(l *Log) { l.fsync = func() error { return io.ErrNoProgress } }},
		{"write", func(l *Log) { _ = l.f.Close() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "meter.log")
			l := openLog(t, path, LogOptions{SignEvery: time.Hour})
			if err := l.Sync(t.Context(), appendLog(t, l, "1")); err != nil {
				t.Fatal(err)
			}
			c.plant(l)
			seq := appendLog(t, l, "2")
			if err := l.Sync(t.Context(), seq); err == nil {
				t.Error("the failure was not told to who waits")
			}
			if _, err := l.Append([]byte("3")); err == nil {
				t.Error("an append after the failure")
			}
			if err := l.Sync(t.Context(), 1); err != nil {
				t.Errorf("a sync of what was durable before: %v", err)
			}
			if s := l.Summary(); s.Records != 1 {
				t.Errorf("durable: %+v", s)
			}
			if l.Close() == nil {
				t.Error("closed without the failure")
			}
		})
	}
}

// TestLogFull: with the writer held back, Append waits at the bound and goes on
// when the log is closed.
func TestLogFull(t *testing.T) {
	l := openLog(t, filepath.Join(t.TempDir(), "meter.log"), LogOptions{SignEvery: time.Hour})
	enter, leave := make(chan struct{}, 100), make(chan struct{})
	l.fsync = func() error { enter <- struct{}{}; <-leave; return nil }
	var wg sync.WaitGroup
	seq := appendLog(t, l, "1")
	wg.Go(func() { _ = l.Sync(t.Context(), seq) })
	<-enter
	big := []byte(`"` + strings.Repeat("x", maxLogRecord-2) + `"`)
	wg.Go(func() {
		for {
			if _, err := l.Append(big); err != nil {
				if proofhouse.KindOf(err) != proofhouse.Unavailable {
					t.Error(err)
				}
				return
			}
		}
	})
	held := func() int {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.buf)
	}
	for held() < maxPending {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(10 * time.Millisecond)
	if n := held(); n > maxPending+maxLogLine {
		t.Errorf("%d bytes wait", n)
	}
	l.mu.Lock()
	l.closing = true // as Close does, which would wait for the sync
	l.room.Broadcast()
	l.mu.Unlock()
	close(leave)
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
}

func TestLogConcurrent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "meter.log")
	l := openLog(t, path, LogOptions{SignEvery: time.Millisecond})
	var wg sync.WaitGroup
	const workers, each = 16, 200
	for w := range workers {
		wg.Go(func() {
			for i := range each {
				seq, err := l.Append(fmt.Appendf(nil, `"%d-%d"`, w, i))
				if err == nil && i%10 == 0 {
					err = l.Sync(t.Context(), seq)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	got, s := readLog(t, path)
	if s.Signed != workers*each {
		t.Errorf("%+v", s)
	}
	next := map[int]int{} // each worker's records keep their order
	for _, r := range got {
		var w, i int
		if _, err := fmt.Sscanf(r, `"%d-%d"`, &w, &i); err != nil || next[w] != i {
			t.Fatalf("record %s, where worker %d was at %d", r, w, next[w])
		}
		next[w]++
	}
}

// TestLogReopen appends and reopens at random, with what a crash may leave at
// the end, and compares with a slice.
func TestLogReopen(t *testing.T) {
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	path := filepath.Join(t.TempDir(), "meter.log")
	var want []string
	var check Summary
	for round := range 60 {
		var tail []byte
		if round > 0 && rnd.IntN(2) == 0 {
			line := chain{seq: uint64(len(want)) + 1}.appendRecord(nil, []byte(`{"lost":[true,"\u00e4"]}`))
			tail = line[:1+rnd.IntN(len(line)-2)]
			tail = append(tail, make([]byte, rnd.IntN(2)*rnd.IntN(3*maxLogLine))...)
			f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.Write(tail); err != nil {
				t.Fatal(err)
			}
			f.Close()
		}
		var got []string
		l, torn, err := OpenLog(t.Context(), path, fixedKey(1), LogOptions{Expect: check, Each: func(_ uint64, r json.RawMessage) error {
			got = append(got, string(r))
			return nil
		}})
		if err != nil || torn != int64(len(tail)) || strings.Join(got, ",") != strings.Join(want, ",") {
			t.Fatalf("seed %d, round %d: %v; torn %d, planted %d; %d records of %d", seed, round, err, torn, len(tail), len(got), len(want))
		}
		for range rnd.IntN(20) {
			r := fmt.Sprintf(`{"n":%d,"pad":"%s"}`, rnd.IntN(1000), strings.Repeat("é", rnd.IntN(300)))
			want = append(want, r)
			if seq := appendLog(t, l, r); seq != uint64(len(want)) {
				t.Fatalf("seed %d: record %d came as %d", seed, len(want), seq)
			}
			if rnd.IntN(5) == 0 {
				if err := l.Sync(t.Context(), uint64(rnd.IntN(len(want)))+1); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if check = l.Summary(); check.Records != uint64(len(want)) || check.Unsigned() != 0 {
			t.Fatalf("seed %d: %+v", seed, check)
		}
	}
}

// TestLogKilled kills a writer with kill -9 again and again: each record that
// it said was durable is there once, in its place. Kept pages survive a kill,
// so this holds the order of memory, file and word; only a cut of the power
// would test the disk.
func TestLogKilled(t *testing.T) {
	const child = "PROOFHOUSE_LOG_CHILD"
	if path := os.Getenv(child); path != "" {
		logChild(path)
	}
	path := filepath.Join(t.TempDir(), "meter.log")
	acked := map[uint64]string{}
	for round := range 20 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestLogKilled$")
		cmd.Env = append(os.Environ(), child+"="+path, "PROOFHOUSE_LOG_ROUND="+strconv.Itoa(round))
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		r := bufio.NewReader(out)
		for n, stop := 0, 1+rand.IntN(300); ; n++ {
			line, err := r.ReadString('\n')
			if err != nil {
				break
			}
			seq, record, _ := strings.Cut(strings.TrimSpace(line), " ")
			k, err := strconv.ParseUint(seq, 10, 64)
			if err != nil || acked[k] != "" {
				t.Fatalf("round %d: the child said %q, and of this record %q before", round, line, acked[k])
			}
			acked[k] = record
			if n == stop {
				time.Sleep(time.Duration(rand.IntN(3000)) * time.Microsecond)
				_ = cmd.Process.Kill()
			}
		}
		_ = cmd.Wait()

		got := map[uint64]string{}
		seen := map[string]bool{}
		l, _, err := OpenLog(t.Context(), path, fixedKey(1), LogOptions{Each: func(seq uint64, r json.RawMessage) error {
			if seen[string(r)] {
				t.Errorf("round %d: record %s is there twice", round, r)
			}
			got[seq], seen[string(r)] = string(r), true
			return nil
		}})
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		for seq, r := range acked {
			if got[seq] != r {
				t.Fatalf("round %d: record %d was acknowledged as %s and is %q", round, seq, r, got[seq])
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d records acknowledged", len(acked))
}

// logChild appends until it is killed.
func logChild(path string) {
	l, _, err := OpenLog(context.Background(), path, fixedKey(1), LogOptions{SignEvery: time.Millisecond})
	if err != nil {
		panic(err)
	}
	for w := range 8 {
		go func() {
			for i := 0; ; i++ {
				record := fmt.Sprintf(`{"r":%s,"w":%d,"i":%d,"pad":"%s"}`, os.Getenv("PROOFHOUSE_LOG_ROUND"), w, i, strings.Repeat("x", rand.IntN(4000)))
				seq, err := l.Append([]byte(record))
				wait := []func(context.Context, uint64) error{l.Sync, l.Written}[i%2]
				if err == nil && i%7 != 0 { // some nobody waits for
					err = wait(context.Background(), seq)
				}
				if err != nil {
					panic(err)
				}
				if i%7 != 0 {
					fmt.Fprintf(os.Stdout, "%d %s\n", seq, record)
				}
			}
		}()
	}
	select {}
}

func BenchmarkLogAppend(b *testing.B) {
	record := []byte(`{"at":"2026-11-27T11:35:33Z","grant":"g-7f3k2","model":"m-large","in":1843,"out":412,"micro_usd":11709,"pad":"` + strings.Repeat("x", 180) + `"}`)
	b.Run("append", func(b *testing.B) {
		l := openLog(b, filepath.Join(b.TempDir(), "meter.log"), LogOptions{})
		b.SetBytes(int64(len(record)))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := l.Append(record); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprintf("sync-%d", n), func(b *testing.B) {
			l := openLog(b, filepath.Join(b.TempDir(), "meter.log"), LogOptions{})
			b.SetParallelism(n)
			if n == 1 {
				for b.Loop() {
					if err := l.Sync(b.Context(), appendLog(b, l, string(record))); err != nil {
						b.Fatal(err)
					}
				}
				return
			}
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					seq, err := l.Append(record)
					if err == nil {
						err = l.Sync(b.Context(), seq)
					}
					if err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

func BenchmarkVerifyLog(b *testing.B) {
	record := `{"at":"2026-11-27T11:35:33Z","pad":"` + strings.Repeat("x", 260) + `"}`
	text := unsigned(b, strings.Split(strings.Repeat(record+"\n", 9999)+record, "\n")...)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := VerifyLog(b.Context(), bytes.NewReader(text), fixedKey(1).PublicKey(), nil); err != nil {
			b.Fatal(err)
		}
	}
}
