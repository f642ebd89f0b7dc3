package witness

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"proofhouse/internal/ledger"
	"proofhouse/internal/ledger/ledgertest"
	"proofhouse/internal/proofhouse"
)

const (
	origin = "review.example/log"
	name   = "witness.example/w1"
)

var at = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

func newKey(t testing.TB) *ledger.Key {
	t.Helper()
	k, err := ledger.CreateKey(t.TempDir(), "log")
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// newLog has n leaves.
func newLog(t testing.TB, key *ledger.Key, n int) *ledgertest.Memory {
	t.Helper()
	l := ledgertest.NewMemory(origin, key)
	grow(t, l, 0, n)
	return l
}

// grow appends n leaves of a series.
func grow(t testing.TB, l *ledgertest.Memory, series, n int) {
	t.Helper()
	for i := range n {
		if _, err := l.Append(t.Context(), [][32]byte{ledgertest.Leaf(1000*series + i)}); err != nil {
			t.Fatal(err)
		}
	}
}

func open(t testing.TB, dir string, logs ...ledger.VerifierKey) *Witness {
	t.Helper()
	w, err := Open(dir, name, logs, func() time.Time { return at })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

// request is what a log sends to have its newest checkpoint cosigned.
func request(t testing.TB, l *ledgertest.Memory, old uint64) (string, ledger.Checkpoint) {
	t.Helper()
	cp, err := l.Checkpoint(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	var p ledger.Proof
	if old <= cp.Size {
		if p, err = l.Extend(t.Context(), old, cp); err != nil {
			t.Fatal(err)
		}
	}
	return body(old, p, cp.Note), cp
}

func body(old uint64, p ledger.Proof, signed []byte) string {
	out := fmt.Sprintf("old %d\n", old)
	for _, h := range p {
		out += base64.StdEncoding.EncodeToString(h[:]) + "\n"
	}
	return out + "\n" + string(signed)
}

func post(h http.Handler, body string) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest("POST", "/add-checkpoint", strings.NewReader(body)))
	return rec
}

// TestAddCheckpoint has the refusals of c2sp.org/tlog-witness first.
func TestAddCheckpoint(t *testing.T) {
	key := newKey(t)
	l := newLog(t, key, 5)
	w := open(t, t.TempDir(), l.Key())
	h := w.Handler()
	first, cp := request(t, l, 0)
	answer := post(h, first)
	if answer.Code != 200 {
		t.Fatalf("the first checkpoint: %d %s", answer.Code, answer.Body)
	}
	cosigned, err := ledger.ParseCheckpoint(append(cp.Note, answer.Body.Bytes()...), l.Key(), w.Key())
	if err != nil || len(cosigned.Seen) != 1 || !cosigned.Seen[0].At.Equal(at) {
		t.Fatalf("cosigned: %+v, %v", cosigned.Seen, err)
	}

	other := newLog(t, newKey(t), 5)
	unknown := ledgertest.NewMemory("other.example/log", key)
	grow(t, unknown, 0, 5)
	same := l.Fork(4)
	grow(t, same, 1, 1)
	larger := l.Fork(4)
	grow(t, larger, 2, 4)
	smaller := l.Fork(3)
	next := l.Fork(5)
	grow(t, next, 0, 3)
	good, goodCP := request(t, next, 5)
	goodProof, _ := next.Extend(t.Context(), 5, goodCP)
	from := func(l *ledgertest.Memory, old uint64) string { b, _ := request(t, l, old); return b }
	for _, c := range []struct {
		name, body string
		code       int
		says       string
	}{
		{"nothing", "", 400, ""},
		{"no old size", strings.TrimPrefix(good, "old 5\n"), 400, ""},
		{"a leading zero", "old 0" + strings.TrimPrefix(good, "old "), 400, ""},
		{"a sign", "old +" + strings.TrimPrefix(good, "old "), 400, ""},
		{"a proof that is not base64", "old 5\n%\n\n" + string(goodCP.Note), 400, ""},
		{"64 hashes", body(5, make(ledger.Proof, 64), goodCP.Note), 400, ""},
		{"too long", good + strings.Repeat("x", maxBody), 400, ""},
		{"no checkpoint", body(5, goodProof, nil), 400, ""},
		{"an unknown log", from(unknown, 5), 404, ""},
		{"another key", from(other, 5), 403, ""},
		{"a changed signature", body(5, goodProof, []byte(strings.Replace(string(goodCP.Note), "— "+origin+" ", "— "+origin+" A", 1))), 403, ""},
		{"an old size above the size", "old 9\n\n" + string(goodCP.Note), 400, ""},
		{"an old size that was never cosigned", from(next, 3), 409, "5\n"},
		{"a smaller tree", from(smaller, 3), 409, "5\n"},
		{"another tree of the same size", from(same, 5), 409, "forked"},
		{"a larger fork", from(larger, 5), 422, "forked"},
		{"another proof", body(5, ledger.Proof{{1}, {2}}, goodCP.Note), 422, ""},
		{"no proof", body(5, nil, goodCP.Note), 422, ""},
	} {
		rec := post(h, c.body)
		if rec.Code != c.code || !strings.Contains(rec.Body.String(), c.says) || strings.Contains(rec.Body.String(), "—") {
			t.Errorf("%s: got %d %q, want %d %q", c.name, rec.Code, rec.Body, c.code, c.says)
		}
		if stale := rec.Header().Get("Content-Type") == "text/x.tlog.size"; stale != (c.says == "5\n") {
			t.Errorf("%s: content type %q", c.name, rec.Header().Get("Content-Type"))
		}
	}
	if rec := httptest.NewRecorder(); true {
		h.ServeHTTP(rec, httptest.NewRequest("GET", "/add-checkpoint", nil))
		if rec.Code != 405 {
			t.Errorf("GET: %d", rec.Code)
		}
	}
	evidence, err := os.ReadFile(filepath.Join(w.dir, "fork-5.txt"))
	if err != nil || strings.Count(string(evidence), origin+"\n5\n") != 2 {
		t.Errorf("the evidence: %s, %v", evidence, err)
	}
	for _, again := range []string{from(l, 5), good} { // the same again, and then what goes on
		if rec := post(h, again); rec.Code != 200 {
			t.Errorf("after the refusals: %d %s", rec.Code, rec.Body)
		}
	}
}

// TestMemory: a witness that was stopped goes on where it was; one without its
// memory, or with another's, does not start.
func TestMemory(t *testing.T) {
	key := newKey(t)
	l := newLog(t, key, 5)
	dir := t.TempDir()
	w := open(t, dir, l.Key())
	if _, err := Open(dir, name, []ledger.VerifierKey{l.Key()}, time.Now); proofhouse.KindOf(err) != proofhouse.Conflict {
		t.Errorf("a second holder: %v", err)
	}
	b, _ := request(t, l, 0)
	if rec := post(w.Handler(), b); rec.Code != 200 {
		t.Fatal(rec.Code)
	}
	first := w.Key()
	w.Close()
	w = open(t, dir, l.Key())
	if w.Key().String() != first.String() {
		t.Error("the key is another")
	}
	fork := l.Fork(4)
	grow(t, fork, 1, 1)
	b, _ = request(t, fork, 5)
	if rec := post(w.Handler(), b); rec.Code != 409 {
		t.Errorf("a fork after a restart: %d", rec.Code)
	}
	w.Close()
	state := filepath.Join(dir, stateFile)
	was, err := os.ReadFile(state)
	if err != nil {
		t.Fatal(err)
	}
	for what, plant := range map[string]func() error{
		"gone":  func() error { return os.Remove(state) },
		"empty": func() error { return os.WriteFile(state, nil, 0o600) },
		"changed": func() error {
			return os.WriteFile(state, []byte(strings.Replace(string(was), "\\n5\\n", "\\n4\\n", 1)), 0o600)
		},
	} {
		if err := plant(); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir, name, []ledger.VerifierKey{l.Key()}, time.Now); proofhouse.KindOf(err) != proofhouse.Integrity {
			t.Errorf("a memory that is %s: %v", what, err)
		}
	}
	for what, logs := range map[string][]ledger.VerifierKey{"no log": nil, "a log twice": {l.Key(), l.Key()}, "a witness": {first}} {
		if _, err := Open(t.TempDir(), name, logs, time.Now); proofhouse.KindOf(err) != proofhouse.Invalid {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := Open(t.TempDir(), "a b", []ledger.VerifierKey{l.Key()}, time.Now); proofhouse.KindOf(err) != proofhouse.Invalid {
		t.Errorf("a name with a space: %v", err)
	}
}

// TestAtOnce sends two forks at once: one of them is cosigned, and not both.
func TestAtOnce(t *testing.T) {
	key := newKey(t)
	root := newLog(t, key, 5)
	for range 20 {
		w := open(t, t.TempDir(), root.Key())
		b, _ := request(t, root, 0)
		post(w.Handler(), b)
		var wg sync.WaitGroup
		codes := make([]int, 8)
		for i := range codes {
			f := root.Fork(5)
			grow(t, f, i+1, 1+i%3)
			b, _ := request(t, f, 5)
			wg.Go(func() { codes[i] = post(w.Handler(), b).Code })
		}
		wg.Wait()
		n := 0
		for _, c := range codes {
			if c == 200 {
				n++
			}
		}
		if n != 1 {
			t.Fatalf("%d forks were cosigned: %v", n, codes)
		}
	}
}

// TestKilled kills a witness with kill -9 again and again, while a log sends it
// its tree as it grows, and forks of it. All that it ever cosigned is of the tree.
func TestKilled(t *testing.T) {
	const child = "PROOFHOUSE_WITNESS_CHILD"
	if dir := os.Getenv(child); dir != "" {
		killed(dir)
	}
	dir := t.TempDir()
	key, err := ledger.CreateKey(dir, "log")
	if err != nil {
		t.Fatal(err)
	}
	tree := newLog(t, key, 1) // the witness has it, or all but its last leaves
	var got []ledger.Checkpoint
	client := &http.Client{Timeout: 5 * time.Second}
	fresh, known := 0, 0
	for round := range 30 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilled$")
		cmd.Env = append(os.Environ(), child+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stderr = io.Discard // refusals
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		r := bufio.NewReader(out)
		url, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("round %d: the witness does not start: %v", round, err)
		}
		go func() {
			time.Sleep(time.Duration(2000+rand.IntN(150_000)) * time.Microsecond)
			_ = cmd.Process.Kill()
		}()
		for {
			// A fork leaves the tree a few leaves before what was last cosigned: the
			// witness would take it if it forgot those.
			l := tree
			if rand.IntN(2) == 0 && known > 4 {
				l = tree.Fork(known - 1 - rand.IntN(3))
			}
			fresh++
			grow(t, l, fresh, 1+rand.IntN(3))
			var size uint64 // that the witness has
			b, cp := request(t, l, 0)
			resp, err := client.Post(strings.TrimSpace(url)+"/add-checkpoint", "", strings.NewReader(b))
			if err == nil && resp.StatusCode == 409 {
				fmt.Fscan(resp.Body, &size)
				resp.Body.Close()
				b, cp = request(t, l, size)
				resp, err = client.Post(strings.TrimSpace(url)+"/add-checkpoint", "", strings.NewReader(b))
			}
			if err != nil {
				break // it is dead
			}
			line, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err == nil && resp.StatusCode == 200 {
				cp.Note = append(cp.Note, line...)
				got, known = append(got, cp), int(cp.Size)
			}
		}
		_ = cmd.Wait()
	}
	w := open(t, filepath.Join(dir, "witness"), tree.Key())
	for _, cp := range got {
		full, err := ledger.ParseCheckpoint(cp.Note, tree.Key(), w.Key())
		if err != nil || len(full.Seen) != 1 {
			t.Fatalf("what was cosigned: %v", err)
		}
		if want, err := tree.Fork(int(cp.Size)).Checkpoint(t.Context(), 0); err != nil || want.Root != cp.Root {
			t.Errorf("a fork of %d leaves was cosigned: %v", cp.Size, err)
		}
	}
	t.Logf("%d cosignatures", len(got))
}

// killed serves until it is killed.
func killed(dir string) {
	key, err := ledger.OpenKey(dir, "log")
	if err != nil {
		panic(err)
	}
	w, err := Open(filepath.Join(dir, "witness"), name, []ledger.VerifierKey{ledgertest.NewMemory(origin, key).Key()}, time.Now)
	if err != nil {
		panic(err)
	}
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Fprintf(os.Stdout, "http://%s\n", l.Addr())
	panic((&http.Server{Handler: w.Handler(), ReadHeaderTimeout: time.Second}).Serve(l))
}

func FuzzParseRequest(f *testing.F) {
	f.Add([]byte("old 5\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\nreview.example/log\n5\n"))
	f.Add([]byte("old 0\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		old, p, signed, err := parseRequest(b)
		if err == nil && body(old, p, signed) != string(b) {
			t.Errorf("%q has another spelling: %q", b, body(old, p, signed))
		}
	})
}
