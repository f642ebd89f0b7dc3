package gate_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"proofhouse/internal/gate"
	"proofhouse/internal/gate/gatetest"
	"proofhouse/internal/proofhouse"
)

// TestExposed records a task once for an upstream, whatever opens in between.
func TestExposed(t *testing.T) {
	h := open(t, answerChat, nil)
	task := gate.Exposure{Task: proofhouse.DigestOf([]byte("task 1")), Run: "run-1"}
	other := gate.Exposure{Task: proofhouse.DigestOf([]byte("task 2"))}
	for _, tasks := range [][]gate.Exposure{{task}, {task, other}, {other}} {
		if err := h.Expose(t.Context(), "g1", tasks, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.Expose(t.Context(), "g2", nil, time.Now()); proofhouse.KindOf(err) != proofhouse.NotFound {
		t.Error(err)
	}
	if err := h.Expose(t.Context(), "g1", []gate.Exposure{{Task: "open-1/one"}}, time.Now()); err == nil {
		t.Error("a task by its name was recorded")
	}
	again, err := gate.Open(h.cfg, gate.Fold(h.log.records(t)))
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Expose(t.Context(), "g1", []gate.Exposure{task}, time.Now()); err != nil {
		t.Fatal(err)
	}
	if got := gate.Fold(h.log.records(t)).Exposed["up"]; fmt.Sprint(got) != fmt.Sprint([]gate.Exposure{task, other}) {
		t.Errorf("exposed: %v", got)
	}
	h.log.mu.Lock()
	h.log.fail = true
	h.log.mu.Unlock()
	third := []gate.Exposure{{Task: proofhouse.DigestOf([]byte("task 3"))}}
	if h.Expose(t.Context(), "g1", third, time.Now()) == nil {
		t.Error("an exposure that could not be written was taken for one")
	}
	h.log.mu.Lock()
	h.log.fail = false
	h.log.mu.Unlock()
	if err := h.Expose(t.Context(), "g1", third, time.Now()); err != nil || len(gate.Fold(h.log.records(t)).Exposed["up"]) != 3 {
		t.Errorf("then it was left out: %v", err)
	}
}

// TestReported has an upstream that changes its model, in the middle of a stream as well: the house can see it, the caller not.
func TestReported(t *testing.T) {
	names := []string{realName, realName + "-2026", realName}
	h := open(t, func(r gatetest.Request) gatetest.Answer {
		if strings.Contains(r.Body, `"stream":true`) {
			a := gatetest.ChatStream(realName, "one two", 1, 1)
			a.Chunks[1] = strings.Replace(a.Chunks[1], realName, "slipped-in", 1)
			return a
		}
		name := names[0]
		names = names[1:]
		return gatetest.Chat(name, "x", 1, 1)
	}, nil)
	for range 3 {
		checkNothingLeaks(t, read(t, h.post(t, completions, h.key, hello)), nil)
	}
	if body := read(t, h.post(t, completions, h.key, streamed)); strings.Contains(body, "slipped-in") {
		t.Error(body)
	}
	if got := fmt.Sprint(h.Reported("g1")); got != fmt.Sprint([]string{realName, realName + "-2026", "slipped-in"}) {
		t.Error(got)
	}
	if h.Reported("g2") != nil {
		t.Error("a grant that is not there has a model")
	}
}
