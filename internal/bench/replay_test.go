package bench

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"proofhouse/internal/chat"
	"proofhouse/internal/proofhouse"
)

// TestKilledBeforeItWasCounted: an answer whose figures a kill kept out of the journal
// is counted when the sample is taken up again, once.
func TestKilledBeforeItWasCounted(t *testing.T) {
	request := proofhouse.DigestOf([]byte("a request"))
	attempt := 0
	s := fixtureSetup(t, 1, scripted{"passes", func(_ context.Context, s *Session) error {
		attempt++
		if attempt == 1 {
			if err := s.step(Step{Passed: &Passed{Request: request, Type: "text/plain", Body: []byte("an answer"), Usage: chat.Usage{Input: 7, Output: 2}, NanoDollars: 9}}); err != nil {
				return err
			}
			return errors.New("killed")
		}
		p, err := s.given(request)
		if err != nil || p == nil || string(p.Body) != "an answer" {
			t.Errorf("attempt %d: %v, %v", attempt, p, err)
		}
		if again, err := s.given(request); again != nil || err != nil {
			t.Errorf("it was given twice: %v, %v", again, err)
		}
		if attempt == 2 {
			return errors.New("killed")
		}
		return nil
	}})
	s.Config.Parallel, s.Model = 1, unasked{}
	s.Config.Model = &ModelConfig{Name: "violet"}
	var r Result
	for n := range 3 {
		s.Resume = n > 0
		r = run(t, s)
	}
	if got := r.Samples[0].Model; got == nil || got.Turns != 1 || got.Usage.Input != 7 || got.NanoDollars != 9 || r.Samples[0].Status != Scored {
		t.Errorf("%+v, %s", got, r.Samples[0].Status)
	}
}

// TestRequestDigest names what is asked, leaves the body as it was, and gives up on a large one.
func TestRequestDigest(t *testing.T) {
	digest := func(path, body string) proofhouse.Digest {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(body))
		d, err := requestDigest(r)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := io.ReadAll(r.Body); err != nil || string(again) != body {
			t.Errorf("%d bytes are left of %d: %v", len(again), len(body), err)
		}
		return d
	}
	if same := digest("/a", "x"); same != digest("/a", "x") || same == digest("/a?b", "x") || same == digest("/a", "y") {
		t.Error("requests are told apart wrongly")
	}
	if d := digest("/a", strings.Repeat("x", maxReplayed+1)); d != "" {
		t.Error("a request that is too large has a digest")
	}
}
