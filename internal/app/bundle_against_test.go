package app

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

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
