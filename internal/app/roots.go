package app

import (
	"context"
	"time"

	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox/root"
)

// RootRow is a root as a list shows it.
type RootRow struct {
	Name        string            `json:"name"`
	Description string            `json:"description"`
	Image       proofhouse.Digest `json:"image,omitempty"` // "" while it is not made
	Bytes       int64             `json:"bytes"`
	Packages    int               `json:"packages"`
	Substitutes []root.Substitute `json:"substitutes,omitempty"`
}

// ListRoots lists the roots by name.
func (a *App) ListRoots() ([]RootRow, error) {
	names, err := a.Roots.List()
	if err != nil {
		return nil, err
	}
	return a.rootRows(names)
}

func (a *App) rootRows(names []string) ([]RootRow, error) {
	rows := make([]RootRow, len(names))
	for i, name := range names {
		what, err := a.Roots.Describe(name)
		if err != nil {
			return nil, err
		}
		rows[i] = RootRow{Name: name, Description: what}
		rec, img, err := a.Roots.Made(name)
		switch {
		case err == nil:
			rows[i].Image, rows[i].Bytes, rows[i].Packages, rows[i].Substitutes = img.Digest, rec.Bytes, len(rec.Packages), rec.Substitutes
		case proofhouse.KindOf(err) != proofhouse.NotFound:
			return nil, err
		}
	}
	return rows, nil
}

// MakeRoots makes roots from their locks.
func (a *App) MakeRoots(ctx context.Context, names []string, say func(string)) ([]RootRow, error) {
	for _, name := range names {
		if _, err := a.MakeRoot(ctx, name, say); err != nil {
			return nil, err
		}
	}
	return a.rootRows(names)
}

// RelockRoots locks roots anew from the signed package index of today, for
// this data folder, and makes them.
func (a *App) RelockRoots(ctx context.Context, names []string, say func(string)) ([]RootRow, error) {
	for _, name := range names {
		lock, err := a.Roots.Relock(ctx, name, time.Now())
		if err != nil {
			return nil, err
		}
		if err := root.WriteLock(a.Roots.Records, name, lock); err != nil {
			return nil, err
		}
	}
	return a.MakeRoots(ctx, names, say)
}
