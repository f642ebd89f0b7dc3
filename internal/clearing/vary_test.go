package clearing

import (
	"bytes"
	"context"
	"testing"

	"proofhouse/internal/oracle"
)

// escaping is a program that writes each E of a record as three bytes, into room for 39: one byte more breaks it.
type escaping struct{ Program }

func (escaping) size(input []byte) int {
	if len(input) < 2 || int(input[1]) != len(input)-2 {
		return 0
	}
	return len(input) - 2 + 2*bytes.Count(input[2:], []byte("E"))
}

func (e escaping) Observe(_ context.Context, input []byte, _ int) (oracle.Sight, error) {
	o := oracle.Observation{Returned: true}
	if e.size(input) > 39 {
		o = oracle.Observation{Broke: true, Class: "overflow", Function: "write", Symptom: oracle.Crash}
	}
	return oracle.Sight{Observations: []oracle.Observation{o}}, nil
}

// TestCutFine: a fix whose bound is too great by less than what the last byte of a proof makes is found out.
func TestCutFine(t *testing.T) {
	proof := append([]byte{'T', 20}, bytes.Repeat([]byte("E"), 20)...)
	for name, benign := range map[string][][]byte{
		"with records": {[]byte("T\x05hello"), []byte("T\x03abc"), []byte("T\x04word")},
		"as it is":     {[]byte("hello")},
	} {
		x, err := atlas(nil).explore(t.Context(), escaping{}, Exhibit{Proof: proof, Signature: "overflow:write"}, nil, benign, variationBudget, 1)
		if err != nil {
			t.Fatal(err)
		}
		over := map[int]int{}
		for _, v := range x.breaking {
			over[escaping{}.size(v.input)-39]++
		}
		if over[1]+over[2] == 0 || over[3] == 0 {
			t.Errorf("%s: breaks by so many bytes too much: %v", name, over)
		}
	}
}
