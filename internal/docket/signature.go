package docket

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"proofhouse/internal/ledger"
	"proofhouse/internal/proofhouse"
)

// Signature is a signature over what an act says. The rules hold Over to the
// act; Take holds Bytes to the key that the actor named, before the event is
// taken, and so does anyone who verifies the case afterwards.
type Signature struct {
	Over  proofhouse.Digest `json:"over"`
	Bytes []byte            `json:"bytes"`
	// Passkey is what an authenticator signed, of which Bytes are the signature, where the key that was
	// named is a passkey; zero where a key signed Over itself.
	Passkey ledger.Assertion `json:"passkey,omitzero"`
}

// byPasskey says whether an authenticator made it.
func (s Signature) byPasskey() bool {
	return s.Passkey.AuthenticatorData != nil || s.Passkey.ClientData != nil
}

// size is how much a signature carries, in bytes.
func (s Signature) size() int {
	return len(s.Bytes) + len(s.Passkey.AuthenticatorData) + len(s.Passkey.ClientData)
}

// maxSignature bounds a signature with its envelope, in bytes.
const maxSignature = 16 << 10

// over holds the signature to what was to be signed.
func (s Signature) over(want proofhouse.Digest) error {
	switch {
	case len(s.Bytes) == 0:
		return proofhouse.Errorf(proofhouse.Invalid, nil, "the signature is missing: sign %s", want)
	case s.size() > maxSignature:
		return proofhouse.Errorf(proofhouse.Invalid, nil, "the signature is longer than %d bytes", maxSignature)
	case s.Over != want:
		return proofhouse.Errorf(proofhouse.Integrity, nil, "the signature is over something else: sign %s", want)
	}
	return nil
}

// signedAct is an act that somebody signs.
type signedAct interface {
	Act
	// text is what by signs, in the case as it is before the act.
	text(c Case, by proofhouse.Actor) []byte
	signature() Signature
	with(Signature) Act
}

// Signs says whether an act is one that somebody signs.
func Signs(a Act) bool {
	_, ok := a.(signedAct)
	return ok
}

// ToSign is the text that an act's signature is over: JSON that says what, in
// which case and under which heading, so that what was signed as one thing
// cannot be shown as another. An act that nobody signs has none.
func (c Case) ToSign(e Event) ([]byte, bool) {
	a, ok := e.Act.(signedAct)
	if !ok {
		return nil, false
	}
	return a.text(c, e.By), true
}

// Sign is the act with by's signature over its text. An act that nobody signs
// is as it was.
func (c Case) Sign(e Event, key *ledger.Key) (Act, error) {
	a, ok := e.Act.(signedAct)
	if !ok {
		return e.Act, nil
	}
	s, err := SignText(a.text(c, e.By), key)
	if err != nil {
		return nil, err
	}
	return a.with(s), nil
}

// WithSignature is the act with s in place of its signature. An act that
// nobody signs is as it was.
func WithSignature(a Act, s Signature) Act {
	if a, ok := a.(signedAct); ok {
		return a.with(s)
	}
	return a
}

// SignText signs a text that ToSign gave.
func SignText(text []byte, key *ledger.Key) (Signature, error) {
	over := proofhouse.DigestOf(text)
	b, err := key.Sign(context.Background(), toSign(over))
	if err != nil {
		return Signature{}, err
	}
	return Signature{Over: over, Bytes: b}, nil
}

// signatureHeading stands before the digest of what is signed.
const signatureHeading = "proofhouse signature, format 1\n"

// toSign is what a key signs to sign the text of that digest. A passkey is challenged with its SHA-256.
func toSign(over proofhouse.Digest) []byte { return []byte(signatureHeading + string(over)) }

// Challenge is what a browser asks an authenticator for, in base64url, so that a passkey signs the text of
// that digest.
func Challenge(over proofhouse.Digest) string { return ledger.Challenge(toSign(over)) }

// PasskeySignature is a browser's answer to that challenge as a signature. Whether it is one Take says; what has
// another form is proofhouse.Invalid.
func PasskeySignature(over proofhouse.Digest, answer []byte) (Signature, error) {
	a, b, err := ledger.ParseAssertion(answer)
	return Signature{Over: over, Bytes: b, Passkey: a}, err
}

// Signed says whether e needs no signature or bears one by the key that its
// actor last named in the case. The error is proofhouse.Refused if the actor
// has named none, and proofhouse.Integrity if the signature is another's.
func (c Case) Signed(e Event) error {
	a, ok := e.Act.(signedAct)
	if !ok {
		return nil
	}
	return c.signedAs(a, e.By, a.text(c, e.By))
}

// signedAs is Signed where the text is known.
func (c Case) signedAs(a signedAct, by proofhouse.Actor, text []byte) error {
	key, ok := c.SigningKey(by)
	if !ok {
		return proofhouse.Errorf(proofhouse.Refused, nil, "to %s, first name the key that you sign with", a.Kind())
	}
	s := a.signature()
	if err := s.over(proofhouse.DigestOf(text)); err != nil {
		return err
	}
	return key.signed(s)
}

// Take is Apply for an event whose signature, if it has to bear one, is
// checked first.
func (c Case) Take(e Event, now time.Time) (Case, error) {
	next, err := c.Apply(e, now)
	if err != nil {
		return c, err
	}
	if err := c.Signed(e); err != nil {
		return c, err
	}
	return next, nil
}

// RelyingParty is a house as browsers and authenticators know it.
type RelyingParty struct {
	ID     string `json:"id"`     // house.example
	Origin string `json:"origin"` // https://house.example
}

// SigningKey is a key that a member signs with.
type SigningKey struct {
	By  proofhouse.Actor `json:"by"`
	Key string           `json:"key"` // PEM, as ledger.ParsePublicKey reads it; of a passkey, as ledger.ParsePasskey does
	// Passkey is the house that it is a passkey of; zero for a key that its owner keeps as a file.
	Passkey RelyingParty `json:"passkey,omitzero"`
	At      time.Time    `json:"at"`
}

// IsPasskey says whether an authenticator keeps the key.
func (k SigningKey) IsPasskey() bool { return k.Passkey != RelyingParty{} }

func (k SigningKey) passkey() (*ledger.Passkey, error) {
	return ledger.ParsePasskey([]byte(k.Key), k.Passkey.ID, k.Passkey.Origin)
}

// ID names the key.
func (k SigningKey) ID() (string, error) {
	if k.IsPasskey() {
		key, err := k.passkey()
		if err != nil {
			return "", err
		}
		return key.ID(), nil
	}
	key, err := ledger.ParsePublicKey([]byte(k.Key))
	if err != nil {
		return "", err
	}
	return key.ID(), nil
}

// signed says whether s is this key's. A key signs in its own way alone: neither sort of signature ever
// stands for the other.
func (k SigningKey) signed(s Signature) error {
	if k.IsPasskey() {
		key, err := k.passkey()
		if err != nil {
			return err
		}
		if err := key.Verify(toSign(s.Over), s.Passkey, s.Bytes); err != nil {
			return proofhouse.Errorf(proofhouse.Integrity, err, "the signature is not by the passkey that you named, over this text and with you verified")
		}
		return nil
	}
	key, err := ledger.ParsePublicKey([]byte(k.Key))
	if err != nil {
		return err
	}
	if s.byPasskey() {
		return proofhouse.Errorf(proofhouse.Integrity, nil, "the signature is by a passkey, and the key that you named is none")
	}
	if err := key.Verify(context.Background(), toSign(s.Over), s.Bytes); err != nil {
		return proofhouse.Errorf(proofhouse.Integrity, err, "the signature is not by the key that you named")
	}
	return nil
}

// NameKey says which key its actor signs with from now on. Keys that were named
// before still hold for what was signed with them.
type NameKey struct {
	Key string `json:"key"` // PEM text of an Ed25519 public key; of a passkey, of its sort
	// Passkey is the house that the key is a passkey of; zero if it is none.
	Passkey RelyingParty `json:"passkey,omitzero"`
}

// Kind implements Act.
func (NameKey) Kind() Kind { return KindNameKey }

func (a NameKey) apply(c *Case, by proofhouse.Actor, now time.Time) error {
	k := SigningKey{By: by, Key: a.Key, Passkey: a.Passkey, At: now}
	_, err := k.ID()
	switch {
	case err != nil && k.IsPasskey(), len(a.Passkey.Origin) > maxText:
		return proofhouse.Errorf(proofhouse.Invalid, err, "that is no public key of a passkey in PEM, with the house that it is of")
	case err != nil, len(a.Key) > maxText:
		return proofhouse.Errorf(proofhouse.Invalid, err, "that is no Ed25519 public key in PEM")
	}
	if now, there := c.SigningKey(by); there && now.Key == a.Key && now.Passkey == a.Passkey {
		return proofhouse.Errorf(proofhouse.Conflict, nil, "that is the key that you named already")
	}
	c.Keys = append(slices.Clip(c.Keys), k)
	return nil
}

// SigningKey is the key that somebody named last, by which what they sign next is checked.
func (c Case) SigningKey(by proofhouse.Actor) (SigningKey, bool) {
	for _, k := range slices.Backward(c.Keys) {
		if k.By == by {
			return k, true
		}
	}
	return SigningKey{}, false
}

// signText is v under a heading, within one case.
func signText(id proofhouse.CaseID, heading string, v any) []byte {
	b, err := json.Marshal(struct {
		Heading string            `json:"heading"`
		Case    proofhouse.CaseID `json:"case"`
		Says    any               `json:"says"`
	}{"proofhouse " + heading + " v1", id, v})
	if err != nil {
		panic(err) // only structs of strings, numbers and times are signed
	}
	return b
}
