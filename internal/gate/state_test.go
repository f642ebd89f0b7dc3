package gate

import (
	"encoding/json"
	"fmt"
	"math"
	mathrand "math/rand"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"testing/quick"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestStateAdds plays random calls and holds the state after each record to
// what the records before it say when all are read at once: what is charged,
// what is held, and which calls are open.
func TestStateAdds(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 11))
		amount := func() Amount { return Amount{1, r.Int64N(100), r.Int64N(100), r.Int64N(1000)} }
		s := NewState()
		var all []Record
		var open []string
		for n := range 60 {
			grant := []string{"a", "b"}[r.IntN(2)]
			hold := amount()
			rec := Record{Kind: Opened, Time: time.Unix(int64(n), 0), Grant: grant, Call: fmt.Sprint("c", n), Hold: &hold}
			switch i := r.IntN(8); {
			case i < 3 && len(open) > 0:
				call := open[r.IntN(len(open))]
				grant = all[slices.IndexFunc(all, func(x Record) bool { return x.Kind == Opened && x.Call == call })].Grant
				rec = Record{Kind: Ended, Time: rec.Time, Grant: grant, Call: call, End: &End{Outcome: Metered, Charge: amount()}}
				open = slices.DeleteFunc(open, func(c string) bool { return c == call })
			case i == 3:
				rec = Record{Kind: Unaccounted, Time: rec.Time, Grant: grant, Hold: &hold}
			case i == 4:
				rec = Record{Kind: Ended, Time: rec.Time, Grant: grant, Call: "of a log before", End: &End{Outcome: SweptUp, Charge: hold}, Note: "n"}
			case i == 5:
				rec = Record{Kind: Closed, Time: rec.Time}
			default:
				open = append(open, rec.Call)
			}
			all = append(all, rec)
			s.Add(rec)
			if diff := cmp.Diff(open, s.Open(), cmp.Transformer("some", func(l []string) string { return fmt.Sprint(l) })); diff != "" {
				t.Fatalf("seed %d: open calls: %s", seed, diff)
			}
			for _, g := range []string{"a", "b"} {
				var want Account
				for _, x := range all {
					switch {
					case x.Grant != g:
					case x.Kind == Opened && slices.Contains(open, x.Call):
						want.Held, want.Open = want.Held.plus(*x.Hold), want.Open+1
					case x.Kind == Ended:
						want.Spent = want.Spent.plus(x.End.Charge)
					case x.Kind == Unaccounted:
						want.Spent = want.Spent.plus(*x.Hold)
					}
				}
				if got := s.Accounts[g]; got.Spent != want.Spent || got.Held != want.Held || got.Open != want.Open {
					t.Fatalf("seed %d: %s has %+v and not %+v", seed, g, got, want)
				}
			}
		}
		if !s.Last.Equal(time.Unix(59, 0)) {
			t.Fatalf("the last record is of %s", s.Last)
		}
	}
}

// TestStateForgets holds no calls that ended.
func TestStateForgets(t *testing.T) {
	s := NewState()
	for n := range 1000 {
		call := fmt.Sprint(n)
		s.Add(Record{Kind: Opened, Grant: "g", Call: call, Hold: &Amount{Requests: 1}})
		s.Add(Record{Kind: Ended, Grant: "g", Call: call, End: &End{Outcome: SweptUp, Charge: Amount{Requests: 1}}})
	}
	if len(s.open) != 0 || len(s.Swept["g"]) != keptSweeps || s.Accounts["g"].Spent.Requests != 1000 {
		t.Errorf("%d open, %d sweeps, %+v", len(s.open), len(s.Swept["g"]), s.Accounts["g"])
	}
}

// TestAddLine: whatever a record of a call holds, reading it in brief adds up
// to what reading all of it does, and most are read in brief.
func TestAddLine(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	random := mathrand.New(mathrand.NewSource(2))
	whole, short := NewState(), NewState()
	briefly := 0
	for n := range 20_000 {
		rec := Record{Kind: Opened, Time: time.Unix(int64(n), r.Int64N(1e9)).In(time.FixedZone("x", r.IntN(3)*3600)), Grant: "grant-1", Call: fmt.Sprint("c", r.IntN(n+1)), Protocol: "p"}
		if r.IntN(20) == 0 {
			rec.Grant = []string{"ä", `"`, "\x00", "<"}[r.IntN(4)]
		}
		amount := Amount{r.Int64N(3), r.Int64(), -r.Int64(), math.MaxInt64}
		if r.IntN(2) == 0 {
			rec.Kind, rec.End = Ended, &End{}
			v := reflect.ValueOf(rec.End).Elem()
			for i := range v.NumField() { // whatever fields an End has or will have
				if r.IntN(10) == 0 {
					if some, ok := quick.Value(v.Field(i).Type(), random); ok && v.Field(i).Kind() != reflect.Pointer {
						v.Field(i).Set(some)
					}
				}
			}
			rec.End.Charge = amount
			if r.IntN(20) == 0 {
				rec.End.Outcome, rec.Note = SweptUp, "why"
			}
		} else {
			rec.Hold = &amount
		}
		line, err := rec.encode(nil)
		if err != nil {
			t.Fatal(err)
		}
		var back Record
		if err := json.Unmarshal(line, &back); err != nil {
			t.Fatal(err)
		}
		whole.Add(back)
		if err := short.AddLine(line); err != nil {
			t.Fatal(err)
		}
		if !short.Last.Equal(whole.Last) || !reflect.DeepEqual(whole.Accounts, short.Accounts) || len(whole.open) != len(short.open) {
			t.Fatalf("%s adds up to %+v and not %+v", line, short.Accounts, whole.Accounts)
		}
		if _, ok := brief(line); ok {
			briefly++
		}
	}
	if !reflect.DeepEqual(whole.open, short.open) || !reflect.DeepEqual(whole.Swept, short.Swept) || briefly < 15_000 {
		t.Errorf("%d in brief; swept %v and %v", briefly, whole.Swept, short.Swept)
	}
	for _, line := range []string{`{"kind":"granted","grant":"g","terms":{"id":"g"}}`, `{"kind":"closed"}`, `{"kind":"opened","grant":"g","call":"c","hold":{"requests":1},"decision":{}}`, `{"kind":"opened","time":"now","hold":{}}`} {
		if _, ok := brief([]byte(line)); ok {
			t.Errorf("%s is read in brief", line)
		}
	}
	for _, line := range []string{`{"kind":"opened","hold":{"requests":1.5}}`, `{"kind":"ended","time":"now","end":{"outcome":"cut","charge":{}}}`, `7`} {
		if err := NewState().AddLine([]byte(line)); err == nil {
			t.Errorf("%s is taken for a record", line)
		}
	}
}
