package proofhouse

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"strings"
)

// Digest names content by its SHA-256: "sha256:" and 64 lower-case hex digits.
type Digest string

// DigestOf is the digest of b.
func DigestOf(b []byte) Digest {
	sum := sha256.Sum256(b)
	return Digest("sha256:" + hex.EncodeToString(sum[:]))
}

// DigestReader reads r to its end and gives its digest and length in bytes.
func DigestReader(r io.Reader) (Digest, int64, error) {
	h := sha256.New()
	n, err := io.Copy(h, r)
	if err != nil {
		return "", n, err
	}
	return Digest("sha256:" + hex.EncodeToString(h.Sum(nil))), n, nil
}

// Hex is the digest without its algorithm.
func (d Digest) Hex() string { return strings.TrimPrefix(string(d), "sha256:") }

// Short is the first 12 hex digits, for people.
func (d Digest) Short() string { h := d.Hex(); return h[:min(12, len(h))] }

// Validate says whether d has the form of a digest.
func (d Digest) Validate() error {
	raw, err := hex.DecodeString(d.Hex())
	if err != nil || len(raw) != sha256.Size || !strings.HasPrefix(string(d), "sha256:") || strings.ToLower(string(d)) != string(d) {
		return Errorf(Invalid, nil, "%q is not a digest: write sha256: and 64 lower-case hex digits", string(d))
	}
	return nil
}
