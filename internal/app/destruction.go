package app

import (
	"context"

	"proofhouse/internal/ledger"
	"proofhouse/internal/vault"
)

// SealDestruction makes the statement of a certificate of destruction, signed
// by key, or by nobody if it is nil. It has no name of what was destroyed: its
// subject is the digest over the digests of all sealed bodies.
func SealDestruction(ctx context.Context, c vault.Certificate, key *ledger.Key) ([]byte, error) {
	return ledger.Seal(ctx, ledger.Statement{Subject: "destroyed artifacts", Digest: c.Subject(), PredicateType: vault.CertificateType, Predicate: c}, key)
}
