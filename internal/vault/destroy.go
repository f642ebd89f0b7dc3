package vault

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"proofhouse/internal/proofhouse"
)

// CertificateType names the predicate of a certificate's statement;
// docs/design/vault.md says what it holds.
const CertificateType = "urn:proofhouse:predicate:destruction:v1"

// Order is the decision to destroy artifacts. Whether the two may decide so
// is for others to check; that they are two is checked here.
type Order struct {
	Approvals [2]Approval `json:"approvals"`
	At        time.Time   `json:"at"` // of the destruction; custody is judged by it
}

// Approval is one person's part in an order.
type Approval struct {
	Actor proofhouse.Actor `json:"actor"`
	At    time.Time        `json:"at"`
}

// Certificate says what was destroyed, and by whose approval, without a name
// of any of it. It is the predicate of a statement for others to sign.
type Certificate struct {
	Order
	Whole     bool   `json:"whole"` // a compartment, in which nothing can be sealed again
	Count     int    `json:"count"`
	Bytes     int64  `json:"bytes"`     // of the sealed bodies together
	Destroyed []Held `json:"destroyed"` // by digest
}

// Subject is the digest that stands for all that was destroyed: of the
// digests of the sealed bodies, a line each, in order.
func (c Certificate) Subject() proofhouse.Digest {
	var b strings.Builder
	for _, h := range c.Destroyed {
		b.WriteString(string(h.ID) + "\n")
	}
	return proofhouse.DigestOf([]byte(b.String()))
}

// Destroy ends artifacts of a compartment for good: on return none of them
// opens any more, from whatever copy of the bodies. One that custody keeps is
// proofhouse.Refused, one that is not there proofhouse.NotFound, and then
// nothing is destroyed.
//
// The order is durable before anything goes, so a destruction that was cut
// short is carried on by whoever seals or destroys next, and Certificates has it then.
func (a *Artifacts) Destroy(compartment string, ids []proofhouse.Digest, custody Custody, order Order) (Certificate, error) {
	if len(ids) == 0 {
		return Certificate{}, proofhouse.Errorf(proofhouse.Invalid, nil, "say which artifacts are to be destroyed")
	}
	held, done, err := a.alone(compartment)
	if err != nil {
		return Certificate{}, err
	}
	defer done()
	for _, id := range ids {
		if !slices.ContainsFunc(held, func(h Held) bool { return h.ID == id }) {
			return Certificate{}, proofhouse.Errorf(proofhouse.NotFound, nil, "artifact %s is not here: nothing was destroyed", id.Short())
		}
	}
	held = slices.DeleteFunc(held, func(h Held) bool { return !slices.Contains(ids, h.ID) })
	return a.destroy(compartment, proofhouse.Token(10)+orderSuffix, Certificate{Order: order, Destroyed: held}, custody)
}

// Shred ends a whole compartment for good, as Destroy ends artifacts; nothing
// can be sealed in it afterwards, or in another of its name. Of one that was
// shredded it gives the certificate.
func (a *Artifacts) Shred(compartment string, custody Custody, order Order) (Certificate, error) {
	if err := checkName(compartment); err != nil {
		return Certificate{}, err
	}
	if mark := a.head(compartment, shreddedName); there(mark) {
		if err := a.carryOut(mark); err != nil {
			return Certificate{}, err
		}
		return readOrder(mark)
	}
	held, done, err := a.alone(compartment)
	if err != nil {
		return Certificate{}, err
	}
	defer done()
	return a.destroy(compartment, shreddedName, Certificate{Order: order, Whole: true, Destroyed: held}, custody)
}

// alone is what a compartment holds, and nothing comes to it or goes until done is called.
func (a *Artifacts) alone(compartment string) (held []Held, done func(), err error) {
	if err := a.check(compartment); err != nil {
		return nil, nil, err
	}
	if err := a.enter(); err != nil {
		return nil, nil, err
	}
	if done, err = a.still(compartment, true); err != nil {
		return nil, nil, err
	}
	err = a.carryOn()
	if err == nil {
		held, err = a.List(compartment)
	}
	if err != nil {
		done()
		return nil, nil, err
	}
	return held, done, nil
}

func there(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}

func (a *Artifacts) destroy(compartment, name string, c Certificate, custody Custody) (Certificate, error) {
	if err := c.check(); err != nil {
		return Certificate{}, err
	}
	for _, h := range c.Destroyed {
		if custody.Standing(h.ID, c.At) == MustKeep {
			why := "its term says so, or it has none"
			if holds := custody.Holding(h.ID); len(holds) > 0 {
				why = "a hold keeps it"
			}
			return Certificate{}, proofhouse.Errorf(proofhouse.Refused, nil, "artifact %s must be kept: %s; nothing was destroyed", h.ID.Short(), why)
		}
		c.Count, c.Bytes = c.Count+1, c.Bytes+h.Bytes
	}
	b, err := json.Marshal(c)
	if err != nil {
		return Certificate{}, err
	}
	// A rename, so that an order is whole or not there.
	path := a.head(compartment, name)
	if err := writeFile(path+newSuffix, b); err != nil {
		return Certificate{}, diskError(errors.Join(err, remove(path+newSuffix)))
	}
	if err := errors.Join(os.Rename(path+newSuffix, path), syncDir(a.head(compartment))); err != nil {
		return Certificate{}, diskError(err)
	}
	return c, a.carryOut(path)
}

func (o Order) check() error {
	for _, p := range o.Approvals {
		if p.Actor.Organisation == "" || p.Actor.Person == "" || p.At.IsZero() || p.At.After(o.At) {
			return proofhouse.Errorf(proofhouse.Invalid, nil, "an order to destroy says who approved it and when, before it is carried out")
		}
	}
	x, y := o.Approvals[0].Actor, o.Approvals[1].Actor
	if x.Organisation == y.Organisation && x.Person == y.Person {
		return proofhouse.Errorf(proofhouse.Refused, nil, "the same person approved twice: to destroy takes two")
	}
	return nil
}

// carryOut does what the order in a file says. It may be called again.
func (a *Artifacts) carryOut(path string) error {
	c, err := readOrder(path)
	if err != nil {
		return err
	}
	compartment := filepath.Base(filepath.Dir(path))
	// What opens goes first, here and durably; then the noise.
	if c.Whole {
		err = errors.Join(overwrite(a.head(compartment, keyName)), syncDir(a.head(compartment)))
	}
	for _, h := range c.Destroyed {
		err = errors.Join(err, overwrite(a.headOf(compartment, h.ID)))
	}
	if err := errors.Join(err, syncDir(a.head(compartment))); err != nil {
		return diskError(err)
	}
	for _, h := range c.Destroyed {
		err = errors.Join(err, remove(a.bodyOf(compartment, h.ID)))
	}
	if err != nil {
		return diskError(err)
	}
	if !c.Whole {
		renamed := os.Rename(path, strings.TrimSuffix(path, orderSuffix)+doneSuffix)
		if errors.Is(renamed, fs.ErrNotExist) {
			renamed = nil // another process was faster
		}
		return diskError(errors.Join(renamed, syncDir(a.head(compartment))))
	}
	// The recipient goes last and says that all went.
	if err := errors.Join(removeAll(a.body(compartment)), remove(a.head(compartment, custodiansName))); err != nil {
		return diskError(err)
	}
	return diskError(errors.Join(syncDir(a.head(compartment)), remove(a.head(compartment, recipientName)), syncDir(a.head(compartment))))
}

// removeAll removes a folder into which a sealing that began before may still be writing: it is emptied again then. Nothing begins any more.
func removeAll(dir string) error {
	for range 100 {
		if err := os.RemoveAll(dir); !errors.Is(err, syscall.ENOTEMPTY) {
			return err
		}
	}
	return os.RemoveAll(dir)
}

// carryOn carries to their end all destructions that were cut short.
func (a *Artifacts) carryOn() error {
	orders, err := filepath.Glob(a.head("*", "*"+orderSuffix))
	if err != nil {
		return err
	}
	marks, err := filepath.Glob(a.head("*", shreddedName))
	for _, mark := range marks {
		if there(filepath.Join(filepath.Dir(mark), recipientName)) {
			orders = append(orders, mark)
		}
	}
	for _, path := range orders {
		err = errors.Join(err, a.carryOut(path))
	}
	return err
}

func readOrder(path string) (Certificate, error) {
	var c Certificate
	b, err := os.ReadFile(path)
	if err != nil {
		return c, diskError(err)
	}
	if err := json.Unmarshal(b, &c); err != nil {
		return c, proofhouse.Errorf(proofhouse.Integrity, err, "the record of a destruction is damaged")
	}
	return c, nil
}

// Certificates are those of all destructions in a compartment that came to
// their end, the compartment's own last.
func (a *Artifacts) Certificates(compartment string) ([]Certificate, error) {
	if err := checkName(compartment); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(a.head(compartment))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, proofhouse.Errorf(proofhouse.NotFound, err, "there is no such compartment")
	}
	if err != nil {
		return nil, diskError(err)
	}
	all := []Certificate{}
	for _, e := range entries {
		done := strings.HasSuffix(e.Name(), doneSuffix)
		if e.Name() == shreddedName {
			done = !there(a.head(compartment, recipientName))
		}
		if !done {
			continue
		}
		c, err := readOrder(a.head(compartment, e.Name()))
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	slices.SortStableFunc(all, func(x, y Certificate) int {
		if x.Whole != y.Whole {
			if x.Whole {
				return 1
			}
			return -1
		}
		return x.At.Compare(y.At)
	})
	return all, nil
}
