package docket

import (
	"encoding/json"

	"proofhouse/internal/proofhouse"
)

// Signature is a signature over what an act says. The rules hold Over to the
// act; whether Bytes is a signature over it, and whose, is for the ledger to
// check before the event is taken, and for anyone afterwards.
type Signature struct {
	Over  proofhouse.Digest
	Bytes []byte
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

// toSign is the digest of v under a heading, within one case, so that what was
// signed as one thing cannot be shown as another.
func toSign(id proofhouse.CaseID, heading string, v any) proofhouse.Digest {
	b, err := json.Marshal(struct {
		Heading string            `json:"heading"`
		Case    proofhouse.CaseID `json:"case"`
		Says    any               `json:"says"`
	}{"proofhouse " + heading + " v1", id, v})
	if err != nil {
		panic(err) // only structs of strings, numbers and times are signed
	}
	return proofhouse.DigestOf(b)
}
