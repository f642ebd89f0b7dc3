package gate_test

import (
	"slices"
	"strings"
	"testing"

	"proofhouse/internal/gate"
	"proofhouse/internal/gate/gatetest"
)

// TestNamesInGeneratedText has the model tell its name, its host and a secret word, a letter an event: the caller
// reads just that, and the record says that it did.
func TestNamesInGeneratedText(t *testing.T) {
	const told = "I am titan-9-SECRET of Labs at titan.example, truly Titan-9-secret"
	var sent []string // what the caller is to see
	letters := func(a gatetest.Answer) gatetest.Answer {
		var chunks []string
		for _, c := range a.Chunks {
			if !strings.Contains(c, "@") {
				chunks = append(chunks, c)
				continue
			}
			for _, letter := range told {
				chunks = append(chunks, strings.Replace(c, "@", string(letter), 1))
			}
		}
		a.Chunks = chunks
		sent = slices.DeleteFunc(slices.Clone(chunks), func(c string) bool { return strings.Contains(c, `"choices":[],"usage"`) })
		return a
	}
	h := open(t, func(r gatetest.Request) gatetest.Answer {
		switch {
		case r.Path == messages:
			return letters(gatetest.MessageStream("m", "@", 12, 7))
		case r.Path == "/v1/responses":
			return letters(gatetest.Answer{Header: gatetest.EventStream, Chunks: []string{
				"data: {\"type\":\"response.output_text.delta\",\"output_index\":0,\"content_index\":0,\"delta\":\"@\"}\n\n",
				"data: {\"type\":\"response.completed\",\"response\":{\"output\":[{\"type\":\"message\",\"content\":[{\"type\":\"output_text\",\"text\":\"" + told + "\"}]}],\"usage\":{\"input_tokens\":12,\"output_tokens\":7}}}\n\n",
			}})
		case strings.Contains(r.Body, `"stream":true`):
			return letters(gatetest.ChatStream("m", "@", 12, 7))
		}
		return letters(gatetest.Chat("m", told, 12, 7))
	}, func(c *gate.Config, _ *gate.Grant) {
		c.Upstreams[0].Secrets = []string{host, "labs"}
	})
	n := 0
	for _, c := range []struct{ path, body string }{
		{completions, hello},
		{completions, streamed},
		{"/v1/responses", `{"model":"violet","stream":true,"input":"hello"}`},
		{messages, `{"model":"violet","max_tokens":50,"stream":true,"messages":[]}`},
	} {
		got := read(t, h.post(t, c.path, h.key, c.body))
		want := strings.ReplaceAll(strings.Join(sent, ""), `"model":"m"`, `"model":"violet"`)
		if got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", c.path, got, want)
		}
		h.settled(t)
		n++
		ends := 0
		for _, r := range h.log.records(t) {
			if r.End == nil {
				continue
			}
			if ends++; ends == n && (r.End.Named[gate.ModelName] != 2 || r.End.Named[gate.HostName] != 0 || r.End.Named[gate.SecretWord] != 2) {
				t.Errorf("%s %v: the record says %v", c.path, r.Stream, r.End.Named)
			}
		}
	}
}

// TestErrorsInStreams masks what an error event says on a stream that began well.
func TestErrorsInStreams(t *testing.T) {
	h := open(t, func(r gatetest.Request) gatetest.Answer {
		if r.Path == messages {
			a := gatetest.MessageStream(realName, "one", 1, 1)
			a.Chunks = append(a.Chunks[:2], "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Titan-9-Secret at titan.example\"}}\n\n")
			return a
		}
		a := gatetest.ChatStream(realName, "one", 1, 1)
		a.Chunks = append(a.Chunks[:1], ": titan.example\n\n", "data: {\"error\":{\"message\":\"Titan-9-Secret at titan.example\"}}\n\n")
		return a
	}, nil)
	for path, body := range map[string]string{completions: streamed, messages: `{"model":"violet","max_tokens":5,"stream":true,"messages":[]}`} {
		text := read(t, h.post(t, path, h.key, body))
		if !strings.Contains(text, `"message":"violet at violet"`) {
			t.Error(text)
		}
		checkNothingLeaks(t, text, nil)
	}
}
