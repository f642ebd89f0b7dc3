package vault

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"filippo.io/age"

	"proofhouse/internal/proofhouse"
)

// Filing is an artifact that is being sealed, in pieces of 64 KiB, so memory
// does not grow with it. It belongs to one goroutine, which ends it with Commit
// or Abort.
type Filing struct {
	artifacts  *Artifacts
	about      Artifact
	to         *age.HybridRecipient
	custodians []age.Recipient // in the order in which they open
	header     []byte          // of the body
	tmp        string
	file       *os.File
	out        *bufio.Writer
	seal       io.WriteCloser
	sealed     hash.Hash // of the body
	plain      hash.Hash
	finished   bool   // nothing more is written
	done       func() // ends what keeps a shredding away while it is prepared; nil before
	over       bool   // Commit, Leave or Abort was called
	err        error  // the first failure
}

// Seal begins to seal an artifact of that name and media type, which are
// sealed with it. Nobody sees it before Commit, and none is left of it if the
// process dies before. The house's key is not needed.
func (a *Artifacts) Seal(compartment, name, media string) (*Filing, error) {
	if len(name) > maxAbout || len(media) > maxAbout || !utf8.ValidString(name+media) {
		return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "an artifact's name and media type have up to %d bytes of text", maxAbout)
	}
	if err := a.check(compartment); err != nil {
		return nil, err
	}
	if err := a.enter(); err != nil {
		return nil, err
	}
	s := &Filing{artifacts: a, about: Artifact{Compartment: compartment, Name: name, Media: media}, sealed: sha256.New(), plain: sha256.New()}
	public, custodians, err := a.recipients(compartment)
	if err != nil {
		return nil, err
	}
	s.to, s.custodians = public, custodians
	if err := os.MkdirAll(a.body(compartment), 0o700); err != nil {
		return nil, diskError(err)
	}
	s.tmp = a.body(compartment, proofhouse.Token(10)+newSuffix)
	if s.file, err = os.OpenFile(s.tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
		return nil, diskError(err)
	}
	// age writes its header and the nonce at once; the header goes elsewhere.
	s.out = bufio.NewWriterSize(io.MultiWriter(s.file, s.sealed), 256<<10)
	out := &detached{to: s.out}
	if s.seal, err = age.Encrypt(out, s.to); err != nil {
		s.Abort()
		return nil, err
	}
	s.header = out.first[:len(out.first)-nonceSize]
	out.through = true
	if _, err := s.out.Write(out.first[len(out.first)-nonceSize:]); err != nil {
		s.Abort()
		return nil, diskError(err)
	}
	return s, nil
}

// recipients are the compartment's public key and those of its custodians.
func (a *Artifacts) recipients(compartment string) (*age.HybridRecipient, []age.Recipient, error) {
	b, err := os.ReadFile(a.head(compartment, recipientName))
	if err != nil {
		return nil, nil, diskError(err)
	}
	public, err := age.ParseHybridRecipient(strings.TrimSpace(string(b)))
	if err != nil {
		return nil, nil, proofhouse.Errorf(proofhouse.Integrity, err, "the compartment's public key is damaged")
	}
	lines, err := a.custodians(compartment)
	if err != nil {
		return nil, nil, err
	}
	var custodians []age.Recipient
	for _, line := range lines {
		c, err := age.ParseHybridRecipient(line)
		if err != nil {
			return nil, nil, proofhouse.Errorf(proofhouse.Integrity, err, "a custodian's public key is damaged")
		}
		custodians = append(custodians, c)
	}
	return public, custodians, nil
}

// custodians are the public keys of the compartment's custodians, if it has any.
func (a *Artifacts) custodians(compartment string) ([]string, error) {
	b, err := os.ReadFile(a.head(compartment, custodiansName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, diskError(err)
	}
	return strings.Fields(string(b)), nil
}

// Write seals b. After an error nothing more is taken.
func (s *Filing) Write(b []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.seal.Write(b)
	s.plain.Write(b[:n])
	s.about.Bytes += int64(n)
	s.err = diskError(err)
	return n, s.err
}

// Inspect lets do read what was sealed, before it is an artifact and whoever the
// compartment's custodians are: afterwards only they could have it read. It takes
// the house's key. Nothing more can be written.
func (s *Filing) Inspect(do func(r io.ReaderAt, size int64) error) error {
	if err := s.finish(); err != nil {
		return err
	}
	identity, err := s.artifacts.identity(s.about.Compartment)
	if err != nil {
		return err
	}
	f, err := os.Open(s.tmp)
	if err != nil {
		return diskError(err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return diskError(err)
	}
	r, size, err := age.DecryptReaderAt(joined{s.header, f}, int64(len(s.header))+st.Size(), identity)
	if err != nil {
		return changed(err)
	}
	return do(r, size)
}

// finish makes what was written durable, under a name that says nothing.
func (s *Filing) finish() error {
	if s.err != nil || s.finished {
		return s.err
	}
	if err := errors.Join(s.seal.Close(), s.out.Flush(), s.file.Sync(), s.file.Close()); err != nil {
		s.err = diskError(err)
		return s.err
	}
	s.finished = true
	s.about.ID, s.about.Plain = digestOf(s.sealed), digestOf(s.plain)
	return nil
}

// Prepare makes the artifact durable in all but its name, and says what it is:
// Commit cannot fail for want of room then. Between the two its caller records the artifact, and
// if the process dies there, Settle asks whether it was recorded. Until one of Commit and Abort,
// nothing in the compartment is destroyed.
func (s *Filing) Prepare() (Artifact, error) {
	if s.done != nil || s.over {
		return s.about, s.err
	}
	if err := s.prepare(); err != nil {
		s.Abort()
		s.err = err
		return Artifact{}, err
	}
	return s.about, nil
}

func (s *Filing) prepare() error {
	if err := s.finish(); err != nil {
		return err
	}
	head, err := s.head()
	if err != nil {
		return err
	}
	done, err := s.artifacts.still(s.about.Compartment, false)
	if err != nil {
		return err
	}
	s.done = done
	// The head that is being written comes first and says which body may be
	// half done; then the body, since a head whose body is not there yet would be a promise.
	headPath, bodyPath := s.paths()
	err = errors.Join(writeFile(headPath+newSuffix, head), syncDir(filepath.Dir(headPath)))
	if err == nil {
		err = errors.Join(os.Rename(s.tmp, bodyPath), syncDir(filepath.Dir(bodyPath)))
	}
	return diskError(err)
}

func (s *Filing) paths() (head, body string) {
	return s.artifacts.headOf(s.about.Compartment, s.about.ID), s.artifacts.bodyOf(s.about.Compartment, s.about.ID)
}

// Commit makes the artifact durable and says what it is. After an error there
// is nothing of it.
func (s *Filing) Commit() (Artifact, error) {
	if _, err := s.Prepare(); err != nil {
		return Artifact{}, err
	}
	headPath, _ := s.paths()
	if err := errors.Join(os.Rename(headPath+newSuffix, headPath), syncDir(filepath.Dir(headPath))); err != nil {
		err = diskError(errors.Join(err, remove(headPath)))
		s.Abort()
		s.err = err
		return Artifact{}, err
	}
	s.leave()
	return s.about, nil
}

// leave ends it and leaves what there is.
func (s *Filing) leave() {
	if s.done != nil {
		s.done()
	}
	s.over, s.err = true, errFiled
}

// Leave ends a prepared artifact of which nobody can say whether it was recorded: Settle will.
func (s *Filing) Leave() {
	if !s.over && s.done != nil {
		s.leave()
	}
}

var errFiled = proofhouse.Errorf(proofhouse.Internal, nil, "the sealing is over")

func digestOf(h hash.Hash) proofhouse.Digest {
	return proofhouse.Digest("sha256:" + hex.EncodeToString(h.Sum(nil)))
}

// head is what opens the artifact: a line of JSON and the body's age header,
// sealed for the second custodian, that for the first, and that for the
// compartment.
func (s *Filing) head() ([]byte, error) {
	inner, err := json.Marshal(s.about)
	if err != nil {
		return nil, err
	}
	inner = append(append(inner, '\n'), s.header...)
	for _, to := range slices.Backward(append([]age.Recipient{s.to}, s.custodians...)) {
		if inner, err = sealBytes(inner, to); err != nil {
			return nil, err
		}
	}
	return append([]byte(artifactMagic), inner...), nil
}

// Abort leaves nothing of the artifact. After Commit it does nothing.
func (s *Filing) Abort() {
	if s.over {
		return
	}
	s.over = true
	s.file.Close()
	os.Remove(s.tmp)
	if s.done != nil {
		headPath, bodyPath := s.paths()
		// The body first: who finds the head that was being written deletes the body.
		if remove(bodyPath) == nil {
			_ = remove(headPath + newSuffix)
		}
		s.done()
	}
	if s.err == nil {
		s.err = errFiled
	}
}

// Settle makes artifacts of what was prepared by a process that died, if
// recorded says so of the compartment and the ID, and deletes the others. It is called before anything
// else is done with the artifacts; as long as another process works on them it does nothing.
func (a *Artifacts) Settle(recorded func(compartment string, id proofhouse.Digest) (bool, error)) error {
	if !there(a.heads) {
		return nil
	}
	return a.present.enter(a.heads, func() error {
		prepared, _ := filepath.Glob(a.head("*", "*"+headSuffix+newSuffix)) // the pattern is right
		for _, name := range prepared {
			compartment := filepath.Base(filepath.Dir(name))
			id, ok := idOf(filepath.Base(name), headSuffix+newSuffix)
			if !ok || !there(a.bodyOf(compartment, id)) || a.check(compartment) != nil {
				continue // its body never came to its name: it was not prepared
			}
			kept, err := recorded(compartment, id)
			if err != nil {
				return err
			}
			if kept {
				if err := errors.Join(os.Rename(name, a.headOf(compartment, id)), syncDir(filepath.Dir(name))); err != nil {
					return err
				}
			}
		}
		return a.sweep()
	})
}
