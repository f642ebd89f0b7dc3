package clearing

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"proofhouse/internal/oracle"
	"proofhouse/internal/proofhouse"
)

// mender is a toy whose program breaks of an E, with a patch that says "refuse" gives the same for all of them, and with one that says "mend" a
// text of its own for each.
type mender struct{ toy }

type mended struct {
	Program
	patch string
}

func (*mender) Build(_ context.Context, patches ...[]byte) (Program, error) {
	var all string
	for _, p := range patches {
		all += string(p)
	}
	return mended{patch: all}, nil
}

func (mended) Close() error { return nil }

func (m mended) Observe(_ context.Context, input []byte, n int) (s oracle.Sight, err error) {
	o := oracle.Observation{Returned: true, Raw: map[string]proofhouse.Digest{"stdout": proofhouse.DigestOf(input)}}
	switch {
	case !strings.Contains(string(input), "E") || strings.Contains(m.patch, "mend"):
	case strings.Contains(m.patch, "refuse"):
		o.Raw["stdout"] = proofhouse.DigestOf(nil)
	default:
		o = oracle.Observation{Broke: true, Class: "overflow", Function: "f", Symptom: oracle.Crash}
		s.Frames = []string{"f"}
	}
	for range n {
		s.Observations = append(s.Observations, o)
	}
	return s, nil
}

// TestBlunt: a patch that refuses what another one mends is left to a person; alone, or beside its like, it is not.
func TestBlunt(t *testing.T) {
	w := &mender{}
	e := Exhibit{Proof: []byte("xE"), Signature: "overflow:f", Frames: []string{"f"}, Workshop: w}
	other := func(says string) Other {
		return Other{Candidate: Candidate{Fix: toyPatch(says)}, Exhibit: e, Vetted: true}
	}
	for _, c := range []struct {
		fix    string
		others []Other
		want   bool
	}{
		{"refuse", nil, false},
		{"refuse", []Other{other("refuse it")}, false},
		{"refuse", []Other{other("mend")}, true},
		{"mend", []Other{other("refuse")}, false},
		{"refuse", []Other{{Candidate: Candidate{Fix: toyPatch("mend")}, Exhibit: e}}, false}, // it is refused itself
		{"refuse", []Other{{Candidate: Candidate{Fix: toyPatch("mend")}, Exhibit: Exhibit{Proof: []byte("yE"), Signature: "overflow:g", Frames: []string{"g"}, Workshop: &mender{}}, Vetted: true}}, true},
	} {
		out, err := CheckPatch(t.Context(), Candidate{Fix: toyPatch(c.fix)}, Trial{Exhibits: []Exhibit{e}, Benign: [][]byte{[]byte("word")}, Others: c.others})
		if err != nil {
			t.Fatal(err)
		}
		said := fmt.Sprint(out.Steps)
		if strings.Contains(said, "tells") != c.want || c.want && out.Outcome != Incomplete {
			t.Errorf("%s beside %d: %s, %s", c.fix, len(c.others), out.Outcome, said)
		}
	}
}
