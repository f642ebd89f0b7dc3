package clearing

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"proofhouse/internal/oracle"
	"proofhouse/internal/proofhouse"
)

// bounded is a program that breaks of too great a record A once a record F follows; with a patch it refuses records A that are greater than patched says.
// An input with an R in it breaks every second time, by lot.
type bounded struct {
	toy
	class   string
	patched int
	lots    *rand.Rand
}

type boundedProgram struct {
	*bounded
	fixed bool
}

func (w *bounded) Build(_ context.Context, patches ...[]byte) (Program, error) {
	return boundedProgram{w, len(patches) > 0}, nil
}

func (boundedProgram) Close() error { return nil }

func (p boundedProgram) Observe(_ context.Context, input []byte, n int) (s oracle.Sight, err error) {
	for range n {
		o := oracle.Observation{Returned: true}
		var out string
		great := false
		_, records, _ := shape{lead: 1, length: field{width: 2}}.split(input)
		for _, r := range records {
			switch {
			case r[0] == 'A' && p.fixed && len(r)-3 > p.patched:
				out += "no "
			case r[0] == 'A':
				great = great || len(r)-3 > 40
				out += fmt.Sprint("A", len(r)-3, " ")
			case r[0] == 'F' && great && (p.class != "heap-buffer-overflow" || len(records[0])-3 < 70):
				o = oracle.Observation{Broke: true, Class: p.class, Function: "f", Symptom: oracle.Crash}
				s.Frames = []string{"f"}
			case bytes.Contains(r, []byte("R")) && p.lots.IntN(2) == 0:
				o = oracle.Observation{Broke: true, Class: p.class, Function: "g", Symptom: oracle.Crash}
				s.Frames = []string{"g"}
			default:
				out += string(r)
			}
		}
		if !o.Broke {
			o.Raw = map[string]proofhouse.Digest{"stdout": proofhouse.DigestOf([]byte(out))}
		}
		s.Observations = append(s.Observations, o)
	}
	return s, nil
}

// TestCutsMore: a patch that refuses what only just breaks nothing cuts more than the bug, but not where what is compared lacks a record without which nothing
// breaks, where the stack is what runs out, or where the program draws lots.
func TestCutsMore(t *testing.T) {
	record := func(kind string, n int) []byte {
		return append([]byte{kind[0], 0, byte(n)}, bytes.Repeat([]byte("x"), n)...)
	}
	proof := append(record("A", 60), record("F", 0)...)
	for _, c := range []struct {
		name    string
		class   string
		patched int
		benign  [][]byte
		want    PatchOutcome
	}{
		{"as far as it breaks", "overflow", 40, [][]byte{append(record("A", 2), record("F", 0)...)}, Incomplete},
		{"more than breaks", "overflow", 5, [][]byte{append(record("A", 2), record("F", 0)...)}, Refused},
		{"more than breaks, of the stack", "stack-overflow", 5, [][]byte{append(record("A", 2), record("F", 0)...)}, Incomplete},
		{"more than breaks, of the stack, in Go", "stack overflow", 5, [][]byte{append(record("A", 2), record("F", 0)...)}, Incomplete},
		{"and hides what is greater", "heap-buffer-overflow", 40, [][]byte{append(record("A", 2), record("F", 0)...)}, Incomplete},
		{"with lots", "overflow", 40, [][]byte{append(record("A", 2), record("F", 0)...), append(record("A", 3), 'R', 0, 2, 'R', 'R'), append(record("A", 5), 'R', 0, 1, 'R')}, Incomplete},
	} {
		w := &bounded{class: c.class, patched: c.patched, lots: rand.New(rand.NewPCG(1, 2))}
		e := Exhibit{Proof: proof, Signature: c.class + ":f", Frames: []string{"f"}, Workshop: w}
		out, err := CheckPatch(t.Context(), Candidate{Fix: toyPatch("a1")}, Trial{Exhibits: []Exhibit{e}, Benign: c.benign})
		if err != nil {
			t.Fatal(err)
		}
		if out.Outcome != c.want {
			t.Errorf("%s: %s: %s", c.name, out.Outcome, out.Steps)
		}
	}
}

// TestReproduceByLot: a proof that broke in each of three runs and in a later one not is not confirmed.
func TestReproduceByLot(t *testing.T) {
	for breaks, want := range map[int]Verdict{2: Inconclusive, 3: Inconclusive, 7: Inconclusive, 1000: Confirmed} {
		runs := 0
		w := &toy{broken: func(input []byte) bool {
			if string(input) != "proof" {
				return false
			}
			runs++
			return runs <= breaks
		}}
		p, _ := w.Build(t.Context())
		r, err := Reproduce(t.Context(), oneByOne{w, p}, Attempt{Proof: []byte("proof")})
		if err != nil || r.Verdict != want {
			t.Errorf("that breaks %d times: %s, %s, %v", breaks, r.Verdict, r.Reason, err)
		}
	}
}

// oneByOne asks a program for each run.
type oneByOne struct {
	Workshop
	program Program
}

func (o oneByOne) Build(context.Context, ...[]byte) (Program, error) { return o, nil }

func (oneByOne) Close() error { return nil }

func (o oneByOne) Observe(ctx context.Context, input []byte, n int) (all oracle.Sight, err error) {
	for range n {
		s, err := o.program.Observe(ctx, input, 1)
		if err != nil {
			return all, err
		}
		all.Observations = append(all.Observations, s.Observations...)
		if all.Frames == nil {
			all.Frames = s.Frames
		}
	}
	return all, nil
}
