package app

import (
	"io"
	"os"
	"slices"
	"strings"

	"proofhouse/internal/proofhouse"
	"proofhouse/internal/vault"
)

// credentials is the compartment of the upstreams' keys.
const credentials = "credentials"

// Vault is the house's vault.
func (a *App) Vault() *vault.Vault {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.vault == nil {
		a.vault = vault.New(a.Config.dir("vault"), a.Config.HouseKey)
	}
	return a.vault
}

// maxCredential bounds an upstream's key, in bytes.
const maxCredential = 64 << 10

// AddCredential seals an upstream's key under a name: the one line in file, or
// else that in. One of that name is proofhouse.Conflict unless it is to be
// replaced.
func (a *App) AddCredential(name, file string, in io.Reader, replace bool) error {
	var key vault.Secret
	var err error
	if file != "" {
		key, err = readCredential(file)
	} else {
		key, err = parseCredential(in)
	}
	if err != nil {
		return err
	}
	v := a.Vault()
	if err := v.Create(credentials); err != nil && proofhouse.KindOf(err) != proofhouse.Conflict {
		return err
	}
	names, err := v.Names(credentials)
	if err != nil {
		return err
	}
	if slices.Contains(names, name) && !replace {
		return proofhouse.Errorf(proofhouse.Conflict, nil, "a credential of that name is sealed already: choose another name, or replace it with --replace")
	}
	s, err := v.Seal(credentials, name)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(s, string(key)); err != nil {
		s.Abort()
		return err
	}
	return s.Commit()
}

// Credentials are the names of the sealed keys.
func (a *App) Credentials() ([]string, error) {
	names, err := a.Vault().Names(credentials)
	if proofhouse.KindOf(err) == proofhouse.NotFound {
		return nil, nil
	}
	return names, err
}

// RemoveCredential destroys a sealed key.
func (a *App) RemoveCredential(name string) error {
	err := a.Vault().Destroy(credentials, name)
	if proofhouse.KindOf(err) == proofhouse.NotFound {
		return noCredential(err)
	}
	return err
}

func noCredential(cause error) error {
	return proofhouse.Errorf(proofhouse.NotFound, cause, "no credential of that name is sealed here: `gate credential list` shows them")
}

// credential is the upstream's key of a request.
func (a *App) credential(req GateRequest) (vault.Secret, error) {
	switch {
	case req.Credential != "" && req.KeyFile != "":
		return "", proofhouse.Errorf(proofhouse.Invalid, nil, "--credential and --key-file both give the upstream's key: choose one")
	case req.Credential == "":
		return readCredential(req.KeyFile)
	}
	names, err := a.Credentials()
	if err != nil {
		return "", err
	}
	if !slices.Contains(names, req.Credential) {
		return "", noCredential(nil)
	}
	r, err := a.Vault().Open(credentials, req.Credential)
	if err != nil {
		return "", err
	}
	defer r.Close()
	return parseCredential(r)
}

// readCredential reads an upstream's key from a file that nobody else can
// read. It is none if there is no file.
func readCredential(file string) (vault.Secret, error) {
	if file == "" {
		return "", nil
	}
	f, err := openPrivate(file, "the upstream's key")
	if err != nil {
		return "", err
	}
	defer f.Close()
	return parseCredential(f)
}

// openPrivate opens the file of a secret, which is proofhouse.Refused if others can read it.
func openPrivate(file, secret string) (*os.File, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, proofhouse.Errorf(proofhouse.NotFound, err, "%s cannot be read: it holds %s", file, secret)
	}
	st, err := f.Stat()
	if err == nil && st.Mode().Perm()&0o077 != 0 {
		err = proofhouse.Errorf(proofhouse.Refused, nil, "others can read %s: chmod 600 %s", secret, file)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// parseCredential reads a key: one line that a header can carry.
func parseCredential(r io.Reader) (vault.Secret, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxCredential))
	if err != nil {
		return "", err
	}
	key := strings.TrimSpace(string(b))
	if key == "" || len(b) == maxCredential || strings.ContainsFunc(key, func(c rune) bool { return c < ' ' || c > '~' }) {
		return "", proofhouse.Errorf(proofhouse.Invalid, nil, "an upstream's key is one line of plain characters")
	}
	return vault.Secret(key), nil
}
