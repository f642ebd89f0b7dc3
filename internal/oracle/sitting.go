package oracle

import (
	"context"
	"slices"
	"sync"

	"proofhouse/internal/proofhouse"
	"proofhouse/internal/target"
)

// Subject is one build by itself, and the symptom by which it may break. Of its rule the signature is not
// asked. A hang, or memory, is what reaches the rule's floor, since there is no second build to compare with.
type Subject struct {
	Language target.Language
	Build    target.Build
	Rule     Rule
}

func (s Subject) check() error {
	switch {
	case s.Build.Root.Path == "" || s.Build.Image.Path == "" || len(s.Build.Argv) == 0:
		return proofhouse.Errorf(proofhouse.Invalid, nil, "the build has no image or no command: build it first")
	case s.Rule.Symptom == Escape && s.Rule.AllowRoot == "":
		return proofhouse.Errorf(proofhouse.Invalid, nil, "the rule is about an escape but names no allow_root")
	}
	return nil
}

// Sight is what runs of one build on one input showed.
type Sight struct {
	Observations []Observation `json:"observations"`
	// Frames are the project's own functions in the stack of the first crash, innermost first, at most 16.
	Frames []string `json:"frames,omitempty"`
	// Report is the first break as text, symbolised, at most 64 KiB.
	Report string `json:"-"`
	// Artifacts are the raw outputs, by digest.
	Artifacts map[proofhouse.Digest][]byte `json:"-"`
}

// Broke is how many of the runs broke.
func (s Sight) Broke() (n int) {
	for _, o := range s.Observations {
		if o.Broke {
			n++
		}
	}
	return n
}

// Bounded says whether a run was ended by a limit that is not what the symptom is about.
func (s Sight) Bounded() bool {
	return slices.ContainsFunc(s.Observations, func(o Observation) bool { return !o.Broke && o.Bound != "" })
}

// Signature is "<class>:<function>" of the first break, "<symptom>:" where it has no class, and "" where nothing broke.
func (s Sight) Signature() string {
	for _, o := range s.Observations {
		switch {
		case o.Broke && o.Class != "":
			return o.Class + ":" + o.Function
		case o.Broke:
			return string(o.Symptom) + ":"
		}
	}
	return ""
}

// framesKept is how many functions of a stack a Sight keeps.
const framesKept = 16

// Sitting runs inputs on one build, in one box that is reset between all runs: every process and
// every file of the run before is gone. It is safe for concurrent use; runs queue for the box. Close it to free that.
type Sitting struct {
	oracle *Oracle
	mu     sync.Mutex // guards seat
	seat   *seat
}

// Sit opens a sitting for a build. Its box is taken when the first input comes.
func (o *Oracle) Sit(s Subject) (*Sitting, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	return &Sitting{oracle: o, seat: &seat{pool: o.pool, lang: s.Language, rule: s.Rule.Or(), side: s.Build.Side, build: s.Build}}, nil
}

// Close stops the sitting's box.
func (s *Sitting) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seat != nil {
		s.seat.stop()
		s.seat = nil
	}
	return nil
}

// Observe runs one input n times.
func (s *Sitting) Observe(ctx context.Context, input []byte, n int) (Sight, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.observe(ctx, input, n)
}

// Glance runs one input once, for a search through many: it takes a sanitizer's report from the error stream, which costs half of
// looking for it in the box. The program can write there too, so a break on which anything rests is to be observed.
func (s *Sitting) Glance(ctx context.Context, input []byte) (Sight, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seat == nil {
		return Sight{}, errClosed
	}
	s.seat.glance = true
	sight, err := s.observe(ctx, input, 1)
	if s.seat.glance = false; err != nil {
		return sight, err
	}
	if o := sight.Observations[0]; !o.Broke && o.Exit == exitSanitizer { // its report was lost among what else was printed
		return s.observe(ctx, input, 1)
	}
	return sight, nil
}

func (s *Sitting) observe(ctx context.Context, input []byte, n int) (Sight, error) {
	if s.seat == nil {
		return Sight{}, errClosed
	}
	var err error
	if s.seat.input, err = newInput(input); err != nil {
		return Sight{}, err
	}
	defer s.seat.input.close()
	rule := s.seat.rule
	bound := rule.cpuBound()
	if rule.Symptom == Hang {
		bound = min(bound, seconds(rule.Floor*1.02)+tickSlack)
	}
	out := Sight{Artifacts: map[proofhouse.Digest][]byte{}}
	var runs []judged
	for i := 1; i <= n; i++ {
		raw, err := s.seat.run(ctx, i, bound)
		if err != nil {
			return Sight{}, err
		}
		j := s.oracle.see(s.seat, raw)
		if !j.obs.Broke && (rule.Symptom == Hang && j.obs.CPU.Seconds() >= rule.Floor || rule.promising(j.obs)) {
			j.obs.Broke, j.obs.Symptom = true, rule.Symptom
		}
		for _, b := range raw.artifacts() {
			out.Artifacts[proofhouse.DigestOf(b)] = b
		}
		runs = append(runs, j)
	}
	t := trial{runs: runs}
	for i, o := range t.observations() {
		out.Observations = append(out.Observations, o)
		if c := runs[i].crash; o.Broke && c != nil && out.Frames == nil {
			out.Frames = c.own(s.seat.lang)
		}
	}
	out.Report = t.firstReport(out.Observations, func(o Observation) bool { return o.Broke })
	return out, nil
}

// Observe runs one input n times on a build, in a fresh box that is reset between the runs.
func (o *Oracle) Observe(ctx context.Context, s Subject, input []byte, n int) (Sight, error) {
	select {
	case o.slots <- struct{}{}:
		defer func() { <-o.slots }()
	case <-ctx.Done():
		return Sight{}, ctx.Err()
	}
	sitting, err := o.Sit(s)
	if err != nil {
		return Sight{}, err
	}
	defer sitting.Close()
	return sitting.Observe(ctx, input, n)
}

// own are the project's functions in the crash's stack.
func (c crash) own(lang target.Language) []string {
	var out []string
	for _, f := range c.frames {
		if len(out) < framesKept && f.function != "" && origin(lang, f) == fromProject {
			out = append(out, clean(f.function))
		}
	}
	return out
}
