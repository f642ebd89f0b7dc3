package app

import (
	"cmp"
	"context"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"proofhouse/internal/bench"
)

// IsBuilt says whether a task is built here from its folder as it is now.
func (a *App) IsBuilt(t bench.Task) bool {
	return a.Built.Has(t)
}

// BuildSuite makes a suite's tasks ready, all or those that the request picks.
func (a *App) BuildSuite(ctx context.Context, req RunRequest, again bool, say func(string)) (bench.SuiteRef, error) {
	suite, err := a.Suite(req.Suite)
	if err != nil {
		return bench.SuiteRef{}, err
	}
	chosen, err := selectTasks(suite, req)
	if err != nil {
		return bench.SuiteRef{}, err
	}
	if err := a.BuildTasks(ctx, chosen, again, say); err != nil {
		return bench.SuiteRef{}, err
	}
	_, ref, err := a.Built.LoadTrials(suite.Name, chosen)
	return ref, err
}

// CheckSuite judges whether a suite's tasks may be admitted, building what is
// not built yet. Rows are sorted by task; each is also told as it is known. A
// task that is not admitted is a row, not an error.
func (a *App) CheckSuite(ctx context.Context, req RunRequest, each func(bench.CheckRow), say func(string)) ([]bench.CheckRow, error) {
	suite, err := a.Suite(req.Suite)
	if err != nil {
		return nil, err
	}
	chosen := suite.Tasks
	if len(req.Tasks) > 0 {
		if chosen, err = suite.Select(req.Tasks); err != nil {
			return nil, err
		}
	}
	var mu sync.Mutex // owns rows and each
	rows := []bench.CheckRow{}
	note := func(r bench.CheckRow) {
		mu.Lock()
		defer mu.Unlock()
		rows = append(rows, r)
		each(r)
	}
	if len(req.Tasks) == 0 {
		for _, r := range suite.FaultRows() {
			note(r)
		}
	}
	if err := a.BuildTasks(ctx, chosen, false, say); err != nil {
		return nil, err
	}
	verifier, err := a.Verifier()
	if err != nil {
		return nil, err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.NumCPU())
	for _, t := range chosen {
		group.Go(func() error {
			built, err := a.Built.Load(t, nil)
			if err != nil {
				return err
			}
			_, err = bench.CheckTask(ctx, t, built, verifier, time.Now(), note)
			return err
		})
	}
	err = group.Wait()
	slices.SortStableFunc(rows, func(x, y bench.CheckRow) int { return cmp.Compare(x.Task, y.Task) })
	return rows, err
}
