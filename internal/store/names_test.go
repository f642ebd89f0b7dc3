package store_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"proofhouse/internal/docket"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/store"
	"proofhouse/internal/store/storetest"
	"proofhouse/internal/vault"
)

// TestSearch changes cases by one of two processes on one database, and has both search at once, before and after.
func TestSearch(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, address string) {
		beside := must[*store.DB](t)(store.Open(t.Context(), address))
		t.Cleanup(func() { beside.Close() })
		dir := t.TempDir()
		process := func(db *store.DB) *store.Docket {
			return store.NewDocket(db, vault.New(filepath.Join(dir, "vault"), filepath.Join(dir, "house.key")).Records(filepath.Join(dir, "case")))
		}
		one, other := process(db), process(beside)
		r := docket.Registry{Store: one}
		open := func(name, codename string) {
			t.Helper()
			_, err := r.Open(t.Context(), dev, rules(t), docket.OpenCase{Codename: codename, Variants: []string{"deployed"}}, docket.Request{},
				func() proofhouse.CaseID { return proofhouse.CaseID(name) }, start)
			if err != nil {
				t.Fatal(err)
			}
			do(t, r, proofhouse.CaseID(name), registrar, docket.Accept{})
		}
		open("case-1", "heron")
		open("case-2", "kestrel")
		rita, eve := docket.Person{Organisation: registrar.Organisation, Person: registrar.Person}, docket.Person{Organisation: evaluator.Organisation, Person: evaluator.Person}
		search := func(when string, l docket.Listing, want string) {
			t.Helper()
			l.Limit = 10
			for i, d := range []*store.Docket{other, one, other} {
				rows, err := d.Summaries(t.Context(), l)
				if err != nil {
					t.Errorf("%s, process %d: %v", when, i, err)
				}
				var found []string
				for _, s := range rows {
					found = append(found, string(s.ID)+map[bool]string{true: " destroyed"}[s.Destroyed])
				}
				if got := strings.Join(found, ", "); got != want {
					t.Errorf("%s, process %d finds %q by %q, want %q", when, i%2, got, l.Find, want)
				}
			}
		}
		search("at first", docket.Listing{Who: rita, Find: "heron"}, "case-1")
		search("at first", docket.Listing{Who: rita, Find: "estre"}, "case-2")
		search("at first", docket.Listing{Who: rita, Find: "nothing"}, "")
		search("by the developer", docket.Listing{Who: rita, Find: "lab"}, "case-1, case-2")
		search("by the id", docket.Listing{Who: rita, Find: "se-2"}, "case-2")
		search("no member", docket.Listing{Who: eve, Find: "heron"}, "")

		do(t, r, "case-1", registrar, docket.Join{Member: evaluator})
		search("as a member", docket.Listing{Who: eve, Find: "heron"}, "case-1")
		do(t, r, "case-1", registrar, docket.Leave{Member: evaluator})
		search("having left", docket.Listing{Who: eve, Find: "heron"}, "")

		if err := one.Rename(t.Context(), "case-1", "osprey"); err != nil {
			t.Fatal(err)
		}
		search("by the new name", docket.Listing{Who: rita, Find: "osprey"}, "case-1")
		search("by the old name", docket.Listing{Who: rita, Find: "heron"}, "")

		do(t, r, "case-2", dev, docket.Withdraw{})
		search("withdrawn, among the open", docket.Listing{Who: rita, Find: "kestrel", State: "open"}, "")
		search("withdrawn, among the ended", docket.Listing{Who: rita, Find: "kestrel", State: "ended"}, "case-2")
		open("case-3", "kestrel")
		search("one more", docket.Listing{Who: rita, Find: "kestrel"}, "case-3, case-2")
		search("one more, among the open", docket.Listing{Who: rita, Find: "kestrel", State: "open"}, "case-3")

		if err := one.ShredCase("case-3"); err != nil {
			t.Fatal(err)
		}
		search("shredded", docket.Listing{Who: rita, Find: "kestrel"}, "case-2")
		search("shredded, by the id", docket.Listing{Who: rita, Find: "case-3"}, "case-3 destroyed")
		search("shredded, by the developer", docket.Listing{Who: rita, Find: "lab"}, "case-1, case-2")
	})
}

// TestSearchMany searches more cases than are read at once, by pages, as a house that has learnt the
// names at its opening and as one that has not.
func TestSearchMany(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, _ string) {
		dir := t.TempDir()
		process := func() *store.Docket {
			return store.NewDocket(db, vault.New(filepath.Join(dir, "vault"), filepath.Join(dir, "house.key")).Records(filepath.Join(dir, "case")))
		}
		r := docket.Registry{Store: process()}
		const many = 1100
		found := func(i int) bool { return i%100 == 7 || i == 1003 }
		var work sync.WaitGroup
		for w := range 4 {
			work.Go(func() {
				for i := w; i < many; i += 4 {
					name := "wren"
					switch {
					case found(i):
						name = "heron"
					case i == many-1:
						name = "osprey"
					}
					_, err := r.Open(context.WithoutCancel(t.Context()), dev, rules(t), docket.OpenCase{Codename: name, Variants: []string{"deployed"}}, docket.Request{},
						func() proofhouse.CaseID { return proofhouse.CaseID(fmt.Sprintf("case-%04d", i)) }, start)
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		work.Wait()
		learnt := process()
		if err := learnt.Learn(t.Context()); err != nil {
			t.Fatal(err)
		}
		var want []string
		for i := range many {
			if found(i) {
				want = append(want, fmt.Sprintf("case-%04d", i))
			}
		}
		for what, d := range map[string]*store.Docket{"learnt": learnt, "new": process()} {
			for _, limit := range []int{3, 100} {
				var got []string
				for l := (docket.Listing{Who: docket.Person{Organisation: dev.Organisation, Person: dev.Person}, Untaken: "institute", Find: "heron", Limit: limit}); ; {
					rows := must[[]docket.Summary](t)(d.Summaries(t.Context(), l))
					for _, s := range rows {
						got = append(got, string(s.ID))
					}
					if len(rows) < l.Limit {
						break
					}
					l.After = rows[len(rows)-1].Place()
				}
				if !slices.Equal(got, want) {
					t.Errorf("%s finds %v, want %v", what, got, want)
				}
			}
		}
		for what, d := range map[string]*store.Docket{"learnt": learnt, "new": process()} {
			ask := docket.Listing{Who: docket.Person{Organisation: dev.Organisation, Person: dev.Person}, Find: "osprey", Limit: 4}
			if rows := must[[]docket.Summary](t)(d.Summaries(t.Context(), ask)); len(rows) != 1 || rows[0].Codename != "osprey" {
				t.Errorf("%s finds %d of the one that stands last", what, len(rows))
			}
		}
		// A row that does not open is nobody's to find, and one that is known not to fit is not opened.
		if err := learnt.Damage(t.Context(), "case-0050"); err != nil {
			t.Fatal(err)
		}
		ask := docket.Listing{Who: docket.Person{Organisation: dev.Organisation, Person: dev.Person}, Find: "heron", Limit: 2}
		if _, err := learnt.Summaries(t.Context(), ask); err != nil {
			t.Errorf("a row that does not fit is opened: %v", err)
		}
		if _, err := process().Summaries(t.Context(), ask); proofhouse.KindOf(err) != proofhouse.Integrity {
			t.Errorf("a damaged row: %v", err)
		}
	})
}
