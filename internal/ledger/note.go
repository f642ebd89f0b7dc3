package ledger

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/note"

	"proofhouse/internal/proofhouse"
)

// The kinds of key that a verifier key may hold (c2sp.org/signed-note).
const (
	algLog     = 1 // Ed25519 over the note's text: logs
	algWitness = 4 // Ed25519 over a time and the note's text: witnesses (c2sp.org/tlog-cosignature)
)

// VerifierKey is the public key of a log or a witness under the name that it
// signs with, in the text form of c2sp.org/signed-note:
// name+hash+base64(kind, key). The zero value is no key.
type VerifierKey struct {
	text string
	name string
	kind byte
	key  ed25519.PublicKey
}

// VerifierKey is k as the key of a log of that name (its origin). A name that
// a note cannot have is proofhouse.Invalid: none that is empty, or has white
// space or a plus sign.
func (k *PublicKey) VerifierKey(name string) (VerifierKey, error) {
	return verifierKey(name, algLog, k.public)
}

// WitnessKey is k as the key of a witness of that name. Errors are those of VerifierKey.
func (k *PublicKey) WitnessKey(name string) (VerifierKey, error) {
	return verifierKey(name, algWitness, k.public)
}

func verifierKey(name string, kind byte, key ed25519.PublicKey) (VerifierKey, error) {
	if err := checkOrigin(name); err != nil {
		return VerifierKey{}, err
	}
	b := append([]byte{kind}, key...)
	text := fmt.Sprintf("%s+%08x+%s", name, keyHash(name, b), base64.StdEncoding.EncodeToString(b))
	return VerifierKey{text: text, name: name, kind: kind, key: key}, nil
}

// checkOrigin says whether name can sign a note.
func checkOrigin(name string) error {
	if name == "" || len(name) > 255 || !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool {
		return r == '+' || unicode.IsSpace(r) || unicode.IsControl(r)
	}) {
		return proofhouse.Errorf(proofhouse.Invalid, nil,
			"%q cannot be the name of a log or a witness: write a host and a path, such as review.example/log, without spaces and plus signs", name)
	}
	return nil
}

// keyHash is the key id of c2sp.org/signed-note.
func keyHash(name string, key []byte) uint32 {
	sum := sha256.Sum256(append([]byte(name+"\n"), key...))
	return binary.BigEndian.Uint32(sum[:])
}

// ParseVerifierKey reads the text of a verifier key, and nothing but its one
// spelling. Anything else is proofhouse.Invalid.
func ParseVerifierKey(text string) (VerifierKey, error) {
	bad := func(cause error) (VerifierKey, error) {
		return VerifierKey{}, proofhouse.Errorf(proofhouse.Invalid, cause, "this is not a verifier key: it is one line of the form name+hash+key")
	}
	name, rest, _ := strings.Cut(text, "+")
	_, key64, _ := strings.Cut(rest, "+")
	b, err := base64.StdEncoding.Strict().DecodeString(key64)
	if err != nil {
		return bad(err)
	}
	if len(b) != 1+ed25519.PublicKeySize || b[0] != algLog && b[0] != algWitness {
		return bad(errors.New("not an Ed25519 key of a log or a witness"))
	}
	k, err := verifierKey(name, b[0], b[1:])
	if err != nil {
		return bad(err)
	}
	if k.text != text {
		return bad(errors.New("the hash does not fit"))
	}
	return k, nil
}

// String is the text form.
func (k VerifierKey) String() string { return k.text }

// Name is the name that the key signs with: a log's origin.
func (k VerifierKey) Name() string { return k.name }

// IsWitness says whether it is a witness's key, and not a log's.
func (k VerifierKey) IsWitness() bool { return k.kind == algWitness }

// PublicKey is the bare key.
func (k VerifierKey) PublicKey() *PublicKey { return &PublicKey{k.key} }

// signer signs notes as note.Signer asks.
type signer struct {
	key  *Key
	name string
}

// NoteSigner signs checkpoints as the log of that name. Errors are those of
// VerifierKey.
func (k *Key) NoteSigner(name string) (note.Signer, error) {
	if err := checkOrigin(name); err != nil {
		return nil, err
	}
	return signer{k, name}, nil
}

func (s signer) Name() string { return s.name }
func (s signer) KeyHash() uint32 {
	return keyHash(s.name, append([]byte{algLog}, s.key.PublicKey().public...))
}
func (s signer) Sign(msg []byte) ([]byte, error) { return ed25519.Sign(s.key.private, msg), nil }

// verifier checks notes as note.Verifier asks, for logs and witnesses both.
type verifier struct{ VerifierKey }

func (v verifier) KeyHash() uint32 { return keyHash(v.name, append([]byte{v.kind}, v.key...)) }

func (v verifier) Verify(msg, sig []byte) bool {
	if v.kind == algLog {
		return ed25519.Verify(v.key, msg, sig)
	}
	if len(sig) != 8+ed25519.SignatureSize {
		return false
	}
	return ed25519.Verify(v.key, cosigned(binary.BigEndian.Uint64(sig), msg), sig[8:])
}

// cosigned is what a witness signs (c2sp.org/tlog-cosignature): at is in
// seconds since 1970.
func cosigned(at uint64, text []byte) []byte {
	return append(fmt.Appendf(nil, "cosignature/v1\ntime %d\n", at), text...)
}

// Cosign signs a checkpoint's text as the witness of that name, at a time of
// its clock, and gives the line that goes below the log's signature. Errors are
// those of VerifierKey.
func (k *Key) Cosign(name string, text []byte, at time.Time) (string, error) {
	w, err := k.PublicKey().WitnessKey(name)
	if err != nil {
		return "", err
	}
	seconds := uint64(max(0, at.Unix()))
	sig := binary.BigEndian.AppendUint32(nil, verifier{w}.KeyHash())
	sig = binary.BigEndian.AppendUint64(sig, seconds)
	sig = append(sig, ed25519.Sign(k.private, cosigned(seconds, text))...)
	return fmt.Sprintf("— %s %s\n", name, base64.StdEncoding.EncodeToString(sig)), nil
}
