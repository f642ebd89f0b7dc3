package ledger

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"

	"proofhouse/internal/proofhouse"
)

// The house of these tests, and what is signed there.
const (
	party  = "house.example"
	origin = "https://house.example"
)

var message = []byte("what is signed")

// authenticator answers as one that works, or one that lies.
type authenticator struct{ crypto.Signer }

func newAuthenticators(t testing.TB) map[string]authenticator {
	t.Helper()
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rs, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]authenticator{"ES256": {p256}, "EdDSA": {ed}, "RS256": {rs}}
}

// clientData is as a browser writes it.
func clientData(challenge string) string {
	return fmt.Sprintf(`{"type":"webauthn.get","challenge":%q,"origin":%q,"crossOrigin":false}`, challenge, origin)
}

// data is authenticator data with these flags, and what follows.
func data(party string, flags byte, more ...byte) []byte {
	sum := sha256.Sum256([]byte(party))
	return append(append(sum[:], flags, 0, 0, 0, 0), more...)
}

func (a authenticator) signs(t testing.TB, authData []byte, clientData string) (Assertion, []byte) {
	t.Helper()
	asked := sha256.Sum256([]byte(clientData))
	signed := append(bytes.Clone(authData), asked[:]...)
	opts, digest := crypto.SignerOpts(crypto.SHA256), sha256.Sum256(signed)
	toSign := digest[:]
	if _, ed := a.Signer.(ed25519.PrivateKey); ed {
		opts, toSign = crypto.Hash(0), signed
	}
	sig, err := a.Sign(rand.Reader, toSign, opts)
	if err != nil {
		t.Fatal(err)
	}
	return Assertion{authData, []byte(clientData)}, sig
}

func (a authenticator) passkey(t testing.TB) *Passkey {
	t.Helper()
	b, err := PublicKeyPEM(a.Public())
	if err != nil {
		t.Fatal(err)
	}
	k, err := ParsePasskey(b, party, origin)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

const there = userPresent | userVerified

// TestPasskey takes what each sort of authenticator signs, and nothing that differs from it in one thing.
func TestPasskey(t *testing.T) {
	all := newAuthenticators(t)
	for name, one := range all {
		t.Run(name, func(t *testing.T) {
			k := one.passkey(t)
			a, sig := one.signs(t, data(party, there), clientData(Challenge(message)))
			if err := k.Verify(message, a, sig); err != nil {
				t.Fatal(err)
			}
			for what, tampered := range map[string]func(a *Assertion, sig *[]byte){
				"a byte of the signature":      func(_ *Assertion, sig *[]byte) { (*sig)[len(*sig)-1] ^= 1 },
				"no signature":                 func(_ *Assertion, sig *[]byte) { *sig = nil },
				"more after the signature":     func(_ *Assertion, sig *[]byte) { *sig = append(*sig, 0) },
				"a counter":                    func(a *Assertion, _ *[]byte) { a.AuthenticatorData[36]++ },
				"a flag":                       func(a *Assertion, _ *[]byte) { a.AuthenticatorData[32] |= canBackUp },
				"white space in what is asked": func(a *Assertion, _ *[]byte) { a.ClientData = append(a.ClientData, ' ') },
			} {
				a := Assertion{bytes.Clone(a.AuthenticatorData), bytes.Clone(a.ClientData)}
				sig := bytes.Clone(sig)
				tampered(&a, &sig)
				if err := k.Verify(message, a, sig); err == nil {
					t.Errorf("%s was changed, and it is taken", what)
				}
			}
			for other, o := range all {
				if other == name {
					continue
				}
				if err := o.passkey(t).Verify(message, a, sig); err == nil {
					t.Errorf("it is taken for the one of %s", other)
				}
			}
		})
	}
}

// TestPasskeyLies signs, with the right key, what is not quite the answer to the question.
func TestPasskeyLies(t *testing.T) {
	one := newAuthenticators(t)["ES256"]
	k, challenge := one.passkey(t), Challenge(message)
	right := clientData(challenge)
	for what, said := range map[string]string{
		"something else":        clientData(Challenge([]byte("another act"))),
		"nothing":               clientData(""),
		"the challenge padded":  clientData(challenge + "="),
		"a registration":        strings.Replace(right, "webauthn.get", "webauthn.create", 1),
		"a payment":             strings.Replace(right, "webauthn.get", "payment.get", 1),
		"another origin":        strings.Replace(right, origin, "https://house.example.evil.example", 1),
		"another port":          strings.Replace(right, origin, origin+":8443", 1),
		"no TLS":                strings.Replace(right, "https://", "http://", 1),
		"a frame":               strings.Replace(right, `"crossOrigin":false`, `"crossOrigin":true`, 1),
		"a frame, in a word":    strings.Replace(right, `"crossOrigin":false`, `"crossOrigin":"true"`, 1),
		"who knows":             strings.Replace(right, `"crossOrigin":false`, `"crossOrigin":null`, 1),
		"a page about it":       strings.Replace(right, `}`, `,"topOrigin":"https://evil.example"}`, 1),
		"another type before":   strings.Replace(right, `{`, `{"type":"webauthn.create",`, 1),
		"another type behind":   strings.Replace(right, `}`, `,"type":"webauthn.create"}`, 1),
		"other letters":         strings.Replace(right, `"type"`, `"Type"`, 1),
		"no type":               strings.Replace(right, `"type":"webauthn.get",`, ``, 1),
		"a list of types":       strings.Replace(right, `"webauthn.get"`, `["webauthn.get"]`, 1),
		"a list":                "[" + right + "]",
		"a list of all":         strings.NewReplacer("{", "[", "}", "]", `":`, `",`).Replace(right),
		"two":                   right + right,
		"not UTF-8":             strings.Replace(right, `}`, `,"x":"`+"\xff"+`"}`, 1),
		"half":                  right[:len(right)-1],
		"more than it may hold": strings.Replace(right, `}`, `,"x":"`+strings.Repeat("x", maxClientData)+`"}`, 1),
	} {
		a, sig := one.signs(t, data(party, there), said)
		if err := k.Verify(message, a, sig); err == nil {
			t.Errorf("asked %s, and it is taken: %.300q", what, said)
		}
	}
	for what, said := range map[string][]byte{
		"another relying party":       data("evil.example", there),
		"nobody there":                data(party, userVerified),
		"nobody verified":             data(party, userPresent),
		"neither":                     data(party, 0),
		"a copy of what has none":     data(party, there|isBackedUp),
		"a key":                       data(party, there|hasKey),
		"bytes that no flag tells of": data(party, there, 0xa0),
		"a flag that no bytes follow": data(party, there|hasExtension),
		"too little":                  data(party, there)[:authenticatorHead-1],
		"too much":                    data(party, there|hasExtension, make([]byte, maxAuthenticatorData)...),
	} {
		a, sig := one.signs(t, said, right)
		if err := k.Verify(message, a, sig); err == nil {
			t.Errorf("the authenticator says %s, and it is taken", what)
		}
	}
	// What the specification lets be.
	for what, said := range map[string]string{
		"no word of frames": strings.Replace(right, `,"crossOrigin":false`, ``, 1),
		"more members":      strings.Replace(right, `}`, `,"other_keys_can_be_added_here":"do not compare clientDataJSON against a template","x":{"type":1}}`, 1),
		"another order":     fmt.Sprintf(`{"origin":%q,"challenge":%q,"type":"webauthn.get"}`, origin, challenge),
	} {
		a, sig := one.signs(t, data(party, there|canBackUp|isBackedUp|hasExtension, 0xa0), said)
		if err := k.Verify(message, a, sig); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	long, sig := one.signs(t, data(party, there), right)
	if err := k.Verify(message, long, append(sig, make([]byte, maxAssertionSig)...)); err == nil || !strings.Contains(err.Error(), "too long") {
		t.Errorf("a long signature: %v", err)
	}
}

// TestParsePasskey refuses keys and places that are none, in any spelling but one.
func TestParsePasskey(t *testing.T) {
	all := newAuthenticators(t)
	pemOf := func(k crypto.PublicKey) string {
		b, err := PublicKeyPEM(k)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	right := pemOf(all["ES256"].Public())
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	short := all["RS256"].Public().(*rsa.PublicKey)
	// The same point, one bit to the left: so it is read from DER too.
	block, _ := pem.Decode([]byte(right))
	bits := block.Bytes[len(block.Bytes)-66:]
	for i := range bits {
		bits[i] <<= 1
		if i+1 < len(bits) {
			bits[i] |= bits[i+1] >> 7
		}
	}
	bits[0] = 1
	shifted := string(pem.EncodeToMemory(block))
	for what, text := range map[string]string{
		"another spelling": shifted, "nothing": "", "no PEM": "x", "more before": "x\n" + right, "more behind": right + "x\n", "a headline": strings.Replace(right, "KEY-----\n", "KEY-----\na: b\n\n", 1),
		"another type": strings.ReplaceAll(right, "PUBLIC KEY", "CERTIFICATE"), "other ends of lines": strings.ReplaceAll(right, "\n", "\r\n"),
		"another curve": pemOf(p384.Public()), "a small exponent": pemOf(&rsa.PublicKey{N: short.N, E: 3}),
		"a short key": pemOf(&rsa.PublicKey{N: short.N.Rsh(short.N, 1025), E: 65537}),
	} {
		if _, err := ParsePasskey([]byte(text), party, origin); proofhouse.KindOf(err) != proofhouse.Invalid {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, place := range [][2]string{
		{"", origin},
		{"", "https://"},
		{party, ""},
		{party, "house.example"},
		{party, "http://house.example"},
		{party, "https://other.example"},
		{party, "https://www.house.example"},
		{party, origin + "/"},
		{party, origin + "?x"},
		{party, "https://a@house.example"},
		{party, "https://HOUSE.example"},
		{"HOUSE.example", "https://HOUSE.example"},
		{"192.0.2.1", "https://192.0.2.1"},
		{"localhost", "ftp://localhost"},
		{"example", origin},
		{party, "https://house.example\n"},
	} {
		if _, err := ParsePasskey([]byte(right), place[0], place[1]); proofhouse.KindOf(err) != proofhouse.Invalid {
			t.Errorf("%q: %v", place, err)
		}
	}
	for _, place := range [][2]string{{party, origin}, {party, origin + ":8443"}, {"localhost", "http://localhost:8300"}} {
		k, err := ParsePasskey([]byte(right), place[0], place[1])
		if err != nil || len(k.ID()) != 32 {
			t.Errorf("%q: %v", place, err)
		}
	}
	if all["ES256"].passkey(t).ID() == newAuthenticators(t)["ES256"].passkey(t).ID() {
		t.Error("two keys have one name")
	}
}

// answer is an assertion as a browser's script gives it.
func answer(a Assertion, sig []byte) string {
	b64 := base64.RawURLEncoding.EncodeToString
	b, err := json.Marshal(map[string]any{
		"id": "x", "rawId": "x", "type": "public-key", "authenticatorAttachment": "platform", "clientExtensionResults": map[string]any{},
		"response": map[string]any{"authenticatorData": b64(a.AuthenticatorData), "clientDataJSON": b64(a.ClientData), "signature": b64(sig), "userHandle": "x"},
	})
	if err != nil {
		panic(err) // strings are JSON
	}
	return string(b)
}

func TestParseAssertion(t *testing.T) {
	a, sig := newAuthenticators(t)["ES256"].signs(t, data(party, there), clientData("c"))
	right := answer(a, sig)
	got, gotSig, err := ParseAssertion([]byte(right))
	if err != nil || !bytes.Equal(got.AuthenticatorData, a.AuthenticatorData) || !bytes.Equal(got.ClientData, a.ClientData) || !bytes.Equal(gotSig, sig) {
		t.Fatal(got, err)
	}
	long := func(n int) string { return base64.RawURLEncoding.EncodeToString(make([]byte, n)) }
	put := func(name, value string) string {
		from, to, _ := strings.Cut(right, `"`+name+`":"`)
		_, rest, _ := strings.Cut(to, `"`)
		return from + `"` + name + `":"` + value + `"` + rest
	}
	for what, text := range map[string]string{
		"nothing": "", "a list": "[" + right + "]", "more": right + " {}", "another type": strings.Replace(right, "public-key", "password", 1),
		"no signature": put("signature", ""), "no client data": put("clientDataJSON", ""), "padding": put("signature", "AA=="), "loose bits": put("signature", "AB"),
		"lines": put("signature", `AA\nAA`), "a long signature": put("signature", long(maxAssertionSig+1)), "long client data": put("clientDataJSON", long(maxClientData+1)),
		"long authenticator data": put("authenticatorData", long(maxAuthenticatorData+1)), "two responses": strings.Replace(right, `"response"`, `"response":{},"response"`, 1),
		"a number": strings.Replace(right, `"signature":"`, `"signature":1,"x":"`, 1), "too long": right + strings.Repeat(" ", maxAnswer),
	} {
		if _, _, err := ParseAssertion([]byte(text)); proofhouse.KindOf(err) != proofhouse.Invalid {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// FuzzAssertion reads answers that may be anything: they are read or refused, and none is taken for a key that did not sign it.
func FuzzAssertion(f *testing.F) {
	one := newAuthenticators(f)["EdDSA"]
	k := one.passkey(f)
	for _, said := range []string{clientData(Challenge(message)), clientData(""), `{}`, `[`} {
		a, _ := one.signs(f, data(party, there), said)
		f.Add([]byte(answer(a, make([]byte, 64))))
		f.Add([]byte(said))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		a, sig, err := ParseAssertion(b)
		if err == nil && k.Verify(message, a, sig) == nil {
			t.Errorf("forged: %s", b)
		}
		// As client data with the rest in order: what is taken says so to another reader as well.
		if k.asked(b, Challenge(message)) != nil {
			return
		}
		var is map[string]any
		if err := json.Unmarshal(b, &is); err != nil || is["type"] != "webauthn.get" || is["challenge"] != Challenge(message) || is["origin"] != origin || is["crossOrigin"] == true {
			t.Errorf("taken: %s, %v", b, err)
		}
	})
}
