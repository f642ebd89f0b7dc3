package gate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"proofhouse/internal/chat"
	"proofhouse/internal/proofhouse"
)

// mind is a model whose answer to a probe is the last of those set for it, and the asks'-th of those before.
type mind struct {
	model   string
	answers map[int][]string // by probe
	input   int64
	asks    int
	fail    error
}

func (m *mind) generate(_ context.Context, r chat.Request) (chat.Output, error) {
	n := slices.Index(Probes, r.Messages[0].Text)
	if *r.Config.Temperature != 0 || r.Config.MaxTokens == 0 || n < 0 {
		return chat.Output{}, fmt.Errorf("asked %+v", r)
	}
	m.asks++
	text := fmt.Sprintf("answer %d", n)
	if all := m.answers[n]; len(all) > 0 {
		text = all[0]
		m.answers[n] = append(all[1:], text) // round and round
	}
	return chat.Output{
		Model: m.model, StopReason: chat.Stop, Usage: chat.Usage{Input: m.input, Output: 3},
		Message: chat.Message{Role: chat.Assistant, Text: text, Reasoning: []chat.Reasoning{{Text: "r", Signature: fmt.Sprint(m.asks)}}},
	}, m.fail
}

// TestProbes holds the rules that Changes writes down against models that changed, that vary and that fail.
func TestProbes(t *testing.T) {
	at := time.Unix(1_800_000_000, 0).UTC()
	for _, c := range []struct {
		name         string
		first, later mind
		asks         int // later
		want         string
	}{
		{"the same model", mind{model: "a"}, mind{model: "a"}, 5, ""},
		{"another id", mind{model: "a"}, mind{model: "b"}, 5, "another model"},
		{"a stable answer gone", mind{model: "a"}, mind{model: "a", answers: map[int][]string{2: {"other"}}}, 7, "probe 3 is answered otherwise"},
		{"a stable answer that slips once", mind{model: "a"}, mind{model: "a", answers: map[int][]string{2: {"other", "answer 2"}}}, 6, ""},
		{"an answer that varies", mind{model: "a", answers: map[int][]string{2: {"x", "y"}}}, mind{model: "a", answers: map[int][]string{2: {"z"}}}, 5, ""},
		{"another tokenizer", mind{model: "a", input: 9}, mind{model: "a", input: 10}, 15, "probe 1 has another number of input tokens"},
	} {
		first, err := Prober{Generate: c.first.generate}.First(t.Context(), at)
		if err != nil || c.first.asks != 3*len(Probes) || first.Time != at {
			t.Fatalf("%s: %d asks, %v", c.name, c.first.asks, err)
		}
		kept, _ := json.Marshal(first) // as a run's journal keeps it
		first = Impression{}
		if err := json.Unmarshal(kept, &first); err != nil || strings.Contains(string(kept), "answer ") {
			t.Errorf("%s: kept %s, %v", c.name, kept, err)
		}
		later, err := Prober{Generate: c.later.generate}.Again(t.Context(), first, at)
		if err != nil || c.later.asks != c.asks {
			t.Errorf("%s: asked %d times, want %d, %v", c.name, c.later.asks, c.asks, err)
		}
		all, err := first.Changes(later), first.Unchanged(later)
		if c.want == "" != (len(all) == 0) || !strings.Contains(strings.Join(all, "; "), c.want) || (err != nil) != (c.want != "") || c.want != "" && proofhouse.KindOf(err) != proofhouse.Conflict {
			t.Errorf("%s: %q, %v", c.name, all, err)
		}
	}
	broken := mind{fail: errors.New("overloaded")}
	if _, err := (Prober{Generate: broken.generate}).First(t.Context(), at); !errors.Is(err, broken.fail) {
		t.Error(err)
	}
	a := mind{model: "code"}
	ids := []string{"snapshot-1"}
	p := Prober{Generate: a.generate, Reported: func() []string { return ids }}
	first, _ := p.First(t.Context(), at)
	ids = []string{"snapshot-1", "snapshot-2", "snapshot-1"}
	later, _ := p.Again(t.Context(), first, at)
	if fmt.Sprint(first.Models, later.Models) != "[snapshot-1] [snapshot-1 snapshot-2]" || len(first.Changes(later)) != 1 {
		t.Errorf("%v %v", first.Models, later.Models)
	}
	other := first
	other.Set = "probes-0"
	if len(first.Changes(other)) == 0 || len(first.Changes(first)) != 0 {
		t.Error("other probes compare")
	}
}
