package bench

import "testing"

func TestComparePairsScoredSamplesOfOneSuite(t *testing.T) {
	sample := func(task string, status SampleStatus, solved bool) Sample {
		return Sample{Task: "open-1/a", Epoch: 1, Cluster: task, Status: status, Score: Score{Solved: solved}}
	}
	suite := SuiteRef{Name: "open-1", Digest: "sha256:1"}
	a, b := Result{Suite: suite}, Result{Suite: suite}
	for i, c := range []struct {
		a, b             SampleStatus
		solvedA, solvedB bool
	}{
		{Scored, Scored, true, false},
		{Scored, Scored, true, true},
		{Scored, Errored, true, false},
		{Cancelled, Scored, true, false},
	} {
		x, y := sample("c", c.a, c.solvedA), sample("c", c.b, c.solvedB)
		x.Epoch, y.Epoch = i+1, i+1
		a.Samples, b.Samples = append(a.Samples, x), append(b.Samples, y)
	}
	a.Samples = append(a.Samples, Sample{Task: "open-1/alone", Epoch: 1, Status: Scored})
	if d := Compare(a, b); d.Pairs != 2 || d.OnlyA != 1 || d.OnlyB != 0 || d.Mean != 0.5 {
		t.Errorf("%+v, want 2 pairs, 1 of them solved by the first alone", d)
	}
	b.Suite.Digest = "sha256:2"
	if d := Compare(a, b); d.Pairs != 0 {
		t.Errorf("%d pairs of different suites", d.Pairs)
	}
}
