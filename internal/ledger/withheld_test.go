package ledger_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"proofhouse/internal/ledger"
	"proofhouse/internal/proofhouse"
)

// part is the review's bundle for somebody who is not shown the second entry, nor any of the house's.
func (r *review) part(t testing.TB) []byte {
	t.Helper()
	r.src.For = "developer"
	r.src.Withhold = func(e ledger.Entry) bool { return e.Seq == 2 || e.Seq == 3 }
	return r.write(t)
}

// TestBundlePart writes a bundle that withholds entries, reads it back, and holds it to the golden file.
func TestBundlePart(t *testing.T) {
	r := newReview(t, 4)
	text := r.part(t)
	golden := filepath.Join("testdata", "bundle_part.jsonl")
	if flag.Lookup("update").Value.String() == "true" {
		if err := os.WriteFile(golden, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(golden); err != nil || !bytes.Equal(text, want) {
		t.Errorf("not the golden file (%v)", err)
	}
	for _, e := range r.entries[1:3] {
		if bytes.Contains(text, e.Body) || bytes.Contains(text, fmt.Appendf(nil, "%x", e.Salt)) {
			t.Errorf("entry %d is not withheld", e.Seq)
		}
	}
	receipt := func(i int) []byte {
		e := r.entries[i]
		rec, err := ledger.TakeReceipt(t.Context(), r.log, r.key, ledger.Waiting{Stream: stream, Seq: e.Seq, Commitment: e.Commitment()}, e.Index)
		if err != nil {
			t.Fatal(err)
		}
		b, err := rec.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	b, err := read(t, text, ledger.VerifyOptions{Receipts: [][]byte{receipt(0), receipt(1)}})
	if err != nil {
		t.Fatal(err)
	}
	p := b.Report
	if p.For != "developer" || p.Entries != 4 || p.Withheld != 3 || p.Receipts != 2 || len(b.Entries) != 2 || len(b.Withheld) != 3 || b.Withheld[0].Seq != 2 || b.Withheld[2].Stream != "house" {
		t.Errorf("read %+v, %+v", p, b.Withheld)
	}
	var list [][32]byte
	for _, e := range r.entries[:4] {
		list = append(list, e.Commitment())
	}
	want := ledger.ListDigest(stream, list)
	if got := ledger.ListDigest(stream, b.Commitments); got != want {
		t.Errorf("the list of commitments is %v", b.Commitments)
	}
	lines := unchain(t, text)
	first := slices.IndexFunc(lines, func(l said) bool { return l.kind == "withheld" })
	// What the log's key can make and nothing but the list shows: which of two withheld entries is which, and that the last are left out.
	swapped := slices.Clone(lines)
	swapped[first].value, swapped[first+1].value = strings.Replace(lines[first+1].value, `"seq":3`, `"seq":2`, 1), strings.Replace(lines[first].value, `"seq":2`, `"seq":3`, 1)
	short := slices.Delete(slices.Clone(lines), first+2, first+3)
	for name, forged := range map[string][]said{"swapped": swapped, "the last left out": short} {
		b, err := read(t, rechain(forged, private(1)), ledger.VerifyOptions{})
		if err != nil || ledger.ListDigest(stream, b.Commitments) == want {
			t.Errorf("%s: %v, and the list is the same", name, err)
		}
	}
	// A receipt shows the first of these by itself.
	if _, err := read(t, rechain(swapped, private(1)), ledger.VerifyOptions{Receipts: [][]byte{receipt(1)}}); proofhouse.KindOf(err) != proofhouse.Integrity {
		t.Errorf("swapped, with a receipt: %v", err)
	}
	if ledger.ListDigest("case-other", list) == want || ledger.ListDigest(stream, list[:3]) == want {
		t.Error("another list has the same digest")
	}
	change := func(old, repl string) []said {
		l := slices.Clone(lines)
		if !strings.Contains(l[first].value, old) {
			t.Fatalf("%q is not in %q", old, l[first].value)
		}
		l[first].value = strings.Replace(l[first].value, old, repl, 1)
		return l
	}
	whole := slices.Clone(lines)
	whole[0].value = strings.Replace(whole[0].value, `,"for":"developer"`, "", 1)
	for name, forged := range map[string][]said{
		"a commitment":      change(`"commitment":"`, `"commitment":"00`),
		"another's":         change(fmt.Sprintf("%x", list[1]), fmt.Sprintf("%x", list[2])),
		"an index":          change(`"index":`, `"index":1`),
		"a body":            change(`"proof":`, `"body":{},"proof":`),
		"an upper-case one": change(fmt.Sprintf("%x", list[1]), strings.ToUpper(fmt.Sprintf("%x", list[1]))),
		"one taken out":     slices.Delete(slices.Clone(lines), first, first+1),
		"one doubled":       slices.Insert(slices.Clone(lines), first, lines[first]),
		"for nobody":        whole,
		"for a phrase":      {{lines[0].kind, strings.Replace(lines[0].value, "developer", "a developer", 1)}},
	} {
		if len(forged) == 1 {
			forged = append(forged, lines[1:]...)
		}
		if _, err := read(t, rechain(forged, private(1)), ledger.VerifyOptions{}); proofhouse.KindOf(err) != proofhouse.Integrity {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, plant := range map[string]func(){
		"withheld from nobody": func() { r.src.For = "" },
		"nothing to withhold":  func() { r.src.For, r.src.Withhold = "developer", nil },
		"from a phrase":        func() { r.src.For, r.src.Withhold = "a developer", func(ledger.Entry) bool { return true } },
	} {
		plant()
		if err := ledger.WriteBundle(t.Context(), &bytes.Buffer{}, r.log, r.key, r.src); proofhouse.KindOf(err) != proofhouse.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}
