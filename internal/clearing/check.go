package clearing

import (
	"context"
	"fmt"
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
	// Others are how many patches of other proofs it was held against; more of them may show that what speaks against it is another bug's.
	Others int `json:"others,omitempty"`
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
	// Others are patches that were brought for other proofs of the project: a variation that one of them stops is of another bug.
	Others []Other
	// Budget is how many variations of the proofs are run; 0 is 800, below 0 none.
	Budget int
	Seed   uint64 // of the variations
	Runs   int    // of each proof; 0 is 3

	atlas  atlas
	matrix *Matrix
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
		t.Budget = variationBudget
	}
	var err error
	if c.After, err = wholes(c.After...); err != nil {
		return PatchCheck{}, err
	}
	r, out, err := look(ctx, c, t)
	if err != nil || out.Outcome == Refused {
		return out, err
	}
	if t.matrix == nil {
		t.matrix = &Matrix{Runs: t.Runs}
		defer t.matrix.Close()
	}
	s := settling{matrix: t.matrix, all: []*rival{r}}
	for _, o := range t.Others {
		s.all = append(s.all, &rival{Other: o})
	}
	holds, err := s.holds(ctx, r)
	if err != nil {
		return PatchCheck{}, err
	}
	return s.conclude(ctx, r, out, holds)
}

// look goes through all steps, and leaves open what variations show.
func look(ctx context.Context, c Candidate, t Trial) (*rival, PatchCheck, error) {
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
		{variationStep, k.variations},
		{harmlessStep, k.harmless},
	} {
		result, detail, err := step.run(ctx)
		if err != nil {
			return nil, PatchCheck{}, fmt.Errorf("checking whether it %s: %w", step.name, err)
		}
		k.out.Steps = append(k.out.Steps, Step{step.name, result, detail})
		if result == Failed {
			k.out.Outcome, k.out.Reason = Refused, detail
			return nil, k.out, nil
		}
	}
	return &rival{Other: Other{Candidate: k.c, Exhibit: t.Exhibits[0]}, open: k.open, beyond: k.beyond, aside: k.aside, mended: k.mended}, k.out, nil
}

const (
	variationStep = "stops variations of the proofs"
	harmlessStep  = "keeps what harmless inputs give"
)

// Waits says that a patch is refused for nothing but variations of its proof, which may be found to be of another bug.
func (p PatchCheck) Waits() bool {
	return p.Outcome == Refused && slices.ContainsFunc(p.Steps, func(s Step) bool { return s.Name == variationStep && s.Result == Failed && s.Detail == varied })
}

// varied is what speaks against a patch that mends less than its bug.
const varied = "a variation of a proof still breaks the patched build"

// conclude says what a check came to, once it is told whether what is left open is of other bugs.
func (s *settling) conclude(ctx context.Context, r *rival, out PatchCheck, holds bool) (PatchCheck, error) {
	out.Others = len(s.all) - 1
	step := &out.Steps[slices.IndexFunc(out.Steps, func(s Step) bool { return s.Name == variationStep })]
	if !holds {
		step.Result, step.Detail = Failed, varied
		out.Outcome, out.Reason = Refused, varied
		return out, nil
	}
	at, err := s.elsewhere(ctx, r)
	switch {
	case err != nil:
		return PatchCheck{}, err
	case at != "":
		step.Result, step.Detail = NotShown, "a variation of a proof breaks the patched build in another way ("+at+"): it is another bug behind this one, or the patch's own"
	case len(r.open) > 0:
		step.Detail += fmt.Sprintf(", %d of other bugs", len(r.open))
	}
	blunt, err := s.blunt(ctx, r)
	if err != nil {
		return PatchCheck{}, err
	}
	if blunt != "" {
		kept := &out.Steps[slices.IndexFunc(out.Steps, func(s Step) bool { return s.Name == harmlessStep })]
		kept.Result, kept.Detail = NotShown, blunt
	}
	out.Outcome, out.Reason = out.conclude()
	return out, nil
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
	// Variations that break the patched build, as the proof did and in another way, which is what they show here.
	open, beyond []variation
	aside        []variation // that break in another place, with the patch and without
	mended       []variation // that the patch stops
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
		x, err := k.t.atlas.explore(ctx, plain, e, k.c.After, k.t.Benign, share, k.t.Seed+uint64(i)) //nolint:gosec // never below 0
		if err != nil {
			return "", "", err
		}
		all, k.near = append(all, x.breaking...), append(k.near, x.near...)
		for _, v := range x.aside {
			known[v.of.Signature] = true
		}
		if err := k.leaves(ctx, x.aside); err != nil {
			return "", "", err
		}
	}
	for _, v := range all {
		fixed, err := k.program(ctx, v.of.Workshop, true)
		if err != nil {
			return "", "", err
		}
		s, err := glance(ctx, fixed, v.input)
		if err == nil && s.Broke() > 0 {
			s, err = fixed.Observe(ctx, v.input, 1)
		}
		if err != nil {
			return "", "", err
		}
		switch {
		case s.Broke() > 0 && kin(v.of, s):
			if k.open = append(k.open, v); len(k.open) == maxOpen {
				return Passed, "many variations still break", nil
			}
		case s.Broke() > 0 && !known[s.Signature()]:
			k.beyond = append(k.beyond, variation{v.of, v.input, s, v.close})
		case s.Broke() > 0, s.Bounded():
		case !returned(s):
			return Failed, silenced, nil
		default:
			k.mended = append(k.mended, variation{v.of, v.input, s, v.close})
		}
	}
	if len(all) == 0 {
		return Passed, "no variation broke the project as the proofs do", nil
	}
	return Passed, fmt.Sprintf("%d variations", len(all)), nil
}

// leaves keeps those of the variations that broke in another place which do so with the patch too.
func (k *checker) leaves(ctx context.Context, aside []variation) error {
	for _, v := range aside {
		fixed, err := k.program(ctx, v.of.Workshop, true)
		if err != nil {
			return err
		}
		s, err := fixed.Observe(ctx, v.input, 1)
		if err != nil {
			return err
		}
		if s.Broke() > 0 && s.Signature() == v.of.Signature {
			k.aside = append(k.aside, v)
		}
	}
	return nil
}

// maxOpen is how many variations that still break are kept, to be told whose they are.
const maxOpen = 64

// variationBudget is how many variations are run where nothing else is said.
const variationBudget = 800

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
		case after.Broke() == 0 && !after.Bounded() && alike(before, after):
		default:
			switch again, err := steady(ctx, plain, input, before, steadyRuns); {
			case err != nil:
				return "", "", err
			case !again:
			case after.Broke() > 0 || after.Bounded():
				return Failed, "a harmless input breaks the patched build", nil
			default:
				return Failed, "a harmless input gives something else with the patch", nil
			}
		}
	}
	other, close := 0, 0
	var next, far []variation
	for _, v := range k.near {
		if v.close {
			next = append(next, v)
		} else {
			far = append(far, v)
		}
	}
	for _, v := range append(spread(next, maxNear), spread(far, maxNear)...) {
		p, err := k.program(ctx, v.of.Workshop, true)
		if err != nil {
			return "", "", err
		}
		after, err := p.Observe(ctx, v.input, 1)
		if err != nil {
			return "", "", err
		}
		if v.close {
			close++
		}
		breaks := after.Broke() > 0 || after.Bounded()
		if !breaks && (!v.close || alike(v.sight, after)) {
			continue
		}
		was, err := k.program(ctx, v.of.Workshop, false)
		if err != nil {
			return "", "", err
		}
		runs := 2
		if breaks {
			runs = steadyRuns
		}
		switch again, err := steady(ctx, was, v.input, v.sight, runs); {
		case err != nil:
			return "", "", err
		case !again:
		case breaks:
			return Failed, "an input that the project survived breaks the patched build", nil
		default:
			other++
		}
	}
	if 2*other > close && !deep(k.t.Exhibits[0].Signature) {
		return Failed, fmt.Sprintf("%d of %d inputs that only just break nothing give something else with the patch: it cuts more than the bug", other, close), nil
	}
	return Passed, fmt.Sprintf("%d harmless inputs, %d that only just break nothing, of which it changes %d", len(k.t.Benign), close, other), nil
}

// deep says whether a break is of a stack that ran out: a bound that keeps from it lies far below what just does not break.
func deep(signature string) bool {
	class, _, _ := strings.Cut(signature, ":")
	return class == "stack overflow" || class == "stack-overflow"
}

// steadyRuns is how often an input is run again before it is held against a patch that its build breaks: a program that draws lots breaks by turns, and one
// that breaks every second time stays whole in so many runs once in a thousand.
const steadyRuns = 10

// steady says whether a build does with an input, run after run, what it did once.
func steady(ctx context.Context, p Program, input []byte, once oracle.Sight, runs int) (bool, error) {
	for range runs {
		s, err := p.Observe(ctx, input, 1)
		if err != nil || s.Broke() > 0 || s.Bounded() || !alike(once, s) {
			return false, err
		}
	}
	return true, nil
}

// maxNear is how many inputs that only just break nothing are compared.
const maxNear = 80

// spread takes at most n of a list, from all over it.
func spread(all []variation, n int) []variation {
	if len(all) <= n {
		return all
	}
	var some []variation
	for i := range n {
		some = append(some, all[i*len(all)/n])
	}
	return some
}

// alike says whether two runs gave the same, as far as the program shows.
func alike(a, b oracle.Sight) bool {
	if len(a.Observations) == 0 || len(b.Observations) == 0 {
		return false
	}
	return answer(a) == answer(b)
}
