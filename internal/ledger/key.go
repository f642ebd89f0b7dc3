package ledger

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"proofhouse/internal/proofhouse"
)

// Key signs statements. It implements the signer of dsse.
type Key struct{ private ed25519.PrivateKey }

// PublicKey checks what a Key signed. It implements the verifier of dsse.
type PublicKey struct{ public ed25519.PublicKey }

// CreateKey makes a fresh key in dir: NAME.key (PKCS #8, mode 0600) and
// NAME.pub. A key of that name that exists already is proofhouse.Conflict.
func CreateKey(dir, name string) (*Key, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, err
	}
	open, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	for _, f := range []struct {
		name, kind string
		body       []byte
		mode       fs.FileMode
	}{{name + ".key", "PRIVATE KEY", secret, 0o600}, {name + ".pub", "PUBLIC KEY", open, 0o644}} {
		if err := create(filepath.Join(dir, f.name), pem.EncodeToMemory(&pem.Block{Type: f.kind, Bytes: f.body}), f.mode); err != nil {
			if errors.Is(err, fs.ErrExist) {
				return nil, proofhouse.Errorf(proofhouse.Conflict, err, "a key named %s exists already: choose another name", name)
			}
			return nil, err
		}
	}
	return &Key{private}, nil
}

// create writes a file that did not exist.
func create(name string, b []byte, mode fs.FileMode) (err error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, f.Close())
	}()
	if _, err := f.Write(b); err != nil {
		return err
	}
	return f.Sync()
}

// OpenKey reads a key that CreateKey made. One that others may read is
// proofhouse.Refused.
func OpenKey(dir, name string) (*Key, error) {
	path := filepath.Join(dir, name+".key")
	st, err := os.Stat(path)
	if err != nil {
		return nil, proofhouse.Errorf(proofhouse.NotFound, err, "there is no key named %s", name)
	}
	if st.Mode().Perm()&0o077 != 0 {
		return nil, proofhouse.Errorf(proofhouse.Refused, nil, "key %s can be read by others: set its mode to 0600, or make a new one", name)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, proofhouse.Errorf(proofhouse.Integrity, nil, "key %s is damaged", name)
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	private, ok := k.(ed25519.PrivateKey)
	if err != nil || !ok {
		return nil, proofhouse.Errorf(proofhouse.Integrity, err, "key %s is not an Ed25519 key", name)
	}
	return &Key{private}, nil
}

// ParsePublicKey reads the PEM text of a NAME.pub.
func ParsePublicKey(b []byte) (*PublicKey, error) {
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "this is not a public key in PEM form")
	}
	k, err := x509.ParsePKIXPublicKey(block.Bytes)
	public, ok := k.(ed25519.PublicKey)
	if err != nil || !ok {
		return nil, proofhouse.Errorf(proofhouse.Invalid, err, "this is not an Ed25519 public key")
	}
	return &PublicKey{public}, nil
}

// PublicKey is the half of k that may be given away.
func (k *Key) PublicKey() *PublicKey { return &PublicKey{k.private.Public().(ed25519.PublicKey)} }

// ID names the key: the first 16 bytes of the SHA-256 of its public half, in hex.
func (k *PublicKey) ID() string {
	sum := sha256.Sum256(k.public)
	return hex.EncodeToString(sum[:16])
}

// Sign signs b.
func (k *Key) Sign(_ context.Context, b []byte) ([]byte, error) {
	return ed25519.Sign(k.private, b), nil
}

// KeyID is the ID of the public half.
func (k *Key) KeyID() (string, error) { return k.PublicKey().ID(), nil }

// Verify says whether sig is k's signature of b.
func (k *PublicKey) Verify(_ context.Context, b, sig []byte) error {
	if !ed25519.Verify(k.public, b, sig) {
		return errors.New("the signature does not fit")
	}
	return nil
}

// KeyID is the ID.
func (k *PublicKey) KeyID() (string, error) { return k.ID(), nil }

// Public is the key itself.
func (k *PublicKey) Public() crypto.PublicKey { return k.public }

// PEM is the key as ParsePublicKey reads it.
func (k *PublicKey) PEM() ([]byte, error) { return PublicKeyPEM(k.public) }
