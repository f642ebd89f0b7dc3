package cli

import (
	"strings"
	"testing"

	"proofhouse/internal/app"
	"proofhouse/internal/docket"
	"proofhouse/internal/proofhouse"
)

// TestPrintSigners: which signatures are by passkeys, and of which house, stands there, and of the others nothing of passkeys.
func TestPrintSigners(t *testing.T) {
	var out strings.Builder
	by := proofhouse.Actor{Organisation: "institute", Person: "otto", Role: proofhouse.Authority}
	printBundle(&out, app.BundleProof{Case: docket.Proof{Signers: []docket.Signer{
		{By: by, KeyID: "aa", Signed: 2}, {By: by, KeyID: "bb", Signed: 1, Pinned: true, Passkey: docket.RelyingParty{ID: "house.example", Origin: "https://house.example"}},
	}}})
	for _, line := range []string{
		"otto@institute (authority) signed 2 with aa, a key that the case itself names\n",
		"otto@institute (authority) signed 1 with the passkey bb of https://house.example, the key that you know\n",
	} {
		if !strings.Contains(out.String(), line) {
			t.Errorf("%q is not in %s", line, out.String())
		}
	}
}
