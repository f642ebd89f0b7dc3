package posix

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"proofhouse/internal/ledger"
	"proofhouse/internal/ledger/witness"
	"proofhouse/internal/proofhouse"
)

// TestWitnessed: checkpoints carry the witness's word; one without it is
// published while the witness is away, and has it when the witness is back.
// A log that was forked does not get it.
func TestWitnessed(t *testing.T) {
	dir, key := t.TempDir(), newKey(t)
	logKey, err := key.PublicKey().VerifierKey(origin)
	if err != nil {
		t.Fatal(err)
	}
	w, err := witness.Open(t.TempDir(), "witness.example/w1", []ledger.VerifierKey{logKey}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	var away atomic.Bool
	var refused atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if away.Load() {
			http.Error(rw, "away", http.StatusServiceUnavailable)
			return
		}
		rec := httptest.NewRecorder()
		w.Handler().ServeHTTP(rec, r)
		if rec.Code == http.StatusUnprocessableEntity || rec.Code == http.StatusConflict && rec.Header().Get("Content-Type") != "text/x.tlog.size" {
			refused.Add(1)
		}
		for k, v := range rec.Header() {
			rw.Header()[k] = v
		}
		rw.WriteHeader(rec.Code)
		_, _ = rw.Write(rec.Body.Bytes())
	}))
	defer server.Close()
	opts := Options{Origin: origin, Key: key, Witnesses: []Witness{{w.Key(), server.URL}}, Again: interval}
	open := func(dir string) *Log {
		l, err := Open(t.Context(), dir, opts)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return l
	}
	seen := func(l *Log, size uint64, want int) {
		t.Helper()
		for t.Context().Err() == nil {
			cp, err := l.Checkpoint(t.Context(), size)
			if err != nil {
				t.Fatal(err)
			}
			if len(cp.Seen) == want && cp.Size == size {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	l := open(dir)
	fill(t, l, 0, 3)
	seen(l, 3, 1)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	copied := t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	l = open(dir)
	away.Store(true)
	fill(t, l, 3, 7)
	seen(l, 7, 0)
	away.Store(false)
	seen(l, 7, 1) // though nothing was appended
	fill(t, l, 7, 300)
	seen(l, 300, 1)

	fork := open(copied)
	fill(t, fork, 500, 504)
	seen(fork, 7, 0)
	before := refused.Load()
	fill(t, fork, 504, 800)
	seen(fork, 303, 0)
	for refused.Load() == before && t.Context().Err() == nil {
		time.Sleep(10 * time.Millisecond)
	}
	seen(fork, 303, 0)
}

func TestWitnessRefused(t *testing.T) {
	key := newKey(t)
	k, err := key.PublicKey().WitnessKey("witness.example/w1")
	if err != nil {
		t.Fatal(err)
	}
	logKey, err := key.PublicKey().VerifierKey(origin)
	if err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]Options{
		"no address":   {Witnesses: []Witness{{k, ""}}},
		"another kind": {Witnesses: []Witness{{k, "ftp://127.0.0.1/"}}},
		"a password":   {Witnesses: []Witness{{k, "http://a:b@127.0.0.1/"}}},
		"a log's key":  {Witnesses: []Witness{{logKey, "http://127.0.0.1:1"}}},
		"too often":    {Again: time.Millisecond},
	} {
		o.Origin, o.Key = origin, key
		dir := filepath.Join(t.TempDir(), "log")
		if _, err := Open(t.Context(), dir, o); proofhouse.KindOf(err) != proofhouse.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}
