package react

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"proofhouse/internal/chat"
)

// conversation is a task and n turns, each a call and its answer of so many bytes.
func conversation(n, size int) []chat.Message {
	all := []chat.Message{{Role: chat.System, Text: "s"}, {Role: chat.User, Text: "the task"}}
	for i := range n {
		id := fmt.Sprint(i)
		all = append(all,
			chat.Message{Role: chat.Assistant, Text: "look", ToolCalls: []chat.ToolCall{{ID: id, Function: "bash", Arguments: []byte("{}")}}},
			chat.Message{Role: chat.ToolRole, ToolCallID: id, Text: strings.Repeat("x", size)})
	}
	return all
}

func total(all []chat.Message) (n int64) {
	for _, m := range all {
		n += tokens(m)
	}
	return n
}

func TestCompactionKeepsWholeTurns(t *testing.T) {
	for _, c := range []struct {
		name        string
		turns, size int
		most        int64
		clears      bool
		drops       bool
	}{
		{"fits", 10, 300, 1 << 20, false, false},
		{"unknown context", 10, 300, 0, false, false},
		{"clearing is enough", 20, 3000, 15000, true, false},
		{"turns must go", 200, 60, 3000, false, true},
		{"both", 100, 3000, 5000, true, true},
		{"nothing can go", 3, 30000, 1000, false, false},
	} {
		all := conversation(c.turns, c.size)
		before := slices.Clone(all)
		got, ok := compaction(all, total(all), c.most)
		if ok != (c.clears || c.drops) || (len(got.Cleared) > 0) != c.clears || (got.To > got.From) != c.drops {
			t.Errorf("%s: %v, %d cleared, %d to %d", c.name, ok, len(got.Cleared), got.From, got.To)
		}
		if !ok {
			continue
		}
		out := got.Apply(all)
		if total(out) != got.After || got.After > c.most {
			t.Errorf("%s: %d tokens, said %d, of %d", c.name, total(out), got.After, c.most)
		}
		if !slices.EqualFunc(before, all, func(a, b chat.Message) bool { return a.Text == b.Text }) {
			t.Errorf("%s: the conversation before was changed", c.name)
		}
		if out[1].Text != "the task" || out[2].Role != chat.Assistant || len(out) < keepTurns {
			t.Errorf("%s: what is left begins with %+v", c.name, out[:3])
		}
		for i, m := range out {
			if m.Role == chat.ToolRole && (out[i-1].Role != chat.Assistant || out[i-1].ToolCalls[0].ID != m.ToolCallID) {
				t.Errorf("%s: an answer stands without its call", c.name)
			}
		}
		if tail := all[len(all)-keepTurns:]; out[len(out)-1].Text != tail[keepTurns-1].Text || out[len(out)-keepTurns+1].Text != tail[1].Text {
			t.Errorf("%s: the last messages were touched", c.name)
		}
		if again, ok := compaction(out, got.After, c.most); ok {
			t.Errorf("%s: it is shortened twice: %+v", c.name, again)
		}
	}
}

// A turn that reaches into the last messages stays whole.
func TestCompactionStopsAtTheLastMessages(t *testing.T) {
	all := append(conversation(8, 60), chat.Message{Role: chat.User, Text: strings.Repeat("y", 9000)})
	c, ok := compaction(all, total(all), 2000)
	if !ok || len(all)-c.To < keepTurns || all[c.To].Role != chat.Assistant {
		t.Errorf("%v, %d to %d of %d", ok, c.From, c.To, len(all))
	}
}

func TestCut(t *testing.T) {
	if got := cut("aäb", 4); got != "aäb" {
		t.Errorf("got %q", got)
	}
	got := cut(strings.Repeat("ä", 100), 21)
	if !strings.HasPrefix(got, "äääää\n… 180 bytes left out …\n") || strings.Contains(got, "\uFFFD") || !strings.HasSuffix(got, "\näääää") {
		t.Errorf("got %q", got)
	}
}
