package app

import (
	"testing"

	"proofhouse/internal/bench"
	"proofhouse/internal/chat"
	"proofhouse/internal/clearing"
)

// An answer is an opinion only if its first line is one of the two.
func TestReadOpinion(t *testing.T) {
	for text, want := range map[string]struct {
		ok, real bool
		reason   string
	}{
		"real\nit reads\npast\x1b[31m the end": {true, true, "it reads past\\x1b[31m the end"},
		" **Not real.**\n\n":                   {true, false, "no reason was given"},
		"real":                                 {true, true, ""},
		"real or not":                          {},
		"unreal":                               {},
		"":                                     {},
		"I think it is\nreal":                  {},
	} {
		o, ok := readOpinion([]byte(text))
		if ok != want.ok || o.Real != want.real || ok && o.Reason != want.reason {
			t.Errorf("%q: %v %+v", text, ok, o)
		}
	}
}

// A bound that is set stays one when it is shared and when part of it is spent, however small it is.
func TestShares(t *testing.T) {
	for n := range 9 {
		got := share(bench.Budget{Turns: n, Tokens: int64(n)})
		if (got.Turns == 0) != (n == 0) || got.Turns > n || n >= 4 && got.Turns == n {
			t.Errorf("of %d turns the trials get %d", n, got.Turns)
		}
		for used := range 9 {
			rest, met := left(bench.Budget{Turns: n}, bench.Spent{Turns: used, Usage: chat.Usage{Input: 100}})
			if met != (n > 0 && used >= n) || !met && rest.Turns != max(0, n-used)*min(1, n) || rest.Tokens != 0 {
				t.Errorf("of %d turns, %d used: %+v, met %v", n, used, rest, met)
			}
		}
	}
}

// Inputs that look alike are one line with their count; a doubted one is not among the filed.
func TestCampaignLines(t *testing.T) {
	var r CampaignResult
	add := func(v clearing.Verdict, look, doubt, finding string) {
		l := CampaignLine{Verdict: v, Look: look, Doubt: doubt, Count: 1}
		if finding != "" {
			l.Findings = []string{finding}
		}
		r.add(l)
	}
	add(clearing.NotReproduced, "", "", "")
	add(clearing.Confirmed, "a < b", "", "1")
	add(clearing.Confirmed, "a < c", "", "2")
	add(clearing.Confirmed, "a < b", "no", "")
	add(clearing.Confirmed, "a < b", "", "3")
	add(clearing.Confirmed, "a < b", "", "1")
	r.sort()
	want := []struct{ count, filed int }{{3, 2}, {1, 1}, {1, 0}, {1, 0}}
	if len(r.Lines) != len(want) {
		t.Fatalf("%+v", r.Lines)
	}
	for i, w := range want {
		if l := r.Lines[i]; l.Count != w.count || len(l.Findings) != w.filed {
			t.Errorf("line %d: %+v", i, l)
		}
	}
}
