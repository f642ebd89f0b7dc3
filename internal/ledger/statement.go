// Package ledger makes and checks signed statements, keeps the key that signs
// them, and keeps logs. A statement is an in-toto Statement in a DSSE envelope,
// signed by a local Ed25519 key or by nobody, and it says which. A log is a file
// of records that only grows: each is chained to the one before by its hash, and
// the head is signed from time to time, so that a record that was changed, taken
// out or moved is found. Entries are the record of the house: the state that an
// entry belongs to commits with it, and a sequencer brings its commitment into a
// public log; receipts and bundles prove that they are there. What a statement
// claims or a record means is for the part that makes it, and so is keeping the
// checkpoint by which a log that was cut short is found.
package ledger

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	attestation "github.com/in-toto/attestation/go/v1"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"

	"proofhouse/internal/proofhouse"
)

// PayloadType is the media type of a statement within its envelope.
const PayloadType = "application/vnd.in-toto+json"

// maxEnvelope bounds what Open reads, in bytes.
const maxEnvelope = 16 << 20

// Statement is a claim about a subject.
type Statement struct {
	Subject       string // the subject's name
	Digest        proofhouse.Digest
	PredicateType string
	// Predicate is marshalled as a JSON object.
	Predicate any
}

// Seal puts a statement into an envelope, signed by key, or with no signature
// if key is nil. The same statement always gives the same payload.
func Seal(ctx context.Context, s Statement, key *Key) ([]byte, error) {
	if key != nil {
		return Attest(ctx, s, key)
	}
	body, err := s.payload()
	if err != nil {
		return nil, err
	}
	return json.Marshal(&dsse.Envelope{PayloadType: PayloadType, Payload: base64.StdEncoding.EncodeToString(body), Signatures: []dsse.Signature{}})
}

// payload is what the signatures are of.
func (s Statement) payload() ([]byte, error) {
	raw, err := json.Marshal(s.Predicate)
	if err != nil {
		return nil, fmt.Errorf("writing the predicate: %w", err)
	}
	predicate := &structpb.Struct{}
	if err := protojson.Unmarshal(raw, predicate); err != nil {
		return nil, fmt.Errorf("writing the predicate: %w", err)
	}
	st := &attestation.Statement{
		Type:          attestation.StatementTypeUri,
		Subject:       []*attestation.ResourceDescriptor{{Name: s.Subject, Digest: map[string]string{"sha256": s.Digest.Hex()}}},
		PredicateType: s.PredicateType,
		Predicate:     predicate,
	}
	if err := st.Validate(); err != nil {
		return nil, fmt.Errorf("checking the statement: %w", err)
	}
	loose, err := protojson.Marshal(st)
	if err != nil {
		return nil, fmt.Errorf("writing the statement: %w", err)
	}
	// protojson varies its white space on purpose.
	var body bytes.Buffer
	if err := json.Compact(&body, loose); err != nil {
		return nil, fmt.Errorf("writing the statement: %w", err)
	}
	return body.Bytes(), nil
}

// Opened is a statement as it was read.
type Opened struct {
	Subject       string
	Digest        proofhouse.Digest
	PredicateType string
	Predicate     json.RawMessage
	// Signed says that the key given to Open signed the envelope.
	Signed bool
	// KeyIDs are those that the envelope names, checked or not.
	KeyIDs []string
}

// Open reads an envelope. With a key, its signature must be there and right:
// otherwise the error is proofhouse.Integrity. Without one nothing is checked
// and Signed is false.
func Open(ctx context.Context, envelope []byte, key *PublicKey) (Opened, error) {
	bad := func(cause error) (Opened, error) {
		return Opened{}, proofhouse.Errorf(proofhouse.Integrity, cause, "this is not a statement in a DSSE envelope")
	}
	if len(envelope) > maxEnvelope {
		return bad(errors.New("too long"))
	}
	var env dsse.Envelope
	if err := json.Unmarshal(envelope, &env); err != nil {
		return bad(err)
	}
	if env.PayloadType != PayloadType {
		return bad(fmt.Errorf("payload type %q", env.PayloadType))
	}
	body, err := env.DecodeB64Payload()
	if err != nil {
		return bad(err)
	}
	var out Opened
	for _, s := range env.Signatures {
		out.KeyIDs = append(out.KeyIDs, s.KeyID)
	}
	if key != nil {
		v, err := dsse.NewEnvelopeVerifier(key)
		if err != nil {
			return Opened{}, err
		}
		if _, err := v.Verify(ctx, &env); err != nil {
			return Opened{}, proofhouse.Errorf(proofhouse.Integrity, err, "the statement is not signed by key %s", key.ID())
		}
		out.Signed = true
	}
	st := &attestation.Statement{}
	if err := protojson.Unmarshal(body, st); err != nil {
		return bad(err)
	}
	if err := st.Validate(); err != nil {
		return bad(err)
	}
	if len(st.Subject) != 1 {
		return bad(fmt.Errorf("%d subjects", len(st.Subject)))
	}
	out.Subject, out.PredicateType = st.Subject[0].GetName(), st.PredicateType
	out.Digest = proofhouse.Digest("sha256:" + st.Subject[0].GetDigest()["sha256"])
	if err := out.Digest.Validate(); err != nil {
		return bad(err)
	}
	// Taken from the payload itself, so that numbers keep their digits.
	var plain struct {
		Predicate json.RawMessage `json:"predicate"`
	}
	if err := json.Unmarshal(body, &plain); err != nil {
		return bad(err)
	}
	out.Predicate = plain.Predicate
	return out, nil
}
