package app

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"time"

	"proofhouse/internal/clearing"
	"proofhouse/internal/ledger"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/store"
)

const (
	// deskPause is how long the desk waits where nothing is to do.
	deskPause = 2 * time.Second
	// deskTurn is how many things are done in one project before the next has its turn.
	deskTurn = 10
)

// Desk works through the findings that wait in a house's database, in boxes: one process of a data folder at a time. It is not the process that serves
// them, so that what speaks to the outside starts no boxes.
type Desk struct {
	db       *store.DB
	findings findings
	lock     *os.File
	desks    map[string]*clearing.Desk // by project
	make     func() *clearing.Desk
}

// OpenDesk opens the desk on the house's database; "" is the file in the data folder, which must be there.
func (a *App) OpenDesk(ctx context.Context, database string) (*Desk, error) {
	w, err := a.witness()
	if err != nil {
		return nil, err
	}
	opened, err := a.Verifier()
	if err != nil {
		return nil, err
	}
	made, err := a.Builder(nil)
	if err != nil {
		return nil, err
	}
	return a.openDesk(ctx, database, w, func(f clearing.Folder) clearing.Workshop {
		return &clearing.Boxes{Builder: made.(builder).Builder, Oracle: opened.(*verifier).oracle, Folder: f}
	})
}

// openDesk opens a desk that works in workshops of any kind.
func (a *App) openDesk(ctx context.Context, database string, w clearing.Witness, workshop func(clearing.Folder) clearing.Workshop) (_ *Desk, err error) {
	if database == "" {
		database = a.database()
	}
	d := &Desk{desks: map[string]*clearing.Desk{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.Close())
		}
	}()
	if d.db, err = store.OpenExisting(ctx, database); err != nil {
		return nil, err
	}
	if d.lock, err = lockFile(a.Config.dir("desk.lock"), "house's desk"); err != nil {
		return nil, err
	}
	d.findings = a.findings(d.db, a.Vault().Records(a.Config.dir("keys", "case")), nil)
	d.make = func() *clearing.Desk {
		return &clearing.Desk{Store: d.findings, Shelf: d.findings.files, Witness: w, Workshop: workshop}
	}
	return d, nil
}

// witness is who states what was seen here.
func (a *App) witness() (clearing.Witness, error) {
	key, err := ledger.OpenKey(a.Config.dir("keys"), keyName)
	if err != nil && proofhouse.KindOf(err) != proofhouse.NotFound {
		return clearing.Witness{}, err
	}
	provider, err := a.Provider()
	if err != nil {
		return clearing.Witness{}, err
	}
	return clearing.Witness{Key: key, Program: "proofhouse " + Version, Provider: provider.Name(), Isolation: string(provider.Strength()), Now: time.Now}, nil
}

// Close lets go of boxes and the database.
func (d *Desk) Close() error {
	for _, desk := range d.desks {
		desk.Close()
	}
	var errs []error
	if d.lock != nil {
		errs = append(errs, d.lock.Close())
	}
	if d.db != nil {
		errs = append(errs, d.db.Close())
	}
	return errors.Join(errs...)
}

// Run works until ctx ends or, if once, until nothing waits. say is told the project and what was done in it. What goes wrong in
// one project holds up no other; if once, the errors are given at the end.
func (d *Desk) Run(ctx context.Context, once bool, say func(purl, did string)) error {
	for {
		worked, err := d.round(ctx, say)
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // it was told to end
		case once && (err != nil || !worked):
			return err
		case worked && err == nil:
			continue
		case err != nil:
			// Without the cause, which may quote what was tried.
			slog.LogAttrs(ctx, slog.LevelError, "a project's findings wait, since something went wrong", slog.String("kind", string(proofhouse.KindOf(err))), slog.String("what", proofhouse.PublicOf(err)))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(deskPause):
		}
	}
}

// round gives each project that waits a turn.
func (d *Desk) round(ctx context.Context, say func(purl, did string)) (worked bool, err error) {
	var errs []error
	for after := ""; ; {
		purls, next, err := d.findings.Clearing.Projects(ctx, true, after, 100)
		if err != nil {
			return worked, errors.Join(append(errs, err)...)
		}
		for _, purl := range purls {
			if purl == "" {
				continue // its key is not here
			}
			did, err := d.turn(ctx, purl, say)
			worked = worked || did
			if err != nil {
				errs = append(errs, err)
			}
			if ctx.Err() != nil {
				return worked, ctx.Err()
			}
		}
		if after = next; next == "" {
			return worked, errors.Join(errs...)
		}
	}
}

// turn does what waits in a project, for one turn.
func (d *Desk) turn(ctx context.Context, purl string, say func(purl, did string)) (worked bool, err error) {
	desk, ok := d.desks[purl]
	if !ok {
		desk = d.make()
		d.desks[purl] = desk
	}
	for range deskTurn {
		before, err := d.findings.Project(ctx, purl)
		if err != nil {
			return worked, err
		}
		did, err := desk.Work(ctx, purl)
		if err != nil {
			return worked, err
		}
		if did == "" {
			desk.Close()
			delete(d.desks, purl)
			return worked, d.findings.Rest(ctx, before)
		}
		worked = true
		say(purl, did)
	}
	return worked, nil
}
