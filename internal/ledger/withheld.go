package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"

	"proofhouse/internal/proofhouse"
)

// Withheld is an entry that a bundle for somebody who may see less does not
// open: that it is there, and where in the log.
type Withheld struct {
	Stream     string
	Seq        int64
	Index      uint64
	Commitment [32]byte
}

// withheldLine stands where the entry would.
type withheldLine struct {
	Stream     string   `json:"stream"`
	Seq        int64    `json:"seq"`
	Index      uint64   `json:"index"`
	Commitment string   `json:"commitment"` // hex
	Proof      [][]byte `json:"proof"`
}

// ListDigest is the digest of a stream's commitments in the order of seq: the
// SHA-256 of the domain, the stream with its length before it, how many they
// are and each, numbers as eight big-endian bytes. A commitment does not tell
// of which entry it is. Who signs the digest says which is whose, and how many
// there were.
func ListDigest(stream string, commitments [][32]byte) proofhouse.Digest {
	h := sha256.New()
	h.Write([]byte("proofhouse entries, format 1\n"))
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(stream))))
	h.Write([]byte(stream))
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(commitments))))
	for _, c := range commitments {
		h.Write(c[:])
	}
	return proofhouse.Digest("sha256:" + hex.EncodeToString(h.Sum(nil)))
}

// withhold is the line of an entry that is not opened.
func (b *bundleWriter) withhold(e LoggedEntry, p Proof) {
	c := e.Commitment()
	b.put(kindWithheld, withheldLine{e.Stream, e.Seq, e.Index, hex.EncodeToString(c[:]), p.raw()})
}

func (v *bundleReader) withheld(value []byte) (*Part, error) {
	var l withheldLine
	if err := v.decode(value, &l); err != nil {
		return nil, err
	}
	if v.report.For == "" {
		return nil, v.broken(nil, "withholds an entry, and the bundle does not say for whom")
	}
	raw, err := hex.DecodeString(l.Commitment)
	if err != nil || len(raw) != 32 || hex.EncodeToString(raw) != l.Commitment {
		return nil, v.broken(err, "holds a commitment that is none")
	}
	w := Withheld{l.Stream, l.Seq, l.Index, [32]byte(raw)}
	if err := v.placed(w, l.Proof); err != nil {
		return nil, err
	}
	v.report.Withheld++
	return &Part{Withheld: &w}, nil
}

// placed checks the order and the place in the log of an entry, opened or not, and counts it.
func (v *bundleReader) placed(w Withheld, proof [][]byte) error {
	if err := v.order.next(w.Stream, w.Seq); err != nil {
		return v.broken(err, "holds entry %d of %s, which is not due: one was taken out, doubled or moved", w.Seq, printable(w.Stream))
	}
	p, ok := newProof(proof)
	if !ok {
		return v.broken(nil, "has a proof that is none")
	}
	if err := v.cp.Includes(w.Index, w.Commitment, p); err != nil {
		return v.broken(err, "holds entry %d of %s, and the log does not: it was changed, or is made up", w.Seq, w.Stream)
	}
	for _, r := range v.receipts {
		if r.Stream != w.Stream || r.Seq != w.Seq {
			continue
		}
		if r.Commitment != w.Commitment || r.Index != w.Index {
			return v.broken(nil, "holds another entry %d of %s than the one that there is a receipt for: it was replaced", w.Seq, w.Stream)
		}
		v.kept[receiptName(r)] = true
	}
	if w.Stream == v.report.Stream {
		v.report.Entries = w.Seq
	} else {
		v.report.Others++
	}
	return nil
}
