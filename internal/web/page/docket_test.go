package page

import (
	"strings"
	"testing"
	"time"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/docket"
	"proofhouse/internal/proofhouse"
)

// TestWaiting: above the docket stands how many requests wait for who looks, with the ways to them, and whether that is all.
func TestWaiting(t *testing.T) {
	of := func(name string, n int) wire.Listed {
		return wire.Listed{Summary: docket.Summary{ID: proofhouse.CaseID("case-" + name), Codename: name}, Waiting: n}
	}
	for _, c := range []struct {
		name   string
		list   wire.List
		filter Filter
		says   string // "" is nothing
	}{
		{"nothing", wire.List{Cases: []wire.Listed{of("heron", 0)}}, Filter{Begun: true}, ""},
		{"one", wire.List{Cases: []wire.Listed{of("heron", 1)}}, Filter{Begun: true}, "1 request waits for you:"},
		{"three in two", wire.List{Cases: []wire.Listed{of("heron", 1), of("wren", 0), of("kestrel", 2)}}, Filter{Begun: true, State: "all"}, "3 requests wait for you:"},
		{"with more pages", wire.List{Cases: []wire.Listed{of("heron", 2)}, Next: "x"}, Filter{Begun: true}, "2 requests wait for you in the cases below:"},
		{"on the last page", wire.List{Cases: []wire.Listed{of("heron", 2)}}, Filter{}, "2 requests wait for you in the cases below:"},
		{"of the open ones", wire.List{Cases: []wire.Listed{of("heron", 2)}}, Filter{Begun: true, State: "open"}, "2 requests wait for you in the cases below:"},
		{"of a search", wire.List{Cases: []wire.Listed{of("heron", 2)}}, Filter{Begun: true, Find: "her"}, "2 requests wait for you in the cases below:"},
	} {
		var b strings.Builder
		if err := Docket(Frame{Now: time.Unix(1, 0)}, c.list, c.filter).Render(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
		_, line, there := strings.Cut(b.String(), `<p class="waits">`)
		line, _, _ = strings.Cut(line, "</p>")
		if there != (c.says != "") || !strings.Contains(line, "<strong>"+c.says+"</strong>") && there {
			t.Errorf("%s: %q", c.name, line)
		}
		for _, l := range c.list.Cases {
			if leads := strings.Contains(line, `href="/cases/`+string(l.ID)+`/requests"`); leads != (l.Waiting > 0) {
				t.Errorf("%s: it leads to %s: %v", c.name, l.Codename, leads)
			}
		}
	}
}
