package vault

import (
	"bytes"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"proofhouse/internal/proofhouse"
)

func TestRecords(t *testing.T) {
	dir := t.TempDir()
	open := func() *Records {
		return New(filepath.Join(dir, "vault"), filepath.Join(dir, "keys", "house.key")).Records(filepath.Join(dir, "keys", "case"))
	}
	r := open()
	_, err := r.Open("case-1", []byte("row 1"), []byte("never sealed"))
	wantKind(t, "a record of no key", err, proofhouse.NotFound)
	sealed, err := r.Seal("case-1", []byte("row 1"), []byte("canary-7"))
	if err != nil {
		t.Fatal(err)
	}
	other, err := r.Seal("case-2", []byte("row 1"), []byte("canary-7"))
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := open().Open("case-1", []byte("row 1"), sealed); err != nil || string(plain) != "canary-7" {
		t.Errorf("another process reads %q, %v", plain, err)
	}
	for what, err := range map[string]error{
		"another row's":  second(r.Open("case-1", []byte("row 2"), sealed)),
		"another case's": second(r.Open("case-1", []byte("row 1"), other)),
		"a cut one":      second(r.Open("case-1", []byte("row 1"), sealed[:20])),
		"a changed one":  second(r.Open("case-1", []byte("row 1"), append(bytes.Clone(sealed[:len(sealed)-1]), sealed[len(sealed)-1]^1))),
	} {
		wantKind(t, what, err, proofhouse.Integrity)
	}
	wantKind(t, "a name with a path", second(r.Seal("../case", nil, nil)), proofhouse.Invalid)

	// A backup of everything but the keys is worth nothing after the shredding.
	backup := bytes.Clone(sealed)
	beside := open() // a process that has the key in its memory
	if _, err := beside.Open("case-1", []byte("row 1"), sealed); err != nil {
		t.Fatal(err)
	}
	if err := r.Shred("case-1"); err != nil {
		t.Fatal(err)
	}
	for _, r := range []*Records{r, beside, open()} {
		wantKind(t, "a backup", second(r.Open("case-1", []byte("row 1"), backup)), proofhouse.NotFound)
		wantKind(t, "sealing again", second(r.Seal("case-1", []byte("row 1"), nil)), proofhouse.NotFound)
		if err := r.Shred("case-1"); err != nil {
			t.Errorf("shredding again: %v", err)
		}
		if _, err := r.Open("case-2", []byte("row 1"), other); err != nil {
			t.Errorf("the other case: %v", err)
		}
	}
	wantKind(t, "shredding what is not there", r.Shred("case-3"), proofhouse.NotFound)

	// A lost house's key is not made anew, and another one opens nothing.
	if err := os.Rename(filepath.Join(dir, "keys", "house.key"), filepath.Join(dir, "keys", "lost.key")); err != nil {
		t.Fatal(err)
	}
	wantKind(t, "a lost key", second(open().Open("case-2", []byte("row 1"), other)), proofhouse.NotFound)
	wantKind(t, "a lost key, sealing", second(open().Seal("case-4", nil, nil)), proofhouse.NotFound)
	if _, err := createKey(filepath.Join(dir, "keys", "house.key")); err != nil {
		t.Fatal(err)
	}
	wantKind(t, "another house's key", second(open().Open("case-2", []byte("row 1"), other)), proofhouse.Integrity)
}

func second(_ []byte, err error) error { return err }

// TestRecordsRace has many make one key at once, as processes would.
func TestRecordsRace(t *testing.T) {
	dir := t.TempDir()
	v := New(filepath.Join(dir, "vault"), filepath.Join(dir, "house.key"))
	if _, err := v.Records(filepath.Join(dir, "case")).Seal("first", nil, nil); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	sealed := make([][]byte, 16)
	for i := range sealed {
		wg.Go(func() {
			var err error
			if sealed[i], err = v.Records(filepath.Join(dir, "case")).Seal("case-1", nil, []byte{byte(i)}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for i, s := range sealed {
		if plain, err := v.Records(filepath.Join(dir, "case")).Open("case-1", nil, s); err != nil || plain[0] != byte(i) {
			t.Errorf("record %d: %v, %v", i, plain, err)
		}
	}
}
