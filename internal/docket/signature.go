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
}

// maxSignature bounds a signature with its envelope, in bytes.
const maxSignature = 16 << 10

// over holds the signature to what was to be signed.
func (s Signature) over(want proofhouse.Digest) error {
	switch {
	case len(s.Bytes) == 0:
		return proofhouse.Errorf(proofhouse.Invalid, nil, "the signature is missing: sign %s", want)
	case len(s.Bytes) > maxSignature:
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
	b, err := key.Sign(context.Background(), []byte(signatureHeading+string(over)))
	if err != nil {
		return Signature{}, err
	}
	return Signature{Over: over, Bytes: b}, nil
}

// signatureHeading stands before the digest of what is signed.
const signatureHeading = "proofhouse signature, format 1\n"

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
	pem, ok := c.key(by)
	if !ok {
		return proofhouse.Errorf(proofhouse.Refused, nil, "to %s, first name the key that you sign with", a.Kind())
	}
	key, err := ledger.ParsePublicKey([]byte(pem))
	if err != nil {
		return err
	}
	s := a.signature()
	if err := s.over(proofhouse.DigestOf(text)); err != nil {
		return err
	}
	if err := key.Verify(context.Background(), []byte(signatureHeading+string(s.Over)), s.Bytes); err != nil {
		return proofhouse.Errorf(proofhouse.Integrity, err, "the signature is not by the key that you named")
	}
	return nil
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

// SigningKey is a key that a member signs with.
type SigningKey struct {
	By  proofhouse.Actor `json:"by"`
	Key string           `json:"key"` // PEM, as ledger.ParsePublicKey reads it
	At  time.Time        `json:"at"`
}

// NameKey says which key its actor signs with from now on. Keys that were named
// before still hold for what was signed with them.
type NameKey struct {
	Key string `json:"key"` // PEM text of an Ed25519 public key
}

// Kind implements Act.
func (NameKey) Kind() Kind { return KindNameKey }

func (a NameKey) apply(c *Case, by proofhouse.Actor, now time.Time) error {
	if _, err := ledger.ParsePublicKey([]byte(a.Key)); err != nil || len(a.Key) > maxText {
		return proofhouse.Errorf(proofhouse.Invalid, err, "that is no Ed25519 public key in PEM")
	}
	if now, there := c.key(by); there && now == a.Key {
		return proofhouse.Errorf(proofhouse.Conflict, nil, "that is the key that you named already")
	}
	c.Keys = append(slices.Clip(c.Keys), SigningKey{By: by, Key: a.Key, At: now})
	return nil
}

// key is the key that by named last.
func (c Case) key(by proofhouse.Actor) (string, bool) {
	for _, k := range slices.Backward(c.Keys) {
		if k.By == by {
			return k.Key, true
		}
	}
	return "", false
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
