package clearing

import (
	"context"
	"fmt"

	"proofhouse/internal/oracle"
	"proofhouse/internal/proofhouse"
)

// Verdict is what became of a reproduction.
type Verdict string

// The verdicts. Only what is Confirmed ever leaves the house.
const (
	Confirmed        Verdict = "confirmed"
	NotReproduced    Verdict = "not_reproduced"
	Inconclusive     Verdict = "inconclusive"        // broke in some runs only, or in a control too
	OutOfThreatModel Verdict = "out_of_threat_model" // breaks, in a way that the project does not take for a vulnerability
	Infrastructure   Verdict = "infrastructure"      // ours: tried again, never held against a finder
)

// Reproduction is what was seen of one proof on the version that its finder named.
type Reproduction struct {
	Verdict Verdict `json:"verdict"`
	Reason  string  `json:"reason"` // one sentence, for the finder
	// Runs are the proof's own, of which Broke broke.
	Runs  int `json:"runs"`
	Broke int `json:"broke"`
	// Signature and Frames are of the first break: where it shows.
	Signature string   `json:"signature,omitempty"`
	Frames    []string `json:"frames,omitempty"`
	// Controls must not break, but for the null patch, with which the proof must break still, and the proof itself, again.
	Controls []Control `json:"controls,omitempty"`
	// Observations are the proof's runs.
	Observations []oracle.Observation `json:"observations,omitempty"`
	// Report is the first break for a reader, at most 64 KiB.
	Report string `json:"-"`
	// Cause is what lies behind Infrastructure, or a target that does not build, for the operator.
	Cause error `json:"-"`
}

// Control is a run that tells a break of the target from one of the harness or the build.
type Control struct {
	Name  string `json:"name"` // "again", "benign 1", "empty input", "null patch"
	Broke bool   `json:"broke"`
	Want  bool   `json:"want"`
}

// nullPatch changes a build's inputs and nothing that it does.
var nullPatch = []byte("--- /dev/null\n+++ b/PROOFHOUSE-NULL-PATCH\n@@ -0,0 +1 @@\n+nothing\n")

// Attempt is one reproduction to make.
type Attempt struct {
	Proof  []byte
	Benign [][]byte // inputs that must not break; the empty one is always tried
	Runs   int      // 0 is 3
	// Model is the project's threat model; the zero value takes every break for a vulnerability.
	Model ThreatModel
}

// Reproduce runs a proof on the plain build, n of n times, and the controls. What goes wrong on our side is the
// verdict Infrastructure; the error is for the end of ctx.
func Reproduce(ctx context.Context, w Workshop, a Attempt) (Reproduction, error) {
	if a.Runs == 0 {
		a.Runs = 3
	}
	r, err := reproduce(ctx, w, a)
	if ctx.Err() != nil {
		return Reproduction{}, ctx.Err()
	}
	if err == nil {
		r.Verdict, r.Reason = r.judge(a.Model)
		return r, nil
	}
	r.Cause = err
	switch proofhouse.KindOf(err) {
	case proofhouse.Invalid, proofhouse.Failed:
		r.Verdict, r.Reason = NotReproduced, "the target does not build as the finding says: "+proofhouse.PublicOf(err)
	default:
		r.Verdict, r.Reason = Infrastructure, proofhouse.PublicOf(err)
	}
	return r, nil
}

func reproduce(ctx context.Context, w Workshop, a Attempt) (r Reproduction, err error) {
	plain, err := w.Build(ctx)
	if err != nil {
		return r, err
	}
	defer plain.Close()
	sight, err := plain.Observe(ctx, a.Proof, a.Runs)
	if err != nil {
		return r, unavailable(err)
	}
	r.Runs, r.Broke, r.Signature, r.Frames = a.Runs, sight.Broke(), sight.Signature(), sight.Frames
	r.Observations, r.Report = sight.Observations, sight.Report
	if r.Broke < r.Runs {
		return r, nil // the controls could change nothing
	}
	again := Control{Name: againControl, Broke: true, Want: true}
	for n := 0; n < moreRuns && again.Broke; n++ {
		s, err := glance(ctx, plain, a.Proof)
		if err != nil {
			return r, unavailable(err)
		}
		again.Broke = s.Broke() > 0
	}
	r.Controls = append(r.Controls, again)
	for i, input := range append([][]byte{nil}, a.Benign...) {
		name := "empty input"
		if i > 0 {
			name = fmt.Sprintf("benign %d", i)
		}
		s, err := plain.Observe(ctx, input, 1)
		if err != nil {
			return r, unavailable(err)
		}
		r.Controls = append(r.Controls, Control{Name: name, Broke: s.Broke() > 0})
	}
	null, err := w.Build(ctx, nullPatch)
	if err != nil {
		return r, unavailable(err)
	}
	defer null.Close()
	s, err := null.Observe(ctx, a.Proof, 1)
	if err != nil {
		return r, unavailable(err)
	}
	r.Controls = append(r.Controls, Control{Name: "null patch", Broke: s.Broke() > 0, Want: true})
	return r, nil
}

// A proof that breaks every second time, by lot, breaks in three runs of three once in eight: it is given moreRuns glances before it counts, as a control.
const (
	againControl = "again"
	moreRuns     = 5
)

// unavailable makes an error of running, or of what must build, one of ours.
func unavailable(err error) error {
	return proofhouse.Errorf(proofhouse.Unavailable, err, "a box failed while the proof was tried; it is tried again")
}

// judge says what the runs mean. It is pure.
func (r Reproduction) judge(model ThreatModel) (Verdict, string) {
	switch {
	case r.Broke == 0:
		return NotReproduced, fmt.Sprintf("the proof broke nothing in %d runs on the version that it names", r.Runs)
	case r.Broke < r.Runs:
		return Inconclusive, fmt.Sprintf("the proof broke in %d of %d runs: send one that breaks every time", r.Broke, r.Runs)
	}
	for _, c := range r.Controls {
		switch {
		case c.Broke && !c.Want:
			return Inconclusive, "the harness breaks on the control \"" + c.Name + "\" as well: it tells nothing of the proof"
		case !c.Broke && c.Name == againControl:
			return Inconclusive, fmt.Sprintf("the proof broke in %d runs of %d, and then in one of %d more it did not: send one that breaks every time", r.Broke, r.Runs, moreRuns)
		case !c.Broke && c.Want:
			return Inconclusive, "the proof no longer breaks a build with a patch that does nothing: it depends on the layout of the program"
		}
	}
	if why := model.Excludes(r.Signature, r.Frames); why != "" {
		return OutOfThreatModel, "the project's threat model excludes this: " + why
	}
	return Confirmed, fmt.Sprintf("broke in %d of %d runs in fresh boxes, and no control did", r.Broke, r.Runs)
}
