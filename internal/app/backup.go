package app

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/ledger"
	"proofhouse/internal/ledger/posix"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/store"
)

// What a backup's folder holds. The manifest is written last and makes it one.
const (
	backupFormat   = "proofhouse backup, format 1"
	backupManifest = "backup.json"
	backupDatabase = "house.db"
	backupLog      = "log"
	backupVault    = "vault"
)

// vaultParts are the folders of the vault whose compartments have bodies: its own, those of cases and those of findings.
var vaultParts = []string{"", "case", "finding"}

// Backup is what a backup has.
type Backup struct {
	Format   string            `json:"format"`
	Made     time.Time         `json:"made"` // UTC
	Leaves   uint64            `json:"leaves"`
	Rows     int64             `json:"rows"`
	Bodies   int               `json:"bodies"`   // sealed artifacts of the vault
	Database proofhouse.Digest `json:"database"` // of its file
}

// Backup copies the house into folder, which must not be there, while it may
// be served. database is as HouseConfig has it.
//
// The order of effects: first the log, then the database in one snapshot, then
// the vault. An entry commits before its leaf is appended, so the database's
// copy explains every leaf of the log's copy; places above that are taken back
// when it is restored. Keys are not copied: what has both opens the house, and
// a key that is shredded would live on in every backup. Neither are the vault's
// heads, which are the keys of its bodies, nor the gate's record, which names the real model.
func (a *App) Backup(ctx context.Context, folder, database string, now time.Time) (b Backup, err error) {
	if database == "" {
		database = a.database()
	}
	if err := os.Mkdir(folder, 0o700); err != nil {
		return b, proofhouse.Errorf(proofhouse.Conflict, err, "the folder for the backup is there already, or cannot be made: name a new one")
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(folder))
		}
	}()
	b = Backup{Format: backupFormat, Made: now.UTC()}
	if b.Leaves, err = posix.CopyFolder(a.Config.dir("log"), filepath.Join(folder, backupLog)); err != nil {
		return b, err
	}
	if b.Rows, err = copyDatabase(ctx, database, "sqlite:"+filepath.Join(folder, backupDatabase), b.Leaves); err != nil {
		return b, err
	}
	for _, part := range vaultParts {
		n, _, err := copyBodies(a.Config.dir("vault", part), filepath.Join(folder, backupVault, part), everyBody)
		if err != nil {
			return b, err
		}
		b.Bodies += n
	}
	if b.Database, err = digestOf(filepath.Join(folder, backupDatabase)); err != nil {
		return b, err
	}
	text, err := json.MarshalIndent(b, "", "  ")
	if err != nil {
		return b, err
	}
	return b, writeDurably(filepath.Join(folder, backupManifest), append(text, '\n'))
}

// backupsNoted is a file of the data folder in which backups are noted, a line each; it needs no key, as backups need none.
const backupsNoted = "backups.jsonl"

// notedBackup is a line of it. Of where the backup went it has the folder's name alone.
type notedBackup struct {
	Folder string `json:"folder"`
	Backup
}

// NoteBackup notes in the data folder that a backup was made into folder, for those who look after the house.
func (a *App) NoteBackup(folder string, b Backup) error {
	path, err := filepath.Abs(folder)
	if err != nil {
		return copyError(err)
	}
	line, err := json.Marshal(notedBackup{filepath.Base(path), b})
	if err != nil {
		return err
	}
	f, err := os.OpenFile(a.Config.dir(backupsNoted), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return copyError(err)
	}
	_, err = f.Write(append(line, '\n'))
	return copyError(errors.Join(err, f.Sync(), f.Close()))
}

// Backups are the last backups that were noted, the newest first, at most that many. A line that is
// cut short, since a process died, is passed over.
func (a *App) Backups(most int) ([]wire.BackupMade, error) {
	text, err := os.ReadFile(a.Config.dir(backupsNoted))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, proofhouse.Errorf(proofhouse.Unavailable, err, "what backups were made cannot be read")
	}
	all := []wire.BackupMade{}
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	for i := len(lines) - 1; i >= 0 && len(all) < most; i-- {
		var b notedBackup
		if json.Unmarshal([]byte(lines[i]), &b) == nil && b.Format == backupFormat {
			all = append(all, wire.BackupMade{Made: b.Made, Folder: b.Folder, Leaves: b.Leaves, Rows: b.Rows, Bodies: b.Bodies, Database: b.Database})
		}
	}
	return all, nil
}

// database is where the house's rows are if nobody says otherwise.
func (a *App) database() string { return "sqlite:" + a.Config.dir("house.db") }

func copyDatabase(ctx context.Context, from, to string, logged uint64) (rows int64, err error) {
	source, err := store.OpenExisting(ctx, from)
	if err != nil {
		return 0, err
	}
	defer source.Close()
	target, err := store.Create(ctx, to)
	if err != nil {
		return 0, err
	}
	rows, err = source.CopyTo(ctx, target, logged)
	return rows, errors.Join(err, target.Close())
}

// everyBody wants all.
func everyBody(string, string) bool { return true }

func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}

// copyBodies copies the sealed bodies of a vault's folder, and no heads and no
// keys: those that wants says, by compartment and file.
func copyBodies(from, to string, wants func(compartment, body string) bool) (copied, left int, err error) {
	names, err := filepath.Glob(filepath.Join(from, "*", "*.body"))
	if err != nil {
		return 0, 0, err
	}
	for _, name := range names {
		compartment := filepath.Base(filepath.Dir(name))
		if !wants(compartment, filepath.Base(name)) {
			left++
			continue
		}
		dir := filepath.Join(to, compartment)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return copied, left, copyError(err)
		}
		err := copyFile(name, filepath.Join(dir, filepath.Base(name)))
		if errors.Is(err, fs.ErrNotExist) {
			continue // it was destroyed meanwhile
		}
		if err != nil {
			return copied, left, copyError(err)
		}
		copied++
	}
	return copied, left, nil
}

func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Sync(), out.Close())
}

func writeDurably(name string, b []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return copyError(err)
	}
	_, err = f.Write(b)
	return copyError(errors.Join(err, f.Sync(), f.Close()))
}

func copyError(err error) error {
	if err == nil {
		return nil
	}
	return proofhouse.Errorf(proofhouse.Unavailable, err, "a file of the copy cannot be written: check the rights, and that its disk has room")
}

func digestOf(name string) (proofhouse.Digest, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", proofhouse.Errorf(proofhouse.NotFound, err, "the backup's copy of the database cannot be read")
	}
	defer f.Close()
	d, _, err := proofhouse.DigestReader(f)
	return d, err
}

// RestoreRequest is what is put back, and where.
type RestoreRequest struct {
	Folder   string // a backup
	Database string // as HouseConfig has it; it must be empty
	// Log is the folder of a newer public log than the backup's; "" is the backup's.
	Log string
}

// Restored is what was put back, and what was found when all of it was read.
type Restored struct {
	Backup Backup `json:"backup"`
	Bodies int    `json:"bodies"`
	// BodiesLeft are those whose keys are not here, or were destroyed.
	BodiesLeft int `json:"bodies_left"`
	Cases      int `json:"cases"`    // whose every event was applied again
	Events     int `json:"events"`   // of these
	Projects   int `json:"projects"` // with findings, whose every event was applied again, too
	// ProjectsUnopened are those whose key is not here.
	ProjectsUnopened int `json:"projects_unopened"`
	House            int `json:"house"`    // entries of the register of people
	Shredded         int `json:"shredded"` // cases whose key was destroyed
	// Unopened are cases whose key is not here.
	Unopened []proofhouse.CaseID `json:"unopened"`
	Leaves   uint64              `json:"leaves"`  // of the log, each held against the entry that it stands for
	Waiting  int                 `json:"waiting"` // entries that the log has not
	// Lost are leaves that no entry explains: what was accepted after the backup.
	Lost []LostLeaf `json:"lost"`
}

// LostLeaf is a leaf of the log that no entry explains.
type LostLeaf struct {
	Index uint64 `json:"index"`
	Leaf  string `json:"leaf"` // in hex
}

// Restore puts a backup back into this data folder, which has the keys and
// nothing else of a house, and reads all of it. What is wrong ends it, and
// what it made is taken away again, but for rows in PostgreSQL. The error is
// proofhouse.Failed, with the house in place, if leaves are lost or keys are missing.
func (a *App) Restore(ctx context.Context, req RestoreRequest, now time.Time) (r Restored, err error) {
	if r.Backup, err = readBackup(req.Folder); err != nil {
		return r, err
	}
	if err := a.restorable(); err != nil {
		return r, err
	}
	if req.Log == "" {
		req.Log = filepath.Join(req.Folder, backupLog)
	}
	local := req.Database == ""
	if local {
		req.Database = a.database()
	}
	defer func() {
		if err == nil || proofhouse.KindOf(err) == proofhouse.Failed {
			return
		}
		err = errors.Join(err, os.RemoveAll(a.Config.dir("log")))
		if local {
			for _, suffix := range []string{"", "-wal", "-shm"} {
				_ = os.Remove(a.Config.dir("house.db") + suffix)
			}
		}
	}()
	size, err := posix.CopyFolder(req.Log, a.Config.dir("log"))
	if err != nil {
		return r, err
	}
	if err := restoreDatabase(ctx, filepath.Join(req.Folder, backupDatabase), req.Database, size); err != nil {
		return r, err
	}
	h, err := a.OpenHouse(ctx, HouseConfig{Database: req.Database})
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	if r.Lost, err = h.reconcile(ctx, now); err != nil {
		return r, err
	}
	if err := h.checkAll(ctx, &r); err != nil {
		return r, err
	}
	for _, part := range vaultParts {
		n, left, err := copyBodies(filepath.Join(req.Folder, backupVault, part), a.Config.dir("vault", part), func(compartment, body string) bool {
			switch part {
			case "case": // what was destroyed since has no head, and comes to nothing
				return exists(a.Config.dir("keys", "artifact", compartment, strings.TrimSuffix(body, ".body")+".head"))
			case "finding":
				has, err := h.keys.Has(compartment)
				return err == nil && has
			}
			return exists(a.Config.dir("vault", compartment))
		})
		if err != nil {
			return r, err
		}
		r.Bodies, r.BodiesLeft = r.Bodies+n, r.BodiesLeft+left
	}
	if len(r.Lost) > 0 || len(r.Unopened) > 0 || r.ProjectsUnopened > 0 {
		return r, proofhouse.Errorf(proofhouse.Failed, nil, "the house is put back, but %d leaves of the log are explained by no entry and the keys of %d cases and %d projects are not here", len(r.Lost), len(r.Unopened), r.ProjectsUnopened)
	}
	return r, nil
}

// readBackup reads a backup's manifest, and holds the database's copy to it.
func readBackup(folder string) (b Backup, err error) {
	text, err := os.ReadFile(filepath.Join(folder, backupManifest))
	if err != nil {
		return b, proofhouse.Errorf(proofhouse.NotFound, err, "there is no whole backup in that folder: one that was cut short has no %s", backupManifest)
	}
	if err := json.Unmarshal(text, &b); err != nil || b.Format != backupFormat {
		return b, proofhouse.Errorf(proofhouse.Integrity, err, "the backup is of another format, or was changed")
	}
	digest, err := digestOf(filepath.Join(folder, backupDatabase))
	if err != nil {
		return b, err
	}
	if digest != b.Database {
		return b, proofhouse.Errorf(proofhouse.Integrity, nil, "the backup's copy of the database was changed after it was made: take another backup")
	}
	return b, nil
}

// restorable says whether this data folder has the keys and nothing else of a house.
func (a *App) restorable() error {
	for _, pattern := range []string{"house.db", "log", filepath.Join("vault", "*", "*.body"), filepath.Join("vault", "case", "*", "*.body"), filepath.Join("vault", "finding", "*", "*.body")} {
		if there, err := filepath.Glob(a.Config.dir(pattern)); err != nil || len(there) > 0 {
			return proofhouse.Errorf(proofhouse.Conflict, err, "the data folder holds a house already: restore into one that has the keys and nothing else")
		}
	}
	for _, key := range []string{a.Config.HouseKey, a.Config.dir("keys", "log.key"), a.Config.dir("keys", "log.origin"), a.Config.dir("keys", "case", "house")} {
		if _, err := os.Stat(key); err != nil {
			return proofhouse.Errorf(proofhouse.NotFound, err, "the house's keys are not here, and without them nothing opens: put keys/ back into the data folder first")
		}
	}
	return nil
}

// restoreDatabase copies the rows. It opens a copy of the file: to open a
// database changes it, and a backup may lie where nothing can be written.
func restoreDatabase(ctx context.Context, file, to string, logged uint64) (err error) {
	dir, err := os.MkdirTemp("", "proofhouse-restore-")
	if err != nil {
		return copyError(err)
	}
	defer os.RemoveAll(dir)
	tmp := filepath.Join(dir, backupDatabase)
	if err := copyFile(file, tmp); err != nil {
		return copyError(err)
	}
	_, err = copyDatabase(ctx, "sqlite:"+tmp, to, logged)
	return err
}

// reconcile records the places of all entries that the log has and the
// database does not know of, as the sequencer does, but goes on where no entry
// explains a leaf: those it gives, and the database keeps them as lost.
func (h *House) reconcile(ctx context.Context, now time.Time) (lost []LostLeaf, err error) {
	at, err := h.docket.Placed(ctx)
	if err != nil {
		return nil, err
	}
	size, err := h.log.Size(ctx)
	if err != nil {
		return nil, err
	}
	waiting, err := h.docket.Waiting(ctx, 1<<20)
	if err != nil {
		return nil, err
	}
	waits := make(map[[32]byte]ledger.Waiting, len(waiting))
	for _, w := range waiting {
		waits[w.Commitment] = w
	}
	for ; at < size; at = min(at+checkedAtOnce, size) {
		leaves, err := h.log.Leaves(ctx, at, min(at+checkedAtOnce, size))
		if err != nil {
			return nil, err
		}
		var placed []ledger.Placed
		var unexplained []store.PlacedEntry
		for i, leaf := range leaves {
			index := at + uint64(i)
			if w, ok := waits[leaf]; ok {
				placed = append(placed, ledger.Placed{Stream: w.Stream, Seq: w.Seq, Index: index})
				delete(waits, leaf)
				continue
			}
			unexplained = append(unexplained, store.PlacedEntry{Placed: ledger.Placed{Index: index}, Commitment: leaf})
			lost = append(lost, LostLeaf{index, hex.EncodeToString(leaf[:])})
		}
		if err := errors.Join(h.docket.Place(ctx, placed), h.docket.Lose(ctx, unexplained, now)); err != nil {
			return nil, err
		}
	}
	return lost, nil
}

// checkedAtOnce is how many leaves and entries are read at once.
const checkedAtOnce = 1024

// checkAll reads all that the house has: every case from its first event,
// every entry of the register, and every leaf of the log.
func (h *House) checkAll(ctx context.Context, r *Restored) error {
	all, err := h.docket.All(ctx)
	if err != nil {
		return err
	}
	for _, s := range all {
		c, err := h.docket.Case(ctx, s.ID)
		if proofhouse.KindOf(err) == proofhouse.NotFound {
			shredded, err := h.keys.Shredded(string(s.ID))
			if err != nil {
				return err
			}
			if shredded {
				r.Shredded++
			} else {
				r.Unopened = append(r.Unopened, s.ID)
			}
			continue
		}
		if err != nil {
			return err
		}
		r.Cases++
		r.Events += c.Version
	}
	for {
		page, err := h.Directory.People.HouseEntries(ctx, int64(r.House), checkedAtOnce)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			break
		}
		r.House += len(page)
	}
	if r.Projects, r.ProjectsUnopened, err = h.findings.check(ctx); err != nil {
		return err
	}
	if r.Leaves, err = h.checkLeaves(ctx); err != nil {
		return err
	}
	waiting, err := h.docket.Waiting(ctx, 1<<20)
	r.Waiting = len(waiting)
	return err
}

// checkLeaves holds every leaf of the log to the entry that stands at its place.
func (h *House) checkLeaves(ctx context.Context) (uint64, error) {
	size, err := h.log.Size(ctx)
	if err != nil {
		return 0, err
	}
	for at := uint64(0); at < size; at = min(at+checkedAtOnce, size) {
		leaves, err := h.log.Leaves(ctx, at, min(at+checkedAtOnce, size))
		if err != nil {
			return 0, err
		}
		entries, err := h.docket.PlacedFrom(ctx, at, len(leaves))
		if err != nil {
			return 0, err
		}
		for i, leaf := range leaves {
			if index := at + uint64(i); i >= len(entries) || entries[i].Index != index || entries[i].Commitment != leaf {
				return 0, proofhouse.Errorf(proofhouse.Integrity, nil, "leaf %d of the public log is not the entry that the database has there: the log and the database are of two houses, or one was changed", index)
			}
		}
	}
	return size, nil
}
