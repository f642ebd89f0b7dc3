package gate_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"proofhouse/internal/gate"
	"proofhouse/internal/gate/openai"
	"proofhouse/internal/proofhouse"
)

// shared is a source in memory, with the faults of a database.
type shared struct {
	mu      sync.Mutex
	all     []gate.Revocation
	down    bool
	stuck   bool // no answer at all, until the question is given up
	applied int64
}

func (s *shared) set(down, stuck bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down, s.stuck = down, stuck
}

func (s *shared) revoke(r gate.Revocation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.Number = int64(len(s.all) + 1)
	s.all = append(s.all, r)
}

func (s *shared) answers(ctx context.Context) error {
	s.mu.Lock()
	down, stuck := s.down, s.stuck
	s.mu.Unlock()
	if stuck {
		<-ctx.Done()
	}
	if down || stuck {
		return errors.New("the database is gone")
	}
	return nil
}

func (s *shared) Revocations(ctx context.Context, after int64) ([]gate.Revocation, error) {
	if err := s.answers(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]gate.Revocation(nil), s.all[min(int(after), len(s.all)):]...), nil
}

func (s *shared) Beat(ctx context.Context, _ string, applied int64, _ time.Time) error {
	if err := s.answers(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.applied = applied
	return nil
}

// endless is an upstream whose streams never end by themselves.
type endless struct{}

func (endless) RoundTrip(r *http.Request) (*http.Response, error) {
	body, w := io.Pipe()
	go func() {
		_, _ = io.WriteString(w, "data: {\"choices\":[]}\n\n")
		<-r.Context().Done()
		w.CloseWithError(r.Context().Err())
	}()
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"text/event-stream"}}, Body: body, ContentLength: -1}, nil
}

// follower is a gate on a source, in a bubble of time of its own.
type follower struct {
	*gate.Gate
	t   *testing.T
	cfg gate.Config
	log *memory
}

func follow(t *testing.T, src *shared, past []gate.Record) *follower {
	t.Helper()
	f := &follower{t: t, log: &memory{}}
	f.cfg = gate.Config{
		Protocols: []gate.Protocol{openai.Chat{}}, Upstreams: []gate.Upstream{{Name: "up", Base: &url.URL{Scheme: "http", Host: host}}},
		Log: f.log, Transport: endless{}, Follow: gate.Follow{Source: src, Instance: "one"},
	}
	var err error
	if f.Gate, err = gate.Open(f.cfg, gate.Fold(past)); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *follower) grant(id, caseID string) (key string) {
	f.t.Helper()
	key = gate.NewKey()
	sum, _ := gate.HashKey(key)
	if err := f.Grant(f.t.Context(), gate.Grant{
		ID: id, Case: caseID, Subject: "s-" + id, Upstream: "up", Model: realName, Codename: codename, KeyHash: sum, Protocols: []string{"openai-chat"},
		From: time.Now(), Until: time.Now().Add(time.Hour), Limits: gate.Limits{Requests: 1000, OutputCap: 10},
	}, time.Now()); err != nil {
		f.t.Fatal(err)
	}
	return key
}

// stream begins a call; done closes when it has ended.
func (f *follower) stream(key string) (w *httptest.ResponseRecorder, done chan struct{}) {
	w, done = httptest.NewRecorder(), make(chan struct{})
	r := httptest.NewRequestWithContext(f.t.Context(), http.MethodPost, "/v1/chat/completions", strings.NewReader(`{"model":"violet","stream":true,"messages":[]}`))
	r.Header.Set("Authorization", "Bearer "+key)
	go func() {
		defer close(done)
		f.ServeHTTP(w, r)
	}()
	synctest.Wait()
	return w, done
}

func over(done chan struct{}) bool {
	synctest.Wait()
	select {
	case <-done:
		return true
	default:
		return false
	}
}

// refused holds a new call to a status and a word of its answer; "" is a call that is passed.
func (f *follower) refused(key, word string, status int) {
	f.t.Helper()
	w, done := f.stream(key)
	if word == "" {
		if over(done) {
			f.t.Errorf("a call was refused: %d %s", w.Code, w.Body)
		}
		return
	}
	if !over(done) || w.Code != status || !strings.Contains(w.Body.String(), word) {
		f.t.Errorf("%d, want %d and %q", w.Code, status, word)
	}
}

// TestFollow plays a source that comes and goes: the gate admits only what it
// can confirm, cuts what it can no longer, and ends what was revoked for good.
func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &shared{}
		f := follow(t, src, nil)
		old := f.grant("old", "case-1")
		f.refused(old, "access_unconfirmed", http.StatusServiceUnavailable) // nobody has asked yet
		var running sync.WaitGroup
		defer running.Wait()
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		running.Go(func() { f.Follow(ctx) })
		synctest.Wait()
		held, ended := f.stream(old)
		if over(ended) {
			t.Fatalf("a call was refused: %d %s", held.Code, held.Body)
		}
		for _, stuck := range []bool{false, true} {
			src.set(true, stuck)
			time.Sleep(500 * time.Millisecond)
			f.refused(old, "", 0)
			time.Sleep(300 * time.Millisecond)
			f.refused(old, "access_unconfirmed", http.StatusServiceUnavailable)
			if over(ended) {
				t.Fatal("an open call was cut before its grace was over")
			}
			src.set(false, false)
			time.Sleep(time.Second)
			f.refused(old, "", 0)
		}
		src.set(true, false)
		time.Sleep(5500 * time.Millisecond) // the last question was asked up to 200 ms before
		if over(ended) {
			t.Fatal("an open call was cut before its grace was over")
		}
		time.Sleep(300 * time.Millisecond)
		if !over(ended) || !strings.Contains(held.Body.String(), "access_unconfirmed") {
			t.Fatalf("an open call goes on unconfirmed: %s", held.Body)
		}
		src.set(false, false)
		time.Sleep(time.Second)

		other := f.grant("other", "case-2")
		held, ended = f.stream(old)
		kept, goesOn := f.stream(other)
		src.revoke(gate.Revocation{Case: "case-1", Reason: "over"})
		time.Sleep(300 * time.Millisecond)
		if !over(ended) || !strings.Contains(held.Body.String(), "access_revoked") {
			t.Errorf("a revoked call goes on: %s", held.Body)
		}
		f.refused(old, "invalid_api_key", http.StatusUnauthorized)
		if over(goesOn) {
			t.Errorf("another case's call was cut: %s", kept.Body)
		}
		if src.applied != 1 {
			t.Errorf("the others hear of %d", src.applied)
		}
		src.revoke(gate.Revocation{Subject: "s-other"})
		time.Sleep(300 * time.Millisecond)
		f.refused(other, "invalid_api_key", http.StatusUnauthorized)

		// Whoever is granted access afterwards, knowing of it, has it; a grant that is named has not.
		src.revoke(gate.Revocation{Everything: true})
		time.Sleep(300 * time.Millisecond)
		fresh := f.grant("fresh", "case-1")
		f.refused(fresh, "", 0)
		src.revoke(gate.Revocation{Grant: "fresh"})
		time.Sleep(300 * time.Millisecond)
		f.refused(fresh, "invalid_api_key", http.StatusUnauthorized)
		for _, r := range f.log.records(t) {
			if r.Kind == gate.RevokedGrant && r.Grant == "old" && !strings.Contains(r.Note, "revocation 1") {
				t.Errorf("the record says %q", r.Note)
			}
		}

		// A database that was put back no longer knows all: nothing is admitted by it.
		last := f.grant("last", "case-3")
		f.refused(last, "", 0)
		src.mu.Lock()
		src.all = src.all[:2]
		src.mu.Unlock()
		time.Sleep(time.Second)
		f.refused(last, "access_unconfirmed", http.StatusServiceUnavailable)
	})
}

// TestFollowAgain opens a gate again: what was revoked while it was away ends
// its grants, is written down once, and a database that knows less is refused.
func TestFollowAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &shared{}
		src.revoke(gate.Revocation{Everything: true})
		f := follow(t, src, nil)
		if err := f.CatchUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		key, second := f.grant("one", "case-1"), f.grant("two", "case-2")
		f.refused(key, "", 0)
		src.revoke(gate.Revocation{Case: "case-1"})
		for range 2 {
			past, lines := f.log.records(t), f.log.lines
			f = follow(t, src, past)
			if err := f.CatchUp(t.Context()); err != nil {
				t.Fatal(err)
			}
			f.refused(key, "invalid_api_key", http.StatusUnauthorized)
			f.refused(second, "", 0)
			revoked := 0
			for _, r := range append(past, f.log.records(t)...) {
				if r.Kind == gate.RevokedGrant {
					revoked++
				}
			}
			if revoked != 1 {
				t.Errorf("the record has %d revocations", revoked)
			}
			f.log.mu.Lock()
			f.log.lines = append(lines, f.log.lines...)
			f.log.mu.Unlock()
		}
		past := f.log.records(t)
		src.all = nil
		f = follow(t, src, past)
		if err := f.CatchUp(t.Context()); proofhouse.KindOf(err) != proofhouse.Conflict {
			t.Errorf("a database that was put back: %v", err)
		}
		f.refused(second, "access_unconfirmed", http.StatusServiceUnavailable)
		src.set(true, false)
		if err := f.CatchUp(t.Context()); err == nil {
			t.Error("a database that is gone was asked with success")
		}
	})
}
