package ledger

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"unicode/utf8"

	"proofhouse/internal/proofhouse"
)

// Passkey is the public half of a key that somebody's authenticator keeps, and
// the one place for which browsers have it sign. It checks assertions (Web
// Authentication, section 7.2) without asking anybody.
type Passkey struct {
	public       crypto.PublicKey // of ES256, EdDSA or RS256
	der          []byte
	rpID, origin string
}

// Bounds of an RSA key, in bits: authenticators make 2048.
const (
	minRSA = 2048
	maxRSA = 4096
)

// ParsePasskey reads the PEM text of a passkey's public half: a key on P-256, an
// Ed25519 key or an RSA key, each for its one algorithm, in one spelling. rpID and
// origin are the relying party: https and a name, or http://localhost. The error is proofhouse.Invalid.
func ParsePasskey(b []byte, rpID, origin string) (*Passkey, error) {
	block, _ := pem.Decode(b) // what follows makes b another spelling
	if block == nil || block.Type != "PUBLIC KEY" || !bytes.Equal(pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: block.Bytes}), b) {
		return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "this is not a public key in PEM form")
	}
	k, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, proofhouse.Errorf(proofhouse.Invalid, err, "this is not a public key in PEM form")
	}
	if why := unfit(k); why != "" {
		return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "a passkey that signs is of ES256, EdDSA or RS256: %s", why)
	}
	if der, err := x509.MarshalPKIXPublicKey(k); err != nil || !bytes.Equal(der, block.Bytes) {
		return nil, proofhouse.Errorf(proofhouse.Invalid, err, "this public key is spelt in an unusual way")
	}
	u, err := url.Parse(origin)
	if err != nil || origin != u.Scheme+"://"+u.Host || origin != strings.ToLower(origin) || rpID == "" || u.Hostname() != rpID || net.ParseIP(rpID) != nil ||
		u.Scheme != "https" && (u.Scheme != "http" || rpID != "localhost") {
		return nil, proofhouse.Errorf(proofhouse.Invalid, err, "a passkey is of a place such as house.example at https://house.example")
	}
	return &Passkey{public: k, der: block.Bytes, rpID: rpID, origin: origin}, nil
}

// unfit says why a public key is none of the three sorts, or "".
func unfit(k crypto.PublicKey) string {
	switch k := k.(type) {
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() {
			return "this key is on another curve"
		}
	case ed25519.PublicKey:
	case *rsa.PublicKey:
		if n := k.N.BitLen(); n < minRSA || n > maxRSA || k.E != 65537 {
			return fmt.Sprintf("an RSA key has %d to %d bits and the exponent 65537", minRSA, maxRSA)
		}
	default:
		return "this key is of another sort"
	}
	return ""
}

// PublicKeyPEM is a public key as ParsePasskey reads it.
func PublicKeyPEM(k crypto.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(k)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}

// ID names the key: the first 16 bytes of the SHA-256 of its public half (DER, as in the PEM), in hex.
func (k *Passkey) ID() string {
	sum := sha256.Sum256(k.der)
	return hex.EncodeToString(sum[:16])
}

// Assertion is what an authenticator signs to answer a challenge: its own data, and the hash of what
// the browser says that it asked.
type Assertion struct {
	AuthenticatorData []byte `json:"authenticator_data"`
	ClientData        []byte `json:"client_data"` // clientDataJSON, byte for byte
}

// Bounds of an assertion's parts, in bytes. Those of today's authenticators are below 300.
const (
	maxAuthenticatorData = 1 << 10
	maxClientData        = 4 << 10
	maxAssertionSig      = 1 << 10
	maxAnswer            = 16 << 10
)

// Challenge is what a browser is asked to have an authenticator sign in the place of message: its
// SHA-256, in base64url.
func Challenge(message []byte) string {
	sum := sha256.Sum256(message)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Verify says whether signature, with a, is k's over the challenge of message: asked by this origin in a page of
// its own, answered for this relying party, with its owner there and verified. The authenticator's counter is looked at by nobody.
func (k *Passkey) Verify(message []byte, a Assertion, signature []byte) error {
	if len(signature) > maxAssertionSig {
		return errors.New("the signature is too long")
	}
	if err := k.asked(a.ClientData, Challenge(message)); err != nil {
		return err
	}
	if err := k.answered(a.AuthenticatorData); err != nil {
		return err
	}
	asked := sha256.Sum256(a.ClientData)
	signed := append(bytes.Clone(a.AuthenticatorData), asked[:]...)
	digest := sha256.Sum256(signed)
	fits := false
	switch public := k.public.(type) {
	case *ecdsa.PublicKey:
		fits = ecdsa.VerifyASN1(public, digest[:], signature)
	case ed25519.PublicKey:
		fits = ed25519.Verify(public, signed, signature)
	case *rsa.PublicKey:
		fits = rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], signature) == nil
	}
	if !fits {
		return errors.New("the signature does not fit")
	}
	return nil
}

// asked holds what the browser says to what it must have been asked. Members that are not known are let be, as the
// specification wants; known ones stand there once, under their exact names.
func (k *Passkey) asked(clientData []byte, challenge string) error {
	if len(clientData) > maxClientData {
		return errors.New("the client data are too long")
	}
	says, err := members(clientData)
	if err != nil {
		return fmt.Errorf("reading the client data: %w", err)
	}
	for _, must := range [][2]string{{"type", "webauthn.get"}, {"challenge", challenge}, {"origin", k.origin}} {
		var is string
		if json.Unmarshal(says[must[0]], &is) != nil || is != must[1] {
			return fmt.Errorf("the client data have another %s", must[0])
		}
	}
	if cross, there := says["crossOrigin"]; there && string(cross) != "false" {
		return errors.New("the browser was asked from within another site's page")
	}
	if _, there := says["topOrigin"]; there {
		return errors.New("the browser was asked from within another site's page")
	}
	return nil
}

// The flags of authenticator data.
const (
	userPresent  = 1 << 0
	userVerified = 1 << 2
	canBackUp    = 1 << 3
	isBackedUp   = 1 << 4
	hasKey       = 1 << 6 // of a registration
	hasExtension = 1 << 7
)

// authenticatorHead is how long authenticator data are before extensions: the hash of the relying party's id, flags, a counter.
const authenticatorHead = sha256.Size + 1 + 4

// answered holds what the authenticator says of itself to k's relying party, and its owner to having been there.
func (k *Passkey) answered(data []byte) error {
	if len(data) < authenticatorHead || len(data) > maxAuthenticatorData {
		return errors.New("the authenticator data have another length")
	}
	party, flags, more := sha256.Sum256([]byte(k.rpID)), data[sha256.Size], len(data) > authenticatorHead
	switch {
	case !bytes.Equal(data[:sha256.Size], party[:]):
		return errors.New("the authenticator answered another relying party")
	case flags&userPresent == 0:
		return errors.New("nobody was at the authenticator")
	case flags&userVerified == 0:
		return errors.New("the authenticator did not verify its owner")
	case flags&isBackedUp != 0 && flags&canBackUp == 0:
		return errors.New("the authenticator says that it has a copy and that it can have none")
	case flags&hasKey != 0:
		return errors.New("the authenticator data are of a registration")
	case more != (flags&hasExtension != 0):
		return errors.New("the authenticator data have another length")
	}
	return nil
}

// ParseAssertion reads a browser's answer, as PublicKeyCredential.toJSON gives it, and checks nothing but its form.
// The error is proofhouse.Invalid.
func ParseAssertion(answer []byte) (a Assertion, signature []byte, err error) {
	bad := func(err error) (Assertion, []byte, error) {
		return Assertion{}, nil, proofhouse.Errorf(proofhouse.Invalid, err, "that is not a passkey's answer")
	}
	if len(answer) > maxAnswer {
		return bad(errors.New("too long"))
	}
	outer, err := members(answer)
	if err != nil {
		return bad(err)
	}
	if string(outer["type"]) != `"public-key"` {
		return bad(errors.New("another type"))
	}
	inner, err := members(outer["response"])
	if err != nil {
		return bad(err)
	}
	for _, part := range []struct {
		name string
		into *[]byte
		most int
	}{{"authenticatorData", &a.AuthenticatorData, maxAuthenticatorData}, {"clientDataJSON", &a.ClientData, maxClientData}, {"signature", &signature, maxAssertionSig}} {
		var text string
		if err := json.Unmarshal(inner[part.name], &text); err != nil {
			return bad(err)
		}
		if *part.into, err = base64.RawURLEncoding.Strict().DecodeString(text); err != nil {
			return bad(err)
		}
		if n := len(*part.into); n == 0 || n > part.most || strings.ContainsAny(text, "\r\n") {
			return bad(fmt.Errorf("%d bytes of %s", n, part.name))
		}
	}
	return a, signature, nil
}

// members are those of a JSON object, by their exact names, of which none may come twice. encoding/json would take either of two, and
// names in other letters.
func members(b []byte) (map[string]json.RawMessage, error) {
	if !utf8.Valid(b) {
		return nil, errors.New("not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(b))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return nil, errors.Join(errors.New("no JSON object"), err)
	}
	all := map[string]json.RawMessage{}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, err
		}
		name, _ := key.(string) // the keys of objects are strings
		if _, twice := all[name]; twice {
			return nil, errors.New("a member comes twice")
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, err
		}
		all[name] = value
	}
	if _, err := d.Token(); err != nil { // the closing brace
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the JSON object")
	}
	return all, nil
}
