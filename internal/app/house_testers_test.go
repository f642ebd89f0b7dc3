package app

import (
	"testing"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/docket"
	"proofhouse/internal/proofhouse"
)

// TestTwoTesters has two testing organisations in one case: each goes by its own grant, which ends by itself, neither ends or finishes what is the other's,
// and in a reconsideration the run counts of the one that was appointed, which has not measured before.
func TestTwoTesters(t *testing.T) {
	s := serveHouse(t, t.TempDir(), "")
	s.populate(t)
	id := s.review(t)
	try := func(who string, a docket.Act) error {
		_, err := s.as(who).Do(t.Context(), id, a, wire.Options{Sign: s.keys[who]})
		return err
	}
	refused := func(what string, err error) {
		t.Helper()
		if k := proofhouse.KindOf(err); k != proofhouse.Refused && k != proofhouse.Conflict && k != proofhouse.NotFound {
			t.Errorf("%s: %v", what, err)
		}
	}
	for who, org := range map[string]proofhouse.OrganisationID{"pat": "bank", "al": "audit"} {
		s.do(t, "rita", id, docket.Join{Member: proofhouse.Actor{Organisation: org, Person: proofhouse.PersonID(who), Role: proofhouse.Tester}})
		s.do(t, "ada", id, docket.Lend{Grant: docket.GrantID("for-" + who), To: org})
	}
	lent := func(who string) error {
		l, err := (&Review{Client: s.as(who), Case: id}).lent(t.Context(), RunRequest{})
		if err == nil && l.Subject != docket.Subject(id, docket.GrantID("for-"+who)) {
			t.Errorf("%s runs by %s", who, l.Subject)
		}
		return err
	}
	for _, who := range []string{"pat", "al"} {
		if err := lent(who); err != nil {
			t.Errorf("%s: %v", who, err)
		}
	}
	manifest := houseCriteria().As(docket.Cell{Variant: "canary-variant", Agent: "baseline"})
	s.do(t, "pat", id, docket.StartRun{Run: "run-pat", Registration: 1, Manifest: manifest})
	finish := docket.FinishRun{Run: "run-pat", Evidence: proofhouse.DigestOf([]byte("pat")), Tally: docket.Tally{Solved: 1, Samples: 100}}
	refused("al finishes pat's run", try("al", finish))
	s.do(t, "pat", id, finish)
	refused("al ends pat's grant", try("al", docket.End{Grant: "for-pat"}))
	s.do(t, "ada", id, docket.Reconsider{Reason: "another should look"})
	refused("who has measured already is appointed", try("rita", docket.Appoint{Tester: "bank"}))
	s.do(t, "rita", id, docket.Appoint{Tester: "audit"})
	s.do(t, "ada", id, docket.End{Grant: "for-pat"})
	refused("a run by an ended grant", lent("pat"))
	if err := lent("al"); err != nil {
		t.Errorf("al's grant ended with pat's: %v", err)
	}
	s.do(t, "al", id, docket.StartRun{Run: "run-al", Registration: 1, Manifest: manifest})
	c := s.do(t, "al", id, docket.FinishRun{Run: "run-al", Evidence: proofhouse.DigestOf([]byte("al")), Tally: docket.Tally{Solved: 10, Samples: 100}}).Case
	for _, r := range c.Runs {
		if counts := len(r.Exploratory) == 0; counts != (r.ID != "run-pat") {
			t.Errorf("%s counts: %v %v", r.ID, counts, r.Exploratory)
		}
	}
	// Testers read neither what was said in consultation nor the record.
	if seen, err := s.as("pat").Case(t.Context(), id); err != nil {
		t.Error(err)
	} else {
		for _, x := range seen.Consultations {
			if x.Reason != "" {
				t.Errorf("a tester reads %q", x.Reason)
			}
		}
	}
	if _, err := s.as("pat").Events(t.Context(), id, 0); proofhouse.KindOf(err) != proofhouse.Refused {
		t.Errorf("a tester reads the record: %v", err)
	}
	p := s.proves(t, id)
	if len(p.Case.Wrong) > 0 {
		t.Errorf("the bundle shows %v", p.Case.Wrong)
	}
}
