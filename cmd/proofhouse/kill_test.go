package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/app"
	"proofhouse/internal/docket"
	"proofhouse/internal/ledger"
	"proofhouse/internal/ledger/posix"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/store/storetest"
)

// clients add events to one case through whichever house is up, each under an
// idempotency key of its own, and send again under it what got no answer:
// after a kill, or since they did not wait for it.
type clients struct {
	w    *town
	id   proofhouse.CaseID
	stop chan struct{}
	done sync.WaitGroup

	mu       sync.Mutex // guards what follows
	at       *program
	answered map[string]int // by note: the event that the house said it was
	again    int            // requests that were sent more than once
}

func (c *clients) house(p *program) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = p
}

func (c *clients) run(t *testing.T, who string) {
	for n := 0; ; n++ {
		note := fmt.Sprintf("%s-%d", who, n)
		for try := 0; ; try++ {
			select {
			case <-c.stop:
				return
			default:
			}
			c.mu.Lock()
			p := c.at
			c.mu.Unlock()
			ctx, cancel := context.WithCancel(t.Context())
			if try == 0 && n%3 == 0 { // hangs up, at a moment at which the event may be there
				time.AfterFunc(time.Duration(rand.IntN(20_000))*time.Microsecond, cancel)
			}
			done, err := c.w.as(p, who).Do(ctx, c.id, docket.Announce{Date: time.Unix(2_000_000_000, 0), Note: note}, wire.Options{Key: note})
			cancel()
			if err == nil {
				c.mu.Lock()
				c.answered[note] = done.Seq
				if try > 0 {
					c.again++
				}
				c.mu.Unlock()
				break
			}
			if proofhouse.KindOf(err) != proofhouse.Unavailable {
				t.Errorf("%s: %v", note, err)
				return
			}
			time.Sleep(5 * time.Millisecond) // until the house is back
		}
	}
}

// TestServeKilled kills the program that serves with kill -9 at random moments,
// while clients add events. No event that was answered is lost and none is there
// twice, each has one place in the log, and the log was never forked. A backup
// taken in the middle of it is whole.
func TestServeKilled(t *testing.T) {
	rounds := 6
	if testing.Short() {
		rounds = 2
	}
	storetest.EachAddress(t, func(t *testing.T, database string) {
		data := t.TempDir()
		up := func() *program {
			return start(t, "serve", "--data", data, "--database", database, "--addr", "127.0.0.1:0", "--log-name", "review.example/log")
		}
		p := up()
		w := settle(t, data, database, p)
		c := &clients{w: w, id: w.open(t, p), stop: make(chan struct{}), at: p, answered: map[string]int{}}
		w.do(t, p, "ada", c.id, docket.Join{Member: proofhouse.Actor{Organisation: "lab", Person: "bob", Role: proofhouse.Developer}})
		for _, who := range []string{"ada", "bob"} {
			c.done.Go(func() { c.run(t, who) })
		}
		var seen [][]byte
		folder := filepath.Join(t.TempDir(), "backup")
		for round := range rounds {
			time.Sleep(time.Duration(50+rand.IntN(250)) * time.Millisecond)
			if round == rounds/2 {
				command(t, "backup", folder, "--data", data, "--database", database)
			}
			seen = append(seen, checkpoint(t, p))
			time.Sleep(time.Duration(rand.IntN(20_000)) * time.Microsecond)
			p.end(syscall.SIGKILL)
			p = up()
			c.house(p)
			seen = append(seen, checkpoint(t, p))
		}
		time.Sleep(100 * time.Millisecond)
		close(c.stop)
		c.done.Wait()
		if t.Failed() {
			return
		}
		last := c.check(t, p)
		if _, err := w.as(p, "ada").Receipt(t.Context(), c.id, last); err != nil { // by then the log has all
			t.Fatal(err)
		}
		p.end(syscall.SIGINT)
		consistent(t, data, seen)

		whole := filepath.Join(t.TempDir(), "backup")
		command(t, "backup", whole, "--data", data, "--database", database)
		all := restored(t, whole, data)
		if all.Events != last || all.Leaves != uint64(all.Events+all.House) || all.Waiting != 0 {
			t.Errorf("in the end there are %d events and %d entries of people in a log of %d; %d wait; the case has %d", all.Events, all.House, all.Leaves, all.Waiting, last)
		}
		middle := restored(t, folder, data)
		t.Logf("%d events answered, %d of them sent again, %d leaves; the backup in between had %d", len(c.answered), c.again, all.Leaves, middle.Leaves)
	})
}

// check reads the case's events, and gives the number of the last.
func (c *clients) check(t *testing.T, p *program) int {
	t.Helper()
	notes := map[string][]int{}
	last := 0
	for {
		page, err := c.w.as(p, "ada").Events(t.Context(), c.id, last)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, e := range page {
			last++
			if e.Seq != last {
				t.Fatalf("event %d is in place %d", e.Seq, last)
			}
			var a docket.Announce
			if json.Unmarshal(e.Says, &a) == nil && a.Note != "" {
				notes[a.Note] = append(notes[a.Note], e.Seq)
			}
		}
	}
	for note, seq := range c.answered {
		if got := notes[note]; len(got) != 1 || got[0] != seq {
			t.Errorf("%s was answered as event %d and is there as %v", note, seq, got)
		}
	}
	for note, got := range notes {
		if len(got) != 1 {
			t.Errorf("%s is there as %v", note, got)
		}
	}
	if len(c.answered) < 10 {
		t.Errorf("only %d events were answered", len(c.answered))
	}
	return last
}

// checkpoint is the last one that the house publishes.
func checkpoint(t *testing.T, p *program) []byte {
	t.Helper()
	resp, err := http.Get(p.URL + "/log/checkpoint")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("the checkpoint: %d %v", resp.StatusCode, err)
	}
	return b
}

// consistent holds every checkpoint that was seen to the log as it is now.
func consistent(t *testing.T, data string, seen [][]byte) {
	t.Helper()
	key, err := ledger.OpenKey(filepath.Join(data, "keys"), "log")
	if err != nil {
		t.Fatal(err)
	}
	l, err := posix.Open(t.Context(), filepath.Join(data, "log"), posix.Options{Origin: "review.example/log", Key: key})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	now, err := l.Checkpoint(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	size := uint64(0)
	for i, raw := range seen {
		cp, err := ledger.ParseCheckpoint(raw, l.Key())
		if err != nil {
			t.Fatal(err)
		}
		proof, err := l.Extend(t.Context(), cp.Size, now)
		if err == nil {
			err = now.Extends(cp, proof)
		}
		if err != nil || cp.Size < size {
			t.Errorf("checkpoint %d of %d leaves, after one of %d: %v", i, cp.Size, size, err)
		}
		size = cp.Size
	}
}

// restored puts a backup back beside the house, with its keys, and gives what was checked.
func restored(t *testing.T, folder, keys string) (r app.Restored) {
	t.Helper()
	data := t.TempDir()
	if out, err := exec.Command("cp", "-a", filepath.Join(keys, "keys"), data).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var said strings.Builder
	cmd := exec.Command("proofhouse", "restore", folder, "--data", data, "--json")
	cmd.Env, cmd.Stderr = append(os.Environ(), "PROOFHOUSE_HOUSE_KEY="), &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("restoring: %v: %s %s", err, out, said.String())
	}
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatal(err)
	}
	return r
}
