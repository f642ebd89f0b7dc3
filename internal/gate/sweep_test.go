package gate_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"proofhouse/internal/gate"
	"proofhouse/internal/gate/gatetest"
)

// stuck is a transport that heeds no context.
type stuck struct{ reached, release chan struct{} }

func (s stuck) RoundTrip(*http.Request) (*http.Response, error) {
	close(s.reached)
	<-s.release
	return nil, http.ErrHandlerTimeout
}

// TestSweep has calls that never end: long after their grant did, or was
// revoked, their holds are charged whole and explained, once.
func TestSweep(t *testing.T) {
	for _, how := range []string{"the grant ends", "it is revoked"} {
		t.Run(strings.ReplaceAll(how, " ", "-"), func(t *testing.T) {
			s := stuck{make(chan struct{}), make(chan struct{})}
			h := open(t, answerChat, func(c *gate.Config, _ *gate.Grant) { c.Transport = s })
			done := make(chan struct{})
			go func() {
				defer close(done)
				req, _ := http.NewRequest(http.MethodPost, h.srv.URL+completions, strings.NewReader(hello))
				req.Header.Set("Authorization", "Bearer "+h.key)
				if resp, err := h.srv.Client().Do(req); err == nil {
					resp.Body.Close()
				}
			}()
			<-s.reached // so that the record has the call's beginning
			end := h.hold.Until
			if how == "it is revoked" {
				end = time.Now()
				if _, _, err := h.Revoke(t.Context(), func(gate.Grant) bool { return true }, "", end); err != nil {
					t.Fatal(err)
				}
			}
			if n, err := h.Sweep(t.Context(), end.Add(4*time.Minute)); n != 0 || err != nil {
				t.Errorf("%d were swept while they may still end, %v", n, err)
			}
			for i := range 2 {
				if n, err := h.Sweep(t.Context(), end.Add(6*time.Minute)); n != 1-i || err != nil {
					t.Errorf("%d were swept, %v", n, err)
				}
			}
			want := gate.Amount{Requests: 1, Output: 1000}
			check := func(when string) {
				t.Helper()
				a := h.Accounts()["g1"]
				if want.Input = a.Spent.Input; a.Spent != want || a.Held != (gate.Amount{}) || a.Open != 0 || want.Input == 0 {
					t.Errorf("%s: %+v", when, a)
				}
				ends := 0
				for _, r := range h.log.records(t) {
					if r.Kind == gate.Ended {
						if ends++; r.End.Outcome != gate.SweptUp || r.End.Charge != want || !strings.Contains(r.Note, "charged whole") {
							t.Errorf("%s: %+v, %s", when, r.End, r.Note)
						}
					}
				}
				if ends != 1 {
					t.Errorf("%s: %d ends", when, ends)
				}
				if s := h.Swept()["g1"]; len(s) != 1 || s[0].Hold != want || s[0].Why == "" || s[0].Call == "" {
					t.Errorf("%s: swept is %+v", when, s)
				}
				if s := gate.Fold(h.log.records(t)); s.Accounts["g1"].Spent != want || len(s.Open()) != 0 || len(s.Swept["g1"]) != 1 {
					t.Errorf("%s: the record adds up to %+v", when, s)
				}
			}
			check("swept")
			close(s.release)
			<-done
			time.Sleep(20 * time.Millisecond) // for the handler to come to its end
			check("and the call ended after all")
		})
	}
}

// slow is a log that takes an end only when it is told to.
type slow struct {
	*memory
	ends chan struct{}
}

func (s slow) Append(b []byte) (uint64, error) {
	if strings.Contains(string(b), `"kind":"ended"`) {
		s.ends <- struct{}{}
		<-s.ends
	}
	return s.memory.Append(b)
}

// TestSweepLeavesTheEnding: a call that is writing its end down is not swept.
func TestSweepLeavesTheEnding(t *testing.T) {
	s := slow{ends: make(chan struct{})}
	h := open(t, answerChat, func(c *gate.Config, _ *gate.Grant) {
		s.memory = c.Log.(*memory)
		c.Log = s
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		req, _ := http.NewRequest(http.MethodPost, h.srv.URL+completions, strings.NewReader(hello))
		req.Header.Set("Authorization", "Bearer "+h.key)
		if resp, err := h.srv.Client().Do(req); err == nil {
			resp.Body.Close()
		}
	}()
	<-s.ends
	if n, err := h.Sweep(t.Context(), h.hold.Until.Add(time.Hour)); n != 0 || err != nil {
		t.Errorf("%d were swept, %v", n, err)
	}
	s.ends <- struct{}{}
	<-done
	if a := h.settled(t); a.Spent.Output != 7 || a.Held != (gate.Amount{}) {
		t.Errorf("%+v", a)
	}
}

// TestSweepAfterKill: the calls of a killed gate get an end when the next one
// opens, once, and are charged once.
func TestSweepAfterKill(t *testing.T) {
	h := open(t, func(gatetest.Request) gatetest.Answer {
		return gatetest.Answer{Header: gatetest.EventStream, Stall: true}
	}, func(c *gate.Config, _ *gate.Grant) { c.Boot = "the same" })
	h.post(t, completions, h.key, streamed)
	for h.Accounts()["g1"].Open == 0 {
		time.Sleep(time.Millisecond)
	}
	before := h.log.records(t)
	log := &memory{}
	h.log.mu.Lock()
	for _, b := range h.log.lines {
		_, _ = log.Append(b)
	}
	h.log.mu.Unlock()
	h.cfg.Log = log
	var spent gate.Amount
	for range 3 {
		again, err := gate.Open(h.cfg, gate.Fold(log.records(t)))
		if err != nil {
			t.Fatal(err)
		}
		a := again.Accounts()["g1"]
		if spent == (gate.Amount{}) {
			spent = a.Spent
		}
		if s := again.Swept()["g1"]; a.Spent != spent || a.Spent.Output != 1000 || a.Open != 0 || len(s) != 1 || !strings.Contains(s[0].Why, "the gate ended before") {
			t.Errorf("%+v, swept %+v", a, s)
		}
	}
	after := log.records(t)[len(before):]
	ends := 0
	for _, r := range after {
		if r.Kind == gate.Ended {
			ends++
		}
	}
	if ends != 1 {
		t.Errorf("%d ends of one call", ends)
	}
}
