package ledger_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"proofhouse/internal/ledger"
	"proofhouse/internal/ledger/ledgertest"
	"proofhouse/internal/proofhouse"
)

const stream = "case-7f3k2"

// review is a public log of one witness with the entries of a case and of the
// house in it, and what goes into the case's bundle.
type review struct {
	log     *cosigned
	key     *ledger.Key
	witness *ledger.Key
	entries []ledger.LoggedEntry
	older   []ledger.Checkpoint
	src     ledger.BundleSource
}

// cosigned is a log whose checkpoints a witness cosigns.
type cosigned struct {
	*ledgertest.Memory
	witness *ledger.Key
}

func (c *cosigned) Checkpoint(ctx context.Context, atLeast uint64) (ledger.Checkpoint, error) {
	cp, err := c.Memory.Checkpoint(ctx, atLeast)
	if err != nil || c.witness == nil {
		return cp, err
	}
	text, _, _ := bytes.Cut(cp.Note, []byte("\n\n"))
	line, err := c.witness.Cosign("witness.example/w1", append(text, '\n'), time.Unix(1_795_795_200, 0))
	if err != nil {
		return cp, err
	}
	w, err := c.witness.PublicKey().WitnessKey("witness.example/w1")
	if err != nil {
		return cp, err
	}
	return ledger.ParseCheckpoint(append(cp.Note, line...), c.Key(), w)
}

func newReview(t testing.TB, n int) *review {
	t.Helper()
	r := &review{key: testKey(t, 1), witness: testKey(t, 2)}
	r.log = &cosigned{ledgertest.NewMemory(origin, r.key), r.witness}
	add := func(stream string, seq int64) {
		t.Helper()
		e := ledger.Entry{Stream: stream, Seq: seq, Body: fmt.Appendf(nil, `{"seq":%d,"act":"a <b> & \"ü\""}`, seq), Salt: ledgertest.Leaf(len(r.entries))}
		index, err := r.log.Append(t.Context(), [][32]byte{e.Commitment()})
		if err != nil {
			t.Fatal(err)
		}
		r.entries = append(r.entries, ledger.LoggedEntry{Entry: e, Index: index[0]})
		if _, err := r.log.Append(t.Context(), [][32]byte{ledgertest.Leaf(-len(r.entries))}); err != nil { // another case's
			t.Fatal(err)
		}
	}
	for seq := range int64(n) {
		if seq == 1 {
			cp, err := r.log.Checkpoint(t.Context(), 0)
			if err != nil {
				t.Fatal(err)
			}
			r.older = append(r.older, cp)
		}
		add(stream, seq+1)
	}
	add("house", 3)
	add("house", 9)
	authority := testKey(t, 3)
	say := func(name string, key *ledger.Key) ledger.NamedStatement {
		env, err := ledger.Seal(t.Context(), ledger.Statement{
			Subject: stream, Digest: proofhouse.DigestOf(nil), PredicateType: "https://proofhouse.example/test/v1", Predicate: map[string]string{"name": name},
		}, key)
		if err != nil {
			t.Fatal(err)
		}
		return ledger.NamedStatement{Name: name, Envelope: env}
	}
	r.src = ledger.BundleSource{
		Stream: stream, Entries: each(r.entries), Signers: []*ledger.PublicKey{authority.PublicKey()}, Older: r.older,
		Statements:  []ledger.NamedStatement{say("verdict-2", nil), say("determination-1", authority)},
		Attachments: []ledger.Attachment{{Name: "profile.toml", Media: "application/toml", Data: []byte("days = 30\n")}, {Name: "empty", Media: "text/plain"}},
	}
	return r
}

func each(list []ledger.LoggedEntry) iter.Seq2[ledger.LoggedEntry, error] {
	return func(yield func(ledger.LoggedEntry, error) bool) {
		for _, e := range list {
			if !yield(e, nil) {
				return
			}
		}
	}
}

func (r *review) write(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := ledger.WriteBundle(t.Context(), &b, r.log, r.key, r.src); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func (r *review) witnessKey(t testing.TB) ledger.VerifierKey {
	t.Helper()
	k, err := r.witness.PublicKey().WitnessKey("witness.example/w1")
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func read(t testing.TB, text []byte, opts ledger.VerifyOptions) (ledger.Bundle, error) {
	t.Helper()
	return ledger.ReadBundle(t.Context(), bytes.NewReader(text), opts)
}

// TestBundle writes one, reads it back, and holds it to the golden file.
func TestBundle(t *testing.T) {
	r := newReview(t, 3)
	text := r.write(t)
	golden := filepath.Join("testdata", "bundle.jsonl")
	if flag.Lookup("update").Value.String() == "true" { // log_verify_test.go has it
		if err := os.WriteFile(golden, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(golden); err != nil || !bytes.Equal(text, want) {
		t.Errorf("not the golden file (%v)", err)
	}
	b, err := read(t, text, ledger.VerifyOptions{Log: r.log.Key(), Witnesses: []ledger.VerifierKey{r.witnessKey(t)}, Older: [][]byte{r.older[0].Note}})
	if err != nil {
		t.Fatal(err)
	}
	if got := append(slices.Clone(b.Entries), b.Others...); fmt.Sprint(got) != fmt.Sprint(r.entries) {
		t.Errorf("entries: got %v, want %v", got, r.entries)
	}
	if len(b.Statements) != 2 || b.Statements[0].Name != "determination-1" || !b.Statements[0].Opened.Signed || b.Statements[1].Opened.Signed ||
		b.Statements[0].Signers[0].ID() != testKey(t, 3).PublicKey().ID() || !bytes.Equal(b.Statements[0].Envelope, r.src.Statements[1].Envelope) {
		t.Errorf("statements: %+v", b.Statements)
	}
	if len(b.Attachments) != 2 || string(b.Attachments["profile.toml"].Data) != "days = 30\n" || b.Attachments["empty"].Data == nil {
		t.Errorf("attachments: %+v", b.Attachments)
	}
	p := b.Report
	if p.Origin != origin || p.Stream != stream || p.Entries != 3 || p.Others != 2 || p.Size != 10 || !p.Pinned || fmt.Sprint(p.Continues) != "[2]" || p.Open != nil {
		t.Errorf("report: %+v", p)
	}
	if got := p.Witnessed(); got != "witnessed by 1: witness.example/w1" {
		t.Error(got)
	}
	bare, err := read(t, text, ledger.VerifyOptions{})
	if err != nil || bare.Report.Pinned || !strings.Contains(bare.Report.Witnessed(), "only the bundle vouches") {
		t.Errorf("without keys: %+v, %v", bare.Report, err)
	}
	r.log.witness = nil
	alone, err := read(t, r.write(t), ledger.VerifyOptions{})
	if err != nil || alone.Report.Witnessed() != "the operator's word only" {
		t.Errorf("without a witness: %s, %v", alone.Report.Witnessed(), err)
	}
	stop := errors.New("enough")
	if _, err := ledger.VerifyBundle(t.Context(), bytes.NewReader(text), ledger.VerifyOptions{}, func(ledger.Part) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("each's own error: %v", err)
	}
}

var lineNumber = regexp.MustCompile(`line (\d+)`)

// TestBundleEveryByte changes every byte of a bundle, one at a time: each change
// is found, and named by its line.
func TestBundleEveryByte(t *testing.T) {
	t.Run("whole", func(t *testing.T) { everyByte(t, newReview(t, 2).write(t)) })
	t.Run("part", func(t *testing.T) { everyByte(t, newReview(t, 2).part(t)) })
}

func everyByte(t *testing.T, text []byte) {
	line := 1
	for i := range text {
		changed := bytes.Clone(text)
		changed[i] ^= 1 << (i % 8)
		_, err := read(t, changed, ledger.VerifyOptions{})
		m := lineNumber.FindStringSubmatch(fmt.Sprint(err))
		if k := proofhouse.KindOf(err); err == nil || k != proofhouse.Integrity && k != proofhouse.Invalid || m == nil || m[1] != fmt.Sprint(line) {
			t.Fatalf("byte %d of line %d, %q made %q: %v", i, line, text[i], changed[i], err)
		}
		if text[i] == '\n' {
			line++
		}
	}
	for i := 0; i < len(text); i += 5 { // cut anywhere
		if _, err := read(t, text[:i], ledger.VerifyOptions{}); err == nil {
			t.Fatalf("cut at %d: no error", i)
		}
	}
	lines := bytes.SplitAfter(text, []byte("\n"))
	lines = lines[:len(lines)-1]
	for i := range lines {
		for name, list := range map[string][][]byte{
			"taken out": slices.Delete(slices.Clone(lines), i, i+1),
			"doubled":   slices.Insert(slices.Clone(lines), i, lines[i]),
		} {
			if _, err := read(t, bytes.Join(list, nil), ledger.VerifyOptions{}); err == nil {
				t.Errorf("line %d %s: no error", i+1, name)
			}
		}
	}
	if _, err := read(t, append(bytes.Clone(text), '\n'), ledger.VerifyOptions{}); proofhouse.KindOf(err) != proofhouse.Integrity {
		t.Errorf("a line behind the seal: %v", err)
	}
}

// said is a line as it was before it was chained.
type said struct{ kind, value string }

// unchain takes a bundle apart, and chain makes one from the page alone: what
// somebody could who has the log's key, or another.
func unchain(t testing.TB, text []byte) []said {
	t.Helper()
	var out []said
	for line := range strings.Lines(string(text)) {
		_, rest, _ := strings.Cut(line, `,"hash":"`)
		kind, value, ok := strings.Cut(rest[67:], `":`)
		if !ok {
			t.Fatalf("line %q", line)
		}
		out = append(out, said{kind, strings.TrimSuffix(value, "}\n")})
	}
	return out
}

func rechain(lines []said, key ed25519.PrivateKey) []byte {
	at := sha256.Sum256([]byte("proofhouse bundle, format 1\n"))
	var out bytes.Buffer
	for i, l := range lines {
		if l.kind == "seal" && key != nil {
			b := binary.BigEndian.AppendUint64([]byte("proofhouse bundle seal, format 1\n"), uint64(i))
			l.value = fmt.Sprintf(`{"sig":%q}`, base64.StdEncoding.EncodeToString(ed25519.Sign(key, append(b, at[:]...))))
		}
		b := binary.BigEndian.AppendUint64([]byte("proofhouse bundle line, format 1\n"), uint64(i+1))
		at = sha256.Sum256([]byte(string(append(b, at[:]...)) + l.kind + ":" + l.value))
		fmt.Fprintf(&out, "{\"line\":%d,\"hash\":\"%x\",\"%s\":%s}\n", i+1, at, l.kind, l.value)
	}
	return out.Bytes()
}

func private(b byte) ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	seed[0] = b
	return ed25519.NewKeyFromSeed(seed)
}

// TestBundleForged makes hashes and seal anew over what was changed: with the
// log's key only what the log itself holds can be shown, and without it nothing.
func TestBundleForged(t *testing.T) {
	r := newReview(t, 3)
	lines := unchain(t, r.write(t))
	if _, err := read(t, rechain(lines, private(1)), ledger.VerifyOptions{}); err != nil {
		t.Fatalf("the page makes another bundle: %v", err)
	}
	if _, err := read(t, rechain(lines, private(9)), ledger.VerifyOptions{}); proofhouse.KindOf(err) != proofhouse.Integrity {
		t.Errorf("another's seal: %v", err)
	}
	first := func(kind string) int {
		return slices.IndexFunc(lines, func(l said) bool { return l.kind == kind })
	}
	entry, older := first("entry"), first("older")
	swap := func(list []said, i int, old, repl string) []said {
		if !strings.Contains(list[i].value, old) {
			t.Fatalf("%q is not in %q", old, list[i].value)
		}
		list[i].value = strings.Replace(list[i].value, old, repl, 1)
		return list
	}
	other := func(i int) func([]said) []said { // a note by another key
		return func(l []said) []said {
			other := newReview(t, 3)
			other.key = testKey(t, 8)
			other.log = &cosigned{ledgertest.NewMemory(origin, other.key), nil}
			if _, err := other.log.Append(t.Context(), [][32]byte{{1}}); err != nil {
				t.Fatal(err)
			}
			cp, err := other.log.Checkpoint(t.Context(), 0)
			if err != nil {
				t.Fatal(err)
			}
			note, _ := json.Marshal(string(cp.Note))
			var v map[string]json.RawMessage
			if err := json.Unmarshal([]byte(l[i].value), &v); err != nil {
				t.Fatal(err)
			}
			return swap(l, i, string(v["note"]), string(note))
		}
	}
	for name, forge := range map[string]func([]said) []said{
		"a body":                  func(l []said) []said { return swap(l, entry, `"seq":1,"act"`, `"seq":1, "act"`) },
		"a body with a line more": func(l []said) []said { return swap(l, entry, `"act":"a`, `"actor":"b","act":"a`) },
		"a salt":                  func(l []said) []said { return swap(l, entry, `"salt":"`, `"salt":"00`) },
		"an index":                func(l []said) []said { return swap(l, entry, `"index":0`, `"index":1`) },
		"an entry taken out":      func(l []said) []said { return slices.Delete(l, entry+1, entry+2) },
		"the first taken out":     func(l []said) []said { return slices.Delete(l, entry, entry+1) },
		"an entry doubled":        func(l []said) []said { return slices.Insert(l, entry, l[entry]) },
		"entries swapped":         func(l []said) []said { l[entry], l[entry+1] = l[entry+1], l[entry]; return l },
		"another stream":          func(l []said) []said { return swap(l, 0, stream, "case-other") },
		"another origin":          func(l []said) []said { return swap(l, 0, origin, "other.example/log") },
		"another format":          func(l []said) []said { return swap(l, 0, "format 1", "format 2") },
		"a spelling":              func(l []said) []said { return swap(l, entry, `"proof":[`, `"proof": [`) },
		"a null":                  func(l []said) []said { return swap(l, first("attachment"), `"data":""`, `"data":null`) },
		"no list of signatures":   func(l []said) []said { return swap(l, first("statement")+1, `"signatures":[]`, `"signatures":null`) },
		"an older fork": func(l []said) []said {
			f := ledgertest.NewMemory(origin, r.key)
			if _, err := f.Append(t.Context(), [][32]byte{{1}, {2}}); err != nil {
				t.Fatal(err)
			}
			cp, err := f.Checkpoint(t.Context(), 0)
			if err != nil {
				t.Fatal(err)
			}
			note, _ := json.Marshal(string(cp.Note))
			was, _ := json.Marshal(string(r.older[0].Note[:bytes.LastIndex(r.older[0].Note, []byte("— "))]))
			return swap(l, older, string(was), string(note))
		},
		"a checkpoint by another key": other(first("checkpoint")),
		"an older one by another key": other(older),
		"a cosignature": func(l []said) []said {
			return swap(l, first("checkpoint"), "witness.example/w1 ", "witness.example/w1 A")
		},
		"a witness's key": func(l []said) []said { return slices.Delete(l, 2, 3) },
		"a signer's key":  func(l []said) []said { return slices.Delete(l, 3, 4) },
		"a signer's key replaced": func(l []said) []said {
			k := base64.StdEncoding.EncodeToString(private(9).Public().(ed25519.PublicKey))
			l[3].value = fmt.Sprintf(`{"role":"signer","key":%q}`, k)
			return l
		},
		"a statement": func(l []said) []said {
			i := first("statement")
			var s struct {
				Name     string
				Envelope map[string]any
			}
			if err := json.Unmarshal([]byte(l[i].value), &s); err != nil {
				t.Fatal(err)
			}
			was := s.Envelope["payload"].(string)
			raw, _ := base64.StdEncoding.DecodeString(was)
			return swap(l, i, was, base64.StdEncoding.EncodeToString([]byte(strings.Replace(string(raw), "determination-1", "determination-2", 1))))
		},
		"statements swapped": func(l []said) []said { i := first("statement"); l[i], l[i+1] = l[i+1], l[i]; return l },
		"an attachment twice": func(l []said) []said {
			i := first("attachment")
			return slices.Insert(l, i, l[i])
		},
		"no checkpoint":   func(l []said) []said { return slices.Delete(l, first("checkpoint"), first("checkpoint")+1) },
		"two checkpoints": func(l []said) []said { i := first("checkpoint"); return slices.Insert(l, i, l[i]) },
		"no key":          func(l []said) []said { return slices.Delete(l, 1, 2) },
		"no entries":      func(l []said) []said { return slices.DeleteFunc(l, func(s said) bool { return s.kind == "entry" }) },
		"an unknown kind": func(l []said) []said { return slices.Insert(l, 3, said{"other", "{}"}) },
		"a line before":   func(l []said) []said { return slices.Insert(l, 0, said{"key", "{}"}) },
		"an older one later": func(l []said) []said {
			x := l[older]
			return slices.Insert(slices.Delete(l, older, older+1), entry+2, x)
		},
		"an attachment first": func(l []said) []said {
			i := first("attachment")
			x := l[i]
			return slices.Insert(slices.Delete(l, i, i+1), entry, x)
		},
		"a seal first": func(l []said) []said { return slices.Insert(l, entry+1, said{"seal", ""}) },
	} {
		_, err := read(t, rechain(forge(slices.Clone(lines)), private(1)), ledger.VerifyOptions{})
		want := proofhouse.Integrity
		if name == "another format" {
			want = proofhouse.Invalid
		}
		if err == nil || proofhouse.KindOf(err) != want || !lineNumber.MatchString(err.Error()) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The last entry of the stream can be left out by who has the key: only a
	// receipt shows it.
	cut := rechain(slices.Delete(slices.Clone(lines), entry+2, entry+3), private(1))
	b, err := read(t, cut, ledger.VerifyOptions{})
	if err != nil || b.Report.Entries != 2 {
		t.Fatalf("%+v, %v", b.Report, err)
	}
	last := r.entries[2]
	receipt, err := ledger.TakeReceipt(t.Context(), r.log, r.key, ledger.Waiting{Stream: stream, Seq: 3, Commitment: last.Commitment()}, last.Index)
	if err != nil {
		t.Fatal(err)
	}
	text, err := receipt.Encode()
	if err != nil {
		t.Fatal(err)
	}
	_, err = read(t, cut, ledger.VerifyOptions{Receipts: [][]byte{text}})
	if proofhouse.KindOf(err) != proofhouse.Integrity || !strings.Contains(err.Error(), "entry 3 of "+stream) {
		t.Errorf("an entry left out: %v", err)
	}
	if b, err := read(t, rechain(lines, private(1)), ledger.VerifyOptions{Receipts: [][]byte{text}}); err != nil || b.Report.Receipts != 1 {
		t.Errorf("the whole bundle: %+v, %v", b.Report, err)
	}
}

// TestBundleForked holds bundles against what others kept.
func TestBundleForked(t *testing.T) {
	r := newReview(t, 3)
	text := r.write(t)
	// The same key signs another history after the second leaf.
	fork := r.log.Fork(2)
	var notes [][]byte
	for i := range 12 {
		if _, err := fork.Append(t.Context(), [][32]byte{ledgertest.Leaf(100 + i)}); err != nil {
			t.Fatal(err)
		}
		cp, err := fork.Checkpoint(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		notes = append(notes, cp.Note) // of 3 to 14 leaves
	}
	older, err := r.log.Fork(3).Checkpoint(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	forked, err := ledger.TakeReceipt(t.Context(), fork, r.key, ledger.Waiting{Stream: stream, Seq: 2, Commitment: ledgertest.Leaf(101)}, 3)
	if err != nil {
		t.Fatal(err)
	}
	other, err := forked.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		opts   ledger.VerifyOptions
		fork   string // what the error says, or ""
		open   string // what the report says
		proved int
	}{
		{"the same size", ledger.VerifyOptions{Older: [][]byte{notes[7]}}, "forked", "", 0},
		{"the bundle's own", ledger.VerifyOptions{Older: [][]byte{r.src.Older[0].Note}}, "", "", 1},
		{"smaller, no proof", ledger.VerifyOptions{Older: [][]byte{notes[0]}}, "", "3 leaves of an older checkpoint", 0},
		{"smaller, a fork", ledger.VerifyOptions{Older: [][]byte{notes[0]}, Extend: r.log.Extend}, "forked", "", 0},
		{"smaller, of the log", ledger.VerifyOptions{Older: [][]byte{older.Note}, Extend: r.log.Extend}, "", "", 1},
		{"newer", ledger.VerifyOptions{Older: [][]byte{notes[9]}}, "", "newer checkpoint", 0},
		{"not a checkpoint", ledger.VerifyOptions{Older: [][]byte{[]byte("x")}}, "not a checkpoint", "", 0},
		{"a receipt of the fork", ledger.VerifyOptions{Receipts: [][]byte{other}}, "replaced", "", 0},
		{"not a receipt", ledger.VerifyOptions{Receipts: [][]byte{[]byte("x")}}, "not a receipt", "", 0},
	} {
		b, err := read(t, text, c.opts)
		if (err != nil) != (c.fork != "") || err != nil && (proofhouse.KindOf(err) != proofhouse.Integrity || !strings.Contains(err.Error(), c.fork)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.fork)
		}
		if got := strings.Join(b.Report.Open, "; "); !strings.Contains(got, c.open) || c.open == "" && got != "" || err == nil && len(b.Report.Continues) != c.proved {
			t.Errorf("%s: open %q, continues %v", c.name, got, b.Report.Continues)
		}
	}
	// A bundle that has a proof from an older tree shows the fork by itself.
	r.src.Older = append(r.src.Older, older)
	if _, err := read(t, r.write(t), ledger.VerifyOptions{Older: [][]byte{notes[0]}}); proofhouse.KindOf(err) != proofhouse.Integrity || !strings.Contains(err.Error(), "forked") {
		t.Errorf("a fork at an older size: %v", err)
	}
	pinned := testKey(t, 8).PublicKey()
	k, err := pinned.VerifierKey(origin)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := read(t, text, ledger.VerifyOptions{Log: k}); proofhouse.KindOf(err) != proofhouse.Integrity {
		t.Errorf("another log's key: %v", err)
	}
}

// TestBundleRefused: what cannot go into a bundle is refused as it is written.
func TestBundleRefused(t *testing.T) {
	for name, c := range map[string]struct {
		kind  proofhouse.Kind
		plant func(r *review)
	}{
		"another key":     {proofhouse.Invalid, func(r *review) { r.key = testKey(t, 9) }},
		"no entries":      {proofhouse.Invalid, func(r *review) { r.src.Entries = each(nil) }},
		"a gap":           {proofhouse.Invalid, func(r *review) { r.src.Entries = each(slices.Delete(slices.Clone(r.entries), 1, 2)) }},
		"others first":    {proofhouse.Invalid, func(r *review) { slices.Reverse(r.entries) }},
		"an early bundle": {proofhouse.Unavailable, func(r *review) { r.entries[1].Index = 1000 }},
		"another place":   {proofhouse.Integrity, func(r *review) { r.entries[1].Index++ }},
		"another body":    {proofhouse.Integrity, func(r *review) { r.entries[1].Body = []byte("1") }},
		"a long body":     {proofhouse.Invalid, func(r *review) { r.entries[1].Body = []byte(`"` + strings.Repeat("x", 1<<20) + `"`) }},
		"two lines":       {proofhouse.Invalid, func(r *review) { r.entries[1].Body = []byte("[1,\n2]") }},
		"not JSON":        {proofhouse.Invalid, func(r *review) { r.entries[1].Body = []byte("{") }},
		"a stream's name": {proofhouse.Invalid, func(r *review) { r.src.Stream = "a b" }},
		"a name twice":    {proofhouse.Invalid, func(r *review) { r.src.Attachments[1].Name = r.src.Attachments[0].Name }},
		"a name":          {proofhouse.Invalid, func(r *review) { r.src.Statements[0].Name = "a\nb" }},
		"no media type":   {proofhouse.Invalid, func(r *review) { r.src.Attachments[0].Media = "" }},
		"no envelope":     {proofhouse.Invalid, func(r *review) { r.src.Statements[0].Envelope = []byte("x") }},
		"a large one":     {proofhouse.Limit, func(r *review) { r.src.Attachments[0].Data = make([]byte, 16<<20+1) }},
		"a newer older":   {proofhouse.Unavailable, func(r *review) { r.src.Older[0].Size = 1000 }},
		"an older fork":   {proofhouse.Integrity, func(r *review) { r.src.Older[0].Root[0] ^= 1 }},
		"a failing source": {proofhouse.Internal, func(r *review) {
			r.src.Entries = func(yield func(ledger.LoggedEntry, error) bool) { yield(ledger.LoggedEntry{}, errors.New("planted")) }
		}},
	} {
		r := newReview(t, 3)
		c.plant(r)
		var b bytes.Buffer
		if err := ledger.WriteBundle(t.Context(), &b, r.log, r.key, r.src); err == nil || proofhouse.KindOf(err) != c.kind {
			t.Errorf("%s: got %v, want %s", name, err, c.kind)
		}
	}
}

// TestReceipt reads one back, and finds every changed byte.
func TestReceipt(t *testing.T) {
	r := newReview(t, 3)
	e := r.entries[1]
	receipt, err := ledger.TakeReceipt(t.Context(), r.log, r.key, ledger.Waiting{Stream: stream, Seq: 2, Commitment: e.Commitment()}, e.Index)
	if err != nil {
		t.Fatal(err)
	}
	text, err := receipt.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := ledger.ParseReceipt(text, r.log.Key(), r.witnessKey(t))
	if err != nil || fmt.Sprint(got) != fmt.Sprint(receipt) || len(got.Checkpoint.Seen) != 1 {
		t.Fatalf("read back: %v, %v", got, err)
	}
	// Without the witness's key its line cannot be checked, as c2sp.org/signed-note has it.
	if _, err := ledger.ParseReceipt(text, r.log.Key()); err != nil {
		t.Errorf("without the witness's key: %v", err)
	}
	for i := range text {
		for _, x := range []byte{1, 0x20, 0x80} {
			changed := bytes.Clone(text)
			changed[i] ^= x
			again, err := ledger.ParseReceipt(changed, r.log.Key(), r.witnessKey(t))
			// A note may have lines of unknown keys, and spare bits: what is left is as good.
			if err == nil && (again.Seq != 2 || again.Stream != stream || again.Commitment != receipt.Commitment || again.Index != receipt.Index || again.Checkpoint.Root != receipt.Checkpoint.Root) {
				t.Fatalf("byte %d of %q changed by %#x: %+v", i, text, x, again)
			}
			if err == nil && !bytes.Contains(text[:i], []byte("\n\n")) {
				t.Fatalf("byte %d of %q changed by %#x: no error", i, text, x)
			}
		}
	}
	for _, c := range [][2]string{{"extra ", ""}, {"index ", "index 0"}, {"index ", ""}, {"index ", "index +"}} {
		if _, err := ledger.ParseReceipt(bytes.Replace(text, []byte(c[0]), []byte(c[1]), 1), r.log.Key()); proofhouse.KindOf(err) != proofhouse.Integrity {
			t.Errorf("%q for %q: %v", c[1], c[0], err)
		}
	}
	other, _ := testKey(t, 9).PublicKey().VerifierKey(origin)
	if _, err := ledger.ParseReceipt(text, other); proofhouse.KindOf(err) != proofhouse.Integrity {
		t.Errorf("another key: %v", err)
	}
	if _, err := ledger.TakeReceipt(t.Context(), r.log, testKey(t, 9), ledger.Waiting{Stream: stream, Seq: 2, Commitment: e.Commitment()}, e.Index); proofhouse.KindOf(err) != proofhouse.Invalid {
		t.Errorf("signed with another key: %v", err)
	}
	receipt.Commitment[0] ^= 1
	if text, err = receipt.Encode(); err != nil {
		t.Fatal(err)
	}
	if _, err := ledger.ParseReceipt(text, r.log.Key()); proofhouse.KindOf(err) != proofhouse.Integrity {
		t.Errorf("another commitment: %v", err)
	}
}

func FuzzReadBundle(f *testing.F) {
	f.Add(newReview(f, 2).part(f))
	f.Add(newReview(f, 2).write(f))
	f.Add([]byte(`{"line":1,"hash":"` + hex.EncodeToString(make([]byte, 32)) + `","head":{}}` + "\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := ledger.ReadBundle(t.Context(), bytes.NewReader(b), ledger.VerifyOptions{})
		if k := proofhouse.KindOf(err); err != nil && k != proofhouse.Integrity && k != proofhouse.Invalid {
			t.Errorf("%v", err)
		}
		if err == nil && !bytes.Equal(rechain(unchain(t, b), nil), b) {
			t.Errorf("another spelling of %+v", got.Report)
		}
	})
}

// FuzzBundleLines goes behind the hashes: it changes a value, and chains and
// seals it anew.
func FuzzBundleLines(f *testing.F) {
	lines := unchain(f, newReview(f, 2).write(f))
	for i, l := range lines {
		f.Add(uint8(i), l.kind, l.value)
	}
	f.Fuzz(func(t *testing.T, i uint8, kind, value string) {
		if strings.ContainsAny(kind+value, "\n") {
			return
		}
		changed := slices.Clone(lines)
		n := int(i) % len(lines)
		changed[n] = said{kind, value}
		_, err := ledger.ReadBundle(t.Context(), bytes.NewReader(rechain(changed, private(1))), ledger.VerifyOptions{})
		if k := proofhouse.KindOf(err); err != nil && k != proofhouse.Integrity && k != proofhouse.Invalid {
			t.Errorf("%v", err)
		}
		// Who has the log's key may say what he likes in an attachment and leave
		// keys and older checkpoints out, and nothing else.
		if err == nil && changed[n] != lines[n] && kind != "attachment" && kind != "seal" && kind != "older" && kind != "key" && kind != "statement" {
			t.Errorf("line %d: %s %q was taken", n+1, kind, value)
		}
	})
}

func FuzzParseReceipt(f *testing.F) {
	r := newReview(f, 2)
	e := r.entries[0]
	receipt, err := ledger.TakeReceipt(f.Context(), r.log, r.key, ledger.Waiting{Stream: stream, Seq: 1, Commitment: e.Commitment()}, e.Index)
	if err != nil {
		f.Fatal(err)
	}
	text, err := receipt.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := ledger.ParseReceipt(b, r.log.Key(), r.witnessKey(t))
		if err != nil && proofhouse.KindOf(err) != proofhouse.Integrity || err == nil && got.Commitment != e.Commitment() {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

// FuzzVerifierKey: a key has one spelling.
func FuzzVerifierKey(f *testing.F) {
	f.Add(newReview(f, 1).log.Key().String())
	f.Fuzz(func(t *testing.T, s string) {
		k, err := ledger.ParseVerifierKey(s)
		if err == nil && k.String() != s || err != nil && proofhouse.KindOf(err) != proofhouse.Invalid {
			t.Errorf("%q became %q, %v", s, k, err)
		}
	})
}
