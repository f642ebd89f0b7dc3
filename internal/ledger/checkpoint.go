package ledger

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"proofhouse/internal/proofhouse"
)

// maxNote bounds a signed checkpoint, in bytes: the text and a hundred cosignatures.
const maxNote = 64 << 10

// Checkpoint is what a log signed of itself at one size (c2sp.org/tlog-checkpoint).
type Checkpoint struct {
	Origin string
	Size   uint64   // leaves
	Root   [32]byte // of the Merkle tree over them (RFC 6962)
	Note   []byte   // the text and the signatures that were checked, and no others
	Seen   []Cosignature
}

// Cosignature is a witness's word that this checkpoint goes on from every one
// that it cosigned before.
type Cosignature struct {
	Witness VerifierKey
	At      time.Time // by the witness's clock, to the second
}

// checkpointText is what the log signs.
func checkpointText(origin string, size uint64, root [32]byte) string {
	return fmt.Sprintf("%s\n%d\n%s\n", origin, size, base64.StdEncoding.EncodeToString(root[:]))
}

// ParseCheckpoint reads a signed checkpoint and checks the log's signature and
// those of the witnesses. Signatures by other keys are left out of the result;
// one by a key that was given and that does not fit is proofhouse.Integrity,
// as is a missing signature of the log, another origin, and any text that is not
// just origin, size and root.
func ParseCheckpoint(signed []byte, log VerifierKey, witnesses ...VerifierKey) (Checkpoint, error) {
	bad := func(cause error) (Checkpoint, error) {
		return Checkpoint{}, proofhouse.Errorf(proofhouse.Integrity, cause, "this is not a checkpoint that the log %s signed", log.Name())
	}
	if len(signed) > maxNote {
		return bad(errors.New("too long"))
	}
	known := []note.Verifier{verifier{log}}
	for _, w := range witnesses {
		if !w.IsWitness() {
			return bad(fmt.Errorf("%s is not a witness's key", w))
		}
		known = append(known, verifier{w})
	}
	n, err := note.Open(signed, note.VerifierList(known...))
	if err != nil {
		return bad(err)
	}
	cp, err := ParseCheckpointText([]byte(n.Text))
	if err != nil {
		return bad(err)
	}
	if cp.Origin != log.Name() {
		return bad(fmt.Errorf("its origin is %q", cp.Origin))
	}
	byLog := false
	for _, s := range n.Sigs {
		for i, v := range known {
			switch {
			case s.Name != v.Name() || s.Hash != v.KeyHash():
			case i == 0:
				byLog = true
			default:
				raw, err := base64.StdEncoding.DecodeString(s.Base64)
				if err != nil || len(raw) < 12 {
					return bad(err)
				}
				at := binary.BigEndian.Uint64(raw[4:])
				if at > math.MaxInt32*100 { // the year 8700, so that it can be written down
					return bad(errors.New("a cosignature's time"))
				}
				cp.Seen = append(cp.Seen, Cosignature{witnesses[i-1], time.Unix(int64(at), 0).UTC()})
			}
		}
	}
	if !byLog {
		return bad(errors.New("the log's own signature is missing"))
	}
	n.UnverifiedSigs = nil
	cp.Note, err = note.Sign(n) // adds none; writes those that were checked
	if err != nil {
		return bad(err)
	}
	return cp, nil
}

// ParseCheckpointText reads what a checkpoint's signatures are of, and checks none.
func ParseCheckpointText(text []byte) (Checkpoint, error) {
	lines := strings.SplitN(string(text), "\n", 4)
	if len(lines) != 4 {
		return Checkpoint{}, errors.New("too few lines")
	}
	cp := Checkpoint{Origin: lines[0]}
	if _, err := fmt.Sscanf(lines[1], "%d", &cp.Size); err != nil {
		return Checkpoint{}, fmt.Errorf("reading the size: %w", err)
	}
	if cp.Size > math.MaxInt64 {
		return Checkpoint{}, errors.New("the size is too large")
	}
	root, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil || len(root) != len(cp.Root) {
		return Checkpoint{}, errors.New("the root is not a hash")
	}
	cp.Root = [32]byte(root)
	if checkpointText(cp.Origin, cp.Size, cp.Root) != string(text) {
		return Checkpoint{}, errors.New("it is not spelled as a checkpoint is")
	}
	return cp, nil
}

// Proof is the audit path of RFC 6962: hashes, the lowest first.
type Proof [][32]byte

func (p Proof) hashes() []tlog.Hash {
	out := make([]tlog.Hash, len(p))
	for i, h := range p {
		out[i] = h
	}
	return out
}

// NewProof is a proof of hashes as x/mod has them.
func NewProof(hashes []tlog.Hash) Proof {
	p := make(Proof, len(hashes))
	for i, h := range hashes {
		p[i] = h
	}
	return p
}

// Includes checks that the leaf at index is the commitment, in the tree that
// cp signed. A proof that does not show it is proofhouse.Integrity.
func (cp Checkpoint) Includes(index uint64, commitment [32]byte, p Proof) error {
	err := errors.New("the index is outside the tree")
	if index < cp.Size {
		err = tlog.CheckRecord(p.hashes(), int64(cp.Size), cp.Root, int64(index), tlog.RecordHash(commitment[:]))
	}
	if err != nil {
		return proofhouse.Errorf(proofhouse.Integrity, err, "the proof does not show leaf %d in the tree of %d leaves that the log signed", index, cp.Size)
	}
	return nil
}

// Extends checks that cp's tree begins with all the leaves of older's. One
// that does not is a fork, proofhouse.Integrity: of the same size with another
// root, or with a proof that does not lead from one root to the other. A cp
// smaller than older is proofhouse.Invalid: ask the other way round.
func (cp Checkpoint) Extends(older Checkpoint, p Proof) error {
	switch {
	case cp.Origin != older.Origin:
		return proofhouse.Errorf(proofhouse.Invalid, nil, "the checkpoints are of two logs, %s and %s", older.Origin, cp.Origin)
	case cp.Size < older.Size:
		return proofhouse.Errorf(proofhouse.Invalid, nil, "the checkpoint of %d leaves is the newer one", older.Size)
	case cp.Size == older.Size && cp.Root != older.Root:
		return proofhouse.Errorf(proofhouse.Integrity, nil, "the log was forked: it signed two trees of %d leaves", cp.Size)
	case cp.Size == older.Size, older.Size == 0:
		if len(p) > 0 {
			return proofhouse.Errorf(proofhouse.Integrity, nil, "the proof from %d to %d leaves is not empty", older.Size, cp.Size)
		}
		return nil
	}
	if err := tlog.CheckTree(p.hashes(), int64(cp.Size), cp.Root, int64(older.Size), older.Root); err != nil {
		return proofhouse.Errorf(proofhouse.Integrity, err, "the log was forked: the tree of %d leaves does not go on from the one of %d", cp.Size, older.Size)
	}
	return nil
}
