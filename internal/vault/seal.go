package vault

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"

	"filippo.io/age"

	"proofhouse/internal/proofhouse"
)

// A head is two lines and then the header of an age file, whose rest is the
// body:
//
//	proofhouse sealed, format 1
//	body <16 letters and digits>
//	age-encryption.org/v1
//	…
//
// The sealed text begins with the line "compartment/name" of the artifact, so
// that none is found in another's place.
const (
	headMagic = "proofhouse sealed, format 1\n"
	bodyField = "body "
	headMax   = 64 << 10 // bytes
	nonceSize = 16       // of an age file, between header and sealed bytes
)

// bodyLength is the length of a body's token: 10 random bytes.
const bodyLength = 16

func formatHead(body string, header []byte) []byte {
	return append([]byte(headMagic+bodyField+body+"\n"), header...)
}

// parseHead takes a head apart: where the body lies, and the age header.
func parseHead(b []byte) (body string, header []byte, ok bool) {
	rest, ok := bytes.CutPrefix(b, []byte(headMagic+bodyField))
	if !ok || len(b) > headMax {
		return "", nil, false
	}
	line, header, ok := bytes.Cut(rest, []byte("\n"))
	if !ok || len(line) != bodyLength {
		return "", nil, false
	}
	for _, c := range line {
		if (c < 'a' || c > 'z') && (c < '2' || c > '7') {
			return "", nil, false
		}
	}
	return string(line), header, true
}

// Sealing is an artifact that is being sealed. What is written to it is
// encrypted in pieces of 64 KiB, so memory does not grow with it. It belongs
// to one goroutine, which ends it with Commit or Abort.
type Sealing struct {
	vault             *Vault
	compartment, name string
	token             string
	head              []byte
	body              *os.File
	seal              io.WriteCloser
	err               error // the first failure
}

// Seal begins to seal an artifact. Nobody sees it before Commit, and none is
// left of it if the process dies before. The house's key is not needed.
func (v *Vault) Seal(compartment, name string) (*Sealing, error) {
	if err := errors.Join(checkName(name), v.check(compartment)); err != nil {
		return nil, err
	}
	if err := v.enter(); err != nil {
		return nil, err
	}
	to, err := v.recipient(compartment)
	if err != nil {
		return nil, err
	}
	s := &Sealing{vault: v, compartment: compartment, name: name, token: proofhouse.Token(10)}
	s.body, err = os.OpenFile(s.bodyPath()+newSuffix, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, diskError(err)
	}
	// age writes its header and the nonce at once; the header goes elsewhere.
	out := &detached{to: s.body}
	s.seal, err = age.Encrypt(out, to)
	if err == nil {
		s.head = formatHead(s.token, out.first[:len(out.first)-nonceSize])
		_, err = s.body.Write(out.first[len(out.first)-nonceSize:])
		out.first, out.through = nil, true
	}
	if err == nil {
		_, err = io.WriteString(s.seal, s.label())
	}
	if err != nil {
		s.Abort()
		return nil, diskError(err)
	}
	return s, nil
}

// detached keeps what is written until through is set.
type detached struct {
	to      io.Writer
	first   []byte
	through bool
}

func (d *detached) Write(b []byte) (int, error) {
	if d.through {
		return d.to.Write(b)
	}
	d.first = append(d.first, b...)
	return len(b), nil
}

func (s *Sealing) bodyPath() string { return s.vault.path(s.compartment, s.token+bodySuffix) }
func (s *Sealing) headPath() string { return s.vault.path(s.compartment, s.name+headSuffix) }
func (s *Sealing) label() string    { return s.compartment + "/" + s.name + "\n" }

// Write seals b. After an error nothing more is taken.
func (s *Sealing) Write(b []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.seal.Write(b)
	s.err = diskError(err)
	return n, s.err
}

// Commit makes the artifact durable, and only then gives it its name. One of
// that name is replaced, and gone for good. After an error there is nothing
// of it, and the former one is as it was.
func (s *Sealing) Commit() error {
	if err := s.commit(); err != nil {
		s.err = err
		s.Abort()
		return err
	}
	return nil
}

func (s *Sealing) commit() error {
	if s.err != nil {
		return s.err
	}
	if err := errors.Join(s.seal.Close(), s.body.Sync(), s.body.Close()); err != nil {
		return diskError(err)
	}
	former, _ := os.ReadFile(s.headPath())
	headNew := s.vault.path(s.compartment, s.token+headSuffix+newSuffix)
	defer os.Remove(headNew)
	if err := writeFile(headNew, s.head); err != nil {
		return diskError(err)
	}
	// The body first: a head whose body is not there yet would be a promise.
	if err := os.Rename(s.bodyPath()+newSuffix, s.bodyPath()); err != nil {
		return diskError(err)
	}
	if err := os.Rename(headNew, s.headPath()); err != nil {
		return diskError(errors.Join(err, os.Remove(s.bodyPath())))
	}
	if err := syncDir(s.vault.path(s.compartment)); err != nil {
		return diskError(err)
	}
	if body, _, ok := parseHead(former); ok {
		_ = os.Remove(s.vault.path(s.compartment, body+bodySuffix)) // of no use without its head
	}
	// A shredding by somebody else meanwhile has passed over this one.
	if err := s.vault.check(s.compartment); err != nil {
		return errors.Join(err, remove(s.headPath()), remove(s.bodyPath()))
	}
	return nil
}

// Abort leaves nothing of the artifact. After Commit it does nothing.
func (s *Sealing) Abort() {
	s.body.Close()
	os.Remove(s.bodyPath() + newSuffix)
	if s.err == nil {
		s.err = proofhouse.Errorf(proofhouse.Internal, nil, "the sealing is over")
	}
}

// Open opens an artifact with the house's key. What is read was sealed, in
// that order; that it is whole shows at its end, where it is io.EOF and
// otherwise proofhouse.Integrity.
func (v *Vault) Open(compartment, name string) (io.ReadCloser, error) {
	if err := errors.Join(checkName(name), v.check(compartment)); err != nil {
		return nil, err
	}
	head, err := os.ReadFile(v.path(compartment, name+headSuffix))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, proofhouse.Errorf(proofhouse.NotFound, err, "nothing of that name is sealed there")
	}
	if err != nil {
		return nil, diskError(err)
	}
	token, header, ok := parseHead(head)
	if !ok {
		return nil, changed(errors.New("the head cannot be read"))
	}
	identity, err := v.identity(compartment)
	if err != nil {
		return nil, err
	}
	body, err := os.Open(v.path(compartment, token+bodySuffix))
	if err != nil {
		return nil, changed(err)
	}
	o, err := open(header, body, identity, compartment+"/"+name+"\n")
	if err != nil {
		body.Close()
		return nil, err
	}
	return o, nil
}

func open(header []byte, body io.ReadCloser, identity age.Identity, label string) (*opened, error) {
	r, err := age.Decrypt(io.MultiReader(bytes.NewReader(header), body), identity)
	if err != nil {
		return nil, changed(err)
	}
	o := &opened{body: body, r: bufio.NewReader(r)}
	got := make([]byte, len(label))
	if _, err := io.ReadFull(o.r, got); err != nil {
		return nil, changed(err)
	}
	if string(got) != label {
		return nil, changed(errors.New("it was sealed under another name"))
	}
	return o, nil
}

// opened reads an artifact.
type opened struct {
	r    *bufio.Reader
	body io.Closer
}

func (o *opened) Read(b []byte) (int, error) {
	n, err := o.r.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		err = changed(err)
	}
	return n, err
}

func (o *opened) Close() error { return o.body.Close() }

func changed(cause error) error {
	return proofhouse.Errorf(proofhouse.Integrity, cause, "what was sealed was changed or cut short")
}

// Secret is text that prints as nothing but the word: a key that is formatted
// or marshalled by mistake stays inside.
type Secret string

const hidden = "(secret)"

func (Secret) String() string               { return hidden }
func (Secret) GoString() string             { return hidden }
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }
