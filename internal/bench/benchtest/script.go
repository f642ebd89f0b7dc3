package benchtest

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"proofhouse/internal/chat"
	"proofhouse/internal/proofhouse"
)

// Script is a Model whose answers are written down beforehand. Each
// conversation, told apart by its first user message, gets them in their
// order, and "done" after the last. It keeps what it was asked.
type Script struct {
	Answers []Answer

	mu    sync.Mutex // guards what follows
	asked []chat.Request
}

// Answer is one scripted answer: a text, tool calls, or an error.
type Answer struct {
	Text  string
	Calls []chat.ToolCall
	Stop  chat.StopReason // "": stop, or tool_calls
	Usage chat.Usage      // zero: 100 in, 10 out
	Err   error
	Do    func() // called first, if not nil
}

// Call is a call of a tool with arguments that are marshalled.
func Call(id, function string, arguments any) chat.ToolCall {
	b, err := json.Marshal(arguments)
	if err != nil {
		panic(err)
	}
	return chat.ToolCall{ID: id, Function: function, Arguments: b}
}

// Bash is an answer that calls bash.
func Bash(id, command string) Answer {
	return Answer{Calls: []chat.ToolCall{Call(id, "bash", map[string]string{"command": command})}}
}

// Submit is an answer that calls submit.
func Submit(id string) Answer {
	return Answer{Calls: []chat.ToolCall{Call(id, "submit", map[string]string{})}}
}

// Asked are the requests so far.
func (m *Script) Asked() []chat.Request {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]chat.Request{}, m.asked...)
}

// Generate gives the answer that comes after those in the conversation.
func (m *Script) Generate(ctx context.Context, r chat.Request) (chat.Output, error) {
	if err := ctx.Err(); err != nil {
		return chat.Output{}, err
	}
	m.mu.Lock()
	m.asked = append(m.asked, r)
	m.mu.Unlock()
	turn := 0
	for _, x := range r.Messages {
		if x.Role == chat.Assistant {
			turn++
		}
	}
	a := Answer{Text: "done"}
	if turn < len(m.Answers) {
		a = m.Answers[turn]
	}
	if a.Do != nil {
		a.Do()
	}
	if a.Err != nil {
		return chat.Output{}, a.Err
	}
	if a.Stop == "" {
		a.Stop = chat.Stop
		if len(a.Calls) > 0 {
			a.Stop = chat.ToolCalls
		}
	}
	if a.Usage == (chat.Usage{}) {
		a.Usage = chat.Usage{Input: 100, Output: 10}
	}
	return chat.Output{
		Model: "codename", StopReason: a.Stop, Usage: a.Usage, Took: 20 * time.Millisecond,
		Message: chat.Message{Role: chat.Assistant, Text: a.Text, ToolCalls: a.Calls},
	}, nil
}

// Twice are requests that were asked more than once.
func (m *Script) Twice() []string {
	seen := map[proofhouse.Digest]int{}
	for _, r := range m.Asked() {
		b, err := json.Marshal(r)
		if err != nil {
			panic(err)
		}
		seen[proofhouse.DigestOf(b)]++
	}
	var out []string
	for d, n := range seen {
		if n > 1 {
			out = append(out, fmt.Sprintf("%s %s", d.Short(), strconv.Itoa(n)))
		}
	}
	return out
}

// Conversation is a request's messages in short, for tests: role, text, calls.
func Conversation(r chat.Request) string {
	var b strings.Builder
	for _, m := range r.Messages {
		fmt.Fprintf(&b, "%s: %s", m.Role, m.Text)
		for _, c := range m.ToolCalls {
			fmt.Fprintf(&b, " [%s %s]", c.Function, c.Arguments)
		}
		b.WriteByte('\n')
	}
	return b.String()
}
