package inspect_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"proofhouse/internal/bench"
	"proofhouse/internal/bench/benchtest"
	"proofhouse/internal/chat"
)

// withModel is a made-up run of a model whose first sample has a transcript.
func withModel(k benchtest.Kept) bench.Result {
	zero := 0.0
	r := benchtest.Result("ladder", 1, k)
	r.Config.Model = &bench.ModelConfig{
		Name: "violet", Protocol: "openai-chat", Generate: chat.Config{MaxTokens: 100, Temperature: &zero},
		Prices: chat.Prices{Input: 1000, CacheRead: 100, Output: 5000}, Sample: bench.Budget{Turns: 3},
	}
	answer := func(text string, calls ...chat.ToolCall) *bench.ModelCall {
		return &bench.ModelCall{
			Output: chat.Output{
				Model: "violet", Message: chat.Message{Role: chat.Assistant, Text: text, ToolCalls: calls}, StopReason: chat.ToolCalls,
				Usage: chat.Usage{Input: 100, CacheRead: 50, Output: 10, Reasoning: 4}, Took: time.Second,
			},
			Config: chat.Config{MaxTokens: 100, Temperature: &zero}, Whole: 2 * time.Second,
		}
	}
	first := answer("I look.", benchtest.Call("1", "bash", map[string]string{"command": "ls"}), chat.ToolCall{ID: "2", Function: "bash", Arguments: json.RawMessage("[]"), ParseError: "not an object"})
	first.Tools = []chat.Tool{{Name: "bash", Description: "a shell", Parameters: json.RawMessage(`{"type":"object","properties":{"command":{"type":"string"}},"required":["command"],"additionalProperties":false}`)}}
	first.Output.Message.Reasoning = []chat.Reasoning{{Text: "I should look."}}
	tool := func(id, text string, fault *chat.ToolError) *bench.ToolResult {
		return &bench.ToolResult{
			Call:    chat.ToolCall{ID: id, Function: "bash", Arguments: json.RawMessage(`{"command":"ls"}`)},
			Message: chat.Message{Role: chat.ToolRole, Text: text, ToolCallID: id, Function: "bash", Error: fault}, Took: 100 * time.Millisecond,
		}
	}
	said := func(role chat.Role, text string) *chat.Message { return &chat.Message{Role: role, Text: text} }
	steps := []bench.Step{
		{Said: said(chat.System, "You are careful.")},
		{Said: said(chat.User, "Find it.")},
		{Call: first},
		{Tool: tool("1", "a file", nil)},
		{Tool: tool("2", "", &chat.ToolError{Type: "parsing", Message: "not an object"})},
		{Compaction: &bench.Compaction{Cleared: []int{3}, Marker: "(cleared)", From: 1, To: 2, Before: 900, After: 500}},
		{Call: answer("It is \x1b[31mthis.", benchtest.Call("3", "submit", map[string]string{}))},
		{Said: said(chat.User, "Please proceed.")},
		{Call: answer("Done.")},
	}
	for i := range steps {
		steps[i].At = time.Duration(i+1) * 100 * time.Millisecond
	}
	b, err := json.Marshal(bench.Transcript{Version: 1, Steps: steps})
	if err != nil {
		panic(err)
	}
	s := &r.Samples[0]
	s.Transcript, s.Limit = k.Put(b), "turn"
	s.Model = &bench.Spent{Turns: 3, Usage: chat.Usage{Input: 300, CacheRead: 150, Output: 30, Reasoning: 12}, NanoDollars: 465_000}
	r.Summary.Model = s.Model
	return r
}

// TestConversation reads a conversation back as Inspect does: what each call
// was asked, by its references, and what came of it.
func TestConversation(t *testing.T) {
	k := benchtest.Kept{}
	r := withModel(k)
	_, content := members(t, r, k)
	var s struct {
		Messages   []struct{ Role, Content any }
		ModelUsage map[string]map[string]float64 `json:"model_usage"`
		TurnCount  int                           `json:"turn_count"`
		Limit      struct {
			Type  string
			Limit float64
		}
		EventsData struct {
			Messages []struct {
				ID, Role string
				Content  any
			}
		} `json:"events_data"`
		Output struct{ Completion string }
		Events []struct {
			Event, Function, Result string
			Arguments               any
			Refs                    [][2]int `json:"input_refs"`
			Output                  struct{ Completion string }
			Tools                   []struct{ Name string }
		}
	}
	if err := json.Unmarshal(content["samples/cjson-parse_epoch_1.json"], &s); err != nil {
		t.Fatal(err)
	}
	text := func(v any) string {
		if all, ok := v.([]any); ok {
			return all[len(all)-1].(map[string]any)["text"].(string)
		}
		return v.(string)
	}
	var got []string
	for _, e := range s.Events {
		switch e.Event {
		case "model":
			asked := []string{}
			for _, ref := range e.Refs {
				for _, m := range s.EventsData.Messages[ref[0]:ref[1]] {
					asked = append(asked, text(m.Content))
				}
			}
			got = append(got, strings.Join(asked, "|")+" -> "+e.Output.Completion+" ("+e.Tools[0].Name+")")
		case "tool":
			arguments, _ := json.Marshal(e.Arguments)
			got = append(got, e.Function+string(arguments)+e.Result)
		}
	}
	want := []string{
		"You are careful.|Find it. -> I look. (bash)",
		`bash{"command":"ls"}a file`, `bash{"command":"ls"}`,
		"You are careful.|I look.|(cleared)| -> It is \\x1b[31mthis. (bash)",
		"You are careful.|I look.|(cleared)||It is \\x1b[31mthis.|Please proceed. -> Done. (bash)",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	ids := map[string]bool{}
	for _, m := range s.EventsData.Messages {
		if ids[m.ID] {
			t.Errorf("two messages are called %s", m.ID)
		}
		ids[m.ID] = true
	}
	if u := s.ModelUsage["violet"]; u["input_tokens"] != 300 || u["input_tokens_cache_read"] != 150 || u["output_tokens"] != 30 || u["total_tokens"] != 480 || u["total_cost"] != 0.000465 {
		t.Errorf("%v", s.ModelUsage)
	}
	if s.TurnCount != 3 || s.Limit.Type != "turn" || s.Limit.Limit != 3 || s.Output.Completion != "Done." || len(s.Messages) != 7 {
		t.Errorf("%d turns, limit %+v, output %q, %d messages", s.TurnCount, s.Limit, s.Output.Completion, len(s.Messages))
	}
}

// TestWithheldConversation has no word of it where it is not published, or was changed.
func TestWithheldConversation(t *testing.T) {
	for name, change := range map[string]func(*bench.Result, benchtest.Kept){
		"survivor": func(r *bench.Result, _ benchtest.Kept) { r.Summary.Survivors = 1 },
		"missing":  func(r *bench.Result, k benchtest.Kept) { delete(k, r.Samples[0].Transcript) },
		"changed": func(r *bench.Result, k benchtest.Kept) {
			k[r.Samples[0].Transcript] = []byte(`{"version":1,"steps":[]}`)
		},
	} {
		k := benchtest.Kept{}
		r := withModel(k)
		change(&r, k)
		_, content := members(t, r, k)
		for n, b := range content {
			if strings.Contains(string(b), "You are careful") || strings.Contains(string(b), `"events_data"`) {
				t.Errorf("%s: %s has the conversation", name, n)
			}
		}
	}
}
