package ledger

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"proofhouse/internal/proofhouse"
)

// VerifyOptions are what the verifier knows from elsewhere. The zero value
// knows nothing: the bundle is then held to its own keys, and the report says so.
type VerifyOptions struct {
	// Log, unless it is zero, is the key that must have signed.
	Log VerifierKey
	// Witnesses are the keys whose word the verifier trusts.
	Witnesses []VerifierKey
	// Older are signed checkpoints and Receipts are receipts of the same log, that
	// the verifier or somebody else kept.
	Older    [][]byte
	Receipts [][]byte
	// Extend, unless nil, proves from a copy of the log that cp goes on from older
	// leaves, where the bundle has no such proof. As PublicLog.Extend it must check
	// what it reads against cp's root, and need not be trusted otherwise.
	Extend func(ctx context.Context, older uint64, cp Checkpoint) (Proof, error)
}

// Report is what the reading of a bundle proved, and what it could not.
type Report struct {
	Origin string `json:"origin"`
	Stream string `json:"stream"`
	// For names who may see less than all, and Withheld counts what such a reader
	// is not shown; zero if the bundle holds everything.
	For      string `json:"for,omitempty"`
	Withheld int    `json:"withheld,omitempty"`
	Lines    uint64 `json:"lines"`
	Entries  int64  `json:"entries"` // of the stream, 1 to this
	Others   int    `json:"others"`  // of other streams
	// Size and Root are those of the checkpoint that all entries are in.
	Size uint64            `json:"size"`
	Root proofhouse.Digest `json:"root"`
	// Older counts the checkpoints from which the bundle shows that this one goes on.
	Older  int    `json:"older"`
	LogKey string `json:"log_key"`
	// Pinned says that the log's key is the one that the verifier knew.
	Pinned     bool            `json:"pinned"`
	Witnesses  []WitnessReport `json:"witnesses"`
	Statements []string        `json:"statements"`
	// Continues are the sizes of older checkpoints from which the log was shown
	// to go on, and Receipts how many receipts were found kept.
	Continues []uint64 `json:"continues"`
	Receipts  int      `json:"receipts"`
	// Open is what was asked and could not be shown, in sentences.
	Open []string `json:"open"`
}

// WitnessReport is a cosignature that was checked.
type WitnessReport struct {
	Name   string    `json:"name"`
	Key    string    `json:"key"`
	At     time.Time `json:"at"`     // by the witness's clock
	Pinned bool      `json:"pinned"` // the verifier knew the key
}

// Witnessed says in words whose word the tree is.
func (r Report) Witnessed() string {
	var known, unknown []string
	for _, w := range r.Witnesses {
		if w.Pinned {
			known = append(known, w.Name)
		} else {
			unknown = append(unknown, w.Name)
		}
	}
	switch {
	case len(known) > 0:
		return fmt.Sprintf("witnessed by %d: %s", len(known), strings.Join(known, ", "))
	case len(unknown) > 0:
		return fmt.Sprintf("witnessed by %d whose keys only the bundle vouches for: %s", len(unknown), strings.Join(unknown, ", "))
	}
	return "the operator's word only"
}

// ReadStatement is a statement whose signatures were checked.
type ReadStatement struct {
	Name     string
	Envelope []byte
	Opened   Opened
	// Signers are the keys that signed. Whose they are is for the part that made
	// the statement.
	Signers []*PublicKey
}

// Part is what a line of a bundle holds: exactly one is set.
type Part struct {
	Line       uint64
	Entry      *LoggedEntry
	Withheld   *Withheld
	Statement  *ReadStatement
	Attachment *Attachment
}

// Bundle is a bundle that was read whole.
type Bundle struct {
	Report     Report
	Checkpoint Checkpoint
	// Older are the checkpoints from which the bundle shows that Checkpoint goes on, by size.
	Older   []Checkpoint
	Entries []LoggedEntry // of the stream, from seq 1; those that are opened
	Others  []LoggedEntry
	// Withheld are the others, of all streams, and Commitments those of every entry of the stream.
	Withheld    []Withheld
	Commitments [][32]byte
	Statements  []ReadStatement
	Attachments map[string]Attachment
}

// maxBundle bounds what ReadBundle holds, in bytes of the file.
const maxBundle = 1 << 30

// ReadBundle reads and verifies a bundle, and gives all of it. Errors are those
// of VerifyBundle; a bundle of more than 1 GiB is proofhouse.Limit.
func ReadBundle(ctx context.Context, r io.Reader, opts VerifyOptions) (Bundle, error) {
	b := Bundle{Attachments: map[string]Attachment{}}
	limited := &io.LimitedReader{R: r, N: maxBundle + 1}
	v := newBundleReader(limited, opts)
	err := v.all(ctx, func(p Part) error {
		switch {
		case p.Entry != nil && p.Entry.Stream == v.report.Stream:
			b.Entries = append(b.Entries, *p.Entry)
			b.Commitments = append(b.Commitments, p.Entry.Commitment())
		case p.Entry != nil:
			b.Others = append(b.Others, *p.Entry)
		case p.Withheld != nil:
			b.Withheld = append(b.Withheld, *p.Withheld)
			if p.Withheld.Stream == v.report.Stream {
				b.Commitments = append(b.Commitments, p.Withheld.Commitment)
			}
		case p.Statement != nil:
			b.Statements = append(b.Statements, *p.Statement)
		case p.Attachment != nil:
			b.Attachments[p.Attachment.Name] = *p.Attachment
		}
		return nil
	})
	if limited.N == 0 {
		return Bundle{}, proofhouse.Errorf(proofhouse.Limit, nil, "the bundle is larger than 1 GiB")
	}
	if err != nil {
		return Bundle{Report: v.report}, err
	}
	b.Report, b.Checkpoint = v.report, v.cp
	b.Older = slices.SortedFunc(maps.Values(v.older), func(x, y Checkpoint) int { return cmp.Compare(x.Size, y.Size) })
	return b, nil
}

// VerifyBundle reads a bundle to its end, one line in memory at a time, and
// checks that each line is as it was written and in its order; that the
// checkpoint is signed by the log, and by the witnesses whose cosignatures it
// has; that each entry's commitment is in its tree; that the entries of the
// stream go from 1 on without a gap; that each statement is signed by a key of
// the bundle, or by nobody; that the whole is sealed with the log's key; and
// what opts adds. each, unless nil, is called with every part in turn; its
// error ends the reading and is returned as it is. What it gathered counts once
// VerifyBundle returns no error.
//
// What was changed is proofhouse.Integrity and names the line, from 1; so are a
// forked log and an entry that is missing though there is a receipt. What is no
// bundle at all is proofhouse.Invalid. What could not be shown is in the
// report, and no error.
func VerifyBundle(ctx context.Context, r io.Reader, opts VerifyOptions, each func(Part) error) (Report, error) {
	v := newBundleReader(r, opts)
	err := v.all(ctx, each)
	return v.report, err
}

// bundleReader reads a bundle from the front.
type bundleReader struct {
	r      *bufio.Reader
	opts   VerifyOptions
	report Report

	at        chain
	kind      string // of the line before
	log       VerifierKey
	witnesses []VerifierKey
	signers   []*PublicKey
	role      string // of the key before
	key       string // its text
	keys      int
	cp        Checkpoint
	older     map[uint64]Checkpoint // those that the bundle goes on from, by size
	last      uint64                // the largest of them
	order     entryOrder
	receipts  []Receipt
	kept      map[string]bool // receipts whose entry was found, by stream and seq
	name      string          // of the statement or attachment before
	sealed    bool
}

func newBundleReader(r io.Reader, opts VerifyOptions) *bundleReader {
	return &bundleReader{
		r: bufio.NewReaderSize(r, 64<<10), opts: opts, at: newBundleChain(),
		older: map[uint64]Checkpoint{}, kept: map[string]bool{},
	}
}

// broken is about the line that is due.
func (v *bundleReader) broken(cause error, format string, args ...any) error {
	return proofhouse.Errorf(proofhouse.Integrity, cause, "the bundle was changed: line %d %s", v.at.seq+1, fmt.Sprintf(format, args...))
}

// all reads to the end.
func (v *bundleReader) all(ctx context.Context, each func(Part) error) error {
	for {
		if v.at.seq%256 == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		line, err := v.line()
		switch {
		case errors.Is(err, io.EOF) && len(line) == 0 && v.sealed:
			return v.finish(ctx)
		case errors.Is(err, io.EOF) && v.at.seq == 0:
			return proofhouse.Errorf(proofhouse.Invalid, nil, "this is not a bundle: line 1 is not one of its lines")
		case errors.Is(err, io.EOF) && len(line) == 0:
			return v.broken(nil, "is missing: the bundle was cut, and has no seal")
		case errors.Is(err, io.EOF):
			return v.broken(nil, "has no end")
		case err != nil:
			return err
		}
		if err := v.take(ctx, line, each); err != nil {
			return err
		}
	}
}

// line reads one, without its newline.
func (v *bundleReader) line() ([]byte, error) {
	var long []byte
	for {
		b, err := v.r.ReadSlice('\n')
		if err == nil && long == nil {
			return b[:len(b)-1], nil
		}
		long = append(long, b...)
		switch {
		case err == nil:
			return long[:len(long)-1], nil
		case !errors.Is(err, bufio.ErrBufferFull):
			if errors.Is(err, io.EOF) {
				return long, err
			}
			return nil, fmt.Errorf("reading line %d of the bundle: %w", v.at.seq+1, err)
		case len(long) > maxBundleLine:
			return nil, v.broken(nil, "is longer than a line can be")
		}
	}
}

// orderOf has the kinds of line as they follow each other.
var orderOf = map[string]int{
	kindHead: 1, kindKey: 2, kindCheckpoint: 3, kindOlder: 4, kindEntry: 5, kindWithheld: 5, kindStatement: 6, kindAttachment: 7, kindSeal: 8,
}

// take checks a line and moves behind it.
func (v *bundleReader) take(ctx context.Context, line []byte, each func(Part) error) error {
	kind, value, hash, ok := parseBundleLine(line, v.at.seq+1)
	if !ok {
		if v.at.seq == 0 && !bytes.HasPrefix(line, []byte(`{"line":1,`)) {
			return proofhouse.Errorf(proofhouse.Invalid, nil, "this is not a bundle: line 1 is not one of its lines")
		}
		return v.broken(nil, "is not line %d of a bundle: it was changed, taken out, doubled or moved", v.at.seq+1)
	}
	next := v.at.nextLine(kind, value)
	if !sameHex(hash, next.head[:]) {
		return v.broken(nil, "does not match its hash: it was changed, or one before it was taken out")
	}
	before, now := orderOf[v.kind], orderOf[kind]
	once := kind == kindHead || kind == kindCheckpoint || kind == kindSeal
	if now == 0 || now < before || now == before && once || before < orderOf[kindCheckpoint] && now > before+1 || before < orderOf[kindEntry] && now > orderOf[kindEntry] {
		return v.broken(nil, "is out of order: a %s behind a %s", kind, v.kind)
	}
	if kind != v.kind {
		v.name = ""
	}
	part, err := v.value(ctx, kind, value)
	if err != nil {
		return err
	}
	v.at, v.kind, v.report.Lines = next, kind, next.seq
	if part != nil && each != nil {
		part.Line = next.seq
		return each(*part)
	}
	return nil
}

// parseBundleLine takes a line apart.
func parseBundleLine(b []byte, n uint64) (kind string, value, hash []byte, ok bool) {
	b, ok = bytes.CutPrefix(b, append(strconv.AppendUint([]byte(`{"line":`), n, 10), `,"hash":"`...))
	if !ok {
		return "", nil, nil, false
	}
	hash, b, ok = cutHex(b, hexHash, `","`)
	if !ok {
		return "", nil, nil, false
	}
	k, b, ok := bytes.Cut(b, []byte(`":`))
	if !ok {
		return "", nil, nil, false
	}
	value, ok = bytes.CutSuffix(b, []byte("}"))
	return string(k), value, hash, ok && orderOf[string(k)] > 0
}

// value checks what a line says.
func (v *bundleReader) value(ctx context.Context, kind string, value []byte) (*Part, error) {
	switch kind {
	case kindHead:
		return nil, v.head(value)
	case kindKey:
		return nil, v.takeKey(value)
	case kindCheckpoint:
		return nil, v.checkpoint(value)
	case kindOlder:
		return nil, v.takeOlder(value)
	case kindEntry:
		return v.entry(value)
	case kindWithheld:
		return v.withheld(value)
	case kindStatement:
		return v.statement(ctx, value)
	case kindAttachment:
		return v.attachment(value)
	}
	var l sealLine
	if err := v.decode(value, &l); err != nil {
		return nil, err
	}
	if !v.log.PublicKey().sealedBy(v.at, l.Sig) {
		return nil, v.broken(nil, "is not the seal of the log's key over this bundle")
	}
	v.sealed = true
	return nil, nil
}

// decode reads a value in its one spelling.
func (v *bundleReader) decode(value []byte, into any) error {
	if err := json.Unmarshal(value, into); err != nil {
		return v.broken(err, "cannot be read")
	}
	again, err := encode(into)
	if err != nil || !bytes.Equal(again, value) || hasNil(into) {
		return v.broken(err, "has another spelling than a bundle's")
	}
	return nil
}

// hasNil finds a list that was spelled null.
func hasNil(into any) bool {
	s := reflect.ValueOf(into).Elem()
	for i := range s.NumField() {
		if f := s.Field(i); f.Kind() == reflect.Slice && f.IsNil() {
			return true
		}
	}
	return false
}

func (v *bundleReader) head(value []byte) error {
	var l headLine
	if err := v.decode(value, &l); err != nil {
		return err
	}
	if l.Format != bundleFormat {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "line 1 says that the bundle has the format %q, and this program reads %q", l.Format, bundleFormat)
	}
	if err := errors.Join(checkOrigin(l.Origin), checkWord("stream", l.Stream)); err != nil {
		return v.broken(err, "names no log or no stream")
	}
	if l.For != "" && checkWord("reader", l.For) != nil {
		return v.broken(nil, "names no reader")
	}
	v.report.Origin, v.report.Stream, v.report.For = l.Origin, l.Stream, l.For
	v.order.stream = l.Stream
	return nil
}

// takeKey reads a key: the log's first, then those of witnesses and of signers,
// each in the order of their texts.
func (v *bundleReader) takeKey(value []byte) error {
	var l keyLine
	if err := v.decode(value, &l); err != nil {
		return err
	}
	roles := []string{"", "log", "witness", "signer"}
	before, now := slices.Index(roles, v.role), slices.Index(roles, l.Role)
	if now < 1 || before == 0 && now != 1 || now < before || now == before && (now == 1 || l.Key <= v.key) {
		return v.broken(nil, "is a key out of order")
	}
	if v.keys++; v.keys > maxKeys {
		return v.broken(nil, "is one key too many")
	}
	v.role, v.key = l.Role, l.Key
	if l.Role == "signer" {
		raw, err := base64.StdEncoding.Strict().DecodeString(l.Key)
		if err != nil || len(raw) != ed25519.PublicKeySize {
			return v.broken(err, "is not an Ed25519 key")
		}
		v.signers = append(v.signers, &PublicKey{raw})
		return nil
	}
	k, err := ParseVerifierKey(l.Key)
	if err != nil || k.IsWitness() != (l.Role == "witness") {
		return v.broken(err, "is not the key of a %s", l.Role)
	}
	if l.Role == "witness" {
		v.witnesses = append(v.witnesses, k)
		return nil
	}
	if k.Name() != v.report.Origin {
		return v.broken(nil, "is the key of the log %s, and the bundle is of %s", k.Name(), v.report.Origin)
	}
	v.log = k
	v.report.LogKey = k.String()
	if v.opts.Log.text != "" {
		if v.opts.Log.text != k.text {
			return proofhouse.Errorf(proofhouse.Integrity, nil, "line %d: the bundle is of the log %s with the key %s, and not of the one that you named", v.at.seq+1, k.Name(), k.PublicKey().ID())
		}
		v.report.Pinned = true
	}
	return nil
}

func (v *bundleReader) checkpoint(value []byte) error {
	var l checkpointLine
	if err := v.decode(value, &l); err != nil {
		return err
	}
	cp, err := ParseCheckpoint([]byte(l.Note), v.log, v.witnesses...)
	if err != nil {
		return v.broken(err, "is not a checkpoint of the log's key")
	}
	if string(cp.Note) != l.Note {
		return v.broken(nil, "has signatures by keys that the bundle does not name")
	}
	v.cp = cp
	v.report.Size, v.report.Root = cp.Size, proofhouse.Digest("sha256:"+hex.EncodeToString(cp.Root[:]))
	for _, s := range cp.Seen {
		v.report.Witnesses = append(v.report.Witnesses, WitnessReport{
			Name: s.Witness.Name(), Key: s.Witness.String(), At: s.At,
			Pinned: slices.ContainsFunc(v.opts.Witnesses, func(k VerifierKey) bool { return k.text == s.Witness.text }),
		})
	}
	for _, raw := range v.opts.Receipts {
		r, err := ParseReceipt(raw, v.log, v.opts.Witnesses...)
		if err != nil {
			return err
		}
		v.receipts = append(v.receipts, r)
	}
	return nil
}

func (v *bundleReader) takeOlder(value []byte) error {
	var l olderLine
	if err := v.decode(value, &l); err != nil {
		return err
	}
	o, err := ParseCheckpoint([]byte(l.Note), v.log)
	if err != nil || string(o.Note) != l.Note {
		return v.broken(err, "is not an older checkpoint of the log's key")
	}
	p, ok := newProof(l.Proof)
	if !ok {
		return v.broken(nil, "has a proof that is none")
	}
	if len(v.older) > 0 && o.Size <= v.last {
		return v.broken(nil, "is an older checkpoint out of order")
	}
	if o.Size > v.cp.Size {
		return v.broken(nil, "is a checkpoint that is newer than the bundle's")
	}
	if err := v.cp.Extends(o, p); err != nil {
		return v.broken(err, "shows no way from %d leaves to %d: %s", o.Size, v.cp.Size, proofhouse.PublicOf(err))
	}
	v.older[o.Size], v.last = o, o.Size
	v.report.Older++
	return nil
}

func (v *bundleReader) entry(value []byte) (*Part, error) {
	// The text before the body has no quote that is not a key's or a value's own.
	head, body, ok := bytes.Cut(value, []byte(`,"body":`))
	if !ok || !bytes.HasSuffix(body, []byte("}")) {
		return nil, v.broken(nil, "is an entry without a body")
	}
	body = bytes.Clone(body[:len(body)-1])
	var l entryLine
	if err := v.decode(append(bytes.Clone(head), '}'), &l); err != nil {
		return nil, err
	}
	if why := checkBody(body); why != "" {
		return nil, v.broken(nil, "holds a body that %s", why)
	}
	e := LoggedEntry{Entry{Stream: l.Stream, Seq: l.Seq, Body: body}, l.Index}
	salt, err := hex.DecodeString(l.Salt)
	if err != nil || len(salt) != len(e.Salt) || hex.EncodeToString(salt) != l.Salt {
		return nil, v.broken(err, "holds a salt that is none")
	}
	e.Salt = [32]byte(salt)
	if err := v.placed(Withheld{l.Stream, l.Seq, l.Index, e.Commitment()}, l.Proof); err != nil {
		return nil, err
	}
	return &Part{Entry: &e}, nil
}

func receiptName(r Receipt) string { return fmt.Sprintf("%s %d", r.Stream, r.Seq) }

// printable is a name for an error.
func printable(name string) string {
	if checkWord("name", name) != nil {
		return "a stream"
	}
	return name
}

func newProof(raw [][]byte) (Proof, bool) {
	p := make(Proof, len(raw))
	for i, h := range raw {
		if len(h) != 32 {
			return nil, false
		}
		p[i] = [32]byte(h)
	}
	return p, len(p) <= 64
}

func (v *bundleReader) statement(ctx context.Context, value []byte) (*Part, error) {
	var l statementLine
	if err := v.decode(value, &l); err != nil {
		return nil, err
	}
	if checkWord("name", l.Name) != nil || l.Name <= v.name {
		return nil, v.broken(nil, "is a statement out of order")
	}
	if l.Envelope.Signatures == nil {
		return nil, v.broken(nil, "has another spelling than a bundle's")
	}
	v.name = l.Name
	envelope, err := json.Marshal(l.Envelope)
	if err != nil {
		return nil, v.broken(err, "cannot be read")
	}
	s := &ReadStatement{Name: l.Name, Envelope: envelope}
	if s.Opened, err = Open(ctx, envelope, nil); err != nil {
		return nil, v.broken(err, "is not a statement")
	}
	if s.Signers, err = signersOf(l.Envelope, v.signers); err != nil {
		return nil, v.broken(err, "holds a signature that does not fit")
	}
	if len(s.Signers) != len(l.Envelope.Signatures) {
		return nil, v.broken(nil, "is signed by a key that the bundle does not name")
	}
	s.Opened.Signed = len(s.Signers) > 0
	v.report.Statements = append(v.report.Statements, l.Name)
	return &Part{Statement: s}, nil
}

func (v *bundleReader) attachment(value []byte) (*Part, error) {
	var l attachmentLine
	if err := v.decode(value, &l); err != nil {
		return nil, err
	}
	if checkWord("name", l.Name) != nil || l.Name <= v.name || checkWord("media type", l.Media) != nil {
		return nil, v.broken(nil, "is an attachment out of order")
	}
	if len(l.Data) > maxAttachment {
		return nil, v.broken(nil, "is an attachment that is too long")
	}
	v.name = l.Name
	return &Part{Attachment: &Attachment{l.Name, l.Media, l.Data}}, nil
}

// finish holds the bundle against what the verifier kept.
func (v *bundleReader) finish(ctx context.Context) error {
	for _, raw := range v.opts.Older {
		o, err := ParseCheckpoint(raw, v.log)
		if err != nil {
			return err
		}
		if err := v.continues(ctx, o); err != nil {
			return err
		}
	}
	for _, r := range v.receipts {
		if err := v.continues(ctx, r.Checkpoint); err != nil {
			return err
		}
		switch {
		case v.kept[receiptName(r)]:
			v.report.Receipts++
		case r.Index >= v.cp.Size:
			v.open("that entry %d of %s is kept: its receipt is newer than the bundle; ask for a new bundle", r.Seq, r.Stream)
		case r.Stream == v.report.Stream:
			return proofhouse.Errorf(proofhouse.Integrity, nil, "entry %d of %s, for which there is a receipt, is missing: line %d, the seal, comes after %d entries", r.Seq, r.Stream, v.at.seq, v.report.Entries)
		default:
			v.open("that entry %d of %s is kept: the bundle is of %s", r.Seq, r.Stream, v.report.Stream)
		}
	}
	return nil
}

func (v *bundleReader) open(format string, args ...any) {
	if s := fmt.Sprintf(format, args...); !slices.Contains(v.report.Open, s) {
		v.report.Open = append(v.report.Open, s)
	}
}

// continues checks that the bundle's tree and o are of one log.
func (v *bundleReader) continues(ctx context.Context, o Checkpoint) error {
	shown := func() {
		if !slices.Contains(v.report.Continues, o.Size) {
			v.report.Continues = append(v.report.Continues, o.Size)
		}
	}
	var p Proof
	in, has := v.older[o.Size]
	switch {
	case o.Size == v.cp.Size, o.Size == 0:
	case o.Size > v.cp.Size:
		v.open("that the log went on from the bundle's %d leaves to the %d of a newer checkpoint: ask for a new bundle", v.cp.Size, o.Size)
		return nil
	case has && in.Root != o.Root:
		return proofhouse.Errorf(proofhouse.Integrity, nil, "the log was forked: its key signed two trees of %d leaves, of which the bundle goes on from the other", o.Size)
	case has:
		shown()
		return nil
	case v.opts.Extend != nil:
		var err error
		if p, err = v.opts.Extend(ctx, o.Size, v.cp); err != nil {
			return err
		}
	default:
		v.open("that the log went on from the %d leaves of an older checkpoint: the bundle has no proof from there; ask for one that has, or name a copy of the log", o.Size)
		return nil
	}
	if err := v.cp.Extends(o, p); err != nil {
		return err
	}
	shown()
	return nil
}
