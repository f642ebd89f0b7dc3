package bench

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"proofhouse/internal/chat"
	"proofhouse/internal/proofhouse"
)

// talked is a transcript among the artifacts of a folder.
func talked(t testing.TB, steps []Step) (folder string, d proofhouse.Digest) {
	t.Helper()
	b, err := json.Marshal(Transcript{1, steps})
	if err != nil {
		t.Fatal(err)
	}
	return keptAs(t, b)
}

func keptAs(t testing.TB, b []byte) (folder string, d proofhouse.Digest) {
	t.Helper()
	folder, d = t.TempDir(), proofhouse.DigestOf(b)
	if err := os.MkdirAll(filepath.Join(folder, artifactsName), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, artifactsName, d.Hex()), b, 0o600); err != nil {
		t.Fatal(err)
	}
	return folder, d
}

func said(at time.Duration, text string) Step {
	return Step{At: at, Said: &chat.Message{Role: chat.User, Text: text}}
}

// TestConversation: each step is found as it is, whatever it says, and no step of a transcript that was changed.
func TestConversation(t *testing.T) {
	steps := []Step{
		said(0, `}]},{"at":1,"said":{`), said(time.Second, `\" \\ {{{ "`), said(2*time.Second, "<script>&\u2028\u202e\x1b"),
		{At: 3 * time.Second, Tool: &ToolResult{Call: chat.ToolCall{ID: "1", Function: "bash", Arguments: json.RawMessage(`{"command":"}]"}`)}, Message: chat.Message{Role: chat.ToolRole, Text: "]"}}},
		said(4*time.Second, strings.Repeat("{", 3<<20)),
	}
	folder, d := talked(t, steps)
	c, err := OpenConversation(folder, d)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if c.Len() != len(steps) {
		t.Fatalf("%d steps", c.Len())
	}
	for i, want := range steps {
		got, err := c.Step(i)
		if err != nil || c.At(i) != want.At {
			t.Fatalf("step %d at %s: %v", i, c.At(i), err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("step %d: %s", i, diff)
		}
	}
	for text, want := range map[string]int{`{{{ "`: 1, "<script>": 2, "\x1b": 2, "nowhere": -1, "": -1, `"command"`: 3, "role": -1, "content": -1} {
		if got, err := c.Find(t.Context(), text, 0); got != want || err != nil {
			t.Errorf("%q is in step %d, %v; want %d", text, got, err, want)
		}
	}
	if got, err := c.Find(t.Context(), "{{{", 2); got != 4 || err != nil {
		t.Errorf("from the third on it is in %d, %v", got, err)
	}
	if _, err := c.Raw(5); proofhouse.KindOf(err) != proofhouse.NotFound {
		t.Errorf("a step that is not there: %v", err)
	}
	name := filepath.Join(folder, artifactsName, d.Hex())
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenConversation(folder, d); proofhouse.KindOf(err) != proofhouse.Integrity {
		t.Errorf("a changed transcript: %v", err)
	}
	for _, text := range []string{"", "{}", `{"version":1,"steps":[`, `{"version":1,"steps":[{"at":1}`, `{"version":1,"steps":[{"x":1}]}`, `{"version":2,"steps":[]}`, `{"version":1,"steps":[]{"at":1}]}`} {
		folder, d := keptAs(t, []byte(text))
		if _, err := OpenConversation(folder, d); proofhouse.KindOf(err) != proofhouse.Integrity {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := OpenConversation(t.TempDir(), d); proofhouse.KindOf(err) != proofhouse.NotFound {
		t.Errorf("none: %v", err)
	}
}

// FuzzStepsIn: whatever a transcript holds, the steps that are found lie in it one after the other.
func FuzzStepsIn(f *testing.F) {
	f.Add(`{"version":1,"steps":[{"at":1,"said":{"role":"user","content":"a\"}"}},{"at":2}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		all, err := stepsIn(strings.NewReader(text))
		if err != nil {
			if proofhouse.KindOf(err) != proofhouse.Integrity {
				t.Fatal(err)
			}
			return
		}
		end := int64(0)
		for _, p := range all {
			if p.off < end || p.size < 1 || p.off+p.size > int64(len(text)) || text[p.off] != '{' {
				t.Fatalf("%+v after %d of %q", p, end, text)
			}
			end = p.off + p.size
		}
	})
}

// TestLine: an event is read again from the journal as it was written, and one that tells of a survivor says nothing.
func TestLine(t *testing.T) {
	setup := fixtureSetup(t, 1, submits("SURVIVE secretly", "BREAK"))
	agent := setup.Agent
	setup.Run = proofhouse.NewRunID()
	setup.Agent = scripted{"script", func(ctx context.Context, s *Session) error {
		return errors.Join(s.Log("exec", "first", map[string]any{"exit": 1}), s.Log("info", "it survives_fix", nil), agent.Run(ctx, s))
	}}
	run(t, setup)
	l := OpenLive(setup.Folder, setup.Run)
	defer l.Close()
	if _, err := l.State(); err != nil {
		t.Fatal(err)
	}
	if n, none := l.Lines(0), l.Lines(1); len(n) != 2 || n[0] > n[1] || none != nil {
		t.Fatalf("lines at %v and %v", n, none)
	}
	first, err := l.Line(0, 0)
	if err != nil || first.Text != "first" || first.Kind != "exec" || first.At <= 0 || first.Seq == 0 {
		t.Errorf("%+v, %v", first, err)
	}
	if second, err := l.Line(0, 1); err != nil || second.Text != "" || second.Data != nil {
		t.Errorf("%+v, %v", second, err)
	}
	if _, err := l.Line(0, 2); proofhouse.KindOf(err) != proofhouse.NotFound {
		t.Errorf("no such event: %v", err)
	}
}

// BenchmarkConversation opens a conversation of 100 MB in 10,000 steps, and reads a page of 50.
func BenchmarkConversation(b *testing.B) {
	steps := make([]Step, 10_000)
	for i := range steps {
		steps[i] = said(time.Duration(i)*time.Second, strings.Repeat("a line of output\n", 600))
	}
	folder, d := talked(b, steps)
	for b.Loop() {
		c, err := OpenConversation(folder, d)
		if err != nil {
			b.Fatal(err)
		}
		for i := range 50 {
			if _, err := c.Step(5000 + i); err != nil {
				b.Fatal(err)
			}
		}
		c.Close()
	}
}
