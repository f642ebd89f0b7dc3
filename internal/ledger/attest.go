package ledger

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"proofhouse/internal/proofhouse"
)

// Attest puts a statement into an envelope that each of the keys signs, in
// their order: a determination, say, or a destruction that two people ordered.
// What it says is for the part that makes it: the oracle's verdicts, the
// docket's determinations, the vault's certificates each have a predicate of
// their own. The same statement and keys always give the same envelope. No key,
// or one twice, is proofhouse.Invalid: an unsigned statement is Seal's.
func Attest(ctx context.Context, s Statement, keys ...*Key) ([]byte, error) {
	if len(keys) == 0 {
		return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "an attestation needs a key that signs it")
	}
	body, err := s.payload()
	if err != nil {
		return nil, err
	}
	env := dsse.Envelope{PayloadType: PayloadType, Payload: base64.StdEncoding.EncodeToString(body)}
	for _, k := range keys {
		id := k.PublicKey().ID()
		if slices.ContainsFunc(env.Signatures, func(s dsse.Signature) bool { return s.KeyID == id }) {
			return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "key %s signs once, however many it is asked for", id)
		}
		sig, err := k.Sign(ctx, dsse.PAE(PayloadType, body))
		if err != nil {
			return nil, fmt.Errorf("signing: %w", err)
		}
		env.Signatures = append(env.Signatures, dsse.Signature{KeyID: id, Sig: base64.StdEncoding.EncodeToString(sig)})
	}
	return json.Marshal(env)
}

// OpenAttested reads an envelope that at least threshold of the keys signed,
// and says which did, in the order of the envelope. Too few are
// proofhouse.Integrity, and so is a signature under the name of one of the keys
// that does not fit. Signatures by other keys count for nothing.
func OpenAttested(ctx context.Context, envelope []byte, threshold int, keys ...*PublicKey) (Opened, []*PublicKey, error) {
	if threshold < 1 {
		return Opened{}, nil, proofhouse.Errorf(proofhouse.Invalid, nil, "at least one key must have signed an attestation")
	}
	out, err := Open(ctx, envelope, nil)
	if err != nil {
		return Opened{}, nil, err
	}
	var env dsse.Envelope
	if err := json.Unmarshal(envelope, &env); err != nil {
		return Opened{}, nil, fmt.Errorf("reading an envelope again: %w", err)
	}
	signers, err := signersOf(env, keys)
	if err != nil {
		return Opened{}, nil, proofhouse.Errorf(proofhouse.Integrity, err, "the attestation has a signature that does not fit")
	}
	if len(signers) < threshold {
		return Opened{}, nil, proofhouse.Errorf(proofhouse.Integrity, nil, "the attestation is signed by %d of the keys that count, and needs %d", len(signers), threshold)
	}
	out.Signed = true
	return out, signers, nil
}

// signersOf is those of the keys that signed an envelope, each once. A signature
// that names one of them and does not fit is an error.
func signersOf(env dsse.Envelope, keys []*PublicKey) ([]*PublicKey, error) {
	payload, err := base64.StdEncoding.Strict().DecodeString(env.Payload)
	if err != nil {
		return nil, fmt.Errorf("reading the payload: %w", err)
	}
	signed := dsse.PAE(env.PayloadType, payload)
	var out []*PublicKey
	for _, s := range env.Signatures {
		i := slices.IndexFunc(keys, func(k *PublicKey) bool { return k.ID() == s.KeyID })
		if i < 0 {
			continue
		}
		raw, err := base64.StdEncoding.Strict().DecodeString(s.Sig)
		switch {
		case err != nil:
			return nil, fmt.Errorf("reading a signature: %w", err)
		case !ed25519.Verify(keys[i].public, signed, raw):
			return nil, errors.New("a signature does not fit: the statement was changed")
		case slices.Contains(out, keys[i]):
			return nil, errors.New("one key signed twice")
		}
		out = append(out, keys[i])
	}
	return out, nil
}
