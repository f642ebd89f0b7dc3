package store_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"proofhouse/internal/gate"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/store"
	"proofhouse/internal/store/storetest"
)

// TestMain is the program that TestKill kills, if it is told so.
func TestMain(m *testing.M) {
	if address := os.Getenv("STORE_TEST_WRITER"); address != "" {
		write(address)
	}
	os.Exit(m.Run())
}

// write adds revocations until it is killed, and prints the number of each once Update has returned.
func write(address string) {
	db, err := store.Open(context.Background(), address)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for {
		number, err := store.Gate{DB: db}.Revoke(context.Background(), gate.Revocation{Case: "c", Time: time.Now()})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(number)
	}
}

// TestKill kills a writer in its work: what Update returned is there.
func TestKill(t *testing.T) {
	storetest.EachAddress(t, func(t *testing.T, address string) {
		last := int64(0)
		for range 3 {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), "STORE_TEST_WRITER="+address)
			cmd.Stderr = os.Stderr
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(out)
			for n := 0; lines.Scan(); n++ {
				if last, err = strconv.ParseInt(lines.Text(), 10, 64); err != nil {
					t.Fatal(err)
				}
				if n == 50 {
					_ = cmd.Process.Kill()
				}
			}
			_ = cmd.Wait()
			if found := numbers(t, open(t, address)); int64(len(found)) < last || last < 50 {
				t.Fatalf("%d were acknowledged, and %d are there", last, len(found))
			}
		}
	})
}

// TestRace is eight programs' worth of revocations at once: each has a number
// of its own, none is lost, none is missing, and a reader who goes by the last
// number it saw misses none.
func TestRace(t *testing.T) {
	const writers, each = 8, 25
	storetest.Each(t, func(t *testing.T, db *store.DB, address string) {
		second := open(t, address)
		ctx, stop := context.WithCancel(t.Context())
		var writing, reading sync.WaitGroup
		var seen []int64
		reading.Go(func() {
			for after := int64(0); ; {
				over := ctx.Err() != nil
				found, err := store.Gate{DB: db}.Revocations(t.Context(), after)
				if err != nil {
					t.Error(err)
					return
				}
				for _, r := range found {
					after = r.Number
					seen = append(seen, after)
				}
				if over && len(found) == 0 {
					return
				}
			}
		})
		for i := range writers {
			g := store.Gate{DB: []*store.DB{db, second}[i%2]}
			writing.Go(func() {
				for range each {
					if _, err := g.Revoke(t.Context(), gate.Revocation{Case: "c", Time: time.Now()}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		writing.Wait()
		stop()
		reading.Wait()
		var want []int64
		for n := range int64(writers * each) {
			want = append(want, n+1)
		}
		if diff := cmp.Diff(want, seen); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(want, numbers(t, db)); diff != "" {
			t.Error(diff)
		}
	})
}

// TestOpenTogether brings a fresh database up to date from many programs at once.
func TestOpenTogether(t *testing.T) {
	storetest.EachAddress(t, func(t *testing.T, address string) {
		var all sync.WaitGroup
		for range 6 {
			all.Go(func() {
				db, err := store.Open(t.Context(), address)
				if err != nil {
					t.Error(err)
					return
				}
				db.Close()
			})
		}
		all.Wait()
	})
}

// TestUpdateUndone leaves nothing of a change that fails.
func TestUpdateUndone(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, _ string) {
		fault := errors.New("no")
		err := db.Update(t.Context(), func(tx store.Tx) error {
			if _, err := tx.Revoke(t.Context(), gate.Revocation{Everything: true}); err != nil {
				return err
			}
			return fault
		})
		if err == nil || len(numbers(t, db)) != 0 {
			t.Errorf("%v, and %v is there", err, numbers(t, db))
		}
		if n, err := (store.Gate{DB: db}).Revoke(t.Context(), gate.Revocation{Everything: true}); n != 1 || err != nil {
			t.Errorf("the next number is %d, %v", n, err)
		}
	})
}

// TestGateRows reads back what was written, every scope.
func TestGateRows(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, _ string) {
		g, now := store.Gate{DB: db}, time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)
		want := []gate.Revocation{
			{Grant: "g", Reason: "it's \"over\"", Actor: "a", Time: now}, {Case: "c", Time: now}, {Subject: "s", Time: now}, {Everything: true, Time: now}, {KeyHash: "0a", Time: now},
		}
		for i := range want {
			n, err := g.Revoke(t.Context(), want[i])
			if err != nil {
				t.Fatal(err)
			}
			want[i].Number = n
		}
		for _, bad := range []gate.Revocation{{}, {Grant: "g", Case: "c"}, {Case: "c", Everything: true}} {
			if _, err := g.Revoke(t.Context(), bad); proofhouse.KindOf(err) != proofhouse.Invalid {
				t.Errorf("%+v: %v", bad, err)
			}
		}
		got, err := g.Revocations(t.Context(), 0)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Error(err, diff)
		}
		if got, err = g.Revocations(t.Context(), 3); len(got) != 2 || err != nil {
			t.Errorf("%v, %v", got, err)
		}
		for _, applied := range []int64{0, 4, 4} {
			if err := g.Beat(t.Context(), "one", applied, now); err != nil {
				t.Fatal(err)
			}
		}
		if err := g.Beat(t.Context(), "two", 1, now.Add(25*time.Hour)); err != nil {
			t.Fatal(err)
		}
		all, err := g.Instances(t.Context())
		if diff := cmp.Diff([]store.Instance{{ID: "two", Applied: 1, Seen: now.Add(25 * time.Hour)}}, all); err != nil || diff != "" {
			t.Error(err, diff)
		}
	})
}

// TestAddresses are refused with a kind and a sentence, and quote nothing.
func TestAddresses(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "text"), []byte(strings.Repeat("no database. ", 500)), 0o600); err != nil {
		t.Fatal(err)
	}
	rude, err := net.Listen("tcp", "127.0.0.1:0") // some other server
	if err != nil {
		t.Fatal(err)
	}
	defer rude.Close()
	go func() {
		for c, err := rude.Accept(); err == nil; c, err = rude.Accept() {
			_, _ = c.Write([]byte("HTTP/1.1 400 canary\r\n\r\n"))
			c.Close()
		}
	}()
	for _, c := range []struct {
		address string
		kind    proofhouse.Kind
		says    string
	}{
		{"", proofhouse.Invalid, "sqlite:PATH"},
		{"mysql://canary:canary@127.0.0.1/canary", proofhouse.Invalid, "sqlite:PATH"},
		{"postgres://canary:canary@[::canary/canary", proofhouse.Invalid, "postgres://USER"},
		{"postgres://canary:canary@127.0.0.1:1/canary", proofhouse.Unavailable, "does not answer"},
		{"postgres:///canary?host=" + dir + "/canary&user=canary&password=canary", proofhouse.Unavailable, "does not answer"},
		{"postgres://canary:canary@" + rude.Addr().String() + "/canary", proofhouse.Unavailable, "does not answer"},
		{"sqlite:" + filepath.Join(dir, "canary", "db"), proofhouse.Unavailable, "folder"},
		{"sqlite:" + filepath.Join(dir, "text"), proofhouse.Integrity, "none of SQLite's"},
	} {
		_, err := store.Open(t.Context(), c.address)
		if proofhouse.KindOf(err) != c.kind || !strings.Contains(proofhouse.PublicOf(err), c.says) {
			t.Errorf("%s: %s: %v", c.address, proofhouse.KindOf(err), err)
		}
		if err != nil && (strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), dir)) {
			t.Errorf("the error quotes the address: %v", err)
		}
	}
	missing := filepath.Join(dir, "missing.db")
	if _, err := store.OpenExisting(t.Context(), "sqlite:"+missing); proofhouse.KindOf(err) != proofhouse.NotFound {
		t.Errorf("a database that is not there: %v", err)
	}
	if _, err := os.Stat(missing); err == nil {
		t.Error("it was made")
	}
	storetest.EachAddress(t, func(t *testing.T, address string) {
		if path, ok := strings.CutPrefix(address, "sqlite:"); ok {
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := store.OpenExisting(t.Context(), address); proofhouse.KindOf(err) != proofhouse.NotFound {
			t.Errorf("a database without our tables: %v", err)
		}
		open(t, address)
		db, err := store.OpenExisting(t.Context(), address)
		if err != nil {
			t.Fatal(err)
		}
		db.Close()
	})
}

// TestOddPath opens a file whose name means something in a URL, and keeps it private.
func TestOddPath(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a b?c#d%41&e=f.db")
	db := open(t, "sqlite:"+path)
	if _, err := (store.Gate{DB: db}).Revoke(t.Context(), gate.Revocation{Everything: true}); err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*"))
	if len(files) == 0 {
		t.Fatal("there is no file")
	}
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil || info.Mode().Perm() != 0o600 || !strings.HasPrefix(f, path) {
			t.Errorf("%s: %v, %v", f, info.Mode(), err)
		}
	}
}

func open(t *testing.T, address string) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func numbers(t *testing.T, db *store.DB) (all []int64) {
	t.Helper()
	for after := int64(0); ; {
		found, err := store.Gate{DB: db}.Revocations(t.Context(), after)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range found {
			after = r.Number
			all = append(all, after)
		}
		if len(found) == 0 {
			return all
		}
	}
}
