package app

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"proofhouse/internal/ledger"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/vault"
)

// TestSealDestruction signs the certificate of a real shredding and reads it
// back: what was destroyed, when and by whose approval, and no name.
func TestSealDestruction(t *testing.T) {
	dir := t.TempDir()
	a := vault.New(filepath.Join(dir, "vault"), filepath.Join(dir, "house.key")).Artifacts(filepath.Join(dir, "artifacts"), filepath.Join(dir, "keys"))
	defer a.Close()
	if err := a.Create("case-secret"); err != nil {
		t.Fatal(err)
	}
	s, err := a.Seal("case-secret", "canary-name", "text/plain")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(s, "canary-text"); err != nil {
		t.Fatal(err)
	}
	x, err := s.Commit()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	ann := proofhouse.Actor{Organisation: "body", Person: "ann", Role: proofhouse.Registrar}
	otto := proofhouse.Actor{Organisation: "body", Person: "otto", Role: proofhouse.SecurityOfficer}
	custody, err := vault.Custody{}.Apply(vault.CustodyEvent{At: now, Actor: ann, Reason: "the terms", Retain: &vault.Retention{Artifact: x.ID}})
	if err != nil {
		t.Fatal(err)
	}
	c, err := a.Shred("case-secret", custody, vault.Order{Approvals: [2]vault.Approval{{Actor: ann, At: now}, {Actor: otto, At: now}}, At: now})
	if err != nil {
		t.Fatal(err)
	}
	key, err := ledger.CreateKey(dir, "statements")
	if err != nil {
		t.Fatal(err)
	}
	envelope, err := SealDestruction(t.Context(), c, key)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ledger.Open(t.Context(), envelope, key.PublicKey())
	var read vault.Certificate
	if err == nil {
		err = json.Unmarshal(got.Predicate, &read)
	}
	if err != nil || !got.Signed || got.PredicateType != vault.CertificateType || got.Digest != c.Subject() || read.Subject() != c.Subject() || read.Order != c.Order || read.Count != 1 || !read.Whole {
		t.Fatalf("%v: %+v, %+v", err, got, read)
	}
	var e struct{ Payload string }
	if err := json.Unmarshal(envelope, &e); err != nil {
		t.Fatal(err)
	}
	payload, err := base64.StdEncoding.DecodeString(e.Payload)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"case-secret", "canary", x.Plain.Hex(), "text/plain"} {
		if bytes.Contains(payload, []byte(secret)) {
			t.Errorf("the statement tells of %s", secret)
		}
	}
	forged := strings.Replace(string(payload), `"person":"otto"`, `"person":"olga"`, 1)
	if forged == string(payload) {
		t.Fatal("the statement does not say who approved")
	}
	other := bytes.Replace(envelope, []byte(e.Payload), []byte(base64.StdEncoding.EncodeToString([]byte(forged))), 1)
	if _, err := ledger.Open(t.Context(), other, key.PublicKey()); proofhouse.KindOf(err) != proofhouse.Integrity {
		t.Errorf("a forged approval: %v", err)
	}
}
