package vault

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"proofhouse/internal/proofhouse"
)

// TestStanding is the table of what may be done when.
func TestStanding(t *testing.T) {
	x, y := proofhouse.DigestOf([]byte("x")), proofhouse.DigestOf([]byte("y"))
	day := func(n int) time.Time { return noon.AddDate(0, 0, n) }
	var none Custody
	term := apply(t, none, CustodyEvent{Retain: &Retention{x, Term{day(1), day(3)}}})
	ever := apply(t, none, CustodyEvent{Retain: &Retention{x, Term{Keep: day(1)}}})
	held := apply(t, term, CustodyEvent{Hold: &Hold{ID: "court", Artifacts: []proofhouse.Digest{x}}})
	twice := apply(t, held, CustodyEvent{Hold: &Hold{ID: "audit"}})
	first := apply(t, twice, CustodyEvent{Release: "court"})
	both := apply(t, first, CustodyEvent{Release: "audit"})
	for what, c := range map[string]struct {
		custody Custody
		id      proofhouse.Digest
		now     time.Time
		want    Standing
	}{
		"no term":                        {none, x, day(1000), MustKeep},
		"another's term":                 {term, y, day(1000), MustKeep},
		"before its time":                {term, x, day(1).Add(-1), MustKeep},
		"from its time on":               {term, x, day(1), MayDestroy},
		"before its end":                 {term, x, day(3).Add(-1), MayDestroy},
		"at its end":                     {term, x, day(3), Due},
		"after it":                       {term, x, day(1000), Due},
		"without an end":                 {ever, x, day(1000), MayDestroy},
		"held, and due":                  {held, x, day(1000), MustKeep},
		"held by two":                    {twice, x, day(1000), MustKeep},
		"one of two holds released":      {first, x, day(1000), MustKeep},
		"both released":                  {both, x, day(1000), Due},
		"the custody before is the same": {held, x, day(1000), MustKeep},
	} {
		if got := c.custody.Standing(c.id, c.now); got != c.want {
			t.Errorf("%s: it %s, want: it %s", what, got, c.want)
		}
	}
	if got := twice.Holding(x); !slices.Equal(got, []string{"audit", "court"}) {
		t.Errorf("held by %v", got)
	}
	due := apply(t, both, CustodyEvent{Retain: &Retention{y, Term{day(0), day(1)}}})
	if got := due.Sweep([]proofhouse.Digest{y, x}, day(2)); !slices.Equal(got, []proofhouse.Digest{y}) {
		t.Errorf("due is %v", got)
	}
	if got := due.Sweep([]proofhouse.Digest{y, x}, day(3)); !slices.Equal(got, []proofhouse.Digest{y, x}) {
		t.Errorf("due is %v", got)
	}
}

func TestRefusedCustody(t *testing.T) {
	x := proofhouse.DigestOf([]byte("x"))
	c := apply(t, Custody{}, CustodyEvent{Retain: &Retention{x, Term{noon, noon.AddDate(0, 1, 0)}}})
	c = apply(t, c, CustodyEvent{Hold: &Hold{ID: "court"}})
	c = apply(t, c, CustodyEvent{Hold: &Hold{ID: "past"}})
	c = apply(t, c, CustodyEvent{Release: "past"})
	for what, e := range map[string]struct {
		CustodyEvent
		kind proofhouse.Kind
	}{
		"nothing":                {CustodyEvent{}, proofhouse.Invalid},
		"two decisions":          {CustodyEvent{Hold: &Hold{ID: "h"}, Release: "court"}, proofhouse.Invalid},
		"a term that ends early": {CustodyEvent{Retain: &Retention{x, Term{noon.AddDate(0, 2, 0), noon.AddDate(0, 1, 0)}}}, proofhouse.Invalid},
		"a shorter term":         {CustodyEvent{Retain: &Retention{x, Term{Keep: noon.Add(-1)}}}, proofhouse.Refused},
		"a term of nothing":      {CustodyEvent{Retain: &Retention{"x", Term{}}}, proofhouse.Invalid},
		"a hold of a bad name":   {CustodyEvent{Hold: &Hold{ID: "a b"}}, proofhouse.Invalid},
		"a hold of nothing":      {CustodyEvent{Hold: &Hold{ID: "h", Artifacts: []proofhouse.Digest{"x"}}}, proofhouse.Invalid},
		"a hold that is there":   {CustodyEvent{Hold: &Hold{ID: "court"}}, proofhouse.Conflict},
		"a hold that was there":  {CustodyEvent{Hold: &Hold{ID: "past"}}, proofhouse.Conflict},
		"no such hold":           {CustodyEvent{Release: "king"}, proofhouse.Conflict},
		"released already":       {CustodyEvent{Release: "past"}, proofhouse.Conflict},
	} {
		e.At, e.Actor, e.Reason = noon, alice, "why"
		_, err := c.Apply(e.CustodyEvent)
		wantKind(t, what, err, e.kind)
	}
	for what, change := range map[string]func(*CustodyEvent){
		"no time": func(e *CustodyEvent) { e.At = time.Time{} }, "nobody": func(e *CustodyEvent) { e.Actor.Person = "" },
		"of nowhere": func(e *CustodyEvent) { e.Actor.Organisation = "" }, "no reason": func(e *CustodyEvent) { e.Reason = "" },
		"a long reason": func(e *CustodyEvent) { e.Reason = strings.Repeat("x", maxReason+1) },
	} {
		e := CustodyEvent{At: noon, Actor: alice, Reason: "why", Release: "court"}
		change(&e)
		_, err := c.Apply(e)
		wantKind(t, what, err, proofhouse.Invalid)
	}
}

// TestCustodyHistories holds 5,000 made-up histories to a second way of
// saying the rule: a hold beats every term, terms only grow, and an event that was
// refused, or applied to a copy, changes nothing.
func TestCustodyHistories(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 2))
	ids := []proofhouse.Digest{proofhouse.DigestOf([]byte("0")), proofhouse.DigestOf([]byte("1")), proofhouse.DigestOf([]byte("2"))}
	for range 5_000 {
		var c Custody
		keep, end, holds := map[proofhouse.Digest]time.Time{}, map[proofhouse.Digest]time.Time{}, map[string][]proofhouse.Digest{}
		for step := range 12 {
			e := CustodyEvent{At: noon, Actor: alice, Reason: "why"}
			switch id := ids[r.IntN(3)]; r.IntN(3) {
			case 0:
				term := Term{Keep: noon.AddDate(0, 0, r.IntN(6))}
				if r.IntN(2) == 0 {
					term.End = noon.AddDate(0, 0, r.IntN(8))
				}
				e.Retain = &Retention{id, term}
			case 1:
				e.Hold = &Hold{ID: string(rune('a' + r.IntN(4)))}
				if r.IntN(2) == 0 {
					e.Hold.Artifacts = []proofhouse.Digest{id}
				}
			case 2:
				e.Release = string(rune('a' + r.IntN(4)))
			}
			b, _ := json.Marshal(e)
			var read CustodyEvent
			if err := json.Unmarshal(b, &read); err != nil { // as a record of a case has it
				t.Fatal(err)
			}
			before := c
			next, err := c.Apply(read)
			if _, other := before.Apply(CustodyEvent{At: noon, Actor: alice, Reason: "why", Hold: &Hold{ID: "elsewhere"}}); other != nil {
				t.Fatal("the custody before was changed")
			}
			c = next
			if err != nil {
				continue
			}
			switch {
			case e.Retain != nil:
				if e.Retain.Term.Keep.Before(keep[e.Retain.Artifact]) {
					t.Fatalf("step %d: a term became shorter", step)
				}
				keep[e.Retain.Artifact], end[e.Retain.Artifact] = e.Retain.Term.Keep, e.Retain.Term.End
			case e.Hold != nil:
				holds[e.Hold.ID] = e.Hold.Artifacts
			default:
				delete(holds, e.Release)
			}
			now := noon.AddDate(0, 0, r.IntN(10))
			for _, id := range ids {
				held := false
				for _, of := range holds {
					held = held || len(of) == 0 || slices.Contains(of, id)
				}
				want := Due
				switch from, given := keep[id]; {
				case held || !given || now.Before(from):
					want = MustKeep
				case end[id].IsZero() || now.Before(end[id]):
					want = MayDestroy
				}
				if got := c.Standing(id, now); got != want {
					t.Fatalf("step %d: it %s, want: it %s", step, got, want)
				}
			}
		}
	}
}
