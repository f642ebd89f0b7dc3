package ledger

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
)

// entryDomain keeps a commitment from being the hash of anything else.
const entryDomain = "proofhouse entry, format 1\n"

// Entry is one accepted event of a stream: a case, or the register of people
// and keys ("house"). It commits in the transaction of the state that it changes.
type Entry struct {
	Stream string // the case's id, or "house"
	Seq    int64  // its place in the stream, from 1, without a gap
	Body   []byte // what happened, as the part that owns it spells it: canonical JSON
	// Salt is 32 random bytes, made for this entry and never shown before it
	// is: without them a body that can be guessed could be tried against the log.
	Salt [32]byte
}

// Commitment is what the public log holds of e, and all that it holds: the
// SHA-256 of the domain, the salt, the stream with its length before it, the
// seq and the body, numbers as eight big-endian bytes. It says neither what
// happened nor in which case.
func (e Entry) Commitment() [32]byte {
	b := make([]byte, 0, len(entryDomain)+len(e.Salt)+8+len(e.Stream)+8+len(e.Body))
	b = append(b, entryDomain...)
	b = append(b, e.Salt[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(len(e.Stream)))
	b = append(b, e.Stream...)
	b = binary.BigEndian.AppendUint64(b, uint64(e.Seq))
	b = append(b, e.Body...)
	return sha256.Sum256(b)
}

// Waiting is an entry that is accepted and not yet in the public log.
type Waiting struct {
	Stream     string
	Seq        int64
	Commitment [32]byte
}

// Placed is where in the public log an entry's commitment stands.
type Placed struct {
	Stream string
	Seq    int64
	Index  uint64 // of the leaf, from 0
}

// Outbox holds the entries that are accepted and says which of them the public
// log has. The store keeps it in the tables of the entries themselves, so that
// nothing is accepted without waiting here. One sequencer reads it at a time.
type Outbox interface {
	// Waiting gives at most limit entries without a place, oldest first. It may
	// repeat, and gives the same until Place. Entries of one stream come in the
	// order of their seq.
	Waiting(ctx context.Context, limit int) ([]Waiting, error)
	// Place records places, all or none, durably on return. To record the same
	// place again changes nothing; an entry that is not there is
	// proofhouse.NotFound, one that has another place already, or a place that
	// another entry has, is proofhouse.Integrity.
	Place(ctx context.Context, placed []Placed) error
	// Placed is how many leaves of the log are accounted for: every leaf below
	// size is recorded, and none at size or above. It is 0 before the first Place.
	Placed(ctx context.Context) (size uint64, err error)
}

// NewSalt is a fresh salt.
func NewSalt() [32]byte {
	var salt [32]byte
	_, _ = rand.Read(salt[:]) // never fails
	return salt
}
