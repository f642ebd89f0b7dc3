package gate_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"proofhouse/internal/chat"
	"proofhouse/internal/gate"
	"proofhouse/internal/proofhouse"
)

// TestServersAnswers reads the answers that servers send, each of which stands in
// testdata/answers, and sends each back: what a model said goes back as it came.
func TestServersAnswers(t *testing.T) {
	for _, p := range translators {
		files, _ := filepath.Glob("testdata/answers/" + p.Name() + "/*.json")
		if len(files) < 8 {
			t.Fatalf("only %d answers in %s", len(files), p.Name())
		}
		for _, file := range files {
			name := p.Name() + "/" + filepath.Base(file)
			t.Run(name, func(t *testing.T) {
				body, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				out, err := p.Decode(body)
				if err != nil {
					t.Fatal(err)
				}
				b, err := gate.EncodeJSON(out)
				if err != nil {
					t.Fatal(err)
				}
				goldenJSON(t, "outputs/"+name, b)
				back, err := p.Encode(chat.Request{Messages: []chat.Message{out.Message}}, codename)
				if err != nil {
					t.Fatal(err)
				}
				goldenJSON(t, "back/"+name, back)
				if c, err := p.Read(back); err != nil || c.ByRef != "" {
					t.Errorf("the gate reads %+v, %v", c, err)
				}
				body = bytes.TrimSpace(body)
				for cut := range body {
					if _, err := p.Decode(body[:cut]); proofhouse.KindOf(err) != proofhouse.Unavailable {
						t.Fatalf("cut at %d: %v", cut, err)
					}
				}
			})
		}
	}
}

func goldenJSON(t *testing.T, name string, got []byte) {
	t.Helper()
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, got, "", "  "); err != nil {
		t.Fatalf("%s: %v in %s", name, err, got)
	}
	pretty.WriteByte('\n')
	golden(t, name, pretty.Bytes())
}

// TestEncodeWithout asks for as little as can be, and for tools that need no parameters.
func TestEncodeWithout(t *testing.T) {
	for _, p := range translators {
		r := chat.Request{Messages: []chat.Message{{Role: chat.User, Text: "<hello> & bye"}}, ToolChoice: "any", Config: chat.Config{ParallelToolCalls: ptr(true)}}
		body, err := p.Encode(r, codename)
		if err != nil || bytes.Contains(body, []byte("tool")) || !bytes.Contains(body, []byte("<hello> & bye")) {
			t.Errorf("%s: %s, %v", p.Name(), body, err)
		}
		r.Tools = []chat.Tool{{Name: "submit"}}
		if body, err := p.Encode(r, codename); err != nil || !bytes.Contains(body, []byte(`{"type":"object","properties":{}}`)) {
			t.Errorf("%s: %s, %v", p.Name(), body, err)
		}
		r.Tools[0].Parameters = json.RawMessage("{")
		if _, err := p.Encode(r, codename); proofhouse.KindOf(err) != proofhouse.Invalid {
			t.Errorf("%s: parameters that are no JSON: %v", p.Name(), err)
		}
	}
	for _, blank := range []chat.Role{chat.User, chat.Assistant} {
		if body, err := translators[2].Encode(chat.Request{Messages: []chat.Message{{Role: blank, Text: "\n"}}}, codename); err != nil || !bytes.Contains(body, []byte("(nothing)")) {
			t.Errorf("%s, %v", body, err)
		}
	}
	h := http.Header{}
	if translators[2].Prepare(h); h.Get("Anthropic-Version") == "" {
		t.Error("no version of the API is named")
	}
}
