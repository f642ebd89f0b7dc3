package docket

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// leaves are all values in a JSON text.
func leaves(v any) (all []any) {
	switch v := v.(type) {
	case map[string]any:
		for _, x := range v {
			all = append(all, leaves(x)...)
		}
	case []any:
		for _, x := range v {
			all = append(all, leaves(x)...)
		}
	case nil:
	default:
		all = append(all, v)
	}
	return all
}

// TestInWords: whatever a text to be signed says, stands in its words; and nothing does that is not there.
func TestInWords(t *testing.T) {
	c, records := told(t)
	at, kinds := New(c.ID, c.Rules), map[Kind]bool{}
	for _, r := range records {
		if text, signs := at.ToSign(r.Event); signs {
			kinds[r.Event.Act.Kind()] = true
			words := InWords(text)
			if len(words) < 2 {
				t.Fatalf("%s has no words: %s", r.Event.Act.Kind(), text)
			}
			all := ""
			for _, w := range words {
				all += w.What + ": " + w.Says + "\n"
			}
			var says map[string]any
			if err := json.Unmarshal(text, &says); err != nil {
				t.Fatal(err)
			}
			delete(says, "heading")
			for _, v := range leaves(says) {
				if v == float64(0) || v == "" { // no reconsideration, no departure
					continue
				}
				if !strings.Contains(all, fmt.Sprint(v)) {
					t.Errorf("%s: the words leave out %v:\n%s", r.Event.Act.Kind(), v, all)
				}
			}
			// All that is signed in told's reconsideration says so.
			if at.round() == 1 && !strings.Contains(all, ", in reconsideration 1") {
				t.Errorf("%s: the words do not say that it is a reconsideration:\n%s", r.Event.Act.Kind(), all)
			}
			head, _, _ := strings.Cut(string(text), `"says":`)
			for _, broken := range []string{
				head + `"says":[]}`,
				strings.Replace(string(text), `"heading":"proofhouse `, `"heading":"another `, 1), strings.Replace(string(text), " v1", " v2", 1), string(text) + "x",
				strings.Replace(string(text), `"says":`, `"says":{},"x":`, 1), strings.Replace(string(text), `"says":[`, `"says":[[],`, 1), "",
			} {
				if broken == string(text) { // what has no list
					continue
				}
				if words := InWords([]byte(broken)); words != nil {
					t.Errorf("%s has the words %v", broken, words)
				}
			}
		}
		next, err := at.Replay(r)
		if err != nil {
			t.Fatal(err)
		}
		at = next
	}
	for k, a := range acts {
		if Signs(a) && !kinds[a.Kind()] {
			t.Errorf("%s is not tried", k)
		}
	}
	text, _ := c.ToSign(Event{adopter, Adopt{OwnUse: OwnUse{Use: WillUse, Scope: "scope", Purpose: "purpose", Conditions: []string{"first", "second"}, Until: time.Date(2031, 1, 2, 3, 4, 5, 6000, time.UTC)}}})
	all := fmt.Sprint(InWords(text))
	for _, want := range []string{"scope", "purpose", "first", "second", "2031-01-02T03:04:05.000006Z"} {
		if !strings.Contains(all, want) {
			t.Errorf("%q is not in %s", want, all)
		}
	}
}
