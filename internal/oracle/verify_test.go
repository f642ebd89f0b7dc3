package oracle

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"proofhouse/internal/ledger"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
	"proofhouse/internal/target"
)

var overflow = Rule{Symptom: Crash, Signature: "heap-buffer-overflow:parse_chunk"}

// TestStatement takes a verdict through its statement, signed and not, and
// tampers with everything that it rests on.
func TestStatement(t *testing.T) {
	ctx := t.Context()
	key, err := ledger.CreateKey(filepath.Join(t.TempDir(), "keys"), "local")
	if err != nil {
		t.Fatal(err)
	}
	o, tgt := open(t, func(c *Config) { c.Key = key })
	v, ev := verify(t, o, Case{Name: "test/overflow", Target: tgt, Rule: overflow}, "vulnerable asan")
	if v.Outcome != Solved || v.Signature != "heap-buffer-overflow:parse_chunk" || len(v.Observations) != 6 || !ev.Signed {
		t.Fatalf("%+v\n%s", v, dump(v, ev))
	}
	if !strings.Contains(ev.Report, "#0 parse_chunk") || !strings.Contains(ev.Report, "AddressSanitizer") {
		t.Errorf("report: %s", ev.Report)
	}
	p, err := ReadStatement(ctx, ev.Statement, key.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(v, p.Verdict); diff != "" {
		t.Errorf("the statement's verdict differs:\n%s", diff)
	}
	if p.Isolation != sandbox.Strong || p.Provider != "gvisor" || p.Signing != "ed25519 "+key.PublicKey().ID() || p.Vulnerable.Image.Digest != tgt.Vulnerable.Image.Digest {
		t.Errorf("predicate: %+v", p)
	}
	fetch := func(d proofhouse.Digest) ([]byte, error) {
		b, ok := ev.Artifacts[d]
		if !ok {
			return nil, os.ErrNotExist
		}
		return b, nil
	}
	again, err := o.Recheck(ctx, ev.Statement, key.PublicKey(), fetch, shared.images)
	if err != nil || again.Outcome != v.Outcome {
		t.Fatalf("recheck: %+v, %v", again, err)
	}

	if _, err := o.Recheck(ctx, ev.Statement, nil, func(d proofhouse.Digest) ([]byte, error) {
		return append(ev.Artifacts[d][:len(ev.Artifacts[d]):len(ev.Artifacts[d])], ' '), nil
	}, shared.images); proofhouse.KindOf(err) != proofhouse.Integrity {
		t.Errorf("a changed artifact: %v", err)
	}
	if _, err := o.Recheck(ctx, ev.Statement, nil, func(proofhouse.Digest) ([]byte, error) { return nil, os.ErrNotExist }, shared.images); proofhouse.KindOf(err) != proofhouse.NotFound {
		t.Errorf("a lost artifact: %v", err)
	}
	// reseal writes the statement anew as somebody would who wants another verdict.
	reseal := func(edit func(*Predicate)) []byte {
		q := p
		q.Verdict.Observations = append([]Observation(nil), p.Verdict.Observations...)
		edit(&q)
		env, err := ledger.Seal(ctx, ledger.Statement{Subject: subjectName, Digest: q.Verdict.Submission, PredicateType: PredicateType, Predicate: q}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return env
	}
	for _, c := range []struct {
		name string
		edit func(*Predicate)
		want proofhouse.Kind
	}{
		{"an outcome that its observations do not mean", func(q *Predicate) { q.Verdict.Outcome = NoBreak }, proofhouse.Integrity},
		{"observations of a build that was not run", func(q *Predicate) {
			q.Fixed, q.Vulnerable = q.Vulnerable, q.Fixed
		}, proofhouse.Failed},
		{"the vulnerable build twice", func(q *Predicate) { q.Fixed = q.Vulnerable }, proofhouse.Failed},
		{"another submission", func(q *Predicate) {
			q.Verdict.Submission = proofhouse.DigestOf([]byte("vulnerable nothing"))
			ev.Artifacts[q.Verdict.Submission] = []byte("vulnerable nothing")
		}, proofhouse.Failed},
		{"a laxer signature", func(q *Predicate) {
			q.Rule.Signature = "double-free:"
			q.Verdict.Outcome = SameFixOtherSignature
			q.Verdict.Signature = "double-free:f"
		}, proofhouse.Failed},
		{"an image that is not there", func(q *Predicate) { q.Fixed.Image.Digest = proofhouse.DigestOf(nil) }, proofhouse.NotFound},
		{"an infrastructure error", func(q *Predicate) { q.Verdict.Outcome = InfraError }, proofhouse.Invalid},
	} {
		if _, err := o.Recheck(ctx, reseal(c.edit), nil, fetch, shared.images); proofhouse.KindOf(err) != c.want {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
		if _, err := ReadStatement(ctx, reseal(c.edit), key.PublicKey()); proofhouse.KindOf(err) != proofhouse.Integrity {
			t.Errorf("%s, unsigned, where a signature is asked for: %v", c.name, err)
		}
	}
	unsigned, tgt := open(t, nil)
	_, ev2 := verify(t, unsigned, Case{Name: "test/overflow", Target: tgt, Rule: overflow}, "both nothing")
	if p, err := ReadStatement(ctx, ev2.Statement, nil); err != nil || p.Signing != "unsigned" || ev2.Signed {
		t.Errorf("unsigned: %q, %v", p.Signing, err)
	}
}

// TestQuarantine holds a survivor in, and retests it.
func TestQuarantine(t *testing.T) {
	o, tgt := open(t, nil)
	q := o.cfg.Quarantine
	c := Case{Name: "test/overflow", Target: tgt, Rule: overflow}
	const input = "both asan"
	for range 2 { // the same again is kept once
		if v, _ := verify(t, o, c, input); v.Outcome != SurvivesFix {
			t.Fatalf("%+v", v)
		}
	}
	if n, err := q.Count(); n != 1 || err != nil {
		t.Fatalf("%d survivors, %v", n, err)
	}
	st, err := os.Stat(q.dir)
	if err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("the folder: %v, %v", st.Mode(), err)
	}
	names, err := q.names()
	if err != nil {
		t.Fatal(err)
	}
	st, err = os.Stat(filepath.Join(q.dir, names[0]))
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v", st.Mode(), err)
	}
	b, err := os.ReadFile(filepath.Join(q.dir, names[0]))
	if err != nil {
		t.Fatal(err)
	}
	var s Survivor
	if err := json.Unmarshal(b, &s); err != nil || string(s.Submission) != input || s.Verdict.Outcome != SurvivesFix || len(s.Raw) == 0 {
		t.Errorf("kept %+v, %v", s, err)
	}
	if strings.Contains(names[0], s.Verdict.Submission.Short()) {
		t.Error("the file's name tells the submission's digest")
	}
	for name, c := range map[string]struct {
		build target.Build
		ok    bool
		want  Retested
	}{
		"no later build": {target.Build{}, false, Retested{Untested: 1}},
		"still there":    {tgt.Fixed, true, Retested{Breaks: 1}},
		"mended":         {mended(tgt.Fixed), true, Retested{Clean: 1}},
	} {
		got, err := q.Retest(t.Context(), o, func(string) (target.Build, bool) { return c.build, c.ok })
		if err != nil || got != c.want {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, c.want)
		}
	}
	if n, err := q.Count(); n != 1 || err != nil {
		t.Errorf("after the retests %d survivors, %v", n, err)
	}

	open := filepath.Join(t.TempDir(), "open")
	if err := os.Mkdir(open, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenQuarantine(open); proofhouse.KindOf(err) != proofhouse.Refused {
		t.Errorf("a folder that others may enter: %v", err)
	}
	if err := os.Symlink(q.dir, filepath.Join(open, "link")); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenQuarantine(filepath.Join(open, "link")); proofhouse.KindOf(err) != proofhouse.Refused {
		t.Errorf("a link: %v", err)
	}
	dropping, tgt := openWithout(t)
	v, ev := verify(t, dropping, Case{Name: "x", Target: tgt, Rule: overflow}, input)
	if v.Outcome != SurvivesFix || len(ev.Artifacts) != 0 || len(ev.Statement) != 0 || v.Submission != "" {
		t.Errorf("without a quarantine: %+v", v)
	}
}

// mended is a build whose program reads nothing of the input.
func mended(b target.Build) target.Build {
	b.Argv = []string{"/bin/program", "true"}
	return b
}

func openWithout(t *testing.T) (*Oracle, target.Target) {
	return open(t, func(c *Config) { c.Quarantine = nil })
}

// TestSitting looks at inputs in one box, with nothing kept between them.
func TestSitting(t *testing.T) {
	o, tgt := open(t, nil)
	tr, err := o.Sit(Subject{tgt.Language, tgt.Vulnerable, overflow})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		input string
		broke bool
	}{
		{"vulnerable asan", true},
		{"both remember", false},
		{"both remember", false},
		{"fixed asan", false},
		{"vulnerable print 77", false},
		{"vulnerable killed", false},
		{"vulnerable asan", true},
	} {
		sight, err := tr.Observe(t.Context(), []byte(c.input), 2)
		want := 0
		if c.broke {
			want = 2
		}
		if err != nil || sight.Broke() != want || (sight.Report != "") != c.broke || (len(sight.Frames) > 0) != c.broke {
			t.Errorf("%s: %+v, %v", c.input, sight, err)
		}
		glance, err := tr.Glance(t.Context(), []byte(c.input))
		if forged := strings.HasPrefix(c.input, "vulnerable print"); err != nil || forged != (glance.Signature() != sight.Signature()) || !forged && !slices.Equal(glance.Frames, sight.Frames) {
			t.Errorf("%s: at a glance %+v, %v", c.input, glance, err)
		}
		if c.broke && (sight.Signature() != "heap-buffer-overflow:parse_chunk" || sight.Frames[0] != "parse_chunk") {
			t.Errorf("%s: %s in %v", c.input, sight.Signature(), sight.Frames)
		}
	}
	if err := tr.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := tr.Observe(t.Context(), nil, 1); err == nil {
		t.Error("a closed triage runs")
	}
}

// failing is a provider whose boxes fail as told.
type failing struct {
	sandbox.Provider
	mu    sync.Mutex
	start []error // for the next starts
	exec  []error // for the next runs
}

func (f *failing) next(l *[]error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(*l) == 0 {
		return nil
	}
	err := (*l)[0]
	*l = (*l)[1:]
	return err
}

func (f *failing) Start(ctx context.Context, s sandbox.Spec) (sandbox.Box, error) {
	if err := f.next(&f.start); err != nil {
		return nil, err
	}
	b, err := f.Provider.Start(ctx, s)
	return failingBox{b, f}, err
}

type failingBox struct {
	sandbox.Box
	f *failing
}

func (b failingBox) Exec(ctx context.Context, c sandbox.Command) (sandbox.Result, error) {
	if err := b.f.next(&b.f.exec); err != nil {
		return sandbox.Result{}, err
	}
	return b.Box.Exec(ctx, c)
}

// TestInfrastructure holds our own failures apart from the submission's.
func TestInfrastructure(t *testing.T) {
	provider, tgt := boxes(t)
	broken := errors.New("the box broke")
	refused := proofhouse.Errorf(proofhouse.Unavailable, broken, "the memory controller is missing")
	for _, c := range []struct {
		name        string
		start, exec []error
		want        Outcome
	}{
		{"one start fails", []error{refused}, nil, Solved},
		{"two starts fail", []error{refused, refused}, nil, InfraError},
		{"one run fails", nil, []error{broken}, Solved},
		{"two runs fail", nil, []error{broken, broken}, InfraError},
	} {
		f := &failing{Provider: provider, start: c.start, exec: c.exec}
		o := New(Config{Provider: f, Ready: -1})
		v, ev, err := o.Verify(t.Context(), Case{Name: "x", Target: tgt, Rule: overflow}, []byte("vulnerable asan"))
		if err != nil || v.Outcome != c.want || (ev.Cause != nil) != (c.want == InfraError) || v.Reason == "" || len(ev.Statement) == 0 {
			t.Errorf("%s: %+v, %v, %v", c.name, v, ev.Cause, err)
		}
		if strings.Contains(v.Reason, "the box broke") {
			t.Errorf("%s: the reason tells the private cause: %s", c.name, v.Reason)
		}
		_ = o.Close()
	}
	o, tgt := open(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if _, _, err := o.Verify(ctx, Case{Name: "x", Target: tgt, Rule: Rule{Symptom: Crash, TimeoutSec: 60}}, []byte("both sleep 60000")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a verification that was cancelled: %v", err)
	}
	if _, _, err := o.Verify(t.Context(), Case{Name: "x"}, nil); proofhouse.KindOf(err) != proofhouse.Invalid {
		t.Errorf("a target that was not built: %v", err)
	}
	if _, _, err := o.Verify(t.Context(), Case{Name: "x", Target: tgt, Rule: Rule{Symptom: Escape}}, nil); proofhouse.KindOf(err) != proofhouse.Invalid {
		t.Errorf("an escape from nowhere: %v", err)
	}
}

// TestPool takes boxes from many sides at once; each leaves the pool once, and
// none is left when it is closed.
func TestPool(t *testing.T) {
	provider, tgt := boxes(t)
	p := newPool(provider, 1, 2)
	specs := []sandbox.Spec{
		spec(tgt.Vulnerable, Rule{Symptom: Crash}.Or()),
		spec(tgt.Vulnerable, Rule{Symptom: Crash, MemoryBytes: 256 << 20}.Or()),
		spec(tgt.Vulnerable, Rule{Symptom: Crash, MemoryBytes: 300 << 20}.Or()),
	}
	var mu sync.Mutex
	seen := map[string]bool{}
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			b, _, err := p.take(t.Context(), specs[i%3])
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			if seen[b.ID()] {
				t.Errorf("box %s was given twice", b.ID())
			}
			seen[b.ID()] = true
			mu.Unlock()
			if err := b.Stop(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(p.shelves) > 2 {
		t.Errorf("%d kinds are kept", len(p.shelves))
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if b, _, err := p.take(ended, specs[0]); err == nil {
		_ = b.Stop() // one was ready: allowed
	}
	p.close()
	if _, _, err := p.take(t.Context(), specs[0]); !errors.Is(err, errClosed) {
		t.Errorf("a closed pool gives %v", err)
	}
}
