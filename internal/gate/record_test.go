package gate_test

import (
	"testing"

	"proofhouse/internal/gate"
	"proofhouse/internal/gate/gatetest"
)

// ended is the end of the last call.
func (h *house) ended(t *testing.T) gate.Record {
	t.Helper()
	h.settled(t)
	all := h.log.records(t)
	last := all[len(all)-1]
	if last.Kind != gate.Ended {
		t.Fatalf("the record ends with %+v", last)
	}
	return last
}

// TestUpstreamStatus keeps what the upstream said, where the caller was told otherwise.
func TestUpstreamStatus(t *testing.T) {
	for name, c := range map[string]struct {
		answer           gatetest.Answer
		status, upstream int
	}{
		"passed":     {gatetest.Chat(realName, "hi", 1, 1), 200, 0},
		"an error":   {gatetest.Answer{Status: 529}, 529, 0},
		"broken off": {gatetest.Answer{Status: 201, Header: map[string]string{"Content-Length": "100"}, Chunks: []string{"{"}, Break: true}, 502, 201},
		"no answer":  {gatetest.Answer{Drop: true}, 502, 0},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t, func(gatetest.Request) gatetest.Answer { return c.answer }, nil)
			read(t, h.post(t, completions, h.key, hello))
			if e := h.ended(t).End; e.Status != c.status || e.Upstream != c.upstream {
				t.Errorf("%+v", e)
			}
		})
	}
}
