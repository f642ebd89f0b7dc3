package store_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"proofhouse/internal/docket"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/store"
	"proofhouse/internal/store/storetest"
)

// TestListing pages through cases as the database orders them, for each who finds some.
func TestListing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, _ string) {
		d := newDocket(t, db)
		r := docket.Registry{Store: d}
		for i := range 7 {
			id := proofhouse.CaseID(fmt.Sprintf("case-%d", i))
			_, err := r.Open(t.Context(), dev, rules(t), docket.OpenCase{Codename: "heron", Variants: []string{"deployed"}}, docket.Request{},
				func() proofhouse.CaseID { return id }, start.Add(time.Duration(i/2)*time.Minute)) // some at one time
			if err != nil {
				t.Fatal(err)
			}
			if i%2 == 0 {
				do(t, r, id, registrar, docket.Accept{})
			}
		}
		do(t, r, "case-0", dev, docket.Lend{Grant: "body", To: "institute"})
		do(t, r, "case-5", dev, docket.Withdraw{})
		read := func(l docket.Listing) string {
			var names []string
			for l.Limit = 2; ; {
				rows := must[[]docket.Summary](t)(d.Summaries(t.Context(), l))
				for _, s := range rows {
					names = append(names, strings.TrimPrefix(string(s.ID), "case-"))
				}
				if len(rows) < l.Limit {
					return strings.Join(names, " ")
				}
				l.After = rows[len(rows)-1].Place()
			}
		}
		ada, rita := docket.Person{Organisation: dev.Organisation, Person: dev.Person}, docket.Person{Organisation: registrar.Organisation, Person: registrar.Person}
		rob := docket.Person{Organisation: registrar.Organisation, Person: "rob"}
		everyCase := func(when string) {
			for _, l := range []struct {
				ask  docket.Listing
				want string
			}{
				{docket.Listing{Who: ada}, "0 6 4 2 3 1 5"},
				{docket.Listing{Who: ada, State: "open"}, "0 6 4 2 3 1"},
				{docket.Listing{Who: ada, State: "ended"}, "5"},
				{docket.Listing{Who: rita}, "0 6 4 2"},
				{docket.Listing{Who: rita, Untaken: "institute"}, "0 6 4 2 3 1 5"},
				{docket.Listing{Who: rob, Untaken: "institute"}, "3 1 5"},
				{docket.Listing{Who: rob, Untaken: "cyber-centre"}, ""},
				{docket.Listing{Who: rob}, ""},
			} {
				if got := read(l.ask); got != l.want {
					t.Errorf("%s, %+v lists %q, want %q", when, l.ask, got, l.want)
				}
			}
		}
		everyCase("as they were opened")
		// As a house has them that was made before the database ordered lists.
		if err := d.Unorder(t.Context(), "institute"); err != nil {
			t.Fatal(err)
		}
		if got := read(docket.Listing{Who: rob, Untaken: "institute"}); got != "" {
			t.Fatalf("the old database orders %q", got)
		}
		if err := d.Order(t.Context()); err != nil {
			t.Fatal(err)
		}
		everyCase("ordered anew")
		// Members who leave find nothing, and only what is given is opened.
		if all := must[[]docket.Summary](t)(d.All(t.Context())); len(all) != 7 || !slices.IsSortedFunc(all, func(a, b docket.Summary) int { return strings.Compare(string(a.ID), string(b.ID)) }) {
			t.Errorf("all are %+v", all)
		}
		if err := d.Damage(t.Context(), "case-1"); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Summaries(t.Context(), docket.Listing{Who: ada, Limit: 5}); err != nil {
			t.Errorf("a page opens a row that it does not give: %v", err)
		}
		if _, err := d.Summaries(t.Context(), docket.Listing{Who: ada, Limit: 6}); proofhouse.KindOf(err) != proofhouse.Integrity {
			t.Errorf("a damaged row: %v", err)
		}
	})
}

// TestReseal: what an older house had sealed under its own key goes under the cases'; of a case that was
// shredded nothing is left.
func TestReseal(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, _ string) {
		d := newDocket(t, db)
		r := docket.Registry{Store: d}
		ids := []proofhouse.CaseID{"case-0", "case-1", "case-2"}
		for i, id := range ids {
			if _, err := r.Open(t.Context(), dev, rules(t), docket.OpenCase{Codename: "heron", Variants: []string{"deployed"}}, docket.Request{},
				func() proofhouse.CaseID { return id }, start.Add(time.Duration(i)*time.Minute)); err != nil {
				t.Fatal(err)
			}
			if err := d.ForTheHouse(t.Context(), id, false); err == nil {
				t.Errorf("%s is sealed for the house", id)
			}
			if err := d.ForTheHouse(t.Context(), id, true); err != nil {
				t.Fatal(err)
			}
		}
		if err := d.ShredCase("case-1"); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := d.Reseal(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		for _, id := range ids {
			if err := d.ForTheHouse(t.Context(), id, false); err == nil {
				t.Errorf("%s is still sealed for the house", id)
			}
		}
		all := must[[]docket.Summary](t)(d.Summaries(t.Context(), docket.Listing{Who: docket.Person{Organisation: dev.Organisation, Person: dev.Person}, Limit: 5}))
		if len(all) != 3 {
			t.Fatalf("listed are %+v", all)
		}
		for _, s := range all {
			if gone := s.ID == "case-1"; s.Destroyed != gone || (s.Codename == "") != gone {
				t.Errorf("listed is %+v", s)
			}
		}
		do(t, r, "case-0", registrar, docket.Accept{})
		if err := d.ForTheHouse(t.Context(), "case-0", false); err == nil {
			t.Error("an event sealed it for the house")
		}
	})
}
