package ledger

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"proofhouse/internal/proofhouse"
)

// TestAttest: two of three keys must have signed. Refusals first.
func TestAttest(t *testing.T) {
	a, b, c := fixedKey(1), fixedKey(2), fixedKey(3)
	s := Statement{Subject: "case-1", Digest: proofhouse.DigestOf(nil), PredicateType: "urn:proofhouse:predicate:test:v1", Predicate: map[string]int{"n": 1}}
	if _, err := Attest(t.Context(), s); proofhouse.KindOf(err) != proofhouse.Invalid {
		t.Errorf("no key: %v", err)
	}
	if _, err := Attest(t.Context(), s, a, a); proofhouse.KindOf(err) != proofhouse.Invalid {
		t.Errorf("one key twice: %v", err)
	}
	both, err := Attest(t.Context(), s, b, a)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := Attest(t.Context(), s, b, a); err != nil || !bytes.Equal(again, both) {
		t.Errorf("made again: %s, %v", again, err)
	}
	one, err := Attest(t.Context(), s, a)
	if err != nil {
		t.Fatal(err)
	}
	if sealed, err := Seal(t.Context(), s, a); err != nil || !bytes.Equal(sealed, one) {
		t.Errorf("Seal makes another envelope: %s, %s, %v", sealed, one, err)
	}
	edit := func(change func(*dsse.Envelope)) []byte {
		var env dsse.Envelope
		if err := json.Unmarshal(both, &env); err != nil {
			t.Fatal(err)
		}
		change(&env)
		out, err := json.Marshal(env)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	all := []*PublicKey{a.PublicKey(), b.PublicKey(), c.PublicKey()}
	for name, c := range map[string]struct {
		envelope []byte
		keys     []*PublicKey
	}{
		"one signature":     {one, all},
		"another's":         {both, all[1:]},
		"no keys":           {both, nil},
		"the same twice":    {edit(func(e *dsse.Envelope) { e.Signatures[1] = e.Signatures[0] }), all},
		"one under another": {edit(func(e *dsse.Envelope) { e.Signatures[1].KeyID = c.PublicKey().ID() }), all},
		"a changed payload": {edit(func(e *dsse.Envelope) { e.Payload = strings.Replace(e.Payload, "Y2FzZS0x", "Y2FzZS0y", 1) }), all},
		"not base64":        {edit(func(e *dsse.Envelope) { e.Signatures[1].Sig = "%" }), all},
		"nothing":           {nil, all},
	} {
		if o, _, err := OpenAttested(t.Context(), c.envelope, 2, c.keys...); proofhouse.KindOf(err) != proofhouse.Integrity {
			t.Errorf("%s: %+v, %v", name, o, err)
		}
	}
	if _, _, err := OpenAttested(t.Context(), both, 0, all...); proofhouse.KindOf(err) != proofhouse.Invalid {
		t.Errorf("a threshold of 0: %v", err)
	}
	o, signers, err := OpenAttested(t.Context(), both, 2, all...)
	if err != nil || !o.Signed || o.Subject != "case-1" || len(signers) != 2 || signers[0] != all[1] || signers[1] != all[0] {
		t.Errorf("%+v, %v, %v", o, signers, err)
	}
}
