package app

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"github.com/go-webauthn/webauthn/webauthn"

	"proofhouse/internal/docket"
	"proofhouse/internal/ledger"
	"proofhouse/internal/policy"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/web"
)

// signingTime is how long a browser waits for a passkey to sign with.
const signingTime = 5 * time.Minute

// party is the house as authenticators know it.
func (d *Door) party() docket.RelyingParty {
	return docket.RelyingParty{ID: d.passkeys.Config.RPID, Origin: d.passkeys.Config.RPOrigins[0]}
}

// signer is a passkey of somebody's that acts can be signed with.
type signer struct {
	web.Passkey
	credential webauthn.Credential
}

// signers are the passkeys of a person that acts can be signed with, oldest first: not one of which there are signs of a copy.
func (d *Door) signers(ctx context.Context, who policy.Person) ([]signer, error) {
	if d.passkeys == nil {
		return nil, errNoPasskeys
	}
	ways, err := d.directory.People.Ways(ctx, who.Name())
	if err != nil {
		return nil, err
	}
	var all []signer
	for _, w := range ways {
		if len(w.Passkey) == 0 || !w.Suspect.IsZero() {
			continue
		}
		c, err := credential(w)
		if err != nil {
			return nil, err
		}
		if pem, ok := d.publicKey(c); ok {
			all = append(all, signer{web.Passkey{Way: w.ID, Label: w.Label, Name: docket.NameKey{Key: pem, Passkey: d.party()}}, c})
		}
	}
	return all, nil
}

// publicKey is a passkey's public half as the docket has it, if it is of a sort that signs there.
func (d *Door) publicKey(c webauthn.Credential) (string, bool) {
	parsed, err := webauthncose.ParsePublicKey(c.PublicKey)
	if err != nil {
		return "", false
	}
	var key crypto.PublicKey
	switch k := parsed.(type) {
	case webauthncose.EC2PublicKeyData:
		if k.Algorithm != int64(webauthncose.AlgES256) {
			return "", false
		}
		if key, err = k.ToECDSA(); err != nil {
			return "", false
		}
	case webauthncose.OKPPublicKeyData:
		if k.Algorithm != int64(webauthncose.AlgEdDSA) || len(k.XCoord) != ed25519.PublicKeySize {
			return "", false
		}
		key = ed25519.PublicKey(k.XCoord)
	case webauthncose.RSAPublicKeyData:
		e, err := webauthncose.ParseRSAPublicKeyDataExponent(&k)
		if err != nil || k.Algorithm != int64(webauthncose.AlgRS256) {
			return "", false
		}
		key = &rsa.PublicKey{N: new(big.Int).SetBytes(k.Modulus), E: e}
	default:
		return "", false
	}
	pem, err := ledger.PublicKeyPEM(key)
	if err != nil {
		return "", false
	}
	_, err = ledger.ParsePasskey(pem, d.party().ID, d.party().Origin)
	return string(pem), err == nil
}

// SigningPasskeys implements web.Door.
func (d *Door) SigningPasskeys(ctx context.Context, who policy.Person) ([]web.Passkey, error) {
	all, err := d.signers(ctx, who)
	out := make([]web.Passkey, len(all))
	for i, s := range all {
		out[i] = s.Passkey
	}
	return out, err
}

// Theirs implements api.Passkeys.
func (d *Door) Theirs(ctx context.Context, who policy.Person, key docket.SigningKey) error {
	_, err := d.theirs(ctx, who, key)
	return err
}

func (d *Door) theirs(ctx context.Context, who policy.Person, key docket.SigningKey) (webauthn.Credential, error) {
	all, err := d.signers(ctx, who)
	if err != nil {
		return webauthn.Credential{}, err
	}
	for _, s := range all {
		if s.Name.Key == key.Key && s.Name.Passkey == key.Passkey {
			return s.credential, nil
		}
	}
	return webauthn.Credential{}, proofhouse.Errorf(proofhouse.Refused, nil, "that is no passkey that you have in this house, or there may be a copy of it: name one of yours in the case")
}

// AskSignature implements web.Door.
func (d *Door) AskSignature(ctx context.Context, who policy.Person, key docket.SigningKey, challenge string) (options string, err error) {
	c, err := d.theirs(ctx, who, key)
	if err != nil {
		return "", err
	}
	raw, err := base64.RawURLEncoding.DecodeString(challenge)
	if err != nil {
		return "", err
	}
	b, err := json.Marshal(protocol.PublicKeyCredentialRequestOptions{
		Challenge: raw, Timeout: int(signingTime.Milliseconds()), RelyingPartyID: d.party().ID,
		AllowedCredentials: []protocol.CredentialDescriptor{c.Descriptor()}, UserVerification: protocol.VerificationRequired,
	})
	return string(b), err
}
