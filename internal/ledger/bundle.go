package ledger

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"proofhouse/internal/proofhouse"
)

// A bundle is a text file, one JSON object a line, each ended by one newline
// and with no white space of ours:
//
//	{"line":1,"hash":"<64 hex>","head":{…}}
//
// The third key is the kind of the line. Lines come in the order of kinds, and
// the hash chains them as docs/design/ledger.md says, so that a changed byte is
// found at its line. The last line is a signature of the log's key over all.
const (
	bundleFormat  = "proofhouse bundle, format 1"
	bundleGenesis = bundleFormat + "\n"
	bundleLine    = "proofhouse bundle line, format 1\n"
	bundleSeal    = "proofhouse bundle seal, format 1\n"

	maxBody       = 1 << 20  // of an entry, in bytes
	maxAttachment = 16 << 20 // bytes
	maxBundleLine = 24 << 20 // bytes
	maxKeys       = 1000     // of all roles
)

// The kinds of line, in their order.
const (
	kindHead       = "head"
	kindKey        = "key"
	kindCheckpoint = "checkpoint"
	kindOlder      = "older"
	kindEntry      = "entry"
	kindWithheld   = "withheld" // stands where an entry would
	kindStatement  = "statement"
	kindAttachment = "attachment"
	kindSeal       = "seal"
)

type headLine struct {
	Format string `json:"format"`
	Origin string `json:"origin"`        // of the log
	Stream string `json:"stream"`        // the case
	For    string `json:"for,omitempty"` // who may see less than all; absent if nothing is withheld
}

type keyLine struct {
	Role string `json:"role"` // "log", "witness" or "signer"
	Key  string `json:"key"`  // a verifier key; of a signer the 32 bytes in base64
}

type checkpointLine struct {
	Note string `json:"note"`
}

type olderLine struct {
	Note  string   `json:"note"`
	Proof [][]byte `json:"proof"`
}

// entryLine lacks the body, which follows as its last key.
type entryLine struct {
	Stream string   `json:"stream"`
	Seq    int64    `json:"seq"`
	Index  uint64   `json:"index"`
	Salt   string   `json:"salt"` // hex
	Proof  [][]byte `json:"proof"`
}

type statementLine struct {
	Name     string        `json:"name"`
	Envelope dsse.Envelope `json:"envelope"`
}

type attachmentLine struct {
	Name  string `json:"name"`
	Media string `json:"media"`
	Data  []byte `json:"data"`
}

type sealLine struct {
	Sig []byte `json:"sig"`
}

// LoggedEntry is an entry and its place in the log.
type LoggedEntry struct {
	Entry
	Index uint64
}

// NamedStatement is an envelope that Seal made, under a name.
type NamedStatement struct {
	Name     string
	Envelope []byte
}

// Attachment is what the verification of a case needs besides its entries,
// such as its rules. The bundle proves only that the log's operator put it
// there: an entry that has its digest proves more.
type Attachment struct {
	Name  string
	Media string // media type
	Data  []byte // at most 16 MiB
}

// BundleSource is what goes into a bundle.
type BundleSource struct {
	Stream string
	// AtLeast is how many leaves the checkpoint must cover: what the outbox has
	// placed, say.
	AtLeast uint64
	// Entries are those of Stream from seq 1 without a gap, and then those of
	// other streams that are needed, by stream and seq.
	Entries iter.Seq2[LoggedEntry, error]
	// For names who may see less than all, and Withhold says which entries such a
	// reader is not shown. Both are zero for a bundle that holds everything.
	For      string
	Withhold func(Entry) bool
	// Signers are the keys of the statements.
	Signers     []*PublicKey
	Statements  []NamedStatement
	Attachments []Attachment
	// Older are checkpoints that others hold, or may hold: the bundle shows that
	// the log goes on from them.
	Older []Checkpoint
}

// WriteBundle writes the bundle of a stream, and seals it with key, the log's.
// It holds one line in memory at a time. An entry that no published checkpoint
// covers yet is proofhouse.Unavailable, one that is not what the log has is
// proofhouse.Integrity, and names or sizes that the format does not have are
// proofhouse.Invalid. After an error the file is no bundle.
func WriteBundle(ctx context.Context, w io.Writer, log PublicLog, key *Key, src BundleSource) error {
	if err := checkLogKey(log, key); err != nil {
		return err
	}
	if err := checkWord("stream", src.Stream); err != nil {
		return err
	}
	if (src.For != "") != (src.Withhold != nil) || src.For != "" && checkWord("reader", src.For) != nil {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "a bundle withholds entries from somebody whom it names")
	}
	cp, err := log.Checkpoint(ctx, src.AtLeast)
	if err != nil {
		return err
	}
	b := &bundleWriter{w: bufio.NewWriter(w), at: newBundleChain()}
	b.put(kindHead, headLine{bundleFormat, log.Key().Name(), src.Stream, src.For})
	b.put(kindKey, keyLine{"log", log.Key().String()})
	var witnesses, signers []string
	for _, s := range cp.Seen {
		witnesses = append(witnesses, s.Witness.String())
	}
	for _, s := range src.Signers {
		signers = append(signers, base64.StdEncoding.EncodeToString(s.public))
	}
	b.keys("witness", witnesses)
	b.keys("signer", signers)
	b.put(kindCheckpoint, checkpointLine{string(cp.Note)})
	if err := b.older(ctx, log, cp, src.Older); err != nil {
		return err
	}
	if err := b.entries(ctx, log, cp, src); err != nil {
		return err
	}
	if err := b.rest(src); err != nil {
		return err
	}
	sig, err := key.Sign(ctx, b.at.sealed())
	if err != nil {
		return fmt.Errorf("sealing the bundle: %w", err)
	}
	b.put(kindSeal, sealLine{sig})
	if b.err == nil {
		b.err = b.w.Flush()
	}
	return b.err
}

type bundleWriter struct {
	w   *bufio.Writer
	at  chain
	err error // the first; nothing is written after it
}

func (b *bundleWriter) put(kind string, v any) {
	value, err := encode(v)
	if err != nil && b.err == nil {
		b.err = fmt.Errorf("writing a %s: %w", kind, err)
	}
	b.raw(kind, value)
}

func (b *bundleWriter) raw(kind string, value []byte) {
	if b.err != nil {
		return
	}
	b.at = b.at.nextLine(kind, value)
	_, b.err = b.w.Write(b.at.appendLine(nil, kind, value))
}

func (b *bundleWriter) keys(role string, list []string) {
	slices.Sort(list)
	for _, k := range slices.Compact(list) {
		b.put(kindKey, keyLine{role, k})
	}
}

// older writes the checkpoints by their sizes, one of each.
func (b *bundleWriter) older(ctx context.Context, log PublicLog, cp Checkpoint, list []Checkpoint) error {
	list = slices.Clone(list)
	slices.SortFunc(list, func(x, y Checkpoint) int {
		return strings.Compare(fmt.Sprintf("%020d", x.Size), fmt.Sprintf("%020d", y.Size))
	})
	for i, o := range list {
		if o.Size > cp.Size {
			return proofhouse.Errorf(proofhouse.Unavailable, nil, "an older checkpoint has %d leaves, and the published one %d: try again in a moment", o.Size, cp.Size)
		}
		p, err := log.Extend(ctx, o.Size, cp)
		if err != nil {
			return err
		}
		if err := cp.Extends(o, p); err != nil {
			return err
		}
		// Cosignatures of the older one would need keys of their own.
		plain, err := ParseCheckpoint(o.Note, log.Key())
		if err != nil {
			return err
		}
		if i > 0 && list[i-1].Size == o.Size {
			continue
		}
		b.put(kindOlder, olderLine{string(plain.Note), p.raw()})
	}
	return nil
}

func (b *bundleWriter) entries(ctx context.Context, log PublicLog, cp Checkpoint, src BundleSource) error {
	at := entryOrder{stream: src.Stream}
	for e, err := range src.Entries {
		if err != nil {
			return err
		}
		if err := at.next(e.Stream, e.Seq); err != nil {
			return proofhouse.Errorf(proofhouse.Invalid, err, "the entries of a bundle are those of its stream, without a gap, and then others in their order")
		}
		if why := checkBody(e.Body); why != "" {
			return proofhouse.Errorf(proofhouse.Invalid, nil, "the body of entry %d of %s %s", e.Seq, e.Stream, why)
		}
		if e.Index >= cp.Size {
			return proofhouse.Errorf(proofhouse.Unavailable, nil, "no published checkpoint covers entry %d of %s yet: try again in a moment", e.Seq, e.Stream)
		}
		p, err := log.Include(ctx, e.Index, cp)
		if err != nil {
			return err
		}
		if err := cp.Includes(e.Index, e.Commitment(), p); err != nil {
			return err
		}
		if src.Withhold != nil && src.Withhold(e.Entry) {
			b.withhold(e, p)
			if b.err != nil {
				return b.err
			}
			continue
		}
		head, err := encode(entryLine{e.Stream, e.Seq, e.Index, hex.EncodeToString(e.Salt[:]), p.raw()})
		if err != nil {
			return err
		}
		b.raw(kindEntry, appendBody(head, e.Body))
		if b.err != nil {
			return b.err
		}
	}
	if at.seq == 0 && len(at.others) == 0 {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "a bundle needs the entries of its stream, and there are none")
	}
	return nil
}

// appendBody puts a body behind the other keys of an entry.
func appendBody(head, body []byte) []byte {
	out := append(bytes.TrimSuffix(head, []byte("}")), `,"body":`...)
	return append(append(out, body...), '}')
}

func (b *bundleWriter) rest(src BundleSource) error {
	names := func(what string, list []string) error {
		for i, n := range list {
			if err := checkWord("name of a "+what, n); err != nil {
				return err
			}
			if i > 0 && n <= list[i-1] {
				return proofhouse.Errorf(proofhouse.Invalid, nil, "there are two of the %ss named %s in a bundle", what, n)
			}
		}
		return nil
	}
	statements := slices.SortedFunc(slices.Values(src.Statements), func(x, y NamedStatement) int { return strings.Compare(x.Name, y.Name) })
	var list []string
	for _, s := range statements {
		list = append(list, s.Name)
	}
	if err := names("statement", list); err != nil {
		return err
	}
	for _, s := range statements {
		l := statementLine{Name: s.Name}
		if err := json.Unmarshal(s.Envelope, &l.Envelope); err != nil || len(s.Envelope) > maxEnvelope {
			return proofhouse.Errorf(proofhouse.Invalid, err, "the statement %s is not in a DSSE envelope", s.Name)
		}
		if l.Envelope.Signatures == nil {
			l.Envelope.Signatures = []dsse.Signature{}
		}
		b.put(kindStatement, l)
	}
	attachments := slices.SortedFunc(slices.Values(src.Attachments), func(x, y Attachment) int { return strings.Compare(x.Name, y.Name) })
	list = nil
	for _, a := range attachments {
		list = append(list, a.Name)
	}
	if err := names("attachment", list); err != nil {
		return err
	}
	for _, a := range attachments {
		if err := checkWord("media type of an attachment", a.Media); err != nil {
			return err
		}
		if len(a.Data) > maxAttachment {
			return proofhouse.Errorf(proofhouse.Limit, nil, "the attachment %s is larger than 16 MiB: attach its digest", a.Name)
		}
		b.put(kindAttachment, attachmentLine{a.Name, a.Media, append([]byte{}, a.Data...)})
	}
	return b.err
}

// entryOrder holds entries to their order: those of the stream from 1 without a
// gap, then others, by stream and seq.
type entryOrder struct {
	stream string
	seq    int64  // the last of stream
	others string // the stream of the last other one, or ""
	other  int64  // its seq
}

func (o *entryOrder) next(stream string, seq int64) error {
	switch {
	case checkWord("stream", stream) != nil:
		return checkWord("stream", stream)
	case stream == o.stream && o.others != "":
		return fmt.Errorf("entry %d of the stream comes behind those of others", seq)
	case stream == o.stream:
		if seq != o.seq+1 {
			return fmt.Errorf("entry %d of the stream stands where %d is due", seq, o.seq+1)
		}
		o.seq = seq
	case o.seq == 0:
		return fmt.Errorf("an entry of %s stands where entry 1 of the stream is due", stream)
	case seq < 1, stream < o.others, stream == o.others && seq <= o.other:
		return fmt.Errorf("entry %d of %s is out of its order", seq, stream)
	default:
		o.others, o.other = stream, seq
	}
	return nil
}

// checkBody says what keeps b from being an entry's body, or "".
func checkBody(b []byte) string {
	if len(b) > maxBody {
		return "is longer than 1 MiB"
	}
	return checkJSONLine(b)
}

func (p Proof) raw() [][]byte {
	out := make([][]byte, len(p))
	for i := range p {
		out[i] = p[i][:]
	}
	return out
}

// newBundleChain is the place before line 1.
func newBundleChain() chain { return chain{head: sha256.Sum256([]byte(bundleGenesis))} }

// nextLine is the place of a line behind c.
func (c chain) nextLine(kind string, value []byte) chain {
	h := sha256.New()
	h.Write(append(binary.BigEndian.AppendUint64([]byte(bundleLine), c.seq+1), c.head[:]...))
	h.Write([]byte(kind + ":"))
	h.Write(value)
	return chain{seq: c.seq + 1, head: [sha256.Size]byte(h.Sum(nil))}
}

// appendLine appends the line at c.
func (c chain) appendLine(b []byte, kind string, value []byte) []byte {
	b = strconv.AppendUint(append(b, `{"line":`...), c.seq, 10)
	b = hex.AppendEncode(append(b, `,"hash":"`...), c.head[:])
	b = append(append(append(b, `","`...), kind...), `":`...)
	return append(append(b, value...), "}\n"...)
}

// sealed is what the seal behind c signs: no note begins with it, since no
// origin has a space.
func (c chain) sealed() []byte {
	b := binary.BigEndian.AppendUint64([]byte(bundleSeal), c.seq)
	return append(b, c.head[:]...)
}

func (k *PublicKey) sealedBy(c chain, sig []byte) bool {
	return ed25519.Verify(k.public, c.sealed(), sig)
}
