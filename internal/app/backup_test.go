package app

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/docket"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/store/storetest"
)

// restoring is a new data folder with the keys of another.
func restoring(t *testing.T, keysOf string) *App {
	t.Helper()
	data := t.TempDir()
	if keysOf != "" {
		if err := os.CopyFS(filepath.Join(data, "keys"), os.DirFS(filepath.Join(keysOf, "keys"))); err != nil { // and their modes get lost
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(data, "keys", "log.key"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(data, "keys", "house.key"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a, err := Open(t.Context(), Config{Data: data, HouseKey: filepath.Join(data, "keys", "house.key")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return a
}

// serveRestored serves what was restored, to the same people.
func (s *served) serveRestored(t *testing.T, a *App, database string) *served {
	t.Helper()
	again := serveHouse(t, a.Config.Data, database)
	again.tokens, again.keys = s.tokens, s.keys
	return again
}

// proves verifies the case's bundle, which must hold the receipts.
func (s *served) proves(t *testing.T, id proofhouse.CaseID, receipts ...string) BundleProof {
	t.Helper()
	name := filepath.Join(t.TempDir(), "bundle")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := s.Bundle(t.Context(), id, f); err != nil {
		t.Fatal(err)
	}
	p, err := VerifyBundle(t.Context(), name, BundleTrust{LogKey: s.LogKey(), Receipts: receipts})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (s *served) receipt(t *testing.T, id proofhouse.CaseID, seq int) string {
	t.Helper()
	b, err := s.as("ada").Receipt(t.Context(), id, seq)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "receipt")
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestBackup backs a house up while it is served, on both databases, and puts
// it back on both: a bundle verifies and holds a receipt from before. Then what goes
// wrong: no keys, a key that was shredded since, a newer log, a damaged backup.
func TestBackup(t *testing.T) {
	storetest.EachAddress(t, func(t *testing.T, database string) {
		data, folder := t.TempDir(), filepath.Join(t.TempDir(), "backup")
		s := serveHouse(t, data, database)
		s.populate(t)
		id := s.review(t)
		receipt := s.receipt(t, id, 3)
		before := s.proves(t, id, receipt)
		compartment := filepath.Join(data, "vault", "content")
		if err := os.MkdirAll(compartment, 0o700); err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string]string{"a.body": "noise", "key.age": "secret", "a.head": "secret", "b.new": "secret"} {
			if err := os.WriteFile(filepath.Join(compartment, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		made, err := s.app.Backup(t.Context(), folder, database, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if made.Leaves < uint64(before.Case.Events) || made.Bodies != 1 {
			t.Errorf("the backup has %+v", made)
		}
		s.stolen(t, folder)
		if _, err := s.app.Backup(t.Context(), folder, database, time.Now()); proofhouse.KindOf(err) != proofhouse.Conflict {
			t.Errorf("a backup into a folder that is there: %v", err)
		}

		storetest.EachAddress(t, func(t *testing.T, to string) {
			a := restoring(t, data)
			if err := os.Mkdir(a.Config.dir("vault"), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(a.Config.dir("vault", "content"), 0o700); err != nil {
				t.Fatal(err)
			}
			r, err := a.Restore(t.Context(), RestoreRequest{Folder: folder, Database: to}, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			if r.Cases != 1 || r.Events != before.Case.Events || r.House == 0 || r.Leaves != made.Leaves || len(r.Lost)+len(r.Unopened)+r.Shredded+r.Waiting != 0 || r.Bodies != 1 || r.BodiesLeft != 0 {
				t.Errorf("restored: %+v", r)
			}
			again := s.serveRestored(t, a, to)
			p := again.proves(t, id, receipt)
			if p.Log.Receipts != 1 || p.Case.Events != before.Case.Events || len(p.Case.Determinations) != 1 {
				t.Errorf("the restored house proves %+v", p)
			}
			// The gates' record is in no backup. Without it nobody can say what was used; with it, it is as before.
			unmetered := func(open string) bool { return strings.Contains(open, "where the tokens went") }
			if p.Case.Accounts != nil || !slices.ContainsFunc(p.Case.Open, unmetered) {
				t.Errorf("without the gates' record it proves %+v, and leaves open %v", p.Case.Accounts, p.Case.Open)
			}
			if err := os.RemoveAll(a.Config.dir("gate")); err != nil {
				t.Fatal(err)
			}
			if err := os.CopyFS(a.Config.dir("gate"), os.DirFS(filepath.Join(data, "gate"))); err != nil {
				t.Fatal(err)
			}
			if p := again.proves(t, id, receipt); before.Case.Accounts == nil || p.Case.Accounts == nil || slices.ContainsFunc(p.Case.Open, unmetered) {
				t.Errorf("with the gates' record it proves %+v, and leaves open %v", p.Case.Accounts, p.Case.Open)
			}
			again.do(t, "ada", id, docket.Announce{Date: time.Now()})
			again.proves(t, id, receipt, again.receipt(t, id, before.Case.Events+1))
			if _, err := a.Restore(t.Context(), RestoreRequest{Folder: folder}, time.Now()); proofhouse.KindOf(err) != proofhouse.Conflict {
				t.Errorf("a restore over a house: %v", err)
			}
		})

		// What was accepted after the backup is in the log that is left, and in no copy of the database.
		s.do(t, "ada", id, docket.Announce{Date: time.Now()})
		s.do(t, "ada", id, docket.Announce{Date: time.Now()})
		lost := s.receipt(t, id, before.Case.Events+2)
		a := restoring(t, data)
		r, err := a.Restore(t.Context(), RestoreRequest{Folder: folder, Log: filepath.Join(data, "log")}, time.Now())
		if proofhouse.KindOf(err) != proofhouse.Failed || len(r.Lost) != 2 || r.Lost[1].Index != made.Leaves+1 || r.Events != before.Case.Events {
			t.Errorf("with a newer log: %+v, %v", r, err)
		}
		again := s.serveRestored(t, a, "")
		again.do(t, "ada", id, docket.Announce{Date: time.Now(), Note: "once more"})
		again.proves(t, id, receipt)
		name := filepath.Join(t.TempDir(), "bundle")
		f, err := os.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		again.do(t, "ada", id, docket.Announce{Date: time.Now()})
		if err := again.Bundle(t.Context(), id, f); err != nil {
			t.Fatal(err)
		}
		f.Close()
		if _, err := VerifyBundle(t.Context(), name, BundleTrust{Receipts: []string{lost}}); proofhouse.KindOf(err) != proofhouse.Integrity {
			t.Errorf("a receipt of what was lost, held against a bundle of what came instead: %v", err)
		}

		// Without keys nothing is restored; after a key was shredded the old backup does not open its case.
		a = restoring(t, "")
		if _, err := a.Restore(t.Context(), RestoreRequest{Folder: folder}, time.Now()); proofhouse.KindOf(err) != proofhouse.NotFound {
			t.Errorf("without keys: %v", err)
		}
		nothing(t, a)
		a = restoring(t, data)
		if err := os.Remove(a.Config.dir("keys", "case", string(id))); err != nil {
			t.Fatal(err)
		}
		if r, err := a.Restore(t.Context(), RestoreRequest{Folder: folder}, time.Now()); proofhouse.KindOf(err) != proofhouse.Failed || len(r.Unopened) != 1 {
			t.Errorf("without the case's key: %+v, %v", r, err)
		}
		if err := s.House.keys.Shred(string(id)); err != nil {
			t.Fatal(err)
		}
		a = restoring(t, data)
		if r, err := a.Restore(t.Context(), RestoreRequest{Folder: folder}, time.Now()); err != nil || r.Shredded != 1 || r.Cases != 0 || r.Leaves != made.Leaves {
			t.Errorf("after the key was shredded: %+v, %v", r, err)
		}
		if _, err := s.serveRestored(t, a, "").Registry.Store.Case(t.Context(), id); proofhouse.KindOf(err) != proofhouse.NotFound {
			t.Errorf("the case of a shredded key: %v", err)
		}

		damage(t, folder, data)
		swapped(t, folder, data)
	})
}

// TestBackupServed takes backups while many add events: in none has the log a
// leaf that the database does not explain.
func TestBackupServed(t *testing.T) {
	storetest.EachAddress(t, func(t *testing.T, database string) {
		data := t.TempDir()
		s := serveHouse(t, data, database)
		s.populate(t)
		// Many rows make the database's copy take long enough that the log goes on meanwhile.
		if _, err := storetest.SQL(t, database).ExecContext(t.Context(), `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
			INSERT INTO revocation (number, scope, name, reason, actor, made_at) SELECT i, 'case', 'x', 'x', 'x', 0 FROM n`); err != nil {
			t.Fatal(err)
		}
		stop := make(chan struct{})
		var adding sync.WaitGroup
		for range 2 {
			c, err := s.as("ada").Open(t.Context(), wire.Open{OpenCase: docket.OpenCase{Codename: "heron", Variants: []string{"a"}}, Profile: "institute"}, "")
			if err != nil {
				t.Fatal(err)
			}
			adding.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					if _, err := s.as("ada").Do(t.Context(), c.ID, docket.Announce{Date: time.Now()}, wire.Options{}); err != nil {
						t.Error(err)
						return
					}
					time.Sleep(5 * time.Millisecond) // the log is to keep up
				}
			})
		}
		var folders []string
		for range 2 {
			time.Sleep(50 * time.Millisecond)
			folder := filepath.Join(t.TempDir(), "backup")
			if _, err := s.app.Backup(t.Context(), folder, database, time.Now()); err != nil {
				t.Fatal(err)
			}
			folders = append(folders, folder)
		}
		close(stop)
		adding.Wait()
		leaves := uint64(0)
		for i, folder := range folders {
			r, err := restoring(t, data).Restore(t.Context(), RestoreRequest{Folder: folder}, time.Now())
			if err != nil || r.Cases != 2 || r.Leaves < leaves || uint64(r.Events+r.House) != r.Leaves+uint64(r.Waiting) {
				t.Errorf("backup %d: %+v, %v", i, r, err)
			}
			leaves = r.Leaves
		}
	})
}

// swapped exchanges the places of two entries, in a backup that is otherwise as
// its manifest says: the leaves tell.
func swapped(t *testing.T, folder, keys string) {
	t.Helper()
	file := filepath.Join(folder, backupDatabase)
	raw := storetest.SQL(t, "sqlite:"+file)
	for _, q := range []string{
		"DROP TRIGGER entry_unchanged", "UPDATE entry SET leaf_index = 1000 WHERE leaf_index = 3",
		"UPDATE entry SET leaf_index = 3 WHERE leaf_index = 4", "UPDATE entry SET leaf_index = 4 WHERE leaf_index = 1000",
	} {
		if _, err := raw.ExecContext(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	if err := raw.Close(); err != nil {
		t.Fatal(err)
	}
	was, err := readBackup(folder)
	if proofhouse.KindOf(err) != proofhouse.Integrity {
		t.Errorf("the database was changed: %v", err)
	}
	digest, err := digestOf(file)
	if err != nil {
		t.Fatal(err)
	}
	manifest := filepath.Join(folder, backupManifest)
	text, err := os.ReadFile(manifest)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(manifest, bytes.Replace(text, []byte(was.Database), []byte(digest), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	a := restoring(t, keys)
	if _, err := a.Restore(t.Context(), RestoreRequest{Folder: folder}, time.Now()); proofhouse.KindOf(err) != proofhouse.Integrity || !strings.Contains(err.Error(), "leaf 3 ") {
		t.Errorf("two entries have each other's place: %v", err)
	}
	nothing(t, a)
}

// stolen searches a backup for what it must not tell, and for keys.
func (s *served) stolen(t *testing.T, folder string) {
	t.Helper()
	err := filepath.WalkDir(folder, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, word := range []string{"canary", "rita@", "secret", "PRIVATE KEY", "AGE-SECRET", s.tokens["ada"]} {
			if bytes.Contains(b, []byte(word)) {
				t.Errorf("%s holds %q", path, word)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// nothing holds a data folder to having nothing of a house.
func nothing(t *testing.T, a *App) {
	t.Helper()
	for _, name := range []string{"house.db", "house.db-wal", "log"} {
		if _, err := os.Stat(a.Config.dir(name)); err == nil {
			t.Errorf("a restore that failed left %s", name)
		}
	}
}

// damage changes a byte here and there in the backup: each is found, and
// nothing of it is put back.
func damage(t *testing.T, folder, keys string) {
	t.Helper()
	for name, kind := range map[string]proofhouse.Kind{
		"house.db": proofhouse.Integrity, "backup.json": proofhouse.Integrity, "log/checkpoint": proofhouse.Integrity, "log/.state/treeState": proofhouse.Integrity,
		"log/tile/0/*.p/*": proofhouse.Integrity, "log/tile/entries/*.p/*": proofhouse.Integrity,
	} {
		found, err := filepath.Glob(filepath.Join(folder, name))
		if err != nil || len(found) == 0 {
			t.Errorf("the backup has no %s: %v", name, err)
			continue
		}
		b, err := os.ReadFile(found[len(found)-1])
		if err != nil {
			t.Fatal(err)
		}
		bad := bytes.Clone(b)
		bad[len(bad)*2/3] ^= 1
		if name == "backup.json" {
			bad = bytes.Replace(b, []byte("format 1"), []byte("format 2"), 1)
		}
		if err := os.WriteFile(found[len(found)-1], bad, 0o600); err != nil {
			t.Fatal(err)
		}
		a := restoring(t, keys)
		if _, err := a.Restore(t.Context(), RestoreRequest{Folder: folder}, time.Now()); proofhouse.KindOf(err) != kind {
			t.Errorf("%s was changed: %v", strings.TrimPrefix(found[len(found)-1], folder), err)
		}
		nothing(t, a)
		if err := os.WriteFile(found[len(found)-1], b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
