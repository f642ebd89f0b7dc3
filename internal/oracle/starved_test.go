package oracle

import (
	"context"
	"io"
	"io/fs"
	"testing"
	"time"

	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
	"proofhouse/internal/target"
)

// busy is a box whose commands end as they are told to.
type busy struct {
	sandbox.Box
	results []sandbox.Result
	walls   []time.Duration
}

func (b *busy) Reset(context.Context) error { return nil }
func (b *busy) Stop() error                 { return nil }
func (b *busy) Exec(_ context.Context, cmd sandbox.Command) (sandbox.Result, error) {
	r := b.results[len(b.walls)]
	b.walls = append(b.walls, cmd.Wall)
	return r, nil
}

// TestStarvedRunIsMadeAgain: once, with more time, and only if it computed.
func TestStarvedRunIsMadeAgain(t *testing.T) {
	cut := func(cpu, wall time.Duration) sandbox.Result {
		return sandbox.Result{Limit: sandbox.BoundWall, CPU: cpu, Wall: wall, Exit: -1}
	}
	hung := sandbox.Result{Limit: sandbox.BoundCPU, CPU: 4 * time.Second, Wall: 30 * time.Second, Exit: -1}
	for name, c := range map[string]struct {
		results []sandbox.Result
		tries   int
		want    sandbox.Bound
	}{
		"starved, then a hang": {[]sandbox.Result{cut(3*time.Second, 10*time.Second), hung}, 2, sandbox.BoundCPU},
		"starved twice":        {[]sandbox.Result{cut(3*time.Second, 10*time.Second), cut(3*time.Second, 40*time.Second)}, 2, sandbox.BoundWall},
		"sleeps":               {[]sandbox.Result{cut(100*time.Millisecond, 10*time.Second)}, 1, sandbox.BoundWall},
		"hangs":                {[]sandbox.Result{hung}, 1, sandbox.BoundCPU},
		"ends":                 {[]sandbox.Result{{Exit: 1, CPU: 3 * time.Second, Wall: 10 * time.Second}}, 1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			in, err := newInput([]byte("x"))
			if err != nil {
				t.Fatal(err)
			}
			defer in.close()
			b := &busy{results: c.results}
			s := &seat{rule: Rule{Symptom: Hang, TimeoutSec: 4}.Or(), input: in, box: b}
			r, err := s.run(t.Context(), 1, 4*time.Second)
			if err != nil || len(b.walls) != c.tries || r.result.Limit != c.want {
				t.Errorf("%v, %d tries, %q", err, len(b.walls), r.result.Limit)
			}
			if len(b.walls) == 2 && (b.walls[0] != 10*time.Second || b.walls[1] != 40*time.Second) {
				t.Errorf("the bounds were %v", b.walls)
			}
		})
	}
}

// hogged is a box whose command left something running that has taken all of its memory.
type hogged struct{ busy }

var errHogged = proofhouse.Errorf(proofhouse.Limit, sandbox.ErrNoMemory, "the box has no memory left")

func (*hogged) CopyIn(context.Context, string, io.Reader, fs.FileMode) error { return nil }
func (h *hogged) CopyOut(context.Context, string, io.Writer, int64) error    { return errHogged }
func (h *hogged) List(context.Context, string, int) ([]sandbox.Entry, error) {
	if len(h.walls) == 0 {
		return nil, nil
	}
	return nil, errHogged
}

// TestNoMemoryToLook: where nothing can be looked at, nothing was seen. It is the run's own limit, of whatever it is about.
func TestNoMemoryToLook(t *testing.T) {
	for symptom, rule := range map[Symptom]Rule{
		Canary: {Symptom: Canary}, Escape: {Symptom: Escape, AllowRoot: "/work/root"}, Crash: {Symptom: Crash},
	} {
		in, err := newInput([]byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		defer in.close()
		s := &seat{rule: rule.Or(), input: in, lang: target.C, box: &hogged{busy{results: []sandbox.Result{{Exit: exitSanitizer}}}}}
		r, err := s.run(t.Context(), 1, time.Second)
		if err != nil || r.canary || len(r.outside) > 0 || r.result.Limit != sandbox.BoundMemory {
			t.Errorf("%s: %v; canary %t, outside %v, limit %q", symptom, err, r.canary, r.outside, r.result.Limit)
		}
	}
}
