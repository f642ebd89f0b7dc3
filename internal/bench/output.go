package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
)

// The names in an output folder.
const (
	journalName   = "journal"
	resultsName   = "results.json"
	artifactsName = "artifacts"
)

// open makes or takes up the output folder and gives what its journal knows.
func (e *engine) open() (*folding, error) {
	entries, err := os.ReadDir(e.Folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, proofhouse.Errorf(proofhouse.Unavailable, err, "the output folder cannot be read: choose another one with --out")
	}
	has := slices.ContainsFunc(entries, func(d fs.DirEntry) bool { return d.Name() == journalName })
	switch {
	case len(entries) > 0 && !e.Resume:
		return nil, proofhouse.Errorf(proofhouse.Conflict, nil, "the output folder is not empty: choose another one with --out, or take its run up again with --resume")
	case len(entries) > 0 && !has:
		return nil, proofhouse.Errorf(proofhouse.Conflict, nil, "the output folder holds no run that could be resumed: choose another one with --out")
	}
	// The journal is the first thing in the folder: whatever is killed after
	// that can be resumed.
	if err := os.MkdirAll(e.Folder, 0o755); err != nil {
		return nil, diskError(err)
	}
	if err := os.MkdirAll(e.Private, 0o700); err != nil {
		return nil, diskError(err)
	}
	told, err := readTold(e.Folder)
	if err != nil {
		return nil, err
	}
	state := &folding{samples: map[sampleKey]*sampleState{}}
	j, torn, err := openJournal(filepath.Join(e.Folder, journalName), told, state.add)
	if err != nil {
		return nil, err
	}
	e.journal = j
	if err := e.begin(state, torn); err != nil {
		if e.holding != nil {
			e.holding.close()
		}
		j.close()
		return nil, err
	}
	return state, nil
}

// begin writes the journal's next record: the opening, or the resumption if
// this is the run that it says.
func (e *engine) begin(state *folding, torn int64) error {
	id := e.Run
	if id == "" {
		id = proofhouse.NewRunID()
	}
	e.opening = Opening{
		Format: 1, Run: id, Suite: e.Suite, Agent: e.Agent.Name(), Provider: "none", Isolation: sandbox.None,
		Build: e.Build, Machine: e.Machine, Config: e.Config, Notes: e.notes(),
	}
	if e.Provider != nil {
		e.opening.Provider, e.opening.Isolation = e.Provider.Name(), e.Provider.Strength()
	}
	for _, t := range e.Trials {
		e.opening.Tasks = append(e.opening.Tasks, e.facts(t))
	}
	if e.journal.seq == 0 {
		if err := e.journal.put(Record{At: e.now(), Open: &e.opening}); err != nil {
			return err
		}
		if err := state.add(Record{Seq: 1, At: e.now(), Open: &e.opening}); err != nil {
			return err
		}
		return errors.Join(diskError(syncDir(e.Folder)), e.hold(state))
	}
	if what := differs(state.opening, e.opening); what != "" {
		return proofhouse.Errorf(proofhouse.Conflict, nil, "the output folder holds another run (%s): choose another folder with --out, or resume with the same choices", what)
	}
	resumed := Resumption{Build: e.Build, Torn: torn, RunTime: e.Config.RunTime}
	if asked := e.opening.Config.Model; asked != nil {
		resumed.Budget = &asked.Run
	}
	e.opening = state.opening
	if err := e.hold(state); err != nil || state.done() {
		return err
	}
	rec := Record{Seq: e.journal.seq + 1, At: e.now(), Resumed: &resumed}
	if err := errors.Join(e.journal.put(rec), state.add(rec)); err != nil {
		return err
	}
	e.opening = state.opening
	return nil
}

// differs says in which choice two runs differ, or "". How many samples run
// side by side, the budget and the time of the run, the machine and the program's build may
// change between a run and its resumption.
func differs(a, b Opening) string {
	plain := func(v any) string {
		data, err := json.Marshal(v)
		if err != nil {
			return fmt.Sprint(err)
		}
		return string(data)
	}
	ca, cb := a.Config, b.Config
	ca.Parallel, cb.Parallel = 0, 0
	ca.RunTime, cb.RunTime = 0, 0
	ca.Model, cb.Model = ca.Model.withoutRun(), cb.Model.withoutRun()
	for _, c := range []struct {
		name string
		a, b any
	}{
		{"another suite, or the suite was built anew", a.Suite, b.Suite},
		{"another agent", a.Agent, b.Agent},
		{"another sandbox provider", a.Provider, b.Provider},
		{"other tasks, epochs, time, level, seed or model", ca, cb},
		{"other limits", a.Tasks, b.Tasks},
	} {
		if plain(c.a) != plain(c.b) {
			return c.name
		}
	}
	return ""
}

// inside says whether path lies in folder.
func inside(folder, path string) bool {
	a, errA := filepath.Abs(folder)
	b, errB := filepath.Abs(path)
	if errA != nil || errB != nil {
		return true // what cannot be judged is refused
	}
	rel, err := filepath.Rel(a, b)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}

// hold opens what this run has accepted and not judged, and drops what a
// killed run left of others: never accepted, or judged already.
func (e *engine) hold(state *folding) error {
	h, err := openHolding(filepath.Join(e.Private, "pending", string(e.opening.Run)))
	if err != nil {
		return err
	}
	e.holding = h
	awaited := map[string]bool{}
	for _, s := range state.order {
		for _, sub := range s.Submissions {
			awaited[sub.pending] = true
		}
	}
	return h.keepOnly(awaited)
}

// keep puts content into the artifacts under its digest.
func (e *engine) keep(contents ...[]byte) error {
	for _, b := range contents {
		name := filepath.Join(e.Folder, artifactsName, proofhouse.DigestOf(b).Hex())
		if _, err := os.Stat(name); err == nil {
			continue
		}
		if err := writeWhole(name, b, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// Artifact reads one of a run's artifacts and checks it.
func Artifact(folder string, d proofhouse.Digest) ([]byte, error) {
	if err := d.Validate(); err != nil {
		return nil, err
	}
	b, err := os.ReadFile(filepath.Join(folder, artifactsName, d.Hex()))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, proofhouse.Errorf(proofhouse.NotFound, nil, "artifact %s is not in the run's folder", d.Short())
	}
	if err == nil && proofhouse.DigestOf(b) != d {
		err = proofhouse.Errorf(proofhouse.Integrity, nil, "artifact %s was changed", d.Short())
	}
	return b, err
}

// writeResult writes results.json; it is whole or as it was before.
func writeResult(folder string, r Result) error {
	data, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return fmt.Errorf("writing results.json: %w", err)
	}
	return writeWhole(filepath.Join(folder, resultsName), append(data, '\n'), 0o644)
}

// readTold is the state of the journal that results.json was made from; zero
// if there is none.
func readTold(folder string) (JournalRef, error) {
	data, err := os.ReadFile(filepath.Join(folder, resultsName))
	if errors.Is(err, fs.ErrNotExist) {
		return JournalRef{}, nil
	}
	if err != nil {
		return JournalRef{}, err
	}
	var told struct{ Journal JournalRef }
	if err := json.Unmarshal(data, &told); err != nil {
		return JournalRef{}, proofhouse.Errorf(proofhouse.Integrity, err, "results.json cannot be read: delete it, and `report` makes it again from the journal")
	}
	return told.Journal, nil
}
