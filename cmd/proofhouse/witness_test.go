package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"proofhouse/internal/ledger"
	"proofhouse/internal/ledger/ledgertest"
	"proofhouse/internal/ledger/posix"
)

// TestWitnessProcess has a log's checkpoints cosigned by the command in a
// process of its own, which is killed and started again, and refuses a fork.
func TestWitnessProcess(t *testing.T) {
	const origin = "review.example/log"
	dir := t.TempDir()
	key, err := ledger.CreateKey(dir, "log")
	if err != nil {
		t.Fatal(err)
	}
	logKey, err := key.PublicKey().VerifierKey(origin)
	if err != nil {
		t.Fatal(err)
	}
	vkeys := filepath.Join(dir, "log.vkey")
	if err := os.WriteFile(vkeys, []byte(logKey.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	addr := "127.0.0.1:0"
	start := func() (url string, witness ledger.VerifierKey, kill func()) {
		cmd := exec.Command("proofhouse", "witness", "serve", "--json", "--dir", filepath.Join(dir, "witness"), "--log", vkeys, "--addr", addr)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		kill = func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
		t.Cleanup(kill)
		var ready struct{ URL, Key string }
		if err := json.NewDecoder(out).Decode(&ready); err != nil {
			t.Fatal(err)
		}
		witness, err = ledger.ParseVerifierKey(ready.Key)
		if err != nil {
			t.Fatal(err)
		}
		return ready.URL, witness, kill
	}
	url, witness, kill := start()
	addr = url[len("http://"):]
	open := func(folder string) *posix.Log {
		l, err := posix.Open(t.Context(), filepath.Join(dir, folder), posix.Options{
			Origin: origin, Key: key, Witnesses: []posix.Witness{{Key: witness, URL: url}}, Again: 100 * time.Millisecond,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return l
	}
	// grow appends a leaf and waits until so many have cosigned.
	grow := func(l *posix.Log, leaf, want int) {
		t.Helper()
		index, err := l.Append(t.Context(), [][32]byte{ledgertest.Leaf(leaf)})
		if err != nil {
			t.Fatal(err)
		}
		for t.Context().Err() == nil {
			cp, err := l.Checkpoint(t.Context(), index[0]+1)
			if err != nil {
				t.Fatal(err)
			}
			if len(cp.Seen) == want {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	l := open("log")
	grow(l, 1, 1)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(dir, "fork"), os.DirFS(filepath.Join(dir, "log"))); err != nil {
		t.Fatal(err)
	}
	l = open("log")
	grow(l, 2, 1)
	kill()
	grow(l, 3, 0)
	_, again, _ := start()
	if again.String() != witness.String() {
		t.Error("the witness has another key")
	}
	grow(l, 4, 1)
	fork := open("fork")
	grow(fork, 9, 0)
	time.Sleep(500 * time.Millisecond) // it is asked again and again
	if cp, err := fork.Checkpoint(t.Context(), 2); err != nil || len(cp.Seen) != 0 {
		t.Errorf("the fork: %+v, %v", cp.Seen, err)
	}
}

// TestServeWitnessed: the house's log is cosigned by the witnesses that `serve`
// was told of, each a process of its own.
func TestServeWitnessed(t *testing.T) {
	const origin = "review.example/log"
	data := t.TempDir()
	key, err := ledger.CreateKey(filepath.Join(data, "keys"), "log")
	if err != nil {
		t.Fatal(err)
	}
	logKey, err := key.PublicKey().VerifierKey(origin)
	if err != nil {
		t.Fatal(err)
	}
	logs, witnesses := filepath.Join(t.TempDir(), "logs"), filepath.Join(t.TempDir(), "witnesses")
	if err := os.WriteFile(logs, []byte(logKey.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(into any, args ...string) {
		t.Helper()
		cmd := exec.Command("proofhouse", args...)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = cmd.Process.Signal(syscall.SIGINT)
			_ = cmd.Wait()
		})
		if err := json.NewDecoder(out).Decode(into); err != nil {
			t.Fatal(err)
		}
	}
	var witness struct{ URL, Key string }
	run(&witness, "witness", "serve", "--json", "--dir", filepath.Join(t.TempDir(), "w"), "--log", logs)
	if err := os.WriteFile(witnesses, []byte(witness.Key+" "+witness.URL+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var house struct{ URL string }
	run(&house, "serve", "--json", "--data", data, "--addr", "127.0.0.1:0", "--log-name", origin, "--witnesses", witnesses)
	witnessKey, err := ledger.ParseVerifierKey(witness.Key)
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{Timeout: 10 * time.Second}
	for t.Context().Err() == nil {
		resp, err := client.Get(house.URL + "/log/checkpoint")
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		cp, err := ledger.ParseCheckpoint(raw, logKey, witnessKey)
		if err != nil {
			t.Fatal(err)
		}
		if len(cp.Seen) == 1 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}
