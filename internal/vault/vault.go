// Package vault keeps sealed artifacts, by compartment. It promises that what
// is sealed was encrypted before it touched a disk, that it opens with the
// house's key only, or with those of two custodians besides, and that nothing in
// a compartment opens once that was shredded. It also says what an archive that
// somebody brought holds, without unpacking it. Who may open what, and when a
// compartment is shredded, is for others to decide.
package vault

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"

	"filippo.io/age"

	"proofhouse/internal/proofhouse"
)

// A vault is a folder, and each compartment a folder in it:
//
//	recipient    the compartment's public key: who has it can seal, and not open
//	key.age      its secret key, sealed for the house's key
//	NAME.head    which body NAME has, and the key of that body, sealed for the compartment
//	TOKEN.body   the sealed bytes, of no use without the head
//	*.new        what is being written
//	shredded     nothing in here opens any more
//
// docs/design/vault.md says how to open one without this program.
const (
	recipientName = "recipient"
	keyName       = "key.age"
	shreddedName  = "shredded"
	headSuffix    = ".head"
	bodySuffix    = ".body"
	newSuffix     = ".new"
	lockName      = ".lock"
)

// Vault is a vault's folder. It is safe for concurrent use, by several
// processes too.
type Vault struct {
	dir, keyFile string

	present presence

	mu         sync.Mutex // guards what follows
	recipients map[string]*age.HybridRecipient
}

// New is the vault in dir, whose compartments open with the house's key in
// keyFile. Neither is touched before it is needed: only what opens something
// or makes a compartment needs the key.
func New(dir, keyFile string) *Vault {
	return &Vault{dir: dir, keyFile: keyFile, recipients: map[string]*age.HybridRecipient{}}
}

// Close lets other processes clear away what this one left unfinished.
func (v *Vault) Close() error { return v.present.leave() }

// Create makes a compartment, durably. One of that name that is there, or was
// shredded, is proofhouse.Conflict. The first compartment of a vault makes the
// house's key too, if there is none.
func (v *Vault) Create(compartment string) error {
	if err := checkName(compartment); err != nil {
		return err
	}
	if err := os.MkdirAll(v.dir, 0o700); err != nil {
		return diskError(err)
	}
	if err := v.enter(); err != nil {
		return err
	}
	house, err := v.houseKey()
	if err != nil {
		return err
	}
	identity, err := age.GenerateHybridIdentity()
	if err != nil {
		return err
	}
	secret, err := sealBytes([]byte(identity.String()+"\n"), house.Recipient())
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(v.dir, ".compartment-*"+newSuffix) // mode 0700
	if err != nil {
		return diskError(err)
	}
	defer os.RemoveAll(tmp)
	err = errors.Join(
		writeFile(filepath.Join(tmp, keyName), secret),
		writeFile(filepath.Join(tmp, recipientName), []byte(identity.Recipient().String()+"\n")),
		syncDir(tmp),
	)
	if err != nil {
		return diskError(err)
	}
	// A rename never replaces a folder that holds something.
	if err := os.Rename(tmp, v.path(compartment)); err != nil {
		if errors.Is(err, fs.ErrExist) || errors.Is(err, syscall.ENOTEMPTY) {
			return proofhouse.Errorf(proofhouse.Conflict, err, "the compartment exists already, or was shredded")
		}
		return diskError(err)
	}
	return diskError(syncDir(v.dir))
}

// houseKey opens the house's key, and makes one for a vault that has no
// compartment yet: a vault whose key is lost must not get another by mistake.
func (v *Vault) houseKey() (*age.HybridIdentity, error) {
	key, err := openKey(v.keyFile)
	if proofhouse.KindOf(err) != proofhouse.NotFound {
		return key, err
	}
	entries, rerr := os.ReadDir(v.dir)
	if rerr != nil {
		return nil, diskError(rerr)
	}
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			return nil, err
		}
	}
	return createKey(v.keyFile)
}

// Has says whether the compartment is there and not shredded.
func (v *Vault) Has(compartment string) bool { return v.check(compartment) == nil }

// Names are what is sealed in a compartment, in order.
func (v *Vault) Names(compartment string) ([]string, error) {
	if err := v.check(compartment); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(v.path(compartment))
	if err != nil {
		return nil, diskError(err)
	}
	var names []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), headSuffix); ok {
			names = append(names, name)
		}
	}
	return names, nil
}

// check says why a compartment cannot be used. A shredding that was cut short
// is carried to its end first.
func (v *Vault) check(compartment string) error {
	if err := checkName(compartment); err != nil {
		return err
	}
	if _, err := os.Lstat(v.path(compartment, shreddedName)); err == nil {
		if _, err := os.Lstat(v.path(compartment, recipientName)); err == nil { // which goes last
			if err := v.Shred(compartment); err != nil {
				return err
			}
		}
		return proofhouse.Errorf(proofhouse.NotFound, nil, "this compartment was shredded: nothing that was sealed in it opens any more")
	}
	if _, err := os.Lstat(v.path(compartment, recipientName)); err != nil {
		return proofhouse.Errorf(proofhouse.NotFound, err, "there is no such compartment")
	}
	return nil
}

// recipient is the compartment's public key.
func (v *Vault) recipient(compartment string) (*age.HybridRecipient, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if r := v.recipients[compartment]; r != nil {
		return r, nil
	}
	b, err := os.ReadFile(v.path(compartment, recipientName))
	if err != nil {
		return nil, diskError(err)
	}
	r, err := age.ParseHybridRecipient(strings.TrimSpace(string(b)))
	if err != nil {
		return nil, proofhouse.Errorf(proofhouse.Integrity, err, "the compartment's public key is damaged")
	}
	v.recipients[compartment] = r
	return r, nil
}

// identity opens the compartment's secret key with the house's. It is not
// kept, so that nothing opens after a shredding by another process.
func (v *Vault) identity(compartment string) (*age.HybridIdentity, error) {
	house, err := openKey(v.keyFile)
	if err != nil {
		return nil, err
	}
	sealed, err := os.ReadFile(v.path(compartment, keyName))
	if err != nil {
		return nil, proofhouse.Errorf(proofhouse.Integrity, err, "the compartment's key is missing")
	}
	b, err := openBytes(sealed, house)
	if err != nil {
		return nil, proofhouse.Errorf(proofhouse.Refused, err, "the compartment's key does not open with this house key")
	}
	identity, err := age.ParseHybridIdentity(strings.TrimSpace(string(b)))
	if err != nil {
		return nil, proofhouse.Errorf(proofhouse.Integrity, nil, "the compartment's key is damaged") // the cause would quote it
	}
	// What was sealed for an exchanged recipient is somebody else's to open.
	public, err := os.ReadFile(v.path(compartment, recipientName))
	if err != nil || strings.TrimSpace(string(public)) != identity.Recipient().String() {
		return nil, proofhouse.Errorf(proofhouse.Integrity, err, "the compartment's public key is not the one that it was made with: somebody changed it")
	}
	return identity, nil
}

// enter takes part in the vault's lock before something is written.
func (v *Vault) enter() error { return v.present.enter(v.dir, v.sweep) }

// sweep deletes what was never finished. The lock says that nobody writes.
func (v *Vault) sweep() error {
	left, err := filepath.Glob(filepath.Join(v.dir, "*", "*"+newSuffix))
	if err != nil {
		return err
	}
	folders, err := filepath.Glob(filepath.Join(v.dir, ".*"+newSuffix))
	for _, name := range append(left, folders...) {
		err = errors.Join(err, os.RemoveAll(name))
	}
	return err
}

func (v *Vault) path(elem ...string) string {
	return filepath.Join(append([]string{v.dir}, elem...)...)
}

var plainName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$`)

func checkName(name string) error {
	if !plainName.MatchString(name) {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "a name in the vault has up to 80 letters, digits, dots, underscores and hyphens, and begins with a letter or digit")
	}
	return nil
}
