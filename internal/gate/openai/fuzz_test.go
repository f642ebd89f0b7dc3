package openai

import (
	"encoding/json"
	"strings"
	"testing"

	"proofhouse/internal/gate"
)

func FuzzRead(f *testing.F) {
	for _, s := range []string{
		`{"model":"m\u00e9\ud800","stream":true,"stream_options":{"x":[1]}}`, `{"stream":true,"stream_options":null,"model":"m"}`,
		`{"model":"m","input":[{"id":"x"}],"tools":[{"type":"namespace","tools":[{}]}]}`, `{"model":"m","messages":[{"content":[{"image_url":{"url":"https://h"}}]}]}`,
		" {\"model\" : \"\\\"\\\\\" ,\"n\":2}\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, p := range []gate.Protocol{Chat{}, Responses{}} {
			c, err := p.Read(body)
			if err != nil {
				continue
			}
			var model string
			if err := json.Unmarshal(body[c.ModelAt.At:c.ModelAt.At+c.ModelAt.Len], &model); err != nil || model != c.Model {
				t.Fatalf("%s: model %q stands at %v, read %q, %v", p.Name(), model, c.ModelAt, c.Model, err)
			}
			if c.Inputs < int64(len(body)) || c.Outputs < 1 || c.OutputCap < 0 {
				t.Fatalf("%s: %+v", p.Name(), c)
			}
			out := []byte(splice(body, c, "heron"))
			var seen struct {
				Model         string `json:"model"`
				StreamOptions struct {
					IncludeUsage bool `json:"include_usage"`
				} `json:"stream_options"`
			}
			if !json.Valid(out) {
				t.Fatalf("%s: splices give %s", p.Name(), out)
			}
			if err := json.Unmarshal(out, &seen); err == nil && (seen.Model != "heron" || c.HideUsage && !seen.StreamOptions.IncludeUsage) {
				t.Fatalf("%s: a Go upstream reads %+v in %s", p.Name(), seen, out)
			}
		}
	})
}

func FuzzMeter(f *testing.F) {
	for _, s := range []string{
		"data: {\"model\":\"real-9\",\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\n\n",
		"event: x\r\ndata:{\"response\":{\"mod\\u0065l\":\"real-9\",\"usage\":{\"input_tokens\":-1}},\r\ndata: \"type\":\"response.completed\"}\r\n\r\n",
		": ping\n\n", "data: [DONE]\n\n", "data\ndata:\ndata: {}\r\r", "\ufeffdata: {\"model\":\"real-9\",\"model\":\"real-9\"}\n\n",
	} {
		f.Add([]byte(s), true)
	}
	f.Fuzz(func(t *testing.T, event []byte, hide bool) {
		for _, p := range []gate.Protocol{Chat{}, Responses{}} {
			for n := range int64(2) {
				m := p.Meter(gate.Call{Outputs: n + 1, HideUsage: hide})
				body := m.Body([]byte(data(event)), names)
				out := m.Event(event, names)
				for _, doc := range []string{string(body), data(out)} {
					seen, ok := gate.Document([]byte(doc))
					if !ok {
						continue
					}
					gate.Walk(seen, func(path []string, v gate.Value) bool {
						name, _ := v.Text()
						at := strings.Join(path, "\x00")
						inResponse := at == "response\x00model" && doc == data(out) && p == gate.Protocol(Responses{})
						if name == names.Real && (at == "model" || inResponse) {
							t.Fatalf("%s: %q still has the name", p.Name(), doc)
						}
						return true
					})
				}
				if u, _ := m.Usage(); u.Input < 0 || u.CacheRead < 0 || u.CacheWrite < 0 || u.Output < 0 || u.Reasoning < 0 {
					t.Fatalf("%s: usage %+v", p.Name(), u)
				}
			}
		}
	})
}

// data reads an event's data as the HTML standard says, another way than the
// meter does.
func data(event []byte) string {
	text := strings.ReplaceAll(strings.ReplaceAll(strings.TrimPrefix(string(event), "\ufeff"), "\r\n", "\n"), "\r", "\n")
	var lines []string
	for _, line := range strings.Split(text, "\n") {
		if name, value, ok := strings.Cut(line, ":"); ok && name == "data" {
			lines = append(lines, strings.TrimPrefix(value, " "))
		} else if line == "data" {
			lines = append(lines, "")
		}
	}
	return strings.Join(lines, "\n")
}
