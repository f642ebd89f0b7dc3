package target

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	erofs "github.com/erofs/go-erofs"

	"proofhouse/internal/proofhouse"
)

// Single makes what an agent works on where there is no fixed side: the program from the recipe's vulnerable source, the
// fuzzer's build and the source tree. Its Fixed is empty. Errors are those of Make; the end of what the
// compiler said stands in the sentence of proofhouse.Failed, since whoever points an agent at software may read it.
func (b *Builder) Single(ctx context.Context, folder fs.FS, r Recipe, progress func(string)) (Target, error) {
	if progress == nil {
		progress = func(string) {}
	}
	progress("fetching the source")
	u, _, err := b.one(ctx, folder, r, nil)
	if err != nil {
		return Target{}, err
	}
	harness, err := treeOf(folder, r.Harness)
	if err != nil {
		return Target{}, err
	}
	root, err := b.cfg.Root(ctx, r.RunRoot)
	if err != nil {
		return Target{}, err
	}
	t := Target{Language: r.Language}
	for _, into := range []*Build{&t.Vulnerable, &t.Fuzz} {
		u.fuzz = into == &t.Fuzz
		if *into, err = b.build(ctx, u, progress); err != nil {
			return Target{}, said(err)
		}
		into.Root, into.Inputs["run_root"] = root, root.Digest
	}
	if r.Language == C && len(u.harness) < len(harness) {
		t.Fuzz.Argv = append(slices.Clone(t.Fuzz.Argv), "/src/harness/seeds")
	}
	t.SourceTree, err = b.cfg.Images.Write(func(w *erofs.Writer) error {
		return visible(u.source.code).merge("harness", harness).merge("driver", u.driver).write(w, "", 0, epoch)
	})
	if err != nil {
		return Target{}, fmt.Errorf("writing the source tree: %w", err)
	}
	return t, nil
}

// said is an error of a build with what the compiler said in its sentence.
func said(err error) error {
	failed, ok := errors.AsType[*proofhouse.Error](err)
	if !ok || failed.Kind != proofhouse.Failed || failed.Cause == nil {
		return err
	}
	return proofhouse.Errorf(proofhouse.Failed, nil, "the target does not build: %s\n%s", failed.Public, failed.Cause.Error())
}
