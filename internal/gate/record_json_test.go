package gate

import (
	"encoding/json"
	mathrand "math/rand"
	"math/rand/v2"
	"reflect"
	"testing"
	"testing/quick"
	"time"
)

// TestEncode: whatever a record holds, it is written as encoding/json writes
// it, and those of calls are written by hand.
func TestEncode(t *testing.T) {
	seed := rand.New(rand.NewPCG(1, 2))
	random := mathrand.New(mathrand.NewSource(1))
	byHand := 0
	for range 20_000 {
		r := Record{Time: time.Unix(seed.Int64N(1<<33), seed.Int64N(1e9)).In(time.FixedZone("x", seed.IntN(3)*3600))}
		for _, s := range []*string{(*string)(&r.Kind), &r.Grant, &r.Call, &r.Protocol} {
			*s = []string{"", "grant-1", "a b", "ä", "<", "\x00", "\xff", `"`}[min(seed.IntN(40), 7)]
			if seed.IntN(8) > 0 {
				*s = "plain"
			}
		}
		r.Stream = seed.IntN(2) == 0
		amount := Amount{seed.Int64(), -seed.Int64(), seed.Int64N(3), 0}
		if seed.IntN(2) == 0 {
			r.Hold = &amount
		}
		if seed.IntN(2) == 0 {
			r.End = &End{}
			v := reflect.ValueOf(r.End).Elem()
			for i := range v.NumField() { // whatever fields an End has or will have
				if seed.IntN(10) == 0 {
					if some, ok := quick.Value(v.Field(i).Type(), random); ok && v.Field(i).Kind() != reflect.Pointer {
						v.Field(i).Set(some)
					}
				}
			}
		}
		if seed.IntN(10) == 0 {
			r.Note = "note"
		}
		want, err := json.Marshal(&r)
		if err != nil {
			t.Fatal(err)
		}
		got, err := r.encode(nil)
		if err != nil || string(got) != string(want) {
			t.Fatalf("%s, %v\nwant %s", got, err, want)
		}
		if _, ok := r.plain(nil); ok {
			byHand++
		}
	}
	if byHand < 1000 {
		t.Errorf("%d of the records were written by hand", byHand)
	}
}
