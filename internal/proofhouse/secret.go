package proofhouse

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// SecretKind is one kind of secret that the house makes: keys of grants,
// tokens of people, codes.
type SecretKind struct {
	// Prefix is what scanners for leaked secrets look for.
	Prefix string
	// Word sets the checksums of one kind apart from those of others.
	Word string
}

// checksum is 24 bits in hex.
const checksum = 6

// New is a fresh secret: the prefix, 160 random bits and a checksum, which
// tells a mistyped or an invented one without a look-up. It is shown once; what is
// kept is its hash.
func (k SecretKind) New() string {
	body := k.Prefix + Token(20)
	return body + k.sum(body)
}

// Hash is how a secret is stored: its SHA-256 in hex. It has 160 random bits, so
// a slow hash would protect nothing. ok is false for what New cannot have made.
func (k SecretKind) Hash(secret string) (hash string, ok bool) {
	if !strings.HasPrefix(secret, k.Prefix) || len(secret) < len(k.Prefix)+checksum || len(secret) > 128 {
		return "", false
	}
	if body := secret[:len(secret)-checksum]; k.sum(body) != secret[len(body):] {
		return "", false
	}
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:]), true
}

func (k SecretKind) sum(s string) string {
	sum := sha256.Sum256([]byte(k.Word + ": " + s))
	return hex.EncodeToString(sum[:])[:checksum]
}
