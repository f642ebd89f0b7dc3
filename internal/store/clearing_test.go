package store_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"proofhouse/internal/clearing"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/store"
	"proofhouse/internal/store/storetest"
	"proofhouse/internal/vault"
)

const purl = "pkg:generic/canary-project"

func newClearing(db *store.DB, dir string) *store.Clearing {
	return store.NewClearing(db, vault.New(filepath.Join(dir, "vault"), filepath.Join(dir, "house.key")).Records(filepath.Join(dir, "case")))
}

// submit is a finding's event by somebody of an organisation.
func submit(id, org string) clearing.Event {
	d := proofhouse.DigestOf([]byte(id))
	return clearing.Event{By: proofhouse.Actor{Organisation: proofhouse.OrganisationID(org), Person: "ada"}, Act: clearing.Submit{
		ID:    clearing.FindingID(id),
		Claim: clearing.Claim{Title: "It breaks", Purl: purl + "@1.0", AI: "none", Marking: proofhouse.Red},
		Files: clearing.Files{Target: d, Proof: d},
	}}
}

func TestClearing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, address string) {
		dir := t.TempDir()
		c := newClearing(db, dir)
		change := func(c *store.Clearing, e clearing.Event, r clearing.Request) (clearing.Project, int, error) {
			return c.Change(t.Context(), purl, r, func(clearing.Project) (clearing.Event, error) { return e, nil }, start)
		}
		// Two in the same microsecond, by two organisations.
		first := submit("finding-a", "bank")
		request := clearing.Request{By: first.By, Key: "k", Digest: proofhouse.DigestOf([]byte("a"))}
		if p, seq, err := change(c, first, request); err != nil || seq != 1 || len(p.Findings) != 1 {
			t.Fatal(p, seq, err)
		}
		if _, seq, err := change(c, submit("finding-b", "insurer"), clearing.Request{}); err != nil || seq != 2 {
			t.Fatal(seq, err)
		}
		// The first again, from another process.
		again := newClearing(must[*store.DB](t)(store.OpenExisting(t.Context(), address)), dir)
		if p, seq, err := change(again, submit("finding-c", "bank"), request); err != nil || seq != 1 || p.Version != 2 {
			t.Errorf("repeated: %v %v %v", p.Version, seq, err)
		}
		other := request
		other.Digest = proofhouse.DigestOf([]byte("b"))
		if _, _, err := change(again, submit("finding-c", "bank"), other); proofhouse.KindOf(err) != proofhouse.Conflict {
			t.Errorf("another under the key: %v", err)
		}
		if _, _, err := change(c, submit("finding-a", "bank"), clearing.Request{}); proofhouse.KindOf(err) != proofhouse.Conflict {
			t.Errorf("the same name: %v", err)
		}
		// What the other process adds is seen.
		if _, seq, err := change(again, clearing.Event{By: first.By, Act: clearing.Withdraw{Finding: "finding-a"}}, clearing.Request{}); err != nil || seq != 3 {
			t.Fatal(seq, err)
		}
		p, err := c.Project(t.Context(), purl)
		if f, _ := p.Finding("finding-a"); err != nil || p.Version != 3 || f.State() != clearing.Withdrawn {
			t.Errorf("%+v %v", p, err)
		}
		if found, seq, err := c.Find(t.Context(), "finding-b"); err != nil || found != purl || seq != 2 {
			t.Error(found, seq, err)
		}
		if _, _, err := c.Find(t.Context(), "finding-z"); proofhouse.KindOf(err) != proofhouse.NotFound {
			t.Error(err)
		}
		pages(t, c)
		r, e, index, err := c.Entry(t.Context(), purl, 2)
		if err != nil || index != -1 || r.Purl != purl || e.Seq != 2 || strings.Contains(e.Stream, "canary") {
			t.Error(r, e.Stream, index, err)
		}
		// The desk's list: what rests is not in it until something happens.
		if all, _, err := c.Projects(t.Context(), true, "", 10); err != nil || len(all) != 1 || all[0] != purl {
			t.Error(all, err)
		}
		if err := c.Rest(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		if all, _, err := c.Projects(t.Context(), true, "", 10); err != nil || len(all) != 0 {
			t.Error(all, err)
		}
		if _, _, err := change(c, submit("finding-d", "bank"), clearing.Request{}); err != nil {
			t.Fatal(err)
		}
		if err := c.Rest(t.Context(), p); err != nil { // of what it was before
			t.Fatal(err)
		}
		if all, _, err := c.Projects(t.Context(), true, "", 10); err != nil || len(all) != 1 {
			t.Error(all, err)
		}
	})
}

// pages walks the lists, a line at a time.
func pages(t *testing.T, c *store.Clearing) {
	t.Helper()
	for by, want := range map[proofhouse.OrganisationID]string{"": "finding-b finding-a", "bank": "finding-a", "nobody": ""} {
		var got []string
		var from store.Page
		for {
			lines, err := c.Named(t.Context(), "finding", by, from, 1)
			if err != nil {
				t.Fatal(err)
			}
			if len(lines) == 0 {
				break
			}
			got = append(got, lines[0].ID)
			from = store.Page{Until: lines[0].Made, Before: lines[0].ID}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("of %q: %v", by, got)
		}
	}
}

// TestClearingShowsNothing searches a database's file for what findings say.
func TestClearingShowsNothing(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "house.db")
	db := must[*store.DB](t)(store.Open(t.Context(), "sqlite:"+name))
	c := newClearing(db, dir)
	e := submit("finding-a", "canary-bank")
	if _, _, err := c.Change(t.Context(), purl, clearing.Request{By: e.By, Key: "canary-key"}, func(clearing.Project) (clearing.Event, error) { return e, nil }, start); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	all, err := filepath.Glob(name + "*")
	if err != nil || len(all) == 0 {
		t.Fatal(all, err)
	}
	for _, file := range all {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, canary := range []string{"canary", "It breaks"} {
			if bytes.Contains(b, []byte(canary)) {
				t.Errorf("%s holds %q", filepath.Base(file), canary)
			}
		}
	}
}
