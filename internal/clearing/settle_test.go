package clearing

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"proofhouse/internal/oracle"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/target"
)

// toy is a workshop whose patches say which inputs they stop, a word each, in the lines that they add. An input of words breaks in the sink of the
// first one that nothing stops: what is before its digit. A patch's "a*" stops all words that begin with a.
type toy struct {
	sinks  map[byte]string // by the first letter of a word
	broken func(input []byte) bool
	strict bool // patches that stop the same word do not fit each other
}

func toyPatch(words string) []byte {
	return fmt.Appendf(nil, "--- a/x.c\n+++ b/x.c\n@@ -1,1 +1,2 @@\n one\n+%s\n", words)
}

func (w *toy) Build(_ context.Context, patches ...[]byte) (Program, error) {
	var words []string
	for _, p := range patches {
		_, added, _ := strings.Cut(string(p), "\n+++ b/x.c\n")
		for l := range strings.Lines(added) {
			if l[0] != '+' {
				continue
			}
			for _, word := range strings.Fields(l[1:]) {
				if w.strict && slices.Contains(words, word) {
					return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "the patch does not fit")
				}
				words = append(words, word)
			}
		}
	}
	return &toyProgram{w, words}, nil
}

func (w *toy) Test(context.Context, ...[]byte) (target.Tested, error) {
	return target.Tested{}, proofhouse.Errorf(proofhouse.NotFound, nil, "there are no tests")
}

type toyProgram struct {
	w       *toy
	stopped []string
}

func (p *toyProgram) Close() error { return nil }

func (p *toyProgram) Observe(_ context.Context, input []byte, n int) (oracle.Sight, error) {
	var s oracle.Sight
	o := oracle.Observation{Returned: true}
	if p.w.broken != nil && p.w.broken(input) {
		o = oracle.Observation{Broke: true, Class: "overflow", Function: "f", Symptom: oracle.Crash}
		s.Frames = []string{"f"}
	}
	for _, word := range strings.Fields(string(input)) {
		if sink := p.w.sinks[word[0]]; sink != "" && !slices.Contains(p.stopped, word) && !slices.Contains(p.stopped, word[:1]+"*") {
			o = oracle.Observation{Broke: true, Class: "overflow", Function: sink, Symptom: oracle.Crash}
			s.Frames = []string{sink}
			break
		}
	}
	for range n {
		s.Observations = append(s.Observations, o)
	}
	return s, nil
}

// TestSettle holds patches to each other: what a variation shows may be of another bug, and a patch that mends less than another is not excused by a third.
func TestSettle(t *testing.T) {
	w := &toy{sinks: map[byte]string{'a': "f", 'b': "f", 'm': "g", 'n': "h"}, strict: true}
	of := func(input string) Exhibit {
		p, _ := w.Build(t.Context())
		s, _ := p.Observe(t.Context(), []byte(input), 1)
		return Exhibit{Proof: []byte(input), Signature: s.Signature(), Frames: s.Frames, Workshop: w}
	}
	patch := func(proof, words, open, beyond string, after ...string) *rival {
		r := &rival{Other: Other{Candidate: Candidate{Fix: toyPatch(words)}, Exhibit: of(proof)}}
		for _, a := range after {
			r.After = append(r.After, toyPatch(a))
		}
		if open != "" {
			r.open = []variation{{of: r.Exhibit, input: []byte(open)}}
		}
		if beyond != "" {
			p, _ := w.Build(t.Context(), r.on(r.Fix)...)
			s, _ := p.Observe(t.Context(), []byte(beyond), 1)
			r.beyond = []variation{{of: r.Exhibit, input: []byte(beyond), sight: s}}
		}
		return r
	}
	aside := func(r *rival, inputs ...string) *rival {
		for _, input := range inputs {
			r.aside = append(r.aside, variation{of: of(input), input: []byte(input)})
		}
		return r
	}
	two := func(r *rival, other string) *rival {
		r.Fix = fmt.Appendf(nil, "--- a/x.c\n+++ b/x.c\n@@ -1,2 +1,4 @@\n one\n+%s\n two\n+%s\n", r.Exhibit.Proof, other)
		return r
	}
	fixA := func() *rival { return patch("a1", "a1 a2", "b1", "") }
	fixB := func() *rival { return patch("b1", "b1 b2", "a1", "") }
	for _, c := range []struct {
		name string
		all  []*rival
		want string // which stay
		at   string // what is behind the first
	}{
		{"two bugs with one sink", []*rival{fixA(), fixB()}, "01", ""},
		{"nothing to explain it by", []*rival{fixA()}, "", ""},
		{"of both bugs", []*rival{patch("a1", "a1 a2", "a1 b2", ""), fixB()}, "01", ""},
		{"half, and the whole of it", []*rival{patch("a1", "a1", "a2", ""), patch("a2", "a2", "a1", ""), patch("a1", "a1 a2", "", "")}, "2", ""},
		{"half, and the other half", []*rival{patch("a1", "a1", "a2", ""), patch("a2", "a2", "a1", "")}, "01", ""},
		{"half, with another bug's fix", []*rival{patch("a1", "a1", "a2", ""), fixB(), fixA()}, "12", ""},
		{"hides what another shows", []*rival{patch("a1", "a1 b1", "b2", ""), fixA(), fixB()}, "12", ""},
		{"hides it, before the others", []*rival{fixA(), patch("b1", "a1 b1", "b2", ""), fixB()}, "02", ""},
		{"a third bug behind the other", []*rival{patch("a1", "a1 a2", "b1 m1", ""), fixB()}, "01", ""},
		{"made on top of the other", []*rival{fixA(), fixB(), patch("b1", "b1 b2", "", "", "a1 a2")}, "012", ""},
		{"behind it", []*rival{patch("a1", "a1 a2", "", "a1 m1"), patch("a2 m2", "m1 m2", "", "", "a1 a2")}, "01", ""},
		{"behind it, in a commit with more", []*rival{patch("a1", "a1 a2 z1", "", "a1 m1"), patch("a2 m2", "m1 m2", "", "", "a1 a2")}, "01", ""},
		{"behind what mends nothing of it", []*rival{patch("a1", "a1 a2 z1", "", "a1 m1"), patch("a2 m2", "m1 m2", "", "", "a2")}, "01", "overflow:g"},
		{"behind it and a third", []*rival{patch("a1", "a1 a2 z1", "", "a1 m1 n1"), patch("a1 n1", "n1", "", "", "a1 m1")}, "01", "overflow:g"},
		{"its own", []*rival{patch("a1", "a1 a2", "", "a1 m1"), fixB()}, "01", "overflow:g"},
		{"one cause, mended in one place", []*rival{aside(patch("a1", "a1", "", ""), "m1"), patch("a1", "a1 m1", "", "")}, "1", ""},
		{"two causes, mended in one commit", []*rival{aside(patch("a1", "a1", "", ""), "m1"), two(patch("a1", "", "", ""), "m1")}, "01", ""},
		{"a break elsewhere that nothing mends", []*rival{aside(patch("a1", "a1", "", ""), "m1"), patch("a1", "a1 a2", "", "")}, "01", ""},
	} {
		s := settling{matrix: &Matrix{}, all: slices.Clone(c.all)}
		if err := s.settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		got := ""
		for i, r := range c.all {
			if slices.Contains(s.all, r) {
				got += fmt.Sprint(i)
			}
		}
		at, err := s.elsewhere(t.Context(), c.all[0])
		if err != nil {
			t.Fatal(err)
		}
		if got != c.want || at != c.at {
			t.Errorf("%s: %q stay, %q behind; want %q, %q", c.name, got, at, c.want, c.at)
		}
	}
	// One that waits itself explains nothing if it is of the same bug.
	s := settling{matrix: &Matrix{}, all: []*rival{patch("a1", "a1", "a2", ""), patch("a2", "a1 a2", "b1", "")}}
	if ok, err := s.holds(t.Context(), s.all[0]); ok || err != nil {
		t.Errorf("half, with the whole of it that waits: %v, %v", ok, err)
	}
}

// signed is the number with a sign that a record of S begins with.
func signed(b []byte) int {
	if len(b) < 5 || b[0] != 'S' || int(b[1])<<8|int(b[2]) != len(b)-3 {
		return 0
	}
	return int(int16(b[3])<<8 | int16(b[4]))
}

// TestExplore finds what wrong patches leave: the inputs next to where a break begins.
func TestExplore(t *testing.T) {
	line := []byte("set:%09abc\n")
	for _, c := range []struct {
		name          string
		proof         string
		benign        []string
		breaks, finds func([]byte) bool
	}{
		{
			"a byte that a text escapes", "get:aa\nset:%29abc\nget:b\n",
			[]string{"get:a\nset:%01b\n", "set:%02\nget:ab\n"},
			func(b []byte) bool {
				_, r, ok := bytes.Cut((view{true}).decode(b), []byte("set:"))
				return ok && len(r) > 0 && r[0] >= 0x1d
			}, func(b []byte) bool { return bytes.Contains(b, []byte("set:%1d")) },
		},
		{
			"a record of another kind", "get:a\nset:bbb\n",
			[]string{"get:a\nwide:a\n", "set:a\nget:b\n"},
			func(b []byte) bool {
				return bytes.Contains(b, []byte("set:bbb\n")) || bytes.Contains(b, []byte("wide:bbb\n"))
			},
			func(b []byte) bool { return bytes.Contains(b, []byte("wide:bbb\n")) },
		},
		{
			"two numbers of two bytes", "G\x00\x04\x01\x00\x01\x00",
			[]string{"G\x00\x04\x00\x01\x00\x01G\x00\x04\x00\x01\x00\x01"},
			func(b []byte) bool {
				return len(b) == 7 && b[3] < 5 && b[5] < 5 && (int(b[3])<<8|int(b[4]))*(int(b[5])<<8|int(b[6])) > 65535
			},
			func(b []byte) bool { // where it begins, in both
				w, h := int(b[3])<<8|int(b[4]), int(b[5])<<8|int(b[6])
				return h < 256 && w*(h-1) <= 65535
			},
		},
		{
			"a number that may be too great and below nothing", "S\x00\x08\xff\xc0abcdef",
			[]string{"S\x00\x04\x00\x01abS\x00\x05\x00\x02cde"},
			func(b []byte) bool { return signed(b) < 0 || signed(b)+len(b)-5 > 40 },
			func(b []byte) bool { return signed(b)+len(b)-5 == 41 },
		},
	} {
		w := &toy{broken: c.breaks}
		p, _ := w.Build(t.Context())
		s, _ := p.Observe(t.Context(), []byte(c.proof), 1)
		if s.Broke() == 0 {
			t.Fatalf("%s: the proof breaks nothing", c.name)
		}
		var benign [][]byte
		for _, b := range c.benign {
			benign = append(benign, []byte(b))
		}
		x, err := atlas(nil).explore(t.Context(), p, Exhibit{Proof: []byte(c.proof), Signature: s.Signature(), Frames: s.Frames, Workshop: w}, nil, benign, 800, 0)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(x.breaking, func(v variation) bool { return c.finds(v.input) }) {
			t.Errorf("%s: not found among %d", c.name, len(x.breaking))
		}
	}
	if v := viewOf(line, nil); !bytes.Equal(v.encode(v.decode(line)), line) {
		t.Error("a view changes what it shows")
	}
}
