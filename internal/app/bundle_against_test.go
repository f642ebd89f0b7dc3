package app

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"proofhouse/internal/docket"
	"proofhouse/internal/ledger"
	"proofhouse/internal/ledger/ledgertest"
	"proofhouse/internal/proofhouse"
)

// TestAgainst holds bundles of two cases of one house to each other, and to those
// of a house that forked its log, whose every bundle verifies by itself.
func TestAgainst(t *testing.T) {
	s := serveHouse(t, t.TempDir(), "")
	s.populate(t)
	id := s.review(t)
	receipt := s.receipt(t, id, 3)
	early, first, err := s.bundleOf(t, id)
	if err != nil {
		t.Fatal(err)
	}
	second := s.sealable(t)
	late, p, err := s.bundleOf(t, second)
	if err != nil || p.Log.Older == 0 || p.Log.Size <= first.Log.Size {
		t.Fatalf("%+v, %v", p.Log, err)
	}
	against := func(file, other string) (BundleProof, error) {
		return VerifyBundle(t.Context(), file, BundleTrust{LogKey: s.LogKey(), Against: []string{other}})
	}
	for _, pair := range [][2]string{{late, early}, {early, late}, {early, early}} {
		if p, err := against(pair[0], pair[1]); err != nil || len(p.Against) != 1 || !p.Against[0].One {
			t.Errorf("one log: %+v, %v", p.Against, err)
		}
	}
	// The receipt needs no copy of the log any more.
	again, _, err := s.bundleOf(t, id)
	if err != nil {
		t.Fatal(err)
	}
	p, err = VerifyBundle(t.Context(), again, BundleTrust{Receipts: []string{receipt}})
	if err != nil || p.Log.Receipts != 1 || len(p.Log.Continues) != 1 || len(p.Log.Open) != 0 {
		t.Errorf("the receipt: %+v, %v", p.Log, err)
	}

	// The fork has another first leaf, and each of the second case in its place.
	size, err := s.log.Size(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	leaves, err := s.log.Leaves(t.Context(), 0, size)
	if err != nil {
		t.Fatal(err)
	}
	fork := ledgertest.NewMemory("example/log", s.key)
	forge := func(older ...ledger.Checkpoint) string {
		t.Helper()
		c, err := s.Registry.Store.Case(t.Context(), second)
		if err != nil {
			t.Fatal(err)
		}
		meter, err := json.Marshal([]string{})
		if err != nil {
			t.Fatal(err)
		}
		statements, err := s.statements(t.Context(), c, meter)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := ledger.WriteBundle(t.Context(), &b, fork, s.key, ledger.BundleSource{
			Stream: string(second), Entries: s.entries(t.Context(), second, c.Version), Signers: []*ledger.PublicKey{s.key.PublicKey()}, Statements: statements, Older: older,
			Attachments: []ledger.Attachment{{Name: meterAttachment, Media: "application/json", Data: meter}, {Name: rulesAttachment, Media: "application/toml", Data: c.Rules.Text}},
		}); err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(t.TempDir(), "forged")
		if err := os.WriteFile(name, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := VerifyBundle(t.Context(), name, BundleTrust{LogKey: s.LogKey()}); err != nil {
			t.Fatalf("the forged bundle by itself: %v", err)
		}
		return name
	}
	leaves[0][0] ^= 1
	if _, err := fork.Append(t.Context(), leaves[:first.Log.Size]); err != nil {
		t.Fatal(err)
	}
	same, err := fork.Checkpoint(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fork.Append(t.Context(), leaves[first.Log.Size:]); err != nil {
		t.Fatal(err)
	}
	if _, err := against(forge(same), early); proofhouse.KindOf(err) != proofhouse.Integrity || !strings.Contains(proofhouse.PublicOf(err), "forked") {
		t.Errorf("a fork that claims to go on: %v", err)
	}
	if _, err := against(early, forge(same)); proofhouse.KindOf(err) != proofhouse.Integrity || !strings.Contains(proofhouse.PublicOf(err), "forked") {
		t.Errorf("a fork, the other way round: %v", err)
	}
	if p, err := against(forge(), early); err != nil || len(p.Against) != 1 || p.Against[0].One {
		t.Errorf("a fork that is silent: %+v, %v", p.Against, err)
	}
	if _, err := against(early, filepath.Join(t.TempDir(), "none")); proofhouse.KindOf(err) != proofhouse.NotFound {
		t.Errorf("no file: %v", err)
	}
	altered(t, late)
}

// TestAgainstMany: a bundle carries few of the log's checkpoints, and those that others hold in bundles
// and receipts are among them, however many came since.
func TestAgainstMany(t *testing.T) {
	s := serveHouse(t, t.TempDir(), "")
	s.populate(t)
	id := s.review(t)
	other := s.review(t)
	s.carried = 6
	for range 2 { // the log has more, and what the cases' own leaves would bring is used up
		for range s.carried {
			s.do(t, "ada", id, docket.Announce{Date: time.Now()})
			s.published(t)
		}
	}
	early, _, err := s.bundleOf(t, id)
	if err != nil {
		t.Fatal(err)
	}
	s.do(t, "ada", other, docket.Announce{Date: time.Now()})
	s.published(t)
	receipt := s.receipt(t, other, 1)
	for range 2 * s.carried {
		s.do(t, "ada", other, docket.Announce{Date: time.Now()})
		s.published(t)
	}
	for _, of := range []proofhouse.CaseID{id, other} {
		late, p, err := s.bundleOf(t, of)
		if err != nil || p.Log.Older > s.carried+1 {
			t.Fatalf("%+v, %v", p.Log, err)
		}
		trust := BundleTrust{LogKey: s.LogKey(), Against: []string{early}}
		if of == other {
			trust.Receipts = []string{receipt}
		}
		if p, err := VerifyBundle(t.Context(), late, trust); err != nil || len(p.Against) != 1 || !p.Against[0].One || len(p.Log.Open) != 0 {
			t.Errorf("the bundle of %s, held to an earlier one: %+v, %+v, %v", of, p.Against, p.Log, err)
		}
	}
}

// published waits for a checkpoint of all that was done.
func (s *served) published(t *testing.T) {
	t.Helper()
	if err := s.patiently(t.Context(), func() (bool, error) {
		waiting, err := s.docket.Waiting(t.Context(), 1)
		return len(waiting) == 0, err
	}); err != nil {
		t.Fatal(err)
	}
	size, err := s.docket.Placed(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.log.Checkpoint(t.Context(), size); err != nil {
		t.Fatal(err)
	}
}
