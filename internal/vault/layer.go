package vault

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"hash"
	"io"
	"os"
	"slices"
	"strings"

	"filippo.io/age"

	"proofhouse/internal/proofhouse"
)

// Layer is the head of an artifact with some of its layers taken off.
type Layer []byte

// Unwrap takes the compartment's layer off an artifact's head, with the house's key. Where the compartment
// has custodians, what it gives is sealed for the first of them.
func (a *Artifacts) Unwrap(compartment string, id proofhouse.Digest) (Layer, error) {
	if err := a.find(compartment, id); err != nil {
		return nil, err
	}
	head, err := os.ReadFile(a.headOf(compartment, id))
	if err != nil {
		return nil, diskError(err)
	}
	sealed, ok := bytes.CutPrefix(head, []byte(artifactMagic))
	if !ok || len(head) > headMax {
		return nil, changed(errors.New("the head cannot be read"))
	}
	identity, err := a.identity(compartment)
	if err != nil {
		return nil, err
	}
	layer, err := openBytes(sealed, identity)
	if err != nil {
		return nil, changed(err)
	}
	return layer, nil
}

// UnwrapBy takes a custodian's layer off, with the secret key that
// `age-keygen -pq` made; the first custodian's lies round the second's. A key that
// is not the one whose turn it is, is proofhouse.Refused.
func (l Layer) UnwrapBy(key Secret) (Layer, error) {
	identity, err := age.ParseHybridIdentity(strings.TrimSpace(string(key)))
	if err != nil {
		return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "a custodian's secret key is one line that begins with AGE-SECRET-KEY-PQ-1") // the cause would quote it
	}
	if !bytes.HasPrefix(l, []byte("age-encryption.org/")) {
		return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "no custodian is needed here any more")
	}
	inner, err := openBytes(l, identity)
	if _, other := errors.AsType[*age.NoIdentityMatchError](err); other {
		return nil, proofhouse.Errorf(proofhouse.Refused, err, "this key does not open it: the custodians open in the order in which the compartment names them, each with the key of that time; what was sealed for a key that is lost opens no more")
	}
	if err != nil {
		return nil, changed(err)
	}
	return inner, nil
}

// identity opens the compartment's secret key with the house's. It is not
// kept, so that nothing opens after a shredding by another process.
func (a *Artifacts) identity(compartment string) (*age.HybridIdentity, error) {
	house, err := openKey(a.vault.keyFile)
	if err != nil {
		return nil, err
	}
	sealed, err := os.ReadFile(a.head(compartment, keyName))
	if err != nil {
		return nil, proofhouse.Errorf(proofhouse.Integrity, err, "the compartment's key is missing: without it nothing in it opens")
	}
	b, err := openBytes(sealed, house)
	if err != nil {
		return nil, proofhouse.Errorf(proofhouse.Refused, err, "the compartment's key does not open with this house key")
	}
	var custodians []string
	var identity *age.HybridIdentity
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if c, ok := strings.CutPrefix(line, custodianNote); ok {
			custodians = append(custodians, c)
		} else if identity, err = age.ParseHybridIdentity(line); err != nil {
			return nil, proofhouse.Errorf(proofhouse.Integrity, nil, "the compartment's key is damaged") // the cause would quote it
		}
	}
	if identity == nil {
		return nil, proofhouse.Errorf(proofhouse.Integrity, nil, "the compartment's key is damaged")
	}
	public, err := os.ReadFile(a.head(compartment, recipientName))
	now, err2 := a.custodians(compartment)
	if err := errors.Join(err, err2); err != nil || strings.TrimSpace(string(public)) != identity.Recipient().String() || !slices.Equal(now, custodians) {
		return nil, proofhouse.Errorf(proofhouse.Integrity, err, "the compartment's public keys are not those that it was made with: somebody changed them")
	}
	return identity, nil
}

// Opened is an artifact that is open. What ReadAt gives was sealed; Verify
// says that it is whole.
type Opened struct {
	Artifact
	io.ReaderAt
	file   *os.File
	header []byte
	sealed int64        // bytes of the body
	key    age.Identity // of the body alone
}

// Open opens an artifact, of which all layers were taken off, with the house's key.
func (a *Artifacts) Open(compartment string, id proofhouse.Digest, inner Layer) (*Opened, error) {
	if err := a.find(compartment, id); err != nil {
		return nil, err
	}
	if bytes.HasPrefix(inner, []byte("age-encryption.org/")) {
		return nil, proofhouse.Errorf(proofhouse.Refused, nil, "a custodian has not opened it yet: both must, one after the other")
	}
	about, header, err := parseInner(inner)
	if err != nil {
		return nil, changed(err)
	}
	if about.Compartment != compartment || about.ID != id {
		return nil, changed(errors.New("the head is another artifact's"))
	}
	identity, err := a.identity(compartment)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(a.bodyOf(compartment, id))
	if err != nil {
		return nil, changed(err)
	}
	o := &Opened{Artifact: about, file: f, header: header}
	st, err := f.Stat()
	var key []byte
	if err == nil {
		o.sealed = st.Size()
		key, err = age.DecryptHeader(header, identity)
	}
	if err == nil {
		var size int64
		o.key = age.NewInjectedFileKeyIdentity(key)
		o.ReaderAt, size, err = age.DecryptReaderAt(joined{header, f}, int64(len(header))+o.sealed, o.key)
		if err == nil && size != about.Bytes {
			err = errors.New("the body has another length")
		}
	}
	if err != nil {
		f.Close()
		return nil, changed(err)
	}
	return o, nil
}

// parseInner takes the innermost layer apart.
func parseInner(b []byte) (about Artifact, header []byte, err error) {
	line, header, ok := bytes.Cut(b, []byte("\n"))
	if !ok {
		return about, nil, errors.New("the head has no line")
	}
	if err := json.Unmarshal(line, &about); err != nil {
		return about, nil, err
	}
	// One spelling: what is read is what was written.
	if again, err := json.Marshal(about); err != nil || !bytes.Equal(again, line) || about.Bytes < 0 {
		return about, nil, errors.New("the head is spelled otherwise")
	}
	return about, header, nil
}

// joined is an age file whose header was kept elsewhere.
type joined struct {
	header []byte
	body   io.ReaderAt
}

func (j joined) ReadAt(b []byte, at int64) (n int, err error) {
	if at < int64(len(j.header)) {
		if n = copy(b, j.header[at:]); n == len(b) {
			return n, nil
		}
	}
	m, err := j.body.ReadAt(b[n:], at+int64(n)-int64(len(j.header)))
	return n + m, err
}

// Reader reads the artifact from its start, and gives proofhouse.Integrity in
// the place of io.EOF if that is not what was sealed. It is faster than ReadAt.
func (o *Opened) Reader() io.Reader {
	w := &whole{sum: sha256.New(), want: o.Plain}
	w.from, w.err = age.Decrypt(io.MultiReader(bytes.NewReader(o.header), io.NewSectionReader(o.file, 0, o.sealed)), o.key)
	return w
}

// Close ends it.
func (o *Opened) Close() error { return o.file.Close() }

// whole reads to an end that has the right digest.
type whole struct {
	from io.Reader
	err  error // with which it began
	sum  hash.Hash
	want proofhouse.Digest
}

func (w *whole) Read(b []byte) (int, error) {
	if w.err != nil {
		return 0, changed(w.err)
	}
	n, err := w.from.Read(b)
	w.sum.Write(b[:n])
	switch {
	case errors.Is(err, io.EOF) && digestOf(w.sum) != w.want:
		return n, changed(errors.New("it has another digest"))
	case err != nil && !errors.Is(err, io.EOF):
		return n, changed(err)
	}
	return n, err
}
