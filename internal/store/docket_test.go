package store_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"proofhouse/internal/docket"
	"proofhouse/internal/ledger"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/store"
	"proofhouse/internal/store/storetest"
	"proofhouse/internal/vault"
)

var (
	dev       = proofhouse.Actor{Organisation: "lab", Person: "ada", Role: proofhouse.Developer}
	registrar = proofhouse.Actor{Organisation: "institute", Person: "rita", Role: proofhouse.Registrar}
	evaluator = proofhouse.Actor{Organisation: "institute", Person: "eve", Role: proofhouse.Evaluator}
	start     = time.Date(2026, 6, 1, 9, 0, 0, 0, time.UTC)
)

// newDocket is a docket in db with a house's key of its own.
func newDocket(t testing.TB, db *store.DB) *store.Docket {
	dir := t.TempDir()
	return store.NewDocket(db, vault.New(filepath.Join(dir, "vault"), filepath.Join(dir, "house.key")).Records(filepath.Join(dir, "case")))
}

func rules(t testing.TB) *docket.Profile {
	return must[*docket.Profile](t)(docket.ShippedProfile("institute"))
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// openCase opens a case that the body takes up.
func openCase(t testing.TB, r docket.Registry, id proofhouse.CaseID) {
	t.Helper()
	_, err := r.Open(t.Context(), dev, rules(t), docket.OpenCase{Codename: "heron", Variants: []string{"deployed"}}, docket.Request{}, func() proofhouse.CaseID { return id }, start)
	if err != nil {
		t.Fatal(err)
	}
	do(t, r, id, registrar, docket.Accept{})
}

func do(t testing.TB, r docket.Registry, id proofhouse.CaseID, by proofhouse.Actor, a docket.Act) docket.Case {
	t.Helper()
	c, _, err := r.Do(t.Context(), id, docket.Event{By: by, Act: a}, 0, docket.Request{}, start.Add(time.Hour))
	if err != nil {
		t.Fatalf("%s: %v", a.Kind(), err)
	}
	return c
}

func TestDocket(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, _ string) {
		d := newDocket(t, db)
		r := docket.Registry{Store: d}
		openCase(t, r, "case-1")
		openCase(t, r, "case-2")
		do(t, r, "case-1", dev, docket.Lend{Grant: "body", To: "institute"})
		do(t, r, "case-1", dev, docket.Share{Grant: "bank", To: "bank"})
		do(t, r, "case-1", registrar, docket.Join{Member: evaluator})
		eve := docket.Listing{Who: docket.Person{Organisation: "institute", Person: "eve"}, Limit: 10}
		if all := must[[]docket.Summary](t)(d.Summaries(t.Context(), eve)); len(all) != 1 || all[0].ID != "case-1" || all[0].Codename != "heron" {
			t.Errorf("the evaluator finds %+v", all)
		}
		do(t, r, "case-1", registrar, docket.Leave{Member: evaluator})
		if all := must[[]docket.Summary](t)(d.Summaries(t.Context(), eve)); len(all) != 0 {
			t.Errorf("having left, the evaluator finds %+v", all)
		}
		if all := must[[]docket.Summary](t)(d.All(t.Context())); len(all) != 2 {
			t.Errorf("there are %d cases", len(all))
		}
		withdrawn := do(t, r, "case-1", dev, docket.Withdraw{})
		// The revocation is there in the same transaction, for the body's grant and no other.
		revoked, err := store.Gate{DB: db}.Revocations(t.Context(), 0)
		if err != nil || len(revoked) != 1 || revoked[0].Subject != docket.Subject("case-1", "body") {
			t.Errorf("after the withdrawal the gate is told %+v, %v", revoked, err)
		}
		again := must[docket.Case](t)(d.Case(t.Context(), "case-1"))
		if again.Version != withdrawn.Version || again.Withdrawn.IsZero() || again.Rules.Digest != rules(t).Digest {
			t.Errorf("the case was kept as %+v", again)
		}
		// What is refused leaves nothing.
		if _, _, err := r.Do(t.Context(), "case-1", docket.Event{By: dev, Act: docket.Ask{}}, 0, docket.Request{}, start); proofhouse.KindOf(err) != proofhouse.Refused {
			t.Errorf("asking after the withdrawal: %v", err)
		}
		if _, _, err := r.Do(t.Context(), "case-3", docket.Event{By: dev, Act: docket.Ask{}}, 0, docket.Request{}, start); proofhouse.KindOf(err) != proofhouse.NotFound {
			t.Errorf("a case that is not there: %v", err)
		}
		entries, err := d.Entries(t.Context(), "case-1", 0, 1000)
		if err != nil || len(entries) != withdrawn.Version {
			t.Fatalf("%d entries, %v", len(entries), err)
		}
		if page, err := d.Entries(t.Context(), "case-1", 2, 3); err != nil || len(page) != 3 || page[0].Record.Seq != 3 {
			t.Errorf("a page of entries: %+v, %v", page, err)
		}
		outbox(t, d)
	})
}

// outbox places what waits.
func outbox(t *testing.T, d *store.Docket) {
	t.Helper()
	waiting := must[[]ledger.Waiting](t)(d.Waiting(t.Context(), 1000))
	var placed []ledger.Placed
	for i, w := range waiting {
		placed = append(placed, ledger.Placed{Stream: w.Stream, Seq: w.Seq, Index: uint64(i)})
	}
	for range 2 { // the second time changes nothing
		if err := d.Place(t.Context(), placed); err != nil {
			t.Fatal(err)
		}
	}
	if size := must[uint64](t)(d.Placed(t.Context())); size != uint64(len(waiting)) {
		t.Errorf("%d of %d entries are placed", size, len(waiting))
	}
	if more := must[[]ledger.Waiting](t)(d.Waiting(t.Context(), 1000)); len(more) != 0 {
		t.Errorf("%d entries wait again", len(more))
	}
	moved := placed[0]
	moved.Index = 99
	if err := d.Place(t.Context(), []ledger.Placed{moved}); proofhouse.KindOf(err) != proofhouse.Integrity {
		t.Errorf("an entry was given another place: %v", err)
	}
	if err := d.Place(t.Context(), []ledger.Placed{{Stream: "case-9", Seq: 1, Index: 100}}); proofhouse.KindOf(err) != proofhouse.NotFound {
		t.Errorf("an entry that is not there got a place: %v", err)
	}
	if e := must[[]docket.Entry](t)(d.Entries(t.Context(), "case-1", 0, 1)); e[0].Index < 0 || e[0].Ledger.Commitment() != waiting[e[0].Index].Commitment {
		t.Errorf("the first entry's place is %d", e[0].Index)
	}
}

// TestTwoRegistrars has many add events to one case at once: none is lost, and
// none was taken on a state that had gone.
func TestTwoRegistrars(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, _ string) {
		d := newDocket(t, db)
		r := docket.Registry{Store: d}
		openCase(t, r, "case-1")
		const many, each = 6, 8
		var wg sync.WaitGroup
		for i := range many {
			wg.Go(func() {
				for j := range each {
					m := evaluator
					m.Person = proofhouse.PersonID(fmt.Sprintf("p%d-%d", i, j))
					if _, _, err := r.Do(t.Context(), "case-1", docket.Event{By: registrar, Act: docket.Join{Member: m}}, 0, docket.Request{}, start); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		c := must[docket.Case](t)(d.Case(t.Context(), "case-1"))
		if want := 2 + many*each; c.Version != want || len(c.Members) != want {
			t.Errorf("after %d events the case is at version %d with %d members", want, c.Version, len(c.Members))
		}
		// Who saw an older version is told so.
		if _, _, err := r.Do(t.Context(), "case-1", docket.Event{By: dev, Act: docket.Ask{}}, 3, docket.Request{}, start); proofhouse.KindOf(err) != proofhouse.Conflict {
			t.Errorf("an act on an older version: %v", err)
		}
	})
}

// TestRepeated sends one request many times at once.
func TestRepeated(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, _ string) {
		d := newDocket(t, db)
		r := docket.Registry{Store: d}
		openCase(t, r, "case-1")
		req := docket.Request{By: docket.Person{Organisation: "lab", Person: "ada"}, Key: "k1", Digest: proofhouse.DigestOf([]byte("announce"))}
		announce := docket.Event{By: dev, Act: docket.Announce{Date: start}}
		var wg sync.WaitGroup
		seqs := make([]int, 8)
		for i := range seqs {
			wg.Go(func() {
				var err error
				if _, seqs[i], err = r.Do(t.Context(), "case-1", announce, 0, req, start); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for _, s := range seqs {
			if s != 3 {
				t.Errorf("the request led to record %d", s)
			}
		}
		if c := must[docket.Case](t)(d.Case(t.Context(), "case-1")); len(c.Releases) != 1 {
			t.Errorf("the release was announced %d times", len(c.Releases))
		}
		other := req
		other.Digest = proofhouse.DigestOf([]byte("withdraw"))
		if _, _, err := r.Do(t.Context(), "case-1", announce, 0, other, start); proofhouse.KindOf(err) != proofhouse.Conflict {
			t.Errorf("another request under the same key: %v", err)
		}
		// Somebody else's key of the same name is another one.
		other.By.Person = "bob"
		if _, seq, err := r.Do(t.Context(), "case-1", announce, 0, other, start); err != nil || seq != 4 {
			t.Errorf("somebody else's request: %d, %v", seq, err)
		}
		opens := func() docket.Case {
			return must[docket.Case](t)(r.Open(t.Context(), dev, rules(t), docket.OpenCase{Codename: "ibis", Variants: []string{"a"}}, docket.Request{By: req.By, Key: "k2"}, proofhouse.NewCaseID, start))
		}
		if first, second := opens(), opens(); first.ID != second.ID {
			t.Error("one request opened two cases")
		}
	})
}

// TestSealedRows searches the database's files for what a case says.
func TestSealedRows(t *testing.T) {
	path := filepath.Join(t.TempDir(), "house.db")
	db := must[*store.DB](t)(store.Open(t.Context(), "sqlite:"+path))
	d := newDocket(t, db)
	r := docket.Registry{Store: d}
	lab := proofhouse.Actor{Organisation: "canary-org", Person: "canary-person", Role: proofhouse.Developer}
	c := must[docket.Case](t)(r.Open(t.Context(), lab, rules(t), docket.OpenCase{Codename: "canary-codename", Variants: []string{"canary-variant"}},
		docket.Request{By: docket.Person{Organisation: "canary-org", Person: "canary-person"}, Key: "canary-key"}, proofhouse.NewCaseID, start))
	do(t, r, c.ID, lab, docket.Announce{Date: start, Note: "canary note"})
	do(t, r, c.ID, lab, docket.Share{Grant: "canary-grant", To: "canary-partner"})
	do(t, r, c.ID, lab, docket.Unshare{Grant: "canary-grant"})
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(path + "*")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		b := must[[]byte](t)(os.ReadFile(f))
		// The grant's name is in the revocation, which the gate acts on.
		b = bytes.ReplaceAll(b, []byte(docket.Subject(c.ID, "canary-grant")), nil)
		if i := bytes.Index(b, []byte("canary")); i >= 0 {
			t.Errorf("%s holds %q", filepath.Base(f), b[i:min(i+40, len(b))])
		}
	}
}

// TestEntriesStay tries to change and to delete what happened.
func TestEntriesStay(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, address string) {
		openCase(t, docket.Registry{Store: newDocket(t, db)}, "case-1")
		raw := storetest.SQL(t, address)
		for _, q := range []string{"DELETE FROM entry", "UPDATE entry SET seq = 7 WHERE seq = 1", "UPDATE entry SET sealed = commitment", "UPDATE entry SET commitment = sealed"} {
			if _, err := raw.ExecContext(t.Context(), q); err == nil || !strings.Contains(err.Error(), "for good") {
				t.Errorf("%s: %v", q, err)
			}
		}
	})
}

// TestChangedRow alters what is sealed where no trigger sees it.
func TestChangedRow(t *testing.T) {
	address := "sqlite:" + filepath.Join(t.TempDir(), "house.db")
	db := must[*store.DB](t)(store.Open(t.Context(), address))
	defer db.Close()
	d := newDocket(t, db)
	openCase(t, docket.Registry{Store: d}, "case-1")
	raw := storetest.SQL(t, address)
	for _, q := range []string{"DROP TRIGGER entry_unchanged", "UPDATE entry SET sealed = (SELECT e.sealed FROM entry AS e WHERE e.seq = 2) WHERE seq = 1"} {
		if _, err := raw.ExecContext(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.Case(t.Context(), "case-1"); proofhouse.KindOf(err) != proofhouse.Integrity {
		t.Errorf("a row that was exchanged: %v", err)
	}
}
