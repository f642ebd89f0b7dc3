package docket

import (
	"testing"

	"proofhouse/internal/proofhouse"
)

func TestCite(t *testing.T) {
	rules := profile(t, "institute")
	cite := Cite{"case-0", []proofhouse.Digest{digestOf("earlier run")}, "the same weights, another system prompt"}
	c, now := play(t, rules, consulted(50)...)
	for name, bad := range map[string]Cite{
		"itself":     {c.ID, cite.Evidence, cite.Delta},
		"no case":    {"", cite.Evidence, cite.Delta},
		"no delta":   {cite.Case, cite.Evidence, ""},
		"nothing":    {cite.Case, nil, cite.Delta},
		"no digest":  {cite.Case, []proofhouse.Digest{"run-1"}, cite.Delta},
		"twice":      {cite.Case, []proofhouse.Digest{digestOf("x"), digestOf("x")}, cite.Delta},
		"everything": {cite.Case, make([]proofhouse.Digest, maxList+1), cite.Delta},
	} {
		if _, err := c.Apply(Event{evaluator, bad}, now); proofhouse.KindOf(err) != proofhouse.Invalid {
			t.Errorf("%s: got %v", name, err)
		}
	}
	refused(t, c, consultee, cite, now, proofhouse.Refused)
	determine := Determine{Outcome: Undetermined, Registration: 1}
	before := string(determine.text(c, authority))
	c, _ = play(t, rules, append(consulted(50), step{evaluator, cite, 0})...)
	if outcome, runs := c.Propose(1); outcome != Undetermined || len(runs) != 1 {
		t.Errorf("what is cited counts: %s, %v", outcome, runs)
	}
	if string(determine.text(c, authority)) == before {
		t.Error("the authority does not sign what is cited")
	}
	if c.Citations[0].Evidence[0] != digestOf("earlier run") {
		t.Errorf("cited is %+v", c.Citations)
	}
}
