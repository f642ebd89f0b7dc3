package ledger

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"proofhouse/internal/proofhouse"
)

const (
	receiptHead = "c2sp.org/tlog-proof@v1"
	maxReceipt  = maxNote + 8<<10 // bytes
)

// Receipt shows that an entry was accepted: its commitment stands in the
// public log, in a tree that the log signed. It says neither what happened nor
// anything else of the case. Whoever holds one can hold it against a later
// bundle, which then cannot lack the entry or have another in its place.
type Receipt struct {
	Stream     string
	Seq        int64
	Commitment [32]byte
	Index      uint64
	// Sig is the log's key's over all of these. The commitment alone does not tell
	// of which entry it is, so that anybody could make up a receipt.
	Sig        []byte
	Proof      Proof
	Checkpoint Checkpoint
}

// signed is what Sig is of. No note begins with it, since no origin has a space.
func (r Receipt) signed() []byte {
	b := binary.BigEndian.AppendUint64([]byte("proofhouse receipt, format 1\n"), uint64(len(r.Stream)))
	b = binary.BigEndian.AppendUint64(append(b, r.Stream...), uint64(r.Seq))
	return binary.BigEndian.AppendUint64(append(b, r.Commitment[:]...), r.Index)
}

// TakeReceipt waits until a checkpoint covers the entry, whose place is index,
// and gives the receipt, signed by key, the log's. Errors are those of the log.
func TakeReceipt(ctx context.Context, log PublicLog, key *Key, e Waiting, index uint64) (Receipt, error) {
	if err := checkLogKey(log, key); err != nil {
		return Receipt{}, err
	}
	cp, err := log.Checkpoint(ctx, index+1)
	if err != nil {
		return Receipt{}, err
	}
	p, err := log.Include(ctx, index, cp)
	if err != nil {
		return Receipt{}, err
	}
	r := Receipt{Stream: e.Stream, Seq: e.Seq, Commitment: e.Commitment, Index: index, Proof: p, Checkpoint: cp}
	if r.Sig, err = key.Sign(ctx, r.signed()); err != nil {
		return Receipt{}, fmt.Errorf("signing a receipt: %w", err)
	}
	return r, cp.Includes(index, e.Commitment, p)
}

// checkLogKey says whether key is the one that signs log's checkpoints.
func checkLogKey(log PublicLog, key *Key) error {
	if !key.PublicKey().public.Equal(log.Key().key) {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "receipts and bundles are signed with the key of their log, and this is another")
	}
	return nil
}

// receiptExtra is what the format leaves to us.
type receiptExtra struct {
	Stream     string `json:"stream"`
	Seq        int64  `json:"seq"`
	Commitment string `json:"commitment"` // hex
	Sig        []byte `json:"sig"`
}

// Encode is the receipt as a file: c2sp.org/tlog-proof, with stream, seq,
// commitment and signature as the extra data.
func (r Receipt) Encode() ([]byte, error) {
	if err := checkWord("stream", r.Stream); err != nil {
		return nil, err
	}
	extra, err := encode(receiptExtra{r.Stream, r.Seq, hex.EncodeToString(r.Commitment[:]), r.Sig})
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\nextra %s\nindex %d\n", receiptHead, base64.StdEncoding.EncodeToString(extra), r.Index)
	for _, h := range r.Proof {
		fmt.Fprintf(&b, "%s\n", base64.StdEncoding.EncodeToString(h[:]))
	}
	fmt.Fprintf(&b, "\n%s", r.Checkpoint.Note)
	return b.Bytes(), nil
}

// ParseReceipt reads Encode's text and no other, and checks the signature of
// the log, those of the witnesses, and that the tree has the commitment.
// Anything else is proofhouse.Integrity.
func ParseReceipt(b []byte, log VerifierKey, witnesses ...VerifierKey) (Receipt, error) {
	bad := func(cause error) (Receipt, error) {
		return Receipt{}, proofhouse.Errorf(proofhouse.Integrity, cause, "this is not a receipt of the log %s, or it was changed", log.Name())
	}
	if len(b) > maxReceipt {
		return bad(errors.New("too long"))
	}
	head, signed, ok := strings.Cut(string(b), "\n\n")
	lines := strings.Split(head, "\n")
	if !ok || len(lines) < 3 || len(lines) > 3+63 || lines[0] != receiptHead {
		return bad(errors.New("its head"))
	}
	raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(lines[1], "extra "))
	if err != nil {
		return bad(err)
	}
	var extra receiptExtra
	if err := json.Unmarshal(raw, &extra); err != nil {
		return bad(err)
	}
	r := Receipt{Stream: extra.Stream, Seq: extra.Seq, Sig: extra.Sig}
	c, err := hex.DecodeString(extra.Commitment)
	if err != nil || len(c) != len(r.Commitment) || r.Seq < 1 {
		return bad(errors.New("its commitment"))
	}
	r.Commitment = [32]byte(c)
	if r.Index, err = strconv.ParseUint(strings.TrimPrefix(lines[2], "index "), 10, 63); err != nil {
		return bad(err)
	}
	for _, l := range lines[3:] {
		h, err := base64.StdEncoding.DecodeString(l)
		if err != nil || len(h) != 32 {
			return bad(errors.New("its proof"))
		}
		r.Proof = append(r.Proof, [32]byte(h))
	}
	if r.Checkpoint, err = ParseCheckpoint([]byte(signed), log, witnesses...); err != nil {
		return bad(err)
	}
	if err := r.Checkpoint.Includes(r.Index, r.Commitment, r.Proof); err != nil {
		return bad(err)
	}
	if !ed25519.Verify(log.key, r.signed(), r.Sig) {
		return bad(errors.New("its signature"))
	}
	// Signatures of witnesses that are not known were left out of the note.
	again := r
	again.Checkpoint.Note = []byte(signed)
	if text, err := again.Encode(); err != nil || !bytes.Equal(text, b) {
		return bad(errors.New("it has another spelling"))
	}
	return r, nil
}

// encode writes v as one line of JSON, without the escapes that are for HTML.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// checkWord says whether a name has one spelling in every JSON.
func checkWord(what, s string) error {
	ok := s != "" && len(s) <= 200
	for _, r := range s {
		ok = ok && r > ' ' && r < 0x7f && r != '"' && r != '\\' && r != '<' && r != '>' && r != '&'
	}
	if !ok {
		return proofhouse.Errorf(proofhouse.Invalid, nil, `the %s must have 1 to 200 printable ASCII characters, without spaces and without any of "\<>&`, what)
	}
	return nil
}
