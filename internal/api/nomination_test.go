package api_test

import (
	"fmt"
	"strings"
	"testing"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/docket"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/store/storetest"
)

// TestNominations nominates a thousand partners of a list, twice.
func TestNominations(t *testing.T) {
	h := newHouse(t, storetest.Open(t))
	id := h.opened(t)
	h.do(t, "rita", id, docket.Join{Member: proofhouse.Actor{Organisation: "institute", Person: "eve", Role: proofhouse.Coordinator}})
	var rows strings.Builder
	rows.WriteString("organisation,title\n")
	for i := range 1000 {
		fmt.Fprintf(&rows, "bank-%d,The Bank %d\n", i, i)
	}
	good := wire.AllowList{List: rows.String()}
	bad := wire.AllowList{List: rows.String() + "Bank,bad\nbank-7,again\nlast,The Last\n"}
	if _, err := h.as("eve").Nominate(t.Context(), id, good, ""); proofhouse.KindOf(err) != proofhouse.Refused {
		t.Errorf("before criteria were agreed to: %v", err)
	}
	h.do(t, "eve", id, docket.Publish{Criteria: []docket.Criterion{{ID: "defends", Text: "many depend on it"}}})
	h.do(t, "ada", id, docket.AgreePartners{Version: 1})
	if _, err := h.as("otto").Nominate(t.Context(), id, good, ""); proofhouse.KindOf(err) != proofhouse.Refused {
		t.Errorf("by the authority: %v", err)
	}
	if n, err := h.as("pat").Nominate(t.Context(), id, good, ""); proofhouse.KindOf(err) != proofhouse.Refused || len(n.Already) > 0 {
		t.Errorf("by a partner: %+v, %v", n, err)
	}
	before := must[wire.Case](t)(h.as("eve").Case(t.Context(), id)).Version
	nominate := func(list wire.AllowList, nominated, already int, lines ...int) {
		t.Helper()
		n := must[wire.Nominations](t)(h.as("eve").Nominate(t.Context(), id, list, ""))
		if n.Nominated != nominated || len(n.Already) != already || len(n.Wrong) != len(lines) || (n.Seq > 0) != (nominated > 0) {
			t.Errorf("of the list: %d nominated, %d before, wrong %+v, event %d", n.Nominated, len(n.Already), n.Wrong, n.Seq)
			return
		}
		for i, line := range lines {
			if n.Wrong[i].Line != line {
				t.Errorf("wrong is %+v", n.Wrong)
			}
		}
	}
	nominate(bad, 0, 0, 1002, 1003)
	nominate(good, 1000, 0)
	nominate(good, 0, 1000)
	bad.GoodRows = true
	nominate(bad, 1, 1000, 1002, 1003)
	nominate(bad, 0, 1001, 1002, 1003)
	c := must[wire.Case](t)(h.as("eve").Case(t.Context(), id))
	if c.Version != before+2 || len(c.Nominees) != 1001 {
		t.Errorf("%d events and %d nominees", c.Version-before, len(c.Nominees))
	}
}
