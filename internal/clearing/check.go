package clearing

import (
	"context"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"proofhouse/internal/oracle"
	"proofhouse/internal/proofhouse"
)

// Candidate is a patch that somebody proposes for a cluster.
type Candidate struct {
	Fix []byte // a unified diff of the project's code
	// Regression is a diff that adds a test which fails without the fix and passes with it; none is nil.
	Regression []byte
	// After are patches that this one is made on top of, in their order; what it is checked against has them.
	After [][]byte
}

// PatchOutcome is what a check came to.
type PatchOutcome string

// The outcomes.
const (
	Verified   PatchOutcome = "verified"
	Refused    PatchOutcome = "refused"
	Incomplete PatchOutcome = "incomplete" // nothing speaks against it, and something could not be shown
)

// PatchCheck is what was seen of a candidate, step by step.
type PatchCheck struct {
	Outcome PatchOutcome `json:"outcome"`
	Reason  string       `json:"reason"` // one sentence
	Steps   []Step       `json:"steps"`
	// Added, Removed and Files are the fix's footprint.
	Added   int64    `json:"added"`
	Removed int64    `json:"removed"`
	Files   []string `json:"files"`
}

// Step is one thing that a check looked at.
type Step struct {
	Name   string     `json:"name"`
	Result StepResult `json:"result"`
	Detail string     `json:"detail,omitempty"`
}

// StepResult is passed, failed or not shown.
type StepResult string

// The results.
const (
	Passed   StepResult = "passed"
	Failed   StepResult = "failed"
	NotShown StepResult = "not shown"
)

// Trial is what a candidate is held to.
type Trial struct {
	Exhibits []Exhibit // all proofs of the cluster; the first's workshop builds and tests
	Benign   [][]byte
	// Known are the signatures that other bugs of the project are known to break with: one of them behind what the patch mends
	// does not speak against it.
	Known []string
	// Budget is how many variations of the proofs are run; 0 is 400, below 0 none.
	Budget int
	Seed   uint64 // of the variations
	Runs   int    // of each proof; 0 is 3
}

// CheckPatch holds a candidate to a trial: it changes nothing but the project's code, builds, stops all proofs and
// their variations, keeps the project's tests and what harmless inputs give, and its own test tells with from without. It stops at the first step
// that fails. The error is for what goes wrong on our side.
func CheckPatch(ctx context.Context, c Candidate, t Trial) (PatchCheck, error) {
	if len(t.Exhibits) == 0 {
		return PatchCheck{}, proofhouse.Errorf(proofhouse.Invalid, nil, "there is no proof to hold the patch to")
	}
	if t.Runs == 0 {
		t.Runs = 3
	}
	if t.Budget == 0 {
		t.Budget = 400
	}
	var err error
	if c.After, err = wholes(c.After...); err != nil {
		return PatchCheck{}, err
	}
	k := &checker{c: c, t: t, plain: map[Workshop]Program{}, fixed: map[Workshop]Program{}}
	defer k.close()
	for _, step := range []struct {
		name string
		run  func(context.Context) (StepResult, string, error)
	}{
		{"changes the project's code alone", k.reads},
		{"builds", k.builds},
		{"stops every proof", k.proofs},
		{"keeps the project's tests", k.tests},
		{"its own test fails without it and passes with it", k.regression},
		{"stops variations of the proofs", k.variations},
		{"keeps what harmless inputs give", k.harmless},
	} {
		result, detail, err := step.run(ctx)
		if err != nil {
			return PatchCheck{}, fmt.Errorf("checking whether it %s: %w", step.name, err)
		}
		k.out.Steps = append(k.out.Steps, Step{step.name, result, detail})
		if result == Failed {
			k.out.Outcome, k.out.Reason = Refused, detail
			return k.out, nil
		}
	}
	k.out.Outcome, k.out.Reason = k.out.conclude()
	return k.out, nil
}

// conclude says what steps mean of which none failed. It is pure.
func (p PatchCheck) conclude() (PatchOutcome, string) {
	var open []string
	for _, s := range p.Steps {
		if s.Result == NotShown {
			open = append(open, s.Detail)
		}
	}
	if len(open) > 0 {
		return Incomplete, strings.Join(open, "; ")
	}
	return Verified, "stops every proof and keeps what the project tests"
}

// checker is one check under way.
type checker struct {
	c            Candidate
	t            Trial
	out          PatchCheck
	plain, fixed map[Workshop]Program
	near         []variation // that break nothing without the fix
}

func (k *checker) close() {
	for _, m := range []map[Workshop]Program{k.plain, k.fixed} {
		for _, p := range m {
			_ = p.Close()
		}
	}
}

// on is what the patch is made on top of, and more.
func (k *checker) on(more ...[]byte) [][]byte { return append(slices.Clone(k.c.After), more...) }

// program is the build of an exhibit's harness, with the fix or without.
func (k *checker) program(ctx context.Context, w Workshop, fixed bool) (Program, error) {
	made, patches := k.plain, k.c.After
	if fixed {
		made, patches = k.fixed, k.on(k.c.Fix)
	}
	if p, ok := made[w]; ok {
		return p, nil
	}
	p, err := w.Build(ctx, patches...)
	if err == nil {
		made[w] = p
	}
	return p, err
}

// Files by which a project is tested or built.
var (
	testFile  = regexp.MustCompile(`(?i)(^|/)(tests?|testdata|__tests__|spec)/|_test\.[a-z]+$|\.(test|spec)\.[cm]?[jt]s$|(^|/)test[^/]*\.(c|cc|go|js|sh|py)$`)
	buildFile = regexp.MustCompile(`(?i)(^|/)(Makefile[^/]*|GNUmakefile|CMakeLists\.txt|configure[^/]*|meson\.build|go\.mod|go\.sum|package(-lock)?\.json|[^/]*\.(mk|cmake|am|ac|sh|toml|yml|yaml))$|(^|/)(harness|driver|fuzz)(/|\.)`)
)

func (k *checker) reads(context.Context) (StepResult, string, error) {
	d, err := ParseDiff(k.c.Fix)
	if err != nil {
		return Failed, proofhouse.PublicOf(err), nil
	}
	k.c.Fix = d.Whole() // what is looked at is what is applied
	k.out.Files = d.Files()
	k.out.Added, k.out.Removed = d.Changed()
	if word := d.swallows(); word != "" {
		return Failed, "the fix adds " + word + ", which hides a break instead of mending what leads to it", nil
	}
	for _, f := range d.Files() {
		switch {
		case testFile.MatchString(f):
			return Failed, "the fix changes " + path.Base(f) + ", a test: bring tests in the regression diff, which may only add", nil
		case buildFile.MatchString(f):
			return Failed, "the fix changes " + path.Base(f) + ", by which the project is built or tried: a fix changes code", nil
		}
	}
	if len(k.c.Regression) == 0 {
		return Passed, "", nil
	}
	r, err := ParseDiff(k.c.Regression)
	if err != nil {
		return Failed, "the regression diff: " + proofhouse.PublicOf(err), nil
	}
	k.c.Regression = r.Whole()
	for _, f := range r.Files() {
		switch {
		case !testFile.MatchString(f):
			return Failed, "the regression diff changes " + path.Base(f) + ", which is no test", nil
		case r.Removes(f):
			return Failed, "the regression diff changes what " + path.Base(f) + " tests now: it may only add", nil
		}
	}
	return Passed, "", nil
}

func (k *checker) builds(ctx context.Context) (StepResult, string, error) {
	for _, e := range k.t.Exhibits {
		if _, err := k.program(ctx, e.Workshop, false); err != nil {
			return "", "", err
		}
		_, err := k.program(ctx, e.Workshop, true)
		if err == nil {
			continue
		}
		switch proofhouse.KindOf(err) {
		case proofhouse.Invalid:
			return Failed, "the patch does not fit this version: " + proofhouse.PublicOf(err), nil
		case proofhouse.Failed:
			return Failed, "the project does not build with the patch", nil
		default:
			return "", "", err
		}
	}
	return Passed, "", nil
}

func (k *checker) proofs(ctx context.Context) (StepResult, string, error) {
	for i, e := range k.t.Exhibits {
		p, err := k.program(ctx, e.Workshop, true)
		if err != nil {
			return "", "", err
		}
		s, err := p.Observe(ctx, e.Proof, k.t.Runs)
		if err != nil {
			return "", "", err
		}
		if s.Broke() > 0 || s.Bounded() {
			return Failed, fmt.Sprintf("proof %d of %d still breaks the patched build", i+1, len(k.t.Exhibits)), nil
		}
		if !returned(s) {
			return Failed, silenced, nil
		}
	}
	return Passed, fmt.Sprintf("%d proofs, %d runs each", len(k.t.Exhibits), k.t.Runs), nil
}

func (k *checker) tests(ctx context.Context) (StepResult, string, error) {
	w := k.t.Exhibits[0].Workshop
	before, err := w.Test(ctx, k.on()...)
	switch {
	case proofhouse.KindOf(err) == proofhouse.NotFound:
		return NotShown, "the project's tests were not run, since the target names none", nil
	case err != nil:
		return "", "", err
	case !before.Passed():
		return NotShown, "the project's tests fail without the patch already", nil
	}
	after, err := w.Test(ctx, k.on(k.c.Fix)...)
	switch {
	case err != nil:
		return "", "", err
	case !after.Passed():
		return Failed, "the project's tests fail with the patch", nil
	}
	return Passed, "", nil
}

func (k *checker) regression(ctx context.Context) (StepResult, string, error) {
	if len(k.c.Regression) == 0 {
		return NotShown, "there is no regression test", nil
	}
	w := k.t.Exhibits[0].Workshop
	before, err := w.Test(ctx, k.on(k.c.Regression)...)
	switch {
	case proofhouse.KindOf(err) == proofhouse.NotFound:
		return NotShown, "the regression test was not run, since the target names no command for tests", nil
	case proofhouse.KindOf(err) == proofhouse.Invalid:
		return Failed, "the regression diff does not fit this version", nil
	case err != nil:
		return "", "", err
	case before.Passed():
		return Failed, "the regression test passes without the patch", nil
	}
	after, err := w.Test(ctx, k.on(k.c.Fix, k.c.Regression)...)
	switch {
	case proofhouse.KindOf(err) == proofhouse.Invalid:
		return Failed, "the regression diff does not fit the patched version", nil
	case err != nil:
		return "", "", err
	case !after.Passed():
		return Failed, "the regression test fails with the patch", nil
	}
	return Passed, "", nil
}

// variations holds the fix to inputs that are not among the proofs but break in the same place.
func (k *checker) variations(ctx context.Context) (StepResult, string, error) {
	if k.t.Budget < 0 {
		return NotShown, "no variation of a proof was tried", nil
	}
	share := max(k.t.Budget/len(k.t.Exhibits), 64)
	breaking, elsewhere := 0, ""
	var all []variation
	known := map[string]bool{}
	for _, s := range k.t.Known {
		known[s] = true
	}
	for i, e := range k.t.Exhibits {
		plain, err := k.program(ctx, e.Workshop, false)
		if err != nil {
			return "", "", err
		}
		x, err := explore(ctx, plain, e, k.t.Benign, share, k.t.Seed+uint64(i)) //nolint:gosec // never below 0
		if err != nil {
			return "", "", err
		}
		breaking += len(x.breaking)
		all, k.near = append(all, x.breaking...), append(k.near, x.near...)
		maps.Copy(known, x.other)
	}
	for _, v := range all {
		fixed, err := k.program(ctx, v.of.Workshop, true)
		if err != nil {
			return "", "", err
		}
		s, err := fixed.Observe(ctx, v.input, 1)
		if err != nil {
			return "", "", err
		}
		switch {
		case s.Broke() > 0 && kin(v.of, s):
			return Failed, "a variation of a proof still breaks the patched build", nil
		case s.Broke() > 0 && !known[s.Signature()]:
			elsewhere = s.Signature()
		case s.Broke() == 0 && !s.Bounded() && !returned(s):
			return Failed, silenced, nil
		}
	}
	if elsewhere != "" {
		return NotShown, "a variation of a proof breaks the patched build in another way (" + elsewhere + "): it is another bug behind this one, or the patch's own", nil
	}
	if breaking == 0 {
		return Passed, "no variation broke the project as the proofs do", nil
	}
	return Passed, fmt.Sprintf("%d variations", breaking), nil
}

// silenced is what is wrong with a fix that makes the program end instead of breaking.
const silenced = "with the patch the program ends itself where it broke, instead of coming back to its caller"

func returned(s oracle.Sight) bool {
	return !slices.ContainsFunc(s.Observations, func(o oracle.Observation) bool { return !o.Broke && !o.Returned })
}

// harmless compares what the program gives, by exit status and output, with the fix and without.
func (k *checker) harmless(ctx context.Context) (StepResult, string, error) {
	w := k.t.Exhibits[0].Workshop
	plain, err := k.program(ctx, w, false)
	if err != nil {
		return "", "", err
	}
	fixed, err := k.program(ctx, w, true)
	if err != nil {
		return "", "", err
	}
	for _, input := range k.t.Benign {
		before, err := plain.Observe(ctx, input, 1)
		if err != nil {
			return "", "", err
		}
		after, err := fixed.Observe(ctx, input, 1)
		if err != nil {
			return "", "", err
		}
		switch {
		case before.Broke() > 0:
		case after.Broke() > 0 || after.Bounded():
			return Failed, "a harmless input breaks the patched build", nil
		case !alike(before, after):
			return Failed, "a harmless input gives something else with the patch", nil
		}
	}
	other := 0
	for _, v := range k.near {
		p, err := k.program(ctx, v.of.Workshop, true)
		if err != nil {
			return "", "", err
		}
		after, err := p.Observe(ctx, v.input, 1)
		switch {
		case err != nil:
			return "", "", err
		case after.Broke() > 0 || after.Bounded():
			return Failed, "an input that the project survived breaks the patched build", nil
		case !alike(v.sight, after):
			other++
		}
	}
	if 2*other > len(k.near) {
		return Failed, fmt.Sprintf("%d of %d inputs that only just break nothing give something else with the patch: it cuts more than the bug", other, len(k.near)), nil
	}
	return Passed, fmt.Sprintf("%d harmless inputs, %d that only just break nothing", len(k.t.Benign), len(k.near)), nil
}

// alike says whether two runs gave the same, as far as the program shows.
func alike(a, b oracle.Sight) bool {
	if len(a.Observations) == 0 || len(b.Observations) == 0 {
		return false
	}
	x, y := a.Observations[0], b.Observations[0]
	return x.Exit == y.Exit && x.Signal == y.Signal && x.Raw["stdout"] == y.Raw["stdout"]
}
