package app

import (
	"context"
	"io"
	"io/fs"
	"time"

	"proofhouse/internal/sandbox/root"
	"proofhouse/internal/target"
)

// builder is a bench.Builder that tells how it goes.
type builder struct {
	*target.Builder
	say func(string)
}

// Build builds a task's programs.
func (b builder) Build(ctx context.Context, folder fs.FS, r target.Recipe) (target.Target, error) {
	say := b.say
	if say == nil {
		say = func(string) {}
	}
	return b.Builder.Build(ctx, folder, r, say)
}

// debian is Debian's signed source index as target asks for it.
type debian struct{ index *root.Sources }

func newDebian(roots root.Store) debian {
	return debian{&root.Sources{Store: roots, Now: time.Now()}}
}

// Sources lists the revisions of a source package.
func (d debian) Sources(ctx context.Context, name, atLeast string) ([]target.DebianSource, error) {
	found, err := d.index.Find(ctx, name, atLeast)
	if err != nil {
		return nil, err
	}
	list := make([]target.DebianSource, len(found))
	for i, p := range found {
		list[i] = target.DebianSource{Name: p.Name, Version: p.Version}
		for _, f := range p.Files {
			list[i].Files = append(list[i].Files, target.DebianFile{Name: f.Name, Location: f.Location, SHA256: f.Digest, Size: f.Size})
		}
	}
	return list, nil
}

// Fetch writes a file of a source package.
func (d debian) Fetch(ctx context.Context, f target.DebianFile, w io.Writer) error {
	return d.index.Fetch(ctx, root.SourceFile{Name: f.Name, Location: f.Location, Digest: f.SHA256, Size: f.Size}, w)
}
