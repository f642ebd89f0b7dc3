package ledger

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"hash"
	"strconv"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"proofhouse/internal/proofhouse"
)

// A log is a text file, one JSON object a line, each ended by one newline and
// with no white space of ours. A line is a record or a signature:
//
//	{"seq":1,"hash":"<64 hex>","record":{…}}
//	{"seq":1,"head":"<64 hex>","key":"<32 hex>","sig":"<128 hex>"}
//
// Hex is in lower case. Records count from 1. The hash of a record is
//
//	SHA-256("proofhouse log record, format 1\n" ‖ seq ‖ hash before ‖ record)
//
// with seq as eight big-endian bytes, the hash before as 32 raw bytes, and the
// record as the very bytes that stand between "record": and the line's last
// brace. Before the first record stands SHA-256("proofhouse log, format 1\n").
// A signature line names the record just before it, and its Ed25519 signature is of
//
//	"proofhouse log head, format 1\n" ‖ seq ‖ hash of record seq
//
// so that it covers all records up to it. Every field but the record has a
// fixed length and one spelling: a log has one text, and a changed byte shows.
const (
	logGenesis = "proofhouse log, format 1\n"
	logRecord  = "proofhouse log record, format 1\n"
	logHead    = "proofhouse log head, format 1\n"

	maxLogRecord = 64 << 10 // bytes
	maxLogLine   = maxLogRecord + 256

	hexHash = 2 * sha256.Size
	hexKey  = 32
	hexSig  = 2 * ed25519.SignatureSize
)

// chain is a place in a log: the number of a record and its hash.
type chain struct {
	seq  uint64
	head [sha256.Size]byte
}

func newChain() chain { return chain{head: sha256.Sum256([]byte(logGenesis))} }

// next is the place of a record behind c. h is scratch.
func (c chain) next(h hash.Hash, record []byte) chain {
	h.Reset()
	h.Write(append(binary.BigEndian.AppendUint64([]byte(logRecord), c.seq+1), c.head[:]...))
	h.Write(record)
	return chain{seq: c.seq + 1, head: [sha256.Size]byte(h.Sum(nil))}
}

// signed is what a signature at c signs.
func (c chain) signed() []byte {
	b := binary.BigEndian.AppendUint64([]byte(logHead), c.seq)
	return append(b, c.head[:]...)
}

func (c chain) digest() proofhouse.Digest {
	return proofhouse.Digest("sha256:" + hex.EncodeToString(c.head[:]))
}

// appendRecord appends the line of the record at c.
func (c chain) appendRecord(b, record []byte) []byte {
	b = strconv.AppendUint(append(b, `{"seq":`...), c.seq, 10)
	b = hex.AppendEncode(append(b, `,"hash":"`...), c.head[:])
	b = append(append(b, `","record":`...), record...)
	return append(b, "}\n"...)
}

// appendSignature appends the line of a signature at c.
func (c chain) appendSignature(b []byte, key string, sig []byte) []byte {
	b = strconv.AppendUint(append(b, `{"seq":`...), c.seq, 10)
	b = hex.AppendEncode(append(b, `,"head":"`...), c.head[:])
	b = append(append(b, `","key":"`...), key...)
	b = hex.AppendEncode(append(b, `","sig":"`...), sig)
	return append(b, "\"}\n"...)
}

// logLine is a line in its parts, none of them checked against the chain.
type logLine struct {
	seq    uint64
	hash   []byte // hex
	record []byte // nil: it is a signature
	key    []byte // hex
	sig    []byte // hex
}

// parseLogLine takes a line, without its newline, apart.
func parseLogLine(b []byte) (l logLine, ok bool) {
	if b, ok = bytes.CutPrefix(b, []byte(`{"seq":`)); !ok {
		return l, false
	}
	n := bytes.IndexByte(b, ',')
	if n < 1 || b[0] == '0' {
		return l, false
	}
	seq, err := strconv.ParseUint(string(b[:n]), 10, 64)
	if err != nil {
		return l, false
	}
	l.seq, b = seq, b[n:]
	if rest, ok := bytes.CutPrefix(b, []byte(`,"hash":"`)); ok {
		if l.hash, rest, ok = cutHex(rest, hexHash, `","record":`); !ok {
			return l, false
		}
		l.record, ok = bytes.CutSuffix(rest, []byte(`}`))
		return l, ok && len(l.record) > 0
	}
	if b, ok = bytes.CutPrefix(b, []byte(`,"head":"`)); !ok {
		return l, false
	}
	if l.hash, b, ok = cutHex(b, hexHash, `","key":"`); !ok {
		return l, false
	}
	if l.key, b, ok = cutHex(b, hexKey, `","sig":"`); !ok {
		return l, false
	}
	l.sig, b, ok = cutHex(b, hexSig, `"}`)
	return l, ok && len(b) == 0
}

// cutHex cuts n lower-case hex digits and then the text after off b.
func cutHex(b []byte, n int, after string) (digits, rest []byte, ok bool) {
	if len(b) < n {
		return nil, nil, false
	}
	for _, c := range b[:n] {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return nil, nil, false
		}
	}
	rest, ok = bytes.CutPrefix(b[n:], []byte(after))
	return b[:n], rest, ok
}

// checkLogRecord says what keeps b from being a record, or "".
func checkLogRecord(b []byte) string {
	if len(b) > maxLogRecord {
		return "is longer than 64 KiB"
	}
	return checkJSONLine(b)
}

// checkJSONLine says what keeps b from being JSON on one line, or "".
func checkJSONLine(b []byte) string {
	switch {
	case bytes.ContainsAny(b, "\r\n"):
		return "has a line break"
	case !utf8.Valid(b): // readers would each see another text
		return "is not UTF-8"
	case !validJSON(b):
		return "is not JSON"
	}
	return ""
}

// validJSON is json.Valid in a fifth of the time. gjson has no bound on
// nesting, so what is nested deep is left to the one that readers use.
func validJSON(b []byte) bool {
	if bytes.Count(b, []byte("{"))+bytes.Count(b, []byte("[")) > 1000 {
		return json.Valid(b)
	}
	return gjson.ValidBytes(b)
}
