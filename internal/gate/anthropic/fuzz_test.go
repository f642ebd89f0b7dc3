package anthropic

import (
	"encoding/json"
	"strings"
	"testing"

	"proofhouse/internal/gate"
)

func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"model":"m\u00e9\ud800","max_tokens":7,"messages":[{"content":[{"source":{"url":"https://h"}}]}]}`))
	f.Add([]byte(" {\"x\":[{}],\"model\" : \"\\\"\\\\\" ,\"tools\":[{\"type\":\"bash_1\"}]}\n"))
	f.Fuzz(func(t *testing.T, body []byte) {
		c, err := Messages{}.Read(body)
		if err != nil {
			return
		}
		var model string
		at := c.ModelAt
		if err := json.Unmarshal(body[at.At:at.At+at.Len], &model); err != nil || model != c.Model {
			t.Fatalf("model %q stands at %v, read %q, %v", model, at, c.Model, err)
		}
		if c.Inputs < int64(len(body)) || c.Outputs < 1 || c.OutputCap < 0 {
			t.Fatalf("%+v", c)
		}
		out := []byte(string(body[:at.At]) + `"heron"` + string(body[at.At+at.Len:]))
		var seen struct {
			Model string `json:"model"`
		}
		if !json.Valid(out) {
			t.Fatalf("the splice gives %s", out)
		}
		if err := json.Unmarshal(out, &seen); err != nil || seen.Model != "heron" {
			t.Fatalf("a Go upstream reads %q in %s, %v", seen.Model, out, err)
		}
	})
}

func FuzzMeter(f *testing.F) {
	f.Add([]byte(start))
	f.Add([]byte(delta(`"stop_reason":"end_turn"},"usage":{"output_tokens":9}`)))
	f.Add([]byte("event: ping\ndata: {\"type\": \"ping\"}\n\n"))
	f.Add([]byte("data:{\"message\":\r\ndata: {\"mod\\u0065l\":\"real-9\",\"model\":\"real-9\"}}\r\n\r\n"))
	f.Fuzz(func(t *testing.T, event []byte) {
		m := Messages{}.Meter(gate.Call{})
		for range 2 {
			seen, ok := gate.Document([]byte(data(m.Event(event, names))))
			if !ok {
				continue
			}
			gate.Walk(seen, func(path []string, v gate.Value) bool {
				name, _ := v.Text()
				if at := strings.Join(path, "\x00"); name == names.Real && (at == "model" || at == "message\x00model") {
					t.Fatalf("%q still has the name", event)
				}
				return true
			})
			if u, _ := m.Usage(); u.Input < 0 || u.CacheRead < 0 || u.CacheWrite < 0 || u.Output < 0 {
				t.Fatalf("usage %+v", u)
			}
		}
		m.Body(event, names)
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
