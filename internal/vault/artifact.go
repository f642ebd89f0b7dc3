package vault

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"filippo.io/age"

	"proofhouse/internal/proofhouse"
)

// Artifacts keeps the artifacts of cases, each named by the digest of its
// sealed body: of the plain text a digest would tell an outsider that a file
// which he knows is held here. Bodies lie in one folder, compartment by
// compartment, and are noise:
//
//	COMPARTMENT/HEX.body   the sealed bytes
//
// All that it takes to open them lies in another, which stays out of the
// backups of the first, so that destroying it here ends every copy:
//
//	COMPARTMENT/key.age       the compartment's secret key, sealed for the house's key
//	COMPARTMENT/recipient     its public key: who has it can seal, and not open
//	COMPARTMENT/custodians    the public keys of the two who open together, if there are
//	COMPARTMENT/HEX.head      what the body is, and the key of it, sealed for the
//	                          compartment and within that for the first custodian and then the second
//	COMPARTMENT/TOKEN.order   destructions that are going on, and TOKEN.destroyed those that are done
//	COMPARTMENT/shredded      the order by which nothing in here opens any more
//	*.new                     what is being written
//
// It is safe for concurrent use, by several processes too.
type Artifacts struct {
	bodies, heads string
	vault         *Vault // for the house's key
	present       presence
}

// Artifacts are those whose bodies and heads lie in these folders, under the
// vault's house key.
func (v *Vault) Artifacts(bodies, heads string) *Artifacts {
	return &Artifacts{bodies: bodies, heads: heads, vault: v}
}

// The names beside those of vault.go, and what a head begins with.
const (
	custodiansName = "custodians"
	orderSuffix    = ".order"
	doneSuffix     = ".destroyed"
	artifactMagic  = "proofhouse artifact, format 1\n"
	custodianNote  = "# custodian "
)

// Artifact says what a sealed artifact is. It is sealed itself, but for the ID.
type Artifact struct {
	Compartment string            `json:"compartment"`
	ID          proofhouse.Digest `json:"id"`    // of the sealed body
	Plain       proofhouse.Digest `json:"plain"` // of what was sealed
	Bytes       int64             `json:"bytes"` // of what was sealed
	Name        string            `json:"name"`  // as who brought it called it; may be empty
	Media       string            `json:"media"` // its media type, as they said; may be empty
}

// maxAbout bounds name and media type, in bytes.
const maxAbout = 1000

// Close lets other processes clear away what this one left unfinished.
func (a *Artifacts) Close() error { return a.present.leave() }

// Create makes a compartment, durably; one of that name that is there, or was
// shredded, is proofhouse.Conflict. custodians are none, or the hybrid public
// keys (as `age-keygen -pq` prints them) of two without both of whom nothing in
// it opens.
func (a *Artifacts) Create(compartment string, custodians ...string) error {
	if err := checkName(compartment); err != nil {
		return err
	}
	secret := ""
	for _, c := range custodians {
		if err := ValidCustodian(c); err != nil {
			return err
		}
		secret += custodianNote + c + "\n"
	}
	if len(custodians) != 0 && (len(custodians) != 2 || custodians[0] == custodians[1]) {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "a compartment has two custodians with a key each, or none")
	}
	if err := a.enter(); err != nil {
		return err
	}
	house, err := a.houseKey()
	if err != nil {
		return err
	}
	identity, err := age.GenerateHybridIdentity()
	if err != nil {
		return err
	}
	// The custodians stand with the secret key as well: an exchanged one is found on opening.
	sealed, err := sealBytes([]byte(secret+identity.String()+"\n"), house.Recipient())
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(a.heads, ".compartment-*"+newSuffix) // mode 0700
	if err != nil {
		return diskError(err)
	}
	defer os.RemoveAll(tmp)
	err = errors.Join(
		writeFile(filepath.Join(tmp, keyName), sealed),
		writeFile(filepath.Join(tmp, recipientName), []byte(identity.Recipient().String()+"\n")),
	)
	if len(custodians) > 0 {
		err = errors.Join(err, writeFile(filepath.Join(tmp, custodiansName), []byte(strings.Join(custodians, "\n")+"\n")))
	}
	if err := errors.Join(err, syncDir(tmp)); err != nil {
		return diskError(err)
	}
	// A rename never replaces a folder that holds something.
	if err := os.Rename(tmp, a.head(compartment)); err != nil {
		if errors.Is(err, fs.ErrExist) || errors.Is(err, syscall.ENOTEMPTY) {
			return proofhouse.Errorf(proofhouse.Conflict, err, "the compartment exists already, or was shredded")
		}
		return diskError(err)
	}
	return diskError(errors.Join(syncDir(a.heads), os.MkdirAll(a.body(compartment), 0o700), syncDir(a.bodies)))
}

// Custodians are the public keys of the two who open a compartment together, or none.
func (a *Artifacts) Custodians(compartment string) ([]string, error) {
	if err := a.check(compartment); err != nil {
		return nil, err
	}
	return a.custodians(compartment)
}

// ValidCustodian says whether key is a hybrid public key as `age-keygen -pq` prints
// them. The error is proofhouse.Invalid.
func ValidCustodian(key string) error {
	if _, err := age.ParseHybridRecipient(key); err != nil {
		return proofhouse.Errorf(proofhouse.Invalid, err, "a custodian's public key begins with age1pq1: age-keygen -pq makes one")
	}
	return nil
}

// houseKey opens the house's key. One that is lost while it has sealed keys is
// not made anew.
func (a *Artifacts) houseKey() (*age.HybridIdentity, error) {
	key, err := openKey(a.vault.keyFile)
	if proofhouse.KindOf(err) != proofhouse.NotFound {
		return key, err
	}
	if found, rerr := filepath.Glob(a.head("*", keyName)); rerr != nil || len(found) > 0 {
		return nil, err
	}
	if err := os.MkdirAll(a.vault.dir, 0o700); err != nil {
		return nil, diskError(err)
	}
	return a.vault.houseKey()
}

// Held is an artifact as who has no key sees it.
type Held struct {
	ID    proofhouse.Digest `json:"id"`
	Bytes int64             `json:"bytes"` // of the sealed body
}

// List is what a compartment holds, by ID.
func (a *Artifacts) List(compartment string) ([]Held, error) {
	if err := a.check(compartment); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(a.head(compartment))
	if err != nil {
		return nil, diskError(err)
	}
	held := []Held{}
	for _, e := range entries {
		id, ok := idOf(e.Name(), headSuffix)
		if !ok {
			continue
		}
		h := Held{ID: id}
		if st, err := os.Stat(a.bodyOf(compartment, id)); err == nil {
			h.Bytes = st.Size()
		}
		held = append(held, h)
	}
	return held, nil
}

// idOf is the ID in a file's name.
func idOf(name, suffix string) (proofhouse.Digest, bool) {
	digits, ok := strings.CutSuffix(name, suffix)
	id := proofhouse.Digest("sha256:" + digits)
	return id, ok && id.Validate() == nil
}

// Check reads a sealed body and compares it with its name, for which it takes
// no key: proofhouse.Integrity if it was changed.
func (a *Artifacts) Check(compartment string, id proofhouse.Digest) error {
	if err := a.find(compartment, id); err != nil {
		return err
	}
	f, err := os.Open(a.bodyOf(compartment, id))
	if err != nil {
		return changed(err)
	}
	defer f.Close()
	got, _, err := proofhouse.DigestReader(f)
	if err != nil {
		return diskError(err)
	}
	if got != id {
		return changed(errors.New("the body has another digest"))
	}
	return nil
}

// check says why a compartment cannot be used.
func (a *Artifacts) check(compartment string) error {
	if err := checkName(compartment); err != nil {
		return err
	}
	if _, err := os.Lstat(a.head(compartment, shreddedName)); err == nil {
		return proofhouse.Errorf(proofhouse.NotFound, nil, "this compartment was shredded: nothing that was sealed in it opens any more")
	}
	if _, err := os.Lstat(a.head(compartment, recipientName)); err != nil {
		return proofhouse.Errorf(proofhouse.NotFound, err, "there is no such compartment")
	}
	return nil
}

// find says why an artifact cannot be used.
func (a *Artifacts) find(compartment string, id proofhouse.Digest) error {
	if err := errors.Join(id.Validate(), a.check(compartment)); err != nil {
		return err
	}
	if _, err := os.Lstat(a.headOf(compartment, id)); err != nil {
		return proofhouse.Errorf(proofhouse.NotFound, err, "there is no such artifact here: it was destroyed, or never sealed")
	}
	return nil
}

// enter is called before something is written. Destructions that were cut
// short are carried to their end.
func (a *Artifacts) enter() error {
	for _, dir := range []string{a.bodies, a.heads} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return diskError(err)
		}
	}
	return a.present.enter(a.heads, a.sweep)
}

// sweep deletes what was never finished. Of bodies only those go whose head was
// being written: one without a head may be of a backup that was put back, or its
// head on a medium that is not there.
func (a *Artifacts) sweep() error {
	heads, _ := filepath.Glob(a.head("*", "*"+headSuffix+newSuffix)) // the pattern is right
	var err error
	for _, name := range heads {
		compartment := filepath.Base(filepath.Dir(name))
		id, ok := idOf(filepath.Base(name), headSuffix+newSuffix)
		if _, lost := os.Lstat(a.headOf(compartment, id)); ok && errors.Is(lost, fs.ErrNotExist) {
			err = errors.Join(err, remove(a.bodyOf(compartment, id)))
		}
	}
	if err != nil {
		return err
	}
	for _, pattern := range []string{a.head("*", "*"+newSuffix), a.head(".*" + newSuffix), a.body("*", "*"+newSuffix)} {
		left, _ := filepath.Glob(pattern)
		for _, name := range left {
			err = errors.Join(err, os.RemoveAll(name))
		}
	}
	return errors.Join(err, a.carryOn())
}

// still keeps others from destroying what is in a compartment, or, alone, from
// adding to it, until the function that it gives is called.
func (a *Artifacts) still(compartment string, alone bool) (done func(), err error) {
	f, err := os.Open(a.head(compartment, recipientName))
	if err != nil {
		return nil, errors.Join(a.check(compartment), diskError(err))
	}
	how := syscall.LOCK_SH
	if alone {
		how = syscall.LOCK_EX
	}
	if err := syscall.Flock(int(f.Fd()), how); err != nil {
		f.Close()
		return nil, diskError(err)
	}
	if err := a.check(compartment); err != nil { // it may have been shredded meanwhile
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}

func (a *Artifacts) head(elem ...string) string {
	return filepath.Join(append([]string{a.heads}, elem...)...)
}

func (a *Artifacts) body(elem ...string) string {
	return filepath.Join(append([]string{a.bodies}, elem...)...)
}

func (a *Artifacts) headOf(compartment string, id proofhouse.Digest) string {
	return a.head(compartment, id.Hex()+headSuffix)
}

func (a *Artifacts) bodyOf(compartment string, id proofhouse.Digest) string {
	return a.body(compartment, id.Hex()+bodySuffix)
}
