package gate_test

import (
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"proofhouse/internal/gate"
	"proofhouse/internal/gate/gatetest"
)

// TestMachineFails cuts the record where the death of the machine may cut it,
// anywhere after what was synced, again and again: what the upstream served is
// charged all the same, no limit is passed, and what is charged beyond it is
// bounded.
func TestMachineFails(t *testing.T) {
	const output, requests = 200_000, 400
	for round := range 12 {
		var past []gate.Record
		served, sessions := int64(0), 1+rand.IntN(3)
		log := &memory{}
		h := open(t, answerChat, func(c *gate.Config, g *gate.Grant) {
			c.Boot, c.Log, g.Limits = "boot-0", log, gate.Limits{Requests: requests, Output: output, OutputCap: 1000}
		})
		for session := range sessions {
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					for range rand.IntN(10) {
						h.post(t, completions, h.key, hello)
					}
				})
			}
			wg.Wait()
			before := h.settled(t)
			served = before.Spent.Requests // of answers that were whole; all are, here
			log.mu.Lock()
			log.lines = log.lines[:log.safe+rand.IntN(len(log.lines)-log.safe+1)]
			past = parse(t, log.lines)
			log.mu.Unlock()

			h.cfg.Boot = "boot-" + string(rune('1'+session))
			g, err := gate.Open(h.cfg, gate.Fold(past))
			if err != nil {
				t.Fatal(err)
			}
			after := g.Accounts()["g1"].Spent
			if after.Requests < served || after.Output < before.Spent.Output {
				t.Fatalf("round %d: %d requests and %d tokens were used, and after the failure %+v are charged", round, served, before.Spent.Output, after)
			}
			if after.Requests > requests || after.Output > output || after.Requests > served+requests/20+8 {
				t.Fatalf("round %d: %d requests were used, and after the failure %+v are charged", round, served, after)
			}
			h.Gate, h.srv.Config.Handler = g, g
			if again, err := gate.Open(h.cfg, gate.Fold(log.records(t))); err != nil || again.Accounts()["g1"].Spent != after {
				t.Fatalf("round %d: opened again: %+v, %v", round, again.Accounts()["g1"], err)
			}
		}
	}
}

// TestNothingLost: a gate that was killed, on a machine that lives, and one
// that was closed in order are charged what they used and no more.
func TestNothingLost(t *testing.T) {
	h := open(t, answerChat, func(c *gate.Config, _ *gate.Grant) { c.Boot = "boot-0" })
	for range 5 {
		read(t, h.post(t, completions, h.key, hello))
	}
	used := h.settled(t).Spent
	killed, err := gate.Open(h.cfg, gate.Fold(h.log.records(t)))
	if err != nil || killed.Accounts()["g1"].Spent != used {
		t.Errorf("killed: %+v, %v", killed.Accounts()["g1"], err)
	}
	if err := h.Close(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	h.cfg.Boot = "boot-1"
	closed, err := gate.Open(h.cfg, gate.Fold(h.log.records(t)))
	if err != nil || closed.Accounts()["g1"].Spent != used {
		t.Errorf("closed in order: %+v, %v", closed.Accounts()["g1"], err)
	}
	h.cfg.Boot = ""
	read(t, h.post(t, completions, h.key, hello)) // after the close, and so covered anew
	h.settled(t)
	unknown, err := gate.Open(h.cfg, gate.Fold(h.log.records(t)))
	if err != nil || unknown.Accounts()["g1"].Spent.Requests <= used.Requests+1 {
		t.Errorf("a machine that does not say: %+v, %v", unknown.Accounts()["g1"], err)
	}
}

// TestCoveredBeforeSent: no request reaches the upstream that the synced part
// of the record does not cover.
func TestCoveredBeforeSent(t *testing.T) {
	var h *house
	ready := make(chan struct{})
	h = open(t, func(r gatetest.Request) gatetest.Answer {
		<-ready
		h.log.mu.Lock()
		safe := parse(t, h.log.lines[:h.log.safe])
		h.log.mu.Unlock()
		if last, used := gate.Fold(safe).Covered["g1"], h.Accounts()["g1"]; last.Hold == nil || last.Hold.Output < used.Spent.Output+used.Held.Output {
			t.Errorf("%+v is used and %+v covered", used, last.Hold)
		}
		return answerChat(r)
	}, nil)
	close(ready)
	for range 30 {
		if body := read(t, h.post(t, completions, h.key, hello)); !strings.Contains(body, codename) {
			t.Fatal(body)
		}
	}
	// Neither time did the machine say which start it was: that is not the same start.
	h.settled(t)
	again, err := gate.Open(h.cfg, gate.Fold(h.log.records(t)))
	if err != nil || again.Accounts()["g1"].Spent.Requests <= 30 {
		t.Errorf("opened again: %+v, %v", again.Accounts()["g1"], err)
	}
}
