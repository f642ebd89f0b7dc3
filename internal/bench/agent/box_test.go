package agent_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
)

// provider starts boxes that are files in memory and a function in place of
// programs.
type provider struct {
	exec func(ctx context.Context, b *box, cmd sandbox.Command) (sandbox.Result, error)

	mu    sync.Mutex
	boxes []*box
}

func (p *provider) Name() string               { return "fake" }
func (p *provider) Strength() sandbox.Strength { return sandbox.None }
func (p *provider) Close() error               { return nil }

func (p *provider) Start(_ context.Context, spec sandbox.Spec) (sandbox.Box, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := &box{provider: p, spec: spec, files: map[string][]byte{}}
	p.boxes = append(p.boxes, b)
	return b, nil
}

type box struct {
	provider *provider
	spec     sandbox.Spec

	mu      sync.Mutex
	files   map[string][]byte
	stopped bool
}

func (b *box) ID() string { return "box" }

func (b *box) Exec(ctx context.Context, cmd sandbox.Command) (sandbox.Result, error) {
	return b.provider.exec(ctx, b, cmd)
}

func (b *box) put(name string, data []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.files[name] = data
}

func (b *box) get(name string) ([]byte, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	data, ok := b.files[name]
	return data, ok
}

func (b *box) CopyIn(_ context.Context, name string, r io.Reader, _ fs.FileMode) error {
	data, err := io.ReadAll(r)
	b.put(name, data)
	return err
}

func (b *box) CopyOut(_ context.Context, name string, w io.Writer, most int64) error {
	data, ok := b.get(name)
	switch {
	case !ok:
		return proofhouse.Errorf(proofhouse.NotFound, nil, "no such file")
	case int64(len(data)) > most:
		return proofhouse.Errorf(proofhouse.Limit, nil, "too large")
	}
	_, err := w.Write(data)
	return err
}

func (b *box) List(_ context.Context, dir string, most int) ([]sandbox.Entry, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []sandbox.Entry
	for name, data := range b.files {
		if strings.HasPrefix(name, dir+"/") {
			out = append(out, sandbox.Entry{Path: name, Mode: 0o644, Size: int64(len(data))})
		}
	}
	if len(out) == 0 {
		return nil, proofhouse.Errorf(proofhouse.NotFound, nil, "no such folder")
	}
	if len(out) > most {
		return nil, proofhouse.Errorf(proofhouse.Limit, nil, "too many")
	}
	slices.SortFunc(out, func(a, b sandbox.Entry) int { return strings.Compare(a.Path, b.Path) })
	return out, nil
}

func (b *box) Reset(context.Context) error   { return errors.New("not used") }
func (b *box) Usage() (sandbox.Usage, error) { return sandbox.Usage{PeakMemory: 1}, nil }
func (b *box) Probe(context.Context, []sandbox.Canary) (sandbox.ProbeReport, error) {
	return sandbox.ProbeReport{}, nil
}

func (b *box) Stop() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stopped = true
	return nil
}
