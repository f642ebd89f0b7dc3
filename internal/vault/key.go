package vault

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"

	"proofhouse/internal/proofhouse"
)

// The house's key file is one line as age's own tools read it. It opens the
// keys of the compartments and nothing else is sealed for it.

func createKey(file string) (*age.HybridIdentity, error) {
	identity, err := age.GenerateHybridIdentity()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return nil, diskError(err)
	}
	// Whole or not there, and never in the place of another: a link does not replace.
	tmp := file + "-" + proofhouse.Token(5) + newSuffix
	defer os.Remove(tmp)
	if err := writeFile(tmp, []byte(identity.String()+"\n")); err != nil {
		return nil, diskError(err)
	}
	if err := os.Link(tmp, file); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return openKey(file) // somebody was faster
		}
		return nil, diskError(err)
	}
	return identity, diskError(syncDir(filepath.Dir(file)))
}

func openKey(file string) (*age.HybridIdentity, error) {
	st, err := os.Stat(file)
	if err != nil {
		return nil, proofhouse.Errorf(proofhouse.NotFound, err, "the house's key is not where it should be: what is sealed opens with it alone")
	}
	if st.Mode().Perm()&0o077 != 0 {
		return nil, proofhouse.Errorf(proofhouse.Refused, nil, "others can read the house's key: set its mode to 0600")
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, diskError(err)
	}
	identity, err := age.ParseHybridIdentity(strings.TrimSpace(string(b)))
	if err != nil {
		return nil, proofhouse.Errorf(proofhouse.Integrity, nil, "the house's key is damaged") // the cause would quote it
	}
	return identity, nil
}

func sealBytes(b []byte, to age.Recipient) ([]byte, error) {
	var out bytes.Buffer
	w, err := age.Encrypt(&out, to)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(b); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func openBytes(sealed []byte, by age.Identity) ([]byte, error) {
	r, err := age.Decrypt(bytes.NewReader(sealed), by)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}
